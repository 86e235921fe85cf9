import Primitives

extension MatchingEngine {
  /// Takes a new order: checks, trades, rests or waits.
  @inline(__always) mutating func place(
    _ order: Order, _ dot: Dot, _ stamp: Stamp, _ isEntombed: Bool, _ tape: inout EventTape
  ) {
    if order.isPlain && !isEntombed && tombstones.count == 0 {
      placePlain(order, dot, stamp, &tape)
    } else {
      placeSpecial(order, dot, stamp, isEntombed, &tape)
    }
  }

  /// A limit order that no cancel waits for, good till cancelled, immediate or cancel, or fill or kill.
  @inline(__always) private mutating func placePlain(
    _ order: Order, _ dot: Dot, _ stamp: Stamp, _ tape: inout EventTape
  ) {
    guard let book = books.find(order.instrument) else {
      tape.append(.rejected(entry: dot, reason: .unknownInstrument, order: noDot))
      return
    }
    let notional = order.priceTicks.multipliedFullWidth(by: order.quantityLots)
    guard UInt64(bitPattern: order.quantityLots &- 1) < UInt64(bitPattern: bounds.quantityLotsMax),
      UInt64(bitPattern: order.priceTicks &- 1) < UInt64(bitPattern: bounds.priceTicksMax),
      notional.high < 1 << 32
    else {
      return refuse(order, dot, &tape)
    }
    var record = noSlot
    if !order.clientOrderID.isNone {
      record = takeNames(order, dot, stamp, false, &tape)
      if record == noSlot { return }
    }
    if order.timeInForce == .goodTillCancel && !crosses(book, order.side, order.priceTicks) {
      _ = insert(
        dot, account: order.account.value, book: book, ticks: order.priceTicks, openLots: order.quantityLots,
        filledLots: 0, flags: OrderFlags(bits: UInt32(order.side.rawValue)), clientRecord: record)
      tape.append(.accepted(order: dot))
      tape.append(.rested(order: dot, openLots: order.quantityLots))
      return
    }
    enterPlain(order, dot, book, record, &tape)
  }

  @inline(never) private mutating func refuse(
    _ order: Order, _ dot: Dot, _ tape: inout EventTape
  ) {
    tape.append(.rejected(entry: dot, reason: order.flaw(bounds) ?? .notionalOverflow, order: noDot))
  }

  @inline(never) private mutating func enterPlain(
    _ order: Order, _ dot: Dot, _ book: UInt32, _ record: UInt32, _ tape: inout EventTape
  ) {
    tape.append(.accepted(order: dot))
    var incoming = Incoming(
      dot: dot, account: order.account.value, openLots: order.quantityLots, limitTicks: order.priceTicks, book: book,
      clientRecord: record,
      flags: OrderFlags(bits: UInt32(order.side.rawValue) | UInt32(order.timeInForce.rawValue) &<< 2))
    enter(&incoming, order.timeInForce, &tape)
    if triggered.count != 0 { enterTriggered(&tape) }
  }

  /// Any order.
  @inline(never) private mutating func placeSpecial(
    _ order: Order, _ dot: Dot, _ stamp: Stamp, _ isEntombed: Bool, _ tape: inout EventTape
  ) {
    guard let book = books.find(order.instrument) else {
      tape.append(.rejected(entry: dot, reason: .unknownInstrument, order: noDot))
      return
    }
    if let reason = order.flaw(bounds) {
      tape.append(.rejected(entry: dot, reason: reason, order: .none))
      return
    }
    var record = noSlot
    if !order.clientOrderID.isNone || order.firstWord != 0 {
      record = takeNames(order, dot, stamp, isEntombed, &tape)
      if record == noSlot { return }
    } else if order.isOver(at: stamp) {
      tape.append(.rejected(entry: dot, reason: .invalidExpiry, order: .none))
      return
    }
    if tombstones.count != 0 && liftTombstones(of: order) || isEntombed {
      tape.append(.accepted(order: dot))
      tape.append(.cancelled(order: dot, reason: .tombstone, openLots: order.quantityLots))
      return
    }
    var incoming = Incoming(
      dot: dot, account: order.account.value, openLots: order.quantityLots, limitTicks: order.limitTicks, book: book,
      clientRecord: record, flags: OrderFlags(order), displayLots: order.displayLots, expiry: order.expiry.value)
    if order.postOnly && crosses(book, order.side, incoming.limitTicks) {
      tape.append(.rejected(entry: dot, reason: .wouldTrade, order: .none))
      return
    }
    tape.append(.accepted(order: dot))
    if order.stopPriceTicks != 0 {
      guard isReached(order.stopPriceTicks, order.side, book) else {
        wait(incoming, stop: order.stopPriceTicks, limit: order.priceTicks, since: lastKey)
        tape.append(.waiting(order: dot, openLots: order.quantityLots))
        return
      }
      tape.append(.triggered(order: dot))
    }
    enter(&incoming, order.timeInForce, &tape)
    if triggered.count != 0 { enterTriggered(&tape) }
  }

