import Client
import Primitives
import Testing

@testable import rialto

/// How command lines name partitions and stamps.
struct PartitionTests {
  @Test func groupsDoNotHearEachOther() throws {
    let groups = try PartitionPlan.groups("n1,n2/n3/n4", isOneWay: false)
    #expect(groups == [["n1", "n2"], ["n3"], ["n4"]])
    let plan = PartitionPlan(groups: groups, isOneWay: false)
    #expect(plan.cuts(of: "n1").map(\.name) == ["n3", "n4"])
    #expect(plan.cuts(of: "n4").map(\.name) == ["n1", "n2", "n3"])
    #expect(plan.cuts(of: "n4").allSatisfy { $0.direction == .both })
    #expect(plan.cuts(of: "n5").isEmpty, "who is not named hears everybody")
  }

  @Test func oneWayOnlyTheSecondGroupIsDeaf() throws {
    let plan = PartitionPlan(groups: try PartitionPlan.groups("n1,n2/n3", isOneWay: true), isOneWay: true)
    #expect(plan.cuts(of: "n3").map(\.name) == ["n1", "n2"])
    #expect(plan.cuts(of: "n3").allSatisfy { $0.direction == .inbound })
    #expect(plan.cuts(of: "n1").isEmpty)
  }

  @Test(arguments: ["n1", "", "/", "n1/", "n1,/n2", "n1/n1", "n1,n1/n2"])
  func whatNamesNoPartitionIsRefused(_ text: String) {
    #expect(throws: CommandError.self) { _ = try PartitionPlan.groups(text, isOneWay: false) }
  }

  @Test func oneWayNeedsTwoGroups() {
    #expect(throws: CommandError.self) { _ = try PartitionPlan.groups("n1/n2/n3", isOneWay: true) }
  }

  @Test func stampsAreReadAsTheyArePrinted() {
    let stamp = Stamp(milliseconds: 1_795_287_243_123, counter: 4)
    #expect(Stamp(argument: stamp.description) == stamp)
    #expect(Stamp(argument: "77") == Stamp(77))
    for text in ["", "1.", ".1", "1.2.3", "x", "1.70000", "999999999999999.0", "-1"] {
      #expect(Stamp(argument: text) == nil, "\(text)")
    }
  }

  @Test func oneReadLevelAtATime() throws {
    #expect(try ReadOptions.parse([]).level(usual: .final) == .final)
    #expect(try ReadOptions.parse(["--tentative"]).level(usual: .final) == .tentative)
    #expect(try ReadOptions.parse(["--final"]).level(usual: .tentative) == .final)
    #expect(
      try ReadOptions.parse(["--at-least", "1.2", "--wait", "2s"]).level(usual: .tentative)
        == .atLeast(Stamp(milliseconds: 1, counter: 2), waitMilliseconds: 2_000))
    for wrong in [["--final", "--tentative"], ["--wait", "2s"], ["--at-least", "1", "--wait", "61s"]] {
      #expect(throws: (any Error).self) { _ = try ReadOptions.parse(wrong) }
    }
  }
}
