import Primitives

/// What most entries do, done whole or not at all.
///
/// Nearly all that a market sends are limit orders that rest, immediate ones that meet nobody, cancels of such orders
/// by their dots, and replaces. Each function here first asks, reading only, whether its entry is of that kind and
/// everything is in place for it: nothing expires, no clock advances, no table grows. If so it does all that there is
/// to do, with one undo record. If not it returns false, nothing has changed, and the entry goes the way that every
/// entry can go; both ways make their changes by the same functions.
extension MatchingEngine {
  /// Quantities below this times any price stay below the limit of price × quantity.
  private static var lotsMax: UInt64 { 1 << 33 }

  /// Places an order that is nothing but a limit, a price and a quantity, and trades with nobody.
  @inline(__always) mutating func placeUsually(
    _ instrument: Dot, _ account: UInt64, _ side: Side, _ timeInForce: TimeInForce, _ ticks: Int64, _ lots: Int64,
    _ dot: Dot, _ stamp: Stamp, _ tape: inout EventTape
  ) -> Bool {
    guard isQuiet(stamp, tape), books.isRecent(instrument),
      UInt64(bitPattern: ticks &- 1) < UInt64(bitPattern: bounds.priceTicksMax),
      UInt64(bitPattern: lots &- 1) < Self.lotsMax, let row = index.rowInPlace(for: dot)
    else { return false }
    let book = books.recentBook
    if crosses(book, side, ticks) { return false }
    if timeInForce != .goodTillCancel {
      guard timeInForce == .immediateOrCancel else { return false }
      row.pointee.applied = dot.sequence
      finishUsually(.applied, noSlot, dot, stamp)
      tape.putNothingTraded(dot, openLots: lots)
      return true
    }
    let level = ladder.findNear(book, ticks)
    let entry = accounts.findQuickly(account)
    let slot = orders.nextInPlace
    guard level != noSlot, entry != noSlot, slot != noSlot, let cell = index.cellInPlace(row, dot.sequence) else {
      return false
    }

    row.pointee.applied = dot.sequence
    let owner = accounts.address(entry)
    owner.pointee.references &+= 1
    let order = orders.address(slot)
    orders.allocate(slot, order)
    order.pointee = OrderSlot(
      openLots: lots, sequence: dot.sequence, packed: OrderSlot.pack(dot.origin, OrderFlags(side)), level: level,
      account: entry)
    ladder.append(slot, order, side, orders, near: ladder.rows.address(book))
    linkAccount(slot, order, owner)
    index.set(cell, to: slot)
    restingOrders &+= 1
    finishUsually(.placed, slot, dot, stamp)
    tape.putRested(dot, openLots: lots)
    return true
  }

  /// Cancels an order of the same account that neither waits nor hides nor expires.
  @inline(__always) mutating func cancelUsually(
    _ target: Dot, _ account: UInt64, _ dot: Dot, _ stamp: Stamp, _ tape: inout EventTape
  ) -> Bool {
    guard isQuiet(stamp, tape), let row = index.rowInPlace(for: dot) else { return false }
    let cell = index.cell(of: target)
    if cell < 0 { return false }
    let slot = index.slot(in: cell)
    if slot == noSlot { return false }
    let order = orders.address(slot)
    let owner = accounts.address(order.pointee.account)
    guard owner.pointee.account == account, order.pointee.terms == noSlot else { return false }

    row.pointee.applied = dot.sequence
    let side = order.pointee.side
    let losesBest = ladder.leave(order, side, orders)
    unlinkAccount(order, owner)
    let emptiesLeaf = index.remove(cell, target, from: slot)
    restingOrders &-= 1
    finishUsually(.cancelled, slot, dot, stamp)
    tape.putCancelled(target, openLots: order.pointee.openLots)
    if order.pointee.block != noSlot { hasher.blocks.leave(slot, orders) }
    if losesBest { ladder.findBest(order.pointee.level, side) }
    if emptiesLeaf { index.leafEmptied(target) }
    return true
  }

  /// Moves a plain order of the same account to the tail of the level of another price, or of its own, where it trades
  /// with nobody.
  @inline(__always) mutating func replaceUsually(
    _ target: Dot, _ ticks: Int64, _ lots: Int64, _ amend: Amend, _ dot: Dot, _ stamp: Stamp, _ tape: inout EventTape
  ) -> Bool {
    guard isQuiet(stamp, tape), let row = index.rowInPlace(for: dot),
      UInt64(bitPattern: ticks &- 1) < UInt64(bitPattern: bounds.priceTicksMax)
    else { return false }
    let cell = index.cell(of: target)
    if cell < 0 { return false }
    let slot = index.slot(in: cell)
    if slot == noSlot { return false }
    let order = orders.address(slot)
    let entry = order.pointee.account
    let owner = accounts.address(entry)
    let filled = order.pointee.filledLots
    guard owner.pointee.account == amend.account.value, order.pointee.terms == noSlot,
      !order.pointee.flags.isPostOnly, UInt64(bitPattern: lots &- 1) < Self.lotsMax, UInt64(filled) < Self.lotsMax
    else { return false }
    let openBefore = order.pointee.openLots
    let open = amend.quantityMeaning == .open ? lots : lots &- filled
    let (page, _) = ladder.pages.addresses(of: order.pointee.level)
    let ticksBefore = LevelPages.price(of: order.pointee.level, page)
    let movesOn = ticks != ticksBefore || open > openBefore || amend.forfeitsPriority
    let side = order.pointee.side
    let book = page.pointee.row
    guard open > 0, movesOn, !crosses(book, side, ticks) else { return false }
    let level = ladder.findNear(book, ticks)
    let other = orders.nextInPlace
    if level == noSlot || other == noSlot { return false }

    row.pointee.applied = dot.sequence
    let losesBest = ladder.leave(order, side, orders)
    unlinkAccount(order, owner)
    owner.pointee.references &+= 1
    let moved = orders.address(other)
    orders.allocate(other, moved)
    moved.pointee = OrderSlot(
      openLots: open, filledLots: filled, sequence: order.pointee.sequence, packed: order.pointee.packed, level: level,
      account: entry, clientRecord: order.pointee.clientRecord)
    ladder.append(other, moved, side, orders, near: ladder.rows.address(book))
    linkAccount(other, moved, owner)
    index.replace(cell, from: slot, to: other)
    if moved.pointee.clientRecord != noSlot { ids.retain(moved.pointee.clientRecord) }
    finishUsually(.replaced, slot, dot, stamp)
    tape.putReplaced(target, by: dot, priceTicks: ticks, openLots: open, reducedLots: openBefore &- open)
    if order.pointee.block != noSlot { hasher.blocks.leave(slot, orders) }
    if losesBest { ladder.findBest(order.pointee.level, side) }
    return true
  }

  /// Is there nothing to do for an entry but what it says, and room to write it down?
  @inline(__always) private func isQuiet(_ stamp: Stamp, _ tape: borrowing EventTape) -> Bool {
    stamp.value > lastKey.stamp.value && stamp.value < quietEnd && journal.hasRoom && tape.hasRoom
  }

  @inline(__always) private mutating func finishUsually(
    _ kind: UndoKind, _ slot: UInt32, _ dot: Dot, _ stamp: Stamp
  ) {
    journal.put(UndoRecord(kind, slot: slot, old: lastKey.stamp.value, payload: lastKey.origin.value))
    lastKey = OrderKey(stamp: stamp, origin: dot.origin)
  }
}
