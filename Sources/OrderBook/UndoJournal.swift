/// What a record of the undo journal takes back.
/// - Precondition: below 32.
enum UndoKind: UInt8 {
  /// An order left its level, or a stop those that wait. slot: the order, whose links still name its neighbours.
  case removed = 0
  /// One entry was applied, and all it did was to take an order out of its level. slot: the order, as for `removed`;
  /// payload and old: as for `applied`.
  case cancelled = 1
  /// One entry was applied, and all it did was to move an order to the tail of a level, in another slot. slot: the one
  /// that it had, as for `removed`; payload and old: as for `applied`.
  case replaced = 2
  /// The second of the book's clock changed. old: the second before.
  case clock = 3
  /// A name was taken by the newest record. slot: the record.
  case identified = 4
  /// A tombstone was consumed or evicted. slot: the tombstone, whose links still name its neighbours.
  case tombstoneLifted = 5
  /// One entry was applied. payload: origin of the key before; old: stamp of the key before.
  case applied = 6
  /// One entry was applied, and all it did was to put an order at the tail of a level. slot: the order; payload and
  /// old: as for `applied`.
  case placed = 7
  /// An order entered a level, or those that wait, at the tail. slot: the order.
  case inserted = 8
  /// A resting order traded in part. slot: the order; old: lots.
  case filled = 9
  /// An order's open quantity was lowered. slot: the order; old: lots.
  case reduced = 10
  /// slot: the book; old: last trade price before.
  case lastTrade = 11
  /// A tombstone was laid. slot: the tombstone.
  case tombstoneLaid = 12
  /// The newest book was defined. slot: the book.
  case defined = 13
  /// What an iceberg shows changed. slot: the order; old: visible lots before.
  case shown = 14
  /// An order went from the head of its level's queue to the tail. slot: the order.
  case requeued = 15
}

/// Sixteen bytes that take one change back.
struct UndoRecord {
  /// Kind in the low 8 bits, payload above.
  private var tag: UInt32
  var slot: UInt32
  var old: UInt64

  @inline(__always) init(_ kind: UndoKind, slot: UInt32, old: UInt64 = 0, payload: UInt32 = 0) {
    tag = UInt32(kind.rawValue) | payload &<< 8
    self.slot = slot
    self.old = old
  }

  @inline(__always) var kind: UndoKind {
    guard let kind = UndoKind(rawValue: UInt8(truncatingIfNeeded: tag)) else {
      preconditionFailure("the undo journal is damaged")
    }
    return kind
  }
  @inline(__always) var payload: UInt32 { tag &>> 8 }
  // Asked of every record when it is settled, whatever it is: a bit of a constant is no branch.

  /// 1 if an order's slot is let go when it is settled, else 0.
  @inline(__always) var releasedOrders: UInt32 { Self.releasing &>> (tag & 31) & 1 }
  /// 1 if there is anything else to do when it is settled, else 0.
  @inline(__always) var otherSettling: UInt32 { Self.others &>> (tag & 31) & 1 }
  private static var releasing: UInt32 { bit(.removed) | bit(.cancelled) | bit(.replaced) }
  private static var others: UInt32 { bit(.clock) | bit(.identified) | bit(.tombstoneLifted) }
  @inline(__always) private static func bit(_ kind: UndoKind) -> UInt32 { 1 &<< UInt32(kind.rawValue) }
}

/// The undo records that are not settled yet, by absolute position: a ring in raw memory that doubles when full.
struct UndoJournal: ~Copyable {
  // Unchecked, unlike a slab: a masked position cannot lie outside.
  private var ring: UnsafeMutablePointer<UndoRecord>
  private var mask: UInt64
  /// Position at which the ring has to grow.
  private var full: UInt64
  /// Position of the oldest record that is kept.
  private(set) var start: UInt64 = 0
  /// Position after the newest record.
  private(set) var end: UInt64 = 0

  init() {
    let capacity = 1 << 12
    ring = .allocate(capacity: capacity)
    ring.initialize(repeating: UndoRecord(.applied, slot: 0), count: capacity)
    mask = UInt64(capacity - 1)
    full = UInt64(capacity)
  }

  deinit { ring.deallocate() }

  /// - Complexity: O(1); O(kept records) when the ring doubles.
  @inline(__always) mutating func push(_ record: UndoRecord) {
    if !hasRoom { widen() }
    put(record)
  }

  /// Would `push` leave the ring as large as it is?
  @inline(__always) var hasRoom: Bool { end != full }

  /// - Precondition: `hasRoom`.
  @inline(__always) mutating func put(_ record: UndoRecord) {
    ring[Int(truncatingIfNeeded: end & mask)] = record
    end &+= 1
  }

  /// Takes the newest record off.
  /// - Precondition: one is kept.
  @inline(__always) mutating func pop() -> UndoRecord {
    precondition(end > start, "nothing left to undo")
    end &-= 1
    return ring[Int(truncatingIfNeeded: end & mask)]
  }

  /// The record at a position that is kept.
  @inline(__always) subscript(position: UInt64) -> UndoRecord { ring[Int(truncatingIfNeeded: position & mask)] }

  /// Lets the oldest records go, up to a position.
  @inline(__always) mutating func settle(through position: UInt64) {
    precondition(position <= end, "nothing left to settle")
    start = max(start, position)
    full = start &+ mask &+ 1
  }

  @inline(never) private mutating func widen() {
    let capacity = (Int(mask) + 1) * 2
    let wider = UnsafeMutablePointer<UndoRecord>.allocate(capacity: capacity)
    wider.initialize(repeating: UndoRecord(.applied, slot: 0), count: capacity)
    let wideMask = UInt64(capacity - 1)
    for position in start..<end { wider[Int(position & wideMask)] = ring[Int(position & mask)] }
    ring.deallocate()
    ring = wider
    mask = wideMask
    full = start &+ mask &+ 1
  }
}
