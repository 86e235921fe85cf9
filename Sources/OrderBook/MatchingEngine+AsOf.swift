import Primitives

/// The book as it will be when an entry of a later stamp comes, whatever it says.
///
/// A good-till-date order leaves the book when an entry stamped at its date or later is applied: the book is a function
/// of the entries alone. Who knows that every entry up to a stamp is applied knows more: what is due by then has ended.
/// These are the queries of `MatchingEngine+Queries` without the orders that are due, and nothing else: the answers are
/// those that the engine would give after an entry of that stamp which the book ignores. Book and hash stay as they
/// are.
///
/// A stamp before the newest entry's gives the book as it is: what was due by then has left it.
extension RestingOrder {
  /// Whether its date is not later than `stamp`.
  public func isDue(asOf stamp: Stamp) -> Bool { expiry != .zero && expiry <= stamp }
}

extension MatchingEngine {
  /// The earliest date later than `stamp` at which an open order leaves; nil if none has one.
  /// - Complexity: O(k) for k orders due as of `stamp`, here and below.
  public func nextExpiry(after stamp: Stamp) -> Stamp? {
    let next = expiries.next(after: stamp.value)
    return next == .max ? nil : Stamp(next)
  }

  /// Whether any order is due.
  public func hasDueOrders(asOf stamp: Stamp) -> Bool { expiries.next <= stamp.value }

  /// The orders, waiting stops included, whose dates are later than `start` and not later than `stamp`, in the order in
  /// which they will expire.
  /// - Complexity: O(k + m log m) for m orders returned.
  public func dueOrders(after start: Stamp = .zero, asOf stamp: Stamp) -> [(dot: Dot, openLots: Int64)] {
    expiries.slots(after: start.value, through: stamp.value)
      .map { (expiry: expiry($0), dot: orders[$0].dot, openLots: orders[$0].openLots) }
      .sorted { ($0.expiry, $0.dot) < ($1.expiry, $1.dot) }
      .map { ($0.dot, $0.openLots) }
  }

  /// As `restingOrders`.
  public func restingOrders(asOf stamp: Stamp) -> Int {
    restingOrders - expiries.slots(after: 0, through: stamp.value).count { !orders[$0].isWaiting }
  }

  /// As `waitingStops`.
  public func waitingStops(asOf stamp: Stamp) -> Int {
    waitingStops - expiries.slots(after: 0, through: stamp.value).count { orders[$0].isWaiting }
  }

  /// As `order(_:)`: nil also if the order is due.
  /// - Complexity: O(1).
  public func order(_ dot: Dot, asOf stamp: Stamp) -> RestingOrder? {
    guard let order = order(dot), !order.isDue(asOf: stamp) else { return nil }
    return order
  }

  /// As `levels(of:_:limit:)`: `limit` counts the levels that are left.
  /// - Complexity: O(limit + k).
  public func levels(of instrument: Dot, _ side: Side, limit: Int, asOf stamp: Stamp) -> [LevelSummary] {
    guard hasDueOrders(asOf: stamp) else { return levels(of: instrument, side, limit: limit) }
    guard let book = books.search(instrument) else { return [] }
    let due = dueByLevel(stamp)
    var out: [LevelSummary] = []
    var level = ladder.best(book, side)
    while level != noSlot && out.count < limit {
      let left = summary(level, without: due)
      if left.orders > 0 { out.append(left) }
      level = ladder.worse(book, side, than: left.priceTicks)
    }
    return out
  }

  /// As `level(of:_:priceTicks:)`: nil also if all of its orders are due.
  public func level(of instrument: Dot, _ side: Side, priceTicks: Int64, asOf stamp: Stamp) -> LevelSummary? {
    guard let level = level(of: instrument, side, priceTicks: priceTicks), hasDueOrders(asOf: stamp) else {
      return level(of: instrument, side, priceTicks: priceTicks)
    }
    return without(dueByLevel(stamp), level, of: instrument)
  }

  /// As `orders(of:_:priceTicks:limit:)`: `limit` counts the orders that are left.
  public func orders(
    of instrument: Dot, _ side: Side, priceTicks: Int64, limit: Int = .max, asOf stamp: Stamp
  ) -> [RestingOrder] {
    guard hasDueOrders(asOf: stamp) else { return orders(of: instrument, side, priceTicks: priceTicks, limit: limit) }
    let left = orders(of: instrument, side, priceTicks: priceTicks).lazy.filter { !$0.isDue(asOf: stamp) }
    return Array(left.prefix(limit))
  }

