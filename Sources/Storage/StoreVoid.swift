import EventLog
import GRDB
import Primitives

/// The table `void_log`: what was cut off with the ends of sealed logs.
extension Store {
  /// What an origin's log had from one sequence through another when it was sealed before them; batches that are not
  /// what was written are left out.
  /// - Complexity: O(log rows + bytes).
  public func voidBatches(
    of origin: OriginIndex, from first: UInt64, through last: UInt64
  ) throws(StoreError) -> [Batch] {
    try perform { database in
      let rows = try voidRows(
        "WHERE origin = ?1 AND first_sequence BETWEEN ?2 AND ?3 AND reason = ?4 ORDER BY first_sequence",
        [Int64(origin.value), Int64(clamping: first), Int64(clamping: last), VoidReason.sealed.rawValue], database)
      return LogRow.voidBatches(rows, after: try hashBefore(origin, first, database), sha)
    }
  }

  /// The entry that a dot named before its origin was sealed before it; nil if there is none here.
  /// - Complexity: O(log rows + bytes of its batch).
  public func voidEntry(_ dot: Dot) throws(StoreError) -> Entry? {
    try perform { database in
      let rows = try voidRows(
        "WHERE origin = ?1 AND first_sequence <= ?2 AND reason = ?3 ORDER BY first_sequence DESC LIMIT 1",
        [Int64(dot.origin.value), Int64(clamping: dot.sequence), VoidReason.sealed.rawValue], database)
      guard let batch = LogRow.voidBatches(rows, after: nil, sha).first, dot.sequence <= batch.lastSequence else {
        return nil
      }
      return batch.entries[Int(dot.sequence - batch.firstSequence)]
    }
  }

  private func voidRows(_ rest: String, _ values: [Int64], _ database: Database) throws -> [LogRow] {
    let select = try statement(
      database,
      """
      SELECT origin, first_sequence, last_sequence, first_stamp, last_stamp, view, hash, signature, bytes
      FROM void_log \(rest)
      """)
    defer { select.reset() }
    for (index, value) in values.enumerated() { select.bind(CInt(index + 1), value) }
    var rows: [LogRow] = []
    while try select.step() {
      rows.append(
        LogRow(
          origin: select.int(0), firstSequence: select.bits(1), lastSequence: select.bits(2),
          firstStamp: Stamp(select.bits(3)), lastStamp: Stamp(select.bits(4)), view: select.bits(5),
          hash: Hash256(stored: select.raw(6)), signature: Signature(bytes: select.bytes(7)), bytes: select.bytes(8)))
    }
    return rows
  }
}
