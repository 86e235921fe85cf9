import Foundation
import Membership
import Node
import Primitives

/// A cluster of local processes: its directory, and how to start and end its nodes.
///
/// ```
/// genesis.json             member list
/// settings.json            what the nodes are started with
/// n1/key, node.sqlite …    one directory a node
/// ```
struct ClusterDirectory {
  struct Settings: Codable, Hashable {
    /// Of the members that it began with.
    var nodes: Int
    var fanout: Int
    var seed: UInt64
    var logLevel: String
    /// Nodes that it has now: added ones are in it, removed ones not.
    var names: [String]

    init(nodes: Int, fanout: Int, seed: UInt64, logLevel: String) {
      self.nodes = nodes
      self.fanout = fanout
      self.seed = seed
      self.logLevel = logLevel
      names = ClusterDirectory.names(nodes)
    }
  }

  var path: String

  var genesisPath: String { path + "/genesis.json" }
  private var settingsPath: String { path + "/settings.json" }

  func node(_ name: String) -> NodeDirectory { NodeDirectory(path: path + "/" + name) }

  static func names(_ count: Int) -> [String] { (1...count).map { "n\($0)" } }

  /// Makes keys, member list and settings.
  func create(_ settings: Settings) throws {
    var members: [Genesis.Member] = []
    for name in Self.names(settings.nodes) {
      try FileManager.default.createDirectory(atPath: node(name).path, withIntermediateDirectories: true)
      members.append(
        Genesis.Member(
          publicKey: try KeyFile.loadOrCreate(node(name).keyPath).publicKey, name: name,
          token: try TokenFile.loadOrCreate(node(name).path)))
    }
    try GenesisFile.write(try Genesis(members: members), to: genesisPath)
    try write(settings)
  }

  private func write(_ settings: Settings) throws {
    try JSONEncoder().encode(settings).write(to: URL(fileURLWithPath: settingsPath), options: .atomic)
  }

  /// Takes note of a node that is to join.
  func add(_ name: String) throws {
    var settings = try settings()
    guard !settings.names.contains(name) else {
      throw CommandError("the cluster in \(path) has a node '\(name)' already", advice: "Choose another name.")
    }
    let isPlain = name.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-" || $0 == "_") }
    guard isPlain, (1...Limits.nameBytesMax).contains(name.utf8.count) else {
      throw CommandError(
        "'\(name)' is no name for a node", advice: "Use 1 to \(Limits.nameBytesMax) letters, digits, - and _.")
    }
    try FileManager.default.createDirectory(atPath: node(name).path, withIntermediateDirectories: true)
    settings.names.append(name)
    try write(settings)
  }

  /// Forgets a node; its directory stays.
  func remove(_ name: String) throws {
    var settings = try settings()
    settings.names.removeAll { $0 == name }
    try write(settings)
  }

  func settings() throws -> Settings {
    guard let data = FileManager.default.contents(atPath: settingsPath),
      let settings = try? JSONDecoder().decode(Settings.self, from: data)
    else {
      throw CommandError(
        "there is no cluster in \(path)", advice: "Start one with `rialto cluster up`, or name its --dir.")
    }
    return settings
  }

  func knows(_ name: String) throws {
    let names = try settings().names
    guard names.contains(name) else {
      if !name.isEmpty, !name.contains("/"), FileManager.default.fileExists(atPath: node(name).keyPath) {
        throw CommandError(
          "'\(name)' was removed from the cluster in \(path)",
          advice: "Its files are still there: `rialto cluster add \(name)` lets it join again.")
      }
      throw CommandError(
        "the cluster in \(path) has no node '\(name)'", advice: "It has \(names.joined(separator: ", ")).")
    }
  }

  /// The nodes that run now.
  func running() throws -> [RunningNode] { try settings().names.compactMap { node($0).running } }

  /// Starts one node and waits until it listens.
  /// - Parameters:
  ///   - attached: it ends with this process.
  ///   - further: more arguments for it.
  ///   - spawned: told of the process as soon as there is one.
  /// - Throws: `CommandError` with the end of its log, if it does not come up.
  func start(
    _ name: String, attached: Bool, further: [String] = [], spawned: (NodeProcess) -> Void = { _ in }
  ) async throws -> NodeProcess {
    let settings = try settings()
    let files = node(name)
    files.removeRunning()
    // Any one address would do; those of the others that run are all given, since some may be about to stop.
    let peers = try running().filter { $0.name != name }.map(\.address)
    var arguments = [
      "node", "--data", files.path, "--genesis", genesisPath, "--listen", "127.0.0.1:0", "--fanout",
      "\(settings.fanout)", "--log-level", settings.logLevel, "--name", name, "--demo",
    ]
    for peer in peers { arguments += ["--peer", peer] }
    arguments += further
    let process = try NodeProcess(arguments: arguments, logPath: files.logPath, attached: attached)
    spawned(process)
    for _ in 0..<3_000 {
      if let running = files.running, running.pid == process.pid { return process.listening(running) }
      if !process.isRunning { break }
      try await Task.sleep(for: .milliseconds(10))
    }
    process.kill(SIGKILL)
    throw CommandError("node \(name) does not start:\n\(files.logTail(lines: 5))", advice: "Its log: \(files.logPath)")
  }
}

extension NodeDirectory {
  func logTail(lines count: Int) -> String {
    guard let data = FileManager.default.contents(atPath: logPath) else { return "" }
    let lines = String(decoding: data.suffix(16_384), as: UTF8.self).split(separator: "\n")
    return lines.suffix(count).map { "         " + $0 }.joined(separator: "\n")
  }
}

/// A node in a process of its own.
final class NodeProcess: @unchecked Sendable {
  private let process = Process()
  private let input = Pipe()
  private(set) var address = ""
  private(set) var pid: Int32 = 0

  /// - Parameter attached: the child ends when this process does, however that ends.
  init(arguments: [String], logPath: String, attached: Bool) throws {
    if !FileManager.default.fileExists(atPath: logPath) {
      _ = FileManager.default.createFile(atPath: logPath, contents: nil)
    }
    guard let log = FileHandle(forWritingAtPath: logPath), let executable = Bundle.main.executablePath else {
      throw CommandError("\(logPath) cannot be written")
    }
    log.seekToEndOfFile()
    if attached {
      process.executableURL = URL(fileURLWithPath: executable)
      process.arguments = arguments + ["--stop-with-stdin"]
      process.standardInput = input
    } else {
      // Children have a process group of their own, so Ctrl-C here does not reach them.
      process.executableURL = URL(fileURLWithPath: executable)
      process.arguments = arguments
      process.standardInput = FileHandle.nullDevice
    }
    process.standardOutput = log
    process.standardError = log
    try process.run()
    pid = process.processIdentifier
    try? log.close()
  }

  func listening(_ running: RunningNode) -> NodeProcess {
    address = running.address
    pid = running.pid
    return self
  }

  var isRunning: Bool { process.isRunning }

  /// Whether it has ended by kill -9, its own or somebody else's.
  var wasKilled: Bool {
    !process.isRunning && process.terminationReason == .uncaughtSignal && process.terminationStatus == SIGKILL
  }

  func kill(_ signal: Int32) { Foundation.kill(pid, signal) }

  /// Waits for its end.
  func wait() { process.waitUntilExit() }
}
