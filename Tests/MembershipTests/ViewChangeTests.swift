import EventLog
import Foundation
import Primitives
import Testing

@testable import Membership

@Suite struct ViewChangeTests {
  /// More with `RIALTO_VIEW_SEEDS=5000 swift test --filter ViewChangeTests`.
  static let seeds = UInt64(ProcessInfo.processInfo.environment["RIALTO_VIEW_SEEDS"] ?? "") ?? 200

  @Test func nothingIsViolatedUnderFaults() {
    var joins = 0
    var views = 0
    for seed in 1...Self.seeds {
      let settings = seed % 4 == 0 ? WorldSettings(harsh: seed, defects: []) : WorldSettings(seed: seed)
      let world = ViewWorld(settings)
      let violations = world.run()
      #expect(violations.isEmpty, "\(violations)")
      if !violations.isEmpty { return }
      joins += world.joins
      views += world.decisions.count - 1
    }
    print("\(Self.seeds) seeds: \(views) views, \(joins) with joins")
    #expect(views > Int(Self.seeds) && joins > Int(Self.seeds) / 2)
  }

  static let caught: [(ViewDefects, String)] = [
    (.promiseNotDurable, "promiseNotDurable"), (.acceptedNotDurable, "acceptedNotDurable"),
    (.reusesBallot, "reusesBallot"), (.ignoresAccepted, "ignoresAccepted"), (.wedgeTimesOut, "wedgeTimesOut"),
    (.baseWithoutAcks, "baseWithoutAcks"), (.floorNotCarried, "floorNotCarried"), (.tooFewSigners, "tooFewSigners"),
    (.leaseNotFenced, "leaseNotFenced"), (.noFlush, "noFlush"), (.noTakeover, "noTakeover"),
    (.ignoresToken, "ignoresToken"),
  ]

  @Test(arguments: caught.indices) func defectIsSeen(_ index: Int) {
    let (defect, name) = Self.caught[index]
    for seed in 1...1_000 as ClosedRange<UInt64> {
      for settings in [WorldSettings(harsh: seed, defects: defect), WorldSettings(seed: seed, defects: defect)] {
        if let first = ViewWorld(settings).run().first { return print("\(name): \(first)") }
      }
    }
    Issue.record("\(name) was not seen")
  }
}
