import Primitives

extension MatchingEngine {
  /// Takes back everything after `mark`: the earlier state, exactly.
  ///
  /// - Precondition: `mark` is a `journalMark` between two entries, not settled away and not ahead.
  /// - Complexity: O(undo records after `mark`).
  public mutating func rollback(to mark: UInt64) {
    precondition(mark >= journal.start && mark <= journal.end, "no such mark in the undo journal")
    while journal.end > mark { undo(journal.pop()) }
  }

  /// Everything before `mark` stays: its undo records go, and the slots of orders that it removed.
  ///
  /// - Precondition: `mark` is a `journalMark` between two entries, not ahead. An earlier settled mark does nothing.
  /// - Complexity: O(undo records let go).
  public mutating func settle(through mark: UInt64) {
    precondition(mark <= journal.end, "no such mark in the undo journal")
    let recordsBefore = settledRecords
    let secondBefore = settledSecond
    while journal.start < mark {
      let record = journal.settleOldest()
      switch record.kind {
      case .removed: release(record.slot)
      case .identified: settledRecords += 1
      case .clock: settledSecond = record.old
      case .tombstoneLifted: tombstones.release(record.slot)
      case .applied, .inserted, .filled, .reduced, .lastTrade, .tombstoneLaid, .defined: break
      }
    }
    if settledRecords != recordsBefore || settledSecond != secondBefore {
      ids.trim(second: settledSecond, settled: settledRecords)
    }
  }

  @inline(__always) private mutating func undo(_ record: UndoRecord) {
    switch record.kind {
    case .applied:
      index.retreat(OriginIndex(record.slot))
      lastKey = OrderKey(stamp: Stamp(record.old), origin: OriginIndex(record.payload))
    case .inserted: undoInsert(record.slot)
    case .removed: undoRemove(record.slot)
    case .filled:
      let lots = Int64(record.old)
      orders[record.slot].openLots += lots
      orders[record.slot].filledLots -= lots
      restore(record.slot, lots)
    case .reduced:
      orders[record.slot].openLots += Int64(record.old)
      restore(record.slot, Int64(record.old))
    case .lastTrade:
      books[record.slot].lastTradeTicks = Int64(bitPattern: record.old)
      books[record.slot].isDirty = true
    case .clock: second = record.old
    case .identified: ids.removeNewest()
    case .tombstoneLaid: tombstones.unlay(record.slot)
    case .tombstoneLifted: tombstones.restore(record.slot)
    case .defined: undoDefinition(record.slot)
    }
  }

  /// The level of an order that got `lots` back.
  private mutating func restore(_ slot: UInt32, _ lots: Int64) {
    ladder.pages[orders[slot].level].total += UInt128(lots)
    ladder.pages.mark(orders[slot].level, orders[slot].side)
  }

  /// The order is the tail of its level and the newest of its account again: what came later is undone.
  private mutating func undoInsert(_ slot: UInt32) {
    let order = orders[slot]
    precondition(order.next == noSlot && order.accountPrevious == noSlot, "undo is out of order")
    unlink(slot, order, indexedAt: index.cell(of: order.dot))
    ladder.pages.mark(order.level, order.side)
    release(slot)
  }

  /// The links of the order name the neighbours that it has again.
  private mutating func undoRemove(_ slot: UInt32) {
    let order = orders[slot]
    let level = order.level
    if order.previous != noSlot { orders[order.previous].next = slot } else { ladder.pages[level].head = slot }
    if order.next != noSlot { orders[order.next].previous = slot } else { ladder.pages[level].tail = slot }
    ladder.pages[level].total += UInt128(order.openLots)
    ladder.pages[level].count += 1
    if order.previous | order.next == noSlot { ladder.occupy(level, order.side) }
    if order.accountNext != noSlot { orders[order.accountNext].accountPrevious = slot }
    if order.accountPrevious != noSlot {
      orders[order.accountPrevious].accountNext = slot
    } else {
      accounts.setHead(of: order.account, to: slot)
    }
    index.set(order.dot, to: slot)
    restingOrders += 1
    ladder.pages.mark(level, order.side)
  }

  private mutating func undoDefinition(_ book: UInt32) {
    precondition(book + 1 == books.count, "undo is out of order")
    if tracksChangedLevels { rememberVanishedLevels(of: book) }
    hasher.forget(&books[book])
    books.removeLast()
    ladder.removeLast()
  }
}
