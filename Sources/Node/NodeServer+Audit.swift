import Client
import EventLog
import Gossip
import Membership
import NIOCore
import OrderBook
import Primitives
import Replica
import Storage

/// What is written behind the log, and what the node says of itself.
extension NodeServer {
  /// Items written at once: a large run costs half as much an item as a small one, a small one keeps orders waiting
  /// less.
  static let auditItemsPerRun = 4_000
  /// At most so many when too much waits: the log waits as long as that takes, which is what slows the node down.
  static let auditItemsUrgent = 12_000
  /// While orders come or wait to become final, the tables get a run this often if there is enough for one.
  static let auditBusyMilliseconds: Int64 = 100
  /// And this often if there is less: a run keeps whatever waits to become final waiting, at all nodes, and few long
  /// ones write fewer pages than many short ones.
  static let auditSparseMilliseconds: Int64 = 1_000
  /// A log that has not grown for this long is not growing.
  static let auditGrowingMilliseconds: Int64 = 30
  /// A node that had nothing to do for this long writes them at full speed.
  static let auditIdleMilliseconds: Int64 = 1_000
  /// Final entries that may wait in memory for the tables; beyond it the node slows down rather than keep more.
  static let auditBacklogMax = 250_000

  /// Writes a run if there is time for it.
  func writeAuditIfDue() {
    let backlog = pendingAudit
    guard backlog > 0 else { return }
    let now = NIODeadline.now()
    if figures.accepted != auditAcceptedBefore || replica.isBusy { lastBusy = now }
    auditAcceptedBefore = figures.accepted
    let isBusy = now - lastBusy < .milliseconds(Self.auditIdleMilliseconds)
    // One that no longer grows can wait until the node is idle.
    let isGrowing = now - lastAppend < .milliseconds(Self.auditGrowingMilliseconds)
    let excess = isGrowing ? backlog - Self.auditBacklogMax : 0
    let isSparse = isGrowing && backlog < Self.auditItemsPerRun
    let rest = isSparse ? Self.auditSparseMilliseconds : Self.auditBusyMilliseconds
    guard excess > 0 || !isBusy || now - lastAudit >= .milliseconds(rest) else { return }
    writeAudit(itemsMax: min(max(excess, Self.auditItemsPerRun), Self.auditItemsUrgent))
    lastAudit = .now()
    if lastAudit - now > .milliseconds(Self.longTurnMilliseconds) {
      logger.info(
        "long audit run", metadata: ["ms": "\((lastAudit - now).nanoseconds / 1_000_000)", "behind": "\(backlog)"])
    }
  }

  /// Takes what has become final; tables and trade subscribers get it later.
  func collectFinal() {
    let run = replica.takeFinalRun()
    if run.anew != nil { return auditAnew(run) }
    guard !run.isEmpty else { return }
    market.collect(run)
    auditQueue.append(run)
  }

  /// Final entries that are not in the audit tables yet.
  var pendingAudit: Int { auditQueue.reduce(-auditOffset) { $0 + $1.items.count } }

  /// Writes some of what waits; the rest keeps for later, so that the log never waits long.
  func writeAudit(itemsMax: Int) {
    do throws(StoreError) {
      try writeAuditThrowing(itemsMax: itemsMax)
    } catch {
      fail("the audit tables cannot be written: \(error)")
    }
  }

  private func writeAuditThrowing(itemsMax: Int) throws(StoreError) {
    var room = itemsMax
    var slice = AppliedRun()
    while room > 0, let first = auditQueue.first {
      let end = min(first.items.count, auditOffset + room)
      for index in auditOffset..<end {
        slice.append(dot: first.items[index].dot, entry: first.items[index].entry, events: first.events(at: index))
      }
      room -= end - auditOffset
      auditOffset = end
      if end == first.items.count {
        auditQueue.removeFirst()
        auditOffset = 0
      }
    }
    if !slice.isEmpty { try store.writeAudit(slice) }
  }

  /// Before a question about orders and fills is answered from the tables; bounded, so that it cannot stall the node.
  func catchUpAudit() throws(StoreError) {
    if pendingAudit <= 20_000 { try writeAuditThrowing(itemsMax: 20_000) }
  }

