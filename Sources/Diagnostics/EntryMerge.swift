import EventLog
import Primitives

/// Puts the entries of several logs into key order: batches go in by their first keys, entries come out one by one.
///
/// Holds the batches that overlap, which lie within one second.
public struct EntryMerge: Sendable {
  /// An entry in its turn.
  public struct Item: Sendable {
    public var dot: Dot
    public var entry: Entry
    /// The batch that it is the last entry of.
    public var ended: Batch?
    public var key: OrderKey { OrderKey(stamp: entry.stamp, origin: dot.origin) }
  }

  /// Batches with entries that have not come out, by place in the register.
  private var queues: [ContiguousArray<Batch>] = []
  /// Entries of the first batch in each queue that have come out.
  private var taken: [Int] = []
  /// Places of queues that hold something, ascending.
  private var live: [Int] = []
  /// The queue whose turn it is, as long as its next key is below `bound`.
  private var chosen = -1
  private var bound = OrderKey.zero

  public init() {}

  public var isEmpty: Bool { live.isEmpty }

  /// - Precondition: it continues its origin's log, and all entries below its first key are out.
  public mutating func add(_ batch: Batch) {
    let origin = batch.origin.int
    while queues.count <= origin {
      queues.append([])
      taken.append(0)
    }
    if queues[origin].isEmpty { live.insert(origin, at: live.firstIndex { $0 > origin } ?? live.count) }
    queues[origin].append(batch)
    chosen = -1
  }

  /// The next entry; nil if none is left, or none has a key below `limit`.
  /// - Complexity: O(1), or O(logs) where another one's turn comes.
  public mutating func next(below limit: OrderKey?) -> Item? {
    if chosen < 0 || queues[chosen].isEmpty || key(chosen) >= bound { choose() }
    guard chosen >= 0 else { return nil }
    if let limit, key(chosen) >= limit { return nil }
    let batch = queues[chosen][0]
    let place = taken[chosen]
    var item = Item(
      dot: Dot(origin: batch.origin, sequence: batch.firstSequence + UInt64(place)), entry: batch.entries[place])
    taken[chosen] += 1
    if taken[chosen] == batch.entries.count {
      item.ended = batch
      taken[chosen] = 0
      queues[chosen].removeFirst()
      if queues[chosen].isEmpty { live.removeAll { $0 == chosen } }
    }
    return item
  }

  private func key(_ origin: Int) -> OrderKey {
    OrderKey(stamp: queues[origin][0].entries[taken[origin]].stamp, origin: OriginIndex(UInt32(origin)))
  }

  /// The origin with the smallest next key, and how far it may run before another one's turn.
  private mutating func choose() {
    var lowest = OrderKey(stamp: Stamp(.max), origin: OriginIndex(.max))
    bound = lowest
    chosen = -1
    for origin in live {
      let key = key(origin)
      if key < lowest {
        bound = lowest
        lowest = key
        chosen = origin
      } else if key < bound {
        bound = key
      }
    }
  }
}
