import Client
import Foundation
import OrderBook
import Primitives
import Testing
import Wire

/// A client that asks and does not read costs the node a bounded amount of memory, and nobody else anything.
@Suite struct SlowClientTests {
  static let levels = 2_000

  /// A node in a process of its own, so that its memory can be seen, with a deep book.
  private func withDeepBook(_ body: (NodeProcess, Address, RialtoClient, Dot) async throws -> Void) async throws {
    try await withCluster(1) { cluster in
      let process = try cluster.launch("n1")
      let address = try await process.address()
      let client = try await RialtoClient.connect(
        to: address, account: AccountID(1), clusterID: cluster.genesis.clusterID)
      let instrument = try await client.accepted(.instrument(Instrument(symbol: TestCluster.symbol))).dot
      var commands: [Command] = []
      for index in 0..<Int64(Self.levels) {
        commands.append(.limit(instrument, .buy, 1_000_000_000 - index * 1_000_000 / 2, 1 << 40))
        commands.append(.limit(instrument, .sell, 2_000_000_000 + index * 1_000_000, 1 << 40))
      }
      _ = try await client.submit(commands)
      _ = try await [client].quiet()
      try await body(process, address, client, instrument)
      process.signal(SIGTERM)
      #expect(try await process.exitCode() == 0)
    }
  }

  /// Sends `request(n)` for ever, reads nothing, until the node is done with this client.
  private func flood(
    _ address: Address, _ witness: RialtoClient, _ process: NodeProcess, _ request: (UInt64) -> [ClientRequest]
  ) async throws {
    let before = try process.residentBytes()
    var most = before
    let raw = try RawConnection(to: address)
    try await raw.shake(
      Handshake.client(
        clusterID: nil, account: 7, name: "stalled", nonce: RawConnection.nonce(),
        signatures: Ed25519(seed: Array(repeating: 1, count: 32))!))
    var number: UInt64 = 1
    var rest: [UInt8] = []
    try await eventually("the stalled client is dropped", seconds: 40) {
      for _ in 0..<200 {
        if rest.isEmpty {
          var writer = ByteWriter()
          for request in request(number) { request.write(to: &writer) }
          rest = writer.bytes
          number += 1
        }
        guard let sent = raw.sendWhatFits(rest) else { return true }
        rest.removeFirst(sent)
        if !rest.isEmpty { break }
      }
      // Others are served all the while.
      try await witness.ping()
      most = max(most, try process.residentBytes())
      return process.errors.contains("slow client dropped")
    }
    #expect(process.errors.contains("slow client dropped"))
    let grown = most - before
    #expect(grown < 4 * Limits.clientQueueBytesMax, "\(grown >> 20) MiB more")
    // It is over for this one, whether it reads now or not.
    if case .refused = try await raw.end() { Issue.record("refused after the handshake") }
    try await witness.ping()
  }

  @Test(.timeLimit(.minutes(1))) func whoAsksAndDoesNotReadIsDropped() async throws {
    try await withDeepBook { process, address, witness, instrument in
      try await flood(address, witness, process) { number in
        [.query(request: number, .book(TestCluster.symbol, depth: Self.levels))]
      }
      try await witness.accepted(.limit(instrument, .buy, 1, 1))
    }
  }

  @Test(.timeLimit(.minutes(1))) func aSubscriberThatDoesNotReadIsDropped() async throws {
    try await withDeepBook { process, address, witness, instrument in
      try await flood(address, witness, process) { number in
        // Each subscription begins with the whole book.
        let subscribe = SubscribeRequest(request: number, symbol: TestCluster.symbol, content: .levels)
        return [.subscribe(subscribe), .unsubscribe(subscription: number)]
      }
      try await witness.accepted(.limit(instrument, .buy, 1, 1))
    }
  }

  @Test(.timeLimit(.minutes(1))) func aStalledClientIsToldWhy() async throws {
    try await withDeepBook { process, address, witness, _ in
      let raw = try RawConnection(to: address)
      try await raw.shake(
        Handshake.client(
          clusterID: nil, account: 7, name: "stalled", nonce: RawConnection.nonce(),
          signatures: Ed25519(seed: Array(repeating: 1, count: 32))!))
      // All at once, so that the node is past its limit before it has sent anything to speak of.
      var writer = ByteWriter()
      for number in 1...2_000 as ClosedRange<UInt64> {
        ClientRequest.query(request: number, .book(TestCluster.symbol, depth: Self.levels)).write(to: &writer)
      }
      raw.send(writer.bytes)
      // Reads from now on: the goodbye stands behind everything that waited.
      guard case .goodbye(let reason) = try await raw.end() else {
        Issue.record("no goodbye")
        return
      }
      #expect(reason.contains("too slow: 16 MiB wait to be read"))
      try await witness.ping()
      #expect(process.isRunning)
    }
  }
}
