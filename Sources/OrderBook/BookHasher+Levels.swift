import Primitives

/// Levels of the book hash: cut into blocks, of which those that did not change are kept.
extension BookHasher {
  /// Puts the block that starts with `slot` together.
  /// - Returns: its hash, its last order, the order after it, and whether more orders could join it.
  private mutating func cut(
    _ slot: UInt32, naming block: UInt32, _ orders: borrowing OrderStore, _ accounts: borrowing Accounts,
    _ ids: borrowing ClientIDIndex
  ) -> (hash: Hash256, last: UInt32, next: UInt32, isClosed: Bool) {
    self.block.put(HashTag.block)
    self.block.put(UInt32(0))
    var count = 0
    var current = slot
    while true {
      let order = orders.address(current)
      if block != noSlot { order.pointee.block = block }
      put(order.pointee, orders, accounts, ids)
      count += 1
      let next = order.pointee.next
      let isClosed =
        count == HashTag.blockMax || HashTag.endsBlock(order.pointee.sequence, order.pointee.dot.origin.value)
      if isClosed || next == noSlot {
        self.block.set(UInt32(count), at: 1)
        return (self.block.hash(with: sha), current, next, isClosed)
      }
      current = next
    }
  }

  /// What a level's node has before its blocks.
  mutating func putLevel(_ ticks: Int64, orders: UInt32, total: UInt128) {
    input.put(HashTag.level)
    input.put(UInt64(ticks))
    input.put(UInt64(orders))
    input.put(total)
    input.put(UInt32(0))
  }
  static var blockCountOffset: Int { 33 }

  /// The hash of a level, from nothing but its orders.
  /// - Complexity: O(orders of the level).
  mutating func recomputedLevelHash(
    _ level: UInt32, _ pages: borrowing LevelPages, _ orders: borrowing OrderStore, _ accounts: borrowing Accounts,
    _ ids: borrowing ClientIDIndex
  ) -> Hash256 {
    var total: UInt128 = 0
    var count: UInt32 = 0
    var slot = pages[level].head
    while slot != noSlot {
      // A damaged quantity gives another hash, and does not stop the process.
      total &+= UInt128(truncatingIfNeeded: orders[slot].openLots)
      count += 1
      slot = orders[slot].next
    }
    putLevel(pages.price(of: level), orders: count, total: total)
    var blocks: UInt32 = 0
    slot = pages[level].head
    while slot != noSlot {
      let cut = cut(slot, naming: noSlot, orders, accounts, ids)
      input.put(cut.hash)
      blocks += 1
      slot = cut.next
    }
    input.set(blocks, at: Self.blockCountOffset)
    return input.hash(with: sha)
  }

  /// The same, from the blocks that are kept; those that changed are cut anew, and kept.
  /// - Complexity: O(blocks of the level + orders in blocks that changed).
  mutating func levelHash(
    _ level: UInt32, _ pages: inout LevelPages, _ orders: borrowing OrderStore, _ accounts: borrowing Accounts,
    _ ids: borrowing ClientIDIndex
  ) -> Hash256 {
    putLevel(pages.price(of: level), orders: pages[level].count, total: pages[level].total)
    var count: UInt32 = 0
    var slot = pages[level].head
    var block = pages.firstBlock(level)
    var before = noSlot
    while slot != noSlot {
      block = dropEmpty(block)
      let kept: UInt32
      if block != noSlot, blocks[block].first == slot, isCurrent(block, orders) {
        kept = block
        block = dropEmpty(blocks[kept].next)
        slot = block != noSlot ? blocks[block].first : orders[blocks[kept].last].next
      } else {
        let isReused = block != noSlot && blocks[block].first == slot
        kept = isReused ? block : blocks.allocate()
        if isReused { block = blocks[block].next }
        let cut = cut(slot, naming: kept, orders, accounts, ids)
        blocks[kept] = LevelBlocks.Block(
          hash: cut.hash, first: slot, last: cut.last, isClosed: cut.isClosed ? 1 : 0)
        block = dropAbsorbed(block, by: kept, before: cut.next, orders)
        slot = cut.next
      }
      if before == noSlot { pages.setFirstBlock(level, kept) } else { blocks[before].next = kept }
      before = kept
      input.put(blocks[kept].hash)
      count += 1
    }
    release(block)
    if before == noSlot { pages.setFirstBlock(level, noSlot) } else { blocks[before].next = noSlot }
    input.set(count, at: Self.blockCountOffset)
    return input.hash(with: sha)
  }

