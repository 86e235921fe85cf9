import Primitives

/// Where a row's window lies.
extension PriceLadder {
  /// Far look-ups after which moving the window is considered.
  private static let patience: UInt32 = 1024

  mutating func makeWindow(_ row: UInt32, around number: UInt64) {
    let window: Int
    if rows[row].spareWindow > 0 {
      window = Int(rows[row].spareWindow) - 1
      rows[row].spareWindow = 0
    } else {
      window = windows
      windows += 1
      cells.reserve(windows * Self.cellsInWindow)
      bits.reserve(windows * Self.wordsInWindow)
    }
    rows[row].base = Self.base(around: number)
    rows[row].reach = Self.span
    rows[row].cells = window * Self.cellsInWindow
    rows[row].bits = window * Self.wordsInWindow
  }

  /// Lowest price of a window around a page.
  private static func base(around number: UInt64) -> UInt64 { (number - min(number, UInt64(cellsInWindow) / 2)) * 16 }

  mutating func countFarHit(_ row: UInt32) {
    rows[row].farHits += 1
    if rows[row].farHits > Self.patience &+ 2 &* rows[row].farPages { considerMoving(row) }
  }

  /// Moves the window to the market if that has come near its edge or left it.
  private mutating func considerMoving(_ row: UInt32) {
    rows[row].farHits = 0
    let place = rows[row]
    let best = place.buy.best != noSlot ? place.buy.best : place.sell.best
    if best == noSlot { return }
    let ticks = UInt64(bitPattern: pages.price(of: best))
    let centre = place.base + Self.span / 2
    guard max(ticks, centre) - min(ticks, centre) > Self.span / 4 else { return }
    move(row, to: Self.base(around: ticks >> 4))
  }

  private mutating func move(_ row: UInt32, to base: UInt64) {
    let place = rows.address(row)
    let first = place.pointee.cells
    var kept = far[Int(row)].all
    for cell in first..<first + Self.cellsInWindow where cells[cell] != noSlot {
      kept.append(FarPage(number: pages[page: cells[cell]].number, page: cells[cell]))
      cells[cell] = noSlot
    }
    kept.sort { $0.number < $1.number }
    for word in place.pointee.bits..<place.pointee.bits + 2 * Self.words { bits[word] = 0 }
    far[Int(row)] = FarPages()
    place.pointee.base = base
    place.pointee.buy.top = 0
    place.pointee.sell.top = 0
    for entry in kept {
      let offset = entry.number &* 16 &- base
      if offset < Self.span {
        cells[first + Int(offset) / 16] = entry.page
        setBits(of: entry.page, place, offset)
      } else {
        far[Int(row)].all.append(entry)
        if pages.occupied(entry.page, .buy) != 0 { far[Int(row)].bids.append(entry) }
        if pages.occupied(entry.page, .sell) != 0 { far[Int(row)].asks.append(entry) }
      }
    }
    place.pointee.farPages = UInt32(far[Int(row)].all.count)
  }

  private func setBits(of page: UInt32, _ row: UnsafeMutablePointer<Row>, _ offset: UInt64) {
    for side in Side.allCases {
      let top = Self.address(row, side)
      for low in 0..<LevelPages.width where pages.isOccupied(page * LevelPages.width | low, side) {
        set(Self.position(offset + UInt64(low), side), Self.bitWord(row, side), &top.pointee.top)
      }
    }
  }
}
