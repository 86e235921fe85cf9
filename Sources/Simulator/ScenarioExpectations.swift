import EventLog
import OrderBook
import Primitives
import Replica

/// Whether the world is as a script expects it.
extension ScenarioRun {
  /// What is otherwise than expected; nil if nothing is.
  func contradiction(to expectation: Scenario.Expectation) -> String? {
    switch expectation {
    case .agreement: return disagreement
    case .nothingTentative:
      for node in simulation.nodes {
        if let status = node.process?.replica.status, status.tentative > 0 {
          return "at \(node.name), \(status.tentative) entries are tentative"
        }
      }
      return nil
    case .levels(let nodes, let side, let levels):
      return first(of: nodes) { node, process in
        let found = self.levels(process, side)
        return found == levels ? nil : "\(node.name) has \(Self.list(found, side == .buy ? "bids" : "asks"))"
      }
    case .trades(let nodes, let trades):
      return first(of: nodes) { node, process in
        let found = self.trades(node, process)
        return found == trades ? nil : "\(node.name) has \(Self.list(found, "trades"))"
      }
    case .order(let nodes, let name, let order):
      guard let dot = dot(of: name).map({ recorder.present($0) }) else { return "\(name) was not accepted" }
      return first(of: nodes) { node, process in contradiction(to: order, dot, node, process) }
    case .lacks(let nodes, let name):
      guard let dot = dot(of: name).map({ recorder.present($0) }) else { return "\(name) was not accepted" }
      return first(of: nodes) { node, process in
        process.replica.status.vector[dot.origin] < dot.sequence ? nil : "\(node.name) holds \(recorder.name(dot))"
      }
    case .condition(let nodes, let condition):
      for index in nodes {
        if let text = contradiction(to: condition, simulation.nodes[index]) { return text }
      }
      return nil
    case .view(let number, let members): return contradiction(toView: number, of: members)
    case .void(let name):
      guard let dot = dot(of: name) else { return "\(name) was not accepted" }
      return simulation.views.isVoid(dot) ? nil : "\(recorder.name(dot)) counts"
    case .told(let name, let expected):
      guard let dot = dot(of: name) else { return "\(name) was not accepted" }
      guard let told = recorder.toldByDot[dot] else { return "nothing was told of it" }
      let isSo =
        told.state.rawValue == expected.status.rawValue && (expected.openLots ?? told.openLots) == told.openLots
        && (expected.reason == nil || expected.reason?.rawValue == told.reason)
      return isSo ? nil : "last told is \(told.state), open \(told.openLots), reason \(told.reason)"
    case .answer(let name, let answer):
      guard let submission = submission(name), let asked = recorder.askedBySubmission[submission] else {
        return "\(name) was not sent"
      }
      return asked.answer == answer ? nil : "it is \(asked.answer.text)"
    }
  }

  /// The first complaint about one of these nodes; that it does not run is one.
  private func first(of nodes: [Int], _ body: (SimulatedNode, SimulatedProcess) -> String?) -> String? {
    for index in nodes {
      let node = simulation.nodes[index]
      guard let process = node.process else { return "\(node.name) does not run" }
      if let text = body(node, process) { return text }
    }
    return nil
  }

  private static func list(_ levels: [Scenario.Level], _ what: String) -> String {
    levels.isEmpty ? "no \(what)" : "\(what) \(levels.map(\.description).joined(separator: ", "))"
  }

  // MARK: Nodes

  private var disagreement: String? {
    var known: (name: String, vector: VersionVector, book: Hash256)?
    for node in simulation.nodes {
      guard let process = node.process else { continue }
      let status = process.replica.status
      guard status.applied == status.entries else {
        return "\(node.name) has applied \(status.applied) of \(status.entries) entries"
      }
      let book = process.replica.bookHash()
      guard let first = known else {
        known = (node.name, status.vector, book)
        continue
      }
      if first.vector != status.vector {
        return "\(first.name) holds \(first.vector.sequences), \(node.name) \(status.vector.sequences)"
      }
      if first.book != book { return "\(first.name) and \(node.name) have different books" }
    }
    return nil
  }

