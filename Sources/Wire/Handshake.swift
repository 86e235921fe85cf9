import Primitives

/// The first frames of a connection, as a state machine: frames in, actions out.
///
/// ```
/// initiator → hello                              responder → hello, proof
/// a member initiator → proof                     responder → welcome
/// ```
///
/// A client proves nothing, so its welcome follows the responder's proof at once. Either side may end it with a
/// refusal.
///
/// A proof is an Ed25519 signature over
///
/// ```
/// "rialto.handshake.1" ‖ cluster id ‖ verifier's nonce ‖ signer's nonce ‖ signer's public key ‖ verifier's role u8
/// ```
///
/// That binds the connection to a node id at its start: nobody can pass for a member without its key, nor replay an old
/// proof, since the verifier's nonce is fresh. Nor can a proof that a node gave as responder serve an impostor as
/// initiator elsewhere: each of the impostor's two hellos would have to hold the nonce that only the answer to the
/// other one tells.
///
/// It is not TLS. Who can read the wire reads everything; who can write on it (a relay between the two) may let the
/// proofs pass and then alter or add frames, boot number and listen address included; clients name an account and
/// nobody checks it. Good enough on loopback or a trusted network.
public struct Handshake: Sendable {
  /// What the shell has to do, in order.
  public enum Action: Equatable, Sendable {
    case send(type: UInt8, body: [UInt8])
    /// The handshake is over; frames that follow are not its concern. Raise the frame limit to the role's.
    case established(Established)
    /// Send it as frame `0x04`, then close.
    case refuse(Refusal)
    /// The other side has refused us; close.
    case fail(Refusal)
  }

  /// What both sides have agreed upon.
  public struct Established: Equatable, Sendable {
    public enum Peer: Equatable, Sendable {
      /// A node of the cluster, a member of its present view or not.
      case member(publicKey: PublicKey, boot: UInt64, listenAddress: String)
      case client(account: UInt64, name: String)
    }
    public var peer: Peer
    public var clusterID: Hash256
    public var isInitiator: Bool
    /// What the responder said of itself; nil at the responder.
    public var welcome: Welcome?

    public init(peer: Peer, clusterID: Hash256, isInitiator: Bool, welcome: Welcome?) {
      self.peer = peer
      self.clusterID = clusterID
      self.isInitiator = isInitiator
      self.welcome = welcome
    }

    /// What the other side is.
    public var role: PeerRole {
      switch peer {
      case .member: .member
      case .client: .client
      }
    }

    public var publicKey: PublicKey? {
      if case .member(let key, _, _) = peer { key } else { nil }
    }
  }

  enum State: Equatable {
    /// Nothing was sent. Can transition to: `initiatorAwaitsHello`, `responderAwaitsHello`.
    case idle
    /// Can transition to: `initiatorAwaitsProof`, `closed`.
    case initiatorAwaitsHello
    /// Can transition to: `initiatorAwaitsWelcome`, `closed`.
    case initiatorAwaitsProof(peer: Hello)
    /// Can transition to: `established`, `closed`.
    case initiatorAwaitsWelcome(peer: Hello)
    /// Can transition to: `responderAwaitsProof` (a member), `established` (a client), `closed`.
    case responderAwaitsHello
    /// Can transition to: `established`, `closed`.
    case responderAwaitsProof(peer: Hello)
    /// Can transition to: `closed`.
    case established
    /// Refused, by either side; frames are ignored.
    case closed
  }

  private(set) var state = State.idle
  private let own: Hello
  private let signatures: any Signatures
  private let admits: @Sendable (PublicKey) -> Bool
  /// Nil at an initiator.
  private let responder: Responder?

  private struct Responder: Sendable {
    let welcome: Welcome
    let admission: @Sendable (Hello) -> Refusal?
  }

  private init(
    own: Hello, signatures: any Signatures, admits: @escaping @Sendable (PublicKey) -> Bool,
    responder: Responder?
  ) {
    self.own = own
    self.signatures = signatures
    self.admits = admits
    self.responder = responder
  }
}

// MARK: - The three parties

extension Handshake {
  /// A node that connects to another.
  /// - Parameters:
  ///   - boot: random per process start.
  ///   - listenAddress: where this node is reached; nil if nowhere.
  ///   - nonce: 32 fresh random bytes.
  ///   - signatures: the node's key.
  ///   - admits: whether a node with this key may be linked to.
  public static func member(
    clusterID: Hash256, boot: UInt64, listenAddress: Address?, nonce: [UInt8], signatures: any Signatures,
    admits: @escaping @Sendable (PublicKey) -> Bool
  ) -> Handshake {
    let sender = Hello.Sender.member(
      publicKey: signatures.publicKey, boot: boot, listenAddress: listenAddress?.description ?? "")
    let own = Hello(clusterID: clusterID, nonce: nonce, sender: sender)
    return Handshake(own: own, signatures: signatures, admits: admits, responder: nil)
  }

