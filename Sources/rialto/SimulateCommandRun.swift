import Foundation
import Glibc
import Primitives
import Simulator
import Synchronization

/// What `rialto simulate` is asked to run.
struct SimulatePlan: Sendable {
  var first: SimulationRecipe
  var seeds: Int
  var jobs = 1
  /// Nil if nothing is to be shrunk.
  var shrinkRunsMax: Int?
  var showsTimeline = false
  var isVerbose = false
  var isJSON = false
  /// For tests: what is wrong with the nodes.
  var defects: Defects = []

  init(first: SimulationRecipe, seeds: Int = 1) {
    self.first = first
    self.seeds = seeds
  }

  func recipe(_ index: Int) -> SimulationRecipe {
    var recipe = first
    recipe.seed += UInt64(index)
    return recipe
  }
}

/// What one seed's run gave.
struct SeedOutcome: Sendable {
  var recipe: SimulationRecipe
  var violation: Violation?
  var virtualMicroseconds: UInt64
  var nodeMicroseconds: UInt64
  var cpuNanoseconds: UInt64
  var steps: UInt64
  var faults: Int
  var orders: Int
  var acknowledged: Int
  var agreedAfterMicroseconds: UInt64?
  var hash: RunHash
  /// For a person, if it failed or if it was asked for.
  var report: [String] = []
}

/// Runs seeds in several threads, and tells of them in the order of the seeds.
///
/// A simulation is single-threaded and shares nothing with another one, so the number of threads changes no result.
struct SimulateRun: Sendable {
  let plan: SimulatePlan
  /// Where lines of the result go, and all others.
  var result: @Sendable (String) -> Void = { Output.result($0) }
  var note: @Sendable (String) -> Void = { Output.note($0) }

  func run() -> SimulateSummary {
    if plan.seeds == 1 { introduce() }
    var summary = SimulateSummary(plan: plan)
    let progress = SimulateProgress(plan: plan)
    let queue = SeedQueue(plan: plan)
    for _ in 0..<plan.jobs {
      let thread = Thread { queue.work() }
      thread.stackSize = SeedQueue.stackBytes
      thread.start()
    }
    for index in 0..<plan.seeds {
      let outcome = queue.wait(for: index)
      let isFirstFailure = outcome.violation != nil && summary.failures.isEmpty
      summary.add(outcome)
      if !outcome.report.isEmpty {
        progress.clear()
        // One timeline is enough to begin with; the others are a command away.
        say(outcome.violation == nil || isFirstFailure ? outcome.report : Self.withoutTimeline(outcome))
      }
      progress.show(summary)
    }
    progress.clear()
    if let failure = summary.failures.first {
      if let runsMax = plan.shrinkRunsMax {
        summary.shrunk = shrink(failure, runsMax: runsMax, progress)
      } else {
        say(["look for a smaller one", "  \(failure.recipe.command) --shrink"])
      }
    }
    return summary
  }

  /// Results of a run are not progress, but with --json stdout is for the object.
  private func say(_ lines: [String]) { lines.forEach(plan.isJSON ? note : result) }

  /// What a seed draws, before it runs.
  private func introduce() {
    let recipe = plan.first
    let profile = recipe.profile
    note("seed \(recipe.seed), profile \(recipe.name.rawValue)")
    for line in profile.lines { note("  \(line)") }
    if plan.isVerbose {
      note("faults")
      for line in profile.planLines { note("  \(line)") }
    }
  }

  private static func withoutTimeline(_ outcome: SeedOutcome) -> [String] {
    guard let violation = outcome.violation else { return [] }
    let profile = outcome.recipe.profile.lines.map { "  " + $0 }
    return ["VIOLATION in seed \(outcome.recipe.seed): \(violation)"] + profile + ["  \(outcome.recipe.command)"]
  }

  // MARK: Shrinking

  private func shrink(_ failure: SeedOutcome, runsMax: Int, _ progress: SimulateProgress) -> Shrinker.Outcome? {
    guard let violation = failure.violation else { return nil }
    let found = CrashNote.during(failure.recipe) {
      Shrinker.shrink(failure.recipe, violation, defects: plan.defects, runsMax: runsMax) { progress.show($0) }
    }
    progress.clear()
    guard let found else {
      note("error: seed \(failure.recipe.seed) does not fail again; two runs of one seed must be equal")
      return nil
    }
    let smaller = Simulation(seed: found.recipe.seed, profile: found.recipe.profile, defects: plan.defects)
    smaller.run()
    say([
      "",
      "smaller, after \(found.runs.of("run")): \(found.faults.of("fault")), \(found.recipe.seconds) s, "
        + "\(found.recipe.profile.nodes.of("node")), \(found.commands.of("command")), \(found.steps.of("step"))"
        + (found.ranOut ? "; --shrink-runs was too small to be sure that there is no smaller one" : ""),
    ])
    say(smaller.failureReport(found.recipe, withProfile: true, withTimeline: true))
    return found
  }
}

/// Seeds that wait for a thread, and results that wait for their turn.
private final class SeedQueue: Sendable {
  static let stackBytes = 16 << 20

  private struct State {
    var next = 0
    var outcomes: [Int: SeedOutcome] = [:]
  }

  private let plan: SimulatePlan
  private let state = Mutex(State())
  private let condition = DispatchSemaphore(value: 0)

  init(plan: SimulatePlan) { self.plan = plan }

  /// One thread's: runs seeds until there are none.
  func work() {
    while true {
      let index = state.withLock { state in
        defer { state.next += 1 }
        return state.next
      }
      guard index < plan.seeds else { return }
      let recipe = plan.recipe(index)
      let outcome = CrashNote.during(recipe) { simulate(recipe) }
      state.withLock { $0.outcomes[index] = outcome }
      condition.signal()
    }
  }

  func wait(for index: Int) -> SeedOutcome {
    while true {
      if let outcome = state.withLock({ $0.outcomes.removeValue(forKey: index) }) { return outcome }
      condition.wait()
    }
  }

  private func simulate(_ recipe: SimulationRecipe) -> SeedOutcome {
    let started = Self.threadNanoseconds()
    let profile = recipe.profile
    let simulation = Simulation(seed: recipe.seed, profile: profile, defects: plan.defects)
    simulation.run()
    var outcome = SeedOutcome(
      recipe: recipe, violation: simulation.violation, virtualMicroseconds: simulation.virtualMicroseconds,
      nodeMicroseconds: simulation.nodeMicroseconds, cpuNanoseconds: Self.threadNanoseconds() - started,
      steps: simulation.steps, faults: profile.plan.count, orders: simulation.ordersSent,
      acknowledged: simulation.acknowledgedCount, agreedAfterMicroseconds: simulation.agreedAfterMicroseconds,
      hash: simulation.runHash)
    if outcome.violation != nil {
      outcome.report = simulation.failureReport(recipe, withProfile: plan.seeds > 1, withTimeline: true)
      if plan.isVerbose, plan.seeds > 1 {
        outcome.report += ["plan of faults"] + profile.planLines.map { "  " + $0 }
      }
    } else if plan.showsTimeline {
      outcome.report = simulation.timeline()
    }
    return outcome
  }

  /// CPU time of this thread.
  private static func threadNanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }
}