  /// Would an order with this limit trade at once?
  @inline(__always) func crosses(_ book: UInt32, _ side: Side, _ limit: Int64) -> Bool {
    ladder.reaches(book, side.opposite, limit)
  }

  /// Trades; what is left rests or is cancelled.
  @inline(__always) mutating func enter(
    _ incoming: inout Incoming, _ timeInForce: TimeInForce, _ tape: inout EventTape
  ) {
    if crosses(incoming.book, incoming.side, incoming.limitTicks) {
      if timeInForce == .fillOrKill, !canFill(incoming) { return kill(incoming, &tape) }
      trade(&incoming, &tape)
      if incoming.openLots == 0 { return }
    } else if timeInForce == .fillOrKill {
      return kill(incoming, &tape)
    }
    if timeInForce == .immediateOrCancel || timeInForce == .fillOrKill || incoming.isMarket {
      let reason: CancelReason = incoming.isMarket ? .market : .immediateOrCancel
      tape.append(.cancelled(order: incoming.dot, reason: reason, openLots: incoming.openLots))
      return
    }
    rest(incoming)
    tape.append(.rested(order: incoming.dot, openLots: incoming.openLots))
  }

  private mutating func kill(_ incoming: borrowing Incoming, _ tape: inout EventTape) {
    tape.append(.cancelled(order: incoming.dot, reason: .fillOrKill, openLots: incoming.openLots))
  }
}

extension Order {
  /// Nothing but a limit, a price and a quantity, and perhaps a client order id.
  @inline(__always) var isPlain: Bool {
    let marks = type.rawValue | selfTradePrevention.rawValue | (postOnly ? 1 : 0) | timeInForce.rawValue / 3
    return UInt64(marks) | UInt64(bitPattern: stopPriceTicks | displayLots) | expiry.value | firstWord == 0
  }

  /// Plain, without a client order id, and not fill or kill.
  @inline(__always) var isUsual: Bool {
    let marks = type.rawValue | selfTradePrevention.rawValue | (postOnly ? 1 : 0) | timeInForce.rawValue &>> 1
    let rest = UInt64(bitPattern: stopPriceTicks | displayLots) | expiry.value | firstWord
    return UInt64(marks | clientOrderID.kind.rawValue) | rest == 0
  }

  /// Worst price the order may trade at.
  @inline(__always) var limitTicks: Int64 {
    if type == .market || type == .stop { return side == .buy ? Incoming.anyAsk : Incoming.anyBid }
    return priceTicks
  }

  /// Why the order could never be taken, whatever the book holds; nil if it could.
  @inline(never) func flaw(_ bounds: Bounds) -> RejectReason? {
    if quantityLots < 1 || quantityLots > bounds.quantityLotsMax { return .invalidQuantity }
    let hasLimit = type == .limit || type == .stopLimit
    if hasLimit ? priceTicks < 1 || priceTicks > bounds.priceTicksMax : priceTicks != 0 { return .invalidPrice }
    let hasStop = type == .stop || type == .stopLimit
    if hasStop ? stopPriceTicks < 1 || stopPriceTicks > bounds.priceTicksMax : stopPriceTicks != 0 {
      return .invalidStop
    }
    if isNotionalTooLarge(priceTicks, quantityLots) { return .notionalOverflow }
    if timeInForce != .goodTillDate && expiry != .zero { return .invalidExpiry }
    if displayLots < 0 || displayLots > quantityLots || hasTooManySlices(quantityLots, displayLots) {
      return .invalidDisplay
    }
    if timeInForce == .goodTillDate && type == .market { return .invalidCombination }
    let rests = hasLimit && (timeInForce == .goodTillCancel || timeInForce == .goodTillDate)
    if postOnly && !(rests && type == .limit) || displayLots != 0 && !rests { return .invalidCombination }
    return nil
  }
}

extension Order {
  /// Good till a date that has come.
  @inline(__always) func isOver(at stamp: Stamp) -> Bool { timeInForce == .goodTillDate && expiry <= stamp }
}

/// Would an iceberg of `openLots` show so little at a time that it takes more slices than one order may have?
func hasTooManySlices(_ openLots: Int64, _ displayLots: Int64) -> Bool {
  displayLots > 0 && (openLots - 1) / displayLots >= Limits.icebergSlicesMax
}

/// Is price × quantity 2^96 or more?
/// - Precondition: neither is negative.
func isNotionalTooLarge(_ priceTicks: Int64, _ quantityLots: Int64) -> Bool {
  priceTicks.multipliedFullWidth(by: quantityLots).high >= 1 << 32
}
