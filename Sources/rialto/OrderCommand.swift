import ArgumentParser
import Client
import OrderBook
import Primitives

/// `rialto order place | cancel | show`.
struct OrderCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "order", abstract: "Places, cancels and shows orders.",
    subcommands: [OrderPlaceCommand.self, OrderCancelCommand.self, OrderShowCommand.self])
}

extension Side: ExpressibleByArgument {
  public init?(argument: String) {
    switch argument.lowercased() {
    case "buy", "b": self = .buy
    case "sell", "s": self = .sell
    default: return nil
    }
  }

  public static var allValueStrings: [String] { ["buy", "sell"] }

  /// `buy` or `sell`.
  var word: String { self == .buy ? "buy" : "sell" }
}

extension TimeInForce: ExpressibleByArgument {
  /// Good-till-date orders cannot be placed yet.
  public init?(argument: String) {
    switch argument.lowercased() {
    case "gtc": self = .goodTillCancel
    case "ioc": self = .immediateOrCancel
    case "fok": self = .fillOrKill
    default: return nil
    }
  }

  public static var allValueStrings: [String] { ["gtc", "ioc", "fok"] }
  public var defaultValueDescription: String { word }

  /// `gtc`, `ioc`, `fok` or `gtd`.
  var word: String {
    switch self {
    case .goodTillCancel: "gtc"
    case .immediateOrCancel: "ioc"
    case .fillOrKill: "fok"
    case .goodTillDate: "gtd"
    }
  }
}

/// How a command line names an order.
struct OrderReferenceOptions: ParsableArguments {
  @Argument(help: ArgumentHelp("Order id, as 'place' printed it: 2-1841.", valueName: "order"))
  var order: String?

  @Option(help: "The client order id instead of the order id.")
  var clientID: String?

  func reference() throws -> OrderReference? {
    switch (order, clientID) {
    case (nil, nil): return nil
    case (let order?, nil):
      guard let dot = Dot(order) else {
        throw CommandError("'\(order)' is not an order id such as 2-1841", advice: "for your own id, use --client-id")
      }
      return .dot(dot)
    case (nil, let id?):
      return .client(try parseClientID(id))
    case (_?, _?):
      throw CommandError("an order id and --client-id were given", advice: "name the order by one of them")
    }
  }
}

private func parseClientID(_ text: String) throws -> ClientOrderID {
  guard let id = ClientOrderID(text), !id.isNone else {
    throw CommandError("'\(text)' is no client order id", advice: "use 1 to \(Limits.clientOrderIDBytesMax) bytes")
  }
  return id
}

// MARK: Place

