import EventLog
import GRDB
import OrderBook
import Primitives

/// The file as it is found, for those who judge it.
extension Store {
  /// Rows of an origin's log, by first sequence, whatever they hold.
  /// - Parameters:
  ///   - sequence: first sequences are above it.
  ///   - max: so many at most.
  /// - Complexity: O(log batches + bytes).
  public func logRows(
    of origin: OriginIndex, after sequence: UInt64, max: Int
  ) throws(StoreError) -> [LogRow] {
    try perform { database in
      let select = try statement(
        database,
        """
        SELECT origin, first_sequence, last_sequence, first_stamp, last_stamp, view, hash, signature, bytes
        FROM log WHERE origin = ?1 AND first_sequence > ?2 ORDER BY first_sequence LIMIT ?3
        """)
      defer { select.reset() }
      select.bind(1, Int64(origin.value))
      select.bind(2, clamping: sequence)
      select.bind(3, Int64(max))
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

  /// How many batches the log has, and how many are kept aside.
  public func batchCounts() throws(StoreError) -> (log: UInt64, aside: UInt64) {
    try perform { database in
      (
        try UInt64.fetchOne(database, sql: "SELECT count(*) FROM log") ?? 0,
        try UInt64.fetchOne(database, sql: "SELECT count(*) FROM void_log") ?? 0
      )
    }
  }

  /// Empties the derived tables and begins them with what a snapshot says.
  func beginAudit(
    at bases: [LogBase], counts: AuditCounts, instruments: [(dot: Dot, instrument: Instrument)], open: [RestingOrder]
  ) throws(StoreError) {
    let newest = bases.map(\.stamp).max() ?? .zero
    var state = AuditState()
    state.position = OrderKey(stamp: newest, origin: OriginIndex(UInt32(Limits.originsMax - 1)))
    state.counts = counts
    try writeUnsynced { database in
      try eraseAudit(leaving: state, database)
      try seedAudit(instruments, open, stamp: newest, database)
    }
    audit = state
    auditSeed = counts
    tape = TradesTape()
  }
}

extension Store {
  /// The instruments of the derived tables, each as the entry that defined it.
  public func instruments() throws(StoreError) -> [(dot: Dot, entry: Entry)] {
    try perform { database in
      let select = try statement(
        database,
        "SELECT dot, symbol, tick_mantissa, tick_scale, lot_mantissa, lot_scale, stamp FROM instruments ORDER BY dot")
      defer { select.reset() }
      var found: [(Dot, Entry)] = []
      while try select.step() {
        guard let symbol = Symbol(select.string(1)), let tickScale = UInt8(exactly: select.int(3)),
          let lotScale = UInt8(exactly: select.int(5)),
          let tick = Increment(mantissa: select.bits(2), scale: tickScale),
          let lot = Increment(mantissa: select.bits(4), scale: lotScale)
        else { throw StoreError.damagedAudit(table: "instruments", column: "symbol") }
        let instrument = Instrument(symbol: symbol, tick: tick, lot: lot)
        found.append(
          (
            try select.dot(0, "instruments.dot"),
            Entry(stamp: Stamp(select.bits(6)), payload: .command(.instrument(instrument)))
          ))
      }
      return found
    }
  }
}
