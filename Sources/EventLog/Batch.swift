import OrderBook
import Primitives

/// Consecutive entries of one origin, written, hashed and signed at once.
///
/// Immutable and shared: the log, every peer's queue and the sequencer refer to one copy. No batch spans two seconds of
/// stamp time, so none straddles a checkpoint boundary.
public final class Batch: Sendable {
  public let origin: OriginIndex
  public let firstSequence: UInt64
  public let lastSequence: UInt64
  public let entries: ContiguousArray<Entry>
  /// Canonical bytes: what is hashed, stored and sent.
  public let bytes: [UInt8]
  /// Of the chain up to and including this batch.
  public let hash: Hash256
  /// View in which the author signed.
  public let view: UInt64
  /// Over the head that this batch makes; speaks for the whole chain before it.
  public let signature: Signature

  public init(
    origin: OriginIndex, firstSequence: UInt64, entries: ContiguousArray<Entry>, bytes: [UInt8], hash: Hash256,
    view: UInt64, signature: Signature
  ) {
    precondition(!entries.isEmpty, "a batch holds at least one entry")
    self.origin = origin
    self.firstSequence = firstSequence
    lastSequence = firstSequence + UInt64(entries.count) - 1
    self.entries = entries
    self.bytes = bytes
    self.hash = hash
    self.view = view
    self.signature = signature
  }

  public var firstStamp: Stamp { entries[0].stamp }
  public var lastStamp: Stamp { entries[entries.count - 1].stamp }
  public var firstKey: OrderKey { OrderKey(stamp: firstStamp, origin: origin) }
  public var lastKey: OrderKey { OrderKey(stamp: lastStamp, origin: origin) }

  /// The batch as it travels and as it is kept: `SealedBatch` with these fields.
  public var sealed: SealedBatch { SealedBatch(bytes: bytes, view: view, signature: signature) }
}

/// A batch whose bytes have not been looked into yet.
///
/// ```
/// view varint, signature 64 bytes, length varint, canonical bytes
/// ```
public struct SealedBatch: Hashable, Sendable {
  public let bytes: [UInt8]
  public let view: UInt64
  public let signature: Signature

  public init(bytes: [UInt8], view: UInt64, signature: Signature) {
    self.bytes = bytes
    self.view = view
    self.signature = signature
  }

  public func write(to writer: inout ByteWriter) {
    writer.writeVarint(view)
    writer.write(signature.bytes)
    writer.writePrefixed(bytes)
  }

  public init(from reader: inout ByteReader) throws(CodecError) {
    view = try reader.readVarint("view")
    guard let signature = Signature(bytes: try reader.readBytes(Signature.byteCount, "signature")) else {
      throw .invalid(field: "signature")
    }
    self.signature = signature
    bytes = try reader.readPrefixed("batch", max: Limits.batchBytesMax)
  }
}

/// Where an origin's log stands: its last sequence and the hash of the chain up to it.
public struct Head: Hashable, Sendable {
  public var sequence: UInt64
  public var hash: Hash256
  public init(sequence: UInt64, hash: Hash256) {
    self.sequence = sequence
    self.hash = hash
  }
}

/// The hash chain of one cluster's logs: start values, links, and what a head's signature covers.
public enum HashChain {
  /// `SHA-256("rialto.chain.1" ‖ cluster id ‖ node id ‖ incarnation u32)`.
  public static func start(cluster: Hash256, origin: Origin, _ sha: SHA256) -> Hash256 {
    var writer = ByteWriter(reserving: 96)
    writer.write(Array("rialto.chain.1".utf8))
    writer.write(cluster)
    writer.write(origin.node.hash)
    writer.writeFixed(origin.incarnation)
    return sha.hash(writer.bytes)
  }

  private static let linkTag = Array("rialto.batch.1".utf8)

  /// `SHA-256("rialto.batch.1" ‖ previous hash ‖ canonical bytes)`.
  public static func link(previous: Hash256, bytes: [UInt8], _ sha: SHA256) -> Hash256 {
    sha.begin()
    sha.update(linkTag)
    sha.update(previous)
    sha.update(bytes)
    return sha.finish()
  }

  /// `"rialto.head.1" ‖ cluster id ‖ node id ‖ incarnation u32 ‖ view u64 ‖ sequence u64 ‖ hash`.
  public static func signedHead(cluster: Hash256, origin: Origin, view: UInt64, head: Head) -> [UInt8] {
    var writer = ByteWriter(reserving: 160)
    writer.write(Array("rialto.head.1".utf8))
    writer.write(cluster)
    writer.write(origin.node.hash)
    writer.writeFixed(origin.incarnation)
    writer.writeFixed(view)
    writer.writeFixed(head.sequence)
    writer.write(head.hash)
    return writer.bytes
  }
}
