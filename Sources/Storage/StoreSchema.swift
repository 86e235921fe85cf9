import GRDB
import Primitives

/// Tables, views and the marks that say whose file it is.
enum StoreSchema {
  /// Checks that the file is ours, or empty.
  ///
  /// Looks before it touches: neither page size nor journal mode of somebody else's database is changed.
  static func check(_ database: Database, path: String, identity: StoreIdentity) throws {
    if try isEmpty(database) {
      // Only before the first table; auto-vacuum would cost a map of pointers.
      try database.execute(sql: "PRAGMA page_size = \(Store.pageBytes); PRAGMA auto_vacuum = NONE")
    } else {
      let found = try readIdentity(database, path: path, supported: identity.formatVersion)
      guard found.cluster == identity.cluster else {
        throw StoreError.otherCluster(path: path, found: found.cluster, expected: identity.cluster)
      }
      guard found.node == identity.node else {
        throw StoreError.otherNode(path: path, found: found.node, expected: identity.node)
      }
    }
  }

  /// Brings a file that passed `check` to the newest format.
  static func migrate(_ queue: DatabaseQueue, identity: StoreIdentity) throws {
    var migrator = DatabaseMigrator().disablingDeferredForeignKeyChecks()
    migrator.registerMigration("format 1") { database in
      for statement in [logSQL, auditSQL, viewsSQL] { try database.execute(sql: statement) }
      // The marks in the same transaction as the tables: a crash leaves an empty file or a whole one.
      try database.execute(
        sql: "INSERT INTO identity (name, value) VALUES ('cluster', ?), ('node', ?)",
        arguments: [identity.cluster.description, identity.node.description])
      try database.execute(sql: "PRAGMA application_id = \(Store.applicationID); PRAGMA user_version = 1")
    }
    // The audit tables were the work of an engine that knew fewer types of orders: they are written again from the log.
    migrator.registerMigration("format 2") { database in
      for table in ["instruments", "orders", "fills", "rejections"] {
        try database.execute(sql: "DELETE FROM \(table)")
      }
      try database.execute(
        sql: """
          UPDATE audit_state SET stamp = 0, origin = 0, entries = 0, orders = 0, fills = 0;
          -- Stamp of the entry whose application reached a stop's price; 0 if none has.
          ALTER TABLE orders ADD COLUMN triggered INTEGER NOT NULL DEFAULT 0;
          DROP VIEW IF EXISTS orders_readable;
          """)
      try database.execute(sql: ordersViewSQL)
      try database.execute(sql: "PRAGMA user_version = 2")
    }
    migrator.registerMigration("format 3") { database in
      try database.execute(sql: voidSQL)
      try database.execute(sql: "PRAGMA user_version = 3")
    }
    migrator.registerMigration("format 4") { database in
      try database.execute(
        sql: """
          -- Of an order that its node sent again because it was void at first: the first dot that it ever had; else 0.
          ALTER TABLE orders ADD COLUMN first_dot INTEGER NOT NULL DEFAULT 0;
          CREATE INDEX orders_by_first_dot ON orders (first_dot) WHERE first_dot <> 0;
          CREATE INDEX void_log_by_origin ON void_log (origin, first_sequence);
          DROP VIEW IF EXISTS orders_readable;
          """)
      try database.execute(sql: ordersViewSQL)
      try database.execute(sql: "PRAGMA user_version = 4")
    }
    migrator.registerMigration("format 5") { database in
      try database.execute(sql: snapshotSQL)
      try database.execute(sql: "PRAGMA user_version = 5")
    }
    migrator.registerMigration("format 6") { database in
      try database.execute(sql: voidOrdersSQL)
      try Store.nameVoidOrders(database)
      try database.execute(sql: "PRAGMA user_version = 6")
    }
    migrator.registerMigration("format 7") { database in
      try database.execute(sql: checkpointsSQL)
      try database.execute(sql: checkpointsViewSQL)
      try database.execute(sql: "PRAGMA user_version = 7")
    }
    try migrator.migrate(queue)
  }

  /// - Parameter supported: newest format that may be read.
  static func readIdentity(
    _ database: Database, path: String, supported: Int = Store.formatVersion
  ) throws -> StoreIdentity {
    let application = try Int32.fetchOne(database, sql: "PRAGMA application_id") ?? 0
    guard application == Store.applicationID else {
      throw StoreError.otherProgram(path: path, applicationID: application)
    }
    let version = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
    guard version <= supported else {
      throw StoreError.newerFormat(path: path, found: version, supported: supported)
    }
    func value(_ name: String) throws -> Hash256 {
      let text = try String.fetchOne(database, sql: "SELECT value FROM identity WHERE name = ?", arguments: [name])
      guard let hash = Hash256(hex: text ?? "") else {
        throw StoreError.corrupt(path: path, message: "no \(name) in table identity")
      }
      return hash
    }
    return StoreIdentity(cluster: try value("cluster"), node: NodeID(try value("node")), formatVersion: version)
  }

