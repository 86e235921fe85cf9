import EventLog
import OrderBook
import Primitives

/// Entries and what they say, for people: names instead of places, decimals instead of ticks and lots.
public struct EntryText: Sendable {
  /// By place in the register; an origin without a name is shown by its place.
  public var names: [String]
  /// Looked up only.
  private var instruments: [Dot: Instrument] = [:]

  public init(names: [String], instruments defined: [(dot: Dot, instrument: Instrument)] = []) {
    self.names = names
    for (dot, instrument) in defined { self.instruments[dot] = instrument }
  }

  /// Takes note of what an instrument's definition says. A definition that was rejected does no harm: no order that
  /// names it is ever accepted.
  public mutating func learn(_ dot: Dot, _ entry: Entry) {
    if case .command(.instrument(let instrument)) = entry.payload { instruments[dot] = instrument }
  }

  public func name(_ origin: OriginIndex) -> String {
    origin.int < names.count && !names[origin.int].isEmpty ? names[origin.int] : "origin \(origin)"
  }

  public func symbol(_ instrument: Dot) -> String {
    instruments[instrument]?.symbol.description ?? "instrument \(instrument)"
  }

  public func price(_ ticks: Int64, of instrument: Dot?) -> String {
    instrument.flatMap { instruments[$0] }?.tick.decimal(ticks) ?? "\(ticks) ticks"
  }

  public func quantity(_ lots: Int64, of instrument: Dot?) -> String {
    instrument.flatMap { instruments[$0] }?.lot.decimal(lots) ?? "\(lots) lots"
  }

  /// What kind of entry it is, in one word.
  public static func kind(_ payload: Payload) -> String {
    switch payload {
    case .command(.instrument): "instrument"
    case .command(.order): "order"
    case .command(.cancel): "cancel"
    case .command(.amend): "amend"
    case .command(.cancelAll): "cancel-all"
    case .fill: "fill"
    case .checkpoint: "checkpoint"
    }
  }

  /// What an entry says, without its key.
  /// - Parameter instrument: of the order that a fill, a cancel or an amend names, if it is known.
  public func describe(_ payload: Payload, instrument: Dot? = nil) -> String {
    switch payload {
    case .command(let command): describe(command, instrument)
    case .fill(let fill):
      "fill \(quantity(fill.quantityLots, of: instrument)) at \(price(fill.priceTicks, of: instrument)), maker "
        + "\(fill.maker), taker \(fill.taker)"
    case .checkpoint(let attestation):
      "checkpoint \(attestation.number) is \(attestation.checkpointHash.prefix(16)), book "
        + "\(attestation.bookHash.prefix(16)), \(attestation.fills) fills"
    }
  }

  private func describe(_ command: Command, _ instrument: Dot?) -> String {
    switch command {
    case .instrument(let defined):
      "instrument \(defined.symbol), tick \(defined.tick.decimal(Int64(1))), lot \(defined.lot.decimal(Int64(1)))"
    case .order(let order): describe(order)
    case .cancel(let cancel): "cancel \(name(cancel.target)), account \(cancel.account)"
    case .amend(let amend): describe(amend, instrument)
    case .cancelAll(let all):
      "cancel all of account \(all.account)" + (all.instrument.isNone ? "" : " in \(symbol(all.instrument))")
    }
  }

  public func describe(_ order: Order) -> String {
    var words = ["\(order.side.word) \(quantity(order.quantityLots, of: order.instrument)) \(symbol(order.instrument))"]
    switch order.type {
    case .limit: words.append("limit \(price(order.priceTicks, of: order.instrument))")
    case .market: words.append("market")
    case .stop: words.append("stop at \(price(order.stopPriceTicks, of: order.instrument))")
    case .stopLimit:
      words.append("stop at \(price(order.stopPriceTicks, of: order.instrument))")
      words.append("limit \(price(order.priceTicks, of: order.instrument))")
    }
    switch order.timeInForce {
    case .goodTillCancel: break
    case .immediateOrCancel: words.append("IOC")
    case .fillOrKill: words.append("FOK")
    case .goodTillDate: words.append("until \(order.expiry)")
    }
    var text = words.joined(separator: " ")
    if order.displayLots > 0 { text += ", shows \(quantity(order.displayLots, of: order.instrument))" }
    if order.postOnly { text += ", post-only" }
    switch order.selfTradePrevention {
    case .none: break
    case .cancelNewest: text += ", self-trade: cancel newest"
    case .cancelOldest: text += ", self-trade: cancel oldest"
    case .cancelBoth: text += ", self-trade: cancel both"
    case .decrement: text += ", self-trade: decrement"
    }
    text += ", account \(order.account)"
    if !order.clientOrderID.isNone { text += ", client order id \(order.clientOrderID)" }
    if !order.firstDot.isNone { text += ", sent again for \(order.firstDot)" }
    return text
  }

  private func describe(_ amend: Amend, _ instrument: Dot?) -> String {
    var words = ["amend \(name(amend.target))"]
    if let lots = amend.quantityLots {
      words.append("to \(quantity(lots, of: instrument))" + (amend.quantityMeaning == .open ? " open" : " in all"))
    }
    if let ticks = amend.priceTicks { words.append("at \(price(ticks, of: instrument))") }
    if amend.forfeitsPriority { words.append("entered anew") }
    return words.joined(separator: " ") + ", account \(amend.account)"
  }

  private func name(_ reference: OrderReference) -> String {
    switch reference {
    case .dot(let dot): "\(dot)"
    case .client(let id): "client order id \(id)"
    }
  }
}

extension Side {
  fileprivate var word: String { self == .buy ? "buy" : "sell" }
}
