import COpenSSL

/// A 64-byte Ed25519 signature.
public struct Signature: Hashable, Sendable {
  public static let byteCount = 64
  public let bytes: [UInt8]

  /// - Returns: nil unless `bytes` has 64 bytes.
  public init?(bytes: [UInt8]) {
    guard bytes.count == Self.byteCount else { return nil }
    self.bytes = bytes
  }
}

/// A 32-byte Ed25519 public key; its hash is the node id.
public struct PublicKey: Hashable, Sendable, CustomStringConvertible {
  public static let byteCount = 32
  public let bytes: [UInt8]

  /// - Returns: nil unless `bytes` has 32 bytes.
  public init?(bytes: [UInt8]) {
    guard bytes.count == Self.byteCount else { return nil }
    self.bytes = bytes
  }

  public init?(hex: String) {
    guard let bytes = [UInt8](hex: hex) else { return nil }
    self.init(bytes: bytes)
  }

  public var description: String { bytes.hex }

  /// The node's identity: SHA-256 of its public key, tagged.
  public var nodeID: NodeID { NodeID(SHA256().hash(Array("rialto.node".utf8) + bytes)) }
}

/// What signs for a node and checks the signatures of others.
///
/// A protocol so that a simulation of many nodes may use one that costs less than Ed25519's 200 µs a verification.
public protocol Signatures: Sendable {
  var publicKey: PublicKey { get }
  func sign(_ message: [UInt8]) -> Signature
  func isValid(_ signature: Signature, of message: [UInt8], by key: PublicKey) -> Bool
}

/// Ed25519 over OpenSSL's libcrypto. Signing costs 50–70 µs, checking 150–200 µs.
public final class Ed25519: Signatures, @unchecked Sendable {
  public static let seedByteCount = 32
  public let publicKey: PublicKey
  // Immutable after init; EVP_PKEY may be used by several threads for signing.
  private let key: OpaquePointer

  /// - Parameter seed: 32 secret bytes.
  /// - Returns: nil unless `seed` has 32 bytes.
  public init?(seed: [UInt8]) {
    guard seed.count == Self.seedByteCount,
      let key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nil, seed, seed.count)
    else { return nil }
    var raw = [UInt8](repeating: 0, count: PublicKey.byteCount)
    var count = raw.count
    guard EVP_PKEY_get_raw_public_key(key, &raw, &count) == 1, let publicKey = PublicKey(bytes: raw) else {
      EVP_PKEY_free(key)
      return nil
    }
    self.key = key
    self.publicKey = publicKey
  }

  deinit { EVP_PKEY_free(key) }

  public func sign(_ message: [UInt8]) -> Signature {
    let context = EVP_MD_CTX_new()
    defer { EVP_MD_CTX_free(context) }
    var out = [UInt8](repeating: 0, count: Signature.byteCount)
    var count = out.count
    precondition(EVP_DigestSignInit(context, nil, nil, nil, key) == 1, "Ed25519 could not start")
    precondition(EVP_DigestSign(context, &out, &count, message, message.count) == 1, "Ed25519 could not sign")
    return Signature(bytes: out)!
  }

  public func isValid(_ signature: Signature, of message: [UInt8], by key: PublicKey) -> Bool {
    guard let other = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nil, key.bytes, key.bytes.count) else {
      return false
    }
    defer { EVP_PKEY_free(other) }
    let context = EVP_MD_CTX_new()
    defer { EVP_MD_CTX_free(context) }
    guard EVP_DigestVerifyInit(context, nil, nil, nil, other) == 1 else { return false }
    return EVP_DigestVerify(context, signature.bytes, signature.bytes.count, message, message.count) == 1
  }
}
