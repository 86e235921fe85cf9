import Primitives

extension MatchingEngine {
  /// Takes a new order: checks, trades, rests.
  ///
  /// The order is read field by field; what needs the whole of it is given the command.
  @inline(never) mutating func applyOrder(
    _ command: Command?, _ dot: Dot, _ stamp: Stamp, isEntombed: Bool, _ tape: inout EventTape
  ) {
    guard case .some(.order(let order)) = command else { return }
    guard let book = books.find(order.instrument) else {
      tape.append(.rejected(entry: dot, reason: .unknownInstrument, order: noDot))
      return
    }
    if let reason = order.flaw(bounds) {
      tape.append(.rejected(entry: dot, reason: reason, order: .none))
      return
    }
    var record = noSlot
    if !order.clientOrderID.isNone {
      record = takeID(command, dot, stamp, &tape)
      if record == noSlot { return }
    }
    tape.append(.accepted(order: dot))
    var incoming = Incoming(
      dot: dot, account: order.account.value, openLots: order.quantityLots, filledLots: 0, book: book,
      limitTicks: order.limitTicks, clientRecord: record, flags: OrderSlot.flags(order), side: order.side)
    if isEntombed || (tombstones.count != 0 && liftTombstone(of: command)) {
      tape.append(.cancelled(order: dot, reason: .tombstone, openLots: order.quantityLots))
      return
    }
    if order.timeInForce == .fillOrKill, !canFill(incoming) {
      tape.append(.cancelled(order: dot, reason: .fillOrKill, openLots: order.quantityLots))
      return
    }
    match(&incoming, &tape)
    if incoming.openLots == 0 { return }
    if order.type == .market {
      tape.append(.cancelled(order: dot, reason: .market, openLots: incoming.openLots))
    } else if order.timeInForce == .immediateOrCancel {
      tape.append(.cancelled(order: dot, reason: .immediateOrCancel, openLots: incoming.openLots))
    } else {
      rest(incoming, at: order.priceTicks)
      tape.append(.rested(order: dot, openLots: incoming.openLots))
    }
  }

  /// Remembers the order's client order id; or rejects the order and returns none.
  @inline(never) private mutating func takeID(
    _ command: Command?, _ dot: Dot, _ stamp: Stamp, _ tape: inout EventTape
  ) -> UInt32 {
    guard case .some(.order(let order)) = command else { return noSlot }
    let fingerprint = order.fingerprint
    if let first = remembered(order.account.value, order.clientOrderID) {
      let reason: RejectReason = ids[first].fingerprint == fingerprint ? .repeated : .duplicateID
      tape.append(.rejected(entry: dot, reason: reason, order: ids[first].dot))
      return noSlot
    }
    // An id is taken only if no order of that id can have been taken before and forgotten for its age since: a client's
    // time is at most `ahead` after its entry's stamp, so the refusal starts that much before the forgetting.
    // (Forgetting because of `Limits.clientOrderIDsMax` is not covered.)
    let ahead = Limits.stampAheadMillisecondsMax
    if order.clientTimeMilliseconds > stamp.milliseconds + ahead {
      tape.append(.rejected(entry: dot, reason: .clientTimeAhead, order: .none))
      return noSlot
    }
    let oldest = stamp.milliseconds + ahead - min(bounds.windowMilliseconds, stamp.milliseconds)
    if order.clientTimeMilliseconds < oldest {
      tape.append(.rejected(entry: dot, reason: .stale, order: .none))
      return noSlot
    }
    let record = ids.add(dot, order, fingerprint: fingerprint, second: second)
    journal.push(UndoRecord(.identified, slot: record))
    return record
  }

  /// The record of (account, id), if the id is remembered now.
  @inline(__always) func remembered(_ account: UInt64, _ id: ClientOrderID) -> UInt32? {
    let record = ids.find(account, id)
    if record == noSlot { return nil }
    if ids.isInWindow(record, at: second) || index.slot(of: ids[record].dot) != noSlot { return record }
    return nil
  }

