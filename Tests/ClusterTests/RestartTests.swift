import Client
import Foundation
import Node
import OrderBook
import Primitives
import Synchronization
import Testing
import Wire

/// A node that stops, however it does, comes back with everything it said.
@Suite(.endsIfItHangs) struct RestartTests {
  @Test func aNodeComesBackAsItWas() async throws {
    try await withCluster(1) { cluster in
      try await cluster.startAll()
      let instrument = try await cluster.defineInstrument()
      var flow = TestFlow(instrument, seed: 4)
      try await flow.run(300, to: try await cluster.connect("n1"))
      let before = try await [cluster.connect("n1")].rested()[0]
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

  @Test func aNodeThatWasAwayFetchesWhatItMissed() async throws {
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

  @Test func whatWasAcknowledgedSurvivesAKill() async throws {
    try await withCluster(3) { cluster in
      try await cluster.start("n1")
      try await cluster.start("n2", peers: ["n1"])
      let seed = try cluster.address("n1")
      var process = try cluster.launch("n3", peers: [seed])
      let acknowledged = AcceptedOrders()
      let instrument = try await cluster.defineInstrument()
      for round in 1...2 as ClosedRange<UInt64> {
        let client = try await process.connect()
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
      let restarted = try await process.connect()
      let clients = [try await cluster.connect("n1"), try await cluster.connect("n2"), restarted]
      _ = try await clients.expectAgreement()
      let all = acknowledged.all
      #expect(all.count >= 100)
      // Thousands of questions: many at a time.
      try await withThrowingTaskGroup(of: Void.self) { group in
        for part in 0..<32 {
          group.addTask {
            for index in stride(from: part, to: all.count, by: 32) {
              let (id, acceptance) = all[index]
              for client in [clients[0], restarted] {
                let detail = try await client.order(.dot(acceptance.dot))
                #expect(detail.clientOrderID == ClientOrderID(id) && detail.stamp == acceptance.stamp)
              }
              #expect(try await restarted.order(.client(ClientOrderID(id))).dot == acceptance.dot)
            }
          }
        }
        try await group.waitForAll()
      }
      process.signal(SIGTERM)
      #expect(try await process.exitCode() == 0)
    }
  }

  @Test(arguments: [SIGTERM, SIGINT])
  func aSignalEndsTheProcessSoon(_ signal: Int32) async throws {
    try await withCluster(2) { cluster in
      try await cluster.start("n1")
      let process = try cluster.launch("n2", peers: [try cluster.address("n1")], more: ["--log-level", "debug"])
      let instrument = try await cluster.defineInstrument()
      let client = try await process.connect()
      let acceptance = try await client.accepted(.limit(instrument, .buy, 5, 1))
      // Somebody who does not read, and somebody in the middle of a handshake, hold nothing up: the node gives them up
      // after a minute and five seconds otherwise.
      let stalled = try await process.rawClient()
      let idle = try RawConnection(to: try await process.address())
      process.signal(signal)
      #expect(try await process.exitCode() == 0)
      try await eventually("the client is told") { !client.isConnected }
      await #expect(throws: ClientError.self) { try await client.ping() }
      #expect(try await idle.end() == .closed)
      #expect(try await stalled.end() == .goodbye("the node is stopping"))
      let lines = process.errors.split(separator: "\n")
      let sinceStop = lines.drop { !$0.contains("stopping") }
      #expect(!sinceStop.isEmpty && !sinceStop.contains { $0.contains("no handshake within") }, "\(process.errors)")
      // A link that was lost and came again is not its fault.
      let complaints = lines.filter { line in
        ![" debug ", " info ", " notice ", "no handshake"].contains { line.contains($0) }
      }
      #expect(complaints.isEmpty, "\(process.errors)")
      // Only who is told to leave asks the others for a view without itself.
      let members = try await cluster.connect("n1").status().members
      #expect(members == (signal == SIGTERM ? ["n1"] : ["n1", "n2"]))
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
