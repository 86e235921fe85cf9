import OrderBook
import Primitives
import Testing

@testable import Flow

private func parse(_ text: String) throws(FlowFileError) -> [FlowOperation] {
  [FlowOperation](try FlowFile.parse(Array(text.utf8)))
}

private let everyKind = [
  FlowOperation(.limit, id: 1, side: .buy, priceTicks: 100, quantityLots: 7, line: 2),
  FlowOperation(.market, id: 2, side: .sell, quantityLots: 3, line: 3),
  FlowOperation(.immediateOrCancel, id: 3, side: .sell, priceTicks: 99, quantityLots: 1, line: 4),
  FlowOperation(.fillOrKill, id: 4, side: .buy, priceTicks: 101, quantityLots: 2, line: 5),
  FlowOperation(.cancel, id: 1, line: 6),
  FlowOperation(.replace, id: 1, priceTicks: 98, quantityLots: 9, line: 7),
]

@Suite("Flow file: what is accepted")
struct FlowFileTests {
  static let rows = "L,1,B,100,7\nM,2,S,,3\nI,3,S,99,1\nF,4,B,101,2\nC,1,,,\nR,1,,98,9"

  @Test(
    "endings, byte order mark and empty lines at the end do not matter",
    arguments: [
      "op,id,side,price,qty\n" + rows + "\n",
      "op,id,side,price,qty\n" + rows,
      "op,id,side,price,qty\n" + rows + "\n\n\n",
      "\u{feff}op,id,side,price,qty\n" + rows + "\n",
      ("op,id,side,price,qty\n" + rows + "\n").replacing("\n", with: "\r\n"),
      ("op,id,side,price,qty\n" + rows).replacing("\n", with: "\r\n"),
      ("op,id,side,price,qty\n" + rows + "\n\n").replacing("\n", with: "\r\n"),
      "op,id,side,price,qty\n" + rows + "\r",
    ])
  func endings(text: String) throws {
    #expect(try parse(text) == everyKind)
  }

  @Test func columnsComeInAnyOrder() throws {
    let text = "qty,price,side,op,id\n7,100,B,L,1\n3,,S,M,2\n"
    #expect(try parse(text) == Array(everyKind.prefix(2)))
  }

  @Test("fields that an operation ignores may hold anything")
  func ignoredFields() throws {
    let rows = try parse("op,id,side,price,qty\nC,1,B,x,-\nM,2,S,none,3\nR,1,?,98,9\n")
    #expect(
      rows == [
        FlowOperation(.cancel, id: 1, line: 2), FlowOperation(.market, id: 2, side: .sell, quantityLots: 3, line: 3),
        FlowOperation(.replace, id: 1, priceTicks: 98, quantityLots: 9, line: 4),
      ])
  }

  @Test func headerAloneIsAnEmptyFlow() throws {
    #expect(try parse("op,id,side,price,qty").isEmpty)
    #expect(try parse("op,id,side,price,qty\r\n\r\n").isEmpty)
  }

  @Test("zero and negative prices and quantities are the engine's to reject")
  func outOfRangeForTheEngine() throws {
    let rows = try parse("op,id,side,price,qty\nL,1,B,-5,0\n")
    #expect(rows == [FlowOperation(.limit, id: 1, priceTicks: -5, line: 2)])
  }

  @Test func integersReachTwoToThe62() throws {
    let rows = try parse(
      "op,id,side,price,qty\nL,4611686018427387904,S,-4611686018427387904,4611686018427387904\nC,0,,,\n")
    #expect(rows[0].id == 1 << 62)
    #expect(rows[0].priceTicks == -(1 << 62))
    #expect(rows[0].quantityLots == 1 << 62)
    #expect(rows[1].id == 0)
  }
}

@Suite("Flow file: what is refused, and where")
struct FlowFileErrorTests {
  private func failure(_ text: String) -> FlowFileError? {
    do throws(FlowFileError) {
      _ = try parse(text)
      return nil
    } catch {
      return error
    }
  }

