import Oracle
import Primitives
import Testing

@testable import OrderBook

/// What the book hash commits to, and what it costs to keep.
@Suite struct BookHashTests {
  /// The format: a change of any of these values is a new format.
  @Test func goldenValues() {
    var engine = MatchingEngine()
    #expect(engine.bookHash().description == "4cb208abc455cb433ee2c1cacd5c1407a04c78c3c4332a5e3a4eb20f5413e4b9")
    #expect(Self.book(Self.oneOfEach).description == "85b739cfe00dfd94fe9511e1b456943803f74b6fd1be158eab5ce11b3c160c19")
  }

  /// Leaves every kind of record in the book, the ids and the tombstones.
  private static var oneOfEach: [Command?] {
    let stops = { (order: inout Order) in
      order.type = .stop
      order.priceTicks = 0
      order.stopPriceTicks = 150
      order.account = AccountID(7)
    }
    return [
      order {
        $0.clientOrderID = ClientOrderID(17)
        $0.clientTimeMilliseconds = 1_000_000
      },
      order {
        $0.quantityLots = 40
        $0.displayLots = 4
        $0.priceTicks = 99
        $0.timeInForce = .goodTillDate
        $0.expiry = Stamp(milliseconds: 2_000_000, counter: 3)
        $0.postOnly = true
        $0.clientOrderID = ClientOrderID("an id")!
        $0.clientTimeMilliseconds = 1_000_000
      },
      order {
        $0.side = .sell
        $0.quantityLots = 6
        $0.priceTicks = 99
        $0.account = AccountID(2)
      },
      order {
        $0.side = .sell
        $0.priceTicks = 1 << 61
        $0.selfTradePrevention = .cancelBoth
      },
      order(stops),
      order {
        stops(&$0)
        $0.type = .stopLimit
        $0.priceTicks = 140
        $0.displayLots = 2
        $0.clientOrderID = ClientOrderID(18)
        $0.clientTimeMilliseconds = 1_000_000
      },
      order {
        stops(&$0)
        $0.side = .sell
        $0.stopPriceTicks = 50
        $0.timeInForce = .fillOrKill
      },
      order {
        $0.type = .stopLimit
        $0.stopPriceTicks = 99
      },
      .cancel(Cancel(account: AccountID(3), target: .client(ClientOrderID(19)))),
      .cancel(Cancel(account: AccountID(3), target: .dot(Dot(origin: OriginIndex(2), sequence: 1)))),
    ]
  }

  @Test func fingerprintIsPartOfTheFormat() {
    let order = Order(
      instrument: Dot(origin: OriginIndex(3), sequence: 17), account: AccountID(99), side: .sell, priceTicks: 12_345,
      quantityLots: 678, clientOrderID: ClientOrderID(5), clientTimeMilliseconds: 1)
    var later = order
    later.clientTimeMilliseconds = 2
    #expect(String(order.fingerprint, radix: 16) == "a65c88b63468ccff")
    #expect(later.fingerprint == order.fingerprint)
  }

  /// Hash after these commands on one instrument, of which the definition is 1-1 and the first command 1-2.
  private static func book(_ commands: [Command?]) -> Hash256 {
    var engine = MatchingEngine()
    var oracle = Oracle()
    var tape = EventTape()
    var log = TestLog()
    for command in [.instrument(Instrument(symbol: Symbol("BTC-USD")!))] + commands {
      let entry = log.next()
      engine.apply(command, at: entry.dot, stamp: entry.stamp, into: &tape)
      _ = oracle.apply(command, at: entry.dot, stamp: entry.stamp)
    }
    #expect(engine.bookHash() == engine.recomputedBookHash())
    #expect(engine.bookHash() == oracle.bookHash())
    return oracle.bookHash()
  }

  private static func order(_ change: (inout Order) -> Void = { _ in }) -> Command {
    var order = Order(
      instrument: Dot(origin: OriginIndex(1), sequence: 1), account: AccountID(1), side: .buy, priceTicks: 100,
      quantityLots: 5)
    change(&order)
    return .order(order)
  }

  /// An amend of 1-2.
  private static func amend(open: Int64? = nil, requeue: Bool = false) -> Command {
    .amend(
      Amend(
        account: AccountID(1), target: .dot(Dot(origin: OriginIndex(1), sequence: 2)), targetStamp: Stamp(1),
        priceTicks: nil, quantityLots: open, quantityMeaning: .open, forfeitsPriority: requeue))
  }

  @Test func sameContentSameHashWhateverTheHistory() {
    let kept = Self.order()
    let gone = Self.order { $0.priceTicks = 99 }
    let cancelFirst = Command.cancel(
      Cancel(account: AccountID(1), target: .dot(Dot(origin: OriginIndex(1), sequence: 2))))
    let cancelSecond = Command.cancel(
      Cancel(account: AccountID(1), target: .dot(Dot(origin: OriginIndex(1), sequence: 3))))
    #expect(Self.book([kept, gone, cancelSecond]) == Self.book([kept]))
    #expect(Self.book([gone, kept, cancelFirst]) == Self.book([nil, kept]))
    let stop = Self.order {
      $0.type = .stop
      $0.priceTicks = 0
      $0.stopPriceTicks = 200
    }
    #expect(Self.book([kept, stop, cancelSecond]) == Self.book([kept]))
    #expect(Self.book([kept, stop]) != Self.book([kept]))
    // Another place in the log is another order.
    #expect(Self.book([kept]) != Self.book([nil, kept]))
  }

