import Client
import OrderBook
import Primitives
import Testing
import Wire

@testable import Node

/// Links between members that go silent, break or come twice.
@Suite(.endsIfItHangs) struct LinkTests {
  private func isConnected(_ client: RialtoClient, to name: String) async throws -> Bool {
    try await client.peers().first { $0.name == name }?.connected == true
  }

  @Test func aMemberThatSaysNothingIsClosedAndMayComeAgain() async throws {
    try await withCluster(2) { cluster in
      try await cluster.start("n1")
      let client = try await cluster.connect("n1")
      // Again if this looks too late to see the link before it is gone.
      let (wasClosed, waited) = try await eventually("the link counts") { () -> (Bool, Duration)? in
        // The silence begins with the handshake, so not before this.
        let started = ContinuousClock.now
        let silent = try await cluster.rawMember("n2", to: "n1", isSilent: true)
        let counts: Void? = try? await eventually("it counts", seconds: 1) { try await isConnected(client, to: "n2") }
        let end = try await silent.end()
        return counts != nil ? (end == .closed, ContinuousClock.now - started) : nil
      }
      #expect(wasClosed)
      #expect(waited > .milliseconds(NodeServer.linkSilenceMilliseconds), "closed too soon: \(waited)")
      try await eventually("the link is gone") { try await !isConnected(client, to: "n2") }
      #expect(cluster.log.contains("nothing heard for 2000 ms"))

      try await cluster.start("n2", peers: ["n1"])
      let clients = [client, try await cluster.connect("n2")]
      let instrument = try await cluster.defineInstrument()
      try await clients[1].accepted(.limit(instrument, .buy, 10, 1))
      _ = try await clients.expectAgreement()
    }
  }

  /// The members here say all the time that they are there, so their links do not end by silence.
  @Test func aRestartedMemberReplacesItsOldLinkAtOnce() async throws {
    try await withCluster(2) { cluster in
      try await cluster.start("n1")
      let client = try await cluster.connect("n1")
      let seen = try await cluster.undisturbed("the newer process stays") { () -> [Bool] in
        let old = try await cluster.rawMember("n2", to: "n1", boot: 1)
        try await eventually("the link counts") { try await isConnected(client, to: "n2") }
        // Another boot number: the process behind the old link is no more.
        let new = try await cluster.rawMember("n2", to: "n1", boot: 2)
        let isOldClosed = try await old.end() == .closed
        let countsAfterOld = try await isConnected(client, to: "n2")
        // The same boot number, so a second connection of one process: one of the two goes, the link stays.
        let second = try await cluster.rawMember("n2", to: "n1", boot: 2)
        let extra = cluster.origin("n1") < cluster.origin("n2") ? second : new
        let isExtraClosed = try await extra.end() == .closed
        let countsAfterExtra = try await isConnected(client, to: "n2")
        withExtendedLifetime([old, new, second]) {}
        return [isOldClosed, countsAfterOld, isExtraClosed, countsAfterExtra]
      }
      #expect(seen == [true, true, true, true], "old closed, link counts, extra closed, link counts")
      try await client.ping()
    }
  }

  @Test func aMemberThatReturnsOnAnotherPortIsFoundByThoseWhoWereNotTold() async throws {
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
        let address = try cluster.address("n2").description
        try await eventually("it is back, and known to be there") {
          try await client.peers().contains { $0.name == "n2" && $0.connected && $0.address == address }
        }
      }
      let all = clients + [try await cluster.connect("n2")]
      _ = try await all.expectAgreement()
      for client in all { #expect(try await client.order(.dot(order.dot)).status == .open) }
    }
  }

  @Test func nodesThatDialEachOtherAtOnceKeepOneLink() async throws {
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
