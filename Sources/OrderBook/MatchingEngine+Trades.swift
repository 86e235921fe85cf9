import Primitives

/// How an incoming order meets those that rest.
extension MatchingEngine {
  /// Trades the incoming order against the other side while prices allow.
  @inline(never) mutating func trade(_ incoming: inout Incoming, _ tape: inout EventTape) {
    var last: Int64 = 0
    let makers = incoming.side.opposite
    let limit = PriceLadder.key(incoming.limitTicks, makers)
    while incoming.openLots > 0 {
      let best = ladder.address(incoming.book, makers)
      let key = best.pointee.bestKey
      if key < limit { break }
      let ticks = PriceLadder.key(key, makers)
      let filledBefore = incoming.filledLots
      sweep(best.pointee.best, ticks, &incoming, &tape)
      if incoming.filledLots == filledBefore { continue }
      last = ticks
      if waitingStops != 0 { trigger(incoming.book, ticks) }
    }
    if last != 0 && books[incoming.book].lastTradeTicks != last {
      journal.push(
        UndoRecord(.lastTrade, slot: incoming.book, old: UInt64(bitPattern: books[incoming.book].lastTradeTicks)))
      books[incoming.book].lastTradeTicks = last
      books[incoming.book].isDirty = true
    }
  }

  /// Meets the orders of one level, first in the queue first, until either side is used up.
  @inline(__always) private mutating func sweep(
    _ level: UInt32, _ ticks: Int64, _ incoming: inout Incoming, _ tape: inout EventTape
  ) {
    let instrument = books[incoming.book].dot
    let prevents = incoming.flags.preventsSelfTrade
    while true {
      let slot = ladder.pages.address(level).pointee.head
      if slot == noSlot { return }
      let maker = orders.address(slot)
      orders.prefetch(maker.pointee.next)
      if prevents || maker.pointee.terms != noSlot {
        meet(slot, ticks, &incoming, &tape)
        if incoming.openLots == 0 { return }
        continue
      }
      let available = maker.pointee.openLots
      let lots = min(available, incoming.openLots)
      incoming.openLots &-= lots
      incoming.filledLots &+= lots
      tape.append(
        .filled(
          Fill(
            instrument: instrument, maker: maker.pointee.dot, taker: incoming.dot, takerSide: incoming.side,
            priceTicks: ticks, quantityLots: lots, makerOpenLots: available &- lots,
            takerOpenLots: incoming.openLots)))
      if lots < available { return fill(slot, lots) }
      remove(slot)
      if incoming.openLots == 0 { return }
    }
  }

  /// A resting order trades in part.
  @inline(__always) private mutating func fill(_ slot: UInt32, _ lots: Int64) {
    let order = orders.address(slot)
    order.pointee.openLots &-= lots
    order.pointee.filledLots &+= lots
    lower(slot, lots)
    journal.push(UndoRecord(.filled, slot: slot, old: UInt64(bitPattern: lots)))
  }

  /// Meets one order that may be the incoming one's own account's, an iceberg, or of limited time.
  @inline(never) private mutating func meet(
    _ slot: UInt32, _ ticks: Int64, _ incoming: inout Incoming, _ tape: inout EventTape
  ) {
    let maker = orders[slot]
    let visible = orders.visibleLots(slot)
    let lots = min(visible, incoming.openLots)
    if incoming.flags.preventsSelfTrade, accounts[maker.account].account == incoming.account {
      return preventSelfTrade(slot, lots, &incoming, &tape)
    }
    incoming.openLots &-= lots
    incoming.filledLots &+= lots
    tape.append(
      .filled(
        Fill(
          instrument: books[incoming.book].dot, maker: maker.dot, taker: incoming.dot, takerSide: incoming.side,
          priceTicks: ticks, quantityLots: lots, makerOpenLots: maker.openLots - lots,
          takerOpenLots: incoming.openLots)))
    if lots == maker.openLots { return remove(slot) }
    if maker.flags.isIceberg { show(slot, visible - lots) }
    fill(slot, lots)
    if lots == visible { refresh(slot, &tape) }
  }

  private mutating func preventSelfTrade(
    _ slot: UInt32, _ lots: Int64, _ incoming: inout Incoming, _ tape: inout EventTape
  ) {
    let maker = orders[slot]
    func endIncoming() {
      tape.append(.cancelled(order: incoming.dot, reason: .selfTrade, openLots: incoming.openLots))
      incoming.openLots = 0
    }
    func endMaker() {
      remove(slot)
      tape.append(.cancelled(order: maker.dot, reason: .selfTrade, openLots: maker.openLots))
    }
    switch incoming.flags.selfTradePrevention {
    case .none: preconditionFailure("a self-trade that nobody minds is a trade")
    case .cancelNewest: endIncoming()
    case .cancelOldest: endMaker()
    case .cancelBoth:
      endMaker()
      endIncoming()
    case .decrement: decrement(slot, lots, &incoming, &tape)
    }
  }

