import EventLog
import Primitives

/// One origin as every replica knows it.
public struct RegisteredOrigin: Hashable, Sendable {
  public let origin: Origin
  public let publicKey: PublicKey
  /// A label for people; at most `Limits.nameBytesMax` bytes.
  public let name: String
  /// Round of the lease of the join mutex under which it was admitted; 0 for the members of view 0.
  public let leaseRound: UInt64
  public init(origin: Origin, publicKey: PublicKey, name: String, leaseRound: UInt64 = 0) {
    self.origin = origin
    self.publicKey = publicKey
    self.name = name
    self.leaseRound = leaseRound
  }
}

/// All origins that any view ever admitted, each at its agreed place.
///
/// Places are given out in order of admission (the members of view 0 by node id, then those of each later view by node
/// id) and never again, so an `OriginIndex` means the same on every replica.
public struct Register: Hashable, Sendable {
  public private(set) var origins: [RegisteredOrigin]

  init(origins: [RegisteredOrigin]) { self.origins = origins }

  public var count: Int { origins.count }

  /// - Returns: nil for a place that no known view has given out.
  public subscript(_ index: OriginIndex) -> RegisteredOrigin? {
    index.int < origins.count ? origins[index.int] : nil
  }

  /// The newest origin with this key.
  public func index(of publicKey: PublicKey) -> OriginIndex? {
    origins.lastIndex { $0.publicKey == publicKey }.map { OriginIndex(UInt32($0)) }
  }

  public func index(named name: String) -> OriginIndex? {
    origins.lastIndex { $0.name == name }.map { OriginIndex(UInt32($0)) }
  }
}

/// A numbered set of members.
public struct View: Hashable, Sendable {
  public let number: UInt64
  /// Ascending.
  public let members: [OriginIndex]
  public init(number: UInt64, members: [OriginIndex]) {
    self.number = number
    self.members = members.sorted()
  }
  /// How many members are more than half.
  public var majority: Int { members.count / 2 + 1 }
  public func contains(_ origin: OriginIndex) -> Bool { members.contains(origin) }
}
