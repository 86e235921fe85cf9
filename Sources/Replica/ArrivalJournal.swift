import DequeModule
import EventLog
import OrderBook
import Primitives

/// When batches came here and over whom, when stamps became final, and what was taken back: for those who ask what
/// became of an order.
///
/// Kept for an hour of this node's own clock, or as much of it as there is room for. It says what happened at this
/// node, differs from node to node, and nothing depends on it.
public struct ArrivalJournal: Sendable {
  public static let keptMilliseconds: UInt64 = 3_600_000
  /// 40 bytes each.
  public static let arrivalsMax = 262_144
  /// 16 bytes each.
  static let finalsMax = 393_216
  static let rollbacksMax = 16_384
  /// Final stamps are noted this often: so late a moment may be told.
  static let finalMilliseconds: UInt64 = 10

  /// A batch that came.
  public struct Arrival: Hashable, Sendable {
    public var origin: OriginIndex
    public var firstSequence: UInt64
    public var lastSequence: UInt64
    /// Over whom; nil for this node's own.
    public var source: OriginIndex?
    /// By this node's clock, since 1970.
    public var milliseconds: UInt64
  }

  /// Applied entries that were taken back, since an earlier one had come.
  public struct Rollback: Hashable, Sendable {
    /// Of the first entry that was taken back.
    public var first: OrderKey
    public var last: OrderKey
    public var depth: UInt64
    public var milliseconds: UInt64
  }

  private var arrivals: Deque<Arrival> = []
  private var finals: Deque<(stamp: Stamp, milliseconds: UInt64)> = []
  private var rollbacks: Deque<Rollback> = []

  // MARK: Writing

  mutating func note(_ batch: Batch, from source: OriginIndex?, _ milliseconds: UInt64) {
    while let first = arrivals.first, arrivals.count >= Self.arrivalsMax || isOld(first.milliseconds, milliseconds) {
      arrivals.removeFirst()
    }
    arrivals.append(
      Arrival(
        origin: batch.origin, firstSequence: batch.firstSequence, lastSequence: batch.lastSequence, source: source,
        milliseconds: milliseconds))
  }

  mutating func noteFinal(_ stamp: Stamp, _ milliseconds: UInt64) {
    if let last = finals.last {
      guard stamp > last.stamp else { return }
      // A clock may be set back.
      let passed = milliseconds > last.milliseconds ? milliseconds - last.milliseconds : 0
      guard passed >= Self.finalMilliseconds || milliseconds < last.milliseconds else { return }
    }
    while let first = finals.first, finals.count >= Self.finalsMax || isOld(first.milliseconds, milliseconds) {
      finals.removeFirst()
    }
    finals.append((stamp, milliseconds))
  }

  mutating func noteRollback(first: OrderKey, last: OrderKey, depth: Int, _ milliseconds: UInt64) {
    while let oldest = rollbacks.first,
      rollbacks.count >= Self.rollbacksMax || isOld(oldest.milliseconds, milliseconds)
    { rollbacks.removeFirst() }
    rollbacks.append(Rollback(first: first, last: last, depth: UInt64(depth), milliseconds: milliseconds))
  }

  private func isOld(_ then: UInt64, _ now: UInt64) -> Bool { now > then && now - then > Self.keptMilliseconds }

  // MARK: Reading

  /// How the entry came here; nil if that is not known any more.
  /// - Complexity: O(batches kept).
  public func arrival(of dot: Dot) -> Arrival? {
    arrivals.last { $0.origin == dot.origin && $0.firstSequence <= dot.sequence && dot.sequence <= $0.lastSequence }
  }

  /// When this stamp had become final here, 10 ms late at most; nil if that is not known any more, or not yet.
  /// - Complexity: O(log finals).
  public func finalMilliseconds(of stamp: Stamp) -> UInt64? {
    var low = 0
    var high = finals.count
    while low < high {
      let middle = (low + high) / 2
      if finals[middle].stamp < stamp { low = middle + 1 } else { high = middle }
    }
    // Below the oldest that is kept it may have been any time.
    guard low < finals.count, low > 0 || finals[0].stamp == stamp else { return nil }
    return finals[low].milliseconds
  }

  /// What was taken back and had the entry with this key in it, oldest first.
  public func rollbacks(of key: OrderKey) -> [Rollback] {
    rollbacks.filter { !(key < $0.first) && !($0.last < key) }
  }
}
