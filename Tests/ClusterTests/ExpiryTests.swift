import Client
import OrderBook
import Primitives
import Synchronization
import Testing

/// Orders whose date passes while nobody sends anything.
@Suite(.endsIfItHangs) struct ExpiryTests {
  private func order(
    _ instrument: Dot, _ price: Int64, lots: Int64, stop: Int64 = 0, until expiry: Stamp
  ) -> Command {
    .order(
      Order(
        instrument: instrument, account: AccountID(1), side: .buy, type: stop == 0 ? .limit : .stopLimit,
        timeInForce: .goodTillDate, priceTicks: price, quantityLots: lots, stopPriceTicks: stop, expiry: expiry))
  }

  /// Submits commands at once that name a date soon after their stamps; later if this machine is that slow, when those
  /// before had no effect.
  private func submit(
    to client: RialtoClient, _ commands: (Stamp) -> [Command]
  ) async throws -> (acceptances: [Acceptance], expiry: Stamp) {
    for milliseconds in [1_500, 6_000, 24_000] as [UInt64] {
      let expiry = Stamp(milliseconds: nowMilliseconds() + milliseconds)
      let acceptances = try await client.submit(commands(expiry)).map { outcome in
        guard case .accepted(let acceptance) = outcome else { throw TimedOut(description: "not taken: \(outcome)") }
        return acceptance
      }
      if let last = acceptances.last, last.stamp < expiry { return (acceptances, expiry) }
    }
    throw TimedOut(description: "not even 24 s were enough to take an order")
  }

  @Test func everyViewOfAnIdleClusterShowsWhatHasExpired() async throws {
    try await withCluster(3) { cluster in
      try await cluster.startAll()
      let instrument = try await cluster.defineInstrument()
      let told = UpdateRecorder()
      let owner = try await cluster.connect("n1", onUpdates: told.record)
      var clients: [RialtoClient] = []
      for name in cluster.names { clients.append(try await cluster.connect(name)) }
      let levels = Mutex<[Int64: UInt128]>([:])
      let stream = try await clients[2].subscribe(symbol: TestCluster.symbol)
      let reader = Task {
        for try await event in stream {
          guard case .change(let change) = event else { continue }
          levels.withLock { levels in
            for changed in change.levels { levels[changed.level.priceTicks] = changed.level.quantityLots }
          }
        }
      }
      defer { reader.cancel() }

      let stays = try await owner.accepted(.limit(instrument, .buy, 10, 2))
      let (placed, _) = try await submit(to: owner) { expiry in
        [
          order(instrument, 10, lots: 4, until: expiry), order(instrument, 11, lots: 5, until: expiry),
          .limit(instrument, .sell, 11, 3, timeInForce: .immediateOrCancel),
        ]
      }
      let (some, alone) = (placed[0], placed[1])
      let before = try await clients.expectAgreement()

      // From here on nobody sends anything.
      for client in clients {
        try await eventually("the book without them") {
          let book = try await client.book(symbol: TestCluster.symbol)
          return book.bids.map(\.quantityLots) == [2] && book.bids.map(\.orders) == [1]
        }
        let untouched = try await client.order(some.dot, is: .expired)
        #expect(untouched.openLots == 0 && untouched.filledLots == 0 && untouched.isFinal)
        let traded = try await client.order(alone.dot, is: .expired)
        #expect(traded.openLots == 0 && traded.filledLots == 3 && traded.isFinal && traded.fills.count == 1)
        #expect(try await client.openOrders().map(\.dot) == [stays.dot])
        let status = try await client.status()
        #expect(status.restingOrders == 1)
        // Unless a node has said something of its own accord.
        #expect(status.entries > before.entries || status.bookHash == before.bookHash)
      }
      #expect(try await told.last(of: some.dot, is: .expired).openLots == 4)
      #expect(try await told.last(of: alone.dot, is: .expired).filledLots == 3)
      // Not even told of, if they came and went between two rounds.
      try await eventually("the levels have been told") { levels.withLock { ($0[11] ?? 0) == 0 && $0[10] == 2 } }

      // The next entry takes them out of the book: nothing is told twice, nothing comes back.
      try await clients[1].accepted(.limit(instrument, .buy, 9, 1))
      let after = try await clients.expectAgreement()
      #expect(after.bookHash != before.bookHash)
      try await eventually("the new level has been told") { levels.withLock { $0[9] == 1 } }
      #expect(levels.withLock { $0.filter { $0.value > 0 } } == [10: 2, 9: 1])
      for client in clients {
        let detail = try await client.order(.dot(alone.dot))
        #expect(detail.status == .expired && detail.openLots == 0 && detail.filledLots == 3 && detail.isFinal)
      }
      #expect(told.all(of: some.dot).map(\.state) == [.open, .open, .expired], "open twice: now for good")
      #expect(
        told.all(of: alone.dot).last?.state == .expired
          && told.all(of: alone.dot).allSatisfy { !$0.flags.contains(.correction) })
    }
  }

  /// A stop that waits expires too, and a node that starts again finds out what it showed before.
  @Test func whatHasExpiredIsExpiredAfterARestart() async throws {
    try await withCluster(1) { cluster in
      try await cluster.startAll()
      let instrument = try await cluster.defineInstrument()
      let told = UpdateRecorder()
      var client = try await cluster.connect("n1", onUpdates: told.record)
      let (placed, _) = try await submit(to: client) { [order(instrument, 20, lots: 3, stop: 15, until: $0)] }
      let stop = placed[0]
      try await told.last(of: stop.dot, is: .expired)
      #expect(told.all(of: stop.dot).map(\.state) == [.open, .open, .expired], "open twice: now for good")
      let entries = try await [client].rested()[0].entries
      for _ in 0..<2 {
        let detail = try await client.order(stop.dot, is: .expired)
        #expect(!detail.isWaiting && detail.openLots == 0)
        #expect(try await client.openOrders().isEmpty)
        #expect(try await client.status().entries == entries)
        try await cluster.stop("n1")
        try await cluster.startAll()
        client = try await cluster.connect("n1")
      }
    }
  }

  /// Without the other member nothing is final, so nothing has expired for good.
  @Test func whileNothingBecomesFinalNothingExpires() async throws {
    try await withCluster(2) { cluster in
      try await cluster.startAll()
      let instrument = try await cluster.defineInstrument()
      let client = try await cluster.connect("n1")
      try await cluster.stop("n2")
      let (placed, expiry) = try await submit(to: client) { [order(instrument, 10, lots: 4, until: $0)] }
      let dot = placed[0].dot
      try await eventually("its date has come") { nowMilliseconds() > expiry.milliseconds + 500 }
      #expect(try await client.status().finalStamp < expiry.value)
      #expect(try await client.order(.dot(dot)).status == .open)
      #expect(try await client.book(symbol: TestCluster.symbol).bids.map(\.quantityLots) == [4])
      try await cluster.start("n2", peers: ["n1"])
      try await client.order(dot, is: .expired)
      #expect(try await client.book(symbol: TestCluster.symbol).bids.isEmpty)
      try await cluster.connect("n2").order(dot, is: .expired)
    }
  }
}
