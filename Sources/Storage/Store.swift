import CSQLite
import EventLog
import Foundation
import GRDB
import Primitives

/// Whose file it is.
public struct StoreIdentity: Hashable, Sendable {
  public var cluster: Hash256
  public var node: NodeID
  /// Newest format the caller understands; the file is brought up to it.
  public var formatVersion: Int
  public init(cluster: Hash256, node: NodeID, formatVersion: Int = Store.formatVersion) {
    self.cluster = cluster
    self.node = node
    self.formatVersion = formatVersion
  }
}

/// One node's SQLite file: its log, its protocol records, and the audit tables derived from final entries.
///
/// A single connection, so that log and audit never wait for each other's locks. Anybody may look into the file with
/// `sqlite3` while the node runs; only one `Store` may write.
/// - Important: used from one thread at a time.
public final class Store {
  public static let fileName = "node.sqlite"
  public static let lockFileName = "node.lock"
  /// Kept in `user_version`.
  public static let formatVersion = 7
  /// "Rial", kept in `application_id`.
  public static let applicationID: Int32 = 0x5269_616C
  /// Of a new file. A commit writes each page it touches whole, so large pages cost small commits and audit runs more
  /// than they save batches of 8 to 35 kB: measured from 4 to 32 kB, this is the least or close to it in all three.
  static let pageBytes = 8_192
  /// Write-ahead log pages at which a commit moves them into the main file: 32 MB.
  static let checkpointPages = 4_000
  static let cacheKilobytes = 65_536
  /// How long a write waits while somebody else holds SQLite's own lock, say with `sqlite3`.
  static let busySeconds = 5.0

  public let path: String
  public let isReadOnly: Bool
  public let identity: StoreIdentity
  /// Last sequence and chain hash of every origin that has a batch here.
  public internal(set) var heads: [OriginIndex: Head] = [:]
  /// Snapshots that count, oldest first.
  public internal(set) var snapshots: [SnapshotInfo] = []
  /// Where the tables are derived anew that this one's are held against; only of one that holds still.
  private(set) var scratch: ScratchTables?
  /// Number and hash of the rows in `checkpoints`, by rising number; of a row that is no checkpoint, a hash of zeros.
  var checkpointRows: [(number: UInt64, hash: Hash256)] = []
  /// Of each origin whose log does not begin at its start: where it does.
  var logBases: [OriginIndex: LogBase] = [:]
  /// Newest final key whose orders and fills are in the audit tables.
  public var auditPosition: OrderKey { audit.position }

  let queue: DatabaseQueue
  private let lock: StoreLock?
  private var statements: [String: StoreStatement] = [:]
  private var isClosed = false
  /// Set by a failed write: what is on disk is not known any more.
  var isStopped = false
  var audit = AuditState()
  /// What the tables began with.
  var auditSeed = AuditCounts()
  var tape = TradesTape()
  let sha = SHA256()
  /// Chain starts that a recovery was given; they let the first batch of an origin be checked, too.
  var chainStarts: [OriginIndex: Hash256] = [:]

  private init(path: String, isReadOnly: Bool, identity: StoreIdentity, queue: DatabaseQueue, lock: StoreLock?) {
    self.path = path
    self.isReadOnly = isReadOnly
    self.identity = identity
    self.queue = queue
    self.lock = lock
  }

  deinit { close() }

