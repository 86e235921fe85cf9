import Client
import Foundation
import Membership
import Primitives
import Testing
import Transport
import Wire

/// What comes before a handshake is over, and should not.
@Suite(.endsIfItHangs) struct HandshakeRefusalTests {
  /// The node still takes orders.
  private func stillServes(_ cluster: TestCluster, _ name: String = "n1") async throws {
    let client = try await cluster.connect(name)
    try await client.ping()
    // Alone among several it would not take orders: the other member comes.
    if cluster.genesis.members.count > 1 { try await cluster.start("n2", peers: [name]) }
    let outcome = try await client.accepted(.limit(.none, .buy, 1, 1))
    #expect(outcome.dot.origin == cluster.origin(name))
  }

  /// How the node ends a connection on which this came.
  private func end(
    _ cluster: TestCluster, after bytes: [UInt8], isFinished: Bool = false
  ) async throws
    -> RawConnection.End
  {
    try await cluster.undisturbed("the end") {
      let connection = try RawConnection(to: try cluster.address("n1"))
      connection.send(bytes)
      if isFinished { connection.finish() }
      return try await connection.end()
    }
  }

  @Test func bytesThatAreNoHandshakeAreRefusedWithAReason() async throws {
    try await withCluster(1) { cluster in
      try await cluster.startAll()
      let hello = Hello(
        clusterID: cluster.genesis.clusterID, nonce: RawConnection.nonce(), sender: .client(account: 1, name: "x"))
      var later = hello.body
      later[4] = 2
      var foreign = hello.body
      foreign[0] = 0x20
      let cases: [(what: String, bytes: [UInt8], code: RefusalCode, text: String)] = [
        ("oversized", [1, 16, 0, 0], .malformed, "frame of 4097 bytes, where at most 4096 are allowed"),
        ("huge", [255, 255, 255, 255], .malformed, "where at most 4096"),
        ("empty", [0, 0, 0, 0], .malformed, "frame without a type"),
        ("unknown type", .frame(type: 0x7f, body: [1, 2]), .malformed, "frame type 127"),
        ("a client's frame", .frame(type: ClientFrame.ping.rawValue, body: [1]), .malformed, "before the handshake"),
        ("proof first", .frame(type: HandshakeFrame.proof.rawValue, body: []), .malformed, "out of order"),
        ("welcome first", .frame(type: HandshakeFrame.welcome.rawValue, body: []), .malformed, "out of order"),
        ("web browser", Array("GET / HTTP/1.1\r\n\r\n".utf8), .malformed, "where at most 4096"),
        ("empty hello", .frame(type: 1, body: []), .malformed, "not Rialto's protocol"),
        ("other magic", .frame(type: 1, body: foreign), .malformed, "not Rialto's protocol"),
        ("later format", .frame(type: 1, body: later), .version, "format 2"),
        ("short hello", .frame(type: 1, body: hello.body.dropLast(3)), .malformed, "the hello"),
        ("long hello", .frame(type: 1, body: hello.body + [0]), .malformed, "the hello"),
      ]
      for (what, bytes, code, text) in cases {
        guard case .refused(let got, let reason) = try await end(cluster, after: bytes) else {
          Issue.record("\(what): not refused")
          continue
        }
        #expect(got == code && reason.contains(text), "\(what): \(got) \(reason)")
      }
      try await stillServes(cluster)
    }
  }

  @Test func aFrameThatIsCutOffEndsTheConnection() async throws {
    try await withCluster(1) { cluster in
      try await cluster.startAll()
      let hello = Hello(clusterID: .zero, nonce: RawConnection.nonce(), sender: .client(account: 1, name: "x"))
      let whole = [UInt8].frame(type: 1, body: hello.body)
      for count in [0, 1, 4, 5, 6, whole.count - 1] {
        // At once: what the limit on a handshake's time ends does not count.
        let end = try await end(cluster, after: Array(whole.prefix(count)), isFinished: true)
        #expect(end == .closed, "after \(count) bytes")
      }
      try await stillServes(cluster)
    }
  }

  @Test(arguments: [1, 2, 3] as [UInt64])
  func randomBytesDoNoHarm(seed: UInt64) async throws {
    try await withCluster(1) { cluster in
      try await cluster.startAll()
      var generator = SeededGenerator(seed: seed)
      for round in 0..<40 {
        // Half of them get past the frame's length and type.
        var bytes = (0..<generator.pick(1...600)).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        if generator.chance(1, of: 2) { bytes = .frame(type: UInt8(generator.pick(1...4)), body: bytes) }
        if case .goodbye(let text) = try await end(cluster, after: bytes, isFinished: true) {
          Issue.record("seed \(seed), round \(round): taken for a client: \(text)")
        }
      }
      try await stillServes(cluster)
    }
  }

