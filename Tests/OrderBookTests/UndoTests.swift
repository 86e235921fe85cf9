import Primitives
import Testing

@testable import OrderBook

/// Taking entries back, and settling them.
@Suite struct UndoTests {
  private struct Point {
    var mark: UInt64
    var position: Int
    var hash: Hash256
    /// Of some points only.
    var state: EngineState?
  }

  /// Goes forth and back at random. Every earlier state must come back exactly, and go on as it did before.
  static func difference(_ entries: [Entry], seed: UInt64, idsMax: Int, settling: Bool) -> String? {
    var generator = SeededGenerator(seed: seed)
    var engine = MatchingEngine(clientOrderIDsMax: idsMax)
    var tape = EventTape()
    var seen: [[OrderEvent]] = []
    var points = [Point(mark: engine.journalMark, position: 0, hash: engine.bookHash(), state: EngineState(engine))]
    var position = 0
    while position < entries.count {
      if generator.chance(1, of: 25), points.count > 1 {
        // Mostly not far: else the end is never reached.
        let farthest = generator.chance(1, of: 8) ? 0 : max(0, points.count - 16)
        let index = generator.pick(farthest...points.count - 1)
        engine.rollback(to: points[index].mark)
        points.removeSubrange((index + 1)...)
        position = points[index].position
        if let text = difference(&engine, points[index], &generator) { return "back at \(position): \(text)" }
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
      let state = generator.chance(1, of: 3) ? EngineState(engine) : nil
      points.append(Point(mark: engine.journalMark, position: position, hash: hash, state: state))
      if settling && generator.chance(1, of: 25) {
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
    if EngineState(straight) != EngineState(engine) { return "without rollbacks the state is another" }
    return straight.bookHash() == engine.bookHash() ? nil : "without rollbacks the hash is another"
  }

  /// Kept and recomputed hashes in any order, and now and then only one: asking for one changes what is kept.
  private static func difference(
    _ engine: inout MatchingEngine, _ point: Point, _ generator: inout SeededGenerator
  ) -> String? {
    if let broken = engine.brokenInvariant { return "\(broken)" }
    if let state = point.state, let text = EngineState(engine).difference(from: state) { return text }
    if generator.chance(2, of: 3), engine.recomputedBookHash() != point.hash { return "the recomputed hash is another" }
    if generator.chance(2, of: 3), engine.bookHash() != point.hash { return "the hash is another" }
    return nil
  }

  @Test(arguments: FlowProfile.all) func rollbackRestoresExactly(on profile: FlowProfile) {
    let failure = explore(profile, seeds: 50_001...50_020, entries: 200) { entries, seed in
      Self.difference(
        entries, seed: seed, idsMax: seed % 2 == 0 ? 4 : Limits.clientOrderIDsMax, settling: seed % 4 < 3)
    }
    #expect(failure == nil, "\(failure ?? "")")
  }

  @Test(arguments: [FlowProfile.deep, .deepIcebergs]) func rollbackRestoresDeepQueues(of profile: FlowProfile) {
    let failure = explore(profile, seeds: 51_001...51_004, entries: 800) { entries, seed in
      Self.difference(entries, seed: seed, idsMax: 50, settling: true)
    }
    #expect(failure == nil, "\(failure ?? "")")
  }

  @Test(arguments: FlowProfile.all) func everythingCanBeTakenBack(on profile: FlowProfile) {
    var flow = RandomFlow(seed: 77, profile)
    var engine = MatchingEngine()
    var tape = EventTape()
    let empty = engine.bookHash()
    let start = EngineState(engine)
    for entry in flow.entries(3000) { engine.apply(entry.command, at: entry.dot, stamp: entry.stamp, into: &tape) }
    #expect(engine.bookHash() != empty)
    engine.rollback(to: 0)
    engine.checkInvariants()
    #expect(engine.bookHash() == empty)
    #expect(EngineState(engine).difference(from: start) == nil)
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
