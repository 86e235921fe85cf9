import Primitives

/// The queue of orders at one price: 32 bytes.
struct Level {
  /// Sum of the open quantities, hidden parts included, in 96 bits: 2^32 orders of 2^62 lots fit.
  private var totalLow: UInt64 = 0
  private var totalHigh: UInt32 = 0
  /// Order slots that name this level, removed ones included until their removal is settled.
  var references: UInt32 = 0
  /// What is to be known of the level on each side: bits of `LevelMark`.
  var marks: UInt32 = 0
  var head: UInt32 = noSlot
  var tail: UInt32 = noSlot
  /// Orders in the queue. Not beside `references`: compilers would add to both at once, and wait for the newest store
  /// of either.
  var count: UInt32 = 0

  var total: UInt128 {
    @inline(__always) get { UInt128(totalHigh) &<< 64 | UInt128(totalLow) }
    set {
      totalLow = UInt64(truncatingIfNeeded: newValue)
      // A damaged sum stays one.
      totalHigh = UInt32(truncatingIfNeeded: newValue >> 64)
    }
  }

  @inline(__always) mutating func add(_ lots: Int64) {
    let (low, carries) = totalLow.addingReportingOverflow(UInt64(bitPattern: lots))
    totalLow = low
    totalHigh &+= carries ? 1 : 0
  }

  @inline(__always) mutating func subtract(_ lots: Int64) {
    let (low, borrows) = totalLow.subtractingReportingOverflow(UInt64(bitPattern: lots))
    totalLow = low
    totalHigh &-= borrows ? 1 : 0
  }

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
    add(lots)
    count &+= 1
    references &+= 1
    return before
  }

  /// The order leaves that had these neighbours.
  @inline(__always) mutating func remove(_ lots: Int64, previous: UInt32, next: UInt32) {
    head = Self.choose(previous, ifNone: next, else: head)
    tail = Self.choose(next, ifNone: previous, else: tail)
    subtract(lots)
    count &-= 1
  }
}

/// The bits of a level's marks, as those of its bids; those of its asks lie one higher.
enum LevelMark {
  /// Its hash is out of date.
  static let dirty: UInt32 = 1
  /// It changed since the last `takeChangedLevels`.
  static let changed: UInt32 = 4
  /// Orders of this side rest in it.
  static let occupied: UInt32 = 16

  @inline(__always) static func of(_ mark: UInt32, _ side: Side) -> UInt32 { mark &<< UInt32(side.rawValue) }
  /// The bits of both sides.
  @inline(__always) static func ofBoth(_ mark: UInt32) -> UInt32 { mark | mark &<< 1 }
}

/// Sixteen neighbouring prices of one row of a ladder.
struct LevelPage {
  /// Price in ticks, divided by 16.
  var number: UInt64 = 0
  /// Row of the ladder.
  var row: UInt32 = 0
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
  /// By level, the first of the blocks whose hashes are kept, or none; empty until the first hash.
  private var blocks = Slab<UInt32>(capacity: 1)
  /// Levels that are dirty, once each; there is always room for all.
  private var dirty = SlabList<UInt32>(capacity: 64 * 16)
  /// Levels that have changed, likewise.
  private(set) var changed = SlabList<UInt32>(capacity: 64 * 16)
  /// What a change of a level leaves on it.
  private var changeMarks = LevelMark.dirty

  /// Are changed levels collected?
  var tracksChanges: Bool {
    get { changeMarks & LevelMark.changed != 0 }
    set { changeMarks = LevelMark.dirty | (newValue ? LevelMark.changed : 0) }
  }

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

  @inline(__always) func prefetch(_ level: UInt32) { levels.prefetch(Int(level)) }

  /// Pages from here on have never been used.
  var end: UInt32 { used }

  /// Pages that hold, or refer to, something.
  var inUse: Int { Int(used) - 1 - free.count }

  @inline(__always) func price(of level: UInt32) -> Int64 {
    Int64(bitPattern: header(of: level).pointee.number &* 16 &+ UInt64(level % Self.width))
  }

  @inline(__always) func row(of level: UInt32) -> UInt32 { header(of: level).pointee.row }

  @inline(__always) func isOccupied(_ level: UInt32, _ side: Side) -> Bool {
    levels.address(level).pointee.marks & LevelMark.of(LevelMark.occupied, side) != 0
  }

  /// One side's occupied levels of a page as bits: the higher the bit, the better the price.
  func occupied(_ page: UInt32, _ side: Side) -> UInt32 {
    var word: UInt32 = 0
    for low in 0..<Self.width where isOccupied(page * Self.width | low, side) {
      word |= 1 << (low ^ UInt32(side.rawValue) * 15)
    }
    return word
  }

