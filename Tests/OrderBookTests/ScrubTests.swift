import Primitives
import Testing

@testable import OrderBook

/// A scrub finds what somebody else wrote into the book's memory, and nothing else.
@Suite struct ScrubTests {
  /// A book after a random flow.
  private static func book(
    seed: UInt64, entries: Int, _ body: (inout MatchingEngine, Int) -> Void = { _, _ in }
  )
    -> MatchingEngine
  {
    var engine = MatchingEngine()
    var flow = RandomFlow(seed: seed, .mixed)
    var tape = EventTape()
    for count in 0..<entries {
      let entry = flow.next()
      engine.apply(entry.command, at: entry.dot, stamp: entry.stamp, into: &tape)
      tape.removeAll()
      body(&engine, count)
    }
    return engine
  }

  /// One pass in slices.
  private static func pass(_ engine: inout MatchingEngine, slice: Int = 50) -> [BookDamage] {
    var cursor = ScrubCursor()
    var damages: [BookDamage] = []
    var calls = 0
    while cursor.passes == 0, damages.isEmpty {
      engine.scrub(&cursor, unitsMax: slice, &damages)
      calls += 1
      precondition(calls < 1_000_000, "the scrub does not end")
    }
    return damages
  }

  private static func expect(_ kinds: [BookDamage.Kind], _ engine: inout MatchingEngine) {
    let found = pass(&engine).map(\.kind)
    #expect(found == kinds)
  }

  @Test(arguments: 1...20 as ClosedRange<UInt64>) func findsNothingInASoundBook(_ seed: UInt64) {
    var cursor = ScrubCursor()
    var damages: [BookDamage] = []
    // Slices while the book changes, is hashed, rolled back and settled.
    var mark: UInt64 = 0
    var engine = Self.book(seed: seed, entries: 3_000) { engine, count in
      if count % 97 == 0 { _ = engine.bookHash() }
      if count % 131 == 0 { engine.settle(through: engine.journalMark) }
      if count % 400 == 0 { mark = engine.journalMark }
      engine.scrub(&cursor, unitsMax: 3 + count % 60, &damages)
    }
    _ = mark
    #expect(damages.isEmpty, "\(damages)")
    #expect(cursor.passes > 3)
    _ = engine.bookHash()
    Self.expect([], &engine)
  }

  @Test(arguments: 1...60 as ClosedRange<UInt64>) func findsAFlippedBit(_ seed: UInt64) throws {
    var engine = Self.book(seed: seed, entries: 800 + Int(seed) * 20)
    // Half of them after the hash, as if some levels had changed since.
    let root = engine.bookHash()
    let flipped = engine.flipBit(seed: seed)
    let flip = try #require(flipped)
    let after = engine.bookHash()
    #expect(after == root, "nothing was marked")
    #expect(flip.before != flip.after && (flip.before ^ flip.after).nonzeroBitCount == 1)
    let damages = Self.pass(&engine, slice: 20 + Int(seed))
    let damage = try #require(damages.first)
    #expect(damage.instrument == flip.instrument && damage.side == flip.side)
    #expect(damage.priceTicks == flip.priceTicks)
    if damage.kind == .orders { #expect(damage.orders.contains(flip.order)) }
  }

  /// A link that leads anywhere must not stop the process that looks for it.
  @Test(arguments: 1...60 as ClosedRange<UInt64>) func outlivesDamagedLinks(_ seed: UInt64) throws {
    var engine = Self.book(seed: seed, entries: 1_500)
    _ = engine.bookHash()
    var generator = SeededGenerator(seed: seed)
    let flipped = engine.flipBit(seed: seed)
    let flip = try #require(flipped)
    // Undo the flip by its own kind, then damage a link of the same order.
    let slot = engine.index.slot(of: flip.order)
    switch flip.field {
    case .open: engine.orders[slot].openLots = flip.before
    case .filled: engine.orders[slot].filledLots = flip.before
    case .sum:
      engine.ladder.pages[engine.orders[slot].level].total &+= UInt128(truncatingIfNeeded: flip.before &- flip.after)
    }
    Self.expect([], &engine)
    let bit: UInt32 = 1 << UInt32(generator.pick(0...31))
    switch generator.pick(0...7) {
    case 0: engine.orders[slot].next ^= bit
    case 1: engine.orders[slot].previous ^= bit
    case 2: engine.orders[slot].level ^= bit
    case 3: engine.orders[slot].account ^= bit
    case 4: engine.orders[slot].accountNext ^= bit
    case 5: engine.orders[slot].terms ^= bit
    case 6: engine.orders[slot].clientRecord ^= bit
    default: engine.ladder.pages[engine.orders[slot].level].head ^= bit
    }
    let found = Self.pass(&engine)
    #expect(!found.isEmpty)
  }

  @Test func findsWhatIsKeptAboveTheOrders() throws {
    var engine = Self.book(seed: 7, entries: 2_000)
    _ = engine.bookHash()
    engine.books[0].lastTradeTicks ^= 1
    Self.expect([.book], &engine)
    engine.books[0].lastTradeTicks ^= 1
    engine.hasher.stonesHash.word0 ^= 1
    Self.expect([.tombstones], &engine)
    engine.hasher.stonesHash.word0 ^= 1
    let bucket = try #require(engine.hasher.idBuckets.firstIndex { !$0.blocks.isEmpty })
    engine.hasher.idBuckets[bucket].blocks[0].hash.word3 ^= 4
    Self.expect([.names], &engine)
    engine.hasher.idBuckets[bucket].blocks[0].hash.word3 ^= 4
    Self.expect([], &engine)
  }

  @Test func anEmptyBookCostsNothing() {
    var engine = MatchingEngine()
    let units = engine.scrubUnits
    #expect(units == 0)
    Self.expect([], &engine)
  }

  /// Two books of the same entries have no difference; after a flip, exactly that order.
  @Test(arguments: 1...10 as ClosedRange<UInt64>) func comparesOrderByOrder(_ seed: UInt64) throws {
    var engine = Self.book(seed: seed, entries: 1_000)
    let other = Self.book(seed: seed, entries: 1_000)
    var none = BookDifference()
    engine.compare(0..<engine.orderSlots, with: other, isMirrored: false, &none)
    other.compare(0..<other.orderSlots, with: engine, isMirrored: true, &none)
    #expect(none == BookDifference())
    let flipped = engine.flipBit(seed: seed)
    let flip = try #require(flipped)
    var found = BookDifference()
    engine.compare(0..<engine.orderSlots, with: other, isMirrored: false, &found)
    switch flip.field {
    case .open, .filled:
      #expect(found.orders.map(\.dot) == [flip.order])
      let difference = try #require(found.orders.first)
      #expect(difference.here != nil && difference.other != nil)
    case .sum: #expect(found == BookDifference())
    }
  }
}
