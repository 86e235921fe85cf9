import Oracle
import Primitives
import Testing

@testable import OrderBook

/// The engine's state in bytes, and back.
@Suite struct StateTests {
  static func bytes(_ engine: borrowing MatchingEngine, pieceBytes: Int = 1_000) -> [UInt8] {
    var out = PieceWriter(pieceBytes: pieceBytes)
    engine.write(to: &out)
    let count = out.count
    let pieces = out.finish()
    #expect(pieces.dropLast().allSatisfy { $0.count == pieceBytes } && pieces.last?.count ?? 1 <= pieceBytes)
    let bytes = pieces.flatMap { $0 }
    #expect(bytes.count == count)
    return bytes
  }

  static func engine(_ bytes: [UInt8], idsMax: Int = Limits.clientOrderIDsMax) throws -> MatchingEngine {
    var engine = MatchingEngine(clientOrderIDsMax: idsMax)
    try bytes.withUnsafeBytes { raw in
      var reader = ByteReader(raw)
      try engine.read(&reader)
      try reader.expectEnd()
    }
    return engine
  }

  /// Wherever the original is written and restored, both go on alike: the same events, hashes, bytes and answers.
  private static func difference(_ entries: [Entry], seed: UInt64, idsMax: Int) throws -> String? {
    var generator = SeededGenerator(seed: seed)
    var original = MatchingEngine(clientOrderIDsMax: idsMax)
    var restored = MatchingEngine(clientOrderIDsMax: idsMax)
    var tape = EventTape()
    var other = EventTape()
    var settled = 0
    for (position, entry) in entries.enumerated() {
      tape.removeAll()
      other.removeAll()
      let mark = restored.journalMark
      original.apply(entry.command, at: entry.dot, stamp: entry.stamp, into: &tape)
      restored.apply(entry.command, at: entry.dot, stamp: entry.stamp, into: &other)
      if tape.events != other.events { return "\(entry) gave \(other.events), without a restart \(tape.events)" }
      // What came after the restart can be taken back as ever.
      if generator.chance(1, of: 9) {
        restored.rollback(to: mark)
        other.removeAll()
        restored.apply(entry.command, at: entry.dot, stamp: entry.stamp, into: &other)
        if tape.events != other.events { return "\(entry) gave \(other.events) again, first \(tape.events)" }
      }
      // The original is settled at other times than it is written.
      if generator.chance(1, of: 13) { original.settle(through: original.journalMark) }
      guard generator.chance(1, of: 17) || position == entries.count - 1 else { continue }
      settled += 1
      let bytes = Self.bytes(original)
      if bytes != Self.bytes(restored) { return "the bytes are others at \(position)" }
      restored = try engine(bytes, idsMax: idsMax)
      if original.bookHash() != restored.bookHash() { return "the hash is another at \(position)" }
      if restored.recomputedBookHash() != restored.bookHash() { return "the kept hash is another at \(position)" }
      if let text = EngineState(restored).difference(from: EngineState(original)) { return "\(position): \(text)" }
    }
    return settled > entries.count / 40 ? nil : "hardly ever restored"
  }

  @Test(arguments: FlowProfile.all) func goesOnAsIfNothingHadBeen(profile: FlowProfile) throws {
    for seed in 1...UInt64(12) {
      var flow = RandomFlow(seed: seed, profile)
      let idsMax = seed % 3 == 0 ? 5 : Limits.clientOrderIDsMax
      let difference = try Self.difference(flow.entries(600), seed: seed, idsMax: idsMax)
      #expect(difference == nil, "seed \(seed), \(profile.name)")
    }
  }

  @Test func goldenBytes() throws {
    let engine = MatchingEngine()
    #expect(Self.bytes(engine) == [2, 0, 0, 0, 0xC0, 0x84, 0x3D, 0, 0, 0, 0, 0])
    for (profile, expected) in [
      (FlowProfile.mixed, "f1cd102cfed89c99ab595bc43c1197b1d384e4672e88f31b9b0a6387e85655a2"),
      (.resubmissions, "4bc68eba033e37f272fce7d584b8d7955f19641c2f39e6f56e4369ecdba48ba6"),
    ] {
      var engine = MatchingEngine()
      var flow = RandomFlow(seed: 7, profile)
      var tape = EventTape()
      for entry in flow.entries(400) { engine.apply(entry.command, at: entry.dot, stamp: entry.stamp, into: &tape) }
      #expect(SHA256().hash(Self.bytes(engine)).description == expected)
    }
  }

