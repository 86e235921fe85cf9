import Primitives

/// Finds the levels of each instrument by price, the best one and the next.
///
/// A flat window of 2^16 prices around the market holds a page number for every sixteen prices and, for each side, two
/// tiers of occupancy bits above those of the page. Prices outside it are found in sorted arrays. Where the window lies
/// is a matter of speed only: it moves when the market has left it. An instrument without orders has no window.
struct PriceLadder: ~Copyable {
  /// Pages in a window.
  static let span: UInt64 = 4096
  private static let words = 64
  /// Far look-ups after which moving the window is considered.
  private static let patience: UInt32 = 1024
  static let noBid = Int64.min
  static let noAsk = Int64.max

  struct Row {
    /// Number of the window's first page.
    var base: UInt64 = 0
    /// Index of its window, or -1.
    var window: Int = -1
    /// A window that an earlier book of this place left behind, or -1.
    var spareWindow: Int = -1
    /// Prices of the best levels; `noBid` and `noAsk` without one.
    var bestBidTicks: Int64 = noBid
    var bestAskTicks: Int64 = noAsk
    var bestBid: UInt32 = noSlot
    var bestAsk: UInt32 = noSlot
    /// Which words of the window's bits are not zero.
    var bidSummary: UInt64 = 0
    var askSummary: UInt64 = 0
    var farPages: UInt32 = 0
    var farHits: UInt32 = 0
  }

  private struct FarPage {
    var number: UInt64
    var page: UInt32
  }

  /// Pages outside the window, by number: all, those with bids, those with asks.
  private struct FarPages {
    var all: ContiguousArray<FarPage> = []
    var bids: ContiguousArray<FarPage> = []
    var asks: ContiguousArray<FarPage> = []
  }

  var pages = LevelPages()
  private var rows = Slab(capacity: 4, blank: Row())
  private var cells = Slab<UInt32>(capacity: 1, blank: noSlot)
  private var bits = Slab<UInt64>(capacity: 1, blank: 0)
  private var far: ContiguousArray<FarPages> = []
  private var windows = 0

  /// The ladder of one more book.
  mutating func append() {
    far.append(FarPages())
    rows.reserve(far.count)
    let left = rows[far.count - 1]
    rows[far.count - 1] = Row(spareWindow: max(left.window, left.spareWindow))
  }

  /// Drops the newest book's ladder. Pages that are still marked stay until their marks are taken, without a book.
  /// - Precondition: it has no orders, also none whose removal may be undone.
  mutating func removeLast() {
    precondition(far.count > 0, "no ladder to remove")
    let row = rows[far.count - 1]
    if row.window >= 0 {
      for cell in row.window * Int(Self.span)..<(row.window + 1) * Int(Self.span) where cells[cell] != noSlot {
        pages.orphan(cells[cell])
        cells[cell] = noSlot
      }
    }
    for entry in far.removeLast().all { pages.orphan(entry.page) }
  }

  @inline(__always) subscript(book: UInt32) -> Row { _read { yield rows[book] } }

  // MARK: Find

  /// The level at a price, or none; it may be empty.
  @inline(__always) func find(_ book: UInt32, _ ticks: Int64) -> UInt32 {
    let number = UInt64(bitPattern: ticks) &>> 4
    let page = findPage(book, number)
    return page == noSlot ? noSlot : page &* 16 | UInt32(truncatingIfNeeded: ticks & 15)
  }

  @inline(__always) private func findPage(_ book: UInt32, _ number: UInt64) -> UInt32 {
    let row = rows[book]
    let offset = number &- row.base
    if offset < Self.span && row.window >= 0 { return cells[row.window &* Int(Self.span) &+ Int(offset)] }
    return row.farPages == 0 ? noSlot : findFar(book, number)
  }

  @inline(never) private func findFar(_ book: UInt32, _ number: UInt64) -> UInt32 {
    let pages = far[Int(book)].all
    let position = Self.position(of: number, in: pages)
    return position < pages.count && pages[position].number == number ? pages[position].page : noSlot
  }

