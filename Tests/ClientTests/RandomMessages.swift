import Client
import OrderBook
import Primitives

/// Seeded random values of everything the native protocol carries, small and extreme ones alike.
struct RandomMessages {
  var random: SeededGenerator

  init(seed: UInt64) { random = SeededGenerator(seed: seed) }

  /// Numbers of every magnitude, not only large ones.
  mutating func number(max limit: UInt64 = .max) -> UInt64 {
    let value = random.next() >> random.below(64)
    return limit == .max ? value : value % (limit + 1)
  }

  mutating func signed() -> Int64 { Int64(bitPattern: random.next()) >> Int64(random.below(64)) }
  mutating func lots() -> Int64 { Int64(number(max: UInt64(Int64.max))) }
  mutating func flag() -> Bool { random.chance(1, of: 2) }
  mutating func stamp() -> Stamp { Stamp(number()) }

  mutating func dot() -> Dot {
    Dot(origin: OriginIndex(UInt32(random.below(65_537))), sequence: max(1, number(max: .max - 100_000)))
  }

  mutating func dotOrNone() -> Dot { flag() ? dot() : .none }

  mutating func hash() -> Hash256 {
    Hash256(word0: random.next(), word1: random.next(), word2: random.next(), word3: random.next())
  }

  mutating func symbol() -> Symbol {
    let alphabet = Array("ABCXYZ019-._/")
    let text = String((0..<random.pick(1...16)).map { _ in alphabet[random.pick(0...alphabet.count - 1)] })
    return Symbol(text)!
  }

  mutating func text(max limit: Int) -> String {
    let alphabet: [Character] = ["a", "Z", " ", "é", "…", "7", "\n", "𝄞"]
    var text = ""
    for _ in 0..<random.pick(0...12) {
      let next = alphabet[random.pick(0...alphabet.count - 1)]
      if text.utf8.count + String(next).utf8.count <= limit { text.append(next) }
    }
    return text
  }

  mutating func clientOrderID() -> ClientOrderID {
    switch random.below(3) {
    case 0: .none
    case 1: ClientOrderID(number())
    default: ClientOrderID("k" + text(max: 30))!
    }
  }

  mutating func someClientOrderID() -> ClientOrderID {
    let id = clientOrderID()
    return id.isNone ? ClientOrderID(7) : id
  }

  mutating func list<Element>(upTo count: Int = 5, _ make: (inout RandomMessages) -> Element) -> [Element] {
    (0..<random.pick(0...count)).map { _ in make(&self) }
  }
}

// MARK: - Commands

extension RandomMessages {
  mutating func increment() -> Increment {
    Increment(mantissa: 1 + number(max: 999_999), scale: UInt8(random.below(19)))!
  }

  mutating func reference() -> OrderReference { flag() ? .dot(dot()) : .client(someClientOrderID()) }

  mutating func order() -> Order {
    let type = OrderType.allCases[random.pick(0...3)]
    let timeInForce = TimeInForce.allCases[random.pick(0...3)]
    let id = clientOrderID()
    return Order(
      instrument: dot(), account: AccountID(number()), side: flag() ? .buy : .sell, type: type,
      timeInForce: timeInForce, priceTicks: signed(), quantityLots: signed(),
      selfTradePrevention: SelfTradePrevention.allCases[random.pick(0...4)], postOnly: flag(),
      stopPriceTicks: type == .stop || type == .stopLimit ? signed() : 0, displayLots: flag() ? signed() : 0,
      expiry: timeInForce == .goodTillDate ? stamp() : .zero, clientOrderID: id,
      clientTimeMilliseconds: id.isNone ? 0 : number())
  }

  mutating func command() -> Command {
    let account = AccountID(number(max: 3))
    switch random.below(6) {
    case 0: return .instrument(Instrument(symbol: symbol(), tick: increment(), lot: increment()))
    case 1: return .cancel(Cancel(account: account, target: reference(), targetStamp: flag() ? stamp() : .zero))
    case 2:
      let quantity = flag() ? signed() : nil
      return .amend(
        Amend(
          account: account, target: reference(), targetStamp: flag() ? stamp() : .zero,
          priceTicks: flag() ? signed() : nil, quantityLots: quantity,
          quantityMeaning: quantity != nil && flag() ? .open : .total, forfeitsPriority: flag()))
    case 3: return .cancelAll(CancelAll(account: account, instrument: dotOrNone()))
    default: return .order(order())
    }
  }
}

