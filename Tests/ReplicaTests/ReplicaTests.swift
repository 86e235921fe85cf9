import EventLog
import Gossip
import Membership
import OrderBook
import Primitives
import Testing

@testable import Replica

/// What one replica does with stamps, promises, full tails, other books.
struct ReplicaTests {
  func limit(
    _ instrument: Dot, _ side: Side, price: Int64, quantity: Int64, account: UInt64 = 1, id: ClientOrderID = .none,
    time: UInt64 = 0
  ) -> Command {
    .order(
      Order(
        instrument: instrument, account: AccountID(account), side: side, priceTicks: price, quantityLots: quantity,
        clientOrderID: id, clientTimeMilliseconds: time))
  }

  @Test func entriesFromAClockFarAheadWaitAndAreNeverLost() throws {
    let cluster = try VirtualCluster(nodes: 3, seed: 1, defects: .ownClockAlone)
    let instrument = cluster.defineInstrument()
    cluster.nodes[0].clockSkewMilliseconds = 1_300
    cluster.submit([limit(instrument, .buy, price: 100, quantity: 5)], to: 0)
    cluster.run(milliseconds: 500)
    for node in cluster.nodes[1...] {
      let status = node.replica.status
      #expect(status.quarantined && status.entries == 2, "stored")
      #expect(status.applied == 1, "but not applied")
      #expect(node.disk.contains { $0.origin == OriginIndex(0) }, "and durable")
      #expect(node.notices.contains { if case .quarantined = $0 { true } else { false } })
    }
    for node in cluster.nodes[1...] {
      // Not merged into the clock: its own next stamp is near its own time.
      cluster.submit([limit(instrument, .sell, price: 200, quantity: 5)], to: node.index)
      cluster.run(milliseconds: 50)
      #expect(node.accepted.last!.stamp.milliseconds < cluster.now(node).wallMilliseconds + 100)
    }
    #expect(cluster.nodes[0].replica.status.finalStamp < cluster.nodes[0].accepted[0].stamp, "not final either")
    cluster.nodes[0].clockSkewMilliseconds = 0
    let settled = cluster.settle(milliseconds: 6_000)
    #expect(settled, "its time came")
    let hashes = cluster.nodes.map { $0.replica.bookHash() }
    #expect(Set(hashes).count == 1)
    #expect(cluster.nodes.allSatisfy { $0.replica.status.restingOrders == 3 })
  }

  @Test func withoutTheOthersOrdersAreTakenUpToTheCapAndThenRefused() throws {
    let cluster = try VirtualCluster(nodes: 3, seed: 2, tentativeEntriesMax: 100)
    let instrument = cluster.defineInstrument()
    cluster.cut = [1, 2, 1_000, 2_000]
    for index in 0..<30 {
      cluster.submit(
        (0..<10).map { limit(instrument, .buy, price: Int64(index * 10 + $0 + 1), quantity: 1) }, to: 0)
      cluster.run(milliseconds: 5)
    }
    let node = cluster.nodes[0]
    #expect(node.accepted.count == 100)
    #expect(node.refused.count == 20 && node.refused.allSatisfy { $0 == .tailFull })
    #expect(node.replica.status.restingOrders == 100, "tentatively they trade")
    #expect(node.final.items.count == 1, "nothing but the instrument is final")
    cluster.cut = []
    #expect(cluster.settle())
    cluster.submit([limit(instrument, .buy, price: 1, quantity: 1)], to: 0)
    #expect(cluster.settle())
    #expect(cluster.nodes.allSatisfy { $0.replica.status.restingOrders == 101 }, "and nothing was lost")
  }

  @Test func aStampToFollowIsFollowedOrRefused() throws {
    let cluster = try VirtualCluster(nodes: 1, seed: 3)
    let instrument = cluster.defineInstrument()
    let now = cluster.now(cluster.nodes[0]).wallMilliseconds
    let after = Stamp(milliseconds: now + 300, counter: 7)
    cluster.submit([limit(instrument, .buy, price: 1, quantity: 1)], to: 0, after: after)
    #expect(cluster.nodes[0].accepted.last!.stamp > after)
    cluster.submit(
      [limit(instrument, .buy, price: 1, quantity: 1)], to: 0, after: Stamp(milliseconds: now + 5_000))
    #expect(cluster.nodes[0].refused == [.stampAhead])
    let cancel = Cancel(account: AccountID(1), target: .dot(Dot("0-2")!), targetStamp: Stamp(milliseconds: now + 9_000))
    cluster.submit([.cancel(cancel)], to: 0)
    #expect(cluster.nodes[0].refused == [.stampAhead, .stampAhead])
  }

