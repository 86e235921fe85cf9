import Primitives

/// Where a recovery stands in one origin's log.
struct LogCursor {
  let origin: OriginIndex
  /// After the last intact batch.
  private(set) var head: Head
  private var places: [LogPlace] = []
  private var next = 0
  /// First sequence of the last place that was read from the index.
  private(set) var lastPlace: UInt64 = 0

  init(origin: OriginIndex, head: Head) {
    self.origin = origin
    self.head = head
    lastPlace = head.sequence
  }

  var isUsedUp: Bool { next == places.count }
  /// - Precondition: not used up.
  var place: LogPlace { places[next] }
  var key: OrderKey { OrderKey(stamp: place.firstStamp, origin: origin) }

  mutating func advance(_ newHead: Head) {
    head = newHead
    next += 1
  }

  mutating func refill(_ more: [LogPlace]) {
    places = more
    next = 0
    if let last = more.last { lastPlace = last.firstSequence }
  }
}

/// Cursors in order of the key that each stands at: a binary heap.
///
/// A merge rather than an index on stamps: within an origin stamps ascend, and an index would cost every commit a page.
struct LogMerge {
  private var heap: [LogCursor] = []

  /// Ignores a cursor that has come to its end.
  /// - Complexity: O(log cursors).
  mutating func add(_ cursor: LogCursor) {
    if cursor.isUsedUp { return }
    heap.append(cursor)
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard heap[child].key < heap[parent].key else { return }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  /// Takes out the cursor of the smallest key.
  /// - Complexity: O(log cursors).
  mutating func popFirst() -> LogCursor? {
    guard let first = heap.first else { return nil }
    let last = heap.removeLast()
    if heap.isEmpty { return first }
    heap[0] = last
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && heap[child].key < heap[least].key {
        least = child
      }
      if least == parent { return first }
      heap.swapAt(parent, least)
      parent = least
    }
  }
}
