import EventLog
import Membership
import Primitives

/// "No entry of mine after `head` has a stamp at or below `promise`."
public struct Beat: Hashable, Sendable {
  public var promise: Stamp
  /// End of a batch of the promising origin.
  public var head: Head
  public init(promise: Stamp, head: Head) {
    self.promise = promise
    self.head = head
  }
}

/// "I hold `head.sequence` entries of `origin` on my disk."
public struct Ack: Hashable, Sendable {
  public var origin: OriginIndex
  public var head: Head
  public init(origin: OriginIndex, head: Head) {
    self.origin = origin
    self.head = head
  }
}

/// What a member tells every other on each commit, and from time to time: its promise, and what changed of its acks.
///
/// Without promise and acks it only says that the speaker is there, and in which view.
public struct Heartbeat: Hashable, Sendable {
  public var view: UInt64
  /// The member that speaks; nil for a node that only follows.
  public var speaker: OriginIndex?
  public var beat: Beat?
  public var acks: [Ack]
  /// The speaker's own clock as it is, not as others correct it; 0 if it does not say.
  ///
  /// Not its promise: promises follow the stamps that others give, so a fast clock would hear itself in them.
  public var wallMilliseconds: UInt64
  /// Members that the speaker does not hear: whoever is told so passes on their word.
  public var unheard: [OriginIndex]
  /// Somebody does not hear the one who is spoken to: it signs its word.
  public var wantsWord: Bool
  public init(
    view: UInt64, speaker: OriginIndex?, beat: Beat?, acks: [Ack], wallMilliseconds: UInt64 = 0,
    unheard: [OriginIndex] = [], wantsWord: Bool = false
  ) {
    self.view = view
    self.speaker = speaker
    self.beat = beat
    self.acks = acks
    self.wallMilliseconds = wallMilliseconds
    self.unheard = unheard
    self.wantsWord = wantsWord
  }
}

/// Summary of a replica's state at one instant, exchanged each round.
public struct Digest: Hashable, Sendable {
  public var view: UInt64
  public var finalStamp: Stamp
  /// Newest checkpoint; 0 and zero where there is none.
  public var checkpointNumber: UInt64
  public var checkpointHash: Hash256
  /// Hash of the vector of applied entries.
  public var appliedHash: Hash256
  /// Of the book at that vector, if it is known already.
  public var bookHash: Hash256?
  /// True in the answer to a digest; it is not answered again.
  public var isAnswer: Bool
  public init(
    view: UInt64, finalStamp: Stamp, checkpointNumber: UInt64 = 0, checkpointHash: Hash256 = .zero,
    appliedHash: Hash256, bookHash: Hash256?, isAnswer: Bool
  ) {
    self.view = view
    self.finalStamp = finalStamp
    self.checkpointNumber = checkpointNumber
    self.checkpointHash = checkpointHash
    self.appliedHash = appliedHash
    self.bookHash = bookHash
    self.isAnswer = isAnswer
  }
}

/// A range of one origin's log.
public struct LogRange: Hashable, Sendable {
  public var origin: OriginIndex
  public var from: UInt64
  public var through: UInt64
  public init(origin: OriginIndex, from: UInt64, through: UInt64) {
    self.origin = origin
    self.from = from
    self.through = through
  }
}

/// What members send each other once the handshake is done. The raw frame types are part of the protocol.
///
/// ```
/// 0x10 batch      sealed batch
/// 0x11 heartbeat  view varint, flags u8 (1 speaker, 2 beat, 4 clock, 8 unheard, 16 wants a word), [speaker varint],
///                 [promise varint, sequence varint, hash 32], [clock varint], [count varint, origin varint…],
///                 count varint, (origin varint, sequence varint, hash 32)…
/// 0x12 announce   count varint, (origin varint, from varint, through varint)…
/// 0x13 request    origin varint, from varint, through varint
/// 0x14 digest     view varint, final varint, checkpoint varint, checkpoint hash 32, applied hash 32, flags u8
///                 (1 book hash, 2 answer), [book hash 32]
/// 0x15 vector     version vector of what is held
/// 0x16 addresses  count varint, address records
/// 0x17 served     origin varint, last sequence varint: ends the answer to a request
/// 0x18–0x1b       failure detection, see `DetectorMessage`
/// 0x1c word       a heartbeat with speaker, and its signature 64: passed on to those who do not hear the speaker
/// 0x20–0x2b       view change, see `ViewMessage`
/// 0x30–0x34       snapshots, see `SnapshotMessage`
/// ```
public enum PeerMessage: Hashable, Sendable {
  case batch(SealedBatch)
  case heartbeat(Heartbeat)
  /// "I hold these heads; ask if you lack them."
  case announce([LogRange])
  case request(LogRange)
  case digest(Digest)
  case vector(VersionVector)
  case addresses([AddressRecord])
  case served(origin: OriginIndex, through: UInt64)
  case detector(DetectorMessage)
  case view(SignedViewMessage)
  case word(SignedHeartbeat)
  case snapshot(SnapshotMessage)

