import OrderBook
import Primitives

/// Names one client connection of this node.
public struct SessionID: Hashable, Comparable, Sendable {
  public let value: UInt64
  public init(_ value: UInt64) { self.value = value }
  public static func < (left: SessionID, right: SessionID) -> Bool { left.value < right.value }
}

/// What became of an entry that a client sent through this node.
public struct OrderReport: Hashable, Sendable {
  public enum State: UInt8, Hashable, Sendable {
    case pending = 0
    case open = 1
    case partiallyFilled = 2
    case filled = 3
    case cancelled = 4
    case expired = 5
    case rejected = 6
    /// A cancel, amend, cancel-all or instrument that took effect.
    case done = 7
  }

  public struct ReportedFill: Hashable, Sendable {
    public var priceTicks: Int64
    public var quantityLots: Int64
    public var counterparty: Dot
    public var isMaker: Bool
  }

  public var entry: Dot
  public var state: State
  /// Raw value of the `RejectReason` or `CancelReason`; 0 for none.
  public var reason: UInt8 = 0
  /// The other order concerned, such as the first one of a repeat.
  public var other = Dot.none
  public var openLots: Int64 = 0
  public var filledLots: Int64 = 0
  /// How many of the fills told before still stand; the new ones come after them.
  public var fillsStanding = 0
  public var newFills: [ReportedFill] = []
  /// Something told before was taken back by a rollback.
  public var isCorrection = false
  /// All of this is final: no rollback will ever take it back.
  public var isFinal = false

  public init(entry: Dot, state: State) {
    self.entry = entry
    self.state = state
  }
}
