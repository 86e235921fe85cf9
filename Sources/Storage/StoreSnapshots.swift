import EventLog
import GRDB
import OrderBook
import Primitives

/// Snapshots in the file, and what of the log is not kept as entries because of them.
///
/// A snapshot counts once its row in `snapshots` is there, which is written after all its pieces, with a sync. Pieces
/// without such a row are left over from a write that a crash has ended, and are dropped.
extension Store {
  // MARK: Writing

  /// Writes some of a snapshot's pieces, without a sync: `finish` syncs them.
  /// - Parameter places: of the pieces.
  /// - Throws: `io` stops all writing.
  /// - Complexity: O(bytes).
  public func write(_ snapshot: Snapshot, pieces places: Range<Int>) throws(StoreError) {
    try writeUnsynced { database in try insert(snapshot, places, database) }
  }

  /// All pieces are written: from here on the snapshot counts, and of the older ones those that `SnapshotInfo.kept`
  /// says.
  /// - Throws: `io` stops all writing.
  /// - Complexity: O(bytes of what is dropped), and a sync.
  public func finish(_ snapshot: Snapshot) throws(StoreError) {
    var kept = snapshots.filter { $0.number != snapshot.info.number } + [snapshot.info]
    kept.sort { $0.number < $1.number }
    kept = SnapshotInfo.kept(kept, audited: audit.counts.entries)
    try write { database in
      try insertRow(snapshot, database)
      for info in snapshots where !kept.contains(info) { try drop(info.number, database) }
    }
    snapshots = kept
  }

  /// Puts a snapshot of others in the place of what is missing here, in one synced transaction.
  ///
  /// Logs that reach as far as the snapshot, without a gap, stay as they are; of the others everything goes, and they
  /// begin anew where the snapshot ends. What was beyond the end of a sealed log moves into `void_log`. The audit
  /// tables are written anew: they have the instruments and the open orders, and the history from here on.
  /// - Parameters:
  ///   - ends: after which sequence an origin's log ends for ever.
  ///   - counts: of final entries, orders and fills that the snapshot stands for.
  ///   - open: the orders that are open in it.
  ///   - checkpoints: those that it knows, in the place of those that were kept here.
  /// - Throws: `io` stops all writing.
  public func install(
    _ snapshot: Snapshot, ends: [(origin: OriginIndex, sequence: UInt64)],
    records: [(key: String, value: [UInt8])], counts: AuditCounts, instruments: [(dot: Dot, instrument: Instrument)],
    open: [RestingOrder], checkpoints: CheckpointList
  ) throws(StoreError) {
    let newest = snapshot.bases.map(\.stamp).max() ?? .zero
    var state = AuditState()
    state.position = OrderKey(stamp: newest, origin: OriginIndex(UInt32(Limits.originsMax - 1)))
    state.counts = counts
    try write { database in
      for end in ends { try setAside(end.origin, from: end.sequence + 1, .sealed, database) }
      for (place, base) in snapshot.bases.enumerated() where base.head.sequence > 0 {
        try rebase(OriginIndex(UInt32(place)), base, database)
      }
      for info in snapshots { try drop(info.number, database) }
      try insert(snapshot, snapshot.pieces.indices, database)
      try insertRow(snapshot, database)
      for record in records { try put(record.key, record.value, database) }
      try eraseAudit(leaving: state, database)
      try seedAudit(instruments, open, stamp: newest, database)
      try replace(with: checkpoints, database)
    }
    noteRows(checkpoints)
    snapshots = [snapshot.info]
    audit = state
    tape = TradesTape()
    try loadBases()
    try loadHeads()
  }

  /// Nothing of the log is of use without the snapshot that it stood on: it moves into `void_log`, and the audit tables
  /// are emptied.
  /// - Throws: `io` stops all writing.
  public func forgetLog() throws(StoreError) {
    try write { database in
      for origin in heads.keys.sorted() { try setAside(origin, from: 1, .damaged, database) }
      for info in snapshots { try drop(info.number, database) }
      try statement(database, "DELETE FROM log_base").run()
      try eraseAudit(leaving: AuditState(), database)
      try replace(with: CheckpointList(), database)
    }
    noteRows(CheckpointList())
    snapshots = []
    audit = AuditState()
    tape = TradesTape()
    try loadBases()
    try loadHeads()
  }

  /// Drops a snapshot that is not what was written.
  public func drop(_ info: SnapshotInfo) throws(StoreError) {
    try write { database in try drop(info.number, database) }
    snapshots.removeAll { $0 == info }
  }

