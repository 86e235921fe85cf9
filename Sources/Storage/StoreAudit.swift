import EventLog
import GRDB
import OrderBook
import Primitives

extension Store {
  /// Writes what final entries did into the audit tables, in one transaction together with the new position.
  ///
  /// Idempotent: items at or below `auditPosition` are skipped, so a run may be repeated after a restart. The tables
  /// are derived and can be had again from the log, so this transaction alone is not synced: a power cut may take the
  /// newest ones back, position and all. The next `commit` syncs them as well.
  /// - Parameter run: final entries in ascending key order; the longer, the less an order costs, since an order that
  ///   changes several times in a run is written once. Some 100,000 entries make a good one.
  /// - Throws: `disorder`, `sequenceTooLarge` before anything is written; `io` stops all writing.
  /// - Complexity: O(events log rows).
  public func writeAudit(_ run: AppliedRun) throws(StoreError) {
    guard let first = run.items.firstIndex(where: { $0.key > audit.position }), let last = run.lastKey else { return }
    try checkNames(run, from: first)
    let tally = AuditTally(run, from: first)
    var next = audit
    next.position = last
    next.counts.entries += UInt64(run.items.count - first)
    next.counts.orders += tally.orders
    next.counts.fills += UInt64(tally.fills.count)
    try writeUnsynced { database in
      try writeInstruments(tally, run, database)
      try writeOrders(tally, run, database)
      try writeFills(tally, after: audit.counts.fills, database)
      try writeRejections(tally, run, database)
      try writeState(next, database)
    }
    audit = next
  }

  /// Empties the audit tables, so that they can be written again from the log.
  public func eraseAudit() throws(StoreError) {
    try writeUnsynced { database in try eraseAudit(leaving: AuditState(), database) }
    audit = AuditState()
    tape = TradesTape()
  }

  func eraseAudit(leaving state: AuditState, _ database: Database) throws {
    for table in ["instruments", "orders", "fills", "rejections"] {
      try statement(database, "DELETE FROM \(table)").run()
    }
    try writeState(state, database)
  }

  /// What a snapshot says of the past: the instruments, and the orders that are open. Of these it does not know when
  /// they came, nor what amends took off; they are dated as it is.
  func seedAudit(
    _ instruments: [(dot: Dot, instrument: Instrument)], _ open: [RestingOrder], stamp: Stamp, _ database: Database
  ) throws {
    for (dot, instrument) in instruments { try writeInstrument(dot, instrument, stamp, database) }
    let insert = try statement(database, Self.insertOrderSQL)
    for resting in open {
      let order = Order(
        instrument: resting.instrument, account: resting.account, side: resting.side, type: resting.type,
        timeInForce: resting.timeInForce, priceTicks: resting.priceTicks,
        quantityLots: resting.openLots + resting.filledLots, selfTradePrevention: resting.selfTradePrevention,
        postOnly: resting.postOnly, stopPriceTicks: resting.stopPriceTicks, displayLots: resting.displayLots,
        expiry: resting.expiry, clientOrderID: resting.clientOrderID)
      var change = OrderChange(
        dot: resting.dot, item: nil, openLots: resting.openLots, changedBy: resting.dot, changedStamp: stamp)
      change.filledMore = resting.filledLots
      bind(insert, change, order, stamp: stamp)
      try insert.run()
    }
  }

  // MARK: One transaction

  /// Turns the sync at commit off for one transaction, and on again whatever happens.
  func writeUnsynced(_ body: (Database) throws -> Void) throws(StoreError) {
    if isReadOnly || isStopped { throw .stopped }
    try perform { try statement($0, "PRAGMA synchronous = NORMAL").run() }
    let result: Result<Void, StoreError>
    do throws(StoreError) {
      result = .success(try write(body))
    } catch {
      result = .failure(error)
    }
    do throws(StoreError) {
      try perform { try Self.setAndCheck($0, "synchronous", "FULL", reads: "2") }
    } catch {
      // Without it no later commit would mean anything.
      isStopped = true
      throw error
    }
    try result.get()
  }

  private func checkNames(_ run: AppliedRun, from first: Int) throws(StoreError) {
    var key = audit.position
    for index in first..<run.items.count {
      guard key < run.items[index].key else { throw .disorder(after: key, found: run.items[index].key) }
      key = run.items[index].key
      guard AuditDot.canEncode(run.items[index].dot) else { throw .sequenceTooLarge(run.items[index].dot) }
    }
  }

