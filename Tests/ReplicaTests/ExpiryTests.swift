import EventLog
import Gossip
import OrderBook
import Primitives
import Testing

@testable import Replica

/// Orders whose date passes while nothing else happens.
struct ExpiryTests {
  private func order(_ instrument: Dot, price: Int64 = 10, until milliseconds: UInt64 = 0) -> Command {
    var order = Order(
      instrument: instrument, account: AccountID(1), side: .buy, priceTicks: price, quantityLots: 6)
    if milliseconds != 0 {
      order.timeInForce = .goodTillDate
      order.expiry = Stamp(milliseconds: milliseconds)
    }
    return .order(order)
  }

  /// Prices of the bids, as views show them.
  private func bids(_ node: VirtualCluster.Node, _ instrument: Dot) -> [Int64] {
    let stamp = node.replica.viewStamp
    return node.replica.withBook { book in
      book.levels(of: instrument, .buy, limit: .max, asOf: stamp).map(\.priceTicks)
    }
  }

  private func told(_ node: VirtualCluster.Node) -> [String] {
    node.reports.map {
      "\($0.isCorrection ? "corrected " : "")\($0.entry) \($0.state) open \($0.openLots) filled \($0.filledLots)"
        + ($0.isFinal ? " final" : "")
    }
  }

  @Test(arguments: [1, 3]) func anIdleClusterShowsWhatHasExpired(nodes: Int) throws {
    let cluster = try VirtualCluster(nodes: nodes, seed: 31)
    let instrument = cluster.defineInstrument()
    let start = cluster.now(cluster.nodes[0]).wallMilliseconds
    cluster.submit([order(instrument, until: start + 5_000)], to: 0, reports: true)
    cluster.submit([order(instrument, price: 9, until: start + 7_000)], to: 0, reports: true)
    #expect(cluster.rest())
    for node in cluster.nodes { _ = node.replica.takeChangedLevels() }
    let hash = cluster.nodes[0].replica.bookHash()
    let opened = told(cluster.nodes[0])
    let (first, second) = (cluster.nodes[0].accepted.suffix(2).first!.dot, cluster.nodes[0].accepted.last!.dot)
    #expect(
      opened.sorted()
        == [first, second].flatMap { ["\($0) open open 6 filled 0", "\($0) open open 6 filled 0 final"] }.sorted())

    // Until shortly before its date the cluster is idle: nobody promises anything.
    let promised = cluster.nodes.map { $0.replica.status.finalStamp }
    cluster.run(milliseconds: start + 4_990 - cluster.now(cluster.nodes[0]).wallMilliseconds)
    #expect(cluster.nodes.map { $0.replica.status.finalStamp } == promised)
    for node in cluster.nodes {
      #expect(bids(node, instrument) == [10, 9] && node.replica.takeChangedLevels().isEmpty)
    }
    cluster.run(milliseconds: 300)
    for node in cluster.nodes {
      #expect(bids(node, instrument) == [9])
      #expect(node.replica.status.restingOrders == 1)
      let changes = node.replica.takeChangedLevels()
      #expect(changes.map(\.priceTicks) == [10] && changes.map(\.orders) == [0])
      #expect(node.replica.takeChangedLevels().isEmpty)
      #expect(node.replica.bookHash() == hash, "the book is a function of the entries alone")
    }
    let ended = opened + ["\(first) expired open 6 filled 0 final"]
    #expect(told(cluster.nodes[0]) == ended)
    // Nothing to wait for: idle again, until the next one.
    let then = cluster.nodes.map { $0.replica.status.finalStamp }
    cluster.run(milliseconds: 1_000)
    #expect(cluster.nodes.map { $0.replica.status.finalStamp } == then)

