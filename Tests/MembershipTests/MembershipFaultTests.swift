import Membership
import Primitives
import Testing

/// Pauses, partitions and returns.
struct MembershipFaultTests {
  static func state(_ world: DetectorWorld, _ subject: Int, at observer: Int) -> MemberState? {
    let members = world.processes[observer].detector.status.members
    return members.first { $0.member == DetectorWorld.origin(subject) }?.state
  }

  @Test(arguments: [2, 3, 5, 25])
  func aPauseOfASecondIsForgiven(members: Int) {
    for seed in seeds(members == 25 ? 20 : 100) {
      var world = DetectorWorld(members, seed: seed)
      world.run(milliseconds: world.generator.pick(500...1_000))
      world.pause(1, microseconds: 1_000_000)
      world.run(milliseconds: 4_000)
      #expect(world.verdicts.isEmpty, "seed \(seed): \(world.verdicts)")
      #expect(!world.suspicions.isEmpty, "seed \(seed): nobody noticed")
    }
  }

  @Test func whoComesBackIsSeen() {
    for seed in seeds(10) {
      var world = DetectorWorld(5, seed: seed)
      world.run(milliseconds: world.generator.pick(500...1_000))
      world.pause(1, microseconds: 3_500_000)
      world.run(milliseconds: 3_000)
      #expect(world.verdicts.count == 4 && world.verdicts.allSatisfy { $0.subject == 1 }, "seed \(seed)")
      #expect(Self.state(world, 1, at: 0) == .gone)
      // It slept itself, and must not accuse the others for that.
      world.run(milliseconds: 3_000)
      #expect(world.verdicts.count == 4, "seed \(seed)")
      for observer in [0, 2, 3, 4] {
        #expect(Self.state(world, 1, at: observer) == .alive, "seed \(seed)")
        #expect(world.returns.contains { $0 == (observer, 1) }, "seed \(seed)")
      }
    }
  }

  /// Each side proposes to go on without the other; only one can have a majority.
  @Test func aPartitionIsSeenFromBothSidesAndHeals() {
    for seed in seeds(2) {
      var world = DetectorWorld(25, seed: seed)
      world.run(milliseconds: 1_000)
      for left in 0..<5 {
        for right in 5..<25 {
          world.cut(from: left, to: right)
          world.cut(from: right, to: left)
        }
      }
      world.run(milliseconds: 12_000)
      #expect(world.verdicts.count == 2 * 5 * 20, "seed \(seed): \(world.verdicts.count)")
      #expect(world.verdicts.allSatisfy { ($0.observer < 5) != ($0.subject < 5) }, "seed \(seed)")
      world.mend()
      world.run(milliseconds: 3_000)
      let states = world.processes.flatMap { $0.detector.status.members.map(\.state) }
      #expect(states.allSatisfy { $0 == .alive }, "seed \(seed)")
    }
  }

  @Test func oneIsolatedMemberAccusesAllAndIsAccusedByAll() {
    var world = DetectorWorld(5, seed: 3)
    world.run(milliseconds: 1_000)
    for other in 0..<4 {
      world.cut(from: 4, to: other)
      world.cut(from: other, to: 4)
    }
    world.run(milliseconds: 10_000)
    #expect(world.verdicts.count == 8)
    let atMajority = world.verdicts.filter { $0.subject == 4 }.map(\.atMicroseconds)
    let atIsolated = world.verdicts.filter { $0.observer == 4 }.map(\.atMicroseconds)
    // With everybody silent, the fault is more likely its own: it waits longer.
    #expect((atMajority.max() ?? 0) < (atIsolated.min() ?? 0))
  }

  @Test func twoKilledTogetherAreBothGivenUp() {
    var world = DetectorWorld(25, seed: 8)
    world.run(milliseconds: 1_000)
    world.kill(3, resets: false)
    world.kill(4, resets: false)
    world.run(milliseconds: 4_000)
    #expect(world.verdicts.count == 2 * 23)
  }

  @Test func nothingIsSentWhileAllAreHeard() {
    var world = DetectorWorld(25, seed: 2)
    world.run(milliseconds: 20_000)
    #expect(world.messages == 0)
  }

  @Test func messagesAreSmall() {
    let world = FalseVerdictTests.run(25, seed: 4, minutes: 1, prepare: FalseVerdictTests.overload)
    #expect(world.updatesMax <= DetectorLimits.updatesPerMessageMax)
    #expect(world.messages > 0 && world.messageBytesMax <= 128, "\(world.messageBytesMax) bytes")
  }
}
