import Primitives

/// What most entries do, done whole or not at all.
///
/// Nearly all that a market sends are limit orders that rest, immediate ones that meet nobody, cancels of such orders
/// by their dots, and replaces. Each function here first asks, reading only, whether its entry is of that kind and
/// everything is in place for it: nothing expires, no clock advances. If so it does all that there is to do, with one
/// undo record. If not it returns false, nothing has changed, and the entry goes the way that every entry can go; both
/// ways make their changes by the same functions.
extension MatchingEngine {
  /// Quantities below this times any price stay below the limit of price × quantity.
  private static var lotsMax: UInt64 { 1 << 33 }

  /// Places an order that trades with nobody.
  @inline(never) mutating func placeUsually(
    _ entry: UnsafePointer<PackedEntry>, _ tape: inout EventTape
  ) -> Bool {
    let ticks = entry.pointee.priceTicks
    let lots = entry.pointee.lots
    let side = entry.pointee.side
    guard isQuiet(entry, tape), books.isRecent(entry.pointee.namedDot), isPlausible(ticks, lots),
      let row = index.rowInPlace(for: entry.pointee.dot)
    else { return false }
    let book = ladder.rows.address(books.recentBook)
    if PriceLadder.reaches(book, side.opposite, ticks) { return false }
    if entry.pointee.kind == .immediate {
      row.pointee.applied = entry.pointee.sequence
      finishUsually(.applied, noSlot, entry)
      tape.putNothingTraded(entry.pointee.dot, openLots: lots)
      return true
    }
    let level = ladder.findNear(book, ticks)
    let slot = orders.nextInPlace
    let account = accounts.findQuickly(entry.pointee.account)
    guard level != noSlot, slot != noSlot, row.pointee.leaf != noSlot, account != noSlot else { return false }

    row.pointee.applied = entry.pointee.sequence
    index.setInPlace(row, entry.pointee.sequence, to: slot)
    let order = orders.allocate(inPlace: slot)
    order.pointee = OrderSlot(
      openLots: entry.pointee.lots, sequence: entry.pointee.sequence,
      packed: OrderSlot.pack(OriginIndex(entry.pointee.origin), OrderFlags(entry.pointee.side)), level: level,
      account: account)
    let owner = accounts.address(found: account)
    owner.pointee.references &+= 1
    linkAccount(slot, order, owner)
    ladder.appendNear(slot, order, entry.pointee.side, orders, book, ticks: entry.pointee.priceTicks)
    restingOrders &+= 1
    finishUsually(.placed, slot, entry)
    tape.putRested(entry.pointee.dot, openLots: entry.pointee.lots)
    return true
  }

  /// Cancels an order of the same account that neither waits nor hides nor expires.
  @inline(never) mutating func cancelUsually(
    _ entry: UnsafePointer<PackedEntry>, _ tape: inout EventTape
  ) -> Bool {
    let target = entry.pointee.namedDot
    let cell = index.cell(of: target)
    if cell < 0 || !isQuiet(entry, tape) { return false }
    let slot = index.slot(in: cell)
    if slot == noSlot { return false }
    let order = orders.address(slot)
    guard isPlain(order, of: entry.pointee.account), let row = index.rowInPlace(for: entry.pointee.dot) else {
      return false
    }

    row.pointee.applied = entry.pointee.sequence
    finishUsually(.cancelled, slot, entry)
    tape.putCancelled(target, openLots: order.pointee.openLots)
    index.clear(cell, target, from: slot)
    take(slot, order)
    return true
  }

  /// Moves a plain order of the same account to the tail of the level of another price, or of its own, where it trades
  /// with nobody.
  @inline(never) mutating func replaceUsually(
    _ entry: UnsafePointer<PackedEntry>, _ tape: inout EventTape
  ) -> Bool {
    let ticks = entry.pointee.priceTicks
    let target = entry.pointee.namedDot
    let cell = index.cell(of: target)
    guard cell >= 0, isQuiet(entry, tape), isPlausible(ticks, entry.pointee.lots) else { return false }
    let slot = index.slot(in: cell)
    if slot == noSlot { return false }
    let order = orders.address(slot)
    let filled = order.pointee.filledLots
    guard isPlain(order, of: entry.pointee.account), !order.pointee.flags.isPostOnly, UInt64(filled) < Self.lotsMax
    else { return false }
    let openBefore = order.pointee.openLots
    let open = entry.pointee.isOpen ? entry.pointee.lots : entry.pointee.lots &- filled
    let movesOn =
      entry.pointee.forfeits || open > openBefore || ticks != ladder.pages.price(of: order.pointee.level)
    let book = ladder.pages.row(of: order.pointee.level)
    guard open > 0, movesOn, !crosses(book, order.pointee.side, ticks),
      let row = index.rowInPlace(for: entry.pointee.dot)
    else { return false }

    row.pointee.applied = entry.pointee.sequence
    finishUsually(.replaced, slot, entry)
    tape.putReplaced(
      target, by: entry.pointee.dot, priceTicks: ticks, openLots: open, reducedLots: openBefore &- open)
    let (flags, record) = (order.pointee.flags, order.pointee.clientRecord)
    take(slot, order)
    let moved = put(
      target, account: entry.pointee.account, book: book, ticks: ticks, openLots: open, filledLots: filled,
      flags: flags, clientRecord: record)
    index.replace(cell, from: slot, to: moved)
    return true
  }

  /// Is there nothing to do for an entry but what it says, and room to write it down?
  @inline(__always) private func isQuiet(
    _ entry: UnsafePointer<PackedEntry>, _ tape: borrowing EventTape
  ) -> Bool {
    entry.pointee.stamp > lastKey.stamp.value && entry.pointee.stamp < quietEnd && journal.hasRoom && tape.hasRoom
  }

  /// May an order have this price and quantity, whatever they are multiplied?
  @inline(__always) private func isPlausible(_ ticks: Int64, _ lots: Int64) -> Bool {
    UInt64(bitPattern: ticks &- 1) < UInt64(bitPattern: bounds.priceTicksMax)
      && UInt64(bitPattern: lots &- 1) < Self.lotsMax
  }

  /// Is it the account's own, and has it none of the terms that only some orders have?
  @inline(__always) private func isPlain(_ order: UnsafeMutablePointer<OrderSlot>, of account: UInt64) -> Bool {
    accounts.address(order.pointee.account).pointee.account == account && order.pointee.terms == noSlot
  }

  @inline(__always) private mutating func finishUsually(
    _ kind: UndoKind, _ slot: UInt32, _ entry: UnsafePointer<PackedEntry>
  ) {
    journal.put(UndoRecord(kind, slot: slot, old: lastKey.stamp.value, payload: lastKey.origin.value))
    lastKey = OrderKey(stamp: Stamp(entry.pointee.stamp), origin: OriginIndex(entry.pointee.origin))
  }
}
