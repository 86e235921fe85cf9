import EventLog
import OrderBook
import Primitives
import Testing

struct BatchLimitTests {
  private let everything = Payload.command(.cancelAll(CancelAll(account: AccountID(0))))

  /// Orders until the batch is full or its second over.
  private func fullBatch(seed: UInt64, names: Bool) -> BatchBuilder {
    var flow = PlausibleFlow(seed: seed)
    flow.names = names
    // 4,096 orders in a second.
    flow.pauseMillisecondsMax = 0
    var builder = BatchBuilder(origin: OriginIndex(2), firstSequence: 1_000_000)
    var count: UInt64 = 0
    while true {
      var stamp = flow.nextStamp()
      if count % 5 == 0 { stamp = Stamp(milliseconds: 1_700_000_000_000 + count / 5, counter: 0) }
      guard stamp > builder.entries.last?.stamp ?? .zero else { continue }
      guard builder.canTake(stamp: stamp) else { return builder }
      builder.append(Entry(stamp: stamp, payload: .command(.order(flow.order()))))
      count += 1
    }
  }

  @Test(arguments: [91, 92] as [UInt64]) func aPlausibleLimitOrderTakesAtMostTwentyFourBytes(seed: UInt64) {
    let named = fullBatch(seed: seed, names: true)
    let unnamed = fullBatch(seed: seed, names: false)
    #expect(named.entries.count == Limits.batchEntriesMax, "seed \(seed)")
    #expect(unnamed.entries.count == Limits.batchEntriesMax, "seed \(seed)")
    let namedBytes = Double(named.canonicalBytes().count) / Double(named.entries.count)
    let unnamedBytes = Double(unnamed.canonicalBytes().count) / Double(unnamed.entries.count)
    print("bytes an order, seed \(seed): \(namedBytes) with integer client order ids, \(unnamedBytes) without ids")
    #expect(namedBytes <= 24, "seed \(seed)")
    #expect(unnamedBytes <= 16, "seed \(seed)")
    #expect(unnamedBytes > 8, "seed \(seed): these orders are not plausible")
  }

  @Test func aBatchEndsAtItsEntryLimit() {
    var builder = BatchBuilder(origin: OriginIndex(0), firstSequence: 1)
    for value in 1...UInt64(Limits.batchEntriesMax) {
      #expect(builder.canTake(stamp: Stamp(value)))
      builder.append(Entry(stamp: Stamp(value), payload: everything))
    }
    #expect(!builder.canTake(stamp: Stamp(5_000)))
    #expect(builder.nextSequence == 4_097)
    #expect(refusal(builder.canonicalBytes()) == nil)
  }

  @Test func aBatchEndsWithItsSecond() {
    var builder = BatchBuilder(origin: OriginIndex(0), firstSequence: 1)
    #expect(builder.isEmpty)
    #expect(builder.canTake(stamp: Stamp(milliseconds: 1_999)))
    builder.append(Entry(stamp: Stamp(milliseconds: 1_999), payload: everything))
    #expect(builder.canTake(stamp: Stamp(milliseconds: 1_999, counter: .max)))
    #expect(!builder.canTake(stamp: Stamp(milliseconds: 2_000)))
    #expect(!builder.isEmpty)
  }

  /// The longest entry of each kind, everything about it unlike what stands before it.
  private var longest: [Payload] {
    let dot = Dot(origin: OriginIndex(.max), sequence: 1 << 63)
    let account = AccountID(.max)
    let text = ClientOrderID(utf8: [UInt8](repeating: 0x7a, count: 36)) ?? .none
    guard let symbol = Symbol("ABCDEFGHIJKLMNOP") else { return [] }
    let increment = Increment(mantissa: 1_000_000_000_000_000_000, scale: 18) ?? .one
    let hash = Hash256(word0: .max, word1: .max, word2: .max, word3: .max)
    let order = Order(
      instrument: dot, account: account, side: .sell, type: .stopLimit, timeInForce: .goodTillDate, priceTicks: .min,
      quantityLots: .min, selfTradePrevention: .decrement, postOnly: true, stopPriceTicks: 0, displayLots: .min,
      expiry: Stamp(.max), clientOrderID: text, clientTimeMilliseconds: 1 << 63,
      firstDot: Dot(origin: OriginIndex(1 << 20 - 1), sequence: 1 << 44 - 1))
    let amend = Amend(
      account: account, target: .client(text), targetStamp: Stamp(.max), priceTicks: .min, quantityLots: .min,
      quantityMeaning: .open, forfeitsPriority: true)
    return [
      .command(.order(order)), .command(.amend(amend)),
      .command(.cancel(Cancel(account: account, target: .client(text), targetStamp: Stamp(.max)))),
      .command(.cancelAll(CancelAll(account: account, instrument: dot))),
      .command(.instrument(Instrument(symbol: symbol, tick: increment, lot: increment))),
      .fill(FillAttestation(maker: dot, taker: dot, priceTicks: .min, quantityLots: .min)),
      .checkpoint(CheckpointAttestation(number: .max, fills: .max, bookHash: hash, checkpointHash: hash)),
    ]
  }

