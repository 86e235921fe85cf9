import EventLog
import Primitives

/// What every member does: promise, accept, enter what was decided.
extension ViewChange {
  // MARK: Promise

  /// - Source: `Tests/Model`, rule 9.
  mutating func prepare(
    _ ballot: Ballot, fence: LeaseBallot?, from proposer: OriginIndex, _ now: UInt64, _ effects: inout [ViewEffect]
  ) {
    roundSeen = max(roundSeen, ballot.round)
    if let fence, mutex.isStale(fence) {
      let nack = ViewMessage.nack(
        view: view.number, ballot, promised: promised ?? Ballot(round: 0, rank: 0), fence: mutex.highest)
      return send(nack, to: .origin(proposer), &effects)
    }
    if let promised, ballot <= promised {
      guard ballot == promised else {
        let nack = ViewMessage.nack(view: view.number, ballot, promised: promised, fence: nil)
        return send(nack, to: .origin(proposer), &effects)
      }
      // Else the answer waits for its commit already.
      guard promisePersist <= durable else { return }
      owedPromise = proposer
      return answerPrepare(now, &effects)
    }
    wedge(&effects)
    promise(ballot, with: [], now, &effects)
    promisePersist = lastPersist
    owedPromise = proposer
    answerPrepare(now, &effects)
  }

  /// Stops beats and acks.
  private mutating func wedge(_ effects: inout [ViewEffect]) {
    guard !isWedged else { return }
    isWedged = true
    facts = nil
    effects.append(.wedged(view: view.number))
  }

  /// Asks for the commit of a promise, and of what goes with it.
  private mutating func promise(
    _ ballot: Ballot, with others: [ViewRecord], _ now: UInt64, _ effects: inout [ViewEffect]
  ) {
    persist([.promise(PromiseRecord(view: view.number, ballot: ballot))] + others, &effects)
    if let own = proposal?.ballot, own < ballot { proposal = nil }
    rearm(now)
  }

  /// Sends the PROMISE that is owed, once it is known what is acked.
  mutating func answerPrepare(_ now: UInt64, _ effects: inout [ViewEffect]) {
    guard let proposer = owedPromise, let facts, let promised, proposer.int < value.origins.count,
      rank(of: proposer) == promised.rank
    else { return }
    owedPromise = nil
    // What is about to be accepted is reported: its commit was asked for before.
    let report = accepted.map { ViewMessage.Accepted(ballot: $0.ballot, value: $0.value) }
    let after = defects.contains(.promiseNotDurable) ? 0 : max(promisePersist, acceptedPersist)
    send(
      .promise(view: view.number, promised, facts, accepted: report), to: .origin(proposer), after: after, &effects)
  }

  // MARK: Accept

  /// - Source: `Tests/Model`, rule 11.
  mutating func accept(
    _ ballot: Ballot, _ value: ViewValue, from proposer: OriginIndex, _ now: UInt64, _ effects: inout [ViewEffect]
  ) {
    roundSeen = max(roundSeen, ballot.round)
    if let promised, ballot < promised {
      let nack = ViewMessage.nack(view: view.number, ballot, promised: promised, fence: nil)
      return send(nack, to: .origin(proposer), &effects)
    }
    guard value.number == view.number + 1, value.canFollow(self.value, defects) else { return }
    let hash = value.hash
    if let accepted, accepted.ballot == ballot {
      // A ballot never carries a second value.
      guard accepted.value.hash == hash, acceptedPersist <= durable else { return }
      return sayAccepted(ballot, hash, to: proposer, &effects)
    }
    if let pending = pendingAccept {
      guard ballot >= pending.ballot, ballot > pending.ballot || hash == pending.hash else { return }
      if ballot == pending.ballot { return }
    }
    pendingAccept = PendingAccept(ballot: ballot, value: value, hash: hash, from: proposer)
    rearm(now)
    if heldValues.contains(hash) || defects.contains(.noFlush) {
      acceptPending(now, &effects)
    } else {
      effects.append(.needsEntries(value, valueHash: hash))
    }
  }

