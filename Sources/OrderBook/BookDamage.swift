import Primitives

/// Something in the memory of a book that is not what was hashed, or does not fit what lies beside it.
public struct BookDamage: Hashable, Sendable {
  public enum Kind: UInt8, Hashable, Sendable, CaseIterable {
    /// Orders are not those whose hash is kept.
    case orders = 1
    /// A level's count or sum is not that of its orders.
    case sum = 2
    /// A link leads nowhere, or its other end does not lead back.
    case links = 3
    /// An order is not found by its dot.
    case index = 4
    /// What an order shows, or when it expires, cannot be.
    case terms = 5
    /// A level's kept hash is not that of its blocks.
    case level = 6
    /// An inner node of the kept tree is not that of its children.
    case node = 7
    /// An instrument's kept hash is not that of its fields and sides.
    case book = 8
    /// Client order ids are not those whose hash is kept.
    case names = 9
    /// Tombstones are not those whose hash is kept.
    case tombstones = 10
  }

  public var kind: Kind
  /// Dot of the instrument's definition; none if it is of all.
  public var instrument: Dot
  /// Of orders, nil if no side is meant.
  public var side: Side?
  /// Of a stop its trigger price; 0 if no level is meant.
  public var priceTicks: Int64
  /// Those of the block that is damaged, or the one; at most 64. Dots are read from what may be damaged.
  public var orders: [Dot]

  public init(
    _ kind: Kind, instrument: Dot = .none, side: Side? = nil, priceTicks: Int64 = 0, orders: [Dot] = []
  ) {
    self.kind = kind
    self.instrument = instrument
    self.side = side
    self.priceTicks = priceTicks
    self.orders = orders
  }
}

/// Where a scrub goes on, and what it has done so far.
public struct ScrubCursor: Hashable, Sendable {
  enum Phase: UInt8, Hashable, Sendable {
    case levels, stops, nodes, books, names, tombstones
  }
  var phase = Phase.levels
  /// Level, node, book or bucket.
  var place = 0
  /// Within it: a block that comes next, or how much is done.
  var inner = 0
  /// `BookHasher.generation` when `inner` began to be more than 0.
  var generation: UInt64 = 0
  /// Blocks of the level so far: a chain that is longer than there are blocks goes in a circle.
  var steps: UInt32 = 0
  /// Units of work of this pass so far.
  public internal(set) var units = 0
  /// Passes that came to their end.
  public internal(set) var passes: UInt64 = 0

  public init() {}

  /// Begins a new pass; what is done of the present one does not count.
  public mutating func restart() {
    enter(.levels)
    units = 0
  }

  /// Counts a pass over nothing.
  public mutating func skip() {
    restart()
    passes += 1
  }

  mutating func enter(_ next: Phase) {
    phase = next
    place = 0
    inner = 0
  }
}
