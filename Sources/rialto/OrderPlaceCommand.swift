import ArgumentParser
import Client
import Foundation
import OrderBook
import Primitives

/// `rialto order place`.
struct OrderPlaceCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "place", abstract: "Places an order and tells what became of it at once.",
    discussion: """
      Prices and quantities are decimals on the instrument's grid; nothing is
      rounded.

      A --stop waits, unseen, until a trade reaches its price: then it enters as
      a market order (--market) or with its limit price (--price). --display
      shows only that much of the quantity at a time. --expire takes a duration
      (500ms, 30s, 5m, 12h, 7d) or a time (2026-11-21T18:00:00Z). --post-only is
      rejected if it would trade at once. --stp says what happens when it would
      trade with an order of the same account.

      Examples:
        rialto order place buy 0.5 BTC-USD --price 64250.25 --to 127.0.0.1:7001
        rialto order place sell 1 --market --to 127.0.0.1:7001
        rialto order place sell 2 --price 64000 --tif fok --to 127.0.0.1:7001
        rialto order place sell 1 --market --stop 63000 --to 127.0.0.1:7001
        rialto order place buy 9 --price 64000 --display 0.5 --expire 30s \\
          --to 127.0.0.1:7001
        rialto order place buy 1 --price 63990 --post-only --stp decrement \\
          --to 127.0.0.1:7001
        rialto order place buy 1 --price 64000 --wait-final 2s \\
          --to 127.0.0.1:7001

      What is told is tentative unless it says final: an order with an earlier
      place in the total order may still come from another node. --wait-final
      waits until nothing can change it any more.

      Exit codes: 0 taken; 1 rejected or refused, or not final in time with
      --wait-final; 2 could not.
      """)

  @Argument(help: "buy or sell.") var side: Side
  @Argument(help: "How much, in units of the base currency.") var quantity: String
  @Argument(help: "Instrument; may be left out if there is only one.") var symbol: String?
  @Option(help: "Limit price, in units of the quote currency.") var price: String?
  @Flag(help: "A market order; what the book cannot give is cancelled.") var market = false
  @Option(help: "Wait until a trade reaches this price.") var stop: String?
  @Option(help: "Time in force. (default: gtc; ioc with --market; gtd with --expire)") var tif: TimeInForce?
  @Option(help: ArgumentHelp("When the order leaves by itself.", valueName: "duration or time")) var expire: String?
  @Option(help: "Show only so much of the quantity at a time.") var display: String?
  @Flag(help: "Reject the order if it would trade at once.") var postOnly = false
  @Option(help: "Self-trade prevention (none if not given).") var stp: SelfTradePrevention?
  @Option(help: "Your own id for the order; it takes effect once, however often it is sent.") var clientID: String?
  @Option(
    help: ArgumentHelp("Wait so long, such as 2s, for the order to become final.", valueName: "time"),
    transform: TimeSpan.wait)
  var waitFinal: TimeSpan?
  @Flag(help: "Print the result as one JSON object on one line.") var json = false
  @OptionGroup var nodes: NodeOptions

  func validate() throws {
    guard market != (price != nil) else {
      throw ValidationError(
        stop == nil
          ? "Give a limit --price, or --market."
          : "Say what the stop becomes when its price is reached: a limit order (--price) or a market order (--market)."
      )
    }
    if let expire, Expiry(expire) == nil {
      throw ValidationError(
        "--expire: '\(expire)' is neither a duration such as 30s nor a time such as 2026-11-21T18:00:00Z.")
    }
    try ReadOptions.check(waitFinal, "--wait-final")
    if let flaw { throw ValidationError(flaw) }
  }

  /// What holds if `--tif` is left out.
  private var timeInForce: TimeInForce {
    if let tif { return tif }
    if expire != nil { return .goodTillDate }
    return market && stop == nil ? .immediateOrCancel : .goodTillCancel
  }

  /// What does not go together, and what to do about it: the book would reject it with less advice.
  private var flaw: String? {
    let rests = timeInForce == .goodTillCancel || timeInForce == .goodTillDate
    if market, stop == nil, rests {
      return "A market order does not wait: --tif must be ioc or fok, and --expire needs --price or --stop."
    }
    if timeInForce == .goodTillDate, expire == nil {
      return "--tif gtd needs --expire, such as 30s or 2026-11-21T18:00:00Z."
    }
    if timeInForce != .goodTillDate, expire != nil { return "--expire is for --tif gtd; leave --tif out." }
    if postOnly, market || stop != nil { return "--post-only is for limit orders without --stop." }
    if postOnly, !rests { return "--post-only is for orders that rest: --tif must be gtc or gtd." }
    if display != nil, market { return "--display is for limit orders: give a --price." }
    if display != nil, !rests { return "--display is for orders that rest: --tif must be gtc or gtd." }
    return nil
  }

  func run() async throws {
    try await explaining {
      let id = try clientID.map(parseClientID) ?? .none
      let client = try await nodes.connectToAny()
      let record = try await Instruments.find(symbol, at: client)
      var order = try order(record, account: client.account, nowMilliseconds: WallClock.milliseconds)
      order.clientOrderID = id
      if !id.isNone { order.clientTimeMilliseconds = WallClock.milliseconds }
      let told = try await Submission.submit(.order(order), to: client, waitingFor: waitFinal)
      await client.close()
      tell(told, record.instrument)
      told.explainIfTentative(waitFinal)
      if !told.isGood || told.isLate(waitFinal) { throw ExitCode.notGood }
    }
  }

  /// The order that was asked for, without its id.
  /// - Throws: `CommandError` for what is not on the instrument's grid, or out of range.
  func order(_ record: InstrumentRecord, account: AccountID, nowMilliseconds: UInt64) throws -> Order {
    let (tick, lot) = (record.instrument.tick, record.instrument.lot)
    func price(_ text: String?, _ name: String) throws -> Int64 {
      try text.map { try convert($0, name, tick, max: Limits.priceTicksMax) } ?? 0
    }
    func lots(_ text: String?, _ name: String) throws -> Int64 {
      try text.map { try convert($0, name, lot, max: Limits.quantityLotsMax) } ?? 0
    }
    let order = Order(
      instrument: record.dot, account: account, side: side,
      type: market ? (stop == nil ? .market : .stop) : (stop == nil ? .limit : .stopLimit), timeInForce: timeInForce,
      priceTicks: try price(self.price, "price"), quantityLots: try lots(quantity, "quantity"),
      selfTradePrevention: stp ?? .none, postOnly: postOnly, stopPriceTicks: try price(stop, "stop"),
      displayLots: try lots(display, "display"),
      expiry: try expire.flatMap { Expiry($0) }?.stamp(nowMilliseconds: nowMilliseconds) ?? .zero)
    if order.displayLots > order.quantityLots {
      throw CommandError(
        "display: \(lot.decimal(order.displayLots)) is more than the quantity \(lot.decimal(order.quantityLots))",
        advice: "show less, or leave --display out to show everything")
    }
    return order
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
        line += told.finalityWord(waitFinal)
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

/// When an order leaves by itself, as people write it.
enum Expiry: Hashable {
  case after(milliseconds: UInt64)
  case at(milliseconds: UInt64)

  /// Stamps have no more.
  private static let millisecondsMax: UInt64 = (1 << 48) - 1

  /// - Returns: nil if `text` is neither a duration (`30s`) nor a time (ISO 8601, with its zone).
  init?(_ text: String) {
    if let span = TimeSpan(argument: text) {
      self = .after(milliseconds: span.milliseconds)
      return
    }
    let formatter = ISO8601DateFormatter()
    for options: ISO8601DateFormatter.Options in [
      .withInternetDateTime, [.withInternetDateTime, .withFractionalSeconds],
    ] {
      formatter.formatOptions = options
      guard let date = formatter.date(from: text) else { continue }
      let milliseconds = (date.timeIntervalSince1970 * 1_000).rounded()
      guard milliseconds >= 0, milliseconds <= Double(Self.millisecondsMax) else { return nil }
      self = .at(milliseconds: UInt64(milliseconds))
      return
    }
    return nil
  }

  /// - Throws: `CommandError` for a time that has passed.
  func stamp(nowMilliseconds: UInt64) throws -> Stamp {
    switch self {
    case .after(let milliseconds):
      return Stamp(milliseconds: min(nowMilliseconds + milliseconds, Self.millisecondsMax))
    case .at(let milliseconds):
      let stamp = Stamp(milliseconds: milliseconds)
      guard milliseconds > nowMilliseconds else {
        let now = Self.text(Stamp(milliseconds: nowMilliseconds))
        throw CommandError(
          "expire: \(Self.text(stamp)) has passed; it is \(now)", advice: "give a later time, or a duration such as 30s"
        )
      }
      return stamp
    }
  }

  /// A stamp's time, to the millisecond.
  static func text(_ stamp: Stamp) -> String {
    let formatter = ISO8601DateFormatter()
    formatter.formatOptions = [.withInternetDateTime, .withFractionalSeconds]
    return formatter.string(from: Date(timeIntervalSince1970: Double(stamp.milliseconds) / 1_000))
  }
}
