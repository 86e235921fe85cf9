import Primitives

/// What has changed in the public book since somebody last asked.
extension MatchingEngine {
  /// Collect what `takeChangedLevels` returns? Off by default, and then without cost. Turning it on starts from
  /// nothing.
  public var tracksChangedLevels: Bool {
    get { ladder.pages.tracksChanges }
    set {
      if newValue == ladder.pages.tracksChanges { return }
      ladder.pages.tracksChanges = newValue
      vanishedLevels.removeAll()
      while let (page, _) = ladder.pages.takeChanged() { ladder.releaseIfIdle(page) }
    }
  }

  /// The levels that `apply` or `rollback` touched since the last call, by instrument, side and price, as they are now.
  /// - Complexity: O(k) for k levels near the market; those far from it are sorted.
  public mutating func takeChangedLevels() -> [LevelChange] {
    var changes: [LevelChange] = []
    takeChangedLevels(into: &changes)
    return changes
  }

  /// As `takeChangedLevels`, into an array that keeps its memory from call to call.
  public mutating func takeChangedLevels(into changes: inout [LevelChange]) {
    changes.removeAll(keepingCapacity: true)
    foundChanges.removeAll()
    sortChangedPages()
    for index in 0..<changedRows.count {
      let row = changedRows[index]
      orderChangedPages(of: row)
      for side in Side.allCases { findChanges(side) }
      for place in 0..<changedPages.count {
        let page = changedPages[place]
        ladder.pages[page: page].changed = 0
        ladder.releaseIfIdle(page)
      }
    }
    farChangedPages.removeAll(keepingCapacity: true)
    changes.append(contentsOf: foundChanges.elements)
    if vanishedLevels.isEmpty { return }
    let live = changes.count
    for gone in vanishedLevels where !changes[..<live].contains(where: { $0.isSameLevel(gone) }) {
      changes.append(gone)
    }
    vanishedLevels.removeAll(keepingCapacity: true)
    changes.sort { $0.sortsBefore($1) }
  }

  /// Parts the changed pages by row. Those in a window set a bit at their place there, so that reading the bits in
  /// order reads the pages in order; nothing is sorted but the rows.
  private mutating func sortChangedPages() {
    changedRows.removeAll()
    for index in 0..<ladder.pages.changed.count {
      let page = ladder.pages.changed[index]
      let header = ladder.pages[page: page]
      if header.row == LevelPages.noRow {
        ladder.pages[page: page].changed = 0
        ladder.releaseIfIdle(page)
        continue
      }
      let row = ladder.rows.address(header.row)
      if row.pointee.scratch == 0 { changedRows.append(header.row) }
      let offset = header.number &- row.pointee.base
      if offset < row.pointee.reach {
        ladder.bits[row.pointee.bits + 2 * PriceLadder.words + Int(offset >> 6)] |= 1 << (offset & 63)
        row.pointee.scratch |= 1 << (offset >> 6)
      } else {
        farChangedPages.append((header.row, header.number, page))
      }
    }
    ladder.pages.forgetChanged()
    farChangedPages.sort { ($0.row, $0.number) < ($1.row, $1.number) }
    sortChangedRows()
  }

  /// Rows once each, by their instruments' dots. There are few.
  private mutating func sortChangedRows() {
    var kept = 0
    for index in 0..<changedRows.count {
      let row = changedRows[index]
      var place = kept
      while place > 0, books[row].dot < books[changedRows[place - 1]].dot { place -= 1 }
      if place > 0, changedRows[place - 1] == row { continue }
      for later in stride(from: kept, to: place, by: -1) { changedRows[later] = changedRows[later - 1] }
      changedRows[place] = row
      kept += 1
    }
    changedRows.removeAll(after: kept)
  }

  /// Puts the row's changed pages into `changedPages` by rising price, and its scratch back to zero.
  private mutating func orderChangedPages(of row: UInt32) {
    changedPages.removeAll()
    let place = ladder.rows.address(row)
    let base = place.pointee.base
    for far in farChangedPages where far.row == row && far.number < base { changedPages.append(far.page) }
    while place.pointee.scratch != 0 {
      let word = place.pointee.scratch.trailingZeroBitCount
      place.pointee.scratch &= place.pointee.scratch - 1
      let bits = ladder.bits.address(place.pointee.bits + 2 * PriceLadder.words + word)
      while bits.pointee != 0 {
        let cell = place.pointee.cells + word * 64 + bits.pointee.trailingZeroBitCount
        bits.pointee &= bits.pointee - 1
        changedPages.append(ladder.cells[cell])
      }
    }
    for far in farChangedPages where far.row == row && far.number >= base { changedPages.append(far.page) }
  }

  /// Adds one side's changed levels of the pages in `changedPages` to `foundChanges`, by rising price.
  private mutating func findChanges(_ side: Side) {
    for place in 0..<changedPages.count {
      let page = changedPages[place]
      let header = ladder.pages[page: page]
      var marks = LevelPages.word(header.changed, side)
      while marks != 0 {
        // A side's bits rise with the price for bids and fall for asks.
        let bit = side == .buy ? marks.trailingZeroBitCount : 31 - marks.leadingZeroBitCount
        marks &= ~(1 << UInt32(bit))
        let level = LevelPages.level(page, bit: UInt32(bit) + UInt32(side.rawValue) * 16).level
        foundChanges.append(change(of: level, side, in: header.row))
      }
    }
  }

  @inline(__always) private func change(of level: UInt32, _ side: Side, in book: UInt32) -> LevelChange {
    let isOccupied = ladder.pages.header(of: level).pointee.occupied & LevelPages.bit(level, side) != 0
    return LevelChange(
      instrument: books[book].dot, side: side, priceTicks: ladder.pages.price(of: level),
      quantityLots: isOccupied ? ladder.pages[level].total - ladder.pages.hiddenLots(level) : 0,
      orders: isOccupied ? Int(ladder.pages[level].count) : 0)
  }

  /// The book is about to go: whoever saw its levels must hear that they are gone.
  mutating func rememberVanishedLevels(of book: UInt32) {
    changedPages.removeAll()
    foundChanges.removeAll()
    for index in 0..<ladder.pages.changed.count where ladder.pages[page: ladder.pages.changed[index]].row == book {
      changedPages.append(ladder.pages.changed[index])
    }
    for side in Side.allCases { findChanges(side) }
    for change in Array(foundChanges.elements) where !vanishedLevels.contains(where: { $0.isSameLevel(change) }) {
      vanishedLevels.append(change)
    }
  }
}

extension LevelChange {
  fileprivate func isSameLevel(_ other: LevelChange) -> Bool {
    instrument == other.instrument && side == other.side && priceTicks == other.priceTicks
  }

  fileprivate func sortsBefore(_ other: LevelChange) -> Bool {
    if instrument != other.instrument { return instrument < other.instrument }
    if side != other.side { return side.rawValue < other.side.rawValue }
    return priceTicks < other.priceTicks
  }
}
