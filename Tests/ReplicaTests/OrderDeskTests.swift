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
    }
    #expect(
      told == [
        "0-2 open open 5 filled 0 reason 0",
        "0-3 filled open 0 filled 2 reason 0",
        "0-2 partiallyFilled open 3 filled 2 reason 0",
        "0-2 cancelled open 3 filled 2 reason \(CancelReason.requested.rawValue)",
        "0-4 done open 0 filled 0 reason 0",
        "0-5 rejected open 0 filled 0 reason \(RejectReason.notOpen.rawValue)",
      ])
    #expect(cluster.nodes[0].reports[1].newFills.map(\.isMaker) == [false])
    #expect(cluster.nodes[0].reports[2].newFills.map(\.isMaker) == [true])
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
    let corrected = cluster.nodes[0].reports.last!
    #expect(corrected.isCorrection && corrected.state == .open)
    #expect(corrected.fillsStanding == 0 && corrected.newFills.isEmpty && corrected.openLots == 5)
    #expect(corrected.filledLots == 0)
    #expect(cluster.nodes[1].reports.count == 1, "nothing changed for the winner")
    #expect(cluster.nodes[0].replica.status.rollbacks > 0)
    #expect(cluster.nodes[0].replica.desk.count == 1, "the open order is followed; what has ended is not")
  }
}
