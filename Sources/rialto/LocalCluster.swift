import Client
import Flow
import Foundation
import OrderBook
import Primitives
import Synchronization
import Wire

/// The processes of a cluster that ends with this one.
final class LocalCluster: Sendable {
  let directory: ClusterDirectory
  private let processes = Mutex<[(name: String, process: NodeProcess)]>([])

  init(directory: ClusterDirectory) { self.directory = directory }

  var names: [String] { processes.withLock { $0.map(\.name) } }

  private func address(of name: String) -> Address? {
    processes.withLock { list in list.first { $0.name == name }.flatMap { Address($0.process.address) } }
  }

  func startAll(_ count: Int) async throws {
    for name in ClusterDirectory.names(count) {
      let process = try await directory.start(name, attached: true)
      processes.withLock { $0.append((name, process)) }
    }
  }

  /// Starts one more node, which joins.
  /// - Parameter further: more arguments for it.
  func add(_ name: String, further: [String] = []) async throws {
    try directory.add(name)
    _ = try await directory.start(name, attached: true, further: further) { process in
      processes.withLock { $0.append((name, process)) }
    }
  }

  /// Forgets a node whose process has ended.
  func forget(_ name: String) throws {
    processes.withLock { list in list.removeAll { $0.name == name } }
    try directory.remove(name)
  }

  func process(_ name: String) -> NodeProcess? {
    processes.withLock { list in list.first { $0.name == name }?.process }
  }

  func signal(_ name: String, _ signal: Int32) { process(name)?.kill(signal) }

  func kill(_ name: String) {
    let process = process(name)
    process?.kill(SIGKILL)
    process?.wait()
  }

  func restart(_ name: String) async throws {
    let process = try await directory.start(name, attached: true)
    processes.withLock { list in
      if let place = list.firstIndex(where: { $0.name == name }) { list[place].process = process }
    }
  }

  func connect(_ name: String, account: AccountID) async throws -> RialtoClient {
    guard let address = address(of: name) else { throw CommandError("there is no node \(name)") }
    return try await Connecting.connect(to: address, account: account)
  }

  /// Connects to every node; waits for those that have just been started.
  func connectAll(account: AccountID) async throws -> [RialtoClient] {
    var clients: [RialtoClient] = []
    for name in names {
      let client = try await connect(name, account: account)
      for _ in 0..<500 where !(try await client.status().ready) { try await Task.sleep(for: .milliseconds(10)) }
      clients.append(client)
    }
    return clients
  }

  /// Ends every process, by force if it must be, and removes the files if they are nobody's.
  func end(removing: Bool) async {
    let running = processes.withLock { $0.map(\.process) }
    for process in running where process.isRunning {
      process.kill(SIGINT)
      // One that stands still would not hear it.
      process.kill(SIGCONT)
    }
    for process in running {
      for _ in 0..<300 where process.isRunning { try? await Task.sleep(for: .milliseconds(10)) }
      if process.isRunning { process.kill(SIGKILL) }
    }
    if removing { try? FileManager.default.removeItem(atPath: directory.path) }
  }
}

/// Remembers that the user pressed Ctrl-C, and tells whoever has to stop for it.
final class Interruption: Sendable {
  private struct State {
    var isInterrupted = false
    var handler: (@Sendable () -> Void)?
  }
  private let state = Mutex(State())

  var isInterrupted: Bool { state.withLock { $0.isInterrupted } }

  func interrupt() {
    let handler = state.withLock { state in
      state.isInterrupted = true
      return state.handler
    }
    handler?()
  }

  func onInterrupt(_ handler: @escaping @Sendable () -> Void) {
    let isLate = state.withLock { state in
      state.handler = handler
      return state.isInterrupted
    }
    if isLate { handler() }
  }
}

/// Orders that a node has acknowledged, with the client's ids.
final class Acknowledged: Sendable {
  private let orders = Mutex<[(dot: Dot, id: UInt64)]>([])

  var all: [(dot: Dot, id: UInt64)] { orders.withLock { $0 } }

  func add(_ operation: FlowOperation, _ acceptance: Acceptance) {
    guard !operation.kind.namesTarget else { return }
    orders.withLock { $0.append((acceptance.dot, operation.id)) }
  }
}
