import EventLog
import Gossip
import Membership
import OrderBook
import Primitives
import Testing

@testable import Replica

/// Checkpoints and what nodes write of their own accord, in whole clusters.
struct CheckpointTests {
  /// The checkpoints of a log, by a replay of what is final: one engine, and at each boundary an entry that the book
  /// ignores.
  private func replayed(_ node: VirtualCluster.Node, cluster: Hash256) -> [Checkpoint] {
    let sha = SHA256()
    var engine = MatchingEngine()
    var tape = EventTape()
    var interval = CheckpointInterval()
    var checkpoints: [Checkpoint] = []
    func close() {
      guard let number = interval.number else { return }
      let mark = engine.journalMark
      // No node of these clusters has this place.
      engine.apply(nil, at: Dot(origin: OriginIndex(40), sequence: 1), stamp: Checkpoint.boundary(number), into: &tape)
      let book = engine.recomputedBookHash()
      engine.rollback(to: mark)
      checkpoints.append(
        interval.close(
          previous: checkpoints.last?.hash ?? cluster, bookHash: book, fillsBefore: checkpoints.last?.fills ?? 0, sha))
    }
    for item in node.final.items {
      if let number = interval.number, item.entry.stamp >= Checkpoint.boundary(number) { close() }
      tape.removeAll()
      interval.take(item.dot, item.entry)
      if case .command(let command) = item.entry.payload {
        engine.apply(command, at: item.dot, stamp: item.entry.stamp, into: &tape)
      } else {
        engine.apply(nil, at: item.dot, stamp: item.entry.stamp, into: &tape)
      }
      for case .filled(let fill) in tape.events { interval.take(FillAttestation(fill)) }
    }
    close()
    return checkpoints
  }

  /// Fills and attestations are published by whom they should be, once, and nothing else is.
  private func expectEverythingSaidOnce(
    _ cluster: VirtualCluster, _ checkpoints: [Checkpoint], _ location: SourceLocation = #_sourceLocation
  ) {
    let final = cluster.nodes[0].final
    for origin in cluster.nodes.indices.map({ OriginIndex(UInt32($0)) }) {
      var derived: [FillAttestation] = []
      var published: [FillAttestation] = []
      var attested: [UInt64] = []
      for index in final.items.indices {
        for case .filled(let fill) in final.events(at: index) where fill.taker.origin == origin {
          derived.append(FillAttestation(fill))
        }
        guard final.items[index].dot.origin == origin else { continue }
        switch final.items[index].entry.payload {
        case .command: break
        case .fill(let fill): published.append(fill)
        case .checkpoint(let attestation): attested.append(attestation.number)
        }
      }
      #expect(!derived.isEmpty && published == derived, "origin \(origin)", sourceLocation: location)
      #expect(attested == seconds(final), "origin \(origin)", sourceLocation: location)
    }
  }

  /// Numbers of the checkpoints that hold commands.
  private func seconds(_ final: AppliedRun) -> [UInt64] {
    var numbers: [UInt64] = []
    for item in final.items {
      guard case .command = item.entry.payload else { continue }
      let number = Checkpoint.number(closing: item.entry.stamp)
      if numbers.last != number { numbers.append(number) }
    }
    return numbers
  }

  @Test(arguments: [UInt64(1), 2, 3, 4]) func everyCheckpointIsWhatAReplayGives(seed: UInt64) throws {
    let cluster = try VirtualCluster(nodes: 4, fanout: 2, seed: seed)
    ConvergenceTests.trade(cluster, seed: seed, rounds: 500)
    cluster.run(milliseconds: 2_500)
    ConvergenceTests.trade(cluster, seed: seed + 100, rounds: 100)
    #expect(cluster.rest())
    let expected = replayed(cluster.nodes[0], cluster: cluster.genesis.clusterID)
    #expect(expected.count >= 3)
    for node in cluster.nodes {
      #expect(node.replica.checkpoints.kept == expected)
      #expect(node.notices.isEmpty && node.halted == nil)
      let status = node.replica.status
      #expect(status.checkpointNumber == expected.last?.number && status.checkpointHash == expected.last?.hash)
      #expect(status.attestationDifferences == 0 && status.fillDifferences == 0 && status.fillsMissing == 0)
      #expect(status.fillsCompared == status.finalFills && status.finalFills > 0)
      let isAttested = node.replica.isAttestedByAll(node.replica.newestAttestedNumber)
      #expect(isAttested)
      #expect(node.replica.newestAttestedNumber == seconds(node.final).last)
      let isAhead = node.replica.isAttestedByMajority(node.replica.newestAttestedNumber + 10)
      #expect(!isAhead)
    }
    // Else this shows less than it says: something tentative was in the book at a boundary, and something was due.
    #expect(cluster.nodes.contains { $0.replica.status.checkpointUndone > 0 })
    expectEverythingSaidOnce(cluster, expected)
  }

