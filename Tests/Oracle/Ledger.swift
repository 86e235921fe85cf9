import OrderBook
import Primitives

/// Follows every order through its events and keeps account of its lots.
///
/// It knows what the events mean, and price-time priority; not how orders are matched. Once it has thrown it is of no
/// more use.
package struct Ledger: Sendable {
  package struct Account: Sendable {
    package let dot: Dot
    package fileprivate(set) var order: Order
    package fileprivate(set) var status = OrderStatus.pending
    package fileprivate(set) var priceTicks: Int64
    package fileprivate(set) var lots: OrderLots
    /// What the book shows while it rests.
    package fileprivate(set) var visible: Int64 = 0
    /// Since when it rests where it rests, or waits where it waits.
    package fileprivate(set) var place: Place?
    package fileprivate(set) var isWaiting = false
    /// Step of the first trade at its stop price or beyond, of this entry's.
    fileprivate var reachedAt: Int?

    package fileprivate(set) var open: Int64 {
      get { Int64(lots.open) }
      set { lots.open = Int128(newValue) }
    }
  }
  /// Time: the entry, and the step within it.
  package struct Place: Equatable, Sendable {
    var entry: Int
    var step: Int
    package static func < (left: Place, right: Place) -> Bool {
      (left.entry, left.step) < (right.entry, right.step)
    }
  }
  /// What an event says cannot be.
  package struct Mistake: Error {
    package var text: String
  }
  fileprivate struct Entry: CustomStringConvertible {
    var command: Command?
    var dot: Dot
    var stamp: Stamp
    var description: String { "\(dot) at \(stamp): \(command.map { "\($0)" } ?? "nothing")" }
  }

  /// Every order there ever was, in the order in which they came.
  package private(set) var accounts: [Account] = []
  /// Where in `accounts` an order is.
  private var indices: [Dot: Int] = [:]
  /// Where in `accounts` those are that are open, rising.
  private var openIndices: [Int] = []
  private var lastTrade: [Dot: Int64] = [:]
  private var entries = 0
  /// The newest stop that waited and was triggered by this entry: when it was reached, and since when it had waited.
  private var lastTriggered: (step: Int, place: Place)?

  package init() {}

  /// Every order that is open, in the order in which they came.
  package var open: [Account] { openIndices.map { accounts[$0] } }

  package subscript(dot: Dot) -> Account? { indices[dot].map { accounts[$0] } }

  /// Of all orders.
  package var total: OrderLots { accounts.reduce(into: OrderLots(placed: 0)) { $0 += $1.lots } }

  /// Takes the next entry, in the order of keys, with what it is said to have done.
  /// - Throws: what is wrong with the events of an entry, or with where they leave the orders.
  package mutating func follow(
    _ command: Command?, at dot: Dot, stamp: Stamp, _ events: [OrderEvent]
  ) throws(Mistake) {
    let entry = Entry(command: command, dot: dot, stamp: stamp)
    entries += 1
    lastTriggered = nil
    if case .order(let order) = command {
      try expect(indices[dot] == nil, "\(entry) comes again")
      indices[dot] = accounts.count
      openIndices.append(accounts.count)
      let lots = OrderLots(placed: Int128(order.quantityLots))
      accounts.append(Account(dot: dot, order: order, priceTicks: order.priceTicks, lots: lots))
    }
    try checkExpiries(events)
    for (step, event) in events.enumerated() { try follow(event, entry, Place(entry: entries, step: step)) }
    for index in openIndices { try Self.checkAtRest(accounts[index], stamp) }
  }

  /// Changes one order's account; it must balance afterwards, and its status may only go forward.
  private mutating func change(
    _ dot: Dot, _ event: OrderEvent, _ body: (inout Account) -> Void
  ) throws(Mistake) {
    var order = try account(dot, event)
    let before = order.status
    body(&order)
    try expect(order.lots.isBalanced, "\(event) leaves \(order)")
    try expect(order.status.rawValue >= before.rawValue, "\(event), but it was \(before)")
    guard let index = indices[dot] else { return }
    accounts[index] = order
    if order.status.isTerminal { openIndices.removeAll { $0 == index } }
  }

  private func account(_ dot: Dot, _ event: OrderEvent) throws(Mistake) -> Account {
    guard let order = self[dot] else { throw Mistake(text: "\(event), but there is no such order") }
    try expect(!order.status.isTerminal, "\(event), but it is not open: \(order.status)")
    return order
  }

  private mutating func follow(_ event: OrderEvent, _ entry: Entry, _ place: Place) throws(Mistake) {
    switch event {
    case .accepted(let dot):
      let order = try account(dot, event)
      try expect(dot == entry.dot && order.status == .pending, "\(event) at \(entry)")
      try change(dot, event) {
        $0.status = .open
        $0.open = $0.order.quantityLots
      }
    case .waiting(let dot, let lots):
      let order = try account(dot, event)
      try expect(order.order.stopPriceTicks != 0 && order.open == lots && order.place == nil, "\(event): \(order)")
      try change(dot, event) {
        $0.isWaiting = true
        $0.place = place
      }
    case .triggered(let dot):
      let order = try account(dot, event)
      try expect(order.isWaiting || dot == entry.dot && order.order.stopPriceTicks != 0, "\(event): \(order)")
      try checkTurn(order, event)
      try change(dot, event) {
        $0.isWaiting = false
        $0.place = nil
        // It waits no more, and a second time it cannot.
        $0.order.stopPriceTicks = 0
      }
    case .rested(let dot, let lots):
      let order = try account(dot, event)
      try expect(order.open == lots && order.place == nil && order.mayRest, "\(event): \(order)")
      try change(dot, event) {
        $0.place = place
        $0.visible = $0.order.displayLots == 0 ? lots : min(lots, $0.order.displayLots)
      }
    case .refreshed(let dot, let lots):
      let order = try account(dot, event)
      try expect(order.visible == 0 && lots == min(order.order.displayLots, order.open), "\(event): \(order)")
      try change(dot, event) {
        $0.place = place
        $0.visible = lots
      }
    case .filled(let fill): try follow(fill, event, place.step)
    case .cancelled(let dot, _, let lots):
      let order = try account(dot, event)
      try expect(order.open == lots, "\(event): \(order)")
      try change(dot, event) {
        $0.status = .cancelled
        $0.lots.cancelled += $0.lots.open
        $0.open = 0
      }
    case .expired(let dot, let lots):
      let order = try account(dot, event)
      try expect(order.open == lots && order.order.isDue(at: entry.stamp), "\(event): \(order)")
      try change(dot, event) {
        $0.status = .expired
        $0.lots.expired += $0.lots.open
        $0.open = 0
      }
    case .reduced(let dot, let lots, let left):
      let order = try account(dot, event)
      try expect(lots > 0 && order.open - lots == left, "\(event): \(order)")
      try change(dot, event) {
        $0.lots.reduced += Int128(lots)
        $0.open = left
        if $0.place != nil { $0.visible -= lots }
      }
    case .amended(let dot, let by, let price, let lots, let reduced):
      let order = try account(dot, event)
      try expect(by == entry.dot && order.open - lots == reduced && order.place != nil, "\(event): \(order)")
      try amend(dot, event, entry, price, lots)
    case .rejected(let by, _, let order):
      try expect(by == entry.dot && (order.isNone || order != entry.dot), "\(event) at \(entry)")
      if case .order = entry.command { try reject(by, event) }
    case .instrumentDefined(let by): try expect(by == entry.dot, "\(event) at \(entry)")
    }
  }

  private mutating func reject(_ dot: Dot, _ event: OrderEvent) throws(Mistake) {
    let order = try account(dot, event)
    try expect(order.status == .pending, "\(event), but it is \(order.status)")
    try change(dot, event) {
      $0.status = .rejected
      $0.lots.rejected = $0.lots.placed
    }
  }

  private mutating func amend(
    _ dot: Dot, _ event: OrderEvent, _ entry: Entry, _ price: Int64, _ lots: Int64
  ) throws(Mistake) {
    guard case .amend(let amend) = entry.command else { throw Mistake(text: "\(event) at \(entry)") }
    try change(dot, event) {
      let keepsPlace = price == $0.priceTicks && lots <= $0.open && !amend.forfeitsPriority
      if lots <= $0.open {
        $0.lots.reduced += Int128($0.open - lots)
      } else {
        $0.lots.placed += Int128(lots - $0.open)
      }
      $0.priceTicks = price
      $0.open = lots
      $0.visible = min($0.visible, lots)
      if !keepsPlace {
        $0.place = nil
        $0.isWaiting = false
      }
    }
  }

  /// Expiries come before anything else, by date and dot.
  private func checkExpiries(_ events: [OrderEvent]) throws(Mistake) {
    var last: (expiry: Stamp, dot: Dot)?
    var isOver = false
    for event in events {
      guard case .expired(let dot, _) = event else {
        isOver = true
        continue
      }
      let expiry = try account(dot, event).order.expiry
      try expect(!isOver, "\(event) after something else")
      if let last { try expect((last.expiry, last.dot) < (expiry, dot), "\(event) after \(last.dot)") }
      last = (expiry, dot)
    }
  }

  // MARK: Trades

  private mutating func follow(_ fill: Fill, _ event: OrderEvent, _ step: Int) throws(Mistake) {
    let maker = try account(fill.maker, event)
    let taker = try account(fill.taker, event)
    guard let place = maker.place, !maker.isWaiting, taker.place == nil else {
      throw Mistake(text: "\(event) between \(maker) and \(taker)")
    }
    try expect(
      fill.quantityLots > 0 && maker.open - fill.quantityLots == fill.makerOpenLots
        && taker.open - fill.quantityLots == fill.takerOpenLots && fill.quantityLots <= maker.visible,
      "\(event) between \(maker) and \(taker)")
    try expect(
      fill.takerSide == taker.order.side && maker.order.side != taker.order.side && taker.allows(fill.priceTicks)
        && fill.instrument == maker.order.instrument && fill.instrument == taker.order.instrument
        && fill.priceTicks == maker.priceTicks, "\(event) between \(maker) and \(taker)")
    try expect(
      taker.order.selfTradePrevention == .none || maker.order.account != taker.order.account,
      "\(event) is a self-trade that was to be prevented")
    for index in openIndices where accounts[index].competes(with: maker) && accounts[index].dot != fill.maker {
      let other = accounts[index]
      guard let otherPlace = other.place else { continue }
      let isBefore = other.priceTicks == maker.priceTicks ? otherPlace < place : other.isBetter(than: maker)
      try expect(!isBefore, "\(event), but \(other.dot) comes first")
    }
    lastTrade[fill.instrument] = fill.priceTicks
    for index in openIndices where accounts[index].isWaiting && accounts[index].reachedAt == nil {
      let stop = accounts[index]
      if stop.order.instrument == fill.instrument && isReached(stop) { accounts[index].reachedAt = step }
    }
    for (dot, left) in [(fill.maker, fill.makerOpenLots), (fill.taker, fill.takerOpenLots)] {
      try change(dot, event) {
        $0.lots.filled += Int128(fill.quantityLots)
        $0.open = left
        $0.status = left == 0 ? .filled : .partiallyFilled
        if $0.place != nil { $0.visible -= fill.quantityLots }
      }
    }
  }

  /// Stops are triggered in the order in which trades reached them; of one trade's, the one that waited longest first.
  private mutating func checkTurn(_ stop: Account, _ event: OrderEvent) throws(Mistake) {
    guard stop.isWaiting, let place = stop.place else {
      return try expect(isReached(stop), "\(event), but its price was not reached")
    }
    guard let step = stop.reachedAt else { throw Mistake(text: "\(event), but its price was not reached") }
    if let last = lastTriggered {
      try expect(last.step == step ? last.place < place : last.step < step, "\(event) out of turn")
    }
    lastTriggered = (step, place)
  }

  private func isReached(_ stop: Account) -> Bool {
    guard let last = lastTrade[stop.order.instrument] else { return false }
    return stop.order.side == .buy ? last >= stop.order.stopPriceTicks : last <= stop.order.stopPriceTicks
  }

  // MARK: Between entries

  /// An open order rests or waits, has something open, and nothing has happened that should have moved it.
  private static func checkAtRest(_ order: Account, _ stamp: Stamp) throws(Mistake) {
    let dot = order.dot
    try expect(order.status != .pending, "\(dot) was neither accepted nor rejected")
    try expect(order.place != nil && order.open > 0, "\(dot) hangs in the air: \(order)")
    try expect(!order.order.isDue(at: stamp), "\(dot) should have expired")
    if order.isWaiting {
      try expect(order.reachedAt == nil, "\(dot) should have been triggered")
    } else {
      try expect(order.visible > 0 && order.visible <= order.open, "\(dot) shows nothing: \(order)")
    }
  }

  /// Compares with all orders that a book holds open, in any order.
  package func difference(from held: [RestingOrder]) -> String? {
    for found in held {
      guard let order = self[found.dot], !order.status.isTerminal else { return "\(found), but it is not open" }
      if Int128(found.openLots) != order.lots.open || Int128(found.filledLots) != order.lots.filled
        || found.isWaiting != order.isWaiting || found.priceTicks != order.priceTicks
        || !order.isWaiting && found.visibleLots != order.visible
      {
        return "\(found), but should be \(order)"
      }
    }
    let dots = Set(held.map(\.dot))
    if dots.count < held.count { return "one of \(held.count) open orders is there twice" }
    return openIndices.first { !dots.contains(accounts[$0].dot) }.map { "\(accounts[$0].dot) is gone" }
  }
}

private func expect(_ holds: Bool, _ text: @autoclosure () -> String) throws(Ledger.Mistake) {
  if !holds { throw Ledger.Mistake(text: text()) }
}

extension Ledger.Account {
  fileprivate var mayRest: Bool {
    (order.type == .limit || order.type == .stopLimit)
      && (order.timeInForce == .goodTillCancel || order.timeInForce == .goodTillDate)
  }

  fileprivate func allows(_ price: Int64) -> Bool {
    if order.type == .market || order.type == .stop { return true }
    return order.side == .buy ? price <= priceTicks : price >= priceTicks
  }

  fileprivate func competes(with other: Ledger.Account) -> Bool {
    !isWaiting && order.instrument == other.order.instrument && order.side == other.order.side
  }

  fileprivate func isBetter(than other: Ledger.Account) -> Bool {
    order.side == .buy ? priceTicks > other.priceTicks : priceTicks < other.priceTicks
  }
}

extension Order {
  fileprivate func isDue(at stamp: Stamp) -> Bool { timeInForce == .goodTillDate && expiry <= stamp }
}
