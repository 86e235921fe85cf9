import EventLog
import Gossip
import Primitives
import Replica

/// A damaged book is found within the scrubber's interval, by the node itself; nothing is served from it after that; it
/// is back, and right. Nobody else stops, nobody is accused wrongly, and where nothing is damaged nothing is found.
struct DamageChecker: Checker {
  let name = "damage"
  let hearsMessages = true
  /// Beyond the interval: what changes is looked at the next time, and what is hashed already takes attestations.
  private static let slackMicroseconds: UInt64 = 1_000_000
  /// A whole pass over a simulated log, and what a process may be paused meanwhile.
  private static let logMicroseconds: UInt64 = 12_000_000
  /// After that, what was damaged is gone from the book, or other checkers see it.
  private static let goneMicroseconds: UInt64 = 6_000_000
  /// An order that was taken before may be acknowledged so long after.
  private static let commitMicroseconds: UInt64 = 1_000_000

  mutating func started(_ node: SimulatedNode, _ world: Simulation) { node.damagedRows.removeAll() }

  mutating func sample(_ world: Simulation) -> String? {
    for node in world.nodes {
      if let row = node.damagedRows.first, node.process != nil, node.pauses == 0, node.slowness == 0,
        world.now > row.at + Self.logMicroseconds
      {
        return "\(node.name) has had a damaged row of origin \(row.origin) at \(row.sequence) for "
          + "\((world.now - row.at) / 1_000) ms"
      }
      guard var damage = node.damage, damage.foundAt == nil, let process = node.process else { continue }
      guard node.pauses == 0, node.slowness == 0, process.replica.healthState.serves else { continue }
      damage.awakeMicroseconds += Simulation.sampleMicroseconds
      node.damage = damage
      let interval = world.profile.scrubMicroseconds + Self.slackMicroseconds
      if damage.kind == .flippedBook, damage.awakeMicroseconds > interval {
        let raw = process.replica.withBook { $0.recomputedBookHash() }
        if raw != process.replica.bookHash() {
          return "\(node.name) has had a flipped bit in its book for \(damage.awakeMicroseconds / 1_000) ms: "
            + "\(damage.text); it is \(process.replica.healthState), \(process.replica.scrubProgress.passes) passes"
        }
      }
      if damage.awakeMicroseconds > interval + Self.goneMicroseconds { node.damage = nil }
    }
    return nil
  }

  mutating func sent(_ message: PeerMessage, _ node: SimulatedNode, _ world: Simulation) -> String? {
    guard let process = node.process, !process.replica.healthState.serves else { return nil }
    if case .digest(let digest) = message, digest.bookHash != nil,
      world.now > (node.damage?.foundAt ?? 0) + Self.commitMicroseconds
    {
      return "\(node.name) tells its book's hash while it is \(process.replica.healthState)"
    }
    return nil
  }

  mutating func followed(_ entries: [Acknowledged], _ node: SimulatedNode, _ world: Simulation) {
    guard let found = node.damage?.foundAt, world.now > found + Self.commitMicroseconds else { return }
    served = "\(node.name) takes orders, \((world.now - found) / 1_000) ms after it found that its book is wrong"
  }
  private var served: String?

  mutating func step(_ node: SimulatedNode, _ world: Simulation) -> String? { served }

  mutating func noticed(_ notice: Notice, _ node: SimulatedNode, _ world: Simulation) -> String? {
    guard case .finding(let finding) = notice else { return nil }
    switch finding.cause {
    case .bookDamage, .contradicted, .replayDiffers:
      return node.wasDamaged ? nil : "\(node.name) has a sound book and says: \(finding)"
    case .wrongAttestation, .wrongDigest:
      let accused = finding.origin.flatMap { world.machine(of: $0) }
      return accused.map { world.nodes[$0].wasDamaged } == true ? nil : "\(node.name) is wrong: \(finding)"
    case .logDamage:
      node.damagedRows.removeAll()
      return node.hasDamage ? nil : "\(node.name) is wrong: \(finding)"
    case .equivocation:
      return node.hasDamage ? nil : "\(node.name) is wrong: \(finding)"
    }
  }

  mutating func end(_ world: Simulation) -> String? {
    for node in world.nodes {
      guard let replica = node.process?.replica.findings else { continue }
      for finding in replica.findings where finding.state.isOpen {
        return "\(node.name) ends with \(finding)"
      }
    }
    return nil
  }
}
