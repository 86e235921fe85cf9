import OrderBook
import Primitives

/// What the first bytes of a batch say, without decoding its entries.
public struct BatchHeader: Hashable, Sendable {
  public let origin: OriginIndex
  public let firstSequence: UInt64
  public let count: Int
  public let firstStamp: Stamp
  public var lastSequence: UInt64 { firstSequence + UInt64(count) - 1 }
}

/// Writes one batch, entry by entry, in format 1.
///
/// `CommandContext` says what `varint`, `signed` and `x moves y` are, and what the payloads of commands look like.
///
/// ```
/// version  u8 = 1
/// origin   varint       place in the register of origins, 0 … Limits.originsMax - 1
/// first    varint       sequence of the first entry, 1 … 2^63 - 1
/// count    varint       1 … Limits.batchEntriesMax, and at most as many as bytes follow the stamp
/// stamp    varint       of the first entry
/// entry    [not the first: stamp - stamp of the entry before, varint, not 0] payload
/// ```
/// Stamps do not pass 2^64 - 1, and all lie in one second: `(stamp >> 16) / 1000` is the same for all. The bytes end
/// with the last entry and are `Limits.batchBytesMax` at most. A payload starts with `kind << 4 | flags`; the state of
/// `CommandContext` starts anew with each batch, and with it `maker`, `taker` and `fill price`, all 0.
///
/// ```
/// fill        kind 6, no flags
///             maker's origin varint, below 2^32; maker's sequence moves maker
///             taker's origin varint, below 2^32; taker's sequence moves taker
///             price moves fill price
///             quantity signed
/// checkpoint  kind 7, no flags
///             number varint, fills varint, book hash 32 bytes, checkpoint hash 32 bytes
/// ```
///
/// A batch of another second, or a full one, must be started anew; `canTake` tells.
public struct BatchBuilder: Sendable {
  public static let formatVersion: UInt8 = 1
  public let origin: OriginIndex
  public let firstSequence: UInt64
  public private(set) var entries: ContiguousArray<Entry> = []
  private var body = ByteWriter(reserving: 4096)
  private var context = PayloadContext()
  /// An entry never needs more than this. The longest takes 142 bytes: an iceberg stop-limit order, good till date,
  /// with a 36-byte client order id and a first dot, everything about it unlike the order before and every number at
  /// its longest.
  public static let entryBytesMax = 256

  public init(origin: OriginIndex, firstSequence: UInt64) {
    self.origin = origin
    self.firstSequence = firstSequence
  }

  public var isEmpty: Bool { entries.isEmpty }
  public var nextSequence: UInt64 { firstSequence + UInt64(entries.count) }

  /// Whether an entry of this stamp may join.
  public func canTake(stamp: Stamp) -> Bool {
    guard let first = entries.first else { return true }
    return entries.count < Limits.batchEntriesMax && body.count + Self.entryBytesMax <= Limits.batchBytesMax - 64
      && first.stamp.second == stamp.second
  }

  /// Takes the entry in its canonical form: `entries` holds exactly what a reader of the bytes gets.
  /// - Precondition: `canTake(stamp:)`, and the stamp is later than the entry's before it.
  public mutating func append(_ entry: Entry) {
    precondition(canTake(stamp: entry.stamp))
    var entry = entry
    if case .command(let command) = entry.payload { entry.payload = .command(command.canonical) }
    if let last = entries.last {
      precondition(last.stamp < entry.stamp, "stamps ascend within an origin")
      body.writeVarint(entry.stamp.value - last.stamp.value)
    }
    body.write(payload: entry.payload, &context)
    entries.append(entry)
  }

  /// Canonical bytes of what was appended.
  /// - Precondition: not empty.
  public func canonicalBytes() -> [UInt8] {
    precondition(!isEmpty)
    var writer = ByteWriter(reserving: body.count + 32)
    writer.write(Self.formatVersion)
    writer.writeVarint(UInt64(origin.value))
    writer.writeVarint(firstSequence)
    writer.writeVarint(UInt64(entries.count))
    writer.writeVarint(entries[0].stamp.value)
    writer.write(body.bytes)
    return writer.bytes
  }
}

/// State that payloads of one batch share.
struct PayloadContext: Sendable {
  var command = CommandContext()
  var maker: UInt64 = 0
  var taker: UInt64 = 0
  var fillPriceTicks: Int64 = 0
}

extension ByteWriter {
  mutating func write(payload: Payload, _ context: inout PayloadContext) {
    switch payload {
    case .command(let command): write(command: command, &context.command)
    case .fill(let fill):
      write(PayloadKind.fill.rawValue << 4)
      writeVarint(UInt64(fill.maker.origin.value))
      writeSigned(Int64(bitPattern: fill.maker.sequence &- context.maker))
      writeVarint(UInt64(fill.taker.origin.value))
      writeSigned(Int64(bitPattern: fill.taker.sequence &- context.taker))
      writeSigned(fill.priceTicks &- context.fillPriceTicks)
      writeSigned(fill.quantityLots)
      context.maker = fill.maker.sequence
      context.taker = fill.taker.sequence
      context.fillPriceTicks = fill.priceTicks
    case .checkpoint(let checkpoint):
      write(PayloadKind.checkpoint.rawValue << 4)
      writeVarint(checkpoint.number)
      writeVarint(checkpoint.fills)
      write(checkpoint.bookHash)
      write(checkpoint.checkpointHash)
    }
  }
}

