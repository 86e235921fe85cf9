import Client
import Foundation
import OrderBook
import Primitives
import Testing
import Wire

/// A client that asks and does not read costs the node a bounded amount of memory, and nobody else anything.
@Suite(.endsIfItHangs) struct SlowClientTests {
  static let levels = 2_000

  /// A node in a process of its own, so that its memory can be seen, with a deep book.
  private func withDeepBook(_ body: (NodeProcess, Witness, Dot) async throws -> Void) async throws {
    try await withCluster(1) { cluster in
      let process = try cluster.launch("n1")
      let witness = Witness(process, try await process.connect(clusterID: cluster.genesis.clusterID))
      let instrument = try await witness.ask { client in
        try await client.accepted(.instrument(Instrument(symbol: TestCluster.symbol))).dot
      }
      var commands: [Command] = []
      for index in 0..<Int64(Self.levels) {
        commands.append(.limit(instrument, .buy, 1_000_000_000 - index * 1_000_000 / 2, 1 << 40))
        commands.append(.limit(instrument, .sell, 2_000_000_000 + index * 1_000_000, 1 << 40))
      }
      for start in stride(from: 0, to: commands.count, by: 100) {
        let some = Array(commands[start..<start + 100])
        _ = try await witness.ask { try await $0.submit(some) }
      }
      _ = try await witness.ask { try await [$0].quiet() }
      try await body(process, witness, instrument)
      process.signal(SIGTERM)
      #expect(try await process.exitCode() == 0)
    }
  }

  /// Sends `request(n)` for ever, reads nothing, until the node is done with this client.
  private func flood(
    _ process: NodeProcess, _ witness: Witness, _ request: (UInt64) -> [ClientRequest]
  ) async throws {
    let before = try process.residentBytes()
    var most = before
    let raw = try await process.rawClient()
    var number: UInt64 = 1
    var rest: [UInt8] = []
    try await eventually("the stalled client is dropped", seconds: 5 * Patience.seconds) {
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
      try await witness.ask { try await $0.ping() }
      most = max(most, try process.residentBytes())
      return process.errors.contains("slow client dropped")
    }
    try await eventually("it says so") { process.errors.contains("slow client dropped") }
    let grown = most - before
    #expect(grown < 4 * Limits.clientQueueBytesMax, "\(grown >> 20) MiB more")
    // It is over for this one, whether it reads now or not.
    if case .refused = try await raw.end() { Issue.record("refused after the handshake") }
    try await witness.ask { try await $0.ping() }
  }

  @Test func whoAsksAndDoesNotReadIsDropped() async throws {
    try await withDeepBook { process, witness, instrument in
      try await flood(process, witness) { number in
        [.query(request: number, .book(TestCluster.symbol, depth: Self.levels, .tentative))]
      }
      try await witness.ask { try await $0.accepted(.limit(instrument, .buy, 1, 1)) }
    }
  }

  @Test func aSubscriberThatDoesNotReadIsDropped() async throws {
    try await withDeepBook { process, witness, instrument in
      try await flood(process, witness) { number in
        // Each subscription begins with the whole book.
        let subscribe = SubscribeRequest(request: number, symbol: TestCluster.symbol, content: .levels)
        return [.subscribe(subscribe), .unsubscribe(subscription: number)]
      }
      try await witness.ask { try await $0.accepted(.limit(instrument, .buy, 1, 1)) }
    }
  }

  @Test func aStalledClientIsToldWhy() async throws {
    try await withDeepBook { process, witness, _ in
      // All at once, so that the node is past its limit before it has sent anything to speak of.
      var writer = ByteWriter()
      for number in 1...2_000 as ClosedRange<UInt64> {
        ClientRequest.query(request: number, .book(TestCluster.symbol, depth: Self.levels, .tentative)).write(
          to: &writer)
      }
      // The goodbye stands behind everything that waited, and the node waits a second for that to be read: again if
      // this was not fast enough.
      let reason = try await eventually("a goodbye") { () -> String? in
        let raw = try await process.rawClient()
        raw.send(writer.bytes)
        guard case .goodbye(let reason) = try await raw.end() else { return nil }
        return reason
      }
      #expect(reason.contains("too slow: 16 MiB wait to be read"))
      try await witness.ask { try await $0.ping() }
      #expect(process.isRunning)
    }
  }
}

/// Somebody else whom the node is to serve meanwhile.
///
/// The library gives a node up that says nothing for 15 s, which on a busy machine means nothing: then it comes back
/// and asks again. Nothing that these tests ask does harm if it is done twice.
private final class Witness {
  private let process: NodeProcess
  private var client: RialtoClient

  init(_ process: NodeProcess, _ client: RialtoClient) {
    self.process = process
    self.client = client
  }

  @discardableResult
  func ask<Value>(_ body: (RialtoClient) async throws -> Value) async throws -> Value {
    try await eventually("others are served") {
      do {
        return try await body(client)
      } catch ClientError.connectionLost {
        client = try await process.connect()
        return nil
      }
    }
  }
}
