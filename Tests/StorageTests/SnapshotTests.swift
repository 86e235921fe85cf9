import EventLog
import Foundation
import GRDB
import OrderBook
import Primitives
import Testing

@testable import Storage

/// Snapshots in the file, and a log that does not begin at its start.
@Suite struct SnapshotTests {
  /// Some bytes under a checkpoint's number, for these batches and those before them.
  private func snapshot(_ number: UInt64, after batches: [Batch], bytes count: Int = 300_000) -> Snapshot {
    var generator = SeededGenerator(seed: number)
    var left = count
    var pieces: [[UInt8]] = []
    while left > 0 {
      pieces.append((0..<min(left, Limits.snapshotPieceBytes)).map { _ in UInt8(truncatingIfNeeded: generator.next()) })
      left -= pieces[pieces.count - 1].count
    }
    var bases: [LogBase] = []
    for batch in batches {
      while bases.count <= batch.origin.int {
        bases.append(LogBase(head: Head(sequence: 0, hash: .zero), stamp: .zero))
      }
      bases[batch.origin.int] = LogBase(
        head: Head(sequence: batch.lastSequence, hash: batch.hash), stamp: batch.lastStamp)
    }
    let info = SnapshotInfo(
      number: number, checkpointHash: SHA256().hash(Array("\(number)".utf8)),
      entries: bases.reduce(0) { $0 + $1.head.sequence }, byteCount: UInt64(count),
      hash: SHA256().hash(pieces.flatMap { $0 }))
    return Snapshot(info: info, bases: bases, pieces: pieces)
  }

  private func keep(_ snapshot: Snapshot, in store: Store) throws {
    for place in snapshot.pieces.indices { try store.write(snapshot, pieces: place..<place + 1) }
    try store.finish(snapshot)
  }

  /// The audit tables have everything that a snapshot stands for, as these tests need it.
  private func audit(_ entries: UInt64, _ directory: TemporaryDirectory) throws {
    try directory.tamper(
      "UPDATE audit_state SET entries = ?, stamp = 1", [Int64(entries)])
  }

  @Test func isThereAfterItWasFinishedAndNotBefore() throws {
    let directory = try TemporaryDirectory()
    var log = LogWriter(seed: 1)
    let batches = [log.batch(0), log.batch(2)]
    let one = snapshot(60, after: batches)
    let store = try directory.open()
    try store.commit(batches: batches)
    try store.write(one, pieces: 0..<2)
    #expect(store.snapshots.isEmpty)
    store.close()

    let again = try directory.open()
    #expect(again.snapshots.isEmpty)
    #expect(try again.perform { try Int.fetchOne($0, sql: "SELECT count(*) FROM snapshot_pieces") } == 0)
    try keep(one, in: again)
    again.close()

    let third = try directory.open()
    #expect(third.snapshots == [one.info])
    #expect(try third.snapshot(one.info) == one)
    #expect(try third.piece(of: one.info, at: UInt64(Limits.snapshotPieceBytes)) == one.pieces[1])
    #expect(try third.piece(of: one.info, at: 1 << 29) == [])
    #expect(third.heads[OriginIndex(2)]?.sequence == batches[1].lastSequence)
  }

  @Test func keepsTheNewestTwo() throws {
    let directory = try TemporaryDirectory()
    let store = try directory.open()
    var log = LogWriter(seed: 1)
    let batch = log.batch(0)
    try store.commit(batches: [batch])
    let all = (1...4).map { snapshot(UInt64($0 * 60), after: [batch], bytes: 1_000) }
    for snapshot in all { try keep(snapshot, in: store) }
    #expect(store.snapshots == all.suffix(2).map(\.info))
    #expect(try store.perform { try Int.fetchOne($0, sql: "SELECT count(*) FROM snapshot_pieces") } == 2)
    try store.drop(all[3].info)
    store.close()
    #expect(try directory.open().snapshots == [all[2].info])
  }