  /// A client that connects to a node. It checks that the node holds the key it shows, not whether that is a member's.
  /// - Parameters:
  ///   - clusterID: nil takes any cluster.
  ///   - account: in whose name it trades.
  ///   - name: cut to `Limits.nameBytesMax` bytes.
  ///   - nonce: 32 fresh random bytes.
  ///   - signatures: used to check, never to sign; any key will do.
  public static func client(
    clusterID: Hash256?, account: UInt64, name: String, nonce: [UInt8], signatures: any Signatures
  ) -> Handshake {
    let sender = Hello.Sender.client(account: account, name: name.clipped(utf8Max: Limits.nameBytesMax))
    let own = Hello(clusterID: clusterID ?? .zero, nonce: nonce, sender: sender)
    return Handshake(own: own, signatures: signatures, admits: { _ in true }, responder: nil)
  }

  /// A node that was connected to, by a member or a client.
  /// - Parameters:
  ///   - welcome: what it says of itself.
  ///   - admits: whether a node with this key may be linked to.
  ///   - admission: the last word, asked once, after the proof and before the welcome: `busy`, `duplicate`, `notReady`,
  ///     or nil to let it in.
  public static func responder(
    clusterID: Hash256, boot: UInt64, listenAddress: Address?, welcome: Welcome, nonce: [UInt8],
    signatures: any Signatures, admits: @escaping @Sendable (PublicKey) -> Bool,
    admission: @escaping @Sendable (Hello) -> Refusal? = { _ in nil }
  ) -> Handshake {
    let sender = Hello.Sender.member(
      publicKey: signatures.publicKey, boot: boot, listenAddress: listenAddress?.description ?? "")
    let own = Hello(clusterID: clusterID, nonce: nonce, sender: sender)
    return Handshake(
      own: own, signatures: signatures, admits: admits,
      responder: Responder(welcome: welcome, admission: admission))
  }
}

// MARK: - Inputs

extension Handshake {
  /// Begins, once the connection stands.
  /// - Precondition: called once.
  public mutating func start() -> [Action] {
    precondition(state == .idle, "a handshake starts once")
    guard responder == nil else {
      state = .responderAwaitsHello
      return []
    }
    state = .initiatorAwaitsHello
    return [.send(type: HandshakeFrame.hello.rawValue, body: own.body)]
  }

  /// Takes one frame.
  /// - Precondition: `start` was called.
  /// - Returns: what to do; nothing after the end of a handshake that failed.
  public mutating func receive(type: UInt8, body: UnsafeRawBufferPointer) -> [Action] {
    precondition(state != .idle, "a handshake starts before it receives")
    if state == .closed { return [] }
    guard let frame = HandshakeFrame(rawValue: type) else {
      return refuse(.malformed, "frame type \(type) came before the handshake was over")
    }
    if frame == .refusal, state != .established {
      state = .closed
      do throws(CodecError) {
        return [.fail(try Refusal(body: body))]
      } catch {
        return [.fail(Refusal(.malformed, "the other side refused without a readable reason"))]
      }
    }
    switch (state, frame) {
    case (.initiatorAwaitsHello, .hello), (.responderAwaitsHello, .hello):
      return receiveHello(body)
    case (.initiatorAwaitsProof(let peer), .proof), (.responderAwaitsProof(let peer), .proof):
      return receiveProof(body, of: peer)
    case (.initiatorAwaitsWelcome(let peer), .welcome):
      return receiveWelcome(body, from: peer)
    case (.idle, _), (.closed, _), (.established, _), (.initiatorAwaitsHello, _), (.initiatorAwaitsProof, _),
      (.initiatorAwaitsWelcome, _), (.responderAwaitsHello, _), (.responderAwaitsProof, _):
      return refuse(.malformed, "a \(frame) came out of order")
    }
  }

  private mutating func receiveHello(_ body: UnsafeRawBufferPointer) -> [Action] {
    let peer: Hello
    do throws(Refusal) {
      peer = try Hello.decode(body)
      try check(peer)
    } catch {
      return refuse(error)
    }
    guard let responder else {
      state = .initiatorAwaitsProof(peer: peer)
      return []
    }
    let greeting: [Action] = [.send(type: HandshakeFrame.hello.rawValue, body: own.body), proof(for: peer)]
    switch peer.sender {
    case .member:
      state = .responderAwaitsProof(peer: peer)
      return greeting
    case .client(let account, let name):
      return greeting + admit(peer, as: .client(account: account, name: name), by: responder)
    }
  }

