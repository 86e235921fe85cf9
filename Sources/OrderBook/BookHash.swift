import Primitives

/// The book hash of format 1: a Merkle root over everything that a later result can depend on.
///
/// Its shape is a function of what the book holds, never of how it came to hold it. `H` is SHA-256 of the bytes listed:
/// first a tag, then fields of fixed width, integers little-endian (`u8` `u16` `u32` `u64` `u128`), hashes as their 32
/// bytes. A dot is sequence `u64`, origin `u32`.
///
/// ```
/// order    dot, account u64, open u64, filled u64, flags u16,
///          and if its bit in flags is set: [client order id, fingerprint u64]
///          flags: 1 sell, 2 post-only, 4 × time-in-force (2 bits), 16 × type (2), 64 × self-trade prevention (3),
///                 2048 has a client order id
/// block    H(1, orders u32, each order), a run of one level's queue, oldest first. An order ends its block if the mix
///          of its dot has its low 4 bits zero, or the block has 64 orders; the last one ends it anyway.
/// level    H(2, price u64, orders u64, sum of open quantities u128, blocks u32, each block)
/// node     H(3, tier u8, bitmap u8, each child by rising digit). A node of tier t parts the prices below it by their
///          bits 2t and 2t + 1; bit d of bitmap says whether there is a child of digit d. A node with a single child is
///          left out, the child stands in its place; the lowest nodes are levels.
/// side     H(4, side u8, levels u64, top node; 32 zero bytes if there is none)
/// book     H(5, dot of the definition, symbol 16 bytes, tick mantissa u64, tick scale u8, lot mantissa u64,
///          lot scale u8, last trade price u64 or 0, bids, asks)
/// ids      H(8, records u64, buckets u32, each bucket). The records in the window by rising key; a bucket is those of
///          one second: H(7, second u64, records u64, blocks u32, each block); a block is H(6, records u32, each
///          record) and ends as a block of orders does, by the low 4 bits of its record's dot, or with 64 records.
///          record: dot, account u64, fingerprint u64, client order id
/// stones   H(10, tombstones u64, blocks u32, each block), oldest first; block: H(9, tombstones u32, each): 64 each.
///          tombstone: second u64, account u64, dot, client order id
/// root     H(11, books u32, each book in order of definition, ids, stones)
/// ```
///
/// A client order id is its kind `u8` (0 none, 1 integer, 2 text), then the integer `u64` or length `u8` and UTF-8. The
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
  static let hasClientOrderID: UInt32 = 2048

  /// Does the order or record that `dot` names end its block?
  @inline(__always) static func endsBlock(_ sequence: UInt64, _ origin: UInt32) -> Bool {
    mixed(sequence &+ UInt64(origin) &* 0x9E37_79B9_7F4A_7C15) & 15 == 0
  }
}

extension MatchingEngine {
  /// The hash of what the books hold now. Two engines that applied the same entries have the same one.
  ///
  /// - Complexity: O(k log n) hashes for k levels changed since the last call, and one each for instruments and the
  ///   buckets of client order ids.
  public mutating func bookHash() -> Hash256 {
    while let (page, marks) = ladder.pages.takeDirty() {
      refreshLevels(page, marks)
      ladder.releaseIfIdle(page)
    }
    for book in 0..<books.count where books[book].isDirty {
      let bids = hasher.trie.hash(root: books[book].bidRoot, &hasher.input, hasher.sha)
      let asks = hasher.trie.hash(root: books[book].askRoot, &hasher.input, hasher.sha)
      books[book].hash = hasher.bookHash(books[book], bids: bids, asks: asks)
      books[book].isDirty = false
    }
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
      var roots: [Hash256] = []
      var copy = books[book]
      for side in Side.allCases {
        var levels: [(price: UInt64, hash: Hash256)] = []
        var level = ladder.worse(book, side, than: nil)
        while level != noSlot {
          let ticks = ladder.pages.price(of: level)
          levels.append((UInt64(ticks), hasher.levelHash(level, ladder.pages, orders, ids)))
          level = ladder.worse(book, side, than: ticks)
        }
        if side == .buy { levels.reverse() }
        roots.append(levels.isEmpty ? .zero : hasher.trieHash(levels[...]))
        if side == .buy { copy.bidLevels = UInt64(levels.count) } else { copy.askLevels = UInt64(levels.count) }
      }
      hashes.append(hasher.bookHash(copy, bids: roots[0], asks: roots[1]))
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

  /// Brings the marked levels of a page up to date in the tries of its book.
  private mutating func refreshLevels(_ page: UInt32, _ marks: UInt32) {
    let header = ladder.pages[page: page]
    if header.book == LevelPages.noBook { return }
    let book = header.book
    books[book].isDirty = true
    var marks = marks
    while marks != 0 {
      let bit = UInt32(marks.trailingZeroBitCount)
      marks &= marks - 1
      let level = page * LevelPages.width + bit % LevelPages.width
      let price = UInt64(ladder.pages.price(of: level))
      let isBid = bit < LevelPages.width
      if header.occupied & 1 << bit != 0 {
        let hash = hasher.levelHash(level, ladder.pages, orders, ids)
        if isBid {
          if hasher.trie.set(price, hash, root: &books[book].bidRoot) { books[book].bidLevels += 1 }
        } else {
          if hasher.trie.set(price, hash, root: &books[book].askRoot) { books[book].askLevels += 1 }
        }
      } else if isBid {
        if hasher.trie.remove(price, root: &books[book].bidRoot) { books[book].bidLevels -= 1 }
      } else {
        if hasher.trie.remove(price, root: &books[book].askRoot) { books[book].askLevels -= 1 }
      }
    }
  }
}
