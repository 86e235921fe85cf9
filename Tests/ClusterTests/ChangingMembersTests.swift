import Client
import Node
import OrderBook
import Primitives
import Testing

/// Members come and go while a cluster runs.
@Suite struct ChangingMembersTests {
  private func limit(_ instrument: Dot, _ side: Side, _ price: Int64) -> Command {
    .limit(instrument, side, price, 1)
  }

  /// All of these are members of one view, and of no other.
  private func expectMembers(
    _ cluster: TestCluster, _ names: [String], _ location: SourceLocation = #_sourceLocation
  ) async throws {
    for name in names {
      let client = try await cluster.connect(name)
      try await eventually("\(name) is in a view of \(names)") {
        let status = try await client.status()
        return status.members.sorted() == names.sorted() && status.origin != nil && status.ready
      }
    }
  }

  private func agreement(_ cluster: TestCluster, _ names: [String]) async throws -> NodeStatus {
    var clients: [RialtoClient] = []
    for name in names { clients.append(try await cluster.connect(name)) }
    return try await clients.expectAgreement()
  }

  @Test func aNewNodeJoinsWhileTheOthersTrade() async throws {
    try await withCluster(3) { cluster in
      try await cluster.startAll()
      let instrument = try await cluster.defineInstrument()
      let first = try await cluster.connect("n1")
      for price in 1...50 { try await first.accepted(limit(instrument, .buy, Int64(price))) }
      let trading = Task {
        var refused = 0
        for price in 51...150 {
          if case .refused = try await first.submit([limit(instrument, .buy, Int64(price))])[0] { refused += 1 }
        }
        return refused
      }
      try await cluster.start("n4", peers: ["n2"])
      try await expectMembers(cluster, ["n1", "n2", "n3", "n4"])
      #expect(try await trading.value == 0, "nobody was kept from trading")
      let fourth = try await cluster.connect("n4")
      #expect(try await fourth.accepted(limit(instrument, .sell, 200)).dot.origin == OriginIndex(3))
      let end = try await agreement(cluster, ["n1", "n2", "n3", "n4"])
      #expect(end.orders == 151 && end.view == 1)
    }
  }

  @Test func whoLeavesIsNotWaitedFor() async throws {
    try await withCluster(3) { cluster in
      try await cluster.startAll()
      let instrument = try await cluster.defineInstrument()
      let third = try await cluster.connect("n3")
      let dot = try await third.accepted(limit(instrument, .buy, 7)).dot
      try cluster.server("n3").leave()
      try await expectMembers(cluster, ["n1", "n2"])
      #expect(!cluster.log.contains("is given up"), "it said so itself")
      let first = try await cluster.connect("n1")
      try await first.accepted(limit(instrument, .sell, 9))
      let end = try await agreement(cluster, ["n1", "n2"])
      #expect(end.orders == 2 && end.tentative == 0)
      try await first.order(dot, is: .open)
    }
  }

  @Test func whoIsSilentIsSealedAndComesBackUnderAnotherName() async throws {
    try await withCluster(3) { cluster in
      try await cluster.startAll()
      let instrument = try await cluster.defineInstrument()
      let third = try await cluster.connect("n3")
      let dot = try await third.accepted(limit(instrument, .buy, 7)).dot
      _ = try await agreement(cluster, cluster.names)
      try await cluster.stop("n3")
      try await expectMembers(cluster, ["n1", "n2"])
      let first = try await cluster.connect("n1")
      try await first.accepted(limit(instrument, .sell, 9))
      try await cluster.start("n3", peers: ["n1"])
      try await expectMembers(cluster, ["n1", "n2", "n3"])
      let again = try await cluster.connect("n3")
      #expect(try await again.accepted(limit(instrument, .buy, 6)).dot.origin == OriginIndex(3))
      let end = try await agreement(cluster, cluster.names)
      #expect(end.orders == 3 && end.tentative == 0)
      try await again.order(dot, is: .open)
    }
  }

