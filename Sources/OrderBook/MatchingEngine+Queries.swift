import Primitives

/// All orders at one price, added up.
public struct LevelSummary: Hashable, Sendable {
  public var priceTicks: Int64
  /// Open lots. More than 64 bits: a level may hold any number of orders of 2^62 lots.
  public var quantityLots: UInt128
  public var orders: Int
  public init(priceTicks: Int64, quantityLots: UInt128, orders: Int) {
    self.priceTicks = priceTicks
    self.quantityLots = quantityLots
    self.orders = orders
  }
}

/// What has become of one level; no orders means that it is gone.
public struct LevelChange: Hashable, Sendable {
  public var instrument: Dot
  public var side: Side
  public var priceTicks: Int64
  public var quantityLots: UInt128
  public var orders: Int
  public init(instrument: Dot, side: Side, priceTicks: Int64, quantityLots: UInt128, orders: Int) {
    self.instrument = instrument
    self.side = side
    self.priceTicks = priceTicks
    self.quantityLots = quantityLots
    self.orders = orders
  }
}

/// An open order: in a level of the book, or a stop that waits.
public struct RestingOrder: Hashable, Sendable {
  public var dot: Dot
  /// Dot of the instrument's definition.
  public var instrument: Dot
  public var account: AccountID
  public var side: Side
  public var type: OrderType
  public var timeInForce: TimeInForce
  public var selfTradePrevention: SelfTradePrevention
  public var postOnly: Bool
  /// Limit price; 0 for a stop that waits.
  public var priceTicks: Int64
  public var openLots: Int64
  public var filledLots: Int64
  /// Largest visible quantity of an iceberg; 0 shows everything.
  public var displayLots: Int64
  /// What the book shows of `openLots`; everything unless it is an iceberg.
  public var visibleLots: Int64
  /// Trigger price while it waits; else 0.
  public var stopPriceTicks: Int64
  /// When it leaves the book, of a good-till-date order; else zero.
  public var expiry: Stamp
  public var clientOrderID: ClientOrderID
  /// A stop whose price has not been reached.
  public var isWaiting: Bool { stopPriceTicks != 0 }

  public init(
    dot: Dot, instrument: Dot, account: AccountID, side: Side, type: OrderType = .limit,
    timeInForce: TimeInForce = .goodTillCancel, selfTradePrevention: SelfTradePrevention = .none,
    postOnly: Bool = false, priceTicks: Int64, openLots: Int64, filledLots: Int64, displayLots: Int64 = 0,
    visibleLots: Int64? = nil, stopPriceTicks: Int64 = 0, expiry: Stamp = .zero, clientOrderID: ClientOrderID
  ) {
    self.dot = dot
    self.instrument = instrument
    self.account = account
    self.side = side
    self.type = type
    self.timeInForce = timeInForce
    self.selfTradePrevention = selfTradePrevention
    self.postOnly = postOnly
    self.priceTicks = priceTicks
    self.openLots = openLots
    self.filledLots = filledLots
    self.displayLots = displayLots
    self.visibleLots = visibleLots ?? openLots
    self.stopPriceTicks = stopPriceTicks
    self.expiry = expiry
    self.clientOrderID = clientOrderID
  }
}

extension MatchingEngine {
  /// Every instrument, in order of definition.
  public var instruments: [(dot: Dot, instrument: Instrument)] {
    (0..<books.count).map { (books[$0].dot, books[$0].instrument) }
  }

  /// Price of the instrument's last trade in ticks; nil before the first, or if there is no such instrument.
  public func lastTradePrice(of instrument: Dot) -> Int64? {
    guard let book = books.search(instrument), books[book].lastTradeTicks != 0 else { return nil }
    return books[book].lastTradeTicks
  }

  /// The best `limit` levels of one side, best first; none for an unknown instrument.
  /// - Complexity: O(limit).
  public func levels(of instrument: Dot, _ side: Side, limit: Int) -> [LevelSummary] {
    guard let book = books.search(instrument) else { return [] }
    var out: [LevelSummary] = []
    var level = side == .buy ? ladder[book].bestBid : ladder[book].bestAsk
    while level != noSlot && out.count < limit {
      let ticks = ladder.pages.price(of: level)
      out.append(
        LevelSummary(
          priceTicks: ticks, quantityLots: ladder.pages[level].total, orders: Int(ladder.pages[level].count)))
      level = ladder.worse(book, side, than: ticks)
    }
    return out
  }

  /// The resting order `dot`; nil if it does not rest.
  public func order(_ dot: Dot) -> RestingOrder? {
    let slot = index.slot(of: dot)
    return slot == noSlot ? nil : resting(slot)
  }

