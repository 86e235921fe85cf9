import EventLog
import Gossip
import Membership
import OrderBook
import Primitives
import Replica

/// A process: starts, steps, turns, commits and ends. It does for its replica what a node's shell does.
extension Simulation {
  /// Audit tables are written behind the log; a restart knows what is final only as far as they go.
  private static let auditEntriesBehind: UInt64 = 200

  // MARK: Starting and ending

  func start(_ node: SimulatedNode) {
    guard node.condition == .down, node.process == nil else { return }
    // Whoever runs it tries again.
    guard !node.disk.isUnreadable, !node.disk.isFull else { return schedule(.start(node: node.index), after: 500_000) }
    node.boots += 1
    let clock = node.clock.read(now)
    // A new store gets a token that no other ever had.
    if node.token == .none { node.disk.putNow(.store(StoreToken(generator.next() | 1))) }
    guard let records = node.disk.viewRecords(genesis: genesis, publicKey: keys[node.index].publicKey) else {
      preconditionFailure("a store without a token")
    }
    var settings = ReplicaConfiguration(
      cluster: genesis.clusterID, records: records, name: node.name,
      listenAddress: SimulatedNode.address(node.index, boot: node.boots),
      seeds: nodes.indices.filter { $0 != node.index }.map { SimulatedNode.address($0, boot: 0) },
      bootMilliseconds: clock.wallMilliseconds &+ node.boots, seed: generator.next())
    settings.gossip.fanout = profile.fanout
    settings.retainedBatchesMax = profile.retainedBatches
    // Small ones, so that nodes end between two steps.
    settings.resubmittedPerTurnMax = min(profile.retainedBatches, Limits.resubmittedPerTurnMax)
    settings.tentativeEntriesMax = profile.tentativeEntriesMax
    settings.snapshotSeconds = profile.snapshotSeconds
    settings.snapshotBehindEntries = profile.snapshotBehindEntries
    settings.scrubMicroseconds = profile.scrubMicroseconds
    if let bytes = node.disk.record(RecordKey.findings), let findings = try? FindingLog(bytes: bytes) {
      settings.findings = findings
    }
    settings.defects = defects
    settings.viewDefects = viewDefects
    if let ceiling = node.disk.record(RecordKey.clockCeiling) {
      settings.clockCeiling = Stamp(
        (try? ceiling.withReader { (reader) throws(CodecError) in try reader.readFixed("ceiling") }) ?? 0)
    }
    let process: SimulatedProcess
    do {
      if let record = node.disk.record(RecordKey.checkpoint) { try settings.readCheckpoint(record) }
      process = try recover(node, settings)
    } catch {
      node.condition = .out("\(error)")
      node.timeline.note(.said("cannot start: \(error)"), at: now)
      return
    }
    node.process = process
    node.health = .sound
    node.condition = .running
    node.timeline.note(.said("started (boot \(node.boots))"), at: now)
    for index in checkers.indices { checkers[index].started(node, self) }
    give(.recovered, to: node, process)
    schedule(.tick(node: node.index, boot: process.boot), after: 1_000 + generator.below(Self.tickMicroseconds))
  }

