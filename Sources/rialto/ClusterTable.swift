import Client
import OrderBook
import Primitives

/// Once a second, what every node of a local cluster holds.
struct ClusterTable: Sendable {
  let cluster: LocalCluster

  /// Until it is cancelled. Uses connections of its own, so that it never waits behind the flow.
  func watch(_ driver: FlowDriver) async {
    var clients: [RialtoClient?] = cluster.names.map { _ in nil }
    let start = ContinuousClock.now
    var second = 0
    while true {
      // A look at busy nodes takes time: what counts is the clock.
      second = max(second + 1, Int(start.duration(to: .now).microseconds / 1_000_000) + 1)
      do { try await Task.sleep(until: start + .seconds(second)) } catch { break }
      var statuses: [NodeStatus?] = []
      for (place, name) in cluster.names.enumerated() {
        if clients[place]?.isConnected != true {
          clients[place] = try? await cluster.connect(name, account: ClusterRun.account)
        }
        statuses.append(try? await clients[place]?.status())
      }
      if Task.isCancelled { break }
      show(statuses, seconds: second)
    }
    for client in clients { await client?.close() }
  }

  /// - Parameter seconds: nil for the last table.
  func show(_ statuses: [NodeStatus?], seconds: Int?) {
    var table = TextTable([
      (seconds.map { "\($0) s" } ?? "end", .left), ("entries", .right), ("orders", .right), ("fills", .right),
      ("lag ms", .right), ("book", .left), ("", .left),
    ])
    let known = statuses.compactMap { $0 }
    for (name, status) in zip(cluster.names, statuses) {
      guard let status else {
        table.add([name, "", "", "", "", "", "down"])
        continue
      }
      // Books can be compared where the same entries have been applied.
      let peers = known.filter { $0.vector == status.vector && $0.applied == status.applied && $0.name != status.name }
      let agreement: String
      if peers.contains(where: { $0.bookHash != status.bookHash }) {
        agreement = "DIFFERS"
      } else {
        agreement = peers.count == statuses.count - 1 ? "= all" : peers.isEmpty ? "" : "= \(peers.count)"
      }
      table.add([
        name, status.entries.grouped, status.orders.grouped, status.fills.grouped, status.lagMilliseconds.grouped,
        String(status.bookHash.prefix(8)), agreement,
      ])
    }
    table.note()
  }
}
