import Client
import EventLog
import NIOCore
import OrderBook
import Primitives
import Replica

/// Subscriptions to market data, and what they have not been told yet.
struct MarketDesk {
  /// Changes are gathered this long before they are sent.
  static let intervalMilliseconds: Int64 = 20
  /// A book hash is worked out at most this often for subscribers.
  static let bookHashMilliseconds: Int64 = 100
  /// Trades kept for subscribers between two rounds; beyond it the oldest are dropped and sequences skip.
  static let tradesMax = 100_000

  struct Subscription {
    let session: SessionID
    let number: UInt64
    /// Nil for all.
    let symbol: Symbol?
    let content: SubscribeRequest.Content
    /// Last sequence sent, by instrument in the order in which they were first sent.
    var sequences: [(symbol: Symbol, sequence: UInt64)] = []

    mutating func next(_ symbol: Symbol) -> UInt64 {
      if let index = sequences.firstIndex(where: { $0.symbol == symbol }) {
        sequences[index].sequence += 1
        return sequences[index].sequence
      }
      sequences.append((symbol, 0))
      return 0
    }

    func isStarted(_ symbol: Symbol) -> Bool { sequences.contains { $0.symbol == symbol } }
  }

  var subscriptions: [Subscription] = []
  var trades: [(instrument: Dot, trade: Fill, stamp: Stamp)] = []
  var lastRound = NIODeadline.now()
  var lastHash = NIODeadline.now()
  /// A change was sent whose book hash was not.
  var owesHash = false

  mutating func collect(_ run: AppliedRun) {
    guard !subscriptions.isEmpty else { return }
    for index in run.items.indices {
      for event in run.events(at: index) {
        if case .filled(let fill) = event { trades.append((fill.instrument, fill, run.items[index].entry.stamp)) }
      }
    }
    if trades.count > Self.tradesMax { trades.removeFirst(trades.count - Self.tradesMax) }
  }

  mutating func close(_ session: SessionID) { subscriptions.removeAll { $0.session == session } }

  mutating func unsubscribe(_ session: SessionID, _ number: UInt64) {
    subscriptions.removeAll { $0.session == session && $0.number == number }
  }
}

extension NodeServer {
  func open(_ request: SubscribeRequest, _ session: ClientSession) {
    guard replica.healthState.serves else { return session.refuse(request.request, .rebuilding) }
    if request.content.contains(.accountOrders) {
      session.refuse(request.request, .unsupported, "updates of an account's orders from other nodes are not built yet")
      return
    }
    if let symbol = request.symbol, instrument(symbol) == nil {
      session.refuse(request.request, .unknownSymbol, "no instrument \(symbol)")
      return
    }
    guard market.subscriptions.count(where: { $0.session == session.id }) < ClientSession.subscriptionsMax else {
      session.refuse(request.request, .tooMany, "at most \(ClientSession.subscriptionsMax) subscriptions a connection")
      return
    }
    // What happened before is in the snapshot: it must not be told again as a change.
    publishNow()
    session.say(.answer(request: request.request, .subscribed))
    var subscription = MarketDesk.Subscription(
      session: session.id, number: request.request, symbol: request.symbol, content: request.content)
    for (dot, instrument) in replica.withBook({ $0.instruments })
    where request.symbol == nil || request.symbol == instrument.symbol {
      snapshot(dot, instrument.symbol, &subscription, session)
    }
    market.subscriptions.append(subscription)
  }

  private func snapshot(
    _ dot: Dot, _ symbol: Symbol, _ subscription: inout MarketDesk.Subscription, _ session: ClientSession
  ) {
    let depth = subscription.content.contains(.levels) ? ClientLimits.levelsPerSideMax : 0
    session.say(
      .marketSnapshot(
        MarketSnapshot(
          subscription: subscription.number, symbol: symbol, sequence: subscription.next(symbol),
          bookHash: replica.bookHash(), sides: depth > 0 ? sides(of: dot, depth: depth) : MarketSides())))
  }

  func publishMarket() {
    let now = NIODeadline.now()
    guard !market.subscriptions.isEmpty, now - market.lastRound >= .milliseconds(MarketDesk.intervalMilliseconds) else {
      return
    }
    publishNow()
  }

  /// Sends every subscriber what has changed since the last round, be it only by the time.
  func publishNow() {
    let now = NIODeadline.now()
    market.lastRound = now
    let changes = replica.takeChangedLevels()
    let trades = market.trades
    market.trades.removeAll(keepingCapacity: true)
    guard !market.subscriptions.isEmpty, !changes.isEmpty || !trades.isEmpty || market.owesHash else { return }
    var hash: Hash256?
    if now - market.lastHash >= .milliseconds(MarketDesk.bookHashMilliseconds) {
      market.lastHash = now
      hash = replica.bookHash()
    }
    market.owesHash = hash == nil
    let instruments = replica.withBook { $0.instruments }
    for index in market.subscriptions.indices {
      guard let session = sessions[market.subscriptions[index].session] else { continue }
      dropIfSlow(session)
      for (dot, instrument) in instruments {
        tell(index, session, dot, instrument.symbol, changes, trades, hash)
      }
    }
  }

  private func tell(
    _ index: Int, _ session: ClientSession, _ dot: Dot, _ symbol: Symbol, _ changes: [OrderBook.LevelChange],
    _ trades: [(instrument: Dot, trade: Fill, stamp: Stamp)], _ hash: Hash256?
  ) {
    let subscription = market.subscriptions[index]
    guard subscription.symbol == nil || subscription.symbol == symbol else { return }
    guard subscription.isStarted(symbol) else {
      // Defined after the subscription began.
      snapshot(dot, symbol, &market.subscriptions[index], session)
      return
    }
    var levels =
      subscription.content.contains(.levels)
      ? changes.filter { $0.instrument == dot }.map {
        Client.LevelChange(
          side: $0.side,
          level: MarketLevel(
            priceTicks: $0.priceTicks, quantityLots: $0.quantityLots, orders: UInt32(clamping: $0.orders)))
      }[...] : []
    var fills =
      subscription.content.contains(.trades)
      ? trades.filter { $0.instrument == dot }.map {
        MarketTrade(
          symbol: symbol, maker: $0.trade.maker, taker: $0.trade.taker, takerSide: $0.trade.takerSide,
          priceTicks: $0.trade.priceTicks, quantityLots: $0.trade.quantityLots, stamp: $0.stamp)
      }[...] : []
    guard !levels.isEmpty || !fills.isEmpty || hash != nil else { return }
    repeat {
      let someLevels = levels.prefix(ClientLimits.levelChangesMax)
      let someFills = fills.prefix(ClientLimits.tradesMax)
      levels = levels.dropFirst(someLevels.count)
      fills = fills.dropFirst(someFills.count)
      let isLast = levels.isEmpty && fills.isEmpty
      session.say(
        .marketChange(
          MarketChange(
            subscription: subscription.number, symbol: symbol,
            sequence: market.subscriptions[index].next(symbol), bookHash: isLast ? hash : nil,
            levels: Array(someLevels), trades: Array(someFills))))
    } while !levels.isEmpty || !fills.isEmpty
  }
}
