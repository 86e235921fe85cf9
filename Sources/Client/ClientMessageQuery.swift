import OrderBook
import Primitives
import Wire

/// A question to the node. Frame `0x21`, client to node: `request number · kind u8 · what the kind asks for`.
///
/// | kind | asks | fields | answer |
/// |---|---|---|---|
/// | 1 | book | symbol · depth (levels a side, 1 … `ClientLimits.levelsPerSideMax`) | 1 |
/// | 2 | order by id | dot | 2 |
/// | 3 | order by the account's client order id | length · bytes (1 … 36) | 2 |
/// | 4 | open orders of the account, ascending by dot | dot to start after, none at first | 4 |
/// | 5 | newest trades, newest first | symbol or empty · count (1 … `ClientLimits.tradesMax`) | 5 |
/// | 6 | status | | 6 |
/// | 7 | instruments | | 7 |
/// | 8 | peers | | 8 |
///
/// Refused with `unknownSymbol` or `notFound` where that applies (an order of another account is not found).
public enum ClientQuery: Hashable, Sendable {
  case book(Symbol, depth: Int)
  case order(OrderReference)
  case openOrders(after: Dot)
  case trades(Symbol?, count: Int)
  case status
  case instruments
  case peers

  func write(to writer: inout ByteWriter) {
    switch self {
    case .book(let symbol, let depth):
      writer.write(1)
      writer.writeSymbol(symbol)
      writer.writeVarint(UInt64(depth))
    case .order(.dot(let dot)):
      writer.write(2)
      writer.writeEntry(dot)
    case .order(.client(let id)):
      writer.write(3)
      writer.writeClientOrderID(id)
    case .openOrders(let after):
      writer.write(4)
      writer.writeEntry(after)
    case .trades(let symbol, let count):
      writer.write(5)
      writer.writeSymbol(symbol)
      writer.writeVarint(UInt64(count))
    case .status: writer.write(6)
    case .instruments: writer.write(7)
    case .peers: writer.write(8)
    }
  }

  init(_ reader: inout ByteReader) throws(CodecError) {
    let kind = try reader.readByte("query kind")
    switch kind {
    case 1:
      let symbol = try reader.readSymbol("symbol")
      let depth = try reader.readVarint("depth", max: UInt64(ClientLimits.levelsPerSideMax))
      guard depth > 0 else { throw .invalid(field: "depth") }
      self = .book(symbol, depth: Int(depth))
    case 2: self = .order(.dot(try reader.readSomeEntry("order id")))
    case 3:
      let id = try reader.readClientOrderID("client order id")
      guard !id.isNone else { throw .invalid(field: "client order id") }
      self = .order(.client(id))
    case 4: self = .openOrders(after: try reader.readEntry("order id"))
    case 5:
      let symbol = try reader.readSymbolIfAny("symbol")
      let count = try reader.readVarint("trade count", max: UInt64(ClientLimits.tradesMax))
      guard count > 0 else { throw .invalid(field: "trade count") }
      self = .trades(symbol, count: Int(count))
    case 6: self = .status
    case 7: self = .instruments
    case 8: self = .peers
    default: throw .unknown(field: "query kind", value: UInt64(kind))
    }
  }
}

/// Asks for the market in one instrument or all. Frame `0x22`, client to node:
/// `request number · symbol (empty = all) · bits u8`.
///
/// The request number names the subscription in everything that follows it. Answered by a `subscribed` answer, then one
/// `MarketSnapshot` for each instrument (with `all`, also for each that is defined later), then `MarketChange`s.
/// Refused with `unknownSymbol`, `tooMany`, or `unsupported` for the reserved bit.
public struct SubscribeRequest: Equatable, Sendable {
  public struct Content: OptionSet, Hashable, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    public static let levels = Content(rawValue: 1)
    public static let trades = Content(rawValue: 2)
    /// Reserved: updates of the account's orders from any node. A node refuses it.
    public static let accountOrders = Content(rawValue: 4)
  }
  public var request: UInt64
  /// Nil: every instrument.
  public var symbol: Symbol?
  public var content: Content

  public init(request: UInt64, symbol: Symbol?, content: Content) {
    self.request = request
    self.symbol = symbol
    self.content = content
  }

  func write(to writer: inout ByteWriter) {
    writer.writeVarint(request)
    writer.writeSymbol(symbol)
    writer.write(content.rawValue)
  }

  init(_ reader: inout ByteReader) throws(CodecError) {
    request = try reader.readVarint("request number")
    symbol = try reader.readSymbolIfAny("symbol")
    content = Content(rawValue: try reader.readFlags("subscription bits", known: 7))
    guard !content.isEmpty else { throw .invalid(field: "subscription bits") }
  }
}
