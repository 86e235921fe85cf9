import EventLog
import Primitives
import Testing

@testable import Membership

/// Single steps, and runs in which somebody dies at a chosen one.
@Suite struct ViewChangeStepTests {
  // MARK: Durable before sent

  @Test func promiseWaitsForItsRecordAndForFacts() {
    let world = ViewWorld(WorldSettings(members: 3, spares: 0))
    var machine = world.nodes[0].machine
    guard let me = machine.me else { return ViewWorld.fail("no member") }
    let proposer = OriginIndex(me.value == 1 ? 2 : 1)
    let ballot = Ballot(round: 7, rank: proposer.value)
    let prepare = world.signed(.prepare(view: 0, ballot, fence: nil), by: proposer)
    var effects: [ViewEffect] = []
    machine.step(.message(prepare), nowMicroseconds: 10, &effects)
    #expect(
      effects == [.wedged(view: 0), .persist(1, [.promise(PromiseRecord(view: 0, ballot: ballot))])], "\(effects)")
    effects = []
    machine.step(.facts(ViewFacts(acks: [], ceiling: Stamp(5))), nowMicroseconds: 20, &effects)
    guard case .send(.origin(proposer), let sent, afterPersist: 1)? = effects.first, effects.count == 1,
      case .promise(0, ballot, ViewFacts(acks: [], ceiling: Stamp(5)), accepted: nil) = sent.message
    else { return ViewWorld.fail("\(effects)") }
    // A lower ballot is refused, the same one answered again, once the answer is out.
    effects = []
    machine.step(.message(prepare), nowMicroseconds: 25, &effects)
    #expect(effects.isEmpty)
    machine.step(.durable(1), nowMicroseconds: 25, &effects)
    machine.step(.message(prepare), nowMicroseconds: 30, &effects)
    #expect(effects == [.send(to: .origin(proposer), sent, afterPersist: 1)])
    effects = []
    let lower = Ballot(round: 6, rank: proposer.value)
    machine.step(
      .message(world.signed(.prepare(view: 0, lower, fence: nil), by: proposer)), nowMicroseconds: 40, &effects)
    guard case .send(_, let nack, _)? = effects.first, case .nack(0, lower, ballot, nil) = nack.message else {
      return ViewWorld.fail("\(effects)")
    }
  }

  @Test func proposerPromisesToItselfFirstAndNeverRepeatsABallot() {
    let world = ViewWorld(WorldSettings(members: 3, spares: 0))
    var records = world.nodes[0].disk
    records.promise = PromiseRecord(view: 0, ballot: Ballot(round: 9, rank: 2))
    var machine = world.makeMachine(0, records, boot: 1)
    #expect(machine.isWedged)
    var effects: [ViewEffect] = []
    machine.step(.tick, nowMicroseconds: 10, &effects)
    #expect(effects == [.wedged(view: 0)])
    effects = []
    machine.step(.tick, nowMicroseconds: 400_000, &effects)
    guard case .persist(1, let changes)? = effects.first, case .promise(let promise)? = changes.first else {
      Issue.record("\(effects)")
      return
    }
    #expect(promise.ballot.round == 10)
    let prepares = effects.dropFirst()
    #expect(prepares.count == 2)
    for effect in prepares {
      guard case .send(_, let sent, afterPersist: 1) = effect, case .prepare(0, promise.ballot, nil) = sent.message
      else { return ViewWorld.fail("\(effect)") }
    }
  }

  @Test func signaturesAndSendersAreChecked() {
    let world = ViewWorld(WorldSettings(members: 3, spares: 0))
    var machine = world.nodes[0].machine
    guard let me = machine.me else { return ViewWorld.fail("no member") }
    let proposer = OriginIndex(me.value == 1 ? 2 : 1)
    let message = ViewMessage.prepare(view: 0, Ballot(round: 1, rank: proposer.value), fence: nil)
    let forged = SignedViewMessage(
      sender: .origin(proposer), message, cluster: world.cluster, signatures: PlainSignatures(node: 77))
    let elsewhere = SignedViewMessage(
      sender: .origin(proposer), message, cluster: .zero, signatures: world.node(of: proposer).signatures)
    let anothersRank = world.signed(.prepare(view: 0, Ballot(round: 1, rank: me.value), fence: nil), by: proposer)
    var effects: [ViewEffect] = []
    for bad in [forged, elsewhere, anothersRank] { machine.step(.message(bad), nowMicroseconds: 10, &effects) }
    #expect(effects.isEmpty, "\(effects)")
  }

  // MARK: Values and certificates

  @Test func baseAndFloorNeverShrink() {
    let world = ViewWorld(WorldSettings(members: 3, spares: 0))
    let hash = Hash256(word0: 1, word1: 2, word2: 3, word3: 4)
    func facts(_ sequences: [UInt64], _ ceiling: UInt64) -> ViewFacts {
      ViewFacts(
        acks: sequences.map { Head(sequence: $0, hash: hash) }, ceiling: Stamp(ceiling),
        checkpoints: [CheckpointReport(number: ceiling, hash: hash), CheckpointReport(number: 3, hash: hash)])
    }
    let zero = world.genesis.value
    let removal = MembershipWish(removals: [OriginIndex(2)])
    guard let one = zero.successor(removal, promises: [facts([5, 1, 9], 70), facts([4, 6, 8], 50)]) else {
      return ViewWorld.fail("no successor")
    }
    #expect(one.base.map(\.sequence) == [5, 6, 9] && one.floor == Stamp(50))
    #expect(one.checkpoint == CheckpointReport(number: 3, hash: hash))
    // The sealed log stays as it is; lower ceilings and shorter logs change nothing.
    guard let two = one.successor(MembershipWish(), promises: [facts([1, 7, 99], 10), facts([1, 1, 1], 20)]) else {
      return ViewWorld.fail("no successor")
    }
    #expect(two.base.map(\.sequence) == [5, 7, 9] && two.floor == Stamp(50) && two.cut(of: OriginIndex(2)) == 9)
    #expect(two.canFollow(one) && two.canFollow(zero) && !one.canFollow(two))
    // The node of a sealed origin, or of a member, comes back as another origin.
    for place in [1, 2] {
      let admission = Admission(publicKey: two.origins[place].publicKey, name: "again", token: StoreToken(5))
      guard
        let three = two.successor(
          MembershipWish(admissions: [admission]), promises: [facts([], 60), facts([], 60)])
      else { return ViewWorld.fail("no successor") }
      #expect(three.contains(OriginIndex(3)) && !three.contains(OriginIndex(UInt32(place))))
      #expect(three.origins[3].origin.incarnation == 3 && three.floor == Stamp(60))
    }
    #expect(zero.successor(MembershipWish(removals: zero.view.members), promises: [facts([], 1), facts([], 1)]) == nil)
  }

  @Test func certificateNeedsAMajorityOfTheElectors() {
    let world = ViewWorld(WorldSettings(members: 5, spares: 0))
    let zero = world.genesis.value
    let ballot = Ballot(round: 1, rank: 0)
    let facts = ViewFacts(acks: [], ceiling: .zero)
    guard let value = zero.successor(MembershipWish(), promises: [facts, facts, facts]) else {
      return ViewWorld.fail("no successor")
    }
    func isValid(_ signers: [UInt32], electors: [OriginIndex], cluster: Hash256) -> Bool {
      let bytes = Decision.voteBytes(
        cluster: cluster, view: 0, ballot: ballot, electors: electors, valueHash: value.hash)
      let votes = signers.map {
        Certificate.Vote(
          member: OriginIndex($0), signature: world.node(of: OriginIndex($0)).signatures.sign(bytes))
      }
      let decision = Decision(value: value, electors: electors, ballot: ballot, certificate: Certificate(votes: votes))
      return decision.isValid(after: zero, cluster: world.cluster, signatures: PlainSignatures(node: 0))
    }
    let all = zero.view.members
    #expect(isValid([0, 2, 4], electors: all, cluster: world.cluster))
    #expect(isValid([0, 1, 2, 3, 4], electors: all, cluster: world.cluster))
    #expect(!isValid([0, 4], electors: all, cluster: world.cluster))
    #expect(!isValid([0, 4, 4, 4], electors: all, cluster: world.cluster))
    #expect(!isValid([0, 1], electors: Array(all.prefix(2)), cluster: world.cluster))
    #expect(!isValid([0, 2, 4], electors: all, cluster: .zero))
  }

  // MARK: Whoever dies

  /// Who proposes dies after its n-th message: the others go on without waiting for it.
  @Test func everyWedgeEnds() {
    var longest: UInt64 = 0
    for members in 3...7 {
      for step in 1...20 {
        let world = ViewWorld(WorldSettings(members: members, spares: 0, seed: UInt64(step)))
        for _ in 0..<10 { world.turn() }
        var sent = 0
        world.onSend = { world, node, _ in
          guard node.index == 0 else { return }
          sent += 1
          if sent == step { world.crash(node) }
        }
        world.give(world.nodes[0], .propose(MembershipWish(removals: [OriginIndex(UInt32(members - 1))])))
        let begin = world.now
        var isOver = false
        while world.now < begin + 3_000_000, !isOver {
          world.turn()
          isOver = !world.nodes.contains { $0.isUp && $0.machine.isWedged } && world.now > begin + 100_000
        }
        #expect(isOver && world.violations.isEmpty, "\(members) members, step \(step): \(world.violations)")
        #expect(world.longestWedge < 1_000_000, "\(members) members, step \(step): \(world.longestWedge) us")
        longest = max(longest, world.longestWedge)
      }
    }
    print("longest wedge: \(longest / 1_000) ms")
  }

  /// A joiner dies after its n-th message; another one, which came later, waits for one lease at most.
  @Test func deadHolderCostsOneLease() {
    var longest: UInt64 = 0
    for step in 1...24 {
      let world = ViewWorld(WorldSettings(members: 3, spares: 2, seed: UInt64(step)))
      // Members that have just started lend nothing for the length of a lease.
      world.nodes[3].joinAt = 2_100_000
      world.nodes[4].joinAt = 2_110_000
      var sent = 0
      world.onSend = { world, node, _ in
        guard node.index == 3 else { return }
        sent += 1
        if sent == step {
          world.crash(node)
          node.joinAt = .max
        }
      }
      while world.now < 8_000_000, world.nodes[4].machine.me == nil { world.turn() }
      #expect(world.violations.isEmpty, "step \(step): \(world.violations)")
      #expect(world.nodes[4].machine.me != nil, "step \(step): not admitted")
      longest = max(longest, world.now - 2_110_000)
    }
    print("longest wait for a dead holder: \(longest / 1_000) ms")
    // Some did wait for it.
    #expect(longest > 1_500_000)
    #expect(longest < 3_000_000, "\(longest) us")
  }

  @Test func twoJoinersAtOnceBothComeIn() {
    for seed in 1...50 as ClosedRange<UInt64> {
      let world = ViewWorld(WorldSettings(members: 3, spares: 2, seed: seed))
      for node in world.nodes.suffix(2) { node.joinAt = 50_000 }
      while world.now < 5_000_000, !world.isSettled { world.turn() }
      #expect(world.isSettled && world.violations.isEmpty, "seed \(seed): \(world.violations)")
      #expect(world.joins == 2, "seed \(seed): \(world.joins)")
    }
  }

  @Test func silentNewcomerIsSealed() {
    let world = ViewWorld(WorldSettings(members: 3, spares: 1))
    world.nodes[3].joinAt = 50_000
    while world.now < 3_000_000, world.decisions.count < 2 { world.turn() }
    world.crash(world.nodes[3])
    let begin = world.now
    while world.now < begin + 1_000_000, world.decisions.count < 3 { world.turn() }
    #expect(world.decisions.last?.value.members.count == 3 && world.violations.isEmpty, "\(world.violations)")
  }

  @Test func leaverIsSealedAndTheLastOneStays() {
    let world = ViewWorld(WorldSettings(members: 3, spares: 0))
    for _ in 0..<5 { world.turn() }
    guard let leaver = world.nodes[1].machine.me else { return ViewWorld.fail("no member") }
    world.give(world.nodes[1], .propose(MembershipWish(removals: [leaver])))
    while world.now < 500_000, world.nodes[1].machine.me != nil { world.turn() }
    #expect(world.nodes[1].machine.me == nil && world.decisions.last?.value.members.count == 2)
    let alone = ViewWorld(WorldSettings(members: 1, spares: 1))
    alone.nodes[1].joinAt = .max
    alone.give(alone.nodes[0], .propose(MembershipWish(removals: [OriginIndex(0)])))
    for _ in 0..<100 { alone.turn() }
    #expect(alone.decisions.last?.value.members.count == 1 && !alone.nodes[0].machine.isWedged)
    #expect(world.violations.isEmpty && alone.violations.isEmpty)
  }

  // MARK: The mutex

  /// Who has lost its lease to another is not sponsored, however good its certificate was.
  @Test func staleJoinIsRefused() {
    let world = ViewWorld(WorldSettings(members: 3, spares: 2))
    var machine = world.nodes[0].machine
    var effects: [ViewEffect] = []
    func step(_ message: ViewMessage, by node: Int, at now: UInt64) -> [ViewEffect] {
      let signatures = PlainSignatures(node: node)
      let signed = SignedViewMessage(
        sender: .node(signatures.publicKey), message, cluster: world.cluster, signatures: signatures)
      var effects: [ViewEffect] = []
      machine.step(.message(signed), nowMicroseconds: now, &effects)
      return effects
    }
    machine.step(.tick, nowMicroseconds: 0, &effects)
    let first = LeaseBallot(round: 1, node: PlainSignatures(node: 3).publicKey.nodeID)
    let second = LeaseBallot(round: 2, node: PlainSignatures(node: 4).publicKey.nodeID)
    let bytes = first.voteBytes(cluster: world.cluster, view: 0)
    func certificate(_ origins: [UInt32]) -> Certificate {
      Certificate(
        votes: origins.map {
          Certificate.Vote(member: OriginIndex($0), signature: world.node(of: OriginIndex($0)).signatures.sign(bytes))
        })
    }
    #expect(step(.lease(view: 0, first), by: 3, at: 2_000_000).count == 1)
    #expect(step(.lease(view: 0, second), by: 4, at: 4_000_000).count == 1)
    let stale = ViewMessage.join(view: 0, first, name: "a", token: StoreToken(1), certificate([0, 1]))
    guard case .send(_, let answer, _)? = step(stale, by: 3, at: 4_000_001).first else {
      return ViewWorld.fail("no answer")
    }
    #expect(answer.message == .denied(view: 0, first, highest: second, leftMicroseconds: 0))
    // Nor is one without a majority of grants, or with those of another.
    for (node, lease, votes) in [(4, second, [UInt32(0)]), (4, second, [0, 1]), (3, second, [0, 1])] {
      let join = ViewMessage.join(view: 0, lease, name: "a", token: StoreToken(1), certificate(votes))
      #expect(step(join, by: node, at: 4_000_002).isEmpty)
    }
  }

  /// Who was told for how long votes are lent asks again right after, each joiner at a time of its own.
  @Test func whoIsRefusedComesBackAfterTheLease() {
    let world = ViewWorld(WorldSettings(members: 3, spares: 4))
    /// How long after the lease of two members the joiner asks for it.
    func delay(of node: Int, lease end: UInt64, isSaid: Bool) -> UInt64 {
      var machine = world.nodes[node].machine
      var now: UInt64 = 0
      func step(_ input: ViewInput) -> LeaseBallot? {
        var effects: [ViewEffect] = []
        machine.step(input, nowMicroseconds: now, &effects)
        for case .send(.origin(OriginIndex(0)), let sent, _) in effects {
          if case .lease(_, let ballot) = sent.message { return ballot }
        }
        return nil
      }
      var asked = step(.join(name: "new", token: StoreToken(9)))
      while now < 10 * end {
        if let ballot = asked {
          if now >= end { return now - end }
          // The third member says nothing.
          for member in [0, 1] as [UInt32] {
            let left = isSaid ? end - now : 0
            let answer = ViewMessage.denied(view: 0, ballot, highest: ballot, leftMicroseconds: left)
            _ = step(.message(world.signed(answer, by: OriginIndex(member))))
          }
        }
        now += 1_000
        asked = step(.tick)
      }
      return .max
    }
    var told: [UInt64] = []
    var usual: [UInt64] = []
    for end in [700_000, 1_300_000, 1_900_000] as [UInt64] {
      let delays = (3..<7).map { delay(of: $0, lease: end, isSaid: true) }
      #expect(Set(delays).count == delays.count, "two at once: \(delays)")
      told += delays
      usual += (3..<7).map { delay(of: $0, lease: end, isSaid: false) }
    }
    #expect(told.allSatisfy { $0 <= ViewLimits.leaseReturnMicroseconds + 1_000 }, "\(told)")
    #expect(usual.max() ?? 0 > 2 * ViewLimits.leaseReturnMicroseconds, "else it makes no difference: \(usual)")
  }

  @Test func leasesAreFenced() {
    let ada = PlainSignatures(node: 1).publicKey.nodeID
    let bob = PlainSignatures(node: 2).publicKey.nodeID
    func ballot(_ round: UInt64, _ node: NodeID) -> LeaseBallot { LeaseBallot(round: round, node: node) }
    var mutex = JoinMutex(nowMicroseconds: 0, hasRestarted: false)
    #expect(mutex.request(ballot(1, ada), nowMicroseconds: 0) == .granted)
    #expect(
      mutex.request(ballot(2, bob), nowMicroseconds: 1_000_000)
        == .denied(highest: ballot(2, bob), leftMicroseconds: 1_000_000))
    // Asked again: the same lease, not a longer one.
    #expect(mutex.request(ballot(1, ada), nowMicroseconds: 1_500_000) == .granted)
    #expect(mutex.request(ballot(2, bob), nowMicroseconds: 2_000_000) == .granted)
    #expect(mutex.isStale(ballot(1, ada)) && !mutex.isStale(ballot(2, bob)))
    let old = JoinMutex.Answer.denied(highest: ballot(2, bob), leftMicroseconds: 0)
    #expect(mutex.request(ballot(1, ada), nowMicroseconds: 9_000_000) == old)
    mutex.release(ballot(2, bob))
    #expect(mutex.request(ballot(2, bob), nowMicroseconds: 9_000_000) == old)
    #expect(mutex.request(ballot(3, ada), nowMicroseconds: 9_000_000) == .granted)
    var restarted = JoinMutex(nowMicroseconds: 100, hasRestarted: true)
    #expect(
      restarted.request(ballot(1, ada), nowMicroseconds: 1_900_000)
        == .denied(highest: ballot(1, ada), leftMicroseconds: 100_100))
    #expect(restarted.request(ballot(1, ada), nowMicroseconds: 2_000_100) == .granted)
  }
}

extension ViewWorld {
  func node(of origin: OriginIndex) -> WorldNode {
    guard let key = genesis.value.register[origin]?.publicKey else { preconditionFailure("not of view 0") }
    return nodes[Int(key.bytes[0])]
  }

  func signed(_ message: ViewMessage, by origin: OriginIndex) -> SignedViewMessage {
    SignedViewMessage(sender: .origin(origin), message, cluster: cluster, signatures: node(of: origin).signatures)
  }

  static func fail(_ text: String) { Issue.record("\(text)") }
}
