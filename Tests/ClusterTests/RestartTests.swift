import Client
import Foundation
import Node
import OrderBook
import Primitives
import Synchronization
import Testing
import Wire

/// A node that stops, however it does, comes back with everything it said.
@Suite struct RestartTests {
  @Test(.timeLimit(.minutes(1))) func aNodeComesBackAsItWas() async throws {
    try await withCluster(1) { cluster in
      try await cluster.startAll()
      let instrument = try await cluster.defineInstrument()
      var flow = TestFlow(instrument, seed: 4)
      try await flow.run(300, to: try await cluster.connect("n1"))
      let before = try await [cluster.connect("n1")].quiet()[0]
      for _ in 0..<2 {
        #expect(try await cluster.stop("n1") == nil)
        try await cluster.startAll()
        let client = try await cluster.connect("n1")
        let after = try await [client].quiet()[0]
        #expect(after.entries == before.entries && after.orders == before.orders && after.fills == before.fills)
        #expect(after.bookHash == before.bookHash && after.tradesHash == before.tradesHash)
        #expect(after.vector == before.vector)
      }
      // And goes on where it stopped.
      let next = try await cluster.connect("n1").accepted(.limit(instrument, .buy, 5, 1))
      #expect(next.dot.sequence == before.entries + 1)
    }
  }

  @Test(.timeLimit(.minutes(1))) func aNodeThatWasAwayFetchesWhatItMissed() async throws {
    try await withCluster(3) { cluster in
      try await cluster.startAll()
      let instrument = try await cluster.defineInstrument()
      try await cluster.stop("n3")
      let client = try await cluster.connect("n1")
      var flow = TestFlow(instrument, seed: 4)
      try await flow.run(300, to: client)
      try await cluster.stop("n2")
      try await cluster.start("n2", peers: ["n1"])
      // On another port than before, and told of another node only.
      try await cluster.start("n3", peers: ["n2"])
      var clients: [RialtoClient] = []
      for name in cluster.names { clients.append(try await cluster.connect(name)) }
      let status = try await clients.expectAgreement()
      #expect(status.orders == 300)
      for client in clients {
        try await eventually("all are linked again") { try await client.peers().filter(\.connected).count == 2 }
      }
    }
  }

  @Test(.timeLimit(.minutes(1))) func whatWasAcknowledgedSurvivesAKill() async throws {
    try await withCluster(3) { cluster in
      try await cluster.start("n1")
      try await cluster.start("n2", peers: ["n1"])
      let seed = try cluster.address("n1")
      var process = try cluster.launch("n3", peers: [seed])
      let acknowledged = AcceptedOrders()
      let instrument = try await cluster.defineInstrument()
      for round in 1...2 as ClosedRange<UInt64> {
        let client = try await RialtoClient.connect(to: try await process.address(), account: AccountID(1))
        _ = try await eventually("it has the instrument") { try await client.instruments().first }
        try await client.accepted(.limit(instrument, .buy, 1, 1))
        let before = acknowledged.count
        var flow = TestFlow(instrument, seed: round)
        // As much under way as there may be when the kill comes.
        for _ in 0..<4_000 {
          let (id, command) = flow.order()
          client.submit([command]) { _, outcome in
            if case .accepted(let acceptance) = outcome { acknowledged.add(id, acceptance) }
          }
        }
        try await eventually("some are acknowledged") { acknowledged.count >= before + 50 }
        process.signal(SIGKILL)
        #expect(try await process.exitCode() == -SIGKILL)
        try await eventually("the client has noticed") { !client.isConnected }
        process = try cluster.launch("n3", peers: [seed])
      }
      let restarted = try await RialtoClient.connect(to: try await process.address(), account: AccountID(1))
      let clients = [try await cluster.connect("n1"), try await cluster.connect("n2"), restarted]
      _ = try await clients.expectAgreement()
      let all = acknowledged.all
      #expect(all.count >= 100)
      for (id, acceptance) in all {
        for client in [clients[0], restarted] {
          let detail = try await client.order(.dot(acceptance.dot))
          #expect(detail.clientOrderID == ClientOrderID(id) && detail.stamp == acceptance.stamp)
        }
        #expect(try await restarted.order(.client(ClientOrderID(id))).dot == acceptance.dot)
      }
      process.signal(SIGTERM)
      #expect(try await process.exitCode() == 0)
    }
  }

  @Test(.timeLimit(.minutes(1)), arguments: [SIGTERM, SIGINT])
  func aSignalEndsTheProcessSoon(_ signal: Int32) async throws {
    try await withCluster(2) { cluster in
      try await cluster.start("n1")
      let process = try cluster.launch("n2", peers: [try cluster.address("n1")])
      let address = try await process.address()
      let instrument = try await cluster.defineInstrument()
      let client = try await RialtoClient.connect(to: address, account: AccountID(1))
      let acceptance = try await client.accepted(.limit(instrument, .buy, 5, 1))
      // Somebody who does not read, and somebody in the middle of a handshake, hold nothing up.
      let idle = try RawConnection(to: address)
      let started = ContinuousClock.now
      process.signal(signal)
      #expect(try await process.exitCode() == 0)
      #expect(ContinuousClock.now - started < .seconds(3))
      try await eventually("the client is told") { !client.isConnected }
      await #expect(throws: ClientError.self) { try await client.ping() }
      #expect(try await idle.end() == .closed)
      #expect(process.errors.isEmpty, "\(process.errors)")
      // Nothing of it is lost.
      try await cluster.start("n2", peers: ["n1"])
      try await cluster.connect("n2").order(acceptance.dot, is: .open)
    }
  }
}

/// Acknowledged orders with their client order ids.
private final class AcceptedOrders: Sendable {
  private let orders = Mutex<[(id: UInt64, acceptance: Acceptance)]>([])
  var all: [(id: UInt64, acceptance: Acceptance)] { orders.withLock { $0 } }
  var count: Int { orders.withLock { $0.count } }
  func add(_ id: UInt64, _ acceptance: Acceptance) { orders.withLock { $0.append((id, acceptance)) } }
}
