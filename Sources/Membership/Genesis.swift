import EventLog
import Primitives

/// The members of view 0, from which the cluster's id follows.
public struct Genesis: Hashable, Sendable {
  public struct Member: Hashable, Sendable {
    public let publicKey: PublicKey
    public let name: String
    /// Of the store that was made for this member: with another one the node is not this member.
    public let token: StoreToken
    public init(publicKey: PublicKey, name: String, token: StoreToken) {
      self.publicKey = publicKey
      self.name = name
      self.token = token
    }
  }

  /// By node id.
  public let members: [Member]

  /// - Throws: `GenesisError`, if there is nobody, too many, or a key or name appears twice.
  public init(members: [Member]) throws(GenesisError) {
    guard !members.isEmpty else { throw .empty }
    guard members.count <= Limits.membersMax else { throw .tooMany(members.count) }
    self.members = members.sorted { $0.publicKey.nodeID < $1.publicKey.nodeID }
    for (left, right) in zip(self.members, self.members.dropFirst()) where left.publicKey == right.publicKey {
      throw .repeatedKey(left.publicKey)
    }
    let names = members.map(\.name).sorted()
    for (left, right) in zip(names, names.dropFirst()) where left == right { throw .repeatedName(left) }
    for name in names where name.isEmpty || name.utf8.count > Limits.nameBytesMax { throw .badName(name) }
    for member in members where member.token == .none { throw .noToken(member.name) }
  }

  /// `SHA-256("rialto.cluster.1" ‖ count u32 ‖ (public key ‖ name length u8 ‖ name ‖ store token u64)…)`, members by
  /// node id.
  public var clusterID: Hash256 {
    var writer = ByteWriter()
    writer.write(Array("rialto.cluster.1".utf8))
    writer.writeFixed(UInt32(members.count))
    for member in members {
      writer.write(member.publicKey.bytes)
      writer.write(UInt8(member.name.utf8.count))
      writer.write(Array(member.name.utf8))
      writer.writeFixed(member.token.value)
    }
    return SHA256().hash(writer.bytes)
  }

  public var register: Register {
    Register(
      origins: members.map {
        RegisteredOrigin(
          origin: Origin(node: $0.publicKey.nodeID, incarnation: 0), publicKey: $0.publicKey, name: $0.name)
      })
  }

  /// View 0: everybody.
  public var view: View { View(number: 0, members: members.indices.map { OriginIndex(UInt32($0)) }) }
}

public enum GenesisError: Error, Equatable, Sendable, CustomStringConvertible {
  case empty
  case tooMany(Int)
  case repeatedKey(PublicKey)
  case repeatedName(String)
  case badName(String)
  case noToken(String)

  public var description: String {
    switch self {
    case .empty: "the member list is empty"
    case .tooMany(let count): "the member list has \(count) members; at most \(Limits.membersMax) are supported"
    case .repeatedKey(let key): "the member list has the key \(key) twice"
    case .repeatedName(let name): "the member list has the name '\(name)' twice"
    case .noToken(let name): "the member '\(name)' has no store token"
    case .badName(let name): "the member name '\(name)' must have 1 to \(Limits.nameBytesMax) bytes"
    }
  }
}
