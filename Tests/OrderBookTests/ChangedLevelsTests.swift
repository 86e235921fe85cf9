import Primitives
import Testing

@testable import OrderBook

/// A view kept from `takeChangedLevels` alone is the book, also after rollbacks.
@Suite struct ChangedLevelsTests {
  private struct Key: Hashable {
    var instrument: Dot
    var side: Side
    var priceTicks: Int64
  }

  @Test(arguments: [FlowProfile.mixed, .icebergs, .expiries, .far]) func changesAddUpToTheBook(
    on profile: FlowProfile
  ) {
    let failure = explore(profile, seeds: 60_001...60_015, entries: 300) { entries, seed in
      var generator = SeededGenerator(seed: seed)
      var engine = MatchingEngine()
      engine.tracksChangedLevels = true
      var tape = EventTape()
      var view: [Key: LevelSummary] = [:]
      var points = [(mark: engine.journalMark, position: 0)]
      var position = 0
      while position < entries.count {
        if generator.chance(1, of: 10) {
          let index = generator.pick(max(0, points.count - 12)...points.count - 1)
          engine.rollback(to: points[index].mark)
          position = points[index].position
          points.removeSubrange((index + 1)...)
        }
        if generator.chance(1, of: 4) {
          let changes = engine.takeChangedLevels()
          for change in changes {
            let key = Key(instrument: change.instrument, side: change.side, priceTicks: change.priceTicks)
            view[key] =
              change.orders == 0
              ? nil
              : LevelSummary(
                priceTicks: change.priceTicks, quantityLots: change.quantityLots, orders: change.orders)
          }
          for (left, right) in zip(changes, changes.dropFirst()) {
            let isSorted =
              (left.instrument, left.side.rawValue, left.priceTicks)
              < (right.instrument, right.side.rawValue, right.priceTicks)
            if !isSorted { return "changes are not sorted" }
          }
          var levels = 0
          for (dot, _) in engine.instruments {
            for side in Side.allCases {
              for level in engine.levels(of: dot, side, limit: .max) {
                levels += 1
                let key = Key(instrument: dot, side: side, priceTicks: level.priceTicks)
                if view[key] != level {
                  return "at \(position), \(level) is \(String(describing: view[key])) in the view"
                }
              }
            }
          }
          if levels != view.count { return "at \(position), the view has \(view.count) levels, the book \(levels)" }
        }
        let entry = entries[position]
        engine.apply(entry.command, at: entry.dot, stamp: entry.stamp, into: &tape)
        position += 1
        points.append((engine.journalMark, position))
      }
      return nil
    }
    #expect(failure == nil, "\(failure ?? "")")
  }

  @Test func offByDefault() {
    var engine = MatchingEngine()
    var log = TestLog()
    var tape = EventTape()
    let instrument = log.define("BTC-USD", in: &engine)
    let entry = log.next()
    let order = Order(instrument: instrument, account: AccountID(1), side: .buy, priceTicks: 5, quantityLots: 1)
    engine.apply(.order(order), at: entry.dot, stamp: entry.stamp, into: &tape)
    #expect(engine.takeChangedLevels().isEmpty)
  }
}
