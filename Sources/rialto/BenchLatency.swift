import ArgumentParser
import Client
import Foundation
import OrderBook
import PeerSystems
import Primitives
import Synchronization
import Wire

extension BenchCommand {
  enum LatencyPeer: String, CaseIterable, ExpressibleByArgument, Sendable {
    case nats
    case etcd
  }

  struct Latency: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "latency",
      abstract: "Measure how long one order takes on an unloaded cluster, beside NATS JetStream and etcd.",
      discussion: """
        Three nodes, nothing else to do, one order at a time: until its node has it on disk (accepted), and until it can
        never change (final). Beside it, on the same machine, in the same directory and in turn, a block each: a value
        of 100 bytes into NATS JetStream with three replicas and sync_interval: always, one into etcd with three
        members, and 100 bytes appended to a file and synced (fdatasync). All of them have a majority's disks behind
        what is measured; an order that is accepted has one disk, and is tentative. Everything runs all the time; one
        after the other is asked.

        Each system is asked through a client of its own, whose cost is measured, too: ping is a round trip that the
        other side answers by itself. Peers are asked at their leader; Rialto has none, and is asked at the first node.

        The programs come from Scripts/peers, or are on the PATH.

        Goals: final after 0.4 ms (p50) and 1.5 ms (p99) where the sync takes 0.05 ms, and sooner than both peers. A
        goal that is missed is shown, and is a failure with --strict only: another machine has another disk.

        Fields of --json, all times in microseconds:
          orders, warm_up, block, seed  as asked for
          sync                  p50_us, p99_us of 100 bytes and fdatasync
          rialto                title, client, accepted_p50_us, accepted_p99_us, final_p50_us, final_p99_us,
                                ping_p50_us, final_per_sync (p50 by p50, in hundredths)
          peers                 each: system, title, client, p50_us, p99_us, ping_p50_us, per_sync, per_rialto_p50 and
                                per_rialto_p99 (how many times longer than a final order, in hundredths)
          goals                 each: name, limit, value, met
          failures              what must hold and did not; good: whether there is none

        Examples:
          rialto bench latency --json
          rialto bench latency --orders 500 --skip etcd

        Exit codes: 0 done; 1 an order was refused or never became final, the nodes do not hold the same book at the
        end, or the run was interrupted; 2 could not.
        """)

    @Option(help: "Orders that are measured, and values for each peer.") var orders = 2_000
    @Option(help: "Orders before those, which do not count.") var warmUp = 300
    @Option(help: "Orders in a row, before another system has its turn.") var block = 100
    @Option(
      name: .customLong("skip"), help: ArgumentHelp("Leave a peer out: nats or etcd; once for each.", valueName: "peer")
    )
    var skipped: [LatencyPeer] = []
    @Option(help: "Where Scripts/peers has put the programs. (default: rialto-peers in the user's cache directory)")
    var peers: String?
    @Option(help: "Seed of the orders.") var seed: UInt64 = 1
    @Option(help: "Directory for all files, kept; without it, a temporary one that is removed.") var dir: String?
    @Flag(help: "A goal that is missed is a failure.") var strict = false
    @Flag(help: "Print the result as one JSON object on one line.") var json = false

    func validate() throws {
      guard (1...10_000_000).contains(orders) else { throw ValidationError("--orders must be 1 to 10,000,000.") }
      guard (0...1_000_000).contains(warmUp) else { throw ValidationError("--warm-up must be at most 1,000,000.") }
      guard (1...100_000).contains(block) else { throw ValidationError("--block must be 1 to 100,000.") }
    }

    func run() async throws {
      try await explaining {
        let path = dir ?? NSTemporaryDirectory() + "/rialto-bench-\(getpid())"
        guard !FileManager.default.fileExists(atPath: path + "/genesis.json") else {
          throw CommandError("\(path) holds a cluster already", advice: "Name another --dir, or remove it.")
        }
        let programs = PeerPrograms(directory: peers)
        let systems = try LatencyPeer.allCases.filter { !skipped.contains($0) }.map { peer in
          let directory = path + "/" + peer.rawValue
          let system: any PeerSystem =
            switch peer {
            case .nats: try NatsCluster(programs: programs, directory: directory, sync: .always)
            case .etcd: try EtcdCluster(programs: programs, directory: directory)
            }
          return (peer.rawValue, system)
        }
        let plan = LatencyPlan(orders: orders, warmUp: warmUp, block: block, seed: seed)
        let cluster = LocalCluster(directory: ClusterDirectory(path: path))
        let report = try await BenchCluster.cleaningUp {
          try await LatencyRun(plan: plan, cluster: cluster, peers: systems).run()
        } finally: {
          for (_, system) in systems { system.stop() }
          await cluster.end(removing: dir == nil)
        }
        if json { Output.result(report.json.text) } else { report.lines.forEach(Output.result) }
        for failure in report.failures { Output.errorLine(failure) }
        if !report.failures.isEmpty || strict && !report.goals.allSatisfy(\.isMet) { throw ExitCode.notGood }
      }
    }
  }
}