  /// Opens a node's file, or creates it and its directory.
  ///
  /// Nothing is changed in a file that is not this node's.
  /// - Throws: `StoreError`; its description says what to do.
  /// - Complexity: O(origins), plus what SQLite needs to recover its write-ahead log.
  public static func open(directory: String, identity: StoreIdentity) throws(StoreError) -> Store {
    let path = directory + "/" + fileName
    do {
      try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    } catch {
      throw .notWritable(path: directory, reason: "it could not be created")
    }
    let lock = try StoreLock(path: directory + "/" + lockFileName, protecting: path)
    guard access(directory, W_OK) == 0, access(path, F_OK) != 0 || access(path, R_OK | W_OK) == 0 else {
      throw .notWritable(path: path, reason: "permission denied")
    }
    let queue = try mapped(path) {
      let queue = try DatabaseQueue(path: path, configuration: configuration(readonly: false))
      try queue.writeWithoutTransaction { database in
        try StoreSchema.check(database, path: path, identity: identity)
        // Before the first table, so that a new file is born with its page size, and synced from its first byte.
        try setDurability(database)
        // A node that is told to stop must not first copy its write-ahead log; the next start reads it.
        if let connection = database.sqliteConnection { _ = rialto_sqlite_no_checkpoint_on_close(connection) }
      }
      try StoreSchema.migrate(queue, identity: identity)
      return queue
    }
    // A new file is only there for good when the directories say so.
    for place in [directory, directory + "/.."] { try syncDirectory(place) }
    let store = Store(path: path, isReadOnly: false, identity: identity, queue: queue, lock: lock)
    try store.load()
    return store
  }

  /// Opens a file to look at, whether its node runs or not. Takes no lock; sees what was committed last.
  /// - Parameter holdingStill: sees only what is committed now, whatever is written while it is open; a node that runs
  ///   cannot shorten its write-ahead log meanwhile.
  /// - Throws: `olderFormat` for a file that its node has not brought to the newest format yet.
  public static func openReadOnly(directory: String, holdingStill: Bool = false) throws(StoreError) -> Store {
    let path = directory + "/" + fileName
    guard access(path, F_OK) == 0 else { throw .missing(path: path) }
    let (queue, identity) = try mapped(path) {
      let queue = try openForReading(path)
      return (queue, try queue.writeWithoutTransaction { try StoreSchema.readIdentity($0, path: path) })
    }
    guard identity.formatVersion >= formatVersion else {
      throw .olderFormat(path: path, found: identity.formatVersion, needed: formatVersion)
    }
    let store = Store(path: path, isReadOnly: true, identity: identity, queue: queue, lock: nil)
    if holdingStill { try store.holdStill() }
    try store.load()
    return store
  }

  private func holdStill() throws(StoreError) {
    let scratch = try ScratchTables()
    try perform { database in
      // Before the transaction, in which nothing can be attached. What it holds is seen from its first use on.
      try database.execute(sql: "ATTACH DATABASE ? AS derived", arguments: [scratch.store.path])
      try statement(database, "BEGIN").run()
    }
    self.scratch = scratch
  }

  /// Ends the use of the file. Every later call throws `closed`.
  ///
  /// Fast: the write-ahead log stays where it is and is read at the next opening.
  /// - Parameter movingLog: first move it into the main file, which may take seconds; then that file is all there is.
  public func close(movingLog: Bool = false) {
    guard !isClosed else { return }
    if movingLog { _ = try? perform { try $0.checkpoint(.truncate) } }
    isClosed = true
    // Statements first: a connection with statements does not close.
    statements = [:]
    // A failure here loses nothing: what was committed is in the write-ahead log.
    try? queue.close()
    scratch = nil
    lock?.release()
  }

  // MARK: Access to the connection

  /// Runs `body` on the connection and gives every error its meaning.
  func perform<Value>(_ body: (Database) throws -> Value) throws(StoreError) -> Value {
    guard !isClosed else { throw .closed }
    return try Self.mapped(path) { try queue.writeWithoutTransaction(body) }
  }

  /// As `perform`, in one transaction; a failure within it rolls back and stops all writing.
  func write(_ body: (Database) throws -> Void) throws(StoreError) {
    guard !isClosed else { throw .closed }
    guard !isStopped, !isReadOnly else { throw .stopped }
    var hasBegun = false
    do {
      try perform { database in
        try statement(database, "BEGIN IMMEDIATE").run()
        hasBegun = true
        do {
          try body(database)
          try statement(database, "COMMIT").run()
        } catch {
          // SQLite may have rolled back by itself; then this fails and nothing is left to do.
          try? statement(database, "ROLLBACK").run()
          throw error
        }
      }
    } catch {
      // Somebody with `sqlite3` may hold the lock for longer than this waits: then nothing has been written.
      if hasBegun || error != .inUse(path: path) { isStopped = true }
      throw error
    }
  }

