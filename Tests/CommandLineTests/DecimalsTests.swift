import OrderBook
import Primitives
import Testing

@testable import rialto

@Suite("Decimals")
struct DecimalsTests {
  private func increment(_ mantissa: UInt64, _ scale: UInt8) throws -> Increment {
    try #require(Increment(mantissa: mantissa, scale: scale))
  }

  @Test(
    "exact in both directions",
    arguments: [
      ("64250.25", 1, 2, 6_425_025), ("64250.5", 1, 2, 6_425_050), ("0.01", 1, 2, 1), ("7", 1, 2, 700),
      ("0.00000001", 1, 8, 1), ("0.5", 25, 2, 2), ("12.75", 25, 2, 51), ("1500", 500, 0, 3), ("42", 1, 0, 42),
      ("0.000000000000000001", 1, 18, 1), ("46116860184273879.04", 1, 2, 1 << 62),
    ] as [(String, UInt64, UInt8, Int64)])
  func exact(text: String, mantissa: UInt64, scale: UInt8, count: Int64) throws {
    let unit = try increment(mantissa, scale)
    #expect(try unit.count(of: text, max: Limits.priceTicksMax) == count)
    #expect(try unit.count(of: unit.decimal(count), max: Limits.priceTicksMax) == count)
    let extended = text.contains(".") ? text + "000" : text + ".000"
    #expect(try unit.count(of: "00" + extended, max: Limits.priceTicksMax) == count)
  }

  @Test(
    "nothing is rounded",
    arguments: [
      ("0.005", 1, 2), ("64250.251", 1, 2), ("0.3", 25, 2), ("7", 2, 0), ("0.1", 1, 0),
    ] as [(String, UInt64, UInt8)])
  func offGrid(text: String, mantissa: UInt64, scale: UInt8) throws {
    let unit = try increment(mantissa, scale)
    #expect(throws: DecimalError.offGrid(text, increment: unit.decimal(1 as Int64))) {
      try unit.count(of: text, max: .max)
    }
  }

  @Test(
    "what is not a decimal",
    arguments: ["", ".", "1.", ".5", "-1", "+1", "1e3", "1,000", "1.2.3", " 1", "٣", "NaN"])
  func malformed(text: String) throws {
    #expect(throws: DecimalError.malformed(text)) { try increment(1, 2).count(of: text, max: .max) }
  }

  @Test(
    "what is out of range",
    arguments: [
      "0", "0.00", "46116860184273879.05", "9999999999999999999999", "340282366920938463463374607431768211456",
    ])
  func outOfRange(text: String) throws {
    #expect(throws: DecimalError.outOfRange(text, max: "46116860184273879.04")) {
      try increment(1, 2).count(of: text, max: Limits.priceTicksMax)
    }
  }

  @Test func formatting() throws {
    #expect(try increment(1, 2).decimal(0 as Int64) == "0.00")
    #expect(try increment(1, 2).decimal(5 as Int64) == "0.05")
    #expect(try increment(25, 2).decimal(-51 as Int64) == "-12.75")
    #expect(try increment(1, 0).decimal(0 as Int64) == "0")
    #expect(
      try increment(1_000_000_000_000_000_000, 18).decimal(UInt128.max)
        == "340282366920938463463374607431768211455.000000000000000000")
  }
}
