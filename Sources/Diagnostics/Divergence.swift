import EventLog
import OrderBook
import Primitives

/// What a comparison of two replicas has found.
public struct Divergence: Sendable {
  public enum Verdict: String, Sendable {
    case equal
    case divergent
    case undetermined
  }

  /// Why they differ.
  public enum Cause: String, Sendable {
    /// One lacks what the other has.
    case missing
    /// One has what it should not have: its author's signature does not stand for it.
    case extra
    /// Both have it, and one of the two is not what its author signed.
    case altered
    /// Both have it, and its author signed both.
    case equivocation
    /// What was to be applied is the same, what came of it is not.
    case sameLog = "same log, different book"
    /// One is behind, or has a tentative tail that the other has not; that is never a divergence.
    case onlyLag = "only lag: no divergence"
  }

  public enum Culprit: Hashable, Sendable {
    case left
    case right
    /// An origin, which signed both.
    case author
  }

  public var verdict = Verdict.equal
  public var cause: Cause?
  public var left: Overview
  public var right: Overview
  /// Newest checkpoint that both have and have alike.
  public var agreed: CheckpointName?
  /// First kept checkpoint that both have and that differs.
  public var differing: Pair<Checkpoint>?
  /// The interval in which the first difference lies, by its entry's stamp; else that of `differing`.
  public var checkpoint: UInt64?
  public var entry: EntryDifference?
  public var fill: FillDifference?
  public var book: BookDifference?
  /// Whose fault it is, if that can be told.
  public var culprit: Culprit?
  /// How that can be told; and whatever else could not be compared, and why.
  public var remarks: [String] = []
  public var cost = SearchCost()

  public struct Pair<Value: Sendable>: Sendable {
    public var left: Value?
    public var right: Value?
    public init(_ left: Value?, _ right: Value?) {
      self.left = left
      self.right = right
    }
  }

  /// An entry that one side has otherwise, or not at all.
  public struct EntryDifference: Sendable {
    public var dot: Dot
    /// Name of its author.
    public var author: String
    public var entries: Pair<Entry>
    public var batches: Pair<CheckedBatch>
    /// Origins in whose logs something else differs as well.
    public var otherOrigins: [OriginIndex] = []
  }

  /// A stored batch, held against its own hash and its author's signature.
  public struct CheckedBatch: Sendable {
    public var batch: StoredBatch
    public var entries: ContiguousArray<Entry> = []
    /// Why its bytes cannot be read.
    public var unreadable: CodecError?
    /// The stored hash follows from the bytes.
    public var isLinked = false
    /// The author has signed exactly these bytes after exactly this history.
    public var isSigned = false
  }

  public struct FillDifference: Sendable {
    /// From 1, in the order of execution.
    public var number: UInt64
    public var fills: Pair<StoredFill>
  }

  /// Where two books differ first.
  public struct BookDifference: Sendable {
    public var point: BookPoint
    public var roots: Pair<Hash256>
    public var level: LevelName?
    public var levels: Pair<HashedLevel>
    public var orders: Pair<ComparedOrder>
    /// Levels and orders that differ besides the first.
    public var otherLevels = 0
    public var otherOrders = 0
    /// What differs, where it is no level: last trade price, client order ids, instruments.
    public var other: String?
  }
}

extension Divergence {
  /// The dot of the order that a person wants to look at, if there is one.
  public var order: Dot? {
    if let order = book?.orders.left ?? book?.orders.right { return order.resting.dot }
    if let fill = fill?.fills.left ?? fill?.fills.right { return fill.taker }
    if let entry {
      if case .command(.order)? = (entry.entries.left ?? entry.entries.right)?.payload { return entry.dot }
    }
    return nil
  }
}
