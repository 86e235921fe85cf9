import Primitives
import Testing

@testable import OrderBook

/// Taking entries back, and settling them.
@Suite struct UndoTests {
  private struct Point {
    var mark: UInt64
    var position: Int
    var hash: Hash256
  }

  /// Goes forth and back at random. Every earlier state must come back exactly, and go on as it did before.
  static func difference(_ entries: [Entry], seed: UInt64, idsMax: Int) -> String? {
    var generator = SeededGenerator(seed: seed)
    var engine = MatchingEngine(clientOrderIDsMax: idsMax)
    var tape = EventTape()
    var seen: [[OrderEvent]] = []
    var points = [Point(mark: engine.journalMark, position: 0, hash: engine.bookHash())]
    var position = 0
    while position < entries.count {
      if generator.chance(1, of: 12), points.count > 1 {
        let index = generator.pick(0...points.count - 1)
        let point = points[index]
        engine.rollback(to: point.mark)
        points.removeSubrange((index + 1)...)
        position = point.position
        if let broken = engine.brokenInvariant { return "back at \(position): \(broken)" }
        let hash = generator.chance(1, of: 2) ? engine.bookHash() : engine.recomputedBookHash()
        if hash != point.hash { return "back at \(position), the hash is another" }
      }
      let entry = entries[position]
      tape.removeAll()
      engine.apply(entry.command, at: entry.dot, stamp: entry.stamp, into: &tape)
      if position < seen.count {
        if seen[position] != tape.events { return "\(entry.dot) gave \(tape.events) again, first \(seen[position])" }
      } else {
        seen.append(tape.events)
      }
      position += 1
      let hash = generator.chance(1, of: 3) ? engine.bookHash() : engine.recomputedBookHash()
      points.append(Point(mark: engine.journalMark, position: position, hash: hash))
      if generator.chance(1, of: 25) {
        let index = generator.pick(0...points.count - 1)
        engine.settle(through: points[index].mark)
        points.removeSubrange(..<index)
      }
    }
    engine.settle(through: engine.journalMark)
    if let broken = engine.brokenInvariant { return "at the end: \(broken)" }
    if engine.bookHash() != points.last?.hash { return "at the end, the hash is another" }
    var straight = MatchingEngine(clientOrderIDsMax: idsMax)
    for entry in entries { straight.apply(entry.command, at: entry.dot, stamp: entry.stamp, into: &tape) }
    return straight.bookHash() == engine.bookHash() ? nil : "without rollbacks the hash is another"
  }

  @Test func rollbackRestoresExactly() {
    let failure = explore(seeds: 1...40, entries: 200) { entries, seed in
      Self.difference(entries, seed: seed, idsMax: seed % 2 == 0 ? 4 : Limits.clientOrderIDsMax)
    }
    #expect(failure == nil, "\(failure ?? "")")
  }

  @Test func everythingCanBeTakenBack() {
    var flow = RandomFlow(seed: 77)
    var engine = MatchingEngine()
    var tape = EventTape()
    let empty = engine.bookHash()
    for entry in flow.entries(3000) { engine.apply(entry.command, at: entry.dot, stamp: entry.stamp, into: &tape) }
    #expect(engine.bookHash() != empty)
    engine.rollback(to: 0)
    engine.checkInvariants()
    #expect(engine.bookHash() == empty)
    #expect(engine.restingOrders == 0)
    #expect(engine.orders.count == 0)
    #expect(engine.appliedSequence(OriginIndex(0)) == 0)
  }

  /// Memory is bounded by what is not settled: slots, pages, records and index nodes are used again.
  @Test func settlingGivesSlotsBack() {
    var engine = MatchingEngine()
    var tape = EventTape()
    var log = TestLog()
    let instrument = log.define("BTC-USD", in: &engine)
    for round in 0..<50 {
      for step in 0..<40 {
        let order = log.next()
        // Prices wander, near and far.
        let price = Int64(1 + step * 1000 + round * 7919)
        engine.apply(
          .order(Order(instrument: instrument, account: AccountID(1), side: .buy, priceTicks: price, quantityLots: 1)),
          at: order.dot, stamp: order.stamp, into: &tape)
      }
      let all = log.next()
      engine.apply(.cancelAll(CancelAll(account: AccountID(1))), at: all.dot, stamp: all.stamp, into: &tape)
      #expect(engine.orders.count == 40)
      engine.settle(through: engine.journalMark)
      _ = engine.bookHash()
      #expect(engine.orders.count == 0)
      #expect(engine.ladder.pages.inUse == 0)
      engine.checkInvariants()
    }
  }
}

/// Dots and stamps for tests that do not care about them: one origin, a millisecond an entry.
struct TestLog {
  private var sequence: UInt64 = 0
  var stamp = Stamp(milliseconds: 1_000_000)

  mutating func next() -> (dot: Dot, stamp: Stamp) {
    sequence += 1
    stamp = Stamp(milliseconds: stamp.milliseconds + 1)
    return (Dot(origin: OriginIndex(1), sequence: sequence), stamp)
  }

  mutating func define(_ symbol: String, in engine: inout MatchingEngine) -> Dot {
    let entry = next()
    var tape = EventTape()
    engine.apply(
      .instrument(Instrument(symbol: Symbol(symbol)!)), at: entry.dot, stamp: entry.stamp, into: &tape)
    return entry.dot
  }
}
