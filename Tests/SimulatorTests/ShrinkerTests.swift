import Primitives
import Testing

@testable import Simulator

@Suite("Shrinker")
struct ShrinkerTests {
  /// A recipe whose plan has a good many faults.
  private static let recipe = SimulationRecipe(seed: 3, name: .network, nodes: 4, seconds: 30)

  /// Fails as it is told, without any run.
  private static func made(_ fails: @escaping (SimulationProfile) -> Bool) -> (SimulationRecipe) -> Shrinker.Run {
    { recipe in
      let profile = recipe.profile
      let commands = min(profile.commandsMax ?? .max, 400)
      let violation = Violation(checker: "made", message: "", atMicroseconds: 1_000_000 * profile.seconds)
      return Shrinker.Run(violation: fails(profile) ? violation : nil, commands: commands, steps: 1)
    }
  }

  private static let violation = Violation(checker: "made", message: "", atMicroseconds: 0)

  @Test func nothingIsKeptThatIsNotNeeded() throws {
    let plan = Self.recipe.profile.faults
    try #require(plan.count >= 12)
    let needed = [plan[2], plan[plan.count / 3]]
    let outcome = try #require(
      Shrinker.shrink(
        Self.recipe, Self.violation, runsMax: 2_000,
        run: Self.made { profile in
          profile.nodes == 4 && needed.allSatisfy(profile.plan.contains) && (profile.commandsMax ?? 400) >= 17
            && profile.latencyMax > 0
        }))
    let profile = outcome.recipe.profile
    #expect(profile.plan == needed)
    #expect(profile.commandsMax == 17)
    #expect(outcome.faults == 2)
    #expect(outcome.commands == 17)
    #expect(!outcome.ranOut)
    // Just long enough for the second fault to be planned.
    #expect(profile.seconds == needed[1].at / 1_000_000 + 1)
    for setting in [ProfileSetting.loss, .duplicates, .tail, .skew, .drift, .repeat, .chase, .transport] {
      #expect(profile[setting] == 0, "\(setting)")
    }
    #expect(outcome.recipe.nodes == 4)
  }

  @Test func oneLoudThingIsKept() throws {
    var recipe = Self.recipe
    recipe.overrides = [.loss: 50, .skew: 100]
    let outcome = try #require(
      Shrinker.shrink(recipe, Self.violation, runsMax: 2_000, run: Self.made { $0.lossPerMille == 50 }))
    #expect(outcome.recipe.profile.lossPerMille == 50)
    #expect(outcome.recipe.profile.skewMilliseconds == 0)
    #expect(outcome.recipe.profile.plan.isEmpty)
    #expect(outcome.recipe.profile.seconds == 1)
    #expect(outcome.recipe.commandsMax == 1)
  }

  @Test func fewerNodesAreTakenOnlyWithoutMoreFaults() throws {
    var recipe = Self.recipe
    recipe.nodes = nil
    let drawn = recipe.profile.nodes
    let any = try #require(Shrinker.shrink(recipe, Self.violation, runsMax: 2_000, run: Self.made { _ in true }))
    #expect(any.recipe.nodes == 2)
    let dear = try #require(
      Shrinker.shrink(
        recipe, Self.violation, runsMax: 2_000, run: Self.made { $0.nodes == drawn || $0.plan.count >= 3 }))
    #expect(dear.recipe.nodes == nil)
    #expect(dear.faults == 0)
  }

  @Test func anotherCheckerIsAnotherFailure() {
    #expect(
      Shrinker.shrink(
        Self.recipe, Violation(checker: "other", message: "", atMicroseconds: 0), runsMax: 10,
        run: Self.made { _ in true }) == nil)
  }

  @Test func theBudgetIsKept() throws {
    var runs = 0
    let outcome = try #require(
      Shrinker.shrink(
        Self.recipe, Self.violation, runsMax: 5,
        run: { recipe in
          runs += 1
          return Self.made { $0.plan.count > 3 }(recipe)
        }))
    #expect(runs == 5)
    #expect(outcome.runs == 5)
    #expect(outcome.ranOut)
  }

  @Test("a real failure shrinks to almost nothing, the same each time, and fails again")
  func acknowledgementBeforeSync() throws {
    let defects = Defects.acknowledgesBeforeSync
    let recipe = SimulationRecipe(seed: 5, name: .crashes, nodes: 3, seconds: 4)
    let simulation = Simulation(seed: recipe.seed, profile: recipe.profile, defects: defects)
    simulation.run()
    let violation = try #require(simulation.violation)
    let outcome = try #require(Shrinker.shrink(recipe, violation, defects: defects, runsMax: 60))
    #expect(outcome == Shrinker.shrink(recipe, violation, defects: defects, runsMax: 60))
    #expect(outcome.faults <= 1)
    #expect(outcome.recipe.seconds == 1)
    #expect(outcome.steps <= simulation.steps)
    let again = Simulation(seed: outcome.recipe.seed, profile: outcome.recipe.profile, defects: defects)
    again.run()
    #expect(again.violation == outcome.violation)
    #expect(again.violation?.checker == violation.checker)
  }
}

