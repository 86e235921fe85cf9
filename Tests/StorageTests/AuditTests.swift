import EventLog
import GRDB
import OrderBook
import Primitives
import Testing

@testable import Storage

@Suite struct AuditTests {
  /// Every order, fill and rejection as the naive model has it.
  private func check(_ store: Store, _ history: History) throws {
    for (dot, expected) in history.expected {
      let found = try store.order(dot)
      #expect(found == expected)
    }
    #expect(try store.trades(newest: Int.max) == history.fills.reversed())
    for (dot, expected) in history.rejections {
      #expect(try store.rejection(dot) == expected)
    }
    #expect(store.counts().orders == UInt64(history.expected.count))
    #expect(store.counts().fills == UInt64(history.fills.count))
  }

  @Test(arguments: [1, 7, 100, 3000])
  func tablesAreWhatTheEventsSay(runLength: Int) throws {
    let (run, history) = History.runs(seed: 11, entries: 3000)
    // The history must hold what it is to test.
    #expect(Set(history.expected.values.map(\.status)) == Set(OrderStatus.allCases))
    #expect(history.expected.values.contains { $0.reducedLots < 0 } && history.fills.count > 500)
    #expect(history.expected.values.contains { $0.cancelReason == .selfTrade && $0.reducedLots > 0 })
    #expect(history.expected.values.contains { $0.triggeredStamp > $0.stamp && $0.status == .filled })
    #expect(
      history.expected.values.contains { $0.order.type == .stop && $0.triggeredStamp == .zero && $0.openLots > 0 })
    let store = try TemporaryDirectory().open()
    for part in run.split(into: runLength) { try store.writeAudit(part) }
    try check(store, history)
    #expect(store.auditPosition == run.lastKey)
    #expect(store.counts().entries == 3000)
  }

  @Test func quantityIsAlwaysAccountedFor() throws {
    let (run, history) = History.runs(seed: 12, entries: 2000)
    let store = try TemporaryDirectory().open()
    for part in run.split(into: 300) { try store.writeAudit(part) }
    for item in run.items {
      guard case .command(.order(let placed)) = item.entry.payload else { continue }
      let row = try #require(try store.order(item.dot))
      #expect(row.order.quantityLots == row.openLots + row.filledLots + row.unfilledLots)
      #expect(placed.quantityLots == row.order.quantityLots + row.reducedLots)
    }
    #expect(history.expected.values.contains { $0.reducedLots > 0 })
  }

  /// The life of each kind of order, from events written by hand: one run an event, and all in one.
  @Test(arguments: [false, true])
  func everyEventIsWritten(inOneRun: Bool) throws {
    let store = try TemporaryDirectory().open()
    let instrument = Dot(origin: OriginIndex(0), sequence: 1)
    func dot(_ sequence: UInt64) -> Dot { Dot(origin: OriginIndex(1), sequence: sequence) }
    func order(_ change: (inout Order) -> Void) -> Payload {
      var order = Order(
        instrument: instrument, account: AccountID(7), side: .sell, priceTicks: 10, quantityLots: 8)
      change(&order)
      return .command(.order(order))
    }
    func fill(_ maker: UInt64, _ makerOpen: Int64, _ taker: UInt64, _ takerOpen: Int64) -> OrderEvent {
      .filled(
        Fill(
          instrument: instrument, maker: dot(maker), taker: dot(taker), takerSide: .buy, priceTicks: 10,
          quantityLots: 2, makerOpenLots: makerOpen, takerOpenLots: takerOpen))
    }
    let entries: [(Payload, [OrderEvent])] = [
      // 1: a stop that waits; 5 triggers it.
      (
        order {
          $0.type = .stop
          $0.priceTicks = 0
          $0.stopPriceTicks = 9
        }, [.accepted(order: dot(1)), .waiting(order: dot(1), openLots: 8)]
      ),
      // 2: an iceberg; 5 trades with it, and it shows more.
      (order { $0.displayLots = 2 }, [.accepted(order: dot(2)), .rested(order: dot(2), openLots: 8)]),
      // 3: good till date; expires before 6.
      (
        order {
          $0.timeInForce = .goodTillDate
          $0.expiry = Stamp(600)
        }, [.accepted(order: dot(3)), .rested(order: dot(3), openLots: 8)]
      ),
      // 4: post-only and would trade, after its id was taken.
      (
        order {
          $0.postOnly = true
          $0.clientOrderID = ClientOrderID(44)
          $0.clientTimeMilliseconds = 1
        }, [.rejected(entry: dot(4), reason: .wouldTrade, order: .none)]
      ),
      (
        order {
          $0.side = .buy
          $0.quantityLots = 2
        },
        [
          .accepted(order: dot(5)), fill(2, 6, 5, 0), .refreshed(order: dot(2), visibleLots: 2),
          .triggered(order: dot(1)), fill(2, 4, 1, 6), .cancelled(order: dot(1), reason: .market, openLots: 6),
        ]
      ),
      // 6: decrements the iceberg by what it shows and itself to nothing; then the rest of the iceberg is cancelled.
      (
        order {
          $0.quantityLots = 2
          $0.side = .buy
          $0.selfTradePrevention = .decrement
        },
        [
          .expired(order: dot(3), openLots: 8), .accepted(order: dot(6)),
          .reduced(order: dot(2), lots: 2, openLots: 2), .reduced(order: dot(6), lots: 2, openLots: 0),
          .refreshed(order: dot(2), visibleLots: 2), .cancelled(order: dot(6), reason: .selfTrade, openLots: 0),
        ]
      ),
      (
        order { $0.selfTradePrevention = .cancelOldest },
        [
          .accepted(order: dot(7)), .cancelled(order: dot(2), reason: .selfTrade, openLots: 2),
          .rested(order: dot(7), openLots: 8),
        ]
      ),
    ]
    var runs = [AppliedRun()]
    for (index, (payload, events)) in entries.enumerated() {
      if !inOneRun { runs.append(AppliedRun()) }
      let number = UInt64(index) + 1
      runs[runs.count - 1].append(
        dot: dot(number), entry: Entry(stamp: Stamp(number * 100), payload: payload), events: events)
    }
    for run in runs { try store.writeAudit(run) }
    func row(_ number: UInt64) throws -> String {
      let row = try #require(try store.order(dot(number)))
      let reason = row.cancelReason.map { "\($0)" } ?? row.rejectReason.map { "\($0)" } ?? "-"
      return "\(row.status) \(reason) quantity \(row.order.quantityLots) open \(row.openLots) filled \(row.filledLots) "
        + "unfilled \(row.unfilledLots) reduced \(row.reducedLots) triggered \(row.triggeredStamp.value) "
        + "by \(row.changedBy)"
    }
    #expect(try row(1) == "cancelled market quantity 8 open 0 filled 2 unfilled 6 reduced 0 triggered 500 by 1-5")
    #expect(try row(2) == "cancelled selfTrade quantity 6 open 0 filled 4 unfilled 2 reduced 2 triggered 0 by 1-7")
    #expect(try row(3) == "expired - quantity 8 open 0 filled 0 unfilled 8 reduced 0 triggered 0 by 1-6")
    #expect(try row(4) == "rejected wouldTrade quantity 8 open 0 filled 0 unfilled 8 reduced 0 triggered 0 by 1-4")
    #expect(try row(5) == "filled - quantity 2 open 0 filled 2 unfilled 0 reduced 0 triggered 0 by 1-5")
    #expect(try row(6) == "cancelled selfTrade quantity 0 open 0 filled 0 unfilled 0 reduced 2 triggered 0 by 1-6")
    #expect(try row(7) == "open - quantity 8 open 8 filled 0 unfilled 0 reduced 0 triggered 0 by 1-7")
    #expect(try store.order(account: AccountID(7), clientOrderID: ClientOrderID(44))?.dot == dot(4))
    let stop = try #require(try store.order(dot(1)))
    #expect(stop.order.type == .stop && stop.order.stopPriceTicks == 9)
    #expect(try store.order(dot(2))?.order.displayLots == 2 && store.order(dot(3))?.order.expiry == Stamp(600))
  }

  @Test func runsMayBeRepeatedAndOverlap() throws {
    let (run, history) = History.runs(seed: 13, entries: 1000)
    let parts = run.split(into: 100)
    let directory = try TemporaryDirectory()
    let store = try directory.open()
    for part in parts[..<6] { try store.writeAudit(part) }
    let dump = try store.auditDump()
    for part in parts[..<6] { try store.writeAudit(part) }
    #expect(try store.auditDump() == dump)
    store.close()
    let again = try directory.open()
    #expect(again.auditPosition == parts[5].lastKey)
    #expect(try again.auditDump() == dump)
    // From the beginning: what is there is skipped, in the middle of the run.
    try again.writeAudit(run)
    try check(again, history)
  }

  @Test func runOutOfOrderIsRefused() throws {
    let (run, _) = History.runs(seed: 13, entries: 10)
    let store = try TemporaryDirectory().open()
    var wrong = AppliedRun()
    for index in [0, 2, 1] {
      wrong.append(dot: run.items[index].dot, entry: run.items[index].entry, events: run.events(at: index))
    }
    #expect(storeError { try store.writeAudit(wrong) } == .disorder(after: run.items[2].key, found: run.items[1].key))
    #expect(store.auditPosition == .zero)
    try store.writeAudit(run)
  }

  @Test func erasedTablesAreTheSameWhenWrittenAgain() throws {
    let (run, history) = History.runs(seed: 14, entries: 1500)
    let store = try TemporaryDirectory().open()
    for part in run.split(into: 400) { try store.writeAudit(part) }
    let (dump, hash) = (try store.auditDump(), try store.tradesHash())
    try store.eraseAudit()
    #expect(store.auditPosition == .zero && store.counts() == AuditCounts())
    #expect(try store.tradesHash().fills == 0)
    for part in run.split(into: 37) { try store.writeAudit(part) }
    #expect(try store.auditDump() == dump)
    #expect(try store.tradesHash() == hash)
    try check(store, history)
  }

  @Test func killBetweenLogAndAuditOnlyLeavesTheAuditBehind() throws {
    let (run, history) = History.runs(seed: 15, entries: 600)
    let parts = run.split(into: 200)
    let directory = try TemporaryDirectory()
    let store = try directory.open()
    var log = LogWriter(seed: 1)
    try store.writeAudit(parts[0])
    try store.commit(batches: [log.batch(0)])
    let afterCommit = try fileBytes(directory.writeAheadLog).count
    try store.writeAudit(parts[1])
    let copy = try directory.copyLive()
    try write(try fileBytes(copy.writeAheadLog)[..<(afterCommit + 100)], to: copy.writeAheadLog)
    let torn = try copy.open()
    #expect(torn.auditPosition == parts[0].lastKey)
    #expect(torn.heads[OriginIndex(0)]?.sequence == 5)
    try torn.writeAudit(run)
    try check(torn, history)
    withExtendedLifetime(store) {}
  }

  // MARK: Questions

  @Test func ordersAreFoundByClientOrderID() throws {
    let store = try TemporaryDirectory().open()
    var run = AppliedRun()
    var dots: [Dot] = []
    func place(_ id: ClientOrderID, account: UInt64 = 1, _ event: (Dot) -> OrderEvent) {
      let dot = Dot(origin: OriginIndex(2), sequence: UInt64(dots.count) + 1)
      dots.append(dot)
      let order = Order(
        instrument: .none, account: AccountID(account), side: .buy, priceTicks: 1, quantityLots: 1, clientOrderID: id,
        clientTimeMilliseconds: 1)
      run.append(
        dot: dot, entry: Entry(stamp: Stamp(dot.sequence), payload: .command(.order(order))), events: [event(dot)])
    }
    let text = ClientOrderID("mine")!
    let large = ClientOrderID(UInt64.max)
    place(text) { .accepted(order: $0) }
    place(text) { .rejected(entry: $0, reason: .repeated, order: dots[0]) }
    place(text, account: 2) { .accepted(order: $0) }
    place(large) { .rejected(entry: $0, reason: .stale, order: .none) }
    place(ClientOrderID(7)) { .accepted(order: $0) }
    place(ClientOrderID(7)) { .accepted(order: $0) }
    try store.writeAudit(run)
    func find(_ account: UInt64, _ id: ClientOrderID) throws -> Dot? {
      try store.order(account: AccountID(account), clientOrderID: id)?.dot
    }
    #expect(try find(1, text) == dots[0])
    #expect(try find(2, text) == dots[2])
    #expect(try find(1, large) == dots[3])
    #expect(try store.order(dots[3])?.order.clientOrderID == large)
    // Used again after it was forgotten: the newest.
    #expect(try find(1, ClientOrderID(7)) == dots[5])
    #expect(try find(3, text) == nil)
    #expect(try find(1, .none) == nil)
    #expect(try store.order(dots[1])?.refersTo == dots[0])
  }

  @Test func fillsAndOpenOrdersAreFound() throws {
    let (run, history) = History.runs(seed: 16, entries: 2000)
    let store = try TemporaryDirectory().open()
    for part in run.split(into: 500) { try store.writeAudit(part) }
    for dot in history.expected.keys {
      #expect(try store.fills(of: dot) == history.fills.filter { $0.maker == dot || $0.taker == dot })
    }
    for account in 0..<8 as Range<UInt64> {
      let expected = history.expected.values
        .filter { $0.order.account == AccountID(account) && !$0.status.isTerminal }
        .sorted { ($0.stamp, $0.dot) < ($1.stamp, $1.dot) }
      #expect(try store.openOrders(account: AccountID(account)) == expected)
      #expect(try store.openOrders(account: AccountID(account), max: 2) == Array(expected.prefix(2)))
    }
    #expect(try store.trades(newest: 3) == history.fills.suffix(3).reversed())
    #expect(try store.trades(symbol: Symbol("BTC-USD"), newest: 3) == history.fills.suffix(3).reversed())
    #expect(try store.trades(symbol: Symbol("ETH-USD"), newest: 3) == [])
  }

  @Test func fillOfAnOrderOlderThanTheHistoryIsKept() throws {
    let store = try TemporaryDirectory().open()
    let (old, new) = (Dot(origin: OriginIndex(0), sequence: 1), Dot(origin: OriginIndex(1), sequence: 1))
    let order = Order(instrument: .none, account: AccountID(1), side: .buy, priceTicks: 5, quantityLots: 3)
    let fill = Fill(
      instrument: .none, maker: old, taker: new, takerSide: .buy, priceTicks: 5, quantityLots: 3, makerOpenLots: 1,
      takerOpenLots: 0)
    var run = AppliedRun()
    run.append(
      dot: new, entry: Entry(stamp: Stamp(9), payload: .command(.order(order))),
      events: [.accepted(order: new), .filled(fill)])
    try store.writeAudit(run)
    #expect(try store.order(old) == nil)
    #expect(try store.fills(of: old).count == 1)
    #expect(try store.order(new)?.status == .filled)
    #expect(try store.tradesHash().hash == SHA256().hash(Array("0-1,1-1,5,3\n".utf8)))
  }

  @Test func dotsThatNoEntryHasDoNoHarm() throws {
    let store = try TemporaryDirectory().open()
    let absurd = Dot(origin: OriginIndex(UInt32.max), sequence: UInt64.max)
    let dots = (1...2).map { Dot(origin: OriginIndex(0), sequence: $0) }
    var run = AppliedRun()
    let order = Order(instrument: absurd, account: AccountID(UInt64.max), side: .buy, priceTicks: 5, quantityLots: 3)
    run.append(
      dot: dots[0], entry: Entry(stamp: Stamp(1), payload: .command(.order(order))),
      events: [.rejected(entry: dots[0], reason: .unknownInstrument, order: .none)])
    let cancel = Cancel(account: AccountID(1), target: .dot(absurd))
    run.append(
      dot: dots[1], entry: Entry(stamp: Stamp(2), payload: .command(.cancel(cancel))),
      events: [.rejected(entry: dots[1], reason: .unknownOrder, order: .none)])
    try store.writeAudit(run)
    #expect(try store.order(dots[0])?.order.instrument == Dot.none)
    #expect(try store.order(dots[0])?.order.account == AccountID(UInt64.max))
    #expect(try store.rejection(dots[1])?.target == Dot.none)
    #expect(try store.order(absurd) == nil)
    #expect(try store.fills(of: absurd) == [])
    var tooFar = AppliedRun()
    let far = Dot(origin: OriginIndex(0), sequence: AuditDot.sequenceMax + 1)
    tooFar.append(dot: far, entry: Entry(stamp: Stamp(3), payload: .command(.order(order))), events: [])
    #expect(storeError { try store.writeAudit(tooFar) } == .sequenceTooLarge(far))
    #expect(store.auditPosition.stamp == Stamp(2))
  }

  @Test(arguments: [
    "SELECT * FROM orders WHERE account = 1 AND client_order_id = 2",
    "SELECT * FROM orders WHERE account = 1 AND status IN (0, 1, 2)",
    "SELECT * FROM orders WHERE dot = 1", "SELECT * FROM fills WHERE maker = 1", "SELECT * FROM fills WHERE taker = 1",
    "SELECT * FROM fills WHERE instrument = 1 ORDER BY number DESC", "SELECT * FROM fills WHERE number > 1",
    "SELECT * FROM log WHERE origin = 1 AND first_sequence >= 2 ORDER BY first_sequence",
  ])
  func questionsUseAnIndex(sql: String) throws {
    let store = try TemporaryDirectory().open()
    let plan = try store.perform { database in
      try Row.fetchAll(database, sql: "EXPLAIN QUERY PLAN " + sql).map { $0["detail"] as String }
    }
    #expect(plan.count == 1, "\(plan)")
    #expect(plan.allSatisfy { $0.hasPrefix("SEARCH") }, "\(plan)")
  }

  // MARK: Trades hash

  private func naiveHash(_ history: History) -> Hash256 {
    func name(_ dot: Dot) -> String {
      let id = history.expected[dot]?.order.clientOrderID ?? .none
      return id.isNone ? "\(dot)" : "\(id)"
    }
    let lines = history.fills.map { "\(name($0.maker)),\(name($0.taker)),\($0.priceTicks),\($0.quantityLots)\n" }
    return SHA256().hash(Array(lines.joined().utf8))
  }

  @Test func tradesHashIsTheSameInStepsAndFromScratch() throws {
    let (run, history) = History.runs(seed: 17, entries: 1500)
    let directory = try TemporaryDirectory()
    let store = try directory.open()
    #expect(try store.tradesHash() == (SHA256().hash([]), 0))
    var seen: Set<Hash256> = []
    for part in run.split(into: 250) {
      try store.writeAudit(part)
      seen.insert(try store.tradesHash().hash)
    }
    #expect(seen.count == 6)
    let stepped = try store.tradesHash()
    #expect(stepped == (naiveHash(history), UInt64(history.fills.count)))
    #expect(try store.tradesHash() == stepped)
    store.close()
    #expect(try Store.openReadOnly(directory: directory.path).tradesHash() == stepped)
  }

  // MARK: For people

  @Test func readableViewsNameThings() throws {
    let store = try TemporaryDirectory().open()
    let (run, history) = History.runs(seed: 18, entries: 400)
    var log = LogWriter(seed: 1)
    try store.writeAudit(run)
    try store.commit(batches: [log.batch(0)])
    let (orders, fills, others) = try store.perform { database in
      (
        try Row.fetchAll(database, sql: "SELECT * FROM orders_readable"),
        try Row.fetchAll(database, sql: "SELECT * FROM fills_readable"),
        try Row.fetchAll(database, sql: "SELECT * FROM rejections_readable").count
          + Row.fetchAll(database, sql: "SELECT * FROM log_readable").count
      )
    }
    #expect(orders.count == history.expected.count && fills.count == history.fills.count)
    #expect(others == history.rejections.count + 1)
    for row in orders {
      let dot = try #require(Dot(row["id"] as String))
      let expected = try #require(history.expected[dot])
      #expect(row["symbol"] == "BTC-USD")
      #expect(row["side"] == (expected.order.side == .buy ? "buy" : "sell"))
      let reason = expected.cancelReason.map { "\($0)" } ?? expected.rejectReason.map { "\($0)" }
      #expect((row["reason"] as String?) == reason)
      #expect((row["post_only"] as String?) == (expected.order.postOnly ? "post-only" : nil))
      #expect((row["self_trade"] == nil) == (expected.order.selfTradePrevention == .none))
      #expect((row["stop_price"] == nil) == (expected.order.stopPriceTicks == 0))
      #expect((row["expiry"] == nil) == (expected.order.expiry == .zero))
      #expect((row["triggered"] == nil) == (expected.triggeredStamp == .zero))
      let reduced = expected.reducedLots
      let thousandths = "\(reduced.magnitude % 1_000)"
      let text =
        "\(reduced < 0 ? "-" : "")\(reduced.magnitude / 1_000)."
        + String(repeating: "0", count: 3 - thousandths.count) + thousandths
      #expect((row["reduced"] as String?) == (reduced == 0 ? nil : text))
      if expected.order.type == .market || expected.order.type == .stop {
        #expect(row["price"] == nil)
        continue
      }
      // Ticks of 0.05.
      guard expected.order.priceTicks < 1000 else { continue }
      let cents = expected.order.priceTicks * 5
      #expect(row["price"] == "\(cents / 100).\(cents % 100 < 10 ? "0" : "")\(cents % 100)")
    }
  }
}
