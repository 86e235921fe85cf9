import Primitives

/// Finds the slot of a resting order by its dot, without hashing; and how far each origin's log is applied.
///
/// One radix tree an origin, 512 children a node, as high as the origin's applied sequence asks for: two or three
/// dependent loads, of which all but the last stay in the cache. A node without children is given back at once, except
/// the one that the next entry will use.
struct DotIndex: ~Copyable {
  private static let bits: UInt32 = 9
  private static let fanout = 512
  private static let aboveMax: UInt32 = 6

  struct Row {
    var applied: UInt64 = 0
    var root: UInt32 = noSlot
    /// Levels of the tree above the leaves; it covers sequences below `512^(above + 1)`.
    var above: UInt32 = 0
    /// The newest node above the leaves, and the sequences it covers divided by 512², plus 1: the way that most
    /// look-ups take.
    var branch: UInt32 = noSlot
    var branchKey: UInt64 = 0
    /// The leaf of the newest applied sequence, if it has been made and met: the way of most new orders.
    var leaf: UInt32 = noSlot
  }

  private var rows: Slab<Row>
  private var cells: Slab<UInt32>
  private var children: Slab<UInt16>
  private var free: SlabList<UInt32>
  private var used: UInt32 = 1
  /// Origins below this have been named.
  private(set) var origins = 0

  init(origins: Int) {
    rows = Slab(capacity: max(origins, 1))
    cells = Slab(capacity: 64 * Self.fanout)
    children = Slab(capacity: 64)
    free = SlabList(capacity: 64)
  }

  @inline(__always) func applied(_ origin: OriginIndex) -> UInt64 {
    origin.int < rows.capacity ? rows[origin.int].applied : 0
  }

  /// Slot of the resting order `dot`, or none.
  @inline(__always) func slot(of dot: Dot) -> UInt32 {
    let cell = cell(of: dot)
    return cell < 0 ? noSlot : cells[cell]
  }

  /// As `slot(of:)`, of an index that may be damaged: no link is followed before it was looked at.
  func soundSlot(of dot: Dot) -> UInt32 {
    guard dot.origin.int < origins, dot.sequence <= rows[dot.origin.int].applied else { return noSlot }
    let row = rows[dot.origin.int]
    guard row.above <= Self.aboveMax else { return noSlot }
    var node = row.root
    var shift = row.above * Self.bits
    guard dot.sequence >> UInt64(shift) < UInt64(Self.fanout) else { return noSlot }
    while node != noSlot, node < used {
      let child = cells[Int(node) * Self.fanout + Self.digit(dot.sequence, shift)]
      if shift == 0 { return child }
      node = child
      shift -= Self.bits
    }
    return noSlot
  }

  /// The slot in a cell that `cell(of:)` gave.
  @inline(__always) func slot(in cell: Int) -> UInt32 { cells[cell] }

  /// The cell of `dot`, or another one if it has none: for look-ahead, which may be about anything, without questions.
  @inline(__always) func likelyCell(of dot: Dot) -> Int {
    guard dot.origin.int < rows.capacity else { return 0 }
    let row = rows.address(dot.origin.int)
    let isNear = dot.sequence &>> UInt64(2 * Self.bits) &+ 1 == row.pointee.branchKey
    var node = isNear ? row.pointee.branch : row.pointee.root
    var shift = isNear ? Self.bits : row.pointee.above &* Self.bits
    while shift > 0 {
      node = cells[Int(node) &* Self.fanout &+ Self.digit(dot.sequence, shift)]
      shift &-= Self.bits
    }
    return Int(node) &* Self.fanout &+ Self.digit(dot.sequence, 0)
  }

  @inline(__always) func prefetch(_ cell: Int) { cells.prefetch(cell) }

