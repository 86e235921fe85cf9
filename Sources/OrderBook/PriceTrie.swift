import Primitives

/// The radix-4 Merkle trie over prices, with every node's hash kept.
///
/// Path-compressed: a node exists only where two prices part, so its shape is a function of the set of prices. A node
/// at tier `t` tells its children apart by bits `2t` and `2t + 1` of the price. Changing a level marks the nodes on its
/// path; `hash` visits marked nodes only. The tries of all books share one pool.
struct PriceTrie: ~Copyable {
  fileprivate static let leaf: UInt8 = 255

  struct Node {
    var hash = Hash256.zero
    /// A leaf's price; any price below an inner node.
    var price: UInt64 = 0
    var child0: UInt32 = noSlot
    var child1: UInt32 = noSlot
    var child2: UInt32 = noSlot
    var child3: UInt32 = noSlot
    var tier = PriceTrie.leaf
    var isDirty = false

    @inline(__always) subscript(digit: Int) -> UInt32 {
      get {
        switch digit {
        case 0: child0
        case 1: child1
        case 2: child2
        default: child3
        }
      }
      set {
        switch digit {
        case 0: child0 = newValue
        case 1: child1 = newValue
        case 2: child2 = newValue
        default: child3 = newValue
        }
      }
    }

    @inline(__always) func digit(of price: UInt64) -> Int { Int(price &>> UInt64(tier &* 2) & 3) }

    /// Does `price` belong below this inner node?
    @inline(__always) func holds(_ price: UInt64) -> Bool {
      tier == 31 || (price ^ self.price) &>> (UInt64(tier) &* 2 &+ 2) == 0
    }
  }

  private var nodes = Slab<Node>(capacity: 64)
  private var free: UInt32 = noSlot
  private var used: UInt32 = 1

  /// Sets the hash of a level, or removes the level if it is nil.
  mutating func update(_ price: UInt64, _ hash: Hash256?, _ root: inout TrieRoot) {
    if let hash {
      if set(price, hash, root: &root.node) { root.levels += 1 }
    } else if remove(price, root: &root.node) {
      root.levels -= 1
    }
  }

  /// Sets the hash of a level.
  /// - Returns: true if the price was not there before.
  /// - Complexity: O(log levels), at most 32 nodes.
  mutating func set(_ price: UInt64, _ hash: Hash256, root: inout UInt32) -> Bool {
    var node = root
    var parent = noSlot
    while node != noSlot {
      if nodes[node].tier == Self.leaf {
        if nodes[node].price == price {
          nodes[node].hash = hash
          return false
        }
        break
      }
      if !nodes[node].holds(price) { break }
      nodes[node].isDirty = true
      parent = node
      node = nodes[node][nodes[node].digit(of: price)]
    }
    let leaf = allocate()
    nodes[leaf] = Node(hash: hash, price: price)
    var top = leaf
    if node != noSlot {
      top = allocate()
      let tier = UInt8((63 - (price ^ nodes[node].price).leadingZeroBitCount) / 2)
      nodes[top] = Node(price: price, tier: tier, isDirty: true)
      nodes[top][nodes[top].digit(of: price)] = leaf
      nodes[top][nodes[top].digit(of: nodes[node].price)] = node
    }
    if parent == noSlot { root = top } else { nodes[parent][nodes[parent].digit(of: price)] = top }
    return true
  }

  /// Removes a level.
  /// - Returns: true if the price was there.
  mutating func remove(_ price: UInt64, root: inout UInt32) -> Bool {
    var node = root
    var parent = noSlot
    var grandparent = noSlot
    while node != noSlot && nodes[node].tier != Self.leaf {
      guard nodes[node].holds(price) else { return false }
      nodes[node].isDirty = true
      grandparent = parent
      parent = node
      node = nodes[node][nodes[node].digit(of: price)]
    }
    guard node != noSlot, nodes[node].price == price else { return false }
    release(node)
    if parent == noSlot {
      root = noSlot
      return true
    }
    nodes[parent][nodes[parent].digit(of: price)] = noSlot
    var only = noSlot
    var count = 0
    for digit in 0..<4 where nodes[parent][digit] != noSlot {
      only = nodes[parent][digit]
      count += 1
    }
    if count > 1 { return true }
    // A single child takes its parent's place.
    if grandparent == noSlot { root = only } else { nodes[grandparent][nodes[grandparent].digit(of: price)] = only }
    release(parent)
    return true
  }

