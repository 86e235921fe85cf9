import EventLog
import Flow
import Foundation
import Membership
import Node
import OrderBook
import Primitives
import Wire

@testable import rialto

/// What people write: files, decimals, names.
enum TextChecks {
  @Sendable static func flow(_ input: [UInt8]) throws(Finding) -> Bool {
    let operations: ContiguousArray<FlowOperation>
    do throws(FlowFileError) {
      operations = try FlowFile.parse(input)
    } catch {
      let linesMax = input.count { $0 == UInt8(ascii: "\n") } + 1
      try expect((1...linesMax).contains(error.line), "an error in line \(error.line) of \(linesMax)")
      let text = error.description
      try expect(text.utf8.count <= 1_024, "an error of \(text.utf8.count) bytes")
      let isPrintable = text.unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7f..<0xa0).contains($0.value) }
      try expect(isPrintable, "an error that no terminal should be shown")
      return false
    }
    let written = FlowFile.write(operations)
    let again: Result<ContiguousArray<FlowOperation>, FlowFileError> = Result { () throws(FlowFileError) in
      try FlowFile.parse(written)
    }
    // Lines included: a file has an operation on every line but the first.
    try expect(again == .success(operations), "reads otherwise once written: \(again)")
    for operation in operations.prefix(16) {
      try expect(abs(operation.priceTicks) <= FlowFile.integerMax, "a price past the limit")
      let command = operation.command(
        instrument: Dot(origin: OriginIndex(0), sequence: 1), account: AccountID(1), targetStamp: .zero,
        clientTimeMilliseconds: UInt64(operation.line))
      try expect(command.canonical == command, "asks for what a log cannot hold: \(command)")
    }
    return true
  }

  /// In memory, where there is such a place.
  private static let folder =
    FileManager.default.isWritableFile(atPath: "/dev/shm") ? "/dev/shm" : FileManager.default.temporaryDirectory.path

  /// A member list is read from a file.
  @Sendable static func genesis(_ input: [UInt8]) throws(Finding) -> Bool {
    let path = "\(folder)/rialto-fuzz-\(getpid()).json"
    defer { unlink(path) }
    guard FileManager.default.createFile(atPath: path, contents: Data(input)) else {
      throw Finding("\(path) cannot be written")
    }
    let genesis: Genesis
    do throws(StartError) {
      genesis = try GenesisFile.load(path)
    } catch {
      try expect(error.description.contains(path), "the error does not name the file")
      return false
    }
    try expect((1...Limits.membersMax).contains(genesis.members.count), "\(genesis.members.count) members")
    try expect(genesis.register.count == genesis.members.count, "not everybody is registered")
    for (index, member) in genesis.members.enumerated() {
      let place = OriginIndex(UInt32(index))
      try expect(genesis.register.index(of: member.publicKey) == place, "a key is registered elsewhere")
      try expect(genesis.register.index(named: member.name) == place, "a name is registered elsewhere")
    }
    let again: Result<Genesis, StartError> = Result { () throws(StartError) in
      try GenesisFile.write(genesis, to: path)
      return try GenesisFile.load(path)
    }
    guard case .success(let genesisAgain) = again else { throw Finding("what was written is refused: \(again)") }
    try expect(genesisAgain == genesis && genesisAgain.clusterID == genesis.clusterID, "reads otherwise once written")
    return true
  }
}

// MARK: - Decimals

