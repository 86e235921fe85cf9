import Primitives
import Testing

@testable import OrderBook

/// What the book hash commits to, and what it costs to keep.
@Suite struct BookHashTests {
  /// The format: a change of any of these values is a new format.
  @Test func goldenValues() {
    var engine = MatchingEngine()
    #expect(engine.bookHash().description == "4cb208abc455cb433ee2c1cacd5c1407a04c78c3c4332a5e3a4eb20f5413e4b9")
    var flow = RandomFlow(seed: 4711)
    var tape = EventTape()
    for entry in flow.entries(400) { engine.apply(entry.command, at: entry.dot, stamp: entry.stamp, into: &tape) }
    #expect(engine.restingOrders == 5)
    #expect(engine.bookHash().description == "b752ece9b380dab18cbe5365f0a6763bad5ef67fd62cd0984dfa0bf5bf2c6093")
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

  private static func book(_ orders: [(Order?, Bool)]) -> Hash256 {
    var engine = MatchingEngine()
    var tape = EventTape()
    var log = TestLog()
    _ = log.define("BTC-USD", in: &engine)
    for (order, isCancelled) in orders {
      let entry = log.next()
      engine.apply(order.map { .order($0) }, at: entry.dot, stamp: entry.stamp, into: &tape)
      let cancel = log.next()
      let command = isCancelled ? Command.cancel(Cancel(account: order!.account, target: .dot(entry.dot))) : nil
      engine.apply(command, at: cancel.dot, stamp: cancel.stamp, into: &tape)
    }
    #expect(engine.bookHash() == engine.recomputedBookHash())
    return engine.bookHash()
  }

  private static func order(_ change: (inout Order) -> Void = { _ in }) -> Order {
    var order = Order(
      instrument: Dot(origin: OriginIndex(1), sequence: 1), account: AccountID(1), side: .buy, priceTicks: 100,
      quantityLots: 5)
    change(&order)
    return order
  }

  @Test func sameContentSameHashWhateverTheHistory() {
    let kept = Self.order()
    let gone = Self.order { $0.priceTicks = 99 }
    #expect(Self.book([(kept, false), (gone, true)]) == Self.book([(kept, false), (nil, false)]))
    #expect(Self.book([(gone, true), (kept, false)]) == Self.book([(nil, false), (kept, false)]))
    // Another place in the log is another order.
    #expect(Self.book([(kept, false), (nil, false)]) != Self.book([(nil, false), (kept, false)]))
  }

  @Test(arguments: [
    "price", "quantity", "account", "side", "id", "text id", "other content under one id",
  ])
  func commitsTo(field: String) {
    let base = Self.order { if field.hasPrefix("other") { $0.clientOrderID = ClientOrderID(1) } }
    let other = Self.order {
      switch field {
      case "price": $0.priceTicks = 101
      case "quantity": $0.quantityLots = 6
      case "account": $0.account = AccountID(2)
      case "side": $0.side = .sell
      case "id": $0.clientOrderID = ClientOrderID(1)
      case "text id": $0.clientOrderID = ClientOrderID("x")!
      default:
        $0.clientOrderID = ClientOrderID(1)
        $0.timeInForce = .immediateOrCancel
      }
      $0.clientTimeMilliseconds = 1_000_000
    }
    var first = base
    first.clientTimeMilliseconds = 1_000_000
    #expect(Self.book([(first, false)]) != Self.book([(other, false)]))
  }

  /// A queue that was filled, thinned and refilled has the blocks of its content.
  @Test func deepQueuesCutAtTheSamePlaces() {
    var engine = MatchingEngine()
    var tape = EventTape()
    var oracle = Oracle()
    var flow = RandomFlow(seed: 1)
    flow.prices = 1
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
      if step % 20 == 0 { #expect(engine.bookHash() == oracle.bookHash) }
    }
  }
}
