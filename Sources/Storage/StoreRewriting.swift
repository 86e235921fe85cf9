import EventLog
import GRDB
import Primitives

/// Writing over what is stored, in a node's file that is not in use: for repairs, and to put faults in.
extension Store {
  /// Puts rows in the place of those of the same origin and first sequence, in one transaction.
  /// - Throws: `io` stops all writing.
  package func replaceRows(_ rows: [LogRow]) throws(StoreError) {
    try write { database in
      for row in rows {
        let delete = try statement(database, "DELETE FROM log WHERE origin = ?1 AND first_sequence = ?2")
        delete.bind(1, row.origin)
        delete.bind(2, bits: row.firstSequence)
        try delete.run()
        try insert(row, into: "log", database)
      }
    }
    try loadHeads()
  }

  /// Puts batches where others are damaged or missing, in one transaction; what was there moves into `void_log`.
  /// - Parameters:
  ///   - batches: of one origin, without a gap.
  /// - Throws: `io` stops all writing.
  package func mend(_ batches: [Batch]) throws(StoreError) {
    guard let first = batches.first, let last = batches.last else { return }
    try write { database in
      let columns = "origin, first_sequence, last_sequence, first_stamp, last_stamp, view, hash, signature, bytes"
      let condition = "origin = ?1 AND first_sequence <= ?3 AND max(last_sequence, first_sequence) >= ?2"
      for sql in [
        "INSERT INTO void_log (\(columns), reason) SELECT \(columns), \(VoidReason.damaged.rawValue) FROM log WHERE "
          + condition,
        "DELETE FROM log WHERE " + condition,
      ] {
        let move = try statement(database, sql)
        move.bind(1, Int64(first.origin.value))
        move.bind(2, bits: first.firstSequence)
        move.bind(3, bits: last.lastSequence)
        try move.run()
      }
      for batch in batches { try insert(LogRow(batch), into: "log", database) }
    }
    try loadHeads()
  }

  private func insert(_ row: LogRow, into table: String, _ database: Database) throws {
    let insert = try statement(
      database,
      """
      INSERT INTO \(table)
        (origin, first_sequence, last_sequence, first_stamp, last_stamp, view, hash, signature, bytes)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
      """)
    insert.bind(1, row.origin)
    insert.bind(2, bits: row.firstSequence)
    insert.bind(3, bits: row.lastSequence)
    insert.bind(4, bits: row.firstStamp.value)
    insert.bind(5, bits: row.lastStamp.value)
    insert.bind(6, bits: row.view)
    insert.bind(7, copying: row.hash?.bytes ?? [])
    insert.bind(8, copying: row.signature?.bytes ?? [])
    insert.bind(9, copying: row.bytes)
    try insert.run()
  }

  package func removeRow(of origin: OriginIndex, first: UInt64) throws(StoreError) {
    try write { database in
      let delete = try statement(database, "DELETE FROM log WHERE origin = ?1 AND first_sequence = ?2")
      delete.bind(1, Int64(origin.value))
      delete.bind(2, bits: first)
      try delete.run()
    }
    try loadHeads()
  }

  /// First and last sequence and last stamp of every stored batch, by origin and first sequence.
  package func batchPlaces() throws(StoreError) -> [(origin: OriginIndex, first: UInt64, last: UInt64, stamp: Stamp)] {
    try perform { database in
      let select = try statement(
        database, "SELECT origin, first_sequence, last_sequence, last_stamp FROM log ORDER BY origin, first_sequence")
      defer { select.reset() }
      var places: [(OriginIndex, UInt64, UInt64, Stamp)] = []
      while try select.step() {
        places.append(
          (OriginIndex(UInt32(clamping: select.int(0))), select.bits(1), select.bits(2), Stamp(select.bits(3))))
      }
      return places
    }
  }

  /// Writes one piece of a snapshot over.
  package func replacePiece(of info: SnapshotInfo, _ place: Int, _ bytes: [UInt8]) throws(StoreError) {
    try write { database in
      let update = try statement(database, "UPDATE snapshot_pieces SET bytes = ? WHERE number = ? AND place = ?")
      update.bind(1, copying: bytes)
      update.bind(2, bits: info.number)
      update.bind(3, Int64(place))
      try update.run()
    }
  }

  /// Flips a bit of one integer column of an order's row.
  /// - Returns: the value before and after; nil if there is no such row.
  package func flip(bit: Int, of column: String, in dot: Dot) throws(StoreError) -> (before: Int64, after: Int64)? {
    let found = try perform { database in
      try Int64.fetchOne(database, sql: "SELECT \(column) FROM orders WHERE dot = ?", arguments: [AuditDot.encode(dot)])
    }
    guard let before = found else { return nil }
    let after = before ^ (1 << bit)
    try write { database in
      try database.execute(
        sql: "UPDATE orders SET \(column) = ? WHERE dot = ?", arguments: [after, AuditDot.encode(dot)])
    }
    return (before, after)
  }

  /// Takes a fill out of the table, and closes the numbers up: as if it had never been derived.
  package func skipFill(_ number: UInt64) throws(StoreError) {
    try write { database in
      for sql in [
        "DELETE FROM fills WHERE number = ?1", "UPDATE fills SET number = 1 - number WHERE number > ?1",
        "UPDATE fills SET number = -number WHERE number < 0", "UPDATE audit_state SET fills = fills - 1 WHERE ?1 > 0",
      ] {
        let change = try statement(database, sql)
        if sql.contains("?1") { change.bind(1, bits: number) }
        try change.run()
      }
    }
    try loadAuditState()
  }

  /// A fill by its number.
  package func fill(_ number: UInt64) throws(StoreError) -> AuditFill? {
    try fills("WHERE number = ?1") { $0.bind(1, bits: number) }.first
  }

  /// Orders that are open in the derived tables, by dot.
  package func openOrderDots(max count: Int) throws(StoreError) -> [Dot] {
    try perform { database in
      try Int64.fetchAll(database, sql: "SELECT dot FROM orders WHERE status IN (1, 2) ORDER BY dot LIMIT \(count)")
        .compactMap { AuditDot.decode($0) }
    }
  }
}
