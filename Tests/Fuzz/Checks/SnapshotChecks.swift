import EventLog
import OrderBook
import Primitives

/// What snapshots are made of: one encoding each, and nothing in it contradicts anything else.
enum SnapshotChecks {
  /// First byte: which part.
  @Sendable static func part(_ input: [UInt8]) throws(Finding) -> Bool {
    guard let part = input.first else { return false }
    let bytes = input.dropFirst()
    return switch part {
    case 0: try book(bytes)
    case 1: try checkpoints(bytes)
    default: try info(bytes)
    }
  }

  private static func book(_ input: ArraySlice<UInt8>) throws(Finding) -> Bool {
    var out = PieceWriter(pieceBytes: 64)
    var hashes: [Hash256] = []
    do throws(CodecError) {
      try withBytes(of: input) { (raw) throws(CodecError) in
        var reader = ByteReader(raw)
        var engine = try MatchingEngine(from: &reader)
        try reader.expectEnd()
        engine.checkInvariants()
        engine.write(to: &out)
        hashes = [engine.bookHash(), engine.recomputedBookHash()]
      }
    } catch {
      return false
    }
    try expect(out.finish().flatMap { $0 } == Array(input), "encodes to other bytes")
    try expect(hashes[0] == hashes[1], "the kept hash is another")
    return true
  }

  private static func checkpoints(_ input: ArraySlice<UInt8>) throws(Finding) -> Bool {
    let list: CheckpointList
    do throws(CodecError) {
      list = try withBytes(of: input) { (raw) throws(CodecError) in
        var reader = ByteReader(raw)
        let list = try CheckpointList(from: &reader, SHA256())
        try reader.expectEnd()
        return list
      }
    } catch {
      return false
    }
    var writer = ByteWriter()
    list.write(to: &writer)
    try expect(writer.bytes == Array(input), "encodes to other bytes")
    try expect(CheckpointList.thinned(list.kept.map(\.number)) == list.kept.map(\.number), "keeps too many")
    for checkpoint in list.kept {
      try expect(list.find(checkpoint.number) == .kept(checkpoint), "does not find what it keeps")
    }
    return true
  }

  private static func info(_ input: ArraySlice<UInt8>) throws(Finding) -> Bool {
    let info: SnapshotInfo
    do throws(CodecError) {
      info = try withBytes(of: input) { (raw) throws(CodecError) in
        var reader = ByteReader(raw)
        let info = try SnapshotInfo(from: &reader)
        try reader.expectEnd()
        return info
      }
    } catch {
      return false
    }
    var writer = ByteWriter()
    info.write(to: &writer)
    try expect(writer.bytes == Array(input), "encodes to other bytes")
    try expect(info.number > 0 && info.byteCount <= UInt64(Limits.snapshotBytesMax), "out of its limits: \(info)")
    return true
  }
}
