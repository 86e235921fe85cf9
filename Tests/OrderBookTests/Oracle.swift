import OrderBook
import Primitives

/// The matching rules over plain arrays, as slow and as plain as can be: what the engine must agree with.
///
/// Taking back is keeping a copy.
struct Oracle {
  struct Resting: Equatable {
    var dot: Dot
    var instrument: Dot
    var account: AccountID
    var side: Side
    var priceTicks: Int64
    var openLots: Int64
    var filledLots: Int64
    var clientOrderID: ClientOrderID
  }
  struct Taken {
    var dot: Dot
    /// Without the client's time.
    var content: Order
    var second: UInt64
  }
  struct Stone {
    var account: AccountID
    var target: OrderReference
    var second: UInt64
  }

  var idsMax = Limits.clientOrderIDsMax
  var instruments: [(dot: Dot, instrument: Instrument)] = []
  /// By time of entering the book.
  var resting: [Resting] = []
  var taken: [Taken] = []
  var stones: [Stone] = []
  var applied: [OriginIndex: UInt64] = [:]
  var lastTrade: [Dot: Int64] = [:]
  var second: UInt64 = 0
  private var events: [OrderEvent] = []

  init(idsMax: Int = Limits.clientOrderIDsMax) { self.idsMax = idsMax }

  mutating func apply(_ command: Command?, at dot: Dot, stamp: Stamp) -> [OrderEvent] {
    events = []
    applied[dot.origin, default: 0] += 1
    if command != nil { second = stamp.second }
    stones.removeAll { $0.second + 600 < second }
    let waiting = stones.filter { $0.target == .dot(dot) }.map(\.account)
    stones.removeAll { $0.target == .dot(dot) }
    switch command {
    case nil: break
    case .instrument(let instrument): define(instrument, dot)
    case .order(let order): place(order, dot, stamp, waiting.contains(order.account))
    case .cancel(let cancel): apply(cancel, dot)
    case .amend(let amend): apply(amend, dot)
    case .cancelAll(let all): apply(all, dot)
    }
    return events
  }

  private mutating func reject(_ entry: Dot, _ reason: RejectReason, _ order: Dot = .none) {
    events.append(.rejected(entry: entry, reason: reason, order: order))
  }

  private mutating func define(_ instrument: Instrument, _ dot: Dot) {
    if instruments.contains(where: { $0.instrument.symbol == instrument.symbol }) {
      return reject(dot, .instrumentExists)
    }
    instruments.append((dot, instrument))
    events.append(.instrumentDefined(entry: dot))
  }

  // MARK: Orders

  private func flaw(_ order: Order) -> RejectReason? {
    if order.quantityLots <= 0 || order.quantityLots > Limits.quantityLotsMax { return .invalidQuantity }
    if order.type == .limit && !(1...Limits.priceTicksMax).contains(order.priceTicks) { return .invalidPrice }
    if order.type == .market && order.priceTicks != 0 { return .invalidPrice }
    return nil
  }

  /// The order that an id stands for, if it is remembered.
  func taken(_ account: AccountID, _ id: ClientOrderID) -> Taken? {
    guard let index = taken.lastIndex(where: { $0.content.account == account && $0.content.clientOrderID == id })
    else { return nil }
    let isResting = resting.contains { $0.dot == taken[index].dot }
    let isRecent = taken[index].second + 600 >= second && taken.count - index <= idsMax
    return isResting || isRecent ? taken[index] : nil
  }