  @Test func nothingLeavesItsAuthorBeforeItIsDurable() throws {
    let cluster = try VirtualCluster(nodes: 3, seed: 4)
    let instrument = cluster.defineInstrument()
    let node = cluster.nodes[0]
    var effects: [Effect] = []
    let submission = Submission(
      session: SessionID(1), firstRequest: 9, commands: [limit(instrument, .buy, price: 1, quantity: 1)],
      wantsReports: true)
    node.replica.step(.submit(submission), now: cluster.now(node), &effects)
    node.replica.step(.flush, now: cluster.now(node), &effects)
    var commit: CommitNumber?
    for effect in effects { if case .commit(let number) = effect { commit = number } }
    let number = try #require(commit)
    var batches = 0
    for effect in effects {
      switch effect {
      case .send(_, .batch, let after):
        batches += 1
        #expect(after == number)
      case .accepted(_, _, _, _, let after), .report(_, _, let after): #expect(after == number)
      case .send(_, .heartbeat(let heartbeat), _):
        #expect(!heartbeat.acks.contains { $0.origin == OriginIndex(0) && $0.head.sequence >= 2 }, "no ack yet")
      default: break
      }
    }
    #expect(batches == 2)
  }

  @Test func whatAPeerIsKnownToHoldIsNotSentAgain() throws {
    let cluster = try VirtualCluster(nodes: 4, fanout: 3, seed: 5)
    ConvergenceTests.trade(cluster, seed: 5, rounds: 60)
    #expect(cluster.rest())
    let batches = cluster.nodes[0].disk.count
    for node in cluster.nodes {
      let own = node.disk.count { $0.origin.int == node.index }
      #expect(node.batchesReceived == batches - own, "each batch once, from its author")
      #expect(node.replica.status.duplicateBatches == 0)
    }
    let before = cluster.nodes.map(\.batchesReceived)
    cluster.run(milliseconds: 2_000)
    #expect(cluster.nodes.map(\.batchesReceived) == before, "and nothing when all is known")
  }

  @Test(arguments: [1, 2])
  func aSmallFanoutSendsAboutOneCopyANode(fanout: Int) throws {
    let cluster = try VirtualCluster(nodes: 8, fanout: fanout, seed: 6)
    ConvergenceTests.trade(cluster, seed: 6, rounds: 150)
    #expect(cluster.settle())
    let needed = cluster.nodes.reduce(0) { sum, node in sum + node.disk.count { $0.origin.int != node.index } }
    let received = cluster.nodes.reduce(0) { $0 + $1.batchesReceived }
    #expect(received >= needed && received * 100 <= needed * 160, "\(received) received, \(needed) needed")
  }

  @Test func anotherBookForTheSameEntriesIsNoticed() throws {
    let cluster = try VirtualCluster(nodes: 3, seed: 7)
    let instrument = cluster.defineInstrument()
    cluster.submit([limit(instrument, .buy, price: 10, quantity: 5)], to: 1)
    #expect(cluster.settle())
    cluster.run(milliseconds: 1_000)
    #expect(cluster.nodes.allSatisfy { $0.replica.status.bookMismatches == 0 })
    // A replica that replays wrongly: it applies an entry that nobody wrote.
    var tape = EventTape()
    let sequence = cluster.nodes[2].replica.sequencer.engine.appliedSequence(OriginIndex(2)) + 1
    cluster.nodes[2].replica.sequencer.engine.apply(
      limit(instrument, .buy, price: 9, quantity: 1), at: Dot(origin: OriginIndex(2), sequence: sequence),
      stamp: Stamp(milliseconds: 1_800_000_000_000), into: &tape)
    cluster.nodes[2].replica.forgetBookHashes()
    cluster.run(milliseconds: 1_500)
    #expect(cluster.nodes.contains { $0.replica.status.bookMismatches > 0 })
  }

