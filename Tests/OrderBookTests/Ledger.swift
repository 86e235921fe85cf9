import OrderBook
import Primitives

/// Follows every order through its events and keeps account of its lots.
///
/// It knows what the events mean, and price-time priority; not how orders are matched.
struct Ledger {
  struct Account {
    var order: Order
    var status = OrderStatus.pending
    var priceTicks: Int64
    /// All that was ever asked for: amends that ask for more add to it.
    var placed: Int128
    var open: Int64 = 0
    var filled: Int128 = 0
    var cancelled: Int128 = 0
    var expired: Int128 = 0
    var rejected: Int128 = 0
    /// By self-trade prevention or by amends.
    var reduced: Int128 = 0
    /// What the book shows while it rests.
    var visible: Int64 = 0
    /// Since when it rests where it rests, or waits where it waits.
    var place: Place?
    var isWaiting = false
    /// Step of the first trade at its stop price or beyond, of this entry's.
    var reachedAt: Int?

    var isBalanced: Bool {
      let parts = Int128(open) + filled + cancelled + expired + rejected + reduced
      // What was rejected may have been no quantity at all.
      return placed == parts && [Int128(open), filled, cancelled, expired, reduced].allSatisfy { $0 >= 0 }
    }
  }
  /// Time: the entry, and the step within it.
  struct Place: Equatable {
    var entry: Int
    var step: Int
    static func < (left: Place, right: Place) -> Bool { (left.entry, left.step) < (right.entry, right.step) }
  }
  /// What an event says cannot be.
  struct Mistake: Error {
    var text: String
  }

  /// Every order that is open.
  private(set) var open: [Dot: Account] = [:]
  private var ended: [Dot: OrderStatus] = [:]
  private var lastTrade: [Dot: Int64] = [:]
  private var entries = 0
  /// The newest stop that waited and was triggered by this entry: when it was reached, and since when it had waited.
  private var lastTriggered: (step: Int, place: Place)?

  /// - Throws: what is wrong with the events of an entry, or with where they leave the orders.
  mutating func follow(_ entry: Entry, _ events: [OrderEvent]) throws(Mistake) {
    entries += 1
    lastTriggered = nil
    if case .order(let order) = entry.command {
      open[entry.dot] = Account(order: order, priceTicks: order.priceTicks, placed: Int128(order.quantityLots))
    }
    try checkExpiries(events)
    for (step, event) in events.enumerated() { try follow(event, entry, Place(entry: entries, step: step)) }
    for (dot, order) in open { try checkAtRest(dot, order, entry.stamp) }
  }

  private func expect(_ holds: Bool, _ text: @autoclosure () -> String) throws(Mistake) {
    if !holds { throw Mistake(text: text()) }
  }

  /// Changes one order's account; it must balance afterwards, and its status may only go forward.
  private mutating func change(
    _ dot: Dot, _ event: OrderEvent, _ body: (inout Account) -> Void
  ) throws(Mistake) {
    guard var order = open[dot] else { throw Mistake(text: "\(event), but it is not open: \(ended[dot] as Any)") }
    let before = order.status
    body(&order)
    try expect(order.isBalanced, "\(event) leaves \(order)")
    try expect(order.status.rawValue >= before.rawValue, "\(event), but it was \(before)")
    if order.status.isTerminal {
      open[dot] = nil
      ended[dot] = order.status
    } else {
      open[dot] = order
    }
  }

