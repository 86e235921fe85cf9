import Primitives

/// The link and slot that name nothing.
let noSlot: UInt32 = 0
/// `Dot.none`, which costs a call from another module.
@inline(__always) var noDot: Dot { Dot(origin: OriginIndex(0), sequence: 0) }

/// An open order: 64 bytes, one cache line.
struct OrderSlot {
  var openLots: Int64 = 0
  var filledLots: Int64 = 0
  var sequence: UInt64 = 0
  /// Origin in the low 20 bits; `OrderFlags` above.
  var packed: UInt32 = 0
  /// Level in the pages of the price ladder; of the stop ladder while it waits.
  var level: UInt32 = noSlot
  /// Neighbours in the level's queue; kept after removal until the removal is settled.
  var previous: UInt32 = noSlot
  var next: UInt32 = noSlot
  /// Its account's entry in `Accounts`, and its neighbours among the account's orders, newest first; kept likewise.
  var account: UInt32 = noSlot
  var accountPrevious: UInt32 = noSlot
  var accountNext: UInt32 = noSlot
  /// Record of its client order id, or none.
  var clientRecord: UInt32 = noSlot
  /// What only some orders have: display, expiry, stop price; or none.
  var terms: UInt32 = noSlot
  /// Block of its level whose hash is kept, or none.
  var block: UInt32 = noSlot

  @inline(__always) var dot: Dot { Dot(origin: OriginIndex(packed & 0xF_FFFF), sequence: sequence) }
  @inline(__always) var flags: OrderFlags { OrderFlags(bits: packed &>> 20) }
  @inline(__always) var side: Side { packed & 1 << 20 == 0 ? .buy : .sell }
  @inline(__always) var isWaiting: Bool { packed & OrderFlags.waits &<< 20 != 0 }

  @inline(__always) static func pack(_ origin: OriginIndex, _ flags: OrderFlags) -> UInt32 {
    precondition(origin.value < 1 << 20, "origin index out of range")
    return origin.value | flags.bits &<< 20
  }
}

/// Side, type, time-in-force and flags of an order in twelve bits, as the book hash has them.
struct OrderFlags {
  static let postOnly: UInt32 = 2
  static let iceberg: UInt32 = 512
  static let waits: UInt32 = 1024
  var bits: UInt32

  @inline(__always) init(bits: UInt32) { self.bits = bits }

  /// Of a limit order that is good till cancelled, without any flags.
  @inline(__always) init(_ side: Side) { bits = UInt32(side.rawValue) }

  @inline(__always) init(_ order: Order) {
    let low = UInt32(order.side.rawValue) | (order.postOnly ? Self.postOnly : 0)
    let middle = UInt32(order.timeInForce.rawValue) &<< 2 | UInt32(order.type.rawValue) &<< 4
    bits = low | middle | UInt32(order.selfTradePrevention.rawValue) &<< 6
    if order.displayLots != 0 { bits |= Self.iceberg }
  }

  @inline(__always) var side: Side { bits & 1 == 0 ? .buy : .sell }
  @inline(__always) var isPostOnly: Bool { bits & Self.postOnly != 0 }
  @inline(__always) var isIceberg: Bool { bits & Self.iceberg != 0 }
  @inline(__always) var preventsSelfTrade: Bool { bits & 0x1C0 != 0 }

  @inline(__always) private static func known<T>(_ value: T?) -> T {
    guard let value else { preconditionFailure("the flags of an order are damaged") }
    return value
  }
  var timeInForce: TimeInForce { Self.known(TimeInForce(rawValue: UInt8(bits &>> 2 & 3))) }
  var type: OrderType { Self.known(OrderType(rawValue: UInt8(bits &>> 4 & 3))) }
  var selfTradePrevention: SelfTradePrevention {
    Self.known(SelfTradePrevention(rawValue: UInt8(bits &>> 6 & 7)))
  }
}

/// What only icebergs, stops and good-till-date orders have.
struct OrderTerms {
  /// Largest visible quantity; 0 for an order that shows everything.
  var displayLots: Int64 = 0
  /// What an iceberg shows now.
  var visibleLots: Int64 = 0
  /// Stamp at which the order leaves, or 0.
  var expiry: UInt64 = 0
  /// Of a stop: its trigger price, or 0.
  var stopPriceTicks: Int64 = 0
  /// Of a stop: its limit price, 0 if it becomes a market order.
  var limitTicks: Int64 = 0
  /// Of a stop: the key of the entry by which it began to wait.
  var sinceStamp: UInt64 = 0
  var sinceOrigin: UInt32 = 0
  /// Place in the queue of expiries, from 1; 0 if it is not there.
  var expiryPlace: UInt32 = 0

