import EventLog
import Primitives

/// The join mutex at both its ends, and the sponsor's part.
extension ViewChange {
  func nodeID(of peer: ViewPeer) -> NodeID? {
    switch peer {
    case .node(let key): key.nodeID
    case .origin(let origin): register[origin]?.origin.node
    }
  }

  // MARK: Members

  /// Only those who are not members take the mutex; they speak as nodes.
  mutating func requestLease(
    _ ballot: LeaseBallot, from sender: ViewPeer, _ now: UInt64, _ effects: inout [ViewEffect]
  ) {
    guard isVoting, target == nil, case .node(let key) = sender, key.nodeID == ballot.node else { return }
    switch mutex.request(ballot, nowMicroseconds: now) {
    case .granted:
      let vote = signatures.sign(ballot.voteBytes(cluster: configuration.cluster, view: view.number))
      send(.grant(view: view.number, ballot, vote: vote), to: sender, &effects)
    case .denied(let highest, let left):
      send(.denied(view: view.number, ballot, highest: highest, leftMicroseconds: left), to: sender, &effects)
    }
  }

  /// A joiner shows that it holds the mutex and asks to be proposed.
  mutating func sponsor(
    _ ballot: LeaseBallot, name: String, token: StoreToken, _ certificate: Certificate, from sender: ViewPeer,
    _ now: UInt64, _ effects: inout [ViewEffect]
  ) {
    guard isVoting, target == nil, token != .none, case .node(let key) = sender, key.nodeID == ballot.node else {
      return
    }
    guard !mutex.isStale(ballot) else {
      let answer = ViewMessage.denied(
        view: view.number, ballot, highest: mutex.highest ?? ballot, leftMicroseconds: 0)
      return send(answer, to: sender, &effects)
    }
    let bytes = ballot.voteBytes(cluster: configuration.cluster, view: view.number)
    guard
      certificate.isValid(bytes, electors: view.members, register: register, signatures: signatures, defects)
    else { return }
    let admission = Admission(publicKey: key, name: name, token: token, leaseRound: ballot.round)
    if wish.admissions.contains(admission) { return }
    // One joiner at a time: who held the mutex before has lost it.
    wish.admissions.removeAll { $0.publicKey != key }
    propose(MembershipWish(admissions: [admission]), fence: ballot, now, &effects)
  }

  // MARK: Joiners

  /// Starts to ask for membership. Repeated calls change nothing.
  /// - Source: `Tests/Model`, rules 15, 18 and 21.
  mutating func join(name: String, token: StoreToken, _ now: UInt64, _ effects: inout [ViewEffect]) {
    guard me == nil, entering == nil, token != .none, name.utf8.count <= Limits.nameBytesMax else { return }
    if let joiner, joiner.token == token { return }
    if records.store != token { persist([.store(token)], &effects) }
    joiner = Joiner(
      name: name, token: token, state: .resting(untilMicroseconds: now),
      ballot: LeaseBallot(round: 0, node: signatures.publicKey.nodeID),
      sponsor: Int(generator.below(UInt64(Limits.membersMax))))
    tickJoiner(now, &effects)
  }

  mutating func tickJoiner(_ now: UInt64, _ effects: inout [ViewEffect]) {
    // Admitted already, if only the base were here.
    guard let joiner, entering == nil, target == nil else { return }
    switch joiner.state {
    case .resting(let until):
      guard hearsMajority else {
        // It is not others that were faster: once there is a majority, it is asked at once.
        self.joiner?.attempts = 0
        self.joiner?.state = .resting(untilMicroseconds: now)
        return
      }
      if now >= until { askForLease(now, &effects) }
    case .asking(let since):
      let patience = ViewLimits.leaseRequestMicroseconds << min(joiner.attempts, 8)
      if now >= since + min(patience, ViewLimits.leaseRequestMicrosecondsMax) {
        giveBackLease(now, &effects)
      }
    case .holding(let until, let next):
      if now >= until {
        giveBackLease(now, &effects)
      } else if now >= next {
        askSponsor(until: until, now, &effects)
      }
    }
  }

