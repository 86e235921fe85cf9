import Primitives

/// Finds levels by price, the best one and the next; a row for each book.
///
/// A flat window of 2^16 prices around the market holds a page number for every sixteen prices and, for each side, two
/// tiers of occupancy bits above those of the page. Prices outside it are found in sorted arrays. Where the window lies
/// is a matter of speed only: it moves when the market has left it. A row without orders has no window.
///
/// Each side counts so that better is higher: asks count pages, and prices within a page, backwards. Then both sides
/// are one code without branches, which matters, because nobody can predict the side of the next order.
struct PriceLadder: ~Copyable {
  /// Pages in a window.
  static let span: UInt64 = 4096
  static let words = 64
  /// The key of a side without levels: worse than any price.
  static let noKey = Int64.min

  /// What a row knows of one side.
  struct SideRow {
    /// `key` of the best price, or `noKey`.
    var bestKey = noKey
    /// Which words of the window's bits are not zero.
    var summary: UInt64 = 0
    var best = noSlot
  }

  struct Row {
    var buy = SideRow()
    var sell = SideRow()
    /// Number of the window's first page.
    var base: UInt64 = 0
    /// Pages in the window: `span`, or 0 before it is made.
    var reach: UInt64 = 0
    /// First of the window's cells, and first of its words of bits: bids, asks, and scratch.
    var cells = 0
    var bits = 0
    /// Which words of the scratch are not zero. It is used, and zeroed again, by `takeChangedLevels`.
    var scratch: UInt64 = 0
    var farPages: UInt32 = 0
    var farHits: UInt32 = 0
    /// A window that an earlier book of this place left behind, from 1; 0 if there is none.
    var spareWindow: UInt32 = 0
  }

  struct FarPage {
    var number: UInt64
    var page: UInt32
  }

  /// Pages outside the window, by number: all, those with bids, those with asks.
  struct FarPages {
    var all: ContiguousArray<FarPage> = []
    var bids: ContiguousArray<FarPage> = []
    var asks: ContiguousArray<FarPage> = []
  }

  var pages = LevelPages()
  var rows = Slab<Row>(capacity: 4)
  var cells = Slab<UInt32>(capacity: 1)
  var bits = Slab<UInt64>(capacity: 1)
  var far: ContiguousArray<FarPages> = []
  var windows = 0

  /// One more row.
  mutating func append() {
    far.append(FarPages())
    rows.reserve(far.count)
    let left = rows[far.count - 1]
    let spare = left.reach == 0 ? left.spareWindow : UInt32(left.cells / Int(Self.span)) + 1
    rows[far.count - 1] = Row(spareWindow: spare)
  }

  /// Drops the newest row. Pages that are still marked stay until their marks are taken, without a row.
  /// - Precondition: it has no orders, also none whose removal may be undone.
  mutating func removeLast() {
    precondition(far.count > 0, "no row to remove")
    let row = rows[far.count - 1]
    for cell in row.cells..<row.cells + Int(row.reach) where cells[cell] != noSlot {
      pages.orphan(cells[cell])
      cells[cell] = noSlot
    }
    for entry in far.removeLast().all { pages.orphan(entry.page) }
  }

  @inline(__always) subscript(row: UInt32) -> Row { unsafeAddress { UnsafePointer(rows.address(row)) } }

  // MARK: Sides

  /// All bits for asks, none for bids.
  @inline(__always) static func mask(_ side: Side) -> UInt64 { 0 &- UInt64(side.rawValue) }

  /// A number that is the higher, the better a price is for its side.
  @inline(__always) static func key(_ ticks: Int64, _ side: Side) -> Int64 {
    ticks ^ Int64(bitPattern: mask(side))
  }

  @inline(__always) func address(_ row: UInt32, _ side: Side) -> UnsafeMutablePointer<SideRow> {
    Self.address(rows.address(row), side)
  }

