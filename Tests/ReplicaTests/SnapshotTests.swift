import EventLog
import Gossip
import Membership
import OrderBook
import Primitives
import Testing

@testable import Replica

/// Snapshots in whole clusters: all make the same, one can start from them, and nobody believes a single word of them.
struct SnapshotTests {
  private func cluster(_ seed: UInt64, observers: Int = 0) throws -> VirtualCluster {
    let cluster = try VirtualCluster(nodes: 3, observers: observers, seed: seed, snapshotSeconds: 1)
    // Two seconds have a snapshot at their end, and something comes after it.
    for round in 0..<3 {
      ConvergenceTests.trade(cluster, seed: seed + UInt64(round), rounds: 150)
      cluster.run(milliseconds: 1_000)
    }
    return cluster
  }

  @Test(arguments: [UInt64(1), 2, 3]) func allMakeTheSame(seed: UInt64) throws {
    let cluster = try cluster(seed)
    let first = cluster.nodes[0].snapshots
    #expect(first.count == Limits.snapshotGenerations)
    for node in cluster.nodes {
      #expect(node.snapshots == first)
      #expect(node.replica.status.snapshotNumber == first.last?.info.number)
    }
    for snapshot in first {
      #expect(SHA256().hash(snapshot.bytes) == snapshot.info.hash)
      let state = try ReplicaState(snapshot.info, snapshot.bytes, cluster: cluster.genesis.clusterID, origins: 3)
      #expect(state.bases == snapshot.bases)
      #expect(!state.openOrders.isEmpty && state.instruments.count == 1)
    }
  }

  /// It goes on as if it had read everything, makes the same snapshots after it, and says what it had not said.
  @Test(arguments: [UInt64(1), 2, 3, 4, 5, 6]) func aRestartReadsOnlyTheTail(seed: UInt64) throws {
    let cluster = try cluster(seed)
    let snapshot = cluster.nodes[1].snapshots[Int(seed % 2)]
    let before = cluster.nodes[1].replica.status
    cluster.crash(1, from: snapshot)
    #expect(cluster.nodes[1].replica.restoredEntries == snapshot.info.entries)
    #expect(cluster.nodes[1].disk.reduce(0) { $0 + $1.entries.count } < before.entries - snapshot.info.entries + 1)
    ConvergenceTests.trade(cluster, seed: seed + 50, rounds: 200)
    cluster.run(milliseconds: 1_000)
    ConvergenceTests.trade(cluster, seed: seed + 51, rounds: 50)
    #expect(cluster.rest())
    let status = cluster.nodes.map { $0.replica.status }
    for index in cluster.nodes.indices {
      #expect(cluster.nodes[index].replica.bookHash() == cluster.nodes[0].replica.bookHash())
      #expect(cluster.nodes[index].replica.checkpoints == cluster.nodes[0].replica.checkpoints)
      #expect(cluster.nodes[index].snapshots == cluster.nodes[0].snapshots)
      #expect(status[index].finalFills == status[0].finalFills && status[index].finalOrders == status[0].finalOrders)
      #expect(cluster.nodes[index].notices.isEmpty && cluster.nodes[index].halted == nil)
      let isAttested = cluster.nodes[index].replica.isAttestedByAll(cluster.nodes[0].replica.newestAttestedNumber)
      #expect(isAttested)
    }
    #expect(cluster.nodes[0].snapshots[0].info.number > snapshot.info.number)
    // Every fill is published, those too that waited for it at the boundary.
    let filled = cluster.nodes[0].final.events.count { if case .filled = $0 { true } else { false } }
    let published = cluster.nodes[0].final.items.count { if case .fill = $0.entry.payload { true } else { false } }
    #expect(filled == published && filled > 100)
  }

