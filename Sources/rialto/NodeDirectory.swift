import Foundation

/// What a node's data directory says about the process that runs on it.
struct RunningNode: Codable, Hashable {
  var name: String
  var address: String
  var pid: Int32
}

/// Files of one node.
struct NodeDirectory {
  var path: String

  var genesisPath: String { path + "/genesis.json" }
  var keyPath: String { path + "/key" }
  var runningPath: String { path + "/running.json" }
  var logPath: String { path + "/node.log" }

  func writeRunning(_ running: RunningNode) throws {
    let data = try JSONEncoder().encode(running)
    try data.write(to: URL(fileURLWithPath: runningPath), options: .atomic)
  }

  func removeRunning() { try? FileManager.default.removeItem(atPath: runningPath) }

  /// Of the process that runs now; nil if there is none (a file that a killed one left does not count).
  var running: RunningNode? {
    guard let data = FileManager.default.contents(atPath: runningPath),
      let running = try? JSONDecoder().decode(RunningNode.self, from: data), kill(running.pid, 0) == 0
    else { return nil }
    return running
  }
}