  /// Both give up `lots` without a trade.
  private mutating func decrement(
    _ slot: UInt32, _ lots: Int64, _ incoming: inout Incoming, _ tape: inout EventTape
  ) {
    let maker = orders[slot]
    let visible = orders.visibleLots(slot)
    let left = maker.openLots - lots
    incoming.openLots -= lots
    tape.append(.reduced(order: maker.dot, lots: lots, openLots: left))
    tape.append(.reduced(order: incoming.dot, lots: lots, openLots: incoming.openLots))
    if left == 0 {
      remove(slot)
      tape.append(.cancelled(order: maker.dot, reason: .selfTrade, openLots: 0))
    } else {
      if maker.flags.isIceberg { show(slot, visible - lots) }
      reduce(slot, by: lots)
      if lots == visible { refresh(slot, &tape) }
    }
    if incoming.openLots == 0 { tape.append(.cancelled(order: incoming.dot, reason: .selfTrade, openLots: 0)) }
  }

  /// An iceberg's visible quantity is used up: it shows the next slice, last in its queue.
  private mutating func refresh(_ slot: UInt32, _ tape: inout EventTape) {
    let visible = min(orders[terms: orders[slot].terms].displayLots, orders[slot].openLots)
    requeue(slot)
    show(slot, visible)
    tape.append(.refreshed(order: orders[slot].dot, visibleLots: visible))
  }

  // MARK: Fill or kill

  /// Could the order trade whole, now?
  /// - Complexity: O(levels down to its limit); with self-trade prevention also O(orders of its account), and O(orders
  ///   of the level where the first of them is met).
  @inline(never) mutating func canFill(_ incoming: borrowing Incoming) -> Bool {
    let makers = incoming.side.opposite
    let wanted = UInt128(incoming.openLots)
    var own = Own()
    if incoming.flags.preventsSelfTrade { own = ownOrders(facing: incoming) }
    let stopsAtOwn = incoming.flags.selfTradePrevention != .cancelOldest
    var found: UInt128 = 0
    var level = ladder.best(incoming.book, makers)
    while level != noSlot {
      let ticks = ladder.pages.price(of: level)
      if makers == .sell ? ticks > incoming.limitTicks : ticks < incoming.limitTicks { break }
      if stopsAtOwn && ticks == own.bestTicks {
        return found + visibleAhead(ofAccount: incoming.account, in: level) >= wanted
      }
      found += ladder.pages[level].total
      if stopsAtOwn && found >= wanted { return true }
      if found >= wanted + own.lots { return true }
      level = ladder.worse(incoming.book, makers, than: ticks)
    }
    return found >= wanted + own.lots
  }

  /// Orders of one account that an incoming order would meet.
  private struct Own {
    /// Price of the best; 0: there is none.
    var bestTicks: Int64 = 0
    var lots: UInt128 = 0
  }

  private mutating func ownOrders(facing incoming: borrowing Incoming) -> Own {
    var own = Own()
    let entry = accounts.lookUp(incoming.account)
    var slot = entry == noSlot ? noSlot : accounts[entry].head
    while slot != noSlot {
      let order = orders[slot]
      slot = order.accountNext
      guard !order.isWaiting, order.side != incoming.side, ladder.pages.row(of: order.level) == incoming.book else {
        continue
      }
      let ticks = ladder.pages.price(of: order.level)
      guard incoming.side == .buy ? ticks <= incoming.limitTicks : ticks >= incoming.limitTicks else { continue }
      own.lots += UInt128(order.openLots)
      if own.bestTicks == 0 || (incoming.side == .buy) == (ticks < own.bestTicks) { own.bestTicks = ticks }
    }
    return own
  }

  /// What the level trades before the account's first order in it is met: what the orders ahead show. Refreshed slices
  /// queue behind it.
  private mutating func visibleAhead(ofAccount account: UInt64, in level: UInt32) -> UInt128 {
    var found: UInt128 = 0
    var slot = ladder.pages[level].head
    while slot != noSlot, accounts[orders[slot].account].account != account {
      found += UInt128(orders.visibleLots(slot))
      slot = orders[slot].next
    }
    return found
  }
}
