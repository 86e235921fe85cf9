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
  public init?(argument: String) {
    guard let found = Self.allCases.first(where: { $0.word == argument.lowercased() }) else { return nil }
    self = found
  }

  public static var allValueStrings: [String] { allCases.map(\.word) }
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

extension SelfTradePrevention: ExpressibleByArgument {
  /// With a hyphen, or with the underscore of a flow file.
  public init?(argument: String) {
    let word = argument.lowercased().replacing("_", with: "-")
    guard let found = Self.allCases.first(where: { $0.word == word }) else { return nil }
    self = found
  }

  public static var allValueStrings: [String] { allCases.map(\.word) }
  public var defaultValueDescription: String { word }

  /// `none`, `cancel-newest`, `cancel-oldest`, `cancel-both` or `decrement`.
  var word: String {
    switch self {
    case .none: "none"
    case .cancelNewest: "cancel-newest"
    case .cancelOldest: "cancel-oldest"
    case .cancelBoth: "cancel-both"
    case .decrement: "decrement"
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

func parseClientID(_ text: String) throws -> ClientOrderID {
  guard let id = ClientOrderID(text), !id.isNone else {
    throw CommandError("'\(text)' is no client order id", advice: "use 1 to \(Limits.clientOrderIDBytesMax) bytes")
  }
  return id
}

// MARK: Cancel

struct OrderCancelCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cancel", abstract: "Takes an order out of the book.",
    discussion: """
      Only the account that placed an order may cancel it. A node takes the cancel
      of an order id that it does not know yet: should the order come, it is
      cancelled.

      Examples:
        rialto order cancel 2-1841 --to 127.0.0.1:7001
        rialto order cancel --client-id my-order-7 --to 127.0.0.1:7001

      Exit codes: 0 cancelled; 1 rejected (it had ended, or is not known) or
      refused, or not final in time with --wait-final; 2 could not.
      """)

  @OptionGroup var target: OrderReferenceOptions
  @Option(
    help: ArgumentHelp("Wait so long, such as 2s, for the cancel to become final.", valueName: "time"),
    transform: TimeSpan.wait)
  var waitFinal: TimeSpan?
  @Flag(help: "Print the result as one JSON object on one line.") var json = false
  @OptionGroup var nodes: NodeOptions

  func validate() throws { try ReadOptions.check(waitFinal, "--wait-final") }

  func run() async throws {
    try await explaining {
      guard let reference = try target.reference() else {
        throw CommandError("no order was named", advice: "give an order id, or --client-id")
      }
      let client = try await nodes.connectToAny()
      var answer = try await ask(for: reference, at: client)
      if answer.order == nil, case .client = reference {
        // An id may be used for another order: nothing is to wait for that one.
        answer.explain()
        throw ExitCode.notGood
      }
      // With its stamp, so that the cancel comes after the order everywhere.
      let cancel = Cancel(account: client.account, target: reference, targetStamp: answer.order?.stamp ?? .zero)
      let told = try await Submission.submit(.cancel(cancel), to: client, waitingFor: waitFinal)
      // Meanwhile it may have come.
      if answer.order == nil { answer = try await ask(for: reference, at: client) }
      await client.close()
      defer { told.explainIfTentative(waitFinal) }
      if answer.order == nil { Output.note("\(answer.text); should it come here, it is cancelled") }
      let name = answer.order?.dot.description ?? target.order ?? ""
      if json {
        var line = told.json
        line.add("order", name)
        line.add("known", answer.order != nil)
        Output.result(line.text)
      } else {
        Output.result("\(name)  cancel \(told.stateWord)\(told.finalityWord(waitFinal))")
      }
      if !told.isGood || told.isLate(waitFinal) { throw ExitCode.notGood }
    }
  }
}

/// What a node says of an order.
private struct OrderAnswer {
  var order: OrderDetail?
  /// Why there is none.
  var text = ""

