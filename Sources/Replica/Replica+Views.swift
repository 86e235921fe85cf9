import EventLog
import Gossip
import Membership
import Primitives

/// What the way from one view to the next asks of the log, the book and the disk.
///
/// `ViewChange` decides; here its effects are carried out: beats and acks stop and start, bases are fetched, sealed
/// logs are cut, records join commits.
extension Replica {
  /// Values whose base is being fetched, at once; the oldest gives way.
  static let pendingBasesMax = 16

  /// Gives the view change one input, and does what it wants done.
  mutating func change(_ input: ViewInput, _ now: LogicalTime, _ effects: inout [Effect]) {
    var inputs = [input]
    var wanted: [ViewEffect] = []
    while !inputs.isEmpty {
      let next = inputs.removeFirst()
      views.step(next, nowMicroseconds: now.monotonicMicroseconds, &wanted)
      // Answers wait until all of this is done: what is sent may rest on a commit that is asked for further down.
      for effect in wanted { carryOut(effect, &inputs, now, &effects) }
      wanted.removeAll(keepingCapacity: true)
    }
  }

  private mutating func carryOut(
    _ effect: ViewEffect, _ inputs: inout [ViewInput], _ now: LogicalTime, _ effects: inout [Effect]
  ) {
    switch effect {
    case .persist(let number, let records):
      for record in records { persist(record, &effects) }
      membership.commits.append((number, nextCommit))
      isCommitDue = true
    case .send(let peer, let message, let persist):
      guard let index = self.peer(peer) else { return }
      effects.append(.send(to: index, .view(message), after: membership.commit(of: persist)))
    case .wedged(let number):
      effects.append(.notice(.wedged(view: number)))
      inputs.append(.facts(facts))
    case .unwedged: break
    case .needsEntries(let value, let hash): fetchBase(of: value, hash, &inputs, &effects)
    case .decided(let decision): grow(decision.value.register)
    case .entering(let decision, _): cut(decision.value, now, &effects)
    case .entered(let view, let me): enter(view, me: me, now, &effects)
    case .sealed(let origin, _): wasSealed(origin, &effects)
    case .leaseTaken: membership.leasesTaken += 1
    }
  }

  /// The node behind a name of the view change, if there is a link to it.
  private func peer(_ peer: ViewPeer) -> PeerIndex? {
    switch peer {
    case .node(let key): peers.peer(with: key)
    case .origin(let origin): register[origin].flatMap { peers.peer(with: $0.publicKey) }
    }
  }

  private mutating func persist(_ record: ViewRecord, _ effects: inout [Effect]) {
    var record = record
    if case .ceiling(let floor) = record {
      // That of who it was before binds it no more, and may be far ahead.
      record = .ceiling(floor)
      pendingCeiling = floor
    }
    effects.append(.persist(key: record.key.rawValue, value: record.bytes))
  }

  /// Commits up to this one are durable.
  mutating func becameDurable(_ commit: CommitNumber, _ now: LogicalTime, _ effects: inout [Effect]) {
    guard let persist = membership.becameDurable(commit) else { return }
    change(.durable(persist), now, &effects)
  }

  /// All that was ever acked, and how far promises may have gone.
  ///
  /// What was on disk at the start may have been acked before; what came since has been if it is believed. What waits
  /// for its time has not.
  private var facts: ViewFacts {
    let heads = (0..<min(views.value.origins.count, sequencer.logs.count)).map { place in
      let recovered = place < membership.recovered.count ? membership.recovered[place] : nil
      let acked = sequencer.logs[place].acked
      return recovered.flatMap { $0.sequence > acked.sequence ? $0 : nil } ?? acked
    }
    return ViewFacts(
      acks: heads.map { $0.sequence == 0 ? Head(sequence: 0, hash: .zero) : $0 }, ceiling: durableCeiling,
      // What is not believed here is not for others to go by.
      checkpoints: !health.state.serves
        ? []
        : keeper.list.recent(ViewLimits.checkpointsMax).map {
          CheckpointReport(number: $0.number, hash: $0.hash)
        })
  }

  /// Whether beats and acks have stopped: the view is being changed.
  var hasPromisedToChange: Bool { views.isWedged && !configuration.defects.contains(.noWedge) }

  // MARK: Origins

  /// Makes room for origins that were admitted since.
  mutating func grow(_ newer: Register) {
    guard newer.count > sequencer.logs.count else { return }
    register = newer
    for place in sequencer.logs.count..<newer.count {
      let start = HashChain.start(cluster: configuration.cluster, origin: newer.origins[place].origin, sha)
      sequencer.add(OriginLog(origin: OriginIndex(UInt32(place)), chainStart: start))
      quarantines.append(Quarantine())
      noticedForks.append(false)
      membership.cuts.append(nil)
      membership.believed.append(0)
    }
    gossip.grow(origins: newer.count)
    peers.refresh(newer)
  }

