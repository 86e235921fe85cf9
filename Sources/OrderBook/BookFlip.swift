import Primitives

/// A bit of a book's memory that was flipped on purpose, to show that it is found.
public struct BookFlip: Hashable, Sendable, CustomStringConvertible {
  public enum Field: UInt8, Hashable, Sendable, CaseIterable {
    /// An order's open quantity.
    case open = 0
    /// What of an order has traded.
    case filled = 1
    /// The sum of a level's open quantities.
    case sum = 2
  }

  public var field: Field
  /// The order; of a sum, the first one of the level.
  public var order: Dot
  public var instrument: Dot
  public var side: Side
  /// Of a stop its trigger price.
  public var priceTicks: Int64
  public var bit: UInt8
  public var before: Int64
  public var after: Int64

  public var description: String {
    let name =
      switch field {
      case .open: "open quantity of order \(order)"
      case .filled: "filled quantity of order \(order)"
      case .sum: "sum of the level of order \(order)"
      }
    return "bit \(bit) of the \(name), \(side) at \(priceTicks) ticks: \(before) is now \(after) lots"
  }
}

extension MatchingEngine {
  /// Flips one bit of one resting order's open or filled quantity, or of its level's sum, and marks nothing: as memory
  /// does that fails. For demonstrations and the simulator.
  ///
  /// Quantities stay positive and what is a whole stays larger than its part, so that it is the scrubber that finds it
  /// and not a check of the book's.
  /// - Parameter seed: decides which.
  /// - Returns: what was done; nil if no order rests.
  /// - Complexity: O(slots) at worst.
  public mutating func flipBit(seed: UInt64) -> BookFlip? {
    var generator = SeededGenerator(seed: seed)
    let end = Int(orders.slotsEnd)
    guard restingOrders > 0, end > 1 else { return nil }
    let start = generator.pick(1...end - 1)
    for step in 0..<end {
      let slot = UInt32((start + step - 1) % (end - 1) + 1)
      let order = orders[slot]
      guard !order.isWaiting, order.sequence > 0, index.soundSlot(of: order.dot) == slot else { continue }
      return flip(slot, &generator)
    }
    return nil
  }

  private mutating func flip(_ slot: UInt32, _ generator: inout SeededGenerator) -> BookFlip {
    let order = orders[slot]
    var field = BookFlip.Field.allCases[generator.pick(0...2)]
    // What an iceberg shows and hides is checked at every trade.
    if field == .open, order.terms != noSlot { field = .filled }
    let head = ladder.pages[order.level].head
    let before: Int64
    switch field {
    case .open: before = order.openLots
    case .filled: before = order.filledLots
    case .sum: before = Int64(truncatingIfNeeded: ladder.pages[order.level].total)
    }
    // Of what is compared with its parts, only a bit that is not set.
    var bit = UInt8(generator.pick(0...20))
    let mayFall = field != .sum && order.terms == noSlot
    while before & 1 << Int64(bit) != 0 && (!mayFall || before ^ 1 << Int64(bit) <= 0) { bit += 1 }
    let after = before ^ 1 << Int64(bit)
    switch field {
    case .open: orders[slot].openLots = after
    case .filled: orders[slot].filledLots = after
    case .sum: ladder.pages[order.level].total &+= UInt128(truncatingIfNeeded: after &- before)
    }
    let book = ladder.pages.row(of: order.level)
    return BookFlip(
      field: field, order: field == .sum && head != noSlot ? orders[head].dot : order.dot, instrument: books[book].dot,
      side: order.side, priceTicks: ladder.pages.price(of: order.level), bit: bit, before: before, after: after)
  }
}