  func explain() { Output.errorLine("\(text); see --account, or ask the node that took it") }
}

private func ask(
  for reference: OrderReference, at client: RialtoClient, _ level: ReadLevel = .tentative
) async throws -> OrderAnswer {
  do throws(ClientError) {
    return OrderAnswer(order: try await client.order(reference, level: level))
  } catch {
    guard case .requestRefused(let refusal) = error, refusal.code == .notFound else { throw error }
    return OrderAnswer(text: refusal.text)
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
        rialto order show 2-1841 --at-least 1795287243123.4 --to 127.0.0.1:7002

      Exit codes: 0 shown; 1 there is no such order; 2 could not.
      """)

  @OptionGroup var target: OrderReferenceOptions
  @OptionGroup var read: ReadOptions
  @Flag(help: "Print the result as one JSON object on one line.") var json = false
  @OptionGroup var nodes: NodeOptions

  func run() async throws {
    try await explaining {
      let reference = try target.reference()
      let level = read.level(usual: .tentative)
      let client = try await nodes.connectToAny()
      var instruments: [Symbol: Instrument] = [:]
      for record in try await client.instruments() { instruments[record.instrument.symbol] = record.instrument }
      func instrument(_ symbol: Symbol) -> Instrument { instruments[symbol] ?? Instrument(symbol: symbol) }
      if let reference {
        let answer = try await ask(for: reference, at: client, level)
        guard let detail = answer.order else {
          answer.explain()
          throw ExitCode.notGood
        }
        let text = json ? Self.json(detail, instrument(detail.symbol)).text : nil
        Output.result(text ?? Self.lines(detail, instrument(detail.symbol)).joined(separator: "\n"))
      } else {
        list(try await client.openOrders(level: level), instrument)
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
    // A column of its own only where somebody has a stop.
    let hasStops = orders.contains { $0.stopPriceTicks != 0 }
    var table = TextTable(
      [
        ("order", .left), ("client id", .left), ("symbol", .left), ("side", .left), ("price", .right), ("open", .right),
        ("filled", .right),
      ] + (hasStops ? [("waits for", .right)] : []))
    for order in orders {
      let unit = instrument(order.symbol)
      table.add(
        [
          order.dot.description, order.clientOrderID.description, order.symbol.description, order.side.word,
          Self.price(order, unit) ?? "market", unit.lot.decimal(order.openLots), unit.lot.decimal(order.filledLots),
        ] + (hasStops ? [order.isWaiting ? unit.tick.decimal(order.stopPriceTicks) : ""] : []))
    }
    table.lines.forEach(Output.result)
  }

  /// Nil for an order that takes any price.
  private static func price(_ order: OrderDetail, _ instrument: Instrument) -> String? {
    switch order.type {
    case .limit, .stopLimit: instrument.tick.decimal(order.priceTicks)
    case .market, .stop: nil
    }
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
    line.add("price", price(order, instrument))
    line.add("stop", order.stopPriceTicks == 0 ? nil : instrument.tick.decimal(order.stopPriceTicks))
    line.add("waiting", order.isWaiting)
    line.add("quantity", instrument.lot.decimal(order.quantityLots))
    line.add("display", order.displayLots == 0 ? nil : instrument.lot.decimal(order.displayLots))
    line.add("expires", order.expiry == .zero ? nil : Expiry.text(order.expiry))
    line.add("post_only", order.postOnly)
    line.add("stp", order.selfTradePrevention.word)
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
    let finality = order.isFinal ? "final" : "tentative"
    let status = "\(order.status)" + (reason(order).map { " (\($0))" } ?? "") + ", " + finality
    var lines = [
      "\(order.dot)  \(order.side.word) \(instrument.lot.decimal(order.quantityLots)) \(order.symbol) at "
        + terms(order, instrument).joined(separator: ", "),
      "status  \(status)" + (order.isWaiting ? ", waits for its stop price" : ""),
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

  /// Price and time in force, then what is not as usual.
  static func terms(_ order: OrderDetail, _ instrument: Instrument) -> [String] {
    var terms = ["\(price(order, instrument) ?? "market") \(order.timeInForce.word)"]
    if order.stopPriceTicks != 0 { terms.append("stop \(instrument.tick.decimal(order.stopPriceTicks))") }
    if order.expiry != .zero { terms.append("until \(Expiry.text(order.expiry))") }
    if order.displayLots != 0 { terms.append("shows \(instrument.lot.decimal(order.displayLots))") }
    if order.postOnly { terms.append("post-only") }
    if order.selfTradePrevention != .none {
      terms.append("self-trade prevention \(order.selfTradePrevention.word)")
    }
    return terms
  }
}