  /// Where an origin's log ends, as a view says.
  mutating func noteCut(_ origin: OriginIndex, _ value: ViewValue) {
    guard origin.int < value.base.count else { return }
    membership.believed[origin.int] = max(membership.believed[origin.int], value.base[origin.int].sequence)
    guard let cut = value.cut(of: origin) else { return }
    membership.cuts[origin.int] = cut
    gossip.cut(origin, at: cut)
  }

  // MARK: Base

  private mutating func fetchBase(
    of value: ViewValue, _ hash: Hash256, _ inputs: inout [ViewInput], _ effects: inout [Effect]
  ) {
    if holds(value, &effects) { return inputs.append(.holdsBase(valueHash: hash)) }
    learn(value)
    guard !membership.bases.contains(where: { $0.hash == hash }) else { return }
    if membership.bases.count >= Self.pendingBasesMax { membership.bases.removeFirst() }
    membership.bases.append((value, hash))
  }

  private mutating func learn(_ value: ViewValue) {
    for (place, head) in value.base.enumerated() where head.sequence > 0 {
      gossip.learn(OriginIndex(UInt32(place)), exists: head.sequence, offered: true)
    }
  }

  /// Whether something of a base is missing. Who is wedged says no more what it holds: it is asked.
  var awaitsBase: Bool { !membership.bases.isEmpty || !membership.holdsBase }

  /// Whether every entry up to a value's base is on disk here, and no other in its place.
  private mutating func holds(_ value: ViewValue, _ effects: inout [Effect]) -> Bool {
    guard agrees(with: value.checkpoint, &effects) else { return false }
    for (place, head) in value.base.enumerated() where head.sequence > 0 {
      // Whom a value admits has written nothing yet; and not before it is decided is there a place for it.
      guard place < sequencer.logs.count else { return false }
      guard sequencer.logs[place].durable >= head.sequence else { return false }
      if let mine = sequencer.logs[place].hash(at: head.sequence) {
        if mine != head.hash {
          noticeFork(OriginIndex(UInt32(place)), head.sequence, from: nil, &effects)
          return false
        }
      } else if sequencer.logs[place].final < head.sequence {
        // It names the end of a batch; in memory is all that is not final.
        return false
      }
    }
    return true
  }

  /// Whether the checkpoint of a value is one of this replica's. What is not closed here yet, or not kept any more, is
  /// not known to differ.
  private mutating func agrees(with report: CheckpointReport?, _ effects: inout [Effect]) -> Bool {
    // Whose book is not believed has a sound log all the same, and the view rests on that.
    guard health.state.serves, let report, case .kept(let mine) = keeper.list.find(report.number),
      mine.hash != report.hash
    else {
      return true
    }
    guard noticedCheckpoint != report.number else { return false }
    noticedCheckpoint = report.number
    effects.append(.notice(.checkpointContradicted(number: report.number, mine: mine.hash, theirs: report.hash)))
    health.wantsCheck = true
    return false
  }

  /// After the log has been read: is what the present view rests on still there?
  mutating func checkPresentBase() {
    membership.holdsBase = true
    for (place, head) in views.value.base.enumerated() where sequencer.logs[place].durable < head.sequence {
      membership.holdsBase = false
      gossip.learn(OriginIndex(UInt32(place)), exists: head.sequence, offered: true)
    }
  }

  /// Looks whether something that was asked for is here now.
  mutating func checkBases(_ now: LogicalTime, _ effects: inout [Effect]) {
    if !membership.holdsBase {
      checkPresentBase()
      if membership.holdsBase { acknowledgeAll() }
    }
    guard !membership.bases.isEmpty else { return }
    let pending = membership.bases
    membership.bases.removeAll()
    var held: [Hash256] = []
    for base in pending where base.value.number > view.number {
      if holds(base.value, &effects) {
        held.append(base.hash)
      } else {
        membership.bases.append(base)
        // Nobody may have been known to have it.
        learn(base.value)
      }
    }
    for hash in held { change(.holdsBase(valueHash: hash), now, &effects) }
  }

  // MARK: Entering

