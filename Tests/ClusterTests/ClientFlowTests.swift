import Client
import Membership
import OrderBook
import Primitives
import Testing
import Wire

/// What a client asks, and what it is told.
@Suite(.endsIfItHangs) struct ClientFlowTests {
  @Test func anOrderIsToldItsWholeLife() async throws {
    try await withCluster(3) { cluster in
      try await cluster.startAll()
      let instrument = try await cluster.defineInstrument()
      let told = UpdateRecorder()
      let maker = try await cluster.connect("n1", account: 1, onUpdates: told.record)
      let taker = try await cluster.connect("n2", account: 2, onUpdates: told.record)

      let sell = try await maker.accepted(.limit(instrument, .sell, 100, 10))
      try await told.last(of: sell.dot, is: .open)
      // The taker's node must have the maker's order first: stamp after it.
      let buy = try await taker.accepted(.limit(instrument, .buy, 100, 4, account: 2), after: sell.stamp)
      try await told.last(of: sell.dot, is: .partiallyFilled)
      let filled = try await told.last(of: buy.dot, is: .filled)
      #expect(filled.filledLots == 4 && filled.openLots == 0)
      let second = try await taker.accepted(.limit(instrument, .buy, 101, 6, account: 2), after: buy.stamp)
      let done = try await told.last(of: sell.dot, is: .filled)
      #expect(done.filledLots == 10 && done.openLots == 0)
      let fills = told.all(of: sell.dot).flatMap(\.newFills)
      #expect(fills.map(\.quantityLots) == [4, 6] && fills.map(\.counterparty) == [buy.dot, second.dot])
      #expect(fills.allSatisfy { $0.isMaker && $0.priceTicks == 100 })

      let resting = try await maker.accepted(.limit(instrument, .buy, 50, 1), after: second.stamp)
      try await told.last(of: resting.dot, is: .open)
      let cancel = try await maker.accepted(.cancel(resting), after: resting.stamp)
      let cancelled = try await told.last(of: resting.dot, is: .cancelled)
      #expect(cancelled.cancelReason == .requested)
      try await told.last(of: cancel.dot, is: .done)
      let late = try await maker.accepted(.cancel(resting), after: cancel.stamp)
      try await told.rejection(of: late.dot, for: .notOpen)
    }
  }

  @Test func onlyTheOwnerCancels() async throws {
    try await withCluster(2) { cluster in
      try await cluster.startAll()
      let instrument = try await cluster.defineInstrument()
      let told = UpdateRecorder()
      let owner = try await cluster.connect("n1", account: 1)
      let other = try await cluster.connect("n2", account: 2, onUpdates: told.record)
      let order = try await owner.accepted(.limit(instrument, .sell, 100, 10))

      // In its own name: taken, and rejected by the book.
      let cancel = try await other.accepted(.cancel(order, account: 2), after: order.stamp)
      #expect(try await told.rejection(of: cancel.dot, for: .notOwner).other == order.dot)
      // In the owner's name: not taken.
      guard case .refused(let refusal) = try await other.submit([.cancel(order, account: 1)])[0] else {
        Issue.record("taken in another account's name")
        return
      }
      #expect(refusal.code == .wrongAccount)
      let all = Command.cancelAll(CancelAll(account: AccountID(2)))
      try await told.last(of: try await other.accepted(all, after: order.stamp).dot, is: .done)

      try await owner.order(order.dot, is: .open)
      #expect(try await other.orderIfAny(.dot(order.dot)) == nil, "another account sees the order")
      try await owner.accepted(.cancel(order), after: order.stamp)
      try await owner.order(order.dot, is: .cancelled)
    }
  }

  @Test func aClientOrderIDTakesEffectOnceWhereverItIsSent() async throws {
    try await withCluster(3) { cluster in
      try await cluster.startAll()
      let instrument = try await cluster.defineInstrument()
      let told = UpdateRecorder()
      let id = ClientOrderID("my order 7")!
      let command = Command.limit(instrument, .buy, 100, 5, id: id)
      let first = try await cluster.connect("n1").accepted(command)
      var clients: [RialtoClient] = []
      for name in cluster.names { clients.append(try await cluster.connect(name, onUpdates: told.record)) }
      for client in clients {
        let again = try await client.accepted(command, after: first.stamp)
        #expect(try await told.rejection(of: again.dot, for: .repeated).other == first.dot)
        let changed = try await client.accepted(.limit(instrument, .buy, 101, 5, id: id), after: first.stamp)
        #expect(try await told.rejection(of: changed.dot, for: .duplicateID).other == first.dot)
        // Another account's ids are its own.
        let stranger = try await cluster.connect(client.welcome.nodeName, account: 44, onUpdates: told.record)
        let own = try await stranger.accepted(
          .limit(instrument, .buy, 90, 1, account: 44, id: ClientOrderID("at \(client.welcome.nodeName)")!))
        try await told.last(of: own.dot, is: .open)
      }
      _ = try await clients.expectAgreement()
      for client in clients {
        #expect(try await client.order(.client(id)).dot == first.dot)
        #expect(try await client.book(symbol: TestCluster.symbol).bids.first?.quantityLots == 5)
      }
    }
  }