  private func contradiction(toView number: UInt64, of members: [Int]) -> String? {
    let running = members.filter { simulation.nodes[$0].process != nil }
    guard !running.isEmpty else { return "none of them runs" }
    return first(of: running) { node, process in
      let status = process.replica.status
      let found = status.members.compactMap { simulation.machine(of: $0) }.sorted()
      guard status.view != number || found != members.sorted() else { return nil }
      return "\(node.name) is in view \(status.view) of \(recorder.names(of: found))"
    }
  }

  private func contradiction(to condition: Scenario.Condition, _ node: SimulatedNode) -> String? {
    if let status = node.process?.replica.status {
      let standing = status.me.map { "\(node.name) is member \($0)" } ?? "\(node.name) follows"
      switch condition {
      case .member(let member): return status.me == member ? nil : standing
      case .following: return status.me == nil ? nil : standing
      case .wedged: return status.isWedged ? nil : "\(node.name) is not wedged"
      case .running, .down, .out: break
      }
    }
    return switch (condition, node.condition) {
    case (.running, .running), (.down, .down): nil
    case (.out(let words), .out(let reason)) where reason.contains(words): nil
    case (_, .running): "\(node.name) runs"
    case (_, .down): "\(node.name) is down"
    case (_, .out(let reason)): "\(node.name) is out: \(reason)"
    }
  }

  // MARK: Books and orders

  private func levels(_ process: SimulatedProcess, _ side: Side) -> [Scenario.Level] {
    guard let instrument = instrument(nil) else { return [] }
    let stamp = process.replica.viewStamp
    return process.replica.withBook { $0.levels(of: instrument, side, limit: 100, asOf: stamp) }
      .map { Scenario.Level(quantityLots: Int64(clamping: $0.quantityLots), priceTicks: $0.priceTicks) }
  }

  /// Final ones, then tentative ones, by the takers' place in the order of all entries.
  private func trades(_ node: SimulatedNode, _ process: SimulatedProcess) -> [Scenario.Level] {
    let finals = recorder.finals(of: node.index)
    var trades = finals.trades
    let entries = recorder.accepted.sorted {
      OrderKey(stamp: $0.stamp, origin: $0.dot.origin) < OrderKey(stamp: $1.stamp, origin: $1.dot.origin)
    }
    for entry in entries where !simulation.views.isVoid(entry.dot) {
      let report = process.replica.tentativeReport(of: entry.dot, after: finals.report(entry.dot))
      for fill in report?.newFills ?? [] where !fill.isMaker {
        trades.append(Scenario.Level(quantityLots: fill.quantityLots, priceTicks: fill.priceTicks))
      }
    }
    return trades
  }

  private func contradiction(
    to expected: Scenario.OrderExpectation, _ dot: Dot, _ node: SimulatedNode, _ process: SimulatedProcess
  ) -> String? {
    guard process.replica.status.vector[dot.origin] >= dot.sequence else {
      return "\(node.name) does not hold \(recorder.name(dot))"
    }
    let finals = recorder.finals(of: node.index)
    let tentative = process.replica.tentativeReport(of: dot, after: finals.report(dot))
    let report = tentative ?? finals.report(dot)
    var status = OrderStatus(rawValue: report.state.rawValue) ?? .pending
    // Its date has come, and no entry has yet that takes it out of the book.
    let stamp = process.replica.viewStamp
    let isDue = process.replica.withBook { $0.order(dot) != nil && $0.order(dot, asOf: stamp) == nil }
    if isDue { status = .expired }
    let isFinal = finals.contains(dot) && tentative == nil
    let reason = RejectReason(rawValue: report.reason)
    let isSo =
      status == expected.status && (expected.openLots ?? report.openLots) == report.openLots
      && (expected.reason == nil || expected.reason == reason) && (expected.isFinal ?? isFinal) == isFinal
    guard !isSo else { return nil }
    let why = status == .rejected ? reason.map { " (\($0))" } ?? "" : ""
    return "\(node.name) has \(recorder.name(dot)) \(status)\(why), open \(report.openLots), "
      + (isFinal ? "final" : "tentative")
  }
}

extension Scenario.Answer {
  fileprivate var text: String {
    switch self {
    case .accepted: "accepted"
    case .unanswered: "unanswered"
    case .refused(let reason): "refused: \(reason)"
    }
  }
}
