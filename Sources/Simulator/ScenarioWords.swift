import OrderBook
import Primitives

/// One line of a scenario, word by word.
struct ScenarioWords {
  let line: Int
  private let words: [String]
  private var next = 0

  init(_ text: some StringProtocol, line: Int) {
    self.line = line
    let code = text.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false).first ?? ""
    // A comma or colon is a word of its own, so that lists read as people write them.
    var words: [String] = []
    for word in code.split(whereSeparator: { $0 == " " || $0 == "\t" }) {
      if let last = word.last, last == "," || last == ":", word.count > 1 {
        words += [String(word.dropLast()), String(last)]
      } else {
        words.append(String(word))
      }
    }
    self.words = words
  }

  var isAtEnd: Bool { next == words.count }
  var peek: String? { next < words.count ? words[next] : nil }

  func error(_ expected: String) -> ScenarioError { ScenarioError(line: line, expected: expected, word: peek) }

  /// As `error`, of the word that was taken last.
  func errorBefore(_ expected: String) -> ScenarioError {
    ScenarioError(line: line, expected: expected, word: next > 0 ? words[next - 1] : nil)
  }

  mutating func word(_ expected: String) throws(ScenarioError) -> String {
    guard next < words.count else { throw error(expected) }
    next += 1
    return words[next - 1]
  }

  /// Takes this word if it is next.
  mutating func take(_ word: String) -> Bool {
    guard peek == word else { return false }
    next += 1
    return true
  }

  mutating func expect(_ word: String) throws(ScenarioError) {
    guard take(word) else { throw error("‘\(word)’") }
  }

  mutating func end() throws(ScenarioError) {
    guard isAtEnd else { throw error("nothing more") }
  }

  /// All words that are left.
  mutating func rest(_ expected: String) throws(ScenarioError) -> String {
    guard !isAtEnd else { throw error(expected) }
    defer { next = words.count }
    return words[next...].joined(separator: " ").replacing(" :", with: ":").replacing(" ,", with: ",")
  }

  // MARK: Values

  mutating func number(_ expected: String, max: UInt64 = UInt64(Int64.max)) throws(ScenarioError) -> UInt64 {
    let word = try word(expected)
    guard let value = UInt64(word), value <= max else { throw errorBefore(expected) }
    return value
  }

  mutating func lots() throws(ScenarioError) -> Int64 {
    Int64(try number("a quantity", max: UInt64(Limits.quantityLotsMax)))
  }

  mutating func ticks() throws(ScenarioError) -> Int64 {
    Int64(try number("a price", max: UInt64(Limits.priceTicksMax)))
  }

  /// A time in microseconds: a number, whole or decimal, and `us`, `ms` or `s`.
  mutating func time() throws(ScenarioError) -> UInt64 {
    let expected = "a time such as 20 ms"
    let text = try word(expected)
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count <= 2, let whole = UInt64(parts[0]), whole < 1_000_000_000 else { throw errorBefore(expected) }
    let unit: UInt64
    switch try word("us, ms or s") {
    case "us": unit = 1
    case "ms": unit = 1_000
    case "s": unit = 1_000_000
    default: throw errorBefore("us, ms or s")
    }
    var fraction: UInt64 = 0
    if parts.count == 2 {
      var scale = unit
      for digit in parts[1].utf8 {
        guard (48...57).contains(digit), scale >= 10 else { throw errorBefore(expected) }
        scale /= 10
        fraction += UInt64(digit - 48) * scale
      }
    }
    return whole * unit + fraction
  }

  /// Two times with `to` between them, or one that is both.
  mutating func times() throws(ScenarioError) -> ClosedRange<UInt64> {
    let low = try time()
    guard take("to") else { return low...low }
    let high = try time()
    guard low <= high else { throw errorBefore("a time that is not shorter") }
    return low...high
  }

  /// A percentage, as parts of a thousand.
  mutating func percent() throws(ScenarioError) -> UInt64 {
    let value = try number("a percentage, at most 90", max: 90)
    try expect("%")
    return value * 10
  }

  mutating func symbol() throws(ScenarioError) -> Symbol {
    guard let symbol = Symbol(try word("a symbol such as BTC-USD")) else {
      throw errorBefore("a symbol such as BTC-USD")
    }
    return symbol
  }

  // MARK: Nodes

  static func node(_ word: String, of count: Int) -> Int? {
    guard word.first == "n", let number = Int(word.dropFirst()), (1...count).contains(number) else { return nil }
    return number - 1
  }

  mutating func node(of count: Int) throws(ScenarioError) -> Int {
    let expected = "a node, n1 to n\(count)"
    guard let node = Self.node(try word(expected), of: count) else { throw errorBefore(expected) }
    return node
  }

  /// One node or more, or `all`.
  mutating func nodes(of count: Int) throws(ScenarioError) -> [Int] {
    if take("all") { return Array(0..<count) }
    var nodes = [try node(of: count)]
    while let word = peek, let node = Self.node(word, of: count) {
      nodes.append(node)
      next += 1
    }
    return nodes
  }
}
