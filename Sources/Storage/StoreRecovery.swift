import EventLog
import GRDB
import Primitives

extension Store {
  /// Reads the whole log back in order of (first stamp, origin), and checks every batch of it.
  ///
  /// SQLite itself drops the torn tail of its write-ahead log: transactions that were never acknowledged. So a row that
  /// is there was acknowledged, and one that is not what was written is damage, never a torn tail. The damaged batch
  /// and everything after it of its origin is not delivered. Of other origins those rows are then deleted, because
  /// peers have them and the log can only be continued where it is whole; of the own origin they stay, as evidence.
  /// - Parameters:
  ///   - own: this node's present origin; nil if it has none yet.
  ///   - chainStart: hash with which an origin's chain starts; `HashChain.start`.
  ///   - body: may use the store for reading. If it throws, recovery ends and nothing is deleted.
  /// - Throws: `damagedOwnLog`; `unknownEntry` if an intact batch was written by a newer version; `corrupt`;
  ///   `endedByCaller` with what `body` threw, unless that is a `StoreError`.
  /// - Complexity: O(bytes + batches × log origins); memory for 256 places per origin and one batch.
  public func recover(
    own: OriginIndex? = nil, chainStart: (OriginIndex) -> Hash256, _ body: (Batch) throws -> Void
  ) throws(StoreError) -> RecoveryReport {
    var report = RecoveryReport()
    var merge = LogMerge()
    for origin in heads.keys.sorted() {
      chainStarts[origin] = chainStart(origin)
      merge.add(try cursor(origin, from: 0))
    }
    while var cursor = merge.popFirst() {
      switch try readBatch(cursor) {
      case .failure(var damage):
        (damage.batchesLost, damage.entriesLost) = try extent(damage)
        if damage.origin == own { throw .damagedOwnLog(damage) }
        report.damages.append(damage)
      case .success(let batch):
        try deliver(batch, body)
        report.batches += 1
        report.entries += UInt64(batch.entries.count)
        cursor.advance(Head(sequence: batch.lastSequence, hash: batch.hash))
        if cursor.isUsedUp { try refill(&cursor) }
        merge.add(cursor)
      }
    }
    report.damages.sort { $0.origin < $1.origin }
    if !report.damages.isEmpty && !isReadOnly {
      try delete(report.damages)
      report.areDamagedRowsDeleted = true
    }
    return report
  }

  private func deliver(_ batch: Batch, _ body: (Batch) throws -> Void) throws(StoreError) {
    do {
      try body(batch)
    } catch let error as StoreError {
      throw error
    } catch {
      throw .endedByCaller(message: "\(error)")
    }
  }

  // MARK: Places in the log

  private func cursor(_ origin: OriginIndex, from sequence: UInt64) throws(StoreError) -> LogCursor {
    var cursor = LogCursor(origin: origin, head: Head(sequence: sequence, hash: chainStarts[origin] ?? .zero))
    try refill(&cursor)
    return cursor
  }

  /// Reads the next places from the index alone.
  private func refill(_ cursor: inout LogCursor) throws(StoreError) {
    let (origin, last) = (cursor.origin, cursor.lastPlace)
    let places = try perform { database in
      let select = try statement(
        database,
        """
        SELECT rowid, first_sequence, first_stamp FROM log INDEXED BY log_by_origin
        WHERE origin = ?1 AND first_sequence > ?2 ORDER BY first_sequence LIMIT \(LogCursor.placesMax)
        """)
      defer { select.reset() }
      select.bind(1, Int64(origin.value))
      select.bind(2, clamping: last)
      var places: [LogCursor.Place] = []
      while try select.step() {
        places.append(.init(row: select.int(0), firstSequence: select.bits(1), firstStamp: Stamp(select.bits(2))))
      }
      return places
    }
    cursor.refill(places)
  }

  // MARK: One batch

