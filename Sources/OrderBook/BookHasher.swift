import Primitives

/// Computes the nodes of the book hash and keeps those that may be used again. `HashTag` defines them.
struct BookHasher: ~Copyable {
  let sha = SHA256()
  /// The node being put together; and the block below it.
  var input = HashInput()
  var block = HashInput()
  var trie = PriceTrie()
  var stonesHash = Hash256.zero
  /// What is kept of the client order ids' hashes, oldest second first.
  var idBuckets: ContiguousArray<ClientIDBucket> = []

  /// - Complexity: O(orders of the level).
  mutating func levelHash(
    _ level: UInt32, _ pages: borrowing LevelPages, _ orders: borrowing OrderStore, _ ids: borrowing ClientIDIndex
  ) -> Hash256 {
    input.put(HashTag.level)
    input.put(UInt64(pages.price(of: level)))
    input.put(UInt64(pages[level].count))
    let totals = input.count
    input.put(UInt128(0))
    input.put(UInt32(0))
    var total: UInt128 = 0
    var blocks: UInt32 = 0
    var inBlock: UInt32 = 0
    var slot = pages[level].head
    while slot != noSlot {
      if inBlock == 0 {
        block.put(HashTag.block)
        block.put(UInt32(0))
      }
      total += UInt128(orders[slot].openLots)
      put(orders[slot], ids)
      inBlock += 1
      let next = orders[slot].next
      if next == noSlot || Int(inBlock) == HashTag.blockMax
        || HashTag.endsBlock(orders[slot].sequence, orders[slot].dot.origin.value)
      {
        block.set(inBlock, at: 1)
        input.put(block.hash(with: sha))
        blocks += 1
        inBlock = 0
      }
      slot = next
    }
    for word in 0..<4 { input.set(UInt32(truncatingIfNeeded: total >> UInt128(word * 32)), at: totals + word * 4) }
    input.set(blocks, at: totals + 16)
    return input.hash(with: sha)
  }

  @inline(__always) private mutating func put(_ order: OrderSlot, _ ids: borrowing ClientIDIndex) {
    block.put(order.dot)
    block.put(order.account)
    block.put(order.openLots)
    block.put(order.filledLots)
    let record = order.clientRecord
    block.put(UInt16(order.flags | (record != noSlot ? HashTag.hasClientOrderID : 0)))
    if record != noSlot {
      block.put(ids[record].id)
      block.put(ids[record].fingerprint)
    }
  }

  mutating func bookHash(_ book: Book, bids: Hash256, asks: Hash256) -> Hash256 {
    let sides = [sideHash(.buy, book.bidLevels, bids), sideHash(.sell, book.askLevels, asks)]
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

  private mutating func sideHash(_ side: Side, _ levels: UInt64, _ top: Hash256) -> Hash256 {
    input.put(HashTag.side)
    input.put(side.rawValue)
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
        let value = tombstones[stone]
        block.put(value.second)
        block.put(value.account)
        block.put(value.dot)
        block.put(value.id)
        stone = value.next
      }
      input.put(block.hash(with: sha))
      left -= inBlock
    }
    return input.hash(with: sha)
  }

  /// The book is about to go.
  mutating func forget(_ book: inout Book) {
    trie.removeAll(root: book.bidRoot)
    trie.removeAll(root: book.askRoot)
    book.bidRoot = noSlot
    book.askRoot = noSlot
  }
}
