/// What `bench join` found out. Times in microseconds.
struct JoinReport: Sendable {
  struct Round: Sendable {
    /// From the start of the process.
    var joinedMicroseconds: UInt64
    var pauseMicroseconds: UInt64 = 0
    var acceptedMicrosecondsMax: UInt64 = 0
    var finalMicrosecondsMax: UInt64 = 0

    var text: String {
      "a member after \(joinedMicroseconds / 1_000) ms; finality paused for \(pauseMicroseconds / 1_000) ms, orders "
        + "were accepted after at most \(acceptedMicrosecondsMax / 1_000) ms"
    }
  }

  struct Storm: Sendable {
    var steps = 0
    var kills = 0
    var stops = 0
    var deaths = 0
    /// Admissions in the register since the cluster began.
    var joins = 0
    /// As each node counts them.
    var grants: [UInt64] = []
    var pauseMicrosecondsMax: UInt64 = 0
    var acceptedMicrosecondsMax: UInt64 = 0
  }

  static let joinedGoalMilliseconds: UInt64 = 1_000
  static let acceptedGoalMilliseconds: UInt64 = 100
  static let leaseGoalMilliseconds: UInt64 = 2_000
  static let pauseGoalMilliseconds: UInt64 = 1_000

  let plan: JoinPlan
  var entriesHeld: UInt64 = 0
  var rounds: [Round] = []
  var leaseWasHeld: Bool?
  var nextJoinedMicroseconds: UInt64?
  var decidedPauseMicroseconds: UInt64?
  var sealedMicroseconds: UInt64?
  var storm: Storm?
  var orders = 0
  var unanswered = 0
  /// Found during the run.
  var mishaps: [String] = []

  init(plan: JoinPlan) { self.plan = plan }

  private var joined: [UInt64] { rounds.map { $0.joinedMicroseconds / 1_000 } }
  private var accepted: UInt64 { (rounds.map(\.acceptedMicrosecondsMax).max() ?? 0) / 1_000 }
  private var pause: UInt64 { (rounds.map(\.pauseMicroseconds).max() ?? 0) / 1_000 }
  /// How much longer than others the joiner took that came after a dead holder of the mutex.
  private var delay: UInt64? {
    nextJoinedMicroseconds.map { $0 / 1_000 }.map { $0 - min($0, joined.median) }
  }

  var goals: [BenchGoal] {
    var goals = [
      BenchGoal(name: "joined_ms_median", limit: Self.joinedGoalMilliseconds, value: joined.median),
      BenchGoal(name: "accepted_ms_max", limit: Self.acceptedGoalMilliseconds, value: accepted),
    ]
    if let delay {
      goals.append(BenchGoal(name: "lease, delay_ms", limit: Self.leaseGoalMilliseconds, value: delay))
    }
    if let pause = decidedPauseMicroseconds {
      goals.append(BenchGoal(name: "decided, pause_ms", limit: Self.pauseGoalMilliseconds, value: pause / 1_000))
    }
    return goals
  }

  /// What must hold and does not.
  var failures: [String] {
    var found = mishaps
    if leaseWasHeld == false { found.append("the joiner that was to die with the mutex did not hold it") }
    if let storm, !storm.grants.allSatisfy({ $0 == UInt64(storm.joins) }) {
      found.append("\(storm.joins) nodes became members, and the nodes count \(storm.grants) leases for that")
    }
    if unanswered > 0 { found.append("\(unanswered) of \(orders) orders were refused, or not answered") }
    return found
  }

  var lines: [String] {
    var table = TextTable([
      ("round", .left), ("a member after ms", .right), ("finality paused ms", .right),
      ("accepted after ms, max", .right), ("final after ms, max", .right),
    ])
    for (index, round) in rounds.enumerated() {
      table.add([
        "\(index + 1)", (round.joinedMicroseconds / 1_000).grouped, (round.pauseMicroseconds / 1_000).grouped,
        (round.acceptedMicrosecondsMax / 1_000).grouped, (round.finalMicrosecondsMax / 1_000).grouped,
      ])
    }
    table.add(["median", joined.median.grouped, "", "", ""])
    table.add(["max", (joined.max() ?? 0).grouped, pause.grouped, accepted.grouped, ""])
    var lines = table.lines
    lines.append(
      "\(plan.nodes) nodes, \(entriesHeld.grouped) entries before the first round, \(plan.rate) orders a second")
    if let next = nextJoinedMicroseconds, let delay {
      lines.append("after a joiner died with the mutex: the next one a member after \(next / 1_000) ms, \(delay) later")
    }
    if let pause = decidedPauseMicroseconds, let sealed = sealedMicroseconds {
      lines.append(
        "a joiner died as a member: sealed after \(sealed / 1_000) ms, finality paused for \(pause / 1_000) ms")
    }
    if let storm {
      lines.append(
        "storm: \(storm.steps) steps, \(storm.kills) killed, \(storm.stops) stopped, \(storm.deaths) died joining; "
          + "\(storm.joins) joins since the beginning, counted by all: \(storm.grants.max() ?? 0)")
      lines.append(
        "       finality paused for at most \(storm.pauseMicrosecondsMax / 1_000) ms, orders were accepted after at "
          + "most \(storm.acceptedMicrosecondsMax / 1_000) ms")
    }
    lines.append("\(orders.grouped) orders, \(unanswered.grouped) of them refused or not answered")
    return lines + goals.map(\.text)
  }

  var json: JSONLine {
    var line = JSONLine()
    line.add("nodes", plan.nodes)
    line.add("entries", plan.entries)
    line.add("rate", plan.rate)
    line.add("seed", plan.seed)
    line.add("entries_held", entriesHeld)
    line.add(
      "rounds",
      rounds.map { round in
        var line = JSONLine()
        line.add("joined_ms", round.joinedMicroseconds / 1_000)
        line.add("pause_ms", round.pauseMicroseconds / 1_000)
        line.add("accepted_ms_max", round.acceptedMicrosecondsMax / 1_000)
        line.add("final_ms_max", round.finalMicrosecondsMax / 1_000)
        return line
      })
    line.add("joined_ms_median", joined.median)
    line.add("joined_ms_max", joined.max() ?? 0)
    line.add("pause_ms_max", pause)
    line.add("accepted_ms_max", accepted)
    if let leaseWasHeld, let next = nextJoinedMicroseconds, let delay {
      var lease = JSONLine()
      lease.add("held", leaseWasHeld)
      lease.add("next_joined_ms", next / 1_000)
      lease.add("delay_ms", delay)
      line.add("lease", lease)
    }
    if let pause = decidedPauseMicroseconds, let sealed = sealedMicroseconds {
      var decided = JSONLine()
      decided.add("pause_ms", pause / 1_000)
      decided.add("sealed_ms", sealed / 1_000)
      line.add("decided", decided)
    }
    if let storm { line.add("storm", json(storm)) }
    line.add("orders", orders)
    line.add("unanswered", unanswered)
    line.add("goals", goals.map(\.json))
    line.add("failures", failures)
    line.add("good", failures.isEmpty)
    return line
  }

  private func json(_ storm: Storm) -> JSONLine {
    var line = JSONLine()
    line.add("steps", storm.steps)
    line.add("kills", storm.kills)
    line.add("stops", storm.stops)
    line.add("deaths", storm.deaths)
    line.add("joins", storm.joins)
    line.add("grants_total", storm.grants.max() ?? 0)
    line.add("accepted_ms_max", storm.acceptedMicrosecondsMax / 1_000)
    line.add("pause_ms_max", storm.pauseMicrosecondsMax / 1_000)
    return line
  }
}
