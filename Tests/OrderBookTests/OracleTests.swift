import Primitives
import Testing

@testable import OrderBook

/// The engine against the oracle, on random flows.
@Suite struct OracleTests {
  /// Applies the entries to both; what differs first, or nil.
  static func difference(_ entries: [Entry], idsMax: Int, settling: Bool) -> String? {
    var engine = MatchingEngine(clientOrderIDsMax: idsMax)
    var oracle = Oracle(idsMax: idsMax)
    var tape = EventTape()
    for (position, entry) in entries.enumerated() {
      tape.removeAll()
      engine.apply(entry.command, at: entry.dot, stamp: entry.stamp, into: &tape)
      let expected = oracle.apply(entry.command, at: entry.dot, stamp: entry.stamp)
      if tape.events != expected { return "\(entry.dot) gave \(tape.events), the oracle \(expected)" }
      if settling && position % 7 == 0 { engine.settle(through: engine.journalMark) }
      if let broken = engine.brokenInvariant { return "after \(entry.dot): \(broken)" }
      if position % 5 == 0, let text = differenceInState(&engine, oracle) { return "after \(entry.dot): \(text)" }
    }
    engine.settle(through: engine.journalMark)
    return engine.brokenInvariant.map { "\($0)" } ?? differenceInState(&engine, oracle)
  }

  static func differenceInState(_ engine: inout MatchingEngine, _ oracle: Oracle) -> String? {
    if engine.bookHash() != engine.recomputedBookHash() { return "the kept hash differs from the recomputed one" }
    if engine.bookHash() != oracle.bookHash { return "the hash is not as defined" }
    if engine.restingOrders != oracle.resting.count { return "\(engine.restingOrders) orders rest" }
    if engine.tombstones.count != oracle.stones.count { return "\(engine.tombstones.count) tombstones" }
    for (dot, _) in oracle.instruments {
      if engine.lastTradePrice(of: dot) != oracle.lastTrade[dot] { return "the last trade price differs" }
      for side in Side.allCases {
        let levels = engine.levels(of: dot, side, limit: .max)
        if levels != oracle.levels(of: dot, side) { return "levels are \(levels)" }
        for level in levels {
          let queue = engine.orders(of: dot, side, priceTicks: level.priceTicks).map(\.dot)
          let expected = oracle.resting.filter {
            $0.instrument == dot && $0.side == side && $0.priceTicks == level.priceTicks
          }
          if queue != expected.map(\.dot) { return "the queue at \(level.priceTicks) is \(queue)" }
        }
      }
    }
    for order in oracle.resting where engine.order(order.dot).map(Oracle.Resting.init) != order {
      return "\(order.dot) is \(String(describing: engine.order(order.dot)))"
    }
    for account in 1...3 {
      let mine = engine.orders(of: AccountID(UInt64(account))).map(\.dot)
      let expected = oracle.resting.filter { $0.account.value == UInt64(account) }.map(\.dot).sorted()
      if mine != expected { return "account \(account) has \(mine)" }
      for number in 0..<9 {
        let id = ClientOrderID(UInt64(number))
        let found = engine.order(account: AccountID(UInt64(account)), clientOrderID: id)
        if found != oracle.taken(AccountID(UInt64(account)), id)?.dot {
          return "id \(number) is \(String(describing: found))"
        }
      }
    }
    return nil
  }

  @Test func agreesOnRandomFlows() {
    let failure = explore(seeds: 1...40, entries: 400) { entries, _ in
      Self.difference(entries, idsMax: Limits.clientOrderIDsMax, settling: false)
    }
    #expect(failure == nil, "\(failure ?? "")")
  }

  @Test func agreesWhileSettling() {
    let failure = explore(seeds: 101...130, entries: 400) { entries, _ in
      Self.difference(entries, idsMax: Limits.clientOrderIDsMax, settling: true)
    }
    #expect(failure == nil, "\(failure ?? "")")
  }

  @Test func agreesWhenFewIDsAreRemembered() {
    let failure = explore(seeds: 201...230, entries: 400) { entries, seed in
      Self.difference(entries, idsMax: 3, settling: seed % 2 == 0)
    }
    #expect(failure == nil, "\(failure ?? "")")
  }

  @Test func agreesOnDeepQueues() {
    let failure = explore(seeds: 301...306, entries: 1500, prices: 2) { entries, _ in
      Self.difference(entries, idsMax: 50, settling: true)
    }
    #expect(failure == nil, "\(failure ?? "")")
  }
}

extension Oracle.Resting {
  init(_ order: RestingOrder) {
    self.init(
      dot: order.dot, instrument: order.instrument, account: order.account, side: order.side,
      priceTicks: order.priceTicks, openLots: order.openLots, filledLots: order.filledLots,
      clientOrderID: order.clientOrderID)
  }
}
