import EventLog
import Primitives

/// Who sends or receives a message of the view change: an origin that was admitted once, or a node by its key.
public enum ViewPeer: Hashable, Sendable {
  case origin(OriginIndex)
  case node(PublicKey)
}

/// What members and joiners tell each other to get from one view to the next. The raw frame types are part of the
/// protocol.
///
/// ```
/// 0x20 prepare   view, ballot, fenced u8, [lease ballot]
/// 0x21 promise   view, ballot, ack count, head…, ceiling, checkpoint count, (number, hash 32)…, accepted u8,
///                [ballot, value]
/// 0x22 nack      view, ballot, promised ballot, fenced u8, [lease ballot]
/// 0x23 accept    view, ballot, value
/// 0x24 accepted  view, ballot, value hash 32, vote 64
/// 0x25 decided   decision
/// 0x26 ask       view
/// 0x27 lease     view, lease ballot
/// 0x28 grant     view, lease ballot, vote 64
/// 0x29 denied    view, lease ballot, highest lease ballot, µs left of what stands in the way
/// 0x2a release   view, lease ballot
/// 0x2b join      view, lease ballot, name, token u64, certificate
/// ```
/// Numbers are varints; a ballot is round and rank, a lease ballot round and node id (32 bytes).
/// Source: DESIGN 7.
public enum ViewMessage: Hashable, Sendable {
  case prepare(view: UInt64, Ballot, fence: LeaseBallot?)
  case promise(view: UInt64, Ballot, ViewFacts, accepted: Accepted?)
  /// "I have promised a higher ballot", or "the joiner for whom this is has lost its lease".
  case nack(view: UInt64, Ballot, promised: Ballot, fence: LeaseBallot?)
  case accept(view: UInt64, Ballot, ViewValue)
  case accepted(view: UInt64, Ballot, valueHash: Hash256, vote: Signature)
  case decided(Decision)
  /// "I am in this view; if there is a later one, show me."
  case ask(view: UInt64)
  case lease(view: UInt64, LeaseBallot)
  case grant(view: UInt64, LeaseBallot, vote: Signature)
  /// "My vote is out, or was", and for how long it is lent yet: microseconds, at most a lease; 0 if that is not why.
  case denied(view: UInt64, LeaseBallot, highest: LeaseBallot, leftMicroseconds: UInt64)
  case release(view: UInt64, LeaseBallot)
  case join(view: UInt64, LeaseBallot, name: String, token: StoreToken, Certificate)

  public struct Accepted: Hashable, Sendable {
    public let ballot: Ballot
    public let value: ViewValue
    public init(ballot: Ballot, value: ViewValue) {
      self.ballot = ballot
      self.value = value
    }
  }

  public enum FrameType {
    public static let prepare: UInt8 = 0x20
    public static let promise: UInt8 = 0x21
    public static let nack: UInt8 = 0x22
    public static let accept: UInt8 = 0x23
    public static let accepted: UInt8 = 0x24
    public static let decided: UInt8 = 0x25
    public static let ask: UInt8 = 0x26
    public static let lease: UInt8 = 0x27
    public static let grant: UInt8 = 0x28
    public static let denied: UInt8 = 0x29
    public static let release: UInt8 = 0x2A
    public static let join: UInt8 = 0x2B
    public static let all = prepare...join
  }

  public var frameType: UInt8 {
    switch self {
    case .prepare: FrameType.prepare
    case .promise: FrameType.promise
    case .nack: FrameType.nack
    case .accept: FrameType.accept
    case .accepted: FrameType.accepted
    case .decided: FrameType.decided
    case .ask: FrameType.ask
    case .lease: FrameType.lease
    case .grant: FrameType.grant
    case .denied: FrameType.denied
    case .release: FrameType.release
    case .join: FrameType.join
    }
  }

