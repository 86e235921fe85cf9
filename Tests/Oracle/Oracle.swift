import OrderBook
import Primitives

/// The rules of the book over plain arrays, as slow and as plain as can be: what the engine must agree with.
///
/// Written from the rules, not from the engine. It undoes nothing: taking back is keeping a copy. It forgets nothing
/// either: an order leaves half a kilobyte. Dictionaries answer questions here; nothing goes through one.
package struct Oracle: Sendable {
  /// A stop whose price has not been reached.
  package struct Waiting: Equatable, Sendable {
    package var order: RestingOrder
    /// Key of the entry by which it began to wait where it waits now.
    package var key: OrderKey
  }
  /// One instrument.
  package struct Book: Sendable {
    package var dot: Dot
    package var instrument: Instrument
    package var lastTrade: Int64?
    /// By side. The order in which they trade: best price first, then the one that came first.
    package var resting: [[RestingOrder]] = [[], []]
    /// By side. The order in which they trigger: first price to be reached first, then the one that came first.
    package var stops: [[Waiting]] = [[], []]
  }
  /// What an order is known by: its client order id, or a dot that is not its own.
  struct Name: Hashable {
    var account: AccountID
    var name: OrderReference
  }
  /// A name that an order has taken.
  package struct Taken: Sendable {
    package var dot: Dot
    var name: OrderReference
    /// Without the client's time and the first dot.
    package var content: Order
    package var second: UInt64
  }
  /// A cancel that came before its order.
  package struct Stone: Sendable {
    package var account: AccountID
    package var target: OrderReference
    package var second: UInt64
  }

  /// How many client order ids are remembered for the window.
  var idsMax: Int
  package internal(set) var books: [Book] = []
  /// In the order in which they were taken.
  var taken: [Taken] = []
  /// Where in `taken` a name was taken last.
  var lastTaken: [Name: Int] = [:]
  package internal(set) var stones: [Stone] = []
  var applied: [OriginIndex: UInt64] = [:]
  var second: UInt64 = 0
  /// Stops whose price was reached and that have not entered yet, each with its depth in the cascade.
  var triggered: [(stop: Waiting, depth: Int)] = []
  /// Of the last entry.
  package internal(set) var events: [OrderEvent] = []
  /// What became of every order there ever was; no rule reads it.
  var lots: [Dot: OrderLots] = [:]
  /// What has happened so far; no rule reads it.
  package var tally = Tally()

  package init(idsMax: Int = Limits.clientOrderIDsMax) { self.idsMax = idsMax }

  /// - Parameter command: nil for an entry that the book ignores.
  /// - Returns: what happened, in order.
  package mutating func apply(_ command: Command?, at dot: Dot, stamp: Stamp) -> [OrderEvent] {
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
    bookLots(of: command, dot)
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
  package func taken(_ account: AccountID, _ id: ClientOrderID) -> Taken? { taken(account, .client(id)) }

  /// The order that has a name, its own dot apart, if that is remembered.
  package func taken(_ account: AccountID, _ name: OrderReference) -> Taken? {
    guard let index = lastTaken[Name(account: account, name: name)] else { return nil }
    return isRecent(index) || isOpen(taken[index].dot) ? taken[index] : nil
  }

  private func isRecent(_ index: Int) -> Bool {
    taken[index].second + 600 >= second && taken.count - index <= idsMax
  }

  /// - Returns: why the order cannot have its names, and which order has one of them.
  mutating func takeNames(_ order: Order, _ dot: Dot, _ stamp: Stamp) -> (reason: RejectReason, first: Dot)? {
    var content = order
    content.clientTimeMilliseconds = 0
    content.firstDot = .none
    let names = Self.names(order)
    if let first = names.compactMap({ taken(order.account, $0) }).first {
      if names.contains(.client(order.clientOrderID)), let same = taken(order.account, order.clientOrderID),
        same.content != content
      {
        return (.duplicateID, same.dot)
      }
      let isHere = order.firstDot.sequence <= applied[order.firstDot.origin, default: 0]
      for name in order.firstDot.isNone || isHere ? [dot] : [order.firstDot, dot]
      where taken(order.account, .dot(name)) == nil {
        take(.dot(name), first.dot, first.content)
      }
      return (.repeated, first.dot)
    }
    if !order.firstDot.isNone, order.firstDot.sequence <= applied[order.firstDot.origin, default: 0] {
      return (.repeated, order.firstDot)
    }
    if Self.isOver(order, stamp) { return (.invalidExpiry, .none) }
    if !order.clientOrderID.isNone {
      if order.clientTimeMilliseconds > stamp.milliseconds + 500 { return (.clientTimeAhead, .none) }
      if order.clientTimeMilliseconds + 599_500 < stamp.milliseconds { return (.stale, .none) }
    }
    for name in names { take(name, dot, content) }
    return nil
  }

  /// The names that an order brings, its own dot apart.
  static func names(_ order: Order) -> [OrderReference] {
    (order.clientOrderID.isNone ? [] : [.client(order.clientOrderID)])
      + (order.firstDot.isNone ? [] : [.dot(order.firstDot)])
  }

  /// The order `dot` has this name from now on; an open one at most sixteen.
  private mutating func take(_ name: OrderReference, _ dot: Dot, _ content: Order) {
    if names(of: dot).count >= 16 && isOpen(dot) { return }
    lastTaken[Name(account: content.account, name: name)] = taken.count
    taken.append(Taken(dot: dot, name: name, content: content, second: second))
  }

  /// Every name that an order has taken, oldest first.
  func names(of dot: Dot) -> [Taken] { taken.filter { $0.dot == dot } }

  // MARK: Tombstones

  /// - Returns: true if a cancel waited for a name that the order brings, its own dot apart; it waits no longer.
  mutating func liftStones(of order: Order) -> Bool {
    let names = Self.names(order)
    let count = stones.count
    stones.removeAll { $0.account == order.account && names.contains($0.target) }
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
  package struct Tally: Sendable {
    /// By the incoming order's mode.
    package var selfTrades: [SelfTradePrevention: Int] = [:]
    /// Fill-or-kill orders that would have traded whole but for self-trade prevention.
    package var killedBySelfTrade = 0
    /// Of them, those that would have traded whole if icebergs ahead of their own orders had hidden nothing.
    package var killedByTurn = 0
    /// Stops triggered by a stop triggered by … an entry.
    package var deepestCascade = 0
    /// How often one incoming order made one iceberg show more.
    package var mostRefreshes = 0

    package init() {}
  }
}

extension Side {
  var int: Int { Int(rawValue) }
}
