import Client
import EventLog
import NIOCore
import OrderBook
import Primitives
import Replica
import Storage
import Transport
import Wire

/// What clients ask.
extension NodeServer {
  func openSession(_ connection: Connection, account: UInt64, name: String) {
    let id = SessionID(nextSession)
    nextSession += 1
    connection.tag = id.value
    sessions[id] = ClientSession(
      id: id, connection: connection, account: AccountID(account), name: name, server: self)
    logger.debug("client connected", metadata: ["client": "\(name)", "account": "\(account)"])
  }

  func closeSession(_ connection: Connection) {
    let id = SessionID(connection.tag)
    guard sessions[id]?.connection === connection else { return }
    sessions[id] = nil
    market.close(id)
    if !isStopping { input(.sessionClosed(id)) }
  }

  /// A client that does not read must not make this node hold what it was told for ever.
  func dropIfSlow(_ session: ClientSession) {
    guard session.connection.queuedBytes > Limits.clientQueueBytesMax else { return }
    logger.warning("slow client dropped", metadata: ["client": "\(session.name)"])
    session.drop("too slow: \(Limits.clientQueueBytesMax >> 20) MiB wait to be read")
  }

  func receiveRequest(_ frame: Frame, on connection: Connection) {
    guard let session = sessions[SessionID(connection.tag)], !session.isDropped else { return }
    let request: ClientRequest
    do throws(CodecError) {
      request = try ClientRequest.decode(frame)
    } catch {
      session.drop("protocol error: \(error)")
      return
    }
    dropIfSlow(session)
    switch request {
    case .submit(let submit): receive(submit, session)
    case .query(let number, let query): answer(query, number, session)
    case .subscribe(let subscribe): open(subscribe, session)
    case .unsubscribe(let subscription): market.unsubscribe(session.id, subscription)
    case .ping(let nonce): session.say(.pong(nonce: nonce))
    case .ownUpdates(let isOn): session.wantsReports = isOn
    }
    scheduleTurn()
  }

  private func receive(_ submit: SubmitRequest, _ session: ClientSession) {
    let count = submit.commands.count
    guard submit.firstRequest > session.lastRequest else {
      session.refuse(submit.firstRequest, count: count, .malformed, "request numbers must ascend")
      return
    }
    session.lastRequest = submit.firstRequest + UInt64(count) - 1
    guard submit.commands.allSatisfy({ $0.account == nil || $0.account == session.account }) else {
      session.refuse(
        submit.firstRequest, count: count, .wrongAccount,
        "this connection acts for account \(session.account); a command names another one")
      return
    }
    input(
      .submit(
        Submission(
          session: session.id, firstRequest: submit.firstRequest, after: submit.after, commands: submit.commands,
          wantsReports: session.wantsReports)))
  }

  // MARK: Queries

  private func answer(_ query: ClientQuery, _ number: UInt64, _ session: ClientSession) {
    do {
      switch query {
      case .book(let symbol, let depth): answerBook(symbol, depth, number, session)
      case .order(let reference): try answerOrder(reference, number, session)
      case .openOrders(let after): try answerOpenOrders(after, number, session)
      case .trades(let symbol, let count):
        if let symbol, instrument(symbol) == nil {
          session.refuse(number, .unknownSymbol, "no instrument \(symbol)")
          return
        }
        try catchUpAudit()
        let fills = try store.trades(symbol: symbol, newest: count)
        session.say(.answer(request: number, .trades(fills.map(marketTrade))))
      case .status:
        let status = try status()
        sayJSON(ClientAnswer.status(status), number, session)
      case .instruments:
        let records = replica.withBook { book in
          book.instruments.map { InstrumentRecord(dot: $0.dot, instrument: $0.instrument) }
        }
        session.say(.answer(request: number, .instruments(records)))
      case .peers: sayJSON(ClientAnswer.peers(peers()), number, session)
      }
    } catch {
      session.refuse(number, .storage, "the store cannot be read: \(error)")
    }
  }

  private func sayJSON(_ answer: ClientAnswer?, _ number: UInt64, _ session: ClientSession) {
    if let answer {
      session.say(.answer(request: number, answer))
    } else {
      session.refuse(number, .tooMany, "the answer is too long for a frame")
    }
  }

  func instrument(_ symbol: Symbol) -> (dot: Dot, instrument: Instrument)? {
    replica.withBook { book in book.instruments.first { $0.instrument.symbol == symbol } }
  }

  func symbol(of instrument: Dot) -> Symbol? {
    replica.withBook { book in book.instruments.first { $0.dot == instrument }?.instrument.symbol }
  }

  func sides(of instrument: Dot, depth: Int) -> MarketSides {
    func level(_ summary: LevelSummary) -> MarketLevel {
      MarketLevel(
        priceTicks: summary.priceTicks, quantityLots: summary.quantityLots, orders: UInt32(clamping: summary.orders))
    }
    let stamp = replica.viewStamp
    return replica.withBook { book in
      MarketSides(
        bids: book.levels(of: instrument, .buy, limit: depth, asOf: stamp).map(level),
        asks: book.levels(of: instrument, .sell, limit: depth, asOf: stamp).map(level))
    }
  }