  /// The view that is being changed; of a decision, the one before it.
  public var view: UInt64 {
    switch self {
    case .prepare(let view, _, _), .promise(let view, _, _, _), .nack(let view, _, _, _), .accept(let view, _, _),
      .accepted(let view, _, _, _), .ask(let view), .lease(let view, _), .grant(let view, _, _),
      .denied(let view, _, _, _), .release(let view, _), .join(let view, _, _, _, _):
      view
    case .decided(let decision): decision.number == 0 ? 0 : decision.number - 1
    }
  }

  func write(to writer: inout ByteWriter) {
    if case .decided(let decision) = self { return decision.write(to: &writer) }
    writer.writeVarint(view)
    switch self {
    case .decided, .ask: break
    case .prepare(_, let ballot, let fence):
      writer.write(ballot)
      writer.write(fence)
    case .promise(_, let ballot, let facts, let accepted):
      writer.write(ballot)
      facts.write(to: &writer)
      writer.write(accepted == nil ? 0 : 1)
      if let accepted {
        writer.write(accepted.ballot)
        accepted.value.write(to: &writer)
      }
    case .nack(_, let ballot, let promised, let fence):
      writer.write(ballot)
      writer.write(promised)
      writer.write(fence)
    case .accept(_, let ballot, let value):
      writer.write(ballot)
      value.write(to: &writer)
    case .accepted(_, let ballot, let hash, let vote):
      writer.write(ballot)
      writer.write(hash)
      writer.write(vote.bytes)
    case .lease(_, let ballot), .release(_, let ballot): writer.write(ballot)
    case .grant(_, let ballot, let vote):
      writer.write(ballot)
      writer.write(vote.bytes)
    case .denied(_, let ballot, let highest, let left):
      writer.write(ballot)
      writer.write(highest)
      writer.writeVarint(left)
    case .join(_, let ballot, let name, let token, let certificate):
      writer.write(ballot)
      writer.writePrefixed(Array(name.utf8))
      writer.writeFixed(token.value)
      certificate.write(to: &writer)
    }
  }

  init(frameType: UInt8, from reader: inout ByteReader) throws(CodecError) {
    guard FrameType.all.contains(frameType) else {
      throw .unknown(field: "frame type", value: UInt64(frameType))
    }
    if frameType == FrameType.decided {
      self = .decided(try Decision(from: &reader))
      return
    }
    let view = try reader.readViewNumber()
    switch frameType {
    case FrameType.prepare: self = .prepare(view: view, try reader.readBallot(), fence: try reader.readFence())
    case FrameType.promise:
      let ballot = try reader.readBallot()
      let facts = try ViewFacts(from: &reader)
      let has = try reader.readFlag("has accepted")
      let accepted = has ? Accepted(ballot: try reader.readBallot(), value: try ViewValue(from: &reader)) : nil
      self = .promise(view: view, ballot, facts, accepted: accepted)
    case FrameType.nack:
      self = .nack(
        view: view, try reader.readBallot(), promised: try reader.readBallot(), fence: try reader.readFence())
    case FrameType.accept: self = .accept(view: view, try reader.readBallot(), try ViewValue(from: &reader))
    case FrameType.accepted:
      self = .accepted(
        view: view, try reader.readBallot(), valueHash: try reader.readHash("value hash"),
        vote: try reader.readSignature())
    case FrameType.ask: self = .ask(view: view)
    case FrameType.lease: self = .lease(view: view, try reader.readLeaseBallot())
    case FrameType.grant:
      self = .grant(view: view, try reader.readLeaseBallot(), vote: try reader.readSignature())
    case FrameType.denied:
      self = .denied(
        view: view, try reader.readLeaseBallot(), highest: try reader.readLeaseBallot(),
        leftMicroseconds: try reader.readVarint("left of a lease", max: ViewLimits.leaseMicroseconds))
    case FrameType.release: self = .release(view: view, try reader.readLeaseBallot())
    default:
      self = .join(
        view: view, try reader.readLeaseBallot(), name: try reader.readName(),
        token: StoreToken(try reader.readFixed("join token")), try Certificate(from: &reader))
    }
  }
}

