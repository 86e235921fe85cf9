import Primitives

extension MatchingEngine {
  /// Changes price or quantity.
  ///
  /// An order keeps its place if its price stays and its open quantity does not grow, unless the amend forfeits that.
  /// - Parameter key: the amend's own.
  mutating func applyAmend(_ amend: Amend, _ key: OrderKey, _ dot: Dot, _ tape: inout EventTape) {
    let slot: UInt32
    switch resolve(amend.target, amend.account.value) {
    case .resting(let found): slot = found
    case .refused(let reason, let order): return refuse(dot, reason, order, &tape)
    case .unknown(let order): return refuse(dot, .unknownOrder, order, &tape)
    }
    let order = orders[slot]
    let isBareStop = order.isWaiting && order.flags.type == .stop
    if let reason = amend.flaw(filledLots: order.filledLots, hasLimit: !isBareStop) {
      return refuse(dot, reason, order.dot, &tape)
    }
    let open = amend.openLots(openLots: order.openLots, filledLots: order.filledLots)
    if open <= 0 {
      remove(slot)
      tape.append(.cancelled(order: order.dot, reason: .requested, openLots: order.openLots))
      return
    }
    let ticksBefore = order.isWaiting ? orders.limitTicks(slot) : ladder.pages.price(of: order.level)
    let ticks = amend.priceTicks ?? ticksBefore
    if isNotionalTooLarge(ticks, open) { return refuse(dot, .notionalOverflow, order.dot, &tape) }
    let keepsPlace = ticks == ticksBefore && open <= order.openLots && !amend.forfeitsPriority
    let display = order.terms == noSlot ? 0 : orders[terms: order.terms].displayLots
    if hasTooManySlices(open, display) { return refuse(dot, .invalidDisplay, order.dot, &tape) }
    if order.flags.isPostOnly, !keepsPlace, crosses(book(of: slot), order.side, ticks) {
      return refuse(dot, .wouldTrade, order.dot, &tape)
    }
    tape.append(
      .amended(order: order.dot, by: dot, priceTicks: ticks, openLots: open, reducedLots: order.openLots - open))
    if keepsPlace {
      if open == order.openLots { return }
      // What is hidden goes first.
      if order.flags.isIceberg, !order.isWaiting, orders.visibleLots(slot) > open { show(slot, open) }
      reduce(slot, by: order.openLots - open)
    } else {
      replace(slot, ticks: ticks, open: open, since: key, &tape)
    }
  }

  private mutating func refuse(_ entry: Dot, _ reason: RejectReason, _ order: Dot, _ tape: inout EventTape) {
    tape.append(.rejected(entry: entry, reason: reason, order: order))
  }

  /// The order enters anew, or waits anew.
  private mutating func replace(
    _ slot: UInt32, ticks: Int64, open: Int64, since: OrderKey, _ tape: inout EventTape
  ) {
    let order = orders[slot]
    let terms = order.terms == noSlot ? OrderTerms() : orders[terms: order.terms]
    let book = book(of: slot)
    remove(slot)
    var incoming = Incoming(
      dot: order.dot, account: accounts[order.account].account, openLots: open, filledLots: order.filledLots,
      limitTicks: ticks, book: book, clientRecord: order.clientRecord, flags: order.flags,
      displayLots: terms.displayLots, expiry: terms.expiry)
    if order.isWaiting {
      wait(incoming, stop: terms.stopPriceTicks, limit: ticks, since: since)
      tape.append(.waiting(order: order.dot, openLots: open))
      return
    }
    // What rests is good till cancelled or till a date, whatever it was when it came.
    enter(&incoming, .goodTillCancel, &tape)
    if triggered.count != 0 { enterTriggered(&tape) }
  }
}

extension Amend {
  /// Why the values could never be taken by an order that has traded `filledLots`; nil if they could.
  func flaw(filledLots: Int64, hasLimit: Bool) -> RejectReason? {
    if let price = priceTicks, price < 1 || price > Limits.priceTicksMax || !hasLimit { return .invalidPrice }
    if let quantity = quantityLots {
      if quantity < 1 || quantity > Limits.quantityLotsMax { return .invalidQuantity }
      if quantityMeaning == .open && quantity > Limits.quantityLotsMax - filledLots { return .invalidQuantity }
    }
    return nil
  }

  /// The open quantity that is asked for; 0 or less ends the order.
  func openLots(openLots: Int64, filledLots: Int64) -> Int64 {
    guard let quantity = quantityLots else { return openLots }
    switch quantityMeaning {
    case .total: return quantity - filledLots
    case .open: return quantity
    }
  }
}