@Suite("Simulation recipe")
struct SimulationRecipeTests {
  @Test func theCommandSaysWhatDiffers() {
    var recipe = SimulationRecipe(seed: 7, name: .network, seconds: 30)
    #expect(recipe.command == "rialto simulate --seed 7 --seconds 30 --profile network")
    recipe.nodes = 4
    recipe.without = [0, 1, 2, 5]
    recipe.commandsMax = 12
    recipe.overrides = [.skew: 0, .transport: 1, .loss: 25]
    #expect(
      recipe.command
        == "rialto simulate --seed 7 --nodes 4 --seconds 30 --profile network --without 0-2,5 --commands 12 "
        + "--set transport=datagram,loss=25,skew=0")
    let profile = recipe.profile
    #expect(profile.transport == .datagram)
    #expect(profile.lossPerMille == 25)
    #expect(profile.faults.count == profile.plan.count + 4)
    #expect(recipe.complaint == nil)
  }

  @Test func aShorterRunPlansTheSameFaultsUntilItsEnd() {
    let long = SimulationRecipe(seed: 11, seconds: 30).profile
    let short = SimulationRecipe(seed: 11, seconds: 9).profile
    #expect(short.faults.count < long.faults.count)
    #expect(short.faults == Array(long.faults.prefix(short.faults.count)))
  }

  @Test func complaints() {
    var recipe = SimulationRecipe(seed: 7, name: .calm)
    recipe.without = [3]
    #expect(recipe.complaint == "the plan of seed 7 has no fault: there is no 3 to leave out")
    recipe.without = []
    recipe.overrides = [.latencyMin: 900_000]
    #expect(recipe.complaint?.hasPrefix("latency-min (900000 µs) is above latency-max") == true)
  }

  @Test func everySettingIsReadAndWritten() throws {
    for setting in ProfileSetting.allCases {
      for value in [setting.allowed.lowerBound, setting.allowed.upperBound] {
        var recipe = SimulationRecipe(seed: 1)
        recipe.overrides = [setting: value]
        #expect(recipe.profile[setting] == value)
        let text = try #require(recipe.arguments.last)
        #expect(try ProfileSetting.parse(text) == [setting: value])
      }
    }
  }

  @Test(arguments: [
    ("loss", "'loss' is not a setting and its value, such as loss=0"),
    ("", "'' is not a setting and its value, such as loss=0"),
    ("loss=901", "loss is a whole number from 0 to 900 ‰, not '901'"),
    ("clients=0", "clients is a whole number from 1 to 1000, not '0'"),
    ("transport=udp", "transport is stream or datagram, not 'udp'"),
  ])
  func badSettings(text: String, message: String) {
    #expect {
      try ProfileSetting.parse(text)
    } throws: {
      "\($0)" == message
    }
  }

  @Test func indexLists() {
    #expect(IndexList.text([]) == "")
    #expect(IndexList.text([0, 1, 2, 4, 6, 7]) == "0-2,4,6-7")
    #expect(IndexList.parse("0-2,4,6-7") == [0, 1, 2, 4, 6, 7])
    for bad in ["", "1,", "3-1", "a", "1-2-3", "-1", "0-9999999"] { #expect(IndexList.parse(bad) == nil, "\(bad)") }
  }
}
