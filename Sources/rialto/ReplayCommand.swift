import ArgumentParser
import Flow
import OrderBook
import Primitives

/// `rialto replay`: one engine, no network.
struct ReplayCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replay",
    abstract: "Runs an order flow through one matching engine, without a network.",
    discussion: """
      FILE is CSV with a header and at least the columns op,id,side,price,qty, in
      any order; - reads stdin. Operations:
        L  limit order, good till cancelled
        M  market order (price ignored)
        I  limit order, immediate or cancel
        F  limit order, fill or kill
        C  cancel order id
        R  replace order id: this price and open quantity, last in its queue
      Side is B or S; price and quantity are integers up to 2^62. A cancel or
      replace of an order that does not rest is rejected and counted. The whole
      file is checked first: a malformed row stops before anything is applied.

      Examples:
        rialto replay orders.csv
        rialto replay orders.csv --trades trades.csv --book book.csv --json
        rialto flow random --count 100000 --seed 7 --out - | rialto replay -

      Exit codes: 0 done; 2 could not (no such file, malformed file, output that
      cannot be written).
      """)

  @Argument(help: "CSV file of operations; - for stdin.", completion: .file(extensions: ["csv"]))
  var file: String

  @Option(help: ArgumentHelp("Write the trades (maker,taker,price,qty) to this file.", valueName: "out.csv"))
  var trades: String?

  @Option(help: ArgumentHelp("Write the final book (side,price,orders,qty) to this file.", valueName: "out.csv"))
  var book: String?

  @Flag(help: "Print the result as one JSON object on one line.")
  var json = false

  func validate() throws {
    if let trades, trades == book { throw ValidationError("--trades and --book name the same file.") }
  }

  func run() throws {
    try explaining {
      let operations = try readFlow(file)
      let tradesFile = try trades.map { try AtomicFile($0) }
      let bookFile = try book.map { try AtomicFile($0) }
      var replay = Replay()
      let clock = ContinuousClock()
      let start = clock.now
      try replay.run(operations, trades: tradesFile)
      let duration = clock.now - start
      let bookHash = replay.bookHash()
      try bookFile?.write(replay.bookCSV())
      try tradesFile?.commit()
      try bookFile?.commit()
      if json {
        Output.result(report(replay, operations.count, duration, bookHash).text)
      } else {
        summary(replay, operations.count, duration, bookHash).forEach(Output.result)
      }
    }
  }

  private func report(_ replay: borrowing Replay, _ count: Int, _ duration: Duration, _ bookHash: Hash256) -> JSONLine {
    var line = JSONLine()
    line.add("operations", count)
    line.add("seconds", seconds: duration)
    line.add("operations_per_second", duration.perSecond(count))
    line.add("trades", replay.tradeCount)
    line.add("traded_quantity", replay.tradedLots)
    line.add("rejected", replay.rejectedCount)
    line.add("resting_orders", replay.restingOrders)
    line.add("trades_hash", replay.tradesHash().description)
    line.add("book_hash", bookHash.description)
    return line
  }

  private func summary(
    _ replay: borrowing Replay, _ count: Int, _ duration: Duration, _ bookHash: Hash256
  ) -> [String] {
    var table = TextTable([("operations", .left), (count.grouped, .left)])
    table.add(["time", "\(duration.short), \(duration.perSecond(count).short)/s"])
    table.add(["trades", "\(replay.tradeCount.grouped), quantity \(replay.tradedLots.grouped)"])
    table.add(["rejected", replay.rejectedCount.grouped])
    table.add(["resting orders", replay.restingOrders.grouped])
    table.add(["trades hash", replay.tradesHash().description])
    table.add(["book hash", bookHash.description])
    return table.lines
  }
}

/// Reads and checks a flow file; its errors name file, line and column, and say what to do.
func readFlow(_ path: String) throws -> ContiguousArray<FlowOperation> {
  let bytes = try Files.read(path)
  do throws(FlowFileError) {
    return try FlowFile.parse(bytes)
  } catch {
    throw CommandError(
      "\(path == "-" ? "stdin" : path):\(error)", advice: "correct the line and run it again; nothing was applied")
  }
}

