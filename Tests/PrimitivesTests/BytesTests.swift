import Primitives
import Testing

/// Decodes one field and tells what it was, or why not, and how many bytes it took.
private func read<Value>(
  _ bytes: [UInt8], _ body: (inout ByteReader) throws(CodecError) -> Value
) -> Result<Value, CodecError> {
  bytes.withUnsafeBytes { raw in
    var reader = ByteReader(raw)
    do throws(CodecError) {
      return .success(try body(&reader))
    } catch {
      return .failure(error)
    }
  }
}

private func readVarint(_ bytes: [UInt8]) -> Result<UInt64, CodecError> {
  read(bytes) { (reader) throws(CodecError) in try reader.readVarint("number") }
}

private func varint(_ value: UInt64) -> [UInt8] {
  var writer = ByteWriter()
  writer.writeVarint(value)
  return writer.bytes
}

/// Powers of two and their neighbours, and the largest numbers.
private let edges: [UInt64] = {
  var out: [UInt64] = [.max - 1, .max]
  for shift in 0..<64 {
    let power: UInt64 = 1 << UInt64(shift)
    out += [power - 1, power, power + 1]
  }
  return out
}()

struct VarintTests {
  @Test func knownForms() {
    #expect(varint(0) == [0])
    #expect(varint(127) == [0x7f])
    #expect(varint(128) == [0x80, 0x01])
    #expect(varint(300) == [0xac, 0x02])
    #expect(varint(.max) == [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01])
  }

  @Test func everyLengthGoesThereAndBack() {
    for value in edges {
      let bytes = varint(value)
      #expect(bytes.count == max(1, (70 - value.leadingZeroBitCount) / 7), "\(value)")
      #expect(readVarint(bytes) == .success(value), "\(value)")
    }
  }

  @Test func everyTruncationIsRefused() {
    for value in edges {
      let bytes = varint(value)
      for count in 0..<bytes.count {
        #expect(readVarint(Array(bytes.prefix(count))) == .failure(.truncated(field: "number")), "\(value), \(count)")
      }
    }
  }

  /// A number padded with empty groups is the same number in longer form.
  @Test func longerFormsAreRefused() {
    for value in edges {
      var bytes = varint(value)
      while bytes.count < 10 {
        bytes[bytes.count - 1] |= 0x80
        bytes.append(0)
        #expect(readVarint(bytes) == .failure(.invalid(field: "number")), "\(value) in \(bytes.count)")
      }
    }
  }

  @Test func numbersPastSixtyFourBitsAreRefused() {
    let nine = [UInt8](repeating: 0x80, count: 9)
    #expect(readVarint(nine + [1]) == .success(1 << 63))
    for last in UInt8(2)...UInt8.max {
      #expect(readVarint(nine + [last]) == .failure(.invalid(field: "number")), "last byte \(last)")
    }
    #expect(readVarint(nine + [0]) == .failure(.invalid(field: "number")))
    #expect(readVarint(nine + [0x81, 0]) == .failure(.invalid(field: "number")))
    #expect(readVarint([UInt8](repeating: 0xff, count: 100)) == .failure(.invalid(field: "number")))
  }

  @Test func limitIsInclusive() {
    #expect(read(varint(9)) { (reader) throws(CodecError) in try reader.readVarint("n", max: 9) } == .success(9))
    #expect(
      read(varint(10)) { (reader) throws(CodecError) in try reader.readVarint("n", max: 9) }
        == .failure(.invalid(field: "n")))
  }

  @Test func signedNumbersAreZigzag() {
    var writer = ByteWriter()
    for value: Int64 in [0, -1, 1, -2, 2, -64, 63] { writer.writeSigned(value) }
    #expect(writer.bytes == [0, 1, 2, 3, 4, 127, 126])
    for value in edges.flatMap({ [Int64(bitPattern: $0), 0 &- Int64(bitPattern: $0)] }) {
      var writer = ByteWriter()
      writer.writeSigned(value)
      #expect(read(writer.bytes) { (reader) throws(CodecError) in try reader.readSigned("n") } == .success(value))
    }
  }

  /// Any bytes: what is accepted is written again as the very same bytes.
  @Test(arguments: [1, 2, 3] as [UInt64]) func whateverIsAcceptedIsTheOnlyForm(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    var accepted = 0
    for _ in 0..<20_000 {
      let bytes = (0..<generator.pick(1...11)).map { _ in
        UInt8(truncatingIfNeeded: generator.next()) | (generator.chance(3, of: 4) ? 0x80 : 0)
      }
      guard case .success(let value) = readVarint(bytes) else { continue }
      accepted += 1
      #expect(bytes.starts(with: varint(value)), "seed \(seed): \(bytes.hex)")
    }
    #expect(accepted > 1_000, "seed \(seed)")
  }
}

