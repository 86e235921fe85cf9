import Oracle
import Primitives
import Testing

@testable import OrderBook

/// Orders that are sent again under another dot: every name leads to the one order there is.
@Suite struct NamesTests {
  /// Engine and oracle, which must agree on every event and hash.
  private struct Books: ~Copyable {
    var engine = MatchingEngine()
    var oracle = Oracle(idsMax: Limits.clientOrderIDsMax)
    var sequences: [UInt64] = [0, 0, 0, 0]
    var stamp = Stamp(milliseconds: 1_000_000)

    init() {
      _ = apply(.instrument(Instrument(symbol: Symbol("BTC-USD")!)))
    }

    /// The next entry of an origin, a millisecond after the last one.
    mutating func apply(_ command: Command?, by origin: UInt32 = 0, after milliseconds: UInt64 = 1) -> [OrderEvent] {
      stamp = Stamp(milliseconds: stamp.milliseconds + milliseconds)
      sequences[Int(origin)] += 1
      let dot = Dot(origin: OriginIndex(origin), sequence: sequences[Int(origin)])
      var tape = EventTape()
      engine.apply(command, at: dot, stamp: stamp, into: &tape)
      #expect(tape.events == oracle.apply(command, at: dot, stamp: stamp))
      #expect(engine.bookHash() == oracle.bookHash())
      #expect(engine.brokenInvariant == nil)
      return tape.events
    }

    func order(_ lots: Int64 = 5, id: String = "", first: Dot = .none, account: UInt64 = 1) -> Order {
      Order(
        instrument: dot(0, 1), account: AccountID(account), side: .buy, priceTicks: 100, quantityLots: lots,
        clientOrderID: ClientOrderID(id)!, clientTimeMilliseconds: id.isEmpty ? 0 : 1_000_000, firstDot: first)
    }
  }

  private static func dot(_ origin: UInt32, _ sequence: UInt64) -> Dot {
    Dot(origin: OriginIndex(origin), sequence: sequence)
  }
  private static let void = dot(3, 7)
  private static func cancel(_ target: OrderReference, account: UInt64 = 1, stamp: Stamp = .zero) -> Command {
    .cancel(Cancel(account: AccountID(account), target: target, targetStamp: stamp))
  }

