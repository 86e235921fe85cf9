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
    var found = 0
    var heads = 0
    var references: [UInt32] = []
    for book in 0..<books.count {
      try check(books.search(books[book].dot) == book, "a book is not found by its dot")
      try check(books.find(books[book].instrument.symbol) == book, "a book is not found by its symbol")
      for side in Side.allCases { found += try checkSide(book, side, &references, &heads) }
      let bid = ladder[book].bestBidTicks
      try check(bid == PriceLadder.noBid || bid < ladder[book].bestAskTicks, "the book is crossed")
    }
    try check(found == restingOrders && orders.count >= found, "orders are lost")
    try check(index.entries == found, "the index of dots names orders that do not rest")
    try check(accounts.count == heads, "the index of accounts names some without orders")
    try tombstones.check()
    if journal.start == journal.end {
      try check(orders.count == restingOrders, "slots of removed orders are kept after settling")
      try ids.check { Int($0) < references.count ? references[Int($0)] : 0 }
    }
  }

  private func checkSide(
    _ book: UInt32, _ side: Side, _ references: inout [UInt32], _ heads: inout Int
  ) throws(BrokenInvariant) -> Int {
    var found = 0
    var level = ladder.worse(book, side, than: nil)
    try check(level == (side == .buy ? ladder[book].bestBid : ladder[book].bestAsk), "the best level is wrong")
    while level != noSlot {
      let ticks = ladder.pages.price(of: level)
      try check(ladder.find(book, ticks) == level, "a level is not found by its price")
      try check(ladder.pages.book(of: level) == book, "a level is in the wrong book")
      found += try checkLevel(level, side, &references, &heads)
      let next = ladder.worse(book, side, than: ticks)
      if next != noSlot {
        let worse = ladder.pages.price(of: next)
        try check(side == .buy ? worse < ticks : worse > ticks, "levels are out of order")
      }
      level = next
    }
    return found
  }

  private func checkLevel(
    _ level: UInt32, _ side: Side, _ references: inout [UInt32], _ heads: inout Int
  ) throws(BrokenInvariant) -> Int {
    let value = ladder.pages[level]
    var total: UInt128 = 0
    var count = 0
    var previous = noSlot
    var slot = value.head
    while slot != noSlot {
      let order = orders[slot]
      try check(order.previous == previous && order.level == level && order.side == side, "a queue is broken")
      try check(order.openLots > 0 && order.filledLots >= 0, "an order rests without open quantity")
      try check(index.slot(of: order.dot) == slot, "an order is not found by its dot")
      try checkAccountLinks(slot, order)
      if order.accountPrevious == noSlot { heads += 1 }
      if order.clientRecord != noSlot {
        while references.count <= Int(order.clientRecord) { references.append(0) }
        references[Int(order.clientRecord)] += 1
      }
      total += UInt128(order.openLots)
      count += 1
      previous = slot
      slot = order.next
    }
    try check(count > 0 && previous == value.tail, "an empty level counts as occupied")
    try check(count == Int(value.count) && total == value.total, "a level's sums are wrong")
    try check(Int(ladder.pages[page: level / LevelPages.width].references) >= count, "a page is not counted right")
    return count
  }

  private func checkAccountLinks(_ slot: UInt32, _ order: OrderSlot) throws(BrokenInvariant) {
    if order.accountPrevious == noSlot {
      try check(accounts.head(of: order.account) == slot, "an account's newest order is wrong")
    } else {
      try check(orders[order.accountPrevious].accountNext == slot, "an account's list is broken")
    }
    if order.accountNext != noSlot {
      try check(orders[order.accountNext].accountPrevious == slot, "an account's list is broken")
      try check(orders[order.accountNext].account == order.account, "an order is in another account's list")
    }
  }
}
