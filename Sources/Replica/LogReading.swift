import EventLog
import OrderBook
import Primitives

/// What a replica wants to be read of its own disk, to make its book a second time.
public struct LogReading: Hashable, Sendable {
  /// Which rebuild asks; an answer to an earlier one is not looked at.
  public var rebuild: UInt64
  /// Begin: take the first of `snapshots` that can be read, or none, and the log from there on. Else go on.
  public var isStart: Bool
  /// Those that may be begun with, the best first.
  public var snapshots: [SnapshotInfo]
  /// Read no further once so many entries are there; 0 asks for nothing but to be called again.
  public var entriesMax: Int
}

/// What was read: the answer to a `LogReading`.
public struct LogPiece: Sendable {
  public var rebuild: UInt64
  /// The snapshot that was begun with; nil if the log begins at its start, and in all answers but the first.
  public var base: StateBox?
  /// In ascending order of (first stamp, origin), each checked against its chain.
  public var batches: [Batch]
  /// What was found damaged so far.
  public var damages: [LogDamage]
  /// There is no more.
  public var isEnd: Bool
  /// The log does not begin at its start, and none of the snapshots can be read.
  public var isBaseless: Bool

  public init(
    rebuild: UInt64, base: StateBox? = nil, batches: [Batch] = [], damages: [LogDamage] = [], isEnd: Bool = false,
    isBaseless: Bool = false
  ) {
    self.rebuild = rebuild
    self.base = base
    self.batches = batches
    self.damages = damages
    self.isEnd = isEnd
    self.isBaseless = isBaseless
  }
}

/// Carries a state that cannot be copied to the one who takes it.
public final class StateBox: @unchecked Sendable {
  private var state: ReplicaState?
  public let info: SnapshotInfo
  public let bases: [LogBase]

  /// - Parameter state: handed over; nobody else may touch it.
  public init(_ state: consuming ReplicaState) {
    info = state.info
    bases = state.bases
    self.state = .some(consume state)
  }

  /// Once.
  func take() -> ReplicaState? {
    var taken: ReplicaState?
    swap(&taken, &state)
    return taken
  }
}
