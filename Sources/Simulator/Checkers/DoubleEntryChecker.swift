import EventLog
import OrderBook
import Primitives
import Replica

/// A client order id takes effect once, wherever and however often its order was sent; so does a void order that its
/// node sends again.
struct DoubleEntryChecker: Checker {
  let name = "double entry"

  private struct Name: Hashable {
    var account: AccountID
    var id: ClientOrderID
  }

  private var once: FinalOnce
  /// Which entry took effect under a name. Looked up only, never walked.
  private var effective: [Name: Dot] = [:]
  /// The same by the first dot that an order ever had.
  private var effectiveDots: [Dot: Dot] = [:]

  init(nodes: Int) { once = FinalOnce(nodes: nodes) }

  mutating func started(_ node: SimulatedNode, _ world: Simulation) { once.restarted(node) }

  mutating func finalised(_ run: AppliedRun, _ node: SimulatedNode, _ world: Simulation) -> String? {
    for index in once.news(run, from: node) {
      let item = run.items[index]
      guard case .command(.order(let order)) = item.entry.payload,
        !order.clientOrderID.isNone || !order.firstDot.isNone
      else { continue }
      var hasEffect = false
      for event in run.events(at: index) {
        switch event {
        case .accepted(let dot), .waiting(let dot, _): if dot == item.dot { hasEffect = true }
        default: break
        }
      }
      guard hasEffect else { continue }
      if !order.firstDot.isNone, let first = effectiveDots.updateValue(item.dot, forKey: order.firstDot) {
        return "\(order.firstDot) was void, and took effect as \(first) and again as \(item.dot)"
      }
      if order.clientOrderID.isNone { continue }
      let name = Name(account: order.account, id: order.clientOrderID)
      if let first = effective.updateValue(item.dot, forKey: name) {
        return
          "client order id \(order.clientOrderID) of account \(order.account) took effect as \(first) and again as "
          + "\(item.dot)"
      }
    }
    return nil
  }
}