  private static func isEmpty(_ database: Database) throws -> Bool {
    try Int.fetchOne(database, sql: "SELECT count(*) FROM sqlite_master") == 0
      && Int.fetchOne(database, sql: "PRAGMA application_id") == 0
  }

  /// The log, in the order of its commits.
  ///
  /// A rowid table: without one, batches of 20 kB would move around in the key's tree. The index holds all that is
  /// needed to merge the origins in key order; an index on stamps alone would cost another page at each commit.
  private static let logSQL = """
    CREATE TABLE identity (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE log (
      origin INTEGER NOT NULL,          -- place in the cluster's register of origins
      first_sequence INTEGER NOT NULL,
      last_sequence INTEGER NOT NULL,
      first_stamp INTEGER NOT NULL,     -- milliseconds << 16 | counter
      last_stamp INTEGER NOT NULL,
      view INTEGER NOT NULL,            -- in which the author signed
      hash BLOB NOT NULL,               -- SHA-256 chain up to and including this batch
      signature BLOB NOT NULL,          -- Ed25519, over the head that this batch makes
      bytes BLOB NOT NULL               -- canonical bytes, format 1
    );
    CREATE UNIQUE INDEX log_by_origin ON log (origin, first_sequence, first_stamp);
    CREATE TABLE records (
      key TEXT PRIMARY KEY,
      value BLOB NOT NULL,
      hash BLOB NOT NULL                -- SHA-256 of key, a zero byte, and value
    ) WITHOUT ROWID;
    """

  /// What is no part of the log any more, or not yet again: kept for whoever looks, and for what is sent again.
  private static let voidSQL = """
    CREATE TABLE void_log (
      origin INTEGER NOT NULL, first_sequence INTEGER NOT NULL, last_sequence INTEGER NOT NULL,
      first_stamp INTEGER NOT NULL, last_stamp INTEGER NOT NULL, view INTEGER NOT NULL, hash BLOB NOT NULL,
      signature BLOB NOT NULL, bytes BLOB NOT NULL,
      reason INTEGER NOT NULL           -- 1 the origin was sealed before them, 2 damaged
    );
    """

  /// The newest order in `void_log` of each client order id, among those that were cut off with the end of a log.
  private static let voidOrdersSQL = """
    CREATE TABLE void_orders (
      account INTEGER NOT NULL,
      client_order_id NOT NULL,         -- integer or text
      dot INTEGER NOT NULL,
      PRIMARY KEY (account, client_order_id)
    ) WITHOUT ROWID;
    """

  /// What follows from the log up to a checkpoint, in bytes; and from where on the log is kept.
  private static let snapshotSQL = """
    CREATE TABLE snapshots (
      number INTEGER PRIMARY KEY,       -- of the checkpoint
      checkpoint_hash BLOB NOT NULL,
      entries INTEGER NOT NULL,         -- final entries that it stands for
      bytes INTEGER NOT NULL,
      hash BLOB NOT NULL                -- SHA-256 of all pieces
    );
    CREATE TABLE snapshot_pieces (
      number INTEGER NOT NULL, place INTEGER NOT NULL, bytes BLOB NOT NULL,
      PRIMARY KEY (number, place)
    );
    CREATE TABLE snapshot_bases (       -- the last batch of each origin that it stands for
      number INTEGER NOT NULL, origin INTEGER NOT NULL, sequence INTEGER NOT NULL, hash BLOB NOT NULL,
      stamp INTEGER NOT NULL, PRIMARY KEY (number, origin)
    ) WITHOUT ROWID;
    CREATE TABLE log_base (             -- batches up to this one are not kept
      origin INTEGER PRIMARY KEY, sequence INTEGER NOT NULL, hash BLOB NOT NULL, stamp INTEGER NOT NULL
    );
    """

  /// The checkpoints that are kept, the older the fewer; each hash chains all before it.
  private static let checkpointsSQL = """
    CREATE TABLE checkpoints (
      number INTEGER PRIMARY KEY,       -- boundary in seconds since 1970
      hash BLOB NOT NULL,
      previous BLOB NOT NULL,           -- hash of the one before, kept or not; of the first one the cluster id
      book_hash BLOB NOT NULL,
      log_hash BLOB NOT NULL,
      fills_hash BLOB NOT NULL,
      fills INTEGER NOT NULL            -- since the beginning of the log
    );
    """

