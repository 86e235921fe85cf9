import OrderBook
import Primitives

/// One row of an order flow: what one client asks for, named by an integer id of its own.
///
/// Fields that mean nothing for `kind` are canonical: side `.buy`, numbers 0, everything else its default. So two
/// operations are equal exactly if they ask for the same.
public struct FlowOperation: Hashable, Sendable {
  /// What is asked for; the raw value is the byte in column `op`.
  public enum Kind: UInt8, Hashable, Sendable, CaseIterable {
    /// `L`: limit order, good till cancelled unless it says otherwise; with a stop price a stop-limit order.
    case limit = 76
    /// `M`: market order; what the book cannot give is cancelled. Ignores price. With a stop price a stop order.
    case market = 77
    /// `I`: as `L`, immediate or cancel.
    case immediateOrCancel = 73
    /// `F`: as `L`, fill or kill.
    case fillOrKill = 70
    /// `C`: cancel order `id`. Ignores everything but the account.
    case cancel = 67
    /// `R`: cancel order `id` and enter it anew with this price and open quantity; it may trade. Everything else stays
    /// as it was placed, and only the account is looked at besides.
    case replace = 82
  }

  public let kind: Kind
  public let side: Side
  public let timeInForce: TimeInForce
  public let selfTradePrevention: SelfTradePrevention
  public let postOnly: Bool
  /// The client's id for the order, `0...FlowFile.integerMax`.
  public let id: UInt64
  /// Ticks. Not checked here, and no more than all that follows: the engine rejects what is out of range, and counts
  /// it.
  public let priceTicks: Int64
  /// Lots.
  public let quantityLots: Int64
  /// Line of the file, the header being 1; 0 if it comes from no file.
  public let line: Int
  /// Nil if all of it is as usual. Apart, because most rows do without: a file of millions of rows is held in memory.
  private let rare: Rare?

  private final class Rare: Hashable, Sendable {
    let account: AccountID?
    let lifetimeMilliseconds: Int64
    let displayLots: Int64
    let stopPriceTicks: Int64

    init(_ account: AccountID?, lifetimeMilliseconds: Int64, displayLots: Int64, stopPriceTicks: Int64) {
      self.account = account
      self.lifetimeMilliseconds = lifetimeMilliseconds
      self.displayLots = displayLots
      self.stopPriceTicks = stopPriceTicks
    }

    static func == (left: Rare, right: Rare) -> Bool {
      left.account == right.account && left.lifetimeMilliseconds == right.lifetimeMilliseconds
        && left.displayLots == right.displayLots && left.stopPriceTicks == right.stopPriceTicks
    }

    func hash(into hasher: inout Hasher) {
      hasher.combine(account)
      hasher.combine(lifetimeMilliseconds)
      hasher.combine(displayLots)
      hasher.combine(stopPriceTicks)
    }
  }

  /// Whose order it is; nil leaves that to whoever applies the flow. Ids of different accounts are different ids.
  public var account: AccountID? { rare?.account }
  /// With `goodTillDate`: how long after the client's time the order leaves; else 0.
  ///
  /// Relative, because a file is replayed on other days than the one it was written for. A replay has no clock and
  /// takes one row for one millisecond: the order is gone before the row that comes so many rows later.
  public var lifetimeMilliseconds: Int64 { rare?.lifetimeMilliseconds ?? 0 }
  /// Largest visible quantity of an iceberg; 0 shows everything.
  public var displayLots: Int64 { rare?.displayLots ?? 0 }
  /// Ticks: what the last trade must reach before the order enters; 0 if it does not wait.
  public var stopPriceTicks: Int64 { rare?.stopPriceTicks ?? 0 }

  /// - Parameter timeInForce: nil for what `kind` stands for; looked at only where `kind` leaves a choice.
  public init(
    _ kind: Kind, id: UInt64, side: Side = .buy, priceTicks: Int64 = 0, quantityLots: Int64 = 0,
    account: AccountID? = nil, timeInForce: TimeInForce? = nil, lifetimeMilliseconds: Int64 = 0,
    displayLots: Int64 = 0, stopPriceTicks: Int64 = 0, selfTradePrevention: SelfTradePrevention = .none,
    postOnly: Bool = false, line: Int = 0
  ) {
    let isOrder = !kind.namesTarget
    self.kind = kind
    self.id = id
    self.line = line
    self.side = kind.usesSide ? side : .buy
    self.priceTicks = kind.usesPrice ? priceTicks : 0
    self.quantityLots = kind.usesQuantity ? quantityLots : 0
    self.selfTradePrevention = isOrder ? selfTradePrevention : .none
    self.postOnly = isOrder && postOnly
    let fallback = kind.timeInForce(isStop: isOrder && stopPriceTicks != 0)
    let timeInForce = kind.choosesTimeInForce ? timeInForce ?? fallback : fallback
    self.timeInForce = timeInForce
    let lifetime = timeInForce == .goodTillDate ? lifetimeMilliseconds : 0
    if account == nil && (!isOrder || lifetime | displayLots | stopPriceTicks == 0) {
      rare = nil
    } else {
      rare = Rare(
        account, lifetimeMilliseconds: lifetime, displayLots: isOrder ? displayLots : 0,
        stopPriceTicks: isOrder ? stopPriceTicks : 0)
    }
  }
}

