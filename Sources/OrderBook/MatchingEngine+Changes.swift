import Primitives

/// The changes of which everything else is made. Each marks its level and leaves one undo record.
extension MatchingEngine {
  /// Puts what is left of an incoming order at the tail of the level of its limit.
  @inline(never) mutating func rest(_ incoming: borrowing Incoming) {
    let slot = insert(
      incoming.dot, account: incoming.account, book: incoming.book, ticks: incoming.limitTicks,
      openLots: incoming.openLots, filledLots: incoming.filledLots, flags: incoming.flags,
      clientRecord: incoming.clientRecord)
    if UInt64(bitPattern: incoming.displayLots) | incoming.expiry != 0 {
      setTerms(slot, display: incoming.displayLots, expiry: incoming.expiry)
    }
  }

  /// Puts an order at the tail of a level.
  @inline(__always) mutating func insert(
    _ dot: Dot, account: UInt64, book: UInt32, ticks: Int64, openLots: Int64, filledLots: Int64, flags: OrderFlags,
    clientRecord: UInt32
  ) -> UInt32 {
    let slot = put(
      dot, account: account, book: book, ticks: ticks, openLots: openLots, filledLots: filledLots, flags: flags,
      clientRecord: clientRecord)
    index.set(dot, to: slot)
    journal.push(UndoRecord(.inserted, slot: slot))
    return slot
  }

  /// As `insert`, without index and undo record.
  @inline(__always) mutating func put(
    _ dot: Dot, account: UInt64, book: UInt32, ticks: Int64, openLots: Int64, filledLots: Int64, flags: OrderFlags,
    clientRecord: UInt32
  ) -> UInt32 {
    let slot = orders.allocate()
    let entry = accounts.retain(account)
    let level = ladder.open(book, ticks)
    let order = orders.address(slot)
    order.pointee = OrderSlot(
      openLots: openLots, filledLots: filledLots, sequence: dot.sequence, packed: OrderSlot.pack(dot.origin, flags),
      level: level, account: entry, clientRecord: clientRecord)
    linkAccount(slot, order, accounts.address(entry))
    ladder.append(slot, order, flags.side, orders, row: book, ticks: ticks)
    if clientRecord != noSlot { ids.retain(clientRecord) }
    restingOrders &+= 1
    return slot
  }

  @inline(never) private mutating func setTerms(_ slot: UInt32, display: Int64, expiry: UInt64) {
    let open = orders[slot].openLots
    let terms = OrderTerms(displayLots: display, visibleLots: min(display, open), expiry: expiry)
    orders[slot].terms = orders.allocate(terms)
    enterTerms(slot)
  }

  /// What it hides and when it expires take effect.
  private mutating func enterTerms(_ slot: UInt32) {
    let hidden = orders[slot].openLots - orders.visibleLots(slot)
    if hidden > 0 { ladder.pages.hide(orders[slot].level, hidden) }
    if orders[terms: orders[slot].terms].expiry != 0 { expiries.insert(slot, &orders) }
  }

  private mutating func leaveTerms(_ slot: UInt32) {
    let hidden = orders[slot].openLots - orders.visibleLots(slot)
    if hidden > 0 { ladder.pages.unhide(orders[slot].level, hidden) }
    if orders[terms: orders[slot].terms].expiryPlace != 0 { expiries.remove(slot, &orders) }
  }

  /// Takes an order out of its level, or a stop from those that wait. It keeps slot and links until that is settled.
  @inline(never) mutating func remove(_ slot: UInt32) {
    remove(slot, indexedAt: index.cell(of: orders.address(slot).pointee.dot))
  }

  /// As above, for one that was just found.
  @inline(__always) mutating func remove(_ slot: UInt32, indexedAt cell: Int) {
    unlink(slot, indexedAt: cell)
    journal.push(UndoRecord(.removed, slot: slot))
  }

  @inline(__always) private mutating func unlink(_ slot: UInt32, indexedAt cell: Int) {
    let order = orders.address(slot)
    if order.pointee.terms != noSlot {
      if order.pointee.isWaiting { return unlinkWaiting(slot, indexedAt: cell) }
      leaveTerms(slot)
    }
    index.clear(cell, order.pointee.dot, from: slot)
    take(slot, order)
  }

