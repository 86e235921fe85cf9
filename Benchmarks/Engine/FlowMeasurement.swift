import OrderBook
import Primitives
import ReferenceBook

/// How long one flow takes the engine, and the reference in turn with it.
public struct ThroughputReport: Sendable {
  public let name: String
  public let preludeSteps: Int
  public let steps: Int
  public let mix: FlowMix
  public let flowHash: Hash256
  /// CPU time of the measured steps, one a repetition.
  public internal(set) var engineNanoseconds: [UInt64] = []
  /// What of that went into taking the changed levels, by wall time.
  public internal(set) var levelsNanoseconds: [UInt64] = []
  /// Of the repetition with the same number, right after it; empty if the reference does not understand the flow.
  public internal(set) var referenceNanoseconds: [UInt64] = []
  public internal(set) var outcome = FlowOutcome()
  /// Nil if the reference does not understand the flow.
  public internal(set) var referenceOutcome: FlowOutcome?
  /// SHA-256 over every event of the engine, in order.
  public internal(set) var eventsHash = Hash256.zero
  public internal(set) var bookHash = Hash256.zero
  /// Every repetition gave this outcome and this book hash.
  public internal(set) var isRepeatable = true

  /// Does the reference agree, as far as it understands the flow?
  public var agrees: Bool { referenceOutcome.map { $0 == outcome } ?? true }

  /// Operations a second, by the median repetition.
  public var engineRate: UInt64 { Self.rate(steps, engineNanoseconds.median) }
  public var referenceRate: UInt64? {
    referenceNanoseconds.isEmpty ? nil : Self.rate(steps, referenceNanoseconds.median)
  }

  /// How many times faster the engine is, in hundredths: the median of the pairs.
  public var ratioHundredths: UInt64? {
    if referenceNanoseconds.isEmpty { return nil }
    return zip(engineNanoseconds, referenceNanoseconds).map { $1 * 100 / max(1, $0) }.median
  }

  private static func rate(_ steps: Int, _ nanoseconds: UInt64) -> UInt64 {
    UInt64(steps) * 1_000_000_000 / max(1, nanoseconds)
  }
}

/// Measures one flow: engine, reference, engine, reference…, each from an empty book.
public struct FlowMeasurement {
  /// There are two readings a batch, one of them within what is measured.
  public static var clockNanosecondsPerReading: UInt64 { CPUTime.cost() }

  private let flow: EngineFlow
  private let repetitions: Int
  private let clock = TickClock()

  /// - Precondition: `repetitions > 0`.
  public init(_ flow: EngineFlow, repetitions: Int) {
    precondition(repetitions > 0, "there must be something to measure")
    self.flow = flow
    self.repetitions = repetitions
  }

  public func measure() -> ThroughputReport {
    var report = ThroughputReport(
      name: flow.name, preludeSteps: flow.preludeSteps, steps: flow.measuredSteps, mix: flow.mix,
      flowHash: flow.hash())
    // Once unmeasured: it warms both up, and its events are hashed.
    let first = runEngine(hashesEvents: true)
    report.outcome = first.outcome
    report.bookHash = first.bookHash
    report.eventsHash = first.eventsHash
    if flow.isPlain { report.referenceOutcome = runReference().outcome }
    for _ in 0..<repetitions {
      let run = runEngine(hashesEvents: false)
      report.engineNanoseconds.append(run.nanoseconds)
      report.levelsNanoseconds.append(clock.nanoseconds(run.levelsTicks))
      if run.outcome != report.outcome || run.bookHash != report.bookHash { report.isRepeatable = false }
      if flow.isPlain {
        let run = runReference()
        report.referenceNanoseconds.append(run.nanoseconds)
        if run.outcome != report.referenceOutcome { report.isRepeatable = false }
      }
    }
    return report
  }

  private struct EngineRun {
    var nanoseconds: UInt64 = 0
    var levelsTicks: UInt64 = 0
    var outcome = FlowOutcome()
    var bookHash = Hash256.zero
    var eventsHash = Hash256.zero
  }

  private func runEngine(hashesEvents: Bool) -> EngineRun {
    var lane = EngineLane()
    var reader = OutcomeReader()
    var run = EngineRun()
    for range in flow.batches {
      lane.prepare(flow, range)
      let start = CPUTime.now()
      lane.applyBatch()
      let applied = TickClock.now()
      lane.takeLevels()
      let taken = TickClock.now()
      if range.lowerBound >= flow.preludeSteps {
        run.nanoseconds += CPUTime.now() - start
        run.levelsTicks += taken - applied
      }
      reader.read(lane.tape, hashesEvents: hashesEvents)
    }
    run.outcome = reader.finish(lane.engine)
    run.eventsHash = reader.eventsHash()
    run.bookHash = lane.engine.bookHash()
    return run
  }

  private func runReference() -> (nanoseconds: UInt64, outcome: FlowOutcome) {
    guard let book = reference_book_create() else { preconditionFailure("out of memory") }
    defer { reference_book_destroy(book) }
    var reader = OutcomeReader()
    var operations: ContiguousArray<reference_operation> = []
    operations.reserveCapacity(FlowLog.batchSteps)
    var nanoseconds: UInt64 = 0
    for range in flow.batches {
      operations.removeAll(keepingCapacity: true)
      for number in range { operations.append(flow.steps[number].referenceOperation(number: number)) }
      let start = CPUTime.now()
      reference_book_clear_fills(book)
      operations.withUnsafeBufferPointer { reference_book_apply(book, $0.baseAddress, $0.count) }
      if range.lowerBound >= flow.preludeSteps { nanoseconds += CPUTime.now() - start }
      reader.readFills(book)
    }
    return (nanoseconds, reader.finish(reference: book))
  }
}

extension EngineFlow {
  /// The steps in batches, none of which holds both prelude and measured steps.
  var batches: [Range<Int>] {
    func cut(_ range: Range<Int>) -> [Range<Int>] {
      stride(from: range.lowerBound, to: range.upperBound, by: FlowLog.batchSteps).map {
        $0..<min($0 + FlowLog.batchSteps, range.upperBound)
      }
    }
    return cut(0..<preludeSteps) + cut(preludeSteps..<steps.count)
  }
}
