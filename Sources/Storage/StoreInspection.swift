import EventLog
import GRDB
import OrderBook
import Primitives

/// What is stored of a log at one place.
public struct StoredPlace: Hashable, Sendable {
  public var firstSequence: UInt64
  public var lastSequence: UInt64
  /// Stored batches after the place from which they were counted, up to and with this one.
  public var batches: UInt64
  public var hash: Hash256
}

/// For those who compare this file with another one: answers that are short, whatever there is.
extension Store {
  /// Origins of which something is stored, rising.
  public var storedOrigins: [OriginIndex] { heads.keys.sorted() }

  /// The run of an origin's batches with first stamps after `after` whose last stamps are `through` at most.
  /// - Parameter isDerived: the hash is worked out from the stored bytes, after the stored hash before them.
  /// - Returns: nil if there is none. `firstSequence` is that of the first batch of the run.
  /// - Complexity: O(batches of the origin) steps in the index; if derived, O(bytes of the run).
  public func run(
    of origin: OriginIndex, after: Stamp, through: Stamp, isDerived: Bool
  ) throws(StoreError) -> StoredPlace? {
    try perform { database in
      let last = try statement(
        database,
        """
        SELECT first_sequence FROM log INDEXED BY log_by_origin
        WHERE origin = ?1 AND first_stamp <= ?2 ORDER BY first_sequence DESC LIMIT 2
        """)
      defer { last.reset() }
      last.bind(1, Int64(origin.value))
      last.bind(2, clamping: through.value)
      var ends: [UInt64] = []
      while try last.step() { ends.append(last.bits(0)) }
      let row = try statement(
        database, "SELECT last_sequence, last_stamp, hash FROM log WHERE origin = ?1 AND first_sequence = ?2")
      defer { row.reset() }
      for end in ends {
        row.reset()
        row.bind(1, Int64(origin.value))
        row.bind(2, clamping: end)
        guard try row.step(), row.bits(1) <= through.value else { continue }
        let (lastSequence, lastStamp) = (row.bits(0), row.bits(1))
        guard lastStamp > after.value, let hash = Hash256(stored: row.raw(2)) else { return nil }
        let count = try statement(
          database,
          """
          SELECT count(*), min(first_sequence) FROM log INDEXED BY log_by_origin
          WHERE origin = ?1 AND first_sequence <= ?2 AND first_stamp > ?3
          """)
        defer { count.reset() }
        count.bind(1, Int64(origin.value))
        count.bind(2, clamping: end)
        count.bind(3, clamping: after.value)
        guard try count.step(), count.bits(0) > 0 else { return nil }
        var place = StoredPlace(
          firstSequence: count.bits(1), lastSequence: lastSequence, batches: count.bits(0), hash: hash)
        if isDerived {
          let derived = try derivedPlaces(
            of: origin, after: place.firstSequence - 1, hash: nil, at: [lastSequence], database)
          place.hash = derived.first.flatMap { $0?.hash } ?? .zero
        }
        return place
      }
      return nil
    }
  }

  /// The batches that hold certain sequences of an origin; nil where there is none.
  /// - Parameters:
  ///   - after: batches are counted from here.
  ///   - sequences: rising.
  /// - Complexity: O(batches between) steps in the index.
  public func places(
    of origin: OriginIndex, after: UInt64, at sequences: [UInt64]
  ) throws(StoreError) -> [StoredPlace?] {
    try perform { database in
      let row = try statement(
        database,
        """
        SELECT first_sequence, last_sequence, hash FROM log
        WHERE origin = ?1 AND first_sequence <= ?2 ORDER BY first_sequence DESC LIMIT 1
        """)
      let count = try statement(
        database,
        """
        SELECT count(*) FROM log INDEXED BY log_by_origin
        WHERE origin = ?1 AND first_sequence > ?2 AND first_sequence <= ?3
        """)
      defer {
        row.reset()
        count.reset()
      }
      var counted: UInt64 = 0
      var countedThrough = after
      return try sequences.map { sequence in
        row.reset()
        row.bind(1, Int64(origin.value))
        row.bind(2, clamping: sequence)
        guard try row.step(), row.bits(1) >= sequence, let hash = Hash256(stored: row.raw(2)) else { return nil }
        let (first, last) = (row.bits(0), row.bits(1))
        count.reset()
        count.bind(1, Int64(origin.value))
        count.bind(2, clamping: countedThrough)
        count.bind(3, clamping: first)
        if try count.step() { counted += count.bits(0) }
        countedThrough = max(countedThrough, first)
        return StoredPlace(firstSequence: first, lastSequence: last, batches: counted, hash: hash)
      }
    }
  }

  /// The same with hashes that are worked out from the stored bytes.
  /// - Parameter hash: of the chain at `after`; nil for the stored one.
  /// - Complexity: O(bytes between).
  public func derivedPlaces(
    of origin: OriginIndex, after: UInt64, hash: Hash256?, at sequences: [UInt64]
  ) throws(StoreError) -> [StoredPlace?] {
    try perform { database in
      try derivedPlaces(of: origin, after: after, hash: hash, at: sequences, database)
    }
  }

