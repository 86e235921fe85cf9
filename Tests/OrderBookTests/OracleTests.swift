import Oracle
import Primitives
import Testing

@testable import OrderBook

/// The engine against the oracle, on random flows: every event of every entry, and every few entries all that the two
/// hold.
@Suite struct OracleTests {
  /// Applies the entries to both; what differs first, or nil.
  static func difference(
    _ entries: [Entry], idsMax: Int = Limits.clientOrderIDsMax, settling: Bool = false, statesEvery period: Int = 48,
    checksEvery checkPeriod: Int = 2
  ) -> String? {
    var engine = MatchingEngine(clientOrderIDsMax: idsMax)
    var oracle = Oracle(idsMax: idsMax)
    var tape = EventTape()
    for (position, entry) in entries.enumerated() {
      tape.removeAll()
      engine.apply(entry.command, at: entry.dot, stamp: entry.stamp, into: &tape)
      let expected = oracle.apply(entry.command, at: entry.dot, stamp: entry.stamp)
      if tape.events != expected { return "\(entry.dot) gave \(tape.events), the oracle \(expected)" }
      if settling && position % 7 == 0 { engine.settle(through: engine.journalMark) }
      if position % checkPeriod == 0, let broken = engine.brokenInvariant { return "after \(entry.dot): \(broken)" }
      if position % period == period - 1, let text = differenceInState(&engine, oracle) {
        return "after \(entry.dot): \(text)"
      }
    }
    engine.settle(through: engine.journalMark)
    return engine.brokenInvariant.map { "at the end: \($0)" } ?? differenceInState(&engine, oracle)
  }

  static func differenceInState(_ engine: inout MatchingEngine, _ oracle: Oracle) -> String? {
    let hash = engine.bookHash()
    if hash != engine.recomputedBookHash() { return "the kept hash differs from the recomputed one" }
    if hash != oracle.bookHash() { return "the hash is not as defined" }
    if engine.restingOrders != oracle.restingOrders { return "\(engine.restingOrders) orders rest" }
    if engine.waitingStops != oracle.waitingStops { return "\(engine.waitingStops) stops wait" }
    if engine.tombstones.count != oracle.stones.count { return "\(engine.tombstones.count) tombstones" }
    for book in oracle.books {
      if engine.lastTradePrice(of: book.dot) != book.lastTrade { return "the last trade price differs" }
      for side in Side.allCases {
        let levels = engine.levels(of: book.dot, side, limit: .max)
        if levels != oracle.levels(of: book.dot, side) { return "levels are \(levels)" }
        for level in levels {
          let queue = engine.orders(of: book.dot, side, priceTicks: level.priceTicks)
          if queue != oracle.queue(of: book.dot, side, priceTicks: level.priceTicks) {
            return "the queue at \(level.priceTicks) is \(queue)"
          }
        }
        let stops = engine.stops(of: book.dot, side)
        if stops != oracle.stops(of: book.dot, side) { return "waiting are \(stops)" }
      }
    }
    for account in 1...3 { if let text = difference(of: AccountID(UInt64(account)), engine, oracle) { return text } }
    return nil
  }

  private static func difference(
    of account: AccountID, _ engine: borrowing MatchingEngine, _ oracle: Oracle
  ) -> String? {
    let mine = oracle.orders(of: account)
    if engine.orders(of: account) != mine { return "account \(account) has \(engine.orders(of: account))" }
    for order in mine where engine.order(order.dot) != order {
      return "\(order.dot) is \(String(describing: engine.order(order.dot)))"
    }
    for number in 0..<UInt64(9) {
      let found = engine.order(account: account, clientOrderID: ClientOrderID(number))
      if found != oracle.taken(account, ClientOrderID(number))?.dot {
        return "id \(number) is \(String(describing: found))"
      }
    }
    return nil
  }

  /// Two million entries: every event is compared. Invariants are checked after each one in `agreesAfterEachEntry`.
  @Test(arguments: FlowProfile.all) func agrees(on profile: FlowProfile) {
    let failure = explore(profile, seeds: 1...630, entries: 400) { entries, seed in
      Self.difference(entries, settling: seed % 2 == 0, checksEvery: 8)
    }
    #expect(failure == nil, "\(failure ?? "")")
  }

  @Test func agreesWhenFewIDsAreRemembered() {
    let failure = explore(seeds: 10_001...10_060, entries: 400) { entries, seed in
      Self.difference(entries, idsMax: 3, settling: seed % 2 == 0)
    }
    #expect(failure == nil, "\(failure ?? "")")
  }

  @Test(arguments: [FlowProfile.deep, .deepIcebergs]) func agreesOnDeepQueues(of profile: FlowProfile) {
    let failure = explore(profile, seeds: 20_001...20_006, entries: 1500) { entries, seed in
      Self.difference(entries, idsMax: 50, settling: seed % 2 == 0, checksEvery: 1)
    }
    #expect(failure == nil, "\(failure ?? "")")
  }

  /// States are compared after each entry here: what was wrong for a moment is seen.
  @Test(arguments: FlowProfile.all) func agreesAfterEachEntry(on profile: FlowProfile) {
    let failure = explore(profile, seeds: 30_001...30_006, entries: 150) { entries, seed in
      Self.difference(entries, settling: seed % 2 == 0, statesEvery: 1, checksEvery: 1)
    }
    #expect(failure == nil, "\(failure ?? "")")
  }

  @Test func agreesOnTooManyInstruments() {
    let failure = Self.difference(CoverageTests.tooManyInstruments, statesEvery: .max, checksEvery: .max)
    #expect(failure == nil, "\(failure ?? "")")
  }
}
