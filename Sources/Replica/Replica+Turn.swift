import EventLog
import Gossip
import OrderBook
import Primitives

/// Turns, commits and timers.
extension Replica {
  // MARK: Recovery

  mutating func recover(_ batch: Batch, _ now: LogicalTime, _ effects: inout [Effect]) {
    precondition(!hasRecovered)
    let index = batch.origin.int
    // What was known final before the restart needs no undo journal: apply it as it comes. Batches arrive by first
    // stamp, so everything below this one's is here.
    let floor = min(Stamp(batch.firstStamp.value - 1), configuration.finalStamp)
    applyRecovered(through: floor, &effects)
    if batch.origin == me { notePublished(batch) }
    sequencer.append(batch)
    sequencer.logs[index].becameDurable(through: batch.lastSequence)
    // What is this node's own, or was final before the restart, is believed even if the clock has jumped back since:
    // nothing later may become final without it.
    let isBelieved =
      batch.origin == me || batch.firstStamp <= configuration.finalStamp
      || batch.lastSequence <= views.value.base[index].sequence
    _ = sequencer.logs[index].reveal(nowMilliseconds: isBelieved ? .max : now.wallMilliseconds)
    clock.merge(min(batch.lastStamp, batch.origin == me ? batch.lastStamp : configuration.finalStamp))
  }

  private mutating func applyRecovered(through stamp: Stamp, _ effects: inout [Effect]) {
    guard stamp > .zero else { return }
    while !closeCheckpoints(through: stamp, &effects) {}
    while sequencer.apply(through: stamp, atMost: Self.applicationsPerStepMax) > 0 {
      finalizeApplied(through: stamp, &effects)
    }
  }

  mutating func finishRecovery(_ now: LogicalTime, _ effects: inout [Effect]) {
    applyRecovered(through: configuration.finalStamp, &effects)
    clock.merge(configuration.clockCeiling)
    membership.recovered = sequencer.logs.map(\.onDisk)
    checkPresentBase()
    acknowledgeAll()
    if let me { open = BatchBuilder(origin: me, firstSequence: sequencer.logs[me.int].held.sequence + 1) }
    noticeLostVoidTail(&effects)
    hasRecovered = true
    // What was closed while the log was read is on no disk yet, or this is a file of an older version.
    if keeper.list.newest != nil { effects.append(.keepCheckpoints(keeper.list)) }
    resumeHealth(&effects)
    isPastCeiling = median.isSet && now.wallMilliseconds > configuration.clockCeiling.milliseconds
  }

  // MARK: A turn

  /// Ends a turn: seals the own batch, checks and appends what came in, offers it on, applies, reports, commits.
  mutating func flush(_ now: LogicalTime, _ effects: inout [Effect]) {
    guard hasRecovered else { return }
    resubmit(now, &effects)
    publish(now)
    sealOpenBatch()
    var actions: [GossipAction] = []
    let sealed = ownSealed
    ownSealed.removeAll(keepingCapacity: true)
    for batch in sealed {
      append(batch, &effects)
      journal.note(batch, from: nil, ownWallMilliseconds)
      gossip.offer(batch, from: nil, &actions)
    }
    // Own batches wait for the commit; everything else may go now.
    emit(actions, after: nextCommit, &effects)
    actions.removeAll(keepingCapacity: true)
    acceptGrowth(&actions, &effects)
    reveal(now, &effects)
    gossip.repair(
      nowMicroseconds: now.monotonicMicroseconds, held: { [logs = sequencer.logs] in logs[$0.int].held.sequence },
      &actions)
    emit(actions, after: 0, &effects)
    checkBases(now, &effects)
    advance(now, &effects)
    peers.endTurn()
    takeCeilingAlong(now, &effects)
    if isCommitDue { startCommit(&effects) }
  }

  mutating func append(_ batch: Batch, _ effects: inout [Effect]) {
    effects.append(.append(batch))
    pendingHeads.append((batch.origin, batch.lastSequence))
    isCommitDue = true
  }

