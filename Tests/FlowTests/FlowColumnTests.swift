import OrderBook
import Primitives
import Testing

@testable import Flow

private func parse(_ text: String) throws(FlowFileError) -> [FlowOperation] {
  [FlowOperation](try FlowFile.parse(Array(text.utf8)))
}

private func failure(_ text: String) -> FlowFileError? {
  do throws(FlowFileError) {
    _ = try parse(text)
    return nil
  } catch {
    return error
  }
}

private let wholeHeader = "op,id,side,price,qty,account,tif,expire,display,stop,stp,post_only\n"

@Suite("Flow file: further columns")
struct FlowColumnTests {
  @Test func everyColumnIsRead() throws {
    let rows = try parse(
      wholeHeader + """
        L,1,B,100,7,3,GTD,5,2,90,decrement,1
        L,2,S,100,7,,GTC,,,,,true
        M,3,S,,7,0,FOK,,,95,cancel_newest,0
        I,4,B,9,7,,IOC,,,,cancel_oldest,false
        F,5,B,9,7,,FOK,,,,cancel_both,
        L,6,B,9,7,,IOC,,,,none,
        C,1,,,,3,,,,,,
        R,1,,98,9,3,,,,,,
        """)
    #expect(
      rows == [
        FlowOperation(
          .limit, id: 1, side: .buy, priceTicks: 100, quantityLots: 7, account: AccountID(3),
          timeInForce: .goodTillDate, lifetimeMilliseconds: 5, displayLots: 2, stopPriceTicks: 90,
          selfTradePrevention: .decrement, postOnly: true, line: 2),
        FlowOperation(.limit, id: 2, side: .sell, priceTicks: 100, quantityLots: 7, postOnly: true, line: 3),
        FlowOperation(
          .market, id: 3, side: .sell, quantityLots: 7, account: AccountID(0), timeInForce: .fillOrKill,
          stopPriceTicks: 95, selfTradePrevention: .cancelNewest, line: 4),
        FlowOperation(
          .immediateOrCancel, id: 4, priceTicks: 9, quantityLots: 7, selfTradePrevention: .cancelOldest, line: 5),
        FlowOperation(.fillOrKill, id: 5, priceTicks: 9, quantityLots: 7, selfTradePrevention: .cancelBoth, line: 6),
        FlowOperation(.limit, id: 6, priceTicks: 9, quantityLots: 7, timeInForce: .immediateOrCancel, line: 7),
        FlowOperation(.cancel, id: 1, account: AccountID(3), line: 8),
        FlowOperation(.replace, id: 1, priceTicks: 98, quantityLots: 9, account: AccountID(3), line: 9),
      ])
  }

  @Test("any of them, in any order, between the others")
  func someColumns() throws {
    let rows = try parse("stp,op,stop,id,side,account,price,qty\nnone,M,5,1,B,,,2\n,L,,2,B,9,4,2\r\n")
    #expect(
      rows == [
        FlowOperation(.market, id: 1, quantityLots: 2, stopPriceTicks: 5, line: 2),
        FlowOperation(.limit, id: 2, priceTicks: 4, quantityLots: 2, account: AccountID(9), line: 3),
      ])
  }

  @Test("empty fields are as usual: the same operations as from a file without the columns")
  func emptyFields() throws {
    let plain = "L,1,B,100,7\nM,2,S,,3\nI,3,S,99,1\nF,4,B,101,2\nC,1,,,\nR,1,,98,9\n"
    let wide = plain.split(separator: "\n").map { $0 + ",,,,,,,\n" }.joined()
    let zeros = plain.split(separator: "\n").map { $0 + ",,,0,0,0,none,false\n" }.joined()
    let expected = try parse("op,id,side,price,qty\n" + plain)
    #expect(try parse(wholeHeader + wide) == expected)
    #expect(try parse(wholeHeader + zeros) == expected)
  }

  @Test("a cancel and a replace look at the account alone")
  func ignoredFields() throws {
    let rows = try parse(wholeHeader + "C,1,?,?,?,2,?,?,?,?,?,?\nR,1,?,98,9,,GTD,x,-,,what,2\n")
    #expect(
      rows == [
        FlowOperation(.cancel, id: 1, account: AccountID(2), line: 2),
        FlowOperation(.replace, id: 1, priceTicks: 98, quantityLots: 9, line: 3),
      ])
  }

  @Test("numbers that make no sense are the engine's to reject")
  func senseless() throws {
    let rows = try parse(wholeHeader + "L,1,B,1,2,,GTD,-5,9,-1,,\n")
    #expect(
      rows == [
        FlowOperation(
          .limit, id: 1, priceTicks: 1, quantityLots: 2, timeInForce: .goodTillDate, lifetimeMilliseconds: -5,
          displayLots: 9, stopPriceTicks: -1, line: 2)
      ])
  }

  @Test(
    "each malformed field names line, column and value",
    arguments: [
      ("x,,,,,,", "account", "x", "an integer from 0 to 4611686018427387904"),
      ("-1,,,,,,", "account", "-1", "an integer from 0 to 4611686018427387904"),
      (",gtc,,,,,", "tif", "gtc", "one of GTC, IOC, FOK, GTD"),
      (",DAY,,,,,", "tif", "DAY", "one of GTC, IOC, FOK, GTD"),
      (",GTD,30s,,,,", "expire", "30s", "an integer from -4611686018427387904 to 4611686018427387904"),
      (",GTD,1.5,,,,", "expire", "1.5", "an integer from -4611686018427387904 to 4611686018427387904"),
      (",,,many,,,", "display", "many", "an integer from -4611686018427387904 to 4611686018427387904"),
      (
        ",,,,4611686018427387905,,", "stop", "4611686018427387905",
        "an integer from -4611686018427387904 to 4611686018427387904"
      ),
      (
        ",,,,,cancel-newest,", "stp", "cancel-newest",
        "one of none, cancel_newest, cancel_oldest, cancel_both, decrement"
      ),
      (",,,,,,yes", "post_only", "yes", "0, 1, false or true"),
      (",,,,,,2", "post_only", "2", "0, 1, false or true"),
    ])
  func malformed(fields: String, column: String, value: String, expected: String) throws {
    for ending in ["", "\n", "\r\n"] {
      let error = try #require(failure(wholeHeader + "L,9,B,1,1,,,,,,,\nL,1,B,1,1," + fields + ending))
      #expect(error == FlowFileError(line: 3, column: column, value: value, .invalid(expected: expected)))
      #expect(error.description.hasPrefix("3: column '\(column)': '\(value)' is not "))
    }
  }

  @Test("columns that contradict each other name the line and the column that has to go")
  func conflicts() throws {
    let immediate = try #require(failure(wholeHeader + "I,1,B,1,1,,GTC,,,,,\n"))
    #expect(immediate.line == 2 && immediate.column == "tif" && immediate.value == "GTC")
    #expect(
      immediate.description
        == "2: column 'tif': 'GTC' contradicts op I, which is IOC; use op L, or leave this field empty")
    #expect(failure(wholeHeader + "F,1,B,1,1,,IOC,,,,,\n")?.column == "tif")
    #expect(failure(wholeHeader + "F,1,B,1,1,,GTD,5,,,,\n")?.column == "tif")
    for row in ["L,1,B,1,1,,,7,,,,\n", "L,1,B,1,1,,GTC,7,,,,\n", "I,1,B,1,1,,,7,,,,\n", "M,1,B,,1,,,7,,5,,\n"] {
      let error = try #require(failure(wholeHeader + row))
      #expect(error.line == 2 && error.column == "expire" && error.value == "7")
      #expect(error.description.contains("tif GTD"))
    }
  }

  @Test func headers() throws {
    #expect(
      failure("op,id,side,price,qty,stop,stop\n")
        == FlowFileError(line: 1, column: "stop", value: "stop", .repeatedColumn))
    let unknown = try #require(failure("op,id,side,price,qty,Stop\n"))
    #expect(unknown == FlowFileError(line: 1, column: "Stop", value: "Stop", .unknownColumn))
    #expect(unknown.description.contains("account,tif,expire,display,stop,stp,post_only"))
    let missing = try #require(failure("op,id,side,price,stop\n"))
    #expect(missing == FlowFileError(line: 1, column: "qty", .missingColumn))
    #expect(missing.description.hasSuffix("needed are op,id,side,price,qty"))
    #expect(
      failure(wholeHeader + "L,1,B,1,1\n") == FlowFileError(line: 2, column: "account", .missingField))
    #expect(
      failure(wholeHeader + "L,1,B,1,1,,,,,,,,\n") == FlowFileError(line: 2, column: "13", .excessField(columns: 12)))
  }

  // MARK: Writing

  private func written(_ operations: [FlowOperation]) -> String {
    String(decoding: FlowFile.write(operations), as: UTF8.self)
  }

  @Test("only the columns that some operation needs are written")
  func neededColumns() {
    #expect(written([FlowOperation(.limit, id: 1, priceTicks: 5, quantityLots: 2)]).hasPrefix("op,id,side,price,qty\n"))
    #expect(
      written([
        FlowOperation(.limit, id: 1, priceTicks: 5, quantityLots: 2, timeInForce: .goodTillCancel),
        FlowOperation(.market, id: 2, quantityLots: 2, stopPriceTicks: 7),
        FlowOperation(
          .limit, id: 3, side: .sell, priceTicks: 5, quantityLots: 2, timeInForce: .fillOrKill, stopPriceTicks: 7),
        FlowOperation(.cancel, id: 2),
      ]) == """
        op,id,side,price,qty,tif,stop
        L,1,B,5,2,,
        M,2,B,,2,,7
        L,3,S,5,2,FOK,7
        C,2,,,,,

        """)
    #expect(
      written([
        FlowOperation(
          .limit, id: 3, priceTicks: 5, quantityLots: 9, account: AccountID(4), timeInForce: .goodTillDate,
          lifetimeMilliseconds: 60, displayLots: 1, stopPriceTicks: 4, selfTradePrevention: .cancelBoth, postOnly: true)
      ]) == wholeHeader + "L,3,B,5,9,4,GTD,60,1,4,cancel_both,1\n")
  }

  @Test("the time in force is written where it is not what the operation stands for")
  func writtenTimeInForce() {
    let kinds: [(FlowOperation.Kind, stop: Int64, TimeInForce)] = [
      (.limit, 0, .goodTillCancel), (.limit, 5, .goodTillCancel), (.market, 0, .immediateOrCancel),
      (.market, 5, .goodTillCancel),
    ]
    for (kind, stop, usual) in kinds {
      for timeInForce in TimeInForce.allCases {
        let operation = FlowOperation(
          kind, id: 1, priceTicks: 1, quantityLots: 1, timeInForce: timeInForce, stopPriceTicks: stop)
        #expect(operation.columns.contains(FlowColumns(.timeInForce)) == (timeInForce != usual))
        #expect(operation.timeInForce == timeInForce)
      }
    }
  }

  static func arbitrary(_ generator: inout SeededGenerator, line: Int) -> FlowOperation {
    let kinds = FlowOperation.Kind.allCases
    func integer(_ generator: inout SeededGenerator) -> Int64 {
      if generator.chance(1, of: 3) { return 0 }
      let magnitude = Int64(generator.below(1 << 62) >> generator.below(62))
      return generator.chance(1, of: 4) ? -magnitude : magnitude
    }
    return FlowOperation(
      kinds[generator.pick(0...kinds.count - 1)], id: integer(&generator).magnitude,
      side: generator.chance(1, of: 2) ? .buy : .sell, priceTicks: integer(&generator),
      quantityLots: integer(&generator),
      account: generator.chance(1, of: 2) ? AccountID(integer(&generator).magnitude) : nil,
      timeInForce: generator.chance(1, of: 2) ? TimeInForce(rawValue: UInt8(generator.below(4))) : nil,
      lifetimeMilliseconds: integer(&generator), displayLots: integer(&generator),
      stopPriceTicks: integer(&generator),
      selfTradePrevention: SelfTradePrevention(rawValue: UInt8(generator.below(5))) ?? .none,
      postOnly: generator.chance(1, of: 3), line: line)
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
    let alphabet = Array("LMIFCRBS,,,\n\r-0123456789 GTCDIOFKcancel_nwsobhtrmp".utf8) + [0, 0xff]
    for _ in 0..<200 {
      var bytes = FlowFile.write((0..<4).map { Self.arbitrary(&generator, line: $0 + 2) })
      for _ in 0..<generator.pick(1...4) {
        let place = generator.pick(0...bytes.count - 1)
        let byte = alphabet[generator.pick(0...alphabet.count - 1)]
        switch generator.below(3) {
        case 0: bytes[place] = byte
        case 1: bytes.insert(byte, at: place)
        default: bytes.remove(at: place)
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
}

@Suite("Flow operation: orders of every type")
struct FlowOrderTests {
  private let instrument = Dot(origin: OriginIndex(2), sequence: 5)

  private func order(_ operation: FlowOperation, time: UInt64 = 1_000, expiry: Stamp? = nil) -> Order? {
    let command = operation.command(
      instrument: instrument, account: AccountID(8), targetStamp: .zero, clientTimeMilliseconds: time, expiry: expiry)
    guard case .order(let order) = command else { return nil }
    #expect(command.canonical == command, "a log must hold what a replay applies")
    return order
  }

  @Test("all that the row says is in the order")
  func wholeOrder() {
    let operation = FlowOperation(
      .limit, id: 9, side: .sell, priceTicks: 100, quantityLots: 7, account: AccountID(3), timeInForce: .goodTillDate,
      lifetimeMilliseconds: 30, displayLots: 2, stopPriceTicks: 110, selfTradePrevention: .decrement, postOnly: true)
    #expect(
      order(operation)
        == Order(
          instrument: instrument, account: AccountID(3), side: .sell, type: .stopLimit, timeInForce: .goodTillDate,
          priceTicks: 100, quantityLots: 7, selfTradePrevention: .decrement, postOnly: true, stopPriceTicks: 110,
          displayLots: 2, expiry: Stamp(milliseconds: 1_030), clientOrderID: ClientOrderID(9),
          clientTimeMilliseconds: 1_000))
  }

  @Test("kind and stop price make the type")
  func types() {
    let shapes: [(FlowOperation.Kind, Int64, OrderType, TimeInForce)] = [
      (.limit, 0, .limit, .goodTillCancel), (.limit, 5, .stopLimit, .goodTillCancel),
      (.market, 0, .market, .immediateOrCancel), (.market, 5, .stop, .goodTillCancel),
      (.immediateOrCancel, 0, .limit, .immediateOrCancel), (.immediateOrCancel, 5, .stopLimit, .immediateOrCancel),
      (.fillOrKill, 0, .limit, .fillOrKill), (.fillOrKill, 5, .stopLimit, .fillOrKill),
    ]
    for (kind, stop, type, timeInForce) in shapes {
      let order = order(FlowOperation(kind, id: 1, priceTicks: 4, quantityLots: 1, stopPriceTicks: stop))
      #expect(order?.type == type && order?.timeInForce == timeInForce && order?.stopPriceTicks == stop)
      #expect(order?.account == AccountID(8))
    }
  }

  @Test func targetsAreOfTheRowsAccount() {
    for kind in [FlowOperation.Kind.cancel, .replace] {
      let operation = FlowOperation(kind, id: 1, priceTicks: 4, quantityLots: 1, account: AccountID(3))
      let command = operation.command(
        instrument: instrument, account: AccountID(8), targetStamp: .zero, clientTimeMilliseconds: 1)
      switch command {
      case .cancel(let cancel): #expect(cancel.account == AccountID(3))
      case .amend(let amend): #expect(amend.account == AccountID(3))
      default: Issue.record("\(command)")
      }
    }
  }

  @Test("lifetimes count from the client's time, or from where they are told to")
  func expiries() {
    func operation(_ lifetime: Int64) -> FlowOperation {
      FlowOperation(.limit, id: 1, timeInForce: .goodTillDate, lifetimeMilliseconds: lifetime)
    }
    #expect(order(operation(1))?.expiry == Stamp(milliseconds: 1_001))
    #expect(order(operation(0))?.expiry == .zero)
    #expect(order(operation(-1))?.expiry == Stamp(milliseconds: 999))
    #expect(order(operation(5), expiry: Stamp(77))?.expiry == Stamp(77))
    #expect(order(FlowOperation(.limit, id: 1), expiry: Stamp(77))?.expiry == .zero)
    #expect(operation(3).expiry(after: Stamp(500), unit: 1) == Stamp(503))
    // What no stamp can say.
    #expect(order(operation(.max))?.expiry == Stamp(.max))
    #expect(order(operation(1 << 47))?.expiry == Stamp((1 << 63) + 1_000 << 16))
    #expect(order(operation(1 << 48))?.expiry == Stamp(.max))
    #expect(order(operation(-5_000))?.expiry == Stamp(1))
    #expect(order(operation(1), time: .max)?.expiry == Stamp(.max))
  }
}
