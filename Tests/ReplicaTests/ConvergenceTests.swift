import EventLog
import Gossip
import OrderBook
import Primitives
import Testing

@testable import Replica

struct ConvergenceTests {
  /// Random load on every node; then all books and all final fills are the same.
  static func trade(
    _ cluster: VirtualCluster, seed: UInt64, rounds: Int, firstNode: Int = 0,
    disturb: (VirtualCluster, Int) -> Void = { _, _ in }
  ) {
    let instrument = cluster.defineInstrument()
    var workload = Workload(seed: seed, instrument: instrument)
    for round in 0..<rounds {
      let node = workload.generator.pick(firstNode...cluster.genesis.members.count - 1)
      let count = workload.generator.pick(1...20)
      let time = cluster.now(cluster.nodes[node]).wallMilliseconds
      cluster.submit((0..<count).map { _ in workload.next(clientTimeMilliseconds: time) }, to: node)
      cluster.run(milliseconds: UInt64(workload.generator.pick(0...4)))
      disturb(cluster, round)
    }
  }

  static func expectAgreement(_ cluster: VirtualCluster, seed: UInt64, _ location: SourceLocation = #_sourceLocation) {
    let settled = cluster.settle()
    #expect(settled, "seed \(seed): not settled: \(cluster.nodes.map { $0.replica.status })", sourceLocation: location)
    let hashes = cluster.nodes.map { $0.replica.bookHash() }
    #expect(Set(hashes).count == 1, "seed \(seed): \(hashes)", sourceLocation: location)
    let first = cluster.nodes[0]
    for node in cluster.nodes {
      #expect(node.halted == nil && node.notices.isEmpty, "seed \(seed): \(node.notices)", sourceLocation: location)
      #expect(node.replica.withBook { $0.recomputedBookHash() } == hashes[0], "seed \(seed)", sourceLocation: location)
      #expect(node.final.items == first.final.items, "seed \(seed)", sourceLocation: location)
      #expect(node.final.events == first.final.events, "seed \(seed)", sourceLocation: location)
    }
    #expect(first.final.events.contains { if case .filled = $0 { true } else { false } }, sourceLocation: location)
  }

  @Test(arguments: [1, 2, 4], [UInt64(1), 2, 3])
  func fiveNodesAgreeWhateverTheFanout(fanout: Int, seed: UInt64) throws {
    let cluster = try VirtualCluster(nodes: 5, fanout: fanout, seed: seed)
    Self.trade(cluster, seed: seed, rounds: 120)
    Self.expectAgreement(cluster, seed: seed)
    // Something was rolled back, or this test would show less than it says.
    #expect(cluster.nodes.contains { $0.replica.status.rollbacks > 0 })
  }

  @Test(arguments: [UInt64(11), 12, 13, 14])
  func skewedClocksAgree(seed: UInt64) throws {
    let cluster = try VirtualCluster(nodes: 3, seed: seed)
    cluster.nodes[1].clockSkewMilliseconds = 200
    cluster.nodes[2].clockSkewMilliseconds = -200
    Self.trade(cluster, seed: seed, rounds: 120)
    Self.expectAgreement(cluster, seed: seed)
  }

  @Test(arguments: [UInt64(21), 22, 23, 24])
  func aPartitionHeals(seed: UInt64) throws {
    let cluster = try VirtualCluster(nodes: 4, fanout: 2, seed: seed)
    Self.trade(cluster, seed: seed, rounds: 150) { cluster, round in
      if round == 40 {
        for a in [0, 1] { for b in [2, 3] { cluster.cut.formUnion([a * 1_000 + b, b * 1_000 + a]) } }
      }
      if round == 110 { cluster.cut = [] }
    }
    Self.expectAgreement(cluster, seed: seed)
  }

  @Test(arguments: [UInt64(31), 32, 33, 34])
  func killedNodesComeBackWithEverythingAcknowledged(seed: UInt64) throws {
    let cluster = try VirtualCluster(nodes: 3, seed: seed)
    var acknowledged: [Dot] = []
    Self.trade(cluster, seed: seed, rounds: 150) { cluster, round in
      guard round % 30 == 29 else { return }
      let victim = round / 30 % 3
      acknowledged += cluster.nodes[victim].accepted.map(\.dot)
      cluster.crash(victim)
    }
    let settled = cluster.settle()
    #expect(settled, "seed \(seed): not settled: \(cluster.nodes.map { ($0.replica.status, $0.notices, $0.halted) })")
    let hashes = cluster.nodes.map { $0.replica.bookHash() }
    #expect(Set(hashes).count == 1, "seed \(seed)")
    acknowledged += cluster.nodes.flatMap { $0.accepted.map(\.dot) }
    #expect(acknowledged.count > 500)
    for node in cluster.nodes {
      let vector = node.replica.status.vector
      #expect(acknowledged.allSatisfy { vector[$0.origin] >= $0.sequence }, "seed \(seed)")
    }
  }

  /// The same batches in any order of arrival give the same book and the same fills.
  @Test(arguments: 1...12)
  func anyArrivalOrderGivesTheSameBook(seed: Int) throws {
    let source = try VirtualCluster(nodes: 4, seed: UInt64(seed))
    Self.trade(source, seed: UInt64(seed), rounds: 80, firstNode: 1)
    #expect(source.settle())
    let batches = source.nodes[0].disk
    #expect(Set(batches.map(\.origin)).count == 3)
    var expected: (hash: Hash256, fills: [OrderEvent])?
    for shuffle in 0..<6 {
      var generator = SeededGenerator(seed: UInt64(seed) * 100 + UInt64(shuffle))
      let cluster = try VirtualCluster(nodes: 4, seed: UInt64(seed))
      let node = cluster.nodes[0]
      // Node 0 only listens: from member 3, in any order, so that gaps and late entries of every depth occur.
      let order = shuffle == 0 ? batches : batches.shuffled(using: &generator)
      cluster.nowMicroseconds = source.nowMicroseconds
      for batch in order {
        cluster.give(.message(from: PeerIndex(3), .batch(batch.sealed)), to: 0)
        if generator.chance(1, of: 4) { cluster.give(.tick, to: 0, flush: false) }
        // What a rollback put off is applied as soon as it has rested.
        cluster.nowMicroseconds += 1_000
      }
      for _ in 0..<200 {
        cluster.nowMicroseconds += 5_000
        cluster.give(.tick, to: 0, flush: false)
      }
      let status = node.replica.status
      let others = source.nodes[0].replica.status.vector
      for origin in 1..<4 {
        #expect(status.vector[OriginIndex(UInt32(origin))] == others[OriginIndex(UInt32(origin))], "seed \(seed)")
      }
      #expect(status.applied == status.entries, "seed \(seed)")
      let fills = node.replica.tapeFills
      let hash = node.replica.bookHash()
      #expect(hash == node.replica.withBook { $0.recomputedBookHash() })
      if let expected {
        #expect(hash == expected.hash, "seed \(seed) shuffle \(shuffle)")
        #expect(fills == expected.fills, "seed \(seed) shuffle \(shuffle)")
      } else {
        #expect(!fills.isEmpty)
        expected = (hash, fills)
      }
    }
  }
}

extension Replica {
  /// Fills of the tentative tail, in order.
  var tapeFills: [OrderEvent] {
    sequencer.tape.events.filter { if case .filled = $0 { true } else { false } }
  }
}
