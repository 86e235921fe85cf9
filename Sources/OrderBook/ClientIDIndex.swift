import Primitives

/// One name of an accepted order, and what is needed to answer a repeat: its client order id, or a dot (`namesDot`).
struct ClientIDRecord {
  var id = ClientOrderID.none
  var sequence: UInt64 = 0
  var origin: UInt32 = 0
  /// Order slots that name this record, removed ones included until their removal is settled.
  var references: UInt32 = 0
  var account: UInt64 = 0
  /// Mix of every field of the order but its client's time.
  var fingerprint: UInt64 = 0
  /// Second of the entry's stamp.
  var second: UInt64 = 0
  /// Place among all records ever made, from 0.
  var ordinal: UInt64 = 0
  /// Next older record in the same chain.
  var chain: UInt32 = noSlot
  /// The record of the order's first name, which its slot names; none if this is it, or if that is gone.
  var head: UInt32 = noSlot
  /// Of a first name the newest other name; of that one the next older.
  var nextName: UInt32 = noSlot
  /// Cleared when the record has left the window for good.
  var isInWindow = true

  var dot: Dot { Dot(origin: OriginIndex(origin), sequence: sequence) }
}

/// The names of orders by (account, name), newest first, and in order of acceptance.
///
/// Most orders have one name here or none; further ones hang on the first. A name is remembered if and only if its
/// order rests, or its record is in the window: its second is at most 600 before the clock's, and fewer than
/// `Limits.clientOrderIDsMax` records are newer. The window is computed, never carried out: what has left it is deleted
/// only when that can no longer be undone.
struct ClientIDIndex: ~Copyable {
  static let windowSeconds = Limits.clientOrderIDWindowMilliseconds / 1000

  private var records = Slab<ClientIDRecord>(capacity: 64)
  private var chains = Slab<UInt32>(capacity: 64)
  private var mask = 63
  private var free: UInt32 = noSlot
  private var used: UInt32 = 1
  private var indexed = 0
  /// Slots of the records `first..<total`, by ordinal: a ring.
  private var ring = Slab<UInt32>(capacity: 64)
  /// Ordinal of the oldest record in the ring, and the number of records ever made.
  private(set) var first: UInt64 = 0
  private(set) var total: UInt64 = 0
  /// Records whose names are dots.
  private(set) var dotNames = 0
  /// Records with an ordinal below this are as they were at the last `bookHash`.
  var unchangedBelow: UInt64 = 0
  /// How many records are remembered for the window; `Limits.clientOrderIDsMax` but in tests.
  let recordsMax: UInt64

  init(recordsMax: Int = Limits.clientOrderIDsMax) { self.recordsMax = UInt64(recordsMax) }

  @inline(__always) subscript(record: UInt32) -> ClientIDRecord {
    unsafeAddress { UnsafePointer(records.address(Int(record))) }
  }

  /// Records from here on have never been used.
  var recordsEnd: UInt32 { used }

  /// The record with this ordinal.
  /// - Precondition: `first <= ordinal && ordinal < total`.
  func record(at ordinal: UInt64) -> UInt32 {
    precondition(ordinal >= first && ordinal < total, "no such record")
    return ring[Int(ordinal & UInt64(ring.capacity - 1))]
  }

  /// Is the record in the window when the clock shows `second`?
  @inline(__always) func isInWindow(_ record: UInt32, at second: UInt64) -> Bool {
    records[record].second &+ Self.windowSeconds >= second && total &- records[record].ordinal <= recordsMax
  }