struct LatencyPlan: Hashable, Sendable {
  var orders: Int
  var warmUp: Int
  var block: Int
  var seed: UInt64
}

/// One order at a time, and one value at a time, in turn.
struct LatencyRun {
  static let nodes = 3
  static let valueBytes = 100
  /// Pings in a block.
  static let pings = 20

  let plan: LatencyPlan
  let cluster: LocalCluster
  let peers: [(name: String, system: any PeerSystem)]

  func run() async throws -> OrderLatencyReport {
    Output.note("starting \(Self.nodes) nodes")
    try cluster.directory.create(.init(nodes: Self.nodes, fanout: 3, seed: plan.seed, logLevel: "warning"))
    try await cluster.startAll(Self.nodes)
    for (name, system) in peers {
      Output.note("starting \(name)")
      try await system.start()
    }
    let probe = try SyncProbe(directory: cluster.directory.path)
    let trader = try await SingleOrders(cluster: cluster, seed: plan.seed)
    let value = [UInt8](repeating: 0x61, count: Self.valueBytes)
    Output.note("warming up: \(plan.warmUp) each")
    try await trader.trade(plan.warmUp)
    for (_, system) in peers { try await Self.repeated(plan.warmUp) { try system.write(value) } }
    trader.forget()

    var report = OrderLatencyReport(plan: plan)
    report.peers = peers.map {
      OrderLatencyReport.Peer(name: $0.name, title: $0.system.title, client: $0.system.clientTitle)
    }
    var left = plan.orders
    var nextNote = ContinuousClock.now + .seconds(5)
    while left > 0 {
      let count = min(plan.block, left)
      left -= count
      report.sync += try await Self.repeated(count) { try probe.write() }
      try await trader.trade(count)
      try await trader.ping(Self.pings)
      for (index, peer) in peers.enumerated() {
        report.peers[index].writes += try await Self.repeated(count) { try peer.system.write(value) }
        report.peers[index].pings += try await Self.repeated(Self.pings) { try peer.system.ping() }
      }
      if ContinuousClock.now >= nextNote {
        nextNote += .seconds(5)
        Output.note("\((plan.orders - left).grouped) of \(plan.orders.grouped)")
      }
    }
    report.accepted = trader.accepted
    report.final = trader.final
    report.pings = trader.pings
    await trader.close()
    report.failures = try await ClusterWatch(cluster).disagreement(cluster.names).map { [$0] } ?? []
    return report
  }

  /// Does something so often, on a thread of its own, which may block.
  /// - Returns: nanoseconds of each.
  @discardableResult
  static func repeated(_ count: Int, _ body: @escaping @Sendable () throws -> Void) async throws -> [UInt64] {
    try Task.checkCancellation()
    return try await withCheckedThrowingContinuation { continuation in
      Thread.detachNewThread {
        continuation.resume(
          with: Result {
            try (0..<count).map { _ in
              let start = ContinuousClock.now
              try body()
              return start.duration(to: .now).nanoseconds
            }
          })
      }
    }
  }
}

extension Duration {
  /// Whole nanoseconds of less than 584 years.
  var nanoseconds: UInt64 {
    UInt64(components.seconds) * 1_000_000_000 + UInt64(components.attoseconds / 1_000_000_000)
  }
}

/// Sends one order, waits until it is final, sends the next one.
final class SingleOrders: Sendable {
  /// An order that is not final by then never will be, as far as a measurement goes.
  static let patienceSeconds = 10

  /// What is known of the order that is under way.
  private struct State {
    var isFinal = false
    var dot: Dot?
    /// Told before the answer to the request that made it.
    var finalBefore: Set<Dot> = []
    var sent = ContinuousClock.now
    var accepted: UInt64?
    var refusal: String?
    var waiter: CheckedContinuation<Void, Never>?
    var acceptedAll: [UInt64] = []
    var finalAll: [UInt64] = []
    var pings: [UInt64] = []
  }

  private let client: RialtoClient
  private let instrument: Dot
  private let state: Mutex<State>
  private let generator: Mutex<SeededGenerator>

  var accepted: [UInt64] { state.withLock { $0.acceptedAll } }
  var final: [UInt64] { state.withLock { $0.finalAll } }
  var pings: [UInt64] { state.withLock { $0.pings } }

