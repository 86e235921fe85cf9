import OrderBook
import Primitives

/// Stops: how they wait, and what happens when a trade reaches their price.
extension Oracle {
  /// Has a trade at `price` reached the stop?
  static func isReached(_ stop: RestingOrder, at price: Int64) -> Bool {
    stop.side == .buy ? price >= stop.stopPriceTicks : price <= stop.stopPriceTicks
  }

  /// Puts the stop behind all that trigger before it. While it waits the book shows nothing of it.
  mutating func wait(_ order: RestingOrder, _ book: Int, _ key: OrderKey) {
    var order = order
    order.visibleLots = 0
    let queue = books[book].stops[order.side.int]
    let isLater: (Waiting) -> Bool = {
      order.side == .buy
        ? $0.order.stopPriceTicks > order.stopPriceTicks : $0.order.stopPriceTicks < order.stopPriceTicks
    }
    books[book].stops[order.side.int].insert(
      Waiting(order: order, key: key), at: queue.firstIndex(where: isLater) ?? queue.count)
    events.append(.waiting(order: order.dot, openLots: order.openLots))
  }

  /// There was a trade: stops whose price it reached wait no longer, but stand in line to enter.
  mutating func trigger(_ book: Int, at price: Int64, depth: Int) {
    var reached: [Waiting] = []
    for side in 0...1 where books[book].stops[side].contains(where: { Self.isReached($0.order, at: price) }) {
      reached += books[book].stops[side].filter { Self.isReached($0.order, at: price) }
      books[book].stops[side].removeAll { Self.isReached($0.order, at: price) }
    }
    for stop in reached.sorted(by: { $0.key < $1.key }) { triggered.append((stop, depth)) }
  }

  /// The entry's own order is done with: the stops that it triggered enter, and those that they trigger, and so on.
  mutating func enterTriggered() {
    while !triggered.isEmpty {
      let (stop, depth) = triggered.removeFirst()
      var order = stop.order
      order.stopPriceTicks = 0
      events.append(.triggered(order: order.dot))
      tally.deepestCascade = max(tally.deepestCascade, depth)
      guard let book = book(order.instrument) else { continue }
      enter(order, book, depth: depth)
    }
  }
}
