import Primitives
import Testing
import Wire

private typealias Action = Handshake.Action

/// Fixed keys, nonces and names: transcripts come out the same every time.
private enum Fixture {
  static let cluster = SHA256().hash(Array("cluster".utf8))
  static let otherCluster = SHA256().hash(Array("another".utf8))
  static let alice = Ed25519(seed: Array(repeating: 1, count: 32))!
  static let bob = Ed25519(seed: Array(repeating: 2, count: 32))!
  static let mallory = Ed25519(seed: Array(repeating: 3, count: 32))!
  static let aliceNonce = [UInt8](repeating: 0xa1, count: 32)
  static let bobNonce = [UInt8](repeating: 0xb0, count: 32)
  static let address = Address("127.0.0.1:7001")!
  static let welcome = Welcome(nodeName: "bob", origin: OriginIndex(1), stamp: Stamp(77))
  static let aliceKey = alice.publicKey
  static let bobKey = bob.publicKey

  static func admits(_ key: PublicKey) -> Bool { key == aliceKey || key == bobKey }

  static func initiator(
    cluster: Hash256 = cluster, signatures: Ed25519 = alice, nonce: [UInt8] = aliceNonce
  ) -> Handshake {
    .member(
      clusterID: cluster, boot: 5, listenAddress: address, nonce: nonce, signatures: signatures,
      admits: { admits($0) })
  }

  static func client(cluster: Hash256? = nil) -> Handshake {
    .client(clusterID: cluster, account: 42, name: "trader", nonce: aliceNonce, signatures: mallory)
  }

  static func responder(
    nonce: [UInt8] = bobNonce, admission: @escaping @Sendable (Hello) -> Refusal? = { _ in nil }
  ) -> Handshake {
    .responder(
      clusterID: cluster, boot: 6, listenAddress: nil, welcome: welcome, nonce: nonce, signatures: bob,
      admits: { admits($0) }, admission: admission)
  }

  static func hello(
    _ key: PublicKey = aliceKey, cluster: Hash256 = cluster, nonce: [UInt8] = aliceNonce
  ) -> [UInt8] {
    Hello(
      clusterID: cluster, nonce: nonce, sender: .member(publicKey: key, boot: 5, listenAddress: address.description)
    ).body
  }
}

extension Handshake {
  fileprivate mutating func receive(_ type: UInt8, _ body: [UInt8]) -> [Action] {
    body.withUnsafeBytes { receive(type: type, body: $0) }
  }
}

/// What both sides do until nobody has anything left to send.
private func converse(_ first: inout Handshake, _ second: inout Handshake) -> (first: [Action], second: [Action]) {
  var done: ([Action], [Action]) = (first.start(), second.start())
  var read = (0, 0)
  while read.0 < done.0.count || read.1 < done.1.count {
    while read.0 < done.0.count {
      switch done.0[read.0] {
      case .send(let type, let body): done.1 += second.receive(type, body)
      case .refuse(let refusal): done.1 += second.receive(4, refusal.body)
      case .established, .fail: break
      }
      read.0 += 1
    }
    while read.1 < done.1.count {
      switch done.1[read.1] {
      case .send(let type, let body): done.0 += first.receive(type, body)
      case .refuse(let refusal): done.0 += first.receive(4, refusal.body)
      case .established, .fail: break
      }
      read.1 += 1
    }
  }
  return done
}

private func refusals(_ actions: [Action]) -> [RefusalCode] {
  actions.compactMap { if case .refuse(let refusal) = $0 { refusal.code } else { nil } }
}

private func failures(_ actions: [Action]) -> [RefusalCode] {
  actions.compactMap { if case .fail(let refusal) = $0 { refusal.code } else { nil } }
}

private func sentTypes(_ actions: [Action]) -> [UInt8] {
  actions.compactMap { if case .send(let type, _) = $0 { type } else { nil } }
}