  /// Ordinal of the first record in the window when the clock shows `second`.
  /// - Complexity: O(log records).
  func windowStart(at second: UInt64) -> UInt64 {
    var low = max(first, total - min(total, recordsMax))
    var high = total
    while low < high {
      let middle = low + (high - low) / 2
      if records[record(at: middle)].second + Self.windowSeconds < second { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// The newest record of (account, id), remembered or not; or none.
  /// - Complexity: O(1) expected.
  @inline(__always) func find(_ account: UInt64, _ id: ClientOrderID) -> UInt32 {
    var record = chains[chain(account, id)]
    while record != noSlot {
      if records[record].id == id && records[record].account == account { return record }
      record = records[record].chain
    }
    return noSlot
  }

  /// Takes a name. It hides older records of the same name.
  /// - Parameter head: the record of the order's first name, or none if this is it.
  mutating func add(
    _ name: ClientOrderID, _ dot: Dot, account: UInt64, fingerprint: UInt64, second: UInt64, head: UInt32
  ) -> UInt32 {
    let record = enter(name, dot, account, fingerprint, second, ordinal: total)
    let chain = chain(account, name)
    records[record].chain = chains[chain]
    chains[chain] = record
    if head != noSlot { hang(record, on: head, after: head) }
    if total - first == UInt64(ring.capacity) { widenRing() }
    ring[Int(total & UInt64(ring.capacity - 1))] = record
    total += 1
    return record
  }

  /// Takes a name of an order that rests, whose record has left the window.
  /// - Precondition: `ordinal < first`.
  mutating func addForgotten(
    _ name: ClientOrderID, _ dot: Dot, account: UInt64, fingerprint: UInt64, second: UInt64, ordinal: UInt64
  ) -> UInt32 {
    precondition(ordinal < first, "the record is in the window")
    let record = enter(name, dot, account, fingerprint, second, ordinal: ordinal)
    records[record].isInWindow = false
    // Newer records of the same name are here already, and go on hiding it.
    let chain = chain(account, name)
    var newer = noSlot
    var place = chains[chain]
    while place != noSlot {
      if records[place].ordinal > ordinal, records[place].id == name, records[place].account == account {
        newer = place
      }
      place = records[place].chain
    }
    if newer == noSlot {
      records[record].chain = chains[chain]
      chains[chain] = record
    } else {
      records[record].chain = records[newer].chain
      records[newer].chain = record
    }
    return record
  }

  /// A record is one more name of the order of `head`, the next older one after `newer`, or the newest after the head.
  mutating func hang(_ record: UInt32, on head: UInt32, after newer: UInt32) {
    records[record].head = head
    records[record].nextName = records[newer].nextName
    records[newer].nextName = record
  }

  /// Starts with that many records made, of which none is remembered.
  /// - Precondition: nothing was added.
  mutating func begin(at ordinal: UInt64) {
    precondition(total == 0, "names were taken")
    first = ordinal
    total = ordinal
  }

  /// A new record, in no chain yet.
  private mutating func enter(
    _ name: ClientOrderID, _ dot: Dot, _ account: UInt64, _ fingerprint: UInt64, _ second: UInt64, ordinal: UInt64
  ) -> UInt32 {
    let record = allocate()
    // Half full at most: a new id mostly finds an empty chain and touches no other record.
    if indexed * 2 > mask { widenChains() }
    records[record] = ClientIDRecord(
      id: name, sequence: dot.sequence, origin: dot.origin.value, account: account, fingerprint: fingerprint,
      second: second, ordinal: ordinal)
    if name.namesDot { dotNames += 1 }
    indexed += 1
    return record
  }

  /// Takes the newest record back.
  mutating func removeNewest() {
    precondition(total > first, "no client order id to take back")
    let newest = record(at: total - 1)
    precondition(records[newest].references == 0, "the record is in use")
    let head = records[newest].head
    if head != noSlot { records[head].nextName = records[newest].nextName }
    total -= 1
    unchangedBelow = min(unchangedBelow, total)
    delete(newest)
  }

  @inline(__always) mutating func retain(_ record: UInt32) { records[record].references += 1 }

  /// An order slot that named this record is gone for good.
  @inline(__always) mutating func forget(_ record: UInt32) {
    precondition(records[record].references > 0, "the record is not in use")
    records[record].references -= 1
    if records[record].references == 0 && !records[record].isInWindow { deleteFirst(record) }
  }

  /// How many names an order has.
  /// - Complexity: O(names).
  func names(of head: UInt32) -> Int {
    var count = 1
    var record = records[head].nextName
    while record != noSlot {
      count += 1
      record = records[record].nextName
    }
    return count
  }

  /// A first name goes, and with it those others that only the order kept.
  @inline(never) private mutating func deleteFirst(_ head: UInt32) {
    var record = records[head].nextName
    while record != noSlot {
      let older = records[record].nextName
      records[record].head = noSlot
      records[record].nextName = noSlot
      if !records[record].isInWindow { delete(record) }
      record = older
    }
    delete(head)
  }

  private mutating func delete(_ record: UInt32) {
    if records[record].id.namesDot { dotNames -= 1 }
    unlink(record)
    release(record)
  }

  /// Deletes what left the window before anything that may still be undone.
  /// - Parameters:
  ///   - second: the clock's, settled.
  ///   - settled: number of records that cannot be taken back.
  mutating func trim(second: UInt64, settled: UInt64) {
    while first < settled {
      let oldest = record(at: first)
      if records[oldest].second + Self.windowSeconds >= second && settled - first <= recordsMax { return }
      first += 1
      // The first name of a name that is not the first is older: it has gone, or its order keeps both.
      if records[oldest].references == 0 && records[oldest].head == noSlot {
        deleteFirst(oldest)
      } else {
        records[oldest].isInWindow = false
      }
    }
  }

  @inline(__always) private func chain(_ account: UInt64, _ id: ClientOrderID) -> Int {
    Int(truncatingIfNeeded: id.mixed(with: account)) & mask
  }

  private mutating func unlink(_ record: UInt32) {
    let chain = chain(records[record].account, records[record].id)
    indexed -= 1
    if chains[chain] == record {
      chains[chain] = records[record].chain
      return
    }
    var newer = chains[chain]
    while records[newer].chain != record {
      newer = records[newer].chain
      precondition(newer != noSlot, "the record is not in its chain")
    }
    records[newer].chain = records[record].chain
  }

  @inline(__always) private mutating func allocate() -> UInt32 {
    let record = free
    if record != noSlot {
      free = records[record].chain
      return record
    }
    let fresh = used
    used += 1
    records.reserve(Int(used))
    return fresh
  }

  @inline(__always) private mutating func release(_ record: UInt32) {
    records[record].chain = free
    free = record
  }

  /// Splits every chain in two, each in the order it had: newer records stay before older ones.
  @inline(never) private mutating func widenChains() {
    let half = mask + 1
    var wider = Slab<UInt32>(capacity: half * 2)
    mask = half * 2 - 1
    for index in 0..<half {
      var tails = (noSlot, noSlot)
      var record = chains[index]
      while record != noSlot {
        let next = records[record].chain
        records[record].chain = noSlot
        let target = chain(records[record].account, records[record].id)
        let tail = target == index ? tails.0 : tails.1
        if tail == noSlot { wider[target] = record } else { records[tail].chain = record }
        if target == index { tails.0 = record } else { tails.1 = record }
        record = next
      }
    }
    chains = wider
  }

  @inline(never) private mutating func widenRing() {
    let capacity = ring.capacity * 2
    var wider = Slab<UInt32>(capacity: capacity)
    for ordinal in first..<total { wider[Int(ordinal & UInt64(capacity - 1))] = record(at: ordinal) }
    ring = wider
  }

  /// Chains, ring and counts agree.
  /// - Parameter references: per record, how many order slots name it.
  /// - Complexity: O(records).
  func check(references: (UInt32) -> UInt32) throws(BrokenInvariant) {
    var found = 0
    var named = 0
    for index in 0...mask {
      var record = chains[index]
      while record != noSlot {
        let value = records[record]
        try OrderBook.check(chain(value.account, value.id) == index, "a client order id is in the wrong chain")
        try OrderBook.check(value.references == references(record), "a client order id is not counted right")
        let keeper = value.head == noSlot ? record : value.head
        try OrderBook.check(
          value.isInWindow || records[keeper].references > 0, "a forgotten client order id was kept")
        try check(namesOf: record)
        if value.id.namesDot { named += 1 }
        if value.isInWindow {
          try OrderBook.check(self.record(at: value.ordinal) == record, "the ring names another record")
        }
        found += 1
        var older = value.chain
        while older != noSlot {
          let same = records[older].id == value.id && records[older].account == value.account
          try OrderBook.check(!same || records[older].ordinal < value.ordinal, "an older record hides a newer one")
          older = records[older].chain
        }
        record = value.chain
      }
    }
    try OrderBook.check(found == indexed, "client order ids are lost")
    try OrderBook.check(named == dotNames, "dots that are names are not counted right")
    try OrderBook.check(unchangedBelow <= total, "the hash is ahead of the client order ids")
    var last: UInt64 = 0
    for ordinal in first..<total {
      try OrderBook.check(records[record(at: ordinal)].second >= last, "client order ids are out of order")
      last = records[record(at: ordinal)].second
    }
  }
}

extension ClientIDIndex {
  /// The names that hang on this one are the same order's, newest first.
  private func check(namesOf head: UInt32) throws(BrokenInvariant) {
    if self[head].head != noSlot { return }
    var newer: UInt64 = .max
    var record = self[head].nextName
    while record != noSlot {
      let value = self[record]
      try OrderBook.check(value.head == head && value.references == 0, "a name hangs on another order's")
      try OrderBook.check(value.id.namesDot && value.account == self[head].account, "a further name is no dot")
      try OrderBook.check(value.dot == self[head].dot, "a name leads to another order")
      try OrderBook.check(value.ordinal < newer && value.ordinal > self[head].ordinal, "names are out of order")
      newer = value.ordinal
      record = value.nextName
    }
  }
}

extension ClientOrderID {
  /// A mix of the id and `value`; equal ids give equal mixes. Never leaves the process.
  @inline(__always) func mixed(with value: UInt64) -> UInt64 {
    let golden: UInt64 = 0x9E37_79B9_7F4A_7C15
    var bits = (value ^ word0) &* golden
    if kind == .text {
      bits = (bits ^ bits &>> 32 ^ word1) &* golden
      bits = (bits ^ bits &>> 32 ^ word2) &* golden
      bits = (bits ^ bits &>> 32 ^ word3 ^ UInt64(tail)) &* golden
      bits ^= UInt64(length)
    }
    return OrderBook.mixed(bits &+ word0)
  }
}

extension Order {
  /// Mix of every field but the client's time: two orders with one id and one fingerprint are the same order, sent
  /// twice. Part of format 1, because an order that rests commits to it. An account can only deceive itself with it.
  var fingerprint: UInt64 {
    var bits: UInt64 = 0
    func take(_ value: UInt64) { bits = mixed(bits &* 0x9E37_79B9_7F4A_7C15 &+ value &+ 1) }
    take(instrument.sequence)
    take(UInt64(instrument.origin.value))
    take(account.value)
    take(UInt64(OrderFlags(self).bits & 511))
    take(UInt64(bitPattern: priceTicks))
    take(UInt64(bitPattern: quantityLots))
    if stopPriceTicks | displayLots != 0 || expiry != .zero {
      take(UInt64(bitPattern: stopPriceTicks))
      take(UInt64(bitPattern: displayLots))
      take(expiry.value)
    }
    return bits
  }
}
