import Primitives

/// Frame types of the handshake.
public enum HandshakeFrame: UInt8, Sendable, CaseIterable {
  case hello = 0x01
  case proof = 0x02
  case welcome = 0x03
  case refusal = 0x04
}

/// What one side of a connection is.
public enum PeerRole: UInt8, Hashable, Sendable, CaseIterable {
  case member = 1
  case client = 2

  /// Longest frame, of type and body, on a connection of which one side has this role and the other is a member.
  public var frameBytesMax: Int {
    switch self {
    case .member: Limits.peerFrameBytesMax
    case .client: Limits.clientFrameBytesMax
    }
  }
}

/// The first frame of either side, type `0x01`.
///
/// ```
/// magic "RLTO" · format version u16 = 1 · role u8 · cluster id 32 bytes · nonce 32 bytes
/// member: public key 32 bytes · boot number u64 · listen address prefixed
/// client: account varint · name prefixed
/// ```
public struct Hello: Equatable, Sendable {
  public static let magic: [UInt8] = Array("RLTO".utf8)
  public static let formatVersion: UInt16 = 1
  public static let nonceByteCount = 32

  /// Whom the hello speaks of.
  public enum Sender: Equatable, Sendable {
    /// - `boot`: random per process start, so that a restart is told from a second connection.
    /// - `listenAddress`: `host:port` where others reach this node; empty if nowhere.
    case member(publicKey: PublicKey, boot: UInt64, listenAddress: String)
    /// - `name`: for logs only, at most `Limits.nameBytesMax` bytes.
    case client(account: UInt64, name: String)

    public var role: PeerRole {
      switch self {
      case .member: .member
      case .client: .client
      }
    }
  }

  /// Zero from a client that takes any cluster.
  public var clusterID: Hash256
  /// 32 bytes that were never used before: what the other side has to sign.
  public var nonce: [UInt8]
  public var sender: Sender

  public init(clusterID: Hash256, nonce: [UInt8], sender: Sender) {
    precondition(nonce.count == Self.nonceByteCount, "a nonce has 32 bytes")
    self.clusterID = clusterID
    self.nonce = nonce
    self.sender = sender
  }

  /// The body of the frame.
  public var body: [UInt8] {
    var writer = ByteWriter(reserving: 192)
    writer.write(Self.magic)
    writer.writeFixed(Self.formatVersion)
    writer.write(sender.role.rawValue)
    writer.write(clusterID)
    writer.write(nonce)
    switch sender {
    case .member(let key, let boot, let address):
      writer.write(key.bytes)
      writer.writeFixed(boot)
      writer.writeText(address)
    case .client(let account, let name):
      writer.writeVarint(account)
      writer.writeText(name)
    }
    return writer.bytes
  }

  /// Reads the body of the frame.
  /// - Throws: `Refusal`, ready to be sent: `malformed`, or `version` as soon as the version is read, since nothing
  ///   after it can be relied upon.
  public static func decode(_ body: UnsafeRawBufferPointer) throws(Refusal) -> Hello {
    var reader = ByteReader(body)
    guard (try? reader.readBytes(magic.count, "magic")) == magic else {
      throw Refusal(.malformed, "this is not Rialto's protocol: check host and port")
    }
    do throws(CodecError) {
      let version: UInt16 = try reader.readFixed("format version")
      guard version == formatVersion else { throw .unknown(field: "format version", value: UInt64(version)) }
      return try read(&reader)
    } catch {
      if case .unknown(_, let version) = error {
        let older = version < UInt64(formatVersion) ? "the side that connects" : "this node"
        throw Refusal(
          .version, "this node speaks format \(formatVersion), the hello is of format \(version): upgrade \(older)")
      }
      throw Refusal(.malformed, "the hello \(error)")
    }
  }

  private static func read(_ reader: inout ByteReader) throws(CodecError) -> Hello {
    guard let role = PeerRole(rawValue: try reader.readByte("role")) else { throw .invalid(field: "role") }
    let cluster = try reader.readHash("cluster id")
    let nonce = try reader.readBytes(nonceByteCount, "nonce")
    let sender: Sender
    switch role {
    case .member:
      guard let key = PublicKey(bytes: try reader.readBytes(PublicKey.byteCount, "public key")) else {
        throw .invalid(field: "public key")
      }
      let boot: UInt64 = try reader.readFixed("boot number")
      let address = try reader.readText("listen address", max: Limits.addressBytesMax)
      guard address.isEmpty || Address(address) != nil else { throw .invalid(field: "listen address") }
      sender = .member(publicKey: key, boot: boot, listenAddress: address)
    case .client:
      let account = try reader.readVarint("account")
      sender = .client(account: account, name: try reader.readText("name", max: Limits.nameBytesMax))
    }
    try reader.expectEnd()
    return Hello(clusterID: cluster, nonce: nonce, sender: sender)
  }
}

/// The responder's last frame, type `0x03`: `node name prefixed · origin index + 1, or 0, varint · stamp u64`.
public struct Welcome: Equatable, Sendable {
  /// For people, at most `Limits.nameBytesMax` bytes.
  public var nodeName: String
  /// The responder's own place in the register of origins; nil if it is no member.
  public var origin: OriginIndex?
  /// The responder's clock as it answered.
  public var stamp: Stamp

  /// - Parameter nodeName: cut to `Limits.nameBytesMax` bytes.
  public init(nodeName: String, origin: OriginIndex?, stamp: Stamp) {
    self.nodeName = nodeName.clipped(utf8Max: Limits.nameBytesMax)
    self.origin = origin
    self.stamp = stamp
  }

  /// The body of the frame.
  public var body: [UInt8] {
    var writer = ByteWriter()
    writer.writeText(nodeName)
    writer.writeVarint(origin.map { UInt64($0.value) + 1 } ?? 0)
    writer.writeFixed(stamp.value)
    return writer.bytes
  }

  /// Reads the body of the frame.
  public init(body: UnsafeRawBufferPointer) throws(CodecError) {
    var reader = ByteReader(body)
    let name = try reader.readText("node name", max: Limits.nameBytesMax)
    let origin = try reader.readVarint("origin", max: UInt64(Limits.originsMax))
    let stamp: UInt64 = try reader.readFixed("stamp")
    try reader.expectEnd()
    self.init(nodeName: name, origin: origin == 0 ? nil : OriginIndex(UInt32(origin - 1)), stamp: Stamp(stamp))
  }
}

/// What a proof signs: whoever holds the key has seen the verifier's fresh nonce, for this cluster and this role.
enum Proof {
  static let tag: [UInt8] = Array("rialto.handshake.1".utf8)

  static func message(
    clusterID: Hash256, verifierNonce: [UInt8], signerNonce: [UInt8], signerKey: PublicKey, verifierRole: PeerRole
  ) -> [UInt8] {
    tag + clusterID.bytes + verifierNonce + signerNonce + signerKey.bytes + [verifierRole.rawValue]
  }
}