  @Test(
    "each malformed field names line, column and value",
    arguments: [
      ("X,1,B,1,1", "op", "X", "one of L, M, I, F, C, R"),
      ("l,1,B,1,1", "op", "l", "one of L, M, I, F, C, R"),
      (",1,B,1,1", "op", "", "one of L, M, I, F, C, R"),
      ("L,x,B,1,1", "id", "x", "an integer from 0 to 4611686018427387904"),
      ("L,-1,B,1,1", "id", "-1", "an integer from 0 to 4611686018427387904"),
      ("C,,,,", "id", "", "an integer from 0 to 4611686018427387904"),
      ("L,4611686018427387905,B,1,1", "id", "4611686018427387905", "an integer from 0 to 4611686018427387904"),
      ("L,1,X,1,1", "side", "X", "B or S"),
      ("L,1,buy,1,1", "side", "buy", "B or S"),
      ("M,1,,,1", "side", "", "B or S"),
      ("L,1,B,abc,1", "price", "abc", "an integer from -4611686018427387904 to 4611686018427387904"),
      ("L,1,B,1.5,1", "price", "1.5", "an integer from -4611686018427387904 to 4611686018427387904"),
      ("L,1,B, 1,1", "price", " 1", "an integer from -4611686018427387904 to 4611686018427387904"),
      ("L,1,B,-,1", "price", "-", "an integer from -4611686018427387904 to 4611686018427387904"),
      ("L,1,B,,1", "price", "", "an integer from -4611686018427387904 to 4611686018427387904"),
      (
        "R,1,,1,99999999999999999999999", "qty", "99999999999999999999999",
        "an integer from -4611686018427387904 to 4611686018427387904"
      ),
      ("F,1,S,1,0x10", "qty", "0x10", "an integer from -4611686018427387904 to 4611686018427387904"),
    ])
  func field(row: String, column: String, value: String, expected: String) throws {
    for ending in ["", "\n", "\r\n"] {
      let error = try #require(failure("op,id,side,price,qty\nL,9,B,1,1\n" + row + ending))
      #expect(error == FlowFileError(line: 3, column: column, value: value, .invalid(expected: expected)))
      #expect(error.description.hasPrefix("3: column '\(column)': "))
      #expect(error.description.contains(expected))
    }
  }

  @Test func rowsOfTheWrongLength() {
    let header = "op,id,side,price,qty\n"
    #expect(failure(header + "L,1,B,1\n") == FlowFileError(line: 2, column: "qty", .missingField))
    #expect(failure(header + "C,1") == FlowFileError(line: 2, column: "side", .missingField))
    #expect(
      failure(header + "L,1,B,1,1,8\n")
        == FlowFileError(line: 2, column: "6", value: "8", .excessField(columns: 5)))
    #expect(
      failure(header + "L,1,B,1,1,\n") == FlowFileError(line: 2, column: "6", .excessField(columns: 5)))
  }

  @Test func emptyLinesBetweenRows() {
    let text = "op,id,side,price,qty\nL,1,B,1,1\n\nL,2,B,1,1\n"
    #expect(failure(text) == FlowFileError(line: 3, column: nil, .emptyLine))
    #expect(failure(text.replacing("\n", with: "\r\n")) == FlowFileError(line: 3, column: nil, .emptyLine))
  }

  @Test func headers() throws {
    #expect(failure("") == FlowFileError(line: 1, column: nil, .empty))
    #expect(failure("\n") == FlowFileError(line: 1, column: nil, .empty))
    #expect(failure("\u{feff}") == FlowFileError(line: 1, column: nil, .empty))
    #expect(failure("op,id,side,price\n") == FlowFileError(line: 1, column: "qty", .missingColumn))
    #expect(
      failure("op,id,side,price,qty,id\n") == FlowFileError(line: 1, column: "id", value: "id", .repeatedColumn))
    let unknown = try #require(failure("op,id,side,price,qty,colour\n"))
    #expect(unknown == FlowFileError(line: 1, column: "colour", value: "colour", .unknownColumn))
    #expect(unknown.description.contains("op,id,side,price,qty"))
    #expect(failure("L,1,B,1,1\n")?.problem == .unknownColumn)
  }

  @Test("what is printed of a field is short and harmless")
  func printedValues() throws {
    let long = try #require(failure("op,id,side,price,qty\nL,1,B,\(String(repeating: "z", count: 1_000)),1\n"))
    #expect(long.value == String(repeating: "z", count: 40) + "…")
    let escape = try #require(failure("op,id,side,price,qty\nL,1,B,\u{1b}[31m,1\n"))
    #expect(!escape.description.contains("\u{1b}"))
  }
}

