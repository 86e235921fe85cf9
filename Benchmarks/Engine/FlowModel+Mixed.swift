import OrderBook
import Primitives

/// The order types, flags and amends of `mixed`.
extension FlowModel {
  /// Of 100 new orders: 56 plain limit, 10 immediate-or-cancel, 4 fill-or-kill, 6 market, 8 iceberg, 4 stop,
  /// 3 stop-limit, 4 good-till-date, 5 post-only. 15 of 100, whatever they are, prevent self-trades, in one of four
  /// ways.
  mutating func takeManners(_ step: inout FlowStep) {
    switch random.below(100) {
    case 0..<10: step.timeInForce = .immediateOrCancel
    case 10..<14: step.timeInForce = .fillOrKill
    case 14..<20: step.type = .market
    case 20..<28: step.displayLots = 1
    case 28..<32: step.type = .stop
    case 32..<35: step.type = .stopLimit
    case 35..<39: step.timeInForce = .goodTillDate
    case 39..<44: step.postOnly = true
    default: break
    }
    if random.chance(15, of: 100) {
      let kinds: [SelfTradePrevention] = [.cancelNewest, .cancelOldest, .cancelBoth, .decrement]
      step.selfTradePrevention = kinds[random.pick(0...3)]
    }
  }

  /// What depends on the step's price and quantity.
  mutating func completeManners(_ step: inout FlowStep) {
    if step.displayLots != 0 {
      step.quantityLots = 20 + step.quantityLots * 5
      step.displayLots = Int64(random.pick(5...20))
    }
    if step.timeInForce == .goodTillDate { step.lifetimeMilliseconds = UInt32(random.pick(10...5_000)) }
    if step.postOnly && random.chance(1, of: 8) {
      // Would trade: the mid is where the other side may begin.
      step.priceTicks = price(step.side, -1)
    }
    switch step.type {
    case .limit: break
    case .market: step.priceTicks = 0
    case .stop, .stopLimit:
      // Buys wait above the mid, sells below; some for a price that has been reached.
      let ticks = Int64(random.pick(-2...40))
      step.stopPriceTicks = max(1, step.side == .buy ? mid + ticks : mid - ticks)
      step.priceTicks = step.type == .stop ? 0 : max(1, step.stopPriceTicks + (step.side == .buy ? 2 : -2))
    }
  }

  /// Four amends in ten lower the quantity and keep their place.
  mutating func amendManners(_ step: inout FlowStep) {
    let target = steps[Int(step.target)]
    if random.chance(4, of: 10) {
      step.keepsPlace = true
      step.priceTicks = 0
      step.quantityLots = max(1, target.quantityLots / 2)
    } else {
      step.priceTicks = max(1, step.priceTicks)
    }
  }
}
