import ArgumentParser
import Primitives
import Simulator

/// What all seeds together gave.
struct SimulateSummary: Sendable {
  let plan: SimulatePlan
  private(set) var done = 0
  private(set) var failures: [SeedOutcome] = []
  private(set) var last: SeedOutcome?
  private(set) var virtualMicroseconds: UInt64 = 0
  private(set) var nodeMicroseconds: UInt64 = 0
  private(set) var cpuNanoseconds: UInt64 = 0
  private(set) var steps: UInt64 = 0
  private(set) var faults = 0
  private(set) var orders = 0
  private(set) var acknowledged = 0
  /// Of all runs, in the order of their seeds.
  private(set) var hash = RunHash()
  /// The first failure, made smaller.
  var shrunk: Shrinker.Outcome?

  init(plan: SimulatePlan) { self.plan = plan }

  var isGood: Bool { failures.isEmpty }
  var exitCode: ExitCode { isGood ? .good : .notGood }

  /// - Precondition: outcomes come in the order of their seeds.
  mutating func add(_ outcome: SeedOutcome) {
    precondition(outcome.recipe.seed == plan.recipe(done).seed)
    done += 1
    last = outcome
    if outcome.violation != nil { failures.append(outcome) }
    virtualMicroseconds += outcome.virtualMicroseconds
    nodeMicroseconds += outcome.nodeMicroseconds
    cpuNanoseconds += outcome.cpuNanoseconds
    steps += outcome.steps
    faults += outcome.faults
    orders += outcome.orders
    acknowledged += outcome.acknowledged
    hash.mix(outcome.recipe.seed)
    hash.mix(outcome.hash)
  }

  private var nodeSecondsPerCPUSecond: UInt64 { nodeMicroseconds * 1_000 / max(1, cpuNanoseconds) }
  private var virtualTime: Duration { .microseconds(Int64(clamping: virtualMicroseconds)) }
  private var cpuTime: Duration { .nanoseconds(Int64(clamping: cpuNanoseconds)) }

  var json: JSONLine {
    var line = JSONLine()
    line.add("seeds", plan.seeds)
    line.add("virtual_seconds", seconds: virtualTime)
    line.add("steps", steps)
    line.add("node_seconds_per_cpu_second", nodeSecondsPerCPUSecond)
    line.add("violations", failures.map(json))
    line.add("run_hash", hash.description)
    line.add("first_seed", plan.first.seed)
    line.add("faults", faults)
    line.add("orders", orders)
    line.add("acknowledged", acknowledged)
    line.add("cpu_seconds", seconds: cpuTime)
    return line
  }

  private func json(_ failure: SeedOutcome) -> JSONLine {
    var line = JSONLine()
    line.add("seed", failure.recipe.seed)
    if let violation = failure.violation { Self.add(violation, to: &line) }
    line.add("replay", failure.recipe.command)
    if let shrunk, failure.recipe.seed == failures.first?.recipe.seed {
      var smaller = JSONLine()
      smaller.add("faults", shrunk.faults)
      smaller.add("seconds", shrunk.recipe.seconds)
      smaller.add("nodes", shrunk.recipe.profile.nodes)
      smaller.add("commands", shrunk.commands)
      smaller.add("runs", shrunk.runs)
      Self.add(shrunk.violation, to: &smaller)
      smaller.add("replay", shrunk.recipe.command)
      line.add("shrunk", smaller)
    }
    return line
  }

  private static func add(_ violation: Violation, to line: inout JSONLine) {
    line.add("checker", violation.checker)
    line.add("at_seconds", seconds: .microseconds(Int64(clamping: violation.atMicroseconds)))
    line.add("node", violation.node.map { "n\($0 + 1)" })
    line.add("message", violation.message)
  }

  /// For a person.
  var lines: [String] {
    var lines = [
      "\(seedsText): \(virtualTime.short) virtual, \(steps.of("step")), \(faults.of("fault")), "
        + "\(orders.of("order")) sent, \(acknowledged.grouped) entries acknowledged",
      "\(nodeSecondsPerCPUSecond.grouped) node-seconds a CPU second (\(cpuTime.short) of CPU time)",
      "run hash \(hash)",
    ]
    if isGood {
      let agreed = plan.seeds == 1 ? last?.agreedAfterMicroseconds : nil
      let after = agreed.map { ", \(Duration.microseconds(Int64(clamping: $0)).short) after all was healed" } ?? ""
      lines.append("no violation; all nodes agree\(after)")
    } else if plan.seeds == 1 {
      lines.append("VIOLATION of \(failures[0].violation?.checker ?? "")")
    } else {
      let shown = failures.prefix(Self.failuresNamedMax).map { failure in
        "\(failure.recipe.seed) (\(failure.violation?.checker ?? ""))"
      }
      let rest = failures.count - shown.count
      lines.append(
        "VIOLATIONS in \(failures.count) of \(plan.seeds) seeds: \(shown.joined(separator: ", "))"
          + (rest > 0 ? " and \(rest) more" : ""))
    }
    return lines
  }

  private static let failuresNamedMax = 20

  private var seedsText: String {
    let first = plan.first.seed
    return plan.seeds == 1 ? "seed \(first)" : "seeds \(first) to \(first + UInt64(plan.seeds) - 1)"
  }
}

extension BinaryInteger {
  /// So many of something: `1 fault`, `2,000 faults`.
  func of(_ thing: String) -> String { "\(grouped) \(thing)\(self == 1 ? "" : "s")" }
}

/// Says on stderr how far it is: a line that changes on a terminal, else a line now and then.
final class SimulateProgress {
  private static let terminalInterval = Duration.milliseconds(100)
  private static let interval = Duration.seconds(10)

  let plan: SimulatePlan
  private let started = ContinuousClock.now
  private var shown = ContinuousClock.now
  private var isOnLine = false

  init(plan: SimulatePlan) { self.plan = plan }

  func show(_ summary: SimulateSummary) {
    guard plan.seeds > 1 else { return }
    show(
      "\(summary.done.grouped) of \(plan.seeds.grouped) seeds, \(summary.failures.count) with a violation, "
        + "\(Duration.microseconds(Int64(clamping: summary.virtualMicroseconds)).short) virtual in "
        + "\(started.duration(to: .now).short)")
  }

  func show(_ state: Shrinker.Progress) {
    show(
      "shrinking, run \(state.runs) of \(state.runsMax): \(state.faults.of("fault")), \(state.seconds) s, "
        + "\(state.nodes.of("node")); trying \(state.trying)")
  }

  private func show(_ text: String) {
    let now = ContinuousClock.now
    let interval = Output.isTerminal ? Self.terminalInterval : Self.interval
    guard shown.duration(to: now) >= interval else { return }
    shown = now
    if Output.isTerminal {
      Output.progress(text)
      isOnLine = true
    } else {
      Output.note(text)
    }
  }

  /// Before anything else is printed.
  func clear() {
    guard isOnLine else { return }
    Output.progress("")
    isOnLine = false
  }
}
