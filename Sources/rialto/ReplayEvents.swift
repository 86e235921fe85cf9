import OrderBook
import Primitives

/// What happened, for a person to read: a line of CSV an event, in order.
///
/// | column | |
/// |---|---|
/// | `operation` | the operation that was being applied; the first one, on line 2 of the file, is 1 |
/// | `event` | the name of an `OrderEvent` |
/// | `order` | file id of the order concerned; of a fill, the maker; of a rejection, what the operation names |
/// | `price` | of a fill; of an amended order, its limit price |
/// | `qty` | lots traded, cancelled, expired, or taken off; shown anew, if refreshed |
/// | `open` | lots of the order that are open after the event |
/// | `reason` | why it was cancelled or rejected |
/// | `other` | file id of the taker; of a rejection, the order concerned, if there is one |
/// | `other_open` | lots of the taker that are open after the fill |
enum ReplayEvents {
  static let header = "operation,event,order,price,qty,open,reason,other,other_open"

  /// - Parameter id: the file id of the operation that made an entry; nil for one that no operation made.
  static func line(_ event: OrderEvent, operation: Int, id: (Dot) -> UInt64?) -> String {
    var fields = [String](repeating: "", count: 9)
    fields[0] = "\(operation)"
    func name(_ dot: Dot) -> String { id(dot).map { "\($0)" } ?? "" }
    func set(
      _ word: String, _ order: Dot, price: Int64? = nil, quantity: Int64? = nil, open: Int64? = nil, reason: String = ""
    ) {
      fields[1] = word
      fields[2] = name(order)
      fields[3] = price.map { "\($0)" } ?? ""
      fields[4] = quantity.map { "\($0)" } ?? ""
      fields[5] = open.map { "\($0)" } ?? ""
      fields[6] = reason
    }
    switch event {
    case .accepted(let order): set("accepted", order)
    case .waiting(let order, let open): set("waiting", order, open: open)
    case .triggered(let order): set("triggered", order)
    case .rested(let order, let open): set("rested", order, open: open)
    case .refreshed(let order, let visible): set("refreshed", order, quantity: visible)
    case .filled(let fill):
      set(
        "filled", fill.maker, price: fill.priceTicks, quantity: fill.quantityLots, open: fill.makerOpenLots)
      fields[7] = name(fill.taker)
      fields[8] = "\(fill.takerOpenLots)"
    case .cancelled(let order, let reason, let open):
      set("cancelled", order, quantity: open, open: 0, reason: "\(reason)")
    case .expired(let order, let open): set("expired", order, quantity: open, open: 0)
    case .reduced(let order, let lots, let open): set("reduced", order, quantity: lots, open: open)
    case .amended(let order, _, let price, let open, let reduced):
      set("amended", order, price: price, quantity: reduced, open: open)
    case .rejected(let entry, let reason, let order):
      set("rejected", entry, reason: "\(reason)")
      if !order.isNone { fields[7] = name(order) }
    case .instrumentDefined(let entry): set("instrumentDefined", entry)
    }
    return fields.joined(separator: ",")
  }
}
