import Primitives

/// Bytes that are about to be hashed: little-endian fields of fixed width in a buffer that is used again and again.
struct HashInput: ~Copyable {
  private var base: UnsafeMutableRawPointer
  private var capacity: Int
  private(set) var count = 0

  init() {
    capacity = 4096
    base = .allocate(byteCount: capacity, alignment: 16)
  }

  deinit { base.deallocate() }

  @inline(__always) mutating func put<T: FixedWidthInteger>(_ value: T) {
    let width = MemoryLayout<T>.size
    if count + width > capacity { widen() }
    base.storeBytes(of: value.littleEndian, toByteOffset: count, as: T.self)
    count += width
  }

  @inline(__always) mutating func put(_ dot: Dot) {
    put(dot.sequence)
    put(dot.origin.value)
  }

  @inline(__always) mutating func put(_ hash: Hash256) {
    put(hash.word0.byteSwapped)
    put(hash.word1.byteSwapped)
    put(hash.word2.byteSwapped)
    put(hash.word3.byteSwapped)
  }

  /// Kind, length and bytes of a client order id: 1 byte if it is none, 9 if an integer, else 2 and its text; or a dot
  /// that is a name, 13.
  mutating func put(_ id: ClientOrderID) {
    if id.namesDot {
      put(HashTag.dotName)
      return put(id.namedDot)
    }
    put(id.kind.rawValue)
    switch id.kind {
    case .none: break
    case .integer: put(id.word0)
    case .text:
      put(id.length)
      let start = count
      for word in [id.word0, id.word1, id.word2, id.word3] { put(word) }
      put(id.tail)
      count = start + Int(id.length)
    }
  }

  /// Replaces four bytes that were put before.
  mutating func set(_ value: UInt32, at offset: Int) {
    precondition(offset >= 0 && offset + 4 <= count, "outside what was put")
    base.storeBytes(of: value.littleEndian, toByteOffset: offset, as: UInt32.self)
  }

  /// Nothing was put.
  mutating func removeAll() { count = 0 }

  /// The hash of what was put; then the buffer is empty again.
  mutating func hash(with sha: SHA256) -> Hash256 {
    defer { count = 0 }
    return sha.hash(UnsafeRawBufferPointer(start: base, count: count))
  }

  @inline(never) private mutating func widen() {
    let wider = UnsafeMutableRawPointer.allocate(byteCount: capacity * 2, alignment: 16)
    wider.copyMemory(from: base, byteCount: count)
    base.deallocate()
    base = wider
    capacity *= 2
  }
}