  /// Where the slot of `dot` is kept, if it has one; -1 if there is no place for it. Good until the next change.
  @inline(__always) func cell(of dot: Dot) -> Int {
    guard dot.origin.int < rows.capacity else { return -1 }
    let row = rows.address(dot.origin.int)
    if dot.sequence &>> UInt64(2 * Self.bits) &+ 1 == row.pointee.branchKey {
      let leaf = cells[Int(row.pointee.branch) &* Self.fanout &+ Self.digit(dot.sequence, Self.bits)]
      return leaf == noSlot ? -1 : Int(leaf) &* Self.fanout &+ Self.digit(dot.sequence, 0)
    }
    return distantCell(of: dot, row)
  }

  /// Inlined, so that the index is not copied for a call. The cells of node 0, which is none, are all 0.
  @inline(__always) private func distantCell(of dot: Dot, _ row: UnsafeMutablePointer<Row>) -> Int {
    var node = row.pointee.root
    var shift = row.pointee.above &* Self.bits
    guard dot.sequence <= row.pointee.applied, dot.sequence &>> UInt64(shift) < UInt64(Self.fanout) else { return -1 }
    while shift > 0 {
      node = cells[Int(node) &* Self.fanout &+ Self.digit(dot.sequence, shift)]
      shift &-= Self.bits
    }
    return node == noSlot ? -1 : Int(node) &* Self.fanout &+ Self.digit(dot.sequence, 0)
  }

  /// The origin's next entry is applied.
  @inline(__always) mutating func advance(_ origin: OriginIndex, to sequence: UInt64) {
    if origin.int >= rows.capacity { rows.reserve(origin.int + 1) }
    if origin.int >= origins { origins = origin.int + 1 }
    let row = rows.address(origin.int)
    let before = row.pointee.applied
    precondition(sequence == before &+ 1, "entries of an origin are applied in sequence")
    row.pointee.applied = sequence
    if before &>> UInt64(Self.bits) != sequence &>> UInt64(Self.bits) { turnPage(origin, from: before) }
  }

  /// Starts an origin whose entries up to `applied` are applied.
  /// - Precondition: nothing of it was named before.
  mutating func restore(_ origin: OriginIndex, applied: UInt64) {
    if origin.int >= rows.capacity { rows.reserve(origin.int + 1) }
    if origin.int >= origins { origins = origin.int + 1 }
    precondition(rows[origin.int].applied == 0, "the origin has begun")
    rows[origin.int].applied = applied
  }

  /// The origin's row, if `dot` is its next entry and lies in the same leaf as the one before; else nil.
  @inline(__always) func rowInPlace(for dot: Dot) -> UnsafeMutablePointer<Row>? {
    guard dot.origin.int < rows.capacity else { return nil }
    let row = rows.address(dot.origin.int)
    let before = row.pointee.applied
    guard dot.sequence == before &+ 1, (before ^ dot.sequence) &>> UInt64(Self.bits) == 0 else { return nil }
    return row
  }

  /// Sets the slot of the next entry of a row that `rowInPlace` gave.
  /// - Precondition: the row has a leaf.
  @inline(__always) mutating func setInPlace(
    _ row: UnsafeMutablePointer<Row>, _ sequence: UInt64, to slot: UInt32
  ) {
    set(Int(row.pointee.leaf) &* Self.fanout &+ Self.digit(sequence, 0), to: slot)
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
    func count(_ node: UInt32, _ above: UInt32) -> Int {
      if node == noSlot { return 0 }
      if above == 0 { return Int(children[node]) }
      return (0..<Self.fanout).reduce(0) { $0 + count(cells[Int(node) * Self.fanout + $1], above - 1) }
    }
    return (0..<rows.capacity).reduce(0) { $0 + count(rows[$1].root, rows[$1].above) }
  }

  /// - Precondition: `dot` is applied and has no slot.
  @inline(__always) mutating func set(_ dot: Dot, to slot: UInt32) {
    let row = rows.address(dot.origin.int)
    let leaf = row.pointee.leaf
    var cell = Int(leaf) &* Self.fanout &+ Self.digit(dot.sequence, 0)
    if leaf == noSlot || (row.pointee.applied ^ dot.sequence) &>> UInt64(Self.bits) != 0 { cell = findCell(dot) }
    set(cell, to: slot)
  }

