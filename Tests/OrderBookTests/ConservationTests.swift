import Primitives
import Testing

@testable import OrderBook

/// No lot is lost or made, no order is overfilled, nobody trades before his turn: checked after every entry from events
/// alone, without the oracle, and on the oracle too.
@Suite struct ConservationTests {
  static func problem<Book: BookUnderTest & ~Copyable>(_ entries: [Entry], in book: consuming Book) -> String? {
    var ledger = Ledger()
    for (position, entry) in entries.enumerated() {
      let events = book.events(of: entry.command, at: entry.dot, stamp: entry.stamp)
      do throws(Ledger.Mistake) {
        try ledger.follow(entry, events)
      } catch {
        return "\(entry.dot) gave \(events): \(error.text)"
      }
      if position % 4 == 0, let text = ledger.difference(book) { return "after \(entry.dot): \(text)" }
    }
    return ledger.difference(book)
  }

  @Test(arguments: FlowProfile.all) func everyLotIsAccountedFor(on profile: FlowProfile) {
    let failure = explore(profile, seeds: 40_001...40_060, entries: 400) { entries, _ in
      Self.problem(entries, in: MatchingEngine())
    }
    #expect(failure == nil, "\(failure ?? "")")
  }

  @Test(arguments: FlowProfile.all) func soTheOracleDoes(on profile: FlowProfile) {
    let failure = explore(profile, seeds: 41_001...41_020, entries: 400) { entries, _ in
      Self.problem(entries, in: Oracle())
    }
    #expect(failure == nil, "\(failure ?? "")")
  }
}
