import ArgumentParser
import Foundation
import Primitives
import Simulator
import Synchronization
import Testing

@testable import rialto

/// What `rialto simulate` takes, prints and returns.
@Suite("Simulate")
struct SimulateCommandTests {
  private static func words(_ line: String) -> [String] { line.split(separator: " ").map(String.init) }

  /// Runs without printing.
  /// - Returns: what it gave, and all lines.
  private static func run(_ plan: SimulatePlan) -> (summary: SimulateSummary, lines: [String]) {
    let lines = LineSink()
    let summary = SimulateRun(plan: plan, result: { lines.add($0) }, note: { lines.add($0) }).run()
    return (summary, lines.all)
  }

  private static func plan(_ line: String, defects: Defects = []) throws -> SimulatePlan {
    var plan = try SimulateCommand.parse(words(line)).plan()
    plan.defects = defects
    return plan
  }

  // MARK: Options

  @Test func defaults() throws {
    let recipe = try SimulateCommand.parse([]).firstRecipe()
    #expect(recipe == SimulationRecipe(seed: 1, name: .swarm, nodes: nil, seconds: 20))
    #expect(try Self.plan("").seeds == 1)
    #expect(try Self.plan("").shrinkRunsMax == nil)
    #expect(try Self.plan("--shrink").shrinkRunsMax == Shrinker.runsMaxDefault)
    #expect(try Self.plan("--seeds 3 --jobs 8").jobs == 3)
  }

