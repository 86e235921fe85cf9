import OrderBook
import Primitives

/// An engine, and the batch that it is about to apply.
///
/// The undo journal is on (it always is) and so is the tracking of changed levels. Both are let go after each batch; a
/// replica lets go only what is final, so its journal is longer. Commands lie ready in memory, as
/// they do once a batch is decoded; making them is not measured.
struct EngineLane: ~Copyable {
  /// An entry as decoded: what `Entry` holds, without the log's other payloads.
  struct Input {
    var stamp: Stamp
    var command: Command?
    /// Price of a new or amended order; of another command, that of the one before. Noted when a command is decoded, so
    /// that looking ahead need not ask what kind it is.
    var nearTicks: Int64 = 0
  }

  var engine = MatchingEngine()
  /// What the newest batch did; gone when the next one is applied.
  var tape = EventTape()
  private var changes: [LevelChange] = []
  /// The levels that the newest batch changed.
  var changedLevels: Int { changes.count }

  private let inputs: UnsafeMutableBufferPointer<Input>
  private var count = 0
  private var nearTicks: Int64 = 0
  /// Sequence of the first input; the next batch's, once it is applied.
  private(set) var firstSequence: UInt64 = 1

  init() {
    inputs = .allocate(capacity: FlowLog.batchSteps)
    inputs.initialize(repeating: Input(stamp: .zero, command: nil))
    engine.tracksChangedLevels = true
    prepare(FlowLog.definition, stamp: FlowLog.definitionStamp)
    applyBatch()
    takeLevels()
  }

  deinit { inputs.deallocate() }

  /// Puts a command into the batch.
  /// - Precondition: the batch is not full.
  mutating func prepare(_ command: Command, stamp: Stamp) {
    precondition(count < inputs.count, "the batch is full")
    switch command {
    case .order(let order): nearTicks = order.priceTicks
    case .amend(let amend): nearTicks = amend.priceTicks ?? nearTicks
    case .cancel, .cancelAll, .instrument: break
    }
    inputs[count] = Input(stamp: stamp, command: command, nearTicks: nearTicks)
    count += 1
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
    if engine.isLarge {
      for index in 0..<count {
        for distance in MatchingEngine.Lookahead.allCases where index + distance.rawValue < count {
          engine.prepare(for: inputs[index + distance.rawValue].command, distance)
        }
        apply(index)
      }
    } else {
      for index in 0..<count {
        if index + Self.levelAhead < count {
          engine.prepareLevel(FlowLog.instrument, inputs[index + Self.levelAhead].nearTicks)
        }
        apply(index)
      }
    }
    settle()
  }

  /// Commands between asking for the level of an order and applying it: in a market that moves, nobody has been there.
  private static let levelAhead = 6

  /// The measured end of a batch: what a market data desk asks for.
  @inline(never) mutating func takeLevels() { engine.takeChangedLevels(into: &changes) }

  /// Applies one input of the batch, the next one; `settle` ends the batch.
  @inline(__always) mutating func apply(_ index: Int) {
    let dot = Dot(origin: FlowLog.origin, sequence: firstSequence &+ UInt64(index))
    let stamp = inputs[index].stamp
    switch inputs[index].command {
    case .some(.order(let order)): engine.apply(order, at: dot, stamp: stamp, into: &tape)
    case .some(.cancel(let cancel)): engine.apply(cancel, at: dot, stamp: stamp, into: &tape)
    case .some(.amend(let amend)): engine.apply(amend, at: dot, stamp: stamp, into: &tape)
    case let command: engine.apply(command, at: dot, stamp: stamp, into: &tape)
    }
  }

  /// Lets the journal go after a batch.
  @inline(__always) mutating func settle() {
    firstSequence += UInt64(count)
    count = 0
    engine.settle(through: engine.journalMark)
  }
}