  /// What final entries did. A dot is one integer, origin × 10^14 + sequence: it reads as both, and is the rowid.
  private static let auditSQL = """
    CREATE TABLE audit_state (
      id INTEGER PRIMARY KEY CHECK (id = 1),
      stamp INTEGER NOT NULL,           -- (stamp, origin): newest entry whose consequences are in these tables
      origin INTEGER NOT NULL,
      entries INTEGER NOT NULL,
      orders INTEGER NOT NULL,
      fills INTEGER NOT NULL
    );
    INSERT INTO audit_state VALUES (1, 0, 0, 0, 0, 0);
    CREATE TABLE instruments (
      dot INTEGER PRIMARY KEY,
      origin INTEGER GENERATED ALWAYS AS (dot / \(AuditDot.originFactor)) VIRTUAL,
      sequence INTEGER GENERATED ALWAYS AS (dot % \(AuditDot.originFactor)) VIRTUAL,
      symbol TEXT NOT NULL UNIQUE,
      tick_mantissa INTEGER NOT NULL,   -- one tick is tick_mantissa / 10^tick_scale
      tick_scale INTEGER NOT NULL,
      lot_mantissa INTEGER NOT NULL,
      lot_scale INTEGER NOT NULL,
      stamp INTEGER NOT NULL
    );
    CREATE TABLE orders (
      dot INTEGER PRIMARY KEY,
      origin INTEGER GENERATED ALWAYS AS (dot / \(AuditDot.originFactor)) VIRTUAL,
      sequence INTEGER GENERATED ALWAYS AS (dot % \(AuditDot.originFactor)) VIRTUAL,
      stamp INTEGER NOT NULL,
      account INTEGER NOT NULL,
      client_order_id,                  -- integer, text or nothing
      instrument INTEGER NOT NULL,      -- dot
      side INTEGER NOT NULL,
      type INTEGER NOT NULL,
      time_in_force INTEGER NOT NULL,
      self_trade INTEGER NOT NULL,
      post_only INTEGER NOT NULL,
      price INTEGER NOT NULL,           -- ticks, as amended last
      stop_price INTEGER NOT NULL,
      quantity INTEGER NOT NULL,        -- lots, as amended or reduced last = open + filled + unfilled
      display INTEGER NOT NULL,
      expiry INTEGER NOT NULL,
      open INTEGER NOT NULL,
      filled INTEGER NOT NULL,
      unfilled INTEGER NOT NULL,        -- lots that were open when the order ended
      reduced INTEGER NOT NULL,         -- lots that amends (negative: added) and self-trade prevention took away
      status INTEGER NOT NULL,
      reason INTEGER NOT NULL,          -- of status cancelled or rejected
      refers_to INTEGER NOT NULL,       -- dot of the first order of this client order id, if repeated or duplicate
      changed_by INTEGER NOT NULL,      -- dot of the entry whose application changed this row last
      changed_stamp INTEGER NOT NULL
    );
    CREATE INDEX orders_by_client ON orders (account, client_order_id) WHERE client_order_id IS NOT NULL;
    CREATE INDEX orders_open ON orders (account) WHERE status IN (0, 1, 2);
    CREATE TABLE fills (
      number INTEGER PRIMARY KEY,       -- from 1, in the order of execution
      maker INTEGER NOT NULL,
      taker INTEGER NOT NULL,
      taker_side INTEGER NOT NULL,
      price INTEGER NOT NULL,
      quantity INTEGER NOT NULL,
      stamp INTEGER NOT NULL,           -- of the entry that was being applied
      instrument INTEGER NOT NULL
    );
    CREATE INDEX fills_by_maker ON fills (maker);
    CREATE INDEX fills_by_taker ON fills (taker);
    CREATE INDEX fills_by_instrument ON fills (instrument);
    CREATE TABLE rejections (
      dot INTEGER PRIMARY KEY,
      origin INTEGER GENERATED ALWAYS AS (dot / \(AuditDot.originFactor)) VIRTUAL,
      sequence INTEGER GENERATED ALWAYS AS (dot % \(AuditDot.originFactor)) VIRTUAL,
      stamp INTEGER NOT NULL,
      kind INTEGER NOT NULL,            -- 1 instrument, 3 cancel, 4 amend, 5 cancel-all
      account INTEGER NOT NULL,
      reason INTEGER NOT NULL,
      target INTEGER NOT NULL,          -- dot of the order concerned, if it is known
      target_client_order_id
    );
    """
}
