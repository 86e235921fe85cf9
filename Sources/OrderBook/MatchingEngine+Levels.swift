import Primitives

/// One of the four queues of levels that an instrument's book has, as the book hash numbers them.
public enum BookQueue: UInt8, Hashable, Sendable, CaseIterable {
  case bids = 0
  case asks = 1
  case buyStops = 2
  case sellStops = 3
  /// Of its orders.
  public var side: Side { self == .bids || self == .buyStops ? .buy : .sell }
  /// Its levels are stop prices.
  public var isOfStops: Bool { self == .buyStops || self == .sellStops }
}

/// A level and what the book hash has of it.
public struct HashedLevel: Hashable, Sendable {
  public var priceTicks: Int64
  public var orders: Int
  public var hash: Hash256
  public init(priceTicks: Int64, orders: Int, hash: Hash256) {
    self.priceTicks = priceTicks
    self.orders = orders
    self.hash = hash
  }
}

/// A queue of levels, of whichever instrument.
public struct QueueName: Hashable, Comparable, Sendable {
  /// Dot of its definition.
  public let instrument: Dot
  public let kind: BookQueue
  public init(_ instrument: Dot, _ kind: BookQueue) {
    self.instrument = instrument
    self.kind = kind
  }

  public static func < (left: QueueName, right: QueueName) -> Bool {
    left.instrument == right.instrument ? left.kind.rawValue < right.kind.rawValue : left.instrument < right.instrument
  }
}

/// A level of a queue.
public struct LevelName: Hashable, Comparable, Sendable {
  public let queue: QueueName
  public let priceTicks: Int64
  public init(_ queue: QueueName, priceTicks: Int64) {
    self.queue = queue
    self.priceTicks = priceTicks
  }

  public static func < (left: LevelName, right: LevelName) -> Bool {
    left.queue == right.queue ? left.priceTicks < right.priceTicks : left.queue < right.queue
  }
}

/// What the books hold at one moment, as the book hash sees it: held still, to be compared with another one.
public struct BookImage: Sendable {
  public let root: Hash256
  /// In order of definition.
  public let books: [(instrument: Dot, lastTradeTicks: Int64)]
  /// Of the client order ids that are remembered, and of the cancels that wait for their orders.
  public let ids: Hash256
  public let stones: Hash256
  /// By rising price; those without levels are left out.
  public let queues: [QueueName: [HashedLevel]]
  /// Of all levels, or of those that were named.
  public let orders: [LevelName: [RestingOrder]]
  public let hasAllOrders: Bool

  /// - Parameters:
  ///   - isRaw: hashes every order anew instead of believing what is kept.
  ///   - levels: whose orders are kept; nil for all.
  /// - Complexity: O(levels log levels); O(orders) if raw or all are kept.
  public init(_ engine: inout MatchingEngine, isRaw: Bool = false, levels: [LevelName]? = nil) {
    var queues: [QueueName: [HashedLevel]] = [:]
    var orders: [LevelName: [RestingOrder]] = [:]
    root = engine.bookHash()
    books = (0..<engine.books.count).map { (engine.books[$0].dot, engine.books[$0].lastTradeTicks) }
    for book in books {
      for kind in BookQueue.allCases {
        let name = QueueName(book.instrument, kind)
        let found = engine.hashedLevels(of: book.instrument, kind, isRaw: isRaw)
        if found.isEmpty { continue }
        queues[name] = found
        for level in found {
          let levelName = LevelName(name, priceTicks: level.priceTicks)
          guard levels?.contains(levelName) ?? true else { continue }
          orders[levelName] = engine.orders(of: book.instrument, kind, priceTicks: level.priceTicks)
        }
      }
    }
    self.queues = queues
    self.orders = orders
    hasAllOrders = levels == nil
    ids = engine.hasher.keptIDsHash(&engine.ids, second: engine.second)
    stones = engine.hasher.stonesHash
  }
}

/// The tree under the book hash, for those who look for a difference in it.
extension MatchingEngine {
  /// The levels of one queue by rising price.
  /// - Parameter isRaw: hashes every order anew instead of believing what is kept.
  /// - Complexity: O(levels log levels), or O(orders) hashes if raw.
  public mutating func hashedLevels(of instrument: Dot, _ queue: BookQueue, isRaw: Bool) -> [HashedLevel] {
    // What is kept is current then.
    if !isRaw { _ = bookHash() }
    guard let book = books.search(instrument) else { return [] }
    let row = queue.isOfStops ? Self.stopRow(book, queue.side) : book
    let side = queue.isOfStops ? queue.side.opposite : queue.side
    var hasher = BookHasher()
    var found: [HashedLevel] = []
    var level = queue.isOfStops ? stops.worse(row, side, than: nil) : ladder.worse(row, side, than: nil)
    while level != noSlot {
      let ticks = queue.isOfStops ? stops.pages.price(of: level) : ladder.pages.price(of: level)
      let hash: Hash256
      if isRaw {
        hash =
          queue.isOfStops
          ? hasher.recomputedLevelHash(level, stops.pages, orders, accounts, ids)
          : hasher.recomputedLevelHash(level, ladder.pages, orders, accounts, ids)
      } else {
        hash = self.hasher.trie.soundLeaf(UInt64(clamping: ticks), root: root(book, queue)) ?? .zero
      }
      let count = queue.isOfStops ? stops.pages[level].count : ladder.pages[level].count
      found.append(HashedLevel(priceTicks: ticks, orders: Int(count), hash: hash))
      level = queue.isOfStops ? stops.worse(row, side, than: ticks) : ladder.worse(row, side, than: ticks)
    }
    return found.sorted { $0.priceTicks < $1.priceTicks }
  }

  private func root(_ book: UInt32, _ queue: BookQueue) -> UInt32 {
    switch queue {
    case .bids: books[book].tries.bids.node
    case .asks: books[book].tries.asks.node
    case .buyStops: books[book].tries.buyStops.node
    case .sellStops: books[book].tries.sellStops.node
    }
  }

  /// The orders of one level in the order in which they trade, or in which they wait.
  /// - Complexity: O(orders of the level).
  public func orders(of instrument: Dot, _ queue: BookQueue, priceTicks: Int64) -> [RestingOrder] {
    guard queue.isOfStops else { return orders(of: instrument, queue.side, priceTicks: priceTicks) }
    return stops(of: instrument, queue.side).filter { $0.stopPriceTicks == priceTicks }
  }
}
