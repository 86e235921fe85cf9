import OrderBook
import Primitives
import Wire

/// The answer to a `ClientQuery` or `SubscribeRequest`. Frame `0x43`, node to client:
///
/// ```
/// request number · kind u8 · body
/// ```
///
/// Kinds are those of the queries (2 answers 3 also); 9 is `subscribed` and 11 `done`, without a body.
///
/// | kind | body |
/// |---|---|
/// | 1 | `BookAnswer` |
/// | 2 | `OrderDetail`, then the list of its fills |
/// | 4 | list of `OrderDetail` without their fills · u8 1 = there are more |
/// | 5 | list of (symbol · trade as in `MarketChange`), newest first |
/// | 6 | JSON text of a `NodeStatus` |
/// | 7 | list of (dot · symbol · tick mantissa · tick scale u8 · lot mantissa · lot scale u8), ascending by dot |
/// | 8 | JSON text of a list of `PeerStatus` |
/// | 10 | stamp up to which everything is final and applied |
/// | 12 | bytes of an answer of `Diagnostics` |
/// | 13 | last sequence that the node has stored · list of `LoggedBatch`, ascending, without a gap |
/// | 14 | JSON text of a list of `NodeFinding`, oldest first |
/// | 15 | what a fault has done, as text of at most `ClientLimits.jsonBytesMax` bytes |
public enum ClientAnswer: Equatable, Sendable {
  case book(BookAnswer)
  case order(OrderDetail)
  /// Fills are not told in a list, only how many there are (`fillsOmitted`).
  case orders([OrderDetail], isTruncated: Bool)
  case trades([MarketTrade])
  case status(json: String)
  case instruments([InstrumentRecord])
  case peers(json: String)
  case subscribed
  case finality(Stamp)
  case done
  /// At most `ClientLimits.inspectionBytesMax`.
  case inspection([UInt8])
  case log([LoggedBatch], held: UInt64)
  case findings(json: String)
  case damaged(String)

  func write(to writer: inout ByteWriter) {
    switch self {
    case .book(let book):
      writer.write(1)
      book.write(to: &writer)
    case .order(let detail):
      precondition(detail.fills.count <= ClientLimits.fillsMax)
      writer.write(2)
      detail.write(to: &writer, fillsOmitted: detail.fillsOmitted)
      writer.writeList(detail.fills) { $1.write(to: &$0) }
    case .orders(let orders, let isTruncated):
      precondition(orders.count <= ClientLimits.ordersPerPageMax)
      writer.write(4)
      writer.writeList(orders) { $1.write(to: &$0, fillsOmitted: $1.fillsOmitted + UInt64($1.fills.count)) }
      writer.write(isTruncated ? 1 : 0)
    case .trades(let trades):
      precondition(trades.count <= ClientLimits.tradesMax)
      writer.write(5)
      writer.writeList(trades) { writer, trade in
        writer.writeSymbol(trade.symbol)
        trade.write(to: &writer)
      }
    case .status(let json):
      writer.write(6)
      writer.writeText(json)
    case .instruments(let records):
      precondition(records.count <= Limits.instrumentsMax)
      writer.write(7)
      writer.writeList(records) { $1.write(to: &$0) }
    case .peers(let json):
      writer.write(8)
      writer.writeText(json)
    case .subscribed: writer.write(9)
    case .finality(let stamp):
      writer.write(10)
      writer.writeVarint(stamp.value)
    case .done: writer.write(11)
    case .inspection(let answer):
      writer.write(12)
      writer.writePrefixed(answer)
    case .log(let batches, let held):
      precondition(batches.count <= ClientLimits.batchesMax)
      writer.write(13)
      writer.writeVarint(held)
      writer.writeList(batches) { $1.write(to: &$0) }
    case .findings(let json):
      writer.write(14)
      writer.writeText(json)
    case .damaged(let text):
      writer.write(15)
      writer.writeText(text)
    }
  }

  init(_ reader: inout ByteReader) throws(CodecError) {
    let kind = try reader.readByte("answer kind")
    switch kind {
    case 1: self = .book(try BookAnswer(&reader))
    case 2:
      var detail = try OrderDetail(&reader)
      detail.fills = try reader.readList(
        "fills", max: ClientLimits.fillsMax, elementBytesMin: OrderFill.byteCountMin
      ) { (reader) throws(CodecError) in try OrderFill(&reader) }
      self = .order(detail)
    case 4:
      let orders = try reader.readList(
        "orders", max: ClientLimits.ordersPerPageMax, elementBytesMin: OrderDetail.byteCountMin
      ) { (reader) throws(CodecError) in try OrderDetail(&reader) }
      self = .orders(orders, isTruncated: try reader.readFlag("more orders"))
    case 5:
      self = .trades(
        try reader.readList("trades", max: ClientLimits.tradesMax, elementBytesMin: MarketTrade.byteCountMin + 2) {
          (reader) throws(CodecError) in
          let symbol = try reader.readSymbol("symbol")
          return try MarketTrade(&reader, symbol: symbol)
        })
    case 6: self = .status(json: try reader.readText("status", max: ClientLimits.jsonBytesMax))
    case 7:
      self = .instruments(
        try reader.readList("instruments", max: Limits.instrumentsMax, elementBytesMin: 8) {
          (reader) throws(CodecError) in try InstrumentRecord(&reader)
        })
    case 8: self = .peers(json: try reader.readText("peers", max: ClientLimits.jsonBytesMax))
    case 9: self = .subscribed
    case 10: self = .finality(Stamp(try reader.readVarint("final stamp")))
    case 11: self = .done
    case 12: self = .inspection(try reader.readPrefixed("inspection", max: ClientLimits.inspectionBytesMax))
    case 13:
      let held = try reader.readVarint("sequence held", max: UInt64.max >> 1)
      let batches = try reader.readList(
        "batches", max: ClientLimits.batchesMax, elementBytesMin: LoggedBatch.byteCountMin
      ) { (reader) throws(CodecError) in try LoggedBatch(&reader) }
      self = .log(batches, held: held)
    case 14: self = .findings(json: try reader.readText("findings", max: ClientLimits.jsonBytesMax))
    case 15: self = .damaged(try reader.readText("damage", max: ClientLimits.jsonBytesMax))
    default: throw .unknown(field: "answer kind", value: UInt64(kind))
    }
  }
}

