import Primitives

/// Signatures that cost nothing to speak of: a keyed checksum that anybody could compute.
///
/// The simulation has no malice in it, only faults; a flipped bit changes the checksum as it would change Ed25519's.
struct SimulatedSignatures: Signatures {
  let publicKey: PublicKey

  init(node: Int) {
    var bytes = [UInt8](repeating: 0x52, count: PublicKey.byteCount)
    bytes[0] = UInt8(truncatingIfNeeded: node)
    bytes[1] = UInt8(truncatingIfNeeded: node >> 8)
    publicKey = PublicKey(bytes: bytes)!
  }

  func sign(_ message: [UInt8]) -> Signature { Self.signature(of: message, by: publicKey) }

  func isValid(_ signature: Signature, of message: [UInt8], by key: PublicKey) -> Bool {
    signature == Self.signature(of: message, by: key)
  }

  private static func signature(of message: [UInt8], by key: PublicKey) -> Signature {
    var checksum = RunHash()
    checksum.mix(message)
    checksum.mix(key.bytes)
    var bytes = [UInt8](repeating: 0, count: Signature.byteCount)
    for index in 0..<16 {
      let word = index < 8 ? checksum.first : checksum.second
      bytes[index] = UInt8(truncatingIfNeeded: word >> UInt64(8 * (index % 8)))
    }
    return Signature(bytes: bytes)!
  }
}

/// A running checksum of everything that happens in a run: equal runs have equal ones.
package struct RunHash: Hashable, Sendable, CustomStringConvertible {
  private(set) var first: UInt64 = 0x243F_6A88_85A3_08D3
  private(set) var second: UInt64 = 0x1319_8A2E_0370_7344

  package init() {}

  @inline(__always) package mutating func mix(_ value: UInt64) {
    first = (first ^ value) &* 0x9FB2_1C65_1E98_DF25
    first ^= first >> 29
    second = (second &+ value) &* 0xD6E8_FEB8_6659_FD93
    second ^= second >> 32
  }

  package mutating func mix(_ bytes: [UInt8]) {
    bytes.withUnsafeBytes { raw in
      var offset = 0
      while offset + 8 <= raw.count {
        mix(raw.loadUnaligned(fromByteOffset: offset, as: UInt64.self).littleEndian)
        offset += 8
      }
      var last = UInt64(raw.count)
      while offset < raw.count {
        last = last << 8 | UInt64(raw[offset])
        offset += 1
      }
      mix(last)
    }
  }

  package mutating func mix(_ hash: Hash256) {
    mix(hash.word0)
    mix(hash.word1)
    mix(hash.word2)
    mix(hash.word3)
  }

  /// 32 hexadecimal digits.
  package var description: String {
    var text = ""
    for word in [first, second] {
      for shift in stride(from: UInt64(60), through: 0, by: -4) {
        text.append(Character(UnicodeScalar(Array("0123456789abcdef".utf8)[Int(word >> shift & 15)])))
      }
    }
    return text
  }
}
