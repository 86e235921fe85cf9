import EventLog
import OrderBook
import Primitives
import Testing

@testable import Replica

/// What clients are told, and how it is corrected.
struct OrderDeskTests {
  @Test func aLifeIsTold() throws {
    let cluster = try VirtualCluster(nodes: 1, seed: 1)
    let instrument = cluster.defineInstrument()
    let maker = Order(instrument: instrument, account: AccountID(1), side: .buy, priceTicks: 10, quantityLots: 5)
    let taker = Order(instrument: instrument, account: AccountID(2), side: .sell, priceTicks: 9, quantityLots: 2)
    cluster.submit([.order(maker)], to: 0, reports: true)
    cluster.submit([.order(taker)], to: 0, reports: true)
    let makerDot = Dot("0-2")!
    cluster.submit([.cancel(Cancel(account: AccountID(1), target: .dot(makerDot)))], to: 0, reports: true)
    cluster.submit([.cancel(Cancel(account: AccountID(1), target: .dot(makerDot)))], to: 0, reports: true)
    let told = cluster.nodes[0].reports.map {
      "\($0.entry) \($0.state) open \($0.openLots) filled \($0.filledLots) reason \($0.reason)"
        + ($0.isFinal ? " final" : "")
    }
    #expect(
      told == [
        "0-2 open open 5 filled 0 reason 0",
        "0-2 open open 5 filled 0 reason 0 final",
        "0-3 filled open 0 filled 2 reason 0",
        "0-2 partiallyFilled open 3 filled 2 reason 0",
        "0-3 filled open 0 filled 2 reason 0 final",
        "0-2 partiallyFilled open 3 filled 2 reason 0 final",
        "0-2 cancelled open 3 filled 2 reason \(CancelReason.requested.rawValue)",
        "0-4 done open 0 filled 0 reason 0",
        "0-4 done open 0 filled 0 reason 0 final",
        "0-2 cancelled open 3 filled 2 reason \(CancelReason.requested.rawValue) final",
        // 0-5 is the fill, which is final by now.
        "0-6 rejected open 0 filled 0 reason \(RejectReason.notOpen.rawValue)",
        "0-6 rejected open 0 filled 0 reason \(RejectReason.notOpen.rawValue) final",
      ])
    let fills = cluster.nodes[0].reports.filter { !$0.newFills.isEmpty }
    #expect(fills.map(\.entry) == [Dot("0-3")!, Dot("0-2")!], "each is told once")
    #expect(fills.map { $0.newFills.map(\.isMaker) } == [[false], [true]])
    #expect(cluster.nodes[0].reports.allSatisfy { !$0.isCorrection })
  }

  /// Two nodes match the same resting order at once; the total order decides, and the loser's client is told.
  @Test func aRollbackCorrectsWhatWasTold() throws {
    let cluster = try VirtualCluster(nodes: 3, seed: 2)
    let instrument = cluster.defineInstrument()
    cluster.latencyMicroseconds = 20_000...20_000
    func order(_ account: UInt64, _ side: Side) -> Command {
      .order(
        Order(instrument: instrument, account: AccountID(account), side: side, priceTicks: 10, quantityLots: 5))
    }
    cluster.submit([order(1, .sell)], to: 2)
    #expect(cluster.settle())
    // Node 1's clock is behind, so that its order comes first in the total order although it is placed last.
    cluster.nodes[0].clockSkewMilliseconds = 50
    cluster.submit([order(2, .buy)], to: 0, reports: true)
    cluster.run(milliseconds: 1)
    cluster.submit([order(3, .buy)], to: 1, reports: true)
    #expect(cluster.nodes[0].reports.map(\.state) == [.filled], "tentatively, both are told a fill")
    #expect(cluster.nodes[1].reports.map(\.state) == [.filled])
    #expect(cluster.settle())
    let corrected = try #require(cluster.nodes[0].reports.last { $0.isCorrection })
    #expect(corrected.state == .open && !corrected.isFinal)
    #expect(corrected.fillsStanding == 0 && corrected.newFills.isEmpty && corrected.openLots == 5)
    #expect(corrected.filledLots == 0)
    #expect(cluster.nodes[1].reports.map(\.isFinal) == [false, true], "nothing changed for the winner")
    #expect(cluster.nodes[1].reports.allSatisfy { $0.state == .filled && !$0.isCorrection })
    let last = try #require(cluster.nodes[0].reports.last)
    #expect(last.isFinal && last.state == .open && !last.isCorrection)
    #expect(cluster.nodes[0].replica.status.rollbacks > 0)
    #expect(cluster.nodes[0].replica.desk.count == 1, "the open order is followed; what has ended is not")
  }

  // MARK: Every event, written by hand

  private static let session = SessionID(4)

  private func dot(_ sequence: UInt64) -> Dot { Dot(origin: OriginIndex(0), sequence: sequence) }

  private func fill(_ maker: UInt64, _ makerOpen: Int64, _ taker: UInt64, _ takerOpen: Int64) -> OrderEvent {
    .filled(
      Fill(
        instrument: .none, maker: dot(maker), taker: dot(taker), takerSide: .sell, priceTicks: 10, quantityLots: 2,
        makerOpenLots: makerOpen, takerOpenLots: takerOpen))
  }

  private func told(_ desk: inout OrderDesk) -> [String] {
    desk.takeReports().map { session, report in
      #expect(session == Self.session)
      return "\(report.isCorrection ? "corrected " : "")\(report.entry) \(report.state) open \(report.openLots) "
        + "filled \(report.filledLots) reason \(report.reason) new \(report.newFills.count)"
        + (report.isFinal ? " final" : "")
    }
  }

  private func desk(orders: ClosedRange<UInt64>, others: [UInt64] = []) -> OrderDesk {
    var desk = OrderDesk()
    for sequence in orders { desk.follow(dot(sequence), session: Self.session, isOrder: true) }
    for sequence in others { desk.follow(dot(sequence), session: Self.session, isOrder: false) }
    return desk
  }

  @Test func aStopWaitsIsTriggeredAndTrades() {
    var desk = desk(orders: 1...2)
    desk.applied(dot(1), events: [.accepted(order: dot(1)), .waiting(order: dot(1), openLots: 5)])
    #expect(told(&desk) == ["0-1 open open 5 filled 0 reason 0 new 0"])
    let events: [OrderEvent] = [
      .accepted(order: dot(2)), fill(9, 3, 2, 0), .triggered(order: dot(1)), fill(9, 1, 1, 3),
      .cancelled(order: dot(1), reason: .market, openLots: 3),
    ]
    desk.applied(dot(2), events: events)
    let cancelled = "0-1 cancelled open 3 filled 2 reason \(CancelReason.market.rawValue) new 1"
    #expect(told(&desk) == ["0-2 filled open 0 filled 2 reason 0 new 1", cancelled])
    // The entry that triggered it is taken back: it waits again. Nothing is told before the entry comes anew.
    desk.undone(dot(2), events: events)
    #expect(told(&desk) == ["corrected 0-1 open open 5 filled 0 reason 0 new 0"])
    desk.applied(dot(2), events: events)
    #expect(told(&desk) == [cancelled], "for the entry itself nothing has changed")
    desk.finalized(dot(1), events: [.accepted(order: dot(1)), .waiting(order: dot(1), openLots: 5)])
    #expect(told(&desk).isEmpty && desk.count == 2, "a stop that waits is followed on")
    desk.finalized(dot(2), events: events)
    let last = "0-1 cancelled open 3 filled 2 reason \(CancelReason.market.rawValue) new 0 final"
    #expect(told(&desk) == ["0-2 filled open 0 filled 2 reason 0 new 0 final", last])
    #expect(desk.count == 0)
  }

  @Test func anIcebergIsToldItsTradesAndNotWhatItShows() {
    var desk = desk(orders: 1...1)
    desk.applied(dot(1), events: [.accepted(order: dot(1)), .rested(order: dot(1), openLots: 6)])
    _ = told(&desk)
    let events: [OrderEvent] = [fill(1, 4, 8, 3), .refreshed(order: dot(1), visibleLots: 2), fill(1, 2, 8, 1)]
    desk.applied(dot(8), events: events)
    #expect(told(&desk) == ["0-1 partiallyFilled open 2 filled 4 reason 0 new 2"])
    desk.applied(dot(9), events: [.refreshed(order: dot(1), visibleLots: 2)])
    #expect(told(&desk).isEmpty)
    desk.undone(dot(9), events: [.refreshed(order: dot(1), visibleLots: 2)])
    desk.undone(dot(8), events: events)
    #expect(told(&desk) == ["corrected 0-1 open open 6 filled 0 reason 0 new 0"])
  }

  @Test func selfTradePreventionIsTold() {
    var desk = desk(orders: 1...3)
    desk.applied(dot(1), events: [.accepted(order: dot(1)), .rested(order: dot(1), openLots: 6)])
    desk.applied(dot(2), events: [.accepted(order: dot(2)), .rested(order: dot(2), openLots: 2)])
    _ = told(&desk)
    let reason = CancelReason.selfTrade.rawValue
    let events: [OrderEvent] = [
      .accepted(order: dot(3)), .reduced(order: dot(2), lots: 2, openLots: 0),
      .reduced(order: dot(3), lots: 2, openLots: 3),
      .cancelled(order: dot(2), reason: .selfTrade, openLots: 0), .reduced(order: dot(1), lots: 3, openLots: 3),
      .reduced(order: dot(3), lots: 3, openLots: 0), .cancelled(order: dot(3), reason: .selfTrade, openLots: 0),
    ]
    desk.applied(dot(3), events: events)
    #expect(
      told(&desk) == [
        "0-3 cancelled open 0 filled 0 reason \(reason) new 0", "0-2 cancelled open 0 filled 0 reason \(reason) new 0",
        "0-1 open open 3 filled 0 reason 0 new 0",
      ])
    desk.finalized(dot(3), events: events)
    _ = told(&desk)
    #expect(desk.count == 1, "what is left of the reduced order is followed on")
  }

  @Test func whatExpiresIsToldWithTheEntryThatComesNext() {
    var desk = desk(orders: 1...1, others: [7])
    desk.applied(dot(1), events: [.accepted(order: dot(1)), .rested(order: dot(1), openLots: 6)])
    _ = told(&desk)
    // A cancel that comes too late: its own rejection is not lost among what expires before it.
    let events: [OrderEvent] = [
      .expired(order: dot(1), openLots: 6), .rejected(entry: dot(7), reason: .notOpen, order: dot(1)),
    ]
    desk.applied(dot(7), events: events)
    let late = "0-7 rejected open 0 filled 0 reason \(RejectReason.notOpen.rawValue) new 0"
    #expect(told(&desk) == ["0-1 expired open 6 filled 0 reason 0 new 0", late])
    desk.finalized(dot(1), events: [.accepted(order: dot(1)), .rested(order: dot(1), openLots: 6)])
    #expect(told(&desk).isEmpty, "how it ended is not final")
    desk.finalized(dot(7), events: events)
    let lateReason = RejectReason.notOpen.rawValue
    #expect(
      told(&desk) == [
        "0-1 expired open 6 filled 0 reason 0 new 0 final",
        "0-7 rejected open 0 filled 0 reason \(lateReason) new 0 final",
      ])
    #expect(desk.count == 0)
  }

  @Test func aPostOnlyOrderThatWouldTradeIsToldWhy() {
    var desk = desk(orders: 1...2)
    desk.applied(dot(1), events: [.rejected(entry: dot(1), reason: .wouldTrade, order: .none)])
    desk.applied(dot(2), events: [.rejected(entry: dot(2), reason: .repeated, order: dot(1))])
    let reports = desk.takeReports().map(\.1)
    #expect(reports.map(\.state) == [.rejected, .rejected])
    #expect(reports.map(\.reason) == [RejectReason.wouldTrade.rawValue, RejectReason.repeated.rawValue])
    #expect(reports.map(\.other) == [.none, dot(1)])
  }

  /// A trade triggers a stop; then it turns out that what was traded with had been cancelled before.
  @Test func aRollbackTakesATriggerBack() throws {
    let cluster = try VirtualCluster(nodes: 3, seed: 3)
    let instrument = cluster.defineInstrument()
    cluster.latencyMicroseconds = 20_000...20_000
    func order(_ account: UInt64, _ side: Side, lots: Int64, stop: Int64 = 0) -> Command {
      .order(
        Order(
          instrument: instrument, account: AccountID(account), side: side, type: stop == 0 ? .limit : .stop,
          priceTicks: stop == 0 ? 10 : 0, quantityLots: lots, stopPriceTicks: stop))
    }
    cluster.submit([order(1, .buy, lots: 9)], to: 1)
    #expect(cluster.settle())
    let bid = cluster.nodes[1].accepted.last!.dot
    cluster.submit([order(2, .sell, lots: 5, stop: 10)], to: 0, reports: true)
    #expect(cluster.settle())
    let stop = cluster.nodes[0].accepted.last!.dot
    // Node 0's clock is ahead, so that what it takes first comes last in the total order.
    cluster.nodes[0].clockSkewMilliseconds = 50
    cluster.submit([order(3, .sell, lots: 2)], to: 0)
    cluster.run(milliseconds: 1)
    cluster.submit([.cancel(Cancel(account: AccountID(1), target: .dot(bid)))], to: 1)
    func reports() -> [OrderReport] { cluster.nodes[0].reports.filter { $0.entry == stop } }
    #expect(reports().map(\.state) == [.open, .open, .filled])
    #expect(reports().map(\.isFinal) == [false, true, false], "the trade is tentative")
    #expect(cluster.settle())
    // It is where it was told to be for good before.
    let last = try #require(reports().last)
    #expect(reports().count == 4 && last.isCorrection && last.isFinal && last.state == .open)
    #expect(last.openLots == 5 && last.filledLots == 0 && last.fillsStanding == 0)
    #expect(cluster.nodes.allSatisfy { $0.replica.status.restingOrders == 1 })
  }
}