  /// The base of a value is held: accepts it, and enters it if it is decided.
  mutating func holdsBase(_ hash: Hash256, _ now: UInt64, _ effects: inout [ViewEffect]) {
    if !heldValues.contains(hash) {
      if heldValues.count >= Limits.membersMax { heldValues.removeFirst() }
      heldValues.append(hash)
    }
    if pendingAccept?.hash == hash { acceptPending(now, &effects) }
    enterTarget(&effects)
  }

  private mutating func acceptPending(_ now: UInt64, _ effects: inout [ViewEffect]) {
    guard isVoting, let pending = pendingAccept else { return }
    pendingAccept = nil
    if let promised, pending.ballot < promised { return }
    wedge(&effects)
    let record = AcceptedRecord(view: view.number, ballot: pending.ballot, value: pending.value)
    promise(pending.ballot, with: [.accepted(record)], now, &effects)
    promisePersist = lastPersist
    acceptedPersist = lastPersist
    sayAccepted(pending.ballot, pending.hash, to: pending.from, &effects)
  }

  private mutating func sayAccepted(
    _ ballot: Ballot, _ hash: Hash256, to proposer: OriginIndex, _ effects: inout [ViewEffect]
  ) {
    let bytes = Decision.voteBytes(
      cluster: configuration.cluster, view: view.number, ballot: ballot, electors: view.members, valueHash: hash)
    let message = ViewMessage.accepted(
      view: view.number, ballot, valueHash: hash, vote: signatures.sign(bytes))
    let after = defects.contains(.acceptedNotDurable) ? 0 : acceptedPersist
    send(message, to: .origin(proposer), after: after, &effects)
  }

  // MARK: Decided

  /// - Precondition: the decision is proven, and newer than all that is known.
  /// - Source: `Tests/Model`, rules 13 and 21.
  mutating func learn(_ decision: Decision, _ now: UInt64, _ effects: inout [ViewEffect]) {
    target = decision
    effects.append(.decided(decision))
    if entering == nil, let me, !decision.value.members.contains(ViewMember(origin: me, token: records.store)),
      !defects.contains(.ignoresToken) || !decision.value.contains(me)
    {
      becomeNobody()
      effects.append(.sealed(me, decision))
    }
    let hash = decision.value.hash
    if heldValues.contains(hash) || defects.contains(.noFlush) {
      enterTarget(&effects)
    } else {
      effects.append(.needsEntries(decision.value, valueHash: hash))
    }
  }

  /// Enters the decided view, if its base is held.
  mutating func enterTarget(_ effects: inout [ViewEffect]) {
    guard entering == nil, let decision = target else { return }
    guard heldValues.contains(decision.value.hash) || defects.contains(.noFlush) else { return }
    let value = decision.value
    let member = value.member(publicKey: signatures.publicKey, token: records.store, defects)
    if me != nil { wedge(&effects) }
    var changes: [ViewRecord] = [.view(decision)]
    if let member, member.origin != me {
      changes.append(.identity(IdentityRecord(origin: member.origin, token: member.token)))
      changes.append(.ceiling(value.floor))
    }
    persist(changes, &effects)
    entering = (lastPersist, decision, member?.origin)
    target = nil
    proposal = nil
    effects.append(.entering(decision, lastPersist))
  }

  mutating func finishEntering(_ now: UInt64, _ effects: inout [ViewEffect]) {
    guard let (persist, decision, identity) = entering, persist <= durable else { return }
    entering = nil
    let before = value
    let spent = now - (wedgedSinceMicroseconds ?? now)
    changeMicroseconds = max(spent, changeMicroseconds / 2)
    leaveView()
    records.view = decision
    records.promise = nil
    records.accepted = nil
    view = decision.value.view
    me = identity
    mutex = JoinMutex(nowMicroseconds: now, hasRestarted: false, defects)
    if let identity {
      records.identity = IdentityRecord(origin: identity, token: records.store)
      joiner = nil
    } else {
      // A lease is one view's.
      joiner?.state = .resting(untilMicroseconds: now)
    }
    startProbation(after: before, now)
    effects.append(.entered(view, me: me))
    if me != nil { effects.append(.unwedged(view: view.number)) }
    guard let decision = target else { return }
    // A later view was decided meanwhile.
    target = nil
    if decision.number > view.number { learn(decision, now, &effects) }
  }
}
