import Oracle
import OrderBook
import Primitives

extension Ledger {
  /// Compares with what the book says of each order, of each queue and of its best prices.
  func difference(_ book: borrowing some BookUnderTest & ~Copyable) -> String? {
    var held: [RestingOrder] = []
    for order in open {
      guard let found = book.order(order.dot) else { return "\(order.dot) is gone" }
      held.append(found)
    }
    if let text = difference(from: held) { return text }
    if book.restingOrders != held.count(where: { !$0.isWaiting }) { return "\(book.restingOrders) orders rest" }
    if book.waitingStops != held.count(where: \.isWaiting) { return "\(book.waitingStops) stops wait" }
    for (instrument, _) in book.definitions {
      for side in Side.allCases {
        for level in book.levels(of: instrument, side) {
          let queue = book.queue(of: instrument, side, priceTicks: level.priceTicks)
          if let text = disorder(queue) { return "the queue at \(level.priceTicks): \(text)" }
          if queue.reduce(0, { $0 + UInt128($1.visibleLots) }) != level.quantityLots { return "\(level) is wrong" }
        }
        let stops = book.stops(of: instrument, side)
        for price in Set(stops.map(\.stopPriceTicks)) {
          if let text = disorder(stops.filter { $0.stopPriceTicks == price }) { return "stops at \(price): \(text)" }
        }
      }
      if let bid = book.levels(of: instrument, .buy).first, let ask = book.levels(of: instrument, .sell).first,
        bid.priceTicks >= ask.priceTicks
      {
        return "the book is crossed"
      }
    }
    return nil
  }

  private func disorder(_ queue: [RestingOrder]) -> String? {
    let places = queue.compactMap { self[$0.dot]?.place }
    if places.count != queue.count { return "holds what has ended" }
    for (one, next) in zip(places, places.dropFirst()) where !(one < next) { return "not in order of time" }
    return nil
  }
}