struct OrderPlaceCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "place", abstract: "Places an order and tells what became of it at once.",
    discussion: """
      Price and quantity are decimals on the instrument's grid; nothing is rounded.

      Examples:
        rialto order place buy 0.5 BTC-USD --price 64250.25 --to 127.0.0.1:7001
        rialto order place sell 1 --market --to 127.0.0.1:7001
        rialto order place sell 2 --price 64000 --tif fok --to 127.0.0.1:7001

      Exit codes: 0 taken; 1 rejected or refused; 2 could not.
      """)

  @Argument(help: "buy or sell.") var side: Side
  @Argument(help: "How much, in units of the base currency.") var quantity: String
  @Argument(help: "Instrument; may be left out if there is only one.") var symbol: String?
  @Option(help: "Limit price, in units of the quote currency.") var price: String?
  @Flag(help: "A market order; what the book cannot give is cancelled.") var market = false
  @Option(help: "Time in force of a limit order: gtc, ioc or fok.") var tif: TimeInForce = .goodTillCancel
  @Option(help: "Your own id for the order; it takes effect once, however often it is sent.") var clientID: String?
  @Flag(help: "Print the result as one JSON object on one line.") var json = false
  @OptionGroup var nodes: NodeOptions

  func validate() throws {
    if market == (price != nil) { throw ValidationError("Give a limit --price, or --market.") }
    if market && tif != .goodTillCancel { throw ValidationError("--tif is for limit orders.") }
  }

  func run() async throws {
    try await explaining {
      let id = try clientID.map(parseClientID) ?? .none
      let client = try await nodes.connectToAny()
      let record = try await Instruments.find(symbol, at: client)
      let instrument = record.instrument
      var order = Order(
        instrument: record.dot, account: client.account, side: side, priceTicks: 0,
        quantityLots: try convert(quantity, "quantity", instrument.lot, max: Limits.quantityLotsMax), clientOrderID: id)
      if let price {
        order.priceTicks = try convert(price, "price", instrument.tick, max: Limits.priceTicksMax)
        order.timeInForce = tif
      } else {
        order.type = .market
        order.timeInForce = .immediateOrCancel
      }
      if !id.isNone { order.clientTimeMilliseconds = WallClock.milliseconds }
      let told = try await Submission.submit(.order(order), to: client)
      await client.close()
      tell(told, instrument)
      if !told.isGood { throw ExitCode.notGood }
    }
  }

  private func convert(_ text: String, _ name: String, _ increment: Increment, max: Int64) throws -> Int64 {
    do throws(DecimalError) {
      return try increment.count(of: text, max: max)
    } catch {
      throw CommandError("\(name): \(error)")
    }
  }

  private func tell(_ told: Submission, _ instrument: Instrument) {
    let lot = instrument.lot
    guard json else {
      var line = "\(told.dot)  \(told.stateWord)"
      if let update = told.update {
        if update.filledLots > 0 { line += "  filled \(lot.decimal(update.filledLots))" }
        if update.state == .open || update.state == .partiallyFilled {
          line += "  open \(lot.decimal(update.openLots))"
        }
        for fill in told.fills {
          let price = instrument.tick.decimal(fill.priceTicks)
          line += "\n  \(lot.decimal(fill.quantityLots)) at \(price) with \(fill.counterparty)"
        }
      }
      Output.result(line)
      return
    }
    var line = told.json
    if let update = told.update {
      line.add("filled", lot.decimal(update.filledLots))
      line.add("open", lot.decimal(update.openLots))
      line.add("fills", fillLines(told.fills, instrument))
    }
    Output.result(line.text)
  }
}

// MARK: Cancel

struct OrderCancelCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cancel", abstract: "Takes an order out of the book.",
    discussion: """
      Only the account that placed an order may cancel it.

      Examples:
        rialto order cancel 2-1841 --to 127.0.0.1:7001
        rialto order cancel --client-id my-order-7 --to 127.0.0.1:7001

      Exit codes: 0 cancelled; 1 rejected (it had ended, or is not known) or
      refused; 2 could not.
      """)

  @OptionGroup var target: OrderReferenceOptions
  @Flag(help: "Print the result as one JSON object on one line.") var json = false
  @OptionGroup var nodes: NodeOptions

  func run() async throws {
    try await explaining {
      guard let reference = try target.reference() else {
        throw CommandError("no order was named", advice: "give an order id, or --client-id")
      }
      let client = try await nodes.connectToAny()
      guard let detail = try await find(reference, at: client) else { throw ExitCode.notGood }
      // With its stamp, so that the cancel comes after the order everywhere.
      let cancel = Cancel(account: client.account, target: reference, targetStamp: detail.stamp)
      let told = try await Submission.submit(.cancel(cancel), to: client)
      await client.close()
      if json {
        var line = told.json
        line.add("order", detail.dot.description)
        Output.result(line.text)
      } else {
        Output.result("\(detail.dot)  cancel \(told.stateWord)")
      }
      if !told.isGood { throw ExitCode.notGood }
    }
  }
}

/// The order, or nil once stderr says that there is none.
private func find(_ reference: OrderReference, at client: RialtoClient) async throws -> OrderDetail? {
  do throws(ClientError) {
    return try await client.order(reference)
  } catch {
    guard case .requestRefused(let refusal) = error, refusal.code == .notFound else { throw error }
    Output.errorLine("\(refusal.text); see --account, or ask the node that took it")
    return nil
  }
}

// MARK: Show