  @Test(arguments: [
    "price", "quantity", "account", "side", "id", "text id", "other content under one id", "self-trade prevention",
    "post-only", "time-in-force", "expiry", "display",
  ])
  func commitsTo(field: String) {
    let base = Self.order {
      $0.clientTimeMilliseconds = 1_000_000
      if field.hasPrefix("other") { $0.clientOrderID = ClientOrderID(1) }
      if field == "expiry" { $0.timeInForce = .goodTillDate }
      if field == "expiry" { $0.expiry = Stamp(milliseconds: 2_000_000) }
    }
    let other = Self.order {
      $0.clientTimeMilliseconds = 1_000_000
      switch field {
      case "price": $0.priceTicks = 101
      case "quantity": $0.quantityLots = 6
      case "account": $0.account = AccountID(2)
      case "side": $0.side = .sell
      case "id": $0.clientOrderID = ClientOrderID(1)
      case "text id": $0.clientOrderID = ClientOrderID("x")!
      case "self-trade prevention": $0.selfTradePrevention = .decrement
      case "post-only": $0.postOnly = true
      case "time-in-force", "expiry":
        $0.timeInForce = .goodTillDate
        $0.expiry = Stamp(milliseconds: 3_000_000)
      case "display": $0.displayLots = 5
      default:
        $0.clientOrderID = ClientOrderID(1)
        $0.timeInForce = .immediateOrCancel
      }
    }
    #expect(Self.book([base]) != Self.book([other]))
  }

  @Test(arguments: ["stop price", "limit", "type", "quantity", "side", "display", "time-in-force"])
  func commitsToWhatWaits(field: String) {
    let base = Self.order {
      $0.type = .stopLimit
      $0.stopPriceTicks = 200
    }
    let other = Self.order {
      $0.type = .stopLimit
      $0.stopPriceTicks = 200
      switch field {
      case "stop price": $0.stopPriceTicks = 201
      case "limit": $0.priceTicks = 101
      case "quantity": $0.quantityLots = 6
      case "side": $0.side = .sell
      case "display": $0.displayLots = 2
      case "time-in-force": $0.timeInForce = .fillOrKill
      default:
        $0.type = .stop
        $0.priceTicks = 0
      }
    }
    #expect(Self.book([base]) != Self.book([other]))
    // It waits since when it does.
    #expect(Self.book([other]) != Self.book([other, Self.amend(requeue: true)]))
    #expect(Self.book([other]) == Self.book([other, Self.amend()]))
  }

  /// Of 10 lots, 9 are left, and the book shows 4 or 3 of them.
  @Test func commitsToWhatAnIcebergShows() {
    let iceberg = Self.order {
      $0.quantityLots = 10
      $0.displayLots = 4
    }
    let own = Self.order {
      $0.side = .sell
      $0.quantityLots = 1
      $0.selfTradePrevention = .decrement
    }
    #expect(Self.book([iceberg, Self.amend(open: 9)]) != Self.book([iceberg, own]))
  }

  /// A stop-limit that has been triggered rests as one, not as a limit order.
  @Test func commitsToTheTypeOfWhatRests() {
    let trade = [Self.order { $0.side = .sell }, Self.order { $0.account = AccountID(2) }]
    let stop = Self.order {
      $0.type = .stopLimit
      $0.stopPriceTicks = 100
    }
    #expect(Self.book(trade + [stop]) != Self.book(trade + [Self.order()]))
  }

  /// A queue that was filled, thinned and refilled has the blocks of its content.
  @Test func deepQueuesCutAtTheSamePlaces() {
    var engine = MatchingEngine()
    var tape = EventTape()
    var oracle = Oracle()
    var flow = RandomFlow(seed: 1)
    var generator = SeededGenerator(seed: 3)
    let define = flow.next()
    engine.apply(define.command, at: define.dot, stamp: define.stamp, into: &tape)
    _ = oracle.apply(define.command, at: define.dot, stamp: define.stamp)
    var resting: [Dot] = []
    for step in 0..<1200 {
      var entry = flow.next()
      if !resting.isEmpty && generator.chance(step < 800 ? 1 : 6, of: 8) {
        let target = resting.remove(at: generator.pick(0...resting.count - 1))
        entry.command = .cancel(Cancel(account: AccountID(1), target: .dot(target)))
      } else {
        entry.command = .order(
          Order(instrument: define.dot, account: AccountID(1), side: .buy, priceTicks: 50, quantityLots: 1))
        resting.append(entry.dot)
      }
      engine.apply(entry.command, at: entry.dot, stamp: entry.stamp, into: &tape)
      _ = oracle.apply(entry.command, at: entry.dot, stamp: entry.stamp)
      if step % 20 == 0 { #expect(engine.bookHash() == oracle.bookHash()) }
    }
  }
}
