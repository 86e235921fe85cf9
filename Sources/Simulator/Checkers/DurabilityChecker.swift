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
    let held = node.disk.entries(of: node.index)
    for entry in acknowledged[compared[node.index]...] where entry.dot.sequence > held {
      return "\(entry.dot) was acknowledged to a client, \(node.name) has \(held) entries of its own on disk"
    }
    compared[node.index] = acknowledged.count
    return nil
  }

  mutating func started(_ node: SimulatedNode, _ world: Simulation) { compared[node.index] = 0 }

  mutating func end(_ world: Simulation) -> String? {
    for (origin, entries) in world.acknowledged.enumerated() {
      // What only a lost disk had was promised to nobody.
      let author = world.nodes[origin]
      if author.hasLostData || author.process == nil { continue }
      for node in world.nodes where node.process != nil {
        let held = node.process?.replica.status.vector[author.origin] ?? 0
        for entry in entries where entry.dot.sequence > held {
          return "\(entry.dot) was acknowledged, \(node.name) ends with \(held) entries of \(author.name)"
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