  @Test func allComeBackAtOnceAsWhoTheyWere() async throws {
    try await withCluster(3) { cluster in
      try await cluster.startAll()
      let instrument = try await cluster.defineInstrument()
      try await cluster.connect("n2").accepted(limit(instrument, .buy, 7))
      let before = try await agreement(cluster, cluster.names)
      for name in cluster.names { try await cluster.stop(name) }
      try await cluster.startAll()
      try await expectMembers(cluster, cluster.names)
      let after = try await agreement(cluster, cluster.names)
      #expect(after.bookHash == before.bookHash && after.orders == before.orders)
    }
  }

  /// One that only follows holds and shows everything, and takes nothing.
  @Test func anObserverFollows() async throws {
    try await withCluster(2) { cluster in
      try await cluster.startAll()
      let instrument = try await cluster.defineInstrument()
      try await cluster.start("watcher", peers: ["n1"], follows: true)
      let first = try await cluster.connect("n1")
      for price in 1...20 { try await first.accepted(limit(instrument, .buy, Int64(price))) }
      let watcher = try await cluster.connect("watcher")
      let end = try await [first, watcher].expectAgreement()
      #expect(end.orders == 20 && end.members == ["n1", "n2"])
      #expect(try await watcher.status().origin == nil)
      guard case .refused(let refusal) = try await watcher.submit([limit(instrument, .buy, 1)])[0] else {
        Issue.record("a node that is no member took an order")
        return
      }
      #expect(refusal.code == .notReady)
    }
  }

  /// What is not sent again is rejected at its node, by every name, and void elsewhere.
  @Test func aVoidOrderIsToldOf() async throws {
    try await withCluster(3) { cluster in
      try await cluster.startAll()
      let instrument = try await cluster.defineInstrument()
      let third = try await cluster.connect("n3")
      let before = try await third.accepted(limit(instrument, .buy, 7))
      try await third.waitUntilFinal(before, timeoutMilliseconds: 5_000)
      try await cluster.partition([["n1", "n2"], ["n3"]])
      let id = ClientOrderID("mine")!
      let order = Order(
        instrument: instrument, account: AccountID(1), side: .buy, timeInForce: .immediateOrCancel, priceTicks: 5,
        quantityLots: 1, clientOrderID: id, clientTimeMilliseconds: before.stamp.milliseconds)
      let void = try await third.accepted(.order(order)).dot
      let again = try await third.accepted(limit(instrument, .buy, 6)).dot
      try await expectMembers(cluster, ["n1", "n2"])
      try await cluster.partition([])
      try await expectMembers(cluster, ["n1", "n2", "n3"])
      _ = try await agreement(cluster, cluster.names)
      let own = try await cluster.connect("n3")
      for name in [OrderReference.dot(void), .client(id)] {
        let detail = try await own.order(name)
        #expect(detail.dot == void && detail.status == .rejected && detail.rejectReason == .sealed && detail.isFinal)
      }
      try await own.order(again, is: .open)
      let first = try await cluster.connect("n1")
      try await first.order(again, is: .open)
      let stranger = try await cluster.connect("n3", account: 2)
      let refusals = [
        try await refusal { _ = try await first.order(.dot(void)) },
        try await refusal { _ = try await first.order(.client(id)) },
        try await refusal { _ = try await stranger.order(.dot(void)) },
        try await refusal { _ = try await stranger.order(.client(id)) },
      ]
      #expect(refusals[0].hasPrefix("\(void) is void: the log of origin \(void.origin) was sealed after entry "))
      #expect(
        refusals[1...] == ["no such order of account 1", "no such order of account 2", "no such order of account 2"])
    }
  }

  private func refusal(_ body: () async throws -> Void) async throws -> String {
    do {
      try await body()
    } catch ClientError.requestRefused(let refusal) {
      #expect(refusal.code == .notFound)
      return refusal.text
    }
    return "found"
  }
}