  /// The best level of those in `occupied`.
  /// - Precondition: there is one.
  static func bestLevel(_ page: UInt32, _ word: UInt32, _ side: Side) -> UInt32 {
    page * width | (UInt32(31 - word.leadingZeroBitCount) ^ UInt32(side.rawValue) * 15)
  }

  /// Marks a level as changed, for the hash and, if asked for, for `takeChangedLevels`.
  @inline(__always) mutating func mark(_ level: UInt32, _ side: Side) {
    mark(level, levels.address(level), side, adding: 0, removing: 0)
  }

  /// As above, of a level whose address is known, with a mark that is to be added or taken off besides.
  /// - Returns: its marks.
  @inline(__always) @discardableResult mutating func mark(
    _ number: UInt32, _ level: UnsafeMutablePointer<Level>, _ side: Side, adding: UInt32, removing: UInt32
  ) -> UInt32 {
    let before = level.pointee.marks
    let after = (before | LevelMark.of(changeMarks | adding, side)) & ~LevelMark.of(removing, side)
    level.pointee.marks = after
    if before & LevelMark.ofBoth(LevelMark.dirty) == 0 { dirty.put(number, counting: 1) }
    // Marks that are taken many times a second: whether this one is new is anybody's guess.
    let isNew: UInt32 = before & LevelMark.ofBoth(LevelMark.changed) == 0 ? 1 : 0
    changed.put(number, counting: changeMarks / LevelMark.changed & isNew)
    return after
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
      // A level is in each list once at most; one place more takes what is not counted.
      dirty.reserve(levels.capacity + 1)
      changed.reserve(levels.capacity + 1)
      prefetchLevels(of: used)
    }
    headers[page] = LevelPage(number: number, row: row, isUsed: 1)
    return page
  }

  /// Asks for the memory of the page that will be made next: where a market moves to, nobody has been before.
  private func prefetchLevels(of page: UInt32) {
    for level in stride(from: page * Self.width, to: (page + 1) * Self.width, by: 2) { levels.prefetch(Int(level)) }
  }

  /// No order slot names a level of the page, and none is marked.
  func isIdle(_ page: UInt32) -> Bool {
    for level in page * Self.width..<(page + 1) * Self.width where !levels.address(level).pointee.isIdle {
      return false
    }
    return true
  }

  /// Cuts a page off from its row; it goes when its marks are taken.
  mutating func orphan(_ page: UInt32) {
    precondition(occupied(page, .buy) | occupied(page, .sell) == 0, "the page is in use")
    headers[page].row = Self.noRow
    if isIdle(page) { release(page) }
  }

  /// - Precondition: the page is idle and no ladder names it.
  mutating func release(_ page: UInt32) {
    precondition(isIdle(page) && headers[page].isUsed == 1, "the page is in use")
    headers[page] = LevelPage()
    free.append(page)
  }

  /// Takes the newest level off the list of dirty ones: its number and its marks.
  mutating func takeDirty() -> (level: UInt32, marks: UInt32)? {
    guard dirty.count > 0 else { return nil }
    let level = dirty.removeLast()
    let marks = levels[level].marks
    levels[level].marks = marks & ~LevelMark.ofBoth(LevelMark.dirty)
    return (level, marks)
  }

  /// The list of changed levels has been read; their marks are the reader's to take.
  mutating func forgetChanged() { changed.removeAll() }

  /// Takes the newest level off the list of changed ones.
  mutating func takeChanged() -> UInt32? {
    guard changed.count > 0 else { return nil }
    let level = changed.removeLast()
    levels[level].marks &= ~LevelMark.ofBoth(LevelMark.changed)
    return level
  }

  // MARK: What only some levels have

  /// How much of the level's total nobody is shown.
  @inline(__always) func hiddenLots(_ level: UInt32) -> UInt128 {
    Int(level) < hidden.capacity ? hidden[level] : 0
  }

  @inline(never) mutating func hide(_ level: UInt32, _ lots: Int64) {
    hidden.reserve(Int(used) * Int(Self.width))
    hidden[level] += UInt128(lots)
  }

  @inline(never) mutating func unhide(_ level: UInt32, _ lots: Int64) {
    precondition(hidden[level] >= UInt128(lots), "more is shown than was hidden")
    hidden[level] -= UInt128(lots)
  }

  /// First of the level's blocks whose hashes are kept, or none.
  func firstBlock(_ level: UInt32) -> UInt32 { Int(level) < blocks.capacity ? blocks[level] : noSlot }

  mutating func setFirstBlock(_ level: UInt32, _ block: UInt32) {
    blocks.reserve(Int(used) * Int(Self.width))
    blocks[level] = block
  }
}

extension Level {
  /// No order slot names it, and nothing is to be known of it.
  @inline(__always) var isIdle: Bool { references | marks == 0 }
}