  /// Drops batches that nobody needs to restart: below the oldest of two snapshots or more, and in the audit tables.
  /// Synced, so that those are on disk before.
  /// - Parameters:
  ///   - entries: of each origin, so many of the newest stay.
  ///   - batchesMax: at once; the rest is for the next time.
  /// - Returns: how many were dropped.
  /// - Throws: `io` stops all writing.
  public func compact(retaining entries: UInt64, batchesMax: Int) throws(StoreError) -> Int {
    guard snapshots.count >= Limits.snapshotGenerations, let oldest = snapshots.first,
      audit.counts.entries >= oldest.entries
    else { return 0 }
    var cuts: [(origin: OriginIndex, base: LogBase, batches: Int)] = []
    var left = batchesMax
    for (place, base) in try bases(of: oldest).enumerated() where left > 0 {
      let origin = OriginIndex(UInt32(place))
      let held = heads[origin]?.sequence ?? 0
      let limit = min(base.head.sequence, held - min(held, entries))
      guard let cut = try lastBatches(of: origin, through: limit, batchesMax: left) else { continue }
      cuts.append((origin, cut.base, cut.batches))
      left -= cut.batches
    }
    guard !cuts.isEmpty else { return 0 }
    try write { database in
      for cut in cuts {
        let delete = try statement(database, "DELETE FROM log WHERE origin = ?1 AND first_sequence <= ?2")
        delete.bind(1, Int64(cut.origin.value))
        delete.bind(2, clamping: cut.base.head.sequence)
        try delete.run()
        try putBase(cut.origin, cut.base, database)
      }
    }
    for cut in cuts { logBases[cut.origin] = cut.base }
    return batchesMax - left
  }

  // MARK: Reading

  /// Where an origin's log begins to be here as entries; nil if from its start on.
  public func base(of origin: OriginIndex) -> LogBase? { logBases[origin] }

  /// By place in the register, up to which sequence entries are not kept; without trailing zeros.
  public var logBase: [UInt64] {
    guard let last = logBases.keys.max() else { return [] }
    return (0...last.int).map { logBases[OriginIndex(UInt32($0))]?.head.sequence ?? 0 }
  }

  /// A snapshot that counts. Whether its bytes are what was written, its hash says.
  /// - Complexity: O(bytes).
  public func snapshot(_ info: SnapshotInfo) throws(StoreError) -> Snapshot {
    let pieces: [[UInt8]] = try perform { database in
      let select = try statement(database, "SELECT bytes FROM snapshot_pieces WHERE number = ? ORDER BY place")
      defer { select.reset() }
      select.bind(1, bits: info.number)
      var pieces: [[UInt8]] = []
      while try select.step() { pieces.append(select.bytes(0)) }
      return pieces
    }
    return Snapshot(info: info, bases: try bases(of: info), pieces: pieces)
  }

  /// One piece of a snapshot; empty if it is not here.
  public func piece(of info: SnapshotInfo, at offset: UInt64) throws(StoreError) -> [UInt8] {
    guard snapshots.contains(info) else { return [] }
    return try perform { database in
      let select = try statement(database, "SELECT bytes FROM snapshot_pieces WHERE number = ? AND place = ?")
      defer { select.reset() }
      select.bind(1, bits: info.number)
      select.bind(2, bits: offset / UInt64(Limits.snapshotPieceBytes))
      return try select.step() ? select.bytes(0) : []
    }
  }

  /// Up to where a snapshot stands for logs, as its rows say.
  public func bases(of info: SnapshotInfo) throws(StoreError) -> [LogBase] {
    try perform { database in
      let select = try statement(
        database,
        "SELECT origin, sequence, hash, stamp FROM snapshot_bases WHERE number = ? ORDER BY origin")
      defer { select.reset() }
      select.bind(1, bits: info.number)
      var bases: [LogBase] = []
      while try select.step() {
        guard let origin = Int(exactly: select.int(0)), origin < Limits.originsMax,
          let hash = Hash256(stored: select.raw(2))
        else { throw StoreError.corrupt(path: path, message: "snapshot \(info.number) names no log") }
        while bases.count < origin { bases.append(LogBase(head: Head(sequence: 0, hash: .zero), stamp: .zero)) }
        bases.append(LogBase(head: Head(sequence: select.bits(1), hash: hash), stamp: Stamp(select.bits(3))))
      }
      return bases
    }
  }

  /// The last of an origin's first batches that end at or before `sequence`, and how many these are.
  private func lastBatches(
    of origin: OriginIndex, through sequence: UInt64, batchesMax: Int
  ) throws(StoreError) -> (base: LogBase, batches: Int)? {
    try perform { database in
      let select = try statement(
        database,
        """
        SELECT last_sequence, hash, last_stamp FROM log
        WHERE origin = ?1 AND first_sequence <= ?2 ORDER BY first_sequence LIMIT ?3
        """)
      defer { select.reset() }
      select.bind(1, Int64(origin.value))
      select.bind(2, clamping: sequence)
      select.bind(3, Int64(batchesMax))
      var found: (LogBase, Int)?
      while try select.step(), select.bits(0) <= sequence {
        guard let hash = Hash256(stored: select.raw(1)) else { break }
        found = (
          LogBase(head: Head(sequence: select.bits(0), hash: hash), stamp: Stamp(select.bits(2))), (found?.1 ?? 0) + 1
        )
      }
      return found
    }
  }

