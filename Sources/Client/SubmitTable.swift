import OrderBook
import Primitives

/// One `submit` call, as the connection's event loop keeps it.
final class SubmitBatch {
  enum Sink: Sendable {
    /// Told outcome by outcome, on the event loop.
    case callback(@Sendable (Int, Outcome) -> Void)
    /// Told once, when all are known.
    case reply(Reply<[Outcome]>)
  }

  let after: Stamp
  let count: Int
  let deadlineMilliseconds: UInt64
  private(set) var commands: [Command]
  private let sink: Sink
  /// By position; nil is not answered.
  private var outcomes: [Outcome?] = []
  private var isAnswered: [Bool]
  private(set) var unanswered: Int
  /// How many commands have been put into frames.
  var sent = 0 {
    didSet { if sent == count { commands = [] } }
  }

  init(commands: [Command], after: Stamp, deadlineMilliseconds: UInt64, sink: Sink) {
    self.commands = commands
    self.after = after
    self.deadlineMilliseconds = deadlineMilliseconds
    self.sink = sink
    count = commands.count
    unanswered = commands.count
    isAnswered = Array(repeating: false, count: commands.count)
    if case .reply = sink { outcomes = Array(repeating: nil, count: commands.count) }
  }

  /// - Returns: false if it was answered before.
  func answer(_ position: Int, _ outcome: Outcome) -> Bool {
    guard !isAnswered[position] else { return false }
    isAnswered[position] = true
    unanswered -= 1
    switch sink {
    case .callback(let tell): tell(position, outcome)
    case .reply(let reply):
      outcomes[position] = outcome
      if unanswered == 0 { reply.resolve(.success(outcomes.compactMap { $0 })) }
    }
    return true
  }

  /// Ends whatever is not answered.
  func fail(_ error: ClientError) {
    guard unanswered > 0 else { return }
    unanswered = 0
    switch sink {
    case .callback(let tell):
      for position in isAnswered.indices where !isAnswered[position] {
        isAnswered[position] = true
        tell(position, .unknown(error))
      }
    case .reply(let reply): reply.resolve(.failure(error))
    }
  }
}

/// Submitted commands that wait for their answers: which request number is which command of which call.
///
/// Requests are kept as runs of consecutive numbers, not one by one: an answer of a thousand requests costs one search.
struct SubmitTable {
  /// Consecutive request numbers that are consecutive commands of one call.
  private final class Segment {
    let firstRequest: UInt64
    let count: Int
    let batch: SubmitBatch
    /// Position in the batch of the first.
    let offset: Int
    var unanswered: Int
    init(firstRequest: UInt64, count: Int, batch: SubmitBatch, offset: Int) {
      self.firstRequest = firstRequest
      self.count = count
      self.batch = batch
      self.offset = offset
      unanswered = count
    }
  }

  /// Ascending by number, without overlap.
  private var segments = Fifo<Segment>()
  /// Requests sent and neither answered nor given up.
  private(set) var inFlight = 0

  /// - Precondition: `firstRequest` is above every number before.
  mutating func add(firstRequest: UInt64, count: Int, batch: SubmitBatch, offset: Int) {
    segments.append(Segment(firstRequest: firstRequest, count: count, batch: batch, offset: offset))
    inFlight += count
  }

  /// Gives `count` consecutive requests their outcomes. Numbers that are not waited for (given up) are passed over.
  /// - Returns: false if one of them was answered before.
  mutating func answer(firstRequest: UInt64, count: Int, _ outcome: (Int) -> Outcome) -> Bool {
    var position = lastSegment(startingAtOrBefore: firstRequest) ?? 0
    let end = firstRequest + UInt64(count)
    var isFresh = true
    while position < segments.count {
      let segment = segments[position]
      if segment.firstRequest >= end { break }
      let from = max(segment.firstRequest, firstRequest)
      let to = min(segment.firstRequest + UInt64(segment.count), end)
      if from < to, segment.unanswered > 0 {
        for number in from..<to {
          let inBatch = segment.offset + Int(number - segment.firstRequest)
          if segment.batch.answer(inBatch, outcome(Int(number - firstRequest))) {
            segment.unanswered -= 1
            inFlight -= 1
          } else {
            isFresh = false
          }
        }
      }
      position += 1
    }
    dropAnswered()
    return isFresh
  }

  /// Gives up what has waited too long.
  mutating func expire(nowMilliseconds now: UInt64, _ error: ClientError) {
    // Calls share one timeout, so the oldest come first; a batch that was queued long has its later parts behind.
    for position in 0..<segments.count {
      let segment = segments[position]
      if segment.batch.deadlineMilliseconds > now { break }
      segment.batch.fail(error)
      inFlight -= segment.unanswered
      segment.unanswered = 0
    }
    dropAnswered()
  }

  mutating func failAll(_ error: ClientError) {
    for position in 0..<segments.count { segments[position].batch.fail(error) }
    segments.removeAll()
    inFlight = 0
  }

  private mutating func dropAnswered() {
    while let first = segments.first, first.unanswered == 0 { segments.popFirst() }
  }

  private func lastSegment(startingAtOrBefore number: UInt64) -> Int? {
    var low = 0
    var high = segments.count
    while low < high {
      let middle = (low + high) / 2
      if segments[middle].firstRequest <= number { low = middle + 1 } else { high = middle }
    }
    return low == 0 ? nil : low - 1
  }
}