  /// What the audit tables have is kept until they have more: a restart can use nothing else.
  @Test func keepsOneThatTheAuditTablesHave() throws {
    let directory = try TemporaryDirectory()
    var store = try directory.open()
    var log = LogWriter(seed: 1)
    let batches = (0..<5).map { _ in log.batch(0) }
    try store.commit(batches: batches)
    let all = batches.indices.map { snapshot(UInt64($0 + 1) * 60, after: [batches[$0]], bytes: 1_000) }
    try keep(all[0], in: store)
    try keep(all[1], in: store)
    store.close()
    try audit(all[1].info.entries, directory)
    store = try directory.open()
    try keep(all[2], in: store)
    #expect(store.snapshots == all[1...2].map(\.info))
    try keep(all[3], in: store)
    try keep(all[4], in: store)
    #expect(store.snapshots == [all[1], all[3], all[4]].map(\.info))
    // And what is above it is not dropped before.
    while try store.compact(retaining: 0, batchesMax: 1) > 0 {}
    #expect(store.logBase == [all[1].info.entries])
  }

  @Test func compactsBelowTheOlderOneOnly() throws {
    let directory = try TemporaryDirectory()
    var log = LogWriter(seed: 1)
    let first = (0..<10).flatMap { _ in [log.batch(0), log.batch(1)] }
    let second = (0..<10).flatMap { _ in [log.batch(0), log.batch(1)] }
    let third = (0..<10).flatMap { _ in [log.batch(0), log.batch(1)] }
    let older = snapshot(60, after: first)
    var store = try directory.open()
    try store.commit(batches: first)
    try keep(older, in: store)
    try store.commit(batches: second)
    // One is not enough: should it be damaged, nothing would be left.
    #expect(try store.compact(retaining: 0, batchesMax: 100) == 0)
    try keep(snapshot(120, after: second), in: store)
    try store.commit(batches: third)
    // The audit tables lack what is below.
    #expect(try store.compact(retaining: 0, batchesMax: 100) == 0)
    store.close()
    try audit(older.info.entries, directory)
    store = try directory.open()
    #expect(try store.compact(retaining: 0, batchesMax: 7) == 7)
    #expect(store.base(of: OriginIndex(0)) != nil)
    while try store.compact(retaining: 0, batchesMax: 7) > 0 {}
    #expect(store.base(of: OriginIndex(0)) == older.bases[0])
    #expect(store.base(of: OriginIndex(1)) == older.bases[1])
    store.close()

    // What is left continues it, and can be served and read back.
    store = try directory.open()
    #expect(store.logBase == older.bases.map(\.head.sequence))
    let left = (second + third).filter { $0.origin.value == 1 }
    #expect(
      try store.batches(of: OriginIndex(1), from: left[0].firstSequence, bytesMax: .max).map(\.bytes)
        == left.map(\.bytes))
    var found: [Batch] = []
    let report = try store.recover(chainStart: LogWriter.chainStart, base: older.bases) { found.append($0) }
    #expect(report.damages.isEmpty)
    #expect(found.sealed == (second + third).sealed)
    // A restart from the newer one reads less.
    found = []
    _ = try store.recover(chainStart: LogWriter.chainStart, base: snapshot(120, after: second).bases) {
      found.append($0)
    }
    #expect(found.sealed == third.sealed)
    // And the log goes on.
    try store.commit(batches: [log.batch(0)])
  }

  @Test func keepsTheNewestEntriesOfEachOrigin() throws {
    let directory = try TemporaryDirectory()
    var log = LogWriter(seed: 1)
    let batches = (0..<10).map { _ in log.batch(0, entries: 5) }
    var store = try directory.open()
    try store.commit(batches: batches)
    try keep(snapshot(60, after: batches), in: store)
    try keep(snapshot(120, after: batches), in: store)
    store.close()
    try audit(50, directory)
    store = try directory.open()
    // 50 entries, of which the newest 12 stay: with whole batches, 15.
    #expect(try store.compact(retaining: 12, batchesMax: 100) == 7)
    #expect(store.logBase == [35])
    #expect(try store.compact(retaining: 0, batchesMax: 100) == 3)
    #expect(store.heads[OriginIndex(0)] == Head(sequence: 50, hash: batches[9].hash))
    store.close()
    // Nothing is left of the log, and it goes on where it was.
    store = try directory.open()
    #expect(store.heads[OriginIndex(0)] == Head(sequence: 50, hash: batches[9].hash))
    let next = log.batch(0)
    try store.commit(batches: [next])
    #expect(try store.batches(of: OriginIndex(0), from: 51, bytesMax: .max) == [next.sealed])
  }

  /// Of a log with a gap everything goes; one that reaches the snapshot stays; what a seal cut off is kept aside.
  @Test func installTakesThePlaceOfWhatIsMissing() throws {
    let directory = try TemporaryDirectory()
    var log = LogWriter(seed: 1)
    let mine = (0..<4).map { _ in log.batch(0) }
    let theirs = (0..<6).map { _ in log.batch(1) }
    let sealed = (0..<3).map { _ in log.batch(2) }
    let whole = snapshot(60, after: [mine[1], theirs[4], sealed[1]])
    var store = try directory.open()
    try store.commit(batches: mine + theirs.prefix(2) + sealed)
    try keep(snapshot(30, after: [mine[0]]), in: store)
    let instrument = Dot(origin: OriginIndex(0), sequence: 1)
    let symbol = try #require(Symbol("BTC-USD"))
    let order = RestingOrder(
      dot: Dot(origin: OriginIndex(1), sequence: 7), instrument: instrument, account: AccountID(3), side: .sell,
      priceTicks: 100, openLots: 5, filledLots: 2, clientOrderID: ClientOrderID(9))
    try store.install(
      whole, ends: [(OriginIndex(2), sealed[1].lastSequence)], records: [("a", [7])],
      counts: AuditCounts(entries: whole.info.entries, orders: 12, fills: 4),
      instruments: [(instrument, Instrument(symbol: symbol))], open: [order], checkpoints: CheckpointList())
    for _ in 0..<2 {
      #expect(store.snapshots == [whole.info])
      #expect(store.heads[OriginIndex(0)]?.sequence == mine[3].lastSequence)
      #expect(store.heads[OriginIndex(1)] == whole.bases[1].head)
      #expect(store.heads[OriginIndex(2)] == whole.bases[2].head)
      #expect(store.base(of: OriginIndex(0)) == nil)
      #expect(store.base(of: OriginIndex(1)) == whole.bases[1])
      #expect(store.counts() == AuditCounts(entries: whole.info.entries, orders: 12, fills: 4))
      #expect(store.auditPosition.stamp == whole.bases.map(\.stamp).max())
      #expect(try store.record("a") == [7])
      let row = try store.perform {
        try String.fetchOne(
          $0, sql: "SELECT id || ' ' || symbol || ' ' || open || ' ' || filled || ' ' || status FROM orders_readable")
      }
      #expect(row == "1-7 BTC-USD 5 2 partially filled")
      #expect(try store.perform { try Int.fetchOne($0, sql: "SELECT count(*) FROM void_log") } == 1)
      var found: [Batch] = []
      let report = try store.recover(chainStart: LogWriter.chainStart, base: whole.bases) { found.append($0) }
      #expect(report.damages.isEmpty && found.sealed == mine.suffix(2).sealed)
      store.close()
      store = try directory.open()
    }
    try store.commit(batches: [theirs[5]])
    #expect(try store.batches(of: OriginIndex(1), from: theirs[5].firstSequence, bytesMax: .max) == [theirs[5].sealed])
  }

  @Test func forgottenLogIsKeptAside() throws {
    let directory = try TemporaryDirectory()
    var log = LogWriter(seed: 1)
    let batches = [log.batch(0), log.batch(1)]
    let store = try directory.open()
    try store.commit(batches: batches)
    try store.install(
      snapshot(60, after: [log.batch(3)]), ends: [], records: [], counts: AuditCounts(), instruments: [], open: [],
      checkpoints: CheckpointList())
    try store.forgetLog()
    #expect(store.heads.isEmpty && store.logBase.isEmpty && store.snapshots.isEmpty)
    #expect(try store.perform { try Int.fetchOne($0, sql: "SELECT count(*) FROM void_log") } == 2)
    store.close()
    #expect(try directory.open().heads.isEmpty)
  }
}
