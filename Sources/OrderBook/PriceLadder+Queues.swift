import Primitives

/// Orders join and leave the queues of levels, whose marks say so. Journal and indices are the engine's.
extension PriceLadder {
  // What would be written to a neighbour that is not there goes to slot 0, which is no order's and which nobody reads:
  // that is cheaper than asking whether it is there.

  /// The order joins at the tail of its level.
  /// - Parameters:
  ///   - row: its level's.
  ///   - ticks: its level's price.
  @inline(__always) mutating func append(
    _ slot: UInt32, _ order: UnsafeMutablePointer<OrderSlot>, _ side: Side, _ orders: borrowing OrderStore,
    row: UInt32, ticks: Int64
  ) {
    enqueue(slot, order, side, orders)
    occupied(order.pointee.level, row, ticks, side)
  }

  /// As `append`, where the level lies in its row's window.
  @inline(__always) mutating func appendNear(
    _ slot: UInt32, _ order: UnsafeMutablePointer<OrderSlot>, _ side: Side, _ orders: borrowing OrderStore,
    _ row: UnsafeMutablePointer<Row>, ticks: Int64
  ) {
    enqueue(slot, order, side, orders)
    occupiedNear(order.pointee.level, row, ticks, side)
  }

  @inline(__always) private mutating func enqueue(
    _ slot: UInt32, _ order: UnsafeMutablePointer<OrderSlot>, _ side: Side, _ orders: borrowing OrderStore
  ) {
    let number = order.pointee.level
    let level = pages.address(number)
    let tail = level.pointee.append(slot, order.pointee.openLots)
    order.pointee.previous = tail
    order.pointee.next = noSlot
    orders.address(tail).pointee.next = slot
    pages.mark(number, level, side, adding: LevelMark.occupied, removing: 0)
  }

  /// The order leaves; its links still name the neighbours that it had.
  @inline(__always) mutating func unlink(
    _ order: UnsafeMutablePointer<OrderSlot>, _ side: Side, _ orders: borrowing OrderStore
  ) {
    if leave(order, side, orders) { finishVacating(order.pointee.level, side) }
  }

  /// As `unlink`, up to what is rare.
  /// - Returns: whether `finishVacating` is to follow.
  @inline(__always) mutating func leave(
    _ order: UnsafeMutablePointer<OrderSlot>, _ side: Side, _ orders: borrowing OrderStore
  ) -> Bool {
    let number = order.pointee.level
    let level = pages.address(number)
    let previous = order.pointee.previous
    let next = order.pointee.next
    orders.address(previous).pointee.next = next
    orders.address(next).pointee.previous = previous
    level.pointee.remove(order.pointee.openLots, previous: previous, next: next)
    let isEmpty = previous | next == noSlot
    pages.mark(number, level, side, adding: 0, removing: isEmpty ? LevelMark.occupied : 0)
    return isEmpty && vacated(number, side)
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
    queue.pointee.add(order.pointee.openLots)
    queue.pointee.count += 1
    if previous | next == noSlot { occupy(level, side) } else { pages.mark(level, side) }
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