  /// Are the block's orders those that were hashed, and can no other one have joined them?
  private func isCurrent(_ block: UInt32, _ orders: borrowing OrderStore) -> Bool {
    blocks[block].isDirty == 0 && (blocks[block].isClosed == 1 || orders[blocks[block].last].next == noSlot)
  }

  /// The next block that has orders, from `block` on; those without are given back.
  private mutating func dropEmpty(_ block: UInt32) -> UInt32 {
    var block = block
    while block != noSlot, blocks[block].first == noSlot {
      let next = blocks[block].next
      blocks.release(block)
      block = next
    }
    return block
  }

  /// As above, after a cut took the orders of blocks that follow it, up to `next`.
  private mutating func dropAbsorbed(
    _ start: UInt32, by kept: UInt32, before next: UInt32, _ orders: borrowing OrderStore
  ) -> UInt32 {
    var block = dropEmpty(start)
    while block != noSlot, orders[blocks[block].first].block == kept {
      if next != noSlot, orders[next].block == block {
        blocks[block].first = next
        blocks[block].isDirty = 1
        return block
      }
      blocks[block].first = noSlot
      block = dropEmpty(block)
    }
    return block
  }

  /// Gives back a level's blocks from `block` on.
  private mutating func release(_ block: UInt32) {
    var block = block
    while block != noSlot {
      let next = blocks[block].next
      blocks.release(block)
      block = next
    }
  }

  /// The level is empty: nothing of it is kept.
  mutating func forgetBlocks(_ level: UInt32, _ pages: inout LevelPages) {
    let first = pages.firstBlock(level)
    if first == noSlot { return }
    release(first)
    pages.setFirstBlock(level, noSlot)
  }
}

extension MatchingEngine {
  /// Brings a marked level of the ladder up to date in the tries of its book.
  mutating func refreshLevel(_ level: UInt32, _ marks: UInt32) {
    let row = ladder.pages.row(of: level)
    let price = UInt64(ladder.pages.price(of: level))
    if marks & LevelMark.ofBoth(LevelMark.occupied) == 0 { hasher.forgetBlocks(level, &ladder.pages) }
    for side in Side.allCases where marks & LevelMark.of(LevelMark.dirty, side) != 0 {
      var hash: Hash256?
      if marks & LevelMark.of(LevelMark.occupied, side) != 0 {
        hash = hasher.levelHash(level, &ladder.pages, orders, accounts, ids)
      }
      if row == LevelPages.noRow { continue }
      books[row].isDirty = true
      if side == .buy {
        hasher.trie.update(price, hash, &books[row].tries.bids)
      } else {
        hasher.trie.update(price, hash, &books[row].tries.asks)
      }
    }
  }

  /// The same for a level of the stop ladder.
  mutating func refreshStopLevel(_ level: UInt32, _ marks: UInt32) {
    let row = stops.pages.row(of: level)
    let price = UInt64(stops.pages.price(of: level))
    var hash: Hash256?
    if marks & LevelMark.ofBoth(LevelMark.occupied) != 0 {
      hash = hasher.levelHash(level, &stops.pages, orders, accounts, ids)
    } else {
      hasher.forgetBlocks(level, &stops.pages)
    }
    if row == LevelPages.noRow { return }
    books[row / 2].isDirty = true
    if row % 2 == 0 {
      hasher.trie.update(price, hash, &books[row / 2].tries.buyStops)
    } else {
      hasher.trie.update(price, hash, &books[row / 2].tries.sellStops)
    }
  }
}
