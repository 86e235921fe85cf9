import OrderBook
import Primitives

/// Where an order's lots went.
package struct OrderLots: Equatable, Sendable {
  /// All that was ever asked for: amends that ask for more add to it.
  package var placed: Int128
  package var open: Int128 = 0
  package var filled: Int128 = 0
  package var cancelled: Int128 = 0
  package var expired: Int128 = 0
  package var rejected: Int128 = 0
  /// By self-trade prevention or by amends.
  package var reduced: Int128 = 0

  package init(placed: Int128) { self.placed = placed }

  /// No lot is lost, and none made.
  package var isBalanced: Bool {
    // What was rejected may have been no quantity at all.
    placed == open + filled + cancelled + expired + rejected + reduced
      && [open, filled, cancelled, expired, reduced].allSatisfy { $0 >= 0 }
  }

  package static func += (sum: inout OrderLots, other: OrderLots) {
    sum.placed += other.placed
    sum.open += other.open
    sum.filled += other.filled
    sum.cancelled += other.cancelled
    sum.expired += other.expired
    sum.rejected += other.rejected
    sum.reduced += other.reduced
  }
}

extension Oracle {
  /// What became of an order, if one was placed by that entry.
  package func lots(of dot: Dot) -> OrderLots? { lots[dot] }

  /// Books what the entry's events did to each order.
  mutating func bookLots(of command: Command?, _ entry: Dot) {
    if case .order(let order) = command { lots[entry] = OrderLots(placed: Int128(order.quantityLots)) }
    for event in events {
      switch event {
      case .accepted(let dot): change(dot) { $0.open = $0.placed }
      case .rejected(let dot, _, _):
        // Nobody's, if it was no order.
        change(dot) { $0.rejected = $0.placed }
      case .filled(let fill):
        for dot in [fill.maker, fill.taker] {
          change(dot) {
            $0.open -= Int128(fill.quantityLots)
            $0.filled += Int128(fill.quantityLots)
          }
        }
      case .cancelled(let dot, _, let open):
        change(dot) {
          $0.open -= Int128(open)
          $0.cancelled += Int128(open)
        }
      case .expired(let dot, let open):
        change(dot) {
          $0.open -= Int128(open)
          $0.expired += Int128(open)
        }
      case .reduced(let dot, let taken, _):
        change(dot) {
          $0.open -= Int128(taken)
          $0.reduced += Int128(taken)
        }
      case .amended(let dot, _, _, let open, let less):
        change(dot) {
          $0.open = Int128(open)
          if less > 0 { $0.reduced += Int128(less) } else { $0.placed -= Int128(less) }
        }
      case .waiting, .triggered, .rested, .refreshed, .instrumentDefined: break
      }
    }
  }

  private mutating func change(_ dot: Dot, _ body: (inout OrderLots) -> Void) {
    guard var order = lots[dot] else { return }
    body(&order)
    lots[dot] = order
  }
}
