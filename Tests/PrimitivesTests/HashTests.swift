import Primitives
import Testing

struct HexTests {
  @Test func everyByteHasItsTwoLowercaseDigits() {
    let digits = Array("0123456789abcdef")
    for byte in UInt8.min...UInt8.max {
      let hex = "\(digits[Int(byte / 16)])\(digits[Int(byte % 16)])"
      #expect([byte].hex == hex)
      #expect([UInt8](hex: hex) == [byte])
      #expect([UInt8](hex: hex.uppercased()) == [byte])
    }
    #expect([UInt8](hex: "") == [])
    #expect([0x00, 0x10, 0xff].hex == "0010ff")
  }

  @Test func oddCountsAndForeignCharactersAreRefused() {
    for text in ["0", "abc", "0x00", "g0", "0g", " 00", "00 ", "0-", "/0", ":0", "@0", "`0", "é"] {
      #expect([UInt8](hex: text) == nil, "\(text)")
    }
  }
}

struct Hash256Tests {
  static let digits = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

  @Test func wordsAreTheBytesInTheirOrder() throws {
    let hash = try #require(Hash256(hex: Self.digits))
    #expect(hash.word0 == 0x0001_0203_0405_0607)
    #expect(hash.word1 == 0x0809_0a0b_0c0d_0e0f)
    #expect(hash.word2 == 0x1011_1213_1415_1617)
    #expect(hash.word3 == 0x1819_1a1b_1c1d_1e1f)
    #expect(hash.bytes == Array(0..<32))
    #expect(hash.bytes.withUnsafeBytes { Hash256(bytes: $0) } == hash)
    #expect(hash.description == Self.digits)
    #expect(hash.prefix(6) == "000102")
  }

  @Test func onlySixtyFourDigitsAreAHash() {
    #expect(Hash256(hex: String(Self.digits.dropLast())) == nil)
    #expect(Hash256(hex: String(Self.digits.dropLast(2))) == nil)
    #expect(Hash256(hex: Self.digits + "20") == nil)
    #expect(Hash256(hex: "x" + Self.digits.dropFirst()) == nil)
    #expect(Hash256(hex: "") == nil)
    #expect(Hash256(hex: String(repeating: "0", count: 64)) == .zero)
  }

  /// The order of hashes is that of their bytes, whichever byte differs and whatever the later ones are.
  @Test func orderIsThatOfTheBytes() {
    for place in 0..<32 {
      var low = [UInt8](repeating: 0x55, count: 32)
      var high = low
      high[place] = 0x80
      for later in (place + 1)..<32 {
        low[later] = 0xff
        high[later] = 0
      }
      let lowHash = low.withUnsafeBytes { Hash256(bytes: $0) }
      let highHash = high.withUnsafeBytes { Hash256(bytes: $0) }
      #expect(lowHash < highHash, "byte \(place)")
      #expect(!(highHash < lowHash), "byte \(place)")
      #expect(!(lowHash < lowHash))
    }
  }

  @Test func writerAndReaderKeepTheByteOrder() throws {
    let hash = try #require(Hash256(hex: Self.digits))
    var writer = ByteWriter()
    writer.write(hash)
    #expect(writer.bytes == hash.bytes)
    let read = try writer.bytes.withUnsafeBytes { raw throws -> Hash256 in
      var reader = ByteReader(raw)
      return try reader.readHash("hash")
    }
    #expect(read == hash)
  }
}

/// Source: FIPS 180-4 examples, and NIST's million times "a".
struct SHA256Tests {
  static let vectors: [(input: String, hash: String)] = [
    ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (
      "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
    ),
    (
      "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
        + "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
      "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"
    ),
    (
      String(repeating: "a", count: 1_000_000), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
    ),
  ]

  @Test func knownVectors() {
    let sha = SHA256()
    for (input, hash) in Self.vectors {
      #expect(sha.hash(Array(input.utf8)).description == hash, "\(input.prefix(60))")
    }
  }

  @Test func inputInPiecesHashesAsTheWhole() {
    let sha = SHA256()
    let input = [UInt8]((0..<1_000).map { UInt8(truncatingIfNeeded: $0 &* 7) })
    let whole = sha.hash(input)
    for size in [1, 3, 55, 56, 63, 64, 65, 999] {
      sha.begin()
      var rest = input[...]
      while !rest.isEmpty {
        sha.update(Array(rest.prefix(size)))
        rest = rest.dropFirst(size)
      }
      #expect(sha.finish() == whole, "pieces of \(size)")
    }
  }

  @Test func aHashIsHashedAsItsThirtyTwoBytes() {
    let (sha, inner) = (SHA256(), SHA256().hash(Array("abc".utf8)))
    sha.begin()
    sha.update(inner)
    #expect(sha.finish() == sha.hash(inner.bytes))
    // SHA-256 of SHA-256("abc").
    #expect(
      sha.hash(inner.bytes).description == "4f8b42c22dd3729b519ba6f68d2da7cc5b2d606d05daed5ad5128cc03e6c6358")
  }

  @Test func valueSoFarDoesNotEndTheComputation() {
    let sha = SHA256()
    sha.begin()
    #expect(sha.valueSoFar().description == Self.vectors[0].hash)
    sha.update(Array("abc".utf8))
    #expect(sha.valueSoFar().description == Self.vectors[1].hash)
    sha.update(Array("dbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".utf8))
    #expect(sha.valueSoFar().description == Self.vectors[2].hash)
    #expect(sha.finish().description == Self.vectors[2].hash)
  }

  @Test func beginForgetsAnUnfinishedComputation() {
    let sha = SHA256()
    sha.begin()
    sha.update(Array("left behind".utf8))
    #expect(sha.hash(Array("abc".utf8)).description == Self.vectors[1].hash)
  }
}
