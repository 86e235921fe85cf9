import EventLog
import OrderBook
import Primitives
import Replica
import Testing

struct RecoveredFinalityTests {
  /// Entries of one origin at these stamps, all in one second.
  private func batch(_ origin: UInt32, _ stamps: [UInt64]) -> Batch {
    let entries = stamps.map {
      Entry(stamp: Stamp($0), payload: .command(.cancelAll(CancelAll(account: AccountID(1), instrument: .none))))
    }
    return Batch(
      origin: OriginIndex(origin), firstSequence: 1, entries: ContiguousArray(entries), bytes: [], hash: .zero,
      view: 0, signature: Signature(bytes: Array(repeating: 0, count: 64))!)
  }

  /// - Parameter position: stamp and origin of the last entry that the tables were given.
  private func finality(
    _ position: (stamp: UInt64, origin: UInt32), audited: UInt64, log: [Batch]
  ) -> RecoveredFinality {
    var finality = RecoveredFinality(
      origins: 3, auditPosition: OrderKey(stamp: Stamp(position.stamp), origin: OriginIndex(position.origin)),
      auditedEntries: audited)
    for batch in log { finality.read(batch) }
    return finality
  }

  @Test func withoutAuditNothingIsFinal() {
    #expect(finality((0, 0), audited: 0, log: []).finalStamp == .zero)
    #expect(finality((0, 0), audited: 0, log: []).loweredFinalStamp == nil)
    #expect(finality((0, 0), audited: 0, log: [batch(0, [10, 20])]).loweredFinalStamp == nil)
  }

  /// Another origin's entry of the same stamp may come after the position.
  @Test func whatIsBelowThePositionsStampIsFinal() {
    #expect(finality((25, 1), audited: 0, log: []).finalStamp == Stamp(24))
    #expect(finality((1, 1), audited: 0, log: []).finalStamp == .zero)
  }

  /// Entries beyond the position are not the tables', those at it are.
  @Test func aWholeLogIsReadOnce() {
    let log = [batch(0, [10, 20, 30]), batch(1, [15, 25, 35]), batch(2, [25, 40]), batch(0, [50, 60])]
    #expect(finality((25, 1), audited: 4, log: log).loweredFinalStamp == nil)
    #expect(finality((25, 2), audited: 5, log: log).loweredFinalStamp == nil)
    #expect(finality((60, 0), audited: 10, log: log).loweredFinalStamp == nil)
  }

  @Test func aLogThatLostWhatTheTablesKnowIsReadAgain() {
    let log = [batch(0, [10, 20, 30]), batch(1, [15, 25, 35]), batch(2, [25, 40]), batch(0, [50, 60])]
    #expect(finality((25, 1), audited: 5, log: log).loweredFinalStamp != nil)
    #expect(finality((25, 2), audited: 6, log: log).loweredFinalStamp != nil)
    #expect(finality((60, 0), audited: 11, log: log).loweredFinalStamp == Stamp(35))
  }

  /// What an origin lost came after what it has left, so nothing later is final.
  @Test func nothingIsFinalAfterAnOriginsNewest() {
    let log = [batch(0, [10, 20]), batch(1, [12]), batch(2, [30]), batch(1, [14])]
    #expect(finality((40, 0), audited: 6, log: log).loweredFinalStamp == Stamp(14))
    #expect(finality((40, 0), audited: 5, log: log).loweredFinalStamp == nil)
  }

  @Test func noMoreIsFinalTheSecondTime() {
    let log = [batch(0, [10, 50]), batch(1, [60]), batch(2, [70])]
    let finality = finality((40, 0), audited: 2, log: log)
    #expect(finality.finalStamp == Stamp(39))
    #expect(finality.loweredFinalStamp == Stamp(39))
  }

  /// An origin of which nothing is left may have lost an entry that comes before all others.
  @Test func nothingIsFinalIfAnOriginHasNothingLeft() {
    let log = [batch(0, [10, 20]), batch(1, [12, 14])]
    #expect(finality((40, 0), audited: 5, log: log).loweredFinalStamp == .zero)
  }
}
