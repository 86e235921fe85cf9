import Primitives

extension RunHash {
  /// Takes in another run's hash: the hash of many runs, in order.
  package mutating func mix(_ run: RunHash) {
    mix(run.first)
    mix(run.second)
  }
}

/// What a run has to tell to whoever started it, or looks into its failure.
extension Simulation {
  /// Steps of all nodes that a report shows.
  package static let reportedStepsMax = 60
  private static let earlierStepsMax = 30
  /// Faults that ended so long before a failure are told with those in force.
  private static let aftermathMicroseconds: UInt64 = 1_000_000

  /// Hash of everything that happened: equal for equal runs.
  package var runHash: RunHash { hash }
  /// Virtual time that has passed.
  package var virtualMicroseconds: UInt64 { now }
  package var commandsSent: Int { clients.commandsSent }
  package var ordersSent: Int { clients.ordersSent }
  package var acknowledgedCount: Int { acknowledged.reduce(0) { $0 + $1.count } }

  /// One line.
  package var summary: String {
    "steps \(steps), \(ordersSent) orders sent, \(acknowledgedCount) entries acknowledged, agreed after "
      + (repairs.isEmpty ? "" : "\(repairs.count) books repaired, ")
      + "\(agreedAfterMicroseconds.map { "\($0 / 1000) ms" } ?? "never"), hash \("\(runHash)".prefix(16))"
  }

  /// The last steps of all nodes, for whoever looks into a failure.
  package var report: String { timeline().joined(separator: "\n") }

  /// What failed, and everything that helps to see why, for a person; empty if nothing failed.
  /// - Parameters:
  ///   - recipe: what the run was made from.
  ///   - withProfile: whether the world is described, too.
  ///   - withTimeline: whether the last steps are told, too.
  package func failureReport(_ recipe: SimulationRecipe, withProfile: Bool, withTimeline: Bool) -> [String] {
    guard let violation else { return [] }
    let place = violation.node.map { " at n\($0 + 1)" } ?? ""
    var lines = [
      "VIOLATION of \(violation.checker) in seed \(seed), after \(VirtualTime(violation.atMicroseconds))\(place):",
      "  \(violation.message)",
    ]
    if withProfile { lines += ["profile \(recipe.name.rawValue)"] + profile.lines.map { "  " + $0 } }
    lines += ["faults then"] + faultLines(at: violation.atMicroseconds).map { "  " + $0 }
    lines += ["nodes then"] + nodes.map { "  " + standing(of: $0) }
    if withTimeline {
      lines.append("the last steps of all nodes")
      lines += timeline().map { "  " + $0 }
      if let node = violation.node {
        let earlier = earlierSteps(of: nodes[node])
        if !earlier.isEmpty { lines.append("what \(nodes[node].name) did before that") }
        lines += earlier.map { "  " + $0 }
      }
    }
    lines += ["see it again", "  \(recipe.command)"]
    return lines
  }

  // MARK: Timeline

  private struct ToldStep {
    var at: UInt64
    /// Of equal times, in the order of this; faults first.
    var place: Int
    var text: String
  }

  /// The last steps of all nodes in order of time, a line each, the times aligned and the node in a column.
  package func timeline(steps: Int = reportedStepsMax) -> [String] {
    var told = lastSteps(steps)
    guard let first = told.first else { return [] }
    told = sorted(told + faultSteps(in: first.at...max(now, first.at)))
    var lines = aligned(told)
    if let violation {
      let node = violation.node.map { "n\($0 + 1)" } ?? "--"
      lines.append("\(VirtualTime(violation.atMicroseconds))  \(node)  VIOLATION of \(violation.checker)")
    }
    return lines
  }

  private func lastSteps(_ count: Int) -> [ToldStep] {
    var told: [ToldStep] = []
    for node in nodes {
      // Each node keeps at least as many of its own as are shown of all, so none is missing among the last.
      told += steps(of: node).suffix(count)
    }
    return sorted(told).suffix(count)
  }

  private func steps(of node: SimulatedNode) -> [ToldStep] {
    node.timeline.ordered.map { ToldStep(at: $0.at, place: node.index, text: "\(node.name)  \($0.what.text)") }
  }