  /// The prepared statement of `sql`, kept for the next time.
  func statement(_ database: Database, _ sql: String) throws -> StoreStatement {
    if let known = statements[sql] { return known }
    let new = try StoreStatement(database, sql)
    statements[sql] = new
    return new
  }

  private static func mapped<Value>(_ path: String, _ body: () throws -> Value) throws(StoreError) -> Value {
    do {
      return try body()
    } catch let error as StoreError {
      throw error
    } catch let failure as SQLiteFailure {
      throw failure.asStoreError(path: path)
    } catch {
      throw SQLiteFailure(error).asStoreError(path: path)
    }
  }

  // MARK: Opening

  private static func configuration(readonly: Bool) -> Configuration {
    var configuration = Configuration()
    configuration.readonly = readonly
    configuration.foreignKeysEnabled = false
    configuration.busyMode = .timeout(busySeconds)
    configuration.label = "rialto.store"
    // Only who looks leaves one open, to see one moment of a file that changes.
    configuration.allowsUnsafeTransactions = readonly
    return configuration
  }

  private static func syncDirectory(_ path: String) throws(StoreError) {
    let descriptor = Foundation.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    // One that may not be read, such as a parent of somebody else's, cannot be synced by us.
    guard descriptor >= 0 else { return }
    defer { _ = Foundation.close(descriptor) }
    guard fsync(descriptor) != 0, errno != EINVAL else { return }
    throw .io(path: path, code: errno, message: String(cString: strerror(errno)))
  }

  private static func openForReading(_ path: String) throws -> DatabaseQueue {
    do {
      return try DatabaseQueue(path: path, configuration: configuration(readonly: true))
    } catch let error as DatabaseError where error.resultCode == .SQLITE_CANTOPEN {
      // A write-ahead log needs a file for shared memory, which a directory that cannot be written to does not get.
      // Without anything in that log the main file is all there is, and may be read as it stands.
      let size = try? FileManager.default.attributesOfItem(atPath: path + "-wal")[.size] as? Int
      guard (size ?? 0) == 0, let escaped = path.addingPercentEncoding(withAllowedCharacters: .urlPathAllowed) else {
        throw error
      }
      return try DatabaseQueue(path: "file:\(escaped)?immutable=1", configuration: configuration(readonly: true))
    }
  }

  /// Sets what an acknowledgement rests on, and reads it back: neither GRDB nor SQLite says so when it does not take.
  private static func setDurability(_ database: Database) throws {
    try setAndCheck(database, "journal_mode", "WAL", reads: "wal")
    try setAndCheck(database, "synchronous", "FULL", reads: "2")
    try setAndCheck(database, "foreign_keys", "OFF", reads: "0")
    try setAndCheck(database, "wal_autocheckpoint", "\(checkpointPages)", reads: "\(checkpointPages)")
    try setAndCheck(database, "cache_size", "-\(cacheKilobytes)", reads: "-\(cacheKilobytes)")
    // Debian compiles SQLite so that it overwrites what it deletes; nothing here is secret enough to pay for that.
    try setAndCheck(database, "secure_delete", "OFF", reads: "0")
    try setAndCheck(database, "cell_size_check", "ON", reads: "1")
    try setAndCheck(database, "journal_size_limit", "67108864", reads: "67108864")
  }

  static func setAndCheck(_ database: Database, _ name: String, _ value: String, reads expected: String) throws {
    try database.execute(sql: "PRAGMA \(name) = \(value)")
    let found = try setting(database, name)
    guard found == expected else { throw StoreError.settingRefused(name: name, found: found, expected: expected) }
  }

  static func setting(_ database: Database, _ name: String) throws -> String {
    try String.fetchOne(database, sql: "PRAGMA \(name)") ?? "nothing"
  }

  private func load() throws(StoreError) {
    try loadSnapshots()
    try loadHeads()
    try loadAuditState()
    try loadCheckpoints()
  }
}
