import Primitives

/// Numbers of ticks and lots as people write them; exact.
extension Increment {
  /// `count` increments as a decimal, with as many decimals as the increment has: `64250.25`.
  public func decimal(_ count: UInt128) -> String {
    // 128 by 64 bits: digit by digit from the full product.
    var (high, low) = count.multipliedFullWidth(by: UInt128(mantissa))
    var reversed: [UInt8] = []
    // A digit before the point at least, and the point.
    let countMin = scale == 0 ? 1 : Int(scale) + 2
    while high != 0 || low != 0 || reversed.count < countMin {
      let (highQuotient, highRest) = high.quotientAndRemainder(dividingBy: 10)
      let (lowQuotient, digit) = UInt128(10).dividingFullWidth((highRest, low))
      reversed.append(UInt8(ascii: "0") + UInt8(digit))
      if reversed.count == Int(scale) { reversed.append(UInt8(ascii: ".")) }
      (high, low) = (highQuotient, lowQuotient)
    }
    return String(decoding: reversed.reversed(), as: UTF8.self)
  }

  /// `count` increments as a decimal; prices and quantities of orders are never negative.
  public func decimal(_ count: Int64) -> String {
    (count < 0 ? "-" : "") + decimal(UInt128(count.magnitude))
  }
}
