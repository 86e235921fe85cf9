import Primitives

/// Why a command had no effect. The raw value is part of wires and files.
public enum RejectReason: UInt8, Hashable, Sendable, CaseIterable {
  case unknownInstrument = 1
  case invalidPrice = 2
  case invalidQuantity = 3
  /// The client order id is taken by an order of other content.
  case duplicateID = 4
  /// Same id, same content: the first order stands, this one is another name for it.
  case repeated = 5
  /// The client's time is so old that its id may have been remembered and forgotten since.
  case stale = 6
  case unknownOrder = 7
  case notOwner = 8
  /// The order had ended already.
  case notOpen = 9
  /// Post-only, and it would have traded. Its client order id is taken all the same: a repeat gets this answer too.
  case wouldTrade = 10
  case invalidExpiry = 11
  case invalidDisplay = 12
  case invalidStop = 13
  /// The combination of type, time-in-force and flags means nothing.
  case invalidCombination = 14
  /// The symbol was defined before, by another entry.
  case instrumentExists = 15
  case tooManyInstruments = 16
  /// Its node was sealed away before the entry became final.
  case sealed = 17
  /// Kept for wires: no build that knows all order types says it.
  case unsupported = 18
  /// The client's time is further ahead of the entry's stamp than clocks may differ.
  case clientTimeAhead = 19
  /// Price × quantity is 2^96 or more: sums of such values over a book's life might not fit 128 bits.
  case notionalOverflow = 20
}

/// Why an order left the book without being filled.
public enum CancelReason: UInt8, Hashable, Sendable, CaseIterable {
  case requested = 1
  /// Remainder of an immediate-or-cancel order.
  case immediateOrCancel = 2
  /// A fill-or-kill order that could not be filled whole.
  case fillOrKill = 3
  /// Remainder of a market order.
  case market = 4
  case selfTrade = 5
  case cancelAll = 6
  /// A cancel came first.
  case tombstone = 7
}

/// Where an order is in its life.
public enum OrderStatus: UInt8, Hashable, Sendable, CaseIterable {
  /// Not yet applied.
  case pending = 0
  case open = 1
  case partiallyFilled = 2
  case filled = 3
  case cancelled = 4
  case expired = 5
  case rejected = 6
  @inlinable public var isTerminal: Bool {
    switch self {
    case .pending, .open, .partiallyFilled: false
    case .filled, .cancelled, .expired, .rejected: true
    }
  }
}

/// One consequence of applying an entry, in the order in which they happen.
///
/// Plain values: the tape of events is the source of everything that clients, audit tables and attestations are told.
public enum OrderEvent: Hashable, Sendable {
  /// The order was taken; what it traded at once follows.
  case accepted(order: Dot)
  /// A stop waits for its price.
  case waiting(order: Dot, openLots: Int64)
  /// The last trade reached the stop's price: it enters now, and what it trades follows.
  case triggered(order: Dot)
  /// What is left rests in the book.
  case rested(order: Dot, openLots: Int64)
  /// An iceberg's visible quantity was used up: it shows this much anew, last in its queue.
  case refreshed(order: Dot, visibleLots: Int64)
  /// A trade at the maker's price; the open quantities are those after it.
  case filled(Fill)
  case cancelled(order: Dot, reason: CancelReason, openLots: Int64)
  case expired(order: Dot, openLots: Int64)
  /// Self-trade prevention took `lots` off the order without a trade.
  case reduced(order: Dot, lots: Int64, openLots: Int64)
  /// The amend took effect. If it entered the order anew, fills and `rested` follow.
  case amended(order: Dot, by: Dot, priceTicks: Int64, openLots: Int64, reducedLots: Int64)
  /// `entry` had no effect; `order` is the order concerned, if one is known (the first one, for `repeated`).
  case rejected(entry: Dot, reason: RejectReason, order: Dot)
  case instrumentDefined(entry: Dot)
}

/// One maker–taker execution.
public struct Fill: Hashable, Sendable {
  public var instrument: Dot
  public var maker: Dot
  public var taker: Dot
  public var takerSide: Side
  /// The maker's price.
  public var priceTicks: Int64
  public var quantityLots: Int64
  public var makerOpenLots: Int64
  public var takerOpenLots: Int64
  public init(
    instrument: Dot, maker: Dot, taker: Dot, takerSide: Side, priceTicks: Int64, quantityLots: Int64,
    makerOpenLots: Int64, takerOpenLots: Int64
  ) {
    self.instrument = instrument
    self.maker = maker
    self.taker = taker
    self.takerSide = takerSide
    self.priceTicks = priceTicks
    self.quantityLots = quantityLots
    self.makerOpenLots = makerOpenLots
    self.takerOpenLots = takerOpenLots
  }
}
