import Primitives

/// The changes of which everything else is made. Each marks its level and leaves one undo record.
extension MatchingEngine {
  /// Puts what is left of an incoming order at the tail of its level.
  @inline(__always) mutating func rest(_ incoming: borrowing Incoming, at ticks: Int64) {
    let slot = orders.allocate()
    let level = ladder.open(incoming.book, ticks)
    let tail = ladder.pages[level].append(slot, incoming.openLots)
    let newest = accounts.head(of: incoming.account)
    orders[slot] = OrderSlot(
      openLots: incoming.openLots, filledLots: incoming.filledLots, account: incoming.account,
      sequence: incoming.dot.sequence, level: level, previous: tail, next: noSlot, accountPrevious: noSlot,
      accountNext: newest, clientRecord: incoming.clientRecord,
      packed: OrderSlot.pack(incoming.dot.origin, flags: incoming.flags))
    ladder.pages[page: level / LevelPages.width].references += 1
    if tail != noSlot { orders[tail].next = slot } else { ladder.occupy(level, incoming.side) }
    if newest != noSlot { orders[newest].accountPrevious = slot }
    accounts.setHead(of: incoming.account, to: slot)
    index.set(incoming.dot, to: slot)
    if incoming.clientRecord != noSlot { ids.retain(incoming.clientRecord) }
    restingOrders += 1
    ladder.pages.mark(level, incoming.side)
    journal.push(UndoRecord(.inserted, slot: slot))
  }

  /// Takes an order out of its level. It keeps slot and links until that is settled.
  @inline(__always) mutating func remove(_ slot: UInt32) {
    remove(slot, indexedAt: index.cell(of: orders[slot].dot))
  }

  /// As above, for one that was just found.
  @inline(__always) mutating func remove(_ slot: UInt32, indexedAt cell: Int) {
    let order = orders[slot]
    unlink(slot, order, indexedAt: cell)
    ladder.pages.mark(order.level, order.side)
    journal.push(UndoRecord(.removed, slot: slot))
  }

  @inline(__always) mutating func unlink(_ slot: UInt32, _ order: OrderSlot, indexedAt cell: Int) {
    let level = order.level
    if order.previous != noSlot { orders[order.previous].next = order.next }
    if order.next != noSlot { orders[order.next].previous = order.previous }
    ladder.pages[level].remove(order.openLots, previous: order.previous, next: order.next)
    if order.previous | order.next == noSlot { ladder.vacate(level, order.side) }
    if order.accountNext != noSlot { orders[order.accountNext].accountPrevious = order.accountPrevious }
    if order.accountPrevious != noSlot {
      orders[order.accountPrevious].accountNext = order.accountNext
    } else {
      accounts.setHead(of: order.account, to: order.accountNext)
    }
    index.clear(cell, order.dot, from: slot)
    restingOrders -= 1
  }

  /// Lowers an order's open quantity; it keeps its place.
  mutating func reduce(_ slot: UInt32, by lots: Int64) {
    let level = orders[slot].level
    orders[slot].openLots -= lots
    ladder.pages[level].total -= UInt128(lots)
    ladder.pages.mark(level, orders[slot].side)
    journal.push(UndoRecord(.reduced, slot: slot, old: UInt64(lots)))
  }

  /// A slot whose order can never come back.
  @inline(__always) mutating func release(_ slot: UInt32) {
    let page = orders[slot].level / LevelPages.width
    let record = orders[slot].clientRecord
    ladder.pages[page: page].references -= 1
    ladder.releaseIfIdle(page)
    if record != noSlot { ids.forget(record) }
    orders.release(slot)
  }

  /// Takes a tombstone out.
  mutating func lift(_ stone: UInt32) {
    tombstones.lift(stone)
    journal.push(UndoRecord(.tombstoneLifted, slot: stone))
  }
}
