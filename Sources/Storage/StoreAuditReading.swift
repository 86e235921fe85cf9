import EventLog
import GRDB
import OrderBook
import Primitives

/// What the audit tables say, up to `auditPosition`.
///
/// - Throws: `damagedAudit` where a row holds what no version writes.
extension Store {
  /// The order that an entry placed, whatever became of it.
  /// - Complexity: O(log orders).
  public func order(_ dot: Dot) throws(StoreError) -> AuditOrder? {
    let id = AuditDot.encode(dot)
    return try orders("WHERE dot = ?1 LIMIT ?2", max: 1) { $0.bind(1, id) }.first
  }

  /// The newest order of that client order id which was not rejected; if all were, the newest.
  ///
  /// Ids may be used again once they are forgotten, so there may be several.
  /// - Complexity: O(log orders + orders of that id).
  public func order(account: AccountID, clientOrderID: ClientOrderID) throws(StoreError) -> AuditOrder? {
    if clientOrderID.isNone { return nil }
    return try orders(
      """
      WHERE account = ?1 AND client_order_id = ?3
      ORDER BY status = \(OrderStatus.rejected.rawValue), stamp DESC, dot DESC LIMIT ?2
      """, max: 1
    ) {
      $0.bind(1, bits: account.value)
      $0.bind(3, clientOrderID)
    }.first
  }

  /// The newest order that was sent again for a void one with this dot and was not rejected; if all were, the newest.
  /// - Complexity: O(log orders).
  public func order(account: AccountID, firstDot dot: Dot) throws(StoreError) -> AuditOrder? {
    let id = AuditDot.encode(dot)
    guard id != 0 else { return nil }
    return try orders(
      """
      WHERE first_dot = ?1 AND first_dot <> 0 AND account = ?3
      ORDER BY status = \(OrderStatus.rejected.rawValue), stamp DESC, dot DESC LIMIT ?2
      """, max: 1
    ) {
      $0.bind(1, id)
      $0.bind(3, bits: account.value)
    }.first
  }

  /// Orders of an account that live, oldest first.
  /// - Complexity: O(log orders + open orders of that account).
  public func openOrders(account: AccountID, max count: Int = Int.max) throws(StoreError) -> [AuditOrder] {
    try orders("WHERE account = ?1 AND status IN (0, 1, 2) ORDER BY stamp, dot LIMIT ?2", max: count) {
      $0.bind(1, bits: account.value)
    }
  }

  /// Every fill of an order, as maker or taker, in the order of execution.
  /// - Complexity: O(log fills + fills of that order).
  public func fills(of dot: Dot) throws(StoreError) -> [AuditFill] {
    let id = AuditDot.encode(dot)
    // Two searches: an order trades with itself never, so none is found twice.
    return try fills("WHERE maker = ?1 UNION ALL SELECT \(Self.fillColumns) FROM fills WHERE taker = ?1 ORDER BY 1") {
      $0.bind(1, id)
    }
  }

  /// The newest trades, newest first; of all instruments if `symbol` is nil.
  /// - Complexity: O(log fills + count).
  public func trades(symbol: Symbol? = nil, newest count: Int) throws(StoreError) -> [AuditFill] {
    guard let symbol else {
      return try fills("ORDER BY number DESC LIMIT ?1") { $0.bind(1, Int64(count)) }
    }
    return try fills(
      "WHERE instrument = (SELECT dot FROM instruments WHERE symbol = ?2) ORDER BY number DESC LIMIT ?1"
    ) {
      $0.bind(1, Int64(count))
      $0.bind(2, text: symbol.utf8)
    }
  }

  /// Why a cancel, amend, cancel-all or definition had no effect; nil if it had, or is not final yet.
  public func rejection(_ dot: Dot) throws(StoreError) -> AuditRejection? {
    let id = AuditDot.encode(dot)
    return try perform { database in
      let row = try statement(database, "SELECT stamp, reason, target FROM rejections WHERE dot = ?")
      defer { row.reset() }
      row.bind(1, id)
      guard try row.step() else { return nil }
      return AuditRejection(
        dot: dot, stamp: Stamp(row.bits(0)), reason: try row.value(1, "rejections.reason"),
        target: try row.dot(2, "rejections.target"))
    }
  }

  public func counts() -> AuditCounts { audit.counts }

  // MARK: Rows

