import Primitives

extension MatchingEngine {
  /// Restores an engine from the bytes that `write(to:)` made: from here on both do the same, for ever.
  ///
  /// The undo journal starts empty: nothing that the state holds can be taken back. Every structure is checked against
  /// every other before this returns, so bytes that were made up are refused as well as damaged ones.
  /// - Parameter clientOrderIDsMax: as in `init`; a state with another one is refused.
  /// - Throws: `CodecError`.
  /// - Complexity: O(bytes).
  public init(
    from reader: inout ByteReader, clientOrderIDsMax: Int = Limits.clientOrderIDsMax
  ) throws(CodecError) {
    self.init(clientOrderIDsMax: clientOrderIDsMax)
    try read(&reader)
  }

  /// - Precondition: nothing was applied.
  mutating func read(_ reader: inout ByteReader) throws(CodecError) {
    let version = try reader.readByte("book version")
    guard version == EngineFormat.version else { throw .unknown(field: "book version", value: UInt64(version)) }
    let stamp = Stamp(try reader.readVarint("newest stamp"))
    lastKey = OrderKey(stamp: stamp, origin: try reader.readPlace())
    setClock(try reader.readVarint("clock", max: stamp.second))
    guard try reader.readVarint("ids at most") == ids.recordsMax else { throw .invalid(field: "ids at most") }
    let origins = try reader.readVarint("origins", max: UInt64(Limits.originsMax))
    for origin in 0..<origins {
      let applied = try reader.readVarint("applied", max: EngineFormat.sequenceMax)
      if origin + 1 == origins, applied == 0 { throw .invalid(field: "applied") }
      index.restore(OriginIndex(UInt32(origin)), applied: applied)
    }
    try readNames(&reader)
    try readTombstones(&reader)
    let books = try reader.readVarint("books", max: UInt64(Limits.instrumentsMax))
    for _ in 0..<books { try readBook(&reader) }
    try checkNames()
    settledSecond = second
    settledRecords = ids.total
    finish()
    if brokenInvariant != nil { throw .invalid(field: "book") }
  }

  /// A dot of an entry that is applied.
  private func readAppliedDot(_ reader: inout ByteReader) throws(CodecError) -> Dot {
    let dot = Dot(origin: try reader.readPlace(), sequence: try reader.readVarint("sequence"))
    guard dot.sequence > 0, dot.sequence <= index.applied(dot.origin) else { throw .invalid(field: "dot") }
    return dot
  }

  private mutating func readNames(_ reader: inout ByteReader) throws(CodecError) {
    let total = try reader.readVarint("ids", max: EngineFormat.sequenceMax)
    let count = try reader.readVarint("ids in the window", max: min(total, ids.recordsMax))
    ids.begin(at: total - count)
    var at: UInt64 = 0
    for place in 0..<count {
      let step = try reader.readVarint("second of an id", max: second - at)
      guard place > 0 || step + ClientIDIndex.windowSeconds >= second else { throw .invalid(field: "second of an id") }
      at += step
      let account = try reader.readVarint("account")
      let fingerprint: UInt64 = try reader.readFixed("fingerprint")
      let dot = try readAppliedDot(&reader)
      let name = try reader.readName()
      guard !name.isNone else { throw .invalid(field: "name") }
      _ = ids.add(name, dot, account: account, fingerprint: fingerprint, second: at, head: noSlot)
    }
  }

  /// What an open order goes by in the window is a name of it, as the order says.
  private func checkNames() throws(CodecError) {
    for ordinal in ids.first..<ids.total {
      let record = ids[ids.record(at: ordinal)]
      if record.references == 0, record.head == noSlot, index.slot(of: record.dot) != noSlot {
        throw .invalid(field: "name")
      }
    }
  }

  private mutating func readTombstones(_ reader: inout ByteReader) throws(CodecError) {
    let count = try reader.readVarint("tombstones", max: ids.recordsMax)
    var at: UInt64 = 0
    for place in 0..<count {
      let step = try reader.readVarint("second of a tombstone", max: second - at)
      guard place > 0 || step + ClientIDIndex.windowSeconds >= second else {
        throw .invalid(field: "second of a tombstone")
      }
      at += step
      var stone = Tombstone(account: try reader.readVarint("account"), second: at)
      stone.origin = UInt32(try reader.readVarint("origin", max: UInt64(UInt32.max)))
      stone.sequence = try reader.readVarint("sequence")
      stone.id = try reader.readClientOrderID(try reader.readByte("client order id kind"))
      // It waits for an order by one name, and nothing else waits for that.
      let isKnown: Bool
      if stone.id.isNone {
        guard !stone.dot.isNone, stone.sequence > index.applied(stone.dot.origin) else {
          throw .invalid(field: "tombstone")
        }
        isKnown = tombstones.find(stone.dot, account: stone.account) != noSlot
      } else {
        guard stone.origin == 0, stone.sequence == 0 else { throw .invalid(field: "tombstone") }
        isKnown = tombstones.find(stone.account, stone.id) != noSlot
      }
      if isKnown { throw .invalid(field: "tombstone") }
      _ = tombstones.lay(stone)
    }
  }

