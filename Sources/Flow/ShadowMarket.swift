import OrderBook

/// A small book of every order type, in which a `RandomFlow` with all of them follows what becomes of its own orders.
///
/// It does what the engine does, by the plainest means: sorted arrays, one order after the other. Alone in a market it
/// knows exactly what is open; next to others, roughly. Like `ShadowBook` it is deliberately not the engine, and the
/// two check each other in tests. It does not look at what an engine would reject as malformed.
struct ShadowMarket: Sendable {
  struct Order: Sendable {
    var id: UInt64
    var account: AccountID
    var side: Side
    var type: OrderType
    var timeInForce: TimeInForce
    var selfTradePrevention: SelfTradePrevention
    var postOnly: Bool
    var priceTicks: Int64
    var stopPriceTicks: Int64
    var displayLots: Int64
    var openLots: Int64
    var visibleLots: Int64 = 0
    /// The operation at which it has left; `UInt64.max` for one that stays.
    var expiry: UInt64
    /// Grows with everything that takes a place in a queue: time priority, and the identity of that place. 0: not open.
    var arrival: UInt64 = 0
    var isWaiting = false
    /// Of the operation that placed it.
    var serial: UInt64

    var canRest: Bool {
      switch (type, timeInForce) {
      case (.market, _), (.stop, _), (_, .immediateOrCancel), (_, .fillOrKill): false
      case (.limit, .goodTillCancel), (.limit, .goodTillDate), (.stopLimit, .goodTillCancel),
        (.stopLimit, .goodTillDate):
        true
      }
    }

    /// Whether it may trade at a price, were it not waiting.
    func reaches(_ ticks: Int64) -> Bool {
      switch type {
      case .market, .stop: true
      case .limit, .stopLimit: side == .buy ? ticks <= priceTicks : ticks >= priceTicks
      }
    }
  }

  /// Where an order stands in a list; the best one, or the first to trigger, comes last.
  private struct Place {
    var ticks: Int64
    var arrival: UInt64
    var slot: Int
  }

  private struct Name: Hashable {
    var account: AccountID
    var id: UInt64
  }

  private var orders: [Order] = []
  private var free: [Int] = []
  /// Open orders by name. Never iterated.
  private var named: [Name: Int] = [:]
  private var buys: [Place] = []
  private var sells: [Place] = []
  private var buyStops: [Place] = []
  private var sellStops: [Place] = []
  /// Stops that a trade has reached and that have not entered yet.
  private var triggered: [Order] = []
  /// Places in the sequence in which they were taken, some of which are left: what a cancel picks from.
  private var arrivals: [(arrival: UInt64, slot: Int)] = []
  /// Soonest last.
  private var expiries: [(expiry: UInt64, serial: UInt64, slot: Int)] = []
  private var nextArrival: UInt64 = 1
  private var lastTradeTicks: Int64 = 0
  private(set) var trades: UInt64 = 0

  var restingOrders: Int { buys.count + sells.count }
  var waitingStops: Int { buyStops.count + sellStops.count }
  var count: Int { restingOrders + waitingStops }

  func best(_ side: Side) -> Int64? { side == .buy ? buys.last?.ticks : sells.last?.ticks }

  /// Whether an order at this price would trade.
  func crosses(_ side: Side, _ ticks: Int64) -> Bool {
    guard let best = best(side.opposite) else { return false }
    return side == .buy ? ticks >= best : ticks <= best
  }

  /// Every order that rests or waits, by id.
  var openOrders: [Order] { orders.filter { $0.arrival != 0 }.sorted { $0.id < $1.id } }

  /// The order whose place was taken about `age` live places ago (0: the newest).
  mutating func pick(age: Int) -> Order? {
    while !arrivals.isEmpty {
      let index = max(0, arrivals.count - 1 - age)
      let (arrival, slot) = arrivals[index]
      if orders[slot].arrival == arrival { return orders[slot] }
      arrivals.remove(at: index)
    }
    return nil
  }

  // MARK: Operations

