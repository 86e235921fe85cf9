import Client

/// What `bench detect` found out.
struct DetectReport: Sendable {
  struct Round: Sendable {
    var victim: String
    /// From the fault until the first node suspected it, or gave it up.
    var noticedMicroseconds: UInt64?
    var givenUpMicroseconds: UInt64?
    /// Until the last of the others was in a view without it; nil if not all are.
    var knownMicroseconds: UInt64?
    /// Of the view without it.
    var view: UInt64 = 0
    /// Origins besides it that a view left out.
    var alsoRemoved: Set<UInt32> = []

    init(victim: String) { self.victim = victim }

    /// Takes what all others have seen of the victim since the fault.
    /// - Parameter nodes: how many others there are.
    mutating func take(_ statuses: [NodeStatus], of origin: UInt32, since start: UInt64, nodes: Int) {
      var known = 0
      var last: UInt64 = 0
      for status in statuses {
        let events = status.events.filter { $0.at >= start }
        for event in events {
          let after = event.at - start
          switch event.kind {
          case .removed where event.origin != origin: event.origin.map { _ = alsoRemoved.insert($0) }
          case .suspected where event.origin == origin: noticedMicroseconds = min(noticedMicroseconds ?? after, after)
          case .gaveUp where event.origin == origin:
            noticedMicroseconds = min(noticedMicroseconds ?? after, after)
            givenUpMicroseconds = min(givenUpMicroseconds ?? after, after)
          default: break
          }
        }
        if let removal = events.first(where: { $0.kind == .removed && $0.origin == origin }) {
          known += 1
          last = max(last, removal.at - start)
          view = removal.view
        }
      }
      if known == nodes { knownMicroseconds = last }
    }

    var text: String {
      func time(_ value: UInt64?) -> String { value.map { "\($0 / 1_000) ms" } ?? "never" }
      return "\(victim) was noticed after \(time(noticedMicroseconds)), given up after \(time(givenUpMicroseconds)), "
        + "all knew after \(time(knownMicroseconds))"
    }
  }

  static let noticedGoalMilliseconds: UInt64 = 1_500
  static let knownGoalMilliseconds: UInt64 = 2_000

  let plan: DetectPlan
  var rounds: [Round] = []
  var roundsSealed = 0
  var overloadThreads = 0
  var overloadSealed: Int?
  var overloadSuspicions = 0
  /// Nodes that did not answer after the overload.
  var unanswered = 0

  init(plan: DetectPlan) { self.plan = plan }

  private func milliseconds(_ part: (Round) -> UInt64?) -> [UInt64] { rounds.compactMap(part).map { $0 / 1_000 } }
  private var noticed: [UInt64] { milliseconds(\.noticedMicroseconds) }
  private var givenUp: [UInt64] { milliseconds(\.givenUpMicroseconds) }
  private var known: [UInt64] { milliseconds(\.knownMicroseconds) }

  var goals: [BenchGoal] {
    if rounds.isEmpty { return [] }
    return [
      BenchGoal(name: "noticed_ms_median", limit: Self.noticedGoalMilliseconds, value: noticed.median),
      BenchGoal(name: "known_ms_median", limit: Self.knownGoalMilliseconds, value: known.median),
    ]
  }

  /// What must hold and does not.
  var failures: [String] {
    var found: [String] = []
    for (index, round) in rounds.enumerated() where round.knownMicroseconds == nil {
      found.append(
        "round \(index + 1): not every node was in a view without \(round.victim) after "
          + "\(BenchCluster.patienceSeconds) s")
    }
    if roundsSealed > 0 { found.append("\(roundsSealed) members that lived were sealed in the rounds") }
    if let overloadSealed, overloadSealed > 0 {
      found.append("\(overloadSealed) members that lived were sealed under overload")
    }
    if unanswered > 0 { found.append("\(unanswered) nodes did not answer after the overload") }
    return found
  }

  var lines: [String] {
    var table = TextTable([
      ("round", .left), ("victim", .left), ("noticed ms", .right), ("given up ms", .right), ("known to all ms", .right),
    ])
    func cell(_ value: UInt64?) -> String { value.map { ($0 / 1_000).grouped } ?? "never" }
    for (index, round) in rounds.enumerated() {
      table.add([
        "\(index + 1)", round.victim, cell(round.noticedMicroseconds), cell(round.givenUpMicroseconds),
        cell(round.knownMicroseconds),
      ])
    }
    var lines: [String] = []
    if !rounds.isEmpty {
      table.add(["median", "", noticed.median.grouped, givenUp.median.grouped, known.median.grouped])
      table.add([
        "max", "", (noticed.max() ?? 0).grouped, (givenUp.max() ?? 0).grouped, (known.max() ?? 0).grouped,
      ])
      lines = table.lines
      lines.append(
        "\(plan.nodes) nodes, \(plan.fault.rawValue), seed \(plan.seed); living members sealed: \(roundsSealed)")
    }
    if let overloadSealed {
      lines.append(
        "overload: \(overloadThreads) threads for \(plan.overloadSeconds) s; suspicions \(overloadSuspicions), living "
          + "members sealed: \(overloadSealed)")
    }
    return lines + goals.map(\.text)
  }

  var json: JSONLine {
    var line = JSONLine()
    line.add("nodes", plan.nodes)
    line.add("fault", plan.fault.rawValue)
    line.add("seed", plan.seed)
    line.add("rounds", rounds.map(json))
    if !rounds.isEmpty {
      line.add("noticed_ms_median", noticed.median)
      line.add("noticed_ms_max", noticed.max() ?? 0)
      line.add("given_up_ms_median", givenUp.median)
      line.add("known_ms_median", known.median)
      line.add("known_ms_max", known.max() ?? 0)
    }
    line.add("rounds_sealed", roundsSealed)
    line.add("overload_seconds", plan.overloadSeconds)
    line.add("overload_threads", overloadThreads)
    if let overloadSealed { line.add("overload_sealed", overloadSealed) } else { line.addNull("overload_sealed") }
    line.add("overload_suspicions", overloadSuspicions)
    line.add("goals", goals.map(\.json))
    line.add("failures", failures)
    line.add("good", failures.isEmpty)
    return line
  }

  private func json(_ round: Round) -> JSONLine {
    var line = JSONLine()
    line.add("victim", round.victim)
    for (key, value) in [
      ("noticed_ms", round.noticedMicroseconds), ("given_up_ms", round.givenUpMicroseconds),
      ("known_ms", round.knownMicroseconds),
    ] {
      if let value { line.add(key, value / 1_000) } else { line.addNull(key) }
    }
    line.add("view", round.view)
    return line
  }
}
