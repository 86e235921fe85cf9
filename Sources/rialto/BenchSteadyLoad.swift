import Client
import OrderBook
import Primitives
import Synchronization
import Wire

/// A steady flow of orders, each followed until it is final.
final class SteadyLoad: Sendable {
  private static let stepMilliseconds = 5
  private static let answersMillisecondsMax = 10_000
  /// Orders whose fate is kept; of more, the oldest are forgotten.
  private static let ordersMax = 1_000_000

  private struct Sent {
    /// Wall clock, microseconds since 1970.
    var at: UInt64
    var accepted: UInt64?
    var final: UInt64?
  }

  private struct State {
    var sent: [Sent] = []
    /// Forgotten from the front of `sent`.
    var forgotten = 0
    /// Places of orders that are accepted and not final.
    var tentative: [Dot: Int] = [:]
    /// Told to be final before they were known to be accepted.
    var early: Set<Dot> = []
    var refused = 0
    var isStopped = false
    var clients: [RialtoClient] = []
    var task: Task<Void, Never>?
  }

  private let state = Mutex(State())

  /// Starts to send, to these nodes in turn.
  func start(
    _ cluster: LocalCluster, _ names: [String], _ instrument: Dot, _ rate: Int, seed: UInt64
  ) async throws {
    var clients: [RialtoClient] = []
    for name in names {
      guard let address = cluster.process(name).flatMap({ Address($0.address) }) else {
        throw CommandError("there is no node \(name)")
      }
      clients.append(
        try await RialtoClient.connect(
          to: address, account: BenchCluster.account, name: "bench", onUpdates: { [weak self] in self?.take($0) }))
    }
    let all = clients
    let task = Task {
      var generator = SeededGenerator(seed: seed)
      let begun = ContinuousClock.now
      var count = 0
      while !state.withLock({ $0.isStopped }) {
        let due = Int(begun.duration(to: .now).microseconds) * rate / 1_000_000
        while count < due {
          send(Self.order(instrument, &generator), to: all[count % all.count])
          count += 1
        }
        try? await Task.sleep(for: .milliseconds(Self.stepMilliseconds))
      }
    }
    state.withLock { state in
      state.clients = all
      state.task = task
    }
  }

  private static func order(_ instrument: Dot, _ generator: inout SeededGenerator) -> Command {
    .order(
      Order(
        instrument: instrument, account: BenchCluster.account, side: generator.below(2) == 0 ? .buy : .sell,
        type: .limit, timeInForce: .goodTillCancel, priceTicks: 6_000_000 + Int64(generator.below(100)) - 50,
        quantityLots: 1_000 * (1 + Int64(generator.below(100)))))
  }

  private func send(_ command: Command, to client: RialtoClient) {
    let start = BenchCluster.wallMicroseconds()
    let place = state.withLock { state in
      if state.sent.count == Self.ordersMax {
        state.sent.removeFirst(Self.ordersMax / 2)
        state.forgotten += Self.ordersMax / 2
      }
      state.sent.append(Sent(at: start))
      return state.forgotten + state.sent.count - 1
    }
    client.submit([command]) { [self] _, outcome in
      let took = BenchCluster.wallMicroseconds() - start
      state.withLock { state in
        guard case .accepted(let acceptance) = outcome else {
          state.refused += 1
          return
        }
        let index = place - state.forgotten
        guard index >= 0 else { return }
        state.sent[index].accepted = took
        if state.early.remove(acceptance.dot) != nil {
          state.sent[index].final = took
        } else {
          state.tentative[acceptance.dot] = place
        }
      }
    }
  }

  private func take(_ updates: [OrderUpdate]) {
    let now = BenchCluster.wallMicroseconds()
    state.withLock { state in
      for update in updates where update.flags.contains(.final) {
        guard let place = state.tentative.removeValue(forKey: update.entry) else {
          // It may be one of long ago, which a later order has changed.
          if state.early.count < 1_000 { state.early.insert(update.entry) }
          continue
        }
        let index = place - state.forgotten
        if index >= 0 { state.sent[index].final = now - state.sent[index].at }
      }
    }
  }

  /// The slowest orders of those sent since then, in microseconds; one that waits still counts as far as it has come.
  func worst(since start: UInt64) -> (accepted: UInt64, final: UInt64) {
    let now = BenchCluster.wallMicroseconds()
    return state.withLock { state in
      var worst: (accepted: UInt64, final: UInt64) = (0, 0)
      for sent in state.sent.reversed() {
        if sent.at < start { break }
        worst.accepted = max(worst.accepted, sent.accepted ?? now - sent.at)
        worst.final = max(worst.final, sent.final ?? now - sent.at)
      }
      return worst
    }
  }

  /// Orders sent, and those of them that were refused or have no answer.
  var counts: (orders: Int, unanswered: Int) {
    state.withLock { state in
      (state.forgotten + state.sent.count, state.sent.count { $0.accepted == nil })
    }
  }

  /// Sends no more, and waits for the answers that are due; then the connections are closed.
  func stop() async {
    let (clients, task) = state.withLock { state in
      state.isStopped = true
      defer { (state.clients, state.task) = ([], nil) }
      return (state.clients, state.task)
    }
    await task?.value
    for _ in 0..<Self.answersMillisecondsMax / Self.stepMilliseconds where counts.unanswered > 0 {
      do { try await Task.sleep(for: .milliseconds(Self.stepMilliseconds)) } catch { break }
    }
    for client in clients { await client.close() }
  }
}