  @Test func aBatchBelowAPromiseIsRefused() throws {
    let cluster = try VirtualCluster(nodes: 2, seed: 8)
    _ = cluster.defineInstrument()
    let cheat = try VirtualCluster(nodes: 2, seed: 8)
    let early = cheat.defineInstrument()
    // Within the first second, before node 0 attests a checkpoint.
    cluster.run(milliseconds: 500)
    cluster.submit([limit(early, .buy, price: 1, quantity: 1)], to: 1)
    #expect(cluster.settle())
    // Node 0 of another run, with the same key, wrote long ago what it never showed; its first batch comes only now.
    cheat.submit([limit(early, .buy, price: 1, quantity: 1)], to: 0)
    let batch = try #require(cheat.nodes[0].disk.last { $0.origin == OriginIndex(0) })
    cluster.give(.message(from: PeerIndex(0), .batch(batch.sealed)), to: 1)
    let refused = cluster.nodes[1].notices.contains { if case .badBatch = $0 { true } else { false } }
    #expect(refused)
    #expect(cluster.nodes[1].replica.status.entries == 2)
  }

  @Test func relayedBatchesNeedTheirAuthorsSignature() throws {
    let source = try VirtualCluster(nodes: 3, seed: 9)
    _ = source.defineInstrument()
    let batch = try #require(source.nodes[2].disk.last)
    let target = try VirtualCluster(nodes: 3, seed: 9)
    target.nowMicroseconds = source.nowMicroseconds
    var bytes = batch.signature.bytes
    bytes[5] ^= 1
    let forged = SealedBatch(bytes: batch.bytes, view: 0, signature: Signature(bytes: bytes)!)
    target.give(.message(from: PeerIndex(1), .batch(forged)), to: 0)
    #expect(target.nodes[0].replica.status.entries == 0)
    #expect(target.nodes[0].notices == [.badSignature(origin: OriginIndex(2), from: PeerIndex(1))])
    target.give(.message(from: PeerIndex(1), .batch(batch.sealed)), to: 0)
    #expect(target.nodes[0].replica.status.entries == 1)
  }

  /// It has its store's token still, so it is a member at first; the others' proof makes it a new one.
  @Test func aNodeThatLostItsLogGoesOnUnderAnotherName() throws {
    let cluster = try VirtualCluster(nodes: 3, seed: 10)
    let instrument = cluster.defineInstrument()
    cluster.submit([limit(instrument, .buy, price: 1, quantity: 1)], to: 1)
    #expect(cluster.settle())
    cluster.nodes[1].disk = []
    cluster.crash(1)
    cluster.submit([limit(instrument, .buy, price: 2, quantity: 1)], to: 1)
    #expect(cluster.nodes[1].accepted.isEmpty && cluster.nodes[1].refused == [.notReady])
    cluster.run(milliseconds: 300)
    #expect(cluster.nodes[1].notices.contains { if case .diskLost = $0 { true } else { false } })
    cluster.run(milliseconds: 3_000)
    expectRenamed(cluster, 1)
    cluster.submit([limit(instrument, .buy, price: 3, quantity: 1)], to: 1)
    #expect(cluster.settle())
    #expect(cluster.nodes[1].accepted.map(\.dot.origin) == [OriginIndex(3)])
    #expect(cluster.nodes[0].replica.bookHash() == cluster.nodes[1].replica.bookHash())
  }

  /// The node is a member again, as the next origin; its old one is none.
  private func expectRenamed(_ cluster: VirtualCluster, _ index: Int) {
    let old = cluster.origin(index)
    for node in cluster.nodes {
      #expect(node.halted == nil)
      #expect(node.replica.status.members.contains(OriginIndex(3)) && !node.replica.status.members.contains(old))
    }
    #expect(cluster.nodes[index].replica.status.me == OriginIndex(3))
  }
}

