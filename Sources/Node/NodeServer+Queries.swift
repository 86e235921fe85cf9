import Client
import EventLog
import NIOCore
import OrderBook
import Primitives
import Replica
import Storage

/// What clients ask, answered as settled as they ask it.
extension NodeServer {
  /// Answers at once, or when what the query waits for is there.
  func receive(_ query: ClientQuery, _ number: UInt64, _ session: ClientSession) {
    guard mayAnswer(query) else { return session.refuse(number, .rebuilding) }
    let read = ReadDesk.Read(session: session.id, number: number, query: query)
    switch query.level {
    case .atLeast(let stamp, let wait)? where replica.viewStamp < stamp:
      let deadline = NIODeadline.now() + .milliseconds(Int64(wait))
      guard reads.wait(read, for: stamp, until: deadline) else {
        session.refuse(number, .busy, "\(ReadDesk.waitingMax) reads wait at this node already; try another one")
        return
      }
    case .final?, .atLeast?: answerFinal(read, session)
    case .tentative?, nil: answer(query, number, session, isFinal: false)
    }
  }

  /// Those that have waited long enough, or for what has come. Called at the end of every turn.
  func serveReads() {
    guard !reads.isEmpty else { return }
    for read in reads.takeReached(replica.viewStamp) {
      if let session = sessions[read.session] { answerFinal(read, session) }
    }
    let now = NIODeadline.now()
    for (read, stamp) in reads.takeLate(now) {
      sessions[read.session]?.refuse(
        read.number, .timedOut,
        "stamp \(stamp) is not final here yet, only \(replica.viewStamp) is; "
          + "ask again, and see in `rialto status` whether a majority of the members is connected")
    }
    // All that wait share one look at it, and these looks a bounded part of the time.
    guard !reads.ofBook.isEmpty, now >= reads.nextLook else { return }
    let due = reads.takeOfBook()
    for read in due {
      if let session = sessions[read.session] { answer(read.query, read.number, session, isFinal: true) }
    }
    reads.looked(from: now, to: .now())
  }

  /// - Precondition: the stamp that it asks for, if any, has been reached.
  private func answerFinal(_ read: ReadDesk.Read, _ session: ClientSession) {
    switch read.query {
    case .book, .openOrders:
      // With a tentative tail, it has to be taken back for this and put on again.
      guard replica.hasTentative else { return answer(read.query, read.number, session, isFinal: true) }
      if !reads.add(ofBook: read) {
        session.refuse(read.number, .busy, "\(ReadDesk.waitingMax) reads of the final book wait already")
      }
    case .order, .trades, .finality, .status, .instruments, .peers, .fault, .inspect, .log, .findings:
      answer(read.query, read.number, session, isFinal: true)
    }
  }

  private func answer(_ query: ClientQuery, _ number: UInt64, _ session: ClientSession, isFinal: Bool) {
    guard mayAnswer(query) else { return session.refuse(number, .rebuilding) }
    do {
      switch query {
      case .book(let symbol, let depth, _): answerBook(symbol, depth, number, session, isFinal: isFinal)
      case .order(let reference, _): try answerOrder(reference, number, session, isFinal: isFinal)
      case .openOrders(let after, _): try answerOpenOrders(after, number, session, isFinal: isFinal)
      case .trades(let symbol, let count, _):
        try answerTrades(symbol, count, number, session, isFinal: isFinal)
      case .status:
        let status = try status()
        sayJSON(ClientAnswer.status(status), number, session)
      case .instruments:
        let records = replica.withBook { book in
          book.instruments.map { InstrumentRecord(dot: $0.dot, instrument: $0.instrument) }
        }
        session.say(.answer(request: number, .instruments(records)))
      case .peers: sayJSON(ClientAnswer.peers(peers()), number, session)
      case .finality: session.say(.answer(request: number, .finality(replica.viewStamp)))
      case .fault(let fault): inject(fault, number, session)
      case .inspect(let question): inspect(question, number, session)
      case .log(let origin, let from, let through):
        try answerLog(origin, from: from, through: through, number, session)
      case .findings: sayJSON(ClientAnswer.findings(findings()), number, session)
      }
    } catch {
      session.refuse(number, .storage, "the store cannot be read: \(error)")
    }
  }