  private mutating func readBook(_ reader: inout ByteReader) throws(CodecError) {
    let dot = try readAppliedDot(&reader)
    let utf8 = try reader.readPrefixed("symbol", max: Limits.symbolBytesMax)
    guard let symbol = Symbol(String(decoding: utf8, as: UTF8.self)), symbol.utf8 == utf8, books.find(symbol) == nil,
      books.find(dot) == nil
    else { throw .invalid(field: "symbol") }
    let instrument = Instrument(symbol: symbol, tick: try reader.readIncrement(), lot: try reader.readIncrement())
    let book = books.append(dot, instrument)
    ladder.append()
    stops.append()
    stops.append()
    books[book].lastTradeTicks = Int64(
      try reader.readVarint("last trade price", max: UInt64(Limits.priceTicksMax)))
    for side in Side.allCases { try readSide(book, side, waits: false, &reader) }
    for side in Side.allCases { try readSide(book, side, waits: true, &reader) }
  }

  /// - Parameter side: of the orders.
  private mutating func readSide(
    _ book: UInt32, _ side: Side, waits: Bool, _ reader: inout ByteReader
  ) throws(CodecError) {
    // Bids and sell stops fall from one level to the next, the others rise.
    let falls = (side == .buy) != waits
    var ticks: Int64 = 0
    while true {
      let count = try reader.readVarint("orders of a level", max: UInt64(UInt32.max))
      if count == 0 { return }
      let step = Int64(try reader.readVarint("price", max: UInt64(Limits.priceTicksMax)))
      let rises = ticks == 0 || !falls
      guard step > 0, rises ? step <= Limits.priceTicksMax - ticks : step < ticks else {
        throw .invalid(field: "price")
      }
      ticks = rises ? ticks + step : ticks - step
      for _ in 0..<count { try readOrder(book, side, ticks, waits: waits, &reader) }
    }
  }

  private mutating func readOrder(
    _ book: UInt32, _ side: Side, _ ticks: Int64, waits: Bool, _ reader: inout ByteReader
  ) throws(CodecError) {
    let dot = try readAppliedDot(&reader)
    guard index.slot(of: dot) == noSlot else { throw .invalid(field: "dot") }
    let account = try reader.readVarint("account")
    let bits = UInt32(try reader.readVarint("order flags", max: 8191))
    var flags = OrderFlags(bits: bits & ~(HashTag.hasName | HashTag.hasOtherNames))
    guard flags.side == side, (flags.bits & OrderFlags.waits != 0) == waits, flags.isPossible,
      bits & HashTag.hasOtherNames == 0 || bits & HashTag.hasName != 0
    else {
      throw .invalid(field: "order flags")
    }
    let open = try reader.readLots("open quantity")
    guard open > 0 else { throw .invalid(field: "open quantity") }
    let filled = try reader.readLots("filled quantity")
    guard filled <= Limits.quantityLotsMax - open else { throw .invalid(field: "filled quantity") }
    var terms = OrderTerms()
    if flags.isIceberg {
      terms.displayLots = try reader.readLots("display quantity")
      guard terms.displayLots > 0, !hasTooManySlices(open, terms.displayLots) else {
        throw .invalid(field: "display quantity")
      }
      if !waits {
        terms.visibleLots = try reader.readLots("visible quantity")
        guard terms.visibleLots > 0, terms.visibleLots <= min(open, terms.displayLots) else {
          throw .invalid(field: "visible quantity")
        }
      }
    }
    if flags.timeInForce == .goodTillDate {
      terms.expiry = try reader.readVarint("expiry")
      guard terms.expiry > lastKey.stamp.value else { throw .invalid(field: "expiry") }
    }
    if waits {
      terms.limitTicks = Int64(try reader.readVarint("limit price", max: UInt64(Limits.priceTicksMax)))
      guard (terms.limitTicks == 0) == (flags.type == .stop) else { throw .invalid(field: "limit price") }
      terms.sinceStamp = try reader.readVarint("waiting since", max: lastKey.stamp.value)
      terms.sinceOrigin = try reader.readPlace().value
    }
    let price = waits ? terms.limitTicks : ticks
    guard !isNotionalTooLarge(price, open) else { throw .invalid(field: "open quantity") }
    var record = noSlot
    if bits & HashTag.hasName != 0 {
      record = try readNames(of: dot, account, hasOthers: bits & HashTag.hasOtherNames != 0, &reader)
    }
    flags.bits &= ~OrderFlags.waits
    var incoming = Incoming(
      dot: dot, account: account, openLots: open, filledLots: filled, limitTicks: ticks, book: book,
      clientRecord: record, flags: flags, displayLots: terms.displayLots, expiry: terms.expiry)
    if waits {
      wait(incoming, stop: ticks, limit: terms.limitTicks, since: terms.since)
    } else {
      rest(&incoming, showing: terms.visibleLots)
    }
    journal.settle(through: journal.end)
  }

