import EventLog
import Primitives
import Testing

@testable import Membership

@Suite struct ViewChangeMessageTests {
  static let hash = Hash256(word0: 1, word1: 2, word2: 3, word3: 4)

  /// One of each kind, with all that is optional.
  static func messages() -> [ViewMessage] {
    let zero = ViewWorld(WorldSettings(members: 3, spares: 0)).genesis
    let facts = ViewFacts(
      acks: [Head(sequence: 3, hash: hash), Head(sequence: 0, hash: .zero)], ceiling: Stamp(900),
      checkpoints: [CheckpointReport(number: 4, hash: hash)])
    let admission = Admission(publicKey: PlainSignatures(node: 9).publicKey, name: "new", token: StoreToken(6))
    guard let value = zero.value.successor(MembershipWish(admissions: [admission]), promises: [facts, facts]) else {
      preconditionFailure("a successor")
    }
    let ballot = Ballot(round: 300, rank: 2)
    let lease = LeaseBallot(round: 5, node: PlainSignatures(node: 9).publicKey.nodeID)
    let vote = PlainSignatures(node: 1).sign([1])
    let certificate = Certificate(
      votes: [OriginIndex(0), OriginIndex(2)].map { Certificate.Vote(member: $0, signature: vote) })
    let decision = Decision(
      value: value, electors: zero.value.view.members, ballot: ballot, certificate: certificate)
    return [
      .prepare(view: 7, ballot, fence: nil), .prepare(view: 7, ballot, fence: lease),
      .promise(view: 7, ballot, facts, accepted: nil),
      .promise(view: 7, ballot, facts, accepted: ViewMessage.Accepted(ballot: ballot, value: value)),
      .nack(view: 7, ballot, promised: ballot, fence: lease), .accept(view: 7, ballot, value),
      .accepted(view: 7, ballot, valueHash: hash, vote: vote), .decided(decision), .ask(view: 7),
      .lease(view: 7, lease), .grant(view: 7, lease, vote: vote),
      .denied(view: 7, lease, highest: lease, leftMicroseconds: ViewLimits.leaseMicroseconds), .release(view: 7, lease),
      .join(view: 7, lease, name: "new", token: StoreToken(6), certificate),
    ]
  }

  static func decode(_ type: UInt8, _ body: [UInt8]) throws(CodecError) -> SignedViewMessage {
    do {
      return try body.withUnsafeBytes { try SignedViewMessage(frameType: type, body: $0) }
    } catch let error as CodecError {
      throw error
    } catch {
      preconditionFailure("another error")
    }
  }

  @Test(arguments: [0, 1]) func everyMessageReadsAsItWasWritten(_ kind: Int) throws {
    let signatures = PlainSignatures(node: 1)
    let sender: ViewPeer = kind == 0 ? .origin(OriginIndex(1)) : .node(signatures.publicKey)
    for message in Self.messages() {
      let signed = SignedViewMessage(sender: sender, message, cluster: Self.hash, signatures: signatures)
      let body = signed.body
      #expect(try Self.decode(signed.frameType, body) == signed)
      for count in 0..<body.count {
        #expect(throws: CodecError.self) { try Self.decode(signed.frameType, Array(body.prefix(count))) }
      }
      #expect(throws: CodecError.trailing(count: 1)) { try Self.decode(signed.frameType, body + [0]) }
    }
    let lease = LeaseBallot(round: 5, node: signatures.publicKey.nodeID)
    let long = ViewMessage.denied(
      view: 7, lease, highest: lease, leftMicroseconds: ViewLimits.leaseMicroseconds + 1)
    #expect(throws: CodecError.self, "longer than any lease") {
      try Self.decode(
        long.frameType, SignedViewMessage(sender: sender, long, cluster: Self.hash, signatures: signatures).body)
    }
    #expect(throws: CodecError.unknown(field: "frame type", value: 0x2C)) {
      try Self.decode(
        0x2C, SignedViewMessage(sender: sender, .ask(view: 1), cluster: Self.hash, signatures: signatures).body)
    }
  }

  /// What can be read at all has one form, and its signature does not hold for other bytes.
  @Test func damagedBytesAreRefusedOrDoNotVerify() {
    var generator = SeededGenerator(seed: 4)
    let signatures = PlainSignatures(node: 1)
    for message in Self.messages() {
      let signed = SignedViewMessage(
        sender: .origin(OriginIndex(1)), message, cluster: Self.hash, signatures: signatures)
      for _ in 0..<400 {
        var body = signed.body
        body[Int(generator.below(UInt64(body.count)))] ^= 1 << UInt8(generator.below(8))
        guard let read = try? Self.decode(signed.frameType, body) else { continue }
        #expect(read.body == body)
        #expect(!read.isValid(cluster: Self.hash, key: signatures.publicKey, signatures: signatures))
      }
    }
  }
}
