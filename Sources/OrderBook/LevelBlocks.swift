import Primitives

/// The hashes of runs of orders that are kept between two book hashes.
///
/// A level's queue is cut into blocks by content (`HashTag`). After a hash, each block that was met has a place here,
/// and its orders name it. A change of an order marks its block; orders that joined since have none, and stand at the
/// end of the queue. So the next hash of a long queue reads the orders of marked blocks only.
struct LevelBlocks: ~Copyable {
  struct Block {
    var hash = Hash256.zero
    /// Its first order, or none when all have left.
    var first: UInt32 = noSlot
    /// Its last order, while nothing has changed.
    var last: UInt32 = noSlot
    /// Next block of the level.
    var next: UInt32 = noSlot
    /// The orders are no longer those that were hashed.
    var isDirty: UInt32 = 0
    /// It ended by its content, not with the queue: nothing that comes later joins it.
    var isClosed: UInt32 = 0
  }

  private var blocks = Slab<Block>(capacity: 64)
  private var free = SlabList<UInt32>(capacity: 64)
  private var used: UInt32 = 1
  /// Blocks from here on have never been used.
  var end: UInt32 { used }
  /// Blocks in use.
  var count: Int { Int(used) - 1 - free.count }

  @inline(__always) subscript(block: UInt32) -> Block {
    unsafeAddress { UnsafePointer(blocks.address(block)) }
    unsafeMutableAddress { blocks.address(block) }
  }

  mutating func allocate() -> UInt32 {
    if free.count > 0 { return free.removeLast() }
    let block = used
    used += 1
    blocks.reserve(Int(used))
    return block
  }

  mutating func release(_ block: UInt32) {
    blocks[block] = Block()
    free.append(block)
  }

  /// An order of the block has changed.
  @inline(__always) func touch(_ block: UInt32) { blocks.address(block).pointee.isDirty = 1 }

  /// An order is about to leave its block.
  @inline(__always) func leave(_ slot: UInt32, _ orders: borrowing OrderStore) {
    let order = orders.address(slot)
    let block = blocks.address(order.pointee.block)
    block.pointee.isDirty = 1
    if block.pointee.first == slot {
      let next = order.pointee.next
      let stays = next != noSlot && orders.address(next).pointee.block == order.pointee.block
      block.pointee.first = stays ? next : noSlot
    }
  }

  /// An order has come back to the place that its links name: it joins the block of the next one. That may not be the
  /// block in which it belongs, but a marked block is cut anew. Orders at the queue's end have no block.
  func join(_ slot: UInt32, _ orders: borrowing OrderStore) {
    let order = orders.address(slot)
    let next = order.pointee.next
    order.pointee.block = next == noSlot ? noSlot : orders[next].block
    if order.pointee.block == noSlot { return }
    let block = blocks.address(order.pointee.block)
    block.pointee.isDirty = 1
    if block.pointee.first == next { block.pointee.first = slot }
  }
}