extension ByteReader {
  mutating func readPayload(_ context: inout PayloadContext) throws(CodecError) -> Payload {
    let head = try readByte("payload kind")
    if let command = try readCommand(head: head, &context.command) { return .command(command) }
    guard head & 15 == 0 else { throw .invalid(field: "payload flags") }
    if head >> 4 == PayloadKind.fill.rawValue { return .fill(try readFill(&context)) }
    return .checkpoint(
      CheckpointAttestation(
        number: try readVarint("checkpoint number"), fills: try readVarint("checkpoint fills"),
        bookHash: try readHash("book hash"), checkpointHash: try readHash("checkpoint hash")))
  }

  private mutating func readFill(_ context: inout PayloadContext) throws(CodecError) -> FillAttestation {
    let makerOrigin = try readOrigin("maker")
    context.maker &+= UInt64(bitPattern: try readSigned("maker"))
    let takerOrigin = try readOrigin("taker")
    context.taker &+= UInt64(bitPattern: try readSigned("taker"))
    context.fillPriceTicks &+= try readSigned("fill price")
    return FillAttestation(
      maker: Dot(origin: makerOrigin, sequence: context.maker),
      taker: Dot(origin: takerOrigin, sequence: context.taker), priceTicks: context.fillPriceTicks,
      quantityLots: try readSigned("fill quantity"))
  }

  mutating func readBatchHeader() throws(CodecError) -> BatchHeader {
    let version = try readByte("batch version")
    guard version == BatchBuilder.formatVersion else { throw .unknown(field: "batch version", value: UInt64(version)) }
    let origin = try readVarint("batch origin", max: UInt64(Limits.originsMax - 1))
    let first = try readVarint("batch sequence", max: UInt64.max >> 1)
    guard first > 0 else { throw .invalid(field: "batch sequence") }
    let count = try readVarint("batch count", max: UInt64(Limits.batchEntriesMax))
    guard count > 0 else { throw .invalid(field: "batch count") }
    return BatchHeader(
      origin: OriginIndex(UInt32(origin)), firstSequence: first, count: Int(count),
      firstStamp: Stamp(try readVarint("batch stamp")))
  }
}

extension BatchHeader {
  /// Reads only the header of a batch's canonical bytes.
  /// - Complexity: O(1).
  public init(canonicalBytes bytes: [UInt8]) throws(CodecError) {
    self = try bytes.withReader { (reader) throws(CodecError) in try reader.readBatchHeader() }
  }
}

extension Array where Element == UInt8 {
  /// Runs `body` with a reader over these bytes.
  public func withReader<Value>(_ body: (inout ByteReader) throws(CodecError) -> Value) throws(CodecError) -> Value {
    let result: Result<Value, CodecError> = withUnsafeBytes { raw in
      var reader = ByteReader(raw)
      do throws(CodecError) {
        return .success(try body(&reader))
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }
}

extension Batch {
  /// Decodes canonical bytes whose place in the chain is known.
  ///
  /// Checks form, limits, ascending stamps and the one-second rule; computes the chain hash. The signature is the
  /// caller's to check.
  /// - Parameter previous: hash of the chain before this batch.
  /// - Throws: `CodecError`; nothing is half-decoded.
  /// - Complexity: O(bytes).
  public static func decode(_ sealed: SealedBatch, previous: Hash256, _ sha: SHA256) throws(CodecError) -> Batch {
    let (header, entries) = try sealed.bytes.withReader { (reader) throws(CodecError) in try reader.readBatch() }
    return Batch(
      origin: header.origin, firstSequence: header.firstSequence, entries: entries, bytes: sealed.bytes,
      hash: HashChain.link(previous: previous, bytes: sealed.bytes, sha), view: sealed.view,
      signature: sealed.signature)
  }
}

extension ByteReader {
  /// A whole batch: header, entries, and nothing after them.
  public mutating func readBatch() throws(CodecError) -> (BatchHeader, ContiguousArray<Entry>) {
    guard remaining <= Limits.batchBytesMax else { throw .invalid(field: "batch bytes") }
    let header = try readBatchHeader()
    // No entry is shorter than a byte: a count cannot make this reserve for more entries than could be there.
    guard header.count <= remaining else { throw .truncated(field: "batch entries") }
    var entries: ContiguousArray<Entry> = []
    entries.reserveCapacity(header.count)
    var context = PayloadContext()
    var stamp = header.firstStamp
    for index in 0..<header.count {
      if index > 0 {
        let delta = try readVarint("stamp delta")
        let (next, overflow) = stamp.value.addingReportingOverflow(delta)
        guard delta > 0, !overflow else { throw .invalid(field: "stamp delta") }
        stamp = Stamp(next)
      }
      entries.append(Entry(stamp: stamp, payload: try readPayload(&context)))
    }
    try expectEnd()
    guard stamp.second == header.firstStamp.second else { throw .invalid(field: "batch stamps (two seconds)") }
    return (header, entries)
  }
}
