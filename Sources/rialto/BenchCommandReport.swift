import EngineBenchmark
import Primitives

/// Everything that `bench engine` found out.
struct EngineBenchReport {
  /// A book of some size in a process of its own.
  struct Scale {
    var orders: Int
    /// Above the empty engine; nil if the system does not tell.
    var residentBytes: Int?
    var peakBytes: Int?
    /// Operations of a round, and the CPU time of each round.
    var operations = 0
    var nanoseconds: [UInt64] = []
    var restingOrders = 0
    var bookHash = Hash256.zero

    var picosecondsPerOperation: UInt64 { EngineBenchReport.picoseconds(nanoseconds, operations) }
  }

  struct Instructions {
    var flow: String
    var operations: Int
    var profile: CallgrindProfile
    var bookHash: Hash256
  }

  let plan: EngineBenchPlan
  let machine: Machine
  var flows: [ThroughputReport] = []
  var latency: LatencyReport?
  var scale: [Scale] = []
  var hashes: [HashReport] = []
  var instructions: [Instructions] = []
  /// Why instructions were not counted.
  var instructionsNote: String?
  let clockNanoseconds = FlowMeasurement.clockNanosecondsPerReading

  init(plan: EngineBenchPlan, machine: Machine) {
    self.plan = plan
    self.machine = machine
  }

  /// What is not as it should be, a line each.
  var failures: [String] {
    var found: [String] = []
    for flow in flows {
      if !flow.isRepeatable { found.append("\(flow.name): not every repetition gave the same result") }
      if let reference = flow.referenceOutcome, !flow.agrees {
        found.append("\(flow.name): the engine says \(flow.outcome), the reference \(reference)")
      }
    }
    for hash in hashes where !hash.isRight {
      found.append("book hash, \(hash.shape.name): it is not the one that is computed from nothing")
    }
    for run in instructions {
      if run.profile.applying.allocations > 0 {
        let callers = run.profile.allocators.prefix(3).map { "\($0.calls.grouped) by \($0.function)" }
        found.append(
          "\(run.flow): \(run.profile.applying.allocations.grouped) memory allocations in \(run.operations.grouped) "
            + "operations: \(callers.joined(separator: ", "))")
      }
      let same = flows.first { flow in
        flow.name == run.flow && flow.preludeSteps == plan.preludeOperations && flow.steps == run.operations
      }
      if let flow = same, flow.bookHash != run.bookHash {
        found.append("\(run.flow): book hash \(run.bookHash) under valgrind, \(flow.bookHash) without")
      }
    }
    return found
  }

  /// How many times longer an operation takes than in the smallest book, in hundredths.
  func costHundredths(_ scale: Scale) -> UInt64 {
    guard let least = self.scale.first else { return 100 }
    let pairs = zip(scale.nanoseconds, least.nanoseconds).map { $0 * 100 / max(1, $1) }.sorted()
    return pairs.isEmpty ? 100 : pairs[pairs.count / 2]
  }

  /// Of one operation, by the median repetition.
  static func picoseconds(_ nanoseconds: [UInt64], _ operations: Int) -> UInt64 {
    let sorted = nanoseconds.sorted()
    return sorted.isEmpty ? 0 : sorted[sorted.count / 2] * 1_000 / UInt64(max(1, operations))
  }
}

// MARK: For people

extension EngineBenchReport {
  var lines: [String] {
    var out = head
    let sections = [flowLines, latencyLines, scaleLines, hashLines, instructionLines, resultLines]
    for section in sections where !section.isEmpty { out += [""] + section }
    return out
  }

  private var head: [String] {
    var table = TextTable([
      ("machine", .left),
      ("\(machine.processor), \(machine.processors) processors, \(UInt64(machine.memoryBytes).short)B", .left),
    ])
    table.add(["system", "Linux \(machine.kernel), \(machine.architecture)"])
    table.add(["build", machine.isOptimised ? "release" : "debug: these figures say nothing"])
    table.add(["run", "seed \(plan.seed), \(plan.repetitions) repetitions\(plan.isQuick ? ", quick" : "")"])
    table.add(["engine", "undo journal and changed levels on; both are let go every 1,024 operations, within the time"])
    table.add(["C++", "a plain book: std::map, std::list, std::unordered_map; no journal, no hash, no accounts"])
    return table.lines
  }

  private var flowLines: [String] {
    if flows.isEmpty { return [] }
    var table = TextTable([
      ("flow", .left), ("operations", .right), ("resting", .right), ("M/s", .right), ("ns", .right),
      ("of it levels", .right), ("C++ M/s", .right), ("engine/C++", .right), ("results", .left),
    ])
    for flow in flows {
      table.add([
        flow.name, flow.steps.grouped, flow.outcome.restingOrders.grouped, fixed(flow.engineRate / 10_000, 2),
        fixed(Self.picoseconds(flow.engineNanoseconds, flow.steps) / 100, 1),
        fixed(Self.picoseconds(flow.levelsNanoseconds, flow.steps) / 100, 1),
        flow.referenceRate.map { fixed($0 / 10_000, 2) } ?? "-", flow.ratioHundredths.map { fixed($0, 2) } ?? "-",
        !flow.agrees || !flow.isRepeatable ? "DIFFER" : flow.referenceOutcome == nil ? "repeatable" : "equal",
      ])
    }
    let heading = "Throughput: millions of operations in a second of CPU time, and nanoseconds of one"
    return [heading] + table.lines + [
      "Own flows begin after \(plan.preludeOperations.grouped) operations that fill the book; files with an empty one.",
      "'of it levels': for taking the changed levels. One reading of the clock for each batch is in all times: "
        + "\(clockNanoseconds) ns.",
      "'equal': fills one by one, refusals, resting orders and open quantities are those of the C++ book.",
    ]
  }

