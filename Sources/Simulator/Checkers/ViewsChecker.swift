import EventLog
import Membership
import Primitives
import Replica

/// One value a view, on every node; nobody goes back; floors never sink; nothing that is final is ever void, and no
/// stamp of who joins is below what may have been final before.
struct ViewsChecker: Checker {
  let name = "views"
  /// Each node's present view, as its disk and its process have it.
  private var entered: [UInt64]
  private var wasWiped: [Bool]
  /// The newest view that any node has entered.
  private var newest: UInt64 = 0
  private var once: FinalOnce
  /// Final entries of origins, the highest of each by place.
  private var finals: [UInt64] = []
  /// Newest stamp that was ever final.
  private var final = Stamp.zero

  init(nodes: Int) {
    entered = Array(repeating: 0, count: nodes)
    wasWiped = Array(repeating: false, count: nodes)
    once = FinalOnce(nodes: nodes)
  }

  mutating func started(_ node: SimulatedNode, _ world: Simulation) {
    once.restarted(node)
    if wasWiped[node.index] { entered[node.index] = 0 }
    wasWiped[node.index] = false
  }

  mutating func faultBegan(_ fault: Fault, _ world: Simulation) {
    if fault.kind == .wipedDisk { wasWiped[fault.node] = true }
  }

  mutating func step(_ node: SimulatedNode, _ world: Simulation) -> String? {
    guard let process = node.process else { return nil }
    let value = process.replica.viewValue
    guard value.number != entered[node.index] else { return nil }
    guard value.number > entered[node.index] else {
      return "\(node.name) went from view \(entered[node.index]) back to \(value.number)"
    }
    entered[node.index] = value.number
    for (place, sequence) in finals.enumerated() where place < value.base.count {
      if let cut = value.cut(of: OriginIndex(UInt32(place))), cut < sequence {
        return "view \(value.number) ends the log of \(place) at \(cut), \(sequence) entries of it are final"
      }
    }
    let isFirst = value.number > newest
    newest = max(newest, value.number)
    guard isFirst, let before = world.views.values[value.number - 1] else { return nil }
    if value.floor < before.floor {
      return "view \(value.number) has the floor \(value.floor), that of the view before is \(before.floor)"
    }
    if value.origins.count > before.origins.count, value.floor < final {
      return "view \(value.number) admits a member at floor \(value.floor), \(final) is final"
    }
    return nil
  }

  mutating func finalised(_ run: AppliedRun, _ node: SimulatedNode, _ world: Simulation) -> String? {
    for index in once.news(run, from: node) {
      let item = run.items[index]
      let place = item.dot.origin.int
      while finals.count <= place { finals.append(0) }
      finals[place] = max(finals[place], item.dot.sequence)
      final = max(final, item.entry.stamp)
      if world.views.isVoid(item.dot) { return "\(item.dot) is final at \(node.name), and void" }
    }
    return nil
  }
}
