import OrderBook
import Primitives

/// Hashes one interval's final entries and fills as they come, in key order.
///
/// ```
/// log hash    SHA-256("rialto.checkpoint.log.1" ‖ entry… ‖ entries u64)
///   entry     stamp u64, origin u32, sequence u64, payload as in a batch: `BatchBuilder`, its state starts anew with
///             each interval
/// fills hash  SHA-256("rialto.checkpoint.fills.1" ‖ fill… ‖ fills u64), in the order of execution
///   fill      maker: sequence u64, origin u32; taker: the same; price u64; quantity u64
/// ```
/// Numbers are little-endian. A fill has what a fill entry has, so whoever reads the log without matching can check it.
public struct CheckpointInterval: ~Copyable {
  /// Bytes that are put together before they are hashed: one call for many entries.
  private static let bufferBytes = 8_192
  private static let logTag = Array("rialto.checkpoint.log.1".utf8)
  private static let fillsTag = Array("rialto.checkpoint.fills.1".utf8)

  private let log = SHA256()
  private let fills = SHA256()
  private var logBuffer = ByteWriter(reserving: bufferBytes + BatchBuilder.entryBytesMax)
  private var fillsBuffer = ByteWriter(reserving: bufferBytes + 64)
  private var context = PayloadContext()

  /// Number of the checkpoint that closes it; nil while nothing has come.
  public private(set) var number: UInt64?
  public private(set) var entries: UInt64 = 0
  public private(set) var fillCount: UInt64 = 0
  /// More than fills and attestations: members attest only such ones, else attestations would feed each other for ever.
  public private(set) var holdsCommands = false

  public init() {}

  /// The bytes of entries that were taken and not hashed yet; all of them while they are few. For tests.
  package var logBytes: [UInt8] { logBuffer.bytes }

  /// Takes the next final entry.
  /// - Precondition: it lies in the same second as those before it, after them in key order.
  /// - Complexity: O(bytes + fills).
  public mutating func take(_ dot: Dot, _ entry: Entry) {
    if number == nil { begin(entry.stamp) }
    entries += 1
    if case .command = entry.payload { holdsCommands = true }
    logBuffer.writeFixed(entry.stamp.value)
    logBuffer.writeFixed(dot.origin.value)
    logBuffer.writeFixed(dot.sequence)
    logBuffer.write(payload: entry.payload, &context)
    if logBuffer.count >= Self.bufferBytes { Self.drain(&logBuffer, into: log) }
  }

  /// Takes the next fill of the entry that was taken last.
  public mutating func take(_ fill: FillAttestation) {
    fillCount += 1
    fillsBuffer.writeFixed(fill.maker.sequence)
    fillsBuffer.writeFixed(fill.maker.origin.value)
    fillsBuffer.writeFixed(fill.taker.sequence)
    fillsBuffer.writeFixed(fill.taker.origin.value)
    fillsBuffer.writeFixed(fill.priceTicks)
    fillsBuffer.writeFixed(fill.quantityLots)
    if fillsBuffer.count >= Self.bufferBytes { Self.drain(&fillsBuffer, into: fills) }
  }

  /// Ends the interval, and starts a new one.
  /// - Precondition: something was taken.
  /// - Parameter fillsBefore: since the beginning of the log.
  public mutating func close(
    previous: Hash256, bookHash: Hash256, fillsBefore: UInt64, _ sha: SHA256
  ) -> Checkpoint {
    guard let number else { preconditionFailure("a second without entries has no checkpoint") }
    logBuffer.writeFixed(entries)
    fillsBuffer.writeFixed(fillCount)
    Self.drain(&logBuffer, into: log)
    Self.drain(&fillsBuffer, into: fills)
    let checkpoint = Checkpoint(
      number: number, previous: previous, bookHash: bookHash, logHash: log.finish(), fillsHash: fills.finish(),
      fills: fillsBefore + fillCount, sha)
    self.number = nil
    entries = 0
    fillCount = 0
    holdsCommands = false
    return checkpoint
  }

  /// The hash of the fills that were taken so far; nil if no interval is open.
  public mutating func fillsSoFar() -> Hash256? {
    guard number != nil else { return nil }
    Self.drain(&fillsBuffer, into: fills)
    return fills.valueSoFar()
  }

  private mutating func begin(_ stamp: Stamp) {
    number = Checkpoint.number(closing: stamp)
    context = PayloadContext()
    log.begin()
    log.update(Self.logTag)
    fills.begin()
    fills.update(Self.fillsTag)
  }

  private static func drain(_ buffer: inout ByteWriter, into sha: SHA256) {
    sha.update(buffer.bytes)
    buffer.bytes.removeAll(keepingCapacity: true)
  }
}
