/// What `bench latency` found out. Times in nanoseconds.
struct OrderLatencyReport: Sendable {
  struct Peer: Sendable {
    var name: String
    var title: String
    var client: String
    var writes: [UInt64] = []
    var pings: [UInt64] = []
  }

  static let title = "Rialto, three nodes"
  static let client = "RialtoClient (SwiftNIO) to one node"
  static let syncForGoalMicroseconds: UInt64 = 50
  static let finalGoalMicroseconds: UInt64 = 400
  static let finalTailGoalMicroseconds: UInt64 = 1_500

  let plan: LatencyPlan
  var sync: [UInt64] = []
  var accepted: [UInt64] = []
  var final: [UInt64] = []
  var pings: [UInt64] = []
  var peers: [Peer] = []
  var failures: [String] = []

  init(plan: LatencyPlan) { self.plan = plan }

  private static func p50(_ values: [UInt64]) -> UInt64 { values.percentile(permille: 500) / 1_000 }
  private static func p99(_ values: [UInt64]) -> UInt64 { values.percentile(permille: 990) / 1_000 }
  /// In hundredths.
  private static func ratio(_ value: UInt64, _ unit: UInt64) -> UInt64 { value * 100 / max(1, unit) }

  var goals: [BenchGoal] {
    var goals = [
      BenchGoal(name: "final_p50_us", limit: Self.finalGoalMicroseconds, value: Self.p50(final)),
      BenchGoal(name: "final_p99_us", limit: Self.finalTailGoalMicroseconds, value: Self.p99(final)),
    ]
    for peer in peers {
      goals.append(
        BenchGoal(name: "final_p50_us, \(peer.name)'s", limit: Self.p50(peer.writes), value: Self.p50(final)))
      goals.append(
        BenchGoal(name: "final_p99_us, \(peer.name)'s", limit: Self.p99(peer.writes), value: Self.p99(final)))
    }
    return goals
  }

  var lines: [String] {
    var table = TextTable([
      ("µs", .left), ("p50", .right), ("p99", .right), ("by sync", .right), ("by Rialto final", .right),
      ("client's ping", .right),
    ])
    let (unit, unitTail, sync) = (Self.p50(final), Self.p99(final), Self.p50(sync))
    func times(_ hundredths: UInt64) -> String {
      "\(hundredths / 100).\(hundredths % 100 / 10)\(hundredths % 10)"
    }
    func add(_ title: String, _ values: [UInt64], _ pings: [UInt64]) {
      let (p50, p99) = (Self.p50(values), Self.p99(values))
      table.add([
        title, p50.grouped, p99.grouped, times(Self.ratio(p50, sync)),
        "\(times(Self.ratio(p50, unit))), \(times(Self.ratio(p99, unitTail)))",
        pings.isEmpty ? "" : Self.p50(pings).grouped,
      ])
    }
    add("100 bytes and fdatasync", self.sync, [])
    add("Rialto, accepted: one disk", accepted, pings)
    add("Rialto, final: a majority", final, pings)
    for peer in peers { add(peer.title, peer.writes, peer.pings) }
    var lines = table.lines
    lines.append("\(plan.orders.grouped) each, one at a time, in blocks of \(plan.block) in turn; seed \(plan.seed)")
    lines.append("Rialto's client: \(Self.client)")
    for peer in peers { lines.append("\(peer.name)'s client: \(peer.client)") }
    if sync > Self.syncForGoalMicroseconds {
      lines.append("the goals in µs are for a sync of \(Self.syncForGoalMicroseconds) µs; here it takes \(sync)")
    }
    return lines + goals.map(\.text)
  }

  var json: JSONLine {
    var line = JSONLine()
    line.add("orders", plan.orders)
    line.add("warm_up", plan.warmUp)
    line.add("block", plan.block)
    line.add("seed", plan.seed)
    var probe = JSONLine()
    probe.add("p50_us", Self.p50(sync))
    probe.add("p99_us", Self.p99(sync))
    line.add("sync", probe)
    var own = JSONLine()
    own.add("title", Self.title)
    own.add("client", Self.client)
    own.add("accepted_p50_us", Self.p50(accepted))
    own.add("accepted_p99_us", Self.p99(accepted))
    own.add("final_p50_us", Self.p50(final))
    own.add("final_p99_us", Self.p99(final))
    own.add("ping_p50_us", Self.p50(pings))
    own.add("final_per_sync", Self.ratio(Self.p50(final), Self.p50(sync)))
    line.add("rialto", own)
    line.add(
      "peers",
      peers.map { peer in
        var line = JSONLine()
        line.add("system", peer.name)
        line.add("title", peer.title)
        line.add("client", peer.client)
        line.add("p50_us", Self.p50(peer.writes))
        line.add("p99_us", Self.p99(peer.writes))
        line.add("ping_p50_us", Self.p50(peer.pings))
        line.add("per_sync", Self.ratio(Self.p50(peer.writes), Self.p50(sync)))
        line.add("per_rialto_p50", Self.ratio(Self.p50(peer.writes), Self.p50(final)))
        line.add("per_rialto_p99", Self.ratio(Self.p99(peer.writes), Self.p99(final)))
        return line
      })
    line.add("goals", goals.map(\.json))
    line.add("failures", failures)
    line.add("good", failures.isEmpty)
    return line
  }
}
