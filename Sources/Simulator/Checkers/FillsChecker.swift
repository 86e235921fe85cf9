import EventLog
import OrderBook
import Primitives
import Replica

/// Every final fill is published by its taker's home, once and in the order of execution, and nothing else is. Of a
/// home that was sealed others publish, and may repeat what it has published itself.
struct FillsChecker: Checker {
  let name = "fills"
  private var once: FinalOnce
  /// Of each home, in the order of execution; and how many of them were published.
  private var derived: [[FillAttestation]] = []
  private var published: [Int] = []
  /// What a damaged home published out of turn.
  private var early: [[FillAttestation]] = []

  init(nodes: Int) { once = FinalOnce(nodes: nodes) }

  private mutating func reserve(_ home: OriginIndex) {
    while derived.count <= home.int {
      derived.append([])
      published.append(0)
      early.append([])
    }
  }

  /// What was published out of turn has its turn now.
  private mutating func catchUp(_ home: Int) {
    while published[home] < derived[home].count,
      let place = early[home].firstIndex(of: derived[home][published[home]])
    {
      early[home].remove(at: place)
      published[home] += 1
    }
  }

  mutating func started(_ node: SimulatedNode, _ world: Simulation) { once.restarted(node) }

  mutating func finalised(_ run: AppliedRun, _ node: SimulatedNode, _ world: Simulation) -> String? {
    for index in once.news(run, from: node) {
      let item = run.items[index]
      for event in run.events(at: index) {
        guard case .filled(let fill) = event else { continue }
        reserve(fill.taker.origin)
        derived[fill.taker.origin.int].append(
          FillAttestation(
            maker: fill.maker, taker: fill.taker, priceTicks: fill.priceTicks, quantityLots: fill.quantityLots))
      }
      guard case .fill(let fill) = item.entry.payload else { continue }
      let home = fill.taker.origin.int
      reserve(fill.taker.origin)
      let expected = published[home] < derived[home].count ? derived[home][published[home]] : nil
      if fill == expected {
        published[home] += 1
        catchUp(home)
      } else if world.machine(of: item.dot.origin).map({ world.nodes[$0].wasDamaged }) == true {
        // What it derived was wrong; what it derives now it publishes after that.
        early[home].append(fill)
      } else if world.views.newest.contains(fill.taker.origin)
        || !derived[home].prefix(published[home]).contains(fill)
      {
        return "\(item.dot) is \(fill), the next fill is \(expected.map { "\($0)" } ?? "none")"
      }
      if world.views.newest.contains(fill.taker.origin), home != item.dot.origin.int {
        return "\(item.dot) is a fill of another home: \(fill)"
      }
    }
    return nil
  }

  mutating func noticed(_ notice: Notice, _ node: SimulatedNode, _ world: Simulation) -> String? {
    // One that is missing may only be late: its home may not hear the others while they hear it.
    if case .fillDiffers = notice, !world.hadDamage { "\(node.name) noticed: \(notice)" } else { nil }
  }

  mutating func end(_ world: Simulation) -> String? {
    guard world.nodes.allSatisfy({ $0.condition == .running || !$0.isWanted }) else { return nil }
    for home in derived.indices { catchUp(home) }
    for home in derived.indices where published[home] < derived[home].count {
      return "\(published[home]) of \(derived[home].count) fills of origin \(home) are published"
    }
    return nil
  }
}
