import Membership
import Primitives
import Simulator
import Testing

/// A simulator that finds nothing proves nothing: each fault that is built in on purpose is found, and the same run
/// without it is clean as long.
@Suite struct DefectTests {
  struct Known: Sendable, CustomTestStringConvertible {
    let testDescription: String
    var defects: Defects = []
    var views: ViewDefects = []
    var profile = SimulationProfile.Name.swarm
    /// Where the search begins: at one of 200 seeds that shows it soon, for the test's time.
    var first: UInt64 = 1
    /// Checkers that may see it.
    let checkers: Set<String>
  }

  /// They hold the book against other books.
  private static let book: Set<String> = ["convergence", "conservation", "shadow", "checkpoint"]

  static let all = [
    Known(
      testDescription: "acknowledges before the sync", defects: .acknowledgesBeforeSync, checkers: ["durability"]),
    Known(testDescription: "sends before the sync", defects: .sendsBeforeSync, checkers: ["own-log"]),
    Known(
      testDescription: "digest of what is held", defects: .digestOfHeld, first: 4,
      checkers: ["convergence", "liveness"]),
    Known(testDescription: "arrival order in the book", defects: .arrivalOrder, checkers: book),
    Known(testDescription: "a dropped rollback", defects: .dropsRollback, checkers: book),
    Known(testDescription: "an undo that forgets a stop", defects: .undoForgetsStop, first: 8, checkers: book),
    Known(testDescription: "a codec that loses a field", defects: .codecLosesDisplay, checkers: book),
    Known(testDescription: "a peer that is forgotten", defects: .forgetsPeer, first: 8, checkers: ["liveness"]),
    Known(
      testDescription: "a checkpoint with tentative entries", defects: .checkpointIncludesTentative,
      first: 12, checkers: ["checkpoint"]),
    Known(testDescription: "a fill that is not published", defects: .skipsFill, first: 8, checkers: ["fills"]),
    Known(testDescription: "a lie in an attestation", defects: .liesInAttestation, first: 8, checkers: ["checkpoint"]),
    Known(
      testDescription: "a snapshot without the fills that wait", defects: .snapshotForgetsFills, profile: .crashes,
      first: 5, checkers: ["fills", "checkpoint"]),
  ]

  /// Of what keeps finality going.
  static let going = [
    Known(
      testDescription: "nobody's word is passed on", defects: .noRelay, profile: .links, first: 6,
      checkers: ["finality"]),
    Known(
      testDescription: "each by its own clock", defects: .ownClockAlone, profile: .clocks, first: 85,
      // Who stamps too far ahead is sealed away before finality suffers, but lets orders expire before their time.
      checkers: ["finality", "resubmission"]),
  ]

  /// Of finality and views. They hold what is final against what was.
  static let changing = [
    Known(
      testDescription: "final by promises alone", defects: .finalByPromisesAlone, profile: .membership,
      first: 5, checkers: ["word", "views", "convergence", "checkpoint"]),
    Known(
      testDescription: "a beat that counts before its prefix is held", defects: .beatBeforePrefix, profile: .network,
      first: 2, checkers: final),
    Known(
      testDescription: "untagged beats", defects: .untaggedBeats, profile: .membership, first: 24, checkers: final),
    Known(testDescription: "no wedge", defects: .noWedge, profile: .membership, first: 8, checkers: ["word"]),
    Known(testDescription: "no floor", defects: .noFloor, profile: .membership, first: 128, checkers: final),
    Known(
      testDescription: "a floor that is not carried over", views: .floorNotCarried, profile: .membership, first: 174,
      checkers: ["views"]),
    Known(testDescription: "no flush", views: .noFlush, profile: .membership, first: 15, checkers: final),
    Known(
      testDescription: "a wedge that times out", views: .wedgeTimesOut, profile: .membership, first: 8,
      checkers: ["word"]),
    Known(
      testDescription: "an abandoned wedge", views: .noTakeover, profile: .membership, first: 8,
      checkers: ["liveness"]),
  ]

  /// Of what is sent again after a seal.
  static let resubmitting = [
    Known(
      testDescription: "an order that comes again after its cancel", defects: .resubmitsAfterCancel,
      profile: .membership, first: 20, checkers: ["shadow", "resubmission"]),
    Known(
      testDescription: "an order that comes again without its first dot", defects: .forgetsFirstDot,
      profile: .membership, first: 8, checkers: ["resubmission", "reports"]),
    Known(
      testDescription: "a void tail that a restart forgets", defects: .forgetsVoidTail, profile: .membership,
      first: 31, checkers: ["resubmission"]),
  ]
  /// Of what a node does about a damaged book.
  static let healing = [
    Known(testDescription: "no scrubber", defects: .noScrub, profile: .damage, first: 12, checkers: ["damage"]),
    Known(
      testDescription: "orders while the book is made anew", defects: .servesWhileRebuilding, profile: .damage,
      checkers: ["damage"]),
    Known(
      testDescription: "a book that is believed without proof", defects: .believesRebuild, profile: .damage, first: 37,
      checkers: ["damage", "convergence", "checkpoint"]),
    Known(
      testDescription: "an accusation without a look at oneself", defects: .accusesAtOnce, profile: .damage,
      checkers: ["damage"]),
    Known(
      testDescription: "a book that is called rebuilt as it is", defects: .rebuildsNothing, profile: .damage,
      checkers: ["damage", "convergence", "checkpoint", "shadow", "conservation", "fills"]),
  ]

  private static let final: Set<String> = ["word", "views", "convergence", "checkpoint", "own-log", "fills"]

  static let seedsMax: UInt64 = 200
  static let seconds: UInt64 = 4

  private static func simulation(_ seed: UInt64, _ known: Known, isWhole: Bool = false) -> Simulation {
    let profile = SimulationProfile.draw(
      seed: seed, name: known.profile, nodes: nil, seconds: known.profile == .swarm ? seconds : 20)
    return Simulation(
      seed: seed, profile: profile, defects: isWhole ? [] : known.defects, viewDefects: isWhole ? [] : known.views)
  }

  /// What is wrong in the same run without any defect, as long as it took the defect to show.
  private static func violation(_ seed: UInt64, _ known: Known, until microseconds: UInt64) -> Violation? {
    let whole = simulation(seed, known, isWhole: true)
    if microseconds < whole.profile.seconds * 1_000_000 {
      whole.advance(until: microseconds)
    } else {
      whole.run()
    }
    return whole.violation
  }

  @Test(arguments: all + going + changing + resubmitting + healing) func isSeen(_ known: Known) throws {
    var seed = known.first - 1
    var violation: Violation?
    while violation == nil, seed < Self.seedsMax {
      seed += 1
      let broken = Self.simulation(seed, known)
      broken.run()
      violation = broken.violation
    }
    let seen = try #require(violation, "nothing seen in \(Self.seedsMax) seeds")
    print("\(known.testDescription): seed \(seed), \(seen)")
    #expect(known.checkers.contains(seen.checker), "\(seen)")
    let other = Self.violation(seed, known, until: seen.atMicroseconds)
    #expect(other == nil, "seed \(seed) fails without any defect")
  }
}
