import Client
import Membership
import Primitives
import Replica
import Testing

@testable import Node

/// What a node remembers of views, members and pauses.
struct NodeHistoryTests {
  private static func members(_ places: [UInt32]) -> [OriginIndex] { places.map { OriginIndex($0) } }

  @Test func viewsSayWhoCameAndWhoWent() {
    var history = NodeHistory(view: 3, members: Self.members([0, 1, 2]), me: OriginIndex(1))
    history.note(.suspected(OriginIndex(2)))
    history.note(.wedged(view: 3))
    history.note(.entered(View(number: 4, members: Self.members([0, 1, 5])), me: OriginIndex(1)))
    #expect(history.events.map(\.kind) == [.suspected, .wedged, .entered, .removed, .added])
    #expect(history.events.map(\.origin) == [2, nil, nil, 2, 5])
    #expect(history.events.map(\.view) == [3, 3, 4, 4, 4])
    #expect(history.viewEnteredAt >= history.events[0].at)
  }

  @Test func whoJoinsKnowsWhen() {
    var history = NodeHistory(view: 0, members: Self.members([0, 1]), me: nil)
    let admission = Notice.entered(View(number: 1, members: Self.members([0, 1, 2])), me: OriginIndex(2))
    #expect(history.isAdmitted(by: admission))
    history.note(admission)
    #expect(!history.isAdmitted(by: admission), "it is a member already")
    #expect(history.events.last?.kind == .joined && history.events.last?.origin == 2)
    history.note(.entered(View(number: 2, members: Self.members([0, 1])), me: nil))
    #expect(history.isAdmitted(by: .entered(View(number: 3, members: Self.members([0, 1, 3])), me: OriginIndex(3))))
  }

  @Test func theNewestIsKept() {
    var history = NodeHistory(view: 0, members: Self.members([0, 1]), me: OriginIndex(0))
    for place in 0..<UInt32(NodeHistory.eventsMax + 10) { history.note(.suspected(OriginIndex(place))) }
    #expect(history.events.count == NodeHistory.eventsMax)
    #expect(history.events.first?.origin == 10)
  }

  @Test func aPauseIsATimeInWhichSomethingWaitedAndNothingBecameFinal() async throws {
    var history = NodeHistory(view: 0, members: [], me: nil)
    let longer = NodeHistory.pauseMicrosecondsMin / 1_000 + 10
    history.endTurn(final: Stamp(5), isWaiting: false)
    try await Task.sleep(for: .milliseconds(longer))
    history.endTurn(final: Stamp(5), isWaiting: true)
    #expect(history.pauses.isEmpty, "nothing waited")
    try await Task.sleep(for: .milliseconds(longer))
    history.endTurn(final: Stamp(5), isWaiting: true)
    #expect(history.pauses.isEmpty, "it is not over")
    history.endTurn(final: Stamp(6), isWaiting: true)
    #expect(history.pauses.count == 1)
    #expect(try #require(history.pauses.first).microseconds >= longer * 1_000)
    history.endTurn(final: Stamp(6), isWaiting: false)
    #expect(history.pauses.count == 1)
  }
}
