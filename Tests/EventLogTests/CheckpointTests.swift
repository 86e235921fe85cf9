import EventLog
import OrderBook
import Primitives
import Testing

/// The hashes of a checkpoint, built a second time by hand; and where its boundaries lie.
struct CheckpointTests {
  private let sha = SHA256()

  private func hash(_ text: String) -> Hash256 { SHA256().hash(Array(text.utf8)) }

  /// Little-endian.
  private func fixed(_ value: UInt64, bytes: Int = 8) -> [UInt8] {
    (0..<bytes).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) }
  }

  private func checkpoint(_ number: UInt64) -> Checkpoint {
    Checkpoint(
      number: number, previous: hash("previous"), bookHash: hash("book"), logHash: hash("log"),
      fillsHash: hash("fills"), fills: 7, sha)
  }

  private let order = Order(
    instrument: Dot(origin: OriginIndex(0), sequence: 1), account: AccountID(3), side: .buy, priceTicks: 100,
    quantityLots: 5)

  private let fill = FillAttestation(
    maker: Dot(origin: OriginIndex(1), sequence: 300), taker: Dot(origin: OriginIndex(2), sequence: 5), priceTicks: 100,
    quantityLots: 4)

  @Test func theHashIsOfWhatThePageSays() {
    let bytes =
      Array("rialto.checkpoint.1".utf8) + hash("previous").bytes + fixed(12) + hash("book").bytes + hash("log").bytes
      + hash("fills").bytes
    #expect(checkpoint(12).hash == sha.hash(bytes))
    #expect(checkpoint(12).attestation.checkpointHash == checkpoint(12).hash)
    #expect(checkpoint(13).hash != checkpoint(12).hash)
  }

  @Test func anIntervalIsOfWhatThePageSays() {
    var interval = CheckpointInterval()
    let stamps = [Stamp(milliseconds: 5_000, counter: 9), Stamp(milliseconds: 5_999), Stamp(milliseconds: 5_999)]
    let dots = [
      Dot(origin: OriginIndex(2), sequence: 1), Dot(origin: OriginIndex(1), sequence: 4),
      Dot(origin: OriginIndex(2), sequence: 2),
    ]
    let payloads: [Payload] = [.command(.order(order)), .fill(fill), .command(.order(order))]
    for index in 0..<3 {
      interval.take(dots[index], Entry(stamp: stamps[index], payload: payloads[index]))
      if index == 0 { interval.take(fill) }
    }
    #expect(interval.number == 6 && interval.entries == 3 && interval.fillCount == 1 && interval.holdsCommands)
    let closed = interval.close(previous: hash("previous"), bookHash: hash("book"), fillsBefore: 40, sha)
    #expect(closed.number == 6 && closed.fills == 41 && interval.number == nil)

    func key(_ index: Int) -> [UInt8] {
      fixed(stamps[index].value) + fixed(UInt64(dots[index].origin.value), bytes: 4) + fixed(dots[index].sequence)
    }
    // An order; a fill; and the order again: same instrument, account and shape, its price 0 away.
    let log =
      key(0) + [0x28, 0, 1, 3, 0xc8, 1, 10] + key(1) + [0x60, 1, 0xd8, 4, 2, 10, 0xc8, 1, 8] + key(2) + [0x2e, 0, 10]
    #expect(closed.logHash == sha.hash(Array("rialto.checkpoint.log.1".utf8) + log + fixed(3)))
    let fills = fixed(300) + fixed(1, bytes: 4) + fixed(5) + fixed(2, bytes: 4) + fixed(100) + fixed(4)
    #expect(closed.fillsHash == sha.hash(Array("rialto.checkpoint.fills.1".utf8) + fills + fixed(1)))
  }

  /// The next interval starts anew, so its hashes do not depend on how much came before it.
  @Test func everyIntervalStartsAnew() {
    func close(_ interval: inout CheckpointInterval, second: UInt64, count: Int) -> Checkpoint {
      for index in 0..<count {
        interval.take(
          Dot(origin: OriginIndex(0), sequence: UInt64(index + 1)),
          Entry(stamp: Stamp(milliseconds: second * 1_000, counter: UInt16(index)), payload: .command(.order(order))))
        interval.take(fill)
      }
      return interval.close(previous: .zero, bookHash: .zero, fillsBefore: 0, sha)
    }
    var fresh = CheckpointInterval()
    var used = CheckpointInterval()
    // More than is put together at once.
    _ = close(&used, second: 1, count: 2_000)
    #expect(close(&fresh, second: 7, count: 1_500) == close(&used, second: 7, count: 1_500))
    #expect(close(&fresh, second: 8, count: 3).logHash != close(&used, second: 8, count: 4).logHash)
  }

  @Test func onlyCommandsAreAttested() {
    var interval = CheckpointInterval()
    let payloads: [Payload] = [.fill(fill), .checkpoint(checkpoint(4).attestation)]
    for (index, payload) in payloads.enumerated() {
      interval.take(
        Dot(origin: OriginIndex(0), sequence: UInt64(index + 1)), Entry(stamp: Stamp(UInt64(index)), payload: payload))
    }
    #expect(!interval.holdsCommands && interval.number == 1)
  }

  @Test func boundaries() {
    #expect(Checkpoint.number(closing: .zero) == 1)
    #expect(Checkpoint.number(closing: Stamp(milliseconds: 999, counter: .max)) == 1)
    #expect(Checkpoint.number(closing: Stamp(milliseconds: 1_000)) == 2)
    #expect(Checkpoint.boundary(2) == Stamp(milliseconds: 2_000))
    #expect(Checkpoint.lastStamp(2) == Stamp(milliseconds: 1_999, counter: .max))
    let last = Checkpoint.number(closing: Stamp(.max))
    #expect(Checkpoint.boundary(last) == Stamp(.max), "there is no later stamp")
  }

  @Test func bytes() throws {
    var writer = ByteWriter()
    checkpoint(9).write(to: &writer)
    let read = try writer.bytes.withReader { (reader) throws(CodecError) in try Checkpoint(from: &reader, sha) }
    #expect(read == checkpoint(9))
    for count in 0..<writer.count {
      #expect(throws: CodecError.self) {
        try Array(writer.bytes.prefix(count)).withReader { (reader) throws(CodecError) in
          try Checkpoint(from: &reader, sha)
        }
      }
    }
    writer.bytes[0] = 0
    #expect(throws: CodecError.invalid(field: "checkpoint number")) {
      try writer.bytes.withReader { (reader) throws(CodecError) in try Checkpoint(from: &reader, sha) }
    }
  }

  /// What a fill costs in a batch of fills: makers of some nodes, takers of one, prices near each other.
  @Test func aFillTakesAboutTenBytes() {
    var generator = SeededGenerator(seed: 5)
    var builder = BatchBuilder(origin: OriginIndex(2), firstSequence: 1_000_000)
    var taker: UInt64 = 700_000
    for index in 0..<1_000 {
      if generator.chance(1, of: 2) { taker += generator.below(4) + 1 }
      let fill = FillAttestation(
        maker: Dot(origin: OriginIndex(UInt32(generator.below(5))), sequence: taker - generator.below(20_000)),
        taker: Dot(origin: OriginIndex(2), sequence: taker),
        priceTicks: 6_500_000 + Int64(generator.below(100)), quantityLots: Int64(generator.below(200)))
      builder.append(Entry(stamp: Stamp(milliseconds: 1_700_000_000_000, counter: UInt16(index)), payload: .fill(fill)))
    }
    let perFill = builder.canonicalBytes().count * 10 / 1_000
    #expect((80...110).contains(perFill), "\(perFill) tenths of a byte")
  }
}