  /// Takes an order that does not wait out of its level and from its account's. The index is the caller's.
  @inline(__always) mutating func take(_ slot: UInt32, _ order: UnsafeMutablePointer<OrderSlot>) {
    unlinkAccount(order)
    restingOrders &-= 1
    let isUnfinished = ladder.leave(order, order.pointee.side, orders)
    // Whatever calls comes last, so that nothing has to be kept for what follows.
    if order.pointee.block != noSlot { hasher.blocks.leave(slot, orders) }
    if isUnfinished { ladder.finishVacating(order.pointee.level, order.pointee.side) }
  }

  @inline(never) private mutating func unlinkWaiting(_ slot: UInt32, indexedAt cell: Int) {
    let order = orders[slot]
    if orders[terms: order.terms].expiryPlace != 0 { expiries.remove(slot, &orders) }
    if order.block != noSlot { hasher.blocks.leave(slot, orders) }
    stops.unlink(orders.address(slot), order.side.opposite, orders)
    unlinkAccount(orders.address(slot))
    index.clear(cell, order.dot, from: slot)
    waitingStops -= 1
  }

  /// The order becomes its account's newest. What would be written to a neighbour that is not there goes to slot 0,
  /// which is no order's and which nobody reads.
  @inline(__always) func linkAccount(
    _ slot: UInt32, _ order: UnsafeMutablePointer<OrderSlot>, _ entry: UnsafeMutablePointer<Accounts.Entry>
  ) {
    let older = entry.pointee.head
    entry.pointee.head = slot
    order.pointee.accountNext = older
    orders.address(older).pointee.accountPrevious = slot
  }

  @inline(__always) private mutating func unlinkAccount(_ order: UnsafeMutablePointer<OrderSlot>) {
    let newer = order.pointee.accountPrevious
    let older = order.pointee.accountNext
    orders.address(older).pointee.accountPrevious = newer
    orders.address(newer).pointee.accountNext = older
    if newer == noSlot { accounts.address(order.pointee.account).pointee.head = older }
  }

  /// The open quantity of a resting order, or of a stop that waits, went down by `lots`.
  @inline(__always) mutating func lower(_ slot: UInt32, _ lots: Int64) {
    let order = orders.address(slot)
    if order.pointee.block != noSlot { hasher.blocks.touch(order.pointee.block) }
    if order.pointee.terms != noSlot {
      if order.pointee.isWaiting { return lowerWaiting(slot, lots) }
      if order.pointee.flags.isIceberg { ladder.pages.unhide(order.pointee.level, lots) }
    }
    ladder.pages.address(order.pointee.level).pointee.subtract(lots)
    ladder.pages.mark(order.pointee.level, order.pointee.side)
  }

  @inline(never) private mutating func lowerWaiting(_ slot: UInt32, _ lots: Int64) {
    let level = orders[slot].level
    stops.pages[level].total -= UInt128(lots)
    stops.pages.mark(level, orders[slot].side.opposite)
  }

  /// Lowers an order's open quantity without a trade; it keeps its place.
  /// - Precondition: it shows no more than what is left; `show` first.
  mutating func reduce(_ slot: UInt32, by lots: Int64) {
    orders[slot].openLots -= lots
    lower(slot, lots)
    journal.push(UndoRecord(.reduced, slot: slot, old: UInt64(bitPattern: lots)))
  }

  /// Changes what an iceberg shows.
  @inline(never) mutating func show(_ slot: UInt32, _ lots: Int64) {
    let terms = orders[slot].terms
    let before = orders[terms: terms].visibleLots
    if before == lots { return }
    orders[terms: terms].visibleLots = lots
    let level = orders[slot].level
    if lots < before { ladder.pages.hide(level, before - lots) } else { ladder.pages.unhide(level, lots - before) }
    journal.push(UndoRecord(.shown, slot: slot, old: UInt64(bitPattern: before)))
  }

