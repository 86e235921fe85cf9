import EventLog
import OrderBook
import Primitives
import Testing

@testable import Storage

/// What was cut off with the end of a sealed log: read back to be sent again, and asked for.
@Suite struct VoidTests {
  @Test func aTailIsReadBack() throws {
    let directory = try TemporaryDirectory()
    var log = LogWriter(seed: 3)
    let batches = (0..<5).map { _ in log.batch(1) }
    let other = log.batch(2)
    let store = try directory.open()
    try store.commit(batches: batches + [other])
    try store.commit(batches: [], ends: [(OriginIndex(1), 10)])
    #expect(try store.voidBatches(of: OriginIndex(1), from: 11, through: 25).sealed == batches[2...].map(\.sealed))
    #expect(try store.voidBatches(of: OriginIndex(2), from: 1, through: 25).isEmpty)
    for sequence in [UInt64(11), 15, 16, 25] {
      let batch = batches[Int(sequence - 1) / 5]
      let entry = batch.entries[Int(sequence - batch.firstSequence)]
      #expect(try store.voidEntry(Dot(origin: OriginIndex(1), sequence: sequence)) == entry)
    }
    for sequence in [UInt64(1), 10, 26] {
      #expect(try store.voidEntry(Dot(origin: OriginIndex(1), sequence: sequence)) == nil)
    }
    #expect(try store.recovered().batches.sealed == (batches[..<2] + [other]).map(\.sealed))
  }

  /// What is not sent again is found by the id that its client gave it, also in a file of an older format.
  @Test(arguments: [false, true]) func aVoidOrderIsFoundByItsID(isOlder: Bool) throws {
    let directory = try TemporaryDirectory()
    let ids = [ClientOrderID(7), ClientOrderID("seven")!, ClientOrderID(7)]
    let entries = ids.enumerated().map { place, id in
      let order = Order(
        instrument: Dot(origin: OriginIndex(0), sequence: 1), account: AccountID(3), side: .buy, priceTicks: 5,
        quantityLots: 2, clientOrderID: id, clientTimeMilliseconds: 1_000)
      return Entry(stamp: Stamp(milliseconds: 1_000 + UInt64(place)), payload: .command(.order(order)))
    }
    var log = LogWriter(seed: 3)
    let first = log.batch(1)
    let batch = log.batch(1, entries)
    let store = try directory.open()
    try store.commit(batches: [first, batch])
    #expect(try store.voidOrder(account: AccountID(3), clientOrderID: ids[0]) == nil)
    try store.commit(batches: [], ends: [(OriginIndex(1), first.lastSequence)])
    store.close()
    if isOlder {
      try directory.tamper(
        """
        DROP TABLE void_orders; DROP VIEW checkpoints_readable; DROP TABLE checkpoints;
        DELETE FROM grdb_migrations WHERE identifier IN ('format 6', 'format 7'); PRAGMA user_version = 5
        """)
    }
    let again = try directory.open()
    func found(_ id: ClientOrderID, of account: UInt64 = 3) throws -> Dot? {
      try again.voidOrder(account: AccountID(account), clientOrderID: id)
    }
    let last = Dot(origin: OriginIndex(1), sequence: batch.lastSequence)
    #expect(try found(ids[0]) == last, "the newest of that id")
    #expect(try found(ids[1]) == Dot(origin: last.origin, sequence: last.sequence - 1))
    #expect(try found(ids[1], of: 4) == nil)
    #expect(try found(ClientOrderID(8)) == nil)
    #expect(try found(.none) == nil)
  }

  /// A damaged batch is lost, those after it are not.
  @Test func aDamagedBatchIsLeftOut() throws {
    let directory = try TemporaryDirectory()
    var log = LogWriter(seed: 4)
    let batches = (0..<3).map { _ in log.batch(0) }
    let store = try directory.open()
    try store.commit(batches: batches)
    try store.commit(batches: [], ends: [(OriginIndex(0), 0)])
    store.close()
    try directory.tamper("UPDATE void_log SET bytes = bytes || x'00' WHERE first_sequence = 6")
    let again = try directory.open()
    let found = try again.voidBatches(of: OriginIndex(0), from: 1, through: 15)
    #expect(found.sealed == [batches[0].sealed, batches[2].sealed])
    #expect(try again.voidEntry(Dot(origin: OriginIndex(0), sequence: 7)) == nil)
  }

  /// An order that came again is found by the dot that its client knows.
  @Test func anOrderIsFoundByItsFirstDot() throws {
    let directory = try TemporaryDirectory()
    let store = try directory.open()
    let first = Dot(origin: OriginIndex(0), sequence: 9)
    let now = Dot(origin: OriginIndex(3), sequence: 1)
    let order = Order(
      instrument: Dot(origin: OriginIndex(0), sequence: 1), account: AccountID(7), side: .buy, priceTicks: 5,
      quantityLots: 2, firstDot: first)
    var tape = EventTape()
    tape.append(.accepted(order: now))
    tape.append(.rested(order: now, openLots: 2))
    var run = AppliedRun()
    run.append(
      dot: now, entry: Entry(stamp: Stamp(milliseconds: 5), payload: .command(.order(order))),
      events: tape.run(from: tape.start, to: tape.end))
    try store.writeAudit(run)
    let found = try store.order(account: AccountID(7), firstDot: first)
    #expect(found?.dot == now && found?.order.firstDot == first && found?.status == .open)
    #expect(try store.order(account: AccountID(8), firstDot: first) == nil)
    #expect(try store.order(account: AccountID(7), firstDot: now) == nil)
    #expect(try store.order(now)?.order == order)
  }
}
