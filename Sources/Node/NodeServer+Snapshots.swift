import EventLog
import Gossip
import Membership
import NIOCore
import OrderBook
import Primitives
import Replica
import Storage

/// Snapshots: written between turns, served, and started from.
extension NodeServer {
  /// Pieces that are written in one tick: half a megabyte, a few milliseconds.
  private static let piecesPerTick = 4
  /// Batches that are dropped at once, and how often.
  private static let compactionBatches = 128
  private static let compactionMilliseconds: Int64 = 250

  // MARK: Behind the log

  /// Goes on with what is to be written, and drops what nobody needs to restart.
  func keepSnapshots() {
    do throws(StoreError) {
      try writeSnapshot()
      guard let entries = configuration.retainedEntries else { return }
      let now = NIODeadline.now()
      guard now - lastCompaction > .milliseconds(Self.compactionMilliseconds) else { return }
      lastCompaction = now
      let dropped = try store.compact(retaining: entries, batchesMax: Self.compactionBatches)
      if dropped > 0 { logger.debug("log compacted", metadata: ["batches": "\(dropped)"]) }
    } catch {
      fail("a snapshot cannot be written: \(error)")
    }
  }

  private func writeSnapshot() throws(StoreError) {
    guard let (snapshot, written) = snapshotUnderWay else { return }
    let end = min(snapshot.pieces.count, written + Self.piecesPerTick)
    if written < end {
      try store.write(snapshot, pieces: written..<end)
      snapshotUnderWay?.pieces = end
      return
    }
    // What it stands for is on disk before it.
    for (place, base) in snapshot.bases.enumerated()
    where store.heads[OriginIndex(UInt32(place))]?.sequence ?? 0 < base.head.sequence { return }
    try store.finish(snapshot)
    snapshotUnderWay = nil
    logger.info(
      "snapshot kept", metadata: ["number": "\(snapshot.info.number)", "bytes": "\(snapshot.info.byteCount)"])
    input(.snapshotsKept(store.snapshots))
  }

  func servePiece(of info: SnapshotInfo, at offset: UInt64, to peer: PeerIndex) {
    do throws(StoreError) {
      let bytes = try store.piece(of: info, at: offset)
      send(.snapshot(.piece(hash: info.hash, offset: offset, bytes: bytes)), to: peer)
    } catch {
      logger.error("a snapshot cannot be read: \(error)")
    }
  }

  // MARK: Starting from one

  /// Puts what was fetched on disk; when the loop comes round, another replica starts from it.
  func install(
    _ snapshot: Snapshot, ends: [(origin: OriginIndex, sequence: UInt64)], records: [(key: String, value: [UInt8])]
  ) {
    do {
      let state = try ReplicaState(
        snapshot.info, snapshot.bytes, cluster: cluster, origins: Limits.originsMax)
      let counts = AuditCounts(
        entries: snapshot.info.entries, orders: state.finalOrders, fills: state.finalFills)
      try store.install(
        snapshot, ends: ends, records: records, counts: counts, instruments: state.instruments,
        open: state.openOrders, checkpoints: state.checkpoints)
    } catch {
      return fail("snapshot \(snapshot.info.number) cannot be kept: \(error)")
    }
    logger.notice("starting from snapshot \(snapshot.info.number): \(snapshot.info.entries) entries are state")
    isStartingAnew = true
    loop.execute { [self] in beginAnew() }
  }

  func beginAnew() {
    guard !isStopping else { return }
    for session in sessions.values { session.drop("this node starts anew from a snapshot; connect again") }
    for place in links.indices {
      let link = links[place]
      links[place] = nil
      link?.close(reason: "starting anew from a snapshot")
    }
    effects.removeAll()
    gate = CommitGate()
    pendingBatches.removeAll()
    pendingEnds.removeAll()
    pendingRecords.removeAll()
    pendingCheckpoints = nil
    auditQueue.removeAll()
    auditOffset = 0
    snapshotUnderWay = nil
    logReader = nil
    market = MarketDesk()
    isStartingAnew = false
    do {
      try startAnew()
    } catch {
      fail("the log cannot be read: \(error)")
    }
  }
}