  /// The steps of one node that the timeline of all does not show any more.
  private func earlierSteps(of node: SimulatedNode) -> [String] {
    let shown = lastSteps(Self.reportedStepsMax).count { $0.place == node.index }
    return aligned(steps(of: node).dropLast(shown).suffix(Self.earlierStepsMax))
  }

  private func aligned(_ steps: some Collection<ToldStep>) -> [String] {
    let times = steps.map { VirtualTime($0.at).description }
    let width = times.map(\.count).max() ?? 0
    return zip(times, steps).map { time, step in
      String(repeating: " ", count: width - time.count) + time + "  " + step.text
    }
  }

  private func sorted(_ steps: [ToldStep]) -> [ToldStep] {
    steps.enumerated().sorted {
      ($0.element.at, $0.element.place, $0.offset) < ($1.element.at, $1.element.place, $1.offset)
    }.map(\.element)
  }

  /// Faults that begin or end in a span of time.
  private func faultSteps(in span: ClosedRange<UInt64>) -> [ToldStep] {
    var told: [ToldStep] = []
    for (index, fault) in profile.faults.enumerated() where !profile.without.contains(index) {
      if span.contains(fault.at), fault.at < lastMicrosecond {
        told.append(ToldStep(at: fault.at, place: -1, text: "--  fault \(index) begins: \(fault.what)"))
      }
      let end = fault.at + fault.microseconds
      if fault.kind.lasts, span.contains(end), end < lastMicrosecond {
        told.append(ToldStep(at: end, place: -1, text: "--  fault \(index) ends: \(fault.what)"))
      }
    }
    if span.contains(lastMicrosecond), now > lastMicrosecond {
      told.append(ToldStep(at: lastMicrosecond, place: -1, text: "--  everything is healed, clients fall silent"))
    }
    return told
  }

  // MARK: What held

  /// Faults in force at a time, and those that have just ended.
  private func faultLines(at time: UInt64) -> [String] {
    if time > lastMicrosecond {
      return ["none: everything was healed at \(VirtualTime(lastMicrosecond))"]
    }
    var lines: [String] = []
    for (index, fault) in profile.faults.enumerated() where !profile.without.contains(index) && fault.at <= time {
      let end = fault.at + (fault.kind.lasts ? fault.microseconds : 0)
      guard end + Self.aftermathMicroseconds >= time else { continue }
      let state = end > time ? "" : fault.kind.lasts ? ", which has ended" : ", which was"
      lines.append("\(index): \(fault)\(state)")
    }
    return lines.isEmpty ? ["none in force, and none in the last second"] : lines
  }

  private func standing(of node: SimulatedNode) -> String {
    var words = [node.name]
    switch node.condition {
    case .running: words.append("runs")
    case .down: words.append("is down")
    case .out(let reason): words.append("is out (\(reason))")
    }
    if node.boots != 1 { words.append("started \(node.boots) times") }
    if node.pauses > 0 { words.append("paused") }
    if node.hasLostData { words.append("has lost data") }
    if let process = node.process {
      let status = process.replica.status
      words.append("holds \(status.vector.sequences), applied \(status.applied), tentative \(status.tentative)")
      let peers = process.links.indices.filter { process.links[$0] != nil }.map { "n\($0 + 1)" }
      words.append("linked to \(peers.isEmpty ? "nobody" : peers.joined(separator: " "))")
    }
    return words[0] + " " + words.dropFirst().joined(separator: ", ")
  }
}

extension SimulationProfile {
  /// The plan, a fault a line, each with the index by which it can be left out.
  package var planLines: [String] {
    faults.enumerated().map { index, fault in "\(index): \(fault)\(without.contains(index) ? ", left out" : "")" }
  }
}

extension FaultKind {
  /// Whether it is in force for a while; the others happen, and are over.
  fileprivate var lasts: Bool {
    switch self {
    case .reset, .failedSync, .flippedBit, .wipedDisk, .join, .flippedBook, .skippedFill, .damagedRow: false
    case .partition, .oneWayPartition, .cutLink, .oneWayCut, .pause, .slow, .crash, .powerLoss, .clockAhead, .clockBack,
      .slowDisk, .fullDisk, .readError, .leave:
      true
    }
  }
}

extension Fault {
  /// Its description without its time.
  fileprivate var what: String {
    let parts = description.split(separator: ": ", maxSplits: 1)
    return String(parts.last ?? "")
  }
}
