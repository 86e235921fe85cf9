import Primitives
import Testing

@testable import OrderBook

/// Client order ids in numbers: the window's two ends, and the hashes that are kept of what lies between.
@Suite struct ClientIDTests {
  private static func order(_ number: UInt64, _ instrument: Dot, _ stamp: Stamp) -> Order {
    Order(
      instrument: instrument, account: AccountID(1), side: .buy, timeInForce: .immediateOrCancel, priceTicks: 1,
      quantityLots: 1, clientOrderID: ClientOrderID(number), clientTimeMilliseconds: stamp.milliseconds)
  }

  /// Many ids a second, few or many seconds, taken back and settled at random: kept hashes are the recomputed ones.
  @Test(arguments: [UInt64(0), 1, 2, 3, 4, 5])
  func keptHashesHold(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    let max = seed % 2 == 0 ? 150 : 100_000
    var engine = MatchingEngine(clientOrderIDsMax: max)
    var log = TestLog()
    var tape = EventTape()
    let instrument = log.define("BTC-USD", in: &engine)
    var points = [(mark: engine.journalMark, log: log)]
    for step in 0..<1500 {
      if generator.chance(1, of: 40) {
        let index = generator.pick(Swift.max(0, points.count - 60)...points.count - 1)
        engine.rollback(to: points[index].mark)
        log = points[index].log
        points.removeSubrange((index + 1)...)
      }
      if generator.chance(1, of: 50) {
        let seconds = UInt64(generator.pick(1...(seed < 3 ? 2 : 300)))
        log.stamp = Stamp(milliseconds: log.stamp.milliseconds + seconds * 1000)
      }
      let entry = log.next()
      let order = Self.order(UInt64(step), instrument, entry.stamp)
      engine.apply(.order(order), at: entry.dot, stamp: entry.stamp, into: &tape)
      points.append((engine.journalMark, log))
      if generator.chance(1, of: 30) {
        let index = generator.pick(0...points.count - 1)
        engine.settle(through: points[index].mark)
        points.removeSubrange(..<index)
      }
      if generator.chance(1, of: 15) { #expect(engine.bookHash() == engine.recomputedBookHash(), "step \(step)") }
    }
  }

  /// Records leave memory when nothing can bring them back.
  @Test func forgottenRecordsAreDeleted() {
    var engine = MatchingEngine(clientOrderIDsMax: 10)
    var log = TestLog()
    var tape = EventTape()
    let instrument = log.define("BTC-USD", in: &engine)
    for number in 0..<UInt64(100) {
      let entry = log.next()
      engine.apply(
        .order(Self.order(number, instrument, entry.stamp)), at: entry.dot, stamp: entry.stamp, into: &tape)
      engine.settle(through: engine.journalMark)
      #expect(engine.ids.total - engine.ids.first <= 10)
    }
    #expect(engine.order(account: AccountID(1), clientOrderID: ClientOrderID(89)) == nil)
    #expect(engine.order(account: AccountID(1), clientOrderID: ClientOrderID(90)) != nil)
    engine.checkInvariants()
  }
}
