import Primitives

/// One order that two books do not hold alike; nil on a side that does not have it.
public struct OrderDifference: Hashable, Sendable {
  public var dot: Dot
  public var here: RestingOrder?
  public var other: RestingOrder?
  public init(dot: Dot, here: RestingOrder?, other: RestingOrder?) {
    self.dot = dot
    self.here = here
    self.other = other
  }
}

/// What two books do not have in common; the first few of it, and how much there is.
public struct BookDifference: Hashable, Sendable {
  /// Orders that are kept; the rest are counted.
  public static let ordersMax = 32
  public var orders: [OrderDifference] = []
  public var total: UInt64 = 0
  public init() {}

  mutating func add(_ difference: OrderDifference) {
    total += 1
    if orders.count < Self.ordersMax { orders.append(difference) }
  }
}

extension MatchingEngine {
  /// Slots that a walk over all orders goes through.
  public var orderSlots: Int { Int(orders.slotsEnd) }

  /// Compares the orders of some slots with another book that has applied the same entries; this one may be damaged.
  /// - Parameter isMirrored: looks only for orders that the other one lacks, and calls this one the other.
  /// - Complexity: O(slots).
  public func compare(
    _ slots: Range<Int>, with other: borrowing MatchingEngine, isMirrored: Bool, _ difference: inout BookDifference
  ) {
    for place in slots.clamped(to: 1..<max(1, orderSlots)) {
      let slot = UInt32(place)
      let dot = orders[slot].dot
      guard dot.sequence > 0, index.soundSlot(of: dot) == slot else { continue }
      let theirs = other.soundOrder(dot)
      if isMirrored {
        if theirs == nil { difference.add(OrderDifference(dot: dot, here: nil, other: soundOrder(dot))) }
      } else {
        let mine = soundOrder(dot)
        if mine != theirs { difference.add(OrderDifference(dot: dot, here: mine, other: theirs)) }
      }
    }
  }

  /// As `order`, of a book that may be damaged: nil if what it consists of cannot be read.
  private func soundOrder(_ dot: Dot) -> RestingOrder? {
    let slot = index.soundSlot(of: dot)
    guard slot != noSlot, slot < orders.slotsEnd else { return nil }
    let order = orders[slot]
    let pages = order.isWaiting ? stops.pages.end : ladder.pages.end
    guard order.level >= LevelPages.width, order.level / LevelPages.width < pages, order.terms < orders.termsEnd,
      order.account < accounts.end, order.clientRecord < ids.recordsEnd,
      SelfTradePrevention(rawValue: UInt8(order.flags.bits >> 6 & 7)) != nil,
      TimeInForce(rawValue: UInt8(order.flags.bits >> 2 & 3)) != nil,
      OrderType(rawValue: UInt8(order.flags.bits >> 4 & 3)) != nil,
      (order.isWaiting ? stops.pages.row(of: order.level) / 2 : ladder.pages.row(of: order.level)) < books.count
    else { return nil }
    return self.order(dot)
  }
}
