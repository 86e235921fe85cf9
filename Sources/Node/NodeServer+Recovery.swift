import EventLog
import Logging
import Membership
import Primitives
import Replica
import Storage

/// From what is on disk to a replica.
extension NodeServer {
  /// Starts the replica from the newest good snapshot and reads the log above it; twice if it has lost what the audit
  /// tables know, as `RecoveredFinality` says, or anything at all: then this node is not the member any more that has
  /// vouched for it.
  func recover(_ original: ReplicaConfiguration) throws {
    var settings = original
    let origins = settings.records.view.value.origins.count
    let snapshot = try usableSnapshot(origins: origins)
    if snapshot == nil, !store.logBase.isEmpty {
      logger.error("no snapshot is left, and the log does not begin at its start: both are set aside")
      try store.forgetLog()
      try becomeAnother(&settings)
    }
    settings.snapshots = store.snapshots
    let bases = snapshot?.bases ?? []
    var finality = RecoveredFinality(
      origins: origins, auditPosition: store.auditPosition, auditedEntries: store.counts().entries, base: bases)
    settings.finalStamp = finality.finalStamp
    try makeReplica(settings, snapshot)
    var report = try readLog(settings, from: bases) { finality.read($0) }
    for damage in report.damages {
      logger.error("log damaged, fetching it again from peers", metadata: ["damage": "\(damage)"])
    }
    let lowered = finality.loweredFinalStamp
    if lowered != nil || !report.damages.isEmpty {
      settings.finalStamp = lowered ?? settings.finalStamp
      // Of an origin that no view here knows yet, nothing was vouched for: only its chain's beginning is missing.
      if report.damages.contains(where: { $0.origin.int < origins }) { try becomeAnother(&settings) }
      try makeReplica(settings, snapshot)
      auditQueue.removeAll()
      report = try readLog(settings, from: bases) { _ in }
    }
    input(.recovered)
    collectFinal()
    let status = replica.status
    history = NodeHistory(view: status.view, members: status.members, me: status.me)
    logger.info(
      "log read",
      metadata: [
        "entries": "\(report.entries)", "batches": "\(report.batches)", "snapshot": "\(snapshot?.info.number ?? 0)",
        "address": "\(address)",
      ])
  }

  /// What the disk has lost, this node has vouched for.
  private func becomeAnother(_ settings: inout ReplicaConfiguration) throws {
    var generator = SystemRandomNumberGenerator()
    let token = ViewRecord.store(StoreToken(UInt64.random(in: 1 ... .max, using: &generator)))
    try store.commit(batches: [], records: [(token.key.rawValue, token.bytes)])
    settings.records.restore(token)
    logger.error("the disk has lost what this node vouched for: it joins again under a new name")
  }

  /// The newest snapshot that is what was written and of which the audit tables have everything. Those that are damaged
  /// are dropped: the log below is read instead, or fetched.
  private func usableSnapshot(origins: Int) throws -> Snapshot? {
    var usable: Snapshot?
    for info in store.snapshots.reversed() {
      let snapshot = try store.snapshot(info)
      do throws(CodecError) {
        guard usable == nil, store.counts().entries >= info.entries else {
          if SHA256().hash(snapshot.bytes) != info.hash { throw .invalid(field: "snapshot hash") }
          continue
        }
        let state = try ReplicaState(info, snapshot.bytes, cluster: cluster, origins: origins)
        guard state.bases == snapshot.bases else { throw .invalid(field: "bases") }
        usable = snapshot
      } catch {
        logger.error("snapshot \(info.number) is damaged and not used: \(error)")
        try store.drop(info)
      }
    }
    return usable
  }

  private func makeReplica(_ settings: ReplicaConfiguration, _ snapshot: Snapshot?) throws {
    guard let snapshot else {
      replica = Replica(configuration: settings, signatures: configuration.key)
      return
    }
    let state = try ReplicaState(
      snapshot.info, snapshot.bytes, cluster: cluster, origins: settings.records.view.value.origins.count)
    replica = Replica(configuration: settings, signatures: configuration.key, from: state)
  }

  private func readLog(
    _ settings: ReplicaConfiguration, from bases: [LogBase], _ body: (Batch) -> Void
  ) throws -> RecoveryReport {
    let value = settings.records.view.value
    let starts = value.origins.map { HashChain.start(cluster: cluster, origin: $0.origin, SHA256()) }
    // Who is alone has nobody to fetch from: what is damaged of its own log is lost for good, and a person must decide.
    let sole =
      value.members.count == 1 && value.origins[value.members[0].origin.int].publicKey == configuration.key.publicKey
    let report = try store.recover(
      own: sole ? value.members[0].origin : nil, chainStart: { $0.int < starts.count ? starts[$0.int] : .zero },
      base: bases
    ) { batch in
      body(batch)
      input(.recover(batch))
      if replica.finalRunCount > 100_000 { collectFinal() }
    }
    for tail in settings.records.resubmission.tails {
      for batch in try store.voidBatches(of: tail.origin, from: tail.first, through: tail.last) {
        input(.recoverVoid(batch))
      }
    }
    return report
  }
}
