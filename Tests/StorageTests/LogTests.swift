import EventLog
import GRDB
import OrderBook
import Primitives
import Testing

@testable import Storage

@Suite struct LogTests {
  @Test func batchesAndRecordsComeBackAfterReopening() throws {
    let directory = try TemporaryDirectory()
    var log = LogWriter(seed: 1)
    let batches = [log.batch(0), log.batch(2), log.batch(0, entries: 700), log.batch(1)]
    let store = try directory.open()
    try store.commit(batches: Array(batches[..<2]), records: [("view", [1, 2]), ("empty", [])])
    try store.commit(batches: Array(batches[2...]), records: [("view", [3])])
    let heads = store.heads
    #expect(
      heads == [
        OriginIndex(0): Head(sequence: 705, hash: batches[2].hash),
        OriginIndex(1): Head(sequence: 5, hash: batches[3].hash),
        OriginIndex(2): Head(sequence: 5, hash: batches[1].hash),
      ])
    store.close()
    let again = try directory.open()
    #expect(again.heads == heads)
    #expect(try again.record("view") == [3])
    #expect(try again.record("empty") == [])
    #expect(try again.record("never") == nil)
    let (recovered, report) = try again.recovered(own: OriginIndex(0))
    #expect(recovered.sealed == batches.sealed)
    #expect(zip(recovered, batches).allSatisfy { $0.entries == $1.entries && $0.hash == $1.hash })
    #expect(report.damages.isEmpty && report.batches == 4 && report.entries == 715)
  }

  @Test func recoveryIsInKeyOrderWhateverTheOrderOfCommits() throws {
    let store = try TemporaryDirectory().open()
    var log = LogWriter(seed: 2)
    var generator = SeededGenerator(seed: 3)
    // More than two refills of a cursor.
    let batches = (0..<2000).map { _ in log.batch(UInt32(generator.below(3)), entries: 1) }
    // Origin by origin: as far from key order as can be.
    for origin in [2, 0, 1] as [UInt32] {
      try store.commit(batches: batches.filter { $0.origin.value == origin })
    }
    let recovered = try store.recovered().batches
    #expect(recovered.sealed == batches.sealed)
    #expect(zip(recovered, recovered.dropFirst()).allSatisfy { $0.firstKey < $1.firstKey })
  }

  @Test func equalStampsAreOrderedByOrigin() throws {
    let store = try TemporaryDirectory().open()
    // Two writers of one seed stamp alike.
    var first = LogWriter(seed: 1)
    var second = LogWriter(seed: 1)
    try store.commit(batches: [first.batch(7), second.batch(3)])
    try store.commit(batches: [second.batch(3), first.batch(7)])
    #expect(try store.recovered().batches.map(\.origin.value) == [3, 7, 3, 7])
  }

  @Test func gapIsRefusedAndNothingIsWritten() throws {
    let store = try TemporaryDirectory().open()
    var log = LogWriter(seed: 1)
    let batches = [log.batch(0), log.batch(0), log.batch(0)]
    let expected = StoreError.gap(origin: OriginIndex(0), expected: 6, found: 11)
    #expect(storeError { try store.commit(batches: [batches[0], batches[2]]) } == expected)
    #expect(store.heads.isEmpty)
    try store.commit(batches: [batches[0], batches[1]])
    let repeated = StoreError.gap(origin: OriginIndex(0), expected: 11, found: 6)
    #expect(storeError { try store.commit(batches: [batches[1]]) } == repeated)
    #expect(try store.recovered().batches.sealed == Array(batches[..<2]).sealed)
  }

  @Test func rangesAreWholeBatchesWithinTheBudget() throws {
    let store = try TemporaryDirectory().open()
    var log = LogWriter(seed: 4)
    let batches = (0..<6).map { _ in log.batch(1, entries: 10) }
    try store.commit(batches: batches + [log.batch(0)])
    let origin = OriginIndex(1)
    func range(_ from: UInt64, _ through: UInt64? = nil, _ bytes: Int = 1 << 20) throws -> [SealedBatch] {
      try store.batches(of: origin, from: from, through: through, bytesMax: bytes)
    }
    #expect(try range(1) == batches.sealed)
    #expect(try range(11) == Array(batches[1...]).sealed)
    // From within a batch: that batch whole.
    #expect(try range(20) == Array(batches[1...]).sealed)
    #expect(try range(11, 30) == Array(batches[1...2]).sealed)
    #expect(try range(11, 31) == Array(batches[1...3]).sealed)
    #expect(try range(1, nil, 0) == [batches[0].sealed])
    #expect(try range(1, nil, batches[0].bytes.count + batches[1].bytes.count) == Array(batches[...1]).sealed)
    #expect(try range(61) == [])
    #expect(try range(UInt64.max) == [])
    #expect(try store.batches(of: OriginIndex(9), from: 1, bytesMax: 1000) == [])
  }

  @Test func damagedRecordIsNotReturned() throws {
    let directory = try TemporaryDirectory()
    let store = try directory.open()
    try store.commit(batches: [], records: [("promise", [1, 2, 3])])
    store.close()
    try directory.tamper("UPDATE records SET value = x'010203ff'")
    #expect(storeError { _ = try directory.open().record("promise") } == .damagedRecord(key: "promise"))
  }

  @Test func writeThatWaitedInVainMayBeTriedAgain() throws {
    let directory = try TemporaryDirectory()
    let store = try directory.open()
    try store.perform { try $0.execute(sql: "PRAGMA busy_timeout = 0") }
    var log = LogWriter(seed: 1)
    let batch = log.batch(0)
    // What a person does who types BEGIN IMMEDIATE into sqlite3.
    try DatabaseQueue(path: directory.database).inTransaction(.immediate) { _ in
      #expect(storeError { try store.commit(batches: [batch]) } == .inUse(path: directory.database))
      return .rollback
    }
    #expect(store.heads.isEmpty)
    try store.commit(batches: [batch])
    #expect(try store.recovered().batches.sealed == [batch.sealed])
  }

  @Test func fullDiskStopsAllWriting() throws {
    let directory = try TemporaryDirectory()
    let store = try directory.open()
    var log = LogWriter(seed: 1)
    let kept = log.batch(0)
    try store.commit(batches: [kept])
    let heads = store.heads
    try store.perform { database in
      let pages = try Store.setting(database, "page_count")
      try database.execute(literal: "PRAGMA max_page_count = \(sql: pages)")
    }
    let large = log.batch(0, entries: 4000)
    guard case .io(_, let code, let message) = storeError({ try store.commit(batches: [large]) }) else {
      Issue.record("another error")
      return
    }
    #expect(code == 13)
    #expect(message.contains("full"))
    #expect(store.heads == heads)
    #expect(storeError { try store.commit(batches: [], records: [("a", [1])]) } == .stopped)
    #expect(storeError { try store.writeAudit(History(seed: 1).run(entries: 5)) } == .stopped)
    store.close()
    #expect(try directory.open().recovered().batches.sealed == [kept.sealed])
  }
}
