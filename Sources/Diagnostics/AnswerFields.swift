import OrderBook
import Primitives

/// Lists, texts and what may be missing, as questions and answers have them.
extension ByteWriter {
  mutating func write(text: String, max: Int) {
    // Cut between characters, so that what is left is text.
    var utf8 = Array(text.utf8)
    if utf8.count > max {
      var short = text
      while short.utf8.count > max { short.removeLast() }
      utf8 = Array(short.utf8)
    }
    writePrefixed(utf8)
  }

  mutating func write<Element>(list: [Element], _ body: (inout ByteWriter, Element) -> Void) {
    writeVarint(UInt64(list.count))
    for element in list { body(&self, element) }
  }

  mutating func write<Value>(optional value: Value?, _ body: (inout ByteWriter, Value) -> Void) {
    write(value == nil ? 0 : 1)
    if let value { body(&self, value) }
  }
}

extension ByteReader {
  mutating func readText(_ field: StaticName, max: Int) throws(CodecError) -> String {
    guard let text = String(validating: try readPrefixed(field, max: max), as: UTF8.self) else {
      throw .invalid(field: field)
    }
    return text
  }

  mutating func readList<Element>(
    _ field: StaticName, max: Int, _ body: (inout ByteReader) throws(CodecError) -> Element
  ) throws(CodecError) -> [Element] {
    // No element is shorter than a byte.
    let count = try readVarint(field, max: UInt64(min(max, remaining)))
    var list: [Element] = []
    list.reserveCapacity(Int(count))
    for _ in 0..<count { list.append(try body(&self)) }
    return list
  }

  mutating func readOptional<Value>(
    _ field: StaticName, _ body: (inout ByteReader) throws(CodecError) -> Value
  ) throws(CodecError) -> Value? {
    try readBool(field) ? try body(&self) : nil
  }

  /// A value of an enumeration with small raw values.
  mutating func readCase<Value: RawRepresentable>(
    _ field: StaticName, as type: Value.Type = Value.self
  ) throws(CodecError) -> Value where Value.RawValue == UInt8 {
    guard let value = Value(rawValue: try readByte(field)) else { throw .invalid(field: field) }
    return value
  }
}

/// An open order as it is compared.
///
/// ```
/// dot, instrument, account, side u8, type u8, time-in-force u8, self-trade prevention u8, post-only u8, price, open,
/// filled, display, visible, stop price, quantity, expiry, client order id: length u8, UTF-8
/// ```
public struct ComparedOrder: Hashable, Sendable {
  public var resting: RestingOrder
  /// Open and filled lots, in a book; what is written there, in a table.
  public var quantityLots: Int64

  public init(_ resting: RestingOrder, quantityLots: Int64? = nil) {
    self.resting = resting
    self.quantityLots = quantityLots ?? resting.openLots &+ resting.filledLots
  }

  func write(to writer: inout ByteWriter) {
    writer.write(resting.dot)
    writer.write(resting.instrument)
    writer.writeVarint(resting.account.value)
    for byte in [
      resting.side.rawValue, resting.type.rawValue, resting.timeInForce.rawValue, resting.selfTradePrevention.rawValue,
    ] {
      writer.write(byte)
    }
    writer.write(resting.postOnly ? 1 : 0)
    // Signed: what is damaged may hold anything.
    for value in [
      resting.priceTicks, resting.openLots, resting.filledLots, resting.displayLots, resting.visibleLots,
      resting.stopPriceTicks, quantityLots,
    ] {
      writer.writeSigned(value)
    }
    writer.writeVarint(resting.expiry.value)
    writer.writePrefixed(resting.clientOrderID.utf8)
  }

  init(_ reader: inout ByteReader) throws(CodecError) {
    let dot = try reader.readDot("order")
    let instrument = try reader.readDot("instrument")
    let account = AccountID(try reader.readVarint("account"))
    let side: Side = try reader.readCase("side")
    let type: OrderType = try reader.readCase("type")
    let timeInForce: TimeInForce = try reader.readCase("time-in-force")
    let prevention: SelfTradePrevention = try reader.readCase("self-trade prevention")
    let postOnly = try reader.readBool("post-only")
    var values: [Int64] = []
    for _ in 0..<7 { values.append(try reader.readSigned("quantities")) }
    let expiry = Stamp(try reader.readVarint("expiry"))
    resting = RestingOrder(
      dot: dot, instrument: instrument, account: account, side: side, type: type, timeInForce: timeInForce,
      selfTradePrevention: prevention, postOnly: postOnly, priceTicks: values[0], openLots: values[1],
      filledLots: values[2], displayLots: values[3], visibleLots: values[4], stopPriceTicks: values[5], expiry: expiry,
      clientOrderID: try reader.readDiagnosedID())
    quantityLots = values[6]
  }
}

extension ByteReader {
  fileprivate mutating func readDiagnosedID() throws(CodecError) -> ClientOrderID {
    guard let id = ClientOrderID(utf8: try readPrefixed("client order id", max: Limits.clientOrderIDBytesMax)) else {
      throw .invalid(field: "client order id")
    }
    return id
  }
}
