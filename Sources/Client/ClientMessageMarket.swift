import OrderBook
import Primitives
import Wire

/// One price of one side of a book.
public struct MarketLevel: Hashable, Sendable {
  public var priceTicks: Int64
  /// Visible open quantity; in a change, 0 takes the level away.
  public var quantityLots: UInt128
  /// Orders at this price.
  public var orders: UInt32

  public init(priceTicks: Int64, quantityLots: UInt128, orders: UInt32) {
    self.priceTicks = priceTicks
    self.quantityLots = quantityLots
    self.orders = orders
  }
}

/// A level of one side, as it is now. (Not `OrderBook.LevelChange`, which names its instrument by dot.)
public struct LevelChange: Hashable, Sendable {
  public var side: Side
  public var level: MarketLevel
  public init(side: Side, level: MarketLevel) {
    self.side = side
    self.level = level
  }
}

/// One trade, as everybody may see it.
public struct MarketTrade: Hashable, Sendable {
  public var symbol: Symbol
  public var maker: Dot
  public var taker: Dot
  public var takerSide: Side
  public var priceTicks: Int64
  public var quantityLots: Int64
  /// Of the entry that caused it.
  public var stamp: Stamp
  /// No rollback can take it back.
  public var isFinal: Bool

  public init(
    symbol: Symbol, maker: Dot, taker: Dot, takerSide: Side, priceTicks: Int64, quantityLots: Int64, stamp: Stamp,
    isFinal: Bool = true
  ) {
    self.isFinal = isFinal
    self.symbol = symbol
    self.maker = maker
    self.taker = taker
    self.takerSide = takerSide
    self.priceTicks = priceTicks
    self.quantityLots = quantityLots
    self.stamp = stamp
  }

  static let byteCountMin = 8

  /// All but the symbol.
  func write(to writer: inout ByteWriter) {
    writer.writeEntry(maker)
    writer.writeEntry(taker)
    writer.write(takerSide.rawValue | (isFinal ? 2 : 0))
    writer.writeSigned(priceTicks)
    writer.writeLots(quantityLots)
    writer.writeVarint(stamp.value)
  }

  init(_ reader: inout ByteReader, symbol: Symbol) throws(CodecError) {
    self.symbol = symbol
    maker = try reader.readSomeEntry("maker")
    taker = try reader.readSomeEntry("taker")
    let shape = try reader.readFlags("trade shape", known: 3)
    takerSide = Side(rawValue: shape & 1) ?? .buy
    isFinal = shape & 2 != 0
    priceTicks = try reader.readSigned("trade price")
    quantityLots = try reader.readLots("trade quantity")
    stamp = Stamp(try reader.readVarint("trade stamp"))
  }
}

/// The levels of both sides, best first: the list of bids, then the list of asks. A level is
///
/// ```
/// price · quantity, low 64 bits · quantity, high 64 bits · orders
/// ```
///
/// all varints; the first price of a side is signed, each further one the distance (≥ 1) from the one before, away from
/// the best.
public struct MarketSides: Hashable, Sendable {
  /// Descending in price; at most `ClientLimits.levelsPerSideMax`.
  public var bids: [MarketLevel]
  /// Ascending in price; at most `ClientLimits.levelsPerSideMax`.
  public var asks: [MarketLevel]

  public init(bids: [MarketLevel] = [], asks: [MarketLevel] = []) {
    self.bids = bids
    self.asks = asks
  }

  func write(to writer: inout ByteWriter) {
    for (levels, isDescending) in [(bids, true), (asks, false)] {
      precondition(levels.count <= ClientLimits.levelsPerSideMax)
      var last: Int64?
      writer.writeList(levels) { writer, level in
        if let last {
          writer.writeVarint(UInt64(isDescending ? last - level.priceTicks : level.priceTicks - last))
        } else {
          writer.writeSigned(level.priceTicks)
        }
        last = level.priceTicks
        writer.writeQuantity(level.quantityLots)
        writer.writeVarint(UInt64(level.orders))
      }
    }
  }

  init(_ reader: inout ByteReader) throws(CodecError) {
    bids = try Self.readSide(&reader, isDescending: true)
    asks = try Self.readSide(&reader, isDescending: false)
  }

  private static func readSide(
    _ reader: inout ByteReader, isDescending: Bool
  ) throws(CodecError) -> [MarketLevel] {
    var last: Int64?
    return try reader.readList("levels", max: ClientLimits.levelsPerSideMax, elementBytesMin: 4) {
      (reader) throws(CodecError) in
      let price: Int64
      if let last {
        let gap = Int64(try reader.readVarint("level price", max: UInt64(Int64.max)))
        let (sum, overflow) = isDescending ? last.subtractingReportingOverflow(gap) : last.addingReportingOverflow(gap)
        guard gap > 0, !overflow else { throw .invalid(field: "level price") }
        price = sum
      } else {
        price = try reader.readSigned("level price")
      }
      last = price
      let quantity = try reader.readQuantity("level quantity")
      guard quantity > 0 else { throw .invalid(field: "level quantity") }
      let orders = try reader.readVarint("level orders", max: UInt64(UInt32.max))
      return MarketLevel(priceTicks: price, quantityLots: quantity, orders: UInt32(orders))
    }
  }
}