struct HandshakeTests {
  @Test func twoMembers() {
    var alice = Fixture.initiator()
    var bob = Fixture.responder()
    let (first, second) = converse(&alice, &bob)
    #expect(sentTypes(first) == [1, 2])
    #expect(sentTypes(second) == [1, 2, 3])
    #expect(
      first.last
        == .established(
          .init(
            peer: .member(publicKey: Fixture.bobKey, boot: 6, listenAddress: ""),
            clusterID: Fixture.cluster, isInitiator: true, welcome: Fixture.welcome)))
    #expect(
      second.last
        == .established(
          .init(
            peer: .member(
              publicKey: Fixture.aliceKey, boot: 5, listenAddress: "127.0.0.1:7001"),
            clusterID: Fixture.cluster, isInitiator: false, welcome: nil)))
  }

  @Test(arguments: [nil, Fixture.cluster])
  func clientWithAndWithoutCluster(_ cluster: Hash256?) {
    var client = Fixture.client(cluster: cluster)
    var bob = Fixture.responder()
    let (first, second) = converse(&client, &bob)
    #expect(sentTypes(first) == [1])
    #expect(sentTypes(second) == [1, 2, 3])
    guard case .established(let established)? = first.last else { Issue.record("not established"); return }
    #expect(established.clusterID == Fixture.cluster)
    #expect(established.welcome == Fixture.welcome)
    #expect(established.publicKey == Fixture.bobKey)
    #expect(
      second.last
        == .established(
          .init(
            peer: .client(account: 42, name: "trader"), clusterID: Fixture.cluster, isInitiator: false, welcome: nil)))
  }

  /// The whole exchange of a client, as another implementation would see it.
  @Test func goldenClientHello() {
    var client = Fixture.client()
    let hello =
      "524c544f" + "0100" + "02" + String(repeating: "00", count: 32) + String(repeating: "a1", count: 32) + "2a"
      + "06747261646572"
    #expect(client.start() == [.send(type: 1, body: [UInt8](hex: hello)!)])
    #expect(Fixture.welcome.body.hex == "03626f62" + "02" + "4d00000000000000")
    #expect(Refusal(.busy, "no").body.hex == "06" + "026e6f")
    // The proof is over the documented bytes and nothing else.
    var bob = Fixture.responder()
    #expect(bob.start() == [])
    let actions = bob.receive(1, [UInt8](hex: hello)!)
    guard case .send(2, let proof) = actions[1], let signature = Signature(bytes: proof) else {
      Issue.record("no proof")
      return
    }
    let message =
      Array("rialto.handshake.1".utf8) + Fixture.cluster.bytes + Fixture.aliceNonce + Fixture.bobNonce
      + Fixture.bobKey.bytes + [2]
    #expect(Fixture.alice.isValid(signature, of: message, by: Fixture.bobKey))
  }

  @Test func wrongClusterIsRefused() {
    var member = Fixture.initiator(cluster: Fixture.otherCluster)
    var bob = Fixture.responder()
    var (first, second) = converse(&member, &bob)
    #expect(refusals(second) == [.cluster])
    #expect(failures(first) == [.cluster])
    var client = Fixture.client(cluster: Fixture.otherCluster)
    bob = Fixture.responder()
    (first, second) = converse(&client, &bob)
    #expect(refusals(second) == [.cluster])
  }

  /// A responder that does not check is still found out by the initiator.
  @Test func initiatorChecksTheClusterToo() {
    var alice = Fixture.initiator()
    _ = alice.start()
    let answer = alice.receive(1, Fixture.hello(Fixture.bobKey, cluster: Fixture.otherCluster, nonce: Fixture.bobNonce))
    #expect(refusals(answer) == [.cluster])
  }

  @Test func wrongVersionIsRefusedWithBothVersions() {
    var bob = Fixture.responder()
    _ = bob.start()
    var hello = Fixture.hello()
    hello[4] = 9
    let text = "this node speaks format 1, the hello is of format 9: upgrade this node"
    #expect(bob.receive(1, hello) == [.refuse(Refusal(.version, text))])
    // Whatever follows a version that is not ours may look different.
    bob = Fixture.responder()
    _ = bob.start()
    #expect(refusals(bob.receive(1, Array(hello.prefix(6)))) == [.version])
  }

  @Test func strangersAreRefused() {
    var stranger = Fixture.initiator(signatures: Fixture.mallory)
    var bob = Fixture.responder()
    let (first, second) = converse(&stranger, &bob)
    #expect(refusals(second) == [.notAMember])
    #expect(failures(first) == [.notAMember])
    #expect(sentTypes(second) == [])
  }

  @Test func aNodeThatReachesItselfSaysSo() {
    var one = Fixture.initiator(signatures: Fixture.bob)
    var two = Fixture.responder()
    let (first, second) = converse(&one, &two)
    #expect(refusals(second) == [.yourself])
    #expect(failures(first) == [.yourself])
  }

  /// Mallory shows Alice's key and signs with her own.
  @Test func aBorrowedKeyIsRefused() {
    var bob = Fixture.responder()
    _ = bob.start()
    _ = bob.receive(1, Fixture.hello())
    let message =
      Array("rialto.handshake.1".utf8) + Fixture.cluster.bytes + Fixture.bobNonce + Fixture.aliceNonce
      + Fixture.aliceKey.bytes + [1]
    let forged = bob.receive(2, Fixture.mallory.sign(message).bytes)
    #expect(refusals(forged) == [.badProof])
    #expect(bob.receive(2, Fixture.alice.sign(message).bytes) == [], "it is over")
  }

  /// A proof that was recorded does not fit the next challenge.
  @Test func aReplayedProofIsRefused() {
    var alice = Fixture.initiator()
    var bob = Fixture.responder()
    let recorded = converse(&alice, &bob).first
    var later = Fixture.responder(nonce: Array(repeating: 0xb1, count: 32))
    _ = later.start()
    var answers: [Action] = []
    for case .send(let type, let body) in recorded { answers += later.receive(type, body) }
    #expect(refusals(answers) == [.badProof])
  }

  /// The responder's own proof, sent back to it, is not the initiator's.
  @Test func aReflectedProofIsRefused() {
    var bob = Fixture.responder()
    _ = bob.start()
    let actions = bob.receive(1, Fixture.hello())
    guard case .send(2, let proof) = actions[1] else { Issue.record("no proof"); return }
    #expect(refusals(bob.receive(2, proof)) == [.badProof])
    bob = Fixture.responder()
    _ = bob.start()
    #expect(refusals(bob.receive(1, Fixture.hello(nonce: Fixture.bobNonce))) == [.badProof])
  }

  /// A proof for a client is none for a member: the verifier's role is part of it.
  @Test func aProofForAnotherRoleIsRefused() {
    var alice = Fixture.initiator()
    _ = alice.start()
    _ = alice.receive(1, Fixture.hello(Fixture.bobKey, nonce: Fixture.bobNonce))
    let message =
      Array("rialto.handshake.1".utf8) + Fixture.cluster.bytes + Fixture.aliceNonce + Fixture.bobNonce
      + Fixture.bobKey.bytes + [2]
    #expect(refusals(alice.receive(2, Fixture.bob.sign(message).bytes)) == [.badProof])
  }

  @Test(arguments: [RefusalCode.busy, .duplicate, .notReady])
  func admissionHasTheLastWord(_ code: RefusalCode) {
    let refusal = Refusal(code, "not now")
    var alice = Fixture.initiator()
    var bob = Fixture.responder(admission: { _ in refusal })
    var (first, second) = converse(&alice, &bob)
    #expect(second.last == .refuse(refusal))
    #expect(sentTypes(first) == [1, 2], "asked only after the proof")
    #expect(first.last == .fail(refusal))
    var client = Fixture.client()
    bob = Fixture.responder(admission: { _ in refusal })
    (first, second) = converse(&client, &bob)
    #expect(first.last == .fail(refusal))
  }

  @Test(arguments: [UInt8(2), 3, 0, 5, 0x20, 0xff])
  func otherFramesBeforeTheHelloAreRefused(_ type: UInt8) {
    for handshake in [Fixture.initiator(), Fixture.responder(), Fixture.client()] {
      var handshake = handshake
      _ = handshake.start()
      #expect(refusals(handshake.receive(type, [])) == [.malformed])
      #expect(handshake.receive(1, Fixture.hello()) == [])
    }
  }

  @Test func framesOutOfOrderAreRefused() {
    for type in [UInt8(1), 3] {
      var bob = Fixture.responder()
      _ = bob.start()
      #expect(sentTypes(bob.receive(1, Fixture.hello())) == [1, 2])
      #expect(refusals(bob.receive(type, Fixture.hello())) == [.malformed])
    }
    var alice = Fixture.initiator()
    _ = alice.start()
    _ = alice.receive(1, Fixture.hello(Fixture.bobKey, nonce: Fixture.bobNonce))
    #expect(refusals(alice.receive(3, Fixture.welcome.body)) == [.malformed], "a welcome without a proof")
  }

  @Test func handshakeFramesAfterTheEndAreRefused() {
    for type in [UInt8(1), 2, 3, 4] {
      var alice = Fixture.initiator()
      var bob = Fixture.responder()
      _ = converse(&alice, &bob)
      #expect(refusals(bob.receive(type, [])) == [.malformed])
    }
  }

  @Test func damagedHellosAreRefusedAndNeverCrash() {
    let hello = Fixture.hello()
    for end in 0..<hello.count {
      var bob = Fixture.responder()
      _ = bob.start()
      #expect(refusals(bob.receive(1, Array(hello.prefix(end)))) == [.malformed])
    }
    var bob = Fixture.responder()
    _ = bob.start()
    #expect(refusals(bob.receive(1, hello + [0])) == [.malformed])
    bob = Fixture.responder()
    _ = bob.start()
    #expect(refusals(bob.receive(1, Array("GET / HTTP/1.1\r\n".utf8))) == [.malformed])
  }

  @Test func aRefusalEndsItAtAnyTime() {
    var alice = Fixture.initiator()
    _ = alice.start()
    #expect(alice.receive(4, Refusal(.busy, "later").body) == [.fail(Refusal(.busy, "later"))])
    #expect(alice.receive(1, Fixture.hello()) == [])
    var client = Fixture.client()
    _ = client.start()
    #expect(failures(client.receive(4, [200, 2, 104, 105])) == [.malformed], "a code of a later version")
    client = Fixture.client()
    _ = client.start()
    #expect(failures(client.receive(4, [])) == [.malformed])
  }

  @Test func longTextsAreCutAtACharacter() {
    let refusal = Refusal(.busy, String(repeating: "é", count: 200))
    #expect(refusal.text.utf8.count == 254)
    #expect(throws: Never.self) { try refusal.body.withUnsafeBytes { try Refusal(body: $0) } }
  }
}
