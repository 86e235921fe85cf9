import Primitives

/// Two structures disagree, and how.
struct BrokenInvariant: Error {
  let text: StaticString
}

/// - Throws: `BrokenInvariant` unless `holds`.
@inline(__always) func check(_ holds: Bool, _ text: StaticString) throws(BrokenInvariant) {
  if !holds { throw BrokenInvariant(text: text) }
}

extension MatchingEngine {
  /// Stops the process if any structure disagrees with another: links, counts, totals, indices, best prices.
  /// - Complexity: O(book), with a small constant.
  public func checkInvariants() {
    if let broken = brokenInvariant { preconditionFailure("\(broken)") }
  }

  /// What `checkInvariants` would stop for; nil if all is well.
  var brokenInvariant: StaticString? {
    do throws(BrokenInvariant) {
      try checkBooks()
      return nil
    } catch {
      return error.text
    }
  }

  private func checkBooks() throws(BrokenInvariant) {
    var seen = Seen()
    for book in 0..<books.count {
      try check(books.search(books[book].dot) == book, "a book is not found by its dot")
      try check(books.find(books[book].instrument.symbol) == book, "a book is not found by its symbol")
      for side in Side.allCases {
        seen.resting += try checkSide(ladder, book, side, waits: false, &seen)
        seen.waiting += try checkSide(stops, Self.stopRow(book, side), side.opposite, waits: true, &seen)
        let row = Self.stopRow(book, side)
        try check(stops.best(row, side) == noSlot, "a stop waits on the wrong side")
        let first = stops.best(row, side.opposite)
        let isDue = first != noSlot && isReached(stops.pages.price(of: first), side, book)
        try check(!isDue, "a stop slept while its price was reached")
      }
      let bid = ladder.best(book, .buy)
      try check(bid == noSlot || !ladder.reaches(book, .sell, ladder.pages.price(of: bid)), "the book is crossed")
    }
    let found = seen.resting + seen.waiting
    try check(seen.resting == restingOrders && seen.waiting == waitingStops, "orders are lost")
    try check(orders.count >= found && triggered.count == 0, "slots are lost")
    try check(index.entries == found, "the index of dots names orders that are not open")
    try check(seen.expiring == expiries.count, "the queue of expiries names orders that are not open")
    try expiries.check(orders)
    try tombstones.check()
    if journal.start == journal.end {
      try check(orders.count == found, "slots of removed orders are kept after settling")
      try check(orders.termsCount == seen.terms, "terms of removed orders are kept after settling")
      try check(accounts.count == seen.heads, "accounts without orders are kept after settling")
      try ids.check { Int($0) < seen.references.count ? seen.references[Int($0)] : 0 }
    }
  }

  /// What a walk over all books has met.
  private struct Seen {
    var resting = 0
    var waiting = 0
    var heads = 0
    var terms = 0
    var expiring = 0
    /// By client order id record, how many orders name it.
    var references: [UInt32] = []
  }

  private func checkSide(
    _ ladder: borrowing PriceLadder, _ row: UInt32, _ side: Side, waits: Bool, _ seen: inout Seen
  ) throws(BrokenInvariant) -> Int {
    var found = 0
    var level = ladder.worse(row, side, than: nil)
    try check(level == ladder.best(row, side), "the best level is wrong")
    while level != noSlot {
      let ticks = ladder.pages.price(of: level)
      let best = ladder.address(row, side).pointee.bestKey
      try check(found > 0 || best == PriceLadder.key(ticks, side), "the best price is wrong")
      try check(ladder.find(row, ticks) == level, "a level is not found by its price")
      try check(ladder.pages.row(of: level) == row, "a level is in the wrong row")
      found += try checkLevel(ladder.pages, level, side, waits: waits, &seen)
      let next = ladder.worse(row, side, than: ticks)
      if next != noSlot {
        let worse = ladder.pages.price(of: next)
        try check(side == .buy ? worse < ticks : worse > ticks, "levels are out of order")
      }
      level = next
    }
    return found
  }

  private func checkLevel(
    _ pages: borrowing LevelPages, _ level: UInt32, _ side: Side, waits: Bool, _ seen: inout Seen
  ) throws(BrokenInvariant) -> Int {
    let value = pages[level]
    var total: UInt128 = 0
    var hidden: UInt128 = 0
    var count = 0
    var previous = noSlot
    var slot = value.head
    while slot != noSlot {
      let order = orders[slot]
      try check(order.previous == previous && order.level == level, "a queue is broken")
      try check(order.isWaiting == waits && (order.side == side) != waits, "an order is in the wrong queue")
      try check(order.openLots > 0 && order.filledLots >= 0, "an order is open without open quantity")
      try check(index.slot(of: order.dot) == slot, "an order is not found by its dot")
      try checkAccountLinks(slot, order)
      try checkTerms(slot, order, pages.price(of: level), &seen)
      if order.accountPrevious == noSlot { seen.heads += 1 }
      if order.clientRecord != noSlot {
        while seen.references.count <= Int(order.clientRecord) { seen.references.append(0) }
        seen.references[Int(order.clientRecord)] += 1
      }
      total += UInt128(order.openLots)
      if !waits { hidden += UInt128(order.openLots - orders.visibleLots(slot)) }
      count += 1
      previous = slot
      slot = order.next
    }
    try check(pages.isOccupied(level, side), "a level with orders counts as empty")
    try check(count > 0 && previous == value.tail, "an empty level counts as occupied")
    try check(count == Int(value.count) && total == value.total, "a level's sums are wrong")
    try check(hidden == pages.hiddenLots(level), "a level hides something else than its icebergs")
    try check(Int(value.references) >= count, "a level is not counted right")
    return count
  }

  private func checkTerms(
    _ slot: UInt32, _ order: OrderSlot, _ ticks: Int64, _ seen: inout Seen
  ) throws(BrokenInvariant) {
    guard order.terms != noSlot else {
      let needs = order.isWaiting || order.flags.isIceberg || order.flags.timeInForce == .goodTillDate
      return try check(!needs, "an order has lost its terms")
    }
    let terms = orders[terms: order.terms]
    seen.terms += 1
    if terms.expiry != 0 { seen.expiring += 1 }
    try check((terms.expiry != 0) == (order.flags.timeInForce == .goodTillDate), "an order's expiry is not its own")
    try check((terms.expiryPlace != 0) == (terms.expiry != 0), "an order's expiry is not awaited")
    try check(!order.isWaiting || terms.stopPriceTicks == ticks, "a stop waits for another price")
    if order.flags.isIceberg && !order.isWaiting {
      let most = min(terms.displayLots, order.openLots)
      try check(terms.visibleLots > 0 && terms.visibleLots <= most, "an iceberg shows too much or nothing")
    }
  }

  private func checkAccountLinks(_ slot: UInt32, _ order: OrderSlot) throws(BrokenInvariant) {
    let account = accounts[order.account]
    try check(accounts.lookUp(account.account) == order.account, "an account is not found by its number")
    if order.accountPrevious == noSlot {
      try check(account.head == slot, "an account's newest order is wrong")
    } else {
      try check(orders[order.accountPrevious].accountNext == slot, "an account's list is broken")
    }
    if order.accountNext != noSlot {
      try check(orders[order.accountNext].accountPrevious == slot, "an account's list is broken")
      try check(orders[order.accountNext].account == order.account, "an order is in another account's list")
    }
  }
}
