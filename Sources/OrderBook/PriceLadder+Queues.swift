import Primitives

/// Orders join and leave the queues of levels, whose marks say so. Journal and indices are the engine's.
extension PriceLadder {
  /// The order joins at the tail of its level.
  @inline(__always) mutating func append(_ slot: UInt32, _ side: Side, _ orders: borrowing OrderStore) {
    let order = orders.address(slot)
    let level = order.pointee.level
    let header = pages.header(of: level)
    let bit = LevelPages.bit(level, side)
    let tail = pages.address(level).pointee.append(slot, order.pointee.openLots)
    order.pointee.previous = tail
    order.pointee.next = noSlot
    header.pointee.references &+= 1
    if tail != noSlot { orders.address(tail).pointee.next = slot } else { occupy(level, side, header, bit) }
    pages.mark(level, header, bit)
  }

  /// The order leaves; its links still name the neighbours that it had.
  @inline(__always) mutating func unlink(_ slot: UInt32, _ side: Side, _ orders: borrowing OrderStore) {
    let order = orders.address(slot)
    let level = order.pointee.level
    let header = pages.header(of: level)
    let bit = LevelPages.bit(level, side)
    let previous = order.pointee.previous
    let next = order.pointee.next
    if previous != noSlot { orders.address(previous).pointee.next = next }
    if next != noSlot { orders.address(next).pointee.previous = previous }
    pages.address(level).pointee.remove(order.pointee.openLots, previous: previous, next: next)
    pages.mark(level, header, bit)
    if previous | next == noSlot { vacate(level, side, header, bit) }
  }

  /// The order stands again between the neighbours that its links name.
  mutating func relink(_ slot: UInt32, _ side: Side, _ orders: borrowing OrderStore) {
    let order = orders.address(slot)
    let level = order.pointee.level
    let previous = order.pointee.previous
    let next = order.pointee.next
    let queue = pages.address(level)
    if previous != noSlot { orders.address(previous).pointee.next = slot } else { queue.pointee.head = slot }
    if next != noSlot { orders.address(next).pointee.previous = slot } else { queue.pointee.tail = slot }
    queue.pointee.total += UInt128(order.pointee.openLots)
    queue.pointee.count += 1
    if previous | next == noSlot { occupy(level, side) }
    pages.mark(level, side)
  }

  /// The order at the head of its level's queue goes to the tail.
  mutating func moveToTail(_ slot: UInt32, _ orders: borrowing OrderStore) {
    let order = orders.address(slot)
    let queue = pages.address(order.pointee.level)
    let next = order.pointee.next
    if next == noSlot { return }
    let tail = queue.pointee.tail
    queue.pointee.head = next
    queue.pointee.tail = slot
    orders.address(next).pointee.previous = noSlot
    orders.address(tail).pointee.next = slot
    order.pointee.previous = tail
    order.pointee.next = noSlot
  }

  /// The order at the tail of its level's queue goes to the head.
  mutating func moveToHead(_ slot: UInt32, _ orders: borrowing OrderStore) {
    let order = orders.address(slot)
    let queue = pages.address(order.pointee.level)
    let previous = order.pointee.previous
    if previous == noSlot { return }
    let head = queue.pointee.head
    queue.pointee.tail = previous
    queue.pointee.head = slot
    orders.address(previous).pointee.next = noSlot
    orders.address(head).pointee.previous = slot
    order.pointee.next = head
    order.pointee.previous = noSlot
  }
}
