import Oracle
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
        try ledger.follow(entry.command, at: entry.dot, stamp: entry.stamp, events)
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

  /// The oracle's own account of every order, open or ended, is what its events say; and it holds what they leave open.
  @Test(arguments: FlowProfile.all) func theOracleKeepsAccountAsTheLedgerDoes(on profile: FlowProfile) {
    let failure = explore(profile, seeds: 42_001...42_010, entries: 400) { entries, _ in
      var ledger = Ledger()
      var oracle = Oracle()
      for entry in entries {
        let events = oracle.apply(entry.command, at: entry.dot, stamp: entry.stamp)
        do throws(Ledger.Mistake) {
          try ledger.follow(entry.command, at: entry.dot, stamp: entry.stamp, events)
        } catch {
          return "\(entry.dot) gave \(events): \(error.text)"
        }
        if let text = ledger.difference(from: oracle.open) { return "after \(entry.dot): \(text)" }
      }
      for order in ledger.accounts where oracle.lots(of: order.dot) != order.lots {
        return "\(order), but for the oracle \(String(describing: oracle.lots(of: order.dot)))"
      }
      if oracle.waiting.map(\.order) != oracle.open.filter(\.isWaiting) { return "waiting are \(oracle.waiting)" }
      return ledger.total.isBalanced || profile.invalid > 0 ? nil : "all orders: \(ledger.total)"
    }
    #expect(failure == nil, "\(failure ?? "")")
  }

  /// What the ledger is for: each of these is the tale of a book that is wrong.
  @Test(arguments: ["nothing", "fill too much", "fill out of turn", "lost", "twice"])
  func theLedgerSees(tale: String) {
    let instrument = Dot(origin: OriginIndex(1), sequence: 1)
    let maker = Dot(origin: OriginIndex(1), sequence: 2)
    let other = Dot(origin: OriginIndex(1), sequence: 3)
    let taker = Dot(origin: OriginIndex(1), sequence: 4)
    func order(_ side: Side, account: UInt64, lots: Int64) -> Command {
      .order(
        Order(
          instrument: instrument, account: AccountID(account), side: side, priceTicks: 100, quantityLots: lots))
    }
    let fill = Fill(
      instrument: instrument, maker: tale == "fill out of turn" ? other : maker, taker: taker, takerSide: .sell,
      priceTicks: 100, quantityLots: tale == "fill too much" ? 6 : 5, makerOpenLots: 0, takerOpenLots: 0)
    var ledger = Ledger()
    var found = ""
    do throws(Ledger.Mistake) {
      let rests = { (dot: Dot) in [OrderEvent.accepted(order: dot), .rested(order: dot, openLots: 5)] }
      try ledger.follow(order(.buy, account: 1, lots: 5), at: maker, stamp: Stamp(1), rests(maker))
      try ledger.follow(
        order(.buy, account: 1, lots: 5), at: tale == "twice" ? maker : other, stamp: Stamp(2), rests(other))
      let events: [OrderEvent] = tale == "lost" ? [.accepted(order: taker)] : [.accepted(order: taker), .filled(fill)]
      try ledger.follow(order(.sell, account: 2, lots: 5), at: taker, stamp: Stamp(3), events)
    } catch {
      found = error.text
    }
    let words = [
      "nothing": "", "fill too much": "between", "fill out of turn": "comes first", "lost": "hangs in the air",
      "twice": "comes again",
    ]
    #expect(words[tale] == "" ? found == "" : found.contains(words[tale] ?? "-"), "\(found)")
    if tale == "nothing" {
      #expect(ledger.open.map(\.dot) == [other])
      #expect(ledger[maker]?.lots.filled == 5)
      #expect(ledger.total.open == 5)
    }
  }
}