    // The entry that takes it out of the book changes nothing for those who look or listen.
    cluster.submit([order(instrument, price: 8)], to: nodes - 1)
    #expect(cluster.settle())
    for node in cluster.nodes {
      #expect(bids(node, instrument) == [9, 8])
      let changes = node.replica.takeChangedLevels()
      #expect(changes.map(\.priceTicks) == [8, 10] && changes.map(\.orders) == [1, 0])
      #expect(node.replica.bookHash() != hash)
      #expect(node.replica.withBook { $0.restingOrders } == 2)
    }
    #expect(told(cluster.nodes[0]) == ended)
    #expect(cluster.nodes[0].replica.desk.count == 1, "the other one is followed on")
    cluster.run(milliseconds: 2_000)
    #expect(cluster.nodes.allSatisfy { bids($0, instrument) == [8] })
    #expect(told(cluster.nodes[0]) == ended + ["\(second) expired open 6 filled 0 final"])
  }

  @Test func nothingExpiresBeforeThatIsFinal() throws {
    let cluster = try VirtualCluster(nodes: 3, seed: 32)
    let instrument = cluster.defineInstrument()
    let expiry = Stamp(milliseconds: cluster.now(cluster.nodes[0]).wallMilliseconds + 500)
    cluster.submit([order(instrument, until: expiry.milliseconds)], to: 0, reports: true)
    #expect(cluster.settle())
    // Node 2 hears nobody and nobody hears it: no promise of all three gets past the date.
    cluster.cut = [2, 1_002, 2_000, 2_001]
    cluster.run(milliseconds: 1_000)
    for node in cluster.nodes {
      #expect(node.replica.viewStamp < expiry && bids(node, instrument) == [10])
      #expect(node.replica.status.restingOrders == 1)
    }
    #expect(cluster.nodes[0].reports.map(\.state) == [.open, .open])
    cluster.cut = []
    cluster.run(milliseconds: 500)
    for node in cluster.nodes { #expect(node.replica.viewStamp >= expiry && bids(node, instrument).isEmpty) }
    #expect(cluster.nodes[0].reports.map(\.state) == [.open, .open, .expired])
    #expect(cluster.nodes[0].reports.map(\.isFinal) == [false, true, true])
  }

  /// A member that was away while an order expired hears of it, although nobody says anything new.
  @Test func aMemberThatReturnsFindsItExpired() throws {
    let cluster = try VirtualCluster(nodes: 3, seed: 33)
    let instrument = cluster.defineInstrument()
    let expiry = Stamp(milliseconds: cluster.now(cluster.nodes[0]).wallMilliseconds + 500)
    cluster.submit([order(instrument, until: expiry.milliseconds)], to: 0)
    #expect(cluster.settle())
    #expect(cluster.rest())
    #expect(cluster.nodes.allSatisfy { bids($0, instrument).isEmpty })
    cluster.crash(1)
    #expect(cluster.nodes[1].replica.viewStamp < expiry, "what it had not written down it has to hear again")
    cluster.run(milliseconds: 500)
    #expect(cluster.nodes[1].replica.status.vector == cluster.nodes[0].replica.status.vector)
    #expect(bids(cluster.nodes[1], instrument).isEmpty)
  }

  /// An entry ends the order tentatively, then its date becomes final, then an earlier entry comes and the first one is
  /// taken back: the order is in the book again, and still expired.
  @Test func aRollbackDoesNotBringItBack() throws {
    let cluster = try VirtualCluster(nodes: 3, seed: 34)
    let instrument = cluster.defineInstrument()
    let node = cluster.nodes[0]
    let expiry = Stamp(milliseconds: cluster.now(node).wallMilliseconds + 300)
    cluster.submit([order(instrument, until: expiry.milliseconds)], to: 0, reports: true)
    let dot = node.accepted.last!.dot
    func isInBook() -> Bool { node.replica.withBook { $0.order(dot) } != nil }
    cluster.run(milliseconds: 285)
    _ = node.replica.takeChangedLevels()
    // Its clock runs ahead: it stamps an entry later than the date, which is 10 ms away, and later than what others
    // stamp, for they do not hear of it.
    node.clockSkewMilliseconds = 60
    cluster.run(milliseconds: 5)
    cluster.cut = [1, 2]
    cluster.submit([order(instrument, price: 9)], to: 0)
    let opened = "\(dot) open open 6 filled 0"
    var lifetime = [opened, opened + " final", "\(dot) expired open 6 filled 0"]
    #expect(!isInBook() && told(node) == lifetime, "tentatively")
    #expect(node.replica.viewStamp < expiry)
    cluster.run(milliseconds: 30)
    #expect(node.replica.viewStamp >= expiry && node.replica.status.tentative == 1)
    // The entry comes without the promise that belongs to it: nothing is applied before a moment has passed.
    cluster.cut.insert(1_000)
    cluster.submit([order(instrument, price: 8)], to: 1)
    let batch = try #require(cluster.nodes[1].disk.last)
    cluster.give(.message(from: cluster.peer(1), .batch(batch.sealed)), to: 0)
    #expect(isInBook() && node.replica.status.rollbacks == 1, "the book has it again")
    #expect(bids(node, instrument).isEmpty)
    for change in node.replica.takeChangedLevels() where change.priceTicks == 10 { #expect(change.orders == 0) }
    lifetime.append("\(dot) expired open 6 filled 0 final")
    #expect(told(node) == lifetime, "by its date, whatever comes of the entry")
    cluster.cut = []
    #expect(cluster.settle())
    #expect(told(node) == lifetime && node.replica.desk.count == 0)
    #expect(cluster.nodes.allSatisfy { bids($0, instrument) == [9, 8] })
  }

  /// The frontier may be ahead of what is applied: what waits may fill the order before its date.
  @Test func finalEntriesThatWaitToBeAppliedHoldTheViewBack() throws {
    let cluster = try VirtualCluster(nodes: 3, seed: 35)
    let instrument = cluster.defineInstrument()
    cluster.cut = [1, 2]
    cluster.submit([order(instrument)], to: 0)
    cluster.submit([order(instrument)], to: 0)
    let node = cluster.nodes[0]
    let stamps = node.accepted.suffix(2).map(\.stamp)
    let frontier = Stamp(stamps[1].value + 1_000)
    #expect(node.replica.sequencer.appliedReach(of: frontier) == frontier)
    node.replica.sequencer.rollBack(toTailIndex: node.replica.sequencer.tail.count - 2)
    #expect(node.replica.sequencer.appliedReach(of: frontier) == Stamp(stamps[0].value - 1))
    #expect(node.replica.sequencer.appliedReach(of: Stamp(stamps[0].value - 5)) == Stamp(stamps[0].value - 5))
    #expect(node.replica.sequencer.apply(through: stamps[0], atMost: 10) == 1)
    #expect(node.replica.sequencer.appliedReach(of: frontier) == Stamp(stamps[1].value - 1))
  }
}
