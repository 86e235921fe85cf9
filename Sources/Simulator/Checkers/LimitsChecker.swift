import Replica

/// Every queue keeps to its limit.
struct LimitsChecker: Checker {
  let name = "limits"

  mutating func step(_ node: SimulatedNode, _ world: Simulation) -> String? {
    node.process?.replica.queueOverLimit
  }
}
