import EngineBenchmark
import Foundation
import Primitives

/// A process that this program starts to measure something, and talks to line by line.
final class BenchChild {
  private let process = Process()
  private let input = Pipe()
  private let output = Pipe()
  private var pending: [UInt8] = []
  private let purpose: String

  /// - Parameters:
  ///   - purpose: what it measures, for error messages.
  ///   - executable: nil for this program itself.
  init(_ purpose: String, executable: String? = nil, _ arguments: [String]) throws {
    self.purpose = purpose
    process.executableURL = URL(fileURLWithPath: try executable ?? Self.ownPath())
    process.arguments = arguments
    process.standardInput = input
    process.standardOutput = output
    try process.run()
  }

  /// It does not outlive this object.
  deinit { if process.isRunning { process.terminate() } }

  static func ownPath() throws -> String {
    guard let path = Bundle.main.executablePath else {
      throw CommandError("the path of this program cannot be found", advice: "Is /proc mounted?")
    }
    return path
  }

  /// The program of that name on the path; nil if there is none.
  static func program(_ name: String) -> String? {
    let folders = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
    return folders.split(separator: ":").map { "\($0)/\(name)" }.first(where: FileManager.default.isExecutableFile)
  }

  /// Lets it go on.
  func poke() throws {
    do { try input.fileHandleForWriting.write(contentsOf: Data("\n".utf8)) } catch { throw endedEarly() }
  }

  /// The words of its next line.
  func nextWords() throws -> [String] {
    while true {
      if let end = pending.firstIndex(of: UInt8(ascii: "\n")) {
        let line = String(decoding: pending[..<end], as: UTF8.self)
        pending.removeSubrange(...end)
        return line.split(separator: " ").map(String.init)
      }
      let data = output.fileHandleForReading.availableData
      if data.isEmpty { throw endedEarly() }
      pending += data
    }
  }

  /// Closes its input and waits for its end.
  func finish() throws {
    try? input.fileHandleForWriting.close()
    process.waitUntilExit()
    if process.terminationStatus != 0 { throw endedEarly() }
  }

  func nonsense(_ words: [String]) -> CommandError {
    CommandError("the process for \(purpose) says '\(words.joined(separator: " "))', which makes no sense")
  }

  private func endedEarly() -> CommandError {
    process.waitUntilExit()
    let isSignal = process.terminationReason == .uncaughtSignal
    let reason = "\(isSignal ? "signal" : "exit code") \(process.terminationStatus)"
    let advice = isSignal && process.terminationStatus == 9 ? "Perhaps memory was short: try --quick." : nil
    return CommandError("the process for \(purpose) ended early: \(reason)", advice: advice)
  }
}

/// Books of several sizes, each in a process of its own.
struct ScaleChildren {
  let orders: [Int]
  let operations: Int
  let rounds: Int
  let seed: UInt64

  /// A round of each size, then the next round of each.
  func measure(progress: (String) -> Void) throws -> [EngineBenchReport.Scale] {
    var children: [BenchChild] = []
    var reports: [EngineBenchReport.Scale] = []
    for orders in orders {
      progress("scale: filling a book with \(orders.grouped) orders")
      let child = try BenchChild(
        "\(orders.grouped) orders",
        [
          "bench", "engine-child", "scale", "--orders", "\(orders)", "--operations", "\(operations)", "--rounds",
          "\(rounds)", "--seed", "\(seed)",
        ])
      let words = try child.nextWords()
      guard words.count == 2, let resident = Int(words[0]), let peak = Int(words[1]) else {
        throw child.nonsense(words)
      }
      children.append(child)
      reports.append(
        EngineBenchReport.Scale(
          orders: orders, residentBytes: resident < 0 ? nil : resident, peakBytes: peak < 0 ? nil : peak))
    }
    for round in 1...rounds {
      progress("scale: round \(round) of \(rounds)")
      for (index, child) in children.enumerated() {
        try child.poke()
        let words = try child.nextWords()
        guard words.count == 2, let nanoseconds = UInt64(words[0]), let operations = Int(words[1]) else {
          throw child.nonsense(words)
        }
        reports[index].operations = operations
        reports[index].nanoseconds.append(nanoseconds)
      }
    }
    for (index, child) in children.enumerated() {
      try child.poke()
      let words = try child.nextWords()
      guard words.count == 2, let resting = Int(words[0]), let hash = Hash256(hex: words[1]) else {
        throw child.nonsense(words)
      }
      reports[index].restingOrders = resting
      reports[index].bookHash = hash
      try child.finish()
    }
    return reports
  }
}

/// A flow under valgrind.
struct InstructionsChild {
  let shape: FlowShape
  let preludeOperations: Int
  let operations: Int
  let seed: UInt64

  static var valgrind: String? { BenchChild.program("valgrind") }

  func measure(valgrind: String) throws -> EngineBenchReport.Instructions {
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent("rialto-bench-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    let output = directory.appendingPathComponent("callgrind.out").path
    let log = directory.appendingPathComponent("valgrind.log").path
    let program = try withoutDebugInformation(in: directory.path)
    let child = try BenchChild(
      "instructions of \(shape.rawValue)", executable: valgrind,
      ProfiledRun.valgrindArguments(outputPath: output) + [
        "--log-file=\(log)", program, "bench", "engine-child", "instructions", "--flow", shape.rawValue, "--prelude",
        "\(preludeOperations)", "--operations", "\(operations)", "--seed", "\(seed)",
      ])
    do {
      let words = try child.nextWords()
      guard words.count == 1, let hash = Hash256(hex: words[0]) else { throw child.nonsense(words) }
      try child.finish()
      let text = String(decoding: try Files.read(output), as: UTF8.self)
      return EngineBenchReport.Instructions(
        flow: shape.rawValue, operations: operations, profile: try CallgrindProfile(text), bookHash: hash)
    } catch let error as CommandError {
      let lines = (try? Files.read(log)).map { String(decoding: $0, as: UTF8.self).split(separator: "\n").suffix(5) }
      throw CommandError(error.message, advice: lines?.joined(separator: "\n       ") ?? error.advice)
    }
  }

  /// A copy of this program that every valgrind can read: older ones give up on debug information of today's compilers.
  private func withoutDebugInformation(in directory: String) throws -> String {
    let own = try BenchChild.ownPath()
    guard let strip = BenchChild.program("strip") ?? BenchChild.program("llvm-strip") else { return own }
    let copy = directory + "/rialto"
    let child = try BenchChild("a copy of this program", executable: strip, ["--strip-debug", "-o", copy, own])
    try child.finish()
    return copy
  }
}