  private mutating func place(_ order: Order, _ dot: Dot, _ stamp: Stamp, _ isCancelled: Bool) {
    guard instruments.contains(where: { $0.dot == order.instrument }) else { return reject(dot, .unknownInstrument) }
    if let reason = flaw(order) { return reject(dot, reason) }
    var isCancelled = isCancelled
    if !order.clientOrderID.isNone {
      var content = order
      content.clientTimeMilliseconds = 0
      if let first = taken(order.account, order.clientOrderID) {
        return reject(dot, first.content == content ? .repeated : .duplicateID, first.dot)
      }
      if order.clientTimeMilliseconds > stamp.milliseconds + 500 { return reject(dot, .clientTimeAhead) }
      if order.clientTimeMilliseconds + 599_500 < stamp.milliseconds { return reject(dot, .stale) }
      taken.append(Taken(dot: dot, content: content, second: second))
      let isWaiting: (Stone) -> Bool = { $0.account == order.account && $0.target == .client(order.clientOrderID) }
      if !isCancelled {
        isCancelled = stones.contains(where: isWaiting)
        stones.removeAll(where: isWaiting)
      }
    }
    events.append(.accepted(order: dot))
    if isCancelled {
      events.append(.cancelled(order: dot, reason: .tombstone, openLots: order.quantityLots))
      return
    }
    let limit = order.type == .market ? nil : order.priceTicks
    var taker = Resting(
      dot: dot, instrument: order.instrument, account: order.account, side: order.side, priceTicks: order.priceTicks,
      openLots: order.quantityLots, filledLots: 0, clientOrderID: order.clientOrderID)
    if order.timeInForce == .fillOrKill {
      let there = makers(of: taker, limit).reduce(UInt128(0)) { $0 + UInt128(resting[$1].openLots) }
      if there < UInt128(order.quantityLots) {
        events.append(.cancelled(order: dot, reason: .fillOrKill, openLots: order.quantityLots))
        return
      }
    }
    trade(&taker, limit)
    if taker.openLots == 0 { return }
    if order.type == .market {
      events.append(.cancelled(order: dot, reason: .market, openLots: taker.openLots))
    } else if order.timeInForce == .immediateOrCancel {
      events.append(.cancelled(order: dot, reason: .immediateOrCancel, openLots: taker.openLots))
    } else {
      rest(taker)
    }
  }

  private mutating func rest(_ order: Resting) {
    resting.append(order)
    events.append(.rested(order: order.dot, openLots: order.openLots))
  }

  /// Positions of the orders that `taker` may trade with, best price first, then oldest.
  private func makers(of taker: Resting, _ limit: Int64?) -> [Int] {
    let isBuy = taker.side == .buy
    return resting.indices.filter {
      let maker = resting[$0]
      guard maker.instrument == taker.instrument && maker.side != taker.side else { return false }
      guard let limit else { return true }
      return isBuy ? maker.priceTicks <= limit : maker.priceTicks >= limit
    }.sorted {
      let left = resting[$0].priceTicks
      let right = resting[$1].priceTicks
      return left == right ? $0 < $1 : (left < right) == isBuy
    }
  }

  private mutating func trade(_ taker: inout Resting, _ limit: Int64?) {
    while taker.openLots > 0, let position = makers(of: taker, limit).first {
      let lots = min(taker.openLots, resting[position].openLots)
      taker.openLots -= lots
      taker.filledLots += lots
      resting[position].openLots -= lots
      resting[position].filledLots += lots
      let maker = resting[position]
      lastTrade[taker.instrument] = maker.priceTicks
      events.append(
        .filled(
          Fill(
            instrument: taker.instrument, maker: maker.dot, taker: taker.dot, takerSide: taker.side,
            priceTicks: maker.priceTicks, quantityLots: lots, makerOpenLots: maker.openLots,
            takerOpenLots: taker.openLots)))
      if maker.openLots == 0 { resting.remove(at: position) }
    }
  }

  // MARK: Cancels and amends

