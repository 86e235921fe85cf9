import OrderBook
import Primitives

/// Entries in key order, each with what applying it did to the book.
///
/// Two flat arrays rather than an array an entry: final entries pass through here by the million.
public struct AppliedRun: Sendable {
  public struct Item: Hashable, Sendable {
    public var dot: Dot
    public var entry: Entry
    /// End of this entry's events in `events`; they start where the item before ends.
    public var eventsEnd: Int
    public init(dot: Dot, entry: Entry, eventsEnd: Int) {
      self.dot = dot
      self.entry = entry
      self.eventsEnd = eventsEnd
    }
    public var key: OrderKey { OrderKey(stamp: entry.stamp, origin: dot.origin) }
  }

  public private(set) var items: ContiguousArray<Item> = []
  public private(set) var events: ContiguousArray<OrderEvent> = []

  public init() {}

  public var isEmpty: Bool { items.isEmpty }
  public var lastKey: OrderKey? { items.last?.key }

  public mutating func append(dot: Dot, entry: Entry, events more: some Sequence<OrderEvent>) {
    events.append(contentsOf: more)
    items.append(Item(dot: dot, entry: entry, eventsEnd: events.count))
  }

  /// The events of the item at `index`, in the order in which they happened.
  public func events(at index: Int) -> ArraySlice<OrderEvent> {
    let start = index == 0 ? 0 : items[index - 1].eventsEnd
    return ArraySlice(events[start..<items[index].eventsEnd])
  }

  public mutating func removeAll() {
    items.removeAll(keepingCapacity: true)
    events.removeAll(keepingCapacity: true)
  }
}
