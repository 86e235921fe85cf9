import OrderBook

/// `Mix.all`: every type of order, several accounts.
extension RandomFlow {
  /// Of a thousand orders that are neither cancelled nor replaced; a limit order may be several of these at once.
  private static let stopPermille: UInt64 = 80
  private static let postOnlyPermille: UInt64 = 100
  /// One post-only order of so many does not look whether it would trade.
  private static let carelessOneIn: UInt64 = 8
  private static let icebergPermille: UInt64 = 150
  private static let goodTillDatePermille: UInt64 = 120
  private static let selfTradePreventionPermille: UInt64 = 600
  /// A lifetime has 16 to 31 of these, doubled six times at most: an eighth of a second to 16 seconds.
  private static let lifetimeUnitMilliseconds: Int64 = 8
  private static let lifetimeDoublingsMax = 6

  mutating func nextOfAll() -> FlowOperation {
    operationNumber += 1
    market.expire(operationNumber)
    let operation = drawOfAll()
    market.apply(operation, account: AccountID(configuration.firstAccount), number: operationNumber)
    return operation
  }

  private mutating func drawOfAll() -> FlowOperation {
    if generator.below(1_000) < cancelPermilleNow, let target = market.pick(age: recentAge()) {
      return FlowOperation(.cancel, id: target.id, account: target.account)
    }
    let draw = generator.below(Swift.max(1, 1_000 - configuration.cancelPermille))
    var bound = configuration.replacePermille
    if draw < bound, let target = market.pick(age: recentAge()) { return replacement(of: target) }
    for (kind, permille) in [
      (FlowOperation.Kind.market, configuration.marketPermille),
      (.immediateOrCancel, configuration.immediateOrCancelPermille), (.fillOrKill, configuration.fillOrKillPermille),
    ] {
      bound += permille
      if draw < bound { return taker(kind) }
    }
    return generator.chance(Self.stopPermille, of: 1_000) ? stop() : limitOfAll()
  }

  /// A market stop has no price to change: it is cancelled instead.
  private mutating func replacement(of target: ShadowMarket.Order) -> FlowOperation {
    if target.isWaiting && target.type == .stop {
      return FlowOperation(.cancel, id: target.id, account: target.account)
    }
    let price = limitPrice(target.side)
    return FlowOperation(
      .replace, id: target.id, priceTicks: target.postOnly ? passive(target.side, price) : price,
      quantityLots: size(), account: target.account)
  }

  private mutating func taker(_ kind: FlowOperation.Kind) -> FlowOperation {
    let side = drawSide()
    return FlowOperation(
      kind, id: takeID(), side: side, priceTicks: crossingPrice(side),
      quantityLots: size(doublingsMax: Self.takerSizeDoublingsMax), account: drawAccount(),
      selfTradePrevention: drawSelfTradePrevention())
  }

  private mutating func limitOfAll() -> FlowOperation {
    let side = drawSide()
    let crosses = mustCross()
    let postOnly = !crosses && generator.chance(Self.postOnlyPermille, of: 1_000)
    let isCareful = postOnly && !generator.chance(1, of: Self.carelessOneIn)
    let price = crosses ? crossingPrice(side) : limitPrice(side)
    let quantity = size()
    return FlowOperation(
      .limit, id: takeID(), side: side, priceTicks: isCareful ? passive(side, price) : price, quantityLots: quantity,
      account: drawAccount(), timeInForce: drawsGoodTillDate() ? .goodTillDate : .goodTillCancel,
      lifetimeMilliseconds: lifetime(), displayLots: display(of: quantity),
      selfTradePrevention: drawSelfTradePrevention(), postOnly: postOnly)
  }

  /// Behind the mid as a limit order is before it, so that it waits for the market to move that way.
  private mutating func stop() -> FlowOperation {
    let side = drawSide()
    let price = limitPrice(side.opposite)
    let quantity = size(doublingsMax: Self.takerSizeDoublingsMax)
    let timeInForce = drawTimeInForce()
    let canShowLess = timeInForce == .goodTillCancel || timeInForce == .goodTillDate
    let isMarket = generator.chance(1, of: 2)
    // A little worse than the price at which it enters, so that it finds somebody.
    let slack = heavyTailed(permille: 400, doublingsMax: 4)
    return FlowOperation(
      isMarket ? .market : .limit, id: takeID(), side: side,
      priceTicks: side == .buy ? price + slack : Swift.max(1, price - slack), quantityLots: quantity,
      account: drawAccount(), timeInForce: timeInForce, lifetimeMilliseconds: lifetime(),
      displayLots: isMarket || !canShowLess ? 0 : display(of: quantity), stopPriceTicks: price,
      selfTradePrevention: drawSelfTradePrevention())
  }

  // MARK: Attributes

  /// The nearest price at which an order of this side does not trade.
  private func passive(_ side: Side, _ ticks: Int64) -> Int64 {
    guard market.crosses(side, ticks), let best = market.best(side.opposite) else { return ticks }
    return side == .buy ? Swift.max(1, best - 1) : best + 1
  }

  private mutating func drawAccount() -> AccountID {
    AccountID(configuration.firstAccount + generator.below(Configuration.accountCount))
  }

  private mutating func drawSelfTradePrevention() -> SelfTradePrevention {
    guard generator.chance(Self.selfTradePreventionPermille, of: 1_000) else { return .none }
    switch generator.below(4) {
    case 0: return .cancelNewest
    case 1: return .cancelOldest
    case 2: return .cancelBoth
    default: return .decrement
    }
  }

  private mutating func drawsGoodTillDate() -> Bool { generator.chance(Self.goodTillDatePermille, of: 1_000) }

  private mutating func drawTimeInForce() -> TimeInForce {
    switch generator.below(10) {
    case 0: .immediateOrCancel
    case 1: .fillOrKill
    case 2, 3: .goodTillDate
    default: .goodTillCancel
    }
  }

  /// Counts only for an order that is good till date.
  private mutating func lifetime() -> Int64 {
    heavyTailed(permille: 500, doublingsMax: Self.lifetimeDoublingsMax) * Self.lifetimeUnitMilliseconds
  }

  /// Mostly everything; else a quarter to a sixteenth.
  private mutating func display(of quantity: Int64) -> Int64 {
    guard generator.chance(Self.icebergPermille, of: 1_000) else { return 0 }
    return Swift.max(1, quantity >> Int64(2 + generator.below(3)))
  }
}