  public enum FrameType {
    public static let batch: UInt8 = 0x10
    public static let heartbeat: UInt8 = 0x11
    public static let announce: UInt8 = 0x12
    public static let request: UInt8 = 0x13
    public static let digest: UInt8 = 0x14
    public static let vector: UInt8 = 0x15
    public static let addresses: UInt8 = 0x16
    public static let served: UInt8 = 0x17
    public static let word: UInt8 = 0x1C
  }

  public var frameType: UInt8 {
    switch self {
    case .batch: FrameType.batch
    case .heartbeat: FrameType.heartbeat
    case .announce: FrameType.announce
    case .request: FrameType.request
    case .digest: FrameType.digest
    case .vector: FrameType.vector
    case .addresses: FrameType.addresses
    case .served: FrameType.served
    case .detector(let message): message.frameType
    case .view(let message): message.frameType
    case .word: FrameType.word
    case .snapshot(let message): message.frameType
    }
  }

  /// Everything after the frame type.
  public var body: [UInt8] {
    var writer = ByteWriter(reserving: 128)
    switch self {
    case .batch(let batch): batch.write(to: &writer)
    case .heartbeat(let heartbeat): heartbeat.write(to: &writer)
    case .announce(let heads):
      writer.writeVarint(UInt64(heads.count))
      for head in heads {
        writer.writeVarint(UInt64(head.origin.value))
        writer.writeVarint(head.from)
        writer.writeVarint(head.through)
      }
    case .request(let range):
      writer.writeVarint(UInt64(range.origin.value))
      writer.writeVarint(range.from)
      writer.writeVarint(range.through)
    case .digest(let digest): digest.write(to: &writer)
    case .vector(let vector): vector.write(to: &writer)
    case .addresses(let records):
      writer.writeVarint(UInt64(records.count))
      for record in records { record.write(to: &writer) }
    case .served(let origin, let through):
      writer.writeVarint(UInt64(origin.value))
      writer.writeVarint(through)
    case .detector(let message): return message.body
    case .view(let message): return message.body
    case .word(let word): word.write(to: &writer)
    case .snapshot(let message): return message.body
    }
    return writer.bytes
  }

  /// - Throws: `CodecError`; `.unknown` for a frame type of a later version.
  public init(frameType: UInt8, body: UnsafeRawBufferPointer) throws(CodecError) {
    if DetectorMessage.FrameType.all.contains(frameType) {
      self = .detector(try DetectorMessage(frameType: frameType, body: body))
      return
    }
    if ViewMessage.FrameType.all.contains(frameType) {
      self = .view(try SignedViewMessage(frameType: frameType, body: body))
      return
    }
    if SnapshotMessage.FrameType.all.contains(frameType) {
      self = .snapshot(try SnapshotMessage(frameType: frameType, body: body))
      return
    }
    var reader = ByteReader(body)
    switch frameType {
    case FrameType.batch: self = .batch(try SealedBatch(from: &reader))
    case FrameType.heartbeat: self = .heartbeat(try Heartbeat(from: &reader))
    case FrameType.announce:
      var heads: [LogRange] = []
      for _ in 0..<(try reader.readCount("announce count")) { heads.append(try reader.readRange()) }
      self = .announce(heads)
    case FrameType.request: self = .request(try reader.readRange())
    case FrameType.digest: self = .digest(try Digest(from: &reader))
    case FrameType.vector: self = .vector(try VersionVector(from: &reader))
    case FrameType.addresses:
      var records: [AddressRecord] = []
      for _ in 0..<(try reader.readCount("address count")) { records.append(try AddressRecord(from: &reader)) }
      self = .addresses(records)
    case FrameType.served:
      self = .served(origin: try reader.readOrigin(), through: try reader.readVarint("served"))
    case FrameType.word: self = .word(try SignedHeartbeat(from: &reader))
    default: throw .unknown(field: "frame type", value: UInt64(frameType))
    }
    try reader.expectEnd()
  }
}

