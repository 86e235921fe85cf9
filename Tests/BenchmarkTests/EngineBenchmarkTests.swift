import OrderBook
import Primitives
import ReferenceBook
import Testing

@testable import EngineBenchmark

/// A benchmark that is not run rots: here it runs small, and what it computes is checked.
@Suite("Engine benchmark")
struct EngineBenchmarkTests {
  /// Counts and hashes that a flow must lead to.
  struct Expected: Sendable {
    var shape: FlowShape
    var fills: Int
    var refused: Int
    var resting: Int
    var fillsHash: String
    var eventsHash: String
    var bookHash: String
  }

  static let expected: [Expected] = [
    Expected(
      shape: .normal, fills: 295, refused: 36, resting: 500, fillsHash: "54b82b1283a4a57d",
      eventsHash: "57794567a8dcf372", bookHash: "95a87419ba98c8bb"),
    Expected(
      shape: .swing, fills: 2_665, refused: 2_319, resting: 88, fillsHash: "89e5c02ef6ea963d",
      eventsHash: "31bcb9e438884616", bookHash: "6b95b5b1b0913ed6"),
    Expected(
      shape: .deep, fills: 368, refused: 27, resting: 2_397, fillsHash: "b94e12c347ba10d6",
      eventsHash: "a9826b6dbd245a3e", bookHash: "b77faa7d9afce469"),
    Expected(
      shape: .mixed, fills: 701, refused: 149, resting: 395, fillsHash: "3b1a7c270fcc112c",
      eventsHash: "63e17fc9dbfbd86a", bookHash: "3f29efe63d864863"),
  ]

  @Test("each flow leads to the result that it always led to, and to the reference's", arguments: expected)
  func results(expected: Expected) {
    let report = FlowMeasurement(EngineFlowTests.flow(expected.shape), repetitions: 2).measure()
    #expect(report.isRepeatable)
    #expect(report.outcome.fills == expected.fills)
    #expect(report.outcome.refused == expected.refused)
    #expect(report.outcome.restingOrders == expected.resting)
    #expect(report.outcome.fillsHash.prefix(16) == expected.fillsHash)
    #expect(report.eventsHash.prefix(16) == expected.eventsHash)
    #expect(report.bookHash.prefix(16) == expected.bookHash)
    #expect(report.engineNanoseconds.count == 2 && report.engineNanoseconds.allSatisfy { $0 > 0 })
    if expected.shape == .mixed {
      #expect(report.referenceOutcome == nil && report.referenceNanoseconds.isEmpty && report.agrees)
    } else {
      #expect(report.referenceOutcome == report.outcome && report.agrees)
      #expect(report.outcome.fills > 0 && report.outcome.refused > 0 && report.outcome.openBuyLots > 0)
      #expect(report.referenceNanoseconds.count == 2 && report.ratioHundredths != nil)
    }
  }

  @Test("a reference that says otherwise is noticed")
  func disagreement() {
    var report = FlowMeasurement(EngineFlowTests.flow(.normal), repetitions: 1).measure()
    report.referenceOutcome?.tradedLots += 1
    #expect(!report.agrees)
  }

  @Test("medians pair the engine with the reference that ran right after it")
  func medians() {
    var report = ThroughputReport(
      name: "x", preludeSteps: 0, steps: 1_000, mix: FlowMix(), flowHash: .zero)
    #expect(report.ratioHundredths == nil && report.referenceRate == nil)
    report.engineNanoseconds = [100, 1_000, 50]
    report.referenceNanoseconds = [300, 1_000, 250]
    #expect(report.ratioHundredths == 300)
    #expect(report.engineRate == 10_000_000_000 && report.referenceRate == 3_333_333_333)
    #expect([UInt64]().median == 0 && [UInt64(4), 1].median == 4 && [UInt64(9), 1, 5].median == 5)
  }

  @Test("the profiled run leads to the book of the measured one")
  func profiled() {
    for shape in [FlowShape.normal, .mixed] {
      let flow = EngineFlowTests.flow(shape)
      #expect(ProfiledRun.run(flow) == FlowMeasurement(flow, repetitions: 1).measure().bookHash)
    }
  }

  @Test("latencies are of every measured operation, and in order")
  func latency() {
    let flow = EngineFlowTests.flow(.normal)
    let report = LatencyMeasurement(flow, repetitions: 2).measure()
    #expect(report.operations == flow.measuredSteps && report.repetitions == 2 && !report.clockName.isEmpty)
    for values in [report.engine, report.reference, report.batchEnd] {
      #expect(values.p50 > 0 && values.p50 <= values.p99 && values.p99 <= values.p999 && values.p999 <= values.max)
    }
  }

  @Test("a histogram is exact where most values are, and close beyond")
  func histogram() {
    var histogram = TickHistogram()
    #expect(histogram.ticks(permille: 500) == 0)
    for ticks in UInt64(1)...1_000 { histogram.record(ticks) }
    #expect(histogram.ticks(permille: 500) == 500 && histogram.ticks(permille: 999) == 999)
    #expect(histogram.ticks(permille: 1_000) == 1_000 && histogram.maxTicks == 1_000 && histogram.count == 1_000)
    for ticks in [UInt64(65_535), 65_536, 100_000, 123_456_789, 1 << 40, .max] {
      var one = TickHistogram()
      one.record(ticks)
      one.record(.max)
      let found = one.ticks(permille: 500)
      #expect(found >= ticks && found - ticks <= ticks / 32, "\(ticks): \(found)")
    }
  }
}

@Suite("C++ reference book")
struct ReferenceBookTests {
  private static func operation(
    _ kind: Int, id: UInt64, side: Int = 0, price: Int64 = 0, quantity: Int64 = 0, immediate: UInt8 = 0
  ) -> reference_operation {
    reference_operation(
      id: id, price: price, quantity: quantity, kind: UInt8(kind), side: UInt8(side), immediate: immediate)
  }

  @Test("best price first, then first come; a replace goes last; an immediate remainder goes")
  func rules() throws {
    let book = try #require(reference_book_create())
    defer { reference_book_destroy(book) }
    let sell = Int(reference_side_sell)
    let operations = [
      Self.operation(0, id: 1, side: sell, price: 11, quantity: 5),
      Self.operation(0, id: 2, side: sell, price: 10, quantity: 3),
      Self.operation(0, id: 3, side: sell, price: 10, quantity: 4),
      Self.operation(2, id: 2, price: 10, quantity: 2),
      Self.operation(0, id: 4, side: sell, price: 12, quantity: 9),
      Self.operation(1, id: 4),
      Self.operation(1, id: 4),
      // 4 of 3, 2 of 2, 1 of 1: then its limit.
      Self.operation(0, id: 5, side: 0, price: 11, quantity: 7),
      Self.operation(0, id: 6, side: 0, price: 10, quantity: 6, immediate: 1),
      Self.operation(0, id: 7, side: 0, price: 9, quantity: 8),
    ]
    operations.withUnsafeBufferPointer { reference_book_apply(book, $0.baseAddress, $0.count) }
    var count = 0
    let fills = Array(UnsafeBufferPointer(start: reference_book_fills(book, &count), count: count))
    #expect(fills.map(\.maker) == [3, 2, 1] && fills.map(\.quantity) == [4, 2, 1])
    #expect(fills.map(\.price) == [10, 10, 11] && fills.allSatisfy { $0.taker == 5 })
    let totals = reference_book_totals(book)
    #expect(totals.resting_orders == 2 && totals.refused == 1 && totals.open_buy == 8 && totals.open_sell == 4)
  }
}