  /// Reads the log from disk as the shell does: from the newest good snapshot on, checked, merged by stamp, damage cut
  /// off. Whose disk has lost anything that it may have vouched for is not the same member any more.
  private func recover(_ node: SimulatedNode, _ original: ReplicaConfiguration) throws -> SimulatedProcess {
    var settings = original
    let starts = settings.records.view.value.register.origins.map {
      HashChain.start(cluster: genesis.clusterID, origin: $0.origin, sha)
    }
    let snapshot = usableSnapshot(node, origins: starts.count)
    let isLost = snapshot == nil && node.disk.isCompacted
    if isLost {
      node.timeline.note(.said("no snapshot is left, and the log does not begin at its start"), at: now)
      node.disk.forgetLog()
    }
    settings.snapshots = node.disk.snapshots.map(\.info)
    let bases = snapshot?.bases ?? []
    var finality = RecoveredFinality(
      origins: starts.count, auditPosition: node.disk.auditPosition, auditedEntries: node.disk.auditEntries,
      base: bases)
    settings.finalStamp = finality.finalStamp
    func read(_ taken: (Batch) -> Void) throws -> (SimulatedProcess, RecoveryReport) {
      var replica = Replica(configuration: settings, signatures: keys[node.index])
      if let snapshot {
        let state = try ReplicaState(
          snapshot.info, snapshot.bytes, cluster: genesis.clusterID, origins: starts.count)
        replica = Replica(configuration: settings, signatures: keys[node.index], from: state)
      }
      let process = SimulatedProcess(boot: node.boots, replica: replica, peers: nodes.count)
      process.finalEntries = process.replica.restoredEntries
      let time = node.clock.read(now)
      var recovery = try LogRecovery(
        node.disk, chainStart: { $0.int < starts.count ? starts[$0.int] : .zero }, base: bases, sha)
      while let batch = try recovery.next() {
        taken(batch)
        process.replica.step(.recover(batch), now: time, &process.effects)
      }
      for tail in settings.records.resubmission.tails {
        for batch in node.disk.voidBatches(tail, chainStart: starts[tail.origin.int], sha) {
          process.replica.step(.recoverVoid(batch), now: time, &process.effects)
        }
      }
      return (process, recovery.report)
    }
    func becomeAnother() {
      let token = StoreToken(generator.next() | 1)
      node.disk.putNow(.store(token))
      settings.records.restore(.store(token))
    }
    if isLost { becomeAnother() }
    var (process, report) = try read { finality.read($0) }
    for damage in report.damages {
      node.timeline.note(.said("damaged: \(damage)"), at: now)
      node.disk.cut(damage.origin.int, from: damage.sequence)
    }
    // Of an origin that no view here knows yet, nothing was vouched for: only a chain's beginning is missing.
    if report.damages.contains(where: { $0.origin.int < starts.count }) { becomeAnother() }
    let lowered = finality.loweredFinalStamp
    if lowered != nil || !report.damages.isEmpty {
      settings.finalStamp = lowered ?? settings.finalStamp
      (process, report) = try read { _ in }
    }
    return process
  }

  /// The newest snapshot that is what was written and of which the audit tables have everything; those that are not
  /// what was written are dropped.
  private func usableSnapshot(_ node: SimulatedNode, origins: Int) -> Snapshot? {
    var usable: Snapshot?
    for snapshot in node.disk.snapshots {
      do throws(CodecError) {
        let state = try ReplicaState(
          snapshot.info, snapshot.bytes, cluster: genesis.clusterID, origins: origins)
        if state.bases != snapshot.bases { throw .invalid(field: "bases") }
        if node.disk.auditEntries >= snapshot.info.entries { usable = snapshot }
      } catch {
        node.timeline.note(.said("snapshot \(snapshot.info.number) is damaged: \(error)"), at: now)
        node.disk.drop(snapshot.info)
      }
    }
    return usable
  }

  /// The process is gone, with everything that was not synced; a commit under way may have reached the disk.
  func end(_ node: SimulatedNode, _ why: String, isOut: Bool = false) {
    guard let process = node.process else { return }
    let wasSynced = process.commitUnderWay != nil && generator.chance(1, of: 2)
    if wasSynced { node.disk.sync() } else { node.disk.forgetUnsynced() }
    noteView(node)
    node.process = nil
    node.condition = isOut ? .out(why) : .down
    node.parked.removeAll()
    node.timeline.note(.said("ended: \(why)"), at: now)
    for connection in process.links {
      guard let connection else { continue }
      connection[node.index].isOpen = false
      let peer = connection.peer(of: node.index)
      // The other side hears of it if it can; else the silence tells.
      if network.hears(from: node.index, to: peer) {
        schedule(.closed(connection: connection.number, node: peer), after: latency())
      }
    }
  }

  // MARK: Steps

  /// One input; the turn that it starts ends a moment later.
  func give(_ input: Input, to node: SimulatedNode, _ process: SimulatedProcess) {
    process.replica.step(input, now: node.clock.read(now), &process.effects)
    if !process.isTurnScheduled {
      process.isTurnScheduled = true
      schedule(.turn(node: node.index, boot: process.boot), after: Self.turnMicroseconds + node.slowness)
    }
  }

  func endTurn(_ node: SimulatedNode, _ process: SimulatedProcess) {
    process.isTurnScheduled = false
    process.replica.step(.flush, now: node.clock.read(now), &process.effects)
    carryOut(node, process)
  }

