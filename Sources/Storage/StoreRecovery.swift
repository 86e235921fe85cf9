import EventLog
import GRDB
import Primitives

extension Store {
  /// Reads the whole log back in order of (first stamp, origin), and checks every batch of it, as `LogRecovery` does.
  ///
  /// SQLite itself drops the torn tail of its write-ahead log: transactions that were never acknowledged. So a row that
  /// is there was acknowledged, and one that is not what was written is damage, never a torn tail. The damaged batch
  /// and everything after it of its origin is not delivered. Of other origins those rows are then moved into
  /// `void_log`, because peers have them and the log can only be continued where it is whole; of the own origin they
  /// stay.
  /// - Parameters:
  ///   - own: this node's present origin; nil if it has none yet.
  ///   - chainStart: hash with which an origin's chain starts; `HashChain.start`.
  ///   - base: by place, up to where a snapshot stands for the log: it is read from there on.
  ///   - body: may use the store for reading. If it throws, recovery ends and nothing is deleted.
  /// - Throws: `damagedOwnLog`; `unknownEntry` if an intact batch was written by a newer version; `corrupt`;
  ///   `endedByCaller` with what `body` threw, unless that is a `StoreError`.
  /// - Complexity: O(bytes + batches × log origins); memory for 256 places per origin and one batch.
  public func recover(
    own: OriginIndex? = nil, chainStart: (OriginIndex) -> Hash256, base: [LogBase] = [], _ body: (Batch) throws -> Void
  ) throws(StoreError) -> RecoveryReport {
    for origin in heads.keys { chainStarts[origin] = chainStart(origin) }
    var report: RecoveryReport
    do throws(LogRecoveryError<StoreError>) {
      let starts = chainStarts
      var recovery = try LogRecovery(
        StoredLog(store: self), own: own, chainStart: { starts[$0] ?? .zero }, base: base, sha)
      while let batch = try recovery.next() { try deliver(batch, body) }
      report = recovery.report
    } catch {
      switch error {
      case .damagedOwnLog(let damage): throw .damagedOwnLog(damage)
      case .unknownEntry(let origin, let sequence, let detail):
        throw .unknownEntry(origin: origin, sequence: sequence, detail: detail)
      case .source(let error): throw error
      }
    }
    if !report.damages.isEmpty && !isReadOnly {
      try delete(report.damages)
      report.areDamagedRowsDeleted = true
    }
    return report
  }

  private func deliver(_ batch: Batch, _ body: (Batch) throws -> Void) throws(LogRecoveryError<StoreError>) {
    do {
      try body(batch)
    } catch let error as StoreError {
      throw .source(error)
    } catch {
      throw .source(.endedByCaller(message: "\(error)"))
    }
  }

  private func delete(_ damages: [LogDamage]) throws(StoreError) {
    try write { database in
      for damage in damages { try setAside(damage.origin, from: damage.sequence, .damaged, database) }
    }
    try loadHeads()
  }
}

extension Store {
  /// Goes on with a scrub of the stored log.
  /// - Parameters:
  ///   - start: where an origin's log begins.
  ///   - bytesMax: about so much is read, a batch at least.
  /// - Throws: `StoreError` if the store cannot be read.
  public func scrub(
    _ scrubber: inout LogScrubber, start: (OriginIndex) -> Head, bytesMax: Int
  ) throws(StoreError) -> [LogHole] {
    let heads = heads
    return try scrubber.step(StoredLog(store: self), start: start, end: { heads[$0] }, bytesMax: bytesMax, sha)
  }

  /// Puts batches where a part of the log is damaged, if they fill it, in one transaction that is on disk when this
  /// returns. What is there moves into `void_log`.
  /// - Returns: false if they do not fill it.
  public func mend(_ hole: LogHole, _ batches: [Batch]) throws(StoreError) -> Bool {
    guard hole.isFilled(by: batches, sha), heads[hole.origin]?.sequence ?? 0 >= hole.through,
      base(of: hole.origin)?.head.sequence ?? 0 <= hole.before.sequence
    else { return false }
    try write { database in
      try setAside(hole.origin, from: hole.before.sequence + 1, through: hole.through, .damaged, database)
      try insert(batches, database)
    }
    return true
  }

