/// A 32-byte SHA-256 value.
///
/// Four big-endian words rather than an array: no allocation, one comparison a word, and the order of values is
/// the order of their bytes.
public struct Hash256: Hashable, Comparable, Sendable, CustomStringConvertible {
  public var word0, word1, word2, word3: UInt64

  /// Thirty-two zero bytes: "no hash yet"; also the book hash of nothing at all never equals it.
  public static let zero = Hash256(word0: 0, word1: 0, word2: 0, word3: 0)
  public static let byteCount = 32

  @inlinable public init(word0: UInt64, word1: UInt64, word2: UInt64, word3: UInt64) {
    self.word0 = word0
    self.word1 = word1
    self.word2 = word2
    self.word3 = word3
  }

  /// Reads 32 bytes.
  /// - Precondition: `bytes.count == 32`.
  @inlinable public init(bytes: UnsafeRawBufferPointer) {
    precondition(bytes.count == Self.byteCount)
    self.init(
      word0: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self)),
      word1: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)),
      word2: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self)),
      word3: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 24, as: UInt64.self)))
  }

  /// Reads 64 hexadecimal digits; nil if `hex` is anything else.
  public init?(hex: String) {
    guard let bytes = [UInt8](hex: hex), bytes.count == Self.byteCount else { return nil }
    self = bytes.withUnsafeBytes { Hash256(bytes: $0) }
  }

  /// The 32 bytes, first byte first.
  public var bytes: [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(Self.byteCount)
    for word in [word0, word1, word2, word3] {
      for shift in stride(from: 56, through: 0, by: -8) { out.append(UInt8(truncatingIfNeeded: word >> UInt64(shift))) }
    }
    return out
  }

  /// 64 lowercase hexadecimal digits.
  public var description: String { bytes.hex }

  /// The first digits, for tables that a person reads.
  public func prefix(_ digits: Int) -> String { String(description.prefix(digits)) }

  @inlinable public static func < (left: Hash256, right: Hash256) -> Bool {
    if left.word0 != right.word0 { return left.word0 < right.word0 }
    if left.word1 != right.word1 { return left.word1 < right.word1 }
    if left.word2 != right.word2 { return left.word2 < right.word2 }
    return left.word3 < right.word3
  }
}

extension Array where Element == UInt8 {
  /// Lowercase hexadecimal digits, two a byte.
  public var hex: String {
    let digits = Array("0123456789abcdef".utf8)
    var out: [UInt8] = []
    out.reserveCapacity(count * 2)
    for byte in self {
      out.append(digits[Int(byte >> 4)])
      out.append(digits[Int(byte & 15)])
    }
    return String(decoding: out, as: UTF8.self)
  }

  /// Reads hexadecimal digits of either case; nil at an odd count or any other character.
  public init?(hex: String) {
    var out: [UInt8] = []
    var high: UInt8?
    for character in hex.utf8 {
      let value: UInt8
      switch character {
      case 48...57: value = character - 48
      case 97...102: value = character - 87
      case 65...70: value = character - 55
      default: return nil
      }
      if let first = high {
        out.append(first << 4 | value)
        high = nil
      } else {
        high = value
      }
    }
    guard high == nil else { return nil }
    self = out
  }
}
