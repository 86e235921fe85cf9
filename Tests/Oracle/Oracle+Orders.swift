import OrderBook
import Primitives

/// New orders, and how orders trade.
extension Oracle {
  mutating func place(_ order: Order, _ dot: Dot, _ key: OrderKey, isEntombed: Bool) {
    guard let book = book(order.instrument) else { return reject(dot, .unknownInstrument) }
    if let reason = Self.flaw(order) { return reject(dot, reason) }
    if let (reason, first) = takeNames(order, dot, key.stamp) {
      reject(dot, reason, first)
      if reason == .repeated { cancelRepeated(order, first, isEntombed: isEntombed) }
      return
    }
    let isCancelled = liftStones(of: order)
    if isEntombed || isCancelled {
      events.append(.accepted(order: dot))
      events.append(.cancelled(order: dot, reason: .tombstone, openLots: order.quantityLots))
      return
    }
    var open = RestingOrder(
      dot: dot, instrument: order.instrument, account: order.account, side: order.side, type: order.type,
      timeInForce: order.timeInForce, selfTradePrevention: order.selfTradePrevention, postOnly: order.postOnly,
      priceTicks: order.priceTicks, openLots: order.quantityLots, filledLots: 0, displayLots: order.displayLots,
      stopPriceTicks: order.stopPriceTicks, expiry: order.expiry, clientOrderID: order.clientOrderID)
    if order.postOnly && wouldTrade(open, book) { return reject(dot, .wouldTrade) }
    events.append(.accepted(order: dot))
    if open.isWaiting {
      guard let last = books[book].lastTrade, Self.isReached(open, at: last) else { return wait(open, book, key) }
      events.append(.triggered(order: dot))
      open.stopPriceTicks = 0
    }
    enter(open, book, depth: 0)
  }

  /// A cancel that waited for a name of a repeat takes the first order out.
  private mutating func cancelRepeated(_ order: Order, _ first: Dot, isEntombed: Bool) {
    let isCancelled = liftStones(of: order)
    guard isEntombed || isCancelled, let place = place(of: first), self[place].account == order.account else { return }
    events.append(.cancelled(order: first, reason: .tombstone, openLots: self[place].openLots))
    remove(place)
  }

  /// Why the order could never be taken, whatever the book holds.
  static func flaw(_ order: Order) -> RejectReason? {
    let hasLimit = order.type == .limit || order.type == .stopLimit
    let isStop = order.type == .stop || order.type == .stopLimit
    let canRest = order.timeInForce == .goodTillCancel || order.timeInForce == .goodTillDate
    if !isPlausible(order.quantityLots) { return .invalidQuantity }
    if hasLimit ? !isPlausible(order.priceTicks) : order.priceTicks != 0 { return .invalidPrice }
    if isStop ? !isPlausible(order.stopPriceTicks) : order.stopPriceTicks != 0 { return .invalidStop }
    if hasLimit && overflows(order.priceTicks, order.quantityLots) { return .notionalOverflow }
    if order.timeInForce != .goodTillDate && order.expiry != .zero { return .invalidExpiry }
    if order.displayLots < 0 || order.displayLots > order.quantityLots { return .invalidDisplay }
    if showsTooLittle(order.quantityLots, order.displayLots) { return .invalidDisplay }
    if order.type == .market && order.timeInForce == .goodTillDate { return .invalidCombination }
    if order.postOnly && !(order.type == .limit && canRest) { return .invalidCombination }
    if order.displayLots != 0 && !(hasLimit && canRest) { return .invalidCombination }
    return nil
  }

  /// Would it take more than a thousand slices to show all of it?
  static func showsTooLittle(_ open: Int64, _ display: Int64) -> Bool {
    display != 0 && Int128(open) > 1_000 * Int128(display)
  }

  static func isOver(_ order: Order, _ stamp: Stamp) -> Bool {
    order.timeInForce == .goodTillDate && order.expiry <= stamp
  }

  /// May it be a price or a quantity?
  static func isPlausible(_ value: Int64) -> Bool { value >= 1 && value <= 1 << 62 }

  static func overflows(_ price: Int64, _ lots: Int64) -> Bool { Int128(price) * Int128(lots) >= 1 << 96 }

  /// May an order trade at this price?
  static func isWithinLimit(_ order: RestingOrder, _ price: Int64) -> Bool {
    switch (order.type, order.side) {
    case (.market, _), (.stop, _): true
    case (.limit, .buy), (.stopLimit, .buy): price <= order.priceTicks
    case (.limit, .sell), (.stopLimit, .sell): price >= order.priceTicks
    }
  }

  /// Would the order meet another one's price, if it entered now?
  func wouldTrade(_ order: RestingOrder, _ book: Int) -> Bool {
    guard let best = books[book].resting[order.side.opposite.int].first else { return false }
    return Self.isWithinLimit(order, best.priceTicks)
  }

  // MARK: Entering

  /// Trades the order, and lets the rest of it rest if it may. Where it enters in a cascade of stops is its `depth`.
  mutating func enter(_ order: RestingOrder, _ book: Int, depth: Int) {
    var order = order
    if order.timeInForce == .fillOrKill && !wouldFill(order, book) {
      if order.selfTradePrevention != .none { tallyKilled(order, book) }
      events.append(.cancelled(order: order.dot, reason: .fillOrKill, openLots: order.openLots))
      return
    }
    let isEnded = match(&order, book, depth: depth)
    if isEnded || order.openLots == 0 { return }
    if order.type == .market || order.type == .stop {
      events.append(.cancelled(order: order.dot, reason: .market, openLots: order.openLots))
    } else if order.timeInForce == .immediateOrCancel {
      events.append(.cancelled(order: order.dot, reason: .immediateOrCancel, openLots: order.openLots))
    } else {
      order.visibleLots = Self.shown(order)
      insert(order, book)
      events.append(.rested(order: order.dot, openLots: order.openLots))
    }
  }

