import EngineBenchmark
import Foundation
import Primitives
import Testing

@testable import rialto

@Suite("rialto bench engine")
struct EngineBenchCommandTests {
  /// Everything that needs no process of its own, as small as it can be.
  static func plan() -> EngineBenchPlan {
    var plan = EngineBenchPlan(seed: 1, repetitions: 1)
    plan.parts = [.flows, .latency, .hash]
    plan.preludeOperations = 1_000
    plan.flowOperations = 3_000
    plan.hashOrders = 2_000
    return plan
  }

  private static func object(_ json: JSONLine) throws -> [String: Any] {
    #expect(!json.text.contains("\n"))
    return try #require(try JSONSerialization.jsonObject(with: Data(json.text.utf8)) as? [String: Any])
  }

  @Test("a small run measures what it is told to, and finds nothing wrong")
  func run() throws {
    let report = try EngineBenchRun(plan: Self.plan(), progress: { _ in }).run()
    #expect(report.failures.isEmpty)
    #expect(report.flows.map(\.name) == FlowShape.allCases.map(\.rawValue))
    #expect(report.hashes.map(\.shape.name) == ["spread", "near the touch", "long queues"])
    #expect(report.latency != nil && report.scale.isEmpty && report.instructions.isEmpty)
    for flow in report.flows { #expect(report.lines.contains { $0.hasPrefix(flow.name) }) }
    #expect(report.lines.last == "every result that was checked is as it should be")
    #expect(report.lines.allSatisfy { $0.count <= 120 })
    let object = try Self.object(report.json)
    #expect(object["good"] as? Bool == true && (object["flows"] as? [[String: Any]])?.count == 4)
    #expect(object["latency"] != nil && (object["hash"] as? [[String: Any]])?.count == 3)
  }

  @Test("nothing but what was asked for is measured")
  func parts() throws {
    var plan = Self.plan()
    plan.parts = []
    let report = try EngineBenchRun(plan: plan, progress: { _ in }).run()
    #expect(report.flows.isEmpty && report.latency == nil && report.hashes.isEmpty && report.failures.isEmpty)
    #expect(try Self.object(report.json)["latency"] == nil)
  }

  @Test("scale is compared with the smallest book, round by round; allocations and other results are failures")
  func failures() throws {
    var report = EngineBenchReport(plan: Self.plan(), machine: .here())
    report.scale = [
      EngineBenchReport.Scale(orders: 10, residentBytes: 960, operations: 1_000, nanoseconds: [100, 400, 200]),
      EngineBenchReport.Scale(orders: 1_000, operations: 1_000, nanoseconds: [150, 900, 250]),
    ]
    #expect(report.scale.map(report.costHundredths) == [100, 150])
    #expect(report.scale.map(\.picosecondsPerOperation) == [200, 250])
    let text = """
      events: Ir
      summary: 30
      fn=(1) grow'rialto_bench_engine_apply
      1 30
      cfn=(2) malloc'grow'rialto_bench_engine_apply
      calls=4 1
      2 0
      """
    report.instructions = [
      EngineBenchReport.Instructions(
        flow: "normal", operations: 10, profile: try CallgrindProfile(text), bookHash: .zero)
    ]
    #expect(report.failures == ["normal: 4 memory allocations in 10 operations: 4 by grow"])
    #expect(report.lines.last == "NOT every result that was checked is as it should be")
    let object = try Self.object(report.json)
    #expect(object["good"] as? Bool == false)
    #expect(report.lines.contains { $0.hasPrefix("normal") && $0.contains(" 3.0 ") })
    #expect(report.lines.contains { $0.contains("10  ") && $0.contains("96.0") })
  }

  @Test("another book hash under valgrind is a failure, if it is of the same flow")
  func otherHash() throws {
    var plan = Self.plan()
    plan.parts = [.flows]
    var report = try EngineBenchRun(plan: plan, progress: { _ in }).run()
    let profile = try CallgrindProfile("events: Ir\nsummary: 1\nfn=(1) f'rialto_bench_engine_apply\n1 1\n")
    func failures(_ operations: Int, _ hash: Hash256) -> Int {
      report.instructions = [
        EngineBenchReport.Instructions(flow: "normal", operations: operations, profile: profile, bookHash: hash)
      ]
      return report.failures.count
    }
    #expect(failures(plan.flowOperations, .zero) == 1)
    #expect(failures(plan.flowOperations, report.flows[0].bookHash) == 0)
    #expect(failures(1, .zero) == 0)
  }

  @Test("a file that is no workload is named, and nothing is measured")
  func badFile() throws {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("bench-\(UUID().uuidString)").path
    try Data("nonsense".utf8).write(to: URL(fileURLWithPath: path))
    defer { try? FileManager.default.removeItem(atPath: path) }
    var plan = Self.plan()
    plan.workloads = [path]
    #expect {
      try EngineBenchRun(plan: plan, progress: { _ in }).run()
    } throws: { error in
      (error as? CommandError)?.message == "\(path): 8 bytes are too few for a header of 16"
    }
  }

  @Test("arguments that make no sense are refused")
  func arguments() throws {
    let command = try BenchCommand.Engine.parse(["--quick", "--skip", "hash", "--skip", "scale", "--seed", "9"])
    #expect(command.quick && command.skipped == [.hash, .scale] && command.seed == 9 && command.repetitions == nil)
    for wrong in [["--skip", "x"], ["--repetitions", "0"], ["--seed", "-1"], ["--workload"], ["x"]] {
      #expect(throws: (any Error).self) { try BenchCommand.Engine.parse(wrong) }
    }
    for wrong in [
      ["scale", "--orders", "0", "--operations", "1", "--rounds", "1", "--seed", "1"],
      ["instructions", "--flow", "x", "--prelude", "0", "--operations", "1", "--seed", "1"],
    ] {
      #expect(throws: (any Error).self) { try BenchCommand.EngineChild.parseAsRoot(wrong) }
    }
  }
}
