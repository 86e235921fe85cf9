import ArgumentParser
import Diagnostics
import EventLog
import Forensics
import Foundation
import Histories
import Primitives

extension BenchCommand {
  struct Diff: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "diff",
      abstract: "Measure whether the search for a difference names what was done, and what it costs.",
      discussion: """
        Builds the directory of a node with a long history: three members, every type of order, fills and attestations
        published, checkpoints, snapshots, tables. Then, for each kind of fault and each run, a copy is damaged at a
        random place and compared with the original: the first difference and its cause must be what was done.

        A comparison of directories works every hash out from the stored bytes, so that its time grows with the
        history; the questions and their bytes do not, but with its logarithm: --scale shows both.

        Fields of --json:
          entries, fills, build_seconds
          kinds                 each: kind, runs, right, exchanges_max, bytes_max, ms_median, ms_max
          wrong                 each wrong diagnosis: kind, seed, done, found
          scale                 each: entries, exchanges, bytes, ms (altered entry and skipped fill, the larger one)
          goals                 each: name, limit, value, met
          good                  every diagnosis was right

        Examples:
          rialto bench diff --entries 1000000 --runs 100 --json
          rialto bench diff --entries 20000 --runs 3 --scale 10000,100000

        Exit codes: 0 every diagnosis was right; 1 one was not; 2 could not.
        """)

    @Option(help: "About so many entries in the history.") var entries = 1_000_000
    @Option(help: "Copies to damage for each kind.") var runs = 100
    @Option(help: ArgumentHelp("Also measure with histories of so many entries.", valueName: "n,n…"))
    var scale: String?
    @Option(help: "Seed of the places.") var seed: UInt64 = 1
    @Flag(help: "Print the result as one JSON object on one line.") var json = false

    private var scales: [Int] { (scale ?? "").split(separator: ",").compactMap { Int($0) } }

    func validate() throws {
      guard (1_000...100_000_000).contains(entries) else {
        throw ValidationError("--entries must be between 1,000 and 100,000,000.")
      }
      guard (1...10_000).contains(runs) else { throw ValidationError("--runs must be between 1 and 10,000.") }
      guard scales.count == (scale ?? "").split(separator: ",").count, scales.allSatisfy({ $0 >= 1_000 }) else {
        throw ValidationError("--scale takes numbers of entries with commas between them, 1,000 at least.")
      }
    }

    func run() async throws {
      try await explaining {
        let scratch = NSTemporaryDirectory() + "rialto-diff-\(ProcessInfo.processInfo.processIdentifier)"
        try FileManager.default.createDirectory(atPath: scratch, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: scratch) }
        let report = try await DiffMeasurement(scratch: scratch, seed: seed).run(
          entries: entries, runs: runs, scales: scales)
        if json { Output.result(report.json.text) } else { report.lines.forEach(Output.result) }
        if !report.isGood { throw ExitCode.notGood }
      }
    }
  }
}

/// Damages copies of histories and looks for the damage.
private struct DiffMeasurement {
  let scratch: String
  let seed: UInt64

  func run(entries: Int, runs: Int, scales: [Int]) async throws -> DiffBenchReport {
    var report = DiffBenchReport()
    let start = ContinuousClock.now
    let history = try build(entries, "n1")
    report.buildSeconds = (ContinuousClock.now - start) / .seconds(1)
    report.entries = history.entries
    report.fills = history.fills
    for kind in FileFault.Kind.allCases {
      var row = DiffBenchReport.Row(kind: kind.rawValue)
      for run in 0..<runs {
        Output.progress("\(kind.rawValue): \(run + 1) of \(runs)")
        let measured = try await measure(kind, seed &+ UInt64(run), history)
        row.add(measured.found, measured.milliseconds, isRight: measured.wrong == nil)
        if let wrong = measured.wrong { report.wrong.append(wrong) }
      }
      report.rows.append(row)
    }
    try? FileManager.default.removeItem(atPath: history.directory)
    for count in scales {
      Output.progress("\(count.grouped) entries")
      let history = try build(count, "scale")
      var row = DiffBenchReport.Row(kind: "\(count)")
      row.entries = history.entries
      for kind in [FileFault.Kind.alterEntry, .skipFill] {
        let measured = try await measure(kind, seed, history)
        row.add(measured.found, measured.milliseconds, isRight: measured.wrong == nil)
        if let wrong = measured.wrong { report.wrong.append(wrong) }
      }
      report.scale.append(row)
      try? FileManager.default.removeItem(atPath: history.directory)
    }
    return report
  }

  private func build(_ entries: Int, _ name: String) throws -> BuiltHistory {
    var shape = BuiltHistory.Shape(entries: entries, entriesPerSecond: max(250, entries / 400), seed: seed)
    shape.prices = 200
    shape.snapshotSeconds = 60
    return try BuiltHistory(shape, in: scratch + "/" + name)
  }

