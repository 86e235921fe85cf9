import ArgumentParser
import Foundation
import Simulator

extension SimulationProfile.Name: ExpressibleByArgument {}

/// `rialto simulate`: whole nodes in virtual time, with everything that may go wrong.
struct SimulateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "simulate",
    abstract: "Run whole nodes in virtual time, with faults that a seed draws, and look for what must never be.",
    discussion: """
      The nodes are those that ship, with a simulated disk, network and clock.
      A seed decides everything: the same seed gives the same run, to the bit,
      in every process. Clients trade and faults happen for --seconds; then
      everything is healed, and all nodes must agree within a bounded time.

      Profiles say which faults a seed may draw:
        calm     none
        network  partitions, one-way and whole, cut links, resets, pauses, loss
        links    single links are cut, some for long, and all else is well
        clocks   skew, drift, jumps
        disks    slow, full, unreadable, failed syncs, flipped bits, wiped
        crashes  kills, loss of power, pauses
        membership  leaves, joins, kills, wiped disks, pauses, partitions
        swarm    for each seed another part of it all

      A violation is reported with the last steps of all nodes and with a
      command that shows it again. --shrink looks for a smaller run that fails
      in the same way. --without, --commands and --set change what the seed
      draws; --verbose prints the plan of faults with the indices that --without
      takes. --set takes, with commas between them:
        \(settingLines)

      Examples:
        rialto simulate --seed 7
        rialto simulate --seeds 200 --json
        rialto simulate --seed 7 --nodes 5 --profile crashes --verbose
        rialto simulate --seed 7 --shrink
        rialto simulate --seed 7 --seconds 5 --without 0-3,6 --set loss=0,skew=0
        rialto simulate --scenario Tests/SimulatorTests/Scenarios/partition-and-heal.scenario

      Exit codes: 0 no violation; 1 a violation; 2 could not. A precondition that
      does not hold ends the process; then its seed is printed, too.
      """)

  static let seedsMax = 1_000_000
  static let jobsMax = 256

  private static let settingLines: String = {
    var lines = [""]
    for setting in ProfileSetting.allCases {
      let unit = setting.unit.isEmpty ? "" : " (\(setting.unit))"
      let word = setting.rawValue + (setting == .transport ? " (stream, datagram)" : unit)
      if lines[lines.count - 1].count + word.count > 66 { lines.append("") }
      lines[lines.count - 1] += (lines[lines.count - 1].isEmpty ? "" : ", ") + word
    }
    return lines.joined(separator: ",\n  ")
  }()

  @Option(help: "Seed of the run, or the first one of several.") var seed: UInt64 = 1
  @Option(help: "Seeds to run, one after the other from --seed on.") var seeds = 1
  @Option(help: "Nodes; without it, each seed draws 3 to 7.") var nodes: Int?
  @Option(help: "Virtual seconds in which clients trade and faults happen.")
  var seconds = SimulationRecipe.secondsDefault
  @Option(help: "Which faults a seed may draw.") var profile: SimulationProfile.Name = .swarm
  @Option(help: ArgumentHelp("Faults of the plan to leave out, by index.", valueName: "i,j-k,…"))
  var without: String?
  @Option(help: "Clients fall silent after so many commands.") var commands: Int?
  @Option(
    name: .customLong("set"),
    help: ArgumentHelp("Give settings other values than the seed draws.", valueName: "name=value,…"))
  var changes: [String] = []
  @Flag(help: "After a violation, look for a smaller run that fails in the same way.") var shrink = false
  @Option(help: "Runs that --shrink may make.") var shrinkRuns = Shrinker.runsMaxDefault
  @Flag(help: "Print the last steps of all nodes, also of a good run.") var timeline = false
  @Flag(help: "Print the plan of faults.") var verbose = false
  @Option(help: "Seeds to run at once; without it, as many as there are processors.") var jobs: Int?
  @Flag(help: "Print the result as one JSON object on one line.") var json = false

  @Option(help: ArgumentHelp("Run a script instead of what a seed draws.", valueName: "file")) var scenario: String?

  func validate() throws {
    guard (1...Self.seedsMax).contains(seeds) else {
      throw ValidationError("--seeds must be between 1 and \(Self.seedsMax.grouped).")
    }
    guard !seed.addingReportingOverflow(UInt64(seeds) - 1).overflow else {
      throw ValidationError("--seed and --seeds go beyond the largest seed, \(UInt64.max).")
    }
    let allowed = SimulationRecipe.nodesAllowed
    guard allowed.contains(nodes ?? allowed.lowerBound) else {
      throw ValidationError("--nodes must be between \(allowed.lowerBound) and \(allowed.upperBound).")
    }
    guard SimulationRecipe.secondsAllowed.contains(seconds) else {
      throw ValidationError("--seconds must be between 1 and \(SimulationRecipe.secondsAllowed.upperBound.grouped).")
    }
    guard SimulationRecipe.commandsAllowed.contains(commands ?? 1) else {
      throw ValidationError("--commands must be at least 1.")
    }
    guard (1...Self.jobsMax).contains(jobs ?? 1) else {
      throw ValidationError("--jobs must be between 1 and \(Self.jobsMax).")
    }
    guard (1...1_000_000).contains(shrinkRuns) else {
      throw ValidationError("--shrink-runs must be between 1 and 1,000,000.")
    }
    if scenario != nil {
      let isChanged = seed != 1 || seconds != SimulationRecipe.secondsDefault || profile != .swarm
      let isRestricted = without != nil || commands != nil || nodes != nil || jobs != nil || !changes.isEmpty
      guard seeds == 1, !isChanged, !isRestricted, !shrink, !timeline, !verbose else {
        throw ValidationError("A scenario says itself what happens: give --scenario alone, or with --json.")
      }
    }
    if seeds > 1 {
      if without != nil { throw ValidationError("--without is for one seed: each has its own plan of faults.") }
      if timeline { throw ValidationError("--timeline is for one seed; failures print theirs without being asked.") }
    }
  }

  func run() throws {
    try explaining {
      if let scenario { return try runScenario(scenario) }
      let summary = SimulateRun(plan: try plan()).run()
      if json { Output.result(summary.json.text) } else { summary.lines.forEach(Output.result) }
      if summary.exitCode != .good { throw summary.exitCode }
    }
  }

  /// What is to be run.
  func plan() throws -> SimulatePlan {
    let recipe = try firstRecipe()
    var plan = SimulatePlan(first: recipe, seeds: seeds)
    plan.jobs = min(seeds, jobs ?? ProcessInfo.processInfo.activeProcessorCount, Self.jobsMax)
    plan.shrinkRunsMax = shrink ? shrinkRuns : nil
    plan.showsTimeline = timeline
    plan.isVerbose = verbose
    plan.isJSON = json
    return plan
  }

  /// The first seed's; the others differ from it in the seed only.
  func firstRecipe() throws -> SimulationRecipe {
    var recipe = SimulationRecipe(seed: seed, name: profile, nodes: nodes, seconds: seconds)
    recipe.commandsMax = commands
    do {
      for text in changes { recipe.overrides.merge(try ProfileSetting.parse(text)) { $1 } }
    } catch {
      throw CommandError("--set: \(error)", advice: "Give names and values such as --set loss=0,transport=stream.")
    }
    if let without {
      guard let indices = IndexList.parse(without) else {
        throw CommandError(
          "--without \(without) is not a list of indices",
          advice: "Give indices and ranges such as --without 0,3-5; --verbose prints the plan with them.")
      }
      recipe.without = indices
    }
    for index in 0..<UInt64(seeds) where !recipe.overrides.isEmpty || !recipe.without.isEmpty {
      var each = recipe
      each.seed = seed + index
      guard let complaint = each.complaint else { continue }
      throw CommandError(
        complaint, advice: "Give other values of --set or --without; --verbose prints what a seed draws.")
    }
    return recipe
  }
}