  @inline(__always) static func address(
    _ row: UnsafeMutablePointer<Row>, _ side: Side
  ) -> UnsafeMutablePointer<SideRow> {
    (UnsafeMutableRawPointer(row) + Int(side.rawValue) &* MemoryLayout<SideRow>.stride)
      .assumingMemoryBound(to: SideRow.self)
  }

  /// The best level of a side, or none.
  @inline(__always) func best(_ row: UInt32, _ side: Side) -> UInt32 { address(row, side).pointee.best }

  /// Is the side's best price at least as good as `ticks`?
  @inline(__always) func reaches(_ row: UInt32, _ side: Side, _ ticks: Int64) -> Bool {
    address(row, side).pointee.bestKey >= Self.key(ticks, side)
  }

  // MARK: Find

  /// The level at a price, or none; it may be empty.
  @inline(__always) func find(_ row: UInt32, _ ticks: Int64) -> UInt32 {
    let page = findPage(row, UInt64(bitPattern: ticks) &>> 4)
    return page == noSlot ? noSlot : page &* 16 | UInt32(truncatingIfNeeded: ticks & 15)
  }

  /// As `find`, in the row's window only.
  @inline(__always) func findNear(_ row: UInt32, _ ticks: Int64) -> UInt32 {
    let place = rows.address(row)
    let offset = UInt64(bitPattern: ticks) &>> 4 &- place.pointee.base
    guard offset < place.pointee.reach else { return noSlot }
    let page = cells[place.pointee.cells &+ Int(truncatingIfNeeded: offset)]
    return page == noSlot ? noSlot : page &* 16 | UInt32(truncatingIfNeeded: ticks & 15)
  }

  /// Asks for the memory of the level at a price, if it is near the market.
  @inline(__always) func prefetch(_ row: UInt32, _ ticks: Int64) {
    let place = rows.address(row)
    let offset = UInt64(bitPattern: ticks) &>> 4 &- place.pointee.base
    guard offset < place.pointee.reach else { return }
    let page = cells[place.pointee.cells &+ Int(truncatingIfNeeded: offset)]
    pages.prefetch(page &* 16 | UInt32(truncatingIfNeeded: ticks & 15))
  }

  @inline(__always) private func findPage(_ row: UInt32, _ number: UInt64) -> UInt32 {
    let place = rows.address(row)
    let offset = number &- place.pointee.base
    if offset < place.pointee.reach { return cells[place.pointee.cells &+ Int(truncatingIfNeeded: offset)] }
    return place.pointee.farPages == 0 ? noSlot : findFar(row, number)
  }

  @inline(__always) private func findFar(_ row: UInt32, _ number: UInt64) -> UInt32 {
    let pages = far[Int(row)].all
    let position = Self.position(of: number, in: pages)
    return position < pages.count && pages[position].number == number ? pages[position].page : noSlot
  }

  /// The level at a price, its page made if it is missing.
  /// - Precondition: `ticks > 0`.
  @inline(__always) mutating func open(_ row: UInt32, _ ticks: Int64) -> UInt32 {
    let number = UInt64(bitPattern: ticks) &>> 4
    let place = rows.address(row)
    let offset = number &- place.pointee.base
    let low = UInt32(truncatingIfNeeded: ticks & 15)
    if offset < place.pointee.reach {
      let page = cells[place.pointee.cells &+ Int(truncatingIfNeeded: offset)]
      if page != noSlot { return page &* 16 | low }
    }
    return makePage(row, number) &* 16 | low
  }

  @inline(never) private mutating func makePage(_ row: UInt32, _ number: UInt64) -> UInt32 {
    if rows[row].reach == 0 {
      makeWindow(row, around: number)
    } else if number &- rows[row].base >= rows[row].reach {
      countFarHit(row)
    }
    let offset = number &- rows[row].base
    if offset < rows[row].reach {
      let cell = rows[row].cells + Int(offset)
      if cells[cell] == noSlot { cells[cell] = pages.allocate(number: number, row: row) }
      return cells[cell]
    }
    let position = Self.position(of: number, in: far[Int(row)].all)
    if position < far[Int(row)].all.count, far[Int(row)].all[position].number == number {
      return far[Int(row)].all[position].page
    }
    let page = pages.allocate(number: number, row: row)
    far[Int(row)].all.insert(FarPage(number: number, page: page), at: position)
    rows[row].farPages += 1
    return page
  }

