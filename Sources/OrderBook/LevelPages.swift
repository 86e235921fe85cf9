import Primitives

/// The queue of orders at one price.
struct Level {
  /// Sum of the open quantities, hidden parts included.
  var total: UInt128 = 0
  var head: UInt32 = noSlot
  var tail: UInt32 = noSlot
  var count: UInt32 = 0

  /// An order of `lots` joins at the tail.
  /// - Returns: the order that was the tail before, or none.
  @inline(__always) mutating func append(_ slot: UInt32, _ lots: Int64) -> UInt32 {
    let before = tail
    tail = slot
    if before == noSlot { head = slot }
    total += UInt128(UInt64(lots))
    count += 1
    return before
  }

  /// The order leaves that had these neighbours.
  @inline(__always) mutating func remove(_ lots: Int64, previous: UInt32, next: UInt32) {
    if previous == noSlot { head = next }
    if next == noSlot { tail = previous }
    total -= UInt128(UInt64(lots))
    count -= 1
  }
}

/// Sixteen neighbouring prices of one instrument, and which of them are occupied or marked.
struct LevelPage {
  /// Price in ticks, divided by 16.
  var number: UInt64 = 0
  var book: UInt32 = 0
  /// Order slots that name a level of this page, removed ones included until their removal is settled.
  var references: UInt32 = 0
  /// Occupied bids in the low 16 bits, asks in the high ones.
  var occupied: UInt32 = 0
  /// Levels whose hash is out of date, likewise.
  var dirty: UInt32 = 0
  /// Levels that changed since the last `takeChangedLevels`, likewise.
  var changed: UInt32 = 0
  var isUsed: UInt32 = 0
}

/// Levels of all instruments, in pages of sixteen. A level's number is `page * 16 + price % 16`.
struct LevelPages: ~Copyable {
  static let width: UInt32 = 16
  /// The book of a page whose instrument's definition was taken back.
  static let noBook = UInt32.max
  private var levels: Slab<Level>
  private var headers: Slab<LevelPage>
  private var free: SlabList<UInt32>
  private var used: UInt32 = 1
  /// Pages with a dirty level.
  private(set) var dirty: SlabList<UInt32>
  /// Pages with a changed level.
  private(set) var changed: SlabList<UInt32>
  var tracksChanges = false

  init() {
    levels = Slab(capacity: 64 * 16, blank: Level())
    headers = Slab(capacity: 64, blank: LevelPage())
    free = SlabList(capacity: 64, blank: 0)
    dirty = SlabList(capacity: 64, blank: 0)
    changed = SlabList(capacity: 64, blank: 0)
  }

  @inline(__always) subscript(level: UInt32) -> Level {
    unsafeAddress { UnsafePointer(levels.address(Int(level))) }
    unsafeMutableAddress { levels.address(Int(level)) }
  }

  @inline(__always) subscript(page page: UInt32) -> LevelPage {
    unsafeAddress { UnsafePointer(headers.address(Int(page))) }
    unsafeMutableAddress { headers.address(Int(page)) }
  }

  /// Pages that hold, or refer to, something.
  var inUse: Int { Int(used) - 1 - free.count }

  @inline(__always) func price(of level: UInt32) -> Int64 {
    Int64(bitPattern: headers[level / Self.width].number &* 16 &+ UInt64(level % Self.width))
  }

  @inline(__always) func book(of level: UInt32) -> UInt32 { headers[level / Self.width].book }

  @inline(__always) static func bit(_ level: UInt32, _ side: Side) -> UInt32 {
    1 &<< (level & 15 | UInt32(side.rawValue) &<< 4)
  }

  /// Marks a level as changed, for the hash and, if asked for, for `takeChangedLevels`.
  @inline(__always) mutating func mark(_ level: UInt32, _ side: Side) {
    let bit = Self.bit(level, side)
    let before = headers[level / Self.width].dirty
    if before & bit == 0 { markDirty(level / Self.width, bit) }
    if tracksChanges { markChanged(level / Self.width, bit) }
  }

  @inline(never) private mutating func markDirty(_ page: UInt32, _ bit: UInt32) {
    let before = headers[page].dirty
    headers[page].dirty = before | bit
    if before == 0 { dirty.append(page) }
  }

  @inline(never) private mutating func markChanged(_ page: UInt32, _ bit: UInt32) {
    let before = headers[page].changed
    headers[page].changed = before | bit
    if before == 0 { changed.append(page) }
  }

  @inline(never) mutating func allocate(number: UInt64, book: UInt32) -> UInt32 {
    let page: UInt32
    if free.count > 0 {
      page = free.removeLast()
    } else {
      page = used
      precondition(page < UInt32.max / Self.width, "too many price levels for 32-bit numbers")
      used += 1
      headers.reserve(Int(used))
      levels.reserve(Int(used) * Int(Self.width))
    }
    headers[page] = LevelPage(number: number, book: book, isUsed: 1)
    return page
  }

  /// Nothing is in the page, waits for it or refers to it.
  @inline(__always) func isIdle(_ page: UInt32) -> Bool {
    let header = headers[page]
    return header.references == 0 && header.dirty == 0 && header.changed == 0
  }

  /// Cuts a page off from its book; it goes when its marks are taken.
  mutating func orphan(_ page: UInt32) {
    precondition(headers[page].references == 0 && headers[page].occupied == 0, "the page is in use")
    headers[page].book = Self.noBook
    if isIdle(page) { release(page) }
  }

  /// - Precondition: the page is idle and no ladder names it.
  mutating func release(_ page: UInt32) {
    precondition(isIdle(page) && headers[page].occupied == 0 && headers[page].isUsed == 1, "the page is in use")
    headers[page] = LevelPage()
    free.append(page)
  }

  /// Takes the newest page off the list of dirty ones: its number and its marks.
  mutating func takeDirty() -> (page: UInt32, marks: UInt32)? {
    guard dirty.count > 0 else { return nil }
    let page = dirty.removeLast()
    defer { headers[page].dirty = 0 }
    return (page, headers[page].dirty)
  }

  /// Takes the newest page off the list of changed ones.
  mutating func takeChanged() -> (page: UInt32, marks: UInt32)? {
    guard changed.count > 0 else { return nil }
    let page = changed.removeLast()
    defer { headers[page].changed = 0 }
    return (page, headers[page].changed)
  }
}
