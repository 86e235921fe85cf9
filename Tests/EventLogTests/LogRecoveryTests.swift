import EventLog
import Primitives
import Testing

struct LogRecoveryTests {
  /// Three origins that take turns, five batches of 20 entries each.
  private func fixture() -> (log: MemoryLog, batches: [Batch], writer: ChainWriter) {
    var writer = ChainWriter(seed: 6)
    let batches = (0..<15).map { writer.batch(UInt32($0 % 3), second: UInt64(1_000 + $0), entries: 20) }
    return (MemoryLog(batches), batches, writer)
  }

  /// Everything but what an origin has from a sequence on.
  private func without(_ origin: UInt32, from sequence: UInt64, _ batches: [Batch]) -> [SealedBatch] {
    batches.filter { $0.origin.value != origin || $0.firstSequence < sequence }.map(\.sealed)
  }

  private func failure(_ log: MemoryLog, own: UInt32? = nil) -> LogRecoveryError<MemoryLog.Broken>? {
    do throws(LogRecoveryError<MemoryLog.Broken>) {
      let recovery = try Recovering(log, own: own.map { OriginIndex($0) })
      _ = try recovery.all()
      return nil
    } catch {
      return error
    }
  }

  // MARK: Order

  @Test func anEmptyLogGivesNothing() throws {
    let recovery = try Recovering(MemoryLog([]), own: OriginIndex(0))
    #expect(try recovery.next() == nil)
    #expect(recovery.report == RecoveryReport())
  }

  /// Logs of very different lengths, with seconds that several origins share.
  @Test(arguments: [1, 2, 3] as [UInt64])
  func batchesComeByFirstStampThenOrigin(seed: UInt64) throws {
    var writer = ChainWriter(seed: seed)
    var generator = SeededGenerator(seed: seed)
    var batches: [Batch] = []
    for second in 1_000..<1_600 as Range<UInt64> {
      batches.append(writer.batch(3, second: second, entries: 1))
      for origin in [0, 1, 2, 4, 5, 6] as [UInt32] where generator.chance(1, of: UInt64(2 + origin * origin)) {
        batches.append(writer.batch(origin, second: second, entries: generator.pick(1...4)))
      }
    }
    let log = MemoryLog(batches.sorted { ($0.origin, $0.firstSequence) < ($1.origin, $1.firstSequence) })
    let recovery = try Recovering(log, own: OriginIndex(3))
    let expected = batches.sorted { $0.firstKey < $1.firstKey }
    let delivered = try recovery.all()
    #expect(delivered == expected.map(\.sealed))
    #expect(recovery.report.batches == batches.count && recovery.report.damages.isEmpty)
    #expect(recovery.report.entries == batches.reduce(0) { $0 + UInt64($1.entries.count) })
    // Memory stays bounded however long a log is.
    #expect(log.placesAsked.allSatisfy { $0 == 256 })
    #expect(log.placesGiven.contains(256))
    // Each origin's last read finds nothing.
    let lengths = (0...6 as ClosedRange<UInt32>).map { origin in batches.count { $0.origin.value == origin } }
    #expect(log.placesGiven.count == lengths.reduce(0) { $0 + ($1 + 255) / 256 + 1 })
  }

  @Test func theReportCountsWhatWasDelivered() throws {
    let (log, batches, _) = fixture()
    let recovery = try Recovering(log)
    #expect(recovery.report == RecoveryReport())
    for count in 1...batches.count {
      #expect(try recovery.next() == batches[count - 1].sealed)
      #expect(recovery.report.batches == count && recovery.report.entries == UInt64(20 * count))
    }
    #expect(try recovery.next() == nil)
    #expect(try recovery.next() == nil)
    #expect(recovery.report.batches == batches.count)
  }

  // MARK: Damage

  /// Something that happens to the batch of origin 1 that holds sequences 41 to 60.
  struct Damage: CustomTestStringConvertible, Sendable {
    var testDescription: String
    var kind: LogDamage.Kind
    var batchesLost = 3
    var happens: @Sendable (MemoryLog, [Batch], inout ChainWriter) -> Void

