import Primitives

/// The engine's state in canonical bytes, format 2: everything that a later result can depend on, and nothing else.
///
/// Two engines that applied the same entries give the same bytes, whatever was undone on the way and whatever either
/// was restored from. `MatchingEngine.init(from:…)` reads them, and refuses any others.
///
/// ```
/// state     version u8 (2), newest key: stamp, origin; clock second; ids remembered at most;
///           origins, applied sequence of each, the last one not 0; names, stones, books
/// names     records ever made, records in the window, each by rising ordinal: record
/// record    seconds after the one before (of the first: its second), account, fingerprint u64, dot, name
/// stones    count, oldest first, each: seconds after the one before, account, dot or 0 0, client order id or none
/// books     count, in order of definition, each: dot, symbol length and bytes, tick mantissa, scale u8, lot mantissa,
///           scale u8, last trade price or 0; bids, asks, buy stops, sell stops
/// side      levels, best first, of stops the first to be triggered; then 0
/// level     orders, ticks worse than the level before (of the first: its price), each order, oldest first
/// order     dot, account, flags as in the book hash, open lots, filled lots; then
///           of an iceberg (512): display lots, and if it does not wait visible lots
///           if good till a date: expiry
///           of a stop that waits (1024): limit price or 0, key since which it waits: stamp, origin
///           if it has a name (2048): fingerprint u64, its first name; if it has others (4096): how many, and each, the
///           newest first
/// its name  records made since and with its own; if that is more than are in the window, its second and the name
/// name      kind u8 (0 none, 1 integer, 2 text, 3 dot), then the integer, length and bytes, or dot
/// ```
/// Numbers are varints in their shortest form where nothing else is said. A dot is origin, sequence. A plain limit
/// order takes 6 fields, 12 to 16 bytes in a book as exchanges have it.
enum EngineFormat {
  static let version: UInt8 = 2
  /// Sequences that the index of dots can hold.
  static let sequenceMax = UInt64.max >> 2
  /// What a first dot can name.
  static let namedOriginMax: UInt64 = 1 << 20 - 1
}

extension MatchingEngine {
  /// Writes the state.
  ///
  /// - Complexity: O(orders + remembered names + tombstones).
  public func write(to out: inout PieceWriter) {
    out.open.write(EngineFormat.version)
    out.open.writeVarint(lastKey.stamp.value)
    out.open.writeVarint(UInt64(lastKey.origin.value))
    out.open.writeVarint(second)
    out.open.writeVarint(ids.recordsMax)
    var origins = index.origins
    while origins > 0, index.applied(OriginIndex(UInt32(origins - 1))) == 0 { origins -= 1 }
    out.open.writeVarint(UInt64(origins))
    for origin in 0..<origins {
      out.open.writeVarint(index.applied(OriginIndex(UInt32(origin))))
      out.cut()
    }
    let windowStart = ids.windowStart(at: second)
    writeNames(from: windowStart, &out)
    writeTombstones(&out)
    out.open.writeVarint(UInt64(books.count))
    for book in 0..<books.count {
      writeHead(of: book, &out)
      writeSide(ladder, book, .buy, windowStart, &out)
      writeSide(ladder, book, .sell, windowStart, &out)
      writeSide(stops, Self.stopRow(book, .buy), .sell, windowStart, &out)
      writeSide(stops, Self.stopRow(book, .sell), .buy, windowStart, &out)
    }
  }

  private func writeNames(from start: UInt64, _ out: inout PieceWriter) {
    out.open.writeVarint(ids.total)
    out.open.writeVarint(ids.total - start)
    var second: UInt64 = 0
    for ordinal in start..<ids.total {
      let record = ids[ids.record(at: ordinal)]
      out.open.writeVarint(record.second - second)
      second = record.second
      out.open.writeVarint(record.account)
      out.open.writeFixed(record.fingerprint)
      out.open.write(record.dot)
      out.open.write(name: record.id)
      out.cut()
    }
  }