  @Test func aClientThatPassesItsStampKeepsItsOrderAcrossNodes() async throws {
    try await withCluster(3) { cluster in
      try await cluster.startAll()
      let instrument = try await cluster.defineInstrument()
      var clients: [RialtoClient] = []
      for name in cluster.names { clients.append(try await cluster.connect(name)) }
      var after = Stamp.zero
      for turn in 0..<30 {
        let client = clients[turn % 3]
        let acceptance = try await client.accepted(.limit(instrument, .buy, Int64(turn + 1), 1), after: after)
        #expect(after < acceptance.stamp)
        after = acceptance.stamp
      }
      // A little ahead of the node's clock is followed, much is not believed. It was ahead if it still is afterwards.
      try await eventually("an order before the stamp's time has come") {
        let ahead = Stamp(milliseconds: nowMilliseconds() + 400)
        let followed = try await clients[0].accepted(.limit(instrument, .buy, 1, 1), after: ahead)
        #expect(followed.stamp > ahead)
        return nowMilliseconds() < ahead.milliseconds
      }
      let far = Stamp(milliseconds: nowMilliseconds() + 3_600_000)
      let outcome = try await clients[0].submit([.limit(instrument, .buy, 1, 1)], after: far)[0]
      guard case .refused(let refusal) = outcome else {
        Issue.record("a stamp an hour ahead was followed")
        return
      }
      #expect(refusal.code == .stampAhead)
      let farTarget = Cancel(
        account: AccountID(1), target: .dot(Dot(origin: OriginIndex(0), sequence: 1)), targetStamp: far)
      #expect(try await clients[0].submit([.cancel(farTarget)])[0] == .refused(refusal))
      _ = try await clients.expectAgreement()
    }
  }

  @Test func nonsenseIsRejectedWithItsReasonAndTheRestGoesOn() async throws {
    try await withCluster(2) { cluster in
      try await cluster.startAll()
      let instrument = try await cluster.defineInstrument()
      let told = UpdateRecorder()
      let client = try await cluster.connect("n1", onUpdates: told.record)
      let nowhere = Dot(origin: OriginIndex(900), sequence: 12)
      var stale = Command.limit(instrument, .buy, 10, 1, id: ClientOrderID(5))
      if case .order(var order) = stale {
        order.clientTimeMilliseconds = nowMilliseconds() - 3_600_000
        stale = .order(order)
      }
      let cases: [(Command, RejectReason)] = [
        (.limit(instrument, .buy, 10, 0), .invalidQuantity),
        (.limit(instrument, .sell, 10, -5), .invalidQuantity),
        (.limit(instrument, .buy, 10, .min), .invalidQuantity),
        (.limit(instrument, .buy, 10, Limits.quantityLotsMax + 1), .invalidQuantity),
        (.limit(instrument, .buy, 0, 1), .invalidPrice),
        (.limit(instrument, .buy, -1, 1), .invalidPrice),
        (.limit(instrument, .sell, Limits.priceTicksMax + 1, 1), .invalidPrice),
        (.limit(instrument, .sell, .max, 1), .invalidPrice),
        (.limit(nowhere, .buy, 10, 1), .unknownInstrument),
        (.limit(.none, .buy, 10, 1), .unknownInstrument),
        (stale, .stale),
        (.instrument(Instrument(symbol: TestCluster.symbol)), .instrumentExists),
        (
          .order(
            Order(
              instrument: instrument, account: AccountID(1), side: .buy, type: .market, timeInForce: .immediateOrCancel,
              priceTicks: 7, quantityLots: 1)), .invalidPrice
        ),
        (
          .cancel(
            Cancel(account: AccountID(1), target: .dot(nowhere), targetStamp: Stamp(milliseconds: 1_000))),
          .unknownOrder
        ),
      ]
      // Good ones in between, all in one frame.
      let good = Command.limit(instrument, .buy, 3, 1)
      let outcomes = try await client.submit(cases.flatMap { [$0.0, good] })
      for (index, outcome) in outcomes.enumerated() {
        guard case .accepted(let acceptance) = outcome else {
          Issue.record("\(cases[index / 2].0) was not taken: \(outcome)")
          continue
        }
        if index % 2 == 1 {
          try await told.last(of: acceptance.dot, is: .open)
        } else {
          try await told.rejection(of: acceptance.dot, for: cases[index / 2].1)
        }
      }
      let other = try await cluster.connect("n2")
      _ = try await [client, other].expectAgreement()
      let book = try await other.book(symbol: TestCluster.symbol)
      #expect(book.bids.map(\.quantityLots) == [UInt128(cases.count)] && book.asks.isEmpty)
    }
  }

  @Test func whatCannotBeAskedIsRefusedByItsCode() async throws {
    try await withCluster(1) { cluster in
      try await cluster.startAll()
      let client = try await cluster.connect("n1")
      let unknown = Symbol("NO-SUCH")!
      func code(_ body: () async throws -> Void) async throws -> RequestRefusalCode? {
        do {
          try await body()
          return nil
        } catch ClientError.requestRefused(let refusal) {
          return refusal.code
        }
      }
      #expect(try await code { _ = try await client.book(symbol: unknown) } == .unknownSymbol)
      #expect(try await code { _ = try await client.subscribe(symbol: unknown) } == .unknownSymbol)
      let nobody = Dot(origin: OriginIndex(3), sequence: 77)
      #expect(try await code { _ = try await client.order(.dot(nobody)) } == .notFound)
      #expect(try await code { _ = try await client.order(.client(ClientOrderID(1))) } == .notFound)
      #expect(try await client.openOrders().isEmpty)
      #expect(try await client.trades().isEmpty)

      let other = Genesis.otherClusterID
      let refused = await #expect(throws: ClientError.self) {
        try await cluster.undisturbed("a refusal") {
          try await RialtoClient.connect(
            to: cluster.address("n1"), account: AccountID(1), clusterID: other,
            timeoutMilliseconds: Patience.milliseconds)
        }
      }
      guard case .refused(let refusal)? = refused else { Issue.record("\(String(describing: refused))"); return }
      #expect(refusal.code == .cluster && refusal.text.contains("check cluster id"))
    }
  }
}

extension Genesis {
  static var otherClusterID: Hash256 { SHA256().hash(Array("another cluster".utf8)) }
}
