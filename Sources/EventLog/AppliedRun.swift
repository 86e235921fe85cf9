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

  /// A run that does not go on where the one before ended.
  public struct Anew: Hashable, Sendable {
    /// What lies above this stamp comes again, from its first entry on.
    public var above: Stamp
    /// Entries up to it since the beginning of the log.
    public var entries: UInt64
    public init(above: Stamp, entries: UInt64) {
      self.above = above
      self.entries = entries
    }
  }

  /// What earlier runs said of everything above is not to be believed: this one, and those that follow, say it again.
  public var anew: Anew?
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

  /// The items from one on.
  public func dropFirst(_ count: Int) -> AppliedRun {
    var rest = AppliedRun()
    for index in min(count, items.count)..<items.count {
      rest.append(dot: items[index].dot, entry: items[index].entry, events: events(at: index))
    }
    return rest
  }

  /// Leaves out the first event of an item that is like this, if there is one.
  /// - Complexity: O(events after it).
  public mutating func removeEvent(at index: Int, where isMeant: (OrderEvent) -> Bool) {
    let start = index == 0 ? 0 : items[index - 1].eventsEnd
    guard let place = events[start..<items[index].eventsEnd].firstIndex(where: isMeant) else { return }
    events.remove(at: place)
    for later in index..<items.count { items[later].eventsEnd -= 1 }
  }

  public mutating func removeAll() {
    anew = nil
    items.removeAll(keepingCapacity: true)
    events.removeAll(keepingCapacity: true)
  }
}
