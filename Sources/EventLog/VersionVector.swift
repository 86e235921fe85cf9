import Primitives

/// Highest contiguous sequence held of each origin; origins that are not listed stand at 0.
public struct VersionVector: Hashable, Sendable {
  /// By place in the register of origins.
  public private(set) var sequences: [UInt64]

  public init(_ sequences: [UInt64] = []) {
    self.sequences = sequences
    while self.sequences.last == 0 { self.sequences.removeLast() }
  }

  public subscript(_ origin: OriginIndex) -> UInt64 {
    get { origin.int < sequences.count ? sequences[origin.int] : 0 }
    set {
      if origin.int >= sequences.count {
        if newValue == 0 { return }
        sequences.append(contentsOf: repeatElement(0, count: origin.int + 1 - sequences.count))
      }
      sequences[origin.int] = newValue
      while sequences.last == 0 { sequences.removeLast() }
    }
  }

  public var entries: UInt64 { sequences.reduce(0, &+) }

  /// Takes the larger of both, origin by origin.
  public mutating func merge(_ other: VersionVector) {
    for (index, sequence) in other.sequences.enumerated() {
      let origin = OriginIndex(UInt32(index))
      if sequence > self[origin] { self[origin] = sequence }
    }
  }

  /// True if this holds everything that `other` holds.
  public func covers(_ other: VersionVector) -> Bool {
    for (index, sequence) in other.sequences.enumerated() where self[OriginIndex(UInt32(index))] < sequence {
      return false
    }
    return true
  }

  /// `SHA-256("rialto.vector.1" ‖ count u32 ‖ sequences u64)`; trailing zeros do not count.
  public func hash(_ sha: SHA256) -> Hash256 {
    var writer = ByteWriter(reserving: 32 + sequences.count * 8)
    writer.write(Array("rialto.vector.1".utf8))
    writer.writeFixed(UInt32(sequences.count))
    for sequence in sequences { writer.writeFixed(sequence) }
    return sha.hash(writer.bytes)
  }

  public func write(to writer: inout ByteWriter) {
    writer.writeVarint(UInt64(sequences.count))
    for sequence in sequences { writer.writeVarint(sequence) }
  }

  public init(from reader: inout ByteReader) throws(CodecError) {
    let count = Int(try reader.readVarint("vector count", max: UInt64(Limits.originsMax)))
    guard count <= reader.remaining else { throw .truncated(field: "vector") }
    var sequences: [UInt64] = []
    sequences.reserveCapacity(count)
    for _ in 0..<count { sequences.append(try reader.readVarint("vector")) }
    if sequences.last == 0 { throw .invalid(field: "vector") }
    self.sequences = sequences
  }
}
