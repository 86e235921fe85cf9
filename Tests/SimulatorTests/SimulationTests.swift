import Primitives
import Testing

@testable import Simulator

/// A run is a function of its seed and its profile, and unbroken code gives no violation.
@Suite struct SimulationTests {
  private func run(_ seed: UInt64, _ name: SimulationProfile.Name, nodes: Int? = nil, seconds: UInt64) -> Simulation {
    let simulation = Simulation(
      seed: seed, profile: .draw(seed: seed, name: name, nodes: nodes, seconds: seconds))
    simulation.run()
    return simulation
  }

  @Test(arguments: SimulationProfile.Name.allCases) func aSeedIsARun(name: SimulationProfile.Name) {
    let first = run(7, name, seconds: 2)
    let second = run(7, name, seconds: 2)
    #expect(first.runHash == second.runHash)
    #expect(first.steps == second.steps)
    #expect(first.steps > 1_000)
    #expect(run(8, name, seconds: 1).runHash != first.runHash)
  }

  /// One seed each, for a debug build's time; `.ci/run` has more.
  @Test(arguments: SimulationProfile.Name.allCases) func nothingIsViolated(name: SimulationProfile.Name) {
    let simulation = run(2, name, seconds: 4)
    #expect(simulation.violation == nil, "\(simulation.report)")
    #expect(simulation.agreedAfterMicroseconds != nil)
    #expect(simulation.acknowledged.reduce(0) { $0 + $1.count } > 200, "hardly anything was accepted")
  }

  @Test func aFaultThatIsLeftOutDoesNotHappen() throws {
    func draw(_ seed: UInt64) -> SimulationProfile { .draw(seed: seed, name: .crashes, nodes: 3, seconds: 6) }
    let seed = try #require((1...50 as ClosedRange<UInt64>).first { draw($0).faults.count > 2 })
    var profile = draw(seed)
    let all = Simulation(seed: seed, profile: profile)
    all.run()
    profile.without = Set(profile.faults.indices)
    let none = Simulation(seed: seed, profile: profile)
    none.run()
    #expect(all.faultCounts.values.reduce(0, +) == profile.faults.count)
    #expect(none.faultCounts.isEmpty)
    #expect(all.runHash != none.runHash)
  }

  /// Every kind of fault is drawn by some seed.
  @Test func everyKindOfFaultIsDrawn() {
    var kinds: Set<FaultKind> = []
    for seed in 1...200 as ClosedRange<UInt64> {
      kinds.formUnion(SimulationProfile.draw(seed: seed, nodes: nil, seconds: 20).faults.map(\.kind))
      // What changes memory by itself is in no other profile: there nothing may be found.
      kinds.formUnion(SimulationProfile.draw(seed: seed, name: .damage, nodes: nil, seconds: 20).faults.map(\.kind))
    }
    #expect(kinds == Set(FaultKind.allCases))
  }
}
