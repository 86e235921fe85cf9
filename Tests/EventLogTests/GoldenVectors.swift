import EventLog
import OrderBook
import Primitives

/// The logs that the golden files hold. Changing one changes the format's reference: say why in the commit.
enum GoldenVectors {
  static let logs = [kinds, extremes, long]

  private static let instrument = Dot(origin: OriginIndex(0), sequence: 1)
  private static let account = AccountID(7)

  /// Entries a counter step apart, from a second of their own.
  private static func item(_ name: String, second: UInt64, _ payloads: [Payload]) -> GoldenLog.Item {
    let first = Stamp(milliseconds: 1_700_000_000_000 + second * 1_000).value
    let entries = payloads.enumerated().map { Entry(stamp: Stamp(first + UInt64($0.offset)), payload: $0.element) }
    return GoldenLog.Item(name: name, entries: entries)
  }

  private static func order(_ change: (inout Order) -> Void = { _ in }) -> Payload {
    var order = Order(instrument: instrument, account: account, side: .buy, priceTicks: 6_500_000, quantityLots: 25)
    change(&order)
    return .command(.order(order))
  }

  private static func cancel(
    _ target: OrderReference, after stamp: Stamp = .zero, account: AccountID = account
  ) -> Payload {
    .command(.cancel(Cancel(account: account, target: target, targetStamp: stamp)))
  }

  private static func id(_ text: String) -> ClientOrderID {
    guard let id = ClientOrderID(text) else { preconditionFailure("\(text) is an id") }
    return id
  }

  private static func increment(_ mantissa: UInt64, _ scale: UInt8) -> Increment {
    guard let increment = Increment(mantissa: mantissa, scale: scale) else { preconditionFailure("an increment") }
    return increment
  }

  private static func define(_ symbol: String, _ tick: Increment, _ lot: Increment) -> Payload {
    guard let symbol = Symbol(symbol) else { preconditionFailure("\(symbol) is a symbol") }
    return .command(.instrument(Instrument(symbol: symbol, tick: tick, lot: lot)))
  }

  /// Every payload kind, field and flag, a theme a batch.
  private static let kinds = GoldenLog(
    name: "kinds", incarnation: 3, register: 2, firstSequence: 1,
    items: [
      item("one-instrument", second: 0, [define("BTC-USD", increment(1, 2), increment(1, 8))]),
      item(
        "instruments", second: 1,
        [
          define("A", .one, .one), define("ABCDEFGHIJKLMNOP", increment(25, 4), increment(500, 0)),
          define("0.1_/-Z9", increment(1_000_000_000_000_000_000, 18), increment(1, 18)),
        ]),
      item("one-limit-order", second: 2, [order()]),
      item(
        "one-order-of-zeros", second: 3,
        [
          .command(.order(Order(instrument: .none, account: AccountID(0), side: .buy, priceTicks: 0, quantityLots: 0)))
        ]),
      item("sides", second: 4, Side.allCases.map { side in order { $0.side = side } }),
      item(
        "types", second: 5,
        OrderType.allCases.map { type in
          order {
            $0.type = type
            $0.priceTicks = type == .limit || type == .stopLimit ? 6_500_000 : 0
            $0.stopPriceTicks = type == .stop ? 6_499_000 : type == .stopLimit ? 6_501_000 : 0
          }
        }),
      item(
        "times-in-force", second: 6,
        TimeInForce.allCases.map { time in
          order {
            $0.timeInForce = time
            if time == .goodTillDate { $0.expiry = Stamp(milliseconds: 1_700_000_060_000, counter: 5) }
          }
        }),
      item(
        "self-trade-prevention", second: 7,
        SelfTradePrevention.allCases.map { prevention in order { $0.selfTradePrevention = prevention } }),
      item(
        "post-only-and-display", second: 8,
        [
          order { $0.postOnly = true }, order { $0.displayLots = 5 },
          order { ($0.postOnly, $0.displayLots) = (true, 24) },
        ]),
      item("client-order-ids", second: 9, clientOrderIDs),
      item("what-is-the-same", second: 10, same),
      item(
        "prices-up-and-down", second: 11,
        [6_500_000, 6_500_063, 6_499_999, 6_499_935, 6_508_127, 1, 0, -1].map { price in
          order { $0.priceTicks = price }
        }),
      item("cancels", second: 12, cancels),
      item("amends", second: 13, amends),
      item(
        "cancel-all", second: 14,
        [(7, instrument), (7, .none), (7, instrument), (8, .none), (8, Dot(origin: OriginIndex(9), sequence: 300))].map
        {
          .command(.cancelAll(CancelAll(account: AccountID($0.0), instrument: $0.1)))
        }),
      item("fills", second: 15, fills),
      item(
        "checkpoints", second: 16,
        [
          checkpoint(number: 1_700_000_015, fills: 0), checkpoint(number: 1_700_000_016, fills: 1_000_000),
        ]),
      item("state-that-kinds-share", second: 17, shared),
      GoldenLog.Item(name: "stamps-of-one-second", entries: stamps),
      item("first-dots", second: 19, firstDots),
    ])

