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
    do throws(StoreError) {
      switch query {
      case .book(let symbol, let depth): answerBook(symbol, depth, number, session)
      case .order(let reference): try answerOrder(reference, number, session)
      case .openOrders(let after): answerOpenOrders(after, number, session)
      case .trades(let symbol, let count):
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
    return replica.withBook { book in
      MarketSides(
        bids: book.levels(of: instrument, .buy, limit: depth).map(level),
        asks: book.levels(of: instrument, .sell, limit: depth).map(level))
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

  private func answerOrder(
    _ reference: OrderReference, _ number: UInt64, _ session: ClientSession
  ) throws(StoreError) {
    try catchUpAudit()
    let stored: AuditOrder?
    switch reference {
    case .dot(let dot): stored = try store.order(dot)
    case .client(let id): stored = try store.order(account: session.account, clientOrderID: id)
    }
    if let stored, stored.order.account == session.account, let detail = try detail(stored) {
      session.say(.answer(request: number, .order(detail)))
      return
    }
    // Not final yet: the book may know it.
    let account = session.account
    let resting = replica.withBook { book -> RestingOrder? in
      switch reference {
      case .dot(let dot): book.order(dot)
      case .client(let id): book.order(account: account, clientOrderID: id).flatMap { book.order($0) }
      }
    }
    if let resting, resting.account == session.account, let detail = detail(resting) {
      session.say(.answer(request: number, .order(detail)))
    } else {
      session.refuse(number, .notFound, "no such order of account \(session.account)")
    }
  }

  private func answerOpenOrders(_ after: Dot, _ number: UInt64, _ session: ClientSession) {
    let account = session.account
    var orders = replica.withBook { book in book.orders(of: account) }.filter { after < $0.dot }
    orders.sort { $0.dot < $1.dot }
    let isTruncated = orders.count > ClientLimits.ordersPerPageMax
    let details = orders.prefix(ClientLimits.ordersPerPageMax).compactMap(detail)
    session.say(.answer(request: number, .orders(details, isTruncated: isTruncated)))
  }

  private func detail(_ resting: RestingOrder) -> OrderDetail? {
    guard let symbol = symbol(of: resting.instrument) else { return nil }
    return OrderDetail(
      dot: resting.dot, stamp: .zero, clientOrderID: resting.clientOrderID, symbol: symbol, account: resting.account,
      side: resting.side, type: .limit, timeInForce: .goodTillCancel, priceTicks: resting.priceTicks,
      quantityLots: resting.openLots + resting.filledLots, openLots: resting.openLots, filledLots: resting.filledLots,
      status: resting.filledLots > 0 ? .partiallyFilled : .open)
  }

  private func detail(_ stored: AuditOrder) throws(StoreError) -> OrderDetail? {
    guard let symbol = symbol(of: stored.order.instrument) else { return nil }
    let fills = try store.fills(of: stored.dot)
    let order = stored.order
    return OrderDetail(
      dot: stored.dot, stamp: stored.stamp, clientOrderID: order.clientOrderID, symbol: symbol, account: order.account,
      side: order.side, type: order.type, timeInForce: order.timeInForce, postOnly: order.postOnly, isFinal: true,
      priceTicks: order.priceTicks, quantityLots: order.quantityLots, stopPriceTicks: order.stopPriceTicks,
      displayLots: order.displayLots, expiry: order.expiry, openLots: stored.openLots, filledLots: stored.filledLots,
      status: stored.status, reason: stored.cancelReason?.rawValue ?? stored.rejectReason?.rawValue ?? 0,
      fills: fills.suffix(ClientLimits.fillsMax).map { fill in
        let isMaker = fill.maker == stored.dot
        return OrderFill(
          priceTicks: fill.priceTicks, quantityLots: fill.quantityLots,
          counterparty: isMaker ? fill.taker : fill.maker, isMaker: isMaker)
      }, fillsOmitted: UInt64(max(0, fills.count - ClientLimits.fillsMax)))
  }

  func marketTrade(_ fill: AuditFill) -> MarketTrade {
    MarketTrade(
      symbol: symbol(of: fill.instrument) ?? Symbol("UNKNOWN")!, maker: fill.maker, taker: fill.taker,
      takerSide: fill.takerSide, priceTicks: fill.priceTicks, quantityLots: fill.quantityLots, stamp: fill.stamp)
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
