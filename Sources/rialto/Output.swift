import ArgumentParser
import Glibc

extension ExitCode {
  /// Done, and the result is as it should be.
  static let good = ExitCode(0)
  /// Done, and the result is not as it should be.
  static let notGood = ExitCode(1)
  /// Could not be done.
  static let couldNot = ExitCode(2)
}

/// Why a command could not do its work, and what its user can do about it.
struct CommandError: Error, Hashable, CustomStringConvertible {
  var message: String
  /// One sentence; nil if the message says it already.
  var advice: String?

  init(_ message: String, advice: String? = nil) {
    self.message = message
    self.advice = advice
  }

  var description: String { advice.map { "\(message)\n       \($0)" } ?? message }
}

/// Where a command's lines go: results to stdout, everything else to stderr.
enum Output {
  /// One line on stdout, at once.
  static func result(_ line: String) {
    write(line + "\n", to: STDOUT_FILENO)
  }

  /// One line on stderr, at once: tables, progress, warnings.
  static func note(_ line: String) {
    write(line + "\n", to: STDERR_FILENO)
  }

  /// `error: …` on stderr.
  static func errorLine(_ text: some CustomStringConvertible) { note("error: \(text)") }

  /// Whether somebody watches stderr: then progress may overwrite its line.
  static var isTerminal: Bool { isatty(STDERR_FILENO) == 1 }

  /// Replaces the line that the cursor is on; for terminals only.
  static func progress(_ text: String) {
    guard isTerminal else { return }
    write("\r\u{1b}[K" + text, to: STDERR_FILENO)
  }

  /// One system call a line, so that lines of several processes on one terminal do not mix.
  private static func write(_ text: String, to descriptor: Int32) {
    let bytes = Array(text.utf8)
    var start = 0
    while start < bytes.count {
      let count = bytes[start...].withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count < 0 {
        if errno == EINTR { continue }
        return  // Nobody reads any more; there is nowhere left to say so.
      }
      start += count
    }
  }
}

/// Runs a command's work; what it throws is explained on stderr and becomes an exit code.
func explaining(_ work: () throws -> Void) throws {
  do { try work() } catch { throw exitCode(explaining: error) }
}

/// Runs a command's work; what it throws is explained on stderr and becomes an exit code.
func explaining(_ work: () async throws -> Void) async throws {
  do { try await work() } catch { throw exitCode(explaining: error) }
}

/// An `ExitCode` passes silently: whoever threw it has said why.
private func exitCode(explaining error: any Error) -> ExitCode {
  if let code = error as? ExitCode { return code }
  Output.errorLine("\(error)")
  return .couldNot
}

extension AsyncParsableCommand {
  /// Parses the arguments, runs the command, exits.
  ///
  /// As ArgumentParser's own `main`, but a mistake in the arguments exits with 2, as everything does that could not be
  /// done.
  static func runAndExit() async -> Never {
    do {
      var command = try parseAsRoot()
      if var command = command as? any AsyncParsableCommand {
        try await command.run()
      } else {
        try command.run()
      }
    } catch {
      if exitCode(for: error) == .validationFailure {
        Output.errorLine(fullMessage(for: error).dropFirst("Error: ".count))
        exit(withError: ExitCode.couldNot)
      }
      exit(withError: error)
    }
    exit(withError: nil)
  }
}

// MARK: JSON

/// Builds one JSON object on one line; keys stay in the order in which they are added.
struct JSONLine {
  private var members: [String] = []

  init() {}

  mutating func add(_ key: String, _ value: String) { add(key, raw: Self.quoted(value)) }
  mutating func add(_ key: String, _ value: String?) { add(key, raw: value.map(Self.quoted) ?? "null") }
  mutating func add(_ key: String, _ value: some BinaryInteger) { add(key, raw: "\(value)") }
  mutating func add(_ key: String, _ value: Bool) { add(key, raw: value ? "true" : "false") }
  mutating func add(_ key: String, _ value: JSONLine) { add(key, raw: value.text) }
  mutating func add(_ key: String, _ values: [JSONLine]) {
    add(key, raw: "[" + values.map(\.text).joined(separator: ",") + "]")
  }
  mutating func add(_ key: String, _ values: [String]) {
    add(key, raw: "[" + values.map(Self.quoted).joined(separator: ",") + "]")
  }
  /// Seconds, with microseconds.
  mutating func add(_ key: String, seconds duration: Duration) { add(key, raw: duration.secondsText) }
  mutating func addNull(_ key: String) { add(key, raw: "null") }

