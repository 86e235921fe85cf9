import EventLog
import OrderBook
import Primitives
import Testing

struct HashChainTests {
  private let sha = SHA256()
  private let cluster = SHA256().hash(Array("cluster".utf8))
  private let node = NodeID(SHA256().hash(Array("node".utf8)))

  @Test func startIsOfTagClusterNodeAndIncarnation() {
    let start = HashChain.start(cluster: cluster, origin: Origin(node: node, incarnation: 0x0102), sha)
    #expect(start == sha.hash(Array("rialto.chain.1".utf8) + cluster.bytes + node.hash.bytes + [2, 1, 0, 0]))
    #expect(start.description == "493a33d15bd9ef4028d4c30a5cde8ae1323dddb722a95f7a510a746bc7d4109d")
  }

  @Test func everyPartOfAnOriginGivesAnotherStart() {
    let origin = Origin(node: node, incarnation: 1)
    let starts = [
      HashChain.start(cluster: cluster, origin: origin, sha),
      HashChain.start(cluster: node.hash, origin: origin, sha),
      HashChain.start(cluster: cluster, origin: Origin(node: NodeID(cluster), incarnation: 1), sha),
      HashChain.start(cluster: cluster, origin: Origin(node: node, incarnation: 2), sha),
    ]
    #expect(Set(starts).count == starts.count)
  }

  @Test func linkIsOfTagPreviousAndBytes() {
    let link = HashChain.link(previous: cluster, bytes: [1, 2, 3], sha)
    #expect(link == sha.hash(Array("rialto.batch.1".utf8) + cluster.bytes + [1, 2, 3]))
    #expect(link.description == "b89f60127de27232f2607b3fa6bd0cd609a88197ccaf4442f11c7538c01d2d43")
    #expect(HashChain.link(previous: node.hash, bytes: [1, 2, 3], sha) != link)
    #expect(HashChain.link(previous: cluster, bytes: [1, 2], sha) != link)
  }

  @Test func aHeadIsSignedWithEverythingThatNamesIt() throws {
    let head = Head(sequence: 0x0102_0304, hash: cluster)
    let origin = Origin(node: node, incarnation: 5)
    let message = HashChain.signedHead(cluster: node.hash, origin: origin, view: 0x0708, head: head)
    var expected = Array("rialto.head.1".utf8) + node.hash.bytes + node.hash.bytes
    expected += [5, 0, 0, 0] + [8, 7, 0, 0, 0, 0, 0, 0] + [4, 3, 2, 1, 0, 0, 0, 0] + cluster.bytes
    #expect(message == expected)
    let signer = try #require(Ed25519(seed: [UInt8](repeating: 3, count: 32)))
    let signature = signer.sign(message)
    #expect(signer.isValid(signature, of: message, by: signer.publicKey))
    let other = HashChain.signedHead(cluster: node.hash, origin: origin, view: 0x0709, head: head)
    #expect(!signer.isValid(signature, of: other, by: signer.publicKey))
  }

  /// A batch decoded after the wrong predecessor has another hash, so its author's signature does not fit it.
  @Test func theChainCommitsToEverythingBefore() throws {
    var random = RandomPayloads(seed: 5)
    let signature = try #require(Signature(bytes: [UInt8](repeating: 0, count: 64)))
    let sealed = (0..<5).map { _ in
      SealedBatch(bytes: random.builder().canonicalBytes(), view: 0, signature: signature)
    }
    func chain(_ batches: [SealedBatch]) throws -> Hash256 {
      var hash = HashChain.start(cluster: cluster, origin: Origin(node: node, incarnation: 0), sha)
      for batch in batches { hash = try Batch.decode(batch, previous: hash, sha).hash }
      return hash
    }
    let whole = try chain(sealed)
    #expect(try chain(sealed) == whole)
    for index in sealed.indices.dropLast() {
      var other = sealed
      other.swapAt(index, index + 1)
      #expect(try chain(other) != whole, "\(index)")
      other.remove(at: index)
      #expect(try chain(other) != whole, "\(index)")
    }
  }
}

struct AppliedRunTests {
  @Test func eventsBelongToTheirItems() {
    var run = AppliedRun()
    #expect(run.isEmpty)
    #expect(run.lastKey == nil)
    let dots = (1...3).map { Dot(origin: OriginIndex(4), sequence: $0) }
    let events: [[OrderEvent]] = [
      [.accepted(order: dots[0]), .rested(order: dots[0], openLots: 1)], [], [.instrumentDefined(entry: dots[2])],
    ]
    for (index, dot) in dots.enumerated() {
      let payload = Payload.command(.cancelAll(CancelAll(account: AccountID(0))))
      run.append(dot: dot, entry: Entry(stamp: Stamp(10 + dot.sequence), payload: payload), events: events[index])
    }
    for index in events.indices { #expect(Array(run.events(at: index)) == events[index]) }
    #expect(run.items.map(\.dot) == dots)
    #expect(run.lastKey == OrderKey(stamp: Stamp(13), origin: OriginIndex(4)))
    run.removeAll()
    #expect(run.isEmpty)
    #expect(run.events.isEmpty)
  }
}