/// A message with its sender and signature, as it travels.
///
/// ```
/// sender kind u8 (0 origin varint, 1 public key 32), signature 64, message
/// ```
public struct SignedViewMessage: Hashable, Sendable {
  public let sender: ViewPeer
  public let message: ViewMessage
  public let signature: Signature

  /// Signs one's own message.
  public init(sender: ViewPeer, _ message: ViewMessage, cluster: Hash256, signatures: any Signatures) {
    self.sender = sender
    self.message = message
    signature = signatures.sign(Self.signedBytes(sender: sender, message, cluster: cluster))
  }

  /// `"rialto.view-message.1" ‖ cluster id ‖ frame type u8 ‖ view u64 ‖ sender ‖ message`.
  private static func signedBytes(sender: ViewPeer, _ message: ViewMessage, cluster: Hash256) -> [UInt8] {
    var writer = ByteWriter(reserving: 256)
    writer.write(Array("rialto.view-message.1".utf8))
    writer.write(cluster)
    writer.write(message.frameType)
    writer.writeFixed(message.view)
    writer.write(sender)
    message.write(to: &writer)
    return writer.bytes
  }

  func isValid(cluster: Hash256, key: PublicKey, signatures: any Signatures) -> Bool {
    signatures.isValid(signature, of: Self.signedBytes(sender: sender, message, cluster: cluster), by: key)
  }

  public var frameType: UInt8 { message.frameType }

  /// Everything after the frame type.
  public var body: [UInt8] {
    var writer = ByteWriter(reserving: 256)
    writer.write(sender)
    writer.write(signature.bytes)
    message.write(to: &writer)
    return writer.bytes
  }

  /// - Throws: `CodecError`; `.unknown` for a frame type of a later version.
  public init(frameType: UInt8, body: UnsafeRawBufferPointer) throws(CodecError) {
    var reader = ByteReader(body)
    sender =
      try reader.readFlag("sender kind") ? .node(try reader.readPublicKey()) : .origin(try reader.readViewOrigin())
    signature = try reader.readSignature()
    message = try ViewMessage(frameType: frameType, from: &reader)
    try reader.expectEnd()
  }
}

extension ViewFacts {
  func write(to writer: inout ByteWriter) {
    writer.writeVarint(UInt64(acks.count))
    for head in acks { writer.write(head) }
    writer.writeVarint(ceiling.value)
    writer.writeVarint(UInt64(checkpoints.count))
    for checkpoint in checkpoints { writer.write(checkpoint) }
  }

  init(from reader: inout ByteReader) throws(CodecError) {
    acks = []
    for _ in 0..<(try reader.readViewCount("promise acks", max: ViewLimits.originsMax)) {
      acks.append(try reader.readViewHead())
    }
    ceiling = Stamp(try reader.readVarint("ceiling"))
    checkpoints = []
    for _ in 0..<(try reader.readViewCount("checkpoints", max: ViewLimits.checkpointsMax)) {
      checkpoints.append(try reader.readCheckpoint())
    }
  }
}

extension ByteWriter {
  mutating func write(_ ballot: LeaseBallot) {
    writeVarint(ballot.round)
    write(ballot.node.hash)
  }

  mutating func write(_ fence: LeaseBallot?) {
    write(fence == nil ? UInt8(0) : 1)
    if let fence { write(fence) }
  }

  mutating func write(_ peer: ViewPeer) {
    switch peer {
    case .origin(let origin):
      write(UInt8(0))
      writeVarint(UInt64(origin.value))
    case .node(let key):
      write(UInt8(1))
      write(key.bytes)
    }
  }
}

extension ByteReader {
  mutating func readLeaseBallot() throws(CodecError) -> LeaseBallot {
    LeaseBallot(
      round: try readVarint("lease round", max: ViewLimits.numberMax), node: NodeID(try readHash("lease node")))
  }

  mutating func readFence() throws(CodecError) -> LeaseBallot? {
    try readFlag("has fence") ? try readLeaseBallot() : nil
  }
}
