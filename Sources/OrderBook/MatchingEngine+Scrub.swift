import Primitives

/// Looks whether the book in memory is still what was hashed.
///
/// The book hash is kept incrementally, which hides a flipped bit until somebody touches its level. A scrub hashes
/// blocks of orders anew from their raw fields, and holds each against the hash that is kept; likewise sums, links, the
/// index of dots, terms, the inner nodes of the kept tree, instruments, client order ids and tombstones. What has
/// changed since it was hashed last has no hash to be held against, and is left for the next time; its sums and links
/// are looked at all the same.
///
/// No link is followed before it was looked at: damage must not stop the process that is to find it.
extension MatchingEngine {
  /// Damages that one call reports; where there are more, the first ones are enough.
  static let damagesMax = 16

  /// About how many units of `scrub` one whole pass takes; 0 for an empty book.
  /// - Complexity: O(1).
  public var scrubUnits: Int {
    let ordersAndLevels = 2 * (restingOrders + waitingStops)
    let pages = Int(ladder.pages.end + stops.pages.end) - 2
    return ordersAndLevels + pages + Int(hasher.trie.end - 1) + Int(ids.total - ids.first) + tombstones.count
      + Int(books.count)
  }

  /// Does about `unitsMax` units of work, an order each, and goes on from there the next time.
  ///
  /// - Parameters:
  ///   - cursor: from where on; after the last place it starts again, at most once in one call.
  ///   - damages: what was found is appended.
  /// - Complexity: O(unitsMax), but that the sums of one level are looked at in one go. No allocation unless something
  ///   is found.
  public mutating func scrub(_ cursor: inout ScrubCursor, unitsMax: Int, _ damages: inout [BookDamage]) {
    var left = unitsMax
    let passes = cursor.passes
    while left > 0, cursor.passes == passes, damages.count < Self.damagesMax {
      let before = left
      switch cursor.phase {
      case .levels: scrubLevels(&cursor, &left, stops: false, &damages)
      case .stops: scrubLevels(&cursor, &left, stops: true, &damages)
      case .nodes: scrubNodes(&cursor, &left, &damages)
      case .books: scrubBooks(&cursor, &left, &damages)
      case .names: scrubNames(&cursor, &left, &damages)
      case .tombstones: scrubTombstones(&cursor, &left, &damages)
      }
      cursor.units += before - left
    }
  }

  /// One pass over sums, links and the index alone, without a hash: whether the book may be walked at all. Sums and
  /// quantities that are wrong are not reported.
  /// - Complexity: O(orders) in one go.
  public func scrubLinks(_ cursor: inout ScrubCursor, _ damages: inout [BookDamage]) {
    for isStops in [false, true] {
      let end = (isStops ? stops.pages.end : ladder.pages.end) * LevelPages.width
      for level in LevelPages.width..<max(LevelPages.width, end) {
        guard value(level, isStops).marks & LevelMark.ofBoth(LevelMark.occupied) != 0 else { continue }
        guard let (kind, _) = structureDamage(level, isStops) else { continue }
        switch kind {
        case .links, .index, .terms: return damages.append(damage(kind, level, isStops))
        case .orders, .sum, .level, .node, .book, .names, .tombstones: break
        }
      }
    }
    cursor.skip()
  }

  // MARK: Levels

  private mutating func scrubLevels(
    _ cursor: inout ScrubCursor, _ left: inout Int, stops isStops: Bool, _ damages: inout [BookDamage]
  ) {
    let end = Int(isStops ? stops.pages.end : ladder.pages.end) * Int(LevelPages.width)
    if cursor.place < Int(LevelPages.width) { cursor.place = Int(LevelPages.width) }
    while left > 0, cursor.place < end, damages.count < Self.damagesMax {
      let level = UInt32(cursor.place)
      if level % LevelPages.width == 0 {
        left -= 1
        let isUsed = (isStops ? stops.pages[page: level / 16] : ladder.pages[page: level / 16]).isUsed == 1
        guard isUsed else {
          // What lies here is the first state of whoever uses the page next.
          for rest in level..<level + LevelPages.width where !isEmpty(rest, isStops) {
            damages.append(BookDamage(.sum))
          }
          cursor.place += Int(LevelPages.width)
          continue
        }
      }
      scrubLevel(level, isStops, &cursor, &left, &damages)
      if cursor.inner == 0 { cursor.place += 1 }
    }
    if cursor.place >= end { cursor.enter(isStops ? .nodes : .stops) }
  }

