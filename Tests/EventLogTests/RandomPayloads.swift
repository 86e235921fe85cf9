import EventLog
import OrderBook
import Primitives

/// Seeded commands, payloads and batches of every kind, with values from the ordinary to the largest there are.
///
/// State that payloads of a batch share is hit both ways: accounts, instruments and shapes repeat often.
struct RandomPayloads {
  var generator: SeededGenerator

  init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

  mutating func number() -> UInt64 {
    switch generator.below(6) {
    case 0: 0
    case 1: UInt64.max - generator.below(2)
    case 2: generator.next()
    case 3: 1 << generator.below(64)
    default: generator.below(300)
    }
  }

  mutating func signed() -> Int64 { Int64(bitPattern: generator.chance(1, of: 3) ? 0 &- number() : number()) }

  mutating func account() -> AccountID { AccountID(generator.chance(3, of: 4) ? generator.below(3) : number()) }

  mutating func dot() -> Dot {
    let origin = generator.chance(1, of: 20) ? UInt32.max - UInt32(generator.below(2)) : UInt32(generator.below(3))
    return Dot(origin: OriginIndex(origin), sequence: generator.chance(2, of: 3) ? generator.below(3) : number())
  }

  mutating func stamp() -> Stamp { generator.chance(1, of: 3) ? .zero : Stamp(number()) }

  mutating func clientOrderID(_ kind: ClientOrderID.Kind) -> ClientOrderID {
    switch kind {
    case .none: return .none
    case .integer: return ClientOrderID(number())
    case .text:
      while true {
        let bytes = (0..<generator.pick(1...Limits.clientOrderIDBytesMax)).map { _ in
          generator.chance(1, of: 20) ? UInt8(generator.below(128)) : UInt8(generator.pick(48...90))
        }
        if let id = ClientOrderID(utf8: bytes), id.kind == .text { return id }
      }
    }
  }

  mutating func anyClientOrderID() -> ClientOrderID {
    clientOrderID([.none, .integer, .text][generator.pick(0...2)])
  }

  /// Any order at all: fields without meaning may be set too.
  mutating func order() -> Order {
    let plain = generator.chance(1, of: 2)
    return Order(
      instrument: dot(), account: account(), side: Side.allCases[generator.pick(0...1)],
      type: plain ? .limit : OrderType.allCases[generator.pick(0...3)],
      timeInForce: plain ? .goodTillCancel : TimeInForce.allCases[generator.pick(0...3)], priceTicks: signed(),
      quantityLots: signed(),
      selfTradePrevention: plain ? .none : SelfTradePrevention.allCases[generator.pick(0...4)],
      postOnly: !plain && generator.chance(1, of: 2), stopPriceTicks: generator.chance(1, of: 2) ? 0 : signed(),
      displayLots: plain || generator.chance(1, of: 2) ? 0 : signed(), expiry: stamp(),
      clientOrderID: plain ? .none : anyClientOrderID(), clientTimeMilliseconds: number(),
      firstDot: plain || generator.chance(1, of: 2) ? .none : firstDot())
  }

  mutating func firstDot() -> Dot {
    let isLast = generator.chance(1, of: 8)
    return Dot(
      origin: OriginIndex(isLast ? 1 << 20 - 1 : UInt32(generator.below(3))),
      sequence: isLast ? 1 << 44 - 1 : 1 + generator.below(300))
  }

  mutating func target() -> OrderReference {
    generator.chance(1, of: 2) ? .dot(dot()) : .client(anyClientOrderID())
  }

  mutating func amend() -> Amend {
    Amend(
      account: account(), target: target(), targetStamp: stamp(),
      priceTicks: generator.chance(1, of: 2) ? nil : signed(),
      quantityLots: generator.chance(1, of: 2) ? nil : signed(),
      quantityMeaning: generator.chance(1, of: 2) ? .total : .open, forfeitsPriority: generator.chance(1, of: 2))
  }

  mutating func symbol() -> Symbol {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._/")
    let text = String((0..<generator.pick(1...16)).map { _ in alphabet[generator.pick(0...alphabet.count - 1)] })
    guard let symbol = Symbol(text) else { preconditionFailure("\(text) is a symbol") }
    return symbol
  }

