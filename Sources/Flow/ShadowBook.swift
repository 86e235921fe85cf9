import OrderBook

/// A small price-time book in which a `RandomFlow` follows what becomes of its own orders.
///
/// Alone in a market the flow then knows exactly what rests; next to others, roughly. Each side is an array sorted with
/// the best order last: most orders come, trade and leave near the touch, so little is moved. It is deliberately not
/// the engine: a seed must give the same flow whatever becomes of the engine, and the two check each other in tests.
struct ShadowBook: Sendable {
  struct Resting: Sendable {
    var priceTicks: Int64
    /// Grows with every order and every replacement: time priority.
    var arrival: UInt64
    var id: UInt64
    var openLots: Int64
  }

  private var buys: [Resting] = []
  private var sells: [Resting] = []
  /// Orders in the sequence of their arrival, some of which have left: what a cancel picks from.
  private var arrivals: [(arrival: UInt64, side: Side, priceTicks: Int64)] = []
  private var nextArrival: UInt64 = 1

  var count: Int { buys.count + sells.count }

  func best(_ side: Side) -> Int64? { side == .buy ? buys.last?.priceTicks : sells.last?.priceTicks }

  /// Trades up to `quantityLots` with the side opposite to `side`, no further than `priceTicks` (nil: any price).
  /// - Returns: what is left.
  mutating func take(_ side: Side, priceTicks: Int64?, quantityLots: Int64) -> Int64 {
    switch side {
    case .buy: Self.take(from: &sells, quantityLots: quantityLots) { $0 <= priceTicks ?? .max }
    case .sell: Self.take(from: &buys, quantityLots: quantityLots) { $0 >= priceTicks ?? .min }
    }
  }

  private static func take(from orders: inout [Resting], quantityLots: Int64, while crosses: (Int64) -> Bool) -> Int64 {
    var left = quantityLots
    while left > 0, let best = orders.last, crosses(best.priceTicks) {
      if best.openLots > left {
        orders[orders.count - 1].openLots -= left
        return 0
      }
      left -= best.openLots
      orders.removeLast()
    }
    return left
  }

  /// Whether a fill-or-kill order would be filled.
  func canFill(_ side: Side, priceTicks: Int64, quantityLots: Int64) -> Bool {
    var left = quantityLots
    for order in (side == .buy ? sells : buys).reversed() {
      guard side == .buy ? order.priceTicks <= priceTicks : order.priceTicks >= priceTicks else { break }
      left -= order.openLots
      if left <= 0 { return true }
    }
    return false
  }

  mutating func rest(_ side: Side, id: UInt64, priceTicks: Int64, openLots: Int64) {
    let order = Resting(priceTicks: priceTicks, arrival: nextArrival, id: id, openLots: openLots)
    nextArrival += 1
    switch side {
    case .buy: buys.insert(order, at: Self.place(of: order, in: buys, .buy))
    case .sell: sells.insert(order, at: Self.place(of: order, in: sells, .sell))
    }
    arrivals.append((order.arrival, side, priceTicks))
    // Those that left are more than half: drop them, so that memory and searching stay bounded.
    if arrivals.count > 2 * count + 64 { compact() }
  }

  /// Takes out the order that arrived about `age` live orders ago (0: the newest).
  mutating func remove(age: Int) -> (side: Side, order: Resting)? {
    while !arrivals.isEmpty {
      let index = max(0, arrivals.count - 1 - age)
      let (arrival, side, priceTicks) = arrivals.remove(at: index)
      let probe = Resting(priceTicks: priceTicks, arrival: arrival, id: 0, openLots: 0)
      switch side {
      case .buy:
        let place = Self.place(of: probe, in: buys, .buy)
        if place < buys.count, buys[place].arrival == arrival { return (.buy, buys.remove(at: place)) }
      case .sell:
        let place = Self.place(of: probe, in: sells, .sell)
        if place < sells.count, sells[place].arrival == arrival { return (.sell, sells.remove(at: place)) }
      }
    }
    return nil
  }

  private mutating func compact() {
    let live = arrivals.filter { arrival, side, priceTicks in
      let probe = Resting(priceTicks: priceTicks, arrival: arrival, id: 0, openLots: 0)
      let orders = side == .buy ? buys : sells
      let place = Self.place(of: probe, in: orders, side)
      return place < orders.count && orders[place].arrival == arrival
    }
    arrivals = live
  }

  /// Where `order` stands or would stand: behind every worse one.
  private static func place(of order: Resting, in orders: [Resting], _ side: Side) -> Int {
    var low = 0
    var high = orders.count
    while low < high {
      let middle = (low + high) / 2
      if isWorse(orders[middle], than: order, side) { low = middle + 1 } else { high = middle }
    }
    return low
  }

  private static func isWorse(_ left: Resting, than right: Resting, _ side: Side) -> Bool {
    if left.priceTicks == right.priceTicks { return left.arrival > right.arrival }
    return side == .buy ? left.priceTicks < right.priceTicks : left.priceTicks > right.priceTicks
  }
}
