import EventLog
import Oracle
import OrderBook
import Primitives
import Replica

/// Placed is open, filled, cancelled, expired, rejected and reduced, for every order; nothing is overfilled; orders
/// trade by price, then time. Read from final events alone, by a ledger that does not know how orders are matched.
struct ConservationChecker: Checker {
  let name = "conservation"
  private var once: FinalOnce
  private var ledger = Ledger()

  init(nodes: Int) { once = FinalOnce(nodes: nodes) }

  mutating func started(_ node: SimulatedNode, _ world: Simulation) { once.restarted(node) }

  mutating func finalised(_ run: AppliedRun, _ node: SimulatedNode, _ world: Simulation) -> String? {
    for index in once.news(run, from: node) {
      let item = run.items[index]
      let events = Array(run.events(at: index))
      guard item.entry.command != nil || !events.isEmpty else { continue }
      do throws(Ledger.Mistake) {
        try ledger.follow(item.entry.command, at: item.dot, stamp: item.entry.stamp, events)
      } catch {
        return "\(item.dot): \(error.text)"
      }
    }
    return nil
  }

  mutating func end(_ world: Simulation) -> String? {
    for account in ledger.accounts where !account.lots.isBalanced {
      return "\(account.dot) does not balance: \(account.lots)"
    }
    return nil
  }
}
