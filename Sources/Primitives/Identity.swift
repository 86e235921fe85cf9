/// SHA-256 of a node's Ed25519 public key. It does not change while the node keeps its key.
public struct NodeID: Hashable, Comparable, Sendable, CustomStringConvertible {
  public let hash: Hash256
  public init(_ hash: Hash256) { self.hash = hash }
  public var description: String { hash.description }
  public static func < (left: NodeID, right: NodeID) -> Bool { left.hash < right.hash }
}

/// The author of a log: a node and the view that admitted it.
///
/// A node that was sealed or lost its disk comes back as another origin.
public struct Origin: Hashable, Sendable {
  public let node: NodeID
  /// Number of the view that admitted the node.
  public let incarnation: UInt32
  public init(node: NodeID, incarnation: UInt32) {
    self.node = node
    self.incarnation = incarnation
  }
}

/// An origin's place in the cluster's register of origins, from 0.
///
/// The register lists the members of view 0 by node id, then those that each later view admitted, by node id. Views are
/// agreed, so a place means the same origin on every replica; that makes it fit for order keys, hashes and wires, where
/// a 36-byte origin would not be.
public struct OriginIndex: Hashable, Comparable, Sendable, CustomStringConvertible {
  public let value: UInt32
  @inlinable public init(_ value: UInt32) { self.value = value }
  @inlinable public var int: Int { Int(value) }
  public var description: String { "\(value)" }
  @inlinable public static func < (left: OriginIndex, right: OriginIndex) -> Bool { left.value < right.value }
}

/// Names one entry, and so one order: the log it stands in and its place there.
public struct Dot: Hashable, Comparable, Sendable, CustomStringConvertible {
  public var sequence: UInt64
  public var origin: OriginIndex

  /// - Parameter sequence: from 1; 0 with origin 0 is `none`.
  @inlinable public init(origin: OriginIndex, sequence: UInt64) {
    self.origin = origin
    self.sequence = sequence
  }

  /// Names nothing.
  @inlinable public static var none: Dot { Dot(origin: OriginIndex(0), sequence: 0) }
  @inlinable public var isNone: Bool { sequence == 0 }

  /// `origin-sequence`, for example `2-1841`: what a user sees as the order id.
  public var description: String { "\(origin.value)-\(sequence)" }

  /// Reads `origin-sequence` exactly as `description` writes it: no plus sign, no leading zeros; nil if it is anything
  /// else, so that one order has one id.
  public init?(_ text: some StringProtocol) {
    let parts = text.split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count == 2, let origin = UInt32(parts[0]), let sequence = UInt64(parts[1]), sequence > 0 else {
      return nil
    }
    self.init(origin: OriginIndex(origin), sequence: sequence)
    guard description.utf8.elementsEqual(text.utf8) else { return nil }
  }

  @inlinable public static func < (left: Dot, right: Dot) -> Bool {
    left.origin == right.origin ? left.sequence < right.sequence : left.origin < right.origin
  }
}

/// Hybrid-logical-clock time: 48 bits of milliseconds since 1970, 16 bits of counter.
///
/// Source: Kulkarni et al., "Logical Physical Clocks", 2014.
public struct Stamp: Hashable, Comparable, Sendable, CustomStringConvertible {
  public var value: UInt64
  @inlinable public init(_ value: UInt64) { self.value = value }

  /// - Precondition: `milliseconds < 2^48`.
  @inlinable public init(milliseconds: UInt64, counter: UInt16 = 0) {
    precondition(milliseconds < 1 << 48)
    value = milliseconds << 16 | UInt64(counter)
  }

  @inlinable public static var zero: Stamp { Stamp(0) }
  @inlinable public var milliseconds: UInt64 { value >> 16 }
  @inlinable public var counter: UInt16 { UInt16(truncatingIfNeeded: value) }
  /// The second this stamp lies in; a batch never spans two.
  @inlinable public var second: UInt64 { milliseconds / 1000 }
  public var description: String { "\(milliseconds).\(counter)" }
  @inlinable public static func < (left: Stamp, right: Stamp) -> Bool { left.value < right.value }
}

/// (stamp, origin): the total order of all entries.
public struct OrderKey: Hashable, Comparable, Sendable, CustomStringConvertible {
  public var stamp: Stamp
  public var origin: OriginIndex
  @inlinable public init(stamp: Stamp, origin: OriginIndex) {
    self.stamp = stamp
    self.origin = origin
  }
  @inlinable public static var zero: OrderKey { OrderKey(stamp: .zero, origin: OriginIndex(0)) }
  public var description: String { "\(stamp)@\(origin)" }
  @inlinable public static func < (left: OrderKey, right: OrderKey) -> Bool {
    left.stamp == right.stamp ? left.origin < right.origin : left.stamp < right.stamp
  }
}

/// Logical time that the core is given with every input: milliseconds of the wall clock, and of a clock that never
/// goes back.
public struct LogicalTime: Hashable, Sendable {
  /// Milliseconds since 1970 by the node's own clock; may jump.
  public var wallMilliseconds: UInt64
  /// Microseconds since an arbitrary start; never decreases. Timers use this one.
  public var monotonicMicroseconds: UInt64
  public init(wallMilliseconds: UInt64, monotonicMicroseconds: UInt64) {
    self.wallMilliseconds = wallMilliseconds
    self.monotonicMicroseconds = monotonicMicroseconds
  }
}
