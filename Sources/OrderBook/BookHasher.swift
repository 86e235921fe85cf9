import Primitives

/// Computes the nodes of the book hash and keeps those that may be used again. `HashTag` defines them.
struct BookHasher: ~Copyable {
  let sha = SHA256()
  /// The node being put together; and the block below it.
  var input = HashInput()
  var block = HashInput()
  var trie = PriceTrie()
  var blocks = LevelBlocks()
  var stonesHash = Hash256.zero
  /// How often the book was hashed: what is kept was last brought up to date then.
  var generation: UInt64 = 0
  /// Of the tombstones' blocks, while they are looked at bit by bit.
  var stones = HashInput()
  /// What is kept of the client order ids' hashes, oldest second first.
  var idBuckets: ContiguousArray<ClientIDBucket> = []

  /// The fields of one order, into the block that is put together.
  @inline(__always) mutating func put(
    _ order: OrderSlot, _ orders: borrowing OrderStore, _ accounts: borrowing Accounts, _ ids: borrowing ClientIDIndex
  ) {
    block.put(order.dot)
    block.put(accounts[order.account].account)
    block.put(order.openLots)
    block.put(order.filledLots)
    let record = order.clientRecord
    let others = record == noSlot ? noSlot : ids[record].nextName
    block.put(
      UInt16(
        order.flags.bits | (record != noSlot ? HashTag.hasName : 0) | (others != noSlot ? HashTag.hasOtherNames : 0)))
    if order.terms != noSlot { put(orders[terms: order.terms], order.flags) }
    if record != noSlot {
      block.put(ids[record].id)
      block.put(ids[record].fingerprint)
      if others != noSlot { put(namesFrom: others, ids) }
    }
  }

  @inline(never) private mutating func put(namesFrom newest: UInt32, _ ids: borrowing ClientIDIndex) {
    let start = block.count
    block.put(UInt32(0))
    var count: UInt32 = 0
    var record = newest
    while record != noSlot {
      block.put(ids[record].id.namedDot)
      count += 1
      record = ids[record].nextName
    }
    block.set(count, at: start)
  }

  @inline(never) private mutating func put(_ terms: OrderTerms, _ flags: OrderFlags) {
    if flags.isIceberg {
      block.put(terms.displayLots)
      block.put(terms.visibleLots)
    }
    if flags.timeInForce == .goodTillDate { block.put(terms.expiry) }
    if flags.bits & OrderFlags.waits != 0 {
      block.put(terms.limitTicks)
      block.put(terms.sinceStamp)
      block.put(terms.sinceOrigin)
    }
  }

  mutating func bookHash(_ book: Book, _ sides: [Hash256]) -> Hash256 {
    input.put(HashTag.book)
    input.put(book.dot)
    input.put(book.instrument.symbol.low)
    input.put(book.instrument.symbol.high)
    for increment in [book.instrument.tick, book.instrument.lot] {
      input.put(increment.mantissa)
      input.put(increment.scale)
    }
    input.put(book.lastTradeTicks)
    for side in sides { input.put(side) }
    return input.hash(with: sha)
  }

  /// A side from its kept trie.
  mutating func side(_ tag: UInt8, _ root: TrieRoot) -> Hash256 {
    sideHash(tag, root.levels, trie.hash(root: root.node, &input, sha))
  }

  /// - Parameter tag: 0 bids, 1 asks, 2 buy stops, 3 sell stops.
  mutating func sideHash(_ tag: UInt8, _ levels: UInt64, _ top: Hash256) -> Hash256 {
    if tag >= 2 && levels == 0 { return .zero }
    input.put(HashTag.side)
    input.put(tag)
    input.put(levels)
    input.put(top)
    return input.hash(with: sha)
  }

  /// The top node over levels by rising price, straight from its definition.
  func trieHash(_ levels: ArraySlice<(price: UInt64, hash: Hash256)>) -> Hash256 {
    guard let first = levels.first, let last = levels.last, first.price != last.price else {
      return levels.first?.hash ?? .zero
    }
    let tier = (63 - (first.price ^ last.price).leadingZeroBitCount) / 2
    var bitmap: UInt8 = 0
    var children: [Hash256] = []
    var rest = levels
    while let next = rest.first {
      let digit = next.price >> UInt64(tier * 2) & 3
      let end = rest.firstIndex { $0.price >> UInt64(tier * 2) & 3 != digit } ?? rest.endIndex
      bitmap |= 1 << UInt8(digit)
      children.append(trieHash(rest[rest.startIndex..<end]))
      rest = rest[end...]
    }
    var node = HashInput()
    node.put(HashTag.priceNode)
    node.put(UInt8(tier))
    node.put(bitmap)
    for child in children { node.put(child) }
    return node.hash(with: sha)
  }

  /// - Complexity: O(tombstones).
  mutating func hash(_ tombstones: borrowing Tombstones) -> Hash256 {
    input.put(HashTag.stones)
    input.put(UInt64(tombstones.count))
    input.put(UInt32((tombstones.count + HashTag.blockMax - 1) / HashTag.blockMax))
    var left = tombstones.count
    var stone = tombstones.oldest
    while left > 0 {
      let inBlock = min(left, HashTag.blockMax)
      block.put(HashTag.stoneBlock)
      block.put(UInt32(inBlock))
      for _ in 0..<inBlock {
        put(tombstones[stone])
        stone = tombstones[stone].next
      }
      input.put(block.hash(with: sha))
      left -= inBlock
    }
    return input.hash(with: sha)
  }

  /// One tombstone, into the block that is put together.
  mutating func put(_ stone: Tombstone) {
    block.put(stone.second)
    block.put(stone.account)
    block.put(stone.dot)
    block.put(stone.id)
  }

  /// The book is about to go.
  mutating func forget(_ book: inout Book) {
    for root in [book.tries.bids, book.tries.asks, book.tries.buyStops, book.tries.sellStops] {
      trie.removeAll(root: root.node)
    }
    book.tries = BookTries()
  }
}