  /// Batches as they are on disk, as many as fit into a frame.
  private func answerLog(
    _ origin: OriginIndex, from: UInt64, through: UInt64, _ number: UInt64, _ session: ClientSession
  ) throws {
    if let base = store.base(of: origin)?.head.sequence, from <= base {
      return session.refuse(
        number, .notFound, "entries of origin \(origin) up to \(base) are not kept here; ask another node")
    }
    let stored = try store.batches(
      of: origin, from: from, through: through, bytesMax: ClientLimits.batchBytesTarget)
    var batches: [LoggedBatch] = []
    var bytes = 0
    for sealed in stored.prefix(ClientLimits.batchesMax) {
      let batch = LoggedBatch(view: sealed.view, signature: sealed.signature, bytes: sealed.bytes)
      bytes += batch.byteCountMax
      guard bytes <= ClientLimits.batchBytesTarget else { break }
      batches.append(batch)
    }
    if batches.isEmpty, !stored.isEmpty {
      return session.refuse(number, .tooMany, "the batch with entry \(origin)-\(from) is too long for a frame")
    }
    session.say(.answer(request: number, .log(batches, held: store.heads[origin]?.sequence ?? 0)))
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
    let stamp = replica.viewStamp
    return replica.withBook { Self.sides(of: instrument, in: $0, depth: depth, asOf: stamp) }
  }

  private static func sides(
    of instrument: Dot, in book: borrowing MatchingEngine, depth: Int, asOf stamp: Stamp
  ) -> MarketSides {
    func level(_ summary: LevelSummary) -> MarketLevel {
      MarketLevel(
        priceTicks: summary.priceTicks, quantityLots: summary.quantityLots, orders: UInt32(clamping: summary.orders))
    }
    return MarketSides(
      bids: book.levels(of: instrument, .buy, limit: depth, asOf: stamp).map(level),
      asks: book.levels(of: instrument, .sell, limit: depth, asOf: stamp).map(level))
  }

  private func answerBook(
    _ symbol: Symbol, _ depth: Int, _ number: UInt64, _ session: ClientSession, isFinal: Bool
  ) {
    let stamp = replica.viewStamp
    var answer: BookAnswer?
    if isFinal {
      answer = replica.withFinalBook { book in
        guard let dot = book.instruments.first(where: { $0.instrument.symbol == symbol })?.dot else { return nil }
        return BookAnswer(
          symbol: symbol, isFinal: true, applied: stamp, bookHash: book.bookHash(),
          sides: Self.sides(of: dot, in: book, depth: depth, asOf: stamp))
      }
    } else if let dot = instrument(symbol)?.dot {
      answer = BookAnswer(
        symbol: symbol, applied: replica.clockStamp, bookHash: replica.bookHash(), sides: sides(of: dot, depth: depth))
    }
    if let answer {
      session.say(.answer(request: number, .book(answer)))
    } else {
      let scope = isFinal ? " that is final" : ""
      session.refuse(number, .unknownSymbol, "no instrument \(symbol)\(scope); `rialto status` lists them")
    }
  }

  /// Final ones come from the tables; before them, if asked for, those of the tentative tail.
  private func answerTrades(
    _ symbol: Symbol?, _ count: Int, _ number: UInt64, _ session: ClientSession, isFinal: Bool
  ) throws {
    let dot = symbol.flatMap { instrument($0)?.dot }
    if let symbol, dot == nil {
      session.refuse(number, .unknownSymbol, "no instrument \(symbol)")
      return
    }
    try catchUpAudit()
    var trades: [MarketTrade] = []
    if !isFinal {
      trades = replica.tentativeTrades(of: dot, newest: count).map { fill, stamp in
        MarketTrade(
          symbol: self.symbol(of: fill.instrument) ?? Symbol("UNKNOWN")!, maker: fill.maker, taker: fill.taker,
          takerSide: fill.takerSide, priceTicks: fill.priceTicks, quantityLots: fill.quantityLots, stamp: stamp,
          isFinal: false)
      }
    }
    if trades.count < count {
      trades += try store.trades(symbol: symbol, newest: count - trades.count).map(marketTrade)
    }
    session.say(.answer(request: number, .trades(trades)))
  }

