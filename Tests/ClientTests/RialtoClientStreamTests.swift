import OrderBook
import Primitives
import Testing
import Wire

@testable import Client

@Suite(.endsIfItHangs)
struct RialtoClientStreamTests {
  private static let symbol = Symbol("BTC-USD")!

  private static func snapshot(_ subscription: UInt64, _ sequence: UInt64) -> MarketSnapshot {
    MarketSnapshot(
      subscription: subscription, symbol: symbol, sequence: sequence, bookHash: .zero, sides: MarketSides())
  }

  private static func change(_ subscription: UInt64, _ sequence: UInt64) -> MarketChange {
    let level = MarketLevel(priceTicks: Int64(sequence), quantityLots: 1, orders: 1)
    return MarketChange(
      subscription: subscription, symbol: symbol, sequence: sequence,
      levels: [Client.LevelChange(side: .buy, level: level)])
  }

  /// `s10` for a snapshot with sequence 10, `c11` for a change.
  private static func mark(_ event: MarketEvent) -> String {
    switch event {
    case .snapshot(let snapshot): "s\(snapshot.sequence)"
    case .change(let change): "c\(change.sequence)"
    }
  }

  // MARK: Market

  @Test func aGapBringsAFreshSnapshot() async throws {
    // First subscription: snapshot 10, changes 11, 12, then 14. Second: snapshot 20, change 21.
    try await withClient(script: { request, connection in
      guard case .subscribe(let subscribe) = request else { return }
      let number = subscribe.request
      connection.counter += 1
      connection.send(.answer(request: number, .subscribed))
      if connection.counter == 1 {
        connection.send(.marketSnapshot(Self.snapshot(number, 10)))
        for sequence: UInt64 in [11, 12, 14, 15] { connection.send(.marketChange(Self.change(number, sequence))) }
      } else {
        // What the first one had under way still comes.
        connection.send(.marketChange(Self.change(1, 16)))
        connection.send(.marketSnapshot(Self.snapshot(number, 20)))
        connection.send(.marketChange(Self.change(number, 21)))
      }
    }) { client, node in
      var marks: [String] = []
      for try await event in try await client.subscribe(symbol: Self.symbol) {
        marks.append(Self.mark(event))
        if marks.count == 5 { break }
      }
      #expect(marks == ["s10", "c11", "c12", "s20", "c21"])
      let all = SubscribeRequest.Content([.levels, .trades])
      #expect(
        node.asked.prefix(3) == [
          .subscribe(SubscribeRequest(request: 1, symbol: Self.symbol, content: all)), .unsubscribe(subscription: 1),
          .subscribe(SubscribeRequest(request: 2, symbol: Self.symbol, content: all)),
        ])
      // The stream is gone by now, and the subscription with it.
      while node.asked.count < 4 { try await Task.sleep(for: .milliseconds(5)) }
      #expect(node.asked.last == .unsubscribe(subscription: 2))
    }
  }

  @Test func gapsWithoutEndFailTheSubscription() async throws {
    try await withClient(script: { request, connection in
      guard case .subscribe(let subscribe) = request else { return }
      connection.send(.answer(request: subscribe.request, .subscribed))
      connection.send(.marketSnapshot(Self.snapshot(subscribe.request, 1)))
      connection.send(.marketChange(Self.change(subscribe.request, 3)))
    }) { client, _ in
      let error = await #expect(throws: ClientError.self) {
        for try await _ in try await client.subscribe(symbol: nil) {}
      }
      guard case .protocolViolation? = error else { Issue.record("\(String(describing: error))"); return }
      #expect(client.isConnected)
    }
  }

  @Test func aRefusedSubscriptionThrows() async throws {
    let refusal = RequestRefusal(.unknownSymbol, "no instrument NOPE")
    try await withClient(script: { request, connection in
      guard case .subscribe(let subscribe) = request else { return }
      connection.send(.refused(RefusedRun(firstRequest: subscribe.request, refusal: refusal)))
    }) { client, _ in
      await #expect(throws: ClientError.requestRefused(refusal)) { try await client.subscribe(symbol: Symbol("NOPE")!) }
    }
  }

  /// A reader that sleeps through ten thousand changes costs a bounded buffer, and starts afresh when it wakes.
  @Test func aSlowReaderGetsAFreshSnapshot() async throws {
    let flood = UInt64(10_000)
    try await withClient(script: { request, connection in
      switch request {
      case .subscribe(let subscribe):
        let number = subscribe.request
        connection.counter += 1
        connection.send(.answer(request: number, .subscribed))
        if connection.counter == 1 {
          var writer = ByteWriter()
          NodeMessage.marketSnapshot(Self.snapshot(number, 0)).write(to: &writer)
          for sequence in 1...flood { NodeMessage.marketChange(Self.change(number, sequence)).write(to: &writer) }
          connection.send(bytes: writer.bytes)
        } else {
          connection.send(.marketSnapshot(Self.snapshot(number, 50_000)))
          connection.send(.marketChange(Self.change(number, 50_001)))
        }
      case .ping(let nonce): connection.send(.pong(nonce: nonce))
      case .submit, .query, .unsubscribe, .ownUpdates: break
      }
    }) { client, node in
      let market = try await client.subscribe(symbol: Self.symbol)
      // When the pong is here, so is everything before it; other calls do not mind a slow reader.
      try await client.ping()
      // The node need not go on sending what nobody reads.
      while !node.asked.contains(.unsubscribe(subscription: 1)) { try await Task.sleep(for: .milliseconds(5)) }
      #expect(node.asked.filter { if case .subscribe = $0 { true } else { false } }.count == 1)
      var iterator = market.makeAsyncIterator()
      #expect(try await iterator.next().map(Self.mark) == "s50000")
      #expect(try await iterator.next().map(Self.mark) == "c50001")
    }
  }

  @Test func aCancelledReaderEnds() async throws {
    try await withClient(script: { request, connection in
      guard case .subscribe(let subscribe) = request else { return }
      connection.send(.answer(request: subscribe.request, .subscribed))
    }) { client, _ in
      let market = try await client.subscribe(symbol: nil)
      let task = Task {
        var count = 0
        for try await _ in market { count += 1 }
        return count
      }
      task.cancel()
      #expect(try await task.value == 0)
    }
  }

  // MARK: Updates

  @Test func updatesComeInOrder() async throws {
    let updates = (1...10_000).map { OrderUpdate(entry: Dot(origin: OriginIndex(1), sequence: $0), state: .open) }
    try await withClient(script: { request, connection in
      guard case .ownUpdates = request else { return }
      var writer = ByteWriter()
      writer.write(updates: updates)
      connection.send(bytes: writer.bytes)
    }) { client, node in
      client.setUpdates(true)
      var seen: [OrderUpdate] = []
      for await update in client.updates {
        seen.append(update)
        if seen.count == updates.count { break }
      }
      #expect(seen == updates)
      #expect(client.updatesDropped == 0)
      #expect(node.asked == [.ownUpdates(true)])
    }
  }

  @Test func droppedUpdatesAreCounted() async throws {
    let count = UInt64(ClientLimits.updatesBufferedMax) + 1_000
    try await withClient(script: { request, connection in
      guard case .ping(let nonce) = request else { return }
      var writer = ByteWriter()
      writer.write(
        updates: (1...count).map { OrderUpdate(entry: Dot(origin: OriginIndex(1), sequence: $0), state: .open) })
      NodeMessage.pong(nonce: nonce).write(to: &writer)
      connection.send(bytes: writer.bytes)
    }) { client, _ in
      try await client.ping()
      #expect(client.updatesDropped == 1_000)
      var iterator = client.updates.makeAsyncIterator()
      #expect(await iterator.next()?.entry.sequence == 1_001, "the oldest give way")
    }
  }
}