  /// The order at the head of its level's queue goes to the tail.
  mutating func requeue(_ slot: UInt32) {
    let order = orders[slot]
    precondition(order.previous == noSlot, "only the order that trades is refreshed")
    if order.block != noSlot {
      hasher.blocks.leave(slot, orders)
      orders[slot].block = noSlot
    }
    ladder.moveToTail(slot, orders)
    ladder.pages.mark(order.level, order.side)
    journal.push(UndoRecord(.requeued, slot: slot))
  }

  /// A slot whose order can never come back.
  @inline(__always) mutating func release(_ slot: UInt32) {
    let order = orders.address(slot)
    if order.pointee.clientRecord | order.pointee.terms != noSlot { releaseExtras(of: slot) }
    let number = order.pointee.level
    if order.pointee.isWaiting {
      stops.pages[number].references -= 1
      if stops.pages[number].isIdle { stops.releaseIfIdle(number / LevelPages.width) }
    } else {
      let level = ladder.pages.address(number)
      level.pointee.references &-= 1
      if level.pointee.isIdle { ladder.releaseIfIdle(number / LevelPages.width) }
    }
    accounts.release(order.pointee.account)
    orders.release(slot, order)
  }

  @inline(never) private mutating func releaseExtras(of slot: UInt32) {
    let record = orders[slot].clientRecord
    if record != noSlot { ids.forget(record) }
    orders.releaseTerms(of: slot)
  }

  /// Takes a tombstone out.
  mutating func lift(_ stone: UInt32) {
    tombstones.lift(stone)
    journal.push(UndoRecord(.tombstoneLifted, slot: stone))
  }

  // MARK: The same, backwards

  /// The order is the tail of its level and the newest of its account again: what came later is undone.
  mutating func undoInsert(_ slot: UInt32) {
    let order = orders[slot]
    precondition(order.next == noSlot && order.accountPrevious == noSlot, "undo is out of order")
    unlink(slot, indexedAt: index.cell(of: order.dot))
    release(slot)
  }

  /// The links of the order name the neighbours that it has again.
  mutating func undoRemove(_ slot: UInt32) {
    let order = orders[slot]
    if order.isWaiting {
      stops.relink(slot, order.side.opposite, orders)
      waitingStops += 1
      if orders[terms: order.terms].expiry != 0 { expiries.insert(slot, &orders) }
    } else {
      ladder.relink(slot, order.side, orders)
      restingOrders += 1
      if order.terms != noSlot { enterTerms(slot) }
    }
    hasher.blocks.join(slot, orders)
    if order.accountNext != noSlot { orders[order.accountNext].accountPrevious = slot }
    if order.accountPrevious != noSlot {
      orders[order.accountPrevious].accountNext = slot
    } else {
      accounts[order.account].head = slot
    }
    index.set(order.dot, to: slot)
  }

  /// The order got `lots` back, of which `filled` had been traded.
  mutating func undoLower(_ slot: UInt32, _ lots: Int64, filled: Int64) {
    let order = orders[slot]
    orders[slot].openLots += lots
    orders[slot].filledLots -= filled
    if order.block != noSlot { hasher.blocks.touch(order.block) }
    if order.isWaiting {
      stops.pages[order.level].total += UInt128(lots)
      stops.pages.mark(order.level, order.side.opposite)
      return
    }
    if order.flags.isIceberg { ladder.pages.hide(order.level, lots) }
    ladder.pages[order.level].total += UInt128(lots)
    ladder.pages.mark(order.level, order.side)
  }

  mutating func undoShow(_ slot: UInt32, _ before: Int64) {
    let terms = orders[slot].terms
    let lots = orders[terms: terms].visibleLots
    orders[terms: terms].visibleLots = before
    let level = orders[slot].level
    if lots < before { ladder.pages.unhide(level, before - lots) } else { ladder.pages.hide(level, lots - before) }
  }

  mutating func undoRequeue(_ slot: UInt32) {
    let order = orders[slot]
    if order.block != noSlot { hasher.blocks.leave(slot, orders) }
    ladder.moveToHead(slot, orders)
    hasher.blocks.join(slot, orders)
    ladder.pages.mark(order.level, order.side)
  }
}