  mutating func startCommit(_ effects: inout [Effect]) {
    inFlight.append((nextCommit, pendingHeads, pendingCeiling))
    pendingHeads.removeAll(keepingCapacity: true)
    pendingCeiling = nil
    isCommitDue = false
    effects.append(.commit(nextCommit))
    nextCommit += 1
  }

  mutating func committed(_ number: CommitNumber, _ now: LogicalTime, _ effects: inout [Effect]) {
    var touched = false
    while let first = inFlight.first, first.commit <= number {
      for (origin, sequence) in first.heads {
        sequencer.logs[origin.int].becameDurable(through: sequence)
        acknowledge(origin.int)
        touched = true
      }
      if let ceiling = first.ceiling { durableCeiling = max(durableCeiling, ceiling) }
      inFlight.removeFirst()
    }
    becameDurable(number, now, &effects)
    guard hasRecovered else { return }
    heartbeat(force: touched, now, &effects)
    checkBases(now, &effects)
    advance(now, &effects)
    if isCommitDue { startCommit(&effects) }
  }

  mutating func tick(_ now: LogicalTime, _ effects: inout [Effect]) {
    guard hasRecovered else { return }
    let micros = now.monotonicMicroseconds
    // By the time that most go by: the own clock may have been set.
    if median.isSet, now.wallMilliseconds > configuration.clockCeiling.milliseconds { isPastCeiling = true }
    for address in dueAddresses(micros) { effects.append(.dial(address)) }
    expireClaim(now, &effects)
    tickMembership(now, &effects)
    tickSnapshots(now, &effects)
    if health.state.serves { noticeMissingFills(now, &effects) }
    tickHealth(now, &effects)
    flush(now, &effects)
    lookForSilence(now, &effects)
    heartbeat(force: false, now, &effects)
    if let peer = gossip.roundPeer(nowMicroseconds: micros, isUrgent: awaitsBase) {
      effects.append(.send(to: peer, .digest(digest(isAnswer: false)), after: 0))
      // A message may be lost without the connection: now and then somebody is told again where everybody is.
      rounds += 1
      sequencer.rest(view.members)
      if rounds % Self.roundsPerAddresses == 0 { effects.append(.send(to: peer, .addresses(addresses.all), after: 0)) }
    }
    if isCommitDue { startCommit(&effects) }
  }

  func emit(_ actions: [GossipAction], after commit: CommitNumber, _ effects: inout [Effect]) {
    for action in actions {
      switch action {
      case .send(let peer, let message): effects.append(.send(to: peer, message, after: commit))
      case .serve(let peer, let range): effects.append(.serve(to: peer, range))
      case .dial(let address): effects.append(.dial(address))
      }
    }
  }

  // MARK: Frontiers

  /// Tells the others what is on disk here, and promises not to write below this node's time while anything waits to
  /// become final: an entry, or the end of an order whose date has come.
  private mutating func heartbeat(force: Bool, _ now: LogicalTime, _ effects: inout [Effect]) {
    // What was promised in another view counts no more: who came since needs a promise to make things final.
    let isIdle =
      sequencer.tentative == 0 && !force && (me == nil || lastBeat != nil) && !awaitsExpiry(now)
      && !awaitsCheckpoint(now)
    // An idle node repeats its last promise: a link may have lost it.
    if !isIdle, let beat = promise(now, &effects) { lastBeat = beat }
    sendHeartbeats(force: force, isIdle: isIdle, now, &effects)
  }

