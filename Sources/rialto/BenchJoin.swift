import ArgumentParser
import Client
import Flow
import Foundation
import Node
import OrderBook
import Primitives

extension BenchCommand {
  enum JoinPart: String, CaseIterable, ExpressibleByArgument, Sendable {
    case lease
    case decided
    case storm
  }

  struct Join: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "join",
      abstract: "Measure how soon a new node is a member, and what that costs the others.",
      discussion: """
        Starts nodes as processes of their own on this machine, fills their log, and keeps up a steady flow of orders.
        Then, one after the other:
          joins     a new node is started, becomes a member, and leaves again; so many --rounds
          lease     a joiner kills itself as soon as it has the join mutex; then another one joins
          decided   a joiner kills itself as soon as it knows that it is a member, before it has said anything
          storm     so many --storm steps: a member is killed, or stopped until it is sealed, and comes back, while
                    one or two others join, or die joining; then every lease under which somebody became a member must
                    have been counted, once, by all
        Parts but the first can be left out with --skip.

        Times of joining and of pauses are from the nodes' own records; a pause is a time in which something waited and
        nothing became final, as a member has seen it, and 0 if none was 20 ms long. Latencies are those of the flow.

        Goals: a member within 1 s (median), no order accepted later than 100 ms while others join, the next joiner
        delayed by at most 2 s by one that dies with the mutex, finality stopped for at most 1 s by one that dies once
        it is a member. A goal that is missed is shown, and is a failure with --strict only.

        Fields of --json:
          nodes, entries, rate, seed  as asked for; entries_held: of each node when the first round began
          rounds                each: joined_ms (from the start of the process), pause_ms, accepted_ms_max, final_ms_max
          joined_ms_median, joined_ms_max, pause_ms_max, accepted_ms_max
          lease                 held (a member had lent its vote), next_joined_ms, delay_ms (beyond the median round)
          decided               pause_ms, sealed_ms (from its death until all went on without it)
          storm                 steps, kills, stops, deaths, joins (admissions in the register of views since the
                                cluster began), grants_total, accepted_ms_max, pause_ms_max
          orders, unanswered    of the flow
          goals                 each: name, limit, value, met
          failures              what must hold and did not; good: whether there is none

        Examples:
          rialto bench join --entries 100000 --nodes 5 --json
          rialto bench join --entries 1000 --rounds 1 --skip storm

        Exit codes: 0 done; 1 something did not happen in a minute, leases were counted wrongly, the nodes do not hold
        the same book at the end, or the run was interrupted; 2 could not.
        """)

    @Option(help: "Nodes to start with.") var nodes = 5
    @Option(help: "Entries in the log before the first one joins.") var entries = 100_000
    @Option(help: "Orders per second to all nodes together, all the while.") var rate = 500
    @Option(help: "Plain joins.") var rounds = 3
    @Option(help: "Steps of the storm.") var storm = 4
    @Option(
      name: .customLong("skip"),
      help: ArgumentHelp("Leave a part out: lease, decided or storm; once for each.", valueName: "part"))
    var skipped: [JoinPart] = []
    @Option(help: "Seed of the flow and of the storm.") var seed: UInt64 = 1
    @Option(help: "Directory for the nodes' files, kept; without it, a temporary one that is removed.") var dir: String?
    @Flag(help: "A goal that is missed is a failure.") var strict = false
    @Flag(help: "Print the result as one JSON object on one line.") var json = false

    func validate() throws {
      guard (3...32).contains(nodes) else { throw ValidationError("--nodes must be between 3 and 32.") }
      guard (0...10_000_000).contains(entries) else { throw ValidationError("--entries must be at most 10,000,000.") }
      guard (1...50_000).contains(rate) else { throw ValidationError("--rate must be between 1 and 50,000.") }
      guard (1...100).contains(rounds) else { throw ValidationError("--rounds must be between 1 and 100.") }
      guard (1...100).contains(storm) else { throw ValidationError("--storm must be between 1 and 100.") }
    }

    func run() async throws {
      try await explaining {
        let plan = JoinPlan(
          nodes: nodes, entries: entries, rate: rate, rounds: rounds, stormSteps: storm, seed: seed,
          parts: JoinPart.allCases.filter { !skipped.contains($0) })
        let report = try await BenchCluster.run(nodes: nodes, seed: seed, directory: dir) { cluster in
          try await JoinRun(plan: plan, cluster: cluster).run()
        }
        if json { Output.result(report.json.text) } else { report.lines.forEach(Output.result) }
        for failure in report.failures { Output.errorLine(failure) }
        if !report.failures.isEmpty || strict && !report.goals.allSatisfy(\.isMet) { throw ExitCode.notGood }
      }
    }
  }
}

