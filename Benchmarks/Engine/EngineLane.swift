import OrderBook
import Primitives

/// An engine, and the batch that it is about to apply.
///
/// The undo journal is on (it always is) and so is the tracking of changed levels. Both are let go after each batch; a
/// replica lets go only what is final, so its journal is longer. Entries lie ready in memory, as they do once a batch
/// is decoded; making them is not measured.
struct EngineLane: ~Copyable {
  var engine = MatchingEngine()
  /// What the newest batch did; gone when the next one is applied.
  var tape = EventTape()
  private var changes: [LevelChange] = []
  /// The levels that the newest batch changed.
  var changedLevels: Int { changes.count }

  private var batch = EntryBatch(capacity: FlowLog.batchSteps)
  /// Sequence of the first entry; the next batch's, once it is applied.
  private(set) var firstSequence: UInt64 = 1

  init() {
    engine.tracksChangedLevels = true
    prepare(FlowLog.definition, stamp: FlowLog.definitionStamp)
    applyBatch()
    takeLevels()
  }

  /// Puts a command into the batch.
  /// - Precondition: the batch is not full.
  mutating func prepare(_ command: Command, stamp: Stamp) {
    precondition(batch.count < FlowLog.batchSteps, "the batch is full")
    let dot = Dot(origin: FlowLog.origin, sequence: firstSequence + UInt64(batch.count))
    batch.append(command, at: dot, stamp: stamp)
  }

  /// Makes the batch from a flow's steps.
  mutating func prepare(_ flow: EngineFlow, _ range: Range<Int>) {
    for number in range {
      prepare(flow.steps[number].command(number: number), stamp: FlowLog.stamp(of: number))
    }
  }

  /// The measured loop: applies the batch and settles it. What it did is on the tape.
  @inline(never) mutating func applyBatch() {
    tape.removeAll()
    engine.apply(batch, into: &tape)
    settle()
  }

  /// The measured end of a batch: what a market data desk asks for.
  @inline(never) mutating func takeLevels() { engine.takeChangedLevels(into: &changes) }

  /// Applies one entry of the batch, the next one; `settle` ends the batch.
  @inline(__always) mutating func apply(_ index: Int) { engine.apply(batch, at: index, into: &tape) }

  /// Lets the journal go after a batch.
  @inline(__always) mutating func settle() {
    firstSequence += UInt64(batch.count)
    batch.removeAll()
    engine.settle(through: engine.journalMark)
  }
}