  /// As `stops(of:_:)`.
  public func stops(of instrument: Dot, _ side: Side, asOf stamp: Stamp) -> [RestingOrder] {
    withoutDue(stops(of: instrument, side), stamp)
  }

  /// As `orders(of:instrument:)`.
  public func orders(of account: AccountID, instrument: Dot = .none, asOf stamp: Stamp) -> [RestingOrder] {
    withoutDue(orders(of: account, instrument: instrument), stamp)
  }

  /// As `takeChangedLevels`, for someone whom the call before told the levels as of `before`: also the levels of orders
  /// that have become due since.
  ///
  /// A level that is told may be as it was: the entry that takes due orders out of the book marks their levels too.
  /// - Precondition: `before <= stamp`, and all calls since tracking began were of this kind.
  /// - Complexity: O(c log c + k) for c levels returned.
  public mutating func takeChangedLevels(since before: Stamp, asOf stamp: Stamp) -> [LevelChange] {
    precondition(before <= stamp, "what has expired does not come back")
    let touched = takeChangedLevels()
    guard tracksChangedLevels, hasDueOrders(asOf: stamp) else { return touched }
    var changes = touched + levels(ofDueAfter: before, stamp)
    guard !changes.isEmpty else { return [] }
    let due = dueByLevel(stamp)
    changes.sort { ($0.instrument, $0.side.rawValue, $0.priceTicks) < ($1.instrument, $1.side.rawValue, $1.priceTicks) }
    var out: [LevelChange] = []
    for var change in changes {
      if let last = out.last, last.instrument == change.instrument, last.side == change.side,
        last.priceTicks == change.priceTicks
      {
        continue
      }
      let whole = level(of: change.instrument, change.side, priceTicks: change.priceTicks)
      let left = whole.flatMap { without(due, $0, of: change.instrument) }
      change.quantityLots = left?.quantityLots ?? 0
      change.orders = left?.orders ?? 0
      out.append(change)
    }
    return out
  }

  // MARK: Parts

  private struct DueLots {
    /// Of what the book shows.
    var lots: UInt128 = 0
    var orders = 0
  }

  private func expiry(_ slot: UInt32) -> UInt64 { orders[terms: orders[slot].terms].expiry }

  /// What is due, by level. Looked up, never iterated.
  private func dueByLevel(_ stamp: Stamp) -> [UInt32: DueLots] {
    var due: [UInt32: DueLots] = [:]
    for slot in expiries.slots(after: 0, through: stamp.value) where !orders[slot].isWaiting {
      due[orders[slot].level, default: DueLots()].lots += UInt128(orders.visibleLots(slot))
      due[orders[slot].level, default: DueLots()].orders += 1
    }
    return due
  }

  /// - Precondition: somebody's orders rest there.
  private func summary(_ level: UInt32, without due: [UInt32: DueLots]) -> LevelSummary {
    let gone = due[level] ?? DueLots()
    let queue = ladder.pages[level]
    return LevelSummary(
      priceTicks: ladder.pages.price(of: level),
      quantityLots: queue.total - ladder.pages.hiddenLots(level) - gone.lots, orders: Int(queue.count) - gone.orders)
  }

  /// What is left of a level of the book; nil if nothing is.
  private func without(_ due: [UInt32: DueLots], _ whole: LevelSummary, of instrument: Dot) -> LevelSummary? {
    guard let book = books.search(instrument) else { return nil }
    let left = summary(ladder.find(book, whole.priceTicks), without: due)
    return left.orders > 0 ? left : nil
  }

  /// The levels, in no particular order and some of them repeatedly, of orders that have become due; not what is left
  /// of them.
  private func levels(ofDueAfter before: Stamp, _ stamp: Stamp) -> [LevelChange] {
    expiries.slots(after: before.value, through: stamp.value).filter { !orders[$0].isWaiting }.map { slot in
      let level = orders[slot].level
      return LevelChange(
        instrument: books[ladder.pages.row(of: level)].dot, side: orders[slot].side,
        priceTicks: ladder.pages.price(of: level), quantityLots: 0, orders: 0)
    }
  }

  private func withoutDue(_ all: [RestingOrder], _ stamp: Stamp) -> [RestingOrder] {
    hasDueOrders(asOf: stamp) ? all.filter { !$0.isDue(asOf: stamp) } : all
  }
}