extension ByteReader {
  mutating func readOrigin() throws(CodecError) -> OriginIndex {
    OriginIndex(UInt32(try readVarint("origin", max: UInt64(Limits.originsMax - 1))))
  }

  mutating func readHead() throws(CodecError) -> Head {
    Head(sequence: try readVarint("head sequence"), hash: try readHash("head hash"))
  }

  mutating func readRange() throws(CodecError) -> LogRange {
    let range = LogRange(
      origin: try readOrigin(), from: try readVarint("range start"), through: try readVarint("range end"))
    guard range.from > 0, range.from <= range.through, range.through <= UInt64.max >> 1 else {
      throw .invalid(field: "range")
    }
    return range
  }

  /// A count of things that take at least a byte each.
  mutating func readCount(_ field: StaticName) throws(CodecError) -> Int {
    let count = try readVarint(field, max: UInt64(Limits.originsMax))
    guard count <= UInt64(remaining) else { throw .truncated(field: field) }
    return Int(count)
  }
}

extension Heartbeat {
  /// What a stamp can hold.
  static let wallMillisecondsMax: UInt64 = (1 << 48) - 1

  func write(to writer: inout ByteWriter) {
    writer.writeVarint(view)
    writer.write(
      (speaker == nil ? 0 : 1) | (beat == nil ? 0 : 2) | (wallMilliseconds == 0 ? 0 : 4) | (unheard.isEmpty ? 0 : 8)
        | (wantsWord ? 16 : 0))
    if let speaker { writer.writeVarint(UInt64(speaker.value)) }
    if let beat {
      writer.writeVarint(beat.promise.value)
      writer.writeVarint(beat.head.sequence)
      writer.write(beat.head.hash)
    }
    if wallMilliseconds != 0 { writer.writeVarint(wallMilliseconds) }
    if !unheard.isEmpty {
      writer.writeVarint(UInt64(unheard.count))
      for origin in unheard { writer.writeVarint(UInt64(origin.value)) }
    }
    writer.writeVarint(UInt64(acks.count))
    for ack in acks {
      writer.writeVarint(UInt64(ack.origin.value))
      writer.writeVarint(ack.head.sequence)
      writer.write(ack.head.hash)
    }
  }

  init(from reader: inout ByteReader) throws(CodecError) {
    view = try reader.readVarint("view")
    let flags = try reader.readByte("heartbeat flags")
    guard flags < 32 else { throw .invalid(field: "heartbeat flags") }
    speaker = flags & 1 != 0 ? try reader.readOrigin() : nil
    beat =
      flags & 2 != 0 ? Beat(promise: Stamp(try reader.readVarint("promise")), head: try reader.readHead()) : nil
    wallMilliseconds = flags & 4 != 0 ? try reader.readVarint("clock", max: Self.wallMillisecondsMax) : 0
    unheard = []
    if flags & 8 != 0 {
      for _ in 0..<(try reader.readVarint("unheard count", max: UInt64(Limits.membersMax))) {
        unheard.append(try reader.readOrigin())
      }
    }
    // One way to write each.
    guard flags & 4 == 0 || wallMilliseconds != 0, flags & 8 == 0 || !unheard.isEmpty else {
      throw .invalid(field: "heartbeat flags")
    }
    wantsWord = flags & 16 != 0
    acks = []
    for _ in 0..<(try reader.readCount("ack count")) {
      acks.append(Ack(origin: try reader.readOrigin(), head: try reader.readHead()))
    }
  }
}

extension Digest {
  func write(to writer: inout ByteWriter) {
    writer.writeVarint(view)
    writer.writeVarint(finalStamp.value)
    writer.writeVarint(checkpointNumber)
    writer.write(checkpointHash)
    writer.write(appliedHash)
    writer.write((bookHash == nil ? 0 : 1) | (isAnswer ? 2 : 0))
    if let bookHash { writer.write(bookHash) }
  }

  init(from reader: inout ByteReader) throws(CodecError) {
    view = try reader.readVarint("view")
    finalStamp = Stamp(try reader.readVarint("final stamp"))
    checkpointNumber = try reader.readVarint("checkpoint")
    checkpointHash = try reader.readHash("checkpoint hash")
    appliedHash = try reader.readHash("applied hash")
    let flags = try reader.readByte("digest flags")
    guard flags < 4 else { throw .invalid(field: "digest flags") }
    bookHash = flags & 1 != 0 ? try reader.readHash("book hash") : nil
    isAnswer = flags & 2 != 0
  }
}
