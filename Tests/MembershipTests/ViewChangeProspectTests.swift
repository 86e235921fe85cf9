import EventLog
import Primitives
import Testing

@testable import Membership

/// Ballots with and without a prospect, and what a live member is sealed at.
@Suite struct ViewChangeProspectTests {
  private static let hash = Hash256(word0: 1, word1: 2, word2: 3, word3: 4)

  private func facts(_ sequences: [UInt64]) -> ViewFacts {
    ViewFacts(acks: sequences.map { Head(sequence: $0, hash: Self.hash) }, ceiling: Stamp(50))
  }

  @Test func whoHearsNoMajorityBeginsNothing() {
    let world = ViewWorld(WorldSettings(members: 5, spares: 0))
    var machine = world.nodes[0].machine
    guard let me = machine.me else { return ViewWorld.fail("no member") }
    let wish = MembershipWish(removals: [OriginIndex(me.value == 4 ? 3 : 4)])
    var effects: [ViewEffect] = []
    machine.membersHeard = 2
    machine.step(.propose(wish), nowMicroseconds: 10, &effects)
    #expect(effects.isEmpty && !machine.isWedged)
    machine.membersHeard = 3
    machine.step(.propose(wish), nowMicroseconds: 20, &effects)
    #expect(machine.isWedged && effects.count == 6, "its own promise, and four PREPAREs")
  }

  @Test func whoIsWedgedWaitsForAMajority() {
    let world = ViewWorld(WorldSettings(members: 3, spares: 0))
    var records = world.nodes[0].disk
    records.promise = PromiseRecord(view: 0, ballot: Ballot(round: 9, rank: 2))
    var machine = world.makeMachine(0, records, boot: 1)
    machine.membersHeard = 1
    var effects: [ViewEffect] = []
    for now in stride(from: 10 as UInt64, to: 3_000_000, by: 10_000) {
      machine.step(.tick, nowMicroseconds: now, &effects)
    }
    #expect(effects == [.wedged(view: 0)])
    machine.membersHeard = 2
    machine.step(.tick, nowMicroseconds: 3_500_000, &effects)
    #expect(effects.count == 4, "at once: it has not lost patience meanwhile")
  }

  /// What only its author holds of a log does not count if a majority without it has promised.
  @Test func anAuthorAloneDoesNotVouchForItsLog() {
    let zero = ViewWorld(WorldSettings(members: 3, spares: 0)).genesis.value
    let members = [0, 1, 2].map { OriginIndex($0) }
    let promises = [facts([9, 5, 5]), facts([4, 9, 5]), facts([3, 5, 9])]
    let wish = MembershipWish(expulsions: [OriginIndex(0)])
    let all = zero.successor(wish, promises: promises, of: members)
    #expect(all?.base.map(\.sequence) == [4, 5, 5] && all?.cut(of: OriginIndex(0)) == 4)
    // Of two, one may be the only one that has acked what is final.
    let two = zero.successor(MembershipWish(), promises: Array(promises.prefix(2)), of: Array(members.prefix(2)))
    #expect(two?.base.map(\.sequence) == [9, 9, 5])
  }

  @Test func whoIsThereMaySealAMemberThatIsThereToo() {
    let world = ViewWorld(WorldSettings(members: 3, spares: 0))
    var machine = world.nodes[0].machine
    guard let me = machine.me else { return ViewWorld.fail("no member") }
    let others = machine.view.members.filter { $0 != me }
    var effects: [ViewEffect] = []
    machine.step(.propose(MembershipWish(expulsions: [others[0]])), nowMicroseconds: 10, &effects)
    machine.step(.facts(facts([1, 1, 1])), nowMicroseconds: 10, &effects)
    machine.step(.durable(1), nowMicroseconds: 10, &effects)
    guard
      let prepare = effects.lazy.compactMap({ effect -> Ballot? in
        if case .send(_, let sent, _) = effect, case .prepare(_, let ballot, _) = sent.message { ballot } else { nil }
      }).first
    else { return ViewWorld.fail("\(effects)") }
    func accepted(by member: OriginIndex) -> ViewValue? {
      var effects: [ViewEffect] = []
      let promise = ViewMessage.promise(view: 0, prepare, facts([1, 1, 1]), accepted: nil)
      machine.step(.message(world.signed(promise, by: member)), nowMicroseconds: 20, &effects)
      return effects.lazy.compactMap { effect -> ViewValue? in
        if case .send(_, let sent, _) = effect, case .accept(_, _, let value) = sent.message { value } else { nil }
      }.first
    }
    #expect(accepted(by: others[0]) == nil, "its own word is none against itself")
    #expect(accepted(by: others[1])?.view.members == [me, others[1]].sorted())
  }
}
