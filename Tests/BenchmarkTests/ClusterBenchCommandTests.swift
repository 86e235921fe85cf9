import Client
import Foundation
import Testing

@testable import rialto

@Suite("rialto bench detect, join, latency")
struct ClusterBenchCommandTests {
  private static func object(_ json: JSONLine) throws -> [String: Any] {
    #expect(!json.text.contains("\n"))
    return try #require(try JSONSerialization.jsonObject(with: Data(json.text.utf8)) as? [String: Any])
  }

  // MARK: Arguments

  @Test("arguments that make no sense are refused")
  func arguments() throws {
    let detect = try BenchCommand.Detect.parse(["--nodes", "3", "--fault", "pause", "--rounds", "0", "--overload", "1"])
    #expect(detect.nodes == 3 && detect.fault == .pause && detect.rounds == 0 && detect.overload == 1)
    for wrong in [
      ["--nodes", "2"], ["--nodes", "65"], ["--rounds", "-1"], ["--fault", "x"], ["--rounds", "0"],
      ["--overload", "86401"],
    ] {
      #expect(throws: (any Error).self, "\(wrong)") { try BenchCommand.Detect.parse(wrong) }
    }
    let join = try BenchCommand.Join.parse(["--entries", "0", "--skip", "storm", "--skip", "lease"])
    #expect(join.entries == 0 && join.skipped == [.storm, .lease] && join.nodes == 5)
    for wrong in [
      ["--nodes", "2"], ["--nodes", "33"], ["--entries", "-1"], ["--rate", "0"], ["--rounds", "0"], ["--storm", "0"],
      ["--skip", "x"],
    ] {
      #expect(throws: (any Error).self, "\(wrong)") { try BenchCommand.Join.parse(wrong) }
    }
    let latency = try BenchCommand.Latency.parse(["--orders", "10", "--skip", "nats", "--warm-up", "0"])
    #expect(latency.orders == 10 && latency.skipped == [.nats] && latency.warmUp == 0)
    for wrong in [["--orders", "0"], ["--block", "0"], ["--warm-up", "-1"], ["--skip", "rialto"]] {
      #expect(throws: (any Error).self, "\(wrong)") { try BenchCommand.Latency.parse(wrong) }
    }
  }

