import ArgumentParser
import Client
import OrderBook
import Primitives

/// `rialto trades`: the newest trades.
struct TradesCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "trades", abstract: "Shows the newest trades, the newest first.",
    discussion: """
      Examples:
        rialto trades --to 127.0.0.1:7001
        rialto trades BTC-USD --count 100 --to 127.0.0.1:7001 --json
        rialto trades --tentative --to 127.0.0.1:7001

      Without --tentative they are final.

      Exit codes: 0 shown; 2 could not.
      """)

  @Argument(help: "Instrument; all if left out.") var symbol: String?
  @Option(help: "How many.") var count = 20
  @OptionGroup var read: ReadOptions
  @Flag(help: "Print the result as one JSON object on one line.") var json = false
  @OptionGroup var nodes: NodeOptions

  func validate() throws {
    guard (1...ClientLimits.tradesMax).contains(count) else {
      throw ValidationError("--count must be 1 to \(ClientLimits.tradesMax).")
    }
  }

  func run() async throws {
    try await explaining {
      let wanted = try symbol.map(parseSymbol)
      let client = try await nodes.connectToAny()
      var instruments: [Symbol: Instrument] = [:]
      for record in try await client.instruments() { instruments[record.instrument.symbol] = record.instrument }
      let trades = try await client.trades(symbol: wanted, count: count, level: read.level(usual: .final))
      await client.close()
      var table = TextTable([
        ("stamp", .left), ("symbol", .left), ("taker", .left), ("price", .right), ("quantity", .right),
        ("maker order", .left), ("taker order", .left), ("", .left),
      ])
      var lines: [JSONLine] = []
      for trade in trades {
        let instrument = instruments[trade.symbol] ?? Instrument(symbol: trade.symbol)
        let price = instrument.tick.decimal(trade.priceTicks)
        let quantity = instrument.lot.decimal(trade.quantityLots)
        table.add([
          trade.stamp.description, trade.symbol.description, trade.takerSide.word, price, quantity,
          trade.maker.description, trade.taker.description, trade.isFinal ? "final" : "tentative",
        ])
        var line = JSONLine()
        line.add("stamp", trade.stamp.description)
        line.add("symbol", trade.symbol.description)
        line.add("taker_side", trade.takerSide.word)
        line.add("price", price)
        line.add("quantity", quantity)
        line.add("maker", trade.maker.description)
        line.add("taker", trade.taker.description)
        line.add("final", trade.isFinal)
        lines.append(line)
      }
      if json {
        var line = JSONLine()
        line.add("trades", lines)
        Output.result(line.text)
      } else {
        table.lines.forEach(Output.result)
      }
    }
  }
}
