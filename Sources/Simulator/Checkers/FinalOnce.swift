import EventLog

/// Every node tells what becomes final, and tells it again after a restart. This picks what nobody has told before.
struct FinalOnce {
  private(set) var count = 0
  private var told: [Int]

  init(nodes: Int) { told = Array(repeating: 0, count: nodes) }

  /// It has told what the snapshot stands for from which it starts, if there is one.
  mutating func restarted(_ node: SimulatedNode) {
    told[node.index] = Int(node.process?.replica.restoredEntries ?? 0)
  }

  /// Places in the run of entries that are new.
  mutating func news(_ run: AppliedRun, from node: Int) -> Range<Int> {
    let first = max(0, count - told[node])
    told[node] += run.items.count
    count = max(count, told[node])
    return min(first, run.items.count)..<run.items.count
  }
}