  @Test("a node dies at a step of joining only in a cluster to try things with")
  func dieAt() async throws {
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent("die-at-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let cluster = ClusterDirectory(path: directory)
    try cluster.create(.init(nodes: 1, fanout: 1, seed: 1, logLevel: "error"))
    let arguments = ["--data", directory + "/joiner", "--genesis", cluster.genesisPath, "--die-at", "lease"]
    await #expect(throws: (any Error).self) { try await NodeCommand.parse(arguments).run() }
    #expect(throws: (any Error).self) { try NodeCommand.parse(["--data", "x", "--die-at", "later"]) }
  }

  // MARK: What is made of it

  @Test("percentiles are values that there were")
  func percentiles() {
    let values: [UInt64] = [5, 1, 4, 2, 3, 100]
    #expect(values.median == 3)
    #expect(values.percentile(permille: 990) == 100)
    #expect(values.percentile(permille: 0) == 1)
    #expect((1...100).map { UInt64($0) }.percentile(permille: 990) == 99)
    #expect([UInt64]().median == 0)
  }

  private static func status(_ events: [(NodeEvent.Kind, UInt32?, UInt64)]) -> NodeStatus {
    var status = NodeStatus(
      name: "n", nodeID: "", clusterID: "", origin: 0, view: 1, entries: 0, orders: 0, fills: 0, applied: 0,
      tentative: 0, finalStamp: 0, lagMilliseconds: 0, bookHash: "", tradesHash: "", vector: [], peers: [],
      uptimeSeconds: 0, version: "")
    status.events = events.map { NodeEvent(kind: $0.0, origin: $0.1, view: 1, at: $0.2) }
    return status
  }

  @Test("a round is told from what the others have recorded since the fault, of the victim alone")
  func detection() throws {
    let before: [(NodeEvent.Kind, UInt32?, UInt64)] = [(.suspected, 7, 900), (.removed, 7, 950)]
    let one = Self.status(before + [(.suspected, 3, 1_100), (.suspected, 7, 1_400), (.gaveUp, 7, 1_700)])
    let other = Self.status(before + [(.suspected, 7, 1_300), (.entered, nil, 1_900), (.removed, 7, 1_901)])
    var round = DetectReport.Round(victim: "n7")
    round.take([one, other], of: 7, since: 1_000, nodes: 2)
    #expect(round.noticedMicroseconds == 300 && round.givenUpMicroseconds == 700)
    #expect(round.knownMicroseconds == nil, "one of them has not gone on without it")
    let late = Self.status(before + [(.gaveUp, 7, 1_700), (.removed, 7, 2_500), (.removed, 4, 2_500)])
    round.take([late, other], of: 7, since: 1_000, nodes: 2)
    #expect(round.knownMicroseconds == 1_500 && round.alsoRemoved == [4])

    let plan = DetectPlan(nodes: 3, rounds: 1, fault: .kill, overloadSeconds: 0, seed: 1)
    var report = DetectReport(plan: plan)
    round.knownMicroseconds = 1_900_000
    round.noticedMicroseconds = 1_600_000
    report.rounds = [round]
    #expect(report.failures.isEmpty && report.goals.map(\.isMet) == [false, true])
    report.roundsSealed = 1
    report.overloadSealed = 2
    #expect(report.failures.count == 2)
    round.knownMicroseconds = nil
    report.rounds.append(round)
    #expect(report.failures.count == 3)
    let object = try Self.object(report.json)
    #expect(object["good"] as? Bool == false && object["overload_sealed"] as? Int == 2)
    let rounds = try #require(object["rounds"] as? [[String: Any]])
    #expect(rounds[0]["known_ms"] as? Int == 1_900 && rounds[1]["known_ms"] is NSNull)
    #expect(report.lines.allSatisfy { $0.count <= 120 })
  }

  @Test("leases that were not counted as often as somebody joined are a failure; so are orders without an answer")
  func joining() throws {
    var report = JoinReport(
      plan: JoinPlan(
        nodes: 5, entries: 10, rate: 10, rounds: 2, stormSteps: 1, seed: 1,
        parts: BenchCommand.JoinPart.allCases))
    report.rounds = [
      JoinReport.Round(joinedMicroseconds: 300_000, pauseMicroseconds: 40_000, acceptedMicrosecondsMax: 150_000),
      JoinReport.Round(joinedMicroseconds: 500_000),
    ]
    report.leaseWasHeld = true
    report.nextJoinedMicroseconds = 2_200_000
    report.decidedPauseMicroseconds = 900_000
    report.sealedMicroseconds = 600_000
    report.storm = JoinReport.Storm(steps: 1, joins: 4, grants: [4, 4])
    #expect(report.failures.isEmpty)
    #expect(report.goals.map(\.isMet) == [true, false, true, true])
    #expect(report.goals.map(\.value) == [300, 150, 1_900, 900])
    report.storm?.grants = [4, 5]
    #expect(report.failures.count == 1)
    report.leaseWasHeld = false
    report.unanswered = 1
    #expect(report.failures.count == 3)
    let object = try Self.object(report.json)
    #expect((object["lease"] as? [String: Any])?["delay_ms"] as? Int == 1_900)
    #expect((object["storm"] as? [String: Any])?["grants_total"] as? Int == 5)
    #expect(report.lines.allSatisfy { $0.count <= 120 })
  }

  @Test("latencies are compared with the sync and with each other")
  func latency() throws {
    var report = OrderLatencyReport(plan: LatencyPlan(orders: 2, warmUp: 0, block: 1, seed: 1))
    report.sync = [50_000, 50_000]
    report.accepted = [100_000, 100_000]
    report.final = [300_000, 900_000]
    report.peers = [
      OrderLatencyReport.Peer(name: "nats", title: "NATS", client: "own", writes: [450_000, 800_000], pings: [20_000])
    ]
    #expect(report.goals.map(\.isMet) == [true, true, true, false])
    let object = try Self.object(report.json)
    #expect((object["rialto"] as? [String: Any])?["final_per_sync"] as? Int == 600)
    let peer = try #require((object["peers"] as? [[String: Any]])?.first)
    #expect(peer["per_rialto_p50"] as? Int == 150 && peer["per_sync"] as? Int == 900)
    #expect(peer["ping_p50_us"] as? Int == 20)
    #expect(report.lines.contains { $0.hasPrefix("NATS") && $0.contains("1.50") })
  }
}