  private func account(_ dot: Dot, _ event: OrderEvent) throws(Mistake) -> Account {
    guard let order = open[dot] else { throw Mistake(text: "\(event), but it is not open: \(ended[dot] as Any)") }
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
        $0.cancelled += Int128($0.open)
        $0.open = 0
      }
    case .expired(let dot, let lots):
      let order = try account(dot, event)
      try expect(order.open == lots && order.order.isDue(at: entry.stamp), "\(event): \(order)")
      try change(dot, event) {
        $0.status = .expired
        $0.expired += Int128($0.open)
        $0.open = 0
      }
    case .reduced(let dot, let lots, let left):
      let order = try account(dot, event)
      try expect(lots > 0 && order.open - lots == left, "\(event): \(order)")
      try change(dot, event) {
        $0.reduced += Int128(lots)
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
      $0.rejected = $0.placed
    }
  }

  private mutating func amend(
    _ dot: Dot, _ event: OrderEvent, _ entry: Entry, _ price: Int64, _ lots: Int64
  ) throws(Mistake) {
    guard case .amend(let amend) = entry.command else { throw Mistake(text: "\(event) at \(entry)") }
    try change(dot, event) {
      let keepsPlace = price == $0.priceTicks && lots <= $0.open && !amend.forfeitsPriority
      if lots <= $0.open {
        $0.reduced += Int128($0.open - lots)
      } else {
        $0.placed += Int128(lots - $0.open)
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
    for (dot, other) in open where other.competes(with: maker) && dot != fill.maker {
      guard let otherPlace = other.place else { continue }
      let isBefore = other.priceTicks == maker.priceTicks ? otherPlace < place : other.isBetter(than: maker)
      try expect(!isBefore, "\(event), but \(dot) comes first")
    }
    lastTrade[fill.instrument] = fill.priceTicks
    for (dot, order) in open where order.isWaiting && order.order.instrument == fill.instrument && isReached(order) {
      open[dot]?.reachedAt = order.reachedAt ?? step
    }
    for (dot, left) in [(fill.maker, fill.makerOpenLots), (fill.taker, fill.takerOpenLots)] {
      try change(dot, event) {
        $0.filled += Int128(fill.quantityLots)
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
  private func checkAtRest(_ dot: Dot, _ order: Account, _ stamp: Stamp) throws(Mistake) {
    try expect(order.status != .pending, "\(dot) was neither accepted nor rejected")
    try expect(order.place != nil && order.open > 0, "\(dot) hangs in the air: \(order)")
    try expect(!order.order.isDue(at: stamp), "\(dot) should have expired")
    if order.isWaiting {
      try expect(order.reachedAt == nil, "\(dot) should have been triggered")
    } else {
      try expect(order.visible > 0 && order.visible <= order.open, "\(dot) shows nothing: \(order)")
    }
  }

  /// Compares with what the book says of each order, of each queue and of its best prices.
  func difference(_ book: borrowing some BookUnderTest & ~Copyable) -> String? {
    for (dot, order) in open {
      guard let found = book.order(dot) else { return "\(dot) is gone" }
      if found.openLots != order.open || Int128(found.filledLots) != order.filled
        || found.isWaiting != order.isWaiting || found.priceTicks != order.priceTicks
        || !order.isWaiting && found.visibleLots != order.visible
      {
        return "\(found), but should be \(order)"
      }
    }
    if book.restingOrders != open.values.count(where: { !$0.isWaiting }) { return "\(book.restingOrders) orders rest" }
    if book.waitingStops != open.values.count(where: \.isWaiting) { return "\(book.waitingStops) stops wait" }
    for (instrument, _) in book.definitions {
      for side in Side.allCases {
        for level in book.levels(of: instrument, side) {
          let queue = book.queue(of: instrument, side, priceTicks: level.priceTicks)
          if let text = disorder(queue) { return "the queue at \(level.priceTicks): \(text)" }
          if queue.reduce(0, { $0 + UInt128($1.visibleLots) }) != level.quantityLots { return "\(level) is wrong" }
        }
        let stops = book.stops(of: instrument, side)
        for price in Set(stops.map(\.stopPriceTicks)) {
          if let text = disorder(stops.filter { $0.stopPriceTicks == price }) { return "stops at \(price): \(text)" }
        }
      }
      if let bid = book.levels(of: instrument, .buy).first, let ask = book.levels(of: instrument, .sell).first,
        bid.priceTicks >= ask.priceTicks
      {
        return "the book is crossed"
      }
    }
    return nil
  }

  private func disorder(_ queue: [RestingOrder]) -> String? {
    let places = queue.compactMap { open[$0.dot]?.place }
    if places.count != queue.count { return "holds what has ended" }
    for (one, next) in zip(places, places.dropFirst()) where !(one < next) { return "not in order of time" }
    return nil
  }
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
