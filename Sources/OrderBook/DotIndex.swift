import Primitives

/// Finds the slot of a resting order by its dot, without hashing; and how far each origin's log is applied.
///
/// One radix tree an origin, 512 children a node, as high as the origin's applied sequence asks for: two or three
/// dependent loads, of which all but the last stay in the cache. A node without children is given back at once, except
/// the one that the next entry will use.
struct DotIndex: ~Copyable {
  private static let bits: UInt32 = 9
  private static let fanout = 512
  private static let heightMax: UInt32 = 7

  private struct Row {
    var applied: UInt64 = 0
    var root: UInt32 = noSlot
    /// Levels of the tree; it covers sequences below `512^height`.
    var height: UInt32 = 1
  }

  private var rows: Slab<Row>
  private var cells: Slab<UInt32>
  private var children: Slab<UInt16>
  private var free: SlabList<UInt32>
  private var used: UInt32 = 1
  /// Origins below this have been named.
  private(set) var origins = 0

  init(origins: Int) {
    rows = Slab(capacity: max(origins, 1), blank: Row())
    cells = Slab(capacity: 64 * Self.fanout, blank: noSlot)
    children = Slab(capacity: 64, blank: 0)
    free = SlabList(capacity: 64, blank: noSlot)
  }

  @inline(__always) func applied(_ origin: OriginIndex) -> UInt64 {
    origin.int < rows.capacity ? rows[origin.int].applied : 0
  }

  /// Slot of the resting order `dot`, or none.
  @inline(__always) func slot(of dot: Dot) -> UInt32 {
    guard dot.origin.int < rows.capacity else { return noSlot }
    let row = rows[dot.origin.int]
    guard dot.sequence <= row.applied else { return noSlot }
    var node = row.root
    var shift = (row.height &- 1) &* Self.bits
    while true {
      if node == noSlot { return noSlot }
      let child = cells[Int(node) &* Self.fanout &+ Self.digit(dot.sequence, shift)]
      if shift == 0 { return child }
      node = child
      shift &-= Self.bits
    }
  }

  /// The origin's next entry is applied.
  @inline(__always) mutating func advance(_ origin: OriginIndex, to sequence: UInt64) {
    if origin.int >= rows.capacity { rows.reserve(origin.int + 1) }
    if origin.int >= origins { origins = origin.int + 1 }
    let before = rows[origin.int].applied
    precondition(sequence == before &+ 1, "entries of an origin are applied in sequence")
    rows[origin.int].applied = sequence
    if before &>> UInt64(Self.bits) != sequence &>> UInt64(Self.bits) { turnPage(origin, from: before) }
  }

  /// Takes the origin's newest entry back.
  @inline(__always) mutating func retreat(_ origin: OriginIndex) {
    let before = rows[origin.int].applied
    precondition(before > 0, "nothing of this origin is applied")
    rows[origin.int].applied = before &- 1
    if before &>> UInt64(Self.bits) != (before &- 1) &>> UInt64(Self.bits) { turnPage(origin, from: before) }
  }

  /// Dots that have a slot, counted.
  /// - Complexity: O(nodes).
  var entries: Int {
    func count(_ node: UInt32, _ height: UInt32) -> Int {
      if node == noSlot { return 0 }
      if height == 1 { return Int(children[node]) }
      return (0..<Self.fanout).reduce(0) { $0 + count(cells[Int(node) * Self.fanout + $1], height - 1) }
    }
    return (0..<rows.capacity).reduce(0) { $0 + count(rows[$1].root, rows[$1].height) }
  }

  /// - Precondition: `dot` is applied and has no slot.
  @inline(__always) mutating func set(_ dot: Dot, to slot: UInt32) {
    let cell = leafCell(dot)
    precondition(cells[cell] == noSlot, "an order is indexed once")
    cells[cell] = slot
    children[cell / Self.fanout] += 1
  }

