import EventLog
import GRDB
import GRDBSQLite
import Primitives

extension Store {
  private static let insertBatchSQL = """
    INSERT INTO log (origin, first_sequence, last_sequence, first_stamp, last_stamp, view, hash, signature, bytes)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
    """
  private static let putRecordSQL = "INSERT OR REPLACE INTO records (key, value, hash) VALUES (?, ?, ?)"

  // MARK: Writing

  /// Appends batches and puts protocol records, in one transaction that is on disk when this returns.
  ///
  /// That sync is what an acknowledgement stands for. Nothing to write means nothing is synced.
  /// - Parameters:
  ///   - batches: each follows its origin's head, or the batch of that origin before it here.
  ///   - ends: after which sequence an origin's log ends for ever; what is beyond moves into the table `void_log`,
  ///     after the batches are written.
  ///   - records: a key's newest value replaces the one before.
  ///   - checkpoints: those that are kept from here on, and no others; nil leaves them as they are.
  /// - Throws: `gap` before anything is written; `io` if the disk is full or failed: stop the process, and do not try
  ///   again, for after a failed sync the kernel may have dropped what it could not write. All writing stops.
  /// - Complexity: O(bytes) plus one sync.
  public func commit(
    batches: [Batch], ends: [(origin: OriginIndex, sequence: UInt64)] = [],
    records: [(key: String, value: [UInt8])] = [], checkpoints: CheckpointList? = nil
  ) throws(StoreError) {
    if batches.isEmpty && ends.isEmpty && records.isEmpty && checkpoints == nil { return }
    let newHeads = try headsAfter(batches)
    try write { database in
      let insert = try statement(database, Self.insertBatchSQL)
      for batch in batches { try run(insert, batch) }
      for end in ends { try setAside(end.origin, from: end.sequence + 1, .sealed, database) }
      for record in records { try put(record.key, record.value, database) }
      if let checkpoints { try replace(with: checkpoints, database) }
    }
    heads = newHeads
    if let checkpoints { noteRows(checkpoints) }
    if !ends.isEmpty { try loadHeads() }
  }

  func put(_ key: String, _ value: [UInt8], _ database: Database) throws {
    let put = try statement(database, Self.putRecordSQL)
    put.bind(1, text: Array(key.utf8))
    put.bind(2, copying: value)
    put.bind(3, copying: recordHash(key, value))
    try put.run()
  }

  /// Why rows are kept in `void_log`.
  enum VoidReason: Int64 {
    /// The origin was sealed before them.
    case sealed = 1
    /// They, or one before them, are not what was written.
    case damaged = 2
  }

  func insert(_ batches: [Batch], _ database: Database) throws {
    let insert = try statement(database, Self.insertBatchSQL)
    for batch in batches { try run(insert, batch) }
  }

  /// Moves the rows of an origin from `sequence` on out of the log; they stay in the file, for whoever looks.
  /// - Parameter last: nil for all of them.
  func setAside(
    _ origin: OriginIndex, from sequence: UInt64, through last: UInt64? = nil, _ reason: VoidReason,
    _ database: Database
  ) throws {
    let columns = "origin, first_sequence, last_sequence, first_stamp, last_stamp, view, hash, signature, bytes"
    let copy = try statement(
      database,
      """
      INSERT INTO void_log (\(columns), reason)
      SELECT \(columns), ?3 FROM log WHERE origin = ?1 AND first_sequence >= ?2 AND first_sequence <= ?4
      """)
    copy.bind(1, Int64(origin.value))
    copy.bind(2, clamping: sequence)
    copy.bind(3, reason.rawValue)
    copy.bind(4, clamping: last ?? .max)
    try copy.run()
    if reason == .sealed, database.changesCount > 0 { try nameVoidOrders(of: origin, from: sequence, database) }
    let delete = try statement(
      database, "DELETE FROM log WHERE origin = ?1 AND first_sequence >= ?2 AND first_sequence <= ?3")
    delete.bind(1, Int64(origin.value))
    delete.bind(2, clamping: sequence)
    delete.bind(3, clamping: last ?? .max)
    try delete.run()
  }

  private func run(_ insert: StoreStatement, _ batch: Batch) throws {
    insert.bind(1, Int64(batch.origin.value))
    insert.bind(2, bits: batch.firstSequence)
    insert.bind(3, bits: batch.lastSequence)
    insert.bind(4, bits: batch.firstStamp.value)
    insert.bind(5, bits: batch.lastStamp.value)
    insert.bind(6, bits: batch.view)
    insert.bind(7, copying: batch.hash.bytes)
    insert.bind(8, copying: batch.signature.bytes)
    // Stepped inside, where the bytes have an address: they are the one thing that is worth not copying.
    let code = batch.bytes.withUnsafeBytes { raw in
      insert.bind(9, borrowing: raw)
      return sqlite3_step(insert.handle)
    }
    guard code == SQLITE_DONE else { throw insert.failure() }
    insert.reset()
    insert.bindNull(9)
  }

  private func headsAfter(_ batches: [Batch]) throws(StoreError) -> [OriginIndex: Head] {
    var heads = heads
    for batch in batches {
      let expected = (heads[batch.origin]?.sequence ?? 0) + 1
      guard batch.firstSequence == expected else {
        throw .gap(origin: batch.origin, expected: expected, found: batch.firstSequence)
      }
      heads[batch.origin] = Head(sequence: batch.lastSequence, hash: batch.hash)
    }
    return heads
  }

  // MARK: Reading