  /// Position of the order meant; or nil once it has been rejected, or if nobody knows it (then `dot` says so).
  private mutating func find(
    _ target: OrderReference, _ account: AccountID, _ entry: Dot, unknown: (inout Oracle, Dot) -> Void
  ) -> Int? {
    switch target {
    case .dot(let dot):
      if let position = resting.firstIndex(where: { $0.dot == dot }) {
        if resting[position].account == account { return position }
        reject(entry, .notOwner, dot)
      } else if dot.sequence <= applied[dot.origin, default: 0] {
        reject(entry, .notOpen, dot)
      } else {
        unknown(&self, dot)
      }
    case .client(let id):
      guard let first = taken(account, id) else {
        unknown(&self, .none)
        return nil
      }
      if let position = resting.firstIndex(where: { $0.dot == first.dot }) { return position }
      reject(entry, .notOpen, first.dot)
    }
    return nil
  }

  private mutating func apply(_ cancel: Cancel, _ dot: Dot) {
    let found = find(cancel.target, cancel.account, dot) { oracle, order in
      if cancel.targetStamp != .zero { return oracle.reject(dot, .unknownOrder, order) }
      if oracle.stones.contains(where: { $0.account == cancel.account && $0.target == cancel.target }) { return }
      if oracle.stones.count == oracle.idsMax { oracle.stones.removeFirst() }
      oracle.stones.append(Stone(account: cancel.account, target: cancel.target, second: oracle.second))
    }
    guard let position = found else { return }
    let order = resting.remove(at: position)
    events.append(.cancelled(order: order.dot, reason: .requested, openLots: order.openLots))
  }

  private mutating func apply(_ all: CancelAll, _ dot: Dot) {
    if !all.instrument.isNone && !instruments.contains(where: { $0.dot == all.instrument }) {
      return reject(dot, .unknownInstrument)
    }
    let isMeant: (Resting) -> Bool = {
      $0.account == all.account && (all.instrument.isNone || $0.instrument == all.instrument)
    }
    for order in resting.filter(isMeant).sorted(by: { $0.dot < $1.dot }) {
      events.append(.cancelled(order: order.dot, reason: .cancelAll, openLots: order.openLots))
    }
    resting.removeAll(where: isMeant)
  }

  private mutating func apply(_ amend: Amend, _ dot: Dot) {
    let found = find(amend.target, amend.account, dot) { $0.reject(dot, .unknownOrder, $1) }
    guard let position = found else { return }
    var order = resting[position]
    if let price = amend.priceTicks, !(1...Limits.priceTicksMax).contains(price) {
      return reject(dot, .invalidPrice, order.dot)
    }
    var open = order.openLots
    if let quantity = amend.quantityLots {
      let total = Int128(quantity) + (amend.quantityMeaning == .open ? Int128(order.filledLots) : 0)
      if quantity <= 0 || total > Limits.quantityLotsMax { return reject(dot, .invalidQuantity, order.dot) }
      open = Int64(total) - order.filledLots
    }
    if open <= 0 {
      resting.remove(at: position)
      events.append(.cancelled(order: order.dot, reason: .requested, openLots: order.openLots))
      return
    }
    let price = amend.priceTicks ?? order.priceTicks
    events.append(
      .amended(order: order.dot, by: dot, priceTicks: price, openLots: open, reducedLots: order.openLots - open))
    if price == order.priceTicks && open <= order.openLots && !amend.forfeitsPriority {
      resting[position].openLots = open
      return
    }
    resting.remove(at: position)
    order.priceTicks = price
    order.openLots = open
    trade(&order, price)
    if order.openLots > 0 { rest(order) }
  }

  // MARK: What it holds

  func levels(of instrument: Dot, _ side: Side) -> [LevelSummary] {
    var out: [LevelSummary] = []
    for order in resting where order.instrument == instrument && order.side == side {
      if let index = out.firstIndex(where: { $0.priceTicks == order.priceTicks }) {
        out[index].quantityLots += UInt128(order.openLots)
        out[index].orders += 1
      } else {
        out.append(
          LevelSummary(priceTicks: order.priceTicks, quantityLots: UInt128(order.openLots), orders: 1))
      }
    }
    return out.sorted { (($0.priceTicks < $1.priceTicks) == (side == .sell)) }
  }
}
