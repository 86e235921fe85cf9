import EventLog
import Primitives

/// What a member does to bring a view change about: ballots, values, certificates.
extension ViewChange {
  /// - Source: `Tests/Model`, rule 8.
  mutating func propose(
    _ change: MembershipWish, fence: LeaseBallot?, _ now: UInt64, _ effects: inout [ViewEffect]
  ) {
    guard isVoting, target == nil, !change.isEmpty, hearsMajority else { return }
    wish.merge(change)
    if let fence { self.fence = max(fence, self.fence ?? fence) }
    // Another ballot is under way: it ends, or the wish comes with the ballot that ends it.
    guard !isWedged else { return }
    startBallot(now, &effects)
  }

  /// A wedge has lasted too long.
  mutating func endWedge(_ now: UInt64, _ effects: inout [ViewEffect]) {
    if defects.contains(.wedgeTimesOut) {
      isWedged = false
      wedgeDeadline = nil
      effects.append(.unwedged(view: view.number))
      return
    }
    if defects.contains(.noTakeover) { return }
    guard hearsMajority else { return rearm(now) }
    attempts += 1
    // What is decided already only has to be fetched.
    guard target == nil else { return rearm(now) }
    // Whoever was to be admitted may have lost its lease, and a fence must not keep a wedge from ending.
    wish.admissions.removeAll()
    fence = nil
    startBallot(now, &effects)
  }

  private mutating func startBallot(_ now: UInt64, _ effects: inout [ViewEffect]) {
    guard let me, let rank = rank(of: me), roundSeen < ViewLimits.numberMax, target == nil else { return }
    // Above every ballot seen and above the own promise, which survives restarts: so no ballot is run twice.
    if let promised, !defects.contains(.reusesBallot) { roundSeen = max(roundSeen, promised.round) }
    if defects.contains(.reusesBallot), proposal == nil, attempts <= 1 { roundSeen = 0 }
    let ballot = Ballot(round: roundSeen + 1, rank: rank)
    if defects.contains(.reusesBallot) {
      records.promise = nil
    }
    proposal = Proposal(
      ballot: ballot, fence: fence, startedMicroseconds: now, resendAtMicroseconds: now + ViewLimits.resendMicroseconds)
    // To oneself first: durable before anybody else hears of the ballot.
    prepare(ballot, fence: nil, from: me, now, &effects)
    for member in view.members where member != me {
      send(
        .prepare(view: view.number, ballot, fence: fence), to: .origin(member), after: promisePersist, &effects)
    }
  }

  /// - Source: `Tests/Model`, rule 10.
  mutating func promise(
    _ ballot: Ballot, _ facts: ViewFacts, _ accepted: ViewMessage.Accepted?, from member: OriginIndex, _ now: UInt64,
    _ effects: inout [ViewEffect]
  ) {
    guard var current = proposal, current.ballot == ballot, current.value == nil,
      !current.promises.contains(where: { $0.member == member })
    else { return }
    if let accepted {
      guard accepted.ballot < ballot, accepted.value.number == view.number + 1, accepted.value.canFollow(value, defects)
      else { return }
    }
    current.promises.append((member, facts, accepted))
    proposal = current
    chooseValue(now, &effects)
  }

  /// Proposes a value, once enough members have promised to choose one.
  private mutating func chooseValue(_ now: UInt64, _ effects: inout [ViewEffect]) {
    guard var current = proposal, current.value == nil, current.promises.count >= view.majority else { return }
    var newest: ViewMessage.Accepted?
    for promise in current.promises where !defects.contains(.ignoresAccepted) {
      if let accepted = promise.accepted, accepted.ballot > newest?.ballot ?? Ballot(round: 0, rank: 0) {
        newest = accepted
      }
    }
    guard let chosen = newest?.value ?? wished(current, now) else { return }
    current.value = chosen
    current.valueHash = chosen.hash
    current.resendAtMicroseconds = now + ViewLimits.resendMicroseconds
    proposal = current
    for member in view.members {
      send(.accept(view: view.number, current.ballot, chosen), to: .origin(member), &effects)
    }
  }

  /// The value that a proposer is free to choose: as wished, if most of those who would be members then are there to be
  /// heard. A view without them may never be left again: who was given up may be back, and who was not may be lost.
  /// - Returns: nil if it is worth waiting for more promises.
  private func wished(_ current: Proposal, _ now: UInt64) -> ViewValue? {
    let promises = current.promises.map(\.facts)
    let heard = current.promises.map(\.member)
    var wish = wish
    // Whoever promises lives; only oneself may ask to go all the same.
    wish.removals.removeAll { heard.contains($0) && $0 != me }
    let canExpel = heard.count { !wish.expulsions.contains($0) } >= view.majority
    if canExpel || wish.expulsions.isEmpty,
      let value = value.successor(wish, promises: promises, of: heard, defects)
    {
      let alive = value.members.count { heard.contains($0.origin) || $0.origin.int >= self.value.origins.count }
      if alive >= value.view.majority { return value }
    }
    let until = current.startedMicroseconds + ViewLimits.promiseMicroseconds
    guard heard.count == view.members.count || now >= until else { return nil }
    // A wish that cannot be fulfilled must not keep the wedge from ending.
    return value.successor(MembershipWish(), promises: promises, of: heard, defects)
  }