  private mutating func add(_ key: String, raw: String) { members.append(Self.quoted(key) + ":" + raw) }

  /// The object.
  var text: String { "{" + members.joined(separator: ",") + "}" }

  /// A JSON string: quotes, backslashes and control characters are escaped, everything else stands as it is.
  static func quoted(_ text: String) -> String {
    var out = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": out += "\\\""
      case "\\": out += "\\\\"
      case "\n": out += "\\n"
      case "\r": out += "\\r"
      case "\t": out += "\\t"
      // The two separators are valid in JSON but end a line for some readers of "one object a line".
      case "\u{0}"..."\u{1f}", "\u{7f}", "\u{2028}", "\u{2029}":
        let digits = String(scalar.value, radix: 16)
        out += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out + "\""
  }
}

// MARK: Tables

/// A table with aligned columns.
struct TextTable {
  enum Alignment { case left, right }

  private let alignments: [Alignment]
  private var rows: [[String]]

  /// - Parameter columns: heading and alignment of each; numbers are best aligned right.
  init(_ columns: [(heading: String, alignment: Alignment)]) {
    alignments = columns.map(\.alignment)
    rows = [columns.map(\.heading)]
  }

  /// - Precondition: one cell a column.
  mutating func add(_ cells: [String]) {
    precondition(cells.count == alignments.count)
    rows.append(cells)
  }

  /// The heading and the rows, without spaces at the ends.
  var lines: [String] {
    let widths = alignments.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { row in
      var line = ""
      for (column, cell) in row.enumerated() {
        let padding = String(repeating: " ", count: widths[column] - cell.count)
        if column > 0 { line += "  " }
        line += alignments[column] == .left ? cell + padding : padding + cell
      }
      while line.last == " " { line.removeLast() }
      return line
    }
  }

  /// On stderr.
  func note() { lines.forEach(Output.note) }
}

// MARK: Numbers

extension BinaryInteger {
  /// With a comma every three digits: `12,345`.
  var grouped: String {
    let digits = "\(magnitude)"
    var out = ""
    for (index, digit) in digits.enumerated() {
      if index > 0, (digits.count - index) % 3 == 0 { out += "," }
      out.append(digit)
    }
    return self < 0 ? "-" + out : out
  }

  /// Three digits at most and a unit: `950`, `12.3 k`, `1.2 M`, `4.5 G`.
  var short: String {
    let value = UInt64(clamping: magnitude)
    let sign = self < 0 ? "-" : ""
    for (unit, size) in [("G", 1_000_000_000), ("M", 1_000_000), ("k", 1_000)] as [(String, UInt64)]
    where value >= size {
      let tenths = value / (size / 10)
      let fraction = tenths < 1_000 ? ".\(tenths % 10)" : ""
      return "\(sign)\((tenths / 10).grouped)\(fraction) \(unit)"
    }
    return sign + "\(value)"
  }
}

extension Duration {
  /// Whole microseconds, rounded down; the largest 64-bit number if there are more.
  var microseconds: Int64 {
    let (seconds, attoseconds) = components
    let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000)
    return overflow ? .max : whole + attoseconds / 1_000_000_000_000
  }

  /// Seconds with six decimals: `0.012345`.
  var secondsText: String {
    let all = Swift.max(0, microseconds)
    let fraction = "\(all % 1_000_000)"
    return "\(all / 1_000_000)." + String(repeating: "0", count: 6 - fraction.count) + fraction
  }

  /// With the unit that suits: `850 µs`, `12.3 ms`, `4.56 s`.
  var short: String {
    let all = Swift.max(0, microseconds)
    if all < 1_000 { return "\(all) µs" }
    if all < 1_000_000 { return "\(all / 1_000).\(all / 100 % 10) ms" }
    let hundredths = "\(all / 10_000 % 100)"
    return "\((all / 1_000_000).grouped)." + (hundredths.count < 2 ? "0" : "") + hundredths + " s"
  }

  /// `count` in a second, were this the time that `count` took.
  func perSecond(_ count: Int) -> Int {
    let (high, low) = UInt64(Swift.max(0, count)).multipliedFullWidth(by: 1_000_000)
    let divisor = UInt64(Swift.max(1, microseconds))
    return high < divisor ? Int(clamping: divisor.dividingFullWidth((high, low)).quotient) : .max
  }
}