  /// The newest checkpoint is in the records; it is what a start will derive again.
  @Test func theNewestIsWrittenDown() throws {
    let cluster = try VirtualCluster(nodes: 3, seed: 5)
    ConvergenceTests.trade(cluster, seed: 5, rounds: 60)
    #expect(cluster.rest())
    for node in cluster.nodes {
      let record = try #require(node.records.last { $0.key == RecordKey.checkpoint })
      let read = try record.value.withReader { (reader) throws(CodecError) in try Checkpoint(from: &reader, SHA256()) }
      #expect(read == node.replica.checkpoints.newest)
    }
  }

  /// A start whose log leads elsewhere than the record says so.
  @Test func anotherHistoryIsNoticed() throws {
    let cluster = try VirtualCluster(nodes: 1, seed: 9)
    _ = cluster.defineInstrument()
    #expect(cluster.rest())
    let newest = try #require(cluster.nodes[0].replica.checkpoints.newest)
    func notices(_ checkpoint: Checkpoint) -> [Notice] {
      var configuration = cluster.configuration(0)
      configuration.finalStamp = Stamp(.max)
      configuration.checkpoint = checkpoint
      var replica = Replica(configuration: configuration, signatures: cluster.keys[0])
      var effects: [Effect] = []
      for batch in cluster.nodes[0].disk {
        replica.step(.recover(batch), now: cluster.now(cluster.nodes[0]), &effects)
      }
      replica.step(.recovered, now: cluster.now(cluster.nodes[0]), &effects)
      return effects.compactMap { if case .notice(let notice) = $0 { notice } else { nil } }
    }
    #expect(notices(newest).isEmpty)
    let other = Checkpoint(
      number: newest.number, previous: newest.previous, bookHash: .zero, logHash: newest.logHash,
      fillsHash: newest.fillsHash, fills: newest.fills, SHA256())
    #expect(notices(other) == [.checkpointChanged(number: newest.number, before: other.hash, now: newest.hash)])
  }

  /// A restart finds in the own log what was said, and says nothing twice; what was not said yet is said.
  @Test(arguments: [UInt64(11), 12, 13, 14, 15, 16]) func aRestartSaysNothingTwice(seed: UInt64) throws {
    let cluster = try VirtualCluster(nodes: 3, seed: seed)
    ConvergenceTests.trade(cluster, seed: seed, rounds: 300) { cluster, round in
      if round % 25 == 24 { cluster.crash(round / 25 % 3) }
    }
    #expect(cluster.rest())
    let before = cluster.nodes.map { $0.replica.checkpoints }
    #expect(Set(before).count == 1)
    let entries = cluster.nodes[0].replica.status.vector
    for index in cluster.nodes.indices {
      cluster.crash(index)
      cluster.run(milliseconds: 200)
    }
    #expect(cluster.rest())
    cluster.run(milliseconds: 2_000)
    for node in cluster.nodes {
      #expect(node.replica.status.vector == entries, "nothing was written")
      #expect(node.replica.checkpoints == before[0] && node.notices.isEmpty)
      let isAttested = node.replica.isAttestedByAll(node.replica.newestAttestedNumber)
      #expect(isAttested)
    }
    expectEverythingSaidOnce(cluster, replayed(cluster.nodes[0], cluster: cluster.genesis.clusterID))
  }