  /// - Parameter number: grows by one an operation; lifetimes count in it.
  mutating func apply(_ operation: FlowOperation, account: AccountID, number: UInt64) {
    expire(number)
    let account = operation.account ?? account
    switch operation.kind {
    case .cancel:
      if let slot = named[Name(account: account, id: operation.id)] { leave(slot) }
    case .replace:
      if let slot = named[Name(account: account, id: operation.id)] { replace(slot, operation) }
    case .limit, .market, .immediateOrCancel, .fillOrKill:
      let lifetime = UInt64(max(0, operation.lifetimeMilliseconds))
      place(
        Order(
          id: operation.id, account: account, side: operation.side, type: operation.type,
          timeInForce: operation.timeInForce, selfTradePrevention: operation.selfTradePrevention,
          postOnly: operation.postOnly, priceTicks: operation.priceTicks, stopPriceTicks: operation.stopPriceTicks,
          displayLots: operation.displayLots, openLots: operation.quantityLots,
          expiry: operation.timeInForce == .goodTillDate ? number + lifetime : .max, serial: number))
    }
    while !triggered.isEmpty { enter(triggered.removeFirst()) }
  }

  /// Takes out what has lived long enough.
  mutating func expire(_ number: UInt64) {
    while let last = expiries.last, last.expiry <= number {
      expiries.removeLast()
      if orders[last.slot].serial == last.serial, orders[last.slot].arrival != 0 { leave(last.slot) }
    }
  }

  private mutating func place(_ order: Order) {
    if order.postOnly, crosses(order.side, order.priceTicks) { return }
    guard order.stopPriceTicks != 0, !isReached(order) else { return enter(order) }
    let slot = open(order)
    orders[slot].isWaiting = true
    queue(slot)
  }

  private func isReached(_ stop: Order) -> Bool {
    guard lastTradeTicks != 0 else { return false }
    return stop.side == .buy ? lastTradeTicks >= stop.stopPriceTicks : lastTradeTicks <= stop.stopPriceTicks
  }

  private mutating func replace(_ slot: Int, _ operation: FlowOperation) {
    var order = orders[slot]
    if order.isWaiting {
      if order.type == .stop { return }
      unlist(slot)
      orders[slot].priceTicks = operation.priceTicks
      orders[slot].openLots = operation.quantityLots
      queue(slot)
      return
    }
    if order.postOnly, crosses(order.side, operation.priceTicks) { return }
    leave(slot)
    order.priceTicks = operation.priceTicks
    order.openLots = operation.quantityLots
    enter(order)
  }

  // MARK: Matching

  private mutating func enter(_ order: Order) {
    var incoming = order
    if incoming.timeInForce == .fillOrKill, !canFill(incoming) { return }
    while incoming.openLots > 0, let place = incoming.side == .buy ? sells.last : buys.last,
      incoming.reaches(place.ticks)
    {
      let lots = min(incoming.openLots, orders[place.slot].visibleLots)
      if incoming.selfTradePrevention != .none, orders[place.slot].account == incoming.account {
        switch incoming.selfTradePrevention {
        case .none, .cancelNewest: return
        case .cancelOldest: leave(place.slot)
        case .cancelBoth:
          leave(place.slot)
          return
        case .decrement:
          incoming.openLots -= lots
          take(lots, from: place.slot)
        }
        continue
      }
      incoming.openLots -= lots
      take(lots, from: place.slot)
      trades += 1
      if place.ticks != lastTradeTicks {
        lastTradeTicks = place.ticks
        trigger()
      }
    }
    if incoming.openLots > 0, incoming.canRest {
      incoming.isWaiting = false
      queue(open(incoming))
    }
  }

  private mutating func take(_ lots: Int64, from slot: Int) {
    orders[slot].openLots -= lots
    orders[slot].visibleLots -= lots
    if orders[slot].openLots == 0 {
      leave(slot)
    } else if orders[slot].visibleLots == 0 {
      unlist(slot)
      queue(slot)
    }
  }