  private static let fillColumns = "number, instrument, maker, taker, taker_side, price, quantity, stamp"

  func fills(_ rest: String, _ bind: (StoreStatement) -> Void) throws(StoreError) -> [AuditFill] {
    try perform { database in
      let row = try statement(database, "SELECT \(Self.fillColumns) FROM fills \(rest)")
      defer { row.reset() }
      bind(row)
      var result: [AuditFill] = []
      while try row.step() {
        result.append(
          AuditFill(
            number: row.bits(0), instrument: try row.dot(1, "fills.instrument"), maker: try row.dot(2, "fills.maker"),
            taker: try row.dot(3, "fills.taker"), takerSide: try row.value(4, "fills.taker_side"),
            priceTicks: row.int(5), quantityLots: row.int(6), stamp: Stamp(row.bits(7))))
      }
      return result
    }
  }

  func orders(
    _ rest: String, max count: Int, _ bind: (StoreStatement) -> Void
  ) throws(StoreError) -> [AuditOrder] {
    try perform { database in
      let row = try statement(
        database,
        """
        SELECT dot, stamp, account, client_order_id, instrument, side, type, time_in_force, self_trade, post_only,
          price, stop_price, quantity, display, expiry, open, filled, unfilled, reduced, status, reason, refers_to,
          changed_by, changed_stamp, triggered, first_dot
        FROM orders \(rest)
        """)
      defer { row.reset() }
      row.bind(2, Int64(count))
      bind(row)
      var result: [AuditOrder] = []
      while try row.step() { result.append(try auditOrder(row)) }
      return result
    }
  }

  private func auditOrder(_ row: StoreStatement) throws -> AuditOrder {
    let order = Order(
      instrument: try row.dot(4, "orders.instrument"), account: AccountID(row.bits(2)),
      side: try row.value(5, "orders.side"), type: try row.value(6, "orders.type"),
      timeInForce: try row.value(7, "orders.time_in_force"), priceTicks: row.int(10), quantityLots: row.int(12),
      selfTradePrevention: try row.value(8, "orders.self_trade"), postOnly: row.int(9) != 0,
      stopPriceTicks: row.int(11), displayLots: row.int(13), expiry: Stamp(row.bits(14)),
      clientOrderID: try row.clientOrderID(3, "orders.client_order_id"), firstDot: try row.firstDot(25))
    let status: OrderStatus = try row.value(19, "orders.status")
    return AuditOrder(
      dot: try row.dot(0, "orders.dot"), stamp: Stamp(row.bits(1)), order: order, status: status,
      openLots: row.int(15), filledLots: row.int(16), unfilledLots: row.int(17), reducedLots: row.int(18),
      cancelReason: status == .cancelled ? try row.value(20, "orders.reason") : nil,
      rejectReason: status == .rejected ? try row.value(20, "orders.reason") : nil,
      refersTo: try row.dot(21, "orders.refers_to"), triggeredStamp: Stamp(row.bits(24)),
      changedBy: try row.dot(22, "orders.changed_by"),
      changedStamp: Stamp(row.bits(23)))
  }
}

extension StoreStatement {
  private func damaged(_ name: String) -> StoreError {
    let parts = name.split(separator: ".", maxSplits: 1)
    return .damagedAudit(table: String(parts.first ?? ""), column: String(parts.last ?? ""))
  }

  func firstDot(_ column: CInt) throws -> Dot {
    let dot = try dot(column, "orders.first_dot")
    guard dot == .none || Order.mayBeFirst(dot) else { throw damaged("orders.first_dot") }
    return dot
  }

  func dot(_ column: CInt, _ name: String) throws -> Dot {
    guard let dot = AuditDot.decode(int(column)) else { throw damaged(name) }
    return dot
  }

  /// A value of an enumeration with small raw values.
  func value<Value: RawRepresentable>(_ column: CInt, _ name: String) throws -> Value where Value.RawValue == UInt8 {
    guard let raw = UInt8(exactly: int(column)), let value = Value(rawValue: raw) else { throw damaged(name) }
    return value
  }

  func clientOrderID(_ column: CInt, _ name: String) throws -> ClientOrderID {
    if isNull(column) { return .none }
    if isInteger(column) { return ClientOrderID(bits(column)) }
    guard let id = ClientOrderID(utf8: bytes(column)) else { throw damaged(name) }
    return id
  }
}