  @Test(arguments: ["", "a"]) func firstDotIsAName(id: String) {
    var books = Books()
    let now = Self.dot(1, 1)
    #expect(
      books.apply(.order(books.order(id: id, first: Self.void)), by: 1) == [
        .accepted(order: now), .rested(order: now, openLots: 5),
      ])
    #expect(books.engine.order(account: AccountID(1), named: Self.void) == now)
    #expect(books.engine.order(account: AccountID(2), named: Self.void) == nil)
    #expect(books.engine.order(now)?.clientOrderID == ClientOrderID(id))
    let amend = Amend(account: AccountID(1), target: .dot(Self.void), priceTicks: nil, quantityLots: 3)
    #expect(
      books.apply(.amend(amend)) == [
        .amended(order: now, by: Self.dot(0, 2), priceTicks: 100, openLots: 3, reducedLots: 2)
      ])
    // Nobody else's, whoever names it.
    #expect(books.apply(Self.cancel(.dot(Self.void), account: 2)) == [])
    #expect(
      books.apply(Self.cancel(.dot(Self.void))) == [.cancelled(order: now, reason: .requested, openLots: 3)])
    #expect(
      books.apply(Self.cancel(.dot(Self.void))) == [
        .rejected(entry: Self.dot(0, 5), reason: .notOpen, order: now)
      ])
  }

  @Test func aRepeatBringsItsNames() {
    var books = Books()
    let first = Self.dot(1, 1)
    _ = books.apply(.order(books.order(id: "a")), by: 1)
    let again = Self.dot(2, 1)
    #expect(
      books.apply(.order(books.order(id: "a", first: Self.void)), by: 2) == [
        .rejected(entry: again, reason: .repeated, order: first)
      ])
    for name in [Self.void, again] { #expect(books.engine.order(account: AccountID(1), named: name) == first) }
    // Long after the window: an open order keeps its names.
    _ = books.apply(Self.cancel(.client(ClientOrderID(99))), after: 700_000)
    books.engine.settle(through: books.engine.journalMark)
    _ = books.apply(nil, after: 700_000)
    #expect(
      books.apply(Self.cancel(.dot(again))) == [.cancelled(order: first, reason: .requested, openLots: 5)])
    books.engine.settle(through: books.engine.journalMark)
    _ = books.apply(Self.cancel(.client(ClientOrderID(98))), after: 700_000)
    books.engine.settle(through: books.engine.journalMark)
    _ = books.apply(nil)
    #expect(books.engine.ids.dotNames == 0)
    #expect(books.engine.order(account: AccountID(1), named: Self.void) == nil)
  }

  @Test func anotherContentIsNoRepeat() {
    var books = Books()
    _ = books.apply(.order(books.order(id: "a")), by: 1)
    #expect(
      books.apply(.order(books.order(9, id: "a", first: Self.void)), by: 2) == [
        .rejected(entry: Self.dot(2, 1), reason: .duplicateID, order: Self.dot(1, 1))
      ])
    #expect(books.engine.order(account: AccountID(1), named: Self.void) == nil)
  }

  @Test func sentAgainTwiceIsOnce() {
    var books = Books()
    _ = books.apply(.order(books.order(first: Self.void)), by: 1)
    #expect(
      books.apply(.order(books.order(first: Self.void)), by: 2) == [
        .rejected(entry: Self.dot(2, 1), reason: .repeated, order: Self.dot(1, 1))
      ])
    // Another account's is another order.
    #expect(books.apply(.order(books.order(first: Self.void, account: 2)), by: 2).count == 2)
  }

  @Test(arguments: [Stamp.zero, Stamp(5)]) func aCancelOfTheFirstDotWaits(stamp: Stamp) {
    var books = Books()
    let told = books.apply(Self.cancel(.dot(Self.void), stamp: stamp))
    #expect(
      told
        == (stamp == .zero ? [] : [.rejected(entry: Self.dot(0, 2), reason: .unknownOrder, order: Self.void)]))
    let now = Self.dot(1, 1)
    #expect(
      books.apply(.order(books.order(first: Self.void)), by: 1) == [
        .accepted(order: now), .cancelled(order: now, reason: .tombstone, openLots: 5),
      ])
    #expect(books.engine.tombstones.count == 0)
  }

  @Test func aRepeatHonoursATombstone() {
    var books = Books()
    let first = Self.dot(1, 1)
    _ = books.apply(.order(books.order(id: "a")), by: 1)
    _ = books.apply(Self.cancel(.dot(Self.void)))
    #expect(
      books.apply(.order(books.order(id: "a", first: Self.void)), by: 2) == [
        .rejected(entry: Self.dot(2, 1), reason: .repeated, order: first),
        .cancelled(order: first, reason: .tombstone, openLots: 5),
      ])
  }

  @Test func aRepeatWhoseOwnDotWasCancelledCancels() {
    var books = Books()
    let first = Self.dot(1, 1)
    _ = books.apply(.order(books.order(id: "a")), by: 1)
    _ = books.apply(Self.cancel(.dot(Self.dot(2, 1))))
    #expect(
      books.apply(.order(books.order(id: "a")), by: 2) == [
        .rejected(entry: Self.dot(2, 1), reason: .repeated, order: first),
        .cancelled(order: first, reason: .tombstone, openLots: 5),
      ])
  }

  /// Where nobody has heard yet that the first one is void, it is there, and the second one is a repeat.
  @Test func theFirstOneMayBeHere() {
    var books = Books()
    _ = books.apply(.order(books.order()), by: 1)
    #expect(
      books.apply(.order(books.order(first: Self.dot(1, 1))), by: 2) == [
        .rejected(entry: Self.dot(2, 1), reason: .repeated, order: Self.dot(1, 1))
      ])
  }

  // MARK: A node that makes first dots up

  /// An order that was sent again under a dot which its author had not written yet keeps that name. A newer record of
  /// the name would hide it until it is forgotten, which happens at one replica earlier than at another.
  @Test func aNameThatIsTakenIsNotTakenAgain() throws {
    var books = Books()
    var late = Books()
    func both(_ command: Command?, by origin: UInt32 = 0, after milliseconds: UInt64 = 1) -> [OrderEvent] {
      let events = books.apply(command, by: origin, after: milliseconds)
      #expect(late.apply(command, by: origin, after: milliseconds) == events)
      // The other one never settles anything.
      books.engine.settle(through: books.engine.journalMark)
      return events
    }
    let forged = Self.dot(3, 1)
    let taker = Self.dot(2, 1)
    _ = both(.order(books.order(id: "a")), by: 1)
    #expect(both(.order(books.order(first: forged)), by: 2).count == 2)
    #expect(
      both(.order(books.order(id: "a")), by: 3) == [
        .rejected(entry: forged, reason: .repeated, order: Self.dot(1, 1))
      ])
    #expect(books.engine.order(account: AccountID(1), named: forged) == taker)
    _ = both(Self.cancel(.client(ClientOrderID("a")!)))
    for _ in 0..<3 { _ = both(Self.cancel(.client(ClientOrderID(99))), after: 700_000) }
    #expect(books.engine.order(account: AccountID(1), named: forged) == taker)
    #expect(late.engine.order(account: AccountID(1), named: forged) == taker)
    let restored = try StateTests.engine(StateTests.bytes(late.engine))
    #expect(restored.order(account: AccountID(1), named: forged) == taker)
    #expect(both(Self.cancel(.dot(forged))) == [.cancelled(order: taker, reason: .requested, openLots: 5)])
  }

  /// The dot of an order that is here leads to that order alone, also once it has ended.
  @Test func anOrderThatIsHereLendsItsDotToNobody() {
    var books = Books()
    let other = Self.dot(1, 1)
    _ = books.apply(.order(books.order()), by: 1)
    _ = books.apply(.order(books.order(id: "a")), by: 2)
    #expect(
      books.apply(.order(books.order(id: "a", first: other)), by: 3) == [
        .rejected(entry: Self.dot(3, 1), reason: .repeated, order: Self.dot(2, 1))
      ])
    #expect(books.engine.order(account: AccountID(1), named: other) == nil)
    _ = books.apply(Self.cancel(.dot(other)))
    #expect(
      books.apply(Self.cancel(.dot(other))) == [
        .rejected(entry: Self.dot(0, 3), reason: .notOpen, order: other)
      ])
    #expect(books.engine.order(Self.dot(2, 1)) != nil)
  }

  @Test func namesAreLimited() {
    var books = Books()
    let first = Self.dot(1, 1)
    for _ in 0..<UInt64(Limits.namesPerOrderMax + 4) { _ = books.apply(.order(books.order(id: "a")), by: 1) }
    let last = Self.dot(1, UInt64(Limits.namesPerOrderMax))
    #expect(books.engine.order(account: AccountID(1), named: last) == first)
    #expect(books.engine.order(account: AccountID(1), named: Self.dot(1, last.sequence + 1)) == nil)
  }

  @Test func anOrderTakesTwoCacheLines() { #expect(MemoryLayout<Order>.stride == 128) }
}