  private func writeTombstones(_ out: inout PieceWriter) {
    out.open.writeVarint(UInt64(tombstones.count))
    var second: UInt64 = 0
    var stone = tombstones.oldest
    while stone != noSlot {
      let value = tombstones[stone]
      out.open.writeVarint(value.second - second)
      second = value.second
      out.open.writeVarint(value.account)
      out.open.write(value.dot)
      out.open.write(name: value.id)
      out.cut()
      stone = value.next
    }
  }

  private func writeHead(of book: UInt32, _ out: inout PieceWriter) {
    let value = books[book]
    out.open.write(value.dot)
    out.open.writePrefixed(value.instrument.symbol.utf8)
    for increment in [value.instrument.tick, value.instrument.lot] {
      out.open.writeVarint(increment.mantissa)
      out.open.write(increment.scale)
    }
    out.open.writeVarint(UInt64(value.lastTradeTicks))
    out.cut()
  }

  private func writeSide(
    _ ladder: borrowing PriceLadder, _ row: UInt32, _ side: Side, _ windowStart: UInt64, _ out: inout PieceWriter
  ) {
    var before: Int64 = 0
    var level = ladder.worse(row, side, than: nil)
    while level != noSlot {
      let ticks = ladder.pages.price(of: level)
      out.open.writeVarint(UInt64(ladder.pages[level].count))
      out.open.writeVarint((ticks - before).magnitude)
      before = ticks
      var slot = ladder.pages[level].head
      while slot != noSlot {
        let order = orders.address(slot)
        slot = order.pointee.next
        write(order.pointee, windowStart, &out.open)
        out.cut()
      }
      level = ladder.worse(row, side, than: ticks)
    }
    out.open.writeVarint(0)
  }

  @inline(__always) private func write(_ order: OrderSlot, _ windowStart: UInt64, _ out: inout ByteWriter) {
    out.write(order.dot)
    out.writeVarint(accounts[order.account].account)
    let record = order.clientRecord
    let others = record == noSlot ? noSlot : ids[record].nextName
    out.writeVarint(
      UInt64(
        order.flags.bits | (record != noSlot ? HashTag.hasName : 0) | (others != noSlot ? HashTag.hasOtherNames : 0)))
    out.writeVarint(UInt64(order.openLots))
    out.writeVarint(UInt64(order.filledLots))
    if order.terms != noSlot { writeTerms(of: order, &out) }
    if record != noSlot { writeNames(of: record, windowStart, &out) }
  }

  private func writeTerms(of order: OrderSlot, _ out: inout ByteWriter) {
    let terms = orders[terms: order.terms]
    if order.flags.isIceberg {
      out.writeVarint(UInt64(terms.displayLots))
      if !order.isWaiting { out.writeVarint(UInt64(terms.visibleLots)) }
    }
    if order.flags.timeInForce == .goodTillDate { out.writeVarint(terms.expiry) }
    if order.isWaiting {
      out.writeVarint(UInt64(terms.limitTicks))
      out.writeVarint(terms.sinceStamp)
      out.writeVarint(UInt64(terms.sinceOrigin))
    }
  }

  private func writeNames(of first: UInt32, _ windowStart: UInt64, _ out: inout ByteWriter) {
    out.writeFixed(ids[first].fingerprint)
    writeName(first, windowStart, &out)
    if ids[first].nextName == noSlot { return }
    out.writeVarint(UInt64(ids.names(of: first) - 1))
    var record = ids[first].nextName
    while record != noSlot {
      writeName(record, windowStart, &out)
      record = ids[record].nextName
    }
  }

  private func writeName(_ record: UInt32, _ windowStart: UInt64, _ out: inout ByteWriter) {
    let value = ids[record]
    out.writeVarint(ids.total - value.ordinal)
    if value.ordinal >= windowStart { return }
    out.writeVarint(value.second)
    out.write(name: value.id)
  }
}

extension ByteWriter {
  /// A client order id with its kind, or a dot.
  fileprivate mutating func write(name: ClientOrderID) {
    if name.namesDot {
      write(HashTag.dotName)
      return write(name.namedDot)
    }
    write(name.kind.rawValue)
    switch name.kind {
    case .none: break
    case .integer: writeVarint(name.integer ?? 0)
    case .text: writePrefixed(name.utf8)
    }
  }
}