struct OrderShowCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show", abstract: "Shows an order with its fills, or all open orders of the account.",
    discussion: """
      Examples:
        rialto order show 2-1841 --to 127.0.0.1:7001
        rialto order show --client-id my-order-7 --to 127.0.0.1:7001 --json
        rialto order show --to 127.0.0.1:7001

      Exit codes: 0 shown; 1 there is no such order; 2 could not.
      """)

  @OptionGroup var target: OrderReferenceOptions
  @Flag(help: "Print the result as one JSON object on one line.") var json = false
  @OptionGroup var nodes: NodeOptions

  func run() async throws {
    try await explaining {
      let reference = try target.reference()
      let client = try await nodes.connectToAny()
      var instruments: [Symbol: Instrument] = [:]
      for record in try await client.instruments() { instruments[record.instrument.symbol] = record.instrument }
      func instrument(_ symbol: Symbol) -> Instrument { instruments[symbol] ?? Instrument(symbol: symbol) }
      if let reference {
        guard let detail = try await find(reference, at: client) else { throw ExitCode.notGood }
        let text = json ? Self.json(detail, instrument(detail.symbol)).text : nil
        Output.result(text ?? Self.lines(detail, instrument(detail.symbol)).joined(separator: "\n"))
      } else {
        list(try await client.openOrders(), instrument)
      }
      await client.close()
    }
  }

  private func list(_ orders: [OrderDetail], _ instrument: (Symbol) -> Instrument) {
    if json {
      var line = JSONLine()
      line.add("orders", orders.map { Self.json($0, instrument($0.symbol)) })
      Output.result(line.text)
      return
    }
    var table = TextTable([
      ("order", .left), ("client id", .left), ("symbol", .left), ("side", .left), ("price", .right), ("open", .right),
      ("filled", .right),
    ])
    for order in orders {
      let unit = instrument(order.symbol)
      table.add([
        order.dot.description, order.clientOrderID.description, order.symbol.description, order.side.word,
        unit.tick.decimal(order.priceTicks), unit.lot.decimal(order.openLots), unit.lot.decimal(order.filledLots),
      ])
    }
    table.lines.forEach(Output.result)
  }

  private static func reason(_ order: OrderDetail) -> String? {
    order.rejectReason.map { "\($0)" } ?? order.cancelReason.map { "\($0)" }
  }

  private static func json(_ order: OrderDetail, _ instrument: Instrument) -> JSONLine {
    var line = JSONLine()
    line.add("id", order.dot.description)
    line.add("client_id", order.clientOrderID.isNone ? nil : order.clientOrderID.description)
    line.add("stamp", order.stamp.description)
    line.add("symbol", order.symbol.description)
    line.add("account", order.account.value)
    line.add("side", order.side.word)
    line.add("type", "\(order.type)")
    line.add("tif", order.timeInForce.word)
    line.add("price", order.type == .market ? nil : instrument.tick.decimal(order.priceTicks))
    line.add("quantity", instrument.lot.decimal(order.quantityLots))
    line.add("open", instrument.lot.decimal(order.openLots))
    line.add("filled", instrument.lot.decimal(order.filledLots))
    line.add("status", "\(order.status)")
    line.add("reason", reason(order))
    line.add("final", order.isFinal)
    line.add("fills", fillLines(order.fills, instrument))
    line.add("fills_omitted", order.fillsOmitted)
    return line
  }

  private static func lines(_ order: OrderDetail, _ instrument: Instrument) -> [String] {
    let price = order.type == .market ? "market" : instrument.tick.decimal(order.priceTicks)
    let finality = order.isFinal ? "final" : "tentative"
    let status = "\(order.status)" + (reason(order).map { " (\($0))" } ?? "") + ", " + finality
    var lines = [
      "\(order.dot)  \(order.side.word) \(instrument.lot.decimal(order.quantityLots)) \(order.symbol) at \(price) "
        + order.timeInForce.word,
      "status  \(status)",
      "open    \(instrument.lot.decimal(order.openLots))",
      "filled  \(instrument.lot.decimal(order.filledLots))",
    ]
    if !order.clientOrderID.isNone { lines.append("client  \(order.clientOrderID)") }
    for fill in order.fills {
      lines.append(
        "  \(instrument.lot.decimal(fill.quantityLots)) at \(instrument.tick.decimal(fill.priceTicks)) "
          + "with \(fill.counterparty) as \(fill.isMaker ? "maker" : "taker")")
    }
    if order.fillsOmitted > 0 { lines.append("  and \(order.fillsOmitted.grouped) more fills") }
    return lines
  }
}
