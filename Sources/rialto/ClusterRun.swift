import ArgumentParser
import Client
import Flow
import Foundation
import OrderBook
import Primitives
import Storage
import Synchronization
import Wire

/// One run of a local cluster: start, trade, disturb, agree, end.
struct ClusterRun {
  /// Of operations that name none, and of whoever looks on. An account is known at every node, so that any of them may
  /// cancel any of its orders.
  static let account = AccountID(1)
  static let secondsDefault = 30
  static let agreementSecondsMax = 60
  /// Acknowledged orders that a chaos run looks up in every node's file at the end.
  static let lookedUpMax = 20_000

  let options: ClusterCommand.Run

  func run() async throws -> ClusterSummary {
    let operations = options.flow == "random" ? nil : try readFlow(options.flow)
    let path = options.dir ?? NSTemporaryDirectory() + "/rialto-\(getpid())"
    if options.dir != nil, FileManager.default.fileExists(atPath: path + "/genesis.json") {
      throw CommandError("\(path) holds a cluster already", advice: "Name another --dir, or remove it.")
    }
    let directory = ClusterDirectory(path: path)
    let seed = options.seed ?? UInt64.random(in: 0..<1 << 32)
    if options.seed == nil { Output.note("seed \(seed)") }
    let cluster = LocalCluster(directory: directory)
    let interruption = Interruption()
    let signals = StopSignals { _ in interruption.interrupt() }
    do {
      try directory.create(
        .init(nodes: options.nodes, fanout: options.fanout, seed: seed, logLevel: options.logLevel))
      try await cluster.startAll(options.nodes)
      let source = operations.map { FlowSource($0) } ?? FlowSource(randomFlow(seed))
      let summary = try await trade(source, cluster, interruption, seed: seed)
      await cluster.end(removing: options.dir == nil)
      signals.cancel()
      return summary
    } catch {
      await cluster.end(removing: options.dir == nil)
      signals.cancel()
      if interruption.isInterrupted {
        Output.note("interrupted; every node has been ended")
        throw ExitCode.notGood
      }
      throw error
    }
  }

  private func randomFlow(_ seed: UInt64) -> RandomFlow {
    RandomFlow(seed: seed, configuration: RandomFlow.Configuration(firstID: 1, mix: options.mix))
  }

  private func trade(
    _ source: FlowSource, _ cluster: LocalCluster, _ interruption: Interruption, seed: UInt64
  ) async throws -> ClusterSummary {
    var nodes: [FlowNode] = []
    for account in try Connecting.checked(source.accounts(besides: Self.account)) {
      let clients = try await cluster.connectAll(account: account)
      nodes += zip(clients, cluster.names).map { client, name in
        var node = FlowNode(name: name, account: account, client: client)
        if options.chaos != nil { node.reconnect = { try await cluster.connect(name, account: account) } }
        return node
      }
    }
    let record = try await Instruments.findOrDefine(
      try Instruments.standard(parseSymbol(Instruments.defaultSymbol)),
      at: nodes.prefix(cluster.names.count).map(\.client))
    let acknowledged = Acknowledged()
    var settings = FlowDriver.Settings(instrument: record.dot, account: Self.account)
    settings.ratePerSecond = options.rate
    settings.isCausal = options.causal
    if options.chaos != nil { settings.onAccepted = { acknowledged.add($0, $1) } }
    let driver = FlowDriver(nodes: nodes, settings: settings)
    interruption.onInterrupt { driver.stop() }
    let table = ClusterTable(cluster: cluster)
    // Connected now: the time until all agree must not include that of connecting.
    let watchers = try await cluster.connectAll(account: Self.account)
    let watcher = Task { await table.watch(driver) }
    let chaos = options.chaos == nil ? nil : Task { try await disturb(cluster) }
    let limit = options.flow == "random" ? (options.seconds ?? Self.secondsDefault) : options.seconds
    let timer = Task {
      guard let limit else { return }
      try await Task.sleep(for: .seconds(limit))
      driver.stop()
    }
    let report = await driver.run(source)
    timer.cancel()
    chaos?.cancel()
    let kills = try await chaos?.value ?? 0
    watcher.cancel()
    if interruption.isInterrupted { throw CommandError("interrupted") }
    // A node that was killed has another address by now.
    let judges = kills > 0 ? try await cluster.connectAll(account: Self.account) : watchers
    var summary = try await agree(judges, report, table)
    summary.seed = seed
    summary.kills = kills
    // Logs have no holes: who holds an origin's newest acknowledged entry holds all of that origin.
    for dot in report.total.acknowledged {
      summary.missing += summary.statuses.count {
        $0.vector.count <= dot.origin.int || $0.vector[dot.origin.int] < dot.sequence
      }
    }
    if options.chaos != nil {
      let (looked, absent) = try lookUp(acknowledged, cluster)
      summary.lookedUp = looked
      summary.missing += absent
    }
    return summary
  }

