import Primitives

/// The book hash of format 1: a Merkle root over everything that a later result can depend on.
///
/// Its shape is a function of what the book holds, never of how it came to hold it. `H` is SHA-256 of the bytes listed:
/// first a tag, then fields of fixed width, integers little-endian (`u8` `u16` `u32` `u64` `u128`), hashes as their 32
/// bytes. A dot is sequence `u64`, origin `u32`.
///
/// ```
/// order    dot, account u64, open u64, filled u64, flags u16, then in this order
///          of an iceberg (512): display u64, visible u64
///          if time-in-force is good-till-date: expiry u64
///          of a stop that waits (1024): limit price u64 or 0, key of the entry since which it waits: stamp, origin
///          if it has one (2048): its first name, fingerprint u64
///          if it has others (4096): count u32, and so many dots, the newest name first
///          flags: 1 sell, 2 post-only, 4 × time-in-force (2 bits), 16 × type (2), 64 × self-trade prevention (3), 512,
///                 1024, 2048 and 4096 as above
/// block    H(1, orders u32, each order), a run of one level's queue, oldest first. An order ends its block if the mix
///          of its dot has its low 4 bits zero, or the block has 64 orders; the last one ends it anyway.
/// level    H(2, price u64, orders u64, sum of open quantities u128, blocks u32, each block)
/// node     H(3, tier u8, bitmap u8, each child by rising digit). A node of tier t parts the prices below it by their
///          bits 2t and 2t + 1; bit d of bitmap says whether there is a child of digit d. A node with a single child is
///          left out, the child stands in its place; the lowest nodes are levels.
/// side     H(4, side u8, levels u64, top node; 32 zero bytes if there is none)
/// book     H(5, dot of the definition, symbol 16 bytes, tick mantissa u64, tick scale u8, lot mantissa u64,
///          lot scale u8, last trade price u64 or 0, bids, asks, buy stops, sell stops). Stops are built as bids and
///          asks are, their stop price for the price, with side 2 for buys and 3 for sells; 32 zero bytes instead of
///          the side if none wait.
/// ids      H(8, records u64, buckets u32, each bucket). The records in the window by rising key; a bucket is those of
///          one second: H(7, second u64, records u64, blocks u32, each block); a block is H(6, records u32, each
///          record) and ends as a block of orders does, by the low 4 bits of its record's dot, or with 64 records.
///          record: dot, account u64, fingerprint u64, name
/// stones   H(10, tombstones u64, blocks u32, each block), oldest first; block: H(9, tombstones u32, each): 64 each.
///          tombstone: second u64, account u64, dot, client order id
/// root     H(11, books u32, each book in order of definition, ids, stones)
/// ```
///
/// A client order id is its kind `u8` (0 none, 1 integer, 2 text), then the integer `u64` or length `u8` and UTF-8. A
/// name is a client order id, or 3 `u8` and a dot: one that the order had before, or that of a repeat of it. The
/// mix of a dot is the finaliser of SplitMix64 over `sequence + origin × 0x9E3779B97F4A7C15` (modulo 2^64). Neither the
/// applied sequences nor the clock are in it: the log's own hashes speak for them.
enum HashTag {
  static let block: UInt8 = 1
  static let level: UInt8 = 2
  static let priceNode: UInt8 = 3
  static let side: UInt8 = 4
  static let book: UInt8 = 5
  static let idBlock: UInt8 = 6
  static let idBucket: UInt8 = 7
  static let ids: UInt8 = 8
  static let stoneBlock: UInt8 = 9
  static let stones: UInt8 = 10
  static let root: UInt8 = 11

  static let blockMax = 64
  static let hasName: UInt32 = 2048
  static let hasOtherNames: UInt32 = 4096
  static let dotName: UInt8 = 3

  /// Does the order or record that `dot` names end its block?
  @inline(__always) static func endsBlock(_ sequence: UInt64, _ origin: UInt32) -> Bool {
    mixed(sequence &+ UInt64(origin) &* 0x9E37_79B9_7F4A_7C15) & 15 == 0
  }
}

extension MatchingEngine {
  /// The hash of what the books hold now. Two engines that applied the same entries have the same one.
  ///
  /// - Complexity: O(k log n) hashes for k levels changed since the last call, and one each for instruments and the
  ///   buckets of client order ids. Of a long queue, only the blocks that changed are read.
  public mutating func bookHash() -> Hash256 {
    while let (level, marks) = ladder.pages.takeDirty() {
      refreshLevel(level, marks)
      if ladder.pages[level].isIdle { ladder.releaseIfIdle(level / LevelPages.width) }
    }
    while let (level, marks) = stops.pages.takeDirty() {
      refreshStopLevel(level, marks)
      if stops.pages[level].isIdle { stops.releaseIfIdle(level / LevelPages.width) }
    }
    for book in 0..<books.count where books[book].isDirty {
      let sides = [
        hasher.side(0, books[book].tries.bids), hasher.side(1, books[book].tries.asks),
        hasher.side(2, books[book].tries.buyStops), hasher.side(3, books[book].tries.sellStops),
      ]
      books[book].hash = hasher.bookHash(books[book], sides)
      books[book].isDirty = false
    }
    hasher.generation += 1
    let ids = hasher.keptIDsHash(&self.ids, second: second)
    if tombstones.isDirty {
      hasher.stonesHash = hasher.hash(tombstones)
      tombstones.isDirty = false
    }
    hasher.input.put(HashTag.root)
    hasher.input.put(books.count)
    for book in 0..<books.count { hasher.input.put(books[book].hash) }
    hasher.input.put(ids)
    hasher.input.put(hasher.stonesHash)
    return hasher.input.hash(with: hasher.sha)
  }

  /// `bookHash` from the raw fields of every order, with nothing cached: the same value, unless memory was damaged.
  /// - Complexity: O(book).
  public func recomputedBookHash() -> Hash256 {
    var hasher = BookHasher()
    var hashes: [Hash256] = []
    for book in 0..<books.count {
      let buys = Self.stopRow(book, .buy)
      let sells = Self.stopRow(book, .sell)
      let sides = [
        recomputedSide(0, ladder, book, .buy, &hasher), recomputedSide(1, ladder, book, .sell, &hasher),
        recomputedSide(2, stops, buys, .sell, &hasher), recomputedSide(3, stops, sells, .buy, &hasher),
      ]
      hashes.append(hasher.bookHash(books[book], sides))
    }
    let idsHash = hasher.idsHash(ids, second: second)
    let stonesHash = hasher.hash(tombstones)
    hasher.input.put(HashTag.root)
    hasher.input.put(books.count)
    for hash in hashes { hasher.input.put(hash) }
    hasher.input.put(idsHash)
    hasher.input.put(stonesHash)
    return hasher.input.hash(with: hasher.sha)
  }

  private func recomputedSide(
    _ tag: UInt8, _ ladder: borrowing PriceLadder, _ row: UInt32, _ side: Side, _ hasher: inout BookHasher
  ) -> Hash256 {
    var levels: [(price: UInt64, hash: Hash256)] = []
    var level = ladder.worse(row, side, than: nil)
    while level != noSlot {
      let ticks = ladder.pages.price(of: level)
      levels.append((UInt64(ticks), hasher.recomputedLevelHash(level, ladder.pages, orders, accounts, ids)))
      level = ladder.worse(row, side, than: ticks)
    }
    if side == .buy { levels.reverse() }
    return hasher.sideHash(tag, UInt64(levels.count), levels.isEmpty ? .zero : hasher.trieHash(levels[...]))
  }
}
