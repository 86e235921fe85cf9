import EventLog
import Membership
import OrderBook
import Primitives
import Testing

@testable import Gossip
@testable import Replica

/// Members that do not hear each other, and those who pass on their word.
@Suite struct WordTests {
  private func buy(_ instrument: Dot, price: Int64) -> Command {
    .order(
      Order(instrument: instrument, account: AccountID(1), side: .buy, priceTicks: price, quantityLots: 1))
  }

  @Test func nobodySignsWhileAllIsWell() throws {
    let cluster = try VirtualCluster(nodes: 4, seed: 31)
    let instrument = cluster.defineInstrument()
    for price in 1...20 {
      cluster.submit([buy(instrument, price: Int64(price))], to: price % 4)
      cluster.run(milliseconds: 150)
    }
    #expect(cluster.settle() && cluster.wordsSent == 0)
  }

  /// The signatures are Ed25519's here.
  @Test(arguments: [[1, 1_000], [1]]) func aCutLinkIsGoneRound(cut: Set<Int>) throws {
    let cluster = try VirtualCluster(nodes: 3, seed: 32)
    let instrument = cluster.defineInstrument()
    cluster.cut = cut
    cluster.run(milliseconds: 600)
    for price in 1...10 {
      cluster.submit([buy(instrument, price: Int64(price))], to: price % 3)
      cluster.run(milliseconds: 60)
      #expect(cluster.nodes.allSatisfy { $0.replica.status.tentative == 0 }, "\(price) is not final after 60 ms")
    }
    // Two pairs that want it, at most a word each 10 ms to a relay and one from it, and what is said again.
    #expect(cluster.wordsSent > 20 && cluster.wordsSent < 1_200 / 10 * 4 + 40, "\(cluster.wordsSent)")
    cluster.cut = []
    cluster.run(milliseconds: 400)
    let before = cluster.wordsSent
    cluster.run(milliseconds: 1_000)
    #expect(cluster.wordsSent == before, "nobody asks any more")
    #expect(cluster.nodes.allSatisfy { $0.notices.isEmpty }, "\(cluster.nodes.map(\.notices))")
  }

  /// In a row of four, a word passes through two others.
  @Test func aWordGoesAsFarAsItMust() throws {
    let cluster = try VirtualCluster(nodes: 4, seed: 33)
    let instrument = cluster.defineInstrument()
    cluster.cut = [2, 2_000, 3, 3_000, 1_003, 3_001]
    cluster.run(milliseconds: 800)
    cluster.submit([buy(instrument, price: 1)], to: 0)
    cluster.run(milliseconds: 150)
    #expect(cluster.nodes.allSatisfy { $0.replica.status.tentative == 0 })
  }

  private func word(
    _ cluster: VirtualCluster, view: UInt64 = 0, promise: UInt64, tag: Hash256? = nil, signer: Int = 2
  ) -> SignedHeartbeat {
    let heartbeat = Heartbeat(
      view: view, speaker: OriginIndex(2),
      beat: Beat(
        promise: Stamp(milliseconds: VirtualCluster.wallStartMilliseconds + promise),
        head: Head(sequence: 0, hash: .zero)), acks: [])
    let bytes = SignedHeartbeat.signedBytes(heartbeat, cluster: tag ?? cluster.genesis.clusterID)
    return SignedHeartbeat(heartbeat: heartbeat, signature: cluster.keys[signer].sign(bytes))
  }

  @Test func onlyAGenuineWordOfThisViewCounts() throws {
    let cluster = try VirtualCluster(nodes: 3, seed: 34)
    cluster.cut = [2_000, 2_001]
    let known = cluster.nodes[0].replica.gossip.frontier.promise(of: OriginIndex(2))
    func promise() -> Stamp { cluster.nodes[0].replica.gossip.frontier.promise(of: OriginIndex(2)) }
    func hear(_ word: SignedHeartbeat) { cluster.give(.message(from: PeerIndex(1), .word(word)), to: 0) }
    hear(word(cluster, view: 1, promise: 5_000))
    #expect(promise() == known && cluster.nodes[0].notices.isEmpty, "another view's counts there")
    hear(word(cluster, promise: 5_000, signer: 1))
    hear(word(cluster, promise: 5_000, tag: .zero))
    let refused = Notice.badWord(origin: OriginIndex(2), from: PeerIndex(1))
    #expect(promise() == known && cluster.nodes[0].notices == [refused, refused])
    let newest = word(cluster, promise: 5_000)
    hear(newest)
    let promised = Stamp(milliseconds: VirtualCluster.wallStartMilliseconds + 5_000)
    #expect(promise() == promised)
    // Again, and an older one: nothing happens, and no signature is looked at.
    hear(newest)
    hear(word(cluster, promise: 4_000, signer: 1))
    #expect(promise() == promised && cluster.nodes[0].notices == [refused, refused])
  }

