import EventLog
import Primitives
import Replica

/// A log is its author's: nobody has more of it on disk than the author, nobody refuses what the author wrote, and no
/// author whose disk is whole finds that it must stop.
struct OwnLogChecker: Checker {
  let name = "own-log"

  mutating func step(_ node: SimulatedNode, _ world: Simulation) -> String? {
    for author in world.nodes where !author.hasLostData {
      let held = node.disk.entries(of: author.index)
      let own = author.disk.entries(of: author.index)
      if held > own {
        return "\(node.name) has \(held) entries of \(author.name) on disk, \(author.name) itself has \(own)"
      }
    }
    return nil
  }

  mutating func noticed(_ notice: Notice, _ node: SimulatedNode, _ world: Simulation) -> String? {
    switch notice {
    case .badBatch(let origin, _, _), .badSignature(let origin, _), .badAddress(let origin, _),
      .fork(let origin, _, _):
      // There is no malice here: only who lost data can contradict itself.
      world.nodes[origin.int].hasLostData ? nil : "\(node.name) noticed: \(notice)"
    case .unprovenClaim, .quarantined, .bookMismatch, .deepRollback: nil
    }
  }

  mutating func sample(_ world: Simulation) -> String? {
    for node in world.nodes where !node.hasLostData {
      if case .out(let why) = node.condition { return "\(node.name) has stopped although its disk is whole: \(why)" }
    }
    return nil
  }

  mutating func end(_ world: Simulation) -> String? { sample(world) }
}