  private func answerOrder(
    _ reference: OrderReference, _ number: UInt64, _ session: ClientSession, isFinal: Bool
  ) throws {
    try catchUpAudit()
    let account = session.account
    let dot: Dot?
    switch reference {
    case .dot(let named): dot = named
    case .client(let id):
      dot =
        try store.order(account: account, clientOrderID: id)?.dot
        ?? replica.withBook { $0.order(account: account, clientOrderID: id) }
        ?? store.voidOrder(account: account, clientOrderID: id)
    }
    let found = try dot.flatMap { try detail(of: present($0, account), withFills: true, isFinal: isFinal) }
    if found == nil, let dot, let end = replica.end(ofSealed: dot.origin), dot.sequence > end {
      return session.refuse(
        number, .notFound, "\(dot) is void: the log of origin \(dot.origin) was sealed after entry \(end)")
    }
    guard let dot, var detail = found, detail.account == account else {
      let missing = isFinal ? "no such order of account \(account) is final" : "no such order of account \(account)"
      return session.refuse(number, .notFound, missing)
    }
    // The client goes on to know it as it asked for it.
    detail.dot = dot
    session.say(.answer(request: number, .order(detail)))
  }

  private func answerOpenOrders(
    _ after: Dot, _ number: UInt64, _ session: ClientSession, isFinal: Bool
  ) throws {
    if isFinal { try catchUpAudit() }
    let account = session.account
    let stamp = replica.viewStamp
    var orders =
      isFinal
      ? replica.withFinalBook { book in book.orders(of: account, asOf: stamp) }
      : replica.withBook { book in book.orders(of: account, asOf: stamp) }
    orders = orders.filter { after < $0.dot }
    orders.sort { $0.dot < $1.dot }
    let isTruncated = orders.count > ClientLimits.ordersPerPageMax
    let details = try orders.prefix(ClientLimits.ordersPerPageMax).compactMap { resting in
      var detail = try detail(of: resting.dot, withFills: false, isFinal: isFinal)
      detail?.openLots = resting.openLots
      detail?.filledLots = resting.filledLots
      return detail
    }
    session.say(.answer(request: number, .orders(details, isTruncated: isTruncated)))
  }

  /// An order as it stands now: what the tables say of it, or the log if it is younger, what tentative entries have
  /// made of it since, and whether its date is final.
  /// - Parameter wantsFinal: leaves out what tentative entries have done; nil for an order that is one itself.
  private func detail(of dot: Dot, withFills: Bool, isFinal wantsFinal: Bool) throws -> OrderDetail? {
    let stored = try store.order(dot)
    let void = stored == nil && replica.entry(dot) == nil ? try store.voidEntry(dot) : nil
    if wantsFinal, stored == nil, void == nil { return nil }
    let order: Order
    let stamp: Stamp
    if let stored {
      (order, stamp) = (stored.order, stored.stamp)
    } else if let entry = replica.entry(dot), case .command(.order(let young)) = entry.payload {
      (order, stamp) = (young, entry.stamp)
    } else if let void, case .command(.order(let cutOff)) = void.payload {
      (order, stamp) = (cutOff, void.stamp)
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
    let tentative = withFills && !wantsFinal ? replica.tentativeReport(of: dot, after: report) : nil
    if let tentative { fills += tentative.update.newFills }
    var now = tentative ?? report
    var isFinal = stored != nil && tentative == nil
    let resting = replica.withBook { $0.order(dot) }
    let isDue = order.expiry != .zero && order.expiry <= replica.viewStamp
    if void != nil, !order.isResubmittable {
      (now.state, now.reason) = (.rejected, RejectReason.sealed.rawValue)
      isFinal = true
    }
    if isDue && (resting != nil || now.state == .expired || void != nil && order.isResubmittable) {
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

  /// The dot that an order has now: another one if it was void and was sent again, or was a repeat then.
  private func present(_ dot: Dot, _ account: AccountID) throws -> Dot {
    if try store.order(dot) != nil || replica.entry(dot) != nil { return dot }
    if let now = replica.withBook({ $0.order(account: account, named: dot) }) { return now }
    guard let again = try store.order(account: account, firstDot: dot) else { return dot }
    return again.rejectReason == .repeated ? again.refersTo : again.dot
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
