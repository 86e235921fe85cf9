import OrderBook
import Primitives
import ReferenceBook

/// One operation of a measured flow, in a form that neither the engine nor the reference uses.
///
/// Steps are numbered from 0; step n is entry n + 2 of one origin, whose first entry defines the instrument.
public struct FlowStep: Hashable, Sendable {
  public enum Kind: UInt8, Sendable {
    case order = 0
    case cancel = 1
    /// New price and open quantity, last in its queue; with `keepsPlace` a lower open quantity only.
    case amend = 2
  }

  public var kind: Kind
  public var side: Side = .buy
  public var type: OrderType = .limit
  public var timeInForce: TimeInForce = .goodTillCancel
  public var selfTradePrevention: SelfTradePrevention = .none
  public var postOnly = false
  public var keepsPlace = false
  /// A cancel or amend comes from its target's account.
  public var account: UInt32 = 1
  /// Of a cancel or amend: the step that placed the order; `unknownTarget` if none did.
  public var target: UInt32 = 0
  /// With `goodTillDate`: from the order's own stamp to its expiry.
  public var lifetimeMilliseconds: UInt32 = 0
  public var priceTicks: Int64 = 0
  public var quantityLots: Int64 = 0
  public var stopPriceTicks: Int64 = 0
  public var displayLots: Int64 = 0

  public static let unknownTarget = UInt32.max

  public init(kind: Kind) { self.kind = kind }

  /// Does a book that knows limit orders, immediate ones, cancels and replaces understand it?
  public var isPlain: Bool {
    switch kind {
    case .cancel: true
    case .amend: !keepsPlace
    case .order:
      type == .limit && (timeInForce == .goodTillCancel || timeInForce == .immediateOrCancel) && !postOnly
        && displayLots == 0 && selfTradePrevention == .none
    }
  }
}

/// Where steps lie in the one origin's log.
enum FlowLog {
  static let origin = OriginIndex(0)
  static let instrument = Dot(origin: origin, sequence: 1)
  static let definitionStamp = Stamp(milliseconds: startMilliseconds - 1)
  static let definition: Command = {
    guard let symbol = Symbol("BENCH") else { preconditionFailure("BENCH is a symbol") }
    return .instrument(Instrument(symbol: symbol))
  }()

  static let startMilliseconds: UInt64 = 1_000_000_000
  /// Steps that come in one batch: they are decoded together, and journal and changed levels are let go after them.
  static let batchSteps = 1_024
  /// Stamp time between two batches: about 100,000 operations a second.
  static let batchMilliseconds: UInt64 = 10

  static func sequence(of step: Int) -> UInt64 { UInt64(step) + 2 }
  static func dot(of step: Int) -> Dot { Dot(origin: origin, sequence: sequence(of: step)) }

  /// A clock's stamps for batches: one millisecond a batch, the counter rising in it.
  static func stamp(of step: Int) -> Stamp {
    Stamp(
      milliseconds: startMilliseconds + UInt64(step / batchSteps) * batchMilliseconds,
      counter: UInt16(step % batchSteps))
  }
}

extension FlowStep {
  /// The step as its node's log has it.
  func command(number: Int) -> Command {
    let account = AccountID(UInt64(account))
    switch kind {
    case .order:
      var expiry = Stamp.zero
      if timeInForce == .goodTillDate {
        expiry = Stamp(milliseconds: FlowLog.stamp(of: number).milliseconds + UInt64(lifetimeMilliseconds))
      }
      return .order(
        Order(
          instrument: FlowLog.instrument, account: account, side: side, type: type, timeInForce: timeInForce,
          priceTicks: priceTicks, quantityLots: quantityLots, selfTradePrevention: selfTradePrevention,
          postOnly: postOnly, stopPriceTicks: stopPriceTicks, displayLots: displayLots, expiry: expiry))
    case .cancel:
      return .cancel(Cancel(account: account, target: .dot(targetDot), targetStamp: targetStamp))
    case .amend:
      return .amend(
        Amend(
          account: account, target: .dot(targetDot), targetStamp: targetStamp,
          priceTicks: keepsPlace ? nil : priceTicks, quantityLots: quantityLots, quantityMeaning: .open,
          forfeitsPriority: !keepsPlace))
    }
  }

  /// The step for the reference, which knows an order by the sequence of its entry.
  /// - Precondition: `isPlain`.
  func referenceOperation(number: Int) -> reference_operation {
    var operation = reference_operation()
    operation.price = priceTicks
    operation.quantity = quantityLots
    switch kind {
    case .order:
      operation.id = FlowLog.sequence(of: number)
      operation.kind = UInt8(reference_kind_new)
      operation.side = side.rawValue
      operation.immediate = timeInForce == .immediateOrCancel ? 1 : 0
    case .cancel:
      operation.id = targetDot.sequence
      operation.kind = UInt8(reference_kind_cancel)
    case .amend:
      operation.id = targetDot.sequence
      operation.kind = UInt8(reference_kind_replace)
    }
    return operation
  }

  /// The entry that defined the instrument stands for orders that were never placed: no order has its dot.
  private var targetDot: Dot { target == Self.unknownTarget ? FlowLog.instrument : FlowLog.dot(of: Int(target)) }

  private var targetStamp: Stamp {
    target == Self.unknownTarget ? FlowLog.definitionStamp : FlowLog.stamp(of: Int(target))
  }
}