  /// - Precondition: `cell` is that of an applied dot, which has no slot.
  @inline(__always) private func set(_ cell: Int, to slot: UInt32) {
    let place = cells.address(cell)
    precondition(place.pointee == noSlot, "an order is indexed once")
    place.pointee = slot
    // There is a count for every node.
    children.address(covered: Int(UInt(bitPattern: cell) / UInt(Self.fanout))).pointee &+= 1
  }

  /// The dot of a cell is another slot's now.
  @inline(__always) func replace(_ cell: Int, from slot: UInt32, to other: UInt32) {
    let place = cells.address(cell)
    precondition(place.pointee == slot, "the index names another order")
    place.pointee = other
  }

  /// - Precondition: `cell` is that of `dot`, which has `slot`.
  @inline(__always) mutating func clear(_ cell: Int, _ dot: Dot, from slot: UInt32) {
    let place = cells.address(cell)
    precondition(place.pointee == slot, "the index names another order")
    place.pointee = noSlot
    let count = children.address(covered: Int(UInt(bitPattern: cell) / UInt(Self.fanout)))
    let left = count.pointee &- 1
    count.pointee = left
    // One branch that is hardly ever taken: the newest leaf empties all the time.
    let leaf = UInt32(truncatingIfNeeded: cell) / UInt32(Self.fanout)
    let isNewest: UInt32 = leaf == rows.address(dot.origin.int).pointee.leaf ? 1 : 0
    if UInt32(left) | isNewest == 0 { leafEmptied(dot) }
  }

  @inline(never) private mutating func leafEmptied(_ dot: Dot) {
    // The leaf that the origin's next entry will use stays.
    if rows[dot.origin.int].applied >> UInt64(Self.bits) != dot.sequence >> UInt64(Self.bits) { prune(dot) }
  }

  @inline(__always) private static func digit(_ sequence: UInt64, _ shift: UInt32) -> Int {
    Int(truncatingIfNeeded: sequence &>> UInt64(shift)) & (fanout - 1)
  }

  /// The cell of `dot`, made if it is missing.
  @inline(never) private mutating func findCell(_ dot: Dot) -> Int {
    var cell = cell(of: dot)
    if cell < 0 { cell = makeCell(dot) }
    if (rows[dot.origin.int].applied ^ dot.sequence) >> UInt64(Self.bits) == 0 {
      rows[dot.origin.int].leaf = UInt32(cell / Self.fanout)
    }
    return cell
  }

  /// The cell of `dot`, the path to it made where it is missing.
  @inline(never) private mutating func makeCell(_ dot: Dot) -> Int {
    let origin = dot.origin.int
    if rows[origin].root == noSlot { rows[origin].root = makeNode() }
    while dot.sequence &>> UInt64(rows[origin].above * Self.bits) >= UInt64(Self.fanout) {
      precondition(rows[origin].above < Self.aboveMax, "sequence out of range")
      let root = makeNode()
      cells[Int(root) * Self.fanout] = rows[origin].root
      children[root] = 1
      rows[origin].root = root
      rows[origin].above += 1
    }
    var node = rows[origin].root
    var shift = rows[origin].above * Self.bits
    while shift > 0 {
      let cell = Int(node) * Self.fanout + Self.digit(dot.sequence, shift)
      if cells[cell] == noSlot {
        let made = makeNode()
        cells[cell] = made
        children[node] += 1
      }
      if shift == Self.bits {
        rows[origin].branch = node
        rows[origin].branchKey = dot.sequence >> UInt64(2 * Self.bits) + 1
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
    rows[origin.int].leaf = noSlot
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
      var shift = row.above * Self.bits
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
          if node == row.branch { rows[dot.origin.int].branchKey = 0 }
          if node == row.leaf { rows[dot.origin.int].leaf = noSlot }
          cells[path[depth - 1]] = noSlot
          children[path[depth - 1] / Self.fanout] -= 1
        }
        depth -= 1
        node = UInt32(path[depth] / Self.fanout)
      }
    }
  }
}