  /// Nothing but the bytes that hash to what was agreed is taken; and nothing at all stops the process.
  @Test func refusesWhatIsNotOne() throws {
    let cluster = try cluster(4)
    let whole = cluster.nodes[0].snapshots[1]
    let bytes = whole.bytes
    let id = cluster.genesis.clusterID
    #expect(throws: CodecError.self) { _ = try ReplicaState(whole.info, bytes + [0], cluster: id, origins: 3) }
    #expect(throws: CodecError.self) { _ = try ReplicaState(whole.info, bytes, cluster: .zero, origins: 3) }
    #expect(throws: CodecError.self) { _ = try ReplicaState(whole.info, bytes, cluster: id, origins: 2) }
    var generator = SeededGenerator(seed: 9)
    var taken = 0
    for _ in 0..<250 {
      var changed = bytes
      changed[Int(generator.below(UInt64(bytes.count)))] ^= 1 << UInt8(generator.below(8))
      if generator.chance(1, of: 4) { changed.removeLast(Int(generator.below(UInt64(bytes.count)))) }
      #expect(throws: CodecError.self) { _ = try ReplicaState(whole.info, changed, cluster: id, origins: 3) }
      do {
        _ = try ReplicaState(whole.info, unverified: changed, cluster: id, origins: 3)
        taken += 1
      } catch {}
    }
    // Most of it is held against the checkpoint's hash; that of the bytes is for the rest.
    #expect(taken < 125)
  }

  // MARK: From others

  /// A node that follows, and of which the members have dropped what it lacks.
  private func late(_ seed: UInt64) throws -> VirtualCluster {
    let cluster = try cluster(seed, observers: 1)
    // Nothing new comes while it is late.
    cluster.run(milliseconds: 4_000)
    for index in 0..<3 { cluster.nodes[index].compacted = cluster.nodes[index].snapshots[0].bases.map(\.head.sequence) }
    return cluster
  }

  private func introduce(_ cluster: VirtualCluster) {
    for index in 0..<3 {
      cluster.link(index, 3)
      cluster.link(3, index)
    }
  }

  @Test(arguments: [UInt64(1), 2, 3]) func whoIsLateStartsFromAMajoritysSnapshot(seed: UInt64) throws {
    let cluster = try late(seed)
    introduce(cluster)
    cluster.run(milliseconds: 1_500)
    let installed = try #require(cluster.nodes[3].installed)
    #expect(installed.snapshot == cluster.nodes[0].snapshots[1])
    cluster.crash(3, from: installed.snapshot)
    ConvergenceTests.trade(cluster, seed: seed + 9, rounds: 60)
    #expect(cluster.settle())
    #expect(cluster.nodes[3].replica.bookHash() == cluster.nodes[0].replica.bookHash())
    #expect(cluster.nodes[3].replica.checkpoints == cluster.nodes[0].replica.checkpoints)
    #expect(cluster.nodes[3].notices.allSatisfy { if case .badSnapshot = $0 { false } else { true } })
  }

  /// What a node took that was sealed meanwhile is void. It starts from a snapshot that says nothing of that, and still
  /// sends it again.
  @Test func aVoidTailOutlivesIt() throws {
    let cluster = try cluster(8)
    for other in 1..<3 { cluster.cut.formUnion([other, other * 1_000]) }
    ConvergenceTests.trade(cluster, seed: 80, rounds: 60)
    cluster.run(milliseconds: 4_000)
    for round in UInt64(0)..<3 {
      ConvergenceTests.trade(cluster, seed: 81 + round, rounds: 100, firstNode: 1)
      cluster.run(milliseconds: 1_000)
    }
    let held = cluster.nodes[0].replica.status.vector[cluster.origin(0)]
    let value = cluster.nodes[1].replica.viewValue
    let end = try #require(value.cut(of: cluster.origin(0)))
    #expect(end < held && cluster.nodes[0].accepted.contains { $0.1.sequence > end })
    for index in 1..<3 { cluster.nodes[index].compacted = cluster.nodes[index].snapshots[0].bases.map(\.head.sequence) }
    cluster.cut.removeAll()
    for other in 1..<3 {
      cluster.give(.linkDown(cluster.peer(other)), to: 0)
      cluster.give(.linkDown(cluster.peer(0)), to: other)
      cluster.link(0, other)
      cluster.link(other, 0)
    }
    cluster.run(milliseconds: 2_000)
    #expect(cluster.nodes[0].installed != nil)
    let bytes = try #require(
      cluster.nodes[0].records.last { $0.key == ViewRecord.Key.resubmission.rawValue }?.value)
    let record = try bytes.withUnsafeBytes { try ViewRecord(key: .resubmission, bytes: $0) }
    guard case .resubmission(let resubmission) = record else { return #expect(Bool(false), "\(record)") }
    let tail = ResubmissionRecord.Tail(origin: cluster.origin(0), first: end + 1, last: held, next: end + 1)
    #expect(resubmission.tails == [tail])
  }

