import Primitives
import Testing

struct SeededGeneratorTests {
  /// Values of the reference implementation of SplitMix64.
  @Test func goldenValues() {
    var zero = SeededGenerator(seed: 0)
    #expect(
      (0..<4).map { _ in zero.next() } == [
        0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4, 0x06c4_5d18_8009_454f, 0xf88b_b8a8_724c_81ec,
      ])
    var other = SeededGenerator(seed: 1_234_567)
    #expect(
      (0..<5).map { _ in other.next() } == [
        6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423,
        4_593_380_528_125_082_431, 16_408_922_859_458_223_821,
      ])
  }

  @Test func belowIsTheUpperHalfOfTheProduct() {
    var generator = SeededGenerator(seed: 0)
    // 0xe220… / 2^64 = 0.8833…, 0x6e78… = 0.4315…, 0x06c4… = 0.0264…
    #expect(generator.below(10) == 8)
    #expect(generator.below(1_000) == 431)
    #expect(generator.below(100) == 2)
    #expect(generator.below(1) == 0)
  }

  @Test(arguments: [1, 99] as [UInt64]) func rangesAreReachedAtBothEndsAndNeverLeft(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    var seen: [Int: Int] = [:]
    for _ in 0..<4_000 { seen[generator.pick(-2...1), default: 0] += 1 }
    #expect(seen.keys.sorted() == [-2, -1, 0, 1], "seed \(seed)")
    #expect(seen.values.allSatisfy { (900...1_100).contains($0) }, "seed \(seed): \(seen)")
    #expect(generator.pick(5...5) == 5)
  }

  @Test(arguments: [3, 4] as [UInt64]) func chanceHasTheStatedOdds(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    let hits = (0..<10_000).count { _ in generator.chance(1, of: 4) }
    #expect((2_350...2_650).contains(hits), "seed \(seed): \(hits)")
    #expect(!(0..<1_000).contains { _ in generator.chance(0, of: 4) })
    #expect((0..<1_000).allSatisfy { _ in generator.chance(4, of: 4) })
  }

  @Test func aSplitDoesNotFollowItsParent() {
    var first = SeededGenerator(seed: 5)
    var second = SeededGenerator(seed: 5)
    var child = first.split()
    var same = second.split()
    _ = second.next()
    #expect((0..<8).map { _ in child.next() } == (0..<8).map { _ in same.next() })
    #expect(child.next() != first.next())
  }
}
