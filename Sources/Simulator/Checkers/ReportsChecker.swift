import EventLog
import Oracle
import OrderBook
import Primitives
import Replica

/// What clients are told adds up: each report goes on from the one before, corrections included; what was told as final
/// is never taken back; and when everything is final the last one says so and is what the ledger of final events says.
struct ReportsChecker: Checker {
  let name = "reports"

  private struct Told {
    var fills: [OrderReport.ReportedFill] = []
    var last: OrderReport?
    /// How many of the fills were told as final.
    var finalFills = 0
  }

  private var once: FinalOnce
  private var ledger = Ledger()
  /// Of each node's present process: what it follows, in order, and what it told. The dictionary is looked up only.
  private var followed: [[Dot]]
  private var told: [[Dot: Told]]
  /// Orders that were followed through a book that was damaged: what was told of them may be anything.
  private var ignored: [Set<Dot>]
  /// As which final order a void one came again. Looked up only.
  private var again: [Dot: Dot] = [:]

  init(nodes: Int) {
    once = FinalOnce(nodes: nodes)
    followed = Array(repeating: [], count: nodes)
    told = Array(repeating: [:], count: nodes)
    ignored = Array(repeating: [], count: nodes)
  }

  mutating func started(_ node: SimulatedNode, _ world: Simulation) {
    once.restarted(node)
    // Whoever followed through the old process has lost its connection.
    followed[node.index].removeAll()
    told[node.index].removeAll()
    ignored[node.index].removeAll()
  }

  mutating func faultBegan(_ fault: Fault, _ world: Simulation) {
    guard fault.kind.isDamage else { return }
    ignored[fault.node].formUnion(followed[fault.node])
    followed[fault.node].removeAll()
    told[fault.node].removeAll()
  }

  mutating func followed(_ entries: [Acknowledged], _ node: SimulatedNode, _ world: Simulation) {
    for entry in entries {
      guard case .order = entry.command else { continue }
      if node.damage == nil { followed[node.index].append(entry.dot) } else { ignored[node.index].insert(entry.dot) }
    }
  }

  mutating func reported(_ reports: [OrderReport], _ node: SimulatedNode, _ world: Simulation) -> String? {
    for report in reports where !ignored[node.index].contains(report.entry) {
      var entry = told[node.index][report.entry] ?? Told()
      guard report.fillsStanding <= entry.fills.count else {
        return "\(report) lets \(report.fillsStanding) fills stand, only \(entry.fills.count) were told"
      }
      if report.fillsStanding < entry.fills.count, !report.isCorrection {
        return "\(report) takes fills back and is no correction"
      }
      if report.fillsStanding < entry.finalFills { return "\(report) takes back fills that were told as final" }
      if let last = entry.last, last.isFinal, last.state.isTerminal {
        return "\(report) follows \(last), which was final and the end"
      }
      entry.fills = entry.fills.prefix(report.fillsStanding) + report.newFills
      let filled = entry.fills.reduce(0) { $0 + $1.quantityLots }
      if filled != report.filledLots { return "\(report) says so much is filled, its fills say \(filled)" }
      if report.isFinal { entry.finalFills = entry.fills.count }
      entry.last = report
      told[node.index][report.entry] = entry
    }
    return nil
  }

  mutating func finalised(_ run: AppliedRun, _ node: SimulatedNode, _ world: Simulation) -> String? {
    for index in once.news(run, from: node) {
      let item = run.items[index]
      let events = Array(run.events(at: index))
      guard item.entry.command != nil || !events.isEmpty else { continue }
      if case .order(let order)? = item.entry.command, !order.firstDot.isNone { again[order.firstDot] = item.dot }
      // What is wrong with the events themselves is another checker's.
      try? ledger.follow(item.entry.command, at: item.dot, stamp: item.entry.stamp, events)
    }
    return nil
  }

  mutating func end(_ world: Simulation) -> String? {
    guard world.nodes.allSatisfy({ $0.condition == .running || !$0.isWanted }) else { return nil }
    for node in world.nodes {
      for dot in followed[node.index] {
        let isVoid = world.views.isVoid(dot)
        let last = told[node.index][dot]?.last
        if isVoid, again[dot] == nil {
          // It could not be sent again, or its node cannot any more.
          let isToldSo = last?.state == .rejected && last?.reason == RejectReason.sealed.rawValue
          if isToldSo || last?.state == .expired || node.hasLostData { continue }
          return "\(dot) is void and was last told as \(last.map { "\($0.state)" } ?? "nothing")"
        }
        guard let account = ledger[again[dot] ?? dot] else { return "\(dot) is final nowhere" }
        guard let last else { return "nothing was ever told of \(dot), which is \(account.status)" }
        // One whose date has come is told so before an entry takes it out of the book.
        if last.state == .expired, !account.status.isTerminal, account.order.expiry > .zero { continue }
        if last.state.rawValue != account.status.rawValue || Int128(last.filledLots) != account.lots.filled {
          return "\(dot) was last told as \(last.state), \(last.filledLots) filled; it is \(account.status), "
            + "\(account.lots.filled) filled"
        }
        if !last.isFinal { return "\(dot) is \(account.status) for good, and its client was not told that it is final" }
      }
    }
    return nil
  }
}

extension OrderReport.State {
  /// Nothing comes after it, once final.
  fileprivate var isTerminal: Bool {
    switch self {
    case .filled, .cancelled, .expired, .rejected, .done: true
    case .pending, .open, .partiallyFilled: false
    }
  }
}
