import ArgumentParser
import Client
import OrderBook

/// `rialto book`: the best levels of one instrument.
struct BookCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "book", abstract: "Shows the best levels of an instrument's book.",
    discussion: """
      Examples:
        rialto book --to 127.0.0.1:7001
        rialto book BTC-USD --depth 50 --to 127.0.0.1:7001 --json
        rialto book --final --to 127.0.0.1:7001
        rialto book --at-least 1795287243123.4 --wait 2s --to 127.0.0.1:7001

      Without --final or --at-least it is the book as the node has it now: its
      newest orders are tentative.

      Exit codes: 0 shown; 2 could not.
      """)

  @Argument(help: "Instrument; may be left out if there is only one.") var symbol: String?
  @Option(help: "Levels a side.") var depth = 10
  @OptionGroup var read: ReadOptions
  @Flag(help: "Print the result as one JSON object on one line.") var json = false
  @OptionGroup var nodes: NodeOptions

  func validate() throws {
    guard (1...ClientLimits.levelsPerSideMax).contains(depth) else {
      throw ValidationError("--depth must be 1 to \(ClientLimits.levelsPerSideMax).")
    }
  }

  func run() async throws {
    try await explaining {
      let client = try await nodes.connectToAny()
      let instrument = try await Instruments.find(symbol, at: client).instrument
      let book = try await client.book(symbol: instrument.symbol, depth: depth, level: read.level(usual: .tentative))
      await client.close()
      if json {
        var line = JSONLine()
        line.add("symbol", instrument.symbol.description)
        line.add("final", book.isFinal)
        line.add("applied", book.applied.description)
        line.add("book_hash", book.bookHash.description)
        line.add("bids", book.bids.map { Self.json($0, instrument) })
        line.add("asks", book.asks.map { Self.json($0, instrument) })
        Output.result(line.text)
        return
      }
      var table = TextTable([("", .left), ("price", .right), ("quantity", .right), ("orders", .right)])
      // As a ladder: the best prices meet in the middle.
      for level in book.asks.reversed() { table.add(Self.cells("ask", level, instrument)) }
      for level in book.bids { table.add(Self.cells("bid", level, instrument)) }
      table.lines.forEach(Output.result)
      let what = book.isFinal ? "final up to \(book.applied)" : "tentative"
      Output.note("\(instrument.symbol) at \(client.welcome.nodeName), \(what), book hash \(book.bookHash.prefix(8))")
    }
  }

  private static func cells(_ side: String, _ level: MarketLevel, _ instrument: Instrument) -> [String] {
    [
      side, instrument.tick.decimal(level.priceTicks), instrument.lot.decimal(level.quantityLots),
      Int(level.orders).grouped,
    ]
  }

  private static func json(_ level: MarketLevel, _ instrument: Instrument) -> JSONLine {
    var line = JSONLine()
    line.add("price", instrument.tick.decimal(level.priceTicks))
    line.add("quantity", instrument.lot.decimal(level.quantityLots))
    line.add("orders", level.orders)
    return line
  }
}
