import OrderBook

/// Views for people with `sqlite3`: names instead of numbers, decimals instead of ticks, dates instead of stamps.
extension StoreSchema {
  static let ordersViewSQL = """
    CREATE VIEW orders_readable AS SELECT
      \(dot("o.dot")) AS id,
      \(time("o.stamp")) AS time,
      o.account AS account,
      o.client_order_id AS client_order_id,
      coalesce(i.symbol, \(dot("o.instrument"))) AS symbol,
      CASE o.side WHEN 0 THEN 'buy' ELSE 'sell' END AS side,
      CASE o.type WHEN 0 THEN 'limit' WHEN 1 THEN 'market' WHEN 2 THEN 'stop' ELSE 'stop-limit' END AS type,
      CASE o.time_in_force WHEN 0 THEN 'GTC' WHEN 1 THEN 'IOC' WHEN 2 THEN 'FOK' ELSE 'GTD' END AS time_in_force,
      CASE WHEN o.type IN (0, 3) THEN \(decimal("o.price", "i.tick")) END AS price,
      CASE WHEN o.stop_price <> 0 THEN \(decimal("o.stop_price", "i.tick")) END AS stop_price,
      \(decimal("o.quantity", "i.lot")) AS quantity,
      CASE WHEN o.display <> 0 THEN \(decimal("o.display", "i.lot")) END AS display,
      CASE WHEN o.expiry > 0 THEN \(time("o.expiry")) END AS expiry,
      CASE o.post_only WHEN 0 THEN NULL ELSE 'post-only' END AS post_only,
      CASE o.self_trade WHEN 0 THEN NULL WHEN 1 THEN 'cancel newest' WHEN 2 THEN 'cancel oldest'
        WHEN 3 THEN 'cancel both' ELSE 'decrement' END AS self_trade,
      \(decimal("o.open", "i.lot")) AS open,
      \(decimal("o.filled", "i.lot")) AS filled,
      CASE WHEN o.reduced <> 0 THEN \(signed("o.reduced", "i.lot")) END AS reduced,
      \(status("o.status")) AS status,
      CASE o.status WHEN 5 THEN NULL WHEN 4 THEN \(cancelReason("o.reason"))
        WHEN 6 THEN \(rejectReason("o.reason")) END AS reason,
      CASE WHEN o.triggered <> 0 THEN \(time("o.triggered")) END AS triggered,
      CASE WHEN o.refers_to > 0 THEN \(dot("o.refers_to")) END AS refers_to,
      CASE WHEN o.first_dot > 0 THEN \(dot("o.first_dot")) END AS first_id,
      \(dot("o.changed_by")) AS changed_by,
      \(time("o.changed_stamp")) AS changed
    FROM orders o LEFT JOIN instruments i ON i.dot = o.instrument
    """

  static let viewsSQL = """
    CREATE VIEW fills_readable AS SELECT
      f.number AS number,
      \(time("f.stamp")) AS time,
      coalesce(i.symbol, \(dot("f.instrument"))) AS symbol,
      CASE f.taker_side WHEN 0 THEN 'buy' ELSE 'sell' END AS taker_side,
      \(decimal("f.price", "i.tick")) AS price,
      \(decimal("f.quantity", "i.lot")) AS quantity,
      \(dot("f.maker")) AS maker,
      \(dot("f.taker")) AS taker
    FROM fills f LEFT JOIN instruments i ON i.dot = f.instrument;

    CREATE VIEW rejections_readable AS SELECT
      \(dot("dot")) AS id,
      \(time("stamp")) AS time,
      CASE kind WHEN 1 THEN 'instrument' WHEN 3 THEN 'cancel' WHEN 4 THEN 'amend' ELSE 'cancel-all' END AS kind,
      account,
      \(rejectReason("reason")) AS reason,
      CASE WHEN target > 0 THEN \(dot("target")) END AS target,
      target_client_order_id
    FROM rejections;

    CREATE VIEW log_readable AS SELECT
      origin, first_sequence, last_sequence, last_sequence - first_sequence + 1 AS entries,
      \(time("first_stamp")) AS first_time, \(time("last_stamp")) AS last_time, view, length(bytes) AS bytes,
      lower(hex(hash)) AS hash
    FROM log;
    """

  static let checkpointsViewSQL = """
    CREATE VIEW checkpoints_readable AS SELECT
      number, strftime('%Y-%m-%dT%H:%M:%SZ', number, 'unixepoch') AS boundary, fills,
      lower(hex(hash)) AS hash, lower(hex(previous)) AS previous, lower(hex(book_hash)) AS book_hash,
      lower(hex(log_hash)) AS log_hash, lower(hex(fills_hash)) AS fills_hash
    FROM checkpoints
    """

  private static func dot(_ column: String) -> String {
    "(\(column) / \(AuditDot.originFactor)) || '-' || (\(column) % \(AuditDot.originFactor))"
  }

  private static func time(_ column: String) -> String {
    "strftime('%Y-%m-%dT%H:%M:%fZ', (\(column) >> 16) / 1000.0, 'unixepoch')"
  }

  /// Exact text of an integer number of ticks or lots, by integers alone; plain units where the instrument is unknown
  /// or the product would not fit.
  private static func decimal(_ column: String, _ increment: String) -> String {
    let mantissa = "\(increment)_mantissa"
    let scale = "\(increment)_scale"
    // '1' followed by `scale` zeros: SQLite has no integer power.
    let power = "CAST('1' || substr('000000000000000000', 1, \(scale)) AS INTEGER)"
    let product = "(\(column) * \(mantissa))"
    return """
      CASE WHEN \(scale) IS NULL OR typeof\(product) <> 'integer' THEN \(column) || ' units'
        WHEN \(scale) = 0 THEN CAST(\(product) AS TEXT)
        ELSE CAST(\(product) / \(power) AS TEXT) || '.' ||
          substr('000000000000000000' || (\(product) % \(power)), -\(scale)) END
      """
  }

  /// As `decimal`, of a number that may be negative.
  private static func signed(_ column: String, _ increment: String) -> String {
    "CASE WHEN \(column) < 0 THEN '-' ELSE '' END || \(decimal("abs(\(column))", increment))"
  }

  private static func status(_ column: String) -> String {
    """
    CASE \(column) WHEN 0 THEN 'pending' WHEN 1 THEN 'open' WHEN 2 THEN 'partially filled' WHEN 3 THEN 'filled'
      WHEN 4 THEN 'cancelled' WHEN 5 THEN 'expired' WHEN 6 THEN 'rejected' END
    """
  }
}

extension StoreSchema {
  private static func cancelReason(_ column: String) -> String {
    let cases = CancelReason.allCases.map { "WHEN \($0.rawValue) THEN '\($0)'" }.joined(separator: " ")
    return "CASE \(column) \(cases) END"
  }

  private static func rejectReason(_ column: String) -> String {
    let cases = RejectReason.allCases.map { "WHEN \($0.rawValue) THEN '\($0)'" }.joined(separator: " ")
    return "CASE \(column) \(cases) END"
  }
}
