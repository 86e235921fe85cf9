import EventLog
import OrderBook
import Primitives
import Testing

@testable import Replica

/// What members say, held against what was derived.
struct AttestationTests {
  private let sha = SHA256()
  private let cluster = Hash256(word0: 1, word1: 2, word2: 3, word3: 4)
  private let book = Hash256(word0: 5, word1: 6, word2: 7, word3: 8)
  private let command = Payload.command(.cancelAll(CancelAll(account: AccountID(1), instrument: .none)))

  private func close(_ keeper: inout CheckpointKeeper, second: UInt64) -> Checkpoint {
    keeper.take(
      Dot(origin: OriginIndex(0), sequence: second),
      Entry(stamp: Stamp(milliseconds: second * 1_000), payload: command))
    return keeper.close(bookHash: book, sha).checkpoint
  }

  @Test func anAttestationIsEqualOrDiffersOrWaits() {
    var keeper = CheckpointKeeper(cluster: cluster)
    let first = close(&keeper, second: 4)
    #expect(first.previous == cluster && first.number == 5)
    let member = OriginIndex(2)
    #expect(keeper.compare(first.attestation, by: member) == nil)
    #expect(keeper.attested(by: member) == 5 && keeper.attested(by: OriginIndex(1)) == 0)

    // A second that held nothing.
    let second = close(&keeper, second: 8)
    #expect(second.previous == first.hash)
    var lie = second.attestation
    lie.number = 7
    #expect(
      keeper.compare(lie, by: member)
        == .init(number: 7, origin: member, mine: .zero, theirs: lie.checkpointHash))
    lie = second.attestation
    lie.checkpointHash.word0 ^= 1
    #expect(
      keeper.compare(lie, by: member)
        == .init(number: 9, origin: member, mine: second.hash, theirs: lie.checkpointHash))
    lie = second.attestation
    lie.bookHash.word0 ^= 1
    #expect(keeper.compare(lie, by: member) == .init(number: 9, origin: member, mine: book, theirs: lie.bookHash))
    lie = second.attestation
    lie.fills += 1
    #expect(keeper.compare(lie, by: member)?.number == 9)
    #expect(keeper.attested(by: member) == 5 && keeper.differences == 4)

    // Later ones wait until there is something to hold them against.
    var early = second.attestation
    early.number = 12
    #expect(keeper.compare(early, by: member) == nil && keeper.differences == 4)
    keeper.take(
      Dot(origin: OriginIndex(0), sequence: 11), Entry(stamp: Stamp(milliseconds: 11_000), payload: command))
    let (third, isAttested, differences) = keeper.close(bookHash: book, sha)
    #expect(isAttested && differences.map(\.number) == [12] && differences.map(\.mine) == [third.hash])
    #expect(keeper.compare(third.attestation, by: member) == nil && keeper.attested(by: member) == 12)
  }

  @Test func whatWasDroppedIsNotJudged() {
    var keeper = CheckpointKeeper(cluster: cluster)
    var all: [Checkpoint] = []
    for second in 1...500 as ClosedRange<UInt64> { all.append(close(&keeper, second: second)) }
    let dropped = all.first { keeper.list.find($0.number) == .dropped }
    var attestation = dropped!.attestation
    attestation.bookHash.word0 ^= 1
    #expect(keeper.compare(attestation, by: OriginIndex(0)) == nil && keeper.differences == 0)
  }

  // MARK: Fills

  private func fill(_ number: UInt64, home: UInt32 = 0) -> FillAttestation {
    FillAttestation(
      maker: Dot(origin: OriginIndex(1), sequence: number), taker: Dot(origin: OriginIndex(home), sequence: number),
      priceTicks: 10, quantityLots: 1)
  }

  @Test func fillsAreComparedInTheirTurnOrNot() {
    var ledger = FillLedger()
    for number in 1...5 as ClosedRange<UInt64> { ledger.derive(fill(number)) }
    #expect(ledger.compare(fill(1), isOwn: false) == .equal)
    #expect(ledger.compare(fill(1), isOwn: false) == .repeated)
    #expect(ledger.compare(fill(3), isOwn: false) == .equal)
    #expect(ledger.compare(fill(6), isOwn: false) == .wrong)
    #expect(ledger.compare(fill(2, home: 9), isOwn: false) == .wrong)
    #expect(ledger.compare(fill(2), isOwn: false) == .equal)
    #expect(ledger.waiting == 2 && ledger.compared == 3 && ledger.differences == 2)
  }

  /// A start reads the own log before, among and after what becomes final again.
  @Test func whatTheOwnLogHasIsNotPublishedAgain() {
    var ledger = FillLedger()
    let home = OriginIndex(0)
    for number in 1...3 as ClosedRange<UInt64> { ledger.published(fill(number)) }
    for number in 1...2 as ClosedRange<UInt64> { ledger.derive(fill(number)) }
    #expect(ledger.unpublished(home) == 0)
    #expect(ledger.compare(fill(1), isOwn: true) == .equal)
    for number in 3...5 as ClosedRange<UInt64> { ledger.derive(fill(number)) }
    #expect(ledger.unpublished(home, atMost: 9) == [fill(4), fill(5)])
    #expect(ledger.unpublished(home, atMost: 1) == [fill(4)])
    ledger.published(fill(4))
    #expect(ledger.compare(fill(2), isOwn: true) == .equal && ledger.compare(fill(3), isOwn: true) == .equal)
    #expect(ledger.unpublished(home, atMost: 9) == [fill(5)])
  }

  /// Two speak for one home for a moment: nothing is lost, and what comes twice changes nothing.
  @Test func anotherOneMaySpeakMeanwhile() {
    var ledger = FillLedger()
    let home = OriginIndex(0)
    for number in 1...4 as ClosedRange<UInt64> { ledger.derive(fill(number)) }
    for number in 1...2 as ClosedRange<UInt64> { ledger.published(fill(number)) }
    #expect(ledger.compare(fill(1), isOwn: false) == .equal)
    #expect(ledger.compare(fill(2), isOwn: false) == .equal)
    #expect(ledger.compare(fill(1), isOwn: true) == .repeated)
    #expect(ledger.compare(fill(2), isOwn: true) == .repeated)
    #expect(ledger.unpublished(home, atMost: 9) == [fill(3), fill(4)])
  }

  @Test func aFillIsMissingAfterTenSeconds() {
    var ledger = FillLedger()
    ledger.derive(fill(1))
    ledger.derive(fill(2, home: 1))
    func look(_ milliseconds: UInt64, own: UInt64? = nil) -> [FillAttestation] {
      ledger.takeMissing(Stamp(milliseconds: milliseconds), nowMicroseconds: (own ?? milliseconds) * 1_000)
    }
    _ = look(100_000)
    for step in 1...99 as ClosedRange<UInt64> { #expect(look(100_000 + step * 100).isEmpty) }
    #expect(ledger.compare(fill(1), isOwn: false) == .equal)
    #expect(look(110_000) == [fill(2, home: 1)], "the other one came in time")
    #expect(look(111_000).isEmpty && ledger.missing == 1, "once")

    // Finality that leaps, or time that goes on without it, is no time for a home to speak.
    ledger.derive(fill(3))
    #expect(look(150_000, own: 112_000).isEmpty && look(150_000, own: 200_000).isEmpty)
    for step in 1...18 as ClosedRange<UInt64> { #expect(look(150_000 + step * 500, own: 200_000 + step * 500).isEmpty) }
    #expect(look(159_500, own: 209_500) == [fill(3)])
  }
}
