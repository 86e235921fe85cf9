import EventLog
import Gossip
import OrderBook
import Primitives
import Replica

/// Watches a run for something that must never be. Each method gives a description of what is wrong, or nil.
package protocol Checker {
  var name: String { get }
  /// A node has taken a step.
  mutating func step(_ node: SimulatedNode, _ world: Simulation) -> String?
  /// A tenth of a virtual second has passed.
  mutating func sample(_ world: Simulation) -> String?
  /// Entries have become final at a node; after a restart it tells them again from the first one on.
  mutating func finalised(_ run: AppliedRun, _ node: SimulatedNode, _ world: Simulation) -> String?
  mutating func noticed(_ notice: Notice, _ node: SimulatedNode, _ world: Simulation) -> String?
  /// A node told a client, which follows what becomes of them, that these are accepted.
  mutating func followed(_ entries: [Acknowledged], _ node: SimulatedNode, _ world: Simulation)
  /// A node told its clients what became of their commands.
  mutating func reported(_ reports: [OrderReport], _ node: SimulatedNode, _ world: Simulation) -> String?
  /// Whether it is told what is sent.
  var hearsMessages: Bool { get }
  /// A node sends a message.
  mutating func sent(_ message: PeerMessage, _ node: SimulatedNode, _ world: Simulation) -> String?
  mutating func started(_ node: SimulatedNode, _ world: Simulation)
  mutating func faultBegan(_ fault: Fault, _ world: Simulation)
  /// All is healed, and all agree.
  mutating func end(_ world: Simulation) -> String?
}

extension Checker {
  package var hearsMessages: Bool { false }
  package mutating func step(_ node: SimulatedNode, _ world: Simulation) -> String? { nil }
  package mutating func sample(_ world: Simulation) -> String? { nil }
  package mutating func finalised(_ run: AppliedRun, _ node: SimulatedNode, _ world: Simulation) -> String? { nil }
  package mutating func noticed(_ notice: Notice, _ node: SimulatedNode, _ world: Simulation) -> String? { nil }
  package mutating func followed(_ entries: [Acknowledged], _ node: SimulatedNode, _ world: Simulation) {}
  package mutating func reported(_ reports: [OrderReport], _ node: SimulatedNode, _ world: Simulation) -> String? {
    nil
  }
  package mutating func sent(_ message: PeerMessage, _ node: SimulatedNode, _ world: Simulation) -> String? { nil }
  package mutating func started(_ node: SimulatedNode, _ world: Simulation) {}
  package mutating func faultBegan(_ fault: Fault, _ world: Simulation) {}
  package mutating func end(_ world: Simulation) -> String? { nil }
}

extension Entry {
  /// What a client asked for; nil for a fill or an attestation, which the book ignores but for orders that are due.
  var command: Command? {
    if case .command(let command) = payload { command } else { nil }
  }
}

/// All checkers of a run.
package enum Checkers {
  package static func all(nodes: Int) -> [any Checker] {
    [
      ConvergenceChecker(nodes: nodes), DurabilityChecker(nodes: nodes), DoubleEntryChecker(nodes: nodes),
      ConservationChecker(nodes: nodes), ShadowChecker(nodes: nodes), ReportsChecker(nodes: nodes),
      CheckpointChecker(nodes: nodes), FillsChecker(nodes: nodes), OwnLogChecker(), WordChecker(nodes: nodes),
      ViewsChecker(nodes: nodes), ResubmissionChecker(nodes: nodes), LimitsChecker(), StructureChecker(),
      FinalityChecker(), DamageChecker(),
    ]
  }
}
