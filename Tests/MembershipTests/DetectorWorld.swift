import EventLog
import Membership
import Primitives

/// Failure detectors in virtual time: a seeded network that delays, loses and cuts; processes that stall and die.
///
/// Each process sends a heartbeat to every other each 200 ms, as idle nodes do. A process that does not run reads
/// nothing and ticks not; when it runs again, it ticks before it reads what has come meanwhile: the worse order.
struct DetectorWorld {
  struct Process {
    var detector: FailureDetector
    var isDead = false
    var isAsleep = false
    /// What came while it slept, or is not read yet.
    var mailbox: [Input] = []
    /// Timers set before it slept last are void.
    var epoch = 0
    /// Runs in bursts: microseconds awake and asleep, alternating; nil if it always runs.
    var bursts: (awake: ClosedRange<Int>, asleep: ClosedRange<Int>)?
    /// What came is read only each so many bursts: timers may be served long before sockets are.
    var burstsPerReading = 1
    var burstsUnread = 0
    var sentThisSecond = 0
    var sentPerSecondMax = 0
  }

  enum Input {
    case heard(Int)
    case message(from: Int, type: UInt8, body: [UInt8])
    case linkUp(Int)
    case linkDown(Int)
    case refused(Int)
  }

  enum Event {
    case tick(Int, epoch: Int)
    case heartbeat(Int, epoch: Int)
    /// A heartbeat arrives at everybody.
    case broadcast(from: Int)
    case input(Int, Input)
    case sleep(Int, microseconds: Int)
    case wake(Int)
  }

  struct Verdict: Equatable {
    var observer: Int
    var subject: Int
    var atMicroseconds: Int
    var evidence: DetectorEvidence
  }

  static let tickMicroseconds = 25_000
  static let heartbeatMicroseconds = 200_000
  /// Times are multiples of this.
  static let quantumMicroseconds = 250
  private static let horizon = 1 << 14

  var processes: [Process]
  var generator: SeededGenerator
  var latencyMicroseconds: ClosedRange<Int>
  var lossPercent: UInt64 = 0
  /// Directions that lose everything, by from · 1000 + to.
  var cuts: Set<Int> = []
  /// Whether messages lose the refutations in them.
  var losesRefutations = false
  private(set) var verdicts: [Verdict] = []
  /// What was given up and came back; who suspected whom.
  private(set) var returns: [(observer: Int, subject: Int)] = []
  private(set) var suspicions: [(observer: Int, subject: Int)] = []
  private(set) var refuted: [(observer: Int, subject: Int)] = []
  private(set) var messages = 0
  private(set) var messageBytesMax = 0
  private(set) var updatesMax = 0
  private var wheel: [[Event]]
  private var slot = 0
  private var secondEndsAt = 1_000_000

  var nowMicroseconds: Int { slot * Self.quantumMicroseconds }
  var sentPerSecondMax: Int { processes.reduce(0) { max($0, $1.sentPerSecondMax, $1.sentThisSecond) } }

  init(
    _ count: Int, seed: UInt64, latencyMicroseconds: ClosedRange<Int> = 100...5_000,
    configuration: DetectorConfiguration = DetectorConfiguration()
  ) {
    generator = SeededGenerator(seed: seed)
    self.latencyMicroseconds = latencyMicroseconds
    wheel = Array(repeating: [], count: Self.horizon)
    let view = View(number: 3, members: (0..<count).map { Self.origin($0) })
    processes = []
    for index in 0..<count {
      let seed = generator.next()
      processes.append(
        Process(
          detector: FailureDetector(me: Self.origin(index), view: view, configuration: configuration, seed: seed)))
    }
    for index in 0..<count {
      schedule(.tick(index, epoch: 0), in: generator.pick(0...Self.tickMicroseconds))
      schedule(.heartbeat(index, epoch: 0), in: generator.pick(0...Self.heartbeatMicroseconds))
    }
  }

  /// Members' origins are not their places, so that a mistake of one for the other shows.
  static func origin(_ index: Int) -> OriginIndex { OriginIndex(UInt32(index * 2 + 1)) }
  static func index(_ origin: OriginIndex) -> Int { Int(origin.value) / 2 }

  // MARK: Faults

  mutating func cut(from: Int, to: Int) { cuts.insert(from * 1_000 + to) }
  mutating func mend() { cuts = [] }

  /// - Parameter resets: whether others are told by their systems, as when a process ends but its machine does not.
  mutating func kill(_ victim: Int, resets: Bool) {
    processes[victim].isDead = true
    guard resets else { return }
    for other in processes.indices where other != victim {
      schedule(.input(other, .linkDown(victim)), in: latency())
      schedule(.input(other, .refused(victim)), in: generator.pick(50_000...250_000))
    }
  }

  mutating func pause(_ process: Int, microseconds: Int) { sleep(process, microseconds: microseconds) }

  /// From now on the process runs only now and then.
  mutating func runInBursts(_ process: Int, awake: ClosedRange<Int>, asleep: ClosedRange<Int>) {
    processes[process].bursts = (awake, asleep)
    schedule(.sleep(process, microseconds: generator.pick(asleep)), in: generator.pick(awake))
  }

  mutating func give(_ input: DetectorInput, to process: Int) { step(process, input) }

  // MARK: Time