  private mutating func rest(_ incoming: inout Incoming, showing visible: Int64) {
    rest(incoming)
    if visible > 0 { show(index.slot(of: incoming.dot), visible) }
  }

  /// - Returns: the record of the first name of the order `dot`, with the others hanging on it.
  private mutating func readNames(
    of dot: Dot, _ account: UInt64, hasOthers: Bool, _ reader: inout ByteReader
  ) throws(CodecError) -> UInt32 {
    let fingerprint: UInt64 = try reader.readFixed("fingerprint")
    let first = try readName(of: dot, account, fingerprint, &reader)
    guard hasOthers else { return first }
    let count = try reader.readVarint("names", max: UInt64(Limits.namesPerOrderMax - 1))
    guard count > 0 else { throw .invalid(field: "names") }
    var newer = first
    for _ in 0..<count {
      let name = try readName(of: dot, account, fingerprint, &reader)
      let isInOrder = newer == first || ids[name].ordinal < ids[newer].ordinal
      guard isInOrder, ids[name].ordinal > ids[first].ordinal, ids[name].id.namesDot else {
        throw .invalid(field: "names")
      }
      ids.hang(name, on: first, after: newer)
      newer = name
    }
    return first
  }

  /// The record of one name of the order `dot`.
  private mutating func readName(
    of dot: Dot, _ account: UInt64, _ fingerprint: UInt64, _ reader: inout ByteReader
  ) throws(CodecError) -> UInt32 {
    let age = try reader.readVarint("age of a name", max: ids.total)
    guard age > 0 else { throw .invalid(field: "age of a name") }
    let ordinal = ids.total - age
    if ordinal >= ids.first {
      let record = ids.record(at: ordinal)
      guard ids[record].dot == dot, ids[record].account == account, ids[record].fingerprint == fingerprint else {
        throw .invalid(field: "age of a name")
      }
      return record
    }
    let at = try reader.readVarint("second of a name", max: second)
    // What is neither too old nor one too many is in the window.
    guard at + ClientIDIndex.windowSeconds < second || age > ids.recordsMax else {
      throw .invalid(field: "second of a name")
    }
    let name = try reader.readName()
    guard !name.isNone else { throw .invalid(field: "name") }
    return ids.addForgotten(
      name, dot, account: account, fingerprint: fingerprint, second: at, ordinal: ordinal)
  }
}

extension OrderFlags {
  /// Whether an order that rests or waits can have them.
  fileprivate var isPossible: Bool {
    guard bits < 2048, bits &>> 6 & 7 <= UInt32(SelfTradePrevention.decrement.rawValue) else { return false }
    if bits & Self.waits != 0 { return !isPostOnly && (type == .stop || type == .stopLimit) }
    guard timeInForce == .goodTillCancel || timeInForce == .goodTillDate else { return false }
    return type == .limit || type == .stopLimit && !isPostOnly
  }
}

extension ByteReader {
  /// A place in the register.
  fileprivate mutating func readPlace() throws(CodecError) -> OriginIndex {
    OriginIndex(UInt32(try readVarint("origin", max: UInt64(Limits.originsMax - 1))))
  }

  fileprivate mutating func readLots(_ field: StaticName) throws(CodecError) -> Int64 {
    Int64(try readVarint(field, max: UInt64(Limits.quantityLotsMax)))
  }

  fileprivate mutating func readIncrement() throws(CodecError) -> Increment {
    guard let increment = Increment(mantissa: try readVarint("increment"), scale: try readByte("scale")) else {
      throw .invalid(field: "increment")
    }
    return increment
  }

  /// A client order id with its kind, or a dot.
  fileprivate mutating func readName() throws(CodecError) -> ClientOrderID {
    let kind = try readByte("name kind")
    guard kind == HashTag.dotName else { return try readClientOrderID(kind) }
    // It need not be of anybody's log.
    let origin = OriginIndex(UInt32(try readVarint("origin", max: EngineFormat.namedOriginMax)))
    let dot = Dot(origin: origin, sequence: try readVarint("sequence", max: EngineFormat.sequenceMax))
    guard !dot.isNone else { throw .invalid(field: "name") }
    return ClientOrderID(naming: dot)
  }

  fileprivate mutating func readClientOrderID(_ kind: UInt8) throws(CodecError) -> ClientOrderID {
    guard let kind = ClientOrderID.Kind(rawValue: kind) else { throw .invalid(field: "client order id kind") }
    switch kind {
    case .none: return .none
    case .integer: return ClientOrderID(try readVarint("client order id"))
    case .text:
      let utf8 = try readPrefixed("client order id", max: Limits.clientOrderIDBytesMax)
      guard let id = ClientOrderID(utf8: utf8), id.kind == .text else { throw .invalid(field: "client order id") }
      return id
    }
  }
}
