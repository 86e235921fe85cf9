import Primitives
import Testing

/// Source: RFC 8032, section 7.1.
struct Ed25519Tests {
  struct Vector: Sendable, CustomTestStringConvertible {
    let name, seed, publicKey, message, signature: String
    var testDescription: String { name }
  }

  static let vectors = [
    Vector(
      name: "TEST 1", seed: "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
      publicKey: "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", message: "",
      signature: "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        + "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"),
    Vector(
      name: "TEST 2", seed: "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
      publicKey: "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", message: "72",
      signature: "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        + "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"),
    Vector(
      name: "TEST 3", seed: "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
      publicKey: "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", message: "af82",
      signature: "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        + "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"),
    Vector(
      name: "TEST SHA(abc)", seed: "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
      publicKey: "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
      message: "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
        + "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
      signature: "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589"
        + "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704"),
  ]

  @Test(arguments: vectors) func knownVectors(vector: Vector) throws {
    let signer = try #require(Ed25519(seed: vector.seed.bytes))
    let message = vector.message.bytes
    #expect(signer.publicKey.description == vector.publicKey)
    let signature = signer.sign(message)
    #expect(signature.bytes.hex == vector.signature)
    let other = try #require(Ed25519(seed: [UInt8](repeating: 1, count: 32)))
    let key = try #require(PublicKey(hex: vector.publicKey))
    #expect(other.isValid(signature, of: message, by: key))
    #expect(!other.isValid(signature, of: message, by: other.publicKey))
    #expect(!other.isValid(signature, of: message + [0], by: key))
  }

  @Test func everyFlippedBitSpoilsTheSignature() throws {
    let signer = try #require(Ed25519(seed: [UInt8](repeating: 7, count: 32)))
    let message = Array("news on the Rialto".utf8)
    let good = signer.sign(message)
    #expect(signer.isValid(good, of: message, by: signer.publicKey))
    for bit in 0..<Signature.byteCount * 8 {
      var bytes = good.bytes
      bytes[bit / 8] ^= 1 << UInt8(bit % 8)
      let bad = try #require(Signature(bytes: bytes))
      #expect(!signer.isValid(bad, of: message, by: signer.publicKey), "bit \(bit)")
    }
    for bit in 0..<message.count * 8 {
      var changed = message
      changed[bit / 8] ^= 1 << UInt8(bit % 8)
      #expect(!signer.isValid(good, of: changed, by: signer.publicKey), "bit \(bit) of the message")
    }
  }

  /// S and S + L satisfy the same equation; accepting both would give one message two signatures.
  @Test func aSignatureCannotBeReplacedByItsOtherForm() throws {
    let vector = Self.vectors[1]
    let signer = try #require(Ed25519(seed: vector.seed.bytes))
    let order = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010".bytes
    var bytes = vector.signature.bytes
    var carry = 0
    for index in 0..<32 {
      let sum = Int(bytes[32 + index]) + Int(order[index]) + carry
      bytes[32 + index] = UInt8(sum & 255)
      carry = sum >> 8
    }
    #expect(carry == 0)
    let other = try #require(Signature(bytes: bytes))
    #expect(!signer.isValid(other, of: [0x72], by: signer.publicKey))
  }

  @Test func wrongLengthsAndImpossibleKeysAreRefused() throws {
    for count in [0, 31, 33, 64] {
      #expect(Ed25519(seed: [UInt8](repeating: 1, count: count)) == nil, "seed of \(count)")
      #expect(PublicKey(bytes: [UInt8](repeating: 1, count: count)) == nil, "key of \(count)")
    }
    for count in [0, 63, 65] { #expect(Signature(bytes: [UInt8](repeating: 1, count: count)) == nil) }
    #expect(PublicKey(hex: "zz") == nil)
    let signer = try #require(Ed25519(seed: [UInt8](repeating: 7, count: 32)))
    // y = 2 is on no point of the curve.
    let noPoint = try #require(PublicKey(bytes: [2] + [UInt8](repeating: 0, count: 31)))
    #expect(!signer.isValid(signer.sign([1]), of: [1], by: noPoint))
  }

  @Test func nodeIDIsTheTaggedHashOfThePublicKey() throws {
    let key = try #require(PublicKey(hex: Self.vectors[0].publicKey))
    #expect(key.nodeID == NodeID(SHA256().hash(Array("rialto.node".utf8) + key.bytes)))
    #expect(key.nodeID.description == "14c9610a36599f1afaf01fa8a467b3e0d94293b5e4d22297972fc7e1c181ac06")
  }
}

extension String {
  /// The bytes these digits spell; none if they are not hexadecimal.
  fileprivate var bytes: [UInt8] { [UInt8](hex: self) ?? [] }
}
