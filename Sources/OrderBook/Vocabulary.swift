import Primitives

/// FIX tag 54.
public enum Side: UInt8, Hashable, Sendable, CaseIterable {
  case buy = 0
  case sell = 1
  @inlinable public var opposite: Side { self == .buy ? .sell : .buy }
}

/// FIX tag 40.
public enum OrderType: UInt8, Hashable, Sendable, CaseIterable {
  case limit = 0
  case market = 1
  case stop = 2
  case stopLimit = 3
}

/// FIX tag 59.
public enum TimeInForce: UInt8, Hashable, Sendable, CaseIterable {
  case goodTillCancel = 0
  case immediateOrCancel = 1
  case fillOrKill = 2
  case goodTillDate = 3
}

/// What happens when both sides of a trade belong to one account.
public enum SelfTradePrevention: UInt8, Hashable, Sendable, CaseIterable {
  case none = 0
  case cancelNewest = 1
  case cancelOldest = 2
  case cancelBoth = 3
  case decrement = 4
}

/// Who an order belongs to. Only this account may cancel or amend it.
public struct AccountID: Hashable, Comparable, Sendable, CustomStringConvertible {
  public let value: UInt64
  @inlinable public init(_ value: UInt64) { self.value = value }
  public var description: String { "\(value)" }
  @inlinable public static func < (left: AccountID, right: AccountID) -> Bool { left.value < right.value }
}

/// A client's own name for its order: nothing, an integer, or 1 to 36 bytes of UTF-8.
///
/// Kept inline: orders are copied through the log, the journal and the book without touching the heap. An integer and
/// its decimal text are the same id, and always in integer form.
public struct ClientOrderID: Hashable, Sendable, CustomStringConvertible {
  public enum Kind: UInt8, Sendable { case none = 0, integer = 1, text = 2 }

  @usableFromInline var word0: UInt64
  @usableFromInline var word1, word2, word3: UInt64
  @usableFromInline var tail: UInt32
  @usableFromInline var length: UInt8
  public let kind: Kind

  @inlinable public static var none: ClientOrderID { ClientOrderID(kind: .none) }

  @inlinable init(kind: Kind) {
    word0 = 0
    word1 = 0
    word2 = 0
    word3 = 0
    tail = 0
    length = 0
    self.kind = kind
  }

  @inlinable public init(_ integer: UInt64) {
    word0 = integer
    word1 = 0
    word2 = 0
    word3 = 0
    tail = 0
    length = 0
    kind = .integer
  }

  /// - Returns: nil if `utf8` is longer than 36 bytes. Empty means `none`; canonical decimal digits become an integer.
  public init?(utf8: [UInt8]) {
    guard utf8.count <= Limits.clientOrderIDBytesMax else { return nil }
    if utf8.isEmpty {
      self = .none
      return
    }
    if let integer = UInt64(String(decoding: utf8, as: UTF8.self)), Array("\(integer)".utf8) == utf8 {
      self.init(integer)
      return
    }
    self.init(kind: .text)
    length = UInt8(utf8.count)
    var padded = utf8
    padded.append(contentsOf: repeatElement(0, count: Limits.clientOrderIDBytesMax - utf8.count))
    padded.withUnsafeBytes { raw in
      word0 = UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: 0, as: UInt64.self))
      word1 = UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
      word2 = UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
      word3 = UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: 24, as: UInt64.self))
      tail = UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: 32, as: UInt32.self))
    }
  }

  public init?(_ text: String) { self.init(utf8: Array(text.utf8)) }

  @inlinable public var isNone: Bool { kind == .none }
  /// The integer, if it is one.
  @inlinable public var integer: UInt64? { kind == .integer ? word0 : nil }

  /// The id as its client wrote it.
  public var utf8: [UInt8] {
    switch kind {
    case .none: return []
    case .integer: return Array("\(word0)".utf8)
    case .text:
      var writer = ByteWriter(reserving: Limits.clientOrderIDBytesMax)
      for word in [word0, word1, word2, word3] { writer.writeFixed(word) }
      writer.writeFixed(tail)
      return Array(writer.bytes.prefix(Int(length)))
    }
  }

  public var description: String { String(decoding: utf8, as: UTF8.self) }
}

/// An instrument's name: 1 to 16 of `A-Z 0-9 - . _ /`, kept inline.
public struct Symbol: Hashable, Sendable, CustomStringConvertible {
  let low, high: UInt64

  /// - Returns: nil if `text` is empty, too long, or holds another character.
  public init?(_ text: some StringProtocol) {
    let bytes = Array(text.utf8)
    guard (1...Limits.symbolBytesMax).contains(bytes.count),
      bytes.allSatisfy({ (65...90).contains($0) || (45...57).contains($0) || $0 == 95 })
    else { return nil }
    var words: (UInt64, UInt64) = (0, 0)
    for (index, byte) in bytes.enumerated() {
      if index < 8 {
        words.0 |= UInt64(byte) << UInt64(index * 8)
      } else {
        words.1 |= UInt64(byte) << UInt64(index * 8 - 64)
      }
    }
    low = words.0
    high = words.1
  }

  public var utf8: [UInt8] {
    var out: [UInt8] = []
    for word in [low, high] {
      for shift in stride(from: UInt64(0), to: 64, by: 8) {
        let byte = UInt8(truncatingIfNeeded: word >> shift)
        if byte != 0 { out.append(byte) }
      }
    }
    return out
  }

  public var description: String { String(decoding: utf8, as: UTF8.self) }
}

/// The size of one tick or one lot: `mantissa × 10^-scale`, exactly.
public struct Increment: Hashable, Sendable {
  public static let scaleMax: UInt8 = 18
  public let mantissa: UInt64
  public let scale: UInt8

  /// - Returns: nil if `mantissa` is 0 or above 10^18, or `scale` is above 18.
  public init?(mantissa: UInt64, scale: UInt8) {
    guard mantissa > 0, mantissa <= 1_000_000_000_000_000_000, scale <= Self.scaleMax else { return nil }
    self.mantissa = mantissa
    self.scale = scale
  }

  /// One whole unit.
  public static let one = Increment(mantissa: 1, scale: 0)!
}

/// How a cancel or amend names its order. The account is the command's own.
public enum OrderReference: Hashable, Sendable {
  case dot(Dot)
  case client(ClientOrderID)
}
