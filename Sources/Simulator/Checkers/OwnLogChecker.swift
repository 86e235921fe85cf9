import EventLog
import Primitives
import Replica

/// A log is its author's: nobody has more of it on disk than the author, nobody refuses what the author wrote, and no
/// author whose disk is whole finds that it must stop.
struct OwnLogChecker: Checker {
  let name = "own-log"

  mutating func step(_ node: SimulatedNode, _ world: Simulation) -> String? {
    // A sealed log ends for each when it hears of it; the others grow where they are written first.
    for member in world.views.newest.members {
      let author = world.nodes[world.views.machines[member.origin.int]]
      if author.hasLostData { continue }
      let held = node.disk.entries(of: member.origin)
      let own = author.disk.entries(of: member.origin)
      if held > own {
        return "\(node.name) has \(held) entries of \(member.origin) on disk, \(author.name) itself has \(own)"
      }
    }
    return nil
  }

  mutating func noticed(_ notice: Notice, _ node: SimulatedNode, _ world: Simulation) -> String? {
    switch notice {
    case .badBatch, .badSignature, .badWord, .badAddress, .fork:
      // There is no malice here, and nobody writes under a name whose log its disk has lost.
      "\(node.name) noticed: \(notice)"
    case .unprovenClaim, .quarantined, .unbelieved, .bookMismatch, .deepRollback, .suspected, .heardAgain, .gaveUp,
      .wedged, .entered, .sealed, .voided, .attestationDiffers, .checkpointChanged, .checkpointContradicted,
      .fillDiffers, .fillMissing, .resubmitted, .needsSnapshot, .fetchesSnapshot, .badSnapshot, .finding, .injected:
      nil
    case .voidTailLost, .diskLost:
      node.hasLostData ? nil : "\(node.name), whose disk is whole, noticed: \(notice)"
    }
  }

  mutating func sample(_ world: Simulation) -> String? {
    for node in world.nodes {
      if case .out(let why) = node.condition { return "\(node.name) has stopped for good: \(why)" }
    }
    return nil
  }

  mutating func end(_ world: Simulation) -> String? { sample(world) }
}
