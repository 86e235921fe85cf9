import Primitives

/// All orders at one price, added up.
public struct LevelSummary: Hashable, Sendable {
  public var priceTicks: Int64
  /// Open lots that the orders show. More than 64 bits: a level may hold any number of orders of 2^62 lots.
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
  /// What the book shows of `openLots`: everything unless it is an iceberg; 0 while a stop waits.
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
    var level = ladder.best(book, side)
    while level != noSlot && out.count < limit {
      let ticks = ladder.pages.price(of: level)
      out.append(
        LevelSummary(
          priceTicks: ticks, quantityLots: ladder.pages[level].total - ladder.pages.hiddenLots(level),
          orders: Int(ladder.pages[level].count)))
      level = ladder.worse(book, side, than: ticks)
    }
    return out
  }

  /// The level at a price; nil if nothing of that side rests there, or the instrument is unknown.
  public func level(of instrument: Dot, _ side: Side, priceTicks ticks: Int64) -> LevelSummary? {
    guard ticks > 0, let book = books.search(instrument) else { return nil }
    let level = ladder.find(book, ticks)
    guard level != noSlot, ladder.pages.isOccupied(level, side) else {
      return nil
    }
    return LevelSummary(
      priceTicks: ticks, quantityLots: ladder.pages[level].total - ladder.pages.hiddenLots(level),
      orders: Int(ladder.pages[level].count))
  }

  /// The open order `dot`, also a stop that waits; nil if it is not open.
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

  /// The stops that wait for a price, the first to be triggered first; at one price, those that wait longest.
  public func stops(of instrument: Dot, _ side: Side) -> [RestingOrder] {
    guard let book = books.search(instrument) else { return [] }
    let row = Self.stopRow(book, side)
    var out: [RestingOrder] = []
    var level = stops.best(row, side.opposite)
    while level != noSlot {
      var slot = stops.pages[level].head
      while slot != noSlot {
        out.append(resting(slot))
        slot = orders[slot].next
      }
      level = stops.worse(row, side.opposite, than: stops.pages.price(of: level))
    }
    return out
  }

  /// The open orders of an account, by dot, in one instrument or (none) in all.
  /// - Complexity: O(k log k) for an account with k open orders.
  public func orders(of account: AccountID, instrument: Dot = .none) -> [RestingOrder] {
    let book = books.search(instrument)
    if book == nil && !instrument.isNone { return [] }
    return slots(of: account.value, in: book).map { resting($0.slot) }
  }

  /// Every order that is open, stops that wait included.
  /// - Complexity: O(n log n) for n orders.
  public var openOrders: [RestingOrder] {
    var found: [RestingOrder] = []
    for (dot, _) in instruments {
      for side in Side.allCases {
        for level in levels(of: dot, side, limit: .max) {
          found.append(contentsOf: orders(of: dot, side, priceTicks: level.priceTicks))
        }
        found.append(contentsOf: stops(of: dot, side))
      }
    }
    return found
  }

  private func resting(_ slot: UInt32) -> RestingOrder {
    let order = orders[slot]
    let terms = order.terms == noSlot ? OrderTerms() : orders[terms: order.terms]
    let name = order.clientRecord == noSlot ? ClientOrderID.none : ids[order.clientRecord].id
    return RestingOrder(
      dot: order.dot, instrument: books[book(of: slot)].dot, account: AccountID(accounts[order.account].account),
      side: order.side, type: order.flags.type, timeInForce: order.flags.timeInForce,
      selfTradePrevention: order.flags.selfTradePrevention, postOnly: order.flags.isPostOnly,
      priceTicks: order.isWaiting ? terms.limitTicks : ladder.pages.price(of: order.level),
      openLots: order.openLots, filledLots: order.filledLots, displayLots: terms.displayLots,
      visibleLots: order.isWaiting ? 0 : orders.visibleLots(slot),
      stopPriceTicks: order.isWaiting ? terms.stopPriceTicks : 0, expiry: Stamp(terms.expiry),
      clientOrderID: name.namesDot ? .none : name)
  }
}
