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
      cells.reserve(windows * Int(Self.span))
      bits.reserve(windows * 3 * Self.words)
    }
    rows[row].base = number - min(number, Self.span / 2)
    rows[row].reach = Self.span
    rows[row].cells = window * Int(Self.span)
    rows[row].bits = window * 3 * Self.words
  }

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
    let number = pages[page: best / LevelPages.width].number
    let centre = place.base + Self.span / 2
    guard max(number, centre) - min(number, centre) > Self.span / 4 else { return }
    move(row, to: number - min(number, Self.span / 2))
  }

  private mutating func move(_ row: UInt32, to base: UInt64) {
    let first = rows[row].cells
    var kept = far[Int(row)].all
    for cell in first..<first + Int(Self.span) where cells[cell] != noSlot {
      kept.append(FarPage(number: pages[page: cells[cell]].number, page: cells[cell]))
      cells[cell] = noSlot
    }
    kept.sort { $0.number < $1.number }
    for word in rows[row].bits..<rows[row].bits + 2 * Self.words { bits[word] = 0 }
    far[Int(row)] = FarPages()
    rows[row].base = base
    rows[row].buy.summary = 0
    rows[row].sell.summary = 0
    for entry in kept {
      let offset = entry.number &- base
      if offset < Self.span { cells[first + Int(offset)] = entry.page } else { far[Int(row)].all.append(entry) }
      let header = pages.header(of: entry.page * LevelPages.width)
      for side in Side.allCases where LevelPages.word(header.pointee.occupied, side) != 0 {
        pageOccupied(rows.address(row), header, entry.page, side)
      }
    }
    rows[row].farPages = UInt32(far[Int(row)].all.count)
  }
}
