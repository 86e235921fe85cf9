import OrderBook
import Primitives
import Wire

// Fields that several messages share.

extension ByteWriter {
  mutating func writeEntry(_ dot: Dot) {
    writeVarint(UInt64(dot.origin.value))
    writeVarint(dot.sequence)
  }

  /// Nil is written as an empty text.
  mutating func writeSymbol(_ symbol: Symbol?) { writePrefixed(symbol?.utf8 ?? []) }

  mutating func writeQuantity(_ lots: UInt128) {
    writeVarint(UInt64(truncatingIfNeeded: lots))
    writeVarint(UInt64(truncatingIfNeeded: lots >> 64))
  }

  /// - Precondition: `lots >= 0`.
  mutating func writeLots(_ lots: Int64) { writeVarint(UInt64(lots)) }

  mutating func writeClientOrderID(_ id: ClientOrderID) { writePrefixed(id.utf8) }

  mutating func writeList<Element>(_ list: [Element], _ write: (inout ByteWriter, Element) -> Void) {
    writeVarint(UInt64(list.count))
    for element in list { write(&self, element) }
  }
}

extension ByteReader {
  /// A dot, or none, which has the one form `0 0`.
  mutating func readEntry(_ field: StaticName) throws(CodecError) -> Dot {
    let origin = try readVarint(field, max: UInt64(Limits.originsMax))
    let sequence = try readVarint(field)
    guard sequence > 0 || origin == 0 else { throw .invalid(field: field) }
    return Dot(origin: OriginIndex(UInt32(origin)), sequence: sequence)
  }

  /// A dot that names something.
  mutating func readSomeEntry(_ field: StaticName) throws(CodecError) -> Dot {
    let dot = try readEntry(field)
    guard !dot.isNone else { throw .invalid(field: field) }
    return dot
  }

  /// Nil if the text is empty.
  mutating func readSymbolIfAny(_ field: StaticName) throws(CodecError) -> Symbol? {
    let utf8 = try readPrefixed(field, max: Limits.symbolBytesMax)
    if utf8.isEmpty { return nil }
    guard let symbol = Symbol(String(decoding: utf8, as: UTF8.self)) else { throw .invalid(field: field) }
    return symbol
  }

  mutating func readSymbol(_ field: StaticName) throws(CodecError) -> Symbol {
    guard let symbol = try readSymbolIfAny(field) else { throw .invalid(field: field) }
    return symbol
  }

  mutating func readQuantity(_ field: StaticName) throws(CodecError) -> UInt128 {
    let low = try readVarint(field)
    let high = try readVarint(field)
    return UInt128(high) << 64 | UInt128(low)
  }

  mutating func readLots(_ field: StaticName) throws(CodecError) -> Int64 {
    Int64(try readVarint(field, max: UInt64(Int64.max)))
  }

  mutating func readClientOrderID(_ field: StaticName) throws(CodecError) -> ClientOrderID {
    let utf8 = try readPrefixed(field, max: Limits.clientOrderIDBytesMax)
    guard let id = ClientOrderID(utf8: utf8) else { throw .invalid(field: field) }
    return id
  }

  mutating func readFlag(_ field: StaticName) throws(CodecError) -> Bool {
    let byte = try readByte(field)
    guard byte <= 1 else { throw .invalid(field: field) }
    return byte == 1
  }

  /// A byte of flags, none of them outside `known`.
  mutating func readFlags(_ field: StaticName, known: UInt8) throws(CodecError) -> UInt8 {
    let byte = try readByte(field)
    guard byte & ~known == 0 else { throw .invalid(field: field) }
    return byte
  }

  mutating func readCase<Value: RawRepresentable<UInt8>>(
    _ field: StaticName, as type: Value.Type = Value.self
  ) throws(CodecError) -> Value {
    guard let value = Value(rawValue: try readByte(field)) else { throw .invalid(field: field) }
    return value
  }

  /// A count that is within `limit` and for which enough bytes remain; only then is anything allocated.
  mutating func readCount(
    _ field: StaticName, max limit: Int, elementBytesMin: Int
  ) throws(CodecError) -> Int {
    let count = Int(try readVarint(field, max: UInt64(limit)))
    guard count <= remaining / elementBytesMin else { throw .truncated(field: field) }
    return count
  }

  mutating func readList<Element>(
    _ field: StaticName, max limit: Int, elementBytesMin: Int,
    _ read: (inout ByteReader) throws(CodecError) -> Element
  ) throws(CodecError) -> [Element] {
    let count = try readCount(field, max: limit, elementBytesMin: elementBytesMin)
    var list: [Element] = []
    list.reserveCapacity(count)
    for _ in 0..<count { list.append(try read(&self)) }
    return list
  }
}