/// The whole market in one instrument, to start from. Frame `0x44`, node to client:
/// `subscription · symbol · sequence u64 · book hash 32 bytes · sides`.
///
/// The sides are empty if the subscription is for trades only; deeper levels than `ClientLimits.levelsPerSideMax` are
/// left out until they change. The change that follows it has the next sequence.
public struct MarketSnapshot: Hashable, Sendable {
  /// Request number of the subscription.
  public var subscription: UInt64
  public var symbol: Symbol
  public var sequence: UInt64
  public var bookHash: Hash256
  public var sides: MarketSides

  public init(subscription: UInt64, symbol: Symbol, sequence: UInt64, bookHash: Hash256, sides: MarketSides) {
    self.subscription = subscription
    self.symbol = symbol
    self.sequence = sequence
    self.bookHash = bookHash
    self.sides = sides
  }

  func write(to writer: inout ByteWriter) {
    writer.writeVarint(subscription)
    writer.writeSymbol(symbol)
    writer.writeFixed(sequence)
    writer.write(bookHash)
    sides.write(to: &writer)
  }

  init(_ reader: inout ByteReader) throws(CodecError) {
    subscription = try reader.readVarint("subscription")
    symbol = try reader.readSymbol("symbol")
    sequence = try reader.readFixed("sequence")
    bookHash = try reader.readHash("book hash")
    sides = try MarketSides(&reader)
  }
}

/// What has changed in one instrument. Frame `0x45`, node to client:
///
/// ```
/// subscription · symbol · sequence u64 · flags u8 (1: book hash) · [book hash 32 bytes]
/// · changed levels: list of (side u8 · price signed · quantity low 64 bits · quantity high 64 bits · orders)
/// · trades withdrawn · trades: list of (maker dot · taker dot · taker side u8 · price signed · quantity · stamp)
/// ```
///
/// Sequences of one subscription and symbol are consecutive; a gap means that the node left something out for a slow
/// reader: unsubscribe and subscribe again. Levels are absolute: they replace what was known, quantity 0 takes away.
/// Trades withdrawn counts the newest of those told that a rollback has taken back, before the new ones are added.
public struct MarketChange: Hashable, Sendable {
  public var subscription: UInt64
  public var symbol: Symbol
  public var sequence: UInt64
  /// Of the book after this change, if the node had it at hand.
  public var bookHash: Hash256?
  /// At most `ClientLimits.levelChangesMax`.
  public var levels: [LevelChange]
  public var tradesWithdrawn: UInt64
  /// At most `ClientLimits.tradesMax`, oldest first, all of `symbol`.
  public var trades: [MarketTrade]

  public init(
    subscription: UInt64, symbol: Symbol, sequence: UInt64, bookHash: Hash256? = nil, levels: [LevelChange] = [],
    tradesWithdrawn: UInt64 = 0, trades: [MarketTrade] = []
  ) {
    self.subscription = subscription
    self.symbol = symbol
    self.sequence = sequence
    self.bookHash = bookHash
    self.levels = levels
    self.tradesWithdrawn = tradesWithdrawn
    self.trades = trades
  }

  func write(to writer: inout ByteWriter) {
    precondition(levels.count <= ClientLimits.levelChangesMax && trades.count <= ClientLimits.tradesMax)
    writer.writeVarint(subscription)
    writer.writeSymbol(symbol)
    writer.writeFixed(sequence)
    writer.write(bookHash == nil ? 0 : 1)
    if let bookHash { writer.write(bookHash) }
    writer.writeList(levels) { writer, change in
      writer.write(change.side.rawValue)
      writer.writeSigned(change.level.priceTicks)
      writer.writeQuantity(change.level.quantityLots)
      writer.writeVarint(UInt64(change.level.orders))
    }
    writer.writeVarint(tradesWithdrawn)
    writer.writeList(trades) { $1.write(to: &$0) }
  }

  init(_ reader: inout ByteReader) throws(CodecError) {
    subscription = try reader.readVarint("subscription")
    let symbol = try reader.readSymbol("symbol")
    self.symbol = symbol
    sequence = try reader.readFixed("sequence")
    bookHash = try reader.readFlag("change flags") ? try reader.readHash("book hash") : nil
    levels = try reader.readList("changed levels", max: ClientLimits.levelChangesMax, elementBytesMin: 5) {
      (reader) throws(CodecError) in
      let side: Side = try reader.readCase("side")
      let price = try reader.readSigned("level price")
      let quantity = try reader.readQuantity("level quantity")
      let orders = try reader.readVarint("level orders", max: UInt64(UInt32.max))
      return LevelChange(
        side: side, level: MarketLevel(priceTicks: price, quantityLots: quantity, orders: UInt32(orders)))
    }
    tradesWithdrawn = try reader.readVarint("trades withdrawn")
    trades = try reader.readList("trades", max: ClientLimits.tradesMax, elementBytesMin: MarketTrade.byteCountMin) {
      (reader) throws(CodecError) in try MarketTrade(&reader, symbol: symbol)
    }
  }
}