  private func writeState(_ state: AuditState, _ database: Database) throws {
    let update = try statement(
      database, "UPDATE audit_state SET stamp = ?, origin = ?, entries = ?, orders = ?, fills = ? WHERE id = 1")
    update.bind(1, bits: state.position.stamp.value)
    update.bind(2, Int64(state.position.origin.value))
    update.bind(3, bits: state.counts.entries)
    update.bind(4, bits: state.counts.orders)
    update.bind(5, bits: state.counts.fills)
    try update.run()
  }

  func loadAuditState() throws(StoreError) {
    audit = try perform { database in
      let select = try statement(database, "SELECT stamp, origin, entries, orders, fills FROM audit_state")
      defer { select.reset() }
      guard try select.step(), let origin = UInt32(exactly: select.int(1)) else {
        throw StoreError.damagedAudit(table: "audit_state", column: "origin")
      }
      return AuditState(
        position: OrderKey(stamp: Stamp(select.bits(0)), origin: OriginIndex(origin)),
        counts: AuditCounts(entries: select.bits(2), orders: select.bits(3), fills: select.bits(4)))
    }
  }

  // MARK: Rows

  private func writeInstruments(_ tally: AuditTally, _ run: AppliedRun, _ database: Database) throws {
    for index in tally.instruments {
      let item = run.items[index]
      guard case .command(.instrument(let instrument)) = item.entry.payload else { continue }
      try writeInstrument(item.dot, instrument, item.entry.stamp, database)
    }
  }

  private func writeInstrument(
    _ dot: Dot, _ instrument: Instrument, _ stamp: Stamp, _ database: Database
  ) throws {
    let insert = try statement(
      database,
      """
      INSERT INTO instruments (dot, symbol, tick_mantissa, tick_scale, lot_mantissa, lot_scale, stamp)
      VALUES (?, ?, ?, ?, ?, ?, ?)
      """)
    insert.bind(1, AuditDot.encode(dot))
    insert.bind(2, text: instrument.symbol.utf8)
    insert.bind(3, bits: instrument.tick.mantissa)
    insert.bind(4, Int64(instrument.tick.scale))
    insert.bind(5, bits: instrument.lot.mantissa)
    insert.bind(6, Int64(instrument.lot.scale))
    insert.bind(7, bits: stamp.value)
    try insert.run()
  }

  private func writeOrders(_ tally: AuditTally, _ run: AppliedRun, _ database: Database) throws {
    let insert = try statement(database, Self.insertOrderSQL)
    let update = try statement(database, Self.updateOrderSQL)
    for change in tally.changes {
      if let item = change.item {
        guard case .command(.order(let order)) = run.items[item].entry.payload else { continue }
        bind(insert, change, order, stamp: run.items[item].entry.stamp)
        try insert.run()
      } else {
        bind(update, change)
        // No row means that the order is older than this node's audit history, which began with a snapshot.
        try update.run()
      }
    }
  }

  private static let insertOrderSQL = """
    INSERT INTO orders (
      dot, stamp, account, client_order_id, instrument, side, type, time_in_force, self_trade, post_only, price,
      stop_price, quantity, display, expiry, open, filled, unfilled, reduced, status, reason, refers_to, changed_by,
      changed_stamp, triggered, first_dot
    ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    """

  private func bind(_ row: StoreStatement, _ change: OrderChange, _ order: Order, stamp: Stamp) {
    row.bind(1, AuditDot.encode(change.dot))
    row.bind(2, bits: stamp.value)
    row.bind(3, bits: order.account.value)
    row.bind(4, order.clientOrderID)
    row.bind(5, AuditDot.encode(order.instrument))
    row.bind(6, Int64(order.side.rawValue))
    row.bind(7, Int64(order.type.rawValue))
    row.bind(8, Int64(order.timeInForce.rawValue))
    row.bind(9, Int64(order.selfTradePrevention.rawValue))
    row.bind(10, order.postOnly ? 1 : 0)
    row.bind(11, change.priceTicks ?? order.priceTicks)
    row.bind(12, order.stopPriceTicks)
    row.bind(13, change.quantityBeyondFilled ?? order.quantityLots)
    row.bind(14, order.displayLots)
    row.bind(15, bits: order.expiry.value)
    row.bind(16, change.openLots)
    row.bind(17, change.filledMore)
    row.bind(18, change.unfilledLots)
    row.bind(19, change.reducedMore)
    let status = change.status ?? (change.filledMore > 0 ? .partiallyFilled : .open)
    row.bind(20, Int64(status.rawValue))
    row.bind(21, Int64(change.reason))
    row.bind(22, AuditDot.encode(change.refersTo))
    row.bind(23, AuditDot.encode(change.changedBy))
    row.bind(24, bits: change.changedStamp.value)
    row.bind(25, bits: (change.triggered ?? .zero).value)
    row.bind(26, AuditDot.encode(order.firstDot))
  }

