import EventLog
import Primitives
import Testing

struct HybridClockTests {
  @Test func aStampIsTheNodesTimeWhenThatIsLater() {
    var clock = HybridClock()
    #expect(clock.next(nowMilliseconds: 1_000) == Stamp(milliseconds: 1_000))
    #expect(clock.next(nowMilliseconds: 1_001) == Stamp(milliseconds: 1_001))
    #expect(clock.last == Stamp(milliseconds: 1_001))
  }

  @Test func aClockThatStandsStillCounts() {
    var clock = HybridClock()
    let stamps = (0..<3).map { _ in clock.next(nowMilliseconds: 1_000) }
    #expect(stamps == (0..<3).map { Stamp(milliseconds: 1_000, counter: $0) })
  }

  @Test func aClockThatGoesBackCountsOnFromTheNewestStamp() {
    var clock = HybridClock()
    _ = clock.next(nowMilliseconds: 1_000)
    #expect(clock.next(nowMilliseconds: 400) == Stamp(milliseconds: 1_000, counter: 1))
    #expect(clock.next(nowMilliseconds: 0) == Stamp(milliseconds: 1_000, counter: 2))
    #expect(clock.next(nowMilliseconds: 1_001) == Stamp(milliseconds: 1_001))
  }

  @Test func aCounterThatOverflowsMovesTheMillisecondsOn() {
    var clock = HybridClock(last: Stamp(milliseconds: 1_000, counter: .max - 1))
    #expect(clock.next(nowMilliseconds: 1_000) == Stamp(milliseconds: 1_000, counter: .max))
    #expect(clock.next(nowMilliseconds: 1_000) == Stamp(milliseconds: 1_001, counter: 0))
    // The node's time reaches the millisecond that was borrowed: counting goes on there.
    #expect(clock.next(nowMilliseconds: 1_001) == Stamp(milliseconds: 1_001, counter: 1))
    #expect(clock.next(nowMilliseconds: 1_002) == Stamp(milliseconds: 1_002, counter: 0))
  }

  @Test func aClockPastFortyEightBitsStaysAtTheLastMillisecond() {
    var clock = HybridClock()
    #expect(clock.next(nowMilliseconds: .max) == Stamp(milliseconds: (1 << 48) - 1))
    #expect(clock.next(nowMilliseconds: .max) == Stamp(milliseconds: (1 << 48) - 1, counter: 1))
  }

  @Test func nothingIsStampedAtOrBelowAPromise() {
    var clock = HybridClock()
    let promise = clock.advance(nowMilliseconds: 1_000)
    #expect(promise == Stamp(milliseconds: 1_000))
    #expect(clock.next(nowMilliseconds: 1_000) == Stamp(milliseconds: 1_000, counter: 1))
    #expect(clock.advance(nowMilliseconds: 500) == Stamp(milliseconds: 1_000, counter: 1))
    #expect(clock.next(nowMilliseconds: 500) == Stamp(milliseconds: 1_000, counter: 2))
  }

  @Test func whatWasSeenIsOlderThanWhatIsStampedNext() {
    var clock = HybridClock()
    _ = clock.next(nowMilliseconds: 1_000)
    clock.merge(Stamp(milliseconds: 1_300, counter: 9))
    #expect(clock.next(nowMilliseconds: 1_000) == Stamp(milliseconds: 1_300, counter: 10))
    clock.merge(Stamp(milliseconds: 2))
    #expect(clock.next(nowMilliseconds: 1_000) == Stamp(milliseconds: 1_300, counter: 11))
  }

  @Test func quarantineBeginsPastTheLimit() {
    let limit = Limits.stampAheadMillisecondsMax
    #expect(!HybridClock.isQuarantined(Stamp(milliseconds: 1_000 + limit, counter: .max), nowMilliseconds: 1_000))
    #expect(HybridClock.isQuarantined(Stamp(milliseconds: 1_001 + limit), nowMilliseconds: 1_000))
    #expect(!HybridClock.isQuarantined(Stamp(milliseconds: 3), nowMilliseconds: 1_000))
    #expect(!HybridClock.isQuarantined(Stamp(.max), nowMilliseconds: .max))
    #expect(HybridClock.isQuarantined(Stamp(.max), nowMilliseconds: 0))
  }

  /// A clock that jumps at will, merges and promises in between: stamps only ever ascend, and stay near the newest of
  /// what was read and seen.
  @Test(arguments: [1, 2, 3, 4] as [UInt64]) func stampsAscendWhateverTheClockDoes(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    var clock = HybridClock(last: Stamp(milliseconds: 5_000, counter: .max - 20))
    var newest = clock.last
    var latestTime: UInt64 = 5_000
    for step in 0..<20_000 {
      let now = generator.chance(1, of: 10) ? generator.below(20_000) : 5_000 + UInt64(step / 100)
      switch generator.below(4) {
      case 0:
        let promise = clock.advance(nowMilliseconds: now)
        #expect(promise >= newest, "seed \(seed), step \(step)")
        newest = promise
      case 1:
        let seen = Stamp(milliseconds: generator.below(20_000), counter: UInt16.max - UInt16(generator.below(3)))
        clock.merge(seen)
        latestTime = max(latestTime, seen.milliseconds)
        newest = max(newest, seen)
      default:
        let stamp = clock.next(nowMilliseconds: now)
        #expect(stamp > newest, "seed \(seed), step \(step)")
        newest = stamp
      }
      latestTime = max(latestTime, now)
      #expect(clock.last == newest, "seed \(seed), step \(step)")
      #expect(newest.milliseconds <= latestTime + 1, "seed \(seed), step \(step)")
    }
  }
}
