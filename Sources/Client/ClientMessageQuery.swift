import OrderBook
import Primitives
import Wire

/// How settled an answer must be.
///
/// `level u8 · (2 only: stamp · milliseconds to wait, 1 … ClientLimits.waitMillisecondsMax)`
public enum ReadLevel: Hashable, Sendable {
  /// 0: everything that the node has applied, also what a rollback may still take back.
  case tentative
  /// 1: only what is final; never taken back on any node.
  case final
  /// 2: what is final, once everything up to this stamp is, of whatever node; refused with `timedOut` after the wait. A
  /// stamp that some entry has: nothing makes one final that is ahead of all entries.
  ///
  /// With the stamp of an acceptance any node shows what came of that entry: reads that follow one's own writes.
  case atLeast(Stamp, waitMilliseconds: UInt64)

  func write(to writer: inout ByteWriter) {
    switch self {
    case .tentative: writer.write(0)
    case .final: writer.write(1)
    case .atLeast(let stamp, let wait):
      writer.write(2)
      writer.writeVarint(stamp.value)
      writer.writeVarint(wait)
    }
  }

  init(_ reader: inout ByteReader) throws(CodecError) {
    let level = try reader.readByte("read level")
    switch level {
    case 0: self = .tentative
    case 1: self = .final
    case 2:
      let stamp = Stamp(try reader.readVarint("stamp"))
      let wait = try reader.readVarint("wait", max: ClientLimits.waitMillisecondsMax)
      guard wait > 0 else { throw .invalid(field: "wait") }
      self = .atLeast(stamp, waitMilliseconds: wait)
    default: throw .unknown(field: "read level", value: UInt64(level))
    }
  }
}

/// A question to the node. Frame `0x21`, client to node: `request number · kind u8 · what the kind asks for`.
///
/// | kind | asks | fields | answer |
/// |---|---|---|---|
/// | 1 | book | symbol · depth (levels a side, 1 … `ClientLimits.levelsPerSideMax`) · `ReadLevel` | 1 |
/// | 2 | order by id | dot · `ReadLevel` | 2 |
/// | 3 | order by the account's client order id | length · bytes (1 … 36) · `ReadLevel` | 2 |
/// | 4 | open orders of the account, ascending by dot | dot to start after, none at first · `ReadLevel` | 4 |
/// | 5 | newest trades, newest first | symbol or empty · count (1 … `ClientLimits.tradesMax`) · `ReadLevel` | 5 |
/// | 6 | status | | 6 |
/// | 7 | instruments | | 7 |
/// | 8 | peers | | 8 |
/// | 10 | the stamp up to which everything is final | `ReadLevel` | 10 |
/// | 11 | a fault, of a demo cluster's node | `InjectedFault` | 11; 15 if there is something to tell |
/// | 12 | something about its history, to compare it with another one's | bytes of a question of `Diagnostics` | 12 |
/// | 13 | stored batches of one origin's log | origin, from, through: sequences, from 1 … through | 13 |
/// | 14 | what the node has found to be wrong | | 14 |
///
/// Refused with `unknownSymbol` or `notFound` where that applies (an order of another account is not found; at a final
/// level, neither is one that is not final yet; a log that is not kept from there on any more).
public enum ClientQuery: Hashable, Sendable {
  case book(Symbol, depth: Int, ReadLevel)
  case order(OrderReference, ReadLevel)
  case openOrders(after: Dot, ReadLevel)
  case trades(Symbol?, count: Int, ReadLevel)
  case status
  case instruments
  case peers
  case finality(ReadLevel)
  case fault(InjectedFault)
  /// At most `ClientLimits.questionBytesMax`.
  case inspect([UInt8])
  /// Whole batches, as many as fit into a frame; the first is the one that holds `from`, or begins after it.
  case log(OriginIndex, from: UInt64, through: UInt64)
  case findings

  /// Nil for questions that have none.
  public var level: ReadLevel? {
    switch self {
    case .book(_, _, let level), .order(_, let level), .openOrders(_, let level), .trades(_, _, let level),
      .finality(let level):
      level
    case .status, .instruments, .peers, .fault, .inspect, .log, .findings: nil
    }
  }

  func write(to writer: inout ByteWriter) {
    switch self {
    case .book(let symbol, let depth, _):
      writer.write(1)
      writer.writeSymbol(symbol)
      writer.writeVarint(UInt64(depth))
    case .order(.dot(let dot), _):
      writer.write(2)
      writer.writeEntry(dot)
    case .order(.client(let id), _):
      writer.write(3)
      writer.writeClientOrderID(id)
    case .openOrders(let after, _):
      writer.write(4)
      writer.writeEntry(after)
    case .trades(let symbol, let count, _):
      writer.write(5)
      writer.writeSymbol(symbol)
      writer.writeVarint(UInt64(count))
    case .status: writer.write(6)
    case .instruments: writer.write(7)
    case .peers: writer.write(8)
    case .finality: writer.write(10)
    case .fault(let fault):
      writer.write(11)
      fault.write(to: &writer)
    case .inspect(let question):
      writer.write(12)
      writer.writePrefixed(question)
    case .log(let origin, let from, let through):
      writer.write(13)
      writer.writeVarint(UInt64(origin.value))
      writer.writeVarint(from)
      writer.writeVarint(through)
    case .findings: writer.write(14)
    }
    level?.write(to: &writer)
  }

  init(_ reader: inout ByteReader) throws(CodecError) {
    let kind = try reader.readByte("query kind")
    switch kind {
    case 1:
      let symbol = try reader.readSymbol("symbol")
      let depth = try reader.readVarint("depth", max: UInt64(ClientLimits.levelsPerSideMax))
      guard depth > 0 else { throw .invalid(field: "depth") }
      self = .book(symbol, depth: Int(depth), try ReadLevel(&reader))
    case 2:
      let dot = try reader.readSomeEntry("order id")
      self = .order(.dot(dot), try ReadLevel(&reader))
    case 3:
      let id = try reader.readClientOrderID("client order id")
      guard !id.isNone else { throw .invalid(field: "client order id") }
      self = .order(.client(id), try ReadLevel(&reader))
    case 4:
      let after = try reader.readEntry("order id")
      self = .openOrders(after: after, try ReadLevel(&reader))
    case 5:
      let symbol = try reader.readSymbolIfAny("symbol")
      let count = try reader.readVarint("trade count", max: UInt64(ClientLimits.tradesMax))
      guard count > 0 else { throw .invalid(field: "trade count") }
      self = .trades(symbol, count: Int(count), try ReadLevel(&reader))
    case 6: self = .status
    case 7: self = .instruments
    case 8: self = .peers
    case 10: self = .finality(try ReadLevel(&reader))
    case 11: self = .fault(try InjectedFault(&reader))
    case 12: self = .inspect(try reader.readPrefixed("question", max: ClientLimits.questionBytesMax))
    case 13:
      let origin = OriginIndex(UInt32(try reader.readVarint("origin", max: UInt64(Limits.originsMax - 1))))
      let from = try reader.readVarint("first sequence", max: UInt64.max >> 1)
      let through = try reader.readVarint("last sequence", max: UInt64.max >> 1)
      guard from > 0, from <= through else { throw .invalid(field: "sequences") }
      self = .log(origin, from: from, through: through)
    case 14: self = .findings
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
