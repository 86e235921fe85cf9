import EventLog
import Foundation
import Primitives
import Testing

@testable import Storage

@Suite struct DamageTests {
  /// Three origins, five batches each, closed.
  private func fixture() throws -> (directory: TemporaryDirectory, batches: [Batch]) {
    let directory = try TemporaryDirectory()
    var log = LogWriter(seed: 6)
    let batches = (0..<15).map { log.batch(UInt32($0 % 3), entries: 20) }
    let store = try directory.open()
    try store.commit(batches: batches)
    store.close(movingLog: true)
    return (directory, batches)
  }

  /// Turns one bit of the file, inside the place that holds `bytes`.
  private func flip(_ directory: TemporaryDirectory, inside bytes: [UInt8], at offset: Int) throws {
    var file = try Data(contentsOf: URL(fileURLWithPath: directory.database))
    let place = try #require(file.range(of: Data(bytes)))
    file[place.lowerBound + offset] ^= 0x10
    try file.write(to: URL(fileURLWithPath: directory.database))
  }

  private func of(_ origin: UInt32, _ batches: [Batch]) -> [Batch] { batches.filter { $0.origin.value == origin } }

  @Test(arguments: [0, 1, 30, 100])
  func flippedBitInTheMiddleOfAnothersLog(offset: Int) throws {
    let (directory, batches) = try fixture()
    let foreign = of(1, batches)
    try flip(directory, inside: foreign[2].bytes, at: offset)
    let store = try directory.open()
    let (recovered, report) = try store.recovered(own: OriginIndex(0))
    #expect(recovered.sealed == batches.filter { $0.origin.value != 1 || $0.firstSequence < 41 }.sealed)
    let damage = try #require(report.damages.first)
    #expect(report.damages.count == 1 && report.areDamagedRowsDeleted)
    #expect(damage.origin == OriginIndex(1) && damage.sequence == 41)
    #expect(damage.batchesLost == 3 && damage.entriesLost == 60)
    // What was before it is the log now, and peers can supply the rest.
    #expect(store.heads[OriginIndex(1)] == Head(sequence: 40, hash: foreign[1].hash))
    try store.commit(batches: Array(foreign[2...]))
    let (all, second) = try store.recovered(own: OriginIndex(0))
    #expect(all.sealed == batches.sealed)
    #expect(second.damages.isEmpty && !second.areDamagedRowsDeleted)
  }

  @Test func flippedBitInTheOwnLogRefusesToStart() throws {
    let (directory, batches) = try fixture()
    try flip(directory, inside: of(1, batches)[2].bytes, at: 40)
    try flip(directory, inside: of(2, batches)[1].bytes, at: 40)
    for _ in 0..<2 {
      let store = try directory.open()
      guard case .damagedOwnLog(let damage) = storeError({ _ = try store.recovered(own: OriginIndex(1)) }) else {
        Issue.record("another error")
        return
      }
      #expect(damage.origin == OriginIndex(1) && damage.sequence == 41 && damage.batchesLost == 3)
      // Evidence stays, of others' logs, too.
      #expect(store.heads.values.map(\.sequence) == [100, 100, 100])
      store.close(movingLog: true)
    }
  }

  @Test func lastBatchIsDamageToo() throws {
    let (directory, batches) = try fixture()
    try flip(directory, inside: of(2, batches)[4].bytes, at: 50)
    let report = try directory.open().recovered().report
    #expect(report.damages.map(\.sequence) == [81])
    #expect(report.damages.map(\.batchesLost) == [1])
    #expect(report.batches == 14)
  }

  @Test func firstBatchIsCheckedAgainstTheStartOfTheChain() throws {
    let (directory, _) = try fixture()
    let store = try directory.open()
    var delivered = 0
    let report = try store.recover(chainStart: { $0 == OriginIndex(1) ? .zero : LogWriter.chainStart($0) }) { _ in
      delivered += 1
    }
    #expect(delivered == 10)
    #expect(report.damages.map(\.kind) == [.hashMismatch])
    #expect(report.damages.map(\.batchesLost) == [5])
    #expect(store.heads[OriginIndex(1)] == nil)
  }