  // MARK: Chaos

  /// Kills and restarts each node in turn until it is cancelled; never leaves one down.
  private func disturb(_ cluster: LocalCluster) async throws -> Int {
    var kills = 0
    while !Task.isCancelled {
      for name in cluster.names {
        do { try await Task.sleep(for: .milliseconds(1_500)) } catch { return kills }
        Output.note("chaos: kill -9 \(name)")
        cluster.kill(name)
        kills += 1
        // A task of its own, which the end of the flow does not cut short: a node that is down must come back.
        let comeBack = Task {
          try await Task.sleep(for: .milliseconds(700))
          try await cluster.restart(name)
        }
        try await comeBack.value
        Output.note("chaos: \(name) is back")
      }
    }
    return kills
  }

  /// Looks up acknowledged orders in every node's file: their dots must hold the orders that were acknowledged.
  /// - Returns: how many were looked up at each node, and how many were not there.
  private func lookUp(_ acknowledged: Acknowledged, _ cluster: LocalCluster) throws -> (Int, Int) {
    let all = acknowledged.all
    let step = max(1, all.count / Self.lookedUpMax)
    var missing = 0
    let looked = (all.count + step - 1) / step
    for name in cluster.names {
      let store = try Store.openReadOnly(directory: cluster.directory.node(name).path)
      defer { store.close() }
      for index in stride(from: 0, to: all.count, by: step) {
        let stored = try store.order(all[index].dot)
        if stored?.order.clientOrderID != ClientOrderID(all[index].id) { missing += 1 }
      }
    }
    return (looked, missing)
  }

  // MARK: Agreement

  private func agree(
    _ clients: [RialtoClient], _ report: FlowReport, _ table: ClusterTable
  ) async throws -> ClusterSummary {
    let last = report.total.lastAccepted ?? .now
    var convergence: Duration?
    var statuses: [NodeStatus] = []
    let deadline = ContinuousClock.now + .seconds(Self.agreementSecondsMax)
    while ContinuousClock.now < deadline {
      statuses = try await Self.statuses(clients)
      if convergence == nil, Self.holdTheSame(statuses) { convergence = last.duration(to: .now) }
      // The trades hash speaks of final fills that are on disk.
      if convergence != nil, statuses.allSatisfy({ $0.tentative == 0 && $0.auditLag == 0 }) { break }
      try await Task.sleep(for: .milliseconds(convergence == nil ? 5 : 50))
    }
    table.show(statuses, seconds: nil)
    for client in clients { await client.close() }
    return ClusterSummary(statuses: statuses, convergence: convergence, report: report)
  }

  /// All nodes at once.
  private static func statuses(_ clients: [RialtoClient]) async throws -> [NodeStatus] {
    try await withThrowingTaskGroup(of: (Int, NodeStatus).self) { group in
      for (place, client) in clients.enumerated() { group.addTask { (place, try await client.status()) } }
      var found = [NodeStatus?](repeating: nil, count: clients.count)
      for try await (place, status) in group { found[place] = status }
      return found.compactMap { $0 }
    }
  }

