import CSQLite
import Client
import EventLog
import Forensics
import Foundation
import Node
import OrderBook
import Primitives
import Storage
import Testing
import Wire

/// Logs that clients ask for, and files of real nodes that are looked at and mended.
@Suite(.endsIfItHangs) struct LogQueryTests {
  private func change(_ file: String, _ sql: String) throws {
    var database: OpaquePointer?
    try #require(sqlite3_open(file, &database) == SQLITE_OK)
    defer { sqlite3_close(database) }
    try #require(sqlite3_exec(database, sql, nil, nil, nil) == SQLITE_OK && sqlite3_changes(database) > 0)
  }

  /// Everything that a node has of an origin's log.
  private func log(_ client: RialtoClient, _ origin: OriginIndex) async throws -> [LoggedBatch] {
    var all: [LoggedBatch] = []
    var next: UInt64 = 1
    while true {
      let (batches, held) = try await client.log(of: origin, from: next, through: .max >> 1)
      guard let last = batches.last else {
        #expect(next == held + 1)
        return all
      }
      all += batches
      next = try BatchHeader(canonicalBytes: last.bytes).lastSequence + 1
    }
  }

  @Test func logsAreAskedForAndFilesMended() async throws {
    try await withCluster(3, salt: 31) { cluster in
      try await cluster.startAll()
      let instrument = try await cluster.defineInstrument()
      var clients: [RialtoClient] = []
      for name in cluster.names { clients.append(try await cluster.connect(name)) }
      for (seed, client) in clients.enumerated() {
        var flow = TestFlow(instrument, seed: UInt64(seed) + 1)
        try await flow.run(60, to: client)
      }
      _ = try await clients.rested()

      let origin = cluster.origin("n2")
      let mine = try await log(clients[0], origin)
      #expect(mine.count > 5)
      #expect(try await log(clients[2], origin) == mine)
      // The first batch is the one that holds what was asked for.
      let second = try BatchHeader(canonicalBytes: mine[4].bytes)
      let part = try await clients[0].log(of: origin, from: second.lastSequence, through: second.lastSequence)
      #expect(part.batches == [mine[4]])
      #expect(try await clients[0].log(of: OriginIndex(77), from: 1, through: 9).batches.isEmpty)

      // A running node's file is sound, and may be looked at.
      let directory = cluster.directory("n1")
      let running = try Verification.run(try NodeFile(directory, genesis: cluster.genesis))
      #expect(running.isSound, "\(running.damages.map(\.text))")
      #expect(running.counts.fills > 0 && running.counts.checkpoints > 0)

      try await cluster.stop("n1")
      let stopped = try Verification.run(try NodeFile(directory, genesis: cluster.genesis))
      #expect(stopped.isSound, "\(stopped.damages.map(\.text))")
      try change(
        directory + "/node.sqlite",
        "UPDATE log SET bytes = CAST(substr(bytes, 1, 30) || x'ff' || substr(bytes, 32) AS BLOB) WHERE origin = "
          + "\(origin) AND first_sequence = \(second.firstSequence)")
      let damaged = try Verification.run(try NodeFile(directory, genesis: cluster.genesis))
      #expect(damaged.damages.map(\.kind) == [.batchBytes])
      #expect(damaged.damages.first?.first == second.firstSequence)

      var repair = try Repair(directory, genesis: cluster.genesis)
      try await repair.mendLog(damaged) { origin, first, last in
        let answer = try await clients[2].log(of: origin, from: first, through: last)
        return [
          (
            "n3", answer.batches.map { SealedBatch(bytes: $0.bytes, view: $0.view, signature: $0.signature) }
          )
        ]
      }
      try repair.mendRest(Verification.Options())
      #expect(repair.done.count == 1)
      repair.close()
      #expect(try Verification.run(try NodeFile(directory, genesis: cluster.genesis)).isSound)

      // And its node goes on with it.
      try await cluster.start("n1", peers: ["n2"])
      let again = try await cluster.connect("n1")
      try await eventually("n1 is back") { try await again.status().ready }
      #expect(try await log(again, origin) == mine)
    }
  }

  /// What is below a snapshot is refused, not left out.
  @Test func whatIsNotKeptIsRefused() async throws {
    try await withCluster(1, salt: 32) { cluster in
      try await cluster.start("n1", snapshotSeconds: 1, retainedEntries: 0)
      let instrument = try await cluster.defineInstrument()
      let client = try await cluster.connect("n1")
      var seed: UInt64 = 0
      let base = try await eventually("the log is compacted") {
        seed += 1
        var flow = TestFlow(instrument, seed: seed)
        try await flow.run(20, to: client)
        try await Task.sleep(for: .milliseconds(300))
        return try await client.status().logBase.first.flatMap { $0 > 0 ? $0 : nil }
      }
      let error = await #expect(throws: ClientError.self) {
        try await client.log(of: OriginIndex(0), from: base, through: base + 5)
      }
      guard case .requestRefused(let refusal)? = error else {
        Issue.record("\(String(describing: error))")
        return
      }
      #expect(refusal.text.contains("are not kept here"))
      let kept = try await client.log(of: OriginIndex(0), from: .max >> 1, through: .max >> 1)
      #expect(kept.batches.isEmpty && kept.held > base)
      // Its file is sound all the same, from the snapshot on.
      let report = try Verification.run(try NodeFile(cluster.directory("n1"), genesis: cluster.genesis))
      #expect(report.isSound, "\(report.damages.map(\.text))")
      #expect(report.counts.snapshots == 2 && report.notes.contains { $0.contains("older than snapshot") })
    }
  }
}
