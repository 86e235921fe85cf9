import EventLog
import GRDB
import OrderBook
import Primitives

/// The tables `void_log` and `void_orders`: what was cut off with the ends of sealed logs.
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

  /// The newest order of that client order id which was cut off here; nil if there is none.
  /// - Complexity: O(log orders that were).
  public func voidOrder(account: AccountID, clientOrderID: ClientOrderID) throws(StoreError) -> Dot? {
    if clientOrderID.isNone { return nil }
    return try perform { database in
      let row = try statement(database, "SELECT dot FROM void_orders WHERE account = ?1 AND client_order_id = ?2")
      defer { row.reset() }
      row.bind(1, bits: account.value)
      row.bind(2, clientOrderID)
      return try row.step() ? try row.dot(0, "void_orders.dot") : nil
    }
  }

  // MARK: Names of orders

  /// Writes down the client order ids of orders that were just cut off, in the transaction that does it.
  /// - Complexity: O(bytes of the tail).
  func nameVoidOrders(of origin: OriginIndex, from first: UInt64, _ database: Database) throws {
    let rows = try voidRows(
      "WHERE origin = ?1 AND first_sequence >= ?2 AND reason = ?3 ORDER BY first_sequence",
      [Int64(origin.value), Int64(clamping: first), VoidReason.sealed.rawValue], database)
    if rows.isEmpty { return }
    let put = try statement(database, Self.putVoidOrderSQL)
    try Self.nameOrders(LogRow.voidBatches(rows, after: nil, sha), put)
  }

  /// The same for all that a file of an older format holds.
  static func nameVoidOrders(_ database: Database) throws {
    let put = try StoreStatement(database, putVoidOrderSQL)
    let select = try StoreStatement(
      database, "SELECT \(voidColumns) FROM void_log WHERE reason = \(VoidReason.sealed.rawValue) ORDER BY first_stamp")
    defer { select.reset() }
    let sha = SHA256()
    while try select.step() { try nameOrders(LogRow.voidBatches([LogRow(select)], after: nil, sha), put) }
  }

  private static let putVoidOrderSQL = "INSERT OR REPLACE INTO void_orders VALUES (?1, ?2, ?3)"

  private static func nameOrders(_ batches: [Batch], _ put: StoreStatement) throws {
    for batch in batches {
      for (place, entry) in batch.entries.enumerated() {
        guard case .command(.order(let order)) = entry.payload, !order.clientOrderID.isNone else { continue }
        put.bind(1, bits: order.account.value)
        put.bind(2, order.clientOrderID)
        put.bind(3, AuditDot.encode(Dot(origin: batch.origin, sequence: batch.firstSequence + UInt64(place))))
        try put.run()
      }
    }
  }

  // MARK: Rows

  private static let voidColumns =
    "origin, first_sequence, last_sequence, first_stamp, last_stamp, view, hash, signature, bytes"

  private func voidRows(_ rest: String, _ values: [Int64], _ database: Database) throws -> [LogRow] {
    let select = try statement(database, "SELECT \(Self.voidColumns) FROM void_log \(rest)")
    defer { select.reset() }
    for (index, value) in values.enumerated() { select.bind(CInt(index + 1), value) }
    var rows: [LogRow] = []
    while try select.step() {
      rows.append(LogRow(select))
    }
    return rows
  }
}

extension LogRow {
  /// A row of `void_log`, columns as in `voidColumns`.
  fileprivate init(_ row: StoreStatement) {
    self.init(
      origin: row.int(0), firstSequence: row.bits(1), lastSequence: row.bits(2), firstStamp: Stamp(row.bits(3)),
      lastStamp: Stamp(row.bits(4)), view: row.bits(5), hash: Hash256(stored: row.raw(6)),
      signature: Signature(bytes: row.bytes(7)), bytes: row.bytes(8))
  }
}