  private static func holdTheSame(_ statuses: [NodeStatus]) -> Bool {
    guard let first = statuses.first else { return false }
    return statuses.allSatisfy {
      $0.vector == first.vector && $0.bookHash == first.bookHash && $0.applied == $0.entries && $0.missing == 0
    }
  }
}

/// What a run has shown.
struct ClusterSummary {
  var statuses: [NodeStatus]
  /// From the last acceptance until all books were the same; nil if they never were.
  var convergence: Duration?
  var report: FlowReport
  var seed: UInt64 = 0
  var kills = 0
  /// Acknowledged orders that a node does not hold.
  var missing = 0
  /// Acknowledged orders whose content was compared in every node's file.
  var lookedUp = 0

  var isConverged: Bool {
    convergence != nil && Set(statuses.map(\.bookHash)).count == 1 && Set(statuses.map(\.tradesHash)).count == 1
      && statuses.allSatisfy { $0.tentative == 0 && $0.bookMismatches == 0 }
  }
  var isGood: Bool { isConverged && missing == 0 && report.isGood }

  /// Orders that the log holds, rejected ones included; the same at every node once they agree.
  private var orders: UInt64 { statuses.map(\.orders).max() ?? 0 }
  private var ordersPerSecond: Int { report.duration.perSecond(Int(orders)) }

  var json: JSONLine {
    var line = JSONLine()
    line.add(
      "nodes",
      statuses.map { status in
        var line = JSONLine()
        line.add("name", status.name)
        line.add("entries", status.entries)
        line.add("orders", status.orders)
        line.add("fills", status.fills)
        line.add("trades_hash", status.tradesHash)
        line.add("book_hash", status.bookHash)
        line.add("applications", status.applications)
        line.add("rollback_depth_max", status.rollbackDepthMax)
        return line
      })
    line.add("converged", isConverged)
    if let convergence {
      line.add("convergence_ms", convergence.microseconds / 1000)
    } else {
      line.addNull("convergence_ms")
    }
    line.add("orders_per_second", ordersPerSecond)
    line.add("entries_per_second", report.acceptedPerSecond)
    line.add("accepted", report.total.accepted)
    line.add("refused", report.total.refused)
    line.add("unknown", report.total.unknown)
    line.add("seconds", seconds: report.duration)
    line.add("latency_us_p50", report.total.latency.percentile(permille: 500).microseconds)
    line.add("latency_us_p99", report.total.latency.percentile(permille: 990).microseconds)
    line.add("seed", seed)
    line.add("kills", kills)
    line.add("acknowledged_missing", missing)
    line.add("acknowledged_compared", lookedUp)
    return line
  }

  func tell() {
    let latency = report.total.latency
    Output.result(
      "\(report.total.accepted.grouped) operations accepted in \(report.duration.short) "
        + "(\(report.acceptedPerSecond.short)/s, of them \(ordersPerSecond.short)/s orders); "
        + "accepted after \(latency.percentile(permille: 500).short) (p50), "
        + "\(latency.percentile(permille: 990).short) (p99)")
    if kills > 0 {
      Output.result(
        "\(kills) kills; acknowledged entries missing anywhere: \(missing) (all checked by log length, "
          + "\(lookedUp.grouped) by content)")
    }
    if report.total.unknown > 0 {
      Output.result("\(report.total.unknown.grouped) operations were never answered: their fate is not known")
    }
    if let refusal = report.total.firstRefusal {
      Output.result("refused: \(report.total.refused.grouped); the first: \(refusal)")
    }
    if isConverged, let convergence, let first = statuses.first {
      Output.result(
        "all \(statuses.count) nodes hold the same book \(first.bookHash.prefix(16))… and the same "
          + "\(first.fills.grouped) fills \(first.tradesHash.prefix(16))…, \(convergence.short) after the last order")
    } else {
      Output.result("the nodes do NOT agree; keep their files with --dir and look at `rialto status`")
    }
  }
}