  mutating func run(milliseconds: Int, until isDone: (DetectorWorld) -> Bool = { _ in false }) {
    let end = slot + milliseconds * 1_000 / Self.quantumMicroseconds
    while slot < end {
      let place = slot & (Self.horizon - 1)
      if !wheel[place].isEmpty {
        var events: [Event] = []
        swap(&events, &wheel[place])
        for event in events { happen(event) }
        if isDone(self) { return }
      }
      slot += 1
      if nowMicroseconds >= secondEndsAt { endSecond() }
    }
  }

  private mutating func endSecond() {
    secondEndsAt += 1_000_000
    for index in processes.indices {
      processes[index].sentPerSecondMax = max(processes[index].sentPerSecondMax, processes[index].sentThisSecond)
      processes[index].sentThisSecond = 0
    }
  }

  private mutating func schedule(_ event: Event, in microseconds: Int) {
    let ahead = max(1, (microseconds + Self.quantumMicroseconds - 1) / Self.quantumMicroseconds)
    precondition(ahead < Self.horizon)
    wheel[(slot + ahead) & (Self.horizon - 1)].append(event)
  }

  private mutating func latency() -> Int { generator.pick(latencyMicroseconds) }

  private mutating func happen(_ event: Event) {
    switch event {
    case .tick(let index, let epoch):
      guard isRunning(index, epoch) else { return }
      step(index, .tick)
      schedule(.tick(index, epoch: epoch), in: Self.tickMicroseconds)
    case .heartbeat(let index, let epoch):
      guard isRunning(index, epoch) else { return }
      schedule(.broadcast(from: index), in: latency())
      schedule(.heartbeat(index, epoch: epoch), in: Self.heartbeatMicroseconds)
    case .broadcast(let sender):
      for index in processes.indices where index != sender {
        if arrives(from: sender, to: index) { deliver(.heard(sender), to: index) }
      }
    case .input(let index, let input): deliver(input, to: index)
    case .sleep(let index, let microseconds): sleep(index, microseconds: microseconds)
    case .wake(let index): wake(index)
    }
  }

  private func isRunning(_ index: Int, _ epoch: Int) -> Bool {
    !processes[index].isDead && !processes[index].isAsleep && processes[index].epoch == epoch
  }

  private mutating func arrives(from: Int, to: Int) -> Bool {
    if !cuts.isEmpty, cuts.contains(from * 1_000 + to) { return false }
    return lossPercent == 0 || !generator.chance(lossPercent, of: 100)
  }

  private mutating func sleep(_ index: Int, microseconds: Int) {
    guard !processes[index].isDead, !processes[index].isAsleep else { return }
    processes[index].isAsleep = true
    processes[index].epoch += 1
    schedule(.wake(index), in: microseconds)
  }

  private mutating func wake(_ index: Int) {
    guard !processes[index].isDead else { return }
    processes[index].isAsleep = false
    happen(.tick(index, epoch: processes[index].epoch))
    processes[index].burstsUnread += 1
    if processes[index].burstsUnread >= processes[index].burstsPerReading {
      processes[index].burstsUnread = 0
      let mailbox = processes[index].mailbox
      processes[index].mailbox = []
      for input in mailbox { read(input, index) }
    }
    happen(.heartbeat(index, epoch: processes[index].epoch))
    if let bursts = processes[index].bursts {
      schedule(.sleep(index, microseconds: generator.pick(bursts.asleep)), in: generator.pick(bursts.awake))
    }
  }

  private mutating func deliver(_ input: Input, to index: Int) {
    guard !processes[index].isDead else { return }
    if processes[index].isAsleep || !processes[index].mailbox.isEmpty {
      processes[index].mailbox.append(input)
    } else {
      read(input, index)
    }
  }

  private mutating func read(_ input: Input, _ index: Int) {
    switch input {
    case .heard(let sender): step(index, .heard(Self.origin(sender)))
    case .linkUp(let peer): step(index, .linkUp(Self.origin(peer)))
    case .linkDown(let peer): step(index, .linkDown(Self.origin(peer)))
    case .refused(let peer): step(index, .dialRefused(Self.origin(peer)))
    case .message(let sender, let type, let body):
      do {
        var message = try body.withUnsafeBytes { (bytes) throws(CodecError) in
          try DetectorMessage(frameType: type, body: bytes)
        }
        if losesRefutations {
          message.updates.removeAll { if case .refute = $0 { true } else { false } }
        }
        step(index, .message(from: Self.origin(sender), message))
      } catch {
        preconditionFailure("\(error)")
      }
    }
  }

  private mutating func step(_ index: Int, _ input: DetectorInput) {
    var actions: [DetectorAction] = []
    processes[index].detector.step(input, nowMicroseconds: UInt64(nowMicroseconds), &actions)
    for action in actions {
      switch action {
      case .send(let member, let message): send(message, from: index, to: Self.index(member))
      case .suspected(let member): suspicions.append((index, Self.index(member)))
      case .refuted(let member): refuted.append((index, Self.index(member)))
      case .alive(let member): returns.append((index, Self.index(member)))
      case .gaveUp(let member, let evidence):
        verdicts.append(
          Verdict(
            observer: index, subject: Self.index(member), atMicroseconds: nowMicroseconds, evidence: evidence))
      }
    }
  }

  private mutating func send(_ message: DetectorMessage, from: Int, to: Int) {
    let body = message.body
    messages += 1
    messageBytesMax = max(messageBytesMax, body.count)
    updatesMax = max(updatesMax, message.updates.count)
    processes[from].sentThisSecond += 1
    guard arrives(from: from, to: to) else { return }
    schedule(.input(to, .message(from: from, type: message.frameType, body: body)), in: latency())
  }
}