  func tick(_ node: SimulatedNode, _ process: SimulatedProcess) {
    closeSilent(node, process)
    keepSnapshot(node, process)
    scrubLog(node, process)
    process.replica.step(.tick, now: node.clock.read(now), &process.effects)
    carryOut(node, process)
    schedule(.tick(node: node.index, boot: process.boot), after: Self.tickMicroseconds + node.slowness)
  }

  /// Carries out effects in order, until a commit: then the process waits for the disk.
  private func carryOut(_ node: SimulatedNode, _ process: SimulatedProcess) {
    while process.commitUnderWay == nil, process.next < process.effects.count {
      let effect = process.effects[process.next]
      process.next += 1
      guard isHasty(effect) || process.gate.admit(effect) else { continue }
      switch effect {
      case .append(let batch): node.disk.append(batch)
      case .void(let origin, let sequence): node.disk.void(origin, after: sequence)
      case .persist(let key, let value): node.disk.put(key, value)
      case .keepCheckpoints(let list): node.disk.keep(list)
      case .commit(let number): commit(number, node, process)
      default: perform(effect, node, process)
      }
      guard node.process === process else { return }
    }
    if process.next == process.effects.count {
      process.effects.removeAll(keepingCapacity: true)
      process.next = 0
    }
    collectFinal(node, process)
  }

  /// What a defect of the shell would let out too early.
  private func isHasty(_ effect: Effect) -> Bool {
    switch effect {
    case .accepted: defects.contains(.acknowledgesBeforeSync)
    case .send(_, .batch, _): defects.contains(.sendsBeforeSync)
    default: false
    }
  }

  private func commit(_ number: CommitNumber, _ node: SimulatedNode, _ process: SimulatedProcess) {
    if node.disk.isFull { return end(node, "the disk is full") }
    let audited = max(process.auditedEntries, node.disk.auditEntries)
    if process.finalEntries > audited + Self.auditEntriesBehind {
      process.auditedEntries = process.finalEntries
      node.disk.putAudit(process.finalKey, entries: process.finalEntries)
    }
    let duration = profile.syncMin + generator.below(profile.syncMax - profile.syncMin + 1) + node.disk.slowness
    node.timeline.note(.sync(microseconds: duration), at: now)
    process.commitUnderWay = number
    process.busyUntil = now + duration
    schedule(.synced(node: node.index, boot: process.boot), after: duration)
  }

  func synced(_ index: Int, _ boot: UInt64) {
    let node = nodes[index]
    guard let process = node.process, process.boot == boot, let number = process.commitUnderWay else { return }
    guard node.pauses == 0 else { return node.parked.append(.synced(node: index, boot: boot)) }
    if node.disk.failsNextSync {
      node.disk.failsNextSync = false
      return end(node, "a sync failed")
    }
    node.disk.sync()
    noteView(node)
    if let entries = profile.retainedEntries { node.disk.compact(retaining: entries) }
    node.timeline.note(.synced, at: now)
    process.commitUnderWay = nil
    for effect in process.gate.open(through: number) { perform(effect, node, process) }
    keepSnapshot(node, process)
    process.replica.step(.committed(number), now: node.clock.read(now), &process.effects)
    carryOut(node, process)
  }

  private func collectFinal(_ node: SimulatedNode, _ process: SimulatedProcess) {
    guard process.replica.finalRunCount > 0 else { return }
    let run = process.replica.takeFinalRun()
    process.finalEntries += UInt64(run.items.count)
    if let key = run.lastKey {
      process.finalKey = key
      node.timeline.note(.finalised(through: key.stamp, count: run.items.count), at: now)
    }
    finalised(run, node)
  }

  // MARK: Effects