  private static func checkpoint(number: UInt64, fills: UInt64) -> Payload {
    let sha = SHA256()
    let book = sha.hash(Array("book \(number)".utf8))
    let chain = sha.hash(Array("checkpoint \(number)".utf8))
    return .checkpoint(CheckpointAttestation(number: number, fills: fills, bookHash: book, checkpointHash: chain))
  }

  private static let clientOrderIDs: [Payload] = {
    let ids = [
      ClientOrderID(1_000), ClientOrderID(1_001), ClientOrderID(999), ClientOrderID(0), ClientOrderID(.max), id("a"),
      id("007"), id("18446744073709551616"), id("it's a \\ \"test\""), id("Größe €"),
      id("f47ac10b-58cc-4372-a567-0e02b2c3d479"), id("nul\0and\n"), .none, ClientOrderID(5),
    ]
    return ids.enumerated().map { index, id in
      order {
        $0.clientOrderID = id
        if !id.isNone { $0.clientTimeMilliseconds = 1_700_000_009_000 + UInt64(index * index) - UInt64(index * 5) }
      }
    }
  }()

  /// Every combination of side and the three "same" flags, that is every head of an order.
  private static let same: [Payload] = {
    var last = Order(instrument: instrument, account: account, side: .buy, priceTicks: 6_500_000, quantityLots: 25)
    return [.command(.order(last))]
      + (0..<16).map { flags in
        last.side = flags & 1 == 0 ? .buy : .sell
        if flags & 2 == 0 {
          last.instrument = Dot(origin: last.instrument.origin, sequence: last.instrument.sequence ^ 193)
        }
        if flags & 4 == 0 { last.account = AccountID(last.account.value ^ 300) }
        if flags & 8 == 0 { last.postOnly.toggle() }
        return .command(.order(last))
      }
  }()

  private static let cancels: [Payload] = [
    cancel(.dot(Dot(origin: OriginIndex(0), sequence: 1_000))),
    cancel(.dot(Dot(origin: OriginIndex(0), sequence: 1_001))),
    cancel(.dot(Dot(origin: OriginIndex(300), sequence: 936))),
    cancel(
      .dot(Dot(origin: OriginIndex(0), sequence: 5)), after: Stamp(milliseconds: 1_700_000_011_999, counter: 65_535)),
    cancel(.client(ClientOrderID(12))), cancel(.client(ClientOrderID(11)), after: Stamp(1)),
    cancel(.client(id("order 11"))), cancel(.client(id("x")), after: Stamp(milliseconds: 1), account: AccountID(8)),
    cancel(.dot(.none), account: AccountID(8)), cancel(.client(ClientOrderID(3)), account: AccountID(10)),
    cancel(.dot(instrument), after: Stamp(9), account: AccountID(11)),
    cancel(.dot(Dot(origin: OriginIndex(.max), sequence: 6)), account: AccountID(9)),
  ]

