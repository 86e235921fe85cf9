import Primitives

/// Finds levels by price, the best one and the next; a row for each book.
///
/// A flat window of 2^16 prices around the market holds a page number for every sixteen prices and, for each side, a
/// bit for every price, with two tiers of bits above. Prices outside it are found in sorted arrays of pages. Where the
/// window lies is a matter of speed only: it moves when the market has left it. A row without orders has no window.
///
/// Each side counts so that better is higher: asks count prices backwards. Then both sides are one code without
/// branches, which matters, because nobody can predict the side of the next order.
struct PriceLadder: ~Copyable {
  /// Prices in a window.
  static let span: UInt64 = 1 << 16
  /// Pages in a window.
  static let cellsInWindow = Int(span) / Int(LevelPages.width)
  /// Words of bits of one side of a window: those of the second tier, then those of prices.
  static let tierWords = 16
  static let words = tierWords + Int(span) / 64
  /// A window's words: bids, asks, and scratch for either.
  static let wordsInWindow = 4 * words
  /// The key of a side without levels: worse than any price.
  static let noKey = Int64.min

  /// What a row knows of one side.
  struct SideRow {
    /// `key` of the best price, or `noKey`.
    var bestKey = noKey
    /// The highest tier of bits: which words of the second one are not zero.
    var top: UInt64 = 0
    var best = noSlot
    /// The highest tier of scratch. It is used, and zeroed again, by `takeChangedLevels`.
    var scratch: UInt64 = 0
  }

  struct Row {
    var buy = SideRow()
    var sell = SideRow()
    /// The window's lowest price, in ticks: a page's first.
    var base: UInt64 = 0
    /// Prices in the window: `span`, or 0 before it is made.
    var reach: UInt64 = 0
    /// First of the window's cells, and first of its words of bits.
    var cells = 0
    var bits = 0
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
    let spare = left.reach == 0 ? left.spareWindow : UInt32(left.cells / Self.cellsInWindow) + 1
    rows[far.count - 1] = Row(spareWindow: spare)
  }