  init(cluster: LocalCluster, seed: UInt64) async throws {
    state = Mutex(State())
    generator = Mutex(SeededGenerator(seed: seed))
    let all = try await cluster.connectAll(account: BenchCluster.account)
    instrument = try await Instruments.findOrDefine(
      try Instruments.standard(parseSymbol(Instruments.defaultSymbol)), at: all
    ).dot
    for client in all { await client.close() }
    guard let address = cluster.process(cluster.names[0]).flatMap({ Address($0.address) }) else {
      throw CommandError("there is no node")
    }
    let relay = UpdateRelay()
    client = try await RialtoClient.connect(
      to: address, account: BenchCluster.account, name: "bench", onUpdates: { relay.take($0) })
    relay.onUpdates { [weak self] updates in self?.take(updates) }
  }

  func forget() {
    state.withLock { state in
      state.acceptedAll = []
      state.finalAll = []
      state.pings = []
    }
  }

  func close() async { await client.close() }

  func trade(_ count: Int) async throws {
    for _ in 0..<count {
      try Task.checkCancellation()
      try await one()
    }
  }

  func ping(_ count: Int) async throws {
    for _ in 0..<count {
      let start = ContinuousClock.now
      try await client.ping()
      let took = start.duration(to: .now).nanoseconds
      state.withLock { $0.pings.append(took) }
    }
  }

  /// Both sides, near each other: about every other one trades.
  private func order() -> Command {
    generator.withLock { generator in
      let side: Side = generator.below(2) == 0 ? .buy : .sell
      let ticks = 6_000_000 + Int64(generator.below(100)) - 50
      return .order(
        Order(
          instrument: instrument, account: BenchCluster.account, side: side, type: .limit, timeInForce: .goodTillCancel,
          priceTicks: ticks, quantityLots: 1_000 * (1 + Int64(generator.below(100)))))
    }
  }

  private func one() async throws {
    let command = order()
    let timer = Task {
      try await Task.sleep(for: .seconds(Self.patienceSeconds))
      settle { $0.refusal = "an order was not final after \(Self.patienceSeconds) s" }
    }
    await withCheckedContinuation { waiter in
      state.withLock { state in
        state.isFinal = false
        state.dot = nil
        state.accepted = nil
        state.refusal = nil
        state.finalBefore.removeAll()
        state.waiter = waiter
        state.sent = .now
      }
      client.submit([command]) { [self] _, outcome in answered(outcome) }
    }
    timer.cancel()
    if let refusal = state.withLock({ $0.refusal }) {
      throw BenchFailure(refusal + "; the nodes' logs say more: keep them with --dir")
    }
  }

  private func answered(_ outcome: Outcome) {
    let now = ContinuousClock.now
    settle { state in
      guard case .accepted(let acceptance) = outcome else {
        state.refusal = "an order was not accepted: \(outcome)"
        return
      }
      state.dot = acceptance.dot
      state.accepted = state.sent.duration(to: now).nanoseconds
      if state.finalBefore.contains(acceptance.dot) { Self.finish(&state, now) }
    }
  }

  private func take(_ updates: [OrderUpdate]) {
    guard updates.contains(where: { $0.flags.contains(.final) }) else { return }
    let now = ContinuousClock.now
    settle { state in
      for update in updates where update.flags.contains(.final) {
        if state.dot == nil { state.finalBefore.insert(update.entry) }
        if update.entry == state.dot { Self.finish(&state, now) }
      }
    }
  }

  private static func finish(_ state: inout State, _ now: ContinuousClock.Instant) {
    guard !state.isFinal, let accepted = state.accepted else { return }
    state.isFinal = true
    state.acceptedAll.append(accepted)
    state.finalAll.append(state.sent.duration(to: now).nanoseconds)
  }

  /// Changes the state; whoever waits goes on if the order is final or will not be.
  private func settle(_ change: (inout State) -> Void) {
    let waiter: CheckedContinuation<Void, Never>? = state.withLock { state in
      guard state.waiter != nil else { return nil }
      change(&state)
      guard state.isFinal || state.refusal != nil else { return nil }
      defer { state.waiter = nil }
      return state.waiter
    }
    waiter?.resume()
  }
}

/// Takes updates of a connection that is made before whoever wants them is.
private final class UpdateRelay: Sendable {
  private let receiver = Mutex<(@Sendable ([OrderUpdate]) -> Void)?>(nil)
  func onUpdates(_ body: @escaping @Sendable ([OrderUpdate]) -> Void) { receiver.withLock { $0 = body } }
  func take(_ updates: [OrderUpdate]) { receiver.withLock { $0 }?(updates) }
}
