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
      while let level = ladder.pages.takeChanged() { releaseIfIdle(level) }
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
    sortChangedLevels()
    for index in 0..<changedRows.count {
      for side in Side.allCases { findChanges(of: changedRows[index], side) }
    }
    farChangedLevels.removeAll(keepingCapacity: true)
    if hasIdleChanges { releaseIdleChanges() }
    ladder.pages.forgetChanged()
    changes.append(contentsOf: foundChanges.elements)
    if vanishedLevels.isEmpty { return }
    let live = changes.count
    for gone in vanishedLevels where !changes[..<live].contains(where: { $0.isSameLevel(gone) }) {
      changes.append(gone)
    }
    vanishedLevels.removeAll(keepingCapacity: true)
    changes.sort { $0.sortsBefore($1) }
  }

  /// Parts the changed levels by row and side, and takes their marks. Those in a window set a bit at their place there,
  /// so that reading the bits in order reads the levels in order; nothing is sorted but the rows.
  private mutating func sortChangedLevels() {
    changedRows.removeAll()
    let changed = ladder.pages.changed.elements
    foundChanges.reserve(2 * changed.count + 1)
    var knownRow = LevelPages.noRow
    var row = ladder.rows.address(0)
    for index in 0..<changed.count {
      // They come in the order of their changes, from all over the book.
      ladder.pages.prefetch(changed[min(index &+ 16, changed.count &- 1)])
      let number = changed[index]
      let level = ladder.pages.address(number)
      let marks = level.pointee.marks
      level.pointee.marks = marks & ~LevelMark.ofBoth(LevelMark.changed)
      if level.pointee.isIdle { hasIdleChanges = true }
      let header = ladder.pages.header(of: number)
      if header.pointee.row != knownRow {
        if header.pointee.row == LevelPages.noRow { continue }
        knownRow = header.pointee.row
        row = ladder.rows.address(knownRow)
        changedRows.append(knownRow)
      }
      let offset = header.pointee.number &* 16 &+ UInt64(number % LevelPages.width) &- row.pointee.base
      guard offset < row.pointee.reach else {
        farChangedLevels.append((knownRow, ladder.pages.price(of: number), number, marks))
        continue
      }
      // Hardly any level has changed on both sides, but on which one is anybody's guess.
      let sides = marks / LevelMark.changed & 3
      mark(offset, row, sides == 2 ? .sell : .buy)
      if sides == 3 { mark(offset, row, .sell) }
    }
    farChangedLevels.sort { ($0.row, $0.ticks) < ($1.row, $1.ticks) }
    sortChangedRows()
  }

  /// Sets a price's bit in the scratch of a side.
  @inline(__always) private mutating func mark(
    _ offset: UInt64, _ row: UnsafeMutablePointer<PriceLadder.Row>, _ side: Side
  ) {
    let place = PriceLadder.address(row, side)
    ladder.set(offset, PriceLadder.bitWord(row, side) &+ 2 &* PriceLadder.words, &place.pointee.scratch)
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

  /// Adds one side's changed levels of a row to `foundChanges`, by rising price, and puts its scratch back to zero.
  private mutating func findChanges(of row: UInt32, _ side: Side) {
    let place = ladder.rows.address(row)
    let base = Int64(bitPattern: place.pointee.base)
    let dot = books[row].dot
    for far in farChangedLevels where far.row == row && far.ticks < base { findChange(far, side, dot) }
    let first = PriceLadder.bitWord(place, side) + 2 * PriceLadder.words
    let sideRow = PriceLadder.address(place, side)
    var top = sideRow.pointee.scratch
    while top != 0 {
      let tier = top.trailingZeroBitCount
      top &= top &- 1
      var above = ladder.bits[first + tier]
      ladder.bits[first + tier] = 0
      while above != 0 {
        let word = tier &<< 6 | above.trailingZeroBitCount
        above &= above &- 1
        var bits = ladder.bits[first + PriceLadder.tierWords + word]
        ladder.bits[first + PriceLadder.tierWords + word] = 0
        while bits != 0 {
          let offset = word &<< 6 | bits.trailingZeroBitCount
          bits &= bits &- 1
          let page = ladder.cells[place.pointee.cells &+ offset / 16]
          let level = page &* LevelPages.width | UInt32(truncatingIfNeeded: offset & 15)
          findChange(level, side, base &+ Int64(offset), dot)
        }
      }
    }
    sideRow.pointee.scratch = 0
    for far in farChangedLevels where far.row == row && far.ticks >= base { findChange(far, side, dot) }
  }

  private mutating func findChange(_ far: FarChange, _ side: Side, _ dot: Dot) {
    if far.marks & LevelMark.of(LevelMark.changed, side) != 0 { findChange(far.level, side, far.ticks, dot) }
  }

  @inline(__always) private mutating func findChange(_ number: UInt32, _ side: Side, _ ticks: Int64, _ dot: Dot) {
    let level = ladder.pages.address(number)
    // Whether the level is still there is anybody's guess.
    let isThere = level.pointee.marks & LevelMark.of(LevelMark.occupied, side) != 0
    let lots = level.pointee.total &- ladder.pages.hiddenLots(number)
    foundChanges.put(
      LevelChange(
        instrument: dot, side: side, priceTicks: ticks, quantityLots: isThere ? lots : 0,
        orders: isThere ? Int(level.pointee.count) : 0), counting: 1)
  }

  /// Nothing kept some of the changed levels but their marks.
  @inline(never) private mutating func releaseIdleChanges() {
    hasIdleChanges = false
    for index in 0..<ladder.pages.changed.count { releaseIfIdle(ladder.pages.changed[index]) }
  }

  private mutating func releaseIfIdle(_ level: UInt32) {
    if ladder.pages[level].isIdle { ladder.releaseIfIdle(level / LevelPages.width) }
  }

  /// The book is about to go: whoever saw its levels must hear that they are gone.
  mutating func rememberVanishedLevels(of book: UInt32) {
    foundChanges.removeAll()
    foundChanges.reserve(2 * ladder.pages.changed.count + 1)
    for index in 0..<ladder.pages.changed.count {
      let level = ladder.pages.changed[index]
      guard ladder.pages.row(of: level) == book else { continue }
      let far = FarChange(book, ladder.pages.price(of: level), level, ladder.pages[level].marks)
      for side in Side.allCases { findChange(far, side, books[book].dot) }
    }
    for change in Array(foundChanges.elements) where !vanishedLevels.contains(where: { $0.isSameLevel(change) }) {
      vanishedLevels.append(change)
    }
  }
}

/// A changed level outside its row's window, and the marks that it had.
typealias FarChange = (row: UInt32, ticks: Int64, level: UInt32, marks: UInt32)

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
