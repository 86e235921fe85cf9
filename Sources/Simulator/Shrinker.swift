import Primitives

/// Finds a smaller run that fails in the same way: fewer faults, an earlier end, fewer commands, a quieter world, fewer
/// nodes.
///
/// "The same way" means that the same checker complains. Every candidate is a whole run from a recipe, so what is found
/// can be shown again by one command. Equal arguments give equal results.
/// - Source: Zeller, Hildebrandt, "Simplifying and isolating failure-inducing input", 2002: `ddmin`, for the faults.
package struct Shrinker {
  package static let runsMaxDefault = 300

  package struct Progress: Sendable {
    package var runs: Int
    package var runsMax: Int
    /// What is tried, in a few words.
    package var trying: String
    /// The smallest so far.
    package var faults: Int
    package var seconds: UInt64
    package var nodes: Int
  }

  package struct Outcome: Hashable, Sendable {
    package var recipe: SimulationRecipe
    package var violation: Violation
    package var runs: Int
    /// Whether it stopped because of the budget: there may be a smaller one.
    package var ranOut: Bool
    /// What the failing run did, for comparison.
    package var faults: Int
    package var commands: Int
    package var steps: UInt64
  }

  /// What the shrinker wants to know of a run.
  package struct Run: Sendable {
    package var violation: Violation?
    package var commands: Int
    package var steps: UInt64

    package init(violation: Violation?, commands: Int, steps: UInt64) {
      self.violation = violation
      self.commands = commands
      self.steps = steps
    }
  }

  /// A run that fails as it should.
  private struct Failing {
    var recipe: SimulationRecipe
    var profile: SimulationProfile
    var violation: Violation
    var commands: Int
    var steps: UInt64
  }

  private let original: SimulationRecipe
  private let checker: String
  private let runsMax: Int
  private let run: (SimulationRecipe) -> Run
  private let progress: (Progress) -> Void
  private var runs = 0
  private var tried: Set<SimulationRecipe> = []
  private var best: Failing

  private init(
    _ recipe: SimulationRecipe, _ violation: Violation, _ runsMax: Int, _ run: @escaping (SimulationRecipe) -> Run,
    _ progress: @escaping (Progress) -> Void
  ) {
    original = recipe
    checker = violation.checker
    self.runsMax = runsMax
    self.run = run
    self.progress = progress
    best = Failing(recipe: recipe, profile: recipe.profile, violation: violation, commands: .max, steps: .max)
  }

  /// - Parameters:
  ///   - recipe: of the run that failed.
  ///   - violation: how it failed.
  ///   - runsMax: how many runs may be made.
  /// - Returns: the smallest failing run that was found; nil if the recipe's own run does not fail like this.
  package static func shrink(
    _ recipe: SimulationRecipe, _ violation: Violation, defects: Defects = [], runsMax: Int = runsMaxDefault,
    progress: @escaping (Progress) -> Void = { _ in }
  ) -> Outcome? {
    func run(_ recipe: SimulationRecipe) -> Run {
      let simulation = Simulation(seed: recipe.seed, profile: recipe.profile, defects: defects)
      simulation.run()
      return Run(violation: simulation.violation, commands: simulation.commandsSent, steps: simulation.steps)
    }
    return shrink(recipe, violation, runsMax: runsMax, run: run, progress: progress)
  }

  /// The same, for any way to run a recipe.
  /// - Parameter run: gives the same for the same recipe.
  package static func shrink(
    _ recipe: SimulationRecipe, _ violation: Violation, runsMax: Int, run: @escaping (SimulationRecipe) -> Run,
    progress: @escaping (Progress) -> Void = { _ in }
  ) -> Outcome? {
    var shrinker = Shrinker(recipe, violation, runsMax, run, progress)
    guard shrinker.fails(recipe, "the same again") else { return nil }
    shrinker.shrinkAll()
    shrinker.tryFewerNodes()
    let best = shrinker.best
    return Outcome(
      recipe: best.recipe, violation: best.violation, runs: shrinker.runs, ranOut: shrinker.runs >= runsMax,
      faults: best.profile.plan.count, commands: best.commands, steps: best.steps)
  }

  /// Runs a candidate; one that fails in the same way becomes the best.
  private mutating func fails(_ recipe: SimulationRecipe, _ trying: String) -> Bool {
    guard runs < runsMax, tried.insert(recipe).inserted else { return false }
    runs += 1
    progress(
      Progress(
        runs: runs, runsMax: runsMax, trying: trying, faults: best.profile.plan.count,
        seconds: best.profile.seconds, nodes: best.profile.nodes))
    let found = run(recipe)
    guard let violation = found.violation, violation.checker == checker else { return false }
    best = Failing(
      recipe: recipe, profile: recipe.profile, violation: violation, commands: found.commands, steps: found.steps)
    return true
  }

  /// Everything but the number of nodes, until a round finds nothing.
  private mutating func shrinkAll() {
    var before: SimulationRecipe
    repeat {
      before = best.recipe
      endAfterFailure()
      leaveOutFaults()
      endEarlier()
      sendFewerCommands()
      quieten()
    } while best.recipe != before && runs < runsMax
  }

  // MARK: Time

  /// What comes after the failure has no part in it.
  private mutating func endAfterFailure() {
    let at = best.violation.atMicroseconds
    let begun = kept.filter { best.profile.faults[$0].at <= at }
    guard begun.count < kept.count || at / 1_000_000 + 1 < best.profile.seconds else { return }
    _ = fails(keeping(begun, seconds: min(best.profile.seconds, at / 1_000_000 + 1)), "nothing after the failure")
  }

  private mutating func endEarlier() {
    var low = SimulationRecipe.secondsAllowed.lowerBound
    while low < best.profile.seconds, runs < runsMax {
      let middle = (low + best.profile.seconds) / 2
      if !fails(keeping(kept, seconds: middle), "\(middle) s") { low = middle + 1 }
    }
  }

  // MARK: Faults

  /// Indices of the faults that happen.
  private var kept: [Int] { best.profile.faults.indices.filter { !best.profile.without.contains($0) } }

  private func keeping(_ kept: [Int], seconds: UInt64) -> SimulationRecipe {
    var recipe = best.recipe
    recipe.seconds = seconds
    recipe.without = []
    // A run that ends earlier has fewer faults planned.
    recipe.without = Set(recipe.profile.faults.indices).subtracting(kept)
    return recipe
  }

  private mutating func leaveOutFaults() {
    guard !kept.isEmpty, !tryKeeping([]) else { return }
    var parts = 2
    while kept.count >= 2, runs < runsMax {
      let all = kept
      let size = (all.count + parts - 1) / parts
      let isReduced = stride(from: 0, to: all.count, by: size).contains { start in
        tryKeeping(Array(all[..<start] + all[min(all.count, start + size)...]))
      }
      if isReduced {
        parts = max(2, parts - 1)
      } else if size == 1 {
        return
      } else {
        parts = min(all.count, parts * 2)
      }
    }
  }

  private mutating func tryKeeping(_ some: [Int]) -> Bool {
    fails(keeping(some, seconds: best.profile.seconds), "\(some.count) faults")
  }

  // MARK: Clients

  private mutating func sendFewerCommands() {
    var low = 1
    while low < min(best.commands, best.recipe.commandsMax ?? .max), runs < runsMax {
      let high = min(best.commands, best.recipe.commandsMax ?? .max)
      var recipe = best.recipe
      recipe.commandsMax = low + (high - low) / 2
      if !fails(recipe, "\(recipe.commandsMax ?? 0) commands") { low = (recipe.commandsMax ?? 0) + 1 }
    }
  }

  // MARK: World

  /// What makes a world loud, and its quiet value.
  private static let quiet: [(setting: ProfileSetting, value: UInt64)] = [
    (.transport, 0), (.tail, 0), (.loss, 0), (.duplicates, 0), (.skew, 0), (.drift, 0), (.repeat, 0), (.chase, 0),
  ]

  private mutating func quieten() {
    func quieted(
      _ recipe: SimulationRecipe, _ changes: [(setting: ProfileSetting, value: UInt64)]
    )
      -> SimulationRecipe
    {
      let profile = recipe.profile
      var recipe = recipe
      for change in changes where profile[change.setting] != change.value {
        recipe.overrides[change.setting] = change.value
      }
      return recipe
    }
    if fails(quieted(best.recipe, Self.quiet), "a quiet world") { return }
    for change in Self.quiet {
      _ = fails(quieted(best.recipe, [change]), "\(change.setting.rawValue) \(change.value)")
    }
  }

  // MARK: Nodes

  /// The number of nodes changes everything that a seed draws, so this is another run that must fail by itself, and is
  /// taken only if it does not need more faults.
  private mutating func tryFewerNodes() {
    let found = best
    for nodes in SimulationRecipe.nodesAllowed where nodes < found.profile.nodes {
      var recipe = original
      recipe.nodes = nodes
      recipe.without = []
      guard fails(recipe, "\(nodes) nodes") else { continue }
      shrinkAll()
      if best.profile.plan.count <= found.profile.plan.count { return }
      best = found
    }
  }
}
