import Primitives

/// What a client may ask of the book; each becomes one entry of its node's log.
///
/// Plain values without references: a command is copied through log, journal and book without touching the heap.
public enum Command: Hashable, Sendable {
  case instrument(Instrument)
  case order(Order)
  case cancel(Cancel)
  case amend(Amend)
  case cancelAll(CancelAll)
}

/// Defines a symbol. The first definition in key order wins; orders name an instrument by the dot of its definition.
public struct Instrument: Hashable, Sendable {
  public var symbol: Symbol
  /// Size of one price tick, in units of the quote currency.
  public var tick: Increment
  /// Size of one quantity lot, in units of the base currency.
  public var lot: Increment
  public init(symbol: Symbol, tick: Increment = .one, lot: Increment = .one) {
    self.symbol = symbol
    self.tick = tick
    self.lot = lot
  }
}

/// A request to buy or sell.
public struct Order: Hashable, Sendable {
  /// Dot of the entry that defined the instrument.
  public var instrument: Dot
  public var account: AccountID
  public var side: Side
  public var type: OrderType
  public var timeInForce: TimeInForce
  public var selfTradePrevention: SelfTradePrevention
  public var postOnly: Bool
  /// Limit price; 0 for `market` and `stop`.
  public var priceTicks: Int64
  public var quantityLots: Int64
  /// Trigger price of `stop` and `stopLimit`; else 0.
  public var stopPriceTicks: Int64
  /// Largest visible quantity of an iceberg; 0 shows everything.
  public var displayLots: Int64
  /// With `goodTillDate`, the stamp at which the order leaves; else zero.
  public var expiry: Stamp
  public var clientOrderID: ClientOrderID
  /// When the client made the order, milliseconds since 1970; given with a client order id, else 0.
  public var clientTimeMilliseconds: UInt64
  /// `firstDot` in one word, so that an order takes no more than two cache lines: 20 bits of origin, 44 of sequence.
  @usableFromInline var firstWord: UInt64 = 0

  @inlinable public init(
    instrument: Dot, account: AccountID, side: Side, type: OrderType = .limit,
    timeInForce: TimeInForce = .goodTillCancel, priceTicks: Int64, quantityLots: Int64,
    selfTradePrevention: SelfTradePrevention = .none, postOnly: Bool = false, stopPriceTicks: Int64 = 0,
    displayLots: Int64 = 0, expiry: Stamp = .zero, clientOrderID: ClientOrderID = .none,
    clientTimeMilliseconds: UInt64 = 0, firstDot: Dot = .none
  ) {
    self.instrument = instrument
    self.account = account
    self.side = side
    self.type = type
    self.timeInForce = timeInForce
    self.selfTradePrevention = selfTradePrevention
    self.postOnly = postOnly
    self.priceTicks = priceTicks
    self.quantityLots = quantityLots
    self.stopPriceTicks = stopPriceTicks
    self.displayLots = displayLots
    self.expiry = expiry
    self.clientOrderID = clientOrderID
    self.clientTimeMilliseconds = clientTimeMilliseconds
    if !firstDot.isNone { self.firstDot = firstDot }
  }

  /// Of an order that its node sends again because the first one is void: the first dot that it ever had, by which its
  /// client knows it. Else none.
  ///
  /// It is a name of the order, as its client order id and its own dot are: whoever cancels one of them means this
  /// order, and two orders of an account that share one are the same order, sent twice.
  /// - Precondition of setting: none, or `Order.mayBeFirst`.
  @inlinable public var firstDot: Dot {
    get {
      Dot(
        origin: OriginIndex(UInt32(truncatingIfNeeded: firstWord &>> 44)), sequence: firstWord & Order.firstSequenceMax)
    }
    set {
      precondition(newValue == .none || Order.mayBeFirst(newValue), "no order was ever called that")
      firstWord = UInt64(newValue.origin.value) &<< 44 | newValue.sequence
    }
  }

  /// Whether a dot may be a `firstDot`: its origin is below 2^20, its sequence from 1 to 2^44 - 1.
  @inlinable public static func mayBeFirst(_ dot: Dot) -> Bool {
    !dot.isNone && dot.origin.value < 1 << 20 && dot.sequence <= firstSequenceMax
  }

  @usableFromInline static var firstSequenceMax: UInt64 { 1 << 44 - 1 }
}

/// Takes an order out of the book.
public struct Cancel: Hashable, Sendable {
  public var account: AccountID
  public var target: OrderReference
  /// A stamp at or after the target's, if the sender knows one: then the target was applied before this cancel, and an
  /// unknown target is rejected. Zero if it does not: an unknown target leaves a tombstone, and the order is cancelled
  /// when it comes. So does an unknown dot in any case: what the sender knows of may be void, and come again.
  public var targetStamp: Stamp
  @inlinable public init(account: AccountID, target: OrderReference, targetStamp: Stamp = .zero) {
    self.account = account
    self.target = target
    self.targetStamp = targetStamp
  }
}

/// Changes price or quantity of a resting order, which keeps its identity.
///
/// Lowering the quantity keeps its place in the queue; anything else, or `forfeitsPriority`, enters it anew (it may
/// trade).
public struct Amend: Hashable, Sendable {
  public enum QuantityMeaning: UInt8, Hashable, Sendable {
    /// The new total, filled part included.
    case total = 0
    /// The new open quantity.
    case open = 1
  }
  public var account: AccountID
  public var target: OrderReference
  /// As for `Cancel`.
  public var targetStamp: Stamp
  /// Nil keeps the price.
  public var priceTicks: Int64?
  /// Nil keeps the quantity.
  public var quantityLots: Int64?
  public var quantityMeaning: QuantityMeaning
  /// Enter anew even where the change alone would keep the place.
  public var forfeitsPriority: Bool

  @inlinable public init(
    account: AccountID, target: OrderReference, targetStamp: Stamp = .zero, priceTicks: Int64?, quantityLots: Int64?,
    quantityMeaning: QuantityMeaning = .total, forfeitsPriority: Bool = false
  ) {
    self.account = account
    self.target = target
    self.targetStamp = targetStamp
    self.priceTicks = priceTicks
    self.quantityLots = quantityLots
    self.quantityMeaning = quantityMeaning
    self.forfeitsPriority = forfeitsPriority
  }
}

/// Cancels every resting order of an account, in one instrument or (`instrument` is none) in all.
public struct CancelAll: Hashable, Sendable {
  public var account: AccountID
  public var instrument: Dot
  public init(account: AccountID, instrument: Dot = .none) {
    self.account = account
    self.instrument = instrument
  }
}
