import ArgumentParser
import Client
import Foundation
import Primitives

extension BenchCommand {
  enum Fault: String, CaseIterable, ExpressibleByArgument, Sendable {
    case kill
    case pause
  }

  struct Detect: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "detect",
      abstract: "Measure how soon a cluster notices that a member is gone, and that it takes nobody else for gone.",
      discussion: """
        Starts nodes as processes of their own on this machine and waits until all are members. In each round one of
        them, drawn from the seed, is killed (kill -9) or stopped (SIGSTOP) while nobody trades; when the others have
        gone on without it, it comes back and joins again. Every time is taken from the nodes' own records, in
        microseconds of the one clock that all of them read, so that asking for them does not blur it.

        With --overload, after the rounds, twice as many threads as there are processors do nothing but compute, for
        so many seconds: no member that lives may be sealed, then or in a round.

        Goals, by the median round: noticed by the first after 1.5 s, known to all after 2 s. A goal that is missed is
        shown, and is a failure with --strict only: another machine may be slower.

        Fields of --json:
          nodes, fault, seed    as asked for
          rounds                each: victim, noticed_ms (the first node suspects it or gives it up), given_up_ms (the
                                first one gives it up), known_ms (the last node has entered a view without it), view
          noticed_ms_median, noticed_ms_max, known_ms_median, known_ms_max, given_up_ms_median
          rounds_sealed         members that lived and were sealed in the rounds
          overload_seconds, overload_threads, overload_sealed, overload_suspicions (of a member by another; harmless)
          goals                 each: name, limit, value, met
          failures              what must hold and did not; good: whether there is none

        Examples:
          rialto bench detect --nodes 25 --json
          rialto bench detect --nodes 5 --rounds 3 --fault pause
          rialto bench detect --nodes 25 --overload 600

        Exit codes: 0 done, and no living member was sealed; 1 one was, a round did not end, or the run was
        interrupted; 2 could not.
        """)

    @Option(help: "Nodes to run.") var nodes = 25
    @Option(help: "Rounds.") var rounds = 5
    @Option(help: "What happens to the victim: kill or pause.") var fault: Fault = .kill
    @Option(help: "Seconds of overload after the rounds.") var overload = 0
    @Option(help: "Seed of the victims.") var seed: UInt64 = 1
    @Option(help: "Directory for the nodes' files, kept; without it, a temporary one that is removed.") var dir: String?
    @Flag(help: "A goal that is missed is a failure.") var strict = false
    @Flag(help: "Print the result as one JSON object on one line.") var json = false

    func validate() throws {
      guard (3...64).contains(nodes) else {
        throw ValidationError("--nodes must be between 3 and 64: of two, neither may go on without the other.")
      }
      guard (0...1_000).contains(rounds) else { throw ValidationError("--rounds must be between 0 and 1,000.") }
      guard (0...86_400).contains(overload) else { throw ValidationError("--overload must be at most a day.") }
      guard rounds > 0 || overload > 0 else { throw ValidationError("No round and no overload: nothing to measure.") }
    }

    func run() async throws {
      try await explaining {
        let plan = DetectPlan(nodes: nodes, rounds: rounds, fault: fault, overloadSeconds: overload, seed: seed)
        let report = try await BenchCluster.run(nodes: nodes, seed: seed, directory: dir) { cluster in
          try await DetectRun(plan: plan, cluster: cluster).run()
        }
        if json { Output.result(report.json.text) } else { report.lines.forEach(Output.result) }
        for failure in report.failures { Output.errorLine(failure) }
        if !report.failures.isEmpty || strict && !report.goals.allSatisfy(\.isMet) { throw ExitCode.notGood }
      }
    }
  }
}

struct DetectPlan: Hashable, Sendable {
  var nodes: Int
  var rounds: Int
  var fault: BenchCommand.Fault
  var overloadSeconds: Int
  var seed: UInt64
}

/// The rounds on a cluster that runs.
struct DetectRun {
  /// After all are members again, so that nobody is new to anybody.
  static let settleMilliseconds = 2_500
  static let pollMilliseconds = 200

  let plan: DetectPlan
  let cluster: LocalCluster
  private let watch: ClusterWatch

  init(plan: DetectPlan, cluster: LocalCluster) {
    self.plan = plan
    self.cluster = cluster
    watch = ClusterWatch(cluster)
  }