  mutating func increment() -> Increment {
    let mantissa = generator.chance(1, of: 2) ? 1 + generator.below(100) : 1_000_000_000_000_000_000
    guard let increment = Increment(mantissa: mantissa, scale: UInt8(generator.below(19))) else { return .one }
    return increment
  }

  mutating func command(_ kind: PayloadKind) -> Command {
    switch kind {
    case .instrument: .instrument(Instrument(symbol: symbol(), tick: increment(), lot: increment()))
    case .cancel: .cancel(Cancel(account: account(), target: target(), targetStamp: stamp()))
    case .amend: .amend(amend())
    case .cancelAll:
      .cancelAll(CancelAll(account: account(), instrument: generator.chance(1, of: 2) ? .none : dot()))
    case .order, .fill, .checkpoint: .order(order())
    }
  }

  mutating func hash() -> Hash256 {
    Hash256(word0: generator.next(), word1: number(), word2: number(), word3: number())
  }

  mutating func payload(_ kind: PayloadKind) -> Payload {
    switch kind {
    case .fill:
      .fill(FillAttestation(maker: dot(), taker: dot(), priceTicks: signed(), quantityLots: signed()))
    case .checkpoint:
      .checkpoint(
        CheckpointAttestation(number: number(), fills: number(), bookHash: hash(), checkpointHash: hash()))
    case .instrument, .order, .cancel, .amend, .cancelAll: .command(command(kind))
    }
  }

  mutating func payload() -> Payload { payload(PayloadKind.allCases[generator.pick(0...6)]) }

  /// A batch of at most `countMax` entries, all in one second.
  mutating func builder(countMax: Int = 40) -> BatchBuilder {
    var builder = BatchBuilder(
      origin: OriginIndex(UInt32(generator.chance(1, of: 4) ? 65_535 : generator.below(5))),
      firstSequence: generator.chance(1, of: 4) ? .max >> 1 : 1 + generator.below(1_000_000))
    let second = generator.below(1 << 38)
    var stamp = Stamp(milliseconds: second * 1_000 + generator.below(3), counter: UInt16(generator.below(3)))
    for _ in 0..<generator.pick(1...countMax) {
      guard stamp.second == second, builder.canTake(stamp: stamp) else { break }
      builder.append(Entry(stamp: stamp, payload: payload()))
      stamp = Stamp(stamp.value + 1 + generator.below(generator.chance(1, of: 2) ? 3 : 300_000))
    }
    return builder
  }
}

/// A batch's header and entries as a reader of its bytes sees them, or why they are refused.
func decode(_ bytes: [UInt8]) -> Result<(header: BatchHeader, entries: ContiguousArray<Entry>), CodecError> {
  do throws(CodecError) {
    let (header, entries) = try bytes.withReader { (reader) throws(CodecError) in try reader.readBatch() }
    return .success((header, entries))
  } catch {
    return .failure(error)
  }
}

/// Why bytes are no batch; nil if they are one.
func refusal(_ bytes: [UInt8]) -> CodecError? {
  if case .failure(let error) = decode(bytes) { return error }
  return nil
}

/// The bytes that header and entries have when they are written anew; none if no author could write them.
func encode(_ header: BatchHeader, _ entries: some Sequence<Entry>) -> [UInt8] {
  var builder = BatchBuilder(origin: header.origin, firstSequence: header.firstSequence)
  for entry in entries {
    if let last = builder.entries.last, last.stamp >= entry.stamp { return [] }
    guard builder.canTake(stamp: entry.stamp) else { return [] }
    builder.append(entry)
  }
  return builder.canonicalBytes()
}

/// One command in a run of its own.
func encode(_ command: Command) -> [UInt8] {
  var writer = ByteWriter()
  var context = CommandContext()
  writer.write(command: command, &context)
  return writer.bytes
}

/// Reads a run of one command that fills all of `bytes`.
func decodeCommand(_ bytes: [UInt8]) throws(CodecError) -> Command? {
  try bytes.withReader { (reader) throws(CodecError) in
    var context = CommandContext()
    let command = try reader.readCommand(head: try reader.readByte("head"), &context)
    try reader.expectEnd()
    return command
  }
}