  private func perform(_ effect: Effect, _ node: SimulatedNode, _ process: SimulatedProcess) {
    switch effect {
    case .append, .void, .persist, .keepCheckpoints, .commit: preconditionFailure("handled by carryOut")
    case .send(let peer, let message, _):
      for index in listeners where violation == nil {
        if let text = checkers[index].sent(message, node, self) { fail(checkers[index].name, text, node: node.index) }
      }
      send(message, to: peer.int, node, process)
    case .serve(let peer, let range): serve(range, to: peer.int, node, process)
    case .keepSnapshot(let snapshot): process.snapshotToKeep = snapshot
    case .servePiece(let peer, let info, let offset):
      let bytes = node.disk.piece(of: info, at: offset)
      send(.snapshot(.piece(hash: info.hash, offset: offset, bytes: bytes)), to: peer.int, node, process)
    case .install(let snapshot, let ends, let records):
      var checkpoints = CheckpointList()
      if let state = try? ReplicaState(
        snapshot.info, snapshot.bytes, cluster: genesis.clusterID, origins: Limits.originsMax)
      {
        checkpoints = state.checkpoints
      }
      node.disk.install(snapshot, ends: ends, records: records, checkpoints: checkpoints)
      snapshotsInstalled += 1
      noteView(node)
      end(node, "starts anew from snapshot \(snapshot.info.number)")
      if node.isWanted { schedule(.start(node: node.index), after: 1_000) }
    case .dial(let address): dial(address, node, process)
    case .disconnect(let peer, let reason):
      if let connection = process.links[peer.int] { close(connection, at: node.index, reason) }
    case .accepted(_, let request, let first, let stamps, _):
      node.timeline.note(.accepted(first: first, count: stamps.count), at: now)
      accepted(request, first, stamps, node)
      observer?.accepted(request, first, stamps, node)
    case .refused(_, let request, _, let reason):
      node.timeline.note(.refused("\(reason)"), at: now)
      if let observer { observer.refused(request, reason, node) } else { refused(request) }
    case .report(_, let reports, _): reported(reports, node)
    case .readLog(let reading):
      schedule(.logRead(node: node.index, boot: process.boot, reading), after: Self.readMicroseconds)
    case .mendLog(let hole, let batches):
      give(.logMended(hole, node.disk.mend(hole, batches, sha)), to: node, process)
    case .dropSnapshots(let number):
      for snapshot in node.disk.snapshots where snapshot.info.number > number { node.disk.drop(snapshot.info) }
      give(.snapshotsKept(node.disk.snapshots.map(\.info)), to: node, process)
    case .notice(let notice):
      if case .injected(let flip) = notice { node.damage?.text = "\(flip)" }
      node.timeline.note(.noticed(notice), at: now)
      for index in checkers.indices where violation == nil {
        if let text = checkers[index].noticed(notice, node, self) { fail(checkers[index].name, text, node: node.index) }
      }
    case .halt(let reason): end(node, reason, isOut: true)
    case .left: end(node, "left")
    }
  }

  /// A snapshot is written when the log that it stands for is on disk; a full disk takes none.
  private func keepSnapshot(_ node: SimulatedNode, _ process: SimulatedProcess) {
    guard let snapshot = process.snapshotToKeep, !node.disk.isFull, node.disk.holds(snapshot) else { return }
    process.snapshotToKeep = nil
    node.disk.keep(snapshot)
    snapshotsMade += 1
    process.replica.step(.snapshotsKept(node.disk.snapshots.map(\.info)), now: node.clock.read(now), &process.effects)
  }

  private func serve(_ range: LogRange, to peer: Int, _ node: SimulatedNode, _ process: SimulatedProcess) {
    var through = range.from - 1
    if let recent = process.replica.recentBatches(range, bytesMax: Limits.deltaBytesPerRoundMax) {
      for batch in recent {
        send(.batch(batch.sealed), to: peer, node, process)
        through = batch.lastSequence
      }
    } else if range.from <= node.disk.base(of: range.origin).head.sequence {
      let through = node.disk.base(of: range.origin).head.sequence
      return send(.snapshot(.compacted(origin: range.origin, through: through)), to: peer, node, process)
    } else if !node.disk.isUnreadable {
      let stored = node.disk.batches(
        range.from...range.through, of: range.origin.int, chainStart: process.replica.chainStart(of: range.origin),
        bytesMax: Limits.deltaBytesPerRoundMax, sha)
      for sealed in stored {
        send(.batch(sealed), to: peer, node, process)
        if let header = try? BatchHeader(canonicalBytes: sealed.bytes) { through = header.lastSequence }
      }
    }
    send(.served(origin: range.origin, through: through), to: peer, node, process)
  }
}