  @Test(
    "options that cannot be are explained",
    arguments: [
      ("--seeds 0", "--seeds must be between 1 and 1,000,000."),
      ("--seed 18446744073709551615 --seeds 2", "--seed and --seeds go beyond the largest seed"),
      ("--nodes 1", "--nodes must be between 2 and 63."),
      ("--seconds 0", "--seconds must be between 1 and 86,400."),
      ("--commands 0", "--commands must be at least 1."),
      ("--jobs 0", "--jobs must be between 1 and 256."),
      ("--seeds 2 --without 1", "--without is for one seed"),
      ("--seeds 2 --timeline", "--timeline is for one seed"),
      ("--profile wild", "wild"),
    ])
  func refused(line: String, message: String) {
    #expect {
      try SimulateCommand.parse(Self.words(line))
    } throws: {
      SimulateCommand.message(for: $0).contains(message)
    }
  }

  @Test(
    "what a seed does not have is explained",
    arguments: [
      ("--without 1,x", "--without 1,x is not a list of indices"),
      ("--profile calm --without 1", "there is no 1 to leave out"),
      ("--set lost=1", "--set: there is no setting 'lost'; there are fanout, transport"),
      ("--set loss=1000", "--set: loss is a whole number from 0 to 900 ‰, not '1000'"),
      ("--set latency-min=9999999", "is above latency-max"),
    ])
  func impossible(line: String, message: String) throws {
    let command = try SimulateCommand.parse(Self.words(line))
    #expect {
      try command.plan()
    } throws: { error in
      (error as? CommandError)?.message.contains(message) == true && (error as? CommandError)?.advice != nil
    }
  }

  @Test("the command that a recipe prints makes the same recipe")
  func commandsAreRead() throws {
    var generator = SeededGenerator(seed: 9)
    for _ in 0..<40 {
      let name = SimulationProfile.Name.allCases[generator.pick(0...5)]
      var recipe = SimulationRecipe(
        seed: generator.next(), name: name, nodes: generator.chance(1, of: 2) ? generator.pick(2...9) : nil,
        seconds: UInt64(generator.pick(1...60)))
      recipe.without = Set(recipe.profile.faults.indices.filter { _ in generator.chance(1, of: 2) })
      if generator.chance(1, of: 2) { recipe.commandsMax = generator.pick(1...500) }
      for setting in ProfileSetting.allCases where generator.chance(1, of: 4) && setting.rawValue.last != "n" {
        recipe.overrides[setting] = setting.allowed.upperBound
      }
      let read = try SimulateCommand.parse(Array(recipe.arguments.dropFirst())).firstRecipe()
      #expect(read == recipe)
      #expect(read.profile == recipe.profile)
    }
  }

  // MARK: Results

  @Test func theResultIsTheSameWhateverTheJobs() throws {
    let one = Self.run(try Self.plan("--seed 4 --seeds 3 --seconds 1 --nodes 3 --profile calm --jobs 1 --json"))
    let three = Self.run(try Self.plan("--seed 4 --seeds 3 --seconds 1 --nodes 3 --profile calm --jobs 3 --json"))
    #expect(one.summary.isGood)
    #expect(one.summary.exitCode == .good)
    #expect(one.summary.hash == three.summary.hash)
    #expect(one.summary.steps == three.summary.steps)
    let text = one.summary.json.text
    #expect(text.hasPrefix("{\"seeds\":3,\"virtual_seconds\":"))
    let object = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    for key in ["seeds", "steps", "node_seconds_per_cpu_second", "first_seed", "orders", "acknowledged"] {
      #expect(object[key] is Int, "\(key)")
    }
    #expect(try #require(object["virtual_seconds"] as? Double) >= 3)
    #expect((object["violations"] as? [Any])?.isEmpty == true)
    #expect((object["run_hash"] as? String)?.count == 32)
  }

  @Test("a failure prints its seed, the last steps, and a command that fails in the same way")
  func failure() throws {
    let line = "--seed 2 --seeds 2 --seconds 2 --nodes 3 --profile crashes --jobs 2 --json"
    let (summary, lines) = Self.run(try Self.plan(line, defects: .acknowledgesBeforeSync))
    #expect(!summary.isGood)
    #expect(summary.exitCode == .notGood)
    let failure = try #require(summary.failures.first)
    let violation = try #require(failure.violation)
    let headline = "VIOLATION of \(violation.checker) in seed \(failure.recipe.seed), after "
    #expect(lines.contains { $0.hasPrefix(headline) })
    for part in ["the last steps of all nodes", "faults then", "nodes then", "  \(failure.recipe.command) --shrink"] {
      #expect(lines.contains(part), "\(part)")
    }
    #expect(lines.contains { $0.contains("  n1  ") && $0.contains(" s  ") })
    let command = try #require(lines.first { $0.hasPrefix("  rialto simulate ") && !$0.hasSuffix("--shrink") })
    let again = Self.run(
      try Self.plan(Self.words(command).dropFirst(2).joined(separator: " "), defects: .acknowledgesBeforeSync))
    #expect(again.summary.failures.first?.violation == violation)
    #expect(again.summary.failures.first?.hash == failure.hash)
    let text = summary.json.text
    let object = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    let told = try #require((object["violations"] as? [[String: Any]])?.first)
    #expect(told["seed"] as? Int == Int(failure.recipe.seed))
    #expect(told["checker"] as? String == violation.checker)
    #expect(told["replay"] as? String == failure.recipe.command)
  }

  @Test func whatIsShrunkFailsInTheSameWay() throws {
    let line = "--seed 2 --seconds 3 --nodes 3 --profile crashes --shrink --shrink-runs 40"
    let (summary, lines) = Self.run(try Self.plan(line, defects: .acknowledgesBeforeSync))
    let shrunk = try #require(summary.shrunk)
    #expect(shrunk.violation.checker == summary.failures.first?.violation?.checker)
    let command = try #require(lines.last { $0.hasPrefix("  rialto simulate ") })
    #expect(command == "  \(shrunk.recipe.command)")
    let again = Self.run(
      try Self.plan(Self.words(command).dropFirst(2).joined(separator: " "), defects: .acknowledgesBeforeSync))
    #expect(again.summary.failures.first?.violation == shrunk.violation)
  }

  // MARK: Processes

  @Test func aSeedGivesTheSameRunInTwoProcesses() throws {
    let line = "simulate --seed 6 --seconds 1 --nodes 3 --profile calm --json"
    let (first, second) = (try Self.rialto(line), try Self.rialto(line))
    #expect(first.code == 0)
    let hash = try #require(first.output.firstMatch(of: /"run_hash":"([0-9a-f]{32})"/)?.1)
    #expect(second.output.contains("\"run_hash\":\"\(hash)\""))
    #expect(first.output.split(separator: "\n").count == 1)
    #expect(first.errors.contains("seed 6, profile calm"))
  }

  @Test func badUsageExitsWithTwo() throws {
    for line in ["simulate --seeds 0", "simulate --set loss", "simulate --wrong"] {
      let ended = try Self.rialto(line)
      #expect(ended.code == 2)
      #expect(ended.output.isEmpty)
      #expect(ended.errors.hasPrefix("error: "))
    }
  }

  /// The executable lies beside the tests'.
  private static func rialto(_ line: String) throws -> (code: Int32, output: String, errors: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
      .deletingLastPathComponent().appendingPathComponent("rialto")
    process.arguments = words(line)
    process.standardInput = FileHandle.nullDevice
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("simulate-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let files = ["out", "err"].map { folder.appendingPathComponent($0) }
    for file in files { try Data().write(to: file) }
    process.standardOutput = try FileHandle(forWritingTo: files[0])
    process.standardError = try FileHandle(forWritingTo: files[1])
    try process.run()
    process.waitUntilExit()
    let texts = try files.map { try String(contentsOf: $0, encoding: .utf8) }
    return (process.terminationStatus, texts[0], texts[1])
  }
}

/// Lines from any thread.
private final class LineSink: Sendable {
  private let lines = Mutex<[String]>([])
  func add(_ line: String) { lines.withLock { $0.append(line) } }
  var all: [String] { lines.withLock { $0 } }
}
