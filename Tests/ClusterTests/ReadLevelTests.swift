import Client
import Node
import OrderBook
import Primitives
import Testing

/// What clients are told and shown says whether it is final, and they may wait until it is.
@Suite struct ReadLevelTests {
  /// With everybody on their own nothing becomes final, and nobody is sealed.
  private func apart(_ cluster: TestCluster) async throws { try await cluster.partition(cluster.names.map { [$0] }) }

  private func refusalCode(_ body: () async throws -> Void) async throws -> RequestRefusalCode? {
    do {
      try await body()
      return nil
    } catch ClientError.requestRefused(let refusal) {
      return refusal.code
    }
  }

  @Test func whatIsTentativeIsSaidSoUntilItIsFinal() async throws {
    try await withCluster(3) { cluster in
      try await cluster.startAll()
      let instrument = try await cluster.defineInstrument()
      let updates = UpdateRecorder()
      let client = try await cluster.connect("n2", onUpdates: updates.record)
      let old = try await client.accepted(.limit(instrument, .sell, 20, 3))
      try await client.waitUntilFinal(old, timeoutMilliseconds: 5_000)
      try await apart(cluster)

      let maker = try await client.accepted(.limit(instrument, .sell, 10, 5))
      let taker = try await client.accepted(.limit(instrument, .buy, 10, 2))
      let told = try await updates.last(of: taker.dot, is: .filled)
      #expect(!told.flags.contains(.final), "one node alone makes nothing final")
      let book = try await client.book(symbol: TestCluster.symbol)
      #expect(!book.isFinal && book.asks.map(\.quantityLots) == [3, 3])
      let final = try await client.book(symbol: TestCluster.symbol, level: .final)
      #expect(final.isFinal && final.asks.map(\.quantityLots) == [3], "without what is tentative")
      #expect(final.bookHash != book.bookHash)
      #expect(try await client.openOrders().map(\.dot) == [old.dot, maker.dot])
      #expect(try await client.openOrders(level: .final).map(\.dot) == [old.dot])
      #expect(try await client.order(.dot(taker.dot)).isFinal == false)
      #expect(try await refusalCode { _ = try await client.order(.dot(taker.dot), level: .final) } == .notFound)
      #expect(try await client.trades().isEmpty)
      let trades = try await client.trades(level: .tentative)
      #expect(trades.map(\.taker) == [taker.dot] && trades.allSatisfy { !$0.isFinal })
      let late = try await refusalCode { try await client.waitUntilFinal(taker, timeoutMilliseconds: 200) }
      #expect(late == .timedOut)
      #expect(try await client.finalStamp() < maker.stamp)

      let waiting = Task { try await client.waitUntilFinal(taker, timeoutMilliseconds: 60_000) }
      try await cluster.partition([])
      #expect(try await waiting.value >= taker.stamp)
      #expect(try await client.order(.dot(taker.dot), level: .final).status == .filled)
      #expect(try await client.trades().map(\.isFinal) == [true])
      let last = try await eventually("its client is told that it is final") {
        updates.all(of: taker.dot).last.flatMap { $0.flags.contains(.final) ? $0 : nil }
      }
      #expect(last.state == .filled && last.fillsStanding == 1 && last.newFills.isEmpty, "the same, once more")
      try await eventually("the one that rests is final, too") {
        updates.all(of: maker.dot).last?.flags.contains(.final) == true
      }
      #expect(try await client.book(symbol: TestCluster.symbol, level: .final).asks.map(\.quantityLots) == [3, 3])
    }
  }

  @Test func anyNodeShowsWhatOneHasWrittenElsewhere() async throws {
    try await withCluster(3) { cluster in
      try await cluster.startAll()
      let instrument = try await cluster.defineInstrument()
      let writer = try await cluster.connect("n1")
      let reader = try await cluster.connect("n3")
      for price in 1...40 {
        let acceptance = try await writer.accepted(.limit(instrument, .buy, Int64(price), 1))
        let level = ReadLevel.atLeast(acceptance.stamp, waitMilliseconds: 30_000)
        let book = try await reader.book(symbol: TestCluster.symbol, level: level)
        #expect(book.isFinal && book.bids.first?.priceTicks == Int64(price) && book.applied >= acceptance.stamp)
        #expect(try await reader.order(.dot(acceptance.dot), level: level).status == .open)
        #expect(try await reader.openOrders(level: level).count == price)
      }
    }
  }

  /// A closed connection's reads are forgotten; the others are answered.
  @Test func whoGoesAwayLeavesNoReadBehind() async throws {
    try await withCluster(1) { cluster in
      try await cluster.startAll()
      let leaving = try await cluster.connect("n1")
      let staying = try await cluster.connect("n1")
      let ahead = ReadLevel.atLeast(Stamp(milliseconds: 1 << 47), waitMilliseconds: 60_000)
      let reads = (1...5).map { _ in Task { try? await leaving.finalStamp(level: ahead) } }
      try await eventually("they wait") { try await staying.status().queues.reads == 5 }
      await leaving.close()
      for read in reads { #expect(await read.value == nil) }
      try await eventually("none is left") { try await staying.status().queues.reads == 0 }
    }
  }

  @Test func onlyADemoTakesFaults() async throws {
    try await withCluster(1) { cluster in
      try await cluster.start("n1", isDemo: false)
      let client = try await cluster.connect("n1")
      #expect(try await refusalCode { try await client.inject(.links([])) } == .notADemo)
    }
  }

  @Test func aOneWayCutLosesOneDirection() async throws {
    try await withCluster(3) { cluster in
      try await cluster.startAll()
      let instrument = try await cluster.defineInstrument()
      let first = try await cluster.connect("n1")
      let third = try await cluster.connect("n3")
      // What the others say to the third is lost.
      let cuts = ["n1", "n2"].map { CutLink(node: cluster.key($0).publicKey.nodeID, direction: .inbound) }
      try await third.inject(.links(cuts))
      #expect(try await third.status().cutFrom.sorted() == ["n1", "n2"])
      let unheard = try await first.accepted(.limit(instrument, .buy, 5, 1)).dot
      let heard = try await third.accepted(.limit(instrument, .buy, 4, 1)).dot
      try await first.order(heard, is: .open)
      #expect(try await third.orderIfAny(.dot(unheard)) == nil)
      try await third.inject(.links([]))
      try await third.order(unheard, is: .open)
    }
  }
}
