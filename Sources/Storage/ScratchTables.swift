import EventLog
import Foundation
import GRDB
import OrderBook
import Primitives

/// Derived tables of their own in a temporary directory, which goes when the last reference does.
///
/// Who wants to know whether a node's tables are what its log leads to derives them here again, then compares.
public final class ScratchTables {
  let store: Store
  private let directory: String

  /// - Throws: `notWritable` if there is no room for temporary files; they grow as large as a node's tables.
  init() throws(StoreError) {
    directory = NSTemporaryDirectory() + "/rialto-derived-" + UUID().uuidString
    store = try Store.open(directory: directory, identity: StoreIdentity(cluster: .zero, node: NodeID(.zero)))
    try store.perform { database in
      try database.execute(sql: "CREATE TABLE derived_from (origin INTEGER PRIMARY KEY, sequence INTEGER NOT NULL)")
    }
  }

  deinit {
    store.close()
    try? FileManager.default.removeItem(atPath: directory)
  }

  /// Key of the last entry whose consequences are in them.
  public var position: OrderKey { store.auditPosition }
  public var counts: AuditCounts { store.counts() }

  /// Begins with what a snapshot says: what came before is not known.
  /// - Parameters:
  ///   - bases: by place in the register, up to where it stands for a log.
  ///   - counts: of final entries, orders and fills that it stands for.
  public func begin(
    at bases: [LogBase], counts: AuditCounts, instruments: [(dot: Dot, instrument: Instrument)], open: [RestingOrder]
  ) throws(StoreError) {
    try store.beginAudit(at: bases, counts: counts, instruments: instruments, open: open)
    try store.perform { database in
      for (place, base) in bases.enumerated() where base.head.sequence > 0 {
        try database.execute(
          sql: "INSERT INTO derived_from (origin, sequence) VALUES (?, ?)",
          arguments: [place, Int64(clamping: base.head.sequence)])
      }
    }
  }

  /// As `Store.writeAudit`.
  public func write(_ run: AppliedRun) throws(StoreError) { try store.writeAudit(run) }
}

/// A row of a derived table that is not what the log leads to.
public struct TableDifference: Hashable, Sendable {
  public enum Kind: String, Hashable, Sendable {
    case missing, extra, differs
  }
  public var table: String
  public var kind: Kind
  /// Of an order, instrument or rejection.
  public var dot: Dot?
  /// Of a fill.
  public var number: UInt64?
  /// The columns that differ, as they are and as they should be.
  public var columns: [Column]

  public struct Column: Hashable, Sendable {
    public var name: String
    public var found: String
    public var derived: String
  }
}

/// Which rows to hold against each other.
private struct ComparedTable {
  var name: String
  var key: String
  var columns: [String]
  /// Of rows that a snapshot began with: what it says of them.
  var seededColumns: [String]
  var isOfDots: Bool { key == "dot" }

  static let all = [
    ComparedTable(
      name: "instruments", key: "dot",
      columns: ["symbol", "tick_mantissa", "tick_scale", "lot_mantissa", "lot_scale", "stamp"],
      seededColumns: ["symbol", "tick_mantissa", "tick_scale", "lot_mantissa", "lot_scale"]),
    ComparedTable(
      name: "orders", key: "dot",
      columns: [
        "stamp", "account", "client_order_id", "instrument", "side", "type", "time_in_force", "self_trade", "post_only",
        "price", "stop_price", "quantity", "display", "expiry", "open", "filled", "unfilled", "reduced", "status",
        "reason", "refers_to", "triggered", "first_dot", "changed_by", "changed_stamp",
      ],
      seededColumns: [
        "account", "instrument", "side", "price", "quantity", "open", "filled", "unfilled", "status", "reason",
      ]),
    ComparedTable(
      name: "fills", key: "number",
      columns: ["maker", "taker", "taker_side", "price", "quantity", "stamp", "instrument"], seededColumns: []),
    ComparedTable(
      name: "rejections", key: "dot",
      columns: ["stamp", "kind", "account", "reason", "target", "target_client_order_id"], seededColumns: []),
  ]
}

extension Store {
  /// Where to derive the tables again; only of a store that holds still.
  public var derived: ScratchTables? { scratch }

  /// Holds the derived tables against those in `derived`, row by row.
  ///
  /// What is older than the snapshot with which those began is not looked at, nor what was changed after `through`.
  /// - Parameters:
  ///   - through: everything up to this stamp has been derived.
  ///   - max: differences of a table that are returned; all are counted.
  /// - Returns: the first differences of each table, how many there are, and how many rows were compared.
  /// - Complexity: O(rows × log rows).
  public func compareTables(
    through: Stamp, max: Int
  ) throws(StoreError) -> (differences: [TableDifference], count: Int, rows: UInt64) {
    guard let scratch else { return ([], 0, 0) }
    let first = scratch.firstFill
    return try perform { database in
      var found: [TableDifference] = []
      var count = 0
      var rows: UInt64 = 0
      for table in ComparedTable.all {
        for isSeeded in [false, true] where !isSeeded || !table.seededColumns.isEmpty {
          let more = try differences(of: table, isSeeded: isSeeded, through, afterFill: first, database)
          count += more.count
          found += more.prefix(max)
        }
        rows += try UInt64.fetchOne(database, sql: "SELECT count(*) FROM derived.\(table.name)") ?? 0
      }
      return (found, count, rows)
    }
  }

