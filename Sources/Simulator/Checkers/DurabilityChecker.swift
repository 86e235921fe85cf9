import EventLog
import OrderBook
import Primitives
import Replica

/// What a client was told is accepted is never lost while the disk that took it is whole, and never anything else than
/// what was sent.
struct DurabilityChecker: Checker {
  let name = "durability"
  /// How far the acknowledged entries of each origin were compared with its own disk.
  private var compared: [Int]

  init(nodes: Int) { compared = Array(repeating: 0, count: nodes) }

  mutating func step(_ node: SimulatedNode, _ world: Simulation) -> String? {
    guard !node.hasLostData else { return nil }
    let acknowledged = world.acknowledged[node.index]
    guard compared[node.index] < acknowledged.count else { return nil }
    for entry in acknowledged[compared[node.index]...] where !world.views.isVoid(entry.dot) {
      let held = node.disk.entries(of: entry.dot.origin)
      guard entry.dot.sequence > held, !node.disk.hasVoid(entry.dot) else { continue }
      return "\(entry.dot) was acknowledged to a client, \(node.name) has \(held) entries of its own on disk"
    }
    compared[node.index] = acknowledged.count
    return nil
  }

  mutating func started(_ node: SimulatedNode, _ world: Simulation) { compared[node.index] = 0 }

  mutating func end(_ world: Simulation) -> String? {
    for (machine, all) in world.acknowledged.enumerated() {
      // What only a lost disk had was promised to nobody; what was void is sent again under other names.
      let author = world.nodes[machine]
      if author.hasLostData || author.process == nil { continue }
      let entries = all.filter { !world.views.isVoid($0.dot) }
      for node in world.nodes {
        guard let vector = node.process?.replica.status.vector else { continue }
        for entry in entries where entry.dot.sequence > vector[entry.dot.origin] {
          return "\(entry.dot) was acknowledged, \(node.name) ends with \(vector[entry.dot.origin]) entries of its log"
        }
      }
      for entry in entries {
        guard let found = author.process?.replica.entry(entry.dot) else { continue }
        if found.stamp != entry.stamp || found.payload != .command(entry.command) {
          return "\(entry.dot) was acknowledged as \(entry.command), the log has \(found.payload)"
        }
      }
    }
    return nil
  }
}