struct JoinPlan: Hashable, Sendable {
  var nodes: Int
  var entries: Int
  var rate: Int
  var rounds: Int
  var stormSteps: Int
  var seed: UInt64
  var parts: [BenchCommand.JoinPart]
}

/// Joins on a cluster that runs.
struct JoinRun: Sendable {
  /// Operations a second while the log is filled: fast, and not so fast that much more is written than asked for.
  static let fillPerSecond = 20_000
  /// Before the next one joins, so that everybody grants the mutex again.
  static let settleMilliseconds = 2_500
  /// After somebody has joined or died, so that a pause that follows is seen.
  static let aftermathMilliseconds = 1_000
  static let pollMilliseconds = 20
  /// The flow goes to these; the storm leaves them alone.
  static let tradingNodes = 3

  let plan: JoinPlan
  let cluster: LocalCluster
  let watch: ClusterWatch
  let load = SteadyLoad()

  init(plan: JoinPlan, cluster: LocalCluster) {
    self.plan = plan
    self.cluster = cluster
    watch = ClusterWatch(cluster)
  }

  func run() async throws -> JoinReport {
    var report = JoinReport(plan: plan)
    try await settle()
    let clients = try await cluster.connectAll(account: BenchCluster.account)
    let record = try await Instruments.findOrDefine(
      try Instruments.standard(parseSymbol(Instruments.defaultSymbol)), at: clients)
    report.entriesHeld = try await fill(record.dot, clients)
    for client in clients { await client.close() }
    Output.note("\(report.entriesHeld.grouped) entries; \(plan.rate) orders a second from here on")
    try await load.start(
      cluster, Array(cluster.names.prefix(Self.tradingNodes)), record.dot, plan.rate, seed: plan.seed)
    do {
      try await measure(&report)
    } catch {
      await load.stop()
      throw error
    }
    await load.stop()
    report.mishaps = try await watch.disagreement(cluster.names).map { [$0] } ?? []
    (report.orders, report.unanswered) = load.counts
    return report
  }

  private func measure(_ report: inout JoinReport) async throws {
    try await Task.sleep(for: .milliseconds(Self.settleMilliseconds))
    for number in 1...plan.rounds {
      let round = try await join("j\(number)")
      report.rounds.append(round)
      Output.note("round \(number) of \(plan.rounds): \(round.text)")
      try await leave("j\(number)")
    }
    if plan.parts.contains(.lease) { try await dieWithLease(&report) }
    if plan.parts.contains(.decided) { try await dieDecided(&report) }
    if plan.parts.contains(.storm) { try await JoinStorm(self).run(&report) }
  }

  func settle(_ milliseconds: Int = JoinRun.settleMilliseconds) async throws {
    let names = cluster.names
    try await BenchCluster.wait(for: "all \(names.count) nodes members of one view, linked to each other") {
      try await watch.areMembers(names)
    }
    try await Task.sleep(for: .milliseconds(milliseconds))
  }

  /// - Returns: entries that a node holds then.
  private func fill(_ instrument: Dot, _ clients: [RialtoClient]) async throws -> UInt64 {
    var settings = FlowDriver.Settings(instrument: instrument, account: BenchCluster.account)
    settings.ratePerSecond = Self.fillPerSecond
    let nodes = zip(cluster.names, clients).map {
      FlowNode(name: $0, account: BenchCluster.account, client: $1)
    }
    let driver = FlowDriver(nodes: nodes, settings: settings)
    let flow = RandomFlow(seed: plan.seed, configuration: RandomFlow.Configuration(firstID: 1, mix: .basic))
    let filling = Task { await driver.run(FlowSource(flow)) }
    defer { driver.stop() }
    let seconds = BenchCluster.patienceSeconds + plan.entries / 1_000
    try await BenchCluster.wait(for: "\(plan.entries) entries", seconds: seconds, everyMilliseconds: 50) {
      UInt64(plan.entries) <= (try await watch.status(cluster.names[0])?.entries ?? 0)
    }
    driver.stop()
    _ = await filling.value
    try await BenchCluster.wait(for: "all entries final") {
      let found = try await watch.statuses(cluster.names)
      return found.count == cluster.names.count && found.allSatisfy { $0.status.tentative == 0 }
    }
    return try await watch.status(cluster.names[0])?.entries ?? 0
  }