  /// Position of the first page whose number is at least `number`.
  static func position(of number: UInt64, in pages: ContiguousArray<FarPage>) -> Int {
    var low = 0
    var high = pages.count
    while low < high {
      let middle = (low + high) / 2
      if pages[middle].number < number { low = middle + 1 } else { high = middle }
    }
    return low
  }

  // MARK: Occupancy

  /// The level got its first order.
  @inline(__always) mutating func occupy(_ level: UInt32, _ side: Side) {
    occupy(level, side, pages.header(of: level), LevelPages.bit(level, side))
  }

  /// As above, of a level whose page and bit there are known. It may be occupied already.
  /// - Parameter near: its row, if it is known to lie in the row's window.
  @inline(__always) mutating func occupy(
    _ level: UInt32, _ side: Side, _ header: UnsafeMutablePointer<LevelPage>, _ bit: UInt32,
    near: UnsafeMutablePointer<Row>? = nil
  ) {
    let before = header.pointee.occupied
    header.pointee.occupied = before | bit
    let row = near ?? rows.address(header.pointee.row)
    if LevelPages.word(before, side) == 0 {
      pageOccupied(row, header, level / LevelPages.width, side, isNear: near != nil)
    }
    let key = Self.key(LevelPages.price(of: level, header), side)
    // Without a branch, like the other choices that a market makes at random.
    let place = Self.address(row, side)
    let bestBefore = place.pointee.bestKey
    place.pointee.best = key > bestBefore ? level : place.pointee.best
    place.pointee.bestKey = max(key, bestBefore)
  }

  /// The level lost its last order.
  @inline(__always) mutating func vacate(_ level: UInt32, _ side: Side) {
    if vacate(level, side, pages.header(of: level), LevelPages.bit(level, side)) { findBest(level, side) }
  }

  /// As above, of a level whose page is known; nothing happens if `bit` is 0 and not the level's.
  /// - Returns: whether it was the best, or the last one of its page: `findBest` is to follow.
  @inline(__always) func vacate(
    _ level: UInt32, _ side: Side, _ header: UnsafeMutablePointer<LevelPage>, _ bit: UInt32
  ) -> Bool {
    let after = header.pointee.occupied & ~bit
    header.pointee.occupied = after
    // One branch, hardly ever taken, instead of three that are.
    let isLast: UInt32 = LevelPages.word(after, side) == 0 ? bit : 0
    let isBest: UInt32 = level == address(header.pointee.row, side).pointee.best ? bit : 0
    return isLast | isBest != 0
  }

  /// A level that was the best, or the last one of its page, was vacated.
  @inline(never) mutating func findBest(_ level: UInt32, _ side: Side) {
    var header = pages.header(of: level)
    let row = rows.address(header.pointee.row)
    let place = Self.address(row, side)
    var page = level / LevelPages.width
    var word = LevelPages.word(header.pointee.occupied, side)
    if word == 0 {
      pageVacated(row, header, page, side)
      if level != place.pointee.best { return }
      page = row.pointee.farPages == 0 ? bestNearPage(row, side) : bestPage(header.pointee.row, side)
      if page == noSlot {
        place.pointee.best = noSlot
        place.pointee.bestKey = Self.noKey
        return
      }
      header = pages.header(of: page &* LevelPages.width)
      word = LevelPages.word(header.pointee.occupied, side)
    } else if level != place.pointee.best {
      return
    }
    let next = LevelPages.bestLevel(page, word, side)
    place.pointee.best = next
    place.pointee.bestKey = Self.key(LevelPages.price(of: next, header), side)
  }