  @Test func heartbeatsAndWordsAreWrittenOneWay() throws {
    let head = Head(sequence: 7, hash: Hash256(word0: 1, word1: 2, word2: 3, word3: 4))
    var heartbeat = Heartbeat(
      view: 3, speaker: OriginIndex(1), beat: Beat(promise: Stamp(99), head: head),
      acks: [Ack(origin: OriginIndex(0), head: head)], wallMilliseconds: 1_700_000_000_000)
    let signature = try #require(Signature(bytes: Array(repeating: 9, count: Signature.byteCount)))
    let word = PeerMessage.word(SignedHeartbeat(heartbeat: heartbeat, signature: signature))
    heartbeat.unheard = [OriginIndex(2), OriginIndex(300)]
    heartbeat.wantsWord = true
    let plain = PeerMessage.heartbeat(heartbeat)
    func read(_ type: UInt8, _ bytes: [UInt8]) -> PeerMessage? {
      bytes.withUnsafeBytes { try? PeerMessage(frameType: type, body: $0) }
    }
    for message in [word, plain] {
      #expect(read(message.frameType, message.body) == message)
      for count in 0..<message.body.count { #expect(read(message.frameType, Array(message.body.prefix(count))) == nil) }
    }
    // A word asks for nothing, names its speaker, and has all of its signature.
    #expect(read(PeerMessage.FrameType.word, plain.body + signature.bytes) == nil)
    let nobody = PeerMessage.heartbeat(Heartbeat(view: 3, speaker: nil, beat: nil, acks: []))
    #expect(read(PeerMessage.FrameType.word, nobody.body + signature.bytes) == nil)
    // Flags that say what is not there.
    #expect(read(PeerMessage.FrameType.heartbeat, [0, 4, 0, 0]) == nil)
    #expect(read(PeerMessage.FrameType.heartbeat, [0, 8, 0, 0]) == nil)
    #expect(read(PeerMessage.FrameType.heartbeat, [0, 32, 0]) == nil)
    #expect(read(PeerMessage.FrameType.heartbeat, [0, 16, 0]) != nil)
    #expect(read(PeerMessage.FrameType.heartbeat, [0, 8, 0x81, 1] + Array(repeating: 1, count: 130)) == nil)
  }

  /// What is known already is no proof that its bearer hears the author: two who do not would tell it to each other.
  @Test func whoBringsNoNewsIsNotAskedForEver() {
    let view = View(number: 0, members: (0..<4).map { OriginIndex($0) })
    var relay = Relay(view: view)
    var generator = SeededGenerator(seed: 5)
    let subject = OriginIndex(3)
    let peers = (1...6).map { PeerIndex($0) }
    func look(_ milliseconds: UInt64) {
      for member in [1, 2] as [UInt32] { relay.heard(OriginIndex(member), nowMicroseconds: milliseconds * 1_000) }
      relay.look(
        nowMicroseconds: milliseconds * 1_000, me: OriginIndex(0), isBusy: true, candidates: { _ in peers }, &generator)
    }
    func asked() -> [PeerIndex] { peers.filter { relay.wanted(of: $0) == [subject] } }
    func bring(_ promise: UInt64, by peer: PeerIndex) {
      let beat = Beat(promise: Stamp(promise), head: Head(sequence: 0, hash: .zero))
      let heartbeat = Heartbeat(view: 0, speaker: subject, beat: beat, acks: [])
      guard relay.isNews(heartbeat) else { return }
      let signature = Signature(bytes: Array(repeating: 1, count: Signature.byteCount))!
      relay.keep(SignedHeartbeat(heartbeat: heartbeat, signature: signature), from: peer)
    }
    look(1)
    #expect(asked().isEmpty)
    look(250)
    let first = asked()
    #expect(first.count == Relay.askedMax)
    bring(7, by: first[1])
    look(600)
    #expect(asked() == [first[1]], "who brings news goes on")
    bring(7, by: first[1])
    look(950)
    #expect(asked().count == Relay.askedMax && !asked().contains(first[1]), "others are tried")
    relay.heard(subject, nowMicroseconds: 960_000)
    #expect(asked().isEmpty && !relay.isAsking, "it is heard again")
  }
}
