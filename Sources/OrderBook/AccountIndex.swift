/// The newest resting order of each account that has one: open addressing over raw memory.
struct AccountIndex: ~Copyable {
  private struct Entry {
    var account: UInt64 = 0
    /// None: the entry is free.
    var head: UInt32 = noSlot
  }
  private var entries: Slab<Entry>
  private var mask: Int
  /// Accounts with a resting order.
  private(set) var count = 0

  init() {
    entries = Slab(capacity: 64, blank: Entry())
    mask = 63
  }

  @inline(__always) func head(of account: UInt64) -> UInt32 { entries[find(account)].head }

  /// Makes `slot` the account's newest order, or forgets the account if it is none.
  /// - Complexity: O(1) expected.
  @inline(__always) mutating func setHead(of account: UInt64, to slot: UInt32) {
    let position = find(account)
    let before = entries[position].head
    entries[position] = Entry(account: account, head: slot)
    if before == noSlot {
      if slot != noSlot { added() }
    } else if slot == noSlot {
      remove(position)
    }
  }

  @inline(__always) private func find(_ account: UInt64) -> Int {
    var position = home(account)
    while true {
      let entry = entries[position]
      if entry.head == noSlot || entry.account == account { return position }
      position = (position &+ 1) & mask
    }
  }

  @inline(__always) private func home(_ account: UInt64) -> Int { Int(truncatingIfNeeded: mixed(account)) & mask }

  @inline(__always) private mutating func added() {
    count += 1
    if count * 2 > mask { widen() }
  }

  @inline(never) private mutating func widen() {
    let capacity = entries.capacity
    var wider = Slab(capacity: capacity * 2, blank: Entry())
    mask = capacity * 2 - 1
    for index in 0..<capacity where entries[index].head != noSlot {
      var position = home(entries[index].account)
      while wider[position].head != noSlot { position = (position &+ 1) & mask }
      wider[position] = entries[index]
    }
    entries = wider
  }

  /// Closes the gap at `position`, moving back what had been pushed past it.
  @inline(never) private mutating func remove(_ position: Int) {
    var gap = position
    var next = position
    while true {
      next = (next &+ 1) & mask
      let entry = entries[next]
      if entry.head == noSlot { break }
      if ((next &- home(entry.account)) & mask) >= ((next &- gap) & mask) {
        entries[gap] = entry
        gap = next
      }
    }
    entries[gap] = Entry()
    count -= 1
  }
}
