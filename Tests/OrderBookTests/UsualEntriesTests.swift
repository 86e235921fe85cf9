import Primitives
import Testing

@testable import OrderBook

/// The short way that most entries go and the way that every entry can go: one book, one tape, one undoing.
@Suite struct UsualEntriesTests {
  private static let instrument = Dot(origin: OriginIndex(0), sequence: 1)

  /// What can be gone back to: marks of the two engines, which keep unlike numbers of records, and the entry.
  private struct Point {
    var short: UInt64
    var long: UInt64
    var sequence: UInt64
  }

  /// A plain order, a cancel or a replace, near a mid price that moves; some name orders that are gone or another's.
  private static func command(_ generator: inout SeededGenerator, _ sequence: UInt64) -> Command {
    let account = AccountID(1 + generator.below(3))
    let mid = 5_000 + Int64(sequence / 16)
    let ticks = mid + Int64(generator.below(24)) - 12
    let lots = Int64(1 + generator.below(20))
    let back = min(sequence, generator.below(64))
    let target = OrderReference.dot(Dot(origin: OriginIndex(0), sequence: sequence - back))
    switch generator.below(8) {
    case 0, 1: return .cancel(Cancel(account: account, target: target, targetStamp: Stamp(1)))
    case 2:
      return .amend(
        Amend(
          account: account, target: target, targetStamp: Stamp(1), priceTicks: ticks, quantityLots: lots,
          quantityMeaning: generator.chance(1, of: 2) ? .open : .total, forfeitsPriority: generator.chance(1, of: 2)))
    default:
      // Nearly all on the passive side: bids below the mid, asks above.
      let side: Side = (ticks < mid) != generator.chance(1, of: 8) ? .buy : .sell
      return .order(
        Order(
          instrument: instrument, account: account, side: side,
          timeInForce: generator.chance(1, of: 6) ? .immediateOrCancel : .goodTillCancel, priceTicks: ticks,
          quantityLots: lots))
    }
  }

  @Test(arguments: [UInt64(1), 2, 3, 4]) func bothWaysAreOne(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    var short = MatchingEngine()
    var long = MatchingEngine()
    var shortTape = EventTape()
    var longTape = EventTape()
    short.tracksChangedLevels = true
    long.tracksChangedLevels = true
    let definition = Command.instrument(Instrument(symbol: try #require(Symbol("X"))))
    short.apply(definition, at: Self.instrument, stamp: Stamp(1), into: &shortTape)
    long.apply(definition, at: Self.instrument, stamp: Stamp(1), into: &longTape)
    var points = [Point(short: short.journalMark, long: long.journalMark, sequence: 1)]
    var sequence: UInt64 = 1
    for step in 0..<6_000 {
      sequence += 1
      let command = Self.command(&generator, sequence)
      let dot = Dot(origin: OriginIndex(0), sequence: sequence)
      shortTape.removeAll()
      longTape.removeAll()
      short.apply(command, at: dot, stamp: Stamp(sequence), into: &shortTape)
      // No entry is quiet enough for the short way.
      long.quietEnd = 0
      long.apply(command, at: dot, stamp: Stamp(sequence), into: &longTape)
      let events = shortTape.events
      try #require(events == longTape.events, "step \(step) of seed \(seed): \(command)")
      points.append(Point(short: short.journalMark, long: long.journalMark, sequence: sequence))
      guard step % 20 == 19 else { continue }
      if generator.chance(1, of: 2) {
        let point = points[Int(generator.below(UInt64(points.count)))]
        short.rollback(to: point.short)
        long.rollback(to: point.long)
        sequence = point.sequence
        points.removeAll { $0.sequence > point.sequence }
      }
      short.checkInvariants()
      let hash = short.bookHash()
      try #require(hash == long.bookHash(), "step \(step) of seed \(seed)")
      let changes = short.takeChangedLevels()
      try #require(changes == long.takeChangedLevels(), "step \(step) of seed \(seed)")
      if step % 200 == 199, let last = points.last {
        short.settle(through: last.short)
        long.settle(through: last.long)
        short.checkInvariants()
        points = [last]
      }
    }
    // The short way was taken: it leaves fewer records.
    let (few, many) = (short.journalMark, long.journalMark)
    #expect(few * 10 < many * 9)
  }
}
