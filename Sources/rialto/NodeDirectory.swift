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
      let running = try? JSONDecoder().decode(RunningNode.self, from: data), ProcessTable.isAlive(running.pid)
    else { return nil }
    return running
  }
}

enum ProcessTable {
  /// False also for a process that has ended and whose parent has not taken note.
  static func isAlive(_ pid: Int32) -> Bool {
    guard kill(pid, 0) == 0 else { return false }
    guard let data = FileManager.default.contents(atPath: "/proc/\(pid)/stat") else { return true }
    // `pid (name) state …`; the name may hold anything.
    let text = String(decoding: data, as: UTF8.self)
    guard let end = text.lastIndex(of: ")") else { return true }
    return text[text.index(after: end)...].first { $0 != " " } != "Z"
  }
}
