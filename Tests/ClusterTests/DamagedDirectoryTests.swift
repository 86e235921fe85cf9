import CSQLite
import Client
import Foundation
import Node
import OrderBook
import Primitives
import Storage
import Testing
import Wire

/// Data directories that are damaged, lost, or somebody else's.
@Suite(.endsIfItHangs) struct DamagedDirectoryTests {
  private func file(_ cluster: TestCluster, _ name: String) -> String {
    cluster.directory(name) + "/" + Store.fileName
  }

  /// A node leaves its write-ahead log where it is when it stops.
  private func mergeWriteAheadLog(_ path: String) throws {
    var database: OpaquePointer?
    defer { sqlite3_close(database) }
    try #require(sqlite3_open(path, &database) == SQLITE_OK)
    try #require(sqlite3_exec(database, "PRAGMA wal_checkpoint(TRUNCATE)", nil, nil, nil) == SQLITE_OK)
  }

  private func removeStore(_ cluster: TestCluster, _ name: String) {
    for suffix in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: file(cluster, name) + suffix) }
  }

  /// Turns a bit of a stored batch of `author` in the middle of its log.
  private func flipBit(_ cluster: TestCluster, in name: String, batchOf author: String, suffix: String = "") throws {
    if suffix.isEmpty { try mergeWriteAheadLog(file(cluster, name)) }
    let store = try Store.openReadOnly(directory: cluster.directory(name))
    let origin = cluster.origin(author)
    let last = try #require(store.heads[origin]?.sequence)
    let batch = try #require(try store.batches(of: origin, from: last / 2, through: last, bytesMax: 1 << 20).first)
    store.close()
    let path = file(cluster, name) + suffix
    var content = try Data(contentsOf: URL(fileURLWithPath: path))
    // Pages keep remains of what has moved elsewhere, so every copy of it is turned.
    var flips = 0
    var rest = content.startIndex
    while let place = content.range(of: Data(batch.bytes.prefix(40)), in: rest..<content.endIndex) {
      content[place.lowerBound + 20] ^= 0x04
      rest = place.upperBound
      flips += 1
    }
    try #require(flips > 0)
    try content.write(to: URL(fileURLWithPath: path))
  }

  private func trade(_ cluster: TestCluster, _ names: [String], orders: Int) async throws -> NodeStatus {
    let instrument = try #require(try await cluster.connect(names[0]).instruments().first).dot
    var clients: [RialtoClient] = []
    for (index, name) in names.enumerated() {
      let client = try await cluster.connect(name)
      var flow = TestFlow(instrument, seed: UInt64(index) + 1)
      try await flow.run(orders, to: client)
      clients.append(client)
    }
    _ = try await clients.rested()
    return try await clients.expectAgreement()
  }

  @Test(arguments: [false, true])
  func aFlippedBitInAnothersLogIsReportedAndFetchedAgain(isInterrupted: Bool) async throws {
    try await withCluster(3) { cluster in
      try await cluster.startAll()
      _ = try await cluster.defineInstrument()
      let before = try await trade(cluster, cluster.names, orders: 60)
      try await cluster.stop("n3")
      try flipBit(cluster, in: "n3", batchOf: "n2")
      if isInterrupted {
        // The damage is cut out, but nobody is there to fetch it from before the node stops again.
        try await cluster.start("n3")
        try await cluster.stop("n3")
      }
      try await cluster.start("n3", peers: ["n1"])
      #expect(cluster.log.contains("log damaged, fetching it again from peers"))
      var clients: [RialtoClient] = []
      for name in cluster.names { clients.append(try await cluster.connect(name)) }
      let after = try await clients.expectAgreement()
      #expect(after.orders == before.orders && after.bookHash == before.bookHash)
      #expect(after.tradesHash == before.tradesHash && after.fills == before.fills)
      for client in clients { #expect(try await client.trades(count: 1_024) == clients[0].trades(count: 1_024)) }
      // Whole again: the next start finds nothing.
      try await cluster.stop("n3")
      let count = cluster.log.all.count { $0.contains("log damaged") }
      try await cluster.start("n3", peers: ["n1"])
      #expect(cluster.log.all.count { $0.contains("log damaged") } == count)
      #expect(try await cluster.connect("n3").status().entries >= before.entries)
    }
  }

  /// The column that says whose batch it is may say anything: also somebody who is in no register.
  @Test func aRowOfNobodyIsReportedAndFetchedAgain() async throws {
    try await withCluster(3) { cluster in
      try await cluster.startAll()
      _ = try await cluster.defineInstrument()
      let before = try await trade(cluster, cluster.names, orders: 60)
      try await cluster.stop("n3")
      var database: OpaquePointer?
      try #require(sqlite3_open(file(cluster, "n3"), &database) == SQLITE_OK)
      let change = """
        UPDATE log SET origin = 60000 WHERE rowid =
          (SELECT max(rowid) FROM log WHERE origin = \(cluster.origin("n2").value))
        """
      let isChanged = sqlite3_exec(database, change, nil, nil, nil) == SQLITE_OK && sqlite3_changes(database) == 1
      sqlite3_close(database)
      try #require(isChanged)
      try await cluster.start("n3", peers: ["n1"])
      #expect(cluster.log.contains("log damaged, fetching it again from peers"))
      var clients: [RialtoClient] = []
      for name in cluster.names { clients.append(try await cluster.connect(name)) }
      let after = try await clients.expectAgreement()
      #expect(after.orders == before.orders && after.bookHash == before.bookHash)
    }
  }

  @Test func aFlippedBitInTheOwnLogRefusesToStart() async throws {
    try await withCluster(1) { cluster in
      try await cluster.startAll()
      _ = try await cluster.defineInstrument()
      _ = try await trade(cluster, ["n1"], orders: 60)
      try await cluster.stop("n1")
      try flipBit(cluster, in: "n1", batchOf: "n1")
      let process = try cluster.launch("n1")
      #expect(try await process.exitCode() == 2)
      #expect(process.errors.contains("this node's own log is damaged"), "\(process.errors)")
      #expect(process.errors.contains("keep a copy"))
      #expect(process.output.isEmpty)
      // Nor does it listen in this process.
      await #expect(throws: StoreError.self) { try await cluster.start("n1") }
    }
  }

  @Test func aFlippedBitInTheWriteAheadLogLosesNothingUnnoticed() async throws {
    try await withCluster(3) { cluster in
      try await cluster.startAll()
      _ = try await cluster.defineInstrument()
      _ = try await trade(cluster, cluster.names, orders: 60)
      try await cluster.stop("n3")
      // SQLite takes it for a torn tail and drops what follows; only the others know that more was acknowledged.
      try flipBit(cluster, in: "n3", batchOf: "n3", suffix: "-wal")
      try await cluster.start("n3", peers: ["n1"])
      try await expectRenamed(cluster)
      #expect(cluster.log.contains("data was lost"))
    }
  }

  /// The third is a member again under a new name, its old one is none, and all agree.
  private func expectRenamed(_ cluster: TestCluster, _ location: SourceLocation = #_sourceLocation) async throws {
    var clients: [RialtoClient] = []
    for name in cluster.names { clients.append(try await cluster.connect(name)) }
    try await eventually("the third is a new member") {
      let status = try await clients[2].status()
      return status.origin == 3 && status.ready
    }
    let instrument = try #require(try await clients[2].instruments().first).dot
    let acceptance = try await clients[2].accepted(.limit(instrument, .buy, 3, 1))
    #expect(acceptance.dot.origin == OriginIndex(3), sourceLocation: location)
    _ = try await clients.expectAgreement()
    #expect(try await clients[0].status().members.sorted() == cluster.names, sourceLocation: location)
  }

  @Test func aDirectoryThatIsNotTheNodesIsRefused() async throws {
    try await withCluster(2) { cluster in
      try await cluster.startAll()
      for name in cluster.names { try await cluster.stop(name) }
      let other = try TestCluster(2, salt: 2)
      defer { try? FileManager.default.removeItem(atPath: other.path) }

      func refused(_ process: NodeProcess, _ text: String, _ location: SourceLocation = #_sourceLocation) async throws {
        #expect(try await process.exitCode() == 2, sourceLocation: location)
        #expect(process.errors.contains(text), "\(process.errors)", sourceLocation: location)
        #expect(process.output.isEmpty, sourceLocation: location)
      }
      let data = cluster.directory("n1")
      try await refused(try other.launch("n1", data: data), "belongs to cluster")
      try await refused(try cluster.launch("n2", data: data), "belongs to node")

      // Still the first one's: nothing was changed in it.
      try await cluster.start("n1")
      try await refused(try cluster.launch("n1"), "is in use by another process")
      try await cluster.connect("n1").ping()
    }
  }

  @Test func aFileThatIsNotOursIsRefusedAndLeftAsItIs() async throws {
    try await withCluster(1) { cluster in
      try await cluster.startAll()
      try await cluster.stop("n1")
      try mergeWriteAheadLog(file(cluster, "n1"))
      let file = URL(fileURLWithPath: file(cluster, "n1"))
      var foreign = try Data(contentsOf: file)
      // The application id in SQLite's header.
      foreign.replaceSubrange(68..<72, with: [1, 2, 3, 4])
      let cases: [(Data, String)] = [
        (foreign, "is a database of another program"),
        (Data("Dear diary, today I traded.\n".utf8) + Data(repeating: 65, count: 9_000), "is not an SQLite database"),
      ]
      for (content, text) in cases {
        try content.write(to: file)
        let process = try cluster.launch("n1")
        #expect(try await process.exitCode() == 2)
        #expect(process.errors.contains(text), "\(process.errors)")
        #expect(try Data(contentsOf: file) == content)
      }
    }
  }

  @Test func aNodeThatLostItsDirectoryJoinsUnderAnotherName() async throws {
    try await withCluster(3) { cluster in
      try await cluster.startAll()
      _ = try await cluster.defineInstrument()
      let before = try await trade(cluster, cluster.names, orders: 20)
      try await cluster.stop("n3")
      removeStore(cluster, "n3")
      try await cluster.start("n3", peers: ["n1"])
      try await expectRenamed(cluster)
      // Of its old log the others hold what they held.
      let vector = try await cluster.connect("n1").status().vector
      #expect(zip(vector, before.vector).allSatisfy { $0 >= $1 }, "\(vector) after \(before.vector)")
    }
  }

  @Test
  func aNodeThatLostItsDirectoryTakesNoOrderBeforeItHasHeardFromOthers() async throws {
    try await withCluster(3) { cluster in
      try await cluster.startAll()
      _ = try await cluster.defineInstrument()
      _ = try await trade(cluster, cluster.names, orders: 20)
      try await cluster.stop("n3")
      removeStore(cluster, "n3")
      // Nobody is told where it is, so nobody can tell it what it has lost.
      try await cluster.start("n3", at: [Address(host: "127.0.0.1", port: 1)])
      let outcome = try await cluster.connect("n3").submit([.limit(.none, .buy, 1, 1)])[0]
      guard case .refused(let refusal) = outcome else {
        Issue.record("a sequence that others hold was given out again: \(outcome)")
        return
      }
      #expect(refusal.code == .notReady)
    }
  }
}