  /// The best occupied page of a row that has none outside its window; or none.
  @inline(__always) private func bestNearPage(_ row: UnsafeMutablePointer<Row>, _ side: Side) -> UInt32 {
    let summary = Self.address(row, side).pointee.summary
    if summary == 0 { return noSlot }
    let word = 63 &- summary.leadingZeroBitCount
    let position = word &<< 6 | (63 &- bits[Self.bitWord(row, side) &+ word].leadingZeroBitCount)
    return cells[row.pointee.cells &+ Int(truncatingIfNeeded: Self.position(UInt64(position), side))]
  }

  /// The best occupied page of any row; or none.
  @inline(never) private mutating func bestPage(_ row: UInt32, _ side: Side) -> UInt32 {
    worsePage(row, side, than: nil)
  }

  /// A page's place in the window, as its side counts.
  @inline(__always) private static func position(_ offset: UInt64, _ side: Side) -> UInt64 {
    offset ^ (mask(side) & (span - 1))
  }

  @inline(__always) private static func bitWord(_ row: UnsafeMutablePointer<Row>, _ side: Side) -> Int {
    row.pointee.bits &+ Int(side.rawValue) &* words
  }

  @inline(__always) mutating func pageOccupied(
    _ row: UnsafeMutablePointer<Row>, _ header: UnsafeMutablePointer<LevelPage>, _ page: UInt32, _ side: Side,
    isNear: Bool = false
  ) {
    let offset = header.pointee.number &- row.pointee.base
    guard isNear || offset < row.pointee.reach else { return farOccupied(header.pointee.row, page, side) }
    let position = Self.position(offset, side)
    bits[Self.bitWord(row, side) &+ Int(truncatingIfNeeded: position &>> 6)] |= 1 &<< (position & 63)
    Self.address(row, side).pointee.summary |= 1 &<< (position &>> 6)
  }

  @inline(__always) private mutating func pageVacated(
    _ row: UnsafeMutablePointer<Row>, _ header: UnsafeMutablePointer<LevelPage>, _ page: UInt32, _ side: Side
  ) {
    let offset = header.pointee.number &- row.pointee.base
    guard offset < row.pointee.reach else { return farVacated(header.pointee.row, page, side) }
    let position = Self.position(offset, side)
    let word = bits.address(Self.bitWord(row, side) &+ Int(truncatingIfNeeded: position &>> 6))
    let left = word.pointee & ~(1 &<< (position & 63))
    word.pointee = left
    Self.address(row, side).pointee.summary &= ~((left == 0 ? 1 : 0) &<< (position &>> 6))
  }

  @inline(never) private mutating func farOccupied(_ row: UInt32, _ page: UInt32, _ side: Side) {
    let entry = FarPage(number: pages[page: page].number, page: page)
    if side == .buy {
      far[Int(row)].bids.insert(entry, at: Self.position(of: entry.number, in: far[Int(row)].bids))
    } else {
      far[Int(row)].asks.insert(entry, at: Self.position(of: entry.number, in: far[Int(row)].asks))
    }
  }

  @inline(never) private mutating func farVacated(_ row: UInt32, _ page: UInt32, _ side: Side) {
    let number = pages[page: page].number
    if side == .buy {
      far[Int(row)].bids.remove(at: Self.position(of: number, in: far[Int(row)].bids))
    } else {
      far[Int(row)].asks.remove(at: Self.position(of: number, in: far[Int(row)].asks))
    }
  }

  /// Gives a page back if nothing refers to it.
  @inline(__always) mutating func releaseIfIdle(_ page: UInt32) {
    if pages.isIdle(page) { release(page) }
  }

  @inline(never) private mutating func release(_ page: UInt32) {
    let row = pages[page: page].row
    if row == LevelPages.noRow { return pages.release(page) }
    let number = pages[page: page].number
    let offset = number &- rows[row].base
    if offset < rows[row].reach {
      cells[rows[row].cells + Int(offset)] = noSlot
    } else {
      far[Int(row)].all.remove(at: Self.position(of: number, in: far[Int(row)].all))
      rows[row].farPages -= 1
    }
    pages.release(page)
  }