  // Of one ladder or the other.

  private func value(_ level: UInt32, _ isStops: Bool) -> Level { isStops ? stops.pages[level] : ladder.pages[level] }
  private func price(_ level: UInt32, _ isStops: Bool) -> Int64 {
    isStops ? stops.pages.price(of: level) : ladder.pages.price(of: level)
  }
  private func row(_ level: UInt32, _ isStops: Bool) -> UInt32 {
    isStops ? stops.pages.row(of: level) : ladder.pages.row(of: level)
  }
  private func firstBlock(_ level: UInt32, _ isStops: Bool) -> UInt32 {
    isStops ? stops.pages.firstBlock(level) : ladder.pages.firstBlock(level)
  }
  private func isOccupied(_ level: UInt32, _ side: Side, _ isStops: Bool) -> Bool {
    value(level, isStops).marks & LevelMark.of(LevelMark.occupied, side) != 0
  }

  private func isEmpty(_ level: UInt32, _ isStops: Bool) -> Bool {
    let value = self.value(level, isStops)
    let hidden = isStops ? stops.pages.hiddenLots(level) : ladder.pages.hiddenLots(level)
    return value.count == 0 && value.head == noSlot && value.total == 0 && hidden == 0
  }

  /// What a level is, for whoever reads of it.
  private func damage(
    _ kind: BookDamage.Kind, _ level: UInt32, _ isStops: Bool, _ named: [Dot] = []
  ) -> BookDamage {
    let row = self.row(level, isStops)
    let book = isStops ? row / 2 : row
    var side: Side? = isOccupied(level, .buy, isStops) ? .buy : isOccupied(level, .sell, isStops) ? .sell : nil
    if isStops { side = row % 2 == 0 ? .buy : .sell }
    return BookDamage(
      kind, instrument: book < books.count ? books[book].dot : .none, side: side, priceTicks: price(level, isStops),
      orders: named)
  }

  private mutating func scrubLevel(
    _ level: UInt32, _ isStops: Bool, _ cursor: inout ScrubCursor, _ left: inout Int,
    _ damages: inout [BookDamage]
  ) {
    let value = self.value(level, isStops)
    let isOccupied = value.marks & LevelMark.ofBoth(LevelMark.occupied) != 0
    let isDirty = value.marks & LevelMark.ofBoth(LevelMark.dirty) != 0
    if !isOccupied {
      cursor.inner = 0
      if !isEmpty(level, isStops) { damages.append(damage(.links, level, isStops)) }
      return
    }
    var block = UInt32(truncatingIfNeeded: cursor.inner)
    if cursor.inner == 0 {
      left -= 1
      if let (kind, slot) = structureDamage(level, isStops) {
        let named = slot != noSlot && slot < orders.slotsEnd ? [orders[slot].dot] : []
        return damages.append(damage(kind, level, isStops, named))
      }
      left -= Int(value.count) / 8
      block = firstBlock(level, isStops)
      cursor.generation = hasher.generation
      cursor.steps = 0
    } else if !isBlock(block, of: level, isStops) {
      // It has changed since the last call.
      cursor.inner = 0
      return
    }
    while block != noSlot {
      guard left > 0 else {
        cursor.inner = Int(block)
        return
      }
      cursor.steps += 1
      guard block < hasher.blocks.end, cursor.steps <= hasher.blocks.end else {
        cursor.inner = 0
        return damages.append(damage(.links, level, isStops))
      }
      if hasher.blocks[block].first != noSlot, hasher.blocks[block].isDirty == 0 {
        let (isSame, count) = isBlockSound(block)
        left -= max(1, count)
        if !isSame {
          cursor.inner = 0
          return damages.append(damage(.orders, level, isStops, dots(ofBlock: block)))
        }
      } else {
        left -= 1
      }
      block = hasher.blocks[block].next
    }
    // Hashed in between, the level may be another one.
    let isSame = cursor.generation == hasher.generation
    cursor.inner = 0
    guard !isDirty, isSame, row(level, isStops) != LevelPages.noRow else { return }
    if !isLevelSound(level, isStops, &left) { damages.append(damage(.level, level, isStops)) }
  }

