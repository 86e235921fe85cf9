import OrderBook
import Primitives

/// The rules of the book over plain arrays, as slow and as plain as can be: what the engine must agree with.
///
/// Written from the rules, not from the engine. It undoes nothing: taking back is keeping a copy.
struct Oracle {
  /// A stop whose price has not been reached.
  struct Waiting: Equatable {
    var order: RestingOrder
    /// Key of the entry by which it began to wait where it waits now.
    var key: OrderKey
  }
  /// One instrument.
  struct Book {
    var dot: Dot
    var instrument: Instrument
    var lastTrade: Int64?
    /// By side. The order in which they trade: best price first, then the one that came first.
    var resting: [[RestingOrder]] = [[], []]
    /// By side. The order in which they trigger: first price to be reached first, then the one that came first.
    var stops: [[Waiting]] = [[], []]
  }
  /// A client order id that an order has taken.
  struct Taken {
    var dot: Dot
    /// Without the client's time.
    var content: Order
    var second: UInt64
  }
  /// A cancel that came before its order.
  struct Stone {
    var account: AccountID
    var target: OrderReference
    var second: UInt64
  }

  /// How many client order ids are remembered for the window.
  var idsMax: Int
  var books: [Book] = []
  var taken: [Taken] = []
  var stones: [Stone] = []
  var applied: [OriginIndex: UInt64] = [:]
  var second: UInt64 = 0
  /// Stops whose price was reached and that have not entered yet, each with its depth in the cascade.
  var triggered: [(stop: Waiting, depth: Int)] = []
  var events: [OrderEvent] = []
  /// What has happened so far; no rule reads it.
  var tally = Tally()

  init(idsMax: Int = Limits.clientOrderIDsMax) { self.idsMax = idsMax }

  /// - Returns: what happened, in order.
  mutating func apply(_ command: Command?, at dot: Dot, stamp: Stamp) -> [OrderEvent] {
    events = []
    expire(at: stamp)
    applied[dot.origin] = dot.sequence
    if command != nil { second = stamp.second }
    stones.removeAll { $0.second + 600 < second }
    let entombers = stones.filter { $0.target == .dot(dot) }.map(\.account)
    stones.removeAll { $0.target == .dot(dot) }
    let key = OrderKey(stamp: stamp, origin: dot.origin)
    switch command {
    case nil: break
    case .instrument(let instrument): define(instrument, dot)
    case .order(let order): place(order, dot, key, isEntombed: entombers.contains(order.account))
    case .cancel(let cancel): apply(cancel, dot)
    case .amend(let amend): apply(amend, dot, key)
    case .cancelAll(let all): apply(all, dot)
    }
    enterTriggered()
    return events
  }

  mutating func reject(_ entry: Dot, _ reason: RejectReason, _ order: Dot = .none) {
    events.append(.rejected(entry: entry, reason: reason, order: order))
  }

  private mutating func define(_ instrument: Instrument, _ dot: Dot) {
    if books.contains(where: { $0.instrument.symbol == instrument.symbol }) { return reject(dot, .instrumentExists) }
    if books.count == 4096 { return reject(dot, .tooManyInstruments) }
    books.append(Book(dot: dot, instrument: instrument))
    events.append(.instrumentDefined(entry: dot))
  }

  func book(_ instrument: Dot) -> Int? { books.firstIndex { $0.dot == instrument } }

  // MARK: Client order ids

  /// The order that an id stands for, if it is remembered.
  func taken(_ account: AccountID, _ id: ClientOrderID) -> Taken? {
    guard let index = taken.lastIndex(where: { $0.content.clientOrderID == id && $0.content.account == account })
    else { return nil }
    return isRecent(index) || isOpen(taken[index].dot) ? taken[index] : nil
  }

  private func isRecent(_ index: Int) -> Bool {
    taken[index].second + 600 >= second && taken.count - index <= idsMax
  }

  /// Drops what nobody can ask for any more, so that searching stays fast. Nothing else depends on it: all that is
  /// older than a record that is not recent is not recent either, and an order that has ended stays so.
  private mutating func forgetIDs() {
    taken = taken.indices.filter { isRecent($0) || isOpen(taken[$0].dot) }.map { taken[$0] }
  }

  /// - Returns: why the order cannot have its id, and which order has it.
  mutating func takeID(_ order: Order, _ dot: Dot, _ stamp: Stamp) -> (reason: RejectReason, first: Dot)? {
    if order.clientOrderID.isNone { return nil }
    var content = order
    content.clientTimeMilliseconds = 0
    if let first = taken(order.account, order.clientOrderID) {
      return (first.content == content ? .repeated : .duplicateID, first.dot)
    }
    if Self.isOver(order, stamp) { return (.invalidExpiry, .none) }
    if order.clientTimeMilliseconds > stamp.milliseconds + 500 { return (.clientTimeAhead, .none) }
    if order.clientTimeMilliseconds + 599_500 < stamp.milliseconds { return (.stale, .none) }
    taken.append(Taken(dot: dot, content: content, second: second))
    if taken.count % 50 == 0 { forgetIDs() }
    return nil
  }

  // MARK: Tombstones

  /// - Returns: true if a cancel by client order id waited for the order; it waits no longer.
  mutating func liftStone(of order: Order) -> Bool {
    if order.clientOrderID.isNone { return false }
    let count = stones.count
    stones.removeAll { $0.account == order.account && $0.target == .client(order.clientOrderID) }
    return stones.count < count
  }

  mutating func layStone(_ cancel: Cancel) {
    if stones.contains(where: { $0.account == cancel.account && $0.target == cancel.target }) { return }
    if stones.count == idsMax { stones.removeFirst() }
    stones.append(Stone(account: cancel.account, target: cancel.target, second: second))
  }

  // MARK: Expiry

  /// Every order whose time has come leaves, before the entry that shows the time is looked at.
  private mutating func expire(at stamp: Stamp) {
    var due: [RestingOrder] = []
    for book in books {
      for side in 0...1 {
        for order in book.resting[side] where order.expiry != .zero && order.expiry <= stamp { due.append(order) }
        for stop in book.stops[side] where stop.order.expiry != .zero && stop.order.expiry <= stamp {
          due.append(stop.order)
        }
      }
    }
    for order in due.sorted(by: { $0.expiry == $1.expiry ? $0.dot < $1.dot : $0.expiry < $1.expiry }) {
      if let place = place(of: order.dot) { remove(place) }
      events.append(.expired(order: order.dot, openLots: order.openLots))
    }
  }
}

extension Oracle {
  /// How often what is rare has happened.
  struct Tally {
    /// By the incoming order's mode.
    var selfTrades: [SelfTradePrevention: Int] = [:]
    /// Fill-or-kill orders that would have traded whole but for self-trade prevention.
    var killedBySelfTrade = 0
    /// Of them, those that would have traded whole if icebergs ahead of their own orders had hidden nothing.
    var killedByTurn = 0
    /// Stops triggered by a stop triggered by … an entry.
    var deepestCascade = 0
    /// How often one incoming order made one iceberg show more.
    var mostRefreshes = 0
  }
}

extension Side {
  var int: Int { Int(rawValue) }
}
