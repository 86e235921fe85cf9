import Primitives
import Simulator
import Testing

/// A simulator that finds nothing proves nothing: each fault that is built in on purpose is found, and the same runs
/// without it are clean.
@Suite struct DefectTests {
  struct Known: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let defects: Defects
    /// Checkers that may see it.
    let checkers: Set<String>
  }

  /// They hold the book against other books.
  private static let book: Set<String> = ["convergence", "conservation", "shadow"]

  static let all = [
    Known(
      testDescription: "acknowledges before the sync", defects: .acknowledgesBeforeSync, checkers: ["durability"]),
    Known(testDescription: "sends before the sync", defects: .sendsBeforeSync, checkers: ["own-log"]),
    Known(testDescription: "digest of what is held", defects: .digestOfHeld, checkers: ["convergence"]),
    Known(testDescription: "arrival order in the book", defects: .arrivalOrder, checkers: book),
    Known(testDescription: "a dropped rollback", defects: .dropsRollback, checkers: book),
    Known(testDescription: "an undo that forgets a stop", defects: .undoForgetsStop, checkers: book),
    Known(testDescription: "a codec that loses a field", defects: .codecLosesDisplay, checkers: book),
    Known(testDescription: "a peer that is forgotten", defects: .forgetsPeer, checkers: ["liveness"]),
  ]

  static let seedsMax: UInt64 = 200
  static let seconds: UInt64 = 4

  private static func run(_ seed: UInt64, _ defects: Defects) -> Violation? {
    let profile = SimulationProfile.draw(seed: seed, nodes: nil, seconds: seconds)
    let simulation = Simulation(seed: seed, profile: profile, defects: defects)
    simulation.run()
    return simulation.violation
  }

  @Test(arguments: all) func isSeen(_ known: Known) throws {
    var seed: UInt64 = 0
    var violation: Violation?
    while violation == nil, seed < Self.seedsMax {
      seed += 1
      violation = Self.run(seed, known.defects)
      #expect(Self.run(seed, []) == nil, "seed \(seed) fails without any defect")
    }
    let seen = try #require(violation, "nothing seen in \(Self.seedsMax) seeds")
    print("\(known.testDescription): seed \(seed), \(seen)")
    #expect(known.checkers.contains(seen.checker), "\(seen)")
  }
}
