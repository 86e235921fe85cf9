import Client
import Node
import Primitives
import Testing
import Wire

/// Any one address is enough: nodes find each other and agree.
@Suite(.endsIfItHangs) struct DiscoveryTests {
  /// Waits until every node has a link to every other one.
  private func everybodyConnected(_ clients: [RialtoClient]) async throws {
    for client in clients {
      try await eventually("\(client.welcome.nodeName) is connected to all") {
        try await client.peers().filter(\.connected).count == clients.count - 1
      }
    }
  }

  /// Orders by every node at once; then all agree, and every order is known everywhere.
  private func tradeAndAgree(_ cluster: TestCluster, orders: Int) async throws {
    var clients: [RialtoClient] = []
    for name in cluster.names { clients.append(try await cluster.connect(name)) }
    try await everybodyConnected(clients)
    let instrument = try await cluster.defineInstrument()
    let all = try await withThrowingTaskGroup(of: [(id: UInt64, acceptance: Acceptance)].self) { group in
      for (index, client) in clients.enumerated() {
        group.addTask {
          var flow = TestFlow(instrument, seed: UInt64(index) + 1)
          try await flow.run(orders, to: client)
          return flow.acceptances
        }
      }
      return try await group.reduce(into: []) { $0 += $1 }
    }
    #expect(all.count == orders * clients.count)
    let status = try await clients.expectAgreement()
    #expect(status.orders == UInt64(all.count))
    #expect(status.fills > 0)
    for sample in stride(from: 0, to: all.count, by: 29) {
      let (id, acceptance) = all[sample]
      var details: [OrderDetailView] = []
      for client in clients {
        let detail = try await client.order(.dot(acceptance.dot))
        #expect(detail.clientOrderID.integer == id && detail.stamp == acceptance.stamp && detail.isFinal)
        details.append(OrderDetailView(status: detail.status.rawValue, filled: detail.filledLots, fills: detail.fills))
      }
      #expect(details.allSatisfy { $0 == details[0] }, "order \(acceptance.dot) differs")
    }
  }

  private struct OrderDetailView: Equatable {
    var status: UInt8
    var filled: Int64
    var fills: [OrderFill]
  }

  @Test func threeNodesThatAllKnowTheFirst() async throws {
    try await withCluster(3) { cluster in
      try await cluster.startAll()
      try await tradeAndAgree(cluster, orders: 200)
    }
  }

  @Test func aChainInWhichEachKnowsTheOneBefore() async throws {
    try await withCluster(3) { cluster in
      try await cluster.start("n1")
      try await cluster.start("n2", peers: ["n1"])
      try await cluster.start("n3", peers: ["n2"])
      try await tradeAndAgree(cluster, orders: 60)
    }
  }

  @Test func aSeedThatStartsLastIsFoundWhenItComes() async throws {
    try await withCluster(3) { cluster in
      let old = try await cluster.start("n1").address
      try await cluster.stop("n1")
      // Nobody answers there now; a name that leads nowhere does not matter either.
      try await cluster.start("n2", at: [old])
      try await cluster.start("n3", at: [old, Address(host: "127.0.0.1", port: 1)])
      try await cluster.start("n1", peers: ["n2", "n3"])
      try await tradeAndAgree(cluster, orders: 20)
    }
  }

  @Test(arguments: [1, 2, 4]) func fiveNodesAgreeWhateverTheFanout(_ fanout: Int) async throws {
    try await withCluster(5) { cluster in
      try await cluster.startAll(fanout: fanout)
      try await tradeAndAgree(cluster, orders: 60)
    }
  }

  @Test func aNodeThatIsToldItsOwnAddressJoinsAllTheSame() async throws {
    try await withCluster(2) { cluster in
      let first = try await cluster.start("n1").address
      try await cluster.start("n2", at: [first, first])
      try await tradeAndAgree(cluster, orders: 10)
    }
  }
}
