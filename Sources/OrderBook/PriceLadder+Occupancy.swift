import Primitives

/// Which levels have orders, and in what order their prices are.
extension PriceLadder {
  /// The level got its first order.
  mutating func occupy(_ level: UInt32, _ side: Side) {
    pages.mark(level, pages.address(level), side, adding: LevelMark.occupied, removing: 0)
    let header = pages.header(of: level)
    occupied(level, header.pointee.row, pages.price(of: level), side)
  }

  /// As above, of a level that is marked so. It may have been before.
  @inline(__always) mutating func occupied(_ level: UInt32, _ row: UInt32, _ ticks: Int64, _ side: Side) {
    let row = rows.address(row)
    if UInt64(bitPattern: ticks) &- row.pointee.base >= row.pointee.reach { farOccupied(level, side) }
    occupiedNear(level, row, ticks, side)
  }

  /// As above, of a level in its row's window; of another one, no bit is set.
  @inline(__always) func occupiedNear(
    _ level: UInt32, _ row: UnsafeMutablePointer<Row>, _ ticks: Int64, _ side: Side
  ) {
    let place = Self.address(row, side)
    let offset = UInt64(bitPattern: ticks) &- row.pointee.base
    if offset < row.pointee.reach {
      set(Self.position(offset, side), Self.bitWord(row, side), &place.pointee.top)
    }
    let key = Self.key(ticks, side)
    // Without a branch, like the other choices that a market makes at random.
    let bestBefore = place.pointee.bestKey
    place.pointee.best = key > bestBefore ? level : place.pointee.best
    place.pointee.bestKey = max(key, bestBefore)
  }

  /// The level lost its last order.
  mutating func vacate(_ level: UInt32, _ side: Side) {
    pages.mark(level, pages.address(level), side, adding: 0, removing: LevelMark.occupied)
    if vacated(level, side) { finishVacating(level, side) }
  }

  /// As above, of a level that is marked so.
  /// - Returns: whether `finishVacating` is to follow.
  @inline(__always) func vacated(_ level: UInt32, _ side: Side) -> Bool {
    let header = pages.header(of: level)
    let row = rows.address(header.pointee.row)
    let place = Self.address(row, side)
    let offset = header.pointee.number &* 16 &+ UInt64(level % LevelPages.width) &- row.pointee.base
    if offset >= row.pointee.reach { return true }
    clear(Self.position(offset, side), Self.bitWord(row, side), &place.pointee.top)
    if place.pointee.best != level { return false }
    if row.pointee.farPages != 0 || place.pointee.top == 0 { return true }
    let position = highest(Self.bitWord(row, side), place.pointee.top)
    place.pointee.best = self.level(row, position, side)
    let ticks = row.pointee.base &+ Self.position(position, side)
    place.pointee.bestKey = Self.key(Int64(bitPattern: ticks), side)
    return false
  }

  /// The vacated level lies outside its row's window, or the next best may, or there is none.
  @inline(never) mutating func finishVacating(_ level: UInt32, _ side: Side) {
    let row = pages.row(of: level)
    if UInt64(bitPattern: pages.price(of: level)) &- rows[row].base >= rows[row].reach { farVacated(level, side) }
    let place = address(row, side)
    if place.pointee.best != level { return }
    let best = worse(row, side, than: nil)
    place.pointee.best = best
    place.pointee.bestKey = best == noSlot ? Self.noKey : Self.key(pages.price(of: best), side)
  }

  // MARK: Outside the window

  @inline(never) private mutating func farOccupied(_ level: UInt32, _ side: Side) {
    let page = level / LevelPages.width
    let header = pages[page: page]
    let row = Int(header.row)
    let position = Self.position(of: header.number, in: side == .buy ? far[row].bids : far[row].asks)
    let entry = FarPage(number: header.number, page: page)
    if side == .buy {
      if position < far[row].bids.count, far[row].bids[position].page == page { return }
      far[row].bids.insert(entry, at: position)
    } else {
      if position < far[row].asks.count, far[row].asks[position].page == page { return }
      far[row].asks.insert(entry, at: position)
    }
  }

  private mutating func farVacated(_ level: UInt32, _ side: Side) {
    let page = level / LevelPages.width
    if pages.occupied(page, side) != 0 { return }
    let header = pages[page: page]
    let row = Int(header.row)
    if side == .buy {
      far[row].bids.remove(at: Self.position(of: header.number, in: far[row].bids))
    } else {
      far[row].asks.remove(at: Self.position(of: header.number, in: far[row].asks))
    }
  }

  // MARK: Order of prices

  /// The best level whose price is worse than `ticks`, or the best of all; none if there is none.
  /// - Complexity: O(1) in the window; outside it O(log far pages).
  @inline(__always) func worse(_ row: UInt32, _ side: Side, than ticks: Int64?) -> UInt32 {
    let place = rows.address(row)
    if place.pointee.reach == 0 { return noSlot }
    var limit = Self.span
    if let ticks {
      let offset = UInt64(bitPattern: ticks) &- place.pointee.base
      if offset < Self.span {
        limit = Self.position(offset, side)
      } else {
        // Beyond the window on its better side: all of it is worse.
        limit = (Int64(bitPattern: offset) >= 0) == (side == .buy) ? Self.span : 0
      }
    }
    let position = highest(Self.bitWord(place, side), Self.address(place, side).pointee.top, below: limit)
    let near = position.map { level(place, $0, side) } ?? noSlot
    if place.pointee.farPages == 0 { return near }
    let distant = worseFar(row, side, than: ticks)
    if near == noSlot || distant == noSlot { return near | distant }
    return Self.key(pages.price(of: near), side) > Self.key(pages.price(of: distant), side) ? near : distant
  }

  /// As `worse`, of the levels outside the window.
  @inline(__always) private func worseFar(_ row: UInt32, _ side: Side, than ticks: Int64?) -> UInt32 {
    let candidates = side == .buy ? far[Int(row)].bids : far[Int(row)].asks
    let step = side == .buy ? -1 : 1
    var position = side == .buy ? candidates.count - 1 : 0
    if let ticks {
      let number = UInt64(bitPattern: ticks) &>> 4
      position = Self.position(of: number, in: candidates)
      if position < candidates.count, candidates[position].number == number {
        // Of the price's own page, those below it.
        let below: UInt32 = 1 << (UInt32(truncatingIfNeeded: ticks & 15) ^ UInt32(side.rawValue) * 15) - 1
        let rest = pages.occupied(candidates[position].page, side) & below
        if rest != 0 { return LevelPages.bestLevel(candidates[position].page, rest, side) }
        position += step
      } else if side == .buy {
        position -= 1
      }
    }
    guard candidates.indices.contains(position) else { return noSlot }
    let page = candidates[position].page
    return LevelPages.bestLevel(page, pages.occupied(page, side), side)
  }
}