  private func measure(
    _ kind: FileFault.Kind, _ seed: UInt64, _ history: BuiltHistory
  ) async throws -> (found: Divergence, milliseconds: Double, wrong: DiffBenchReport.Wrong?) {
    let copy = scratch + "/copy"
    try? FileManager.default.removeItem(atPath: copy)
    try FileManager.default.copyItem(atPath: history.directory, toPath: copy)
    let key = kind == .equivocate ? history.keys[Int(seed % UInt64(history.keys.count))] : nil
    let fault = try FileFaults.put(kind, in: copy, seed: seed, key: key)
    let left = try DirectoryWitness(try NodeFile(history.directory), label: "left")
    let right = try DirectoryWitness(try NodeFile(copy), label: "right")
    let start = ContinuousClock.now
    let found = try await DivergenceSearch.run(left, right, signatures: SignatureCheck.shared)
    let milliseconds = (ContinuousClock.now - start) / .milliseconds(1)
    let wrong = fault.disagreement(with: found).map {
      DiffBenchReport.Wrong(kind: kind.rawValue, seed: seed, done: fault.text, found: $0)
    }
    return (found, milliseconds, wrong)
  }
}

/// What `bench diff` has found.
private struct DiffBenchReport {
  static let exchangesGoal = 40
  static let bytesGoal = 65_536

  struct Row {
    var kind: String
    var entries: UInt64 = 0
    var runs = 0
    var right = 0
    var exchangesMax = 0
    var bytesMax = 0
    var milliseconds: [Double] = []

    init(kind: String) { self.kind = kind }

    mutating func add(_ found: Divergence, _ milliseconds: Double, isRight: Bool) {
      runs += 1
      right += isRight ? 1 : 0
      exchangesMax = max(exchangesMax, found.cost.exchanges)
      bytesMax = max(bytesMax, found.cost.bytes)
      self.milliseconds.append(milliseconds)
    }

    var median: Int { Int(milliseconds.sorted()[milliseconds.count / 2].rounded()) }
    var slowest: Int { Int((milliseconds.max() ?? 0).rounded()) }
  }

  struct Wrong {
    var kind: String
    var seed: UInt64
    var done: String
    var found: String
  }

  var entries: UInt64 = 0
  var fills: UInt64 = 0
  var buildSeconds = 0.0
  var rows: [Row] = []
  var scale: [Row] = []
  var wrong: [Wrong] = []

  var isGood: Bool { wrong.isEmpty }
  private var exchangesMax: Int { (rows + scale).map(\.exchangesMax).max() ?? 0 }
  private var bytesMax: Int { (rows + scale).map(\.bytesMax).max() ?? 0 }

  var lines: [String] {
    var table = TextTable([
      ("kind", .left), ("runs", .right), ("right", .right), ("questions", .right), ("bytes", .right),
      ("ms p50", .right), ("ms max", .right),
    ])
    for row in rows {
      table.add([
        row.kind, "\(row.runs)", "\(row.right)", "\(row.exchangesMax)", row.bytesMax.grouped, row.median.grouped,
        row.slowest.grouped,
      ])
    }
    for row in scale {
      table.add([
        "\(row.entries.grouped) entries", "\(row.runs)", "\(row.right)", "\(row.exchangesMax)", row.bytesMax.grouped,
        row.median.grouped, row.slowest.grouped,
      ])
    }
    var lines = ["a history of \(entries.grouped) entries and \(fills.grouped) fills"] + table.lines
    for one in wrong.prefix(10) {
      lines.append("wrong: \(one.kind), seed \(one.seed): \(one.done); but \(one.found)")
    }
    lines.append(
      "questions at most \(exchangesMax) (goal \(Self.exchangesGoal)), bytes at most \(bytesMax.grouped) "
        + "(goal \(Self.bytesGoal.grouped))")
    return lines
  }

  var json: JSONLine {
    var line = JSONLine()
    line.add("entries", entries)
    line.add("fills", fills)
    line.add("build_seconds", seconds: .seconds(buildSeconds))
    line.add("kinds", rows.map { Self.json($0, "kind", .init($0.kind)) })
    line.add("scale", scale.map { Self.json($0, "entries", "\($0.entries)") })
    line.add(
      "wrong",
      wrong.map { one in
        var line = JSONLine()
        line.add("kind", one.kind)
        line.add("seed", one.seed)
        line.add("done", one.done)
        line.add("found", one.found)
        return line
      })
    line.add(
      "goals",
      [("exchanges", Self.exchangesGoal, exchangesMax), ("bytes", Self.bytesGoal, bytesMax)].map { name, limit, value in
        var goal = JSONLine()
        goal.add("name", name)
        goal.add("limit", limit)
        goal.add("value", value)
        goal.add("met", value <= limit)
        return goal
      })
    line.add("good", isGood)
    return line
  }

  private static func json(_ row: Row, _ key: String, _ value: String) -> JSONLine {
    var line = JSONLine()
    line.add(key, value)
    line.add("runs", row.runs)
    line.add("right", row.right)
    line.add("exchanges_max", row.exchangesMax)
    line.add("bytes_max", row.bytesMax)
    line.add("ms_median", row.median)
    line.add("ms_max", row.slowest)
    return line
  }
}