  /// - Precondition: `dot` has `slot`.
  @inline(__always) mutating func clear(_ dot: Dot, from slot: UInt32) {
    let row = rows[dot.origin.int]
    var node = row.root
    var shift = (row.height &- 1) &* Self.bits
    while shift > 0 {
      node = cells[Int(node) &* Self.fanout &+ Self.digit(dot.sequence, shift)]
      shift &-= Self.bits
    }
    let cell = Int(node) &* Self.fanout &+ Self.digit(dot.sequence, 0)
    precondition(cells[cell] == slot, "the index names another order")
    cells[cell] = noSlot
    children[node] -= 1
    if children[node] == 0, row.applied &>> UInt64(Self.bits) != dot.sequence &>> UInt64(Self.bits) {
      prune(dot)
    }
  }

  @inline(__always) private static func digit(_ sequence: UInt64, _ shift: UInt32) -> Int {
    Int(truncatingIfNeeded: sequence &>> UInt64(shift)) & (fanout - 1)
  }

  /// The cell of `dot`, its path made where it is missing.
  @inline(__always) private mutating func leafCell(_ dot: Dot) -> Int {
    let row = rows[dot.origin.int]
    var node = row.root
    var shift = (row.height &- 1) &* Self.bits
    if node == noSlot || dot.sequence &>> UInt64(shift) >= UInt64(Self.fanout) { return makeCell(dot) }
    while shift > 0 {
      node = cells[Int(node) &* Self.fanout &+ Self.digit(dot.sequence, shift)]
      if node == noSlot { return makeCell(dot) }
      shift &-= Self.bits
    }
    return Int(node) &* Self.fanout &+ Self.digit(dot.sequence, 0)
  }

  @inline(never) private mutating func makeCell(_ dot: Dot) -> Int {
    let origin = dot.origin.int
    if rows[origin].root == noSlot { rows[origin].root = makeNode() }
    while dot.sequence &>> UInt64((rows[origin].height - 1) * Self.bits) >= UInt64(Self.fanout) {
      precondition(rows[origin].height < Self.heightMax, "sequence out of range")
      let root = makeNode()
      cells[Int(root) * Self.fanout] = rows[origin].root
      children[root] = 1
      rows[origin].root = root
      rows[origin].height += 1
    }
    var node = rows[origin].root
    var shift = (rows[origin].height - 1) * Self.bits
    while shift > 0 {
      let cell = Int(node) * Self.fanout + Self.digit(dot.sequence, shift)
      if cells[cell] == noSlot {
        let made = makeNode()
        cells[cell] = made
        children[node] += 1
      }
      node = cells[cell]
      shift -= Self.bits
    }
    return Int(node) * Self.fanout + Self.digit(dot.sequence, 0)
  }

  private mutating func makeNode() -> UInt32 {
    if free.count > 0 { return free.removeLast() }
    let node = used
    used += 1
    cells.reserve(Int(used) * Self.fanout)
    children.reserve(Int(used))
    return node
  }

  /// The page of `sequence` is no longer the newest: give it back if nothing is in it.
  @inline(never) private mutating func turnPage(_ origin: OriginIndex, from sequence: UInt64) {
    prune(Dot(origin: origin, sequence: sequence))
  }

  /// Gives back the nodes on the way to `dot` that have no children, from the leaf up; the root stays.
  @inline(never) private mutating func prune(_ dot: Dot) {
    let row = rows[dot.origin.int]
    guard row.root != noSlot else { return }
    // The path, one cell a level: a height is at most 7.
    var path: (Int, Int, Int, Int, Int, Int, Int) = (0, 0, 0, 0, 0, 0, 0)
    withUnsafeMutableBytes(of: &path) { raw in
      let path = raw.assumingMemoryBound(to: Int.self)
      var node = row.root
      var depth = 0
      var shift = (row.height - 1) * Self.bits
      if dot.sequence >> UInt64(shift) >= UInt64(Self.fanout) { return }
      while shift > 0 {
        path[depth] = Int(node) * Self.fanout + Self.digit(dot.sequence, shift)
        node = cells[path[depth]]
        if node == noSlot { break }
        depth += 1
        shift -= Self.bits
      }
      while depth > 0 {
        if node != noSlot {
          guard children[node] == 0 else { return }
          free.append(node)
          cells[path[depth - 1]] = noSlot
          children[path[depth - 1] / Self.fanout] -= 1
        }
        depth -= 1
        node = UInt32(path[depth] / Self.fanout)
      }
    }
  }
}