  /// What both sides ask of the other's hello before anything is signed.
  private func check(_ peer: Hello) throws(Refusal) {
    let takesAny = peer.sender.role == .client && peer.clusterID == .zero || acceptsAnyCluster
    guard takesAny || peer.clusterID == own.clusterID else {
      let (mine, other) = (own.clusterID.prefix(8), peer.clusterID.prefix(8))
      throw Refusal(.cluster, "this side is of cluster \(mine)…, the hello of \(other)…: check cluster id and address")
    }
    guard peer.nonce != own.nonce else { throw Refusal(.badProof, "the hello repeats this side's nonce") }
    guard case .member(let key, _, _) = peer.sender else {
      if responder == nil { throw Refusal(.malformed, "only a node may answer a hello") }
      return
    }
    guard case .member(let ownKey, _, _) = own.sender else { return }
    guard key != ownKey else {
      throw Refusal(.yourself, "the node has connected to itself: take its own address out of its peers")
    }
    guard admits(key) else { throw notAMember(key) }
  }

  /// A client that named no cluster.
  private var acceptsAnyCluster: Bool { responder == nil && own.sender.role == .client && own.clusterID == .zero }

  private func notAMember(_ key: PublicKey) -> Refusal {
    Refusal(.notAMember, "node \(key.nodeID.hash.prefix(8))… is not let in by this node")
  }

  /// The cluster both are in, once the peer's hello is known.
  private func agreedCluster(_ peer: Hello) -> Hash256 { acceptsAnyCluster ? peer.clusterID : own.clusterID }

  private func proof(for peer: Hello) -> Action {
    let message = Proof.message(
      clusterID: agreedCluster(peer), verifierNonce: peer.nonce, signerNonce: own.nonce,
      signerKey: signatures.publicKey, verifierRole: peer.sender.role)
    return .send(type: HandshakeFrame.proof.rawValue, body: signatures.sign(message).bytes)
  }

  private mutating func receiveProof(_ body: UnsafeRawBufferPointer, of peer: Hello) -> [Action] {
    guard let signature = Signature(bytes: [UInt8](body)) else {
      return refuse(.malformed, "a proof has \(Signature.byteCount) bytes, this one has \(body.count)")
    }
    guard case .member(let key, let boot, let address) = peer.sender else {
      return refuse(.malformed, "a client proves nothing")
    }
    let message = Proof.message(
      clusterID: agreedCluster(peer), verifierNonce: own.nonce, signerNonce: peer.nonce, signerKey: key,
      verifierRole: own.sender.role)
    guard signatures.isValid(signature, of: message, by: key) else {
      let node = key.nodeID.hash.prefix(8)
      return refuse(.badProof, "the proof of node \(node)… does not fit its key and this challenge")
    }
    guard let responder else {
      state = .initiatorAwaitsWelcome(peer: peer)
      return own.sender.role == .member ? [proof(for: peer)] : []
    }
    let member = Established.Peer.member(publicKey: key, boot: boot, listenAddress: address)
    return admit(peer, as: member, by: responder)
  }

  private mutating func admit(_ hello: Hello, as peer: Established.Peer, by responder: Responder) -> [Action] {
    if let refusal = responder.admission(hello) { return refuse(refusal) }
    state = .established
    let established = Established(peer: peer, clusterID: own.clusterID, isInitiator: false, welcome: nil)
    return [
      .send(type: HandshakeFrame.welcome.rawValue, body: responder.welcome.body), .established(established),
    ]
  }

  private mutating func receiveWelcome(_ body: UnsafeRawBufferPointer, from peer: Hello) -> [Action] {
    let welcome: Welcome
    do throws(CodecError) {
      welcome = try Welcome(body: body)
    } catch {
      return refuse(.malformed, "the welcome \(error)")
    }
    guard case .member(let key, let boot, let address) = peer.sender else {
      return refuse(.malformed, "only a node may welcome")
    }
    state = .established
    return [
      .established(
        Established(
          peer: .member(publicKey: key, boot: boot, listenAddress: address),
          clusterID: agreedCluster(peer), isInitiator: true, welcome: welcome))
    ]
  }

  private mutating func refuse(_ code: RefusalCode, _ text: String) -> [Action] { refuse(Refusal(code, text)) }

  private mutating func refuse(_ refusal: Refusal) -> [Action] {
    state = .closed
    return [.refuse(refusal)]
  }
}