  /// For demonstrations: flips a bit of a stored batch's bytes, or drops its row. `seed` says which.
  /// - Returns: what was done; nil if too few are stored.
  public func damageLog(dropping: Bool, seed: UInt64) throws(StoreError) -> String? {
    var generator = SeededGenerator(seed: seed)
    return try perform { database in
      let count = try statement(database, "SELECT count(*) FROM log")
      defer { count.reset() }
      guard try count.step(), count.int(0) > 2 else { return nil }
      // Not the newest ones: they are in memory still.
      let offset = Int64(generator.below(UInt64(count.int(0) - 2)))
      let select = try statement(
        database, "SELECT rowid, origin, first_sequence, last_sequence, bytes FROM log ORDER BY rowid LIMIT 1 OFFSET ?")
      defer { select.reset() }
      select.bind(1, offset)
      guard try select.step() else { return nil }
      let (row, name) = (select.int(0), "entries \(select.int(1))-\(select.bits(2)) to \(select.bits(3))")
      var bytes = select.bytes(4)
      select.reset()
      if dropping {
        let delete = try statement(database, "DELETE FROM log WHERE rowid = ?")
        delete.bind(1, row)
        try delete.run()
        return "the row of \(name) is deleted from the table log"
      }
      let (byte, bit) = (Int(generator.below(UInt64(bytes.count))), UInt8(generator.below(8)))
      bytes[byte] ^= 1 << bit
      let update = try statement(database, "UPDATE log SET bytes = ?2 WHERE rowid = ?1")
      update.bind(1, row)
      update.bind(2, copying: bytes)
      try update.run()
      return "bit \(bit) of byte \(byte) of the stored batch with \(name) is flipped"
    }
  }
}

/// Reads the stored log beside other work, a batch at a time, checked as `Store.recover` does. Nothing is deleted.
///
/// What is appended while it reads may be read or not; what it has begun with MUST NOT change.
public struct StoredLogReader {
  private var recovery: LogRecovery<StoredLog>

  /// - Parameters:
  ///   - chainStart: hash with which an origin's chain starts.
  ///   - base: by place, after which head an origin's log is read.
  /// - Throws: `StoreError` if the store cannot be read.
  public init(
    _ store: Store, chainStart: (OriginIndex) -> Hash256, base: [LogBase]
  ) throws(LogRecoveryError<StoreError>) {
    recovery = try LogRecovery(StoredLog(store: store), chainStart: chainStart, base: base)
  }

  /// The next intact batch in order of (first stamp, origin); nil when there is none left.
  /// - Throws: what could not be read, or is of a newer version; then the reading has ended.
  public mutating func next() throws(LogRecoveryError<StoreError>) -> Batch? { try recovery.next() }

  /// What is damaged, as far as was read.
  public var damages: [LogDamage] { recovery.report.damages }
}

/// The table `log` as a recovery reads it.
private struct StoredLog: LogSource {
  let store: Store

  func origins() throws(StoreError) -> [OriginIndex] { store.heads.keys.sorted() }

  func places(of origin: OriginIndex, after sequence: UInt64, max: Int) throws(StoreError) -> [LogPlace] {
    try store.perform { database in
      let select = try store.statement(
        database,
        """
        SELECT rowid, first_sequence, first_stamp FROM log INDEXED BY log_by_origin
        WHERE origin = ?1 AND first_sequence > ?2 ORDER BY first_sequence LIMIT ?3
        """)
      defer { select.reset() }
      select.bind(1, Int64(origin.value))
      select.bind(2, clamping: sequence)
      select.bind(3, Int64(max))
      var places: [LogPlace] = []
      while try select.step() {
        places.append(
          LogPlace(row: select.int(0), firstSequence: select.bits(1), firstStamp: Stamp(select.bits(2))))
      }
      return places
    }
  }

  func row(_ place: LogPlace) throws(StoreError) -> LogRow? {
    try store.perform { database in
      let select = try store.statement(
        database,
        """
        SELECT origin, first_sequence, last_sequence, first_stamp, last_stamp, view, hash, signature, bytes
        FROM log WHERE rowid = ?
        """)
      defer { select.reset() }
      select.bind(1, place.row)
      guard try select.step() else { return nil }
      return LogRow(
        origin: select.int(0), firstSequence: select.bits(1), lastSequence: select.bits(2),
        firstStamp: Stamp(select.bits(3)), lastStamp: Stamp(select.bits(4)), view: select.bits(5),
        hash: Hash256(stored: select.raw(6)), signature: Signature(bytes: select.bytes(7)), bytes: select.bytes(8))
    }
  }

  func extent(of origin: OriginIndex, from sequence: UInt64) throws(StoreError) -> (batches: Int, entries: UInt64) {
    try store.perform { database in
      let select = try store.statement(
        database,
        """
        SELECT count(*), coalesce(max(last_sequence) - ?2 + 1, 0) FROM log WHERE origin = ?1 AND first_sequence >= ?2
        """)
      defer { select.reset() }
      select.bind(1, Int64(origin.value))
      select.bind(2, clamping: sequence)
      guard try select.step() else { return (0, 0) }
      return (Int(select.int(0)), UInt64(clamping: select.int(1)))
    }
  }
}
