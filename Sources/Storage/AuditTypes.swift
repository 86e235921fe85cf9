import OrderBook
import Primitives

/// A dot as one integer: origin × 10^14 + sequence, so that a person can read it off.
///
/// Table `orders` needs no second tree to find a row by it, and each index on dots holds one integer.
enum AuditDot {
  static let originFactor: Int64 = 100_000_000_000_000
  static let sequenceMax = UInt64(originFactor - 1)

  /// Whether a dot can be written; a million entries a second reach the end after three years.
  static func canEncode(_ dot: Dot) -> Bool { dot.sequence <= sequenceMax && dot.origin.int < Limits.originsMax }

  /// - Returns: 0, which names nothing, for a dot that no entry has: clients may name whatever they like.
  static func encode(_ dot: Dot) -> Int64 {
    guard canEncode(dot) else { return 0 }
    return Int64(dot.origin.value) * originFactor + Int64(dot.sequence)
  }

  static func decode(_ value: Int64) -> Dot? {
    guard value >= 0, let origin = UInt32(exactly: value / originFactor) else { return nil }
    return Dot(origin: OriginIndex(origin), sequence: UInt64(value % originFactor))
  }
}

/// An order as the audit tables have it: what its final entries made of it.
public struct AuditOrder: Equatable, Sendable {
  public var dot: Dot
  public var stamp: Stamp
  /// What the entry asked for, with price and quantity as amended (or reduced) last; client time is not kept (0).
  public var order: Order
  public var status: OrderStatus
  public var openLots: Int64
  public var filledLots: Int64
  /// Lots that were open when the order ended; 0 while it lives. `quantity = open + filled + unfilled`.
  public var unfilledLots: Int64
  /// Lots that amends and self-trade prevention took away; negative if amends added. Placed quantity = quantity +
  /// reduced.
  public var reducedLots: Int64
  /// Why it was cancelled, with status `cancelled`.
  public var cancelReason: CancelReason?
  /// Why it was rejected, with status `rejected`.
  public var rejectReason: RejectReason?
  /// With `repeated` and `duplicateID`, the first order of that client order id; else `none`.
  public var refersTo: Dot
  /// When a stop's price was reached: stamp of the entry whose application reached it; zero if it was not.
  public var triggeredStamp: Stamp
  /// The entry whose application changed the order last, and its stamp.
  public var changedBy: Dot
  public var changedStamp: Stamp
}

/// One fill, with its place in the order of execution.
public struct AuditFill: Equatable, Sendable {
  /// From 1.
  public var number: UInt64
  public var instrument: Dot
  public var maker: Dot
  public var taker: Dot
  public var takerSide: Side
  public var priceTicks: Int64
  public var quantityLots: Int64
  /// Of the entry that was being applied.
  public var stamp: Stamp
}

/// A cancel, amend, cancel-all or definition that had no effect.
public struct AuditRejection: Equatable, Sendable {
  public var dot: Dot
  public var stamp: Stamp
  public var reason: RejectReason
  /// The order or instrument concerned, if it is known.
  public var target: Dot
}

/// How much the audit tables hold.
public struct AuditCounts: Equatable, Sendable {
  /// Final entries whose consequences are in the tables.
  public var entries: UInt64 = 0
  public var orders: UInt64 = 0
  public var fills: UInt64 = 0

  public init(entries: UInt64 = 0, orders: UInt64 = 0, fills: UInt64 = 0) {
    self.entries = entries
    self.orders = orders
    self.fills = fills
  }
}

/// The row of `audit_state`.
struct AuditState {
  var position = OrderKey.zero
  var counts = AuditCounts()
}