  private var latencyLines: [String] {
    guard let latency else { return [] }
    var table = TextTable([
      ("ns", .left), ("p50", .right), ("p99", .right), ("p99.9", .right), ("max", .right),
    ])
    for (name, values) in [
      ("engine, one operation", latency.engine), ("C++, one operation", latency.reference),
      ("engine, end of a batch of \(latency.batchSteps.grouped)", latency.batchEnd),
    ] {
      table.add([name, values.p50.grouped, values.p99.grouped, values.p999.grouped, values.max.grouped])
    }
    return ["Latency in '\(latency.name)': nanoseconds of wall time, \(latency.operations.grouped) operations"]
      + table.lines + [
        "Medians of \(latency.repetitions) runs; the largest maximum. Each value holds one reading of the clock",
        "(\(latency.clockName)): \(latency.clockNanoseconds) ns. Maxima are mostly the system's other work.",
      ]
  }

  private var scaleLines: [String] {
    if scale.isEmpty { return [] }
    var table = TextTable([
      ("resting orders", .right), ("bytes each", .right), ("at the peak", .right), ("ns", .right),
      ("to the smallest", .right),
    ])
    for row in scale {
      table.add([
        row.orders.grouped, row.residentBytes.map { perOrder($0, row.orders) } ?? "-",
        row.peakBytes.map { perOrder($0, row.orders) } ?? "-", fixed(row.picosecondsPerOperation / 100, 1),
        fixed(costHundredths(row), 2),
      ])
    }
    return ["Size: resident memory of an order, and nanoseconds of one operation among so many"] + table.lines + [
      "\(ScaleMeasurement.levels.grouped) levels, \(ScaleMeasurement.accounts.grouped) accounts; new orders, cancels, "
        + "small trades; each order is as likely to be cancelled as any other.",
      "A small book's bytes hold tables that are there for larger ones.",
    ]
  }

  private var hashLines: [String] {
    if hashes.isEmpty { return [] }
    var table = TextTable([
      ("ms of CPU time", .left), ("orders", .right), ("levels", .right), ("changed within", .right), ("median", .right),
      ("max", .right), ("first", .right), ("recomputed", .right), ("equal", .left),
    ])
    for hash in hashes {
      let times = hash.nanoseconds.sorted()
      let recomputed = hash.recomputedNanoseconds.sorted()
      table.add([
        hash.shape.name, hash.shape.orders.grouped, hash.shape.levels.grouped,
        (hash.shape.nearest ?? hash.shape.levels).grouped, milliseconds(times[times.count / 2]),
        milliseconds(times[times.count - 1]), milliseconds(hash.firstNanoseconds),
        milliseconds(recomputed[recomputed.count / 2]), hash.isRight ? "yes" : "NO",
      ])
    }
    let changes = HashMeasurement.changes.grouped
    return ["Book hash after \(changes) changes (cancels and new orders), \(hashes[0].nanoseconds.count) times"]
      + table.lines
  }

  private var instructionLines: [String] {
    if let instructionsNote { return ["Instructions and allocations: \(instructionsNote)"] }
    if instructions.isEmpty { return [] }
    var table = TextTable([
      ("flow", .left), ("operations", .right), ("instructions", .right), ("for levels", .right),
      ("allocations", .right), ("for levels", .right),
    ])
    for run in instructions {
      let (apply, levels) = (run.profile.applying, run.profile.takingLevels)
      table.add([
        run.flow, run.operations.grouped, tenths(apply.instructions, run.operations),
        tenths(levels.instructions, run.operations), apply.allocations.grouped, levels.allocations.grouped,
      ])
    }
    return ["Instructions of one operation and memory allocations of all, counted by callgrind"] + table.lines + [
      "Counted after \(plan.preludeOperations.grouped) operations: applying and settling, and, beside it, taking the "
        + "changed levels",
      "(which answers with an array each 1,024 operations).",
    ]
  }

  private var resultLines: [String] {
    var table = TextTable([("result", .left), ("book hash", .left), ("events", .left), ("fills", .left)])
    for flow in flows {
      table.add([flow.name, flow.bookHash.prefix(16), flow.eventsHash.prefix(16), flow.outcome.fillsHash.prefix(16)])
    }
    for row in scale { table.add(["scale \(row.orders.grouped)", row.bookHash.prefix(16), "", ""]) }
    for hash in hashes { table.add(["hash, \(hash.shape.name)", hash.bookHash.prefix(16), "", ""]) }
    for run in instructions { table.add(["valgrind, \(run.flow)", run.bookHash.prefix(16), "", ""]) }
    let verdict =
      failures.isEmpty
      ? "every result that was checked is as it should be" : "NOT every result that was checked is as it should be"
    return (table.lines.count > 1 ? table.lines + [""] : []) + [verdict]
  }

  /// An integer with its last digits as decimals.
  private func fixed(_ value: UInt64, _ decimals: Int) -> String {
    let digits = "\(value)"
    let padded = String(repeating: "0", count: max(0, decimals + 1 - digits.count)) + digits
    return "\(padded.dropLast(decimals)).\(padded.suffix(decimals))"
  }

  private func tenths(_ total: UInt64, _ count: Int) -> String { fixed(total * 10 / UInt64(max(1, count)), 1) }
  private func milliseconds(_ nanoseconds: UInt64) -> String { fixed(nanoseconds / 10_000, 2) }
  private func perOrder(_ bytes: Int, _ orders: Int) -> String { tenths(UInt64(max(0, bytes)), orders) }
}
