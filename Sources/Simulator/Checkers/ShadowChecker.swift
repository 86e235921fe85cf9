import EventLog
import Oracle
import OrderBook
import Primitives
import Replica

/// The naive oracle replays what is final, entry by entry, and must derive the same events; at the end it replays all
/// entries and must come to the same book.
struct ShadowChecker: Checker {
  let name = "shadow"
  private var once: FinalOnce
  private var oracle = Oracle()

  init(nodes: Int) { once = FinalOnce(nodes: nodes) }

  mutating func started(_ node: SimulatedNode, _ world: Simulation) { once.restarted(node) }

  mutating func finalised(_ run: AppliedRun, _ node: SimulatedNode, _ world: Simulation) -> String? {
    for index in once.news(run, from: node) {
      let item = run.items[index]
      let expected = oracle.apply(item.entry.command, at: item.dot, stamp: item.entry.stamp)
      let found = Array(run.events(at: index))
      if expected != found {
        return "\(item.dot) (\(item.entry.payload)) gives \(found), the oracle says \(expected)"
      }
    }
    return nil
  }

  /// The book of the final entries with those that are still tentative on top.
  mutating func end(_ world: Simulation) -> String? {
    guard let reference = world.nodes.first(where: { $0.process != nil }), let process = reference.process else {
      return nil
    }
    var rest = oracle
    for entry in process.replica.tentativeEntries(after: once.count) {
      _ = rest.apply(entry.entry.command, at: entry.dot, stamp: entry.entry.stamp)
    }
    let expected = rest.bookHash()
    let found = process.replica.bookHash()
    return found == expected
      ? nil : "\(reference.name) ends with book \(found.prefix(12)), the oracle with \(expected.prefix(12))"
  }
}
