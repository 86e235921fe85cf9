import Primitives

/// Stops: orders that wait until the last trade reaches their price.
///
/// Waiting buy stops lie in row `2 × book` of the stop ladder, sell stops in the next one, by stop price.
extension MatchingEngine {
  @inline(__always) static func stopRow(_ book: UInt32, _ side: Side) -> UInt32 { book * 2 + UInt32(side.rawValue) }

  /// Has the instrument traded at a price at which the stop enters?
  @inline(__always) func isReached(_ stop: Int64, _ side: Side, _ book: UInt32) -> Bool {
    let last = books[book].lastTradeTicks
    return last != 0 && (side == .buy ? last >= stop : last <= stop)
  }

  /// Puts a stop at the tail of those that wait for its price.
  /// - Parameters:
  ///   - limit: its limit price, 0 if it becomes a market order.
  ///   - since: key of the entry by which it waits; of several triggered by one trade, the lowest enters first.
  mutating func wait(_ incoming: borrowing Incoming, stop: Int64, limit: Int64, since: OrderKey) {
    let level = stops.open(Self.stopRow(incoming.book, incoming.side), stop)
    let slot = orders.allocate()
    let terms = orders.allocate(
      OrderTerms(
        displayLots: incoming.displayLots, expiry: incoming.expiry, stopPriceTicks: stop, limitTicks: limit,
        sinceStamp: since.stamp.value, sinceOrigin: since.origin.value))
    let entry = accounts.retain(incoming.account)
    orders[slot] = OrderSlot(
      openLots: incoming.openLots, filledLots: incoming.filledLots, sequence: incoming.dot.sequence,
      packed: OrderSlot.pack(incoming.dot.origin, OrderFlags(bits: incoming.flags.bits | OrderFlags.waits)),
      level: level, account: entry, clientRecord: incoming.clientRecord, terms: terms)
    if incoming.clientRecord != noSlot { ids.retain(incoming.clientRecord) }
    linkAccount(slot, orders.address(slot), accounts.address(entry))
    stops.append(
      slot, orders.address(slot), incoming.side.opposite, orders, row: Self.stopRow(incoming.book, incoming.side),
      ticks: stop)
    index.set(incoming.dot, to: slot)
    waitingStops += 1
    if incoming.expiry != 0 { expiries.insert(slot, &orders) }
    journal.push(UndoRecord(.inserted, slot: slot))
  }

  /// The instrument traded at this price: the stops that it reaches stop waiting, and will enter in the order of their
  /// time.
  @inline(never) mutating func trigger(_ book: UInt32, _ ticks: Int64) {
    let buys = Self.stopRow(book, .buy)
    let sells = Self.stopRow(book, .sell)
    guard stops.reaches(buys, .sell, ticks) || stops.reaches(sells, .buy, ticks) else { return }
    let first = triggered.count
    while stops.reaches(buys, .sell, ticks) { takeTriggered(stops.best(buys, .sell)) }
    while stops.reaches(sells, .buy, ticks) { takeTriggered(stops.best(sells, .buy)) }
    sortTriggered(from: first)
  }

  private mutating func takeTriggered(_ level: UInt32) {
    let slot = stops.pages[level].head
    remove(slot)
    triggered.append(slot)
  }

  /// Heap sort, in place: an entry allocates nothing.
  private mutating func sortTriggered(from first: Int) {
    let count = triggered.count - first
    func key(_ place: Int) -> OrderKey { orders[terms: orders[triggered[first + place]].terms].since }
    func sink(_ start: Int, _ end: Int) {
      var place = start
      while 2 * place + 1 < end {
        var child = 2 * place + 1
        if child + 1 < end, key(child) < key(child + 1) { child += 1 }
        if !(key(place) < key(child)) { return }
        triggered.swapAt(first + place, first + child)
        place = child
      }
    }
    for place in stride(from: count / 2 - 1, through: 0, by: -1) { sink(place, count) }
    for end in stride(from: count - 1, to: 0, by: -1) {
      triggered.swapAt(first, first + end)
      sink(0, end)
    }
  }

  /// The stops that this entry triggered enter, first triggered first; they may trigger more.
  @inline(never) mutating func enterTriggered(_ tape: inout EventTape) {
    var place = 0
    while place < triggered.count {
      let order = orders[triggered[place]]
      let terms = orders[terms: order.terms]
      let flags = OrderFlags(bits: order.flags.bits & ~OrderFlags.waits)
      let any = order.side == .buy ? Incoming.anyAsk : Incoming.anyBid
      var incoming = Incoming(
        dot: order.dot, account: accounts[order.account].account, openLots: order.openLots,
        filledLots: order.filledLots, limitTicks: terms.limitTicks == 0 ? any : terms.limitTicks,
        book: stops.pages.row(of: order.level) / 2, clientRecord: order.clientRecord, flags: flags,
        displayLots: terms.displayLots, expiry: terms.expiry)
      tape.append(.triggered(order: order.dot))
      enter(&incoming, flags.timeInForce, &tape)
      place += 1
    }
    triggered.removeAll()
  }
}