  mutating func refused(
    _ ballot: Ballot, promised: Ballot, fence: LeaseBallot?, by member: OriginIndex
  ) {
    roundSeen = max(roundSeen, promised.round)
    guard let current = proposal, current.ballot == ballot else { return }
    if promised > ballot {
      proposal = nil
    } else if let fence, let mine = current.fence, mine < fence {
      guard current.value == nil, !current.fencedBy.contains(member) else { return }
      proposal?.fencedBy.append(member)
      guard current.fencedBy.count + 1 > view.members.count - view.majority else { return }
      // The joiner has lost its lease to another; what remains is to end the wedge.
      wish.admissions.removeAll()
      self.fence = nil
      proposal = nil
    }
  }

  mutating func voted(
    _ ballot: Ballot, _ hash: Hash256, _ vote: Signature, by member: OriginIndex, _ now: UInt64,
    _ effects: inout [ViewEffect]
  ) {
    guard var current = proposal, current.ballot == ballot, let chosen = current.value, current.valueHash == hash,
      !current.votes.contains(where: { $0.member == member }), target == nil
    else { return }
    let bytes = Decision.voteBytes(
      cluster: configuration.cluster, view: view.number, ballot: ballot, electors: view.members, valueHash: hash)
    guard let key = register[member]?.publicKey, signatures.isValid(vote, of: bytes, by: key) else { return }
    current.votes.append(Certificate.Vote(member: member, signature: vote))
    proposal = current
    guard current.votes.count >= Certificate.needed(of: view.members.count, defects) else { return }
    let decision = Decision(
      value: chosen, electors: view.members, ballot: ballot, certificate: Certificate(votes: current.votes))
    proposal = nil
    announce(decision, &effects)
    learn(decision, now, &effects)
  }

  /// Tells those who leave, those who stay and those who come. Who misses it is shown it when it is heard again.
  private mutating func announce(_ decision: Decision, _ effects: inout [ViewEffect]) {
    for member in view.members where member != me {
      send(.decided(decision), to: .origin(member), &effects)
    }
    for member in decision.value.members where member.origin.int >= value.origins.count {
      send(.decided(decision), to: .node(decision.value.origins[member.origin.int].publicKey), &effects)
    }
  }

  /// Repeats what a ballot waits for an answer to.
  mutating func resend(_ now: UInt64, _ effects: inout [ViewEffect]) {
    chooseValue(now, &effects)
    guard let current = proposal, now >= current.resendAtMicroseconds, promisePersist <= durable else { return }
    proposal?.resendAtMicroseconds = now + ViewLimits.resendMicroseconds
    for member in view.members where member != me {
      if let chosen = current.value {
        guard !current.votes.contains(where: { $0.member == member }) else { continue }
        send(.accept(view: view.number, current.ballot, chosen), to: .origin(member), &effects)
      } else {
        guard !current.promises.contains(where: { $0.member == member }) else { continue }
        send(
          .prepare(view: view.number, current.ballot, fence: current.fence), to: .origin(member),
          after: promisePersist, &effects)
      }
    }
  }

  // MARK: New members that say nothing

  /// - Source: DESIGN 7.
  mutating func startProbation(after before: ViewValue, _ now: UInt64) {
    // Who came one view earlier and has said nothing yet has had some of its time.
    let lastChance = now + ViewLimits.firstBeatMicroseconds / 2
    probation = probation.filter { view.contains($0.member) }.map { ($0.member, max($0.untilMicroseconds, lastChance)) }
    guard let me, let rank = rank(of: me) else {
      probation.removeAll()
      return
    }
    for member in view.members where member.int >= before.origins.count && member != me {
      // Who was admitted before and never wrote a word may be far away rather than dead.
      let key = value.origins[member.int].publicKey
      let failures = value.origins.indices.count {
        $0 < member.int && value.origins[$0].publicKey == key && value.base[$0].sequence == 0
      }
      let usual = ViewLimits.firstBeatMicroseconds << min(UInt64(failures), ViewLimits.firstBeatDoublingsMax)
      let longest = ViewLimits.firstBeatMicroseconds << ViewLimits.firstBeatDoublingsMax
      let patience = min(max(usual, 2 * changeMicroseconds), longest)
      let stagger = min(UInt64(rank), ViewLimits.ranksStaggeredMax) * ViewLimits.wedgeMicrosecondsPerRank
      probation.append((member, now + patience + stagger))
    }
  }

  mutating func giveUpSilentNewcomers(_ now: UInt64, _ effects: inout [ViewEffect]) {
    let silent = probation.filter { now >= $0.untilMicroseconds }.map(\.member)
    guard !silent.isEmpty, hearsMajority else { return }
    // A change that is under way may end without this wish: they stay under watch.
    let again = now + ViewLimits.wedgeMicroseconds
    probation = probation.map { silent.contains($0.member) ? ($0.member, again) : $0 }
    propose(MembershipWish(removals: silent), fence: nil, now, &effects)
  }
}