  /// A member that has promised to change the view says no more than that it is there; so does one that is none.
  mutating func sendHeartbeats(force: Bool, isIdle: Bool, _ now: LogicalTime, _ effects: inout [Effect]) {
    let isSilent = me == nil || hasPromisedToChange || !membership.holdsBase
    var actions: [GossipAction] = []
    gossip.heartbeats(
      beat: isSilent ? nil : lastBeat, durable: isSilent ? [] : durableHeads, force: force, isIdle: isIdle,
      wallMilliseconds: ownWallMilliseconds, nowMicroseconds: now.monotonicMicroseconds, &actions)
    if !isSilent, gossip.isAskedForWord { tellWord(beat: lastBeat, durable: durableHeads, now, &actions) }
    emit(actions, after: 0, &effects)
  }

  /// Of logs that may still grow, what is on disk here.
  private var durableHeads: [(origin: OriginIndex, head: Head)] {
    view.members.map { ($0, sequencer.logs[$0.int].acked) }
  }

  /// This node's own acks count from here on as well, unless it has stopped to ack.
  mutating func acknowledge(_ index: Int) {
    guard me != nil, !hasPromisedToChange, membership.holdsBase else { return }
    gossip.acknowledge(Ack(origin: sequencer.logs[index].origin, head: sequencer.logs[index].acked))
  }

  mutating func acknowledgeAll() {
    for index in sequencer.logs.indices { acknowledge(index) }
  }

  /// A beat covers the own log up to its last durable batch: with entries beyond that, nothing above their stamps may
  /// be promised yet.
  private mutating func promise(_ now: LogicalTime, _ effects: inout [Effect]) -> Beat? {
    // Who does not know yet whether its disk has all of its log cannot say that nothing more is in it.
    guard let me, isPastCeiling, isConfirmed, median.isSet, membership.holdsBase, !hasPromisedToChange else {
      return nil
    }
    hasBeaten = true
    let log = sequencer.logs[me.int]
    guard log.acked.sequence == log.held.sequence, open.isEmpty, ownSealed.isEmpty else { return nil }
    let wanted = clock.advance(nowMilliseconds: now.wallMilliseconds)
    // Renewed at half its reach, so that it seldom holds a promise back.
    renewCeiling(for: wanted, atLeastAheadMilliseconds: Self.ceilingAheadMilliseconds / 2, &effects)
    let promised = min(wanted, durableCeiling)
    guard promised >= log.heldStamp else { return nil }
    let beat = Beat(promise: promised, head: log.acked)
    gossip.promise(beat)
    return beat
  }

  /// Puts a new ceiling into the next commit if what is durable, or about to be, reaches less far than wanted.
  private mutating func renewCeiling(
    for wanted: Stamp, atLeastAheadMilliseconds least: UInt64, _ effects: inout [Effect]
  ) {
    let enough = wanted.milliseconds + least
    guard (pendingCeiling ?? durableCeiling).milliseconds < enough,
      inFlight.allSatisfy({ ($0.ceiling?.milliseconds ?? 0) < enough })
    else { return }
    let ahead = Stamp(milliseconds: wanted.milliseconds + Self.ceilingAheadMilliseconds)
    var writer = ByteWriter()
    writer.writeFixed(ahead.value)
    effects.append(.persist(key: RecordKey.clockCeiling, value: writer.bytes))
    pendingCeiling = ahead
    isCommitDue = true
  }

  /// A commit of the log takes along a ceiling that would soon need a commit of its own, for which orders would wait.
  private mutating func takeCeilingAlong(_ now: LogicalTime, _ effects: inout [Effect]) {
    guard me != nil, isPastCeiling, !hasPromisedToChange, !pendingHeads.isEmpty else { return }
    let wanted = Stamp(milliseconds: max(now.wallMilliseconds, clock.last.milliseconds))
    renewCeiling(for: wanted, atLeastAheadMilliseconds: Self.ceilingAheadMilliseconds * 3 / 4, &effects)
  }