  /// One member's word is nothing, however often it gives it, and whoever else repeats it that is no member.
  @Test func oneLiarIsNotBelieved() throws {
    let cluster = try late(5)
    let genuine = cluster.nodes[0].snapshots[1].info
    let lie = SnapshotInfo(
      number: genuine.number + 5, checkpointHash: genuine.checkpointHash, entries: genuine.entries,
      byteCount: genuine.byteCount, hash: SHA256().hash([1]))
    // What the members themselves say of snapshots does not arrive.
    for index in 0..<3 { cluster.nodes[index].replica.snapshots.kept = [] }
    introduce(cluster)
    cluster.give(.linkUp(cluster.peer(2), key: cluster.keys[2].publicKey, address: ""), to: 3)
    func repeatTheLie(from peers: [Int]) {
      for _ in 0..<40 {
        for peer in peers { cluster.give(.message(from: cluster.peer(peer), .snapshot(.offer([lie]))), to: 3) }
        cluster.run(milliseconds: 25)
      }
    }
    repeatTheLie(from: [1])
    func asked() -> [Int] {
      cluster.nodes[3].said.compactMap { if case .request = $0.message { $0.to } else { nil } }
    }
    #expect(cluster.nodes[3].said.contains { $0.message == .query })
    #expect(asked().isEmpty)
    // Two of three are a majority.
    repeatTheLie(from: [1, 2])
    #expect(asked().first.map { [1, 2].contains($0) } == true)
    #expect(cluster.nodes[3].installed == nil)
  }

  /// Bytes that are not what the majority has are thrown away, and had from somebody else.
  @Test func wrongBytesAreThrownAway() throws {
    let cluster = try late(6)
    let genuine = cluster.nodes[0].snapshots[1]
    for index in 1..<3 {
      var pieces = genuine.pieces
      pieces[0][pieces[0].count / 2] ^= 4
      let forged = Snapshot(info: genuine.info, bases: genuine.bases, pieces: pieces)
      cluster.nodes[index].snapshots[1] = forged
    }
    introduce(cluster)
    cluster.run(milliseconds: 8_000)
    #expect(cluster.nodes[3].installed?.snapshot == genuine)
  }

  /// Who has half of it and loses the link goes on with another one.
  @Test func anotherNodeGoesOnWhereOneStopped() throws {
    let cluster = try late(7)
    var generator = SeededGenerator(seed: 1)
    // Larger than a piece, whatever it says: it is never read.
    let pieces = (0..<8).map { _ in
      (0..<Limits.snapshotPieceBytes).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
    }
    let info = SnapshotInfo(
      number: cluster.nodes[0].snapshots[1].info.number + 1, checkpointHash: .zero, entries: 1,
      byteCount: UInt64(8 * Limits.snapshotPieceBytes), hash: SHA256().hash(pieces.flatMap { $0 }))
    for index in 0..<3 {
      cluster.nodes[index].snapshots = [Snapshot(info: info, bases: [], pieces: pieces)]
      cluster.nodes[index].replica.snapshots.kept = [info]
    }
    cluster.latencyMicroseconds = 30_000...40_000
    introduce(cluster)
    var dropped: Int?
    for _ in 0..<400 where dropped == nil {
      cluster.run(milliseconds: 5)
      if let fetch = cluster.nodes[3].replica.snapshots.fetch, fetch.pieces.count == 3 {
        dropped = fetch.peer.int
        for other in 0..<3 where other == fetch.peer.int {
          cluster.give(.linkDown(cluster.peer(other)), to: 3)
          cluster.give(.linkDown(cluster.peer(3)), to: other)
        }
      }
    }
    let first = try #require(dropped)
    cluster.run(milliseconds: 3_000)
    var asked: [UInt64: [Int]] = [:]
    for (to, message) in cluster.nodes[3].said {
      guard case .request(info.hash, let offset) = message else { continue }
      asked[offset / UInt64(Limits.snapshotPieceBytes), default: []].append(to)
    }
    // It is none, and that is seen in the end; by then each piece came once, the first ones from one node.
    #expect(cluster.nodes[3].notices.contains { if case .badSnapshot = $0 { true } else { false } })
    #expect((asked[0] ?? []).first == first && (asked[2] ?? []).first == first)
    #expect((asked[7] ?? []).first.map { $0 != first } == true)
    #expect((asked[1] ?? []).count == 1)
    #expect(cluster.nodes[3].installed == nil)
  }
}
