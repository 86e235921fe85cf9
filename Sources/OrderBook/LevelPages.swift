import Primitives

/// The queue of orders at one price: 32 bytes.
struct Level {
  /// Sum of the open quantities, hidden parts included. 2^32 orders of 2^62 lots fit.
  var total: UInt128 = 0
  var head: UInt32 = noSlot
  var tail: UInt32 = noSlot
  var count: UInt32 = 0
  /// First of the blocks whose hashes are kept, or none.
  var firstBlock: UInt32 = noSlot

  // Ends are chosen, not branched on: nobody can predict how long the queue of the next order is.

  @inline(__always) private static func choose(_ link: UInt32, ifNone: UInt32, else other: UInt32) -> UInt32 {
    let isThere: UInt32 = link == noSlot ? 0 : .max
    return other & isThere | ifNone & ~isThere
  }

  /// An order of `lots` joins at the tail.
  /// - Returns: the order that was the tail before, or none.
  @inline(__always) mutating func append(_ slot: UInt32, _ lots: Int64) -> UInt32 {
    let before = tail
    tail = slot
    head = Self.choose(before, ifNone: slot, else: head)
    total &+= UInt128(truncatingIfNeeded: UInt64(bitPattern: lots))
    count &+= 1
    return before
  }

  /// The order leaves that had these neighbours.
  @inline(__always) mutating func remove(_ lots: Int64, previous: UInt32, next: UInt32) {
    head = Self.choose(previous, ifNone: next, else: head)
    tail = Self.choose(next, ifNone: previous, else: tail)
    total &-= UInt128(truncatingIfNeeded: UInt64(bitPattern: lots))
    count &-= 1
  }
}

/// Sixteen neighbouring prices of one row of a ladder, and which of them are occupied or marked.
struct LevelPage {
  /// Price in ticks, divided by 16.
  var number: UInt64 = 0
  /// Row of the ladder.
  var row: UInt32 = 0
  /// Order slots that name a level of this page, removed ones included until their removal is settled.
  var references: UInt32 = 0
  /// Occupied bids in the low 16 bits by rising price, asks in the high ones by falling price.
  var occupied: UInt32 = 0
  /// Levels whose hash is out of date, likewise.
  var dirty: UInt32 = 0
  /// Levels that changed since the last `takeChangedLevels`, likewise.
  var changed: UInt32 = 0
  var isUsed: UInt32 = 0
}

/// Levels of all rows of a ladder, in pages of sixteen. A level's number is `page * 16 + price % 16`.
struct LevelPages: ~Copyable {
  static let width: UInt32 = 16
  /// The row of a page whose instrument's definition was taken back.
  static let noRow = UInt32.max
  /// Sixteen for each header.
  private var levels = Slab<Level>(capacity: 64 * 16)
  private var headers = Slab<LevelPage>(capacity: 64)
  private var free = SlabList<UInt32>(capacity: 64)
  private var used: UInt32 = 1
  /// By level, how much of its total icebergs hide; empty until the first iceberg.
  private var hidden = Slab<UInt128>(capacity: 1)
  /// Pages with a dirty level.
  private(set) var dirty = SlabList<UInt32>(capacity: 64)
  /// Pages with a changed level.
  private(set) var changed = SlabList<UInt32>(capacity: 64)
  var tracksChanges = false

  @inline(__always) subscript(level: UInt32) -> Level {
    unsafeAddress { UnsafePointer(levels.address(level)) }
    unsafeMutableAddress { levels.address(level) }
  }

  @inline(__always) subscript(page page: UInt32) -> LevelPage {
    unsafeAddress { UnsafePointer(headers.address(page)) }
    unsafeMutableAddress { headers.address(page) }
  }

  /// Good until the next `allocate`.
  @inline(__always) func address(_ level: UInt32) -> UnsafeMutablePointer<Level> { levels.address(level) }
  /// Good until the next `allocate`.
  @inline(__always) func header(of level: UInt32) -> UnsafeMutablePointer<LevelPage> {
    headers.address(level / Self.width)
  }

  /// A level and its page, at the price of one check: there are sixteen levels for each header (`allocate`).
  @inline(__always) func addresses(
    of level: UInt32
  ) -> (header: UnsafeMutablePointer<LevelPage>, level: UnsafeMutablePointer<Level>) {
    (headers.address(level / Self.width), levels.address(covered: level))
  }

  @inline(__always) func prefetch(_ level: UInt32) {
    levels.prefetch(Int(level))
    headers.prefetch(Int(level / Self.width))
  }

  /// Pages that hold, or refer to, something.
  var inUse: Int { Int(used) - 1 - free.count }

  @inline(__always) func price(of level: UInt32) -> Int64 { Self.price(of: level, header(of: level)) }