@Suite("Flow file: properties")
struct FlowFilePropertyTests {
  private static func arbitrary(_ generator: inout SeededGenerator, line: Int) -> FlowOperation {
    let kinds = FlowOperation.Kind.allCases
    func integer(_ generator: inout SeededGenerator) -> Int64 {
      let magnitude = Int64(generator.below(1 << 62) >> generator.below(62))
      return generator.chance(1, of: 4) ? -magnitude : magnitude
    }
    return FlowOperation(
      kinds[generator.pick(0...kinds.count - 1)], id: integer(&generator).magnitude,
      side: generator.chance(1, of: 2) ? .buy : .sell, priceTicks: integer(&generator),
      quantityLots: integer(&generator), line: line)
  }

  @Test("what is written is read back", arguments: 1...20)
  func roundTrip(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    let operations = (0..<500).map { Self.arbitrary(&generator, line: $0 + 2) }
    let bytes = FlowFile.write(operations)
    #expect(try [FlowOperation](FlowFile.parse(bytes)) == operations)
  }

  @Test("damaged files are read or refused, and what is read is written back alike", arguments: 1...20)
  func damaged(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    let alphabet = Array("LMIFCRBS,,,\n\r-0123456789 opidsdeprcqty\u{feff}".utf8) + [0, 0xff, 0xc3]
    for _ in 0..<300 {
      var bytes = FlowFile.write((0..<5).map { Self.arbitrary(&generator, line: $0 + 2) })
      for _ in 0..<generator.pick(1...4) {
        let place = generator.pick(0...bytes.count - 1)
        let byte = alphabet[generator.pick(0...alphabet.count - 1)]
        switch generator.below(4) {
        case 0: bytes[place] = byte
        case 1: bytes.insert(byte, at: place)
        case 2 where bytes.count > 1: bytes.remove(at: place)
        default: bytes.removeSubrange((place + 1)...)
        }
      }
      do throws(FlowFileError) {
        let operations = try FlowFile.parse(bytes)
        #expect(try FlowFile.parse(FlowFile.write(operations)) == operations, "seed \(seed)")
      } catch {
        #expect(error.line >= 1 && error.line <= bytes.count + 1)
        #expect(!error.description.isEmpty)
      }
    }
  }

  @Test("random bytes never crash", arguments: 1...20)
  func garbage(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<300 {
      let bytes = (0..<generator.pick(0...60)).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
      #expect(throws: FlowFileError.self) { try FlowFile.parse(bytes) }
      let rows = Array("op,id,side,price,qty\n".utf8) + bytes
      _ = try? FlowFile.parse(rows)
    }
  }
}

@Suite("Flow operation: command")
struct FlowCommandTests {
  private let instrument = Dot(origin: OriginIndex(2), sequence: 5)

  private func command(_ operation: FlowOperation) -> Command {
    operation.command(
      instrument: instrument, account: AccountID(8), targetStamp: Stamp(77), clientTimeMilliseconds: 123)
  }

  @Test func orders() {
    let shapes: [(FlowOperation, OrderType, TimeInForce)] = [
      (everyKind[0], .limit, .goodTillCancel), (everyKind[1], .market, .immediateOrCancel),
      (everyKind[2], .limit, .immediateOrCancel), (everyKind[3], .limit, .fillOrKill),
    ]
    for (operation, type, timeInForce) in shapes {
      let order = Order(
        instrument: instrument, account: AccountID(8), side: operation.side, type: type, timeInForce: timeInForce,
        priceTicks: operation.priceTicks, quantityLots: operation.quantityLots,
        clientOrderID: ClientOrderID(operation.id), clientTimeMilliseconds: 123)
      #expect(command(operation) == .order(order))
    }
  }

  @Test func cancelAndReplace() {
    let target = OrderReference.client(ClientOrderID(1))
    #expect(
      command(everyKind[4]) == .cancel(Cancel(account: AccountID(8), target: target, targetStamp: Stamp(77))))
    #expect(
      command(everyKind[5])
        == .amend(
          Amend(
            account: AccountID(8), target: target, targetStamp: Stamp(77), priceTicks: 98, quantityLots: 9,
            quantityMeaning: .open, forfeitsPriority: true)))
  }
}