  @Test(arguments: [
    ("UPDATE log SET hash = zeroblob(32) WHERE origin = 1 AND first_sequence = 41", LogDamage.Kind.hashMismatch),
    ("UPDATE log SET hash = x'00' WHERE origin = 1 AND first_sequence = 41", .column("hash, signature")),
    ("UPDATE log SET signature = x'00' WHERE origin = 1 AND first_sequence = 41", .column("hash, signature")),
    ("UPDATE log SET last_sequence = 61 WHERE origin = 1 AND first_sequence = 41", .column("last_sequence")),
    ("UPDATE log SET first_stamp = first_stamp + 1 WHERE origin = 1 AND first_sequence = 41", .column("first_stamp")),
    ("UPDATE log SET last_stamp = 0 WHERE origin = 1 AND first_sequence = 41", .column("last_stamp")),
    ("UPDATE log SET first_sequence = 42 WHERE origin = 1 AND first_sequence = 41", .outOfChain(found: 42)),
    ("DELETE FROM log WHERE origin = 1 AND first_sequence = 41", .outOfChain(found: 61)),
    (
      "UPDATE log SET bytes = substr(bytes, 1, 20) WHERE origin = 1 AND first_sequence = 41",
      .undecodable(.truncated(field: "batch entries"))
    ),
  ])
  func everyColumnIsChecked(sql: String, kind: LogDamage.Kind) throws {
    let (directory, batches) = try fixture()
    try directory.tamper(sql)
    let store = try directory.open()
    let (recovered, report) = try store.recovered()
    #expect(recovered.sealed == batches.filter { $0.origin.value != 1 || $0.firstSequence < 41 }.sealed)
    #expect(report.damages.map(\.sequence) == [41])
    switch (report.damages.first?.kind, kind) {
    case (.undecodable, .undecodable): break
    case (let found, _): #expect(found == kind)
    }
    try store.commit(batches: Array(of(1, batches)[2...]))
    #expect(try store.recovered().batches.sealed == batches.sealed)
  }

  @Test func severalOriginsAreReportedByOrigin() throws {
    let (directory, batches) = try fixture()
    try flip(directory, inside: of(2, batches)[0].bytes, at: 50)
    try flip(directory, inside: of(0, batches)[3].bytes, at: 50)
    let (recovered, report) = try directory.open().recovered(own: OriginIndex(1))
    #expect(report.damages.map(\.origin.value) == [0, 2])
    #expect(report.damages.map(\.batchesLost) == [2, 5])
    #expect(recovered.count == 8)
  }

  @Test func readerReportsAndDeletesNothing() throws {
    let (directory, batches) = try fixture()
    try flip(directory, inside: of(1, batches)[2].bytes, at: 50)
    let reader = try Store.openReadOnly(directory: directory.path)
    let report = try reader.recovered().report
    #expect(report.damages.map(\.sequence) == [41])
    #expect(!report.areDamagedRowsDeleted)
    #expect(reader.heads[OriginIndex(1)]?.sequence == 100)
  }

  @Test func damagedBatchIsNotServed() throws {
    let (directory, batches) = try fixture()
    try flip(directory, inside: of(1, batches)[2].bytes, at: 50)
    let store = try directory.open()
    let origin = OriginIndex(1)
    let before = try store.batches(of: origin, from: 1, through: 40, bytesMax: 1 << 20)
    #expect(before == Array(of(1, batches)[..<2]).sealed)
    #expect(try store.batches(of: origin, from: 61, bytesMax: 1 << 20) == Array(of(1, batches)[3...]).sealed)
    for from in [1, 41] as [UInt64] {
      guard
        case .damagedBatch(let damage) = storeError({
          _ = try store.batches(of: origin, from: from, bytesMax: 1 << 20)
        })
      else {
        Issue.record("another error")
        return
      }
      #expect(damage == LogDamage(origin: origin, sequence: 41, kind: .hashMismatch))
    }
  }

  @Test func intactBatchOfALaterVersionIsNeverDeleted() throws {
    let (directory, batches) = try fixture()
    let last = of(1, batches)[4]
    var bytes = last.bytes
    bytes[0] = 99
    let hash = HashChain.link(previous: of(1, batches)[3].hash, bytes: bytes, SHA256())
    try directory.tamper(
      "UPDATE log SET bytes = ?, hash = ? WHERE origin = 1 AND first_sequence = 81", [Data(bytes), Data(hash.bytes)])
    let store = try directory.open()
    guard case .unknownEntry(let origin, let sequence, _) = storeError({ _ = try store.recovered() }) else {
      Issue.record("another error")
      return
    }
    #expect(origin == OriginIndex(1) && sequence == 81)
    #expect(store.heads[OriginIndex(1)]?.sequence == 100)
  }

  @Test func callerMayEndARecovery() throws {
    struct Enough: Error {}
    let (directory, batches) = try fixture()
    try flip(directory, inside: of(1, batches)[0].bytes, at: 50)
    let store = try directory.open()
    let error = storeError { _ = try store.recover(chainStart: LogWriter.chainStart) { _ in throw Enough() } }
    #expect(error == .endedByCaller(message: "Enough()"))
    #expect(store.heads[OriginIndex(1)]?.sequence == 100)
  }
}
