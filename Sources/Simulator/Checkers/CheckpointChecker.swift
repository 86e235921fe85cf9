import EventLog
import Primitives
import Replica

/// Checkpoints of one number have one hash, on every node and its disk, at every time, before and after a restart; and
/// nobody attests another. After healing, all have the same newest one, and every running member has attested it.
struct CheckpointChecker: Checker {
  let name = "checkpoint"

  /// The first node that closed it, and its hash. Looked up only, never walked.
  private var known: [UInt64: (checkpoint: Checkpoint, node: Int)] = [:]
  /// Newest number of each node that was looked at.
  private var seen: [UInt64]

  init(nodes: Int) { seen = Array(repeating: 0, count: nodes) }

  mutating func started(_ node: SimulatedNode, _ world: Simulation) { seen[node.index] = 0 }

  mutating func step(_ node: SimulatedNode, _ world: Simulation) -> String? {
    guard node.damage == nil, node.process?.replica.healthState.serves == true else {
      seen[node.index] = 0
      return nil
    }
    guard let newest = node.process?.replica.checkpoints.newest, newest.number > seen[node.index] else { return nil }
    let before = seen[node.index]
    seen[node.index] = newest.number
    for checkpoint in node.process?.replica.checkpoints.kept ?? [] where checkpoint.number > before {
      guard let first = known[checkpoint.number] else {
        known[checkpoint.number] = (checkpoint, node.index)
        continue
      }
      if first.checkpoint != checkpoint {
        return "\(node.name) has another checkpoint \(checkpoint.number) than n\(first.node + 1): "
          + difference(checkpoint, first.checkpoint)
      }
    }
    return nil
  }

  private func difference(_ one: Checkpoint, _ other: Checkpoint) -> String {
    var parts: [String] = []
    if one.previous != other.previous { parts.append("other ones before it") }
    if one.logHash != other.logHash { parts.append("other entries") }
    if one.fillsHash != other.fillsHash || one.fills != other.fills { parts.append("other fills") }
    if one.bookHash != other.bookHash { parts.append("another book") }
    return parts.joined(separator: ", ")
  }

  mutating func noticed(_ notice: Notice, _ node: SimulatedNode, _ world: Simulation) -> String? {
    if world.hadDamage { return nil }
    return switch notice {
    case .attestationDiffers, .checkpointChanged, .checkpointContradicted: "\(node.name) noticed: \(notice)"
    default: nil
    }
  }

  /// The disk has what was closed, but perhaps the last, which go with a commit that is still to come.
  private func kept(_ node: SimulatedNode) -> String? {
    let disk = node.disk.checkpoints.kept
    let closed = node.process?.replica.checkpoints.kept ?? []
    for checkpoint in disk where known[checkpoint.number]?.checkpoint != checkpoint {
      return "\(node.name) has a checkpoint \(checkpoint.number) on disk that nobody has closed"
    }
    // What is kept later was kept then.
    for checkpoint in closed where checkpoint.number <= disk.last?.number ?? 0 && !disk.contains(checkpoint) {
      return "\(node.name) has no checkpoint \(checkpoint.number) on disk, but later ones"
    }
    if closed.count > 3, disk.isEmpty { return "\(node.name) has no checkpoint on disk" }
    return nil
  }

  mutating func end(_ world: Simulation) -> String? {
    // Without all members nothing becomes final any more: neither checkpoints nor what is said of them.
    guard world.nodes.allSatisfy({ $0.condition == .running || !$0.isWanted }) else { return nil }
    let running = world.nodes.filter { $0.process != nil }
    let newest = running.map { $0.process?.replica.checkpoints.newest }
    for (node, checkpoint) in zip(running, newest) where checkpoint != newest[0] {
      return "\(node.name) ends with checkpoint \(checkpoint?.number ?? 0), \(running[0].name) with "
        + "\(newest[0]?.number ?? 0)"
    }
    for node in running {
      if let text = kept(node) { return text }
      guard let number = node.process?.replica.newestAttestedNumber, number > 0 else { continue }
      for member in world.views.newest.members
      where node.process?.replica.attesters(of: number).contains(member.origin) == false {
        return "\(member.origin) has not attested checkpoint \(number), as \(node.name) knows"
      }
    }
    return nil
  }
}
