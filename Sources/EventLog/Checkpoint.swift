import Primitives

/// One second of stamp time, closed: its entries, its fills and the book at its end, in one hash that chains all
/// before.
///
/// Checkpoint `n` has its boundary at `n` seconds since 1970. Its interval is the second before: the entries with
/// stamps from `n - 1` s on and below `n` s, which is what `Batch` means by one second. It is closed once all of them
/// are final.
///
/// A second without a final entry has no checkpoint, so which ones there are follows from the final log alone. The
/// chain passes over such seconds: `previous` is the checkpoint of the last second that held anything, however long
/// ago, and the numbers of the two say how many are between them. An order that expires in a second without entries is
/// missing from the book of the next checkpoint. All replicas so have the same checkpoints, and two equal ones have
/// equal histories.
///
/// ```
/// hash  = SHA-256("rialto.checkpoint.1" ‖ previous ‖ number u64 ‖ book hash ‖ log hash ‖ fills hash)
/// ```
/// `previous` of the first one is the cluster id. Numbers are little-endian. The book hash is of the book with exactly
/// the entries below the boundary applied, without the good-till-date orders that are due at the boundary;
/// `CheckpointInterval` has the log hash and the fills hash.
///
/// - Source: DESIGN 6.
public struct Checkpoint: Hashable, Sendable {
  /// Boundary in seconds since 1970; from 1.
  public let number: UInt64
  public let previous: Hash256
  public let bookHash: Hash256
  public let logHash: Hash256
  public let fillsHash: Hash256
  /// Fills since the beginning of the log. The fills hashes of the chain commit to it.
  public let fills: UInt64
  public let hash: Hash256

  /// - Precondition: `number` is not 0.
  public init(
    number: UInt64, previous: Hash256, bookHash: Hash256, logHash: Hash256, fillsHash: Hash256, fills: UInt64,
    _ sha: SHA256
  ) {
    precondition(number > 0, "no second ends at 0")
    self.number = number
    self.previous = previous
    self.bookHash = bookHash
    self.logHash = logHash
    self.fillsHash = fillsHash
    self.fills = fills
    var writer = ByteWriter(reserving: 160)
    writer.write(Self.tag)
    writer.write(previous)
    writer.writeFixed(number)
    writer.write(bookHash)
    writer.write(logHash)
    writer.write(fillsHash)
    hash = sha.hash(writer.bytes)
  }

  private static let tag = Array("rialto.checkpoint.1".utf8)

  /// What a member publishes that derived this.
  public var attestation: CheckpointAttestation {
    CheckpointAttestation(number: number, fills: fills, bookHash: bookHash, checkpointHash: hash)
  }

  // MARK: Boundaries

  /// Number of the checkpoint whose interval a stamp lies in.
  @inlinable public static func number(closing stamp: Stamp) -> UInt64 { stamp.second + 1 }

  /// The first stamp after the interval of checkpoint `number`; the largest there is, if that would be later.
  public static func boundary(_ number: UInt64) -> Stamp {
    let (value, overflow) = number.multipliedReportingOverflow(by: 1_000 << 16)
    return Stamp(overflow ? .max : value)
  }

  /// The last stamp in the interval of checkpoint `number`: once everything up to it is final, the interval can close.
  /// - Precondition: `number` is not 0.
  public static func lastStamp(_ number: UInt64) -> Stamp { Stamp(boundary(number).value - 1) }

  // MARK: Bytes

  /// ```
  /// number varint, fills varint, previous 32, book hash 32, log hash 32, fills hash 32
  /// ```
  public func write(to writer: inout ByteWriter) {
    writer.writeVarint(number)
    writer.writeVarint(fills)
    for hash in [previous, bookHash, logHash, fillsHash] { writer.write(hash) }
  }

  /// - Throws: `CodecError`; the hash is computed, not read.
  public init(from reader: inout ByteReader, _ sha: SHA256) throws(CodecError) {
    let number = try reader.readVarint("checkpoint number")
    guard number > 0 else { throw .invalid(field: "checkpoint number") }
    let fills = try reader.readVarint("checkpoint fills")
    self.init(
      number: number, previous: try reader.readHash("previous checkpoint"), bookHash: try reader.readHash("book hash"),
      logHash: try reader.readHash("log hash"), fillsHash: try reader.readHash("fills hash"), fills: fills, sha)
  }
}