  private func readBatch(_ cursor: LogCursor) throws(StoreError) -> Result<Batch, LogDamage> {
    let place = cursor.place
    let expected = cursor.head.sequence + 1
    func damaged(_ kind: LogDamage.Kind) -> Result<Batch, LogDamage> {
      .failure(LogDamage(origin: cursor.origin, sequence: expected, kind: kind))
    }
    guard place.firstSequence == expected else { return damaged(.outOfChain(found: place.firstSequence)) }
    guard let row = try readRow(place.row) else { return damaged(.column("rowid")) }
    guard let hash = row.hash, let signature = row.signature else { return damaged(.column("hash, signature")) }
    let sealed = SealedBatch(bytes: row.bytes, view: row.view, signature: signature)
    let batch: Batch
    do throws(CodecError) {
      batch = try Batch.decode(sealed, previous: cursor.head.hash, sha)
    } catch {
      let isIntact = HashChain.link(previous: cursor.head.hash, bytes: row.bytes, sha) == hash
      // Intact, but of a later version: to delete that would be to lose acknowledged entries.
      if case .unknown = error, isIntact {
        throw .unknownEntry(origin: cursor.origin, sequence: expected, detail: error)
      }
      return damaged(.undecodable(error))
    }
    guard batch.hash == hash else { return damaged(.hashMismatch) }
    // The columns are for people, indexes and heads; a batch speaks for itself.
    guard row.origin == Int64(batch.origin.value), batch.origin == cursor.origin else {
      return damaged(.column("origin"))
    }
    guard batch.firstSequence == expected, row.firstSequence == expected else {
      return damaged(.column("first_sequence"))
    }
    guard row.lastSequence == batch.lastSequence else { return damaged(.column("last_sequence")) }
    guard row.firstStamp == batch.firstStamp, place.firstStamp == batch.firstStamp else {
      return damaged(.column("first_stamp"))
    }
    guard row.lastStamp == batch.lastStamp else { return damaged(.column("last_stamp")) }
    return .success(batch)
  }

  private struct LogRow {
    var origin: Int64
    var firstSequence, lastSequence: UInt64
    var firstStamp, lastStamp: Stamp
    var view: UInt64
    var hash: Hash256?
    var signature: Signature?
    var bytes: [UInt8]
  }

  private func readRow(_ row: Int64) throws(StoreError) -> LogRow? {
    try perform { database in
      let select = try statement(
        database,
        """
        SELECT origin, first_sequence, last_sequence, first_stamp, last_stamp, view, hash, signature, bytes
        FROM log WHERE rowid = ?
        """)
      defer { select.reset() }
      select.bind(1, row)
      guard try select.step() else { return nil }
      return LogRow(
        origin: select.int(0), firstSequence: select.bits(1), lastSequence: select.bits(2),
        firstStamp: Stamp(select.bits(3)), lastStamp: Stamp(select.bits(4)), view: select.bits(5),
        hash: Hash256(stored: select.raw(6)), signature: Signature(bytes: select.bytes(7)), bytes: select.bytes(8))
    }
  }

  // MARK: Damage

  private func extent(_ damage: LogDamage) throws(StoreError) -> (batches: Int, entries: UInt64) {
    try perform { database in
      let select = try statement(
        database,
        """
        SELECT count(*), coalesce(max(last_sequence) - ?2 + 1, 0) FROM log WHERE origin = ?1 AND first_sequence >= ?2
        """)
      defer { select.reset() }
      select.bind(1, Int64(damage.origin.value))
      select.bind(2, clamping: damage.sequence)
      guard try select.step() else { return (0, 0) }
      return (Int(select.int(0)), UInt64(clamping: select.int(1)))
    }
  }

  private func delete(_ damages: [LogDamage]) throws(StoreError) {
    try write { database in
      let delete = try statement(database, "DELETE FROM log WHERE origin = ?1 AND first_sequence >= ?2")
      for damage in damages {
        delete.bind(1, Int64(damage.origin.value))
        delete.bind(2, clamping: damage.sequence)
        try delete.run()
      }
    }
    try loadHeads()
  }
}
