import Client
import EventLog
import Gossip
import OrderBook
import Primitives
import Testing
import Wire

/// What comes after the handshake, from members and clients, and should not.
@Suite(.endsIfItHangs) struct HostilePeerTests {
  // MARK: Clients

  @Test func aClientThatBreaksTheProtocolIsToldWhatWasWrong() async throws {
    try await withCluster(1) { cluster in
      try await cluster.startAll()
      let witness = try await cluster.connect("n1")
      var submit = ByteWriter()
      ClientRequest.submit(SubmitRequest(firstRequest: 1, commands: [.limit(.none, .buy, 1, 1)])).write(to: &submit)
      let hello = Hello(clusterID: .zero, nonce: RawConnection.nonce(), sender: .client(account: 1, name: "x"))
      let cases: [(what: String, bytes: [UInt8], text: String)] = [
        ("unknown type", .frame(type: 0xee, body: [1]), "request type 238"),
        ("a node's frame", .frame(type: ClientFrame.accepted.rawValue, body: [0]), "request type 64"),
        ("a member's frame", .frame(type: PeerMessage.FrameType.batch, body: [0]), "request type 16"),
        ("second hello", .frame(type: 1, body: hello.body), "request type 1"),
        ("trailing", .frame(type: ClientFrame.ping.rawValue, body: Array(repeating: 7, count: 9)), "1 bytes too many"),
        ("cut off", .frame(type: ClientFrame.ping.rawValue, body: [7]), "ends inside"),
        ("no command", .frame(type: ClientFrame.submit.rawValue, body: [1, 0, 0]), "command count"),
        ("no content", .frame(type: ClientFrame.subscribe.rawValue, body: [1, 0, 0]), "subscription bits"),
        ("query of no kind", .frame(type: ClientFrame.query.rawValue, body: [1, 99]), "query kind"),
        (
          "command cut off", .frame(type: ClientFrame.submit.rawValue, body: Array(submit.bytes[5...].dropLast())),
          "ends inside"
        ),
        ("oversized", [1, 0, 4, 0], "frame of 262145 bytes"),
        ("empty", [0, 0, 0, 0], "frame without a type"),
      ]
      for (what, bytes, text) in cases {
        let raw = try await cluster.rawClient(to: "n1")
        raw.send(bytes)
        guard case .goodbye(let reason) = try await raw.end() else {
          Issue.record("\(what): no goodbye")
          continue
        }
        #expect(reason.contains("protocol error") && reason.contains(text), "\(what): \(reason)")
        try await witness.ping()
      }
      #expect(try await witness.status().entries == 0)
    }
  }

  @Test func requestNumbersThatDoNotAscendAreRefused() async throws {
    try await withCluster(1) { cluster in
      try await cluster.startAll()
      let raw = try await cluster.rawClient(to: "n1")
      let commands = [Command.limit(.none, .buy, 1, 1, account: 9), .limit(.none, .buy, 1, 1, account: 9)]
      raw.send(.ownUpdates(false))
      raw.send(.submit(SubmitRequest(firstRequest: 10, commands: commands)))
      raw.send(.submit(SubmitRequest(firstRequest: 11, commands: commands)))
      raw.send(.submit(SubmitRequest(firstRequest: 12, commands: commands)))
      var answers: [String] = []
      while answers.count < 3 {
        guard case .frame(let frame) = try await raw.next() else { break }
        switch try NodeMessage.decode(frame) {
        case .accepted(let runs): answers += runs.map { "accepted \($0.firstRequest) \($0.stamps.count)" }
        case .refused(let run): answers.append("refused \(run.firstRequest) \(run.count) \(run.refusal.code)")
        default: break
        }
      }
      #expect(answers.sorted() == ["accepted 10 2", "accepted 12 2", "refused 11 2 malformed"])
      #expect(try await [cluster.connect("n1")].quiet()[0].orders == 4)
    }
  }

  // MARK: Members

