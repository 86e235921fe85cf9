/// What is wrong with bytes that were to be decoded.
public enum CodecError: Error, Equatable, Sendable {
  /// The bytes end inside `field`.
  case truncated(field: StaticName)
  /// `field` holds a value outside its range, or one that the canonical form writes differently.
  case invalid(field: StaticName)
  /// Bytes are left over after the last field.
  case trailing(count: Int)
  /// A payload kind or version that this build does not know: upgrade it.
  case unknown(field: StaticName, value: UInt64)
}

/// A name known at compile time; keeps `CodecError` free of allocation and comparable.
public struct StaticName: ExpressibleByStringLiteral, Equatable, Sendable, CustomStringConvertible {
  public let text: StaticString
  public init(stringLiteral value: StaticString) { text = value }
  public var description: String { "\(text)" }
  public static func == (left: StaticName, right: StaticName) -> Bool { left.description == right.description }
}

extension CodecError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .truncated(let field): "ends inside \(field)"
    case .invalid(let field): "\(field) is out of range or not in canonical form"
    case .trailing(let count): "\(count) bytes too many"
    case .unknown(let field, let value): "\(field) \(value) is not known to this version; upgrade this node"
    }
  }
}

/// Appends canonical fields to a byte array.
public struct ByteWriter: Sendable {
  public var bytes: [UInt8]

  @inlinable public init(reserving capacity: Int = 0) {
    bytes = []
    if capacity > 0 { bytes.reserveCapacity(capacity) }
  }

  @inlinable public var count: Int { bytes.count }

  @inlinable public mutating func write(_ byte: UInt8) { bytes.append(byte) }
  @inlinable public mutating func write(_ more: [UInt8]) { bytes.append(contentsOf: more) }
  @inlinable public mutating func write(_ more: UnsafeRawBufferPointer) { bytes.append(contentsOf: more) }

  /// Fixed-width little-endian integer.
  @inlinable public mutating func writeFixed<T: FixedWidthInteger>(_ value: T) {
    withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
  }

  /// LEB128, 1 to 10 bytes, always the shortest form.
  @inlinable public mutating func writeVarint(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(truncatingIfNeeded: rest))
  }

  /// Zigzag, then LEB128: small magnitudes of either sign are short.
  @inlinable public mutating func writeSigned(_ value: Int64) {
    writeVarint(UInt64(bitPattern: (value << 1) ^ (value >> 63)))
  }

  @inlinable public mutating func write(_ hash: Hash256) {
    // Big-endian words: the hash's own byte order.
    writeFixed(hash.word0.byteSwapped)
    writeFixed(hash.word1.byteSwapped)
    writeFixed(hash.word2.byteSwapped)
    writeFixed(hash.word3.byteSwapped)
  }

  /// A length (varint), then the bytes.
  @inlinable public mutating func writePrefixed(_ more: [UInt8]) {
    writeVarint(UInt64(more.count))
    write(more)
  }
}

/// Reads canonical fields; checks every length against what remains before it allocates or moves.
///
/// Valid only inside the `withUnsafeBytes` that gave it its buffer.
public struct ByteReader {
  @usableFromInline let base: UnsafeRawBufferPointer
  @usableFromInline var position: Int

  @inlinable public init(_ bytes: UnsafeRawBufferPointer) {
    base = bytes
    position = 0
  }

  @inlinable public var offset: Int { position }
  @inlinable public var remaining: Int { base.count - position }

  @inlinable public mutating func readByte(_ field: StaticName) throws(CodecError) -> UInt8 {
    guard position < base.count else { throw .truncated(field: field) }
    defer { position += 1 }
    return base[position]
  }

  /// Fixed-width little-endian integer.
  @inlinable public mutating func readFixed<T: FixedWidthInteger>(
    _ field: StaticName, as type: T.Type = T.self
  ) throws(CodecError) -> T {
    let width = T.bitWidth / 8
    guard remaining >= width else { throw .truncated(field: field) }
    defer { position += width }
    return T(littleEndian: base.loadUnaligned(fromByteOffset: position, as: T.self))
  }

  /// LEB128 in its shortest form; a longer form of the same number is not canonical and is refused.
  @inlinable public mutating func readVarint(_ field: StaticName) throws(CodecError) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while true {
      guard position < base.count else { throw .truncated(field: field) }
      let byte = base[position]
      position += 1
      let bits = UInt64(byte & 0x7f)
      if shift == 63 && bits > 1 { throw .invalid(field: field) }
      value |= bits << shift
      if byte & 0x80 == 0 {
        if byte == 0 && shift > 0 { throw .invalid(field: field) }
        return value
      }
      shift += 7
      if shift > 63 { throw .invalid(field: field) }
    }
  }

  @inlinable public mutating func readSigned(_ field: StaticName) throws(CodecError) -> Int64 {
    let raw = try readVarint(field)
    return Int64(bitPattern: raw >> 1) ^ -Int64(bitPattern: raw & 1)
  }

  /// A varint that must not exceed `limit`.
  @inlinable public mutating func readVarint(_ field: StaticName, max limit: UInt64) throws(CodecError) -> UInt64 {
    let value = try readVarint(field)
    guard value <= limit else { throw .invalid(field: field) }
    return value
  }

  @inlinable public mutating func readHash(_ field: StaticName) throws(CodecError) -> Hash256 {
    Hash256(bytes: try readRaw(Hash256.byteCount, field))
  }

  /// A view of the next `count` bytes, not a copy.
  @inlinable public mutating func readRaw(
    _ count: Int, _ field: StaticName
  ) throws(CodecError) -> UnsafeRawBufferPointer {
    guard count >= 0, count <= remaining else { throw .truncated(field: field) }
    defer { position += count }
    return UnsafeRawBufferPointer(rebasing: base[position..<position + count])
  }

  @inlinable public mutating func readBytes(_ count: Int, _ field: StaticName) throws(CodecError) -> [UInt8] {
    [UInt8](try readRaw(count, field))
  }

  /// A length (varint, at most `limit`), then that many bytes.
  @inlinable public mutating func readPrefixed(_ field: StaticName, max limit: Int) throws(CodecError) -> [UInt8] {
    let count = try readVarint(field, max: UInt64(limit))
    return try readBytes(Int(count), field)
  }

  @inlinable public mutating func expectEnd() throws(CodecError) {
    guard remaining == 0 else { throw .trailing(count: remaining) }
  }
}
