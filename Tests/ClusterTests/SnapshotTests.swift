import CSQLite
import Client
import EventLog
import Foundation
import Node
import OrderBook
import Primitives
import Storage
import Testing

/// Snapshots of real nodes: a restart reads only what came after one, and who comes too late for the log starts from
/// one.
@Suite(.endsIfItHangs) struct SnapshotTests {
  /// Trades until every node has dropped some of its log.
  private func tradeUntilCompacted(_ cluster: TestCluster, _ instrument: Dot, _ names: [String]) async throws {
    var clients: [RialtoClient] = []
    for name in names { clients.append(try await cluster.connect(name)) }
    var seed: UInt64 = 0
    _ = try await eventually("all have dropped what is below their snapshots") {
      seed += 1
      var flow = TestFlow(instrument, seed: seed)
      try await flow.run(100, to: clients[0])
      try await Task.sleep(for: .milliseconds(300))
      for client in clients where try await client.status().logBase.reduce(0, +) < 100 { return nil as UInt64? }
      return seed
    }
  }

  private func change(_ file: String, _ sql: String) throws {
    var database: OpaquePointer?
    try #require(sqlite3_open(file, &database) == SQLITE_OK)
    defer { sqlite3_close(database) }
    try #require(sqlite3_exec(database, sql, nil, nil, nil) == SQLITE_OK && sqlite3_changes(database) > 0)
  }

  @Test func aLateNodeStartsFromASnapshot() async throws {
    try await withCluster(3, salt: 9) { cluster in
      for name in cluster.names {
        try await cluster.start(
          name, peers: name == "n1" ? [] : ["n1"], snapshotSeconds: 1, retainedEntries: 0)
      }
      let instrument = try await cluster.defineInstrument()
      try await tradeUntilCompacted(cluster, instrument, cluster.names)

      // What they have in memory they would still show.
      for (name, other) in [("n1", "n2"), ("n2", "n3"), ("n3", "n1")] {
        try await cluster.stop(name)
        try await cluster.start(name, peers: [other], snapshotSeconds: 1, retainedEntries: 0)
        let client = try await cluster.connect(name)
        try await eventually("\(name) is back") { try await client.status().ready }
      }
      try await cluster.start("n4", peers: ["n2"], snapshotSeconds: 1, retainedEntries: 0)
      let fourth = try await eventually("n4 takes orders") {
        // Its connections end when it starts anew.
        let client = try? await cluster.connect("n4")
        return try? await client?.status().ready == true ? client : nil
      }
      #expect(cluster.log.contains("starting from snapshot"))
      let order = try await fourth.accepted(.limit(instrument, .buy, 1, 1))
      var clients: [RialtoClient] = []
      for name in cluster.names + ["n4"] { clients.append(try await cluster.connect(name)) }
      let statuses = try await clients.rested()
      #expect(Set(statuses.map(\.bookHash)).count == 1 && Set(statuses.map(\.fills)).count == 1)
      #expect(Set(statuses.map(\.orders)).count == 1)
      #expect(statuses.allSatisfy { $0.bookMismatches == 0 })
      // What rests is known to it, whenever it came.
      let open = try await clients[0].openOrders()
      #expect(!open.isEmpty)
      #expect(try await fourth.openOrders().map(\.dot).sorted() == open.map(\.dot).sorted())
      _ = try await fourth.order(order.dot, is: .open)
    }
  }

  @Test func aRestartReadsTheTailAndSurvivesADamagedSnapshot() async throws {
    try await withCluster(1, salt: 8) { cluster in
      try await cluster.start("n1", snapshotSeconds: 1, retainedEntries: 0)
      let instrument = try await cluster.defineInstrument()
      try await tradeUntilCompacted(cluster, instrument, ["n1"])
      var client = try await cluster.connect("n1")
      let before = try await [client].rested()[0]
      try await eventually("two snapshots are there") { try await client.status().snapshotNumber > 0 }
      #expect(try await cluster.stop("n1") == nil)

      // Of what is below the newest snapshot a restart needs nothing, and what it needs not it does not read.
      try await cluster.start("n1", snapshotSeconds: 1, retainedEntries: 0)
      client = try await cluster.connect("n1")
      var after = try await [client].rested()[0]
      #expect(after.bookHash == before.bookHash && after.fills == before.fills && after.vector == before.vector)
      #expect(after.tradesHash == before.tradesHash && after.orders == before.orders)
      try await cluster.stop("n1")

      let file = cluster.directory("n1") + "/" + Store.fileName
      try change(
        file,
        """
        UPDATE snapshot_pieces SET bytes = zeroblob(length(bytes))
        WHERE number = (SELECT max(number) FROM snapshots)
        """)
      try await cluster.start("n1", snapshotSeconds: 1, retainedEntries: 0)
      #expect(cluster.log.contains("is damaged and not used"))
      client = try await cluster.connect("n1")
      after = try await [client].rested()[0]
      #expect(after.bookHash == before.bookHash && after.fills == before.fills && after.orders == before.orders)
      #expect(after.vector[0] == before.vector[0])
      try await client.accepted(.limit(instrument, .buy, 1, 1))
    }
  }
}