/// A flow, applied to one engine in the file's order.
struct Replay: ~Copyable {
  private(set) var tradeCount = 0
  private(set) var tradedLots: UInt128 = 0
  private(set) var rejectedCount = 0

  private var engine = MatchingEngine()
  private let hasher = SHA256()
  private var tape = EventTape()
  private var lines: [UInt8] = []

  /// One origin, whose first entry defines the instrument; operation n is entry n + 2.
  private static let origin = OriginIndex(0)
  private static let instrument = Dot(origin: origin, sequence: 1)
  private static let firstSequence: UInt64 = 2
  private static let account = AccountID(1)
  /// Stamps depend on the operation's number alone, so that the same file gives the same book hash anywhere.
  private static let start = Stamp(milliseconds: 1_000_000_000)
  /// Operations between two looks at the tape, and two settlings of the journal.
  private static let operationsPerRound = 4_096

  init() { hasher.begin() }

  var restingOrders: Int { engine.restingOrders }
  func tradesHash() -> Hash256 { hasher.valueSoFar() }
  mutating func bookHash() -> Hash256 { engine.bookHash() }

  /// - Parameter trades: gets the trades as CSV; not committed.
  mutating func run(_ operations: ContiguousArray<FlowOperation>, trades: AtomicFile?) throws {
    try trades?.write(Array("maker,taker,price,qty\n".utf8))
    guard let symbol = Symbol("REPLAY") else { preconditionFailure("REPLAY is a symbol") }
    engine.apply(.instrument(Instrument(symbol: symbol)), at: Self.instrument, stamp: Self.start, into: &tape)
    var next = 0
    while next < operations.count {
      let end = min(next + Self.operationsPerRound, operations.count)
      while next < end {
        apply(operations[next], number: next)
        next += 1
      }
      read(operations)
      lines.withUnsafeBytes { hasher.update($0) }
      try trades?.write(lines)
      tape.removeAll()
      lines.removeAll(keepingCapacity: true)
      engine.settle(through: engine.journalMark)
    }
  }

  private mutating func apply(_ operation: FlowOperation, number: Int) {
    let sequence = UInt64(number) + Self.firstSequence
    let stamp = Stamp(Self.start.value + sequence)
    // Everything before has been applied, so a target that is not known by then never was.
    let command = operation.command(
      instrument: Self.instrument, account: Self.account, targetStamp: Stamp(stamp.value - 1),
      clientTimeMilliseconds: stamp.milliseconds)
    engine.apply(command, at: Dot(origin: Self.origin, sequence: sequence), stamp: stamp, into: &tape)
  }

  private mutating func read(_ operations: ContiguousArray<FlowOperation>) {
    func fileID(_ dot: Dot) -> UInt64 { operations[Int(dot.sequence - Self.firstSequence)].id }
    for event in tape.run(from: tape.start, to: tape.end) {
      switch event {
      case .filled(let fill):
        tradeCount += 1
        tradedLots += UInt128(fill.quantityLots)
        appendDecimal(fileID(fill.maker), then: UInt8(ascii: ","))
        appendDecimal(fileID(fill.taker), then: UInt8(ascii: ","))
        appendDecimal(UInt64(fill.priceTicks), then: UInt8(ascii: ","))
        appendDecimal(UInt64(fill.quantityLots), then: UInt8(ascii: "\n"))
      case .rejected: rejectedCount += 1
      case .accepted, .waiting, .triggered, .rested, .refreshed, .cancelled, .expired, .reduced, .amended,
        .instrumentDefined:
        break
      }
    }
  }

  private mutating func appendDecimal(_ value: UInt64, then separator: UInt8) {
    let start = lines.count
    var rest = value
    repeat {
      lines.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10))
      rest /= 10
    } while rest > 0
    lines[start...].reverse()
    lines.append(separator)
  }

  /// `side,price,orders,qty`: bids best first, then asks best first.
  func bookCSV() -> [UInt8] {
    var text = "side,price,orders,qty\n"
    for (side, letter) in [(Side.buy, "B"), (Side.sell, "S")] {
      for level in engine.levels(of: Self.instrument, side, limit: .max) {
        text += "\(letter),\(level.priceTicks),\(level.orders),\(level.quantityLots)\n"
      }
    }
    return Array(text.utf8)
  }
}
