import OrderBook
import Primitives

/// One row of an order flow: what one client asks for, named by an integer id of its own.
///
/// Fields that `kind` ignores are canonical: side `.buy`, price 0, quantity 0. So two operations are equal exactly if
/// they ask for the same.
public struct FlowOperation: Hashable, Sendable {
  /// What is asked for; the raw value is the byte in column `op`.
  public enum Kind: UInt8, Hashable, Sendable, CaseIterable {
    /// `L`: limit order, good till cancelled.
    case limit = 76
    /// `M`: market order; what the book cannot give is cancelled. Ignores price.
    case market = 77
    /// `I`: limit order, immediate or cancel.
    case immediateOrCancel = 73
    /// `F`: limit order, fill or kill.
    case fillOrKill = 70
    /// `C`: cancel order `id`. Ignores side, price and quantity.
    case cancel = 67
    /// `R`: cancel order `id` and enter it anew with this price and open quantity; it may trade. Ignores side.
    case replace = 82
  }

  public var kind: Kind
  public var side: Side
  /// The client's id for the order, `0...FlowFile.integerMax`.
  public var id: UInt64
  /// Ticks. Not checked here: the engine rejects what is out of range, and counts it.
  public var priceTicks: Int64
  /// Lots. Not checked here either.
  public var quantityLots: Int64
  /// Line of the file, the header being 1; 0 if it comes from no file.
  public var line: Int

  public init(
    _ kind: Kind, id: UInt64, side: Side = .buy, priceTicks: Int64 = 0, quantityLots: Int64 = 0, line: Int = 0
  ) {
    self.kind = kind
    self.id = id
    self.line = line
    self.side = kind.usesSide ? side : .buy
    self.priceTicks = kind.usesPrice ? priceTicks : 0
    self.quantityLots = kind.usesQuantity ? quantityLots : 0
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
}

extension FlowOperation {
  /// What the book is asked for; the operation's id becomes the client order id.
  /// - Parameters:
  ///   - instrument: dot of the entry that defined the instrument.
  ///   - targetStamp: for cancel and replace, a stamp at or after the target's: then an unknown target is rejected.
  ///     Zero: an unknown target leaves a tombstone.
  ///   - clientTimeMilliseconds: when the client made the order, milliseconds since 1970.
  public func command(
    instrument: Dot, account: AccountID, targetStamp: Stamp, clientTimeMilliseconds: UInt64
  ) -> Command {
    let name = ClientOrderID(id)
    let type: OrderType
    let timeInForce: TimeInForce
    switch kind {
    case .limit: (type, timeInForce) = (.limit, .goodTillCancel)
    case .market: (type, timeInForce) = (.market, .immediateOrCancel)
    case .immediateOrCancel: (type, timeInForce) = (.limit, .immediateOrCancel)
    case .fillOrKill: (type, timeInForce) = (.limit, .fillOrKill)
    case .cancel:
      return .cancel(Cancel(account: account, target: .client(name), targetStamp: targetStamp))
    case .replace:
      return .amend(
        Amend(
          account: account, target: .client(name), targetStamp: targetStamp, priceTicks: priceTicks,
          quantityLots: quantityLots, quantityMeaning: .open, forfeitsPriority: true))
    }
    return .order(
      Order(
        instrument: instrument, account: account, side: side, type: type, timeInForce: timeInForce,
        priceTicks: priceTicks, quantityLots: quantityLots, clientOrderID: name,
        clientTimeMilliseconds: clientTimeMilliseconds))
  }
}
