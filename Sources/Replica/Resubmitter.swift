import EventLog
import Membership
import Primitives

/// The void tails of this node's sealed logs, on their way to be sent again.
///
/// It walks them entry by entry in the order of `ResubmissionRecord`; what becomes of an entry is the caller's. A tail
/// is in memory from its seal, or from a restart, until it is done.
struct Resubmitter: Sendable {
  private struct Tail: Sendable {
    var record: ResubmissionRecord.Tail
    /// Ascending; damage on disk may have left gaps.
    var batches: [Batch] = []
    /// The batch that holds `record.next`, or the first after it.
    var place = 0
  }

  private var tails: [Tail] = []
  /// The tail that is being walked through: entries that were sent again, and those whose clients were told.
  private(set) var again: UInt64 = 0
  private(set) var told: UInt64 = 0

  init(_ record: ResubmissionRecord) { tails = record.tails.map { Tail(record: $0) } }

  /// Whether nothing is left to be sent again.
  var isDone: Bool { tails.isEmpty }

  var record: ResubmissionRecord { ResubmissionRecord(tails: tails.map(\.record)) }

  /// The origin whose tail is being walked through.
  var origin: OriginIndex? { tails.first?.record.origin }

  // MARK: What there is

  /// The own log was sealed before these.
  /// - Returns: the oldest tail, if there are too many: it is given up.
  mutating func sealed(_ batches: [Batch]) -> ResubmissionRecord.Tail? {
    let hasCommands = batches.contains { $0.entries.contains { if case .command = $0.payload { true } else { false } } }
    guard hasCommands, let first = batches.first, let last = batches.last else { return nil }
    tails.insert(
      Tail(
        record: ResubmissionRecord.Tail(
          origin: first.origin, first: first.firstSequence, last: last.lastSequence, next: first.firstSequence),
        batches: batches), at: 0)
    (again, told) = (0, 0)
    return tails.count > Limits.voidTailsMax ? tails.removeLast().record : nil
  }

  /// A batch of a tail, as it was found on disk; ascending by origin.
  mutating func recover(_ batch: Batch) {
    guard let index = tails.firstIndex(where: { $0.record.origin == batch.origin }),
      batch.firstSequence > tails[index].batches.last?.lastSequence ?? tails[index].record.first - 1,
      batch.lastSequence <= tails[index].record.last
    else { return }
    if batch.lastSequence < tails[index].record.next { tails[index].place += 1 }
    tails[index].batches.append(batch)
  }

  /// Entries that a restart has not found on disk any more, and that were not sent again.
  var missing: UInt64 {
    tails.reduce(0) { sum, tail in
      let left = tail.batches.dropFirst(tail.place).reduce(0) {
        $0 + $1.lastSequence + 1 - max($1.firstSequence, tail.record.next)
      }
      return sum + (tail.record.last + 1 - tail.record.next - left)
    }
  }

  // MARK: Walking

  /// The next entry to be looked at; nil when the present tail has none left.
  var next: (dot: Dot, entry: Entry)? {
    guard let tail = tails.first, tail.place < tail.batches.count else { return nil }
    let batch = tail.batches[tail.place]
    let sequence = max(tail.record.next, batch.firstSequence)
    return (Dot(origin: batch.origin, sequence: sequence), batch.entries[Int(sequence - batch.firstSequence)])
  }

  enum Outcome { case again, told, nothing }

  /// The entry that `next` gave is done.
  mutating func advance(_ outcome: Outcome) {
    guard let dot = next?.dot else { return }
    switch outcome {
    case .again: again += 1
    case .told: told += 1
    case .nothing: break
    }
    let batch = tails[0].batches[tails[0].place]
    if dot.sequence == batch.lastSequence { tails[0].place += 1 }
    if dot.sequence < tails[0].record.last { tails[0].record.next = dot.sequence + 1 }
  }

  /// Lets the present tail go, which has nothing left.
  mutating func finishTail() {
    tails.removeFirst()
    (again, told) = (0, 0)
  }

  /// The name that an order of the present tail keeps: the first dot that it ever had.
  /// - Complexity: O(log batches).
  func firstDot(of dot: Dot) -> Dot {
    guard let tail = tails.first, tail.record.origin == dot.origin else { return dot }
    var low = 0
    var high = tail.batches.count
    while low < high {
      let middle = (low + high) / 2
      if tail.batches[middle].lastSequence < dot.sequence { low = middle + 1 } else { high = middle }
    }
    guard low < tail.batches.count, tail.batches[low].firstSequence <= dot.sequence,
      case .command(.order(let order)) = tail.batches[low].entries[Int(dot.sequence - tail.batches[low].firstSequence)]
        .payload, !order.firstDot.isNone
    else { return dot }
    return order.firstDot
  }
}
