import OrderBook

/// Reads and writes order flows as CSV.
///
/// The first line names the columns, in any order: the five that every file has, and those of the others that it needs.
/// Lines end with LF or CRLF; the last one may lack it; a byte order mark and empty lines at the end are passed over.
/// There is no quoting, because no field can need it.
public enum FlowFile {
  /// Largest magnitude of an integer: 2^62.
  public static let integerMax: Int64 = 1 << 62
  /// The header of a file without further columns.
  public static let header = "op,id,side,price,qty"

  /// The header that goes with `write(_:columns:to:)`.
  public static func header(_ columns: FlowColumns) -> String {
    ([header] + columns.columns.map(\.rawValue)).joined(separator: ",")
  }

  /// Reads a whole file; throws at the first malformed row, so that nothing of such a file is ever applied.
  ///
  /// What contradicts itself within a row is malformed. Numbers that make no sense for the book (a price below 1, more
  /// displayed than there is) are well formed, and the engine rejects the operation.
  /// - Complexity: O(bytes); about 50 ns a row of five columns.
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

  /// Appends `operation` as one line. Fields that its kind ignores stay empty, and so do those that are as usual.
  /// - Precondition: `columns` has all that the operation needs.
  public static func write(_ operation: FlowOperation, columns: FlowColumns = [], to out: inout [UInt8]) {
    precondition(operation.columns.isSubset(of: columns), "a column is missing")
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
    if !columns.isEmpty {
      let needed = operation.columns
      for column in columns.columns {
        out.append(comma)
        if needed.contains(FlowColumns(column)) { out.append(contentsOf: operation.text(of: column).utf8) }
      }
    }
    out.append(UInt8(ascii: "\n"))
  }

  /// A whole file: the header with the columns that some operation needs, then one line an operation.
  public static func write(_ operations: some Sequence<FlowOperation>) -> [UInt8] {
    let operations = ContiguousArray(operations)
    let columns = operations.reduce(into: FlowColumns()) { $0.formUnion($1.columns) }
    var out = Array((header(columns) + "\n").utf8)
    for operation in operations { write(operation, columns: columns, to: &out) }
    return out
  }
}

extension FlowOperation {
  /// What stands in one of the further columns.
  fileprivate func text(of column: FlowColumn) -> String {
    switch column {
    case .op, .id, .side, .price, .quantity: ""
    case .account: account.map { "\($0)" } ?? ""
    case .timeInForce: timeInForce.fileName
    case .expire: "\(lifetimeMilliseconds)"
    case .display: "\(displayLots)"
    case .stop: "\(stopPriceTicks)"
    case .selfTradePrevention: selfTradePrevention.fileName
    case .postOnly: postOnly ? "1" : "0"
    }
  }
}

extension TimeInForce {
  fileprivate var fileName: String {
    switch self {
    case .goodTillCancel: "GTC"
    case .immediateOrCancel: "IOC"
    case .fillOrKill: "FOK"
    case .goodTillDate: "GTD"
    }
  }
}