// MARK: - Requests

extension RandomMessages {
  mutating func level() -> ReadLevel {
    switch random.below(3) {
    case 0: .tentative
    case 1: .final
    default: .atLeast(stamp(), waitMilliseconds: 1 + random.below(ClientLimits.waitMillisecondsMax))
    }
  }

  mutating func query() -> ClientQuery {
    switch random.below(14) {
    case 0: .book(symbol(), depth: random.pick(1...ClientLimits.levelsPerSideMax), level())
    case 1: .order(.dot(dot()), level())
    case 2: .order(.client(someClientOrderID()), level())
    case 3: .openOrders(after: dotOrNone(), level())
    case 4: .trades(flag() ? symbol() : nil, count: random.pick(1...ClientLimits.tradesMax), level())
    case 5: .status
    case 6: .instruments
    case 7: .finality(level())
    case 8: .fault(.links(list { CutLink(node: NodeID($0.hash()), direction: $0.flag() ? .both : .inbound) }))
    case 9: .inspect(list(upTo: 60) { UInt8($0.random.below(256)) })
    case 10:
      .log(
        OriginIndex(UInt32(random.below(UInt64(Limits.originsMax)))), from: 1 + random.below(1 << 40),
        through: (1 << 40) + random.below(1 << 60))
    case 11: .fault(.corrupt(flag() ? .bitflipBook : .skipFill, seed: number()))
    case 12: .findings
    default: .peers
    }
  }

  mutating func request(_ frame: ClientFrame) -> ClientRequest? {
    switch frame {
    case .submit:
      let commands = [command()] + list(upTo: 20) { $0.command() }
      return .submit(SubmitRequest(firstRequest: number(max: 1 << 60), after: stamp(), commands: commands))
    case .query: return .query(request: number(), query())
    case .subscribe:
      return .subscribe(
        SubscribeRequest(
          request: number(), symbol: flag() ? symbol() : nil, content: .init(rawValue: UInt8(random.pick(1...7)))))
    case .unsubscribe: return .unsubscribe(subscription: number())
    case .ping: return .ping(nonce: number())
    case .ownUpdates: return .ownUpdates(flag())
    case .accepted, .refused, .updates, .answer, .marketSnapshot, .marketChange, .pong, .goodbye: return nil
    }
  }
}

// MARK: - Messages

extension RandomMessages {
  mutating func run() -> AcceptedRun {
    var stamps = [Stamp(number(max: 1 << 62))]
    for _ in 0..<random.pick(0...20) { stamps.append(Stamp(stamps.last!.value + 1 + number(max: 1 << 40))) }
    return AcceptedRun(firstRequest: number(max: 1 << 60), firstDot: dot(), stamps: stamps)
  }

  mutating func refusal() -> RequestRefusal {
    let codes = RequestRefusalCode.allCases
    return RequestRefusal(codes[random.pick(0...codes.count - 1)], text(max: 200))
  }

  mutating func fill() -> OrderFill {
    OrderFill(priceTicks: signed(), quantityLots: lots(), counterparty: dot(), isMaker: flag())
  }

  mutating func reason(rejected: Bool, cancelled: Bool) -> UInt8 {
    if rejected { return UInt8(random.pick(0...RejectReason.allCases.count)) }
    if cancelled { return UInt8(random.pick(0...CancelReason.allCases.count)) }
    return 0
  }

  mutating func update() -> OrderUpdate {
    let state = UpdateState.allCases[random.pick(0...7)]
    return OrderUpdate(
      entry: dot(), state: state, reason: reason(rejected: state == .rejected, cancelled: state == .cancelled),
      other: dotOrNone(), openLots: lots(), filledLots: lots(), fillsStanding: number(),
      newFills: list { $0.fill() }, flags: .init(rawValue: UInt8(random.pick(0...3))))
  }

  mutating func level(_ price: Int64) -> MarketLevel {
    let quantity = UInt128(number()) << 64 | UInt128(number())
    let orders = UInt32(number(max: UInt64(UInt32.max)))
    return MarketLevel(priceTicks: price, quantityLots: max(1, quantity), orders: orders)
  }