  // MARK: Scrubbing

  /// Nodes from here on have never been used.
  var end: UInt32 { used }

  /// The kept hash of a level, as of the last `hash`; nil if there is none, or a link on the way to it is damaged.
  func soundLeaf(_ price: UInt64, root: UInt32) -> Hash256? {
    var node = root
    // A path has at most 32 inner nodes.
    for _ in 0..<34 {
      guard node != noSlot, node < used else { return nil }
      if nodes[node].tier == Self.leaf { return nodes[node].price == price ? nodes[node].hash : nil }
      guard nodes[node].tier < 32, nodes[node].holds(price) else { return nil }
      node = nodes[node][nodes[node].digit(of: price)]
    }
    return nil
  }

  /// Whether an inner node is the hash of its children; true of leaves, of free nodes and of those that are marked.
  func isSound(_ node: UInt32, _ input: inout HashInput, _ sha: SHA256) -> Bool {
    guard nodes[node].tier != Self.leaf, !nodes[node].isDirty else { return true }
    var bitmap: UInt8 = 0
    for digit in 0..<4 where nodes[node][digit] != noSlot {
      let child = nodes[node][digit]
      guard child < used, nodes[child].tier == Self.leaf || nodes[child].tier < nodes[node].tier else { return false }
      bitmap |= 1 << UInt8(digit)
    }
    guard nodes[node].tier < 32 else { return false }
    input.put(HashTag.priceNode)
    input.put(nodes[node].tier)
    input.put(bitmap)
    for digit in 0..<4 where nodes[node][digit] != noSlot { input.put(nodes[nodes[node][digit]].hash) }
    return input.hash(with: sha) == nodes[node].hash
  }

  /// A price below a node, for whoever wants to name it.
  func price(of node: UInt32) -> UInt64 { nodes[node].price }

  /// The kept hash of a root that is not marked; nil if it is, or cannot be.
  func kept(root: UInt32) -> Hash256? {
    guard root != noSlot else { return .zero }
    guard root < used, !nodes[root].isDirty else { return nil }
    return nodes[root].hash
  }

  /// The root's hash; zero for an empty trie. Visits marked nodes only.
  mutating func hash(root: UInt32, _ input: inout HashInput, _ sha: SHA256) -> Hash256 {
    root == noSlot ? .zero : refresh(root, &input, sha)
  }

  private mutating func refresh(_ node: UInt32, _ input: inout HashInput, _ sha: SHA256) -> Hash256 {
    guard nodes[node].isDirty else { return nodes[node].hash }
    for digit in 0..<4 where nodes[node][digit] != noSlot { _ = refresh(nodes[node][digit], &input, sha) }
    var bitmap: UInt8 = 0
    for digit in 0..<4 where nodes[node][digit] != noSlot { bitmap |= 1 << UInt8(digit) }
    input.put(HashTag.priceNode)
    input.put(nodes[node].tier)
    input.put(bitmap)
    for digit in 0..<4 where nodes[node][digit] != noSlot { input.put(nodes[nodes[node][digit]].hash) }
    nodes[node].hash = input.hash(with: sha)
    nodes[node].isDirty = false
    return nodes[node].hash
  }

  /// Gives back every node below `root`.
  mutating func removeAll(root: UInt32) {
    guard root != noSlot else { return }
    if nodes[root].tier != Self.leaf {
      for digit in 0..<4 { removeAll(root: nodes[root][digit]) }
    }
    release(root)
  }

  private mutating func allocate() -> UInt32 {
    let node = free
    if node != noSlot {
      free = nodes[node].child0
      return node
    }
    let fresh = used
    used += 1
    nodes.reserve(Int(used))
    return fresh
  }

  private mutating func release(_ node: UInt32) {
    nodes[node] = Node(child0: free)
    free = node
  }
}
