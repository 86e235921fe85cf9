import DequeModule
import EventLog
import OrderBook
import Primitives

/// Makes everything that follows from the final log a second time, beside the replica that does its work: book,
/// checkpoints, fills.
///
/// It is fed the stored log in order, in pieces, and stops where the replica's final prefix ended when it began. What
/// it holds then must be what the replica holds; if it is not, one of them is wrong, and it is not this one: nobody has
/// written into its memory for minutes or hours.
struct Rebuild: ~Copyable {
  /// Entries that one step reads and applies.
  static let entriesPerStep = 2_000
  static let appliedPerStepMax = 8_192
  static let differencesMax = 256
  /// Final entries that are kept for the audit tables while nothing is known of their checkpoints.
  static let runMax = 100_000
  /// Slots that one step compares.
  static let slotsPerStep = 4_096

  enum Purpose: Equatable {
    /// The replica goes on; only the checkpoints are compared.
    case check
    /// What is made takes the replica's place.
    case repair
  }

  let number: UInt64
  let purpose: Purpose
  /// By place in the register: the replica's final prefix when it began.
  let target: [UInt64]
  /// And through which stamp its checkpoints were closed.
  let closedThrough: Stamp
  var sequencer: Sequencer
  var keeper: CheckpointKeeper
  var ledger = FillLedger()
  /// Checkpoints that members attest, closed here, oldest first.
  var attested: Deque<Checkpoint> = []
  /// Attestations in the log that are not what is derived here.
  var differences: [CheckpointKeeper.Difference] = []
  /// The newest checkpoint that is the same as the replica's, its last stamp, and final entries through it.
  var equalThrough: UInt64 = 0
  var equalEntries: UInt64
  /// The first that is another than the replica's.
  var firstDiffering: (mine: Checkpoint, theirs: Checkpoint)?
  private(set) var entries: UInt64 = 0
  /// What the replica's book has otherwise, while it is compared.
  private(set) var difference = BookDifference()
  private var nextSlot = 0
  private var isMirrored = false
  private(set) var isEnd = false
  private(set) var damages: [LogDamage] = []
  /// Everything with a stamp up to this has been read.
  private var floor = Stamp.zero
  private let sha: SHA256

  init(
    number: UInt64, purpose: Purpose, cluster: Hash256, chainStarts: [Hash256], target: [UInt64], closedThrough: Stamp,
    from state: consuming ReplicaState?, _ sha: SHA256
  ) {
    self.number = number
    self.purpose = purpose
    self.target = target
    self.closedThrough = closedThrough
    self.sha = sha
    sequencer = Sequencer(
      logs: chainStarts.enumerated().map { OriginLog(origin: OriginIndex(UInt32($0)), chainStart: $1) })
    keeper = CheckpointKeeper(cluster: cluster)
    equalEntries = 0
    sequencer.retainedBatchesMax = 0
    if let state = consume state {
      keeper.restore(state)
      ledger.restore(state.homes)
      let info = state.info
      let (bases, orders, fills) = (state.bases, state.finalOrders, keeper.fills)
      equalThrough = info.number
      equalEntries = info.entries
      floor = info.lastStamp
      sequencer.restore(state.takeEngine(), bases: bases, fills: fills, orders: orders)
    }
  }

  // MARK: Reading

  mutating func take(_ piece: LogPiece) {
    for batch in piece.batches {
      floor = max(floor, Stamp(batch.firstStamp.value - 1))
      guard batch.origin.int < target.count, batch.firstSequence <= target[batch.origin.int] else { continue }
      // Its predecessors may be damaged, and were left out.
      guard batch.firstSequence == sequencer.logs[batch.origin.int].held.sequence + 1 else { continue }
      sequencer.append(batch)
      let through = min(batch.lastSequence, target[batch.origin.int])
      sequencer.logs[batch.origin.int].reveal(through: through)
      sequencer.logs[batch.origin.int].becameDurable(through: batch.lastSequence)
      entries += UInt64(batch.entries.count)
    }
    damages = piece.damages
    if piece.isEnd || isWhole {
      isEnd = true
      floor = Stamp(UInt64.max)
    }
  }

