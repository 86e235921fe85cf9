import CMemory

/// Plain values in raw memory, by index, with every access checked. What nobody has written is zero, bit by bit.
///
/// `ContiguousArray` pays for uniqueness and reference counts at each write; this pays one comparison. It grows without
/// copying what is large, and memory that is never touched is never resident. Slot 0 is the callers' "none" wherever
/// indices are links.
struct Slab<Element>: ~Copyable {
  private var base: UnsafeMutablePointer<Element>
  private(set) var capacity: Int

  /// - Precondition: `Element` holds no reference, and zero bits are a value of it.
  init(capacity: Int) {
    precondition(_isPOD(Element.self), "a slab never runs destructors")
    self.capacity = max(capacity, 1)
    base = rialto_memory_allocate(Self.bytes(self.capacity)).bindMemory(to: Element.self, capacity: self.capacity)
  }

  deinit { rialto_memory_release(base, Self.bytes(capacity)) }

  private static func bytes(_ capacity: Int) -> Int { capacity * MemoryLayout<Element>.stride }

  @inline(__always) subscript(index: Int) -> Element {
    unsafeAddress { UnsafePointer(address(index)) }
    unsafeMutableAddress { address(index) }
  }

  @inline(__always) subscript(index: UInt32) -> Element {
    unsafeAddress { UnsafePointer(address(Int(index))) }
    unsafeMutableAddress { address(Int(index)) }
  }

  /// Where the element is: for several accesses at the price of one check. Good until the slab grows.
  @inline(__always) func address(_ index: Int) -> UnsafeMutablePointer<Element> {
    precondition(UInt(bitPattern: index) < UInt(bitPattern: capacity), "index outside its slab")
    return base + index
  }

  @inline(__always) func address(_ index: UInt32) -> UnsafeMutablePointer<Element> { address(Int(index)) }

  /// As `address`, of an index that another check has covered.
  @inline(__always) func address(covered index: Int) -> UnsafeMutablePointer<Element> { base + index }
  @inline(__always) func address(covered index: UInt32) -> UnsafeMutablePointer<Element> { base + Int(index) }

  /// Asks for the element's cache line; an index outside does nothing.
  @inline(__always) func prefetch(_ index: Int) {
    if UInt(bitPattern: index) < UInt(bitPattern: capacity) { rialto_prefetch(base + index) }
  }

  /// Makes room for `count` elements; at least doubles when it has to grow.
  @inline(never) mutating func reserve(_ count: Int) {
    guard count > capacity else { return }
    let wider = max(count, capacity * 2)
    base = rialto_memory_grow(base, Self.bytes(capacity), Self.bytes(wider))
      .bindMemory(to: Element.self, capacity: wider)
    capacity = wider
  }
}

/// A growing list of plain values over a slab.
struct SlabList<Element>: ~Copyable {
  private var slab: Slab<Element>
  private(set) var count = 0

  init(capacity: Int) { slab = Slab(capacity: capacity) }

  @inline(__always) mutating func append(_ element: Element) {
    if count == slab.capacity { slab.reserve(count + 1) }
    slab[count] = element
    count += 1
  }

  /// Makes room for `count` elements in all.
  mutating func reserve(_ count: Int) { slab.reserve(count) }

  /// Appends the element, or does not, without a branch: for what nobody can predict.
  /// - Parameter counting: 1, or 0 to leave it out.
  /// - Precondition: `reserve` has made room for one more; that is not checked.
  @inline(__always) mutating func put(_ element: Element, counting: UInt32) {
    slab.address(covered: count).pointee = element
    count &+= Int(truncatingIfNeeded: counting)
  }

  /// All elements. Good until the list changes.
  var elements: UnsafeBufferPointer<Element> { UnsafeBufferPointer(start: slab.address(0), count: count) }

  /// - Precondition: not empty.
  @inline(__always) mutating func removeLast() -> Element {
    precondition(count > 0, "the list is empty")
    count -= 1
    return slab[count]
  }

  @inline(__always) mutating func removeAll() { count = 0 }

  /// Keeps the first `kept` elements.
  mutating func removeAll(after kept: Int) {
    precondition(kept >= 0 && kept <= count, "the list is shorter")
    count = kept
  }

  @inline(__always) subscript(index: Int) -> Element {
    get {
      precondition(index < count, "index outside its list")
      return slab[index]
    }
    set {
      precondition(index < count, "index outside its list")
      slab[index] = newValue
    }
  }

  @inline(__always) mutating func swapAt(_ left: Int, _ right: Int) {
    let value = self[left]
    self[left] = self[right]
    self[right] = value
  }
}

/// The 64-bit mix of SplitMix64: every bit of the result depends on every bit of `value`. Part of format 1.
@inline(__always) func mixed(_ value: UInt64) -> UInt64 {
  var bits = value
  bits = (bits ^ (bits &>> 30)) &* 0xBF58_476D_1CE4_E5B9
  bits = (bits ^ (bits &>> 27)) &* 0x94D0_49BB_1331_11EB
  return bits ^ (bits &>> 31)
}