  /// Every combination of what an amend may change, its target named in each way by turns.
  private static let amends: [Payload] = (0..<24).map { bits in
    let target: OrderReference =
      switch bits % 3 {
      case 0: .dot(Dot(origin: OriginIndex(1), sequence: UInt64(100 + bits)))
      case 1: .client(ClientOrderID(UInt64(50 - bits)))
      default: .client(id("amend-\(bits)"))
      }
    let quantity = bits / 2 % 3
    return .command(
      .amend(
        Amend(
          account: AccountID(bits < 6 ? 7 : UInt64(bits)), target: target,
          targetStamp: bits / 2 % 2 == 0 ? .zero : Stamp(milliseconds: 1_700_000_012_345, counter: UInt16(bits)),
          priceTicks: bits & 1 == 0 ? nil : 6_500_000 + Int64(bits),
          quantityLots: quantity == 0 ? nil : Int64(10 + bits),
          quantityMeaning: quantity == 2 ? .open : .total, forfeitsPriority: bits / 6 % 2 == 1)))
  }

  private static let fills: [Payload] = [
    (100, 101, 6_500_000, 3), (99, 101, 6_500_000, 1), (102, 101, 6_499_990, 22), (500_000, 3, 12, 1),
  ].map { maker, taker, price, quantity in
    .fill(
      FillAttestation(
        maker: Dot(origin: OriginIndex(UInt32(maker % 3)), sequence: maker),
        taker: Dot(origin: OriginIndex(2), sequence: taker), priceTicks: price, quantityLots: quantity))
  }

  /// Orders, cancels and amends share account, price and client order id; fills and definitions share nothing with
  /// them.
  private static let shared: [Payload] = [
    order { ($0.clientOrderID, $0.clientTimeMilliseconds) = (ClientOrderID(500), 1_700_000_017_000) },
    cancel(.client(ClientOrderID(501))),
    define("ETH-USD", increment(1, 2), increment(1, 4)),
    .command(
      .amend(Amend(account: account, target: .client(ClientOrderID(500)), priceTicks: 6_500_010, quantityLots: nil))),
    .fill(FillAttestation(maker: instrument, taker: instrument, priceTicks: 9, quantityLots: 1)),
    .command(.cancelAll(CancelAll(account: AccountID(8), instrument: Dot(origin: OriginIndex(4), sequence: 4)))),
    order {
      $0.account = AccountID(8)
      $0.priceTicks = 6_500_011
      ($0.clientOrderID, $0.clientTimeMilliseconds) = (ClientOrderID(502), 1_700_000_016_990)
    },
    .command(
      .amend(
        Amend(account: AccountID(8), target: .dot(instrument), priceTicks: nil, quantityLots: 4, forfeitsPriority: true)
      )),
    order { ($0.account, $0.priceTicks) = (AccountID(8), 6_500_012) },
    cancel(.dot(Dot(origin: OriginIndex(0), sequence: 3)), account: AccountID(8)),
  ]

  /// Orders that are sent again, some with an id, between cancels that name dots: they share the target.
  private static let firstDots: [Payload] = {
    func again(_ origin: UInt32, _ sequence: UInt64, id: ClientOrderID = .none) -> Payload {
      order {
        $0.firstDot = Dot(origin: OriginIndex(origin), sequence: sequence)
        $0.clientOrderID = id
        if !id.isNone { $0.clientTimeMilliseconds = 1_700_000_018_000 }
      }
    }
    return [
      again(0, 1_000), again(0, 1_001), again(0, 1_003, id: ClientOrderID(77)), again(0, 1_004, id: id("void")),
      cancel(.dot(Dot(origin: OriginIndex(0), sequence: 1_003))), again(0, 1_005),
      again(1 << 20 - 1, 1 << 44 - 1), order(), again(2, 1),
    ]
  }()

