import OrderBook
import Primitives
import Testing
import Wire

@testable import Client

@Suite(.endsIfItHangs)
struct RialtoClientQueryTests {
  private static let symbol = Symbol("BTC-USD")!

  private static func detail(_ sequence: UInt64) -> OrderDetail {
    OrderDetail(
      dot: Dot(origin: OriginIndex(1), sequence: sequence), stamp: Stamp(sequence), symbol: symbol,
      account: AccountID(7), side: .buy, type: .limit, timeInForce: .goodTillCancel, priceTicks: 5, quantityLots: 2,
      openLots: 2, filledLots: 0, status: .open)
  }

  private static let peer = PeerStatus(
    origin: 1, name: "b", address: "127.0.0.1:7002", connected: true, roundTripMicroseconds: 80)
  private static let status = NodeStatus(
    name: "a", nodeID: "00", clusterID: "01", origin: 0, view: 2, entries: .max, orders: 3, fills: 1, applied: 9,
    tentative: 4, finalStamp: 1 << 63, lagMilliseconds: -3, bookHash: "aa", tradesHash: "bb", vector: [1, .max],
    peers: [peer], uptimeSeconds: 60, version: "0.1")
  private static let book = BookAnswer(
    symbol: symbol, applied: Stamp(8), bookHash: .zero,
    sides: MarketSides(bids: [MarketLevel(priceTicks: 4, quantityLots: 2, orders: 1)]))
  private static let logged = LoggedBatch(
    view: 3, signature: Signature(bytes: [UInt8](repeating: 7, count: 64))!, bytes: [1, 2, 3])
  private static let trade = MarketTrade(
    symbol: symbol, maker: Dot("0-1")!, taker: Dot("1-1")!, takerSide: .sell, priceTicks: 4, quantityLots: 1,
    stamp: Stamp(3))
  private static let record = InstrumentRecord(dot: Dot("0-1")!, instrument: Instrument(symbol: symbol))

  /// Answers every question; open orders in pages of two, five in all.
  private static func answer(_ number: UInt64, _ query: ClientQuery, _ connection: FakeNode.Connection) {
    let answer: ClientAnswer?
    switch query {
    case .book(let symbol, let depth, _): answer = symbol == Self.symbol && depth == 5 ? .book(book) : nil
    case .order(.dot(let dot), _): answer = .order(detail(dot.sequence))
    case .order(.client, _): answer = nil
    case .openOrders(let after, _):
      let page = (after.sequence + 1...5).prefix(2).map { detail($0) }
      answer = .orders(page, isTruncated: page.last?.dot.sequence != 5)
    case .trades(let symbol, let count, _):
      answer = .trades(symbol == nil ? [trade] : Array(repeating: trade, count: count))
    case .status: answer = .status(status)
    case .instruments: answer = .instruments([record])
    case .peers: answer = .peers([peer])
    case .finality(let level): answer = level == .atLeast(Stamp(9), waitMilliseconds: 700) ? .finality(Stamp(12)) : nil
    case .fault: answer = .done
    case .findings: answer = .findings(json: "[]")
    case .inspect(let question): answer = .inspection(question.reversed())
    case .log(let origin, let from, let through):
      answer = origin.value == 2 && from == 7 && through == 9 ? .log([logged], held: 8) : nil
    }
    guard let answer else {
      let refusal = RequestRefusal(.notFound, "no such order")
      connection.send(.refused(RefusedRun(firstRequest: number, refusal: refusal)))
      return
    }
    connection.send(.answer(request: number, answer))
  }

  @Test func everyQuestionGetsItsAnswer() async throws {
    try await withClient(script: { request, connection in
      switch request {
      case .query(let number, let query): Self.answer(number, query, connection)
      case .ping(let nonce): connection.send(.pong(nonce: nonce))
      case .submit, .subscribe, .unsubscribe, .ownUpdates: break
      }
    }) { client, _ in
      #expect(try await client.book(symbol: Self.symbol, depth: 5) == Self.book)
      #expect(try await client.order(.dot(Dot("1-77")!)) == Self.detail(77))
      let acceptance = Acceptance(dot: Dot("1-3")!, stamp: Stamp(9))
      #expect(try await client.waitUntilFinal(acceptance, timeoutMilliseconds: 700) == Stamp(12))
      try await client.inject(.links([]))
      await #expect(throws: ClientError.requestRefused(RequestRefusal(.notFound, "no such order"))) {
        try await client.order(.client(ClientOrderID(5)))
      }
      #expect(try await client.openOrders().map(\.dot.sequence) == [1, 2, 3, 4, 5])
      #expect(try await client.trades() == [Self.trade])
      #expect(try await client.trades(symbol: Self.symbol, count: 3).count == 3)
      #expect(try await client.status() == Self.status)
      #expect(try await client.instruments() == [Self.record])
      #expect(try await client.peers() == [Self.peer])
      #expect(try await client.inspect([1, 2, 3]) == [3, 2, 1])
      let log = try await client.log(of: OriginIndex(2), from: 7, through: 9)
      #expect(log.batches == [Self.logged] && log.held == 8)
      try await client.ping()
    }
  }

  @Test func anAnswerOfAnotherKindIsAProtocolViolation() async throws {
    try await withClient(script: { request, connection in
      if case .query(let number, _) = request { connection.send(.answer(request: number, .subscribed)) }
    }) { client, _ in
      let error = await #expect(throws: ClientError.self) { try await client.status() }
      guard case .protocolViolation? = error else { Issue.record("\(String(describing: error))"); return }
    }
  }

  @Test func pagesThatDoNotGoOnEnd() async throws {
    try await withClient(script: { request, connection in
      if case .query(let number, _) = request {
        connection.send(.answer(request: number, .orders([Self.detail(3)], isTruncated: true)))
      }
    }) { client, _ in
      let error = await #expect(throws: ClientError.self) { try await client.openOrders() }
      guard case .protocolViolation? = error else { Issue.record("\(String(describing: error))"); return }
    }
  }

  @Test func aTooLargeStatusIsNotAnAnswer() {
    var large = Self.status
    large.vector = Array(repeating: .max, count: Limits.originsMax)
    #expect(ClientAnswer.status(large) == nil)
  }
}