  /// Two running nodes of three, and everything a batch of the third one takes.
  private func withHostileThird(
    _ body: (TestCluster, RialtoClient, SealedBatch) async throws -> Void
  ) async throws {
    try await withCluster(3) { cluster in
      try await cluster.start("n1")
      try await cluster.start("n2", peers: ["n1"])
      // Empty disks may be lost ones: two of three have to hear the third as well before they take orders.
      let voices = [try await cluster.rawMember("n3", to: "n1"), try await cluster.rawMember("n3", to: "n2")]
      _ = try await cluster.defineInstrument()
      let second = try await cluster.connect("n2")
      try await eventually("n2 is ready, too") { try await second.status().ready }
      for voice in voices {
        voice.finish()
        _ = try await voice.end()
      }
      try await body(cluster, try await cluster.connect("n1"), batch(cluster, of: "n3", signedBy: "n3"))
    }
  }

  private func batch(
    _ cluster: TestCluster, of author: String, signedBy signer: String, first: UInt64 = 1, origin: OriginIndex? = nil
  ) -> SealedBatch {
    let place = cluster.origin(author)
    let registered = cluster.genesis.register[place]!
    var builder = BatchBuilder(origin: origin ?? place, firstSequence: first)
    for index in 0..<10 {
      let stamp = Stamp(milliseconds: nowMilliseconds(), counter: UInt16(index + 1))
      builder.append(Entry(stamp: stamp, payload: .command(.limit(.none, .buy, Int64(index), 1))))
    }
    let bytes = builder.canonicalBytes()
    let sha = SHA256()
    let start = HashChain.start(cluster: cluster.genesis.clusterID, origin: registered.origin, sha)
    let head = Head(sequence: first + 9, hash: HashChain.link(previous: start, bytes: bytes, sha))
    let message = HashChain.signedHead(
      cluster: cluster.genesis.clusterID, origin: registered.origin, view: 0, head: head)
    return SealedBatch(bytes: bytes, view: 0, signature: cluster.key(signer).sign(message))
  }

  /// Says this to the first node as the third one, and has no more to say: then the node has taken all of it.
  private func say(_ frames: [[UInt8]], _ cluster: TestCluster) async throws {
    let end = try await cluster.undisturbed("the node has taken it") {
      let raw = try await cluster.rawMember("n3", to: "n1")
      for frame in frames { raw.send(frame) }
      // What comes after an unreadable frame is not read.
      raw.send(type: 0xee, [1])
      return try await raw.end()
    }
    #expect(end == .closed)
  }

  /// A batch of the second member's log that it has not signed; the node closes the link for it.
  private func forge(_ cluster: TestCluster) async throws {
    let end = try await cluster.undisturbed("the forger is closed") {
      let forger = try await cluster.rawMember("n3", to: "n1")
      forger.send(frame(.batch(batch(cluster, of: "n2", signedBy: "n3"))))
      return try await forger.end()
    }
    #expect(end == .closed)
    #expect(cluster.log.contains("has a bad signature"))
  }

  private func frame(_ message: PeerMessage) -> [UInt8] { .frame(type: message.frameType, body: message.body) }

  @Test func aMemberThatBreaksTheProtocolIsClosed() async throws {
    try await withHostileThird { cluster, witness, good in
      let heartbeat = PeerMessage.heartbeat(Heartbeat(view: 0, speaker: nil, beat: nil, acks: []))
      let hello = Hello(clusterID: .zero, nonce: RawConnection.nonce(), sender: .client(account: 1, name: "x"))
      let cases: [(what: String, bytes: [UInt8])] = [
        ("unknown type", .frame(type: 0xee, body: [1])),
        ("second hello", .frame(type: 1, body: hello.body)),
        ("a client's frame", .frame(type: ClientFrame.ping.rawValue, body: [1, 2, 3, 4, 5, 6, 7, 8])),
        ("trailing", .frame(type: heartbeat.frameType, body: heartbeat.body + [0])),
        ("cut off", .frame(type: PeerMessage.FrameType.batch, body: PeerMessage.batch(good).body.dropLast())),
        ("count without elements", .frame(type: PeerMessage.FrameType.announce, body: [0xff, 0xff, 3])),
        ("range that is none", .frame(type: PeerMessage.FrameType.request, body: [0, 9, 3])),
        ("no batch", frame(.batch(SealedBatch(bytes: [1, 2, 3], view: 0, signature: good.signature)))),
        ("oversized", [1, 0, 16, 0]),
        ("empty", [0, 0, 0, 0]),
      ]
      for (what, bytes) in cases {
        // Nothing else ends the link: it says all the time that it is there.
        let end = try await cluster.undisturbed(what) {
          let raw = try await cluster.rawMember("n3", to: "n1")
          raw.send(bytes)
          return try await raw.end()
        }
        #expect(end == .closed, "\(what)")
        try await witness.ping()
      }
    }
  }