  /// From the first stamp of a second to its last, by steps of one byte to four.
  private static let stamps: [Entry] = {
    let steps: [UInt64] = [0, 1, 127, 128, 16_384, 65_535, 65_536, 65_837, 999 << 16, 999 << 16 | 65_535]
    let first = Stamp(milliseconds: 1_700_000_018_000).value
    return steps.map { Entry(stamp: Stamp(first + $0), payload: cancel(.dot(.none))) }
  }()

  /// The ends of every range, in a log of its own: its sequences end where sequences end.
  private static let extremes = GoldenLog(
    name: "extremes", incarnation: .max, register: UInt32(Limits.originsMax - 1), firstSequence: UInt64.max >> 1 - 8,
    items: [
      GoldenLog.Item(name: "first-stamp", entries: [Entry(stamp: .zero, payload: cancel(.dot(.none)))]),
      GoldenLog.Item(
        name: "longest-entries",
        entries: [Int64.min, .max, .min].enumerated().map { index, value in
          Entry(stamp: Stamp(milliseconds: 999, counter: UInt16(65_530 + index)), payload: longest(value))
        }),
      GoldenLog.Item(
        name: "largest-numbers",
        entries: [
          Entry(
            stamp: Stamp(.max - 4),
            payload: .fill(
              FillAttestation(
                maker: Dot(origin: OriginIndex(.max), sequence: .max),
                taker: Dot(origin: OriginIndex(.max), sequence: .max), priceTicks: .min, quantityLots: .max))),
          Entry(
            stamp: Stamp(.max - 3),
            payload: .fill(
              FillAttestation(
                maker: Dot(origin: OriginIndex(0), sequence: 0), taker: Dot(origin: OriginIndex(0), sequence: 0),
                priceTicks: .max, quantityLots: .min))),
          Entry(
            stamp: Stamp(.max - 2),
            payload: .checkpoint(
              CheckpointAttestation(
                number: .max, fills: .max, bookHash: .zero,
                checkpointHash: Hash256(word0: .max, word1: .max, word2: .max, word3: .max)))),
          Entry(
            stamp: Stamp(.max - 1),
            payload: .command(
              .amend(
                Amend(
                  account: AccountID(.max), target: .dot(Dot(origin: OriginIndex(.max), sequence: .max)),
                  targetStamp: Stamp(.max), priceTicks: .max, quantityLots: .max, quantityMeaning: .open,
                  forfeitsPriority: true)))),
          Entry(
            stamp: Stamp(.max),
            payload: .command(
              .cancelAll(
                CancelAll(account: AccountID(.max - 1), instrument: Dot(origin: OriginIndex(.max), sequence: .max))))),
        ]),
    ])

  private static func longest(_ value: Int64) -> Payload {
    let bits = UInt64(bitPattern: value)
    return order {
      $0 = Order(
        instrument: Dot(origin: OriginIndex(.max), sequence: bits), account: AccountID(bits), side: .sell,
        type: .stopLimit, timeInForce: .goodTillDate, priceTicks: value, quantityLots: 0 &- value,
        selfTradePrevention: .decrement, postOnly: true, stopPriceTicks: value &+ 1, displayLots: value,
        expiry: Stamp(.max),
        clientOrderID: value == .max ? ClientOrderID(.max) : id(String(repeating: "z", count: 36)),
        clientTimeMilliseconds: bits)
    }
  }

  /// A plausible stretch of trading.
  private static let long: GoldenLog = {
    var flow = PlausibleFlow(seed: 2_024, accounts: 40)
    var entries: [Entry] = []
    for sequence in 1...UInt64(400) {
      let stamp = flow.nextStamp()
      let payload = flow.payload(dot: Dot(origin: OriginIndex(1), sequence: sequence))
      entries.append(Entry(stamp: stamp, payload: payload))
    }
    return GoldenLog(
      name: "long", incarnation: 0, register: 1, firstSequence: 1,
      items: [GoldenLog.Item(name: "four-hundred-entries", entries: entries)])
  }()
}
