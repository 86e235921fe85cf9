import Diagnostics
import EventLog
import Foundation
import OrderBook
import Primitives

/// Entries, fills, orders and levels as people read them, with the instruments' own decimals.
struct HistoryText {
  private let entries: EntryText

  init(_ named: [NamedInstrument]) {
    entries = EntryText(names: [], instruments: named.map { ($0.dot, $0.instrument) })
  }

  private func symbol(_ instrument: Dot) -> String { entries.symbol(instrument) }
  private func price(_ ticks: Int64, _ instrument: Dot) -> String { entries.price(ticks, of: instrument) }
  private func quantity(_ lots: Int64, _ instrument: Dot) -> String { entries.quantity(lots, of: instrument) }

  static func time(_ stamp: Stamp) -> String {
    let date = Date(timeIntervalSince1970: Double(stamp.milliseconds) / 1_000)
    let format = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
    return format.format(date)
  }

  func text(_ entry: Entry) -> String { entries.describe(entry.payload) }

  func text(_ compared: ComparedOrder) -> String {
    let order = compared.resting
    var parts = [order.side == .buy ? "buy" : "sell", "open", quantity(order.openLots, order.instrument)]
    parts += ["filled", quantity(order.filledLots, order.instrument)]
    if order.priceTicks != 0 { parts.append("at \(price(order.priceTicks, order.instrument))") }
    if order.isWaiting { parts.append("waiting for \(price(order.stopPriceTicks, order.instrument))") }
    if order.displayLots != 0 {
      parts.append(
        "showing \(quantity(order.visibleLots, order.instrument)) of \(quantity(order.displayLots, order.instrument))")
    }
    if order.expiry != .zero { parts.append("until \(Self.time(order.expiry))") }
    var text = parts.joined(separator: " ") + ", account \(order.account)"
    if compared.quantityLots != order.openLots &+ order.filledLots {
      text += ", quantity \(quantity(compared.quantityLots, order.instrument))"
    }
    if !order.clientOrderID.isNone { text += ", id \(order.clientOrderID)" }
    return text
  }

  func text(_ fill: StoredFill) -> String {
    "\(quantity(fill.quantityLots, fill.instrument)) \(symbol(fill.instrument)) at "
      + "\(price(fill.priceTicks, fill.instrument)): maker \(fill.maker), taker \(fill.taker) "
      + "(\(fill.takerSide == .buy ? "buys" : "sells")), \(Self.time(fill.stamp))"
  }

  func text(_ level: LevelName) -> String {
    let kind =
      switch level.queue.kind {
      case .bids: "bids"
      case .asks: "asks"
      case .buyStops: "buy stops"
      case .sellStops: "sell stops"
      }
    return "\(symbol(level.queue.instrument)), \(kind), \(price(level.priceTicks, level.queue.instrument))"
  }
}
