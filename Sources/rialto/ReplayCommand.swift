import ArgumentParser
import Flow
import OrderBook
import Primitives

/// `rialto replay`: one engine, no network.
struct ReplayCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replay",
    abstract: "Runs an order flow, or a node's history up to some point, through one matching engine.",
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
      replace of an order that is not open is rejected and counted. The whole
      file is checked first: a malformed row stops before anything is applied.

      Further columns, where a file needs them; an empty field is as usual:
        account    whose order it is (1); ids of two accounts are two ids, and
                   a cancel or replace must name the order's account
        tif        GTC, IOC, FOK or GTD, for L and M
        expire     with GTD: the order leaves before the row that comes so many
                   rows later (on a cluster: after so many milliseconds)
        display    iceberg: how much of the quantity the book shows
        stop       trigger price: L becomes a stop-limit order, M a stop order,
                   which waits until a trade reaches the price
        stp        self-trade prevention: none, cancel_newest, cancel_oldest,
                   cancel_both or decrement
        post_only  1: rejected if it would trade at once
      What makes no sense (more displayed than there is) is rejected and counted.

      An iceberg that shows 5 of 20, and a sell stop that the last row triggers:
        op,id,side,price,qty,display,stop
        L,1,B,99,20,5,
        M,2,S,,4,,99
        L,3,S,99,8,,

      FILE may be a node's data directory, whether the node runs or not: then its log is replayed up to --until, and
      what is shown is the book as it was: with its hash, how many entries and fills led to it, and the checkpoints
      around it. Prices and quantities in files are ticks and lots then; orders are named by their entries.

      Examples:
        rialto replay n1 --until 2026-11-21T22:19:07Z
        rialto replay n1 --until 2-1841 --book book.csv --json
        rialto replay orders.csv
        rialto replay orders.csv --trades trades.csv --book book.csv --json
        rialto replay orders.csv --events events.csv --stops stops.csv
        rialto flow random --mix all --count 5000 --out - | rialto replay -

      Exit codes: 0 done; 2 could not (no such file, malformed file, output that
      cannot be written).
      """)

  @Argument(
    help: "CSV file of operations, - for stdin; or a node's data directory.", completion: .file(extensions: ["csv"]))
  var file: String

  @Option(help: ArgumentHelp("Write the trades (maker,taker,price,qty) to this file.", valueName: "out.csv"))
  var trades: String?

  @Option(
    help: ArgumentHelp(
      "Write the final book (side,price,orders,qty), as much of it as is shown, to this file.", valueName: "out.csv"))
  var book: String?

  @Option(
    help: ArgumentHelp(
      "Write the stops that wait at the end (side,stop,price,qty,id) to this file.",
      valueName: "out.csv"))
  var stops: String?

  @Option(help: ArgumentHelp("Write everything that happened, a line an event, to this file.", valueName: "out.csv"))
  var events: String?

  @Option(
    help: ArgumentHelp(
      "Of a directory: the last entry to apply: a stamp, stamp@origin, an entry, a time, or 'final'. (default: final)",
      valueName: "place"))
  var until: String?

  @Option(help: "Of a directory: member list of the cluster. (default: genesis.json in it or above it)")
  var genesis: String?

  @Flag(help: "Print the result as one JSON object on one line.")
  var json = false

  func validate() throws {
    let files = [("--trades", trades), ("--book", book), ("--stops", stops), ("--events", events)]
    for (index, (name, file)) in files.enumerated() {
      guard let file, let other = files[..<index].first(where: { $0.1 == file }) else { continue }
      throw ValidationError("\(other.0) and \(name) name the same file.")
    }
  }

  func run() throws {
    try explaining {
      if NodePlace.isDirectory(file) {
        guard events == nil else {
          throw CommandError("--events is for files of operations", advice: "see `rialto log \(file)` for entries")
        }
        return try ReplayDirectory(
          directory: file, until: until ?? "final", genesis: genesis, trades: trades, book: book, stops: stops,
          json: json
        ).run()
      }
      guard until == nil, genesis == nil else {
        throw CommandError("--until and --genesis are for a node's directory", advice: "\(file) is none")
      }
      let operations = try readFlow(file)
      let tradesFile = try trades.map { try AtomicFile($0) }
      let bookFile = try book.map { try AtomicFile($0) }
      let stopsFile = try stops.map { try AtomicFile($0) }
      let eventsFile = try events.map { try AtomicFile($0) }
      var replay = Replay()
      let clock = ContinuousClock()
      let start = clock.now
      try replay.run(
        operations, trades: tradesFile.map { file in { try file.write($0) } },
        events: eventsFile.map { file in { try file.write($0) } })
      let duration = clock.now - start
      let bookHash = replay.bookHash()
      try bookFile?.write(replay.bookCSV())
      try stopsFile?.write(replay.stopsCSV(operations))
      try tradesFile?.commit()
      try bookFile?.commit()
      try stopsFile?.commit()
      try eventsFile?.commit()
      if json {
        Output.result(report(replay, operations.count, duration, bookHash).text)
      } else {
        summary(replay, operations.count, duration, bookHash).forEach(Output.result)
      }
    }
  }

  private func report(_ replay: borrowing Replay, _ count: Int, _ duration: Duration, _ bookHash: Hash256) -> JSONLine {
    let counts = replay.counts
    var line = JSONLine()
    line.add("operations", count)
    line.add("seconds", seconds: duration)
    line.add("operations_per_second", duration.perSecond(count))
    line.add("trades", counts.trades)
    line.add("traded_quantity", counts.tradedLots)
    line.add("accepted", counts.accepted)
    line.add("cancelled", counts.cancelled.total)
    line.add("cancelled_by_reason", counts.cancelled.json)
    line.add("expired", counts.expired)
    line.add("triggered", counts.triggered)
    line.add("refreshed", counts.refreshed)
    line.add("reduced_quantity", counts.reducedLots)
    line.add("rejected", counts.rejected.total)
    line.add("rejected_by_reason", counts.rejected.json)
    line.add("resting_orders", replay.restingOrders)
    line.add("waiting_stops", replay.waitingStops)
    line.add("trades_hash", replay.tradesHash().description)
    line.add("book_hash", bookHash.description)
    return line
  }

  /// What did not happen at all is left out.
  private func summary(
    _ replay: borrowing Replay, _ count: Int, _ duration: Duration, _ bookHash: Hash256
  ) -> [String] {
    let counts = replay.counts
    var table = TextTable([("operations", .left), (count.grouped, .left)])
    table.add(["time", "\(duration.short), \(duration.perSecond(count).short)/s"])
    table.add(["trades", "\(counts.trades.grouped), quantity \(counts.tradedLots.grouped)"])
    table.add(["accepted", counts.accepted.grouped])
    table.add(["cancelled", counts.cancelled.text])
    table.add(["rejected", counts.rejected.text])
    if counts.expired > 0 { table.add(["expired", counts.expired.grouped]) }
    if counts.triggered > 0 { table.add(["triggered stops", counts.triggered.grouped]) }
    if counts.refreshed > 0 { table.add(["refreshed icebergs", counts.refreshed.grouped]) }
    if counts.reducedLots > 0 { table.add(["reduced quantity", counts.reducedLots.grouped]) }
    table.add(["resting orders", replay.restingOrders.grouped])
    if replay.waitingStops > 0 { table.add(["waiting stops", replay.waitingStops.grouped]) }
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
