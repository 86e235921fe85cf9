import ArgumentParser
import Client
import Foundation
import OrderBook
import Primitives
import Synchronization
import Wire

/// What measurements of whole clusters have in common.
enum BenchCluster {
  static let account = AccountID(1)
  /// How long a cluster may take to be as it should be.
  static let patienceSeconds = 60

  /// Does some work, and cleans up after it however it ends: done, failed, or interrupted by Ctrl-C.
  /// - Throws: `ExitCode.notGood` after an interruption, and after a failure, once it is told.
  static func cleaningUp<Value: Sendable>(
    _ work: @escaping @Sendable () async throws -> Value, finally cleanUp: () async -> Void
  ) async throws -> Value {
    let interruption = Interruption()
    let signals = StopSignals { _ in interruption.interrupt() }
    let task = Task { try await work() }
    interruption.onInterrupt { task.cancel() }
    let result = await task.result
    await cleanUp()
    signals.cancel()
    if interruption.isInterrupted {
      Output.note("interrupted; everything that was started has been ended")
      throw ExitCode.notGood
    }
    do {
      return try result.get()
    } catch let failure as BenchFailure {
      Output.errorLine(failure)
      throw ExitCode.notGood
    }
  }

  /// Runs on a new cluster of this machine, in a temporary directory unless one is named; ends it afterwards.
  static func run<Value: Sendable>(
    nodes: Int, fanout: Int = 3, seed: UInt64, directory: String?,
    _ work: @escaping @Sendable (LocalCluster) async throws -> Value
  ) async throws -> Value {
    let path = directory ?? NSTemporaryDirectory() + "/rialto-bench-\(getpid())"
    if directory != nil, FileManager.default.fileExists(atPath: path + "/genesis.json") {
      throw CommandError("\(path) holds a cluster already", advice: "Name another --dir, or remove it.")
    }
    let cluster = LocalCluster(directory: ClusterDirectory(path: path))
    return try await cleaningUp {
      try cluster.directory.create(.init(nodes: nodes, fanout: fanout, seed: seed, logLevel: "info"))
      try await cluster.startAll(nodes)
      return try await work(cluster)
    } finally: {
      await cluster.end(removing: directory == nil)
    }
  }

  /// Asks `isDone` every so often until it says yes.
  /// - Throws: `BenchFailure` naming what did not happen.
  static func wait(
    for what: String, seconds: Int = patienceSeconds, everyMilliseconds: Int = 200, _ isDone: () async throws -> Bool
  ) async throws {
    let deadline = ContinuousClock.now + .seconds(seconds)
    while !(try await isDone()) {
      guard ContinuousClock.now < deadline else { throw BenchFailure("\(what): not after \(seconds) s") }
      try await Task.sleep(for: .milliseconds(everyMilliseconds))
    }
  }

  /// Microseconds since 1970, as the nodes' records have them.
  static func wallMicroseconds() -> UInt64 {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    return UInt64(now.tv_sec) * 1_000_000 + UInt64(now.tv_nsec) / 1_000
  }
}

/// Something that must happen and did not: a result, though not a good one.
struct BenchFailure: Error, Hashable, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

/// Asks the nodes of a cluster for their status, over connections that are made once.
actor ClusterWatch {
  private let cluster: LocalCluster
  private var clients: [String: RialtoClient] = [:]

  init(_ cluster: LocalCluster) { self.cluster = cluster }

  /// Of each of these nodes that answers, all at once.
  func statuses(_ names: [String]) async throws -> [(name: String, status: NodeStatus)] {
    for name in names where clients[name]?.isConnected != true {
      clients[name] = try? await cluster.connect(name, account: BenchCluster.account)
      try Task.checkCancellation()
    }
    let asked = names.compactMap { name in clients[name].map { (name, $0) } }
    return try await withThrowingTaskGroup(of: (name: String, status: NodeStatus)?.self) { group in
      for (name, client) in asked {
        group.addTask { (try? await client.status()).map { (name, $0) } }
      }
      var found: [(name: String, status: NodeStatus)] = []
      for try await answer in group { if let answer { found.append(answer) } }
      try Task.checkCancellation()
      return found.sorted { names.firstIndex(of: $0.name) ?? 0 < names.firstIndex(of: $1.name) ?? 0 }
    }
  }

  func status(_ name: String) async throws -> NodeStatus? { try await statuses([name]).first?.status }

  /// Whether all of these nodes, and no others, are members of one view, linked to each other, and take orders.
  func areMembers(_ names: [String]) async throws -> Bool {
    let found = try await statuses(names)
    guard found.count == names.count, let view = found.first?.status.view else { return false }
    return found.allSatisfy { _, status in
      status.view == view && status.origin != nil && status.ready && !status.isWedged
        && status.members.count == names.count && status.peers.allSatisfy(\.connected)
    }
  }

  /// Waits until all hold the same, and all of it is final, once nothing more comes.
  /// - Returns: what is wrong, if that does not happen.
  nonisolated func disagreement(_ names: [String]) async throws -> String? {
    do {
      try await BenchCluster.wait(for: "the same book everywhere, all of it final") {
        let found = try await statuses(names)
        guard found.count == names.count, let first = found.first?.status else { return false }
        return found.allSatisfy { _, status in
          status.tentative == 0 && status.vector == first.vector && status.bookHash == first.bookHash
            && status.bookMismatches == 0
        }
      }
      return nil
    } catch let failure as BenchFailure {
      return failure.description
    }
  }

  func forget(_ name: String) async {
    await clients[name]?.close()
    clients[name] = nil
  }
}

/// Something that a measurement should stay below.
struct BenchGoal: Hashable, Sendable {
  var name: String
  var limit: UInt64
  var value: UInt64
  var isMet: Bool { value <= limit }

  var json: JSONLine {
    var line = JSONLine()
    line.add("name", name)
    line.add("limit", limit)
    line.add("value", value)
    line.add("met", isMet)
    return line
  }

  var text: String { "\(name) \(value.grouped), goal \(limit.grouped): \(isMet ? "met" : "MISSED")" }
}

extension Collection<UInt64> {
  /// The lower one of the two in the middle, if there are two; 0 if there is nothing.
  var median: UInt64 { percentile(permille: 500) }

  /// The value that `permille` of all do not exceed; 0 if there is nothing.
  func percentile(permille: Int) -> UInt64 {
    let sorted = self.sorted()
    guard !sorted.isEmpty else { return 0 }
    return sorted[Swift.min(sorted.count - 1, Swift.max(0, (sorted.count * permille + 999) / 1_000 - 1))]
  }
}

/// Work for the processors that nobody wants.
final class BusyLoops: @unchecked Sendable {
  private let isOver = Atomic(false)

  /// Starts so many threads that never rest.
  init(_ count: Int) {
    for _ in 0..<count {
      Thread.detachNewThread { [self] in
        var value: UInt64 = 1
        while !isOver.load(ordering: .relaxed) {
          for _ in 0..<10_000 { value = value &* 6_364_136_223_846_793_005 &+ 1 }
        }
        withExtendedLifetime(value) {}
      }
    }
  }

  func stop() { isOver.store(true, ordering: .relaxed) }
}