  /// The level at a price, its page made if it is missing.
  /// - Precondition: `ticks > 0`.
  @inline(__always) mutating func open(_ book: UInt32, _ ticks: Int64) -> UInt32 {
    let number = UInt64(bitPattern: ticks) &>> 4
    let row = rows[book]
    let offset = number &- row.base
    let low = UInt32(truncatingIfNeeded: ticks & 15)
    if offset < Self.span && row.window >= 0 {
      let cell = row.window &* Int(Self.span) &+ Int(offset)
      var page = cells[cell]
      if page == noSlot {
        page = pages.allocate(number: number, book: book)
        cells[cell] = page
      }
      return page &* 16 | low
    }
    return openFar(book, number) &* 16 | low
  }

  @inline(never) private mutating func openFar(_ book: UInt32, _ number: UInt64) -> UInt32 {
    if rows[book].window < 0 {
      makeWindow(book, around: number)
    } else {
      rows[book].farHits += 1
      if rows[book].farHits > Self.patience &+ 2 &* rows[book].farPages { considerMoving(book) }
    }
    let offset = number &- rows[book].base
    if offset < Self.span {
      let cell = rows[book].window * Int(Self.span) + Int(offset)
      if cells[cell] == noSlot { cells[cell] = pages.allocate(number: number, book: book) }
      return cells[cell]
    }
    let position = Self.position(of: number, in: far[Int(book)].all)
    if position < far[Int(book)].all.count, far[Int(book)].all[position].number == number {
      return far[Int(book)].all[position].page
    }
    let page = pages.allocate(number: number, book: book)
    far[Int(book)].all.insert(FarPage(number: number, page: page), at: position)
    rows[book].farPages += 1
    return page
  }

  /// Position of the first page whose number is at least `number`.
  private static func position(of number: UInt64, in pages: ContiguousArray<FarPage>) -> Int {
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
    let page = level / LevelPages.width
    let before = pages[page: page].occupied
    pages[page: page].occupied = before | LevelPages.bit(level, side)
    let book = pages[page: page].book
    if Self.word(before, side) == 0 { pageOccupied(book, page, side) }
    let ticks = pages.price(of: level)
    if side == .buy {
      if ticks > rows[book].bestBidTicks {
        rows[book].bestBidTicks = ticks
        rows[book].bestBid = level
      }
    } else if ticks < rows[book].bestAskTicks {
      rows[book].bestAskTicks = ticks
      rows[book].bestAsk = level
    }
  }

  /// The level lost its last order.
  @inline(__always) mutating func vacate(_ level: UInt32, _ side: Side) {
    let page = level / LevelPages.width
    let after = pages[page: page].occupied & ~LevelPages.bit(level, side)
    pages[page: page].occupied = after
    let book = pages[page: page].book
    if Self.word(after, side) == 0 { pageVacated(book, page, side) }
    if side == .buy {
      if level == rows[book].bestBid { refreshBestBid(book) }
    } else if level == rows[book].bestAsk {
      refreshBestAsk(book)
    }
  }

  @inline(__always) private static func word(_ occupied: UInt32, _ side: Side) -> UInt32 {
    side == .buy ? occupied & 0xFFFF : occupied &>> 16
  }

  @inline(__always) private mutating func pageOccupied(_ book: UInt32, _ page: UInt32, _ side: Side) {
    let offset = pages[page: page].number &- rows[book].base
    guard offset < Self.span else { return farOccupied(book, page, side) }
    let word = Int(truncatingIfNeeded: offset &>> 6)
    bits[bitWord(book, side) &+ word] |= 1 &<< (offset & 63)
    if side == .buy { rows[book].bidSummary |= 1 &<< UInt64(word) } else { rows[book].askSummary |= 1 &<< UInt64(word) }
  }

  @inline(__always) private mutating func pageVacated(_ book: UInt32, _ page: UInt32, _ side: Side) {
    let offset = pages[page: page].number &- rows[book].base
    guard offset < Self.span else { return farVacated(book, page, side) }
    let word = Int(truncatingIfNeeded: offset &>> 6)
    let left = bits[bitWord(book, side) &+ word] & ~(1 &<< (offset & 63))
    bits[bitWord(book, side) &+ word] = left
    if left != 0 { return }
    if side == .buy {
      rows[book].bidSummary &= ~(1 &<< UInt64(word))
    } else {
      rows[book].askSummary &= ~(1 &<< UInt64(word))
    }
  }

  @inline(__always) private func bitWord(_ book: UInt32, _ side: Side) -> Int {
    (rows[book].window &* 2 &+ Int(side.rawValue)) &* Self.words
  }

