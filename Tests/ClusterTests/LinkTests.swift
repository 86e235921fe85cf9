import Client
import Node
import OrderBook
import Primitives
import Testing
import Wire

/// Links between members that go silent, break or come twice.
@Suite struct LinkTests {
  private func isConnected(_ client: RialtoClient, to name: String) async throws -> Bool {
    try await client.peers().first { $0.name == name }?.connected == true
  }

  @Test(.timeLimit(.minutes(1))) func aMemberThatSaysNothingIsClosedAndMayComeAgain() async throws {
    try await withCluster(2) { cluster in
      try await cluster.start("n1")
      let client = try await cluster.connect("n1")
      let silent = try await cluster.rawMember("n2", to: "n1")
      // The silence begins with the handshake, not when this test has seen the link.
      let started = ContinuousClock.now
      try await eventually("the link counts") { try await isConnected(client, to: "n2") }
      #expect(try await silent.end() == .closed)
      let waited = ContinuousClock.now - started
      #expect(waited > .milliseconds(1_500), "closed too soon: \(waited)")
      try await eventually("the link is gone") { try await !isConnected(client, to: "n2") }
      #expect(cluster.log.contains("nothing heard for 2000 ms"))

      try await cluster.start("n2", peers: ["n1"])
      let clients = [client, try await cluster.connect("n2")]
      let instrument = try await cluster.defineInstrument()
      try await clients[1].accepted(.limit(instrument, .buy, 10, 1))
      _ = try await clients.expectAgreement()
    }
  }

  @Test(.timeLimit(.minutes(1))) func aRestartedMemberReplacesItsOldLinkAtOnce() async throws {
    try await withCluster(2) { cluster in
      try await cluster.start("n1")
      let client = try await cluster.connect("n1")
      let old = try await cluster.rawMember("n2", to: "n1", boot: 1)
      try await eventually("the link counts") { try await isConnected(client, to: "n2") }
      // Another boot number: the process behind the old link is no more.
      let new = try await cluster.rawMember("n2", to: "n1", boot: 2)
      let started = ContinuousClock.now
      #expect(try await old.end() == .closed)
      #expect(ContinuousClock.now - started < .milliseconds(1_900), "only silence ended it")
      #expect(try await isConnected(client, to: "n2"))
      // The same boot number, so a second connection of one process: one of the two goes, the link stays.
      let second = try await cluster.rawMember("n2", to: "n1", boot: 2)
      let extra = cluster.origin("n1") < cluster.origin("n2") ? second : new
      let then = ContinuousClock.now
      #expect(try await extra.end() == .closed)
      #expect(ContinuousClock.now - then < .milliseconds(1_900), "only silence ended it")
      #expect(try await isConnected(client, to: "n2"))
      try await client.ping()
    }
  }

  @Test(.timeLimit(.minutes(1))) func aMemberThatReturnsOnAnotherPortIsFoundByThoseWhoWereNotTold() async throws {
    try await withCluster(3) { cluster in
      try await cluster.startAll()
      let instrument = try await cluster.defineInstrument()
      let old = try cluster.address("n2")
      try await cluster.stop("n2")
      let clients = [try await cluster.connect("n1"), try await cluster.connect("n3")]
      for client in clients { try await eventually("it is gone") { try await !isConnected(client, to: "n2") } }
      // Two of three are a majority, but nothing is final without everybody's promise.
      let order = try await clients[0].accepted(.limit(instrument, .buy, 10, 1))
      try await cluster.start("n2", peers: ["n3"])
      #expect(try cluster.address("n2") != old)
      for client in clients {
        try await eventually("it is back") { try await isConnected(client, to: "n2") }
        let known = try await client.peers().first { $0.name == "n2" }?.address
        #expect(known == (try cluster.address("n2").description))
      }
      let all = clients + [try await cluster.connect("n2")]
      _ = try await all.expectAgreement()
      for client in all { #expect(try await client.order(.dot(order.dot)).status == .open) }
    }
  }

  @Test(.timeLimit(.minutes(1))) func nodesThatDialEachOtherAtOnceKeepOneLink() async throws {
    try await withCluster(2) { cluster in
      // Each learns of the other by itself, in the same instant, again and again.
      let first = try await cluster.start("n1").address
      var instrument: Dot?
      for _ in 0..<3 {
        try await cluster.start("n2", at: [first])
        if instrument == nil { instrument = try await cluster.defineInstrument() }
        let clients = [try await cluster.connect("n1"), try await cluster.connect("n2")]
        try await eventually("both say so") {
          let one = try await isConnected(clients[0], to: "n2")
          let other = try await isConnected(clients[1], to: "n1")
          return one && other
        }
        try await clients[1].accepted(.limit(try #require(instrument), .buy, 10, 1))
        _ = try await clients.expectAgreement()
        try await cluster.stop("n2")
      }
    }
  }
}