extension SelfTradePrevention {
  fileprivate var fileName: String {
    switch self {
    case .none: "none"
    case .cancelNewest: "cancel_newest"
    case .cancelOldest: "cancel_oldest"
    case .cancelBoth: "cancel_both"
    case .decrement: "decrement"
    }
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
  /// Whether there are more than every file has.
  private var hasFurther = false

  private static let comma = UInt8(ascii: ",")
  private static let lineFeed = UInt8(ascii: "\n")
  private static let carriageReturn = UInt8(ascii: "\r")
  private static let byteOrderMark: [UInt8] = [0xef, 0xbb, 0xbf]

  init(_ bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

  mutating func parse() throws(FlowFileError) -> ContiguousArray<FlowOperation> {
    if bytes.starts(with: Self.byteOrderMark) { position = Self.byteOrderMark.count }
    try readHeader()
    var operations = ContiguousArray<FlowOperation>()
    operations.reserveCapacity(rowEstimate())
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
      operations.append(hasFurther ? try furtherOperation(fields) : try operation(fields))
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

  /// About how many rows follow: as many to a byte as at the beginning, and a few more, so that the array seldom grows
  /// and holds no pages for nothing.
  private func rowEstimate() -> Int {
    let rest = UnsafeBufferPointer(rebasing: bytes[position...])
    let sample = rest.prefix(1 << 16)
    let lines = sample.reduce(into: 1) { count, byte in count += byte == Self.lineFeed ? 1 : 0 }
    let rows = rest.count / max(1, sample.count / lines)
    return rows + rows / 16
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
    for column in FlowColumn.allCases where column.isRequired && !columns.contains(column) {
      throw FlowFileError(line: line, column: column.rawValue, .missingColumn)
    }
    hasFurther = columns.contains { !$0.isRequired }
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
      id: UInt64(try integer(fields[FlowColumn.id.index], .id, from: 0)),
      side: kind.usesSide ? try side(fields[FlowColumn.side.index]) : .buy,
      priceTicks: kind.usesPrice ? try integer(fields[FlowColumn.price.index], .price, from: -FlowFile.integerMax) : 0,
      quantityLots: kind.usesQuantity
        ? try integer(fields[FlowColumn.quantity.index], .quantity, from: -FlowFile.integerMax) : 0,
      line: line)
  }

  /// A row of a file with more columns. A field of a column that the file lacks is empty.
  @inline(never) private func furtherOperation(
    _ fields: UnsafeMutableBufferPointer<Field>
  ) throws(FlowFileError) -> FlowOperation {
    let plain = try operation(fields)
    let owner = fields[FlowColumn.account.index]
    let account = owner.isEmpty ? nil : AccountID(UInt64(try integer(owner, .account, from: 0)))
    if plain.kind.namesTarget {
      return FlowOperation(
        plain.kind, id: plain.id, priceTicks: plain.priceTicks, quantityLots: plain.quantityLots, account: account,
        line: line)
    }
    let timeInForce = try timeInForce(fields[FlowColumn.timeInForce.index], plain.kind)
    let lifetime = try integerOrZero(fields, .expire)
    if lifetime != 0 && timeInForce != .goodTillDate {
      throw conflict(.expire, fields, "needs tif GTD; write GTD there, or leave this field empty")
    }
    return FlowOperation(
      plain.kind, id: plain.id, side: plain.side, priceTicks: plain.priceTicks, quantityLots: plain.quantityLots,
      account: account, timeInForce: timeInForce, lifetimeMilliseconds: lifetime,
      displayLots: try integerOrZero(fields, .display), stopPriceTicks: try integerOrZero(fields, .stop),
      selfTradePrevention: try selfTradePrevention(fields[FlowColumn.selfTradePrevention.index]),
      postOnly: try postOnly(fields[FlowColumn.postOnly.index]), line: line)
  }

  /// - Returns: nil for what the operation stands for.
  private func timeInForce(_ field: Field, _ kind: FlowOperation.Kind) throws(FlowFileError) -> TimeInForce? {
    if field.isEmpty { return nil }
    guard let found = TimeInForce.allCases.first(where: { bytes[field].elementsEqual($0.fileName.utf8) }) else {
      throw invalid(.timeInForce, field, expected: "one of GTC, IOC, FOK, GTD")
    }
    let own = kind.timeInForce(isStop: false)
    guard kind.choosesTimeInForce || found == own else {
      let letter = Character(UnicodeScalar(kind.rawValue))
      throw FlowFileError(
        line: line, column: FlowColumn.timeInForce.rawValue, value: text(field),
        .conflict("contradicts op \(letter), which is \(own.fileName); use op L, or leave this field empty"))
    }
    return found
  }

  private func selfTradePrevention(_ field: Field) throws(FlowFileError) -> SelfTradePrevention {
    if field.isEmpty { return .none }
    let names = SelfTradePrevention.allCases
    guard let found = names.first(where: { bytes[field].elementsEqual($0.fileName.utf8) }) else {
      let list = names.map(\.fileName).joined(separator: ", ")
      throw invalid(.selfTradePrevention, field, expected: "one of \(list)")
    }
    return found
  }

  private func postOnly(_ field: Field) throws(FlowFileError) -> Bool {
    if field.isEmpty { return false }
    for (name, value) in [("0", false), ("1", true), ("false", false), ("true", true)]
    where bytes[field].elementsEqual(name.utf8) {
      return value
    }
    throw invalid(.postOnly, field, expected: "0, 1, false or true")
  }

  private func integerOrZero(
    _ fields: UnsafeMutableBufferPointer<Field>, _ column: FlowColumn
  ) throws(FlowFileError) -> Int64 {
    let field = fields[column.index]
    return field.isEmpty ? 0 : try integer(field, column, from: -FlowFile.integerMax)
  }

  private func conflict(
    _ column: FlowColumn, _ fields: UnsafeMutableBufferPointer<Field>, _ explanation: String
  ) -> FlowFileError {
    FlowFileError(
      line: line, column: column.rawValue, value: text(fields[column.index]), .conflict(explanation))
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
  private func integer(_ field: Field, _ column: FlowColumn, from minimum: Int64) throws(FlowFileError) -> Int64 {
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