  /// Whether a block is one of this level still: a call may have ended within a long one.
  private func isBlock(_ block: UInt32, of level: UInt32, _ isStops: Bool) -> Bool {
    guard block < hasher.blocks.end else { return false }
    let first = hasher.blocks[block].first
    guard first != noSlot, first < orders.slotsEnd else { return false }
    let order = orders[first]
    return order.block == block && order.level == level && order.isWaiting == isStops
      && index.soundSlot(of: order.dot) == first
  }

  private func dots(ofBlock block: UInt32) -> [Dot] {
    var found: [Dot] = []
    var slot = hasher.blocks[block].first
    while slot != noSlot, slot < orders.slotsEnd, found.count < HashTag.blockMax {
      found.append(orders[slot].dot)
      if slot == hasher.blocks[block].last { break }
      slot = orders[slot].next
    }
    return found
  }

  /// Whether the orders of a block that has not changed give its kept hash.
  private mutating func isBlockSound(_ block: UInt32) -> (isSame: Bool, orders: Int) {
    let kept = hasher.blocks[block]
    hasher.block.put(HashTag.block)
    hasher.block.put(UInt32(0))
    var count = 0
    var slot = kept.first
    var isWhole = false
    while slot != noSlot, slot < orders.slotsEnd, count < HashTag.blockMax, areExtrasSound(slot) {
      hasher.put(orders[slot], orders, accounts, ids)
      count += 1
      if slot == kept.last {
        isWhole = true
        break
      }
      slot = orders[slot].next
    }
    hasher.block.set(UInt32(count), at: 1)
    let hash = hasher.block.hash(with: hasher.sha)
    return (isWhole && hash == kept.hash, count)
  }

  /// Whether everything that an order names may be read.
  private func areExtrasSound(_ slot: UInt32) -> Bool {
    let order = orders[slot]
    guard order.terms < orders.termsEnd, order.account != noSlot, order.account < accounts.end else { return false }
    guard order.clientRecord != noSlot else { return true }
    var record = order.clientRecord
    for _ in 0...Limits.namesPerOrderMax {
      guard record < ids.recordsEnd else { return false }
      record = ids[record].nextName
      if record == noSlot { return true }
    }
    return false
  }

  private mutating func isLevelSound(
    _ level: UInt32, _ isStops: Bool, _ left: inout Int
  ) -> Bool {
    hasher.putLevel(price(level, isStops), orders: value(level, isStops).count, total: value(level, isStops).total)
    var blocks: UInt32 = 0
    var block = firstBlock(level, isStops)
    while block != noSlot, block < hasher.blocks.end, blocks <= value(level, isStops).count {
      hasher.input.put(hasher.blocks[block].hash)
      blocks += 1
      if blocks % 16 == 0 { left -= 1 }
      block = hasher.blocks[block].next
    }
    hasher.input.set(blocks, at: BookHasher.blockCountOffset)
    let hash = hasher.input.hash(with: hasher.sha)
    let row = self.row(level, isStops)
    let root: UInt32
    if isStops {
      guard row / 2 < books.count else { return false }
      root = row % 2 == 0 ? books[row / 2].tries.buyStops.node : books[row / 2].tries.sellStops.node
    } else {
      guard row < books.count else { return false }
      root = isOccupied(level, .buy, isStops) ? books[row].tries.bids.node : books[row].tries.asks.node
    }
    return hasher.trie.soundLeaf(UInt64(price(level, isStops)), root: root) == hash
  }

