import Synchronization

/// Market events between the event loop, which puts them in, and the one task that reads them.
///
/// Bounded: when the reader is `ClientLimits.marketEventsBufferedMax` behind, what waits is thrown away, and the
/// subscription rests until the reader comes back; then it starts again from a fresh snapshot.
final class MarketMailbox: Sendable {
  private typealias Reader = CheckedContinuation<Result<MarketEvent?, ClientError>, Never>

  private struct State {
    var events = Fifo<MarketEvent>()
    var waiting: Reader?
    /// The reader is to ask for a fresh snapshot.
    var isOverrun = false
    var isCancelled = false
    /// How the stream ends, once `events` is empty.
    var end: ClientError?
  }
  private let state = Mutex(State())

  init() {}

  /// - Returns: false if the reader is too far behind; then nothing more is to be put in until it has asked again.
  func put(_ event: MarketEvent) -> Bool {
    let (isTaken, waiting) = state.withLock { state -> (Bool, Reader?) in
      if state.end != nil { return (true, nil) }
      if let waiting = state.waiting {
        state.waiting = nil
        return (true, waiting)
      }
      guard state.events.count < ClientLimits.marketEventsBufferedMax else {
        state.events.removeAll()
        state.isOverrun = true
        return (false, nil)
      }
      state.events.append(event)
      return (true, nil)
    }
    waiting?.resume(returning: .success(event))
    return isTaken
  }

  func finish(_ error: ClientError) {
    let waiting = state.withLock { state -> Reader? in
      if state.end == nil { state.end = error }
      defer { state.waiting = nil }
      return state.waiting
    }
    waiting?.resume(returning: .failure(error))
  }

  /// - Parameter restart: asks the event loop for a fresh snapshot; called when the reader comes back after an overrun.
  /// - Returns: nil once the reading task is cancelled.
  func next(restart: @Sendable () -> Void) async throws(ClientError) -> MarketEvent? {
    let needsRestart = state.withLock { state -> Bool in
      defer { state.isOverrun = false }
      return state.isOverrun && state.end == nil
    }
    if needsRestart { restart() }
    let result = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let ready = state.withLock { state -> Result<MarketEvent?, ClientError>? in
          if state.isCancelled { return .success(nil) }
          if let event = state.events.popFirst() { return .success(event) }
          if let end = state.end { return .failure(end) }
          guard state.waiting == nil else { return .failure(.protocolViolation("two tasks read one subscription")) }
          state.waiting = continuation
          return nil
        }
        if let ready { continuation.resume(returning: ready) }
      }
    } onCancel: {
      let waiting = state.withLock { state -> Reader? in
        state.isCancelled = true
        defer { state.waiting = nil }
        return state.waiting
      }
      waiting?.resume(returning: .success(nil))
    }
    return try result.get()
  }
}