extension ReplicaTests {
  @Test func aClaimWithoutProofDoesNotStopANode() throws {
    let cluster = try VirtualCluster(nodes: 3, seed: 11)
    let instrument = cluster.defineInstrument()
    // Member 1 says that it holds a thousand entries of member 0's log; there are none.
    let lie = Heartbeat(
      view: 0, speaker: OriginIndex(1), beat: nil,
      acks: [Ack(origin: OriginIndex(0), head: Head(sequence: 1_000, hash: .zero))])
    cluster.give(.message(from: PeerIndex(1), .heartbeat(lie)), to: 0)
    #expect(!cluster.nodes[0].replica.status.isReady, "it waits for the proof")
    cluster.run(milliseconds: 2_500)
    #expect(cluster.nodes[0].halted == nil)
    #expect(cluster.nodes[0].notices == [.unprovenClaim(peer: PeerIndex(1), sequence: 1_000)])
    cluster.give(.message(from: PeerIndex(1), .heartbeat(lie)), to: 0)
    cluster.submit([limit(instrument, .buy, price: 1, quantity: 1)], to: 0)
    #expect(cluster.nodes[0].accepted.count == 1, "the same lie is not listened to twice")
  }

  @Test func whatEndedTentativelyCanBeLookedUp() throws {
    let cluster = try VirtualCluster(nodes: 3, seed: 12)
    let instrument = cluster.defineInstrument()
    cluster.submit([limit(instrument, .buy, price: 10, quantity: 5)], to: 0)
    #expect(cluster.settle())
    let maker = cluster.nodes[0].accepted[0].dot
    cluster.cut = [2, 1_002, 2_000, 2_001]
    cluster.submit([limit(instrument, .sell, price: 10, quantity: 5)], to: 0)
    cluster.run(milliseconds: 50)
    let taker = cluster.nodes[0].accepted[1].dot
    let replica = { cluster.nodes[0].replica.tentativeReport(of: $0, after: OrderReport(entry: $0, state: .open)) }
    let made = try #require(replica(maker))
    let took = try #require(replica(taker))
    #expect(made.state == .filled && made.newFills.map(\.counterparty) == [taker])
    #expect(took.state == .filled && took.newFills.map(\.counterparty) == [maker])
    #expect(replica(Dot(origin: OriginIndex(0), sequence: 77)) == nil)
    guard case .command(.order(let order))? = cluster.nodes[0].replica.entry(taker)?.payload else {
      Issue.record("the entry is in memory")
      return
    }
    #expect(order.side == .sell)
  }
}

extension ReplicaTests {
  /// The disk of a node was set back: before it has heard from a majority it takes nothing, and then it sees the proof.
  @Test func aNodeWhoseDiskWasSetBackDoesNotWriteItsSequencesAgain() throws {
    let cluster = try VirtualCluster(nodes: 3, seed: 13)
    let instrument = cluster.defineInstrument()
    cluster.submit([limit(instrument, .buy, price: 1, quantity: 1)], to: 1)
    #expect(cluster.settle())
    let old = cluster.nodes[1].disk
    cluster.submit([limit(instrument, .buy, price: 2, quantity: 1)], to: 1)
    #expect(cluster.settle())
    cluster.nodes[1].disk = old
    cluster.cut = [1, 1_000, 1_002, 2_001]
    cluster.crash(1)
    cluster.run(milliseconds: 5_000)
    cluster.submit([limit(instrument, .buy, price: 3, quantity: 1)], to: 1)
    #expect(cluster.nodes[1].accepted.isEmpty && cluster.nodes[1].refused == [.notReady], "alone it takes nothing")
    cluster.cut = []
    cluster.run(milliseconds: 2_000)
    cluster.run(milliseconds: 3_000)
    expectRenamed(cluster, 1)
    #expect(cluster.settle())
    for node in cluster.nodes {
      #expect(node.replica.bookHash() == cluster.nodes[0].replica.bookHash())
      #expect(node.replica.status.vector[OriginIndex(1)] == 2, "nothing of it is lost")
    }
  }