  var since: OrderKey { OrderKey(stamp: Stamp(sinceStamp), origin: OriginIndex(sinceOrigin)) }
}

/// The slots of open orders, and of removed ones whose removal may still be undone; likewise their terms.
struct OrderStore: ~Copyable {
  private var slots: Slab<OrderSlot>
  private var free: UInt32 = noSlot
  private var used: UInt32 = 1
  private var terms = Slab<OrderTerms>(capacity: 4)
  private var freeTerms = SlabList<UInt32>(capacity: 4)
  private var usedTerms: UInt32 = 1

  init(capacity: Int) { slots = Slab(capacity: capacity + 1) }

  @inline(__always) subscript(slot: UInt32) -> OrderSlot {
    unsafeAddress { UnsafePointer(slots.address(slot)) }
    unsafeMutableAddress { slots.address(slot) }
  }

  /// Good until the next `allocate`.
  @inline(__always) func address(_ slot: UInt32) -> UnsafeMutablePointer<OrderSlot> { slots.address(slot) }

  @inline(__always) func prefetch(_ slot: UInt32) { slots.prefetch(Int(slot)) }

  @inline(__always) subscript(terms place: UInt32) -> OrderTerms {
    unsafeAddress { UnsafePointer(terms.address(place)) }
    unsafeMutableAddress { terms.address(place) }
  }

  @inline(__always) mutating func allocate() -> UInt32 {
    let slot = free
    if slot != noSlot {
      free = slots.address(slot).pointee.next
      return slot
    }
    return fresh()
  }

  /// The slot that `allocate` would give, or none if it would move the slots.
  @inline(__always) var nextInPlace: UInt32 {
    let slot = free != noSlot ? free : used
    return Int(slot) < slots.capacity ? slot : noSlot
  }

  /// As `allocate`.
  /// - Precondition: `slot` is `nextInPlace`.
  /// - Returns: its address.
  @inline(__always) mutating func allocate(inPlace slot: UInt32) -> UnsafeMutablePointer<OrderSlot> {
    let order = slots.address(covered: slot)
    if free != noSlot { free = order.pointee.next } else { used &+= 1 }
    return order
  }

  @inline(__always) private mutating func fresh() -> UInt32 {
    let slot = used
    if Int(slot) >= slots.capacity { widen() }
    used = slot &+ 1
    return slot
  }

  @inline(never) private mutating func widen() {
    precondition(used < UInt32.max - 1, "too many orders for 32-bit slots")
    slots.reserve(Int(used) + 1)
  }

  /// - Precondition: `order` is the slot's address; its terms are released.
  @inline(__always) mutating func release(_ slot: UInt32, _ order: UnsafeMutablePointer<OrderSlot>) {
    order.pointee.next = free
    free = slot
  }

  /// Slots in use, counted.
  /// - Complexity: O(free slots).
  var count: Int {
    var unused = 0
    var slot = free
    while slot != noSlot {
      unused += 1
      slot = slots[slot].next
    }
    return Int(used) - 1 - unused
  }

  @inline(never) mutating func allocate(_ value: OrderTerms) -> UInt32 {
    let place: UInt32
    if freeTerms.count > 0 {
      place = freeTerms.removeLast()
    } else {
      place = usedTerms
      usedTerms += 1
      terms.reserve(Int(usedTerms))
    }
    terms[place] = value
    return place
  }

  /// Lets the terms of a slot's order go, if it has any.
  mutating func releaseTerms(of slot: UInt32) {
    let place = slots[slot].terms
    if place == noSlot { return }
    precondition(terms[place].expiryPlace == 0, "an order leaves that still expires")
    freeTerms.append(place)
  }

  /// Slots and terms from here on have never been used: what names them is damaged.
  var slotsEnd: UInt32 { used }
  var termsEnd: UInt32 { usedTerms }

  /// Terms in use.
  var termsCount: Int { Int(usedTerms) - 1 - freeTerms.count }

  // MARK: What an order shows

  /// The open quantity that the book shows and that trades before others at its price do.
  @inline(__always) func visibleLots(_ slot: UInt32) -> Int64 {
    let order = slots.address(slot)
    let place = order.pointee.terms
    return place == noSlot ? order.pointee.openLots : visibleLots(of: order.pointee)
  }

  @inline(never) private func visibleLots(of order: OrderSlot) -> Int64 {
    order.flags.isIceberg ? terms[order.terms].visibleLots : order.openLots
  }

  /// Where it trades by a limit, or 0.
  func limitTicks(_ slot: UInt32) -> Int64 { slots[slot].isWaiting ? terms[slots[slot].terms].limitTicks : 0 }
}
