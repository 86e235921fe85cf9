import OrderBook

/// Reads and writes order flows as CSV.
///
/// The first line names the columns, in any order. Lines end with LF or CRLF; the last one may lack it; a byte order
/// mark and empty lines at the end are passed over. There is no quoting, because no field can need it.
public enum FlowFile {
  /// Largest magnitude of an integer: 2^62.
  public static let integerMax: Int64 = 1 << 62
  /// The header that `write` gives a file.
  public static let header = "op,id,side,price,qty"

  /// Reads a whole file; throws at the first malformed row, so that nothing of such a file is ever applied.
  ///
  /// Price and quantity may be zero or negative: such an operation is well formed, and the engine rejects it.
  /// - Complexity: O(bytes); about 50 ns a row.
  public static func parse(_ bytes: [UInt8]) throws(FlowFileError) -> ContiguousArray<FlowOperation> {
    let result = bytes.withUnsafeBufferPointer { buffer -> Result<ContiguousArray<FlowOperation>, FlowFileError> in
      var parser = FlowParser(buffer)
      do throws(FlowFileError) {
        return .success(try parser.parse())
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }

  /// Appends `operation` as one line. Fields that its kind ignores stay empty.
  public static func write(_ operation: FlowOperation, to out: inout [UInt8]) {
    let comma = UInt8(ascii: ",")
    out.append(operation.kind.rawValue)
    out.append(comma)
    out.append(contentsOf: "\(operation.id)".utf8)
    out.append(comma)
    if operation.kind.usesSide { out.append(operation.side == .buy ? UInt8(ascii: "B") : UInt8(ascii: "S")) }
    out.append(comma)
    if operation.kind.usesPrice { out.append(contentsOf: "\(operation.priceTicks)".utf8) }
    out.append(comma)
    if operation.kind.usesQuantity { out.append(contentsOf: "\(operation.quantityLots)".utf8) }
    out.append(UInt8(ascii: "\n"))
  }

  /// A whole file: the header, then one line an operation.
  public static func write(_ operations: some Sequence<FlowOperation>) -> [UInt8] {
    var out = Array((header + "\n").utf8)
    for operation in operations { write(operation, to: &out) }
    return out
  }
}

/// One pass over the bytes of a file. Valid only while its buffer is.
struct FlowParser {
  private typealias Field = Range<Int>

  private let bytes: UnsafeBufferPointer<UInt8>
  private var position = 0
  /// Number of the line that starts at `position`.
  private var line = 1
  /// `FlowColumn` of the fields of a line, in their order.
  private var columns: [FlowColumn] = []

  private static let comma = UInt8(ascii: ",")
  private static let lineFeed = UInt8(ascii: "\n")
  private static let carriageReturn = UInt8(ascii: "\r")
  private static let byteOrderMark: [UInt8] = [0xef, 0xbb, 0xbf]

  init(_ bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

  mutating func parse() throws(FlowFileError) -> ContiguousArray<FlowOperation> {
    if bytes.starts(with: Self.byteOrderMark) { position = Self.byteOrderMark.count }
    try readHeader()
    var operations = ContiguousArray<FlowOperation>()
    // A row has 13 bytes or more, mostly 25: one growth at most for the usual file.
    operations.reserveCapacity((bytes.count - position) / 25)
    // By column rather than by field; a row never allocates.
    let fields = UnsafeMutableBufferPointer<Field>.allocate(capacity: FlowColumn.allCases.count)
    fields.initialize(repeating: 0..<0)
    defer { fields.deallocate() }
    while position < bytes.count {
      let end = lineEnd()
      if end == position {
        try skipEmptyLines(end)
        break
      }
      try split(to: end, into: fields)
      operations.append(try operation(fields))
      advance(from: end)
    }
    return operations
  }

  // MARK: Lines and fields

  /// Where the line's text ends: at CR LF, at LF, or with the file (a CR there is an ending cut short).
  private func lineEnd() -> Int {
    var end = position
    while end < bytes.count, bytes[end] != Self.lineFeed { end += 1 }
    return end > position && bytes[end - 1] == Self.carriageReturn ? end - 1 : end
  }

  private mutating func advance(from end: Int) {
    position = end
    if position < bytes.count, bytes[position] == Self.carriageReturn { position += 1 }
    if position < bytes.count, bytes[position] == Self.lineFeed { position += 1 }
    line += 1
  }

  /// Empty lines are fine at the end of the file only.
  private mutating func skipEmptyLines(_ firstEnd: Int) throws(FlowFileError) {
    let first = line
    var end = firstEnd
    while position < bytes.count {
      guard end == position else { throw FlowFileError(line: first, column: nil, .emptyLine) }
      advance(from: end)
      end = lineEnd()
    }
  }

  private mutating func readHeader() throws(FlowFileError) {
    let end = lineEnd()
    guard end > position else { throw FlowFileError(line: line, column: nil, .empty) }
    var start = position
    while start <= end {
      var stop = start
      while stop < end, bytes[stop] != Self.comma { stop += 1 }
      let name = text(start..<stop)
      guard let column = FlowColumn(rawValue: name) else {
        throw FlowFileError(line: line, column: name, value: name, .unknownColumn)
      }
      guard !columns.contains(column) else {
        throw FlowFileError(line: line, column: name, value: name, .repeatedColumn)
      }
      columns.append(column)
      start = stop + 1
    }
    for column in FlowColumn.allCases where !columns.contains(column) {
      throw FlowFileError(line: line, column: column.rawValue, .missingColumn)
    }
    advance(from: end)
  }

  /// Finds the line's fields; their number must be the header's.
  private func split(to end: Int, into fields: UnsafeMutableBufferPointer<Field>) throws(FlowFileError) {
    var start = position
    for column in columns {
      guard start <= end else { throw FlowFileError(line: line, column: column.rawValue, .missingField) }
      var stop = start
      while stop < end, bytes[stop] != Self.comma { stop += 1 }
      fields[column.index] = start..<stop
      start = stop + 1
    }
    guard start > end else {
      let excess = text(start..<end)
      throw FlowFileError(
        line: line, column: "\(columns.count + 1)", value: excess, .excessField(columns: columns.count))
    }
  }

  private func text(_ field: Field) -> String { printable(UnsafeBufferPointer(rebasing: bytes[field])) }

  // MARK: Values

  private func operation(_ fields: UnsafeMutableBufferPointer<Field>) throws(FlowFileError) -> FlowOperation {
    let kind = try kind(fields[FlowColumn.op.index])
    return FlowOperation(
      kind,
      id: UInt64(try integer(fields, .id, from: 0)),
      side: kind.usesSide ? try side(fields[FlowColumn.side.index]) : .buy,
      priceTicks: kind.usesPrice ? try integer(fields, .price, from: -FlowFile.integerMax) : 0,
      quantityLots: kind.usesQuantity ? try integer(fields, .quantity, from: -FlowFile.integerMax) : 0,
      line: line)
  }

  private func kind(_ field: Field) throws(FlowFileError) -> FlowOperation.Kind {
    if field.count == 1, let kind = FlowOperation.Kind(rawValue: bytes[field.lowerBound]) { return kind }
    throw invalid(.op, field, expected: "one of L, M, I, F, C, R")
  }

  private func side(_ field: Field) throws(FlowFileError) -> Side {
    if field.count == 1 {
      if bytes[field.lowerBound] == UInt8(ascii: "B") { return .buy }
      if bytes[field.lowerBound] == UInt8(ascii: "S") { return .sell }
    }
    throw invalid(.side, field, expected: "B or S")
  }

  /// An optional minus sign, then decimal digits; the value in `minimum...FlowFile.integerMax`.
  private func integer(
    _ fields: UnsafeMutableBufferPointer<Field>, _ column: FlowColumn, from minimum: Int64
  ) throws(FlowFileError) -> Int64 {
    let field = fields[column.index]
    var index = field.lowerBound
    let isNegative = index < field.upperBound && bytes[index] == UInt8(ascii: "-")
    if isNegative { index += 1 }
    var value: Int64 = 0
    var isValid = index < field.upperBound
    while index < field.upperBound {
      let digit = bytes[index] &- UInt8(ascii: "0")
      // One digit more than this stays below 2^63; the limit itself is checked at the end.
      guard digit < 10, value <= FlowFile.integerMax / 10 else {
        isValid = false
        break
      }
      value = value * 10 + Int64(digit)
      index += 1
    }
    guard isValid, value <= FlowFile.integerMax, !isNegative || -value >= minimum else {
      throw invalid(column, field, expected: "an integer from \(minimum) to \(FlowFile.integerMax)")
    }
    return isNegative ? -value : value
  }

  private func invalid(_ column: FlowColumn, _ field: Field, expected: String) -> FlowFileError {
    FlowFileError(line: line, column: column.rawValue, value: text(field), .invalid(expected: expected))
  }
}