  /// On the right-hand sides `filled` is the value before this run.
  private static let updateOrderSQL = """
    UPDATE orders SET
      open = ?2, filled = filled + ?3, unfilled = ?4,
      status = coalesce(?5, CASE WHEN filled + ?3 > 0 THEN \(OrderStatus.partiallyFilled.rawValue)
        ELSE \(OrderStatus.open.rawValue) END),
      reason = ?6, price = coalesce(?7, price), quantity = coalesce(filled + ?8, quantity), reduced = reduced + ?9,
      refers_to = ?10, changed_by = ?11, changed_stamp = ?12, triggered = coalesce(?13, triggered)
    WHERE dot = ?1
    """

  private func bind(_ row: StoreStatement, _ change: OrderChange) {
    row.bind(1, AuditDot.encode(change.dot))
    row.bind(2, change.openLots)
    row.bind(3, change.filledMore)
    row.bind(4, change.unfilledLots)
    row.bind(5, change.status.map { Int64($0.rawValue) })
    row.bind(6, Int64(change.reason))
    row.bind(7, change.priceTicks)
    row.bind(8, change.quantityBeyondFilled)
    row.bind(9, change.reducedMore)
    row.bind(10, AuditDot.encode(change.refersTo))
    row.bind(11, AuditDot.encode(change.changedBy))
    row.bind(12, bits: change.changedStamp.value)
    row.bind(13, change.triggered.map { Int64(bitPattern: $0.value) })
  }

  private func writeFills(_ tally: AuditTally, after last: UInt64, _ database: Database) throws {
    let insert = try statement(
      database,
      """
      INSERT INTO fills (number, maker, taker, taker_side, price, quantity, stamp, instrument)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?)
      """)
    var number = Int64(last)
    for (fill, stamp) in tally.fills {
      number += 1
      insert.bind(1, number)
      insert.bind(2, AuditDot.encode(fill.maker))
      insert.bind(3, AuditDot.encode(fill.taker))
      insert.bind(4, Int64(fill.takerSide.rawValue))
      insert.bind(5, fill.priceTicks)
      insert.bind(6, fill.quantityLots)
      insert.bind(7, bits: stamp.value)
      insert.bind(8, AuditDot.encode(fill.instrument))
      try insert.run()
    }
  }

  private func writeRejections(_ tally: AuditTally, _ run: AppliedRun, _ database: Database) throws {
    let insert = try statement(
      database,
      """
      INSERT OR REPLACE INTO rejections (dot, stamp, kind, account, reason, target, target_client_order_id)
      VALUES (?, ?, ?, ?, ?, ?, ?)
      """)
    for (index, reason, target) in tally.rejections {
      let item = run.items[index]
      let named = NamedTarget(item.entry.payload)
      insert.bind(1, AuditDot.encode(item.dot))
      insert.bind(2, bits: item.entry.stamp.value)
      insert.bind(3, Int64(named.kind.rawValue))
      insert.bind(4, bits: named.account.value)
      insert.bind(5, Int64(reason.rawValue))
      insert.bind(6, AuditDot.encode(target.isNone ? named.dot : target))
      insert.bind(7, named.clientOrderID)
      try insert.run()
    }
  }
}

/// What a command that is no order names.
private struct NamedTarget {
  var kind: PayloadKind
  var account = AccountID(0)
  var dot = Dot.none
  var clientOrderID = ClientOrderID.none

  init(_ payload: Payload) {
    switch payload {
    case .command(.instrument): kind = .instrument
    case .command(.order(let order)):
      kind = .order
      account = order.account
      clientOrderID = order.clientOrderID
    case .command(.cancel(let cancel)):
      kind = .cancel
      account = cancel.account
      name(cancel.target)
    case .command(.amend(let amend)):
      kind = .amend
      account = amend.account
      name(amend.target)
    case .command(.cancelAll(let cancelAll)):
      kind = .cancelAll
      account = cancelAll.account
      dot = cancelAll.instrument
    case .fill: kind = .fill
    case .checkpoint: kind = .checkpoint
    }
  }

  private mutating func name(_ reference: OrderReference) {
    switch reference {
    case .dot(let named): dot = named
    case .client(let named): clientOrderID = named
    }
  }
}

extension StoreStatement {
  /// An integer where one fits, else text; nothing where there is none.
  func bind(_ column: CInt, _ id: ClientOrderID) {
    if id.isNone {
      bindNull(column)
    } else if let integer = id.integer, let fitting = Int64(exactly: integer) {
      bind(column, fitting)
    } else {
      bind(column, text: id.utf8)
    }
  }
}
