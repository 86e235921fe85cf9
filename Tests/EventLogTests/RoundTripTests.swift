import EventLog
import OrderBook
import Primitives
import Testing

/// What is written is what is read.
struct RoundTripTests {
  /// Writes commands as one run, reads them back, and checks that both contexts end in the same place.
  private func check(run commands: [Command], _ comment: Comment) throws {
    var writer = ByteWriter()
    var context = CommandContext()
    for command in commands { writer.write(command: command, &context) }
    let read = try writer.bytes.withReader { (reader) throws(CodecError) in
      var context = CommandContext()
      var out: [Command] = []
      while reader.remaining > 0 {
        guard let command = try reader.readCommand(head: try reader.readByte("head"), &context) else { break }
        out.append(command)
      }
      return out
    }
    #expect(read.count == commands.count, comment)
    for (index, (read, command)) in zip(read, commands).enumerated() where read != command.canonical {
      Issue.record("\(comment), command \(index): wrote \(command), read \(read)")
    }
  }

  /// Type × time-in-force × self-trade prevention × post-only × id kind × display × side, and each of the three "same"
  /// flags on and off: 61,440 orders, of which none holds more than its type can say.
  @Test func everyCombinationOfAnOrdersFields() throws {
    let ids: [ClientOrderID] = try [.none, ClientOrderID(77), #require(ClientOrderID("a-1"))]
    for type in OrderType.allCases {
      for timeInForce in TimeInForce.allCases {
        var run: [Command] = []
        for prevention in SelfTradePrevention.allCases {
          for bits in 0..<UInt64(3 << 6) {
            let id = ids[Int(bits >> 6)]
            let order = Order(
              instrument: Dot(origin: OriginIndex(1), sequence: 1 + bits & 1), account: AccountID(1 + bits >> 1 & 1),
              side: bits & 4 == 0 ? .buy : .sell, type: type, timeInForce: timeInForce, priceTicks: Int64(bits) * 3,
              quantityLots: 10 - Int64(bits), selfTradePrevention: prevention, postOnly: bits & 8 != 0,
              stopPriceTicks: type == .stop || type == .stopLimit ? Int64(bits) - 7 : 0,
              displayLots: bits & 16 == 0 ? 0 : 5, expiry: timeInForce == .goodTillDate ? Stamp(bits) : .zero,
              clientOrderID: id, clientTimeMilliseconds: id.isNone ? 0 : 1_000 - bits)
            #expect(Command.order(order).canonical == .order(order))
            // Twice: the second has instrument, account and shape of the first.
            run += [.order(order), .order(order)]
          }
        }
        try check(run: run, "\(type) \(timeInForce)")
        try check(run: run.reversed(), "\(type) \(timeInForce), reversed")
      }
    }
  }

  @Test func everyCombinationOfACancelsAndAnAmendsFields() throws {
    let targets: [OrderReference] = try [
      .dot(.none), .dot(Dot(origin: OriginIndex(3), sequence: 900)), .client(ClientOrderID(0)),
      .client(ClientOrderID(.max)), .client(#require(ClientOrderID("x"))),
      .client(#require(ClientOrderID(utf8: [UInt8](repeating: 0x7e, count: 36)))),
    ]
    var run: [Command] = []
    for target in targets {
      for stamp in [Stamp.zero, Stamp(1), Stamp(.max)] {
        for account in [AccountID(5), AccountID(5), AccountID(6)] {
          run.append(.cancel(Cancel(account: account, target: target, targetStamp: stamp)))
          for price in [nil, 0, .min, .max] as [Int64?] {
            for quantity in [nil, 0, -1, .max] as [Int64?] {
              for meaning in quantity == nil ? [Amend.QuantityMeaning.total] : [.total, .open] {
                for forfeits in [false, true] {
                  let amend = Amend(
                    account: account, target: target, targetStamp: stamp, priceTicks: price, quantityLots: quantity,
                    quantityMeaning: meaning, forfeitsPriority: forfeits)
                  #expect(Command.amend(amend).canonical == .amend(amend))
                  run.append(.amend(amend))
                }
              }
            }
          }
        }
      }
    }
    try check(run: run, "amends and cancels")
    try check(run: run.reversed(), "amends and cancels, reversed")
  }

  @Test func theLargestNumbersThereAre() throws {
    let dot = Dot(origin: OriginIndex(.max), sequence: .max)
    for value in [Int64.min, .min + 1, -1, 0, 1, .max - 1, .max] {
      let bits = UInt64(bitPattern: value)
      let order = Order(
        instrument: dot, account: AccountID(bits), side: .sell, type: .stopLimit, timeInForce: .goodTillDate,
        priceTicks: value, quantityLots: value, stopPriceTicks: 0 &- value, displayLots: value, expiry: Stamp(bits),
        clientOrderID: ClientOrderID(bits), clientTimeMilliseconds: bits)
      let amend = Amend(account: AccountID(bits), target: .dot(dot), priceTicks: 0 &- value, quantityLots: value)
      try check(run: [.order(order), .amend(amend), .order(order), .amend(amend)], "\(value)")
    }
  }

  @Test(arguments: [1, 2, 3, 4, 5] as [UInt64]) func randomRunsOfCommands(seed: UInt64) throws {
    var random = RandomPayloads(seed: seed)
    for kind in [PayloadKind.instrument, .order, .cancel, .amend, .cancelAll] {
      try check(run: (0..<300).map { _ in random.command(kind) }, "seed \(seed), \(kind)")
    }
    let mixed = (0..<1_000).map { _ in random.command(PayloadKind.allCases[random.generator.pick(0...4)]) }
    try check(run: mixed, "seed \(seed), mixed")
  }

  @Test(arguments: [21, 22, 23, 24] as [UInt64]) func randomBatches(seed: UInt64) throws {
    var random = RandomPayloads(seed: seed)
    var kinds: Set<UInt8> = []
    for round in 0..<100 {
      let builder = random.builder()
      let bytes = builder.canonicalBytes()
      let (header, entries) = try decode(bytes).get()
      #expect(header.origin == builder.origin, "seed \(seed), round \(round)")
      #expect(header.firstSequence == builder.firstSequence, "seed \(seed), round \(round)")
      #expect(header.count == builder.entries.count, "seed \(seed), round \(round)")
      #expect(header.firstStamp == builder.entries.first?.stamp, "seed \(seed), round \(round)")
      #expect(entries == builder.entries, "seed \(seed), round \(round): the author's entries are the readers'")
      #expect(encode(header, entries) == bytes, "seed \(seed), round \(round)")
      #expect(try BatchHeader(canonicalBytes: bytes) == header, "seed \(seed), round \(round)")
      for entry in entries { kinds.insert(kindOf(entry.payload).rawValue) }
    }
    #expect(kinds.sorted() == PayloadKind.allCases.map(\.rawValue), "seed \(seed)")
  }

  @Test func sealedBatchesGoThereAndBack() throws {
    var random = RandomPayloads(seed: 31)
    let signature = try #require(Signature(bytes: Array(0..<64)))
    let sealed = SealedBatch(bytes: random.builder().canonicalBytes(), view: 300, signature: signature)
    var writer = ByteWriter()
    sealed.write(to: &writer)
    #expect(writer.bytes == [0xac, 0x02] + signature.bytes + varint(sealed.bytes.count) + sealed.bytes)
    let read = try writer.bytes.withReader { (reader) throws(CodecError) in try SealedBatch(from: &reader) }
    #expect(read == sealed)
    for count in 0..<writer.count {
      #expect(throws: CodecError.self, "\(count) bytes") {
        try Array(writer.bytes.prefix(count)).withReader { (reader) throws(CodecError) in
          try SealedBatch(from: &reader)
        }
      }
    }
  }

  @Test func aDecodedBatchHasItsPlaceInTheChain() throws {
    var random = RandomPayloads(seed: 32)
    let sha = SHA256()
    let builder = random.builder()
    let previous = sha.hash([1, 2, 3])
    let signature = try #require(Signature(bytes: [UInt8](repeating: 9, count: 64)))
    let sealed = SealedBatch(bytes: builder.canonicalBytes(), view: 4, signature: signature)
    let batch = try Batch.decode(sealed, previous: previous, sha)
    #expect(batch.origin == builder.origin)
    #expect(batch.firstSequence == builder.firstSequence)
    #expect(batch.lastSequence == builder.nextSequence - 1)
    #expect(batch.entries == builder.entries)
    #expect(batch.hash == HashChain.link(previous: previous, bytes: sealed.bytes, sha))
    #expect(batch.sealed == sealed)
    #expect(batch.firstKey == OrderKey(stamp: builder.entries[0].stamp, origin: builder.origin))
    #expect(batch.lastKey.stamp == builder.entries.last?.stamp)
  }

  private func varint(_ value: Int) -> [UInt8] {
    var writer = ByteWriter()
    writer.writeVarint(UInt64(value))
    return writer.bytes
  }

  private func kindOf(_ payload: Payload) -> PayloadKind {
    switch payload {
    case .fill: .fill
    case .checkpoint: .checkpoint
    case .command(.instrument): .instrument
    case .command(.order): .order
    case .command(.cancel): .cancel
    case .command(.amend): .amend
    case .command(.cancelAll): .cancelAll
    }
  }
}

/// What the format has no room for is cleared before the author applies it, or the author's book would differ.
struct CanonicalCommandTests {
  private let order = Order(
    instrument: Dot(origin: OriginIndex(0), sequence: 1), account: AccountID(1), side: .buy, priceTicks: 5,
    quantityLots: 1)

  private func expect(_ command: Command, becomes other: Command, sourceLocation: SourceLocation = #_sourceLocation) {
    #expect(command.canonical == other, sourceLocation: sourceLocation)
    #expect(other.canonical == other, sourceLocation: sourceLocation)
    #expect(encode(command) == encode(other), sourceLocation: sourceLocation)
    #expect((try? decodeCommand(encode(command))) == other, sourceLocation: sourceLocation)
    var builder = BatchBuilder(origin: OriginIndex(0), firstSequence: 1)
    builder.append(Entry(stamp: Stamp(1), payload: .command(command)))
    #expect(builder.entries[0].payload == .command(other), sourceLocation: sourceLocation)
  }

  @Test func fieldsThatTheOrdersTypeGivesNoMeaning() {
    var odd = order
    odd.stopPriceTicks = 7
    expect(.order(odd), becomes: .order(order))
    odd = order
    odd.expiry = Stamp(9)
    expect(.order(odd), becomes: .order(order))
    odd = order
    odd.clientTimeMilliseconds = 11
    expect(.order(odd), becomes: .order(order))
  }

  @Test func fieldsThatTheOrdersTypeNeedsStay() {
    var stop = order
    stop.type = .stop
    stop.stopPriceTicks = 7
    expect(.order(stop), becomes: .order(stop))
    var dated = order
    dated.timeInForce = .goodTillDate
    dated.expiry = Stamp(9)
    expect(.order(dated), becomes: .order(dated))
    var named = order
    named.clientOrderID = ClientOrderID(0)
    named.clientTimeMilliseconds = 11
    expect(.order(named), becomes: .order(named))
  }

  @Test func referencesToNothing() {
    let account = AccountID(1)
    expect(
      .cancel(Cancel(account: account, target: .client(.none))),
      becomes: .cancel(Cancel(account: account, target: .dot(.none))))
    expect(
      .amend(Amend(account: account, target: .client(.none), priceTicks: 1, quantityLots: nil)),
      becomes: .amend(Amend(account: account, target: .dot(.none), priceTicks: 1, quantityLots: nil)))
    expect(
      .cancelAll(CancelAll(account: account, instrument: Dot(origin: OriginIndex(3), sequence: 0))),
      becomes: .cancelAll(CancelAll(account: account)))
  }

  @Test func meaningOfAQuantityThatIsNotThere() {
    let target = OrderReference.dot(Dot(origin: OriginIndex(0), sequence: 2))
    expect(
      .amend(Amend(account: AccountID(1), target: target, priceTicks: 1, quantityLots: nil, quantityMeaning: .open)),
      becomes: .amend(Amend(account: AccountID(1), target: target, priceTicks: 1, quantityLots: nil)))
  }

  /// A client may name any origin. If its entry could not be read, one request would stop every node.
  @Test func originsThatTheRegisterDoesNotHave() {
    let dot = Dot(origin: OriginIndex(.max), sequence: 1)
    expect(
      .cancel(Cancel(account: AccountID(1), target: .dot(dot))),
      becomes: .cancel(Cancel(account: AccountID(1), target: .dot(dot))))
    var odd = order
    odd.instrument = dot
    expect(.order(odd), becomes: .order(odd))
    expect(
      .cancelAll(CancelAll(account: AccountID(1), instrument: dot)),
      becomes: .cancelAll(CancelAll(account: AccountID(1), instrument: dot)))
  }
}