  // MARK: Status

  func status() throws(StoreError) -> NodeStatus {
    let inner = replica.status
    let trades = try store.tradesHash()
    let now = Self.now()
    let lag = inner.oldestTentative.map { Int64(now.wallMilliseconds) - Int64($0.milliseconds) } ?? 0
    var status = NodeStatus(
      name: name, nodeID: configuration.key.publicKey.nodeID.description, clusterID: cluster.description,
      origin: inner.me?.value, view: inner.view, entries: inner.entries, orders: inner.finalOrders,
      fills: inner.finalFills, applied: inner.applied, tentative: inner.tentative,
      finalStamp: inner.finalStamp.value, lagMilliseconds: max(0, lag),
      bookHash: (replica.healthState.serves ? replica.bookHash() : .zero).description,
      tradesHash: trades.hash.description, vector: inner.vector.sequences, peers: peers(),
      uptimeSeconds: (now.wallMilliseconds - startedMilliseconds) / 1000, version: NodeConfiguration.version)
    status.auditLag = UInt64(max(0, pendingAudit))
    status.missing = inner.missing
    status.snapshotNumber = inner.snapshotNumber
    status.snapshotEntries = inner.snapshotEntries
    status.logBase = store.logBase
    status.restingOrders = UInt64(inner.restingOrders)
    status.applications = inner.applications
    status.rollbacks = inner.rollbacks
    status.rollbackDepthMax = inner.rollbackDepthMax
    status.bookMismatches = inner.bookMismatches
    status.duplicateBatches = inner.duplicateBatches
    status.ready = inner.isReady
    status.members = inner.members.map { replica.registered($0)?.name ?? "\($0)" }
    status.isWedged = inner.isWedged
    status.viewChanges = inner.viewChanges
    status.quarantined = inner.quarantined
    status.undone = inner.undone
    status.fsyncP50Microseconds = figures.commitMicroseconds(perMille: 500)
    status.fsyncP99Microseconds = figures.commitMicroseconds(perMille: 990)
    let mutex = replica.joinMutex(now)
    status.joinMutex = JoinMutexStatus(
      holder: mutex.holder?.description, heldMilliseconds: mutex.heldMicroseconds / 1_000,
      grantsTotal: UInt64(replica.viewValue.leasesUsed))
    status.queues.unapplied = inner.entries - min(inner.applied, inner.entries)
    status.queues.uncommitted = UInt64(gate.count)
    status.queues.audit = status.auditLag
    status.queues.peerBytes = status.peers.reduce(0) { $0 + $1.queuedBytes }
    status.queues.clientBytes = sessions.values.reduce(0) { $0 + UInt64($1.connection.queuedBytes) }
    status.queues.reads = UInt64(reads.count)
    status.cutFrom = cutNames
    status.health = replica.healthState.description
    let scrub = replica.scrubProgress
    status.scrubPerMille = scrub.perMille
    status.scrubPasses = scrub.passes
    status.scrubEndedMilliseconds = scrub.endedMilliseconds ?? 0
    status.findingsOpen = replica.findings.open
    status.findingsTotal = replica.findings.total
    status.lastFinding = replica.findings.findings.last.map { "\($0)" } ?? ""
    status.bytesSent = figures.bytesSent
    status.messagesSent = figures.messagesSent
    status.viewEnteredAt = history.viewEnteredAt
    status.events = history.events
    status.pauses = history.pauses
    return status
  }

  func peers() -> [PeerStatus] {
    let me = replica.member
    var linked: [(origin: OriginIndex?, bytes: Int)] = []
    for (index, link) in links.enumerated() {
      guard let link else { continue }
      linked.append((replica.origin(of: PeerIndex(UInt32(index))), link.queuedBytes))
    }
    return replica.viewValue.members.map(\.origin).filter { $0 != me }.map { origin in
      let link = linked.first { $0.origin == origin }
      return PeerStatus(
        origin: origin.value, name: replica.registered(origin)?.name ?? "", address: replica.address(of: origin) ?? "",
        connected: link != nil, queuedBytes: UInt64(link?.bytes ?? 0))
    }
  }
}
