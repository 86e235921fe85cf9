import Primitives

/// A cancel that came before its order.
struct Tombstone {
  var account: UInt64 = 0
  /// The order's dot, or none if it was named by client order id.
  var sequence: UInt64 = 0
  var origin: UInt32 = 0
  var id = ClientOrderID.none
  /// Second of the cancel's stamp.
  var second: UInt64 = 0
  /// Neighbours in order of laying; kept after lifting until that is settled.
  var previous: UInt32 = noSlot
  var next: UInt32 = noSlot
  /// Next in the same chain.
  var chain: UInt32 = noSlot

  var dot: Dot { Dot(origin: OriginIndex(origin), sequence: sequence) }

  /// Tombstones of one dot share a chain whatever their account.
  @inline(__always) var place: UInt64 {
    id.isNone ? mixed(sequence &+ UInt64(origin) &* 0x9E37_79B9_7F4A_7C15) : id.mixed(with: account)
  }
}

/// The cancels that wait for their orders, oldest first: at most `Limits.clientOrderIDsMax`, none older than 600 s.
///
/// Unlike remembered ids these are lifted when their time is up or their order has come, and each lifting is a record
/// of the undo journal: at any entry exactly those are here that an earlier cancel laid.
struct Tombstones: ~Copyable {
  private var stones = Slab<Tombstone>(capacity: 16)
  private var chains = Slab<UInt32>(capacity: 16)
  private var mask = 15
  private var free: UInt32 = noSlot
  private var used: UInt32 = 1
  private(set) var oldest: UInt32 = noSlot
  private var newest: UInt32 = noSlot
  private(set) var count = 0
  /// Changed since the last `bookHash`.
  var isDirty = true

  @inline(__always) subscript(stone: UInt32) -> Tombstone {
    unsafeAddress { UnsafePointer(stones.address(Int(stone))) }
  }

  /// The tombstone of a dot laid by `account`, or by anybody if nil; none if there is none.
  func find(_ dot: Dot, account: UInt64?) -> UInt32 {
    let probe = Tombstone(sequence: dot.sequence, origin: dot.origin.value)
    var stone = chains[Int(truncatingIfNeeded: probe.place) & mask]
    while stone != noSlot {
      let value = stones[stone]
      if value.id.isNone && value.dot == dot && (account == nil || value.account == account) { return stone }
      stone = value.chain
    }
    return noSlot
  }

  /// The tombstone of a client order id, or none.
  func find(_ account: UInt64, _ id: ClientOrderID) -> UInt32 {
    var stone = chains[Int(truncatingIfNeeded: id.mixed(with: account)) & mask]
    while stone != noSlot {
      if stones[stone].id == id && stones[stone].account == account { return stone }
      stone = stones[stone].chain
    }
    return noSlot
  }

  /// Adds a tombstone as the newest.
  mutating func lay(_ stone: Tombstone) -> UInt32 {
    let slot: UInt32
    if free != noSlot {
      slot = free
      free = stones[free].chain
    } else {
      slot = used
      used += 1
      stones.reserve(Int(used))
    }
    stones[slot] = stone
    stones[slot].previous = newest
    stones[slot].next = noSlot
    link(slot)
    return slot
  }

  /// Takes the newest tombstone back, as if it had never been laid.
  mutating func unlay(_ slot: UInt32) {
    precondition(slot == newest, "tombstones are taken back in reverse order")
    lift(slot)
    release(slot)
  }

  /// Takes a tombstone out; it keeps its slot and links until `release` or `restore`.
  mutating func lift(_ slot: UInt32) {
    let stone = stones[slot]
    if stone.previous == noSlot { oldest = stone.next } else { stones[stone.previous].next = stone.next }
    if stone.next == noSlot { newest = stone.previous } else { stones[stone.next].previous = stone.previous }
    let chain = Int(truncatingIfNeeded: stone.place) & mask
    if chains[chain] == slot {
      chains[chain] = stone.chain
    } else {
      var before = chains[chain]
      while stones[before].chain != slot { before = stones[before].chain }
      stones[before].chain = stone.chain
    }
    count -= 1
    isDirty = true
  }

  /// Puts a lifted tombstone back where it was.
  mutating func restore(_ slot: UInt32) { link(slot) }

  /// The lifting of this tombstone cannot be undone any more.
  mutating func release(_ slot: UInt32) {
    stones[slot].chain = free
    free = slot
  }

  private mutating func link(_ slot: UInt32) {
    let stone = stones[slot]
    if stone.previous == noSlot { oldest = slot } else { stones[stone.previous].next = slot }
    if stone.next == noSlot { newest = slot } else { stones[stone.next].previous = slot }
    if count > mask { widen() }
    let chain = Int(truncatingIfNeeded: stone.place) & mask
    stones[slot].chain = chains[chain]
    chains[chain] = slot
    count += 1
    isDirty = true
  }

  @inline(never) private mutating func widen() {
    let capacity = chains.capacity * 2
    var wider = Slab<UInt32>(capacity: capacity)
    for index in 0...mask {
      var stone = chains[index]
      while stone != noSlot {
        let next = stones[stone].chain
        let chain = Int(truncatingIfNeeded: stones[stone].place) & (capacity - 1)
        stones[stone].chain = wider[chain]
        wider[chain] = stone
        stone = next
      }
    }
    chains = wider
    mask = capacity - 1
  }

  /// Tombstones from here on have never been used.
  var end: UInt32 { used }

  /// List, chains and count agree.
  /// - Complexity: O(tombstones).
  func check() throws(BrokenInvariant) {
    var found = 0
    var previous = noSlot
    var stone = oldest
    var second: UInt64 = 0
    while stone != noSlot {
      let value = stones[stone]
      try OrderBook.check(value.previous == previous && value.second >= second, "tombstones are out of order")
      let same = value.id.isNone ? find(value.dot, account: value.account) : find(value.account, value.id)
      try OrderBook.check(same == stone, "a tombstone is not found by its name")
      second = value.second
      previous = stone
      stone = value.next
      found += 1
    }
    try OrderBook.check(found == count && previous == newest, "tombstones are lost")
  }
}
