import Primitives
import Testing

@testable import Pipeline

/// A benchmark that is not run rots: here it runs small, and what it computes is checked.
@Suite("Pipeline benchmark")
struct PipelineTests {
  static let operations = 5_000

  @Test("every stage is measured, in order, and has a line in table and JSON")
  func stages() throws {
    let report = try Pipeline(operations: Self.operations, seed: 1).measure()
    #expect(report.stages.map(\.stage) == PipelineStage.allCases)
    #expect(report.stages.allSatisfy { $0.nanoseconds > 0 })
    for stage in PipelineStage.allCases {
      #expect(report.table.contains { $0.hasPrefix(stage.rawValue) })
      #expect(report.json.contains("\"\(stage.rawValue)_ns\":"))
    }
    #expect(!report.json.contains("\n"))
  }

  @Test("one seed gives one result, another seed another")
  func seeds() throws {
    let first = try Pipeline(operations: Self.operations, seed: 7).measure()
    let again = try Pipeline(operations: Self.operations, seed: 7).measure()
    let other = try Pipeline(operations: Self.operations, seed: 8).measure()
    #expect(first.bookHash == again.bookHash)
    #expect(first.chainHash == again.chainHash)
    #expect(first.fills == again.fills && first.restingOrders == again.restingOrders && first.bytes == again.bytes)
    #expect(first.bookHash != other.bookHash)
    #expect(first.bookHash != Hash256.zero && first.fills > 0 && first.restingOrders > 0)
  }

  @Test("sizes that do not fill a batch work", arguments: [1, 999, 1_000, 1_001])
  func oddSizes(operations: Int) throws {
    let report = try Pipeline(operations: operations, seed: 1).measure()
    #expect(report.batches == 1 + (operations + 999) / 1_000)
  }

  @Test("arguments that make no sense are refused")
  func arguments() throws {
    let command = try #require(PipelineCommand(["--operations", "10", "--seed", "3", "--json"]))
    #expect(command.operations == 10 && command.seed == 3 && command.isJSON)
    for wrong in [["--operations"], ["--operations", "0"], ["--seed", "-1"], ["--what"], ["10"]] {
      #expect(PipelineCommand(wrong) == nil)
    }
  }
}
