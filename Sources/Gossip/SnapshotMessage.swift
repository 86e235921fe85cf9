import EventLog
import Primitives

/// How one who lacks what others keep no more as entries comes by a snapshot.
///
/// ```
/// 0x30 query      empty: which snapshots do you have?
/// 0x31 offer      count varint (`Limits.snapshotsMax` at most), info…, oldest first
/// 0x32 request    hash 32, offset varint: one piece of this snapshot
/// 0x33 piece      hash 32, offset varint, bytes; none if it is not had
/// 0x34 compacted  origin varint, sequence varint: entries up to it are not kept as entries; ends the answer to a
///                 request
/// ```
public enum SnapshotMessage: Hashable, Sendable {
  case query
  case offer([SnapshotInfo])
  /// `offset` is a multiple of `Limits.snapshotPieceBytes`.
  case request(hash: Hash256, offset: UInt64)
  case piece(hash: Hash256, offset: UInt64, bytes: [UInt8])
  case compacted(origin: OriginIndex, through: UInt64)

  public enum FrameType {
    public static let query: UInt8 = 0x30
    public static let offer: UInt8 = 0x31
    public static let request: UInt8 = 0x32
    public static let piece: UInt8 = 0x33
    public static let compacted: UInt8 = 0x34
    public static let all: ClosedRange<UInt8> = query...compacted
  }

  public var frameType: UInt8 {
    switch self {
    case .query: FrameType.query
    case .offer: FrameType.offer
    case .request: FrameType.request
    case .piece: FrameType.piece
    case .compacted: FrameType.compacted
    }
  }

  /// Everything after the frame type.
  public var body: [UInt8] {
    var writer = ByteWriter(reserving: 64)
    switch self {
    case .query: break
    case .offer(let infos):
      writer.writeVarint(UInt64(infos.count))
      for info in infos { info.write(to: &writer) }
    case .request(let hash, let offset):
      writer.write(hash)
      writer.writeVarint(offset)
    case .piece(let hash, let offset, let bytes):
      writer.write(hash)
      writer.writeVarint(offset)
      writer.write(bytes)
    case .compacted(let origin, let through):
      writer.writeVarint(UInt64(origin.value))
      writer.writeVarint(through)
    }
    return writer.bytes
  }

  /// - Throws: `CodecError`.
  public init(frameType: UInt8, body: UnsafeRawBufferPointer) throws(CodecError) {
    var reader = ByteReader(body)
    switch frameType {
    case FrameType.query: self = .query
    case FrameType.offer:
      var infos: [SnapshotInfo] = []
      for _ in 0..<(try reader.readVarint("offers", max: UInt64(Limits.snapshotsMax))) {
        let info = try SnapshotInfo(from: &reader)
        if let last = infos.last, info.number <= last.number { throw .invalid(field: "offers") }
        infos.append(info)
      }
      self = .offer(infos)
    case FrameType.request:
      self = .request(hash: try reader.readHash("snapshot hash"), offset: try reader.readOffset())
    case FrameType.piece:
      let hash = try reader.readHash("snapshot hash")
      let offset = try reader.readOffset()
      guard reader.remaining <= Limits.snapshotPieceBytes else { throw .invalid(field: "piece") }
      self = .piece(hash: hash, offset: offset, bytes: try reader.readBytes(reader.remaining, "piece"))
    case FrameType.compacted:
      self = .compacted(
        origin: try reader.readOrigin(), through: try reader.readVarint("compacted", max: UInt64.max >> 1))
    default: throw .unknown(field: "frame type", value: UInt64(frameType))
    }
    try reader.expectEnd()
  }
}

extension ByteReader {
  fileprivate mutating func readOffset() throws(CodecError) -> UInt64 {
    let offset = try readVarint("offset", max: UInt64(Limits.snapshotBytesMax))
    guard offset % UInt64(Limits.snapshotPieceBytes) == 0 else { throw .invalid(field: "offset") }
    return offset
  }
}
