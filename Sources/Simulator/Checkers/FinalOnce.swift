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

  /// Places in the run of entries that are new. What a damaged node tells is not listened to; what it tells again,
  /// when its book is another one, is.
  mutating func news(_ run: AppliedRun, from teller: SimulatedNode) -> Range<Int> {
    let node = teller.index
    if let anew = run.anew { told[node] = Int(anew.entries) }
    guard !teller.tellsLies, told[node] <= count else {
      told[node] += run.items.count
      return 0..<0
    }
    let first = max(0, count - told[node])
    told[node] += run.items.count
    count = max(count, told[node])
    return min(first, run.items.count)..<run.items.count
  }
}