  /// What the node answers to this handshake.
  private func refusal(_ cluster: TestCluster, _ handshake: Handshake) async throws -> Refusal? {
    try await cluster.undisturbed("an answer to a handshake") {
      do {
        try await RawConnection(to: try cluster.address("n1")).shake(handshake)
        return nil
      } catch let refusal as Refusal {
        return refusal
      }
    }
  }

  @Test func strangersAreToldWhyTheyAreNotLetIn() async throws {
    try await withCluster(2) { cluster in
      try await cluster.start("n1")
      let other = try TestCluster(2, salt: 2)
      defer { try? FileManager.default.removeItem(atPath: other.path) }

      let foreignMember = try #require(try await refusal(cluster, other.memberHandshake("n2")))
      #expect(foreignMember.code == .cluster && foreignMember.text.contains("check cluster id and address"))
      let foreignClient = try #require(
        try await refusal(cluster, cluster.clientHandshake(clusterID: other.genesis.clusterID)))
      #expect(foreignClient.code == .cluster)
      // The right cluster, but a key that no member has: it may follow, and ask to become one.
      let stranger = Handshake.member(
        clusterID: cluster.genesis.clusterID, boot: 1, listenAddress: nil, nonce: RawConnection.nonce(),
        signatures: other.key("n2"), admits: { _ in true })
      #expect(try await refusal(cluster, stranger) == nil)
      let yourself = try #require(try await refusal(cluster, cluster.memberHandshake("n1")))
      #expect(yourself.code == .yourself)
      #expect(try await refusal(cluster, cluster.memberHandshake("n2")) == nil, "the real one is let in")
      try await stillServes(cluster)
    }
  }

  @Test func aProofIsOfUseOnce() async throws {
    try await withCluster(2) { cluster in
      try await cluster.start("n1")
      // What somebody who reads the wire could record.
      let recorded = try await cluster.undisturbed("a handshake") {
        try await RawConnection(to: try cluster.address("n1")).shake(cluster.memberHandshake("n2"))
      }
      #expect(recorded.map(\.type) == [HandshakeFrame.hello.rawValue, HandshakeFrame.proof.rawValue])
      let (hello, proof) = (recorded[0], recorded[1])
      let helloFrame = [UInt8].frame(type: hello.type, body: hello.body)
      let replay = helloFrame + .frame(type: proof.type, body: proof.body)
      guard case .refused(let code, let text) = try await end(cluster, after: replay) else {
        Issue.record("an old proof was taken")
        return
      }
      #expect(code == .badProof && text.contains("does not fit"))
      // Nor is somebody else's signature.
      let foreign = cluster.key("n1").sign(Array("anything".utf8)).bytes
      let forged = helloFrame + .frame(type: proof.type, body: foreign)
      guard case .refused(.badProof, _) = try await end(cluster, after: forged) else {
        Issue.record("a forged proof was taken")
        return
      }
      let short = helloFrame + .frame(type: proof.type, body: [1, 2, 3])
      guard case .refused(.malformed, let reason) = try await end(cluster, after: short) else {
        Issue.record("a short proof was taken")
        return
      }
      #expect(reason.contains("64 bytes"))
      try await stillServes(cluster)
    }
  }

  @Test func whoNeverFinishesTheHandshakeIsClosed() async throws {
    try await withCluster(2) { cluster in
      try await cluster.start("n1")
      let started = ContinuousClock.now
      let silent = try RawConnection(to: try cluster.address("n1"))
      let halfway = try RawConnection(to: try cluster.address("n1"))
      var member = cluster.memberHandshake("n2")
      for case .send(let type, let body) in member.start() { halfway.send(type: type, body) }
      // A byte now and then is not progress.
      let dripping = try RawConnection(to: try cluster.address("n1"))
      dripping.send([200])
      dripping.keepSaying([0])
      #expect(try await silent.end() == .closed)
      let waited = ContinuousClock.now - started
      #expect(waited > .seconds(Connection.handshakeSecondsMax), "closed too soon: \(waited)")
      #expect(try await halfway.end() == .closed)
      #expect(try await dripping.end() == .closed)
      await cluster.settle()
      #expect(cluster.log.count("no handshake within 5 s") == 3)
      try await stillServes(cluster)
    }
  }
}