  /// Moves the stops that the last trade has reached into the queue of those that are to enter, the oldest first.
  private mutating func trigger() {
    var reached: [Order] = []
    while let place = buyStops.last, place.ticks <= lastTradeTicks {
      reached.append(orders[place.slot])
      leave(place.slot)
    }
    while let place = sellStops.last, place.ticks >= lastTradeTicks {
      reached.append(orders[place.slot])
      leave(place.slot)
    }
    triggered += reached.sorted { $0.arrival < $1.arrival }
  }

  /// Whether a fill-or-kill order is filled whole. Before it meets an order of its own account that ends it, it trades
  /// with what that level shows ahead of that order, and with all of the better levels.
  private func canFill(_ incoming: Order) -> Bool {
    var left = incoming.openLots
    var level = (ticks: Int64(0), whole: Int64(0), visible: Int64(0))
    for place in (incoming.side == .buy ? sells : buys).reversed() {
      guard incoming.reaches(place.ticks) else { break }
      if place.ticks != level.ticks {
        left -= level.whole
        if left <= 0 { return true }
        level = (place.ticks, 0, 0)
      }
      let maker = orders[place.slot]
      if incoming.selfTradePrevention != .none, maker.account == incoming.account {
        if incoming.selfTradePrevention == .cancelOldest { continue }
        return left <= level.visible
      }
      level.whole += maker.openLots
      level.visible += maker.visibleLots
    }
    return left <= level.whole
  }

  // MARK: Lists

  private mutating func open(_ order: Order) -> Int {
    let slot = free.popLast() ?? orders.count
    if slot == orders.count { orders.append(order) } else { orders[slot] = order }
    named[Name(account: order.account, id: order.id)] = slot
    if order.expiry != .max {
      let index = expiries.firstIndex { $0.expiry < order.expiry } ?? expiries.count
      expiries.insert((order.expiry, order.serial, slot), at: index)
    }
    return slot
  }

  /// Gives an order a place at the end of its queue, and shows what it may show.
  private mutating func queue(_ slot: Int) {
    orders[slot].arrival = nextArrival
    nextArrival += 1
    let order = orders[slot]
    let shown = order.displayLots == 0 ? order.openLots : min(order.displayLots, order.openLots)
    orders[slot].visibleLots = order.isWaiting ? 0 : shown
    let ticks = order.isWaiting ? order.stopPriceTicks : order.priceTicks
    let place = Place(ticks: ticks, arrival: order.arrival, slot: slot)
    edit(order) { list, highestLast in list.insert(place, at: Self.index(of: place, in: list, highestLast)) }
    arrivals.append((order.arrival, slot))
    // Those that are left are more than half: drop them, so that memory and searching stay bounded.
    if arrivals.count > 2 * count + 64 { arrivals.removeAll { orders[$0.slot].arrival != $0.arrival } }
  }

  /// Takes an order out of its list; it is about to get another place.
  private mutating func unlist(_ slot: Int) {
    let order = orders[slot]
    let ticks = order.isWaiting ? order.stopPriceTicks : order.priceTicks
    let place = Place(ticks: ticks, arrival: order.arrival, slot: slot)
    edit(order) { list, highestLast in list.remove(at: Self.index(of: place, in: list, highestLast)) }
  }

  private mutating func leave(_ slot: Int) {
    unlist(slot)
    named[Name(account: orders[slot].account, id: orders[slot].id)] = nil
    orders[slot].arrival = 0
    free.append(slot)
  }

  /// The list that an order is in, or is to be in.
  private mutating func edit(_ order: Order, _ change: (inout [Place], _ highestLast: Bool) -> Void) {
    switch (order.side, order.isWaiting) {
    case (.buy, false): change(&buys, true)
    case (.sell, false): change(&sells, false)
    case (.buy, true): change(&buyStops, false)
    case (.sell, true): change(&sellStops, true)
    }
  }

  /// Where `place` stands or would stand: behind every worse one, and every younger one of its price.
  private static func index(of place: Place, in list: [Place], _ highestLast: Bool) -> Int {
    var low = 0
    var high = list.count
    while low < high {
      let middle = (low + high) / 2
      let other = list[middle]
      let isBefore =
        other.ticks == place.ticks
        ? other.arrival > place.arrival : (other.ticks < place.ticks) == highestLast
      if isBefore { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