    /// To the row alone.
    static func row(_ text: String, _ kind: LogDamage.Kind, _ body: @escaping @Sendable (inout LogRow) -> Void) -> Self
    {
      Damage(testDescription: text, kind: kind) { log, _, _ in log.change(1, 41, body) }
    }

    /// To the index alone.
    static func place(
      _ text: String, _ kind: LogDamage.Kind, _ body: @escaping @Sendable (inout LogPlace) -> Void
    ) -> Self {
      Damage(testDescription: text, kind: kind) { log, _, _ in body(&log.index[log.position(1, 41)].place) }
    }

    /// Another whole batch in its row, with the hash that it has in this chain.
    static func replaced(_ text: String, _ kind: LogDamage.Kind, origin: UInt32, first: UInt64) -> Self {
      Damage(testDescription: text, kind: kind) { log, batches, writer in
        let before = Head(sequence: 40, hash: batches[4].hash)
        let other = writer.alternative(origin, first: first, after: before, second: 1_007, entries: 20)
        log.change(1, 41) {
          ($0.bytes, $0.hash) = (other.bytes, other.hash)
        }
      }
    }
  }

  static let damages: [Damage] = [
    .row("hash is another", .hashMismatch) { $0.hash = .zero },
    Damage(testDescription: "bytes are another batch's", kind: .hashMismatch) { log, batches, writer in
      let before = Head(sequence: 40, hash: batches[4].hash)
      let other = writer.alternative(1, first: 41, after: before, second: 1_007, entries: 20)
      log.change(1, 41) { $0.bytes = other.bytes }
    },
    Damage(testDescription: "the hash before is another", kind: .hashMismatch) { log, batches, writer in
      let after = Head(sequence: 40, hash: .zero)
      let other = writer.alternative(1, first: 41, after: after, second: 1_007, entries: 20)
      log.change(1, 41) { ($0.bytes, $0.hash) = (other.bytes, other.hash) }
    },
    .row("hash is none", .column("hash, signature")) { $0.hash = nil },
    .row("signature is none", .column("hash, signature")) { $0.signature = nil },
    .row("bytes end early", .undecodable(.truncated(field: "batch entries"))) { $0.bytes.removeSubrange(20...) },
    .row("bytes are none", .undecodable(.truncated(field: "batch version"))) { $0.bytes = [] },
    .row("bytes go on", .undecodable(.trailing(count: 1))) { $0.bytes.append(0) },
    // Not intact, so no newer version wrote it.
    .row("a bit of the version", .undecodable(.unknown(field: "batch version", value: 3))) { $0.bytes[0] = 3 },
    .row("column origin", .column("origin")) { $0.origin = 2 },
    .row("column origin is no origin", .column("origin")) { $0.origin = -1 },
    .row("column first_sequence", .column("first_sequence")) { $0.firstSequence = 42 },
    .row("column last_sequence", .column("last_sequence")) { $0.lastSequence = 61 },
    .row("column first_stamp", .column("first_stamp")) { $0.firstStamp = .zero },
    .row("column last_stamp", .column("last_stamp")) { $0.lastStamp = .zero },
    .place("stamp in the index", .column("first_stamp")) { $0.firstStamp = Stamp($0.firstStamp.value + 1) },
    .place("sequence in the index", .outOfChain(found: 42)) { $0.firstSequence = 42 },
    .place("row in the index", .column("rowid")) { $0.row = 99 },
    .replaced("a batch of another origin", .column("origin"), origin: 2, first: 41),
    .replaced("a batch of another sequence", .column("first_sequence"), origin: 1, first: 61),
    Damage(testDescription: "the batch is gone", kind: .outOfChain(found: 61), batchesLost: 2) { log, _, _ in
      log.index.remove(at: log.position(1, 41))
    },
  ]

  @Test(arguments: damages)
  func damageEndsItsOriginsLogAndNoOther(damage: Damage) throws {
    var (log, batches, writer) = fixture()
    damage.happens(log, batches, &writer)
    let recovery = try Recovering(log, own: OriginIndex(0))
    #expect(try recovery.all() == without(1, from: 41, batches))
    var report = RecoveryReport()
    report.batches = 12
    report.entries = 240
    report.damages = [
      LogDamage(
        origin: OriginIndex(1), sequence: 41, kind: damage.kind, batchesLost: damage.batchesLost, entriesLost: 60)
    ]
    #expect(recovery.report == report)
  }

