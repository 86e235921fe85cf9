import EventLog
import OrderBook
import Primitives

/// The book of a replica at one point of its history, held still to be asked about.
public struct BookCapture: Sendable {
  public let summary: BookSummary
  /// By rising price.
  private let queues: [QueueName: [HashedLevel]]
  /// Of all levels, or of those that were named.
  private let orders: [LevelName: [ComparedOrder]]
  private let hasAllOrders: Bool

  /// - Parameters:
  ///   - id: by which it is asked about.
  ///   - finalVector: hash of the vector of the entries that the book has applied.
  /// - Complexity: O(levels).
  public init(_ image: BookImage, id: UInt64, stamp: Stamp, finalVector: Hash256) {
    let sha = SHA256()
    queues = image.queues
    orders = image.orders.mapValues { $0.map { ComparedOrder($0) } }
    hasAllOrders = image.hasAllOrders
    summary = BookSummary(
      id: id, stamp: stamp, finalVector: finalVector, root: image.root,
      books: image.books.map { book in
        var writer = ByteWriter(reserving: 160)
        writer.writeSigned(book.lastTradeTicks)
        for kind in BookQueue.allCases {
          writer.write(Self.hash(of: image.queues[QueueName(book.instrument, kind), default: []][...], sha))
        }
        return BookName(
          instrument: book.instrument, lastTradeTicks: book.lastTradeTicks, hash: sha.hash(writer.bytes))
      }, ids: image.ids, stones: image.stones)
  }

  /// A book of which nothing but the open orders is known, as tables have them.
  /// - Parameter position: stands for the vector: of what the tables know.
  public init(orders open: [ComparedOrder], id: UInt64, position: OrderKey) {
    let sha = SHA256()
    var orders: [LevelName: [ComparedOrder]] = [:]
    for compared in open { orders[Self.level(of: compared.resting), default: []].append(compared) }
    var queues: [QueueName: [HashedLevel]] = [:]
    for name in Set(open.map { Self.level(of: $0.resting) }).sorted() {
      let sorted = orders[name, default: []].sorted { $0.resting.dot < $1.resting.dot }
      orders[name] = sorted
      var writer = ByteWriter()
      for order in sorted { order.write(to: &writer) }
      queues[name.queue, default: []].append(
        HashedLevel(priceTicks: name.priceTicks, orders: sorted.count, hash: sha.hash(writer.bytes)))
    }
    var books: [BookName] = []
    var root = ByteWriter()
    for instrument in Set(open.map(\.resting.instrument)).sorted() {
      var writer = ByteWriter()
      for kind in BookQueue.allCases {
        writer.write(Self.hash(of: queues[QueueName(instrument, kind), default: []][...], sha))
      }
      let book = BookName(instrument: instrument, lastTradeTicks: 0, hash: sha.hash(writer.bytes))
      root.write(book.hash)
      books.append(book)
    }
    var vector = ByteWriter()
    vector.writeFixed(position.stamp.value)
    vector.writeFixed(position.origin.value)
    self.queues = queues
    self.orders = orders
    hasAllOrders = true
    summary = BookSummary(
      id: id, stamp: position.stamp, finalVector: sha.hash(vector.bytes), root: sha.hash(root.bytes), books: books,
      ids: .zero, stones: .zero)
  }

  /// Where an order stands.
  private static func level(of order: RestingOrder) -> LevelName {
    let kind: BookQueue =
      order.isWaiting ? (order.side == .buy ? .buyStops : .sellStops) : (order.side == .buy ? .bids : .asks)
    return LevelName(
      QueueName(order.instrument, kind), priceTicks: order.isWaiting ? order.stopPriceTicks : order.priceTicks)
  }

  // MARK: Answers

  public func answer(_ question: Question) -> Answer {
    switch question {
    case .queues(_, let instrument):
      return .queues(
        BookQueue.allCases.map { kind in
          let levels = queues[QueueName(instrument, kind), default: []]
          return QueueOutline(kind, Self.range(levels[...]))
        })
    case .levels(_, let queue, let prices):
      let levels = queues[queue, default: []]
      guard let first = prices.first else { return .levels([]) }
      var start = Self.place(levels, after: first)
      var ranges: [LevelRange] = []
      for price in prices.dropFirst() {
        let end = Self.place(levels, after: price)
        ranges.append(Self.range(levels[start..<end]))
        start = end
      }
      return .levels(ranges)
    case .orders(_, let level, let skipping):
      guard let found = orders[level] else {
        return hasAllOrders || Self.place(queues[level.queue, default: []], of: level.priceTicks) == nil
          ? .orders([], isMore: false) : .unavailable("the orders of this level were not kept with the book")
      }
      let page = found.dropFirst(skipping).prefix(Answer.ordersMax)
      return .orders(Array(page), isMore: skipping + page.count < found.count)
    default: return .unavailable("not a question about a book")
    }
  }

