import Primitives

/// Names a snapshot: everything that follows from the final entries below a checkpoint's boundary, in canonical bytes.
///
/// Those bytes are a function of the final log and of nothing else: not of who wrote them, nor of restarts. So all
/// nodes that are right have the same snapshot of a number, and the hash of one says that another one is genuine.
public struct SnapshotInfo: Hashable, Sendable {
  /// Of the checkpoint; its boundary in seconds since 1970.
  public let number: UInt64
  public let checkpointHash: Hash256
  /// Final entries that the snapshot stands for.
  public let entries: UInt64
  public let byteCount: UInt64
  /// SHA-256 of all its bytes.
  public let hash: Hash256

  public init(number: UInt64, checkpointHash: Hash256, entries: UInt64, byteCount: UInt64, hash: Hash256) {
    self.number = number
    self.checkpointHash = checkpointHash
    self.entries = entries
    self.byteCount = byteCount
    self.hash = hash
  }

  /// Which of some snapshots are kept: the newest `Limits.snapshotGenerations`; and, if a restart could use none of
  /// these since the audit tables lack some of what they stand for, the newest one that it could use.
  /// - Parameters:
  ///   - all: oldest first.
  ///   - audited: final entries that the audit tables have, on disk.
  public static func kept(_ all: [SnapshotInfo], audited: UInt64) -> [SnapshotInfo] {
    let newest = all.suffix(Limits.snapshotGenerations)
    guard newest.allSatisfy({ $0.entries > audited }) else { return Array(newest) }
    return all.dropLast(newest.count).filter { $0.entries <= audited }.suffix(1) + newest
  }

  /// The last stamp of which it speaks.
  public var lastStamp: Stamp { Checkpoint.lastStamp(number) }

  /// ```
  /// number varint, entries varint, bytes varint, checkpoint hash 32, hash 32
  /// ```
  public func write(to writer: inout ByteWriter) {
    writer.writeVarint(number)
    writer.writeVarint(entries)
    writer.writeVarint(byteCount)
    writer.write(checkpointHash)
    writer.write(hash)
  }

  public init(from reader: inout ByteReader) throws(CodecError) {
    number = try reader.readVarint("snapshot number", max: UInt64.max >> 1)
    guard number > 0 else { throw .invalid(field: "snapshot number") }
    entries = try reader.readVarint("snapshot entries", max: UInt64.max >> 1)
    byteCount = try reader.readVarint("snapshot bytes", max: UInt64(Limits.snapshotBytesMax))
    checkpointHash = try reader.readHash("checkpoint hash")
    hash = try reader.readHash("snapshot hash")
  }
}

/// A snapshot, whole: pieces of `Limits.snapshotPieceBytes`, the last one as long as it is.
public struct Snapshot: Hashable, Sendable {
  public let info: SnapshotInfo
  /// Up to where it stands for an origin's log, by place in the register; its bytes have the same.
  public let bases: [LogBase]
  public let pieces: [[UInt8]]

  public init(info: SnapshotInfo, bases: [LogBase], pieces: [[UInt8]]) {
    self.info = info
    self.bases = bases
    self.pieces = pieces
  }

  /// - Complexity: O(bytes).
  public var bytes: [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(Int(info.byteCount))
    for piece in pieces { bytes.append(contentsOf: piece) }
    return bytes
  }
}

/// Where an origin's log begins to be kept as entries: what is below is part of a snapshot.
public struct LogBase: Hashable, Sendable {
  /// End of the last batch below.
  public let head: Head
  /// Its last stamp.
  public let stamp: Stamp
  public init(head: Head, stamp: Stamp) {
    self.head = head
    self.stamp = stamp
  }
}