  @Test func anAckOfAnotherLogDoesNotCount() throws {
    let cluster = try VirtualCluster(nodes: 3, seed: 14)
    let instrument = cluster.defineInstrument()
    // Node 2 hears nobody, so that one ack of the two others decides.
    cluster.cut = [2, 1_002, 2_000, 2_001]
    cluster.submit([limit(instrument, .buy, price: 1, quantity: 1)], to: 0)
    cluster.run(milliseconds: 50)
    let fork = Heartbeat(
      view: 0, speaker: OriginIndex(2), beat: nil,
      acks: [Ack(origin: OriginIndex(0), head: Head(sequence: 1, hash: .zero))])
    cluster.give(.message(from: PeerIndex(2), .heartbeat(fork)), to: 1)
    #expect(cluster.nodes[1].notices == [.fork(origin: OriginIndex(0), sequence: 1, from: PeerIndex(2))])
    #expect(cluster.nodes[1].halted == nil, "another's fork stops nobody")
    #expect(cluster.nodes[1].replica.gossip.acked(by: PeerIndex(2))[OriginIndex(0)] == 0)
    cluster.give(.message(from: PeerIndex(2), .heartbeat(fork)), to: 0)
    #expect(cluster.nodes[0].halted?.contains("another log of this node") == true, "its own does")
  }

  /// Between two runs the clock went back: what was final stays final, in the same order, although all of it is ahead
  /// of the clock now. A later entry, the node's own, must not become final without it.
  @Test func whatWasFinalIsBelievedAfterTheClockWentBack() throws {
    let cluster = try VirtualCluster(nodes: 3, seed: 15)
    let instrument = cluster.defineInstrument()
    for round in 1...4 {
      for index in [0, 1, 2] {
        cluster.submit([limit(instrument, .buy, price: Int64(round), quantity: 1)], to: index, request: UInt64(round))
      }
      #expect(cluster.settle())
    }
    let node = cluster.nodes[2]
    var settings = cluster.configuration(2)
    settings.finalStamp = try #require(node.final.lastKey).stamp
    var replica = Replica(configuration: settings, signatures: cluster.keys[2])
    let back = LogicalTime(
      wallMilliseconds: cluster.now(node).wallMilliseconds - 60_000, monotonicMicroseconds: cluster.nowMicroseconds)
    var effects: [Effect] = []
    for batch in node.disk.sorted(by: { $0.firstKey < $1.firstKey }) {
      replica.step(.recover(batch), now: back, &effects)
    }
    replica.step(.recovered, now: back, &effects)
    #expect(replica.takeFinalRun().items.map(\.dot) == node.final.items.map(\.dot))
  }

  /// Who holds everything and is no member asks for the join mutex; not if it only follows.
  @Test(arguments: [true, false]) func onlyWhoWantsToBeAMemberAsksToBecomeOne(wants: Bool) throws {
    let cluster = try VirtualCluster(nodes: 2, seed: 16)
    let key = try #require(Ed25519(seed: [UInt8](repeating: 99, count: 32)))
    var settings = cluster.configuration(0)
    settings.records = ViewRecords(
      store: StoreToken(9), genesis: Decision(genesis: cluster.genesis), publicKey: key.publicKey)
    settings.wantsMembership = wants
    var replica = Replica(configuration: settings, signatures: key)
    var now = cluster.now(cluster.nodes[0])
    var effects: [Effect] = []
    replica.step(.recovered, now: now, &effects)
    for index in 0..<2 {
      let peer = PeerIndex(UInt32(index))
      replica.step(.linkUp(peer, key: cluster.keys[index].publicKey, address: ""), now: now, &effects)
      let heartbeat = Heartbeat(view: 0, speaker: OriginIndex(peer.value), beat: nil, acks: [])
      replica.step(.message(from: peer, .heartbeat(heartbeat)), now: now, &effects)
    }
    for _ in 0..<50 {
      now.monotonicMicroseconds += 10_000
      replica.step(.tick, now: now, &effects)
    }
    let hasAsked = effects.contains { effect in
      guard case .send(_, .view(let signed), _) = effect, case .lease = signed.message else { return false }
      return true
    }
    #expect(hasAsked == wants)
  }

  /// Its disk was confirmed by those who were there: who comes later makes no difference, and keeps nobody waiting.
  @Test func whoWasConfirmedStaysSoWhenTheClusterGrows() throws {
    let cluster = try VirtualCluster(nodes: 3, seed: 9)
    _ = cluster.defineInstrument()
    #expect(cluster.settle())
    for node in cluster.nodes {
      node.replica.view = View(number: 1, members: (0..<9).map { OriginIndex($0) })
      let isConfirmed = node.replica.isConfirmed
      #expect(isConfirmed)
    }
  }

}