  private static func place(_ levels: [HashedLevel], after price: UInt64) -> Int {
    var low = 0
    var high = levels.count
    while low < high {
      let middle = (low + high) / 2
      if UInt64(clamping: levels[middle].priceTicks) <= price { low = middle + 1 } else { high = middle }
    }
    return low
  }

  private static func place(_ levels: [HashedLevel], of ticks: Int64) -> Int? {
    let place = place(levels, after: UInt64(clamping: ticks)) - 1
    return place >= 0 && levels[place].priceTicks == ticks ? place : nil
  }

  private static func range(_ levels: ArraySlice<HashedLevel>) -> LevelRange {
    LevelRange(
      levels: UInt64(levels.count), lowest: levels.first?.priceTicks ?? 0, highest: levels.last?.priceTicks ?? 0,
      hash: hash(of: levels, SHA256()))
  }

  private static func hash(of levels: ArraySlice<HashedLevel>, _ sha: SHA256) -> Hash256 {
    if levels.isEmpty { return .zero }
    var writer = ByteWriter(reserving: 48 * levels.count)
    for level in levels {
      writer.writeFixed(level.priceTicks)
      writer.write(level.hash)
    }
    return sha.hash(writer.bytes)
  }
}

/// A captured book as a whole: `id, stamp, vector 32, root 32, ids 32, stones 32, books (list)`.
public struct BookSummary: Hashable, Sendable {
  public var id: UInt64
  /// Everything final up to here is in it.
  public var stamp: Stamp
  /// Hash of the vector of entries that it has applied: two books may be compared if these are equal.
  public var finalVector: Hash256
  public var root: Hash256
  public var books: [BookName]
  public var ids: Hash256
  public var stones: Hash256

  /// Whether the two hold the same, wherever it is kept.
  public func isSame(as other: BookSummary) -> Bool {
    root == other.root && books == other.books && ids == other.ids && stones == other.stones
  }

  func write(to writer: inout ByteWriter) {
    writer.writeVarint(id)
    writer.writeVarint(stamp.value)
    for hash in [finalVector, root, ids, stones] { writer.write(hash) }
    writer.write(list: books) { writer, book in
      writer.write(book.instrument)
      writer.writeSigned(book.lastTradeTicks)
      writer.write(book.hash)
    }
  }

  init(_ reader: inout ByteReader) throws(CodecError) {
    id = try reader.readVarint("book")
    stamp = Stamp(try reader.readVarint("stamp"))
    finalVector = try reader.readHash("vector")
    root = try reader.readHash("book hash")
    ids = try reader.readHash("ids hash")
    stones = try reader.readHash("tombstones hash")
    books = try reader.readList("books", max: Limits.instrumentsMax) { (reader) throws(CodecError) in
      BookName(
        instrument: try reader.readDot("instrument"), lastTradeTicks: try reader.readSigned("last trade"),
        hash: try reader.readHash("queues hash"))
    }
  }

  public init(
    id: UInt64, stamp: Stamp, finalVector: Hash256, root: Hash256, books: [BookName], ids: Hash256, stones: Hash256
  ) {
    self.id = id
    self.stamp = stamp
    self.finalVector = finalVector
    self.root = root
    self.books = books
    self.ids = ids
    self.stones = stones
  }
}

/// One instrument in a captured book.
public struct BookName: Hashable, Sendable {
  public var instrument: Dot
  public var lastTradeTicks: Int64
  /// Over its queues.
  public var hash: Hash256
  public init(instrument: Dot, lastTradeTicks: Int64, hash: Hash256) {
    self.instrument = instrument
    self.lastTradeTicks = lastTradeTicks
    self.hash = hash
  }
}

/// Levels in a row: `levels, lowest, highest, hash 32`.
public struct LevelRange: Hashable, Sendable {
  public var levels: UInt64
  public var lowest: Int64
  public var highest: Int64
  /// Over prices and levels; zero for none.
  public var hash: Hash256

  func write(to writer: inout ByteWriter) {
    writer.writeVarint(levels)
    writer.writeSigned(lowest)
    writer.writeSigned(highest)
    writer.write(hash)
  }

  init(_ reader: inout ByteReader) throws(CodecError) {
    levels = try reader.readVarint("levels")
    lowest = try reader.readSigned("lowest price")
    highest = try reader.readSigned("highest price")
    hash = try reader.readHash("levels hash")
  }

  public init(levels: UInt64, lowest: Int64, highest: Int64, hash: Hash256) {
    self.levels = levels
    self.lowest = lowest
    self.highest = highest
    self.hash = hash
  }
}

/// One queue of an instrument: `queue u8, all its levels`.
public struct QueueOutline: Hashable, Sendable {
  public var kind: BookQueue
  public var range: LevelRange

  init(_ kind: BookQueue, _ range: LevelRange) {
    self.kind = kind
    self.range = range
  }

  func write(to writer: inout ByteWriter) {
    writer.write(kind.rawValue)
    range.write(to: &writer)
  }

  init(_ reader: inout ByteReader) throws(CodecError) {
    kind = try reader.readCase("queue")
    range = try LevelRange(&reader)
  }
}
