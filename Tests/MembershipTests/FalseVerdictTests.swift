import Membership
import Primitives
import Testing

/// Nobody who lives is given up, and each safeguard is what prevents it.
struct FalseVerdictTests {
  /// Virtual time of a scenario: ten minutes where `RIALTO_SEEDS` asks for many seeds.
  static let minutes = isThorough ? 10 : 1
  static func expectNoVerdict(
    _ members: Int, seeds: ClosedRange<UInt64>, _ location: SourceLocation = #_sourceLocation,
    prepare: (inout DetectorWorld) -> Void
  ) {
    for seed in seeds {
      let world = run(members, seed: seed, prepare: prepare)
      #expect(
        world.verdicts.isEmpty, "seed \(seed): \(world.verdicts.prefix(3)); \(again(seed))",
        sourceLocation: location)
    }
  }

  static func run(
    _ members: Int, seed: UInt64, configuration: DetectorConfiguration = DetectorConfiguration(),
    minutes: Int = FalseVerdictTests.minutes, prepare: (inout DetectorWorld) -> Void
  ) -> DetectorWorld {
    var world = DetectorWorld(members, seed: seed, configuration: configuration)
    world.run(milliseconds: 500)
    prepare(&world)
    world.run(milliseconds: minutes * 60_000)
    #expect(world.sentPerSecondMax <= FailureDetector.messagesPerSecondMax(members: members), "seed \(seed)")
    return world
  }

  /// Both cores overloaded: everybody runs in bursts. It begins with stalls of up to a second: the very first one of
  /// 1.5 s in a healthy cluster cannot be told from a death.
  static func overload(_ world: inout DetectorWorld) {
    let awake = [5_000...500_000, 5_000...2_000_000, 200_000...3_000_000, 500_000...3_900_000]
    let asleep = [10_000...1_500_000, 500_000...1_500_000]
    burst(&world, awake: awake[world.generator.pick(0...3)], asleep: asleep[world.generator.pick(0...1)])
  }

  static func burst(_ world: inout DetectorWorld, awake: ClosedRange<Int>, asleep: ClosedRange<Int>) {
    let milder = asleep.lowerBound...1_000_000
    for index in world.processes.indices { world.runInBursts(index, awake: awake, asleep: milder) }
    world.run(milliseconds: 5_000)
    for index in world.processes.indices { world.runInBursts(index, awake: awake, asleep: asleep) }
  }

  /// One member that half of the others do not hear, though it hears them.
  static func halfDeaf(_ world: inout DetectorWorld) {
    for index in 0..<12 { world.cut(from: 24, to: index) }
  }

  @Test func lossOfAFifth() {
    Self.expectNoVerdict(25, seeds: seeds(1)) { $0.lossPercent = 20 }
  }

  @Test(arguments: [3, 5, 25])
  func overloadedCores(members: Int) {
    Self.expectNoVerdict(members, seeds: seeds(2)) { Self.overload(&$0) }
  }

  @Test func pausesOfASecondOfManyAtOnce() {
    Self.expectNoVerdict(25, seeds: seeds(1), prepare: Self.pauses)
  }

  static func pauses(_ world: inout DetectorWorld) {
    for _ in 0..<(isThorough ? 100 : 20) {
      let sleepers = world.generator.pick(1...20)
      for _ in 0..<sleepers {
        world.pause(world.generator.pick(0...24), microseconds: world.generator.pick(200_000...1_000_000))
      }
      world.run(milliseconds: world.generator.pick(1_000...8_000))
    }
  }

  @Test func aSlowMember() {
    Self.expectNoVerdict(25, seeds: seeds(1)) {
      $0.runInBursts(7, awake: 1_000...20_000, asleep: 300_000...1_000_000)
    }
  }

  /// The others vouch for it, so that it is not even suspected.
  @Test(arguments: [3, 5, 25])
  func aLinkCutInOneDirection(members: Int) {
    for seed in seeds(2) {
      let world = Self.run(members, seed: seed) { $0.cut(from: 1, to: 0) }
      #expect(world.verdicts.isEmpty && world.suspicions.isEmpty, "seed \(seed)")
    }
  }

  @Test func aMemberThatHalfCannotHearRefutes() {
    for seed in seeds(1) {
      let world = Self.run(25, seed: seed, prepare: Self.halfDeaf)
      #expect(world.verdicts.isEmpty, "seed \(seed): \(world.verdicts.prefix(3)); \(again(seed))")
      #expect(!world.refuted.isEmpty, "seed \(seed): nothing was refuted")
    }
  }

  /// All are well but one, which wakes now and then and seldom reads.
  static func starved(_ world: inout DetectorWorld) {
    world.processes[0].burstsPerReading = 5
    world.runInBursts(0, awake: 5_000...30_000, asleep: 300_000...1_000_000)
  }

  @Test(arguments: [3, 5, 25])
  func aStarvedMemberAccusesNobody(members: Int) {
    Self.expectNoVerdict(members, seeds: seeds(2), prepare: Self.starved)
  }

  /// One member pauses for 1.1 s; another, which has noticed, oversleeps the end of it and looks at its timers first.
  /// It may well be given up itself.
  static func overlappingPauses(_ world: inout DetectorWorld) {
    for sleeper in 1...24 {
      world.pause(sleeper, microseconds: 1_100_000)
      world.run(milliseconds: 900)
      world.pause(0, microseconds: 2_500_000)
      world.run(milliseconds: 8_000)
    }
  }

  @Test func whoOversleepsTheEndOfAPauseAccusesNobody() {
    for seed in seeds(1) {
      let world = Self.run(25, seed: seed, minutes: 0, prepare: Self.overlappingPauses)
      #expect(!world.verdicts.contains { $0.observer == 0 }, "seed \(seed); \(again(seed))")
    }
  }

  @Test func aMemberThatGetsSlowerAndSlower() {
    for seed in seeds(1) {
      let world = Self.run(25, seed: seed, prepare: Self.slowerAndSlower)
      #expect(world.verdicts.isEmpty, "seed \(seed): \(world.verdicts.prefix(3)); \(again(seed))")
    }
  }

  static func slowerAndSlower(_ world: inout DetectorWorld) {
    world.runInBursts(7, awake: 1_000...20_000, asleep: 800_000...1_300_000)
    world.run(milliseconds: 20_000)
    world.runInBursts(7, awake: 1_000...20_000, asleep: 1_000_000...1_700_000)
  }

  // MARK: Without a safeguard

  /// What a detector with another configuration gets wrong in the worst overload.
  static func mistakes(_ configuration: DetectorConfiguration) -> Int {
    run(25, seed: 1, configuration: configuration, minutes: 4) {
      burst(&$0, awake: 500_000...3_900_000, asleep: 500_000...1_500_000)
    }.verdicts.count
  }

  @Test func withoutLocalHealthTheOverloadedAccuse() {
    var configuration = DetectorConfiguration()
    #expect(Self.mistakes(configuration) == 0)
    configuration.localHealthMax = 0
    #expect(Self.mistakes(configuration) > 0)
  }

  @Test func whoIgnoresItsOwnStarvationAccuses() {
    var configuration = DetectorConfiguration()
    configuration.tickGapMicrosecondsMax = .max / 2
    configuration.starvedGapMicroseconds = .max / 2
    let world = Self.run(25, seed: 1, configuration: configuration, minutes: 0, prepare: Self.overlappingPauses)
    #expect(world.verdicts.contains { $0.observer == 0 })
  }

  @Test func withoutIndirectProbesACutLinkMakesSuspects() {
    var configuration = DetectorConfiguration()
    configuration.relays = 0
    let world = Self.run(5, seed: 1, configuration: configuration, minutes: 1) { $0.cut(from: 1, to: 0) }
    #expect(!world.suspicions.isEmpty)
  }

  @Test func withoutRefutationsTheHalfHeardIsGivenUp() {
    let world = Self.run(25, seed: 1, minutes: 1) {
      Self.halfDeaf(&$0)
      $0.losesRefutations = true
    }
    #expect(!world.verdicts.isEmpty)
  }

  @Test func withoutAMemoryOfSilencesTheSlowIsGivenUp() {
    var configuration = DetectorConfiguration()
    configuration.slackMemoryMicroseconds = 0
    let world = Self.run(25, seed: 1, configuration: configuration, minutes: 1, prepare: Self.slowerAndSlower)
    #expect(!world.verdicts.isEmpty)
  }
}