  /// Drops the newest row. Pages that are still marked stay until their marks are taken, without a row.
  /// - Precondition: it has no orders, also none whose removal may be undone.
  mutating func removeLast() {
    precondition(far.count > 0, "no row to remove")
    let row = rows[far.count - 1]
    if row.reach > 0 {
      for cell in row.cells..<row.cells + Self.cellsInWindow where cells[cell] != noSlot {
        pages.orphan(cells[cell])
        cells[cell] = noSlot
      }
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
    Self.reaches(rows.address(row), side, ticks)
  }

  @inline(__always) static func reaches(_ row: UnsafeMutablePointer<Row>, _ side: Side, _ ticks: Int64) -> Bool {
    address(row, side).pointee.bestKey >= key(ticks, side)
  }

  // MARK: Find

  /// The level at a price, or none; it may be empty.
  @inline(__always) func find(_ row: UInt32, _ ticks: Int64) -> UInt32 {
    let place = rows.address(row)
    let offset = UInt64(bitPattern: ticks) &- place.pointee.base
    let page =
      offset < place.pointee.reach
      ? cells[Self.cell(place, offset)] : findFar(row, UInt64(bitPattern: ticks) &>> 4)
    return page == noSlot ? noSlot : page &* LevelPages.width | UInt32(truncatingIfNeeded: ticks & 15)
  }

  /// As `find`, in the row's window only.
  @inline(__always) func findNear(_ row: UnsafeMutablePointer<Row>, _ ticks: Int64) -> UInt32 {
    let offset = UInt64(bitPattern: ticks) &- row.pointee.base
    guard offset < row.pointee.reach else { return noSlot }
    let page = cells[Self.cell(row, offset)]
    return page == noSlot ? noSlot : page &* LevelPages.width | UInt32(truncatingIfNeeded: ticks & 15)
  }

  /// Asks for the memory of the level at a price, if it is near the market.
  @inline(__always) func prefetch(_ row: UInt32, _ ticks: Int64) {
    let row = rows.address(row)
    let offset = UInt64(bitPattern: ticks) &- row.pointee.base
    guard offset < row.pointee.reach else { return }
    let page = cells[Self.cell(row, offset)]
    pages.prefetch(page &* LevelPages.width | UInt32(truncatingIfNeeded: ticks & 15))
  }

  @inline(__always) private static func cell(_ row: UnsafeMutablePointer<Row>, _ offset: UInt64) -> Int {
    row.pointee.cells &+ Int(truncatingIfNeeded: offset &>> 4)
  }

  @inline(__always) private func findFar(_ row: UInt32, _ number: UInt64) -> UInt32 {
    if rows[row].farPages == 0 { return noSlot }
    let pages = far[Int(row)].all
    let position = Self.position(of: number, in: pages)
    return position < pages.count && pages[position].number == number ? pages[position].page : noSlot
  }

  /// The level at a price, its page made if it is missing.
  /// - Precondition: `ticks > 0`.
  @inline(__always) mutating func open(_ row: UInt32, _ ticks: Int64) -> UInt32 {
    let place = rows.address(row)
    let offset = UInt64(bitPattern: ticks) &- place.pointee.base
    let low = UInt32(truncatingIfNeeded: ticks & 15)
    if offset < place.pointee.reach {
      let page = cells[Self.cell(place, offset)]
      if page != noSlot { return page &* LevelPages.width | low }
    }
    return makePage(row, UInt64(bitPattern: ticks) &>> 4) &* LevelPages.width | low
  }

  @inline(never) private mutating func makePage(_ row: UInt32, _ number: UInt64) -> UInt32 {
    if rows[row].reach == 0 {
      makeWindow(row, around: number)
    } else if number &* 16 &- rows[row].base >= rows[row].reach {
      countFarHit(row)
    }
    let place = rows.address(row)
    let offset = number &* 16 &- place.pointee.base
    if offset < place.pointee.reach {
      let cell = Self.cell(place, offset)
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

  /// Gives a page back if nothing refers to it.
  @inline(never) mutating func releaseIfIdle(_ page: UInt32) {
    let header = pages[page: page]
    guard header.isUsed == 1, pages.isIdle(page) else { return }
    if header.row != LevelPages.noRow {
      let place = rows.address(header.row)
      let offset = header.number &* 16 &- place.pointee.base
      if offset < place.pointee.reach {
        cells[Self.cell(place, offset)] = noSlot
      } else {
        far[Int(header.row)].all.remove(at: Self.position(of: header.number, in: far[Int(header.row)].all))
        place.pointee.farPages -= 1
      }
    }
    pages.release(page)
  }

  // MARK: Bits

  /// A price's place in the window, as its side counts.
  @inline(__always) static func position(_ offset: UInt64, _ side: Side) -> UInt64 {
    offset ^ (mask(side) & (span - 1))
  }

  /// Sets a price's bit in a side's three tiers, which may be set.
  /// - Parameter first: first of the side's words.
  @inline(__always) func set(_ position: UInt64, _ first: Int, _ top: inout UInt64) {
    let tier = bits.address(first &+ Self.words &- 1) - (Self.words &- 1)
    let word = tier + (Self.tierWords &+ Int(truncatingIfNeeded: position &>> 6))
    word.pointee |= 1 &<< (position & 63)
    tier[Int(truncatingIfNeeded: position &>> 12)] |= 1 &<< (position &>> 6 & 63)
    top |= 1 &<< (position &>> 12)
  }

  /// Clears it, and what is above it where nothing is left: without a branch, since that is anybody's guess.
  @inline(__always) func clear(_ position: UInt64, _ first: Int, _ top: inout UInt64) {
    let tier = bits.address(first &+ Self.words &- 1) - (Self.words &- 1)
    let word = tier + (Self.tierWords &+ Int(truncatingIfNeeded: position &>> 6))
    let above = tier + Int(truncatingIfNeeded: position &>> 12)
    let left = word.pointee & ~(1 &<< (position & 63))
    word.pointee = left
    let leftAbove = above.pointee & ~((left == 0 ? 1 : 0) &<< (position &>> 6 & 63))
    above.pointee = leftAbove
    top &= ~((leftAbove == 0 ? 1 : 0) &<< (position &>> 12))
  }

  /// The highest position that is set.
  /// - Precondition: `top`, which is the highest tier, is not zero.
  @inline(__always) func highest(_ first: Int, _ top: UInt64) -> UInt64 {
    let tier = bits.address(first &+ Self.words &- 1) - (Self.words &- 1)
    let above = (63 &- top.leadingZeroBitCount) & 15
    let word = above &<< 6 | (63 &- tier[above].leadingZeroBitCount) & 63
    return UInt64(truncatingIfNeeded: word &<< 6 | (63 &- tier[Self.tierWords &+ word].leadingZeroBitCount) & 63)
  }

  /// The highest position below `limit` that is set; nil if there is none.
  func highest(_ first: Int, _ top: UInt64, below limit: UInt64) -> UInt64? {
    if limit >= Self.span { return top == 0 ? nil : highest(first, top) }
    let word = Int(limit >> 6)
    let rest = bits[first + Self.tierWords + word] & (1 << (limit & 63) - 1)
    if rest != 0 { return UInt64(word << 6 | (63 - rest.leadingZeroBitCount)) }
    let words = bits[first + word >> 6] & (1 << UInt64(word & 63) - 1)
    if words != 0 {
      let word = word & ~63 | (63 - words.leadingZeroBitCount)
      return UInt64(word << 6 | (63 - bits[first + Self.tierWords + word].leadingZeroBitCount))
    }
    let left = top & (1 << (limit >> 12) - 1)
    return left == 0 ? nil : highest(first, left)
  }

  @inline(__always) static func bitWord(_ row: UnsafeMutablePointer<Row>, _ side: Side) -> Int {
    row.pointee.bits &+ Int(side.rawValue) &* words
  }

  /// The level at a position of the window at which there is one.
  @inline(__always) func level(_ row: UnsafeMutablePointer<Row>, _ position: UInt64, _ side: Side) -> UInt32 {
    let offset = Self.position(position, side)
    return cells[Self.cell(row, offset)] &* LevelPages.width | UInt32(truncatingIfNeeded: offset & 15)
  }
}