extension FlowOperation.Kind {
  public var usesSide: Bool {
    switch self {
    case .limit, .market, .immediateOrCancel, .fillOrKill: true
    case .cancel, .replace: false
    }
  }

  public var usesPrice: Bool {
    switch self {
    case .limit, .immediateOrCancel, .fillOrKill, .replace: true
    case .market, .cancel: false
    }
  }

  public var usesQuantity: Bool {
    switch self {
    case .limit, .market, .immediateOrCancel, .fillOrKill, .replace: true
    case .cancel: false
    }
  }

  /// Whether it names an order that an earlier operation placed.
  public var namesTarget: Bool {
    switch self {
    case .cancel, .replace: true
    case .limit, .market, .immediateOrCancel, .fillOrKill: false
    }
  }

  /// Whether column `tif` decides; the other orders are named for theirs.
  var choosesTimeInForce: Bool {
    switch self {
    case .limit, .market: true
    case .immediateOrCancel, .fillOrKill, .cancel, .replace: false
    }
  }

  /// What holds unless the row says otherwise. A stop waits until it is cancelled, so its default is what waiting is.
  func timeInForce(isStop: Bool) -> TimeInForce {
    switch self {
    case .limit, .cancel, .replace: .goodTillCancel
    case .market: isStop ? .goodTillCancel : .immediateOrCancel
    case .immediateOrCancel: .immediateOrCancel
    case .fillOrKill: .fillOrKill
    }
  }
}

extension FlowOperation {
  /// What the book is asked for; the operation's id becomes the client order id.
  /// - Parameters:
  ///   - instrument: dot of the entry that defined the instrument.
  ///   - account: for an operation that names none.
  ///   - targetStamp: for cancel and replace, a stamp at or after the target's: then an unknown target is rejected.
  ///     Zero: an unknown target leaves a tombstone.
  ///   - clientTimeMilliseconds: when the client made the order, milliseconds since 1970.
  ///   - expiry: when an order with `goodTillDate` leaves; nil counts its lifetime from the client's time.
  public func command(
    instrument: Dot, account: AccountID, targetStamp: Stamp, clientTimeMilliseconds: UInt64, expiry: Stamp? = nil
  ) -> Command {
    let account = self.account ?? account
    let name = ClientOrderID(id)
    switch kind {
    case .cancel:
      return .cancel(Cancel(account: account, target: .client(name), targetStamp: targetStamp))
    case .replace:
      return .amend(
        Amend(
          account: account, target: .client(name), targetStamp: targetStamp, priceTicks: priceTicks,
          quantityLots: quantityLots, quantityMeaning: .open, forfeitsPriority: true))
    case .limit, .market, .immediateOrCancel, .fillOrKill:
      return .order(
        Order(
          instrument: instrument, account: account, side: side, type: type, timeInForce: timeInForce,
          priceTicks: priceTicks, quantityLots: quantityLots, selfTradePrevention: selfTradePrevention,
          postOnly: postOnly, stopPriceTicks: stopPriceTicks, displayLots: displayLots,
          expiry: timeInForce == .goodTillDate
            ? expiry ?? self.expiry(after: Self.stamp(clientTimeMilliseconds)) : .zero,
          clientOrderID: name, clientTimeMilliseconds: clientTimeMilliseconds))
    }
  }

  /// What the order is; means nothing for an operation that names a target.
  public var type: OrderType {
    switch kind {
    case .market: stopPriceTicks == 0 ? .market : .stop
    case .limit, .immediateOrCancel, .fillOrKill, .cancel, .replace: stopPriceTicks == 0 ? .limit : .stopLimit
    }
  }

  /// The end of the order's lifetime; zero for an order without one. What no stamp can say is the nearest that one can.
  /// - Parameter unit: stamps that make a millisecond.
  public func expiry(after stamp: Stamp, unit: UInt64 = Self.stampsPerMillisecond) -> Stamp {
    guard timeInForce == .goodTillDate, lifetimeMilliseconds != 0 else { return .zero }
    let (distance, overflow) = lifetimeMilliseconds.magnitude.multipliedReportingOverflow(by: unit)
    let step = overflow ? UInt64.max : distance
    if lifetimeMilliseconds < 0 { return Stamp(stamp.value > step ? stamp.value - step : 1) }
    let (sum, carry) = stamp.value.addingReportingOverflow(step)
    return Stamp(carry ? .max : sum)
  }

  public static let stampsPerMillisecond: UInt64 = 1 << 16

  private static func stamp(_ milliseconds: UInt64) -> Stamp { Stamp(milliseconds: min(milliseconds, (1 << 48) - 1)) }
}