struct ByteFieldTests {
  @Test func fixedFieldsAreLittleEndian() {
    var writer = ByteWriter()
    writer.writeFixed(UInt16(0x0102))
    writer.writeFixed(UInt32(0x0304_0506))
    writer.writeFixed(UInt64(0x0708_090a_0b0c_0d0e))
    writer.writeFixed(Int32(-2))
    #expect(writer.bytes.hex == "0201060504030e0d0c0b0a090807feffffff")
    let fields = read(writer.bytes) { (reader) throws(CodecError) in
      [
        Int64(try reader.readFixed("a", as: UInt16.self)), Int64(try reader.readFixed("b", as: UInt32.self)),
        Int64(try reader.readFixed("c", as: UInt64.self)), Int64(try reader.readFixed("d", as: Int32.self)),
        Int64(reader.remaining),
      ]
    }
    #expect(fields == .success([0x0102, 0x0304_0506, 0x0708_090a_0b0c_0d0e, -2, 0]))
  }

  @Test func aFixedFieldThatEndsEarlyIsRefused() {
    #expect(read([]) { (reader) throws(CodecError) in try reader.readByte("n") } == .failure(.truncated(field: "n")))
    for count in 0..<8 {
      let bytes = [UInt8](repeating: 0, count: count)
      #expect(
        read(bytes) { (reader) throws(CodecError) in try reader.readFixed("n", as: UInt64.self) }
          == .failure(.truncated(field: "n")))
    }
    for count in 0..<32 {
      let bytes = [UInt8](repeating: 0, count: count)
      #expect(
        read(bytes) { (reader) throws(CodecError) in try reader.readHash("h") } == .failure(.truncated(field: "h")))
    }
  }

  @Test func prefixedBytesAreCheckedAgainstWhatRemains() {
    func prefixed(_ bytes: [UInt8], max limit: Int) -> Result<[UInt8], CodecError> {
      read(bytes) { (reader) throws(CodecError) in try reader.readPrefixed("text", max: limit) }
    }
    #expect(prefixed([3, 1, 2, 3], max: 3) == .success([1, 2, 3]))
    #expect(prefixed([0], max: 3) == .success([]))
    #expect(prefixed([3, 1, 2, 3], max: 2) == .failure(.invalid(field: "text")))
    #expect(prefixed([3, 1, 2], max: 3) == .failure(.truncated(field: "text")))
    // A length that no machine could allocate fails on the bytes that are missing.
    #expect(prefixed(varint(UInt64(Int64.max)) + [1], max: .max) == .failure(.truncated(field: "text")))
    #expect(prefixed(varint(.max) + [1], max: .max) == .failure(.invalid(field: "text")))
    #expect(
      read([1, 2]) { (reader) throws(CodecError) in try reader.readBytes(-1, "text") }
        == .failure(.truncated(field: "text")))
  }

  @Test func leftoverBytesAreCounted() {
    for count in 0...3 {
      let bytes = [UInt8](repeating: 0, count: 1 + count)
      let result = read(bytes) { (reader) throws(CodecError) in
        _ = try reader.readByte("first")
        let offset = reader.offset
        try reader.expectEnd()
        return offset
      }
      #expect(result == (count == 0 ? .success(1) : .failure(.trailing(count: count))))
    }
  }

  @Test func errorsCompareByKindAndField() {
    #expect(CodecError.truncated(field: "a") != .truncated(field: "b"))
    #expect(CodecError.truncated(field: "a") != .invalid(field: "a"))
    #expect("\(CodecError.unknown(field: "payload kind", value: 9))".contains("payload kind 9"))
    #expect("\(CodecError.unknown(field: "payload kind", value: 9))".contains("upgrade"))
  }
}