  @Test func theFirstBatchIsCheckedAgainstTheStartOfTheChain() throws {
    let (log, batches, _) = fixture()
    let recovery = try Recovering(log, chainStart: { $0 == OriginIndex(1) ? .zero : ChainWriter.chainStart($0) })
    #expect(try recovery.all() == without(1, from: 1, batches))
    #expect(
      recovery.report.damages == [
        LogDamage(origin: OriginIndex(1), sequence: 1, kind: .hashMismatch, batchesLost: 5, entriesLost: 100)
      ])
  }

  @Test func theLastBatchIsDamageToo() throws {
    let (log, batches, _) = fixture()
    log.change(2, 81) { $0.hash = .zero }
    let recovery = try Recovering(log)
    #expect(try recovery.all() == without(2, from: 81, batches))
    #expect(
      recovery.report.damages == [
        LogDamage(origin: OriginIndex(2), sequence: 81, kind: .hashMismatch, batchesLost: 1, entriesLost: 20)
      ])
  }

  /// The later origin's damage is met first.
  @Test func severalOriginsAreReportedByOrigin() throws {
    let (log, _, _) = fixture()
    log.change(2, 1) { $0.hash = .zero }
    log.change(0, 61) { $0.signature = nil }
    let recovery = try Recovering(log, own: OriginIndex(1))
    #expect(try recovery.all().count == 8)
    #expect(
      recovery.report.damages == [
        LogDamage(
          origin: OriginIndex(0), sequence: 61, kind: .column("hash, signature"), batchesLost: 2, entriesLost: 40),
        LogDamage(origin: OriginIndex(2), sequence: 1, kind: .hashMismatch, batchesLost: 5, entriesLost: 100),
      ])
  }

  /// Others' damage before it changes nothing about that.
  @Test func damageToTheOwnLogIsAnError() {
    let (log, _, _) = fixture()
    log.change(2, 21) { $0.hash = .zero }
    log.change(1, 41) { $0.hash = .zero }
    #expect(
      failure(log, own: 1)
        == .damagedOwnLog(
          LogDamage(origin: OriginIndex(1), sequence: 41, kind: .hashMismatch, batchesLost: 3, entriesLost: 60)))
    #expect(failure(log, own: 0) == nil)
    #expect(failure(log) == nil)
  }

  // MARK: Errors

  @Test(arguments: [nil, 0, 1] as [UInt32?])
  func anIntactBatchOfANewerVersionIsAnError(own: UInt32?) {
    let (log, batches, _) = fixture()
    var bytes = batches[7].bytes
    bytes[0] = 99
    log.change(1, 41) {
      $0.hash = HashChain.link(previous: batches[4].hash, bytes: bytes, SHA256())
      $0.bytes = bytes
    }
    #expect(
      failure(log, own: own)
        == .unknownEntry(
          origin: OriginIndex(1), sequence: 41, detail: .unknown(field: "batch version", value: 99)))
  }

  @Test(arguments: MemoryLog.Read.allCases)
  func aReadThatFailsEndsTheRecovery(read: MemoryLog.Read) {
    let (log, _, _) = fixture()
    log.change(1, 41) { $0.hash = .zero }
    log.broken = read
    #expect(failure(log) == .source(MemoryLog.Broken()))
  }

  @Test func aReadOfMorePlacesThatFailsEndsTheRecovery() throws {
    let (log, batches, _) = fixture()
    let recovery = try Recovering(log)
    // Each origin's places are used up with its fifth batch; what the last of origin 0 needs is read after it.
    for count in 1...13 {
      #expect(try recovery.next() == batches[count - 1].sealed)
      if count == 12 { log.broken = .places }
    }
    #expect(throws: LogRecoveryError<MemoryLog.Broken>.source(MemoryLog.Broken())) { try recovery.next() }
  }
}
