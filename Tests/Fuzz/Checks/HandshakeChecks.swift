import Primitives
import Wire

/// A handshake against any peer at all: no connection without a proof, and nothing after the end.
extension WireChecks {
  /// Signatures of which exactly one is valid, so that it can be guessed: 64 times `validByte`.
  struct GuessableSignatures: Signatures {
    static let validByte: UInt8 = 1
    let publicKey: PublicKey

    init(_ byte: UInt8) { publicKey = PublicKey(bytes: Array(repeating: byte, count: PublicKey.byteCount))! }

    func sign(_ message: [UInt8]) -> Signature {
      Signature(bytes: Array(repeating: Self.validByte, count: Signature.byteCount))!
    }

    func isValid(_ signature: Signature, of message: [UInt8], by key: PublicKey) -> Bool {
      signature.bytes.allSatisfy { $0 == Self.validByte }
    }
  }

  enum Party: UInt8, CaseIterable {
    case member, client, clientOfAnyCluster, responder
  }

  /// Keys are 32 times the same byte: this side's, and that of the one other member.
  static let ownKeyByte: UInt8 = 2
  static let peerKeyByte: UInt8 = 3
  static let clusterID = Hash256(word0: 0x0404_0404_0404_0404, word1: 0, word2: 0, word3: 0)
  private static let peerKey = GuessableSignatures(peerKeyByte).publicKey
  private static let own = GuessableSignatures(ownKeyByte)

  static func party(_ party: Party) -> Handshake {
    let nonce = Array(repeating: UInt8(5), count: Hello.nonceByteCount)
    let admits: @Sendable (PublicKey) -> Bool = { $0 == peerKey }
    switch party {
    case .member:
      return .member(
        clusterID: clusterID, boot: 1, listenAddress: nil, nonce: nonce, signatures: own, admits: admits)
    case .client, .clientOfAnyCluster:
      return .client(
        clusterID: party == .client ? clusterID : nil, account: 1, name: "fuzz", nonce: nonce, signatures: own)
    case .responder:
      return .responder(
        clusterID: clusterID, boot: 1, listenAddress: nil,
        welcome: Welcome(nodeName: "n", origin: OriginIndex(0), stamp: Stamp(1)), nonce: nonce, signatures: own,
        admits: admits,
        admission: { hello in
          if case .client(let account, _) = hello.sender, account == 13 { Refusal(.busy, "full") } else { nil }
        })
    }
  }

  @Sendable static func handshake(_ input: [UInt8]) throws(Finding) -> Bool {
    guard let which = input.first, let party = Party(rawValue: which % UInt8(Party.allCases.count)) else {
      return false
    }
    var handshake = Self.party(party)
    var transcript = Transcript(party: party)
    try transcript.take(handshake.start())
    var rest = input.dropFirst()
    while let frame = ShortFrame(from: &rest) {
      transcript.sawProof = transcript.sawProof || isValidProof(frame)
      try transcript.take(withBytes(of: frame.body) { raw in handshake.receive(type: frame.type, body: raw) })
    }
    return transcript.established != nil
  }

  private static func isValidProof(_ frame: ShortFrame) -> Bool {
    frame.type == HandshakeFrame.proof.rawValue && frame.body.count == Signature.byteCount
      && frame.body.allSatisfy { $0 == GuessableSignatures.validByte }
  }

  /// What a handshake has done so far.
  private struct Transcript {
    let party: Party
    var sawProof = false
    var sent: [UInt8] = []
    var established: Handshake.Established?
    var isOver = false

    mutating func take(_ actions: [Handshake.Action]) throws(Finding) {
      try expect(!isOver || actions.isEmpty, "goes on after its end: \(actions)")
      for (index, action) in actions.enumerated() {
        let isLast = index == actions.count - 1
        switch action {
        case .send(let type, let body):
          try expect(!sent.contains(type), "sends two frames of type \(type)")
          sent.append(type)
          try expect(body.count < Limits.handshakeFrameBytesMax, "sends \(body.count) bytes")
          try expect(readable(type, body[...]), "sends what nobody can read")
        case .established(let who):
          try expect(isLast && established == nil, "goes on after it was established")
          established = who
          try check(who)
        case .refuse(let refusal), .fail(let refusal):
          try expect(isLast, "goes on after the end")
          isOver = true
          try WireChecks.check(refusal)
        }
      }
    }

    private func readable(_ type: UInt8, _ body: ArraySlice<UInt8>) -> Bool {
      switch HandshakeFrame(rawValue: type) {
      case .hello: (try? withBytes(of: body) { (raw) throws(Refusal) in try Hello.decode(raw) }) != nil
      case .proof: body.count == Signature.byteCount
      case .welcome: (try? withBytes(of: body) { (raw) throws(CodecError) in try Welcome(body: raw) }) != nil
      case .refusal, nil: false
      }
    }

    /// Only a client is taken at its word.
    private func check(_ who: Handshake.Established) throws(Finding) {
      try expect(who.isInitiator == (party != .responder), "mistakes who began")
      try expect(who.isInitiator == (who.welcome != nil), "the welcome is not where it belongs")
      switch who.peer {
      case .member(let key, _, _):
        try expect(sawProof, "a member without a proof: \(who)")
        switch party {
        case .member, .responder:
          try expect(key == WireChecks.peerKey, "another member: \(who)")
        case .client, .clientOfAnyCluster: break
        }
      case .client(let account, let name):
        try expect(party == .responder && account != 13, "a client where none may be: \(who)")
        try expect(name.utf8.count <= Limits.nameBytesMax, "a client's name is too long")
      }
      if party != .clientOfAnyCluster { try expect(who.clusterID == WireChecks.clusterID, "another cluster") }
    }
  }
}