  /// A view is about to be entered: in the same commit, what sealed origins wrote past their base is cut off.
  private mutating func cut(_ value: ViewValue, _ now: LogicalTime, _ effects: inout [Effect]) {
    // What came in during this turn is settled first: it may be part of what is cut.
    var actions: [GossipAction] = []
    acceptGrowth(&actions, &effects)
    emit(actions, after: 0, &effects)
    // Likewise what this node took as the member that it no longer is; nobody needs it from here on.
    if membership.former != nil {
      for batch in ownSealed { append(batch, &effects) }
      ownSealed.removeAll()
    }
    for place in value.base.indices {
      let origin = OriginIndex(UInt32(place))
      noteCut(origin, value)
      guard value.cut(of: origin) != nil, sequencer.logs[place].held.sequence > value.base[place].sequence else {
        continue
      }
      void(origin, after: value.base[place], now, &effects)
    }
    membership.former = nil
    // What waited for its time and is part of the base is believed now.
    reveal(now, &effects)
  }

  private mutating func void(
    _ origin: OriginIndex, after head: Head, _ now: LogicalTime, _ effects: inout [Effect]
  ) {
    let place = origin.int
    guard sequencer.logs[place].final <= head.sequence else {
      return effects.append(
        .halt(
          "origin \(origin) was sealed at \(head.sequence), and \(sequencer.logs[place].final) of its entries are "
            + "final here: this must not be. Keep the data directories of all nodes and report it"))
    }
    if let key = sequencer.logs[place].key(after: head.sequence) { rollBack(through: key, now, &effects) }
    let end = head.sequence == 0 ? sequencer.logs[place].chainStart : head.hash
    let before = sequencer.logs[place].held.sequence
    let batches = sequencer.logs[place].cut(to: Head(sequence: head.sequence, hash: end))
    effects.append(.void(origin, after: head.sequence))
    isCommitDue = true
    effects.append(.notice(.voided(origin, after: head.sequence, entries: before - head.sequence)))
    if isOwn(origin) { wasVoided(batches, &effects) }
  }

  private mutating func enter(_ entered: View, me: OriginIndex?, _ now: LogicalTime, _ effects: inout [Effect]) {
    let before = self.me
    view = entered
    self.me = me
    membership.holdsBase = true
    membership.viewChanges += 1
    membership.bases.removeAll { $0.value.number <= entered.number }
    effects.append(.notice(.entered(entered, me: me)))
    enterGossip()
    lastBeat = nil
    if let me, me != before {
      hasJoined = true
      durableCeiling = views.value.floor
      // What nobody else believes is no beginning for another name.
      if HybridClock.isQuarantined(clock.last, nowMilliseconds: now.wallMilliseconds) { clock = HybridClock() }
      publisher.restart(newestAttestedCheckpoint)
      becomeMember(me)
      for peer in gossip.connectedPeers {
        if let record = addresses[me] { effects.append(.send(to: peer, .addresses([record]), after: 0)) }
      }
    } else {
      detector?.setMembers(entered)
    }
    if me == nil { detector = nil }
    acknowledgeAll()
    acceptStrangers(now, &effects)
    // The view is durable, so everything may be told at once.
    sendHeartbeats(force: true, isIdle: false, now, &effects)
  }

  /// This node writes as `me` from here on.
  mutating func becomeMember(_ me: OriginIndex) {
    open = BatchBuilder(origin: me, firstSequence: sequencer.logs[me.int].held.sequence + 1)
    if !configuration.defects.contains(.noFloor) { clock.merge(views.value.floor) }
    addresses.insert(
      AddressRecord(
        origin: me, bootMilliseconds: configuration.bootMilliseconds, address: configuration.listenAddress,
        cluster: configuration.cluster, signatures: signatures))
    // It knows of nobody yet that is silent, so it would never say of anybody that he is heard again.
    detector = FailureDetector(me: me, view: view, configuration: configuration.detector, seed: generator.next())
    membership.silent.removeAll()
  }

  /// A decided view is without this node: from here on it takes no orders and says nothing as a member.
  private mutating func wasSealed(_ origin: OriginIndex, _ effects: inout [Effect]) {
    // What was taken in this turn is part of the log that was sealed, and of what is void of it.
    sealOpenBatch()
    membership.former = origin
    becomeNobody()
    if !membership.isLeaving { effects.append(.notice(.sealed(origin))) }
    if membership.isLeaving { effects.append(.left) }
  }

  /// From here on this node says nothing as a member, until it is one again.
  mutating func becomeNobody() {
    me = nil
    lastBeat = nil
    detector = nil
    hasJoined = false
    confirmedBy.removeAll()
    hasBeaten = false
    ownLogClaim = nil
    ledger.forgetOwn()
    enterGossip()
  }

  private mutating func enterGossip() {
    let directory = peers
    let members = view
    gossip.enter(members, me: me) { directory.origin(of: $0).map { members.contains($0) } ?? false }
  }
}