  /// Finds out what the order was killed by.
  private mutating func tallyKilled(_ order: RestingOrder, _ book: Int) {
    var other = order
    other.selfTradePrevention = .none
    if wouldFill(other, book) { tally.killedBySelfTrade += 1 }
    var trial = self
    let side = order.side.opposite.int
    for index in trial.books[book].resting[side].indices {
      trial.books[book].resting[side][index].visibleLots = trial.books[book].resting[side][index].openLots
    }
    if trial.wouldFill(order, book) { tally.killedByTurn += 1 }
  }

  /// Would all of it trade? Tried out on a copy.
  private func wouldFill(_ order: RestingOrder, _ book: Int) -> Bool {
    var trial = self
    var taker = order
    _ = trial.match(&taker, book, depth: 0)
    return taker.filledLots == order.filledLots + order.openLots
  }

  /// What the book shows of an order that has just come to its place.
  static func shown(_ order: RestingOrder) -> Int64 {
    order.displayLots == 0 ? order.openLots : min(order.displayLots, order.openLots)
  }

  /// Puts the order behind all that trade before it.
  mutating func insert(_ order: RestingOrder, _ book: Int) {
    let queue = books[book].resting[order.side.int]
    let isWorse: (RestingOrder) -> Bool = {
      order.side == .buy ? $0.priceTicks < order.priceTicks : $0.priceTicks > order.priceTicks
    }
    books[book].resting[order.side.int].insert(order, at: queue.firstIndex(where: isWorse) ?? queue.count)
  }

  // MARK: Matching

  /// Trades `taker` against the other side while prices allow.
  /// - Returns: true if self-trade prevention ended it.
  private mutating func match(_ taker: inout RestingOrder, _ book: Int, depth: Int) -> Bool {
    let side = taker.side.opposite.int
    var refreshes: [Dot] = []
    while taker.openLots > 0, var maker = books[book].resting[side].first {
      if !Self.isWithinLimit(taker, maker.priceTicks) { return false }
      let isSelfTrade = taker.selfTradePrevention != .none && maker.account == taker.account
      let isEnded = isSelfTrade ? prevent(&taker, &maker) : trade(&taker, &maker, book, depth: depth)
      if maker.openLots == 0 {
        books[book].resting[side].removeFirst()
      } else if maker.visibleLots == 0 {
        books[book].resting[side].removeFirst()
        maker.visibleLots = Self.shown(maker)
        insert(maker, book)
        events.append(.refreshed(order: maker.dot, visibleLots: maker.visibleLots))
        refreshes.append(maker.dot)
        tally.mostRefreshes = max(tally.mostRefreshes, refreshes.count { $0 == maker.dot })
      } else {
        books[book].resting[side][0] = maker
      }
      if isEnded {
        events.append(.cancelled(order: taker.dot, reason: .selfTrade, openLots: taker.openLots))
        return true
      }
    }
    return false
  }

  /// - Returns: false; a trade ends nobody before its quantity does.
  private mutating func trade(
    _ taker: inout RestingOrder, _ maker: inout RestingOrder, _ book: Int, depth: Int
  ) -> Bool {
    let lots = min(taker.openLots, maker.visibleLots)
    taker.openLots -= lots
    taker.filledLots += lots
    maker.openLots -= lots
    maker.visibleLots -= lots
    maker.filledLots += lots
    books[book].lastTrade = maker.priceTicks
    events.append(
      .filled(
        Fill(
          instrument: taker.instrument, maker: maker.dot, taker: taker.dot, takerSide: taker.side,
          priceTicks: maker.priceTicks, quantityLots: lots, makerOpenLots: maker.openLots,
          takerOpenLots: taker.openLots)))
    trigger(book, at: maker.priceTicks, depth: depth + 1)
    return false
  }

  /// Both belong to one account, and the incoming order says what then.
  /// - Returns: true if the incoming order ends; a maker that ends has nothing open afterwards.
  private mutating func prevent(_ taker: inout RestingOrder, _ maker: inout RestingOrder) -> Bool {
    tally.selfTrades[taker.selfTradePrevention, default: 0] += 1
    switch taker.selfTradePrevention {
    case .none, .cancelNewest: return true
    case .cancelOldest, .cancelBoth:
      events.append(.cancelled(order: maker.dot, reason: .selfTrade, openLots: maker.openLots))
      maker.openLots = 0
      return taker.selfTradePrevention == .cancelBoth
    case .decrement:
      let lots = min(taker.openLots, maker.visibleLots)
      maker.openLots -= lots
      maker.visibleLots -= lots
      taker.openLots -= lots
      events.append(.reduced(order: maker.dot, lots: lots, openLots: maker.openLots))
      events.append(.reduced(order: taker.dot, lots: lots, openLots: taker.openLots))
      if maker.openLots == 0 { events.append(.cancelled(order: maker.dot, reason: .selfTrade, openLots: 0)) }
      return taker.openLots == 0
    }
  }
}