  /// The newest value of a protocol record; nil if it was never written.
  /// - Throws: `damagedRecord` if it is not what was written.
  public func record(_ key: String) throws(StoreError) -> [UInt8]? {
    try perform { database in
      let select = try statement(database, "SELECT value, hash FROM records WHERE key = ?")
      defer { select.reset() }
      select.bind(1, text: Array(key.utf8))
      guard try select.step() else { return nil }
      let value = select.bytes(0)
      guard select.bytes(1) == recordHash(key, value) else { throw StoreError.damagedRecord(key: key) }
      return value
    }
  }

  private func recordHash(_ key: String, _ value: [UInt8]) -> [UInt8] {
    sha.begin()
    sha.update(Array(key.utf8))
    sha.update([0])
    sha.update(value)
    return sha.finish().bytes
  }

  /// Whole batches of one origin, for peers that lack them, each checked against its stored hash.
  /// - Parameters:
  ///   - sequence: the first batch is the one that holds it.
  ///   - through: none that starts later; nil means up to the head.
  ///   - bytesMax: of canonical bytes in all; the first batch comes even if it is larger.
  /// - Throws: `damagedBatch` if a batch is not what was written.
  /// - Complexity: O(log batches + bytes returned).
  public func batches(
    of origin: OriginIndex, from sequence: UInt64, through: UInt64? = nil, bytesMax: Int
  ) throws(StoreError) -> [SealedBatch] {
    try perform { database in
      let select = try statement(
        database,
        """
        SELECT first_sequence, last_sequence, view, hash, signature, bytes FROM log
        WHERE origin = ?1 AND first_sequence <= ?3 AND first_sequence >= (
          SELECT coalesce(max(first_sequence), 0) FROM log WHERE origin = ?1 AND first_sequence <= ?2)
        ORDER BY first_sequence
        """)
      defer { select.reset() }
      select.bind(1, Int64(origin.value))
      select.bind(2, clamping: sequence)
      select.bind(3, clamping: through ?? UInt64.max)
      var result: [SealedBatch] = []
      var bytes = 0
      var previous: Hash256?
      while try select.step() {
        if select.bits(1) < sequence { continue }
        bytes += select.raw(5).count
        if !result.isEmpty && bytes > bytesMax { break }
        let first = select.bits(0)
        if previous == nil { previous = try hashBefore(origin, first, database) }
        let batch = try sealedBatch(select, origin: origin, first: first, previous: previous)
        previous = batch.hash
        result.append(batch.sealed)
      }
      return result
    }
  }

  private func sealedBatch(
    _ row: StoreStatement, origin: OriginIndex, first: UInt64, previous: Hash256?
  ) throws -> (sealed: SealedBatch, hash: Hash256) {
    let bytes = row.bytes(5)
    guard let hash = Hash256(stored: row.raw(3)), let signature = Signature(bytes: row.bytes(4)) else {
      throw StoreError.damagedBatch(LogDamage(origin: origin, sequence: first, kind: .column("hash, signature")))
    }
    // The start of a chain is known only after `recover`; without it the first batch is the receiver's to check.
    if let previous, HashChain.link(previous: previous, bytes: bytes, sha) != hash {
      throw StoreError.damagedBatch(LogDamage(origin: origin, sequence: first, kind: .hashMismatch))
    }
    return (SealedBatch(bytes: bytes, view: row.bits(2), signature: signature), hash)
  }

  func hashBefore(_ origin: OriginIndex, _ first: UInt64, _ database: Database) throws -> Hash256? {
    if first <= 1 { return chainStarts[origin] }
    let select = try statement(
      database,
      """
      SELECT last_sequence, hash FROM log WHERE origin = ?1 AND first_sequence < ?2 ORDER BY first_sequence DESC LIMIT 1
      """)
    defer { select.reset() }
    select.bind(1, Int64(origin.value))
    select.bind(2, clamping: first)
    if try select.step(), select.bits(0) == first - 1 { return Hash256(stored: select.raw(1)) }
    return logBases[origin].flatMap { $0.head.sequence == first - 1 ? $0.head.hash : nil }
  }

  /// Reads the heads of all origins.
  /// - Complexity: O(origins × log batches).
  func loadHeads() throws(StoreError) {
    heads = try perform { database in
      let next = try statement(database, "SELECT min(origin) FROM log WHERE origin > ?")
      let newest = try statement(
        database, "SELECT last_sequence, hash FROM log WHERE origin = ? ORDER BY first_sequence DESC LIMIT 1")
      defer {
        next.reset()
        newest.reset()
      }
      var heads: [OriginIndex: Head] = [:]
      var origin: Int64 = -1
      while true {
        next.reset()
        next.bind(1, origin)
        guard try next.step(), !next.isNull(0) else { break }
        origin = next.int(0)
        newest.reset()
        newest.bind(1, origin)
        guard let index = UInt32(exactly: origin), try newest.step(), let hash = Hash256(stored: newest.raw(1)) else {
          throw StoreError.corrupt(path: path, message: "the newest row of origin \(origin) in table log is unreadable")
        }
        heads[OriginIndex(index)] = Head(sequence: newest.bits(0), hash: hash)
      }
      // Of some nothing is left but where their logs go on.
      let bases = try statement(database, "SELECT origin FROM log_base ORDER BY origin")
      defer { bases.reset() }
      while try bases.step() {
        let index = OriginIndex(UInt32(clamping: bases.int(0)))
        if heads[index] == nil { heads[index] = logBases[index]?.head }
      }
      return heads
    }
  }
}

extension StoreStatement {
  /// A sequence as SQLite can hold it; no batch has one that is larger.
  func bind(_ column: CInt, clamping value: UInt64) { bind(column, Int64(clamping: value)) }
}

extension Hash256 {
  /// Nil unless there are 32 bytes.
  init?(stored raw: UnsafeRawBufferPointer) {
    guard raw.count == Self.byteCount else { return nil }
    self.init(bytes: raw)
  }
}
