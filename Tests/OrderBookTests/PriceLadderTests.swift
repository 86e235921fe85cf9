import Primitives
import Testing

@testable import OrderBook

/// The ladder against a sorted array of prices, near and far, with a window that moves.
@Suite struct PriceLadderTests {
  private struct Model {
    var bids: Set<Int64> = []
    var asks: Set<Int64> = []
  }

  private static func isRight(_ ladder: borrowing PriceLadder, _ model: Model) -> Bool {
    for side in Side.allCases {
      var found: [Int64] = []
      var level = ladder.worse(0, side, than: nil)
      guard level == ladder.best(0, side) else { return false }
      while level != noSlot {
        let ticks = ladder.pages.price(of: level)
        found.append(ticks)
        level = ladder.worse(0, side, than: ticks)
      }
      guard found == (side == .buy ? model.bids.sorted(by: >) : model.asks.sorted()) else { return false }
      // From prices that have no level, too.
      for ticks in [1, 17, 999_999, 1_000_000, Limits.priceTicksMax] as [Int64] {
        let next = ladder.worse(0, side, than: ticks)
        let expected = side == .buy ? model.bids.filter { $0 < ticks }.max() : model.asks.filter { $0 > ticks }.min()
        guard (next == noSlot ? nil : ladder.pages.price(of: next)) == expected else { return false }
      }
    }
    return true
  }

  @Test(arguments: [Int64(20), 3_000, 1_000_000, 1 << 61])
  func ordersPrices(spread: Int64) {
    var ladder = PriceLadder()
    ladder.append()
    var model = Model()
    var generator = SeededGenerator(seed: UInt64(spread))
    for step in 0..<1500 {
      let isBid = generator.chance(1, of: 2)
      // Now and then a market far away.
      let middle: Int64 = step % 500 < 250 ? 1_000_000 : 1 << 61
      let away = Int64(generator.below(UInt64(spread)))
      let ticks = isBid ? max(1, middle - away - 1) : middle + away
      let side: Side = isBid ? .buy : .sell
      let isThere = isBid ? model.bids.contains(ticks) : model.asks.contains(ticks)
      if isThere {
        ladder.vacate(ladder.find(0, ticks), side)
        if isBid { model.bids.remove(ticks) } else { model.asks.remove(ticks) }
      } else if (isBid ? model.asks : model.bids).contains(ticks) {
        continue
      } else {
        ladder.occupy(ladder.open(0, ticks), side)
        if isBid { model.bids.insert(ticks) } else { model.asks.insert(ticks) }
      }
      guard step % 10 == 0 || step > 1450 else { continue }
      let isRight = Self.isRight(ladder, model)
      #expect(isRight, "step \(step)")
    }
  }

  @Test func windowFollowsTheMarket() {
    var ladder = PriceLadder()
    ladder.append()
    ladder.occupy(ladder.open(0, 1_000), .buy)
    #expect(ladder[0].base == 0)
    ladder.occupy(ladder.open(0, 50_000_000), .buy)
    // Until the far prices have been asked for often enough.
    for step in 0..<3000 { _ = ladder.open(0, 50_000_000 + Int64(step % 10) * 16) }
    #expect(ladder[0].base > 3_000_000)
    #expect(ladder[0].farPages == 1)
    #expect(ladder.pages.price(of: ladder.best(0, .buy)) == 50_000_000)
    ladder.vacate(ladder.best(0, .buy), .buy)
    #expect(ladder.pages.price(of: ladder.best(0, .buy)) == 1_000)
  }
}
