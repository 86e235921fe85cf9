import Glibc
import Simulator
import Synchronization

/// What a process says last when a run ends it: which seed it was, and how to see it again.
///
/// A precondition of the core that does not hold is a trap; without this, nobody would know whose.
enum CrashNote {
  private struct Slot {
    var thread: pthread_t?
    var text = UnsafeMutableBufferPointer<UInt8>(start: nil, count: 0)
  }

  private static let slotsMax = 1_024
  private static let signalsMax = 65
  private static let signals = [SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGABRT]

  /// A signal handler may neither lock nor allocate. It reads the slots of its own thread only, and a thread changes
  /// its slots before and after the run that they name, never during it.
  nonisolated(unsafe) private static let slots: UnsafeMutablePointer<Slot> = {
    let slots = UnsafeMutablePointer<Slot>.allocate(capacity: slotsMax)
    slots.initialize(repeating: Slot(), count: slotsMax)
    return slots
  }()
  private static let taken = Mutex([Bool](repeating: false, count: slotsMax))

  /// What was to happen at each signal before.
  nonisolated(unsafe) private static let previous: UnsafeMutablePointer<sigaction> = {
    let previous = UnsafeMutablePointer<sigaction>.allocate(capacity: signalsMax)
    previous.initialize(repeating: sigaction(), count: signalsMax)
    for signal in signals {
      var action = sigaction()
      action.__sigaction_handler.sa_handler = { CrashNote.tell($0) }
      sigaction(signal, &action, &previous[Int(signal)])
    }
    return previous
  }()

  /// Does something that may end the process, on this thread.
  static func during<Result>(_ recipe: SimulationRecipe, _ body: () -> Result) -> Result {
    _ = previous
    let free = taken.withLock { taken in
      let free = taken.firstIndex(of: false)
      if let free { taken[free] = true }
      return free
    }
    guard let free else { return body() }
    let text = "\nerror: the run of seed \(recipe.seed) ended this process\n       see it again: \(recipe.command)\n"
    let bytes = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: text.utf8.count)
    _ = bytes.initialize(from: text.utf8)
    slots[free] = Slot(thread: pthread_self(), text: bytes)
    defer {
      slots[free] = Slot()
      bytes.deallocate()
      taken.withLock { $0[free] = false }
    }
    return body()
  }

  /// Then lets happen what would have happened: the instruction traps again.
  private static func tell(_ signal: Int32) {
    for index in 0..<slotsMax where slots[index].thread == pthread_self() {
      _ = write(STDERR_FILENO, slots[index].text.baseAddress, slots[index].text.count)
    }
    sigaction(signal, &previous[Int(signal)], nil)
  }
}
