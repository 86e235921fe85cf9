import Primitives

/// Looking ahead in a batch: asking for memory before the command that needs it is applied.
///
/// An order of a large book lies in memory that no cache holds, and so do its neighbours, and where it lies has to be
/// looked up first. Asked for one after the other, that is five waits for memory; asked for ahead, in three stages,
/// they overlap with the commands before. Only time depends on it: a hint that is wrong, or missing, changes nothing.
extension MatchingEngine {
  /// How far ahead a command is.
  public enum Lookahead: Int, CaseIterable {
    /// Twelve commands: where its order is looked up.
    case far = 12
    /// Eight commands: its order, and the level at which a new one may rest.
    case near = 8
    /// Four commands: the neighbours.
    case next = 4
  }

  /// Whether looking ahead pays: the caches hold a small book whole.
  @inlinable public var isLarge: Bool { restingOrders > 1 << 16 }

  // Mutating, as is all that is called often: a method that only reads is given a copy of the engine's fields.
  /// Asks for the memory that a command soon to be applied will need.
  public mutating func prepare(for command: Command?, _ distance: Lookahead) {
    switch command {
    case .some(.order(let order)): prepare(order.instrument, order.priceTicks, order.account.value, distance)
    case .some(.cancel(let cancel)): if case .dot(let target) = cancel.target { prepare(target: target, distance) }
    case .some(.amend(let amend)): if case .dot(let target) = amend.target { prepare(target: target, distance) }
    default: break
    }
  }

  /// As above, of an order that is to be cancelled or amended.
  @inline(__always) public mutating func prepare(target: Dot, _ distance: Lookahead) {
    let cell = index.cellInMemory(of: target)
    if cell < 0 { return }
    if distance == .far { return index.prefetch(cell) }
    let slot = index.slot(in: cell)
    if slot == noSlot { return }
    if distance == .near { return orders.prefetch(slot) }
    let order = orders.address(slot)
    orders.prefetch(order.pointee.previous)
    orders.prefetch(order.pointee.next)
    orders.prefetch(order.pointee.accountPrevious)
    orders.prefetch(order.pointee.accountNext)
    if !order.pointee.isWaiting { ladder.pages.prefetch(order.pointee.level) }
  }

  /// Asks for the level at which a new order may rest. In a market that moves it pays for small books too.
  public mutating func prepareLevel(_ instrument: Dot, _ priceTicks: Int64) {
    if books.isRecent(instrument) { ladder.prefetch(books.recentBook, priceTicks) }
  }

  /// As above, of a new order.
  private mutating func prepare(
    _ instrument: Dot, _ priceTicks: Int64, _ account: UInt64, _ distance: Lookahead
  ) {
    if distance == .near { return prepareLevel(instrument, priceTicks) }
    guard distance == .next, priceTicks > 0, let book = books.find(instrument) else { return }
    let level = ladder.find(book, priceTicks)
    if level != noSlot { orders.prefetch(ladder.pages.address(level).pointee.tail) }
    let entry = accounts.lookUp(account)
    if entry != noSlot { orders.prefetch(accounts.address(entry).pointee.head) }
  }
}
