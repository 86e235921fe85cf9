import EventLog
import Primitives

/// Snapshots on a disk, and what is no longer kept as entries because of them.
extension SimulatedDisk {
  /// Whether everything that a snapshot stands for is on this disk.
  func holds(_ snapshot: Snapshot) -> Bool {
    snapshot.bases.enumerated().allSatisfy { entries(of: OriginIndex(UInt32($0))) >= $1.head.sequence }
  }

  /// In a transaction of its own: keeps a snapshot, and of the older ones those that `SnapshotInfo.kept` says.
  mutating func keep(_ snapshot: Snapshot) {
    snapshots.removeAll { $0.info.number == snapshot.info.number }
    snapshots.append(snapshot)
    snapshots.sort { $0.info.number < $1.info.number }
    let kept = SnapshotInfo.kept(snapshots.map(\.info), audited: auditEntries)
    snapshots.removeAll { !kept.contains($0.info) }
  }

  /// In a transaction of its own: what others have kept takes the place of what is missing here.
  mutating func install(
    _ snapshot: Snapshot, ends: [(origin: OriginIndex, sequence: UInt64)],
    records: [(key: String, value: [UInt8])], checkpoints: CheckpointList
  ) {
    forgetUnsynced()
    for (origin, sequence) in ends where origin.int < logs.count {
      void += logs[origin.int].filter { $0.lastSequence > sequence }
      logs[origin.int].removeAll { $0.lastSequence > sequence }
    }
    for (place, base) in snapshot.bases.enumerated() where base.head.sequence > 0 {
      let origin = OriginIndex(UInt32(place))
      if self.base(of: origin).head.sequence >= base.head.sequence { continue }
      let end = place < logs.count ? logs[place].first { $0.lastSequence == base.head.sequence } : nil
      if end?.hash == base.head.hash { continue }
      if place < logs.count { logs[place].removeAll() }
      set(base, of: origin)
    }
    snapshots = [snapshot]
    set(checkpoints)
    let newest = snapshot.bases.map(\.stamp).max() ?? .zero
    setAudit(
      OrderKey(stamp: newest, origin: OriginIndex(UInt32(Limits.originsMax - 1))), entries: snapshot.info.entries)
    for (key, value) in records { putNow(key, value) }
  }

  /// Drops entries below the oldest snapshot, as far as audit tables have them, but the newest of each origin.
  mutating func compact(retaining entries: UInt64) {
    guard snapshots.count >= Limits.snapshotGenerations, let oldest = snapshots.first,
      auditEntries >= oldest.info.entries
    else { return }
    for (place, base) in oldest.bases.enumerated() where place < logs.count {
      let held = logs[place].last?.lastSequence ?? 0
      let limit = min(base.head.sequence, held - min(held, entries))
      guard let last = logs[place].last(where: { $0.lastSequence <= limit }), let hash = last.hash else { continue }
      set(
        LogBase(head: Head(sequence: last.lastSequence, hash: hash), stamp: last.lastStamp),
        of: OriginIndex(UInt32(place)))
      logs[place].removeAll { $0.lastSequence <= limit }
    }
  }

  /// Where an origin's log begins to be there.
  func base(of origin: OriginIndex) -> LogBase {
    origin.int < bases.count ? bases[origin.int] : LogBase(head: Head(sequence: 0, hash: .zero), stamp: .zero)
  }

  var isCompacted: Bool { bases.contains { $0.head.sequence > 0 } }

  /// One piece of a snapshot; empty if it is not there.
  func piece(of info: SnapshotInfo, at offset: UInt64) -> [UInt8] {
    guard let snapshot = snapshots.first(where: { $0.info == info }) else { return [] }
    let place = Int(offset) / Limits.snapshotPieceBytes
    return place < snapshot.pieces.count ? snapshot.pieces[place] : []
  }

  /// Flips a bit of the newest snapshot.
  /// - Returns: its number; nil if there is none.
  mutating func flipSnapshotBit(_ choice: UInt64) -> UInt64? {
    guard let newest = snapshots.last, let last = newest.pieces.last else { return nil }
    var pieces = newest.pieces
    pieces[pieces.count - 1][Int(choice % UInt64(last.count))] ^= 1 << UInt8(choice >> 40 & 7)
    snapshots[snapshots.count - 1] = Snapshot(info: newest.info, bases: newest.bases, pieces: pieces)
    return newest.info.number
  }

  /// Drops a snapshot that is not what was written.
  mutating func drop(_ info: SnapshotInfo) { snapshots.removeAll { $0.info == info } }
}