  /// Trades the incoming order against the other side while prices allow.
  @inline(__always) mutating func match(_ incoming: inout Incoming, _ tape: inout EventTape) {
    var last: Int64 = 0
    if incoming.side == .buy {
      while incoming.openLots > 0 {
        let ticks = ladder[incoming.book].bestAskTicks
        guard ticks <= incoming.limitTicks else { break }
        last = ticks
        sweep(ladder[incoming.book].bestAsk, ticks, &incoming, &tape)
      }
    } else {
      while incoming.openLots > 0 {
        let ticks = ladder[incoming.book].bestBidTicks
        guard ticks >= incoming.limitTicks else { break }
        last = ticks
        sweep(ladder[incoming.book].bestBid, ticks, &incoming, &tape)
      }
    }
    if last != 0 && books[incoming.book].lastTradeTicks != last {
      journal.push(
        UndoRecord(.lastTrade, slot: incoming.book, old: UInt64(bitPattern: books[incoming.book].lastTradeTicks)))
      books[incoming.book].lastTradeTicks = last
      books[incoming.book].isDirty = true
    }
  }

  /// Trades with one level, oldest order first, until either is used up.
  private mutating func sweep(
    _ level: UInt32, _ ticks: Int64, _ incoming: inout Incoming, _ tape: inout EventTape
  ) {
    let instrument = books[incoming.book].dot
    while true {
      let slot = ladder.pages[level].head
      let available = orders[slot].openLots
      let lots = min(available, incoming.openLots)
      incoming.openLots -= lots
      incoming.filledLots += lots
      tape.append(
        .filled(
          Fill(
            instrument: instrument, maker: orders[slot].dot, taker: incoming.dot, takerSide: incoming.side,
            priceTicks: ticks, quantityLots: lots, makerOpenLots: available - lots,
            takerOpenLots: incoming.openLots)))
      if lots < available {
        orders[slot].openLots = available - lots
        orders[slot].filledLots += lots
        ladder.pages[level].total -= UInt128(lots)
        ladder.pages.mark(level, incoming.side.opposite)
        journal.push(UndoRecord(.filled, slot: slot, old: UInt64(lots)))
        return
      }
      let next = orders[slot].next
      remove(slot)
      if next == noSlot || incoming.openLots == 0 { return }
    }
  }

  /// Could the order trade whole? Only level totals are read.
  /// - Complexity: O(levels down to its limit).
  func canFill(_ incoming: borrowing Incoming) -> Bool {
    let makers = incoming.side.opposite
    let wanted = UInt128(incoming.openLots)
    var found: UInt128 = 0
    var level = makers == .sell ? ladder[incoming.book].bestAsk : ladder[incoming.book].bestBid
    while level != noSlot {
      let ticks = ladder.pages.price(of: level)
      if makers == .sell ? ticks > incoming.limitTicks : ticks < incoming.limitTicks { return false }
      found += ladder.pages[level].total
      if found >= wanted { return true }
      level = ladder.worse(incoming.book, makers, than: ticks)
    }
    return false
  }
}

extension Order {
  /// Worst price the order may trade at.
  @inline(__always) var limitTicks: Int64 {
    if type == .market { return side == .buy ? Int64.max - 1 : Int64.min + 1 }
    return priceTicks
  }

  /// Why the order could never be taken, whatever the book holds; nil if it could.
  @inline(__always) func flaw(_ bounds: Bounds) -> RejectReason? {
    if quantityLots < 1 || quantityLots > bounds.quantityLotsMax { return .invalidQuantity }
    switch type {
    case .limit:
      if priceTicks < 1 || priceTicks > bounds.priceTicksMax { return .invalidPrice }
    case .market:
      if priceTicks != 0 { return .invalidPrice }
    case .stop, .stopLimit:
      return .unsupported
    }
    if postOnly || displayLots != 0 || stopPriceTicks != 0 || expiry.value != 0 || timeInForce == .goodTillDate
      || selfTradePrevention != .none
    {
      return rareFlaw
    }
    return nil
  }

  @inline(never) private var rareFlaw: RejectReason {
    if stopPriceTicks != 0 { return .invalidStop }
    if timeInForce != .goodTillDate && expiry != .zero { return .invalidExpiry }
    if displayLots < 0 { return .invalidDisplay }
    let rests = type == .limit && (timeInForce == .goodTillCancel || timeInForce == .goodTillDate)
    if (postOnly || displayLots != 0) && !rests { return .invalidCombination }
    if timeInForce == .goodTillDate && type == .market { return .invalidCombination }
    return .unsupported
  }
}
