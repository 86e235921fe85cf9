import Primitives

/// The good-till-date orders by (expiry, dot): a binary heap that knows every order's place in it.
///
/// Where an order lies in the heap depends on its history; what comes out next does not.
struct ExpiryQueue: ~Copyable {
  struct Item {
    var expiry: UInt64 = 0
    var sequence: UInt64 = 0
    var origin: UInt32 = 0
    var slot: UInt32 = 0
    /// The slot's terms, which hold its place.
    var terms: UInt32 = 0

    @inline(__always) func isBefore(_ other: Item) -> Bool {
      if expiry != other.expiry { return expiry < other.expiry }
      return origin == other.origin ? sequence < other.sequence : origin < other.origin
    }
  }

  private var items = SlabList<Item>(capacity: 16)
  /// The earliest expiry; nothing is that late if there is none.
  private(set) var next = UInt64.max
  var count: Int { items.count }

  /// Whether the order at a place, counted from 1, is this one.
  func holds(_ slot: UInt32, at place: UInt32, expiry: UInt64) -> Bool {
    place > 0 && place <= items.count && items[Int(place) - 1].slot == slot && items[Int(place) - 1].expiry == expiry
  }

  /// The order that expires first.
  /// - Precondition: there is one.
  var first: UInt32 { items[0].slot }

  /// - Complexity: O(log n).
  mutating func insert(_ slot: UInt32, _ orders: inout OrderStore) {
    let order = orders[slot]
    items.append(
      Item(
        expiry: orders[terms: order.terms].expiry, sequence: order.sequence, origin: order.dot.origin.value,
        slot: slot, terms: order.terms))
    rise(items.count - 1, &orders)
    next = items[0].expiry
  }

  /// - Precondition: the order is in the queue.
  /// - Complexity: O(log n).
  mutating func remove(_ slot: UInt32, _ orders: inout OrderStore) {
    let terms = orders[slot].terms
    let place = Int(orders[terms: terms].expiryPlace) - 1
    precondition(place >= 0 && items[place].slot == slot, "the order is not in the queue of expiries")
    orders[terms: terms].expiryPlace = 0
    let last = items.removeLast()
    if place < items.count {
      items[place] = last
      rise(place, &orders)
      sink(Int(orders[terms: last.terms].expiryPlace) - 1, &orders)
    }
    next = items.count == 0 ? .max : items[0].expiry
  }

  private mutating func rise(_ start: Int, _ orders: inout OrderStore) {
    var place = start
    while place > 0, items[place].isBefore(items[(place - 1) / 2]) {
      items.swapAt(place, (place - 1) / 2)
      orders[terms: items[place].terms].expiryPlace = UInt32(place) + 1
      place = (place - 1) / 2
    }
    orders[terms: items[place].terms].expiryPlace = UInt32(place) + 1
  }

  private mutating func sink(_ start: Int, _ orders: inout OrderStore) {
    var place = start
    while true {
      var least = place
      for child in [2 * place + 1, 2 * place + 2] where child < items.count && items[child].isBefore(items[least]) {
        least = child
      }
      if least == place { break }
      items.swapAt(place, least)
      orders[terms: items[place].terms].expiryPlace = UInt32(place) + 1
      place = least
    }
    orders[terms: items[place].terms].expiryPlace = UInt32(place) + 1
  }

  // MARK: What is due

  /// The orders that expire later than `start` and not later than `end`, by slot, in no particular order.
  /// - Complexity: O(k) for k orders that expire by `end`; nothing is allocated if there is none.
  func slots(after start: UInt64, through end: UInt64) -> [UInt32] {
    var slots: [UInt32] = []
    walk(through: end) { if $0.expiry <= end && $0.expiry > start { slots.append($0.slot) } }
    return slots
  }

  /// The earliest expiry later than `stamp`; nothing is that late if there is none.
  /// - Complexity: O(k) for k orders that expire by `stamp`.
  func next(after stamp: UInt64) -> UInt64 {
    var earliest = UInt64.max
    walk(through: stamp) { if $0.expiry > stamp { earliest = min(earliest, $0.expiry) } }
    return earliest
  }

  /// Meets every order that expires by `end`, and those right below them in the heap. Below one that does not, nothing
  /// does.
  private func walk(through end: UInt64, _ meet: (Item) -> Void) {
    var place = 0
    while true {
      if place < items.count {
        meet(items[place])
        if items[place].expiry <= end {
          place = 2 * place + 1
          continue
        }
      }
      // Past all that is below: the sibling to the right, of this one or of the nearest above that has one.
      while place != 0 && place % 2 == 0 { place = (place - 1) / 2 }
      if place == 0 { return }
      place += 1
    }
  }

  /// Every order is before its children and knows its place.
  func check(_ orders: borrowing OrderStore) throws(BrokenInvariant) {
    for place in 0..<items.count {
      let item = items[place]
      let order = orders[item.slot]
      try OrderBook.check(order.terms == item.terms, "the queue of expiries names another order")
      try OrderBook.check(orders[terms: item.terms].expiryPlace == UInt32(place) + 1, "an order's expiry is misplaced")
      try OrderBook.check(orders[terms: item.terms].expiry == item.expiry, "an order's expiry is another")
      try OrderBook.check(place == 0 || !item.isBefore(items[(place - 1) / 2]), "expiries are out of order")
    }
    try OrderBook.check(next == (items.count == 0 ? .max : items[0].expiry), "the next expiry is wrong")
  }
}