  // MARK: Joining

  /// Starts a node and waits until it is a member.
  /// - Returns: microseconds from the start of its process.
  func start(_ name: String) async throws -> UInt64 {
    let start = BenchCluster.wallMicroseconds()
    try await cluster.add(name)
    return try await member(name, since: start) - start
  }

  /// When, by its own record, a node has become a member; waits for it.
  func member(_ name: String, since start: UInt64) async throws -> UInt64 {
    var joined: UInt64?
    try await BenchCluster.wait(for: "\(name) a member", everyMilliseconds: Self.pollMilliseconds) {
      joined = try await watch.status(name)?.events.first { $0.kind == .joined && $0.at >= start }?.at
      return joined != nil
    }
    return joined ?? start
  }

  private func join(_ name: String) async throws -> JoinReport.Round {
    let start = BenchCluster.wallMicroseconds()
    var round = JoinReport.Round(joinedMicroseconds: try await self.start(name))
    try await Task.sleep(for: .milliseconds(Self.aftermathMilliseconds))
    round.pauseMicroseconds = try await pause(since: start)
    (round.acceptedMicrosecondsMax, round.finalMicrosecondsMax) = load.worst(since: start)
    return round
  }

  func leave(_ name: String) async throws {
    cluster.signal(name, SIGTERM)
    try await BenchCluster.wait(for: "\(name) gone", everyMilliseconds: Self.pollMilliseconds) {
      cluster.process(name)?.isRunning != true
    }
    await watch.forget(name)
    try cluster.forget(name)
    try await settle()
  }

  /// The longest pause of finality that a member of the first hour has seen since then; 0 if there was none.
  func pause(since start: UInt64) async throws -> UInt64 {
    let statuses = try await watch.statuses(Array(cluster.names.prefix(Self.tradingNodes)))
    return statuses.flatMap(\.status.pauses).filter { $0.from + $0.microseconds >= start }.map(\.microseconds).max()
      ?? 0
  }

  // MARK: Dying

  /// Starts a node that kills itself while it joins, and waits until it has.
  /// - Returns: when it was found dead.
  func startDying(_ name: String, at point: DeathPoint) async throws -> UInt64 {
    do {
      try await cluster.add(name, further: ["--die-at", point.rawValue])
    } catch is CommandError {
      // It may be dead before it is seen to listen.
      try Task.checkCancellation()
    }
    try await BenchCluster.wait(for: "\(name) dead", everyMilliseconds: 2) {
      cluster.process(name)?.isRunning != true
    }
    let died = BenchCluster.wallMicroseconds()
    guard let process = cluster.process(name), process.wasKilled else {
      throw BenchFailure(
        "\(name), which was to kill itself, has ended otherwise:\n\(cluster.directory.node(name).logTail(lines: 5))")
    }
    try cluster.forget(name)
    return died
  }

  private func dieWithLease(_ report: inout JoinReport) async throws {
    Output.note("a joiner dies with the mutex")
    _ = try await startDying("lease", at: .lease)
    let members = try await watch.statuses(cluster.names)
    report.leaseWasHeld = members.contains { $0.status.joinMutex.holder != nil }
    report.nextJoinedMicroseconds = try await start("next")
    Output.note("the next one was a member after \((report.nextJoinedMicroseconds ?? 0) / 1_000) ms")
    try await leave("next")
  }

  private func dieDecided(_ report: inout JoinReport) async throws {
    Output.note("a joiner dies as a member")
    let died = try await startDying("decided", at: .decided)
    // It knew, so somebody else does, or will.
    let names = cluster.names
    var sealed: UInt64 = 0
    try await BenchCluster.wait(for: "the others without it", everyMilliseconds: Self.pollMilliseconds) {
      let found = try await watch.statuses(names)
      let removals = found.compactMap { _, status in status.events.last { $0.kind == .removed }?.at }
        .filter { $0 + 1_000_000 >= died }
      sealed = removals.max() ?? 0
      return removals.count == names.count && found.allSatisfy { $0.status.members.count == names.count }
    }
    report.sealedMicroseconds = max(sealed, died) - died
    try await Task.sleep(for: .milliseconds(Self.aftermathMilliseconds))
    report.decidedPauseMicroseconds = try await pause(since: died - min(died, 500_000))
    Output.note("finality stood still for \((report.decidedPauseMicroseconds ?? 0) / 1_000) ms")
    try await settle()
  }
}