  mutating func sides() -> MarketSides {
    var price = signed() / 4
    let bids = list { random -> MarketLevel in
      price -= 1 + Int64(random.number(max: 1 << 40))
      return random.level(price)
    }
    price = signed() / 4
    let asks = list { random -> MarketLevel in
      price += 1 + Int64(random.number(max: 1 << 40))
      return random.level(price)
    }
    return MarketSides(bids: bids, asks: asks)
  }

  mutating func trade(_ symbol: Symbol) -> MarketTrade {
    MarketTrade(
      symbol: symbol, maker: dot(), taker: dot(), takerSide: flag() ? .buy : .sell, priceTicks: signed(),
      quantityLots: lots(), stamp: stamp(), isFinal: flag())
  }

  mutating func detail(withFills: Bool) -> OrderDetail {
    let status = OrderStatus.allCases[random.pick(0...6)]
    return OrderDetail(
      dot: dot(), stamp: stamp(), clientOrderID: clientOrderID(), symbol: symbol(), account: AccountID(number()),
      side: flag() ? .buy : .sell, type: OrderType.allCases[random.pick(0...3)],
      timeInForce: TimeInForce.allCases[random.pick(0...3)], postOnly: flag(), isFinal: flag(), priceTicks: signed(),
      quantityLots: signed(), stopPriceTicks: signed(), displayLots: signed(), expiry: stamp(),
      selfTradePrevention: SelfTradePrevention.allCases[random.pick(0...4)], isWaiting: flag(), openLots: lots(),
      filledLots: lots(), status: status,
      reason: reason(rejected: status == .rejected, cancelled: status == .cancelled),
      fills: withFills ? list { $0.fill() } : [], fillsOmitted: number(max: 1 << 60))
  }

  mutating func answer() -> ClientAnswer {
    switch random.below(14) {
    case 0:
      return .book(
        BookAnswer(symbol: symbol(), isFinal: flag(), applied: stamp(), bookHash: hash(), sides: sides()))
    case 1: return .order(detail(withFills: true))
    case 2: return .orders(list { $0.detail(withFills: false) }, isTruncated: flag())
    case 3: return .trades(list { $0.trade($0.symbol()) })
    case 4: return .status(json: text(max: 1_000))
    case 5:
      return .instruments(
        list {
          InstrumentRecord(
            dot: $0.dot(), instrument: Instrument(symbol: $0.symbol(), tick: $0.increment(), lot: $0.increment()))
        })
    case 6: return .peers(json: text(max: 1_000))
    case 7: return .finality(stamp())
    case 8: return .done
    case 9:
      return .log(
        list {
          LoggedBatch(
            view: $0.random.next() >> 1, signature: Signature(bytes: $0.hash().bytes + $0.hash().bytes)!,
            bytes: Array($0.text(max: 500).utf8))
        }, held: random.next() >> 1)
    case 10: return .findings(json: text(max: 1_000))
    case 11: return .damaged(text(max: 1_000))
    case 12: return .inspection(list(upTo: 60) { UInt8($0.random.below(256)) })
    default: return .subscribed
    }
  }

  mutating func message(_ frame: ClientFrame) -> NodeMessage? {
    switch frame {
    case .accepted: return .accepted(list { $0.run() })
    case .refused:
      return .refused(RefusedRun(firstRequest: number(max: 1 << 60), count: random.pick(1...4_096), refusal: refusal()))
    case .updates: return .updates(list { $0.update() })
    case .answer: return .answer(request: number(), answer())
    case .marketSnapshot:
      return .marketSnapshot(
        MarketSnapshot(
          subscription: number(), symbol: symbol(), sequence: number(), bookHash: hash(), sides: sides()))
    case .marketChange:
      let symbol = symbol()
      return .marketChange(
        MarketChange(
          subscription: number(), symbol: symbol, sequence: number(), bookHash: flag() ? hash() : nil,
          levels: list { Client.LevelChange(side: $0.flag() ? .buy : .sell, level: $0.level($0.signed())) },
          tradesWithdrawn: number(), trades: list { $0.trade(symbol) }))
    case .pong: return .pong(nonce: number())
    case .goodbye: return .goodbye(text(max: 200))
    case .submit, .query, .subscribe, .unsubscribe, .ping, .ownUpdates: return nil
    }
  }
}
