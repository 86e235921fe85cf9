import ArgumentParser
import Client
import OrderBook
import Primitives

/// `rialto instrument`: what a cluster trades.
struct InstrumentCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "instrument", abstract: "Define an instrument, or list those that are defined.",
    subcommands: [Define.self, List.self])

  struct Define: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Define an instrument; the first definition of a symbol stays.",
      discussion: "Example:\n  rialto instrument define ETH-USD --tick 0.01 --lot 0.0001 --to 127.0.0.1:7001")
    @Argument(help: "1 to 16 of A-Z 0-9 - . _ /") var symbol: String
    @Option(help: "Size of one price step, in the quote currency.") var tick = "0.01"
    @Option(help: "Size of one quantity step, in the base currency.") var lot = "0.00000001"
    @OptionGroup var nodes: NodeOptions
    @Flag(help: "Print the result as one JSON object on one line.") var json = false

    func run() async throws {
      try await explaining {
        let wanted = Instrument(
          symbol: try parseSymbol(symbol), tick: try InstrumentCommand.increment(tick, "--tick"),
          lot: try InstrumentCommand.increment(lot, "--lot"))
        let client = try await nodes.connectToAny()
        let record = try await Instruments.findOrDefine(wanted, at: [client])
        await client.close()
        if json { Output.result(record.json.text) } else { Output.result(record.line) }
        if record.instrument != wanted {
          Output.note("\(wanted.symbol) was defined before, otherwise; that stays")
          throw ExitCode.notGood
        }
      }
    }
  }

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List the instruments.")
    @OptionGroup var nodes: NodeOptions
    @Flag(help: "Print the result as one JSON object on one line.") var json = false

    func run() async throws {
      try await explaining {
        let client = try await nodes.connectToAny()
        let records = try await client.instruments()
        await client.close()
        if json {
          var line = JSONLine()
          line.add("instruments", records.map(\.json))
          Output.result(line.text)
        } else {
          for record in records { Output.result(record.line) }
          if records.isEmpty { Output.note("none is defined; see `rialto instrument define --help`") }
        }
      }
    }
  }

  /// A decimal such as 0.01, exactly.
  static func increment(_ text: String, _ option: String) throws -> Increment {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    let decimals = parts.count == 2 ? String(parts[1]) : ""
    guard parts.count <= 2, decimals.count <= Int(Increment.scaleMax),
      let mantissa = UInt64(String(parts[0]) + decimals),
      let increment = Increment(mantissa: mantissa, scale: UInt8(decimals.count))
    else {
      throw CommandError("\(option) \(text) is not a positive decimal with at most \(Increment.scaleMax) decimals")
    }
    return increment
  }
}

extension InstrumentRecord {
  fileprivate var line: String {
    "\(instrument.symbol)  tick \(instrument.tick.decimal(Int64(1)))  lot \(instrument.lot.decimal(Int64(1)))  \(dot)"
  }

  fileprivate var json: JSONLine {
    var line = JSONLine()
    line.add("symbol", instrument.symbol.description)
    line.add("tick", instrument.tick.decimal(Int64(1)))
    line.add("lot", instrument.lot.decimal(Int64(1)))
    line.add("dot", dot.description)
    return line
  }
}