  private func answerBook(_ symbol: Symbol, _ depth: Int, _ number: UInt64, _ session: ClientSession) {
    guard let dot = instrument(symbol)?.dot else {
      session.refuse(number, .unknownSymbol, "no instrument \(symbol); `rialto status` lists them")
      return
    }
    session.say(
      .answer(
        request: number,
        .book(
          BookAnswer(
            symbol: symbol, applied: replica.clockStamp, bookHash: replica.bookHash(),
            sides: sides(of: dot, depth: depth)))))
  }

  private func answerOrder(_ reference: OrderReference, _ number: UInt64, _ session: ClientSession) throws {
    try catchUpAudit()
    let account = session.account
    let dot: Dot?
    switch reference {
    case .dot(let named): dot = named
    case .client(let id):
      dot =
        try store.order(account: account, clientOrderID: id)?.dot
        ?? replica.withBook { $0.order(account: account, clientOrderID: id) }
    }
    if let dot, let detail = try detail(of: dot, withFills: true), detail.account == account {
      session.say(.answer(request: number, .order(detail)))
    } else {
      session.refuse(number, .notFound, "no such order of account \(account)")
    }
  }

  private func answerOpenOrders(_ after: Dot, _ number: UInt64, _ session: ClientSession) throws {
    let account = session.account
    let stamp = replica.viewStamp
    var orders = replica.withBook { book in book.orders(of: account, asOf: stamp) }.filter { after < $0.dot }
    orders.sort { $0.dot < $1.dot }
    let isTruncated = orders.count > ClientLimits.ordersPerPageMax
    let details = try orders.prefix(ClientLimits.ordersPerPageMax).compactMap { resting in
      var detail = try detail(of: resting.dot, withFills: false)
      detail?.openLots = resting.openLots
      detail?.filledLots = resting.filledLots
      return detail
    }
    session.say(.answer(request: number, .orders(details, isTruncated: isTruncated)))
  }

  /// An order as it stands now: what the tables say of it, or the log if it is younger, what tentative entries have
  /// made of it since, and whether its date is final.
  private func detail(of dot: Dot, withFills: Bool) throws -> OrderDetail? {
    let stored = try store.order(dot)
    let order: Order
    let stamp: Stamp
    if let stored {
      (order, stamp) = (stored.order, stored.stamp)
    } else if let entry = replica.entry(dot), case .command(.order(let young)) = entry.payload {
      (order, stamp) = (young, entry.stamp)
    } else {
      return nil
    }
    guard let symbol = symbol(of: order.instrument) else { return nil }
    var report = OrderReport(entry: dot, state: .pending)
    if let stored {
      report.state = OrderReport.State(rawValue: stored.status.rawValue) ?? .pending
      report.openLots = stored.openLots
      report.filledLots = stored.filledLots
      report.reason = stored.cancelReason?.rawValue ?? stored.rejectReason?.rawValue ?? 0
    }
    var fills: [OrderFill] = []
    if withFills, stored != nil { fills = try store.fills(of: dot).map { OrderFill($0, of: dot) } }
    let tentative = withFills ? replica.tentativeReport(of: dot, after: report) : nil
    if let tentative { fills += tentative.update.newFills }
    var now = tentative ?? report
    var isFinal = stored != nil && tentative == nil
    let resting = replica.withBook { $0.order(dot) }
    let isDue = order.expiry != .zero && order.expiry <= replica.viewStamp
    if isDue && (resting != nil || now.state == .expired) {
      // It has expired for good, whether or not there is a final entry yet that takes it out of the book.
      now.state = .expired
      now.filledLots = resting?.filledLots ?? now.filledLots
      now.openLots = 0
      now.reason = 0
      isFinal = true
    }
    return OrderDetail(
      dot: dot, stamp: stamp, clientOrderID: order.clientOrderID, symbol: symbol, account: order.account,
      side: order.side, type: order.type, timeInForce: order.timeInForce, postOnly: order.postOnly,
      isFinal: isFinal, priceTicks: order.priceTicks, quantityLots: order.quantityLots,
      stopPriceTicks: order.stopPriceTicks, displayLots: order.displayLots, expiry: order.expiry,
      selfTradePrevention: order.selfTradePrevention,
      isWaiting: !isDue && resting?.isWaiting ?? false, openLots: now.openLots,
      filledLots: now.filledLots, status: OrderStatus(rawValue: now.state.rawValue) ?? .pending,
      reason: now.reason, fills: fills.suffix(ClientLimits.fillsMax),
      fillsOmitted: UInt64(max(0, fills.count - ClientLimits.fillsMax)))
  }

  func marketTrade(_ fill: AuditFill) -> MarketTrade {
    MarketTrade(
      symbol: symbol(of: fill.instrument) ?? Symbol("UNKNOWN")!, maker: fill.maker, taker: fill.taker,
      takerSide: fill.takerSide, priceTicks: fill.priceTicks, quantityLots: fill.quantityLots, stamp: fill.stamp)
  }
}

extension OrderFill {
  /// A fill as one of its two orders sees it.
  init(_ fill: AuditFill, of dot: Dot) {
    let isMaker = fill.maker == dot
    self.init(
      priceTicks: fill.priceTicks, quantityLots: fill.quantityLots, counterparty: isMaker ? fill.taker : fill.maker,
      isMaker: isMaker)
  }
}

extension Command {
  /// Whose command it is; nil for one that belongs to nobody.
  var account: AccountID? {
    switch self {
    case .instrument: nil
    case .order(let order): order.account
    case .cancel(let cancel): cancel.account
    case .amend(let amend): amend.account
    case .cancelAll(let all): all.account
    }
  }
}