  @Test func theLongestEntryFitsWhatIsReservedForIt() {
    let first = Stamp(milliseconds: 1_700_000_000_000)
    let last = Stamp(milliseconds: 1_700_000_000_999, counter: .max)
    var sizes: [Int] = []
    for payload in longest {
      var builder = BatchBuilder(origin: OriginIndex(0), firstSequence: 1)
      builder.append(Entry(stamp: first, payload: everything))
      let before = builder.canonicalBytes().count
      builder.append(Entry(stamp: last, payload: payload))
      #expect(decode(builder.canonicalBytes()).entries == builder.entries)
      sizes.append(builder.canonicalBytes().count - before)
    }
    // The first is the longest there is, and takes three more behind a cancel of a far dot; the comment on
    // `entryBytesMax` says so.
    #expect(sizes == [139, 84, 63, 30, 42, 55, 89])
    #expect(sizes.max() ?? 0 <= BatchBuilder.entryBytesMax)
  }

  /// No random payload comes near it either.
  @Test(arguments: [101, 102] as [UInt64]) func noRandomEntryIsLonger(seed: UInt64) {
    var random = RandomPayloads(seed: seed)
    for _ in 0..<5_000 {
      var builder = BatchBuilder(origin: OriginIndex(0), firstSequence: 1)
      builder.append(Entry(stamp: Stamp(1), payload: everything))
      let before = builder.canonicalBytes().count
      builder.append(Entry(stamp: Stamp(milliseconds: 999, counter: .max), payload: random.payload()))
      #expect(builder.canonicalBytes().count - before <= 142, "seed \(seed)")
    }
  }

  @Test func aBatchOfLongEntriesStaysWithinItsBytes() {
    var builder = BatchBuilder(origin: OriginIndex(65_535), firstSequence: .max >> 1)
    var value = Stamp(milliseconds: (1 << 48) - 1_000).value
    let kinds = longest
    while builder.canTake(stamp: Stamp(value)) {
      // Orders and amends take turns, so that each must say everything anew.
      builder.append(Entry(stamp: Stamp(value), payload: kinds[builder.entries.count % 2]))
      value += 1
    }
    let bytes = builder.canonicalBytes()
    #expect(builder.entries.count < Limits.batchEntriesMax, "the bytes end this batch, not the count")
    #expect(bytes.count <= Limits.batchBytesMax)
    #expect(bytes.count > Limits.batchBytesMax - 2 * BatchBuilder.entryBytesMax)
    #expect(refusal(bytes) == nil)
  }

  /// Nobody could pass such a batch on: `SealedBatch` refuses its length.
  @Test func aBatchPastTheByteLimitIsRefused() throws {
    var bytes: [UInt8] = [1, 0, 1, 0x80, 0x20, 9]
    let id = [UInt8](repeating: 0x7a, count: 36)
    for index in 0..<4_096 {
      if index > 0 { bytes.append(1) }
      // A cancel of another account's text id, after a long stamp.
      bytes += [0x33, UInt8(1 + index % 2), 2, 36] + id + [UInt8](repeating: 0xff, count: 9) + [1]
    }
    #expect(bytes.count < Limits.batchBytesMax)
    #expect(refusal(bytes) == nil)
    var long: [UInt8] = [1, 0, 1, 0x80, 0x20, 9]
    for index in 0..<4_096 {
      if index > 0 { long.append(1) }
      long += [0x43, UInt8(1 + index % 2), 2, 36] + id + [UInt8](repeating: 0xff, count: 9) + [1]
      long += [3] + [UInt8](repeating: 0xff, count: 9) + [1] + [UInt8](repeating: 0xff, count: 9) + [1]
    }
    #expect(long.count > Limits.batchBytesMax)
    #expect(refusal(long) == .invalid(field: "batch bytes"))
    let signature = try #require(Signature(bytes: [UInt8](repeating: 0, count: 64)))
    var writer = ByteWriter()
    SealedBatch(bytes: long, view: 0, signature: signature).write(to: &writer)
    #expect(throws: CodecError.invalid(field: "batch")) {
      try writer.bytes.withReader { (reader) throws(CodecError) in try SealedBatch(from: &reader) }
    }
  }

  /// The counts are checked against the bytes that are there before anything is reserved for them: the error names the
  /// count's field, not the first element that is missing.
  @Test func hugeCountsAreRefusedBeforeAnythingIsReserved() {
    #expect(refusal([1, 0, 1, 0x80, 0x20, 9]) == .truncated(field: "batch entries"))
    let short: [UInt8] = [1, 0, 1, 0x80, 0x20, 9] + [UInt8](repeating: 0x56, count: 4_095)
    #expect(refusal(short) == .truncated(field: "batch entries"))
    let huge: [UInt8] = [1, 0, 1] + [UInt8](repeating: 0xff, count: 9) + [1, 9]
    #expect(refusal(huge) == .invalid(field: "batch count"))
    let signature = [UInt8](repeating: 0, count: 64)
    let sealed: [UInt8] = [1] + signature + [0x80, 0x80, 0x10]
    #expect(throws: CodecError.truncated(field: "batch")) {
      try sealed.withReader { (reader) throws(CodecError) in try SealedBatch(from: &reader) }
    }
  }
}

extension Result where Success == (header: BatchHeader, entries: ContiguousArray<Entry>) {
  fileprivate var entries: ContiguousArray<Entry> { (try? get())?.entries ?? [] }
}
