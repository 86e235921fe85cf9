/// Plain values in raw memory, by index, with every access checked.
///
/// `ContiguousArray` pays for uniqueness and reference counts at each write; this pays one comparison. Slot 0 is the
/// callers' "none" wherever indices are links.
struct Slab<Element>: ~Copyable {
  private var base: UnsafeMutablePointer<Element>
  private(set) var capacity: Int
  private let blank: Element

  /// - Parameter blank: the value of every slot that nobody has written.
  /// - Precondition: `Element` holds no reference.
  init(capacity: Int, blank: Element) {
    precondition(_isPOD(Element.self), "a slab never runs destructors")
    self.capacity = max(capacity, 1)
    self.blank = blank
    base = Self.allocate(self.capacity)
    base.initialize(repeating: blank, count: self.capacity)
  }

  deinit { UnsafeMutableRawPointer(base).deallocate() }

  /// Aligned to cache lines, so that an element of 64 bytes lies in one.
  private static func allocate(_ capacity: Int) -> UnsafeMutablePointer<Element> {
    let stride = MemoryLayout<Element>.stride
    return UnsafeMutableRawPointer.allocate(byteCount: capacity * stride, alignment: 64)
      .bindMemory(to: Element.self, capacity: capacity)
  }

  @inline(__always) subscript(index: Int) -> Element {
    unsafeAddress { UnsafePointer(address(index)) }
    unsafeMutableAddress { address(index) }
  }

  @inline(__always) subscript(index: UInt32) -> Element {
    unsafeAddress { UnsafePointer(address(Int(index))) }
    unsafeMutableAddress { address(Int(index)) }
  }

  /// For the accessors of types that wrap a slab; not to be kept.
  @inline(__always) func address(_ index: Int) -> UnsafeMutablePointer<Element> {
    precondition(UInt(bitPattern: index) < UInt(bitPattern: capacity), "index outside its slab")
    return base + index
  }

  /// Makes room for `count` elements; at least doubles when it has to move. O(capacity) then.
  @inline(never) mutating func reserve(_ count: Int) {
    guard count > capacity else { return }
    let wider = max(count, capacity * 2)
    let moved = Self.allocate(wider)
    moved.moveInitialize(from: base, count: capacity)
    (moved + capacity).initialize(repeating: blank, count: wider - capacity)
    UnsafeMutableRawPointer(base).deallocate()
    base = moved
    capacity = wider
  }
}

/// A growing list of plain values over a slab.
struct SlabList<Element>: ~Copyable {
  private var slab: Slab<Element>
  private(set) var count = 0

  init(capacity: Int, blank: Element) { slab = Slab(capacity: capacity, blank: blank) }

  @inline(__always) mutating func append(_ element: Element) {
    if count == slab.capacity { slab.reserve(count + 1) }
    slab[count] = element
    count += 1
  }

  /// - Precondition: not empty.
  @inline(__always) mutating func removeLast() -> Element {
    precondition(count > 0, "the list is empty")
    count -= 1
    return slab[count]
  }

  @inline(__always) mutating func removeAll() { count = 0 }

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
}

/// The 64-bit mix of SplitMix64: every bit of the result depends on every bit of `value`. Part of format 1.
@inline(__always) func mixed(_ value: UInt64) -> UInt64 {
  var bits = value
  bits = (bits ^ (bits &>> 30)) &* 0xBF58_476D_1CE4_E5B9
  bits = (bits ^ (bits &>> 27)) &* 0x94D0_49BB_1331_11EB
  return bits ^ (bits &>> 31)
}
