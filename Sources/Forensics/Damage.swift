import EventLog
import Primitives

/// One thing in a node's file that is not what it must be.
public struct Damage: Hashable, Sendable {
  public enum Kind: String, Hashable, Sendable, CaseIterable {
    // The log
    case batchMissing = "batch missing"
    case batchOverlaps = "batch overlaps"
    case batchBytes = "batch bytes"
    case batchHash = "batch hash"
    case batchColumn = "batch column"
    case batchOrder = "batch order"
    case signature = "signature"
    case beyondEnd = "beyond the end"
    case logBase = "log base"
    // What was decided
    case decision = "decision"
    case decidedBase = "decided base"
    case snapshotBase = "snapshot base"
    // What follows
    case checkpointRow = "checkpoint row"
    case checkpoint = "checkpoint"
    case checkpointMissing = "checkpoint missing"
    case checkpointExtra = "checkpoint extra"
    case checkpointRecord = "checkpoint record"
    case snapshot = "snapshot"
    case derivedRow = "derived row"
    case derivedCounts = "derived counts"
  }

  public var kind: Kind
  public var origin: OriginIndex?
  /// First and last sequence concerned.
  public var first: UInt64?
  public var last: UInt64?
  /// Of a checkpoint or snapshot.
  public var number: UInt64?
  public var order: Dot?
  public var fill: UInt64?
  public var table: String?
  public var found: String?
  public var expected: String?
  /// For a person: what is wrong, in one sentence.
  public var text: String

  init(
    _ kind: Kind, origin: OriginIndex? = nil, first: UInt64? = nil, last: UInt64? = nil, number: UInt64? = nil,
    order: Dot? = nil, fill: UInt64? = nil, table: String? = nil, found: String? = nil, expected: String? = nil,
    _ text: String
  ) {
    self.kind = kind
    self.origin = origin
    self.first = first
    self.last = last
    self.number = number
    self.order = order
    self.fill = fill
    self.table = table
    self.found = found
    self.expected = expected
    self.text = text
  }
}

/// What a verification found.
public struct VerificationReport: Sendable {
  public struct Counts: Hashable, Sendable {
    public var batches: UInt64 = 0
    public var entries: UInt64 = 0
    public var bytes: UInt64 = 0
    public var signatures: UInt64 = 0
    public var setAside: UInt64 = 0
    /// Entries that were applied again, and fills that came of it.
    public var replayed: UInt64 = 0
    public var fills: UInt64 = 0
    public var checkpoints: UInt64 = 0
    public var attestations: UInt64 = 0
    public var snapshots: UInt64 = 0
    public var rows: UInt64 = 0
  }

  public internal(set) var counts = Counts()
  /// The first ones of each kind, in the order in which they were found.
  public private(set) var damages: [Damage] = []
  /// Of each kind, by its place in `Kind.allCases`.
  private var counted = [UInt64](repeating: 0, count: Damage.Kind.allCases.count)
  public var damageCount: UInt64 { counted.reduce(0, +) }
  /// What is not damage and worth knowing.
  public internal(set) var notes: [String] = []
  /// What the log leads to; nil if nothing was derived.
  var derivedCheckpoints: CheckpointList?
  /// No majority attests anything else than what the log leads to, as far as the log goes.
  var isAttested = true
  let damagesMax: Int

  init(damagesMax: Int) { self.damagesMax = damagesMax }

  public var isSound: Bool { damageCount == 0 }

  public func count(_ kind: Damage.Kind) -> UInt64 {
    Damage.Kind.allCases.firstIndex(of: kind).map { counted[$0] } ?? 0
  }

  /// At most `damagesMax` of a kind are listed; all are counted.
  mutating func add(_ damage: Damage, counting more: UInt64 = 1) {
    guard let place = Damage.Kind.allCases.firstIndex(of: damage.kind) else { return }
    if counted[place] < UInt64(damagesMax) { damages.append(damage) }
    counted[place] += more
  }

  /// Counts damages that are not worth a line.
  mutating func count(_ kind: Damage.Kind, _ more: UInt64) {
    if let place = Damage.Kind.allCases.firstIndex(of: kind) { counted[place] += more }
  }
}

/// How far a verification has come.
public struct VerificationProgress: Sendable {
  public enum Phase: String, Sendable {
    case log = "checking the log"
    case replay = "deriving it again"
    case tables = "comparing tables"
  }
  public var phase: Phase
  public var done: UInt64
  public var total: UInt64
}