  /// The first thing that does not fit in a level's queue, and the order that has it.
  /// - Complexity: O(orders of the level), without a hash.
  private func structureDamage(
    _ level: UInt32, _ isStops: Bool
  ) -> (BookDamage.Kind, UInt32)? {
    let value = self.value(level, isStops)
    let side: Side = isOccupied(level, .buy, isStops) ? .buy : .sell
    let ticks = price(level, isStops)
    var total: UInt128 = 0
    var hidden: UInt128 = 0
    var count: UInt32 = 0
    var previous = noSlot
    var slot = value.head
    while slot != noSlot {
      guard slot < orders.slotsEnd, count < value.count else { return (.links, previous) }
      let order = orders[slot]
      guard order.previous == previous, order.level == level, order.isWaiting == isStops,
        (order.side == side) != isStops, areExtrasSound(slot), areAccountLinksSound(slot, order)
      else { return (.links, slot) }
      guard index.soundSlot(of: order.dot) == slot else { return (.index, slot) }
      guard order.openLots > 0, order.filledLots >= 0 else { return (.orders, slot) }
      guard areTermsSound(slot, order, ticks) else { return (.terms, slot) }
      total &+= UInt128(truncatingIfNeeded: order.openLots)
      if !isStops, order.terms != noSlot, order.flags.isIceberg {
        hidden &+= UInt128(truncatingIfNeeded: order.openLots &- orders[terms: order.terms].visibleLots)
      }
      count += 1
      previous = slot
      slot = order.next
    }
    guard previous == value.tail else { return (.links, previous) }
    guard count == value.count, total == value.total,
      hidden == (isStops ? stops.pages.hiddenLots(level) : ladder.pages.hiddenLots(level)), value.references >= count
    else { return (.sum, noSlot) }
    return nil
  }

  private func areAccountLinksSound(_ slot: UInt32, _ order: OrderSlot) -> Bool {
    guard order.accountNext < orders.slotsEnd, order.accountPrevious < orders.slotsEnd else { return false }
    if order.accountPrevious == noSlot {
      if accounts[order.account].head != slot { return false }
    } else if orders[order.accountPrevious].accountNext != slot {
      return false
    }
    return order.accountNext == noSlot || orders[order.accountNext].accountPrevious == slot
  }

  private func areTermsSound(_ slot: UInt32, _ order: OrderSlot, _ ticks: Int64) -> Bool {
    let isDated = order.packed >> 20 & 12 == UInt32(TimeInForce.goodTillDate.rawValue) << 2
    let needs = order.isWaiting || order.flags.isIceberg || isDated
    guard needs == (order.terms != noSlot) else { return false }
    guard needs else { return true }
    let terms = orders[terms: order.terms]
    guard (terms.expiry != 0) == isDated, !order.isWaiting || terms.stopPriceTicks == ticks else { return false }
    if isDated, !expiries.holds(slot, at: terms.expiryPlace, expiry: terms.expiry) { return false }
    guard order.flags.isIceberg, !order.isWaiting else { return true }
    return terms.visibleLots > 0 && terms.visibleLots <= min(terms.displayLots, order.openLots)
  }

  // MARK: What is kept above the levels

  private mutating func scrubNodes(_ cursor: inout ScrubCursor, _ left: inout Int, _ damages: inout [BookDamage]) {
    if cursor.place == 0 { cursor.place = 1 }
    let end = Int(hasher.trie.end)
    while left > 0, cursor.place < end, damages.count < Self.damagesMax {
      let node = UInt32(cursor.place)
      if !hasher.trie.isSound(node, &hasher.input, hasher.sha) {
        damages.append(BookDamage(.node, priceTicks: Int64(truncatingIfNeeded: hasher.trie.price(of: node))))
      }
      cursor.place += 1
      left -= 1
    }
    if cursor.place >= end { cursor.enter(.books) }
  }

  private mutating func scrubBooks(_ cursor: inout ScrubCursor, _ left: inout Int, _ damages: inout [BookDamage]) {
    while left > 0, cursor.place < Int(books.count), damages.count < Self.damagesMax {
      let book = UInt32(cursor.place)
      cursor.place += 1
      left -= 1
      if books[book].isDirty { continue }
      if !isBookSound(book) { damages.append(BookDamage(.book, instrument: books[book].dot)) }
    }
    if cursor.place >= Int(books.count) { cursor.enter(.names) }
  }

  private mutating func isBookSound(_ book: UInt32) -> Bool {
    let tries = books[book].tries
    guard let bids = hasher.trie.kept(root: tries.bids.node), let asks = hasher.trie.kept(root: tries.asks.node),
      let buys = hasher.trie.kept(root: tries.buyStops.node), let sells = hasher.trie.kept(root: tries.sellStops.node)
    else { return false }
    let sides = (
      hasher.sideHash(0, tries.bids.levels, bids), hasher.sideHash(1, tries.asks.levels, asks),
      hasher.sideHash(2, tries.buyStops.levels, buys), hasher.sideHash(3, tries.sellStops.levels, sells)
    )
    return hasher.bookHash(books[book], [sides.0, sides.1, sides.2, sides.3]) == books[book].hash
  }