  /// The names of an open order come back, whether their records are in the window or only it keeps them.
  @Test func namesComeBack() throws {
    var engine = MatchingEngine()
    var tape = EventTape()
    var stamp = Stamp(milliseconds: 1_000_000)
    var sequences: [UInt64] = [0, 0, 0]
    func dot(_ origin: UInt32, _ sequence: UInt64) -> Dot { Dot(origin: OriginIndex(origin), sequence: sequence) }
    func apply(_ command: Command?, by origin: UInt32, after milliseconds: UInt64 = 1) {
      stamp = Stamp(milliseconds: stamp.milliseconds + milliseconds)
      sequences[Int(origin)] += 1
      engine.apply(command, at: dot(origin, sequences[Int(origin)]), stamp: stamp, into: &tape)
    }
    func order(_ lots: Int64, id: UInt64, first: Dot = .none) -> Command {
      .order(
        Order(
          instrument: dot(0, 1), account: AccountID(1), side: .buy, priceTicks: 100, quantityLots: lots,
          clientOrderID: id == 0 ? .none : ClientOrderID(id),
          clientTimeMilliseconds: id == 0 ? 0 : stamp.milliseconds, firstDot: first))
    }
    func check() throws {
      let bytes = Self.bytes(engine)
      let restored = try Self.engine(bytes, idsMax: Limits.clientOrderIDsMax)
      #expect(Self.bytes(restored) == bytes)
      #expect(restored.ids.dotNames == engine.ids.dotNames)
      #expect(restored.brokenInvariant == nil)
      for origin in [UInt32(0), 1, 2, 900_000] {
        for sequence in UInt64(1)...9 {
          let name = dot(origin, sequence)
          #expect(
            restored.order(account: AccountID(1), named: name) == engine.order(account: AccountID(1), named: name))
        }
      }
    }
    apply(.instrument(Instrument(symbol: try #require(Symbol("BTC-USD")))), by: 0)
    // An order with three names, some of them of a node that nobody has heard of; one whose first name is a dot; and
    // one of which a name is the dot of an entry to come.
    apply(order(5, id: 7, first: dot(900_000, 3)), by: 1)
    apply(order(5, id: 7, first: dot(900_000, 4)), by: 2)
    apply(order(6, id: 0, first: dot(900_000, 5)), by: 1)
    apply(order(8, id: 0, first: dot(2, 2)), by: 1)
    #expect(engine.ids.dotNames == 5)
    try check()
    // The entry itself, a repeat of the first order: its dot is the name of another one already.
    apply(order(5, id: 7), by: 2)
    #expect(engine.order(account: AccountID(1), named: dot(2, 2)) == dot(1, 3))
    try check()
    // Long after the window, with one more name in it.
    for id in UInt64(97)...98 {
      apply(.cancel(Cancel(account: AccountID(2), target: .client(ClientOrderID(id)))), by: 0, after: 700_000)
    }
    engine.settle(through: engine.journalMark)
    #expect(engine.ids.first == engine.ids.total)
    try check()
    apply(order(5, id: 7), by: 2)
    #expect(engine.ids.first < engine.ids.total)
    try check()
    var restored = try Self.engine(Self.bytes(engine), idsMax: Limits.clientOrderIDsMax)
    let cancel = Command.cancel(Cancel(account: AccountID(1), target: .dot(dot(900_000, 4))))
    tape.removeAll()
    restored.apply(
      cancel, at: dot(0, sequences[0] + 1), stamp: Stamp(milliseconds: stamp.milliseconds + 1), into: &tape)
    #expect(tape.events == [.cancelled(order: dot(1, 1), reason: .requested, openLots: 5)])
    #expect(restored.brokenInvariant == nil)
  }

  /// No other bytes than the canonical ones are taken for a state; none stops the process.
  @Test(arguments: [FlowProfile.mixed, .resubmissions]) func refusesEverythingElse(profile: FlowProfile) throws {
    var kept = 0
    for seed in 1...UInt64(4) {
      var engine = MatchingEngine()
      var flow = RandomFlow(seed: seed, profile)
      var tape = EventTape()
      for entry in flow.entries(160) { engine.apply(entry.command, at: entry.dot, stamp: entry.stamp, into: &tape) }
      let bytes = Self.bytes(engine)
      for end in 0..<bytes.count {
        #expect(throws: CodecError.self) { _ = try Self.hash(Array(bytes[..<end])) }
      }
      #expect(throws: CodecError.trailing(count: 1)) { _ = try Self.hash(bytes + [0]) }
      // One that is taken says something else, and in the only way in which that can be said.
      var generator = SeededGenerator(seed: seed)
      for place in bytes.indices {
        var changed = bytes
        changed[place] ^= 1 << UInt8(generator.below(8))
        if try Self.isState(changed) { kept += 1 }
      }
    }
    #expect(kept > 0)
  }

  /// Whether the bytes are read, and if so, are what the engine that comes of them writes.
  private static func isState(_ bytes: [UInt8]) throws -> Bool {
    do {
      var engine = try engine(bytes, idsMax: Limits.clientOrderIDsMax)
      #expect(Self.bytes(engine) == bytes)
      #expect(engine.bookHash() == engine.recomputedBookHash())
      return true
    } catch is CodecError {
      return false
    }
  }

  private static func hash(_ bytes: [UInt8]) throws -> Hash256 {
    var engine = try engine(bytes, idsMax: Limits.clientOrderIDsMax)
    return engine.bookHash()
  }

  /// What the format promises of the size.
  @Test func aPlainOrderTakesFewBytes() throws {
    var engine = MatchingEngine()
    var tape = EventTape()
    var log = TestLog()
    let definition = log.next()
    let symbol = try #require(Symbol("BTC-USD"))
    engine.apply(
      .instrument(Instrument(symbol: symbol)), at: definition.dot, stamp: definition.stamp, into: &tape)
    var generator = SeededGenerator(seed: 3)
    for _ in 0..<20_000 {
      let entry = log.next()
      let side: OrderBook.Side = generator.chance(1, of: 2) ? .buy : .sell
      let distance = Int64(generator.below(500))
      let order = Order(
        instrument: definition.dot, account: AccountID(generator.below(10_000)), side: side,
        priceTicks: 6_000_000 + (side == .buy ? -1 - distance : distance),
        quantityLots: 1 + Int64(generator.below(10_000_000)))
      engine.apply(.order(order), at: entry.dot, stamp: entry.stamp, into: &tape)
    }
    #expect(engine.restingOrders == 20_000)
    #expect(Self.bytes(engine, pieceBytes: 65_536).count < 16 * 20_000)
  }
}
