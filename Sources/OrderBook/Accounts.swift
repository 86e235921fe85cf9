import Primitives

/// The accounts that open orders, or removed ones whose removal may be undone, belong to; each with its newest order.
///
/// Orders name an account by the number of its entry, so that only a new order has to be looked up: open addressing
/// over raw memory.
struct Accounts: ~Copyable {
  struct Entry {
    var account: UInt64 = 0
    /// Newest order in the book, or none.
    var head: UInt32 = noSlot
    /// Order slots that name this entry. 0: the entry is free.
    var references: UInt32 = 0
  }
  private var entries = Slab<Entry>(capacity: 64)
  private var free = SlabList<UInt32>(capacity: 16)
  private var used: UInt32 = 1
  private var cells = Slab<UInt32>(capacity: 512)
  private var mask = 511
  /// The entry found last.
  private var recent: UInt32 = noSlot
  /// Entries in use.
  private(set) var count = 0
  /// Entries from here on have never been used.
  var end: UInt32 { used }

  @inline(__always) subscript(entry: UInt32) -> Entry {
    unsafeAddress { UnsafePointer(entries.address(entry)) }
    unsafeMutableAddress { entries.address(entry) }
  }

  @inline(__always) func address(_ entry: UInt32) -> UnsafeMutablePointer<Entry> { entries.address(entry) }
  /// As `address`, of an entry that was just found.
  @inline(__always) func address(found entry: UInt32) -> UnsafeMutablePointer<Entry> {
    entries.address(covered: entry)
  }

  /// The account's entry, or none.
  @inline(__always) mutating func find(_ account: UInt64) -> UInt32 {
    // Accounts come in runs: one that quotes sends several orders at a time.
    let latest = entries.address(recent)
    if latest.pointee.account == account && latest.pointee.references != 0 { return recent }
    return search(account)
  }

  /// As `find`, where that is quick; else none.
  @inline(__always) mutating func findQuickly(_ account: UInt64) -> UInt32 {
    let latest = entries.address(recent)
    if latest.pointee.account == account && latest.pointee.references != 0 { return recent }
    let entry = cells[home(account)]
    if entries.address(entry).pointee.account != account { return noSlot }
    recent = entry
    return entry
  }

  @inline(never) private mutating func search(_ account: UInt64) -> UInt32 {
    let entry = lookUp(account)
    if entry != noSlot { recent = entry }
    return entry
  }

  /// As `find`, for queries.
  @inline(__always) func lookUp(_ account: UInt64) -> UInt32 {
    var cell = home(account)
    while true {
      let entry = cells.address(cell).pointee
      if entry == noSlot || entries.address(entry).pointee.account == account { return entry }
      cell = (cell &+ 1) & mask
    }
  }

  /// The account's entry, made if it has none, with one reference more.
  @inline(__always) mutating func retain(_ account: UInt64) -> UInt32 {
    let entry = find(account)
    if entry == noSlot { return add(account) }
    entries.address(entry).pointee.references &+= 1
    return entry
  }

  /// A slot that named this entry is gone for good.
  @inline(__always) mutating func release(_ entry: UInt32) {
    let place = entries.address(entry)
    precondition(place.pointee.references > 0, "the account is not in use")
    place.pointee.references &-= 1
    if place.pointee.references == 0 { remove(entry) }
  }

  @inline(__always) private func home(_ account: UInt64) -> Int { Int(truncatingIfNeeded: mixed(account)) & mask }

  @inline(never) private mutating func add(_ account: UInt64) -> UInt32 {
    count += 1
    // One cell in eight is taken at most: an order's account is nearly always where it is looked for first.
    if count * 8 > mask { widen() }
    let entry: UInt32
    if free.count > 0 {
      entry = free.removeLast()
    } else {
      entry = used
      used += 1
      entries.reserve(Int(used))
    }
    entries[entry] = Entry(account: account, references: 1)
    enter(entry)
    return entry
  }

  private mutating func enter(_ entry: UInt32) {
    var cell = home(entries[entry].account)
    while cells[cell] != noSlot { cell = (cell &+ 1) & mask }
    cells[cell] = entry
  }

  private mutating func widen() {
    let before = cells.capacity
    let old = Array((0..<before).map { cells[$0] }.filter { $0 != noSlot })
    cells = Slab(capacity: before * 2)
    mask = before * 2 - 1
    for entry in old { enter(entry) }
  }

  /// Takes an entry out and closes the gap, moving back what had been pushed past it.
  @inline(never) private mutating func remove(_ entry: UInt32) {
    precondition(entries[entry].head == noSlot, "an account leaves that has orders")
    var gap = home(entries[entry].account)
    while cells[gap] != entry { gap = (gap &+ 1) & mask }
    var next = gap
    while true {
      next = (next &+ 1) & mask
      let other = cells[next]
      if other == noSlot { break }
      if ((next &- home(entries[other].account)) & mask) >= ((next &- gap) & mask) {
        cells[gap] = other
        gap = next
      }
    }
    cells[gap] = noSlot
    entries[entry] = Entry()
    free.append(entry)
    count -= 1
  }
}