  // MARK: Names

  private mutating func scrubNames(_ cursor: inout ScrubCursor, _ left: inout Int, _ damages: inout [BookDamage]) {
    while left > 0, cursor.place < hasher.idBuckets.count, damages.count < Self.damagesMax {
      // Buckets come and go at the ends: what has changed in between is looked at the next time.
      if cursor.inner > 0, cursor.generation != hasher.generation { cursor.inner = 0 }
      cursor.generation = hasher.generation
      let position = cursor.place
      let blocks = hasher.idBuckets[position].blocks.count
      guard cursor.inner < blocks else {
        cursor.place += 1
        cursor.inner = 0
        left -= 1
        continue
      }
      let block = hasher.idBuckets[position].blocks[cursor.inner]
      let start =
        cursor.inner == 0 ? hasher.idBuckets[position].first : hasher.idBuckets[position].blocks[cursor.inner - 1].end
      cursor.inner += 1
      left -= HashTag.blockMax / 2
      // A block may have ended where it does because of the record after it.
      guard start >= ids.first, block.end < min(ids.unchangedBelow, ids.total) else { continue }
      if !areNamesSound(from: start, block) { damages.append(BookDamage(.names)) }
    }
    if cursor.place >= hasher.idBuckets.count { cursor.enter(.tombstones) }
  }

  private mutating func areNamesSound(from start: UInt64, _ block: ClientIDBucket.Block) -> Bool {
    guard block.end > start, block.end - start <= UInt64(HashTag.blockMax) else { return false }
    for ordinal in start..<block.end where ids.record(at: ordinal) >= ids.recordsEnd { return false }
    var ordinal = start
    var isClosed = false
    let hash = hasher.idBlock(ids, from: &ordinal, isClosed: &isClosed)
    return ordinal == block.end && hash == block.hash
  }

  // MARK: Tombstones

  /// Block by block, in slot order of the list; what was begun before the book was hashed again is begun anew.
  private mutating func scrubTombstones(
    _ cursor: inout ScrubCursor, _ left: inout Int, _ damages: inout [BookDamage]
  ) {
    defer { if cursor.phase == .tombstones, cursor.inner == 0, cursor.place == 0 { endPass(&cursor) } }
    guard !tombstones.isDirty, hasher.generation > 0 else {
      cursor.place = 0
      cursor.inner = 0
      return
    }
    if cursor.inner == 0 || cursor.generation != hasher.generation {
      cursor.generation = hasher.generation
      cursor.inner = 0
      cursor.place = Int(tombstones.oldest)
      hasher.stones.removeAll()
      hasher.stones.put(HashTag.stones)
      hasher.stones.put(UInt64(tombstones.count))
      hasher.stones.put(UInt32((tombstones.count + HashTag.blockMax - 1) / HashTag.blockMax))
    }
    while cursor.inner < tombstones.count {
      guard left > 0 else { return }
      guard putStones(&cursor, &left) else {
        damages.append(BookDamage(.tombstones))
        cursor.place = 0
        cursor.inner = 0
        return
      }
    }
    if hasher.stones.hash(with: hasher.sha) != hasher.stonesHash { damages.append(BookDamage(.tombstones)) }
    cursor.place = 0
    cursor.inner = 0
  }

  /// One block; false if a link leads nowhere.
  private mutating func putStones(_ cursor: inout ScrubCursor, _ left: inout Int) -> Bool {
    let inBlock = min(tombstones.count - cursor.inner, HashTag.blockMax)
    var stone = UInt32(truncatingIfNeeded: cursor.place)
    hasher.block.put(HashTag.stoneBlock)
    hasher.block.put(UInt32(inBlock))
    for _ in 0..<inBlock {
      guard stone != noSlot, stone < tombstones.end else {
        _ = hasher.block.hash(with: hasher.sha)
        return false
      }
      hasher.put(tombstones[stone])
      stone = tombstones[stone].next
    }
    hasher.stones.put(hasher.block.hash(with: hasher.sha))
    cursor.place = Int(stone)
    cursor.inner += inBlock
    left -= inBlock
    return true
  }

  private func endPass(_ cursor: inout ScrubCursor) {
    cursor.enter(.levels)
    cursor.units = 0
    cursor.passes += 1
  }
}