extension TextChecks {
  /// Scale u8, mantissa u64, count 16 bytes, then a decimal.
  @Sendable static func decimal(_ input: [UInt8]) throws(Finding) -> Bool {
    guard input.count >= 25 else { return false }
    let scale = input[0] % (Increment.scaleMax + 1)
    let raw = number(input[1..<9])
    // Small ones too, and those with many zeros.
    let mantissa =
      raw & 1 == 0 ? UInt64(truncatingIfNeeded: raw % 1_000) + 1 : UInt64(raw % 1_000_000_000_000_000_000) + 1
    guard let unit = Increment(mantissa: mantissa, scale: scale) else {
      throw Finding("there is no increment \(mantissa)e-\(scale)")
    }
    let wide = number(input[9..<25])
    try expect(plain(unit.decimal(wide)) != nil, "\(wide) increments are written \(unit.decimal(wide))")
    let narrow = Int64(truncatingIfNeeded: wide)
    try expect(unit.decimal(narrow).hasPrefix("-") == (narrow < 0), "\(narrow) increments lost their sign")
    let limit = Limits.priceTicksMax
    if (1...limit).contains(narrow) {
      try expect(count(unit.decimal(narrow), unit, limit) == .success(narrow), "\(narrow) is not read as written")
    }
    let text = String(decoding: input[25...], as: UTF8.self)
    switch count(text, unit, limit) {
    case .success(let count):
      try expect((1...limit).contains(count), "\(text) is \(count) increments")
      try expect(plain(text) == plain(unit.decimal(count)), "\(text) is read as \(unit.decimal(count))")
      return true
    case .failure(.malformed):
      try expect(plain(text) == nil, "\(text) is refused as malformed")
    case .failure(.offGrid), .failure(.outOfRange):
      try expect(plain(text) != nil, "\(text) is no number, and is not refused for that")
    }
    return false
  }

  private static func count(_ text: String, _ unit: Increment, _ limit: Int64) -> Result<Int64, DecimalError> {
    Result { () throws(DecimalError) in try unit.count(of: text, max: limit) }
  }

  /// The digits before and after the point without zeros that mean nothing; nil if it is no decimal.
  private static func plain(_ text: String) -> [String]? {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count <= 2, parts.allSatisfy({ !$0.isEmpty && $0.utf8.allSatisfy { (48...57).contains($0) } }) else {
      return nil
    }
    var fraction = parts.count == 2 ? parts[1] : ""
    while fraction.last == "0" { fraction.removeLast() }
    return [String(parts[0].drop { $0 == "0" }), String(fraction)]
  }

  private static func number(_ bytes: ArraySlice<UInt8>) -> UInt128 {
    bytes.reversed().reduce(0) { $0 << 8 | UInt128($1) }
  }
}

// MARK: - Names

extension TextChecks {
  @Sendable static func text(_ input: [UInt8]) throws(Finding) -> Bool {
    guard input.count >= 2 else { return false }
    let bytes = Array(input[2...])
    let text = String(decoding: bytes, as: UTF8.self)
    switch input[0] % 6 {
    case 0:
      guard let symbol = Symbol(text) else { return false }
      try expect(symbol.utf8 == bytes && symbol.description == text, "the symbol \(text) became \(symbol)")
      try expect(bytes.count <= Limits.symbolBytesMax, "a symbol of \(bytes.count) bytes")
    case 1:
      guard let dot = Dot(text) else { return false }
      try expect(dot.description == text && !dot.isNone, "the order id \(text) became \(dot)")
    case 2:
      guard let address = Address(text) else { return false }
      try expect(Address(address.description) == address, "the address \(text) became \(address)")
    case 3:
      guard let id = ClientOrderID(utf8: bytes) else {
        try expect(bytes.count > Limits.clientOrderIDBytesMax, "a client order id is refused")
        return false
      }
      try expect(id.utf8 == bytes, "a client order id became \(id.utf8)")
      try expect(id.isNone == bytes.isEmpty, "a client order id that is none")
      if let integer = id.integer { try expect(id == ClientOrderID(integer), "an integer with two forms") }
    case 4:
      guard let decoded = [UInt8](hex: text) else { return false }
      try expect(decoded.hex == text.lowercased(), "\(text) became \(decoded.hex)")
      let isHash = decoded.count == Hash256.byteCount
      try expect((Hash256(hex: text)?.bytes ?? []) == (isHash ? decoded : []), "a hash became another")
      try expect((PublicKey(hex: text)?.bytes ?? []) == (isHash ? decoded : []), "a key became another")
    default:
      let limit = Int(input[1])
      let clipped = text.clipped(utf8Max: limit)
      try expect(clipped.utf8.count <= limit && text.utf8.starts(with: clipped.utf8), "cut to \(clipped)")
      try expect(text.utf8.count > limit || clipped == text, "cut without need")
    }
    return true
  }
}
