import EventLog
import Primitives

/// A rumour about a member.
///
/// `refutations` is SWIM's incarnation number: how often the subject has refuted, as the speaker knows. Only the
/// subject raises it; it has nothing to do with an origin's incarnation.
public enum DetectorUpdate: Hashable, Sendable {
  /// "`accuser` cannot reach `subject`, neither itself nor through others."
  case suspect(OriginIndex, refutations: UInt32, accuser: OriginIndex)
  /// "I am alive", said by `subject` of itself and passed on.
  case refute(OriginIndex, refutations: UInt32)

  public var subject: OriginIndex {
    switch self {
    case .suspect(let subject, _, _): subject
    case .refute(let subject, _): subject
    }
  }
}

/// What failure detectors say to each other. Any message is also evidence that its sender lives.
///
/// ```
/// 0x18 ping          view varint, sequence varint, updates
/// 0x19 ping-request  view varint, sequence varint, subject varint, updates
/// 0x1a ack           view varint, sequence varint, subject varint, heard u8, [age in ms varint], updates
/// 0x1b rumours       view varint, updates (one at least)
/// updates            count varint (8 at most), then each: 1 u8, subject varint, refutations varint, accuser varint
///                                                     or  2 u8, subject varint, refutations varint
/// ```
public struct DetectorMessage: Hashable, Sendable {
  public enum Kind: Hashable, Sendable {
    /// "Answer me."
    case ping(sequence: UInt64)
    /// "Find out for me whether `subject` lives."
    case pingRequest(sequence: UInt64, subject: OriginIndex)
    /// "`subject` was heard this long ago"; nil for "I live, but do not hear it either" (Lifeguard's nack).
    case ack(sequence: UInt64, subject: OriginIndex, ageMilliseconds: UInt64?)
    /// Nothing but updates.
    case rumours
  }

  public enum FrameType {
    public static let ping: UInt8 = 0x18
    public static let pingRequest: UInt8 = 0x19
    public static let ack: UInt8 = 0x1a
    public static let rumours: UInt8 = 0x1b
    public static let all = ping...rumours
  }

  /// The sender's view. Updates count only in the same one.
  public var view: UInt64
  public var kind: Kind
  /// `DetectorLimits.updatesPerMessageMax` at most.
  public var updates: [DetectorUpdate]

  public init(view: UInt64, kind: Kind, updates: [DetectorUpdate] = []) {
    precondition(updates.count <= DetectorLimits.updatesPerMessageMax)
    self.view = view
    self.kind = kind
    self.updates = updates
  }

  public var frameType: UInt8 {
    switch kind {
    case .ping: FrameType.ping
    case .pingRequest: FrameType.pingRequest
    case .ack: FrameType.ack
    case .rumours: FrameType.rumours
    }
  }

  /// Everything after the frame type.
  public var body: [UInt8] {
    var writer = ByteWriter(reserving: 64)
    writer.writeVarint(view)
    switch kind {
    case .ping(let sequence): writer.writeVarint(sequence)
    case .pingRequest(let sequence, let subject):
      writer.writeVarint(sequence)
      writer.writeVarint(UInt64(subject.value))
    case .ack(let sequence, let subject, let age):
      writer.writeVarint(sequence)
      writer.writeVarint(UInt64(subject.value))
      writer.write(age == nil ? 0 : 1)
      if let age { writer.writeVarint(age) }
    case .rumours: break
    }
    writer.writeVarint(UInt64(updates.count))
    for update in updates { update.write(to: &writer) }
    return writer.bytes
  }

  /// - Throws: `CodecError`; `.unknown` for a frame type or an update of a later version.
  public init(frameType: UInt8, body: UnsafeRawBufferPointer) throws(CodecError) {
    var reader = ByteReader(body)
    view = try reader.readVarint("view")
    switch frameType {
    case FrameType.ping: kind = .ping(sequence: try reader.readVarint("sequence"))
    case FrameType.pingRequest:
      kind = .pingRequest(sequence: try reader.readVarint("sequence"), subject: try reader.readSubject())
    case FrameType.ack:
      let sequence = try reader.readVarint("sequence")
      let subject = try reader.readSubject()
      switch try reader.readByte("heard") {
      case 0: kind = .ack(sequence: sequence, subject: subject, ageMilliseconds: nil)
      case 1:
        let age = try reader.readVarint("age", max: DetectorLimits.ageMillisecondsMax)
        kind = .ack(sequence: sequence, subject: subject, ageMilliseconds: age)
      default: throw .invalid(field: "heard")
      }
    case FrameType.rumours: kind = .rumours
    default: throw .unknown(field: "frame type", value: UInt64(frameType))
    }
    let count = try reader.readVarint("update count", max: UInt64(DetectorLimits.updatesPerMessageMax))
    if count == 0, kind == .rumours { throw .invalid(field: "update count") }
    updates = []
    for _ in 0..<count { updates.append(try DetectorUpdate(from: &reader)) }
    try reader.expectEnd()
  }
}

extension ByteReader {
  fileprivate mutating func readSubject() throws(CodecError) -> OriginIndex {
    OriginIndex(UInt32(try readVarint("subject", max: UInt64(Limits.originsMax - 1))))
  }

  fileprivate mutating func readRefutations(max limit: UInt32) throws(CodecError) -> UInt32 {
    UInt32(try readVarint("refutations", max: UInt64(limit)))
  }
}

extension DetectorUpdate {
  fileprivate func write(to writer: inout ByteWriter) {
    switch self {
    case .suspect(let subject, let refutations, let accuser):
      writer.write(1)
      writer.writeVarint(UInt64(subject.value))
      writer.writeVarint(UInt64(refutations))
      writer.writeVarint(UInt64(accuser.value))
    case .refute(let subject, let refutations):
      writer.write(2)
      writer.writeVarint(UInt64(subject.value))
      writer.writeVarint(UInt64(refutations))
    }
  }

  fileprivate init(from reader: inout ByteReader) throws(CodecError) {
    let kind = try reader.readByte("update")
    switch kind {
    case 1:
      let subject = try reader.readSubject()
      // One that its subject could not outdo is not to be had.
      let refutations = try reader.readRefutations(max: DetectorLimits.refutationsMax - 1)
      let accuser = OriginIndex(UInt32(try reader.readVarint("accuser", max: UInt64(Limits.originsMax - 1))))
      guard accuser != subject else { throw .invalid(field: "accuser") }
      self = .suspect(subject, refutations: refutations, accuser: accuser)
    case 2:
      let subject = try reader.readSubject()
      self = .refute(subject, refutations: try reader.readRefutations(max: DetectorLimits.refutationsMax))
    default: throw .unknown(field: "update", value: UInt64(kind))
    }
  }
}
