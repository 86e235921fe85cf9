import Primitives
import ReferenceBook

/// Times of single operations, in nanoseconds by the wall clock; the clock's own cost is part of each.
public struct LatencyReport: Sendable {
  /// Of one repetition.
  public struct Percentiles: Hashable, Sendable {
    public var p50: UInt64
    public var p99: UInt64
    public var p999: UInt64
    public var max: UInt64
  }

  public let name: String
  public let operations: Int
  public let repetitions: Int
  public let clockName: String
  public let clockNanoseconds: UInt64
  /// Medians over the repetitions; `max` is the largest of all.
  public let engine: Percentiles
  public let reference: Percentiles
  /// The end of a batch: letting the journal go and taking the changed levels, which no operation's time holds.
  public let batchEnd: Percentiles
  public let batchSteps: Int
}

/// Times every measured operation of a flow by itself, engine and reference in turn.
public struct LatencyMeasurement {
  private let flow: EngineFlow
  private let repetitions: Int
  private let clock = TickClock()

  /// - Precondition: the reference understands the flow; `repetitions > 0`.
  public init(_ flow: EngineFlow, repetitions: Int) {
    precondition(flow.isPlain && repetitions > 0, "there must be something to measure")
    self.flow = flow
    self.repetitions = repetitions
  }

  public func measure() -> LatencyReport {
    var engine: [LatencyReport.Percentiles] = []
    var reference: [LatencyReport.Percentiles] = []
    var batchEnd: [LatencyReport.Percentiles] = []
    for _ in 0..<repetitions {
      let (operations, ends) = runEngine()
      engine.append(percentiles(operations))
      batchEnd.append(percentiles(ends))
      reference.append(percentiles(runReference()))
    }
    return LatencyReport(
      name: flow.name, operations: flow.measuredSteps, repetitions: repetitions, clockName: TickClock.name,
      clockNanoseconds: clock.nanoseconds(clock.costTicks), engine: .medians(engine), reference: .medians(reference),
      batchEnd: .medians(batchEnd), batchSteps: FlowLog.batchSteps)
  }

  private func percentiles(_ histogram: TickHistogram) -> LatencyReport.Percentiles {
    LatencyReport.Percentiles(
      p50: clock.nanoseconds(histogram.ticks(permille: 500)), p99: clock.nanoseconds(histogram.ticks(permille: 990)),
      p999: clock.nanoseconds(histogram.ticks(permille: 999)), max: clock.nanoseconds(histogram.maxTicks))
  }

  private func runEngine() -> (operations: TickHistogram, batchEnds: TickHistogram) {
    var lane = EngineLane()
    var operations = TickHistogram()
    var ends = TickHistogram()
    for range in flow.batches {
      lane.prepare(flow, range)
      if range.lowerBound < flow.preludeSteps {
        lane.applyBatch()
        lane.takeLevels()
        continue
      }
      lane.tape.removeAll()
      var last = TickClock.now()
      for index in 0..<range.count {
        lane.apply(index)
        let now = TickClock.now()
        operations.record(now &- last)
        last = TickClock.now()
      }
      lane.settle()
      lane.takeLevels()
      ends.record(TickClock.now() &- last)
    }
    return (operations, ends)
  }

  private func runReference() -> TickHistogram {
    guard let book = reference_book_create() else { preconditionFailure("out of memory") }
    defer { reference_book_destroy(book) }
    var histogram = TickHistogram()
    for range in flow.batches {
      reference_book_clear_fills(book)
      for number in range {
        var operation = flow.steps[number].referenceOperation(number: number)
        let start = TickClock.now()
        reference_book_apply(book, &operation, 1)
        let end = TickClock.now()
        if number >= flow.preludeSteps { histogram.record(end &- start) }
      }
    }
    return histogram
  }
}

extension LatencyReport.Percentiles {
  fileprivate static func medians(_ all: [Self]) -> Self {
    Self(
      p50: all.map(\.p50).median, p99: all.map(\.p99).median, p999: all.map(\.p999).median,
      max: all.map(\.max).max() ?? 0)
  }
}
