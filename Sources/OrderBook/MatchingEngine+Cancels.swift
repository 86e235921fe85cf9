import Primitives

extension MatchingEngine {
  /// What a cancel's or amend's reference leads to.
  private enum Target {
    case resting(UInt32)
    case refused(RejectReason, Dot)
    /// Not applied yet, or never heard of.
    case unknown(Dot)
  }

  private func resolve(_ reference: OrderReference, _ account: UInt64) -> Target {
    switch reference {
    case .dot(let dot):
      let slot = index.slot(of: dot)
      if slot != noSlot { return orders[slot].account == account ? .resting(slot) : .refused(.notOwner, dot) }
      return dot.sequence <= index.applied(dot.origin) ? .refused(.notOpen, dot) : .unknown(dot)
    case .client(let id):
      guard !id.isNone, let record = remembered(account, id) else { return .unknown(noDot) }
      let dot = ids[record].dot
      let slot = index.slot(of: dot)
      return slot != noSlot ? .resting(slot) : .refused(.notOpen, dot)
    }
  }

  @inline(never) mutating func applyCancel(
    _ command: Command?, _ dot: Dot, _ tape: inout EventTape
  ) {
    guard case .some(.cancel(let cancel)) = command else { return }
    if case .dot(let target) = cancel.target {
      let cell = index.cell(of: target)
      let slot = cell < 0 ? noSlot : index.slot(in: cell)
      if slot != noSlot, orders[slot].account == cancel.account.value {
        let open = orders[slot].openLots
        remove(slot, indexedAt: cell)
        tape.append(.cancelled(order: target, reason: .requested, openLots: open))
        return
      }
    }
    applyOtherCancel(command, dot, &tape)
  }

  /// A cancel by client order id, or of an order that does not rest or is another's.
  @inline(never) private mutating func applyOtherCancel(
    _ command: Command?, _ dot: Dot, _ tape: inout EventTape
  ) {
    guard case .some(.cancel(let cancel)) = command else { return }
    switch resolve(cancel.target, cancel.account.value) {
    case .resting(let slot):
      let order = orders[slot].dot
      let open = orders[slot].openLots
      remove(slot)
      tape.append(.cancelled(order: order, reason: .requested, openLots: open))
    case .refused(let reason, let order):
      tape.append(.rejected(entry: dot, reason: reason, order: order))
    case .unknown(let order):
      if cancel.targetStamp.value == 0, cancel.target != .client(.none) {
        layTombstone(cancel)
      } else {
        tape.append(.rejected(entry: dot, reason: .unknownOrder, order: order))
      }
    }
  }

  /// Cancels the account's orders, in the order of their dots.
  /// - Complexity: O(k log k) for an account with k resting orders.
  mutating func applyCancelAll(_ all: CancelAll, _ dot: Dot, _ tape: inout EventTape) {
    var only: UInt32?
    if !all.instrument.isNone {
      only = books.find(all.instrument)
      if only == nil {
        tape.append(.rejected(entry: dot, reason: .unknownInstrument, order: .none))
        return
      }
    }
    for (order, slot) in slots(of: all.account.value, in: only) {
      let open = orders[slot].openLots
      remove(slot)
      tape.append(.cancelled(order: order, reason: .cancelAll, openLots: open))
    }
  }

  /// The account's resting orders by dot, of one book or of all.
  func slots(of account: UInt64, in book: UInt32?) -> [(dot: Dot, slot: UInt32)] {
    var found: [(dot: Dot, slot: UInt32)] = []
    var slot = accounts.head(of: account)
    while slot != noSlot {
      if book == nil || ladder.pages.book(of: orders[slot].level) == book { found.append((orders[slot].dot, slot)) }
      slot = orders[slot].accountNext
    }
    return found.sorted { $0.dot < $1.dot }
  }

  /// Changes price or quantity.
  ///
  /// An order keeps its place if its price stays and its open quantity does not grow, unless the amend forfeits that.
  mutating func applyAmend(_ amend: Amend, _ dot: Dot, _ tape: inout EventTape) {
    let slot: UInt32
    switch resolve(amend.target, amend.account.value) {
    case .resting(let found): slot = found
    case .refused(let reason, let order):
      tape.append(.rejected(entry: dot, reason: reason, order: order))
      return
    case .unknown(let order):
      tape.append(.rejected(entry: dot, reason: .unknownOrder, order: order))
      return
    }
    let order = orders[slot]
    if let reason = amend.flaw(filledLots: order.filledLots) {
      tape.append(.rejected(entry: dot, reason: reason, order: order.dot))
      return
    }
    let open = amend.openLots(openLots: order.openLots, filledLots: order.filledLots)
    if open <= 0 {
      remove(slot)
      tape.append(.cancelled(order: order.dot, reason: .requested, openLots: order.openLots))
      return
    }
    let ticksBefore = ladder.pages.price(of: order.level)
    let ticks = amend.priceTicks ?? ticksBefore
    tape.append(
      .amended(order: order.dot, by: dot, priceTicks: ticks, openLots: open, reducedLots: order.openLots - open))
    if ticks == ticksBefore && open <= order.openLots && !amend.forfeitsPriority {
      if open < order.openLots { reduce(slot, by: order.openLots - open) }
      return
    }
    remove(slot)
    var incoming = Incoming(
      dot: order.dot, account: order.account, openLots: open, filledLots: order.filledLots,
      book: ladder.pages.book(of: order.level), limitTicks: ticks, clientRecord: order.clientRecord,
      flags: order.flags, side: order.side)
    match(&incoming, &tape)
    if incoming.openLots > 0 {
      rest(incoming, at: ticks)
      tape.append(.rested(order: order.dot, openLots: incoming.openLots))
    }
  }

  // MARK: Tombstones

  /// Remembers a cancel that came before its order. A second one changes nothing.
  private mutating func layTombstone(_ cancel: Cancel) {
    var stone = Tombstone(account: cancel.account.value, second: second)
    switch cancel.target {
    case .dot(let dot):
      if tombstones.find(dot, account: stone.account) != noSlot { return }
      stone.sequence = dot.sequence
      stone.origin = dot.origin.value
    case .client(let id):
      if tombstones.find(stone.account, id) != noSlot { return }
      stone.id = id
    }
    if tombstones.count >= Int(ids.recordsMax) { lift(tombstones.oldest) }
    journal.push(UndoRecord(.tombstoneLaid, slot: tombstones.lay(stone)))
  }

  /// The entry `dot` is being applied: no cancel waits for it any more.
  /// - Returns: true if it is an order that its own account had cancelled.
  @inline(never) mutating func liftTombstones(of dot: Dot, _ command: Command?) -> Bool {
    var isEntombed = false
    if case .some(.order(let order)) = command {
      isEntombed = tombstones.find(dot, account: order.account.value) != noSlot
    }
    while true {
      let stone = tombstones.find(dot, account: nil)
      if stone == noSlot { return isEntombed }
      lift(stone)
    }
  }

  /// The order was accepted: a cancel by client order id that waited for it has found it.
  /// - Returns: true if there was one.
  @inline(never) mutating func liftTombstone(of command: Command?) -> Bool {
    guard case .some(.order(let order)) = command, !order.clientOrderID.isNone else { return false }
    let stone = tombstones.find(order.account.value, order.clientOrderID)
    if stone == noSlot { return false }
    lift(stone)
    return true
  }
}

extension Amend {
  /// Why the values could never be taken by an order that has traded `filledLots`; nil if they could.
  func flaw(filledLots: Int64) -> RejectReason? {
    if let price = priceTicks, price < 1 || price > Limits.priceTicksMax { return .invalidPrice }
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
