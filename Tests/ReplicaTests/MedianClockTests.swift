import Membership
import Primitives
import Testing

@testable import Replica

/// Which time a node goes by, given its own clock and those of others.
@Suite struct MedianClockTests {
  private static let start: UInt64 = 1_700_000_000_000

  /// What the clocks show `seconds` after the start, the wall clock ahead by `ahead` milliseconds.
  private func time(_ seconds: UInt64, ahead: Int64 = 0) -> LogicalTime {
    LogicalTime(
      wallMilliseconds: UInt64(Int64(Self.start + seconds * 1_000) + ahead),
      monotonicMicroseconds: 5_000_000 + seconds * 1_000_000)
  }

  /// - Parameter others: by how much the clocks of members 1, 2, … are ahead; nil for one that is not heard.
  private func clock(
    _ members: Int, own: Int64, others: [Int64?], me: OriginIndex? = OriginIndex(0)
  ) -> (clock: MedianClock, ahead: Int64) {
    var clock = MedianClock()
    let view = View(number: 0, members: (0..<members).map { OriginIndex(UInt32($0)) })
    for (place, ahead) in others.enumerated() {
      guard let ahead else { continue }
      clock.hear(OriginIndex(UInt32(place + 1)), UInt64(Int64(Self.start) + ahead), time(0))
    }
    clock.update(view, me: me, time(0, ahead: own))
    return (clock, Int64(clock.time(time(2, ahead: own)).wallMilliseconds) - Int64(Self.start + 2_000))
  }

  @Test func aWrongClockIsHeldToThoseOfMost() {
    #expect(clock(3, own: 10_000, others: [0, 0]).ahead == 250)
    #expect(clock(3, own: -10_000, others: [0, 0]).ahead == -250)
    #expect(clock(5, own: 10_000, others: [10_000, 0, 3, -2]).ahead == 253)
    #expect(clock(4, own: -10_000, others: [0, 30, 60]).ahead == -250)
    #expect(clock(5, own: 10_000, others: [nil, 0, nil, 0]).ahead == 250, "a majority is enough")
  }

  @Test func aRightOneIsNotMovedByThoseThatAreWrong() {
    #expect(clock(3, own: 0, others: [10_000, 0]).ahead == 0)
    #expect(clock(3, own: 7, others: [-10_000, 100]).ahead == 7)
    #expect(clock(5, own: -40, others: [10_000, 9_000, 0, 5]).ahead == -40)
    #expect(clock(3, own: 0, others: [10_000, nil]).ahead == 0, "of two, nobody can tell")
    #expect(clock(2, own: 0, others: [10_000]).ahead == 0)
    #expect(clock(2, own: 10_000, others: [0]).ahead == 10_000)
    #expect(clock(1, own: 10_000, others: []).ahead == 10_000)
  }

  @Test func withoutAMajorityItGoesByItself() {
    #expect(clock(5, own: 10_000, others: [0, nil, nil, nil]).ahead == 10_000)
    #expect(clock(3, own: 10_000, others: [0, 0, 0], me: nil).ahead == 250, "who only follows hears members alone")
  }

  @Test func beforeItHasHeardEnoughItIsNotSet() {
    #expect(clock(1, own: 0, others: []).clock.isSet)
    #expect(clock(2, own: 0, others: [0]).clock.isSet)
    #expect(!clock(2, own: 0, others: []).clock.isSet)
    #expect(clock(3, own: 0, others: [0, 0]).clock.isSet)
    #expect(!clock(5, own: 0, others: [0]).clock.isSet)
    // The third of three is waited for a moment.
    var (waiting, _) = clock(3, own: 0, others: [0])
    #expect(!waiting.isSet)
    waiting.update(View(number: 0, members: [0, 1, 2].map { OriginIndex($0) }), me: OriginIndex(0), time(1))
    #expect(waiting.isSet)
  }

  @Test func whatWasLongOnItsWayDoesNotCountButAClockThatWentBackDoes() {
    var (late, _) = clock(3, own: 0, others: [0, 0])
    let view = View(number: 0, members: [0, 1, 2].map { OriginIndex($0) })
    for place in [1, 2] as [UInt32] { late.hear(OriginIndex(place), Self.start - 800, time(0)) }
    late.update(view, me: OriginIndex(0), time(0))
    #expect(late.time(time(0)) == time(0))
    for second in 1...3 as ClosedRange<UInt64> {
      for place in [1, 2] as [UInt32] { late.hear(OriginIndex(place), Self.start + second * 1_000 - 800, time(second)) }
    }
    late.update(view, me: OriginIndex(0), time(3))
    #expect(late.time(time(3)) == time(3, ahead: -550))
  }

  @Test func whatWasHeardLongAgoCountsNoMore() {
    var (clock, ahead) = clock(3, own: 10_000, others: [0, 0])
    #expect(ahead == 250)
    let view = View(number: 0, members: [0, 1, 2].map { OriginIndex($0) })
    clock.update(view, me: OriginIndex(0), time(599, ahead: 10_000))
    #expect(clock.time(time(599, ahead: 10_000)) == time(599, ahead: 250))
    clock.update(view, me: OriginIndex(0), time(700, ahead: 10_000))
    #expect(clock.time(time(700, ahead: 10_000)) == time(700, ahead: 10_000))
  }
}
