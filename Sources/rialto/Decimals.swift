import OrderBook

/// Why a decimal on the command line is not a price or quantity of an instrument.
enum DecimalError: Error, Hashable, CustomStringConvertible {
  case malformed(String)
  /// Between two multiples of the increment.
  case offGrid(String, increment: String)
  case outOfRange(String, max: String)

  var description: String {
    switch self {
    case .malformed(let text): "'\(text)' is not a decimal number such as 0.5 or 64250.25"
    case .offGrid(let text, let increment): "\(text) is not a multiple of \(increment)"
    case .outOfRange(let text, let max): "\(text) is out of range; it must be above 0 and at most \(max)"
    }
  }
}

/// Exact conversion between decimals, which people write, and ticks or lots, which the book holds.
extension Increment {
  /// How many increments `text` is: digits, perhaps with a point among them; nothing is rounded.
  /// - Parameter max: the largest count allowed; the smallest is 1.
  func count(of text: String, max: Int64) throws(DecimalError) -> Int64 {
    let (digits, decimals) = try Self.parse(text, max: decimal(UInt128(max)))
    var numerator = digits
    if decimals > Int(scale), digits != 0 {
      // Zeros at the end are gone, so the last decimal lies below the increment's.
      throw .offGrid(text, increment: decimal(Int64(1)))
    }
    for _ in decimals..<Swift.max(decimals, Int(scale)) {
      let (product, overflow) = numerator.multipliedReportingOverflow(by: 10)
      guard !overflow else { throw .outOfRange(text, max: decimal(UInt128(max))) }
      numerator = product
    }
    let (count, rest) = numerator.quotientAndRemainder(dividingBy: UInt128(mantissa))
    guard rest == 0 else { throw .offGrid(text, increment: decimal(Int64(1))) }
    guard count >= 1, count <= UInt128(max) else { throw .outOfRange(text, max: decimal(UInt128(max))) }
    return Int64(count)
  }

  /// The digits of a decimal and how many of them follow the point; none of those at the end is 0.
  private static func parse(_ text: String, max: String) throws(DecimalError) -> (digits: UInt128, decimals: Int) {
    let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    let isPlain = parts.allSatisfy { !$0.isEmpty && $0.utf8.allSatisfy { (48...57).contains($0) } }
    guard isPlain else { throw .malformed(text) }
    var fraction = parts.count == 2 ? parts[1] : ""
    while fraction.last == "0" { fraction.removeLast() }
    var digits: UInt128 = 0
    for byte in parts[0].utf8 + Array(fraction.utf8) {
      let (product, overflow) = digits.multipliedReportingOverflow(by: 10)
      let (sum, carry) = product.addingReportingOverflow(UInt128(byte - 48))
      guard !overflow, !carry else { throw .outOfRange(text, max: max) }
      digits = sum
    }
    return (digits, fraction.utf8.count)
  }
}