  @inline(__always) static func price(of level: UInt32, _ header: UnsafeMutablePointer<LevelPage>) -> Int64 {
    Int64(bitPattern: header.pointee.number &* 16 &+ UInt64(level % Self.width))
  }

  @inline(__always) func row(of level: UInt32) -> UInt32 { header(of: level).pointee.row }

  /// A level's bit in the words of its page.
  @inline(__always) static func bit(_ level: UInt32, _ side: Side) -> UInt32 {
    1 &<< (level & 15 ^ UInt32(side.rawValue) &* 31)
  }

  /// The side and level of a bit, given as its number.
  static func level(_ page: UInt32, bit: UInt32) -> (level: UInt32, side: Side) {
    bit < width ? (page * width | bit, .buy) : (page * width | (bit ^ 31), .sell)
  }

  /// One side's half of a page's word: the higher the bit, the better the price.
  @inline(__always) static func word(_ bits: UInt32, _ side: Side) -> UInt32 {
    bits &>> (UInt32(side.rawValue) &* 16) & 0xFFFF
  }

  /// The best level of those in one side's half.
  /// - Precondition: there is one.
  @inline(__always) static func bestLevel(_ page: UInt32, _ word: UInt32, _ side: Side) -> UInt32 {
    let top = UInt32(truncatingIfNeeded: 31 &- word.leadingZeroBitCount)
    return page &* width | (top ^ UInt32(side.rawValue) &* 15)
  }

  /// Marks a level as changed, for the hash and, if asked for, for `takeChangedLevels`.
  @inline(__always) mutating func mark(_ level: UInt32, _ side: Side) {
    mark(level, header(of: level), Self.bit(level, side))
  }

  /// As above, of a level whose page and bit there are known.
  @inline(__always) mutating func mark(
    _ level: UInt32, _ header: UnsafeMutablePointer<LevelPage>, _ bit: UInt32
  ) {
    let page = level / Self.width
    let dirtyBefore = header.pointee.dirty
    if dirtyBefore & bit == 0 {
      header.pointee.dirty = dirtyBefore | bit
      dirty.append(page, counting: dirtyBefore == 0 ? 1 : 0)
    }
    if tracksChanges {
      // Marks that are taken many times a second: whether this one is new is anybody's guess.
      let before = header.pointee.changed
      header.pointee.changed = before | bit
      changed.append(page, counting: before == 0 ? 1 : 0)
    }
  }

  @inline(never) mutating func allocate(number: UInt64, row: UInt32) -> UInt32 {
    let page: UInt32
    if free.count > 0 {
      page = free.removeLast()
    } else {
      page = used
      precondition(page < UInt32.max / Self.width, "too many price levels for 32-bit numbers")
      used += 1
      headers.reserve(Int(used))
      levels.reserve(headers.capacity * Int(Self.width))
      // A page is in each list once at most.
      dirty.reserve(Int(used))
      changed.reserve(Int(used))
      prefetchLevels(of: used)
    }
    headers[page] = LevelPage(number: number, row: row, isUsed: 1)
    return page
  }

  /// Asks for the memory of the page that will be made next: where a market moves to, nobody has been before.
  private func prefetchLevels(of page: UInt32) {
    for level in stride(from: page * Self.width, to: (page + 1) * Self.width, by: 2) { levels.prefetch(Int(level)) }
  }

  /// Nothing is in the page, waits for it or refers to it.
  @inline(__always) func isIdle(_ page: UInt32) -> Bool {
    let header = headers.address(page)
    return header.pointee.references | header.pointee.dirty | header.pointee.changed == 0
  }

  /// Cuts a page off from its row; it goes when its marks are taken.
  mutating func orphan(_ page: UInt32) {
    precondition(headers[page].references == 0 && headers[page].occupied == 0, "the page is in use")
    headers[page].row = Self.noRow
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

  /// The list of changed pages has been read; their marks are the reader's to take.
  mutating func forgetChanged() { changed.removeAll() }

  /// Takes the newest page off the list of changed ones.
  mutating func takeChanged() -> (page: UInt32, marks: UInt32)? {
    guard changed.count > 0 else { return nil }
    let page = changed.removeLast()
    defer { headers[page].changed = 0 }
    return (page, headers[page].changed)
  }

  // MARK: What icebergs hide

  /// How much of the level's total nobody is shown.
  func hiddenLots(_ level: UInt32) -> UInt128 { Int(level) < hidden.capacity ? hidden[level] : 0 }

  @inline(never) mutating func hide(_ level: UInt32, _ lots: Int64) {
    hidden.reserve(Int(used) * Int(Self.width))
    hidden[level] += UInt128(lots)
  }

  @inline(never) mutating func unhide(_ level: UInt32, _ lots: Int64) {
    precondition(hidden[level] >= UInt128(lots), "more is shown than was hidden")
    hidden[level] -= UInt128(lots)
  }
}
