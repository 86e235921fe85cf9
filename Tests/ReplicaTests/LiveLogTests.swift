import EventLog
import Membership
import OrderBook
import Primitives
import Testing

@testable import Replica

/// Logs that were sealed long ago cost nothing, until something of them comes.
@Suite struct LiveLogTests {
  private func batch(of origin: OriginIndex, stamp: UInt64) throws -> Batch {
    let entry = Entry(
      stamp: Stamp(stamp), payload: .command(.cancelAll(CancelAll(account: AccountID(1)))))
    let signature = try #require(Signature(bytes: Array(repeating: 1, count: Signature.byteCount)))
    return Batch(
      origin: origin, firstSequence: 1, entries: [entry], bytes: [], hash: .zero, view: 0, signature: signature)
  }

  @Test func onlyMembersAndWhatIsNotFinalAreLookedAt() throws {
    var sequencer = Sequencer(logs: [])
    for place in 0..<4 as Range<UInt32> { sequencer.add(OriginLog(origin: OriginIndex(place), chainStart: .zero)) }
    sequencer.rest([OriginIndex(1)])
    #expect(sequencer.live == [1])
    // Something of one that was at its end comes after all.
    sequencer.append(try batch(of: OriginIndex(3), stamp: 9))
    sequencer.append(try batch(of: OriginIndex(0), stamp: 5))
    #expect(sequencer.live == [0, 1, 3] && sequencer.tentative == 2)
    sequencer.rest([OriginIndex(1)])
    #expect(sequencer.live == [0, 1, 3], "they are not final")
    for index in [0, 3] { _ = sequencer.logs[index].reveal(nowMilliseconds: .max) }
    #expect(sequencer.oldestTentative == Stamp(5) && sequencer.unapplied == 2)
    #expect(sequencer.apply(through: Stamp(9), atMost: 9) == 2 && sequencer.finalize(through: Stamp(5)) == 1)
    sequencer.rest([OriginIndex(1)])
    #expect(sequencer.live == [1, 3] && sequencer.tentative == 1)
  }
}