  // MARK: Opening

  /// Reads which snapshots count, and where logs begin; drops pieces that belong to none.
  func loadSnapshots() throws(StoreError) {
    snapshots = try perform { database in
      let select = try statement(
        database, "SELECT number, checkpoint_hash, entries, bytes, hash FROM snapshots ORDER BY number")
      defer { select.reset() }
      var found: [SnapshotInfo] = []
      while try select.step() {
        guard let checkpoint = Hash256(stored: select.raw(1)), let hash = Hash256(stored: select.raw(4)) else {
          continue
        }
        found.append(
          SnapshotInfo(
            number: select.bits(0), checkpointHash: checkpoint, entries: select.bits(2), byteCount: select.bits(3),
            hash: hash))
      }
      return found
    }
    try loadBases()
    guard !isReadOnly else { return }
    try write { database in
      try statement(
        database, "DELETE FROM snapshot_pieces WHERE number NOT IN (SELECT number FROM snapshots)"
      ).run()
    }
  }

  private func loadBases() throws(StoreError) {
    logBases = try perform { database in
      let select = try statement(database, "SELECT origin, sequence, hash, stamp FROM log_base")
      defer { select.reset() }
      var bases: [OriginIndex: LogBase] = [:]
      while try select.step() {
        guard let origin = UInt32(exactly: select.int(0)), let hash = Hash256(stored: select.raw(2)) else {
          throw StoreError.corrupt(path: path, message: "a row of table log_base is unreadable")
        }
        bases[OriginIndex(origin)] = LogBase(
          head: Head(sequence: select.bits(1), hash: hash), stamp: Stamp(select.bits(3)))
      }
      return bases
    }
  }

  // MARK: Rows

  private func insert(_ snapshot: Snapshot, _ places: Range<Int>, _ database: Database) throws {
    let insert = try statement(
      database, "INSERT OR REPLACE INTO snapshot_pieces (number, place, bytes) VALUES (?, ?, ?)")
    for place in places {
      insert.bind(1, bits: snapshot.info.number)
      insert.bind(2, Int64(place))
      insert.bind(3, copying: snapshot.pieces[place])
      try insert.run()
    }
  }

  private func insertRow(_ snapshot: Snapshot, _ database: Database) throws {
    let info = snapshot.info
    let insert = try statement(
      database,
      "INSERT OR REPLACE INTO snapshots (number, checkpoint_hash, entries, bytes, hash) VALUES (?, ?, ?, ?, ?)")
    insert.bind(1, bits: info.number)
    insert.bind(2, copying: info.checkpointHash.bytes)
    insert.bind(3, bits: info.entries)
    insert.bind(4, bits: info.byteCount)
    insert.bind(5, copying: info.hash.bytes)
    try insert.run()
    let base = try statement(
      database,
      "INSERT OR REPLACE INTO snapshot_bases (number, origin, sequence, hash, stamp) VALUES (?, ?, ?, ?, ?)")
    for (place, value) in snapshot.bases.enumerated() where value.head.sequence > 0 {
      base.bind(1, bits: info.number)
      base.bind(2, Int64(place))
      base.bind(3, bits: value.head.sequence)
      base.bind(4, copying: value.head.hash.bytes)
      base.bind(5, bits: value.stamp.value)
      try base.run()
    }
  }

  private func drop(_ number: UInt64, _ database: Database) throws {
    for table in ["snapshots", "snapshot_bases", "snapshot_pieces"] {
      let delete = try statement(database, "DELETE FROM \(table) WHERE number = ?")
      delete.bind(1, bits: number)
      try delete.run()
    }
  }

  private func rebase(_ origin: OriginIndex, _ base: LogBase, _ database: Database) throws {
    if let known = logBases[origin], known.head.sequence >= base.head.sequence { return }
    let end = try statement(database, "SELECT hash FROM log WHERE origin = ?1 AND last_sequence = ?2")
    end.bind(1, Int64(origin.value))
    end.bind(2, clamping: base.head.sequence)
    let isWhole = try end.step() && Hash256(stored: end.raw(0)) == base.head.hash
    end.reset()
    if isWhole { return }
    let delete = try statement(database, "DELETE FROM log WHERE origin = ?")
    delete.bind(1, Int64(origin.value))
    try delete.run()
    try putBase(origin, base, database)
  }

  private func putBase(_ origin: OriginIndex, _ base: LogBase, _ database: Database) throws {
    let put = try statement(
      database, "INSERT OR REPLACE INTO log_base (origin, sequence, hash, stamp) VALUES (?, ?, ?, ?)")
    put.bind(1, Int64(origin.value))
    put.bind(2, bits: base.head.sequence)
    put.bind(3, copying: base.head.hash.bytes)
    put.bind(4, bits: base.stamp.value)
    try put.run()
  }
}