  @inline(never) private mutating func farOccupied(_ book: UInt32, _ page: UInt32, _ side: Side) {
    let entry = FarPage(number: pages[page: page].number, page: page)
    if side == .buy {
      far[Int(book)].bids.insert(entry, at: Self.position(of: entry.number, in: far[Int(book)].bids))
    } else {
      far[Int(book)].asks.insert(entry, at: Self.position(of: entry.number, in: far[Int(book)].asks))
    }
  }

  @inline(never) private mutating func farVacated(_ book: UInt32, _ page: UInt32, _ side: Side) {
    let number = pages[page: page].number
    if side == .buy {
      far[Int(book)].bids.remove(at: Self.position(of: number, in: far[Int(book)].bids))
    } else {
      far[Int(book)].asks.remove(at: Self.position(of: number, in: far[Int(book)].asks))
    }
  }

  /// Gives a page back if nothing refers to it.
  @inline(__always) mutating func releaseIfIdle(_ page: UInt32) {
    if pages.isIdle(page) { release(page) }
  }

  @inline(never) private mutating func release(_ page: UInt32) {
    let book = pages[page: page].book
    if book == LevelPages.noBook { return pages.release(page) }
    let number = pages[page: page].number
    let offset = number &- rows[book].base
    if offset < Self.span {
      cells[rows[book].window * Int(Self.span) + Int(offset)] = noSlot
    } else {
      far[Int(book)].all.remove(at: Self.position(of: number, in: far[Int(book)].all))
      rows[book].farPages -= 1
    }
    pages.release(page)
  }

  // MARK: Order of prices

  @inline(__always) private mutating func refreshBestBid(_ book: UInt32) {
    let level = worse(book, .buy, than: nil)
    rows[book].bestBid = level
    rows[book].bestBidTicks = level == noSlot ? Self.noBid : pages.price(of: level)
  }

  @inline(__always) private mutating func refreshBestAsk(_ book: UInt32) {
    let level = worse(book, .sell, than: nil)
    rows[book].bestAsk = level
    rows[book].bestAskTicks = level == noSlot ? Self.noAsk : pages.price(of: level)
  }

  /// The best level whose price is worse than `ticks`, or the best of all; none if there is none.
  @inline(__always) func worse(_ book: UInt32, _ side: Side, than ticks: Int64?) -> UInt32 {
    if let ticks {
      let page = findPage(book, UInt64(bitPattern: ticks) &>> 4)
      if page != noSlot {
        let word = Self.word(pages[page: page].occupied, side)
        let low = UInt32(truncatingIfNeeded: ticks & 15)
        let rest = side == .buy ? word & (1 &<< low &- 1) : word & ~(2 &<< low &- 1)
        if rest != 0 { return Self.level(page, rest, side) }
      }
    }
    let page = worsePage(book, side, than: ticks)
    return page == noSlot ? noSlot : Self.level(page, Self.word(pages[page: page].occupied, side), side)
  }

  /// The best level in a page whose occupancy is `word`.
  @inline(__always) private static func level(_ page: UInt32, _ word: UInt32, _ side: Side) -> UInt32 {
    let low = side == .buy ? 31 &- word.leadingZeroBitCount : word.trailingZeroBitCount
    return page &* 16 | UInt32(truncatingIfNeeded: low)
  }

  /// The best occupied page beyond the one that holds `ticks`, or of all.
  @inline(__always) private func worsePage(_ book: UInt32, _ side: Side, than ticks: Int64?) -> UInt32 {
    let row = rows[book]
    if row.window < 0 { return noSlot }
    let offset = side == .buy ? nearBelow(book, ticks) : nearAbove(book, ticks)
    if row.farPages != 0 { return worseFarPage(book, side, than: ticks, near: offset) }
    return offset < 0 ? noSlot : cells[row.window &* Int(Self.span) &+ offset]
  }

