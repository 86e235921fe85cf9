import Primitives

/// Why a log cannot be recovered.
public enum LogRecoveryError<Failure: Error>: Error {
  /// This node's own log is damaged. It may have told others more than it still has, so it must not go on.
  case damagedOwnLog(LogDamage)
  /// An intact batch holds something that this version does not know: it was written by a newer one.
  case unknownEntry(origin: OriginIndex, sequence: UInt64, detail: CodecError)
  /// The source could not be read.
  case source(Failure)
}

extension LogRecoveryError: Equatable where Failure: Equatable {}

/// Reads a stored log back, whoever keeps it, in order of (first stamp, origin), and checks every batch of it.
///
/// A batch that is not what was written is damage: that batch and everything after it of its origin is not delivered,
/// since peers have it and an origin's log can only be continued where it is whole. Damage to the own log is an error;
/// so is an intact batch of a newer version, because to drop that would be to lose acknowledged entries.
///
/// ```swift
/// var recovery = try LogRecovery(source, own: me, chainStart: { starts[$0.int] })
/// while let batch = try recovery.next() { … }
/// recovery.report
/// ```
///
/// Nothing is deleted here. Whoever continues the log MUST first delete each damaged origin's rows from the damage's
/// `sequence` on, and only after `next` has given nil: after an error all rows stay, as evidence.
public struct LogRecovery<Source: LogSource> {
  /// Places of an origin in memory; besides them there is one batch.
  public static var placesMax: Int { 256 }

  public typealias Failure = LogRecoveryError<Source.Failure>

  /// What was found so far; of the whole log when `next` has given nil.
  public private(set) var report = RecoveryReport()
  private let source: Source
  private let own: OriginIndex?
  private let sha: SHA256
  private var merge = LogMerge()
  /// Stands after the batch that was delivered last, and joins the merge before the next one.
  private var delivered: LogCursor?

  /// - Parameters:
  ///   - own: this node's present origin; nil if it has none yet.
  ///   - chainStart: hash with which an origin's chain starts; `HashChain.start`. Asked once for each origin.
  ///   - base: by place, after which head an origin's log is read; what lies below is not looked at.
  /// - Throws: `source`.
  public init(
    _ source: Source, own: OriginIndex? = nil, chainStart: (OriginIndex) -> Hash256, base: [LogBase] = [],
    _ sha: SHA256 = SHA256()
  ) throws(Failure) {
    self.source = source
    self.own = own
    self.sha = sha
    let origins: [OriginIndex]
    do throws(Source.Failure) { origins = try source.origins() } catch { throw .source(error) }
    for origin in origins {
      let isBased = origin.int < base.count && base[origin.int].head.sequence > 0
      var cursor = LogCursor(
        origin: origin, head: isBased ? base[origin.int].head : Head(sequence: 0, hash: chainStart(origin)))
      try refill(&cursor)
      merge.add(cursor)
    }
  }

  /// The next intact batch; nil when there is none left.
  /// - Throws: after it has thrown, the recovery has ended.
  /// - Complexity: O(bytes + log origins), and a read of places every `placesMax` batches of an origin.
  public mutating func next() throws(Failure) -> Batch? {
    if var cursor = delivered {
      delivered = nil
      if cursor.isUsedUp { try refill(&cursor) }
      merge.add(cursor)
    }
    while var cursor = merge.popFirst() {
      switch try check(cursor) {
      case .batch(let batch):
        report.batches += 1
        report.entries += UInt64(batch.entries.count)
        cursor.advance(Head(sequence: batch.lastSequence, hash: batch.hash))
        delivered = cursor
        return batch
      case .damaged(let kind):
        try add(LogDamage(origin: cursor.origin, sequence: cursor.head.sequence + 1, kind: kind))
      case .unknown(let detail):
        throw .unknownEntry(origin: cursor.origin, sequence: cursor.head.sequence + 1, detail: detail)
      }
    }
    return nil
  }

  /// Reads the next places from the index alone.
  private func refill(_ cursor: inout LogCursor) throws(Failure) {
    do throws(Source.Failure) {
      cursor.refill(try source.places(of: cursor.origin, after: cursor.lastPlace, max: Self.placesMax))
    } catch {
      throw .source(error)
    }
  }

  private mutating func add(_ damage: LogDamage) throws(Failure) {
    var damage = damage
    do throws(Source.Failure) {
      (damage.batchesLost, damage.entriesLost) = try source.extent(of: damage.origin, from: damage.sequence)
    } catch {
      throw .source(error)
    }
    if damage.origin == own { throw .damagedOwnLog(damage) }
    report.damages.append(damage)
    report.damages.sort { $0.origin < $1.origin }
  }

  // MARK: One batch

  private enum Finding {
    case batch(Batch)
    case damaged(LogDamage.Kind)
    /// Intact, but of a later version.
    case unknown(CodecError)
  }

  private func check(_ cursor: LogCursor) throws(Failure) -> Finding {
    let place = cursor.place
    guard place.firstSequence == cursor.head.sequence + 1 else {
      return .damaged(.outOfChain(found: place.firstSequence))
    }
    let found: LogRow?
    do throws(Source.Failure) { found = try source.row(place) } catch { throw .source(error) }
    guard let row = found else { return .damaged(.column("rowid")) }
    return check(row, at: place, of: cursor.origin, after: cursor.head)
  }

  private func check(_ row: LogRow, at place: LogPlace, of origin: OriginIndex, after head: Head) -> Finding {
    guard let hash = row.hash, let signature = row.signature else { return .damaged(.column("hash, signature")) }
    let sealed = SealedBatch(bytes: row.bytes, view: row.view, signature: signature)
    let batch: Batch
    do throws(CodecError) {
      batch = try Batch.decode(sealed, previous: head.hash, sha)
    } catch {
      if case .unknown = error, HashChain.link(previous: head.hash, bytes: row.bytes, sha) == hash {
        return .unknown(error)
      }
      return .damaged(.undecodable(error))
    }
    guard batch.hash == hash else { return .damaged(.hashMismatch) }
    // The columns are for people, indexes and heads; a batch speaks for itself.
    guard row.origin == Int64(batch.origin.value), batch.origin == origin else { return .damaged(.column("origin")) }
    guard batch.firstSequence == head.sequence + 1, row.firstSequence == batch.firstSequence else {
      return .damaged(.column("first_sequence"))
    }
    guard row.lastSequence == batch.lastSequence else { return .damaged(.column("last_sequence")) }
    guard row.firstStamp == batch.firstStamp, place.firstStamp == batch.firstStamp else {
      return .damaged(.column("first_stamp"))
    }
    guard row.lastStamp == batch.lastStamp else { return .damaged(.column("last_stamp")) }
    return .batch(batch)
  }
}
