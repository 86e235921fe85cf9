import Client
import EventLog
import OrderBook
import Primitives
import Replica
import Storage

/// What is written behind the log, and what the node says of itself.
extension NodeServer {
  /// Items written a tick while clients keep the node busy, while it is idle, and when too much waits.
  static let auditItemsBusy = 256
  static let auditItemsIdle = 4_000
  static let auditItemsUrgent = 20_000
  /// Final entries that may wait in memory for the tables; beyond it the node slows down rather than keep more.
  static let auditBacklogMax = 500_000

  var auditItemsNow: Int {
    if pendingAudit > Self.auditBacklogMax { return Self.auditItemsUrgent }
    let isBusy = figures.accepted != auditAcceptedBefore
    auditAcceptedBefore = figures.accepted
    return isBusy ? Self.auditItemsBusy : Self.auditItemsIdle
  }

  /// Takes what has become final; tables and trade subscribers get it later.
  func collectFinal() {
    let run = replica.takeFinalRun()
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
    let isIdle = inner.tentative == 0
    let lag = Int64(now.wallMilliseconds) - Int64(inner.finalStamp.milliseconds)
    var status = NodeStatus(
      name: name, nodeID: configuration.key.publicKey.nodeID.description, clusterID: cluster.description,
      origin: me.value, view: configuration.genesis.view.number, entries: inner.entries, orders: inner.finalOrders,
      fills: inner.finalFills, applied: inner.applied, tentative: inner.tentative,
      finalStamp: inner.finalStamp.value, lagMilliseconds: isIdle ? 0 : lag, bookHash: replica.bookHash().description,
      tradesHash: trades.hash.description, vector: inner.vector.sequences, peers: peers(),
      uptimeSeconds: (now.wallMilliseconds - startedMilliseconds) / 1000, version: NodeConfiguration.version)
    status.auditLag = UInt64(max(0, pendingAudit))
    status.missing = inner.missing
    status.restingOrders = UInt64(inner.restingOrders)
    status.applications = inner.applications
    status.rollbacks = inner.rollbacks
    status.rollbackDepthMax = inner.rollbackDepthMax
    status.bookMismatches = inner.bookMismatches
    status.duplicateBatches = inner.duplicateBatches
    status.ready = inner.isReady
    status.fsyncP50Microseconds = figures.commitMicroseconds(perMille: 500)
    status.fsyncP99Microseconds = figures.commitMicroseconds(perMille: 990)
    status.bytesSent = figures.bytesSent
    status.messagesSent = figures.messagesSent
    return status
  }

  func peers() -> [PeerStatus] {
    register.origins.indices.compactMap { index in
      let origin = OriginIndex(UInt32(index))
      guard origin != me else { return nil }
      return PeerStatus(
        origin: origin.value, name: register[origin]?.name ?? "", address: replica.address(of: origin) ?? "",
        connected: links[index] != nil, queuedBytes: UInt64(links[index]?.queuedBytes ?? 0))
    }
  }
}