  /// Offset in the window of the highest page with bids below that of `ticks`, or -1.
  @inline(__always) private func nearBelow(_ book: UInt32, _ ticks: Int64?) -> Int {
    let row = rows[book]
    var limit = Int(Self.span)
    if let ticks {
      let number = UInt64(bitPattern: ticks) &>> 4
      if number <= row.base { return -1 }
      limit = Int(truncatingIfNeeded: min(number &- row.base, Self.span))
    }
    let base = bitWord(book, .buy)
    if limit < Int(Self.span) {
      let rest = bits[base &+ limit &>> 6] & (1 &<< UInt64(limit & 63) &- 1)
      if rest != 0 { return limit & ~63 | (63 &- rest.leadingZeroBitCount) }
      limit &= ~63
    }
    let words = limit == Int(Self.span) ? row.bidSummary : row.bidSummary & (1 &<< UInt64(limit &>> 6) &- 1)
    if words == 0 { return -1 }
    let word = 63 &- words.leadingZeroBitCount
    return word &<< 6 | (63 &- bits[base &+ word].leadingZeroBitCount)
  }

  /// Offset in the window of the lowest page with asks above that of `ticks`, or -1.
  @inline(__always) private func nearAbove(_ book: UInt32, _ ticks: Int64?) -> Int {
    let row = rows[book]
    var first = 0
    if let ticks {
      let number = UInt64(bitPattern: ticks) &>> 4 &+ 1
      if number >= row.base &+ Self.span { return -1 }
      first = number <= row.base ? 0 : Int(truncatingIfNeeded: number &- row.base)
    }
    let base = bitWord(book, .sell)
    if first & 63 != 0 {
      let rest = bits[base &+ first &>> 6] & ~(1 &<< UInt64(first & 63) &- 1)
      if rest != 0 { return first & ~63 | rest.trailingZeroBitCount }
      first = (first &>> 6 &+ 1) &<< 6
      if first >= Int(Self.span) { return -1 }
    }
    let words = row.askSummary & ~(1 &<< UInt64(first &>> 6) &- 1)
    if words == 0 { return -1 }
    let word = words.trailingZeroBitCount
    return word &<< 6 | bits[base &+ word].trailingZeroBitCount
  }

  @inline(never) private func worseFarPage(_ book: UInt32, _ side: Side, than ticks: Int64?, near: Int) -> UInt32 {
    let row = rows[book]
    let pages = side == .buy ? far[Int(book)].bids : far[Int(book)].asks
    var best: FarPage?
    if near >= 0 {
      best = FarPage(number: row.base &+ UInt64(near), page: cells[row.window * Int(Self.span) + near])
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

  // MARK: Window

  private mutating func makeWindow(_ book: UInt32, around number: UInt64) {
    rows[book].base = number - min(number, Self.span / 2)
    if rows[book].spareWindow >= 0 {
      rows[book].window = rows[book].spareWindow
      rows[book].spareWindow = -1
      return
    }
    cells.reserve((windows + 1) * Int(Self.span))
    bits.reserve((windows + 1) * 2 * Self.words)
    rows[book].window = windows
    windows += 1
  }

  /// Moves the window to the market if that has come near its edge or left it.
  private mutating func considerMoving(_ book: UInt32) {
    rows[book].farHits = 0
    let row = rows[book]
    guard let best = row.bestBid != noSlot ? row.bestBid : row.bestAsk != noSlot ? row.bestAsk : nil else { return }
    let number = pages[page: best / LevelPages.width].number
    let centre = row.base + Self.span / 2
    guard max(number, centre) - min(number, centre) > Self.span / 4 else { return }
    move(book, to: number - min(number, Self.span / 2))
  }

  private mutating func move(_ book: UInt32, to base: UInt64) {
    let first = rows[book].window * Int(Self.span)
    var kept = far[Int(book)].all
    for cell in first..<first + Int(Self.span) where cells[cell] != noSlot {
      kept.append(FarPage(number: pages[page: cells[cell]].number, page: cells[cell]))
      cells[cell] = noSlot
    }
    kept.sort { $0.number < $1.number }
    for side in Side.allCases {
      for word in 0..<Self.words { bits[bitWord(book, side) + word] = 0 }
    }
    far[Int(book)] = FarPages()
    rows[book].base = base
    rows[book].bidSummary = 0
    rows[book].askSummary = 0
    for entry in kept {
      let offset = entry.number &- base
      if offset < Self.span { cells[first + Int(offset)] = entry.page } else { far[Int(book)].all.append(entry) }
      for side in Side.allCases where Self.word(pages[page: entry.page].occupied, side) != 0 {
        pageOccupied(book, entry.page, side)
      }
    }
    rows[book].farPages = UInt32(far[Int(book)].all.count)
  }
}
