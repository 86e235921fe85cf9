import Primitives

/// The link and slot that name nothing.
let noSlot: UInt32 = 0
/// `Dot.none`, which costs a call from another module.
@inline(__always) var noDot: Dot { Dot(origin: OriginIndex(0), sequence: 0) }

/// A resting order: 64 bytes, one cache line.
struct OrderSlot {
  var openLots: Int64 = 0
  var filledLots: Int64 = 0
  var account: UInt64 = 0
  var sequence: UInt64 = 0
  /// Level in the price ladder's pages.
  var level: UInt32 = noSlot
  /// Neighbours in the level's queue; kept after removal until the removal is settled.
  var previous: UInt32 = noSlot
  var next: UInt32 = noSlot
  /// Neighbours among the account's orders, newest first; kept likewise.
  var accountPrevious: UInt32 = noSlot
  var accountNext: UInt32 = noSlot
  /// Record of its client order id, or none.
  var clientRecord: UInt32 = noSlot
  /// Origin in the low 20 bits; then side, post-only, time-in-force (2 bits), type (2), self-trade prevention (3).
  var packed: UInt32 = 0

  @inline(__always) var dot: Dot { Dot(origin: OriginIndex(packed & 0xF_FFFF), sequence: sequence) }
  @inline(__always) var side: Side { packed & 1 << 20 == 0 ? .buy : .sell }
  /// Everything in `packed` but the origin.
  @inline(__always) var flags: UInt32 { packed &>> 20 }

  @inline(__always) static func flags(_ order: Order) -> UInt32 {
    let low = UInt32(order.side.rawValue) | (order.postOnly ? 2 : 0) | UInt32(order.timeInForce.rawValue) &<< 2
    return low | UInt32(order.type.rawValue) &<< 4 | UInt32(order.selfTradePrevention.rawValue) &<< 6
  }

  @inline(__always) static func pack(_ origin: OriginIndex, flags: UInt32) -> UInt32 {
    precondition(origin.value < 1 << 20, "origin index out of range")
    return origin.value | flags &<< 20
  }
}

/// The slots of resting orders, and of removed ones whose removal may still be undone.
struct OrderStore: ~Copyable {
  private var slots: Slab<OrderSlot>
  private var free: UInt32 = noSlot
  private var used: UInt32 = 1
  /// Slots in use.
  private(set) var count = 0

  init(capacity: Int) { slots = Slab(capacity: capacity + 1, blank: OrderSlot()) }

  @inline(__always) subscript(slot: UInt32) -> OrderSlot {
    unsafeAddress { UnsafePointer(slots.address(Int(slot))) }
    unsafeMutableAddress { slots.address(Int(slot)) }
  }

  @inline(__always) mutating func allocate() -> UInt32 {
    count += 1
    let slot = free
    if slot != noSlot {
      free = slots[slot].next
      return slot
    }
    return fresh()
  }

  @inline(never) private mutating func fresh() -> UInt32 {
    let slot = used
    precondition(slot < UInt32.max - 1, "too many orders for 32-bit slots")
    if Int(slot) == slots.capacity { slots.reserve(Int(slot) + 1) }
    used += 1
    return slot
  }

  @inline(__always) mutating func release(_ slot: UInt32) {
    precondition(slot != noSlot && count > 0, "no such order slot")
    slots[slot].next = free
    free = slot
    count -= 1
  }
}