  /// Every row that is on one side only, or differs; at most a million are looked at.
  private func differences(
    of table: ComparedTable, isSeeded: Bool, _ through: Stamp, afterFill: UInt64, _ database: Database
  ) throws -> [TableDifference] {
    let columns = isSeeded ? table.seededColumns : table.columns
    let key = table.key
    func isNew(_ row: String) -> String {
      guard table.isOfDots else { return "\(row).\(key) > \(afterFill)" }
      let base = "coalesce((SELECT sequence FROM derived.derived_from b WHERE b.origin = \(row).origin), 0)"
      return isSeeded ? "\(row).sequence <= \(base)" : "\(row).sequence > \(base)"
    }
    // What was changed later is not what it was then.
    let changed = table.name == "orders" ? "changed_stamp" : "stamp"
    let isThen = "m.\(changed) <= \(Int64(bitPattern: through.value))"
    let list = { (row: String) in columns.map { "\(row).\($0)" }.joined(separator: ", ") }
    var sql = """
      SELECT d.\(key), m.\(key) IS NULL, 0, \(list("m")), \(list("d")) FROM derived.\(table.name) d
      LEFT JOIN main.\(table.name) m ON m.\(key) = d.\(key)
      WHERE \(isNew("d")) AND (m.\(key) IS NULL OR \(isThen) AND (\(list("m"))) IS NOT (\(list("d"))))
      """
    if !isSeeded {
      sql += """
         UNION ALL SELECT m.\(key), 0, 1, \(list("m")), \(list("m")) FROM main.\(table.name) m
        WHERE \(isNew("m")) AND m.stamp <= \(Int64(bitPattern: through.value))
        AND NOT EXISTS (SELECT 1 FROM derived.\(table.name) d WHERE d.\(key) = m.\(key))
        """
    }
    sql += " ORDER BY 1 LIMIT 1000000"
    var found: [TableDifference] = []
    let cursor = try Row.fetchCursor(database, sql: sql)
    while let row = try cursor.next() {
      let name: Int64 = row[0]
      let kind: TableDifference.Kind = row[1] == 1 ? .missing : row[2] == 1 ? .extra : .differs
      var difference = TableDifference(
        table: table.name, kind: kind, dot: table.isOfDots ? AuditDot.decode(name) : nil,
        number: table.isOfDots ? nil : UInt64(clamping: name), columns: [])
      if found.count < 1_000 {
        for (place, column) in columns.enumerated() {
          let mine = row[3 + place] as DatabaseValue
          let derived = row[3 + columns.count + place] as DatabaseValue
          if kind == .differs, mine == derived { continue }
          difference.columns.append(
            TableDifference.Column(
              name: column, found: kind == .missing ? "" : mine.text, derived: kind == .extra ? "" : derived.text))
        }
      }
      found.append(difference)
    }
    return found
  }
}

extension Store {
  /// Writes the derived tables anew, from tables that were derived beside them, in one synced transaction.
  ///
  /// What is older than the snapshot with which those began stays as it is.
  /// - Returns: how many rows were written.
  /// - Throws: `io` stops all writing.
  package func replaceTables(with derived: ScratchTables) throws(StoreError) -> UInt64 {
    let first = derived.firstFill
    try perform { try $0.execute(sql: "ATTACH DATABASE ? AS derived", arguments: [derived.store.path]) }
    var rows: UInt64 = 0
    try write { database in
      for table in ComparedTable.all {
        let columns = ([table.key] + table.columns).joined(separator: ", ")
        let isNew =
          table.isOfDots
          ? "sequence > coalesce((SELECT b.sequence FROM derived.derived_from b WHERE b.origin = t.origin), 0)"
          : "number > \(first)"
        try database.execute(sql: "DELETE FROM main.\(table.name) AS t WHERE \(isNew)")
        try database.execute(
          sql:
            """
            INSERT INTO main.\(table.name) (\(columns))
            SELECT \(columns) FROM derived.\(table.name) AS t WHERE \(isNew)
            """
        )
        rows += UInt64(clamping: database.changesCount)
        guard !table.seededColumns.isEmpty else { continue }
        let settings = table.seededColumns.map { "\($0) = d.\($0)" }.joined(separator: ", ")
        try database.execute(
          sql: """
            UPDATE main.\(table.name) AS t SET \(settings) FROM derived.\(table.name) d
            WHERE d.dot = t.dot AND NOT (\(isNew.replacing("sequence >", with: "t.sequence >")))
            """)
      }
      try database.execute(
        sql: """
          UPDATE main.audit_state SET (stamp, origin, entries, orders, fills) =
            (SELECT stamp, origin, entries, orders, fills FROM derived.audit_state)
          """)
    }
    tape = TradesTape()
    try loadAuditState()
    try perform { try $0.execute(sql: "DETACH DATABASE derived") }
    return rows
  }
}

extension ScratchTables {
  /// Fills that were there before the first that is derived.
  fileprivate var firstFill: UInt64 { store.auditSeed.fills }
}

extension DatabaseValue {
  fileprivate var text: String {
    switch storage {
    case .null: "nothing"
    case .int64(let value): "\(value)"
    case .double(let value): "\(value)"
    case .string(let value): value
    case .blob(let value): [UInt8](value).hex
    }
  }
}
