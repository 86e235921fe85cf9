import Foundation
import Membership
import Primitives
import Testing

/// Whether `RIALTO_SEEDS` asks for more than the usual few.
let isThorough = ProcessInfo.processInfo.environment["RIALTO_SEEDS"] != nil

/// Seeds that a scenario runs with: from 1, a few, or those that `RIALTO_SEEDS` names, as `1-100`.
func seeds(_ usual: Int) -> ClosedRange<UInt64> {
  guard let text = ProcessInfo.processInfo.environment["RIALTO_SEEDS"] else { return 1...UInt64(usual) }
  let ends = text.split(separator: "-").compactMap { UInt64($0) }
  guard let first = ends.first, let last = ends.last, ends.count <= 2, first <= last else {
    preconditionFailure("RIALTO_SEEDS is a range such as 1-100, not \(text)")
  }
  return first...last
}

/// How to see one seed again.
func again(_ seed: UInt64) -> String { "again: RIALTO_SEEDS=\(seed)-\(seed) swift test --filter MembershipTests" }

/// How soon a member that was killed is given up: by the first, and by all.
struct DetectionTimeTests {
  struct Times {
    var first: [Int] = []
    var all: [Int] = []
    var sentPerSecondMax = 0

    static func median(_ values: [Int]) -> Int { values.sorted()[values.count / 2] }

    var description: String {
      func text(_ values: [Int]) -> String {
        "\(Self.median(values) / 1_000) ms median, \((values.max() ?? 0) / 1_000) ms max"
      }
      return "first \(text(first)); all \(text(all)); \(sentPerSecondMax) messages a second and member at most"
    }
  }

  static func measure(
    members: Int, seeds: ClosedRange<UInt64>, resets: Bool, milliseconds: Int = 6_000,
    prepare: (inout DetectorWorld) -> Void = { _ in }
  ) -> Times {
    var times = Times()
    for seed in seeds {
      var world = DetectorWorld(members, seed: seed)
      world.run(milliseconds: 250)
      prepare(&world)
      world.run(milliseconds: world.generator.pick(250...1_250))
      let victim = world.generator.pick(0...members - 1)
      let start = world.nowMicroseconds
      world.kill(victim, resets: resets)
      world.run(milliseconds: milliseconds) { $0.verdicts.count == members - 1 }
      #expect(world.verdicts.count == members - 1, "seed \(seed): not all gave it up; \(again(seed))")
      #expect(world.verdicts.allSatisfy { $0.subject == victim }, "seed \(seed)")
      #expect(world.verdicts.allSatisfy { $0.evidence.isRefused == resets }, "seed \(seed)")
      let found = world.verdicts.map { $0.atMicroseconds - start }
      times.first.append(found.min() ?? .max)
      times.all.append(found.max() ?? .max)
      times.sentPerSecondMax = max(times.sentPerSecondMax, world.sentPerSecondMax)
    }
    return times
  }

  @Test(arguments: [(3, 100), (5, 100), (25, 30), (100, 4)])
  func aSilentMemberIsGivenUp(members: Int, usual: Int) {
    let times = Self.measure(members: members, seeds: seeds(usual), resets: false)
    print("\(members) members, silence: \(times.description)")
    #expect(Times.median(times.first) <= 1_500_000)
    #expect(Times.median(times.all) <= 2_000_000)
    #expect((times.all.max() ?? 0) <= 2_500_000)
    // Otherwise a member that was paused for a second would be given up as well.
    #expect((times.first.min() ?? 0) >= 1_000_000)
  }

  @Test(arguments: [(3, 100), (5, 100), (25, 30), (100, 4)])
  func aProcessThatEndedIsGivenUpSooner(members: Int, usual: Int) {
    let times = Self.measure(members: members, seeds: seeds(usual), resets: true)
    print("\(members) members, closed and refused: \(times.description)")
    #expect(Times.median(times.first) <= 700_000)
    #expect((times.all.max() ?? 0) <= 1_300_000)
  }

  /// What patience costs: times grow, but none without bound.
  @Test(arguments: [false, true])
  func overloadedCoresFindItOutLater(resets: Bool) {
    let times = Self.measure(members: 25, seeds: seeds(3), resets: resets, milliseconds: 60_000) { world in
      FalseVerdictTests.overload(&world)
      world.run(milliseconds: 10_000)
    }
    print("25 members, overloaded, \(resets ? "closed and refused" : "silence"): \(times.description)")
    #expect(Times.median(times.first) <= (resets ? 2_000_000 : 20_000_000))
  }

  @Test func oneSeedGivesOneHistory() {
    func history() -> [DetectorWorld.Verdict] {
      var world = DetectorWorld(9, seed: 5)
      world.lossPercent = 10
      world.run(milliseconds: 1_000)
      world.kill(4, resets: false)
      world.run(milliseconds: 10_000)
      return world.verdicts
    }
    let first = history()
    #expect(first.count == 8 && first == history())
  }
}
