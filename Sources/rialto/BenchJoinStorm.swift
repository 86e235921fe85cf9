import Client
import Foundation
import Node
import Primitives

/// Members are killed, stopped and sealed, and come back, while others join, or die joining.
struct JoinStorm {
  private let run: JoinRun
  private var cluster: LocalCluster { run.cluster }

  init(_ run: JoinRun) { self.run = run }

  /// What joins in a step.
  private enum Arrival: UInt64 {
    case one
    case two
    case deathWithLease
    case deathAsMember
  }

  func run(_ report: inout JoinReport) async throws {
    var generator = SeededGenerator(seed: run.plan.seed ^ 0x73746f726d)
    let start = BenchCluster.wallMicroseconds()
    var storm = JoinReport.Storm()
    for step in 1...run.plan.stormSteps {
      // Those that trade stay, so that a majority always does: of three to five there is one victim at a time.
      let victims = cluster.names.dropFirst(JoinRun.tradingNodes)
      let victim = victims.isEmpty ? nil : Array(victims)[Int(generator.below(UInt64(victims.count)))]
      let isKill = generator.below(2) == 0
      let arrival = Arrival(rawValue: generator.below(4)) ?? .one
      Output.note("storm \(step) of \(run.plan.stormSteps): " + Self.words(victim, isKill, arrival))
      storm.steps += 1
      async let back: Void = disturb(victim, isKill: isKill)
      try await arrive(arrival, step)
      try await back
      if victim != nil { if isKill { storm.kills += 1 } else { storm.stops += 1 } }
      if arrival == .deathWithLease || arrival == .deathAsMember { storm.deaths += 1 }
    }
    try await run.settle()
    let statuses = try await run.watch.statuses(cluster.names).map(\.status)
    storm.joins = statuses.map { $0.vector.count - run.plan.nodes }.max() ?? 0
    storm.grants = statuses.map(\.joinMutex.grantsTotal)
    storm.pauseMicrosecondsMax = try await run.pause(since: start)
    storm.acceptedMicrosecondsMax = run.load.worst(since: start).accepted
    report.storm = storm
  }

  private static func words(_ victim: String?, _ isKill: Bool, _ arrival: Arrival) -> String {
    let fate = victim.map { "\($0) is \(isKill ? "killed" : "stopped") and comes back, " } ?? ""
    switch arrival {
    case .one: return fate + "one joins"
    case .two: return fate + "two join"
    case .deathWithLease: return fate + "a joiner dies with the mutex"
    case .deathAsMember: return fate + "a joiner dies as a member"
    }
  }

  /// Takes a member away until all others are in a view without it, and lets it join again.
  private func disturb(_ victim: String?, isKill: Bool) async throws {
    guard let victim, let origin = try await run.watch.status(victim)?.origin else { return }
    let start = BenchCluster.wallMicroseconds()
    if isKill { cluster.kill(victim) } else { cluster.signal(victim, SIGSTOP) }
    await run.watch.forget(victim)
    let others = Array(cluster.names.prefix(JoinRun.tradingNodes))
    try await BenchCluster.wait(for: "\(victim) sealed", everyMilliseconds: 50) {
      try await run.watch.statuses(others).allSatisfy { _, status in
        status.events.contains { $0.kind == .removed && $0.origin == origin && $0.at >= start }
      }
    }
    let back = BenchCluster.wallMicroseconds()
    if isKill { try await cluster.restart(victim) } else { cluster.signal(victim, SIGCONT) }
    _ = try await run.member(victim, since: back)
  }

  private func arrive(_ arrival: Arrival, _ step: Int) async throws {
    switch arrival {
    case .one: _ = try await run.start("s\(step)")
    case .two:
      async let other = run.start("s\(step)b")
      _ = try await run.start("s\(step)a")
      _ = try await other
    case .deathWithLease: _ = try await run.startDying("s\(step)x", at: .lease)
    case .deathAsMember: _ = try await run.startDying("s\(step)x", at: .decided)
    }
  }
}