  /// Fills and attestations become final, and then there is silence.
  @Test(arguments: [1, 3, 5]) func whatIsSaidFeedsNothing(nodes: Int) throws {
    let quiet = try VirtualCluster(nodes: nodes, seed: 6)
    quiet.run(milliseconds: 1_000)
    let quietBefore = quiet.messagesSent
    quiet.run(milliseconds: 4_000)

    let cluster = try VirtualCluster(nodes: nodes, seed: 6)
    ConvergenceTests.trade(cluster, seed: 6, rounds: 40)
    #expect(cluster.rest(milliseconds: 3_500), "within the seconds of the commands and of what is said of them")
    cluster.run(milliseconds: 1_000)
    let before = (cluster.nodes.map { $0.replica.status }, cluster.messagesSent)
    cluster.run(milliseconds: 4_000)
    #expect(cluster.nodes.map { $0.replica.status } == before.0, "nothing moves, the final frontier neither")
    #expect(cluster.messagesSent - before.1 <= (quiet.messagesSent - quietBefore) * 11 / 10)
    // Of the newest checkpoint, which holds only what was said of those before, nothing is said.
    let replica = cluster.nodes[0].replica.status
    #expect(replica.checkpointNumber > cluster.nodes[0].replica.newestAttestedNumber)
  }

  /// Entries that are taken back for the hash are put back before anybody is told anything.
  @Test func clientsHearNothingOfIt() throws {
    let cluster = try VirtualCluster(nodes: 3, seed: 7)
    let instrument = cluster.defineInstrument()
    let node = cluster.nodes[0]
    func order(_ side: Side, _ account: UInt64) -> Command {
      .order(
        Order(instrument: instrument, account: AccountID(account), side: side, priceTicks: 10, quantityLots: 5))
    }
    // A member says nothing for a while, so nothing is final, and a second is over meanwhile.
    cluster.cut = [2_000, 2_001]
    cluster.submit([order(.buy, 1)], to: 0, reports: true)
    cluster.run(milliseconds: 1_000)
    cluster.submit([order(.sell, 2)], to: 0, reports: true)
    cluster.run(milliseconds: 20)
    #expect(node.replica.checkpoints.newest == nil)
    let told = node.reports
    #expect(told.map(\.state) == [.open, .filled, .filled])
    _ = node.replica.takeChangedLevels()
    // It is heard again, but of its promises only one that lies between the two orders.
    let between = Beat(
      promise: Stamp(milliseconds: node.accepted.last!.stamp.milliseconds - 1),
      head: Head(sequence: 1, hash: cluster.nodes[2].disk.last { $0.origin == OriginIndex(2) }!.hash))
    cluster.give(
      .message(
        from: PeerIndex(2), .heartbeat(Heartbeat(view: 0, speaker: OriginIndex(2), beat: between, acks: []))), to: 0)
    #expect(node.replica.checkpoints.newest != nil)
    let status = node.replica.status
    #expect(status.checkpointRollbacks == 1 && status.checkpointUndone == 1)
    #expect(status.rollbacks == 0 && status.undone == 0 && status.applications == status.applied)
    #expect(node.reports == told, "nobody is told anything")
    #expect(node.replica.withBook { $0.recomputedBookHash() } == node.replica.bookHash())
    #expect(status.restingOrders == 0, "and it stands as it stood")
    cluster.cut = []
    #expect(cluster.rest())
    #expect(node.reports.prefix(3) == told[...] && node.reports.dropFirst(3).allSatisfy { $0.isFinal })
    #expect(node.reports.dropFirst(3).map(\.state) == [.filled, .filled], "now for good, and no more than that")
  }

  @Test func whoSpeaksForAnOrigin() throws {
    let cluster = try VirtualCluster(nodes: 3, seed: 8)
    func spokenFor(by index: Int, members: [Int]) -> [Int] {
      var replica = Replica(configuration: cluster.configuration(index), signatures: cluster.keys[index])
      replica.view = View(number: 1, members: members.map { OriginIndex(UInt32($0)) })
      return (0..<3).filter { replica.isPublisher(of: OriginIndex(UInt32($0))) }
    }
    #expect(spokenFor(by: 1, members: [1, 2]) == [0, 1])
    #expect(spokenFor(by: 2, members: [1, 2]) == [2])
    #expect(spokenFor(by: 0, members: [0, 1, 2]) == [0])
  }
}