/// A book as its node has it: `symbol · u8 1 = final · stamp u64 · book hash 32 bytes · sides` (see `MarketSides`).
public struct BookAnswer: Hashable, Sendable {
  public var symbol: Symbol
  /// Whether it is the book of what is final, without anything tentative.
  public var isFinal: Bool
  /// If final, the stamp up to which everything is; else the newest stamp that the node has seen.
  public var applied: Stamp
  /// Of the whole book as applied, all instruments; zero if the node did not compute it for this answer. `sides` leaves
  /// out orders whose date is final although no entry has taken them out yet.
  public var bookHash: Hash256
  public var sides: MarketSides

  public init(symbol: Symbol, isFinal: Bool = false, applied: Stamp, bookHash: Hash256, sides: MarketSides) {
    self.symbol = symbol
    self.isFinal = isFinal
    self.applied = applied
    self.bookHash = bookHash
    self.sides = sides
  }

  public var bids: [MarketLevel] { sides.bids }
  public var asks: [MarketLevel] { sides.asks }

  func write(to writer: inout ByteWriter) {
    writer.writeSymbol(symbol)
    writer.write(isFinal ? 1 : 0)
    writer.writeFixed(applied.value)
    writer.write(bookHash)
    sides.write(to: &writer)
  }

  init(_ reader: inout ByteReader) throws(CodecError) {
    symbol = try reader.readSymbol("symbol")
    isFinal = try reader.readFlag("final flag")
    applied = Stamp(try reader.readFixed("stamp"))
    bookHash = try reader.readHash("book hash")
    sides = try MarketSides(&reader)
  }
}

/// The definition of an instrument and the dot by which orders name it.
public struct InstrumentRecord: Hashable, Sendable {
  public var dot: Dot
  public var instrument: Instrument

  public init(dot: Dot, instrument: Instrument) {
    self.dot = dot
    self.instrument = instrument
  }

  func write(to writer: inout ByteWriter) {
    writer.writeEntry(dot)
    writer.writeSymbol(instrument.symbol)
    for increment in [instrument.tick, instrument.lot] {
      writer.writeVarint(increment.mantissa)
      writer.write(increment.scale)
    }
  }

  init(_ reader: inout ByteReader) throws(CodecError) {
    dot = try reader.readSomeEntry("instrument dot")
    let symbol = try reader.readSymbol("symbol")
    let tick = try Self.readIncrement(&reader)
    instrument = Instrument(symbol: symbol, tick: tick, lot: try Self.readIncrement(&reader))
  }

  private static func readIncrement(_ reader: inout ByteReader) throws(CodecError) -> Increment {
    let mantissa = try reader.readVarint("increment")
    guard let increment = Increment(mantissa: mantissa, scale: try reader.readByte("increment scale")) else {
      throw .invalid(field: "increment")
    }
    return increment
  }
}

/// A batch of an origin's log as it is stored: `view varint · signature 64 bytes · length varint · canonical bytes`.
///
/// Nothing of it is believed: bytes and signature speak for themselves to whoever knows the author's key and the chain
/// before.
public struct LoggedBatch: Hashable, Sendable {
  /// In which the author signed.
  public var view: UInt64
  public var signature: Signature
  public var bytes: [UInt8]

  public init(view: UInt64, signature: Signature, bytes: [UInt8]) {
    self.view = view
    self.signature = signature
    self.bytes = bytes
  }

  static let byteCountMin = Signature.byteCount + 2

  /// Bytes that it takes in an answer, at most.
  public var byteCountMax: Int { bytes.count + Signature.byteCount + 20 }

  func write(to writer: inout ByteWriter) {
    writer.writeVarint(view)
    writer.write(signature.bytes)
    writer.writePrefixed(bytes)
  }

  init(_ reader: inout ByteReader) throws(CodecError) {
    view = try reader.readVarint("view")
    guard let signature = Signature(bytes: try reader.readBytes(Signature.byteCount, "signature")) else {
      throw .invalid(field: "signature")
    }
    self.signature = signature
    bytes = try reader.readPrefixed("batch", max: Limits.clientFrameBytesMax)
  }
}