  /// Applies what may be applied, makes final what is, and reports.
  mutating func advance(_ now: LogicalTime, _ effects: inout [Effect]) {
    let micros = now.monotonicMicroseconds
    if membership.holdsBase { _ = gossip.updateFrontier(held: { [logs = sequencer.logs] in logs[$0.int].visible }) }
    guard !health.isStopped else { return }
    if serveCaptures(&effects), closeCheckpoints(through: gossip.frontier.final, &effects) {
      apply(through: max(gossip.frontier.complete, gossip.frontier.final))
      // What may still be overtaken waits a moment after a rollback, the longer the deeper it was: under load entries
      // are applied about once.
      if micros >= applyTentativeAfter { apply(through: Stamp(UInt64.max)) }
      finalizeApplied(through: gossip.frontier.final, &effects)
    }
    journal.noteFinal(viewStamp, ownWallMilliseconds)
    endDueOrders()
    guard health.state.serves else { return }
    let reports = desk.takeReports()
    guard !reports.isEmpty else { return }
    emit(reports, &effects)
  }

  mutating func apply(through stamp: Stamp) {
    let first = sequencer.tail.count
    guard sequencer.apply(through: stamp, atMost: Self.applicationsPerStepMax) > 0, desk.count > 0 else { return }
    for index in first..<sequencer.tail.count {
      desk.applied(sequencer.tail[index].dot, events: sequencer.events(ofTail: index))
    }
  }

  /// - Precondition: no checkpoint's boundary lies in between.
  mutating func finalizeApplied(through stamp: Stamp, _ effects: inout [Effect]) {
    let before = sequencer.finalRun.items.count
    guard sequencer.finalize(through: stamp) > 0 else { return }
    takeFinal(from: before, &effects)
    if desk.count > 0 {
      for index in before..<sequencer.finalRun.items.count {
        desk.finalized(sequencer.finalRun.items[index].dot, events: sequencer.finalRun.events(at: index))
      }
    }
    leaveOutSkippedFill()
  }

  private func emit(_ reports: [(SessionID, OrderReport)], _ effects: inout [Effect]) {
    let commit = isCommitDue ? nextCommit : nextCommit - 1
    var start = 0
    while start < reports.count {
      var end = start + 1
      while end < reports.count, reports[end].0 == reports[start].0, end - start < Limits.requestsPerFrameMax {
        end += 1
      }
      effects.append(.report(reports[start].0, reports[start..<end].map(\.1), after: commit))
      start = end
    }
  }

  /// Makes room for entries that belong before applied ones.
  mutating func rollBack(below key: OrderKey, _ now: LogicalTime, _ effects: inout [Effect]) {
    let index = sequencer.tailIndex(above: key)
    guard index < sequencer.tail.count, !leavesOutRollback() else { return }
    rollBack(toTailIndex: index, now, &effects)
  }

  /// Takes back the entry with this key and everything after it.
  mutating func rollBack(through key: OrderKey, _ now: LogicalTime, _ effects: inout [Effect]) {
    let index = sequencer.tailIndex(above: key)
    let isApplied = index > 0 && sequencer.tail[index - 1].key == key
    rollBack(toTailIndex: isApplied ? index - 1 : index, now, &effects)
  }

  private mutating func rollBack(toTailIndex index: Int, _ now: LogicalTime, _ effects: inout [Effect]) {
    let depth = sequencer.tail.count - index
    guard depth > 0 else { return }
    if desk.count > 0 {
      for place in stride(from: sequencer.tail.count - 1, through: index, by: -1) {
        desk.undone(sequencer.tail[place].dot, events: Array(sequencer.events(ofTail: place)))
      }
    }
    journal.noteRollback(
      first: sequencer.tail[index].key, last: sequencer.tail[sequencer.tail.count - 1].key, depth: depth,
      ownWallMilliseconds)
    sequencer.rollBack(toTailIndex: index)
    let rest = min(UInt64(depth) * Self.rollbackRestMicroseconds, Self.rollbackRestMicrosecondsMax)
    applyTentativeAfter = max(applyTentativeAfter, now.monotonicMicroseconds + rest)
    if depth > 100_000 { effects.append(.notice(.deepRollback(depth: depth))) }
  }
}