  // MARK: Order of prices

  /// The best level whose price is worse than `ticks`, or the best of all; none if there is none.
  @inline(__always) func worse(_ row: UInt32, _ side: Side, than ticks: Int64?) -> UInt32 {
    if let ticks {
      let page = findPage(row, UInt64(bitPattern: ticks) &>> 4)
      if page != noSlot {
        let bit = LevelPages.bit(UInt32(truncatingIfNeeded: ticks & 15), side)
        let rest = LevelPages.word(pages[page: page].occupied & (bit &- 1), side)
        if rest != 0 { return LevelPages.bestLevel(page, rest, side) }
      }
    }
    let page = worsePage(row, side, than: ticks)
    if page == noSlot { return noSlot }
    return LevelPages.bestLevel(page, LevelPages.word(pages[page: page].occupied, side), side)
  }

  /// The best occupied page beyond the one that holds `ticks`, or of all.
  @inline(__always) private func worsePage(_ row: UInt32, _ side: Side, than ticks: Int64?) -> UInt32 {
    let place = rows.address(row)
    if place.pointee.reach == 0 { return noSlot }
    var limit = Self.span
    if let ticks {
      let offset = UInt64(bitPattern: ticks) &>> 4 &- place.pointee.base
      if offset < Self.span {
        limit = Self.position(offset, side)
      } else {
        // Beyond the window on its better side: all of it is worse.
        limit = (Int64(bitPattern: offset) >= 0) == (side == .buy) ? Self.span : 0
      }
    }
    let position = highest(place, side, below: limit)
    if place.pointee.farPages != 0 { return worseFarPage(row, side, than: ticks, near: position) }
    if position < 0 { return noSlot }
    return cells[place.pointee.cells &+ Int(truncatingIfNeeded: Self.position(UInt64(position), side))]
  }

  /// The highest place of an occupied page below `limit`, or -1.
  @inline(__always) private func highest(
    _ row: UnsafeMutablePointer<Row>, _ side: Side, below limit: UInt64
  ) -> Int {
    let base = Self.bitWord(row, side)
    let summary = Self.address(row, side).pointee.summary
    var words = summary
    if limit < Self.span {
      let rest = bits[base &+ Int(truncatingIfNeeded: limit &>> 6)] & (1 &<< (limit & 63) &- 1)
      if rest != 0 { return Int(truncatingIfNeeded: limit & ~63) | (63 &- rest.leadingZeroBitCount) }
      words = summary & (1 &<< (limit &>> 6) &- 1)
    }
    if words == 0 { return -1 }
    let word = 63 &- words.leadingZeroBitCount
    return word &<< 6 | (63 &- bits[base &+ word].leadingZeroBitCount)
  }

  @inline(__always) private func worseFarPage(_ row: UInt32, _ side: Side, than ticks: Int64?, near: Int) -> UInt32 {
    let place = rows[row]
    let pages = side == .buy ? far[Int(row)].bids : far[Int(row)].asks
    var best: FarPage?
    if near >= 0 {
      let offset = Self.position(UInt64(near), side)
      best = FarPage(number: place.base &+ offset, page: cells[place.cells + Int(offset)])
    }
    let number = ticks.map { UInt64(bitPattern: $0) >> 4 }
    if side == .buy {
      let position = (number.map { Self.position(of: $0, in: pages) } ?? pages.count) - 1
      if position >= 0, best.map({ $0.number < pages[position].number }) ?? true { best = pages[position] }
    } else {
      let position = number.map { Self.position(of: $0 + 1, in: pages) } ?? 0
      if position < pages.count, best.map({ $0.number > pages[position].number }) ?? true { best = pages[position] }
    }
    return best?.page ?? noSlot
  }
}