  private func derivedPlaces(
    of origin: OriginIndex, after: UInt64, hash: Hash256?, at sequences: [UInt64], _ database: Database
  ) throws -> [StoredPlace?] {
    guard let last = sequences.last else { return [] }
    let rows = try statement(
      database,
      """
      SELECT first_sequence, last_sequence, bytes FROM log
      WHERE origin = ?1 AND first_sequence > ?2 AND first_sequence <= ?3 ORDER BY first_sequence
      """)
    defer { rows.reset() }
    rows.bind(1, Int64(origin.value))
    rows.bind(2, clamping: after)
    rows.bind(3, clamping: last)
    var chain = try hash ?? hashBefore(origin, after + 1, database) ?? .zero
    var places = [StoredPlace?](repeating: nil, count: sequences.count)
    var next = 0
    var batches: UInt64 = 0
    while try rows.step() {
      batches += 1
      chain = HashChain.link(previous: chain, bytes: rows.bytes(2), sha)
      let place = StoredPlace(
        firstSequence: rows.bits(0), lastSequence: rows.bits(1), batches: batches, hash: chain)
      while next < sequences.count, sequences[next] < place.firstSequence { next += 1 }
      while next < sequences.count, sequences[next] <= place.lastSequence {
        places[next] = place
        next += 1
      }
    }
    return places
  }

  /// The batch that holds a sequence, as it is stored, and the hash of the chain before it; nil if there is none.
  ///
  /// Nothing of it is checked.
  public func storedBatch(
    of origin: OriginIndex, at sequence: UInt64
  ) throws(StoreError) -> (row: LogRow, previous: Hash256)? {
    try perform { database in
      let select = try statement(
        database,
        """
        SELECT origin, first_sequence, last_sequence, first_stamp, last_stamp, view, hash, signature, bytes FROM log
        WHERE origin = ?1 AND first_sequence <= ?2 ORDER BY first_sequence DESC LIMIT 1
        """)
      defer { select.reset() }
      select.bind(1, Int64(origin.value))
      select.bind(2, clamping: sequence)
      guard try select.step(), select.bits(2) >= sequence else { return nil }
      let row = LogRow(
        origin: select.int(0), firstSequence: select.bits(1), lastSequence: select.bits(2),
        firstStamp: Stamp(select.bits(3)), lastStamp: Stamp(select.bits(4)), view: select.bits(5),
        hash: Hash256(stored: select.raw(6)), signature: Signature(bytes: select.bytes(7)), bytes: select.bytes(8))
      return (row, try hashBefore(origin, row.firstSequence, database) ?? .zero)
    }
  }

  /// Where the kept part of the log begins: the largest last stamp of what a snapshot stands for; zero if all is kept.
  public var logBegins: Stamp { logBases.values.map(\.stamp).max() ?? .zero }

  /// Tells the store how chains start, for those who do not `recover`.
  public func setChainStarts(_ starts: [OriginIndex: Hash256]) { chainStarts = starts }

  // MARK: Tables

  /// Hashes over the content of the fills after `after`, up to each of certain numbers; nil beyond the last fill.
  /// - Complexity: O(fills between).
  public func fillHashes(after: UInt64, at numbers: [UInt64]) throws(StoreError) -> [Hash256?] {
    guard let last = numbers.last else { return [] }
    return try perform { database in
      let row = try statement(
        database,
        """
        SELECT number, instrument, maker, taker, taker_side, price, quantity, stamp FROM fills
        WHERE number > ?1 AND number <= ?2 ORDER BY number
        """)
      defer { row.reset() }
      row.bind(1, clamping: after)
      row.bind(2, clamping: last)
      var hashes = [Hash256?](repeating: nil, count: numbers.count)
      var running = Hash256.zero
      var next = 0
      var writer = ByteWriter(reserving: 96)
      while try row.step() {
        writer.bytes.removeAll(keepingCapacity: true)
        writer.write(running)
        for column in 1...7 { writer.writeFixed(row.int(CInt(column))) }
        running = sha.hash(writer.bytes)
        while next < numbers.count, numbers[next] <= row.bits(0) {
          if numbers[next] == row.bits(0) { hashes[next] = running }
          next += 1
        }
      }
      return hashes
    }
  }

  /// Fills from a number on, oldest first.
  public func fills(from number: UInt64, count: Int) throws(StoreError) -> [AuditFill] {
    try fills("WHERE number >= ?1 ORDER BY number LIMIT ?2") {
      $0.bind(1, clamping: number)
      $0.bind(2, Int64(count))
    }
  }

  /// Every order that is open, oldest first.
  /// - Complexity: O(open orders).
  public func openOrders() throws(StoreError) -> [AuditOrder] {
    try orders("WHERE status IN (0, 1, 2) ORDER BY stamp, dot LIMIT ?2", max: .max) { _ in }
  }
}