  /// The order that a client order id stands for, resting or not; nil if the id is not remembered.
  public func order(account: AccountID, clientOrderID: ClientOrderID) -> Dot? {
    if clientOrderID.isNone { return nil }
    return remembered(account.value, clientOrderID).map { ids[$0].dot }
  }

  /// The orders of one level in the order in which they trade, at most `limit`.
  public func orders(of instrument: Dot, _ side: Side, priceTicks: Int64, limit: Int = .max) -> [RestingOrder] {
    guard priceTicks > 0, let book = books.search(instrument) else { return [] }
    let level = ladder.find(book, priceTicks)
    guard level != noSlot else { return [] }
    var out: [RestingOrder] = []
    var slot = ladder.pages[level].head
    while slot != noSlot && out.count < limit && orders[slot].side == side {
      out.append(resting(slot))
      slot = orders[slot].next
    }
    return out
  }

  /// The resting orders of an account, by dot, in one instrument or (none) in all.
  /// - Complexity: O(k log k) for an account with k resting orders.
  public func orders(of account: AccountID, instrument: Dot = .none) -> [RestingOrder] {
    let book = books.search(instrument)
    if book == nil && !instrument.isNone { return [] }
    return slots(of: account.value, in: book).map { resting($0.slot) }
  }

  private func resting(_ slot: UInt32) -> RestingOrder {
    let order = orders[slot]
    let id = order.clientRecord == noSlot ? ClientOrderID.none : ids[order.clientRecord].id
    return RestingOrder(
      dot: order.dot, instrument: books[ladder.pages.book(of: order.level)].dot, account: AccountID(order.account),
      side: order.side, priceTicks: ladder.pages.price(of: order.level), openLots: order.openLots,
      filledLots: order.filledLots, clientOrderID: id)
  }

  // MARK: Changes

  /// Collect what `takeChangedLevels` returns? Off by default, and then without cost. Turning it on starts from
  /// nothing.
  public var tracksChangedLevels: Bool {
    get { ladder.pages.tracksChanges }
    set {
      ladder.pages.tracksChanges = newValue
      if newValue { return }
      vanishedLevels.removeAll()
      while let (page, _) = ladder.pages.takeChanged() { ladder.releaseIfIdle(page) }
    }
  }

  /// The levels that `apply` or `rollback` touched since the last call, by instrument, side and price, as they are now.
  /// - Complexity: O(k log k) for k levels.
  public mutating func takeChangedLevels() -> [LevelChange] {
    var out: [LevelChange] = []
    while let (page, marks) = ladder.pages.takeChanged() {
      append(page, marks, to: &out)
      ladder.releaseIfIdle(page)
    }
    let live = out.count
    for gone in vanishedLevels where !out[..<live].contains(where: { $0.isSameLevel(gone) }) { out.append(gone) }
    vanishedLevels.removeAll(keepingCapacity: true)
    return out.sorted { $0.sortsBefore($1) }
  }

  private func append(_ page: UInt32, _ marks: UInt32, to out: inout [LevelChange]) {
    let header = ladder.pages[page: page]
    if header.book == LevelPages.noBook { return }
    var marks = marks
    while marks != 0 {
      let bit = UInt32(marks.trailingZeroBitCount)
      marks &= marks - 1
      let level = page * LevelPages.width + bit % LevelPages.width
      let isOccupied = header.occupied & 1 << bit != 0
      out.append(
        LevelChange(
          instrument: books[header.book].dot, side: bit < LevelPages.width ? .buy : .sell,
          priceTicks: ladder.pages.price(of: level), quantityLots: isOccupied ? ladder.pages[level].total : 0,
          orders: isOccupied ? Int(ladder.pages[level].count) : 0))
    }
  }

  /// The book is about to go: whoever saw its levels must hear that they are gone.
  mutating func rememberVanishedLevels(of book: UInt32) {
    var gone: [LevelChange] = []
    for index in 0..<ladder.pages.changed.count {
      let page = ladder.pages.changed[index]
      if ladder.pages[page: page].book == book { append(page, ladder.pages[page: page].changed, to: &gone) }
    }
    for change in gone where !vanishedLevels.contains(where: { $0.isSameLevel(change) }) {
      vanishedLevels.append(change)
    }
  }
}

extension LevelChange {
  fileprivate func isSameLevel(_ other: LevelChange) -> Bool {
    instrument == other.instrument && side == other.side && priceTicks == other.priceTicks
  }

  fileprivate func sortsBefore(_ other: LevelChange) -> Bool {
    if instrument != other.instrument { return instrument < other.instrument }
    if side != other.side { return side.rawValue < other.side.rawValue }
    return priceTicks < other.priceTicks
  }
}
