/// Why a flow file cannot be used, and where: nothing of it has been applied.
public struct FlowFileError: Error, Hashable, Sendable, CustomStringConvertible {
  public enum Problem: Hashable, Sendable {
    /// There is no header line.
    case empty
    case unknownColumn
    case repeatedColumn
    case missingColumn
    /// A line without fields, and more lines after it.
    case emptyLine
    /// The line ends before this column.
    case missingField
    /// The line goes on after its last column; `count` is how many columns the header has.
    case excessField(columns: Int)
    /// The field is not what its column holds.
    case invalid(expected: String)
    /// The field is well formed but contradicts another of its row.
    case conflict(String)
  }

  /// The header is line 1.
  public var line: Int
  /// Name of the column, where one is concerned.
  public var column: String?
  /// What stands there, fit for printing and cut to `valueBytesMax`.
  public var value: String
  public var problem: Problem

  static let valueBytesMax = 40

  init(line: Int, column: String?, value: String = "", _ problem: Problem) {
    self.line = line
    self.column = column
    self.value = value
    self.problem = problem
  }

  /// What is wrong and what was expected, without the line: a caller puts file and line before it.
  public var reason: String {
    let place = column.map { "column '\($0)': " } ?? ""
    return place + explanation
  }

  private var explanation: String {
    switch problem {
    case .empty: "the file is empty; it must start with a header such as \(FlowFile.header)"
    case .unknownColumn: "is not known; known columns are \(FlowColumn.list)"
    case .repeatedColumn: "stands in the header twice; keep one"
    case .missingColumn: "is missing from the header; needed are \(FlowFile.header)"
    case .emptyLine: "the line is empty, and more lines follow; remove it"
    case .missingField: "the line ends before this column; write an empty field where a column does not apply"
    case .excessField(let columns): "'\(value)' stands after the last of \(columns) columns; remove it"
    case .invalid(let expected): value.isEmpty ? "is empty; expected \(expected)" : "'\(value)' is not \(expected)"
    case .conflict(let text): "'\(value)' \(text)"
    }
  }

  public var description: String { "\(line): \(reason)" }
}

/// A field's bytes as text that a terminal can show: other bytes than printable ASCII and whole UTF-8 are escaped.
func printable(_ bytes: UnsafeBufferPointer<UInt8>) -> String {
  let cut = bytes.prefix(FlowFileError.valueBytesMax)
  var out = ""
  for scalar in String(decoding: cut, as: UTF8.self).unicodeScalars {
    if scalar.value < 0x20 || (0x7f..<0xa0).contains(scalar.value) {
      out += scalar.escaped(asASCII: true)
    } else {
      out.unicodeScalars.append(scalar)
    }
  }
  return bytes.count > cut.count ? out + "…" : out
}