  @Test func aForgedBatchOfAnotherIsNotTakenFromAMember() async throws {
    try await withHostileThird { cluster, witness, _ in
      let entries = try await witness.status().entries
      // The second has written nothing yet: this would be the first of its log.
      try await forge(cluster)
      // Of this node itself, and of an origin that nobody has: neither concerns it.
      let messages: [PeerMessage] = [
        .batch(batch(cluster, of: "n1", signedBy: "n3")),
        .batch(batch(cluster, of: "n3", signedBy: "n3", origin: OriginIndex(777))),
        .request(LogRange(origin: OriginIndex(777), from: 1, through: 5)),
        .announce([LogRange(origin: OriginIndex(778), from: 1, through: 5)]),
      ]
      try await say(messages.map(frame), cluster)
      #expect(try await witness.status().entries == entries)
      try await thirdJoins(cluster)
    }
  }

  @Test
  func aForgedBatchLeavesNothingToBeAskedForForEver() async throws {
    try await withHostileThird { cluster, witness, _ in
      try await forge(cluster)
      try await thirdJoins(cluster)
      try await eventually("nothing is missing") { try await witness.status().missing == 0 }
    }
  }

  @Test
  func boundlessClaimsDoNoHarm() async throws {
    try await withHostileThird { cluster, witness, _ in
      let beyond = LogRange(origin: cluster.origin("n2"), from: 1, through: .max)
      let end = try await cluster.undisturbed("a range that is none") {
        let raw = try await cluster.rawMember("n3", to: "n1")
        raw.send(frame(.announce([beyond])))
        return try await raw.end()
      }
      #expect(end == .closed)
      // The longest that can be said.
      let claims = ["n2", "n3"].map { LogRange(origin: cluster.origin($0), from: 1, through: .max >> 1) }
      let asked = try await cluster.undisturbed("it asks for what was claimed") {
        let raw = try await cluster.rawMember("n3", to: "n1")
        raw.send(frame(.announce(claims)))
        var asked = Set<OriginIndex>()
        _ = try await raw.find("a request for each") { frame -> Bool? in
          guard frame.type == PeerMessage.FrameType.request,
            case .request(let range) = try frame.body.withUnsafeReadableBytes({
              try PeerMessage(frameType: frame.type, body: $0)
            })
          else { return nil }
          asked.insert(range.origin)
          return asked.count == claims.count ? true : nil
        }
        // What was asked for and never comes is asked for again, or given up.
        _ = try await witness.status()
        try await witness.ping()
        return asked
      }
      #expect(asked == Set(claims.map(\.origin)))
    }
  }

  @Test func aRelayedBatchWithAFlippedBitIsNotTaken() async throws {
    try await withHostileThird { cluster, _, _ in
      try await sendFlipped(batch(cluster, of: "n2", signedBy: "n2"), cluster)
    }
  }

  @Test
  func aBatchOfTheSenderWithAFlippedBitIsNotTaken() async throws {
    try await withHostileThird { cluster, _, good in try await sendFlipped(good, cluster) }
  }

  /// Sends a batch to the first node again and again, each time with another bit flipped; then the real third comes.
  private func sendFlipped(_ good: SealedBatch, _ cluster: TestCluster) async throws {
    let witness = try await cluster.connect("n1")
    let entries = try await witness.status().entries
    let body = PeerMessage.batch(good).body
    var generator = SeededGenerator(seed: 3)
    for round in 0..<12 {
      var flipped = body
      // View, signature, length, header, entries.
      let place = round < 6 ? round * 13 : generator.pick(0...body.count - 1)
      flipped[place] ^= 1 << UInt8(generator.below(8))
      // Closed for the batch, or for the end of what comes after one that does not concern this node.
      try await cluster.undisturbed("the end") {
        let raw = try await cluster.rawMember("n3", to: "n1")
        raw.send(type: PeerMessage.FrameType.batch, flipped)
        raw.finish()
        _ = try await raw.end()
      }
      #expect(try await witness.status().entries == entries, "round \(round), byte \(place)")
    }
    try await thirdJoins(cluster)
  }