  func run() async throws -> DetectReport {
    var report = DetectReport(plan: plan)
    Output.note("\(plan.nodes) nodes started; waiting until all are linked")
    try await settle()
    var generator = SeededGenerator(seed: plan.seed)
    for number in 0..<plan.rounds {
      let names = cluster.names
      let victim = names[Int(generator.below(UInt64(names.count)))]
      let round = try await round(victim, &report)
      report.rounds.append(round)
      Output.note("round \(number + 1) of \(plan.rounds): \(round.text)")
      if round.knownMicroseconds == nil { return report }
      if number + 1 < plan.rounds || plan.overloadSeconds > 0 { try await bringBack(victim) }
    }
    if plan.overloadSeconds > 0 { try await overload(&report) }
    return report
  }

  private func settle() async throws {
    let names = cluster.names
    try await BenchCluster.wait(for: "all \(names.count) nodes members of one view, linked to each other") {
      try await watch.areMembers(names)
    }
    try await Task.sleep(for: .milliseconds(Self.settleMilliseconds))
  }

  private func round(_ victim: String, _ report: inout DetectReport) async throws -> DetectReport.Round {
    guard let origin = try await watch.status(victim)?.origin else { throw CommandError("\(victim) is no member") }
    let others = cluster.names.filter { $0 != victim }
    // Whoever is killed may be waited for: the fault itself comes first.
    let start = BenchCluster.wallMicroseconds()
    switch plan.fault {
    case .kill: cluster.kill(victim)
    case .pause: cluster.signal(victim, SIGSTOP)
    }
    await watch.forget(victim)
    var round = DetectReport.Round(victim: victim)
    let deadline = ContinuousClock.now + .seconds(BenchCluster.patienceSeconds)
    repeat {
      try await Task.sleep(for: .milliseconds(Self.pollMilliseconds))
      let statuses = try await watch.statuses(others).map(\.status)
      round.take(statuses, of: origin, since: start, nodes: others.count)
    } while round.knownMicroseconds == nil && ContinuousClock.now < deadline
    report.roundsSealed += round.alsoRemoved.count
    return round
  }

  private func bringBack(_ victim: String) async throws {
    switch plan.fault {
    case .kill: try await cluster.restart(victim)
    case .pause: cluster.signal(victim, SIGCONT)
    }
    try await settle()
  }

  // MARK: Overload

  private func overload(_ report: inout DetectReport) async throws {
    let names = cluster.names
    let before = try await watch.statuses(names)
    let start = BenchCluster.wallMicroseconds()
    let threads = 2 * ProcessInfo.processInfo.activeProcessorCount
    report.overloadThreads = threads
    let load = BusyLoops(threads)
    defer { load.stop() }
    Output.note("overload: \(threads) threads compute for \(plan.overloadSeconds) s")
    var removed: Set<UInt32> = []
    var suspicions: Set<NodeEvent> = []
    let begun = ContinuousClock.now
    var nextNote = begun + .seconds(10)
    while ContinuousClock.now < begun + .seconds(plan.overloadSeconds) {
      try await Task.sleep(for: .milliseconds(1_000))
      for (_, status) in try await watch.statuses(names) {
        for event in status.events where event.at >= start {
          if event.kind == .removed, let origin = event.origin { removed.insert(origin) }
          if event.kind == .suspected { suspicions.insert(event) }
        }
      }
      guard ContinuousClock.now >= nextNote else { continue }
      nextNote += .seconds(10)
      let seconds = (ContinuousClock.now - begun).components.seconds
      Output.note("overload: \(seconds) s, \(suspicions.count) suspicions, \(removed.count) sealed")
    }
    load.stop()
    // The records hold only so much: the count of view changes misses nothing.
    try await Task.sleep(for: .milliseconds(Self.settleMilliseconds))
    var sealed = removed.count
    let after = try await watch.statuses(names)
    if sealed == 0 {
      for (name, status) in after {
        let old = before.first { $0.name == name }?.status
        if status.viewChanges != old?.viewChanges { sealed = max(sealed, 1) }
      }
    }
    if after.count < names.count { report.unanswered = names.count - after.count }
    report.overloadSealed = sealed
    report.overloadSuspicions = suspicions.count
  }
}
