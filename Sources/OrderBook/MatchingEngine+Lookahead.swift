import Primitives

/// Looking ahead in a batch: asking for memory before the entry that needs it is applied.
///
/// An order of a large book lies in memory that no cache holds, and so do its neighbours, and where it lies has to be
/// looked up first. Asked for one after the other, that is five waits for memory; asked for in a sweep over a run of
/// entries, and what that finds in another sweep, they overlap. Only time depends on it: a hint that is wrong, or
/// missing, changes nothing.
extension MatchingEngine {
  /// Up to so many resting orders looking ahead for them does not pay: the caches hold the book whole.
  private static var ordersInCaches: Int { 1 << 16 }

  /// Entries of a run: what they ask for fits into the smallest cache.
  static var lookaheadRun: Int { 32 }

  // Mutating, as is all that is called often: a method that only reads is given a copy of the engine's fields.
  /// Asks for the memory that a batch's entries will need. `apply(_ batch:)` does so by itself.
  public mutating func prepare(_ batch: borrowing EntryBatch) {
    for start in stride(from: 0, to: batch.count, by: Self.lookaheadRun) {
      prepare(batch, start..<min(batch.count, start + Self.lookaheadRun))
    }
  }

  /// As above, of one run of entries.
  @inline(never) mutating func prepare(_ batch: borrowing EntryBatch, _ range: Range<Int>) {
    // In a market that moves, nobody has been at the levels of new orders: that pays for small books too.
    if books.recentBook < books.count {
      for place in range { ladder.prefetch(books.recentBook, batch.address(place).pointee.priceTicks) }
    }
    guard restingOrders > Self.ordersInCaches else { return }
    for place in range {
      let cell = index.likelyCell(of: batch.address(place).pointee.target)
      awaited[place &- range.lowerBound] = cell
      index.prefetch(cell)
    }
    for place in 0..<range.count {
      let slot = index.slot(in: awaited[place])
      awaited[place] = Int(slot)
      orders.prefetch(slot)
    }
    for place in 0..<range.count {
      let order = orders.address(UInt32(truncatingIfNeeded: awaited[place]))
      if !order.pointee.isWaiting { ladder.pages.prefetch(order.pointee.level) }
      orders.prefetch(order.pointee.previous)
      orders.prefetch(order.pointee.next)
      orders.prefetch(order.pointee.accountPrevious)
      orders.prefetch(order.pointee.accountNext)
    }
    for place in range { prepareNeighbours(batch.address(place)) }
  }

  /// Asks for what a new order will stand behind.
  @inline(__always) private mutating func prepareNeighbours(_ entry: UnsafePointer<PackedEntry>) {
    guard entry.pointee.kind.rawValue <= PackedEntry.Kind.immediate.rawValue, books.recentBook < books.count else {
      return
    }
    let level = ladder.findNear(ladder.rows.address(books.recentBook), entry.pointee.priceTicks)
    orders.prefetch(ladder.pages.address(level).pointee.tail)
    let account = accounts.lookUp(entry.pointee.account)
    if account != noSlot { orders.prefetch(accounts.address(account).pointee.head) }
  }
}