  private mutating func askForLease(_ now: UInt64, _ effects: inout [ViewEffect]) {
    guard var joiner else { return }
    let round = max(records.leaseRound, joiner.roundSeen) + 1
    guard round < ViewLimits.numberMax else { return }
    // On disk first, so that no attempt is ever made twice.
    persist([.leaseRound(round)], &effects)
    joiner.ballot = LeaseBallot(round: round, node: signatures.publicKey.nodeID)
    joiner.votes.removeAll()
    joiner.denied.removeAll()
    joiner.state = .asking(sinceMicroseconds: now)
    self.joiner = joiner
    for member in view.members {
      send(.lease(view: view.number, joiner.ballot), to: .origin(member), after: lastPersist, &effects)
    }
  }

  private mutating func giveBackLease(_ now: UInt64, _ effects: inout [ViewEffect]) {
    guard let joiner else { return }
    // The more often somebody else was faster, the longer: as many as there are then find their turns.
    let spread = ViewLimits.leaseBackoffMicroseconds << min(joiner.attempts, ViewLimits.leaseBackoffDoublingsMax)
    var wait = ViewLimits.leaseBackoffMicroseconds + generator.below(spread)
    // But no longer than votes are lent, if that is why. They may come back before, so it asks meanwhile, too.
    if let left = joiner.leftMicroseconds(of: view, nowMicroseconds: now) {
      wait = min(wait, left + joiner.jitter(ViewLimits.leaseReturnMicroseconds))
    }
    self.joiner?.attempts += 1
    self.joiner?.state = .resting(untilMicroseconds: now + wait)
    for member in view.members {
      send(.release(view: view.number, joiner.ballot), to: .origin(member), after: lastPersist, &effects)
    }
  }

  mutating func leaseGranted(
    _ ballot: LeaseBallot, _ vote: Signature, by member: OriginIndex, _ now: UInt64, _ effects: inout [ViewEffect]
  ) {
    guard let joiner, joiner.ballot == ballot, case .asking(let since) = joiner.state,
      !joiner.votes.contains(where: { $0.member == member }), let key = register[member]?.publicKey
    else { return }
    let bytes = ballot.voteBytes(cluster: configuration.cluster, view: view.number)
    guard signatures.isValid(vote, of: bytes, by: key) else { return }
    self.joiner?.votes.append(Certificate.Vote(member: member, signature: vote))
    guard joiner.votes.count + 1 >= view.majority else { return }
    // Counted from before the first member can have granted it.
    let until = since + ViewLimits.leaseMicroseconds - ViewLimits.leaseMarginMicroseconds
    guard now < until else { return }
    effects.append(.leaseTaken(ballot))
    askSponsor(until: until, now, &effects)
  }

  mutating func leaseDenied(
    _ ballot: LeaseBallot, highest: LeaseBallot, leftMicroseconds: UInt64, by member: OriginIndex, _ now: UInt64,
    _ effects: inout [ViewEffect]
  ) {
    guard let joiner, joiner.ballot == ballot else { return }
    self.joiner?.roundSeen = max(joiner.roundSeen, highest.round)
    if case .resting = joiner.state { return }
    if !joiner.denied.contains(where: { $0.member == member }) {
      self.joiner?.denied.append(Joiner.Denial(member: member, untilMicroseconds: now + leftMicroseconds))
    }
    // A later ballot that only some have granted leaves the majority that this one has.
    let denied = self.joiner?.denied.count ?? 0
    if denied > view.members.count - view.majority {
      giveBackLease(now, &effects)
    } else if case .holding(let until, _) = joiner.state {
      self.joiner?.state = .holding(untilMicroseconds: until, nextJoinMicroseconds: now)
    }
  }

  private mutating func askSponsor(until: UInt64, _ now: UInt64, _ effects: inout [ViewEffect]) {
    // Who it was before may be a member still, and sponsors nobody.
    let sponsors = view.members.filter { register[$0]?.publicKey != signatures.publicKey }
    guard var joiner, !sponsors.isEmpty else { return }
    joiner.state = .holding(
      untilMicroseconds: until, nextJoinMicroseconds: now + ViewLimits.joinResendMicroseconds)
    joiner.sponsor = (joiner.sponsor + 1) % sponsors.count
    self.joiner = joiner
    let message = ViewMessage.join(
      view: view.number, joiner.ballot, name: joiner.name, token: joiner.token, Certificate(votes: joiner.votes))
    send(message, to: .origin(sponsors[joiner.sponsor]), after: lastPersist, &effects)
  }
}