  /// Whether everything that is wanted has been read.
  private var isWhole: Bool {
    target.indices.allSatisfy { sequencer.logs[$0].visible >= target[$0] }
  }

  /// Whether it has come to where the replica was.
  var isAtTarget: Bool { target.indices.allSatisfy { sequencer.logs[$0].final == target[$0] } }

  // MARK: Deriving

  /// Applies what has been read, makes it final and closes its checkpoints.
  /// - Parameter list: the replica's checkpoints.
  /// - Returns: false if there was too much for one step.
  mutating func advance(_ list: CheckpointList) -> Bool {
    var left = Self.appliedPerStepMax
    while let number = keeper.interval.number ?? sequencer.oldestOpenSecond {
      let last = Checkpoint.lastStamp(number)
      let limit = min(last, floor)
      left -= sequencer.apply(through: limit, atMost: left)
      let before = sequencer.finalRun.items.count
      if sequencer.finalize(through: limit) > 0 { takeFinal(from: before) }
      if let next = sequencer.oldestUnapplied, next <= limit { return false }
      guard last <= min(floor, closedThrough), keeper.interval.number == number else { return true }
      close(list)
      if left <= 0 { return false }
    }
    return true
  }

  private mutating func takeFinal(from first: Int) {
    for index in first..<sequencer.finalRun.items.count {
      let item = sequencer.finalRun.items[index]
      keeper.take(item.dot, item.entry)
      for event in sequencer.finalRun.events(at: index) {
        guard case .filled(let fill) = event else { continue }
        let attestation = FillAttestation(fill)
        keeper.take(attestation)
        ledger.derive(attestation)
      }
      switch item.entry.payload {
      case .command: break
      case .fill(let fill): _ = ledger.compare(fill, isOwn: false)
      case .checkpoint(let attestation):
        if let difference = keeper.compare(attestation, by: item.dot.origin) { note(difference) }
      }
    }
  }

  private mutating func note(_ difference: CheckpointKeeper.Difference) {
    differences.append(difference)
    if differences.count > Self.differencesMax { differences.removeFirst() }
  }

  private mutating func close(_ list: CheckpointList) {
    guard let number = keeper.interval.number else { return }
    let hash = Replica.bookHash(at: Checkpoint.boundary(number), of: &sequencer.engine)
    let (checkpoint, isAttested, differences) = keeper.close(bookHash: hash, sha)
    for difference in differences { note(difference) }
    if isAttested {
      attested.append(checkpoint)
      if attested.count > Limits.unattestedCheckpointsMax { attested.removeFirst() }
    }
    guard case .kept(let other) = list.find(number) else {
      if firstDiffering == nil { return forgetIfLong() }
      return
    }
    if other == checkpoint, firstDiffering == nil {
      equalThrough = number
      equalEntries += UInt64(sequencer.finalRun.items.count)
      sequencer.finalRun.removeAll()
    } else if firstDiffering == nil {
      firstDiffering = (checkpoint, other)
    }
  }

  // MARK: Comparing

  /// Compares some orders of the replica's damaged book with what was made.
  /// - Returns: whether all are compared.
  mutating func compareSome(_ damaged: borrowing MatchingEngine) -> Bool {
    let slots = nextSlot..<nextSlot + Self.slotsPerStep
    nextSlot = slots.upperBound
    if !isMirrored {
      damaged.compare(slots, with: sequencer.engine, isMirrored: false, &difference)
      guard nextSlot >= damaged.orderSlots else { return false }
      isMirrored = true
      nextSlot = 0
      return false
    }
    sequencer.engine.compare(slots, with: damaged, isMirrored: true, &difference)
    return nextSlot >= sequencer.engine.orderSlots
  }

  /// Of checkpoints that the replica does not keep any more, nothing is known: what is long ago is taken for equal, as
  /// a later one will say.
  private mutating func forgetIfLong() {
    guard sequencer.finalRun.items.count > Self.runMax else { return }
    equalThrough = keeper.list.newest?.number ?? 0
    equalEntries += UInt64(sequencer.finalRun.items.count)
    sequencer.finalRun.removeAll()
  }
}