  /// The real third node comes, trades, and all agree.
  private func thirdJoins(_ cluster: TestCluster) async throws {
    try await cluster.start("n3", peers: ["n1"])
    var clients: [RialtoClient] = []
    for name in cluster.names { clients.append(try await cluster.connect(name)) }
    let instrument = try #require(try await clients[0].instruments().first).dot
    try await clients[2].accepted(.limit(instrument, .buy, 10, 1))
    _ = try await clients.expectAgreement()
  }

  @Test func aHeartbeatOfAnotherViewCountsForNothing() async throws {
    try await withHostileThird { cluster, witness, _ in
      let instrument = try #require(try await witness.instruments().first).dot
      let second = try await cluster.connect("n2")
      let stamps = try await cluster.undisturbed("the right view") { () -> (order: Stamp, before: Stamp) in
        let order = try await witness.accepted(.limit(instrument, .buy, 10, 1))
        let raw = try await cluster.rawMember("n3", to: "n1")
        // With it the order would be final at once: the third is the only one not heard from.
        let beat = Beat(promise: Stamp(order.stamp.value + 1), head: Head(sequence: 0, hash: .zero))
        raw.send(frame(.heartbeat(Heartbeat(view: 7, speaker: cluster.origin("n3"), beat: beat, acks: []))))
        raw.send(frame(.vector(VersionVector([]))))
        // Its answer is behind what was said before.
        raw.send(frame(.request(LogRange(origin: cluster.origin("n2"), from: 1, through: 1))))
        _ = try await raw.find("the answer") { $0.type == PeerMessage.FrameType.served ? true : nil }
        // The second's promise for each of these comes before the next.
        var last = order
        for _ in 0..<3 {
          last = try await second.accepted(.limit(instrument, .buy, 9, 1), after: last.stamp)
          let dot = last.dot
          _ = try await eventually("the first has it") { try await witness.orderIfAny(.dot(dot)) }
        }
        let before = Stamp(try await witness.status().finalStamp)
        raw.send(frame(.heartbeat(Heartbeat(view: 0, speaker: cluster.origin("n3"), beat: beat, acks: []))))
        try await eventually("one of the right view counts") {
          try await witness.status().finalStamp >= order.stamp.value
        }
        return (order.stamp, before)
      }
      #expect(stamps.before < stamps.order)
    }
  }

  @Test func aFalseClaimOfLostEntriesDoesNotStopANode() async throws {
    try await withHostileThird { cluster, witness, _ in
      let instrument = try #require(try await witness.instruments().first).dot
      var claimed = [UInt64](repeating: 0, count: 3)
      claimed[cluster.origin("n1").int] = 1_000
      try await say([frame(.vector(VersionVector(claimed)))], cluster)
      try await eventually("it was noticed") { cluster.log.contains("claims 1000 entries of this node's log") }
      try await witness.accepted(.limit(instrument, .buy, 10, 1))
      try await thirdJoins(cluster)
    }
  }

  @Test(arguments: [1, 2] as [UInt64])
  func randomFramesFromAMemberDoNoHarm(seed: UInt64) async throws {
    try await withHostileThird { cluster, witness, good in
      var generator = SeededGenerator(seed: seed)
      for _ in 0..<60 {
        let body = (0..<generator.pick(0...200)).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        // Not heartbeats, vectors and promises that read well: a member's word is believed.
        let types = [
          PeerMessage.FrameType.batch, PeerMessage.FrameType.request, PeerMessage.FrameType.digest,
          PeerMessage.FrameType.addresses, PeerMessage.FrameType.announce, 0x18, 0x00,
        ]
        let type = types[generator.pick(0...types.count - 1)]
        try await cluster.undisturbed("the end") {
          let raw = try await cluster.rawMember("n3", to: "n1")
          raw.send(type: type, body)
          raw.finish()
          _ = try await raw.end()
        }
      }
      try await witness.ping()
      try await thirdJoins(cluster)
    }
  }
}
