import Client
import OrderBook
import Primitives
import Synchronization
import Testing
import Wire

/// A book that somebody keeps who only hears of its changes.
private struct MirroredBook {
  private(set) var levels: [Side: [Int64: MarketLevel]] = [.buy: [:], .sell: [:]]
  private(set) var sequence: UInt64?
  private(set) var bookHash = Hash256.zero
  private(set) var trades: [MarketTrade] = []
  private(set) var snapshots = 0

  mutating func take(_ event: MarketEvent) {
    switch event {
    case .snapshot(let snapshot):
      snapshots += 1
      levels[.buy] = Dictionary(uniqueKeysWithValues: snapshot.sides.bids.map { ($0.priceTicks, $0) })
      levels[.sell] = Dictionary(uniqueKeysWithValues: snapshot.sides.asks.map { ($0.priceTicks, $0) })
      sequence = snapshot.sequence
      bookHash = snapshot.bookHash
    case .change(let change):
      #expect(change.sequence == (sequence ?? 0) + 1, "changes are not consecutive")
      sequence = change.sequence
      for level in change.levels {
        levels[level.side]?[level.level.priceTicks] = level.level.quantityLots == 0 ? nil : level.level
      }
      trades += change.trades
      if let hash = change.bookHash { bookHash = hash }
    }
  }

  var sides: MarketSides {
    MarketSides(
      bids: (levels[.buy] ?? [:]).values.sorted { $0.priceTicks > $1.priceTicks },
      asks: (levels[.sell] ?? [:]).values.sorted { $0.priceTicks < $1.priceTicks })
  }
}

@Suite(.endsIfItHangs) struct MarketDataTests {
  @Test func aBookRebuiltFromChangesIsTheNodesOwn() async throws {
    try await withCluster(3) { cluster in
      try await cluster.startAll()
      let instrument = try await cluster.defineInstrument()
      var clients: [RialtoClient] = []
      for name in cluster.names { clients.append(try await cluster.connect(name)) }
      var before = TestFlow(instrument, seed: 5)
      try await before.run(50, to: clients[0])

      // The listener is at one node, the flow comes by the others.
      let mirror = Mutex(MirroredBook())
      let stream = try await clients[2].subscribe(symbol: TestCluster.symbol)
      let reader = Task { for try await event in stream { mirror.withLock { $0.take(event) } } }
      defer { reader.cancel() }
      try await withThrowingTaskGroup(of: Void.self) { group in
        for index in 0..<2 {
          let client = clients[index]
          group.addTask {
            var flow = TestFlow(instrument, seed: UInt64(index) + 10)
            try await flow.run(200, to: client)
          }
        }
        try await group.waitForAll()
      }
      // However few rounds that took: more until several were told.
      var more = TestFlow(instrument, seed: 20)
      try await eventually("several changes are told") {
        if mirror.withLock({ ($0.sequence ?? 0) > 3 }) { return true }
        try await more.run(1, to: clients[0])
        return false
      }
      let status = try await clients.expectAgreement()
      let newest = try await clients[2].trades(count: 1).first
      try await eventually("the last hash and the last trade have been told") {
        mirror.withLock { $0.bookHash.description == status.bookHash && $0.trades.last == newest }
      }
      let book = try await clients[2].book(symbol: TestCluster.symbol, depth: ClientLimits.levelsPerSideMax)
      let seen = mirror.withLock { $0 }
      #expect(seen.sides == book.sides)
      #expect(book.bookHash == seen.bookHash)
      #expect(seen.snapshots == 1)
      // Every trade since the snapshot is among the node's own, in its order.
      let all = try await clients[2].trades(count: ClientLimits.tradesMax)
      #expect(!seen.trades.isEmpty)
      #expect(Array(all.prefix(seen.trades.count).reversed()) == seen.trades)
    }
  }

  @Test func anInstrumentDefinedLaterBeginsWithASnapshot() async throws {
    try await withCluster(1) { cluster in
      try await cluster.startAll()
      let client = try await cluster.connect("n1")
      let stream = try await client.subscribe(symbol: nil)
      let events = Mutex<[MarketEvent]>([])
      let reader = Task { for try await event in stream { events.withLock { $0.append(event) } } }
      defer { reader.cancel() }
      let instrument = try await cluster.defineInstrument()
      try await client.accepted(.limit(instrument, .buy, 10, 2))
      try await eventually("the level has been told") {
        var mirror = MirroredBook()
        for event in events.withLock({ $0 }) { mirror.take(event) }
        return mirror.snapshots == 1 && mirror.sides.bids.map(\.quantityLots) == [2]
      }
    }
  }

  @Test func subscriptionsAreBoundedAndEndWhenAsked() async throws {
    try await withCluster(1) { cluster in
      try await cluster.startAll()
      let instrument = try await cluster.defineInstrument()
      let raw = try await cluster.rawClient(to: "n1")
      for number in 1...65 as ClosedRange<UInt64> {
        raw.send(.subscribe(SubscribeRequest(request: number, symbol: TestCluster.symbol, content: .levels)))
      }
      var refused: [UInt64] = []
      var snapshots = 0
      while refused.isEmpty {
        guard case .frame(let frame) = try await raw.next() else { break }
        switch try NodeMessage.decode(frame) {
        case .refused(let run):
          #expect(run.refusal.code == .tooMany)
          refused.append(run.firstRequest)
        case .marketSnapshot: snapshots += 1
        default: break
        }
      }
      #expect(refused == [65] && snapshots == 64)
      for number in 1...63 as ClosedRange<UInt64> { raw.send(.unsubscribe(subscription: number)) }
      raw.send(.ping(nonce: 4))
      try await eventually("the pong") {
        guard case .frame(let frame) = try await raw.next() else { return false }
        return try NodeMessage.decode(frame) == .pong(nonce: 4)
      }
      // What changes now is told to the one that is left.
      try await cluster.connect("n1").accepted(.limit(instrument, .buy, 10, 2))
      guard case .frame(let frame) = try await raw.next(),
        case .marketChange(let change) = try NodeMessage.decode(frame)
      else {
        Issue.record("no change came")
        return
      }
      #expect(change.subscription == 64 && change.levels.count == 1)
    }
  }

  @Test func theReservedSubscriptionIsRefused() async throws {
    try await withCluster(1) { cluster in
      try await cluster.startAll()
      let raw = try await cluster.rawClient(to: "n1")
      raw.send(.subscribe(SubscribeRequest(request: 3, symbol: nil, content: [.levels, .accountOrders])))
      guard case .frame(let frame) = try await raw.next(), case .refused(let run) = try NodeMessage.decode(frame) else {
        Issue.record("not refused")
        return
      }
      #expect(run.firstRequest == 3 && run.refusal.code == .unsupported)
    }
  }
}
