import EventLog
import Primitives

/// Every bound of the view change. Times are units of the logical clock that `step` is given.
public enum ViewLimits {
  /// Origins that one cluster may ever admit: a value names all of them and has to fit in a frame.
  public static let originsMax = 4_096
  /// Checkpoints that a promise reports, newest first.
  public static let checkpointsMax = 16
  /// Numbers of views and ballots, far from where arithmetic on them could overflow.
  public static let numberMax: UInt64 = 1 << 31

  /// A wedge that has lasted this long is ended by whoever is in it.
  public static let wedgeMicroseconds: UInt64 = 200_000
  /// Longer, half as long as changes took of late, but at most this.
  public static let wedgeMicrosecondsMax: UInt64 = 2_000_000
  /// Later by this for each rank (the first `ranksStaggeredMax` of them), and by a random part of `wedgeJitter…`.
  public static let wedgeMicrosecondsPerRank: UInt64 = 15_000
  public static let ranksStaggeredMax: UInt64 = 16
  public static let wedgeJitterMicroseconds: UInt64 = 60_000
  /// Each ballot of a member that decided nothing doubles its next wait, at most this often: a flush may take long.
  public static let wedgeDoublingsMax: UInt64 = 4
  /// A proposer that has a majority's promises, but not of those who would be members then, waits this long for more.
  public static let promiseMicroseconds: UInt64 = 120_000
  /// Messages of a ballot that were not answered are sent again after this.
  public static let resendMicroseconds: UInt64 = 40_000

  /// How long a joiner holds the mutex; one that dies with it costs the next no more.
  public static let leaseMicroseconds: UInt64 = 2_000_000
  /// A holder stops using its lease this long before it ends.
  public static let leaseMarginMicroseconds: UInt64 = 100_000
  /// A joiner that has no majority after this gives back what it was granted.
  public static let leaseRequestMicroseconds: UInt64 = 200_000
  /// Longer from one attempt to the next, as answers may be slow: at most this, which leaves time to use the lease.
  public static let leaseRequestMicrosecondsMax: UInt64 = 1_200_000
  /// And waits this long, and a random part of as long again, before it asks again; the latter doubles from one attempt
  /// to the next, at most this often.
  public static let leaseBackoffMicroseconds: UInt64 = 60_000
  public static let leaseBackoffDoublingsMax: UInt64 = 3
  /// A joiner that was told for how long votes are lent is back at most so much later.
  public static let leaseReturnMicroseconds: UInt64 = 100_000
  /// A joiner repeats its request, to the next sponsor, after this.
  public static let joinResendMicroseconds: UInt64 = 250_000
  /// A new member that has not beaten after this is proposed for sealing.
  public static let firstBeatMicroseconds: UInt64 = 500_000
  /// Doubled for each time that the same node was admitted and never wrote anything, at most this often.
  public static let firstBeatDoublingsMax: UInt64 = 4
}

/// Random 64 bits, written once when a store is made: tells a node's disk from one that it lost.
///
/// Source: DESIGN 3; `Tests/Model`, rule 15.
public struct StoreToken: Hashable, Sendable, CustomStringConvertible {
  public let value: UInt64
  public init(_ value: UInt64) { self.value = value }
  /// Not known; no disk's own.
  public static let none = StoreToken(0)
  public var description: String { String(value, radix: 16) }
}

/// Orders the attempts to decide on one view's successor. No two members share one, and no member uses one twice.
public struct Ballot: Hashable, Comparable, Sendable, CustomStringConvertible {
  public let round: UInt64
  /// The proposing member's place in the view that is changed.
  public let rank: UInt32
  public init(round: UInt64, rank: UInt32) {
    self.round = round
    self.rank = rank
  }
  public var description: String { "\(round).\(rank)" }
  public static func < (left: Ballot, right: Ballot) -> Bool {
    left.round == right.round ? left.rank < right.rank : left.round < right.round
  }
}

/// A member, with the token of the disk under which it was admitted.
public struct ViewMember: Hashable, Sendable {
  public let origin: OriginIndex
  public let token: StoreToken
  public init(origin: OriginIndex, token: StoreToken) {
    self.origin = origin
    self.token = token
  }
}

/// A node that asks to become a member, as a new origin.
public struct Admission: Hashable, Sendable {
  public let publicKey: PublicKey
  /// At most `Limits.nameBytesMax` bytes.
  public let name: String
  public let token: StoreToken
  /// Round of the lease under which it asks.
  public let leaseRound: UInt64
  public init(publicKey: PublicKey, name: String, token: StoreToken, leaseRound: UInt64 = 0) {
    self.publicKey = publicKey
    self.name = name
    self.token = token
    self.leaseRound = leaseRound
  }
}

public struct CheckpointReport: Hashable, Sendable {
  public let number: UInt64
  public let hash: Hash256
  public init(number: UInt64, hash: Hash256) {
    self.number = number
    self.hash = hash
  }
}

/// What a member tells of itself in a PROMISE. It must be read after the beats and acks have stopped.
public struct ViewFacts: Hashable, Sendable {
  /// By place in the register: how far each log is durable, contiguous and not beyond a cut. May be short at the end.
  public var acks: [Head]
  /// Durable; no beat that was sent is above it.
  public var ceiling: Stamp
  /// Newest first, at most `ViewLimits.checkpointsMax`.
  public var checkpoints: [CheckpointReport]
  public init(acks: [Head], ceiling: Stamp, checkpoints: [CheckpointReport] = []) {
    self.acks = acks
    self.ceiling = ceiling
    self.checkpoints = checkpoints
  }
}

/// What the next view should differ in.
public struct MembershipWish: Hashable, Sendable {
  /// Who is silent: whoever is heard after all stays.
  public var removals: [OriginIndex]
  /// Who has to go although it is there.
  public var expulsions: [OriginIndex]
  public var admissions: [Admission]
  public init(
    removals: [OriginIndex] = [], expulsions: [OriginIndex] = [], admissions: [Admission] = []
  ) {
    self.removals = removals
    self.expulsions = expulsions
    self.admissions = admissions
  }
  public var isEmpty: Bool { removals.isEmpty && expulsions.isEmpty && admissions.isEmpty }

  mutating func merge(_ other: MembershipWish) {
    for origin in other.removals where !removals.contains(origin) { removals.append(origin) }
    for origin in other.expulsions where !expulsions.contains(origin) { expulsions.append(origin) }
    for admission in other.admissions {
      admissions.removeAll { $0.publicKey == admission.publicKey }
      admissions.append(admission)
    }
  }
}

/// What is decided: a view, and on what ground it stands.
///
/// It names everything that was ever decided and still counts (all origins, all cuts), so that views may be skipped.
///
/// ```
/// number varint, member count varint, (origin varint, token u64)…, origin count varint,
/// (public key 32, incarnation varint, [lease round varint if that is not 0], name prefixed, base sequence varint,
/// [base hash 32 if the sequence is not 0])…,
/// floor varint, has-checkpoint u8, [number varint, hash 32]
/// ```
/// Source: DESIGN 7.
public struct ViewValue: Hashable, Sendable {
  public let number: UInt64
  /// Ascending, at least one.
  public let members: [ViewMember]
  /// Every origin that was ever admitted, by place.
  public let origins: [RegisteredOrigin]
  /// Of every origin: what each member of this view holds before it acks or beats in it. Where a log of one who is not
  /// a member ends for ever.
  public let base: [Head]
  /// Stamps of origins that this view admits are above it.
  public let floor: Stamp
  public let checkpoint: CheckpointReport?

  init(
    number: UInt64, members: [ViewMember], origins: [RegisteredOrigin], base: [Head], floor: Stamp,
    checkpoint: CheckpointReport?
  ) {
    precondition(!members.isEmpty && base.count == origins.count, "a view has members, and a base of every origin")
    self.number = number
    self.members = members
    self.origins = origins
    self.base = base
    self.floor = floor
    self.checkpoint = checkpoint
  }

  /// View 0.
  public init(genesis: Genesis) {
    self.init(
      number: 0,
      members: genesis.members.enumerated().map { ViewMember(origin: OriginIndex(UInt32($0)), token: $1.token) },
      origins: genesis.register.origins,
      base: Array(repeating: Head(sequence: 0, hash: .zero), count: genesis.members.count), floor: .zero,
      checkpoint: nil)
  }

  public var view: View { View(number: number, members: members.map(\.origin)) }
  public var register: Register { Register(origins: origins) }

  public func contains(_ origin: OriginIndex) -> Bool { members.contains { $0.origin == origin } }

  /// Where an origin's log ends; nil for a member, and for one that this view does not know.
  public func cut(of origin: OriginIndex) -> UInt64? {
    origin.int < base.count && !contains(origin) ? base[origin.int].sequence : nil
  }

  /// Leases of the join mutex under which somebody was admitted: as many as there were joins, if nobody ever joined
  /// without one or shared one.
  public var leasesUsed: Int {
    let leases = origins.filter { $0.leaseRound > 0 }
      .map { LeaseBallot(round: $0.leaseRound, node: $0.origin.node) }.sorted()
    return leases.indices.count { $0 == 0 || leases[$0] != leases[$0 - 1] }
  }

  /// The member that this node is: by key, and by the token of its disk.
  func member(publicKey: PublicKey, token: StoreToken, _ defects: ViewDefects) -> ViewMember? {
    members.first {
      origins[$0.origin.int].publicKey == publicKey
        && (defects.contains(.ignoresToken) || $0.token == token && token != .none)
    }
  }

  /// Whether this may come after `earlier`, at once or later: nothing that was decided is taken back.
  func canFollow(_ earlier: ViewValue, _ defects: ViewDefects = []) -> Bool {
    guard number > earlier.number, floor >= earlier.floor || defects.contains(.floorNotCarried),
      origins.count >= earlier.origins.count,
      origins[..<earlier.origins.count].elementsEqual(earlier.origins),
      (checkpoint?.number ?? 0) >= (earlier.checkpoint?.number ?? 0)
    else { return false }
    for place in earlier.origins.indices {
      let origin = OriginIndex(UInt32(place))
      if base[place].sequence < earlier.base[place].sequence { return false }
      guard !earlier.contains(origin) else { continue }
      if contains(origin) || base[place] != earlier.base[place] { return false }
    }
    return origins[earlier.origins.count...].allSatisfy { UInt64($0.origin.incarnation) > earlier.number }
  }

  // MARK: Making

  /// The value that a proposer chooses when nothing was accepted.
  /// - Parameter promises: of more than half of this view's members.
  /// - Returns: nil if the wish cannot be fulfilled: nobody would be left, or there is no room.
  /// - Source: DESIGN 7; `Tests/Model`, rule 10.
  func successor(
    _ wish: MembershipWish, promises: [ViewFacts], of promisers: [OriginIndex] = [], _ defects: ViewDefects = []
  ) -> ViewValue? {
    precondition(promises.count >= view.majority || defects.contains(.tooFewSigners), "a majority has promised")
    var base = base
    for (index, facts) in promises.enumerated() where !defects.contains(.baseWithoutAcks) {
      // Where a majority without an author has promised, one of them has acked whatever is final of its log. What only
      // the author holds may be what nobody else believes.
      let author = promises.count > view.majority && index < promisers.count ? promisers[index] : nil
      for (place, head) in facts.acks.enumerated() where place < base.count && place != author?.int {
        // A sealed log's base never changes again.
        guard contains(OriginIndex(UInt32(place))), head.sequence > base[place].sequence else { continue }
        base[place] = head
      }
    }
    let lowest = promises.reduce(Stamp(UInt64.max)) { min($0, $1.ceiling) }
    let floor = defects.contains(.floorNotCarried) ? lowest : max(floor, lowest)

    var origins = origins
    var members = members
    let admissions = wish.admissions.filter { admission in
      admission.token != .none && admission.name.utf8.count <= Limits.nameBytesMax
        && member(publicKey: admission.publicKey, token: admission.token, []) == nil
    }
    .sorted { $0.publicKey.nodeID < $1.publicKey.nodeID }
    // Never two origins of one node.
    members.removeAll { member in
      wish.removals.contains(member.origin) || wish.expulsions.contains(member.origin)
        || admissions.contains { $0.publicKey == self.origins[member.origin.int].publicKey }
    }
    for admission in admissions {
      members.append(ViewMember(origin: OriginIndex(UInt32(origins.count)), token: admission.token))
      let origin = Origin(node: admission.publicKey.nodeID, incarnation: UInt32(number + 1))
      origins.append(
        RegisteredOrigin(
          origin: origin, publicKey: admission.publicKey, name: admission.name, leaseRound: admission.leaseRound))
      base.append(Head(sequence: 0, hash: .zero))
    }
    guard !members.isEmpty, members.count <= Limits.membersMax, origins.count <= ViewLimits.originsMax,
      number < ViewLimits.numberMax
    else { return nil }
    return ViewValue(
      number: number + 1, members: members, origins: origins, base: base, floor: floor,
      checkpoint: agreedCheckpoint(promises))
  }

  /// The newest checkpoint that more than half of the members report alike, and none older than this view's.
  private func agreedCheckpoint(_ promises: [ViewFacts]) -> CheckpointReport? {
    var newest = checkpoint
    for report in promises.flatMap(\.checkpoints) where report.number > (newest?.number ?? 0) {
      let count = promises.count { $0.checkpoints.contains(report) }
      if count >= view.majority { newest = report }
    }
    return newest
  }

  // MARK: Bytes

  /// `SHA-256("rialto.view-value.1" ‖ canonical bytes)`.
  public var hash: Hash256 {
    var writer = ByteWriter(reserving: 1_024)
    writer.write(Array("rialto.view-value.1".utf8))
    write(to: &writer)
    return SHA256().hash(writer.bytes)
  }

  public func write(to writer: inout ByteWriter) {
    writer.writeVarint(number)
    writer.writeVarint(UInt64(members.count))
    for member in members {
      writer.writeVarint(UInt64(member.origin.value))
      writer.writeFixed(member.token.value)
    }
    writer.writeVarint(UInt64(origins.count))
    for (origin, head) in zip(origins, base) {
      writer.write(origin.publicKey.bytes)
      writer.writeVarint(UInt64(origin.origin.incarnation))
      if origin.origin.incarnation > 0 { writer.writeVarint(origin.leaseRound) }
      writer.writePrefixed(Array(origin.name.utf8))
      writer.write(head)
    }
    writer.writeVarint(floor.value)
    writer.write(checkpoint == nil ? 0 : 1)
    if let checkpoint { writer.write(checkpoint) }
  }

  public init(from reader: inout ByteReader) throws(CodecError) {
    number = try reader.readVarint("view number", max: ViewLimits.numberMax)
    var members: [ViewMember] = []
    for _ in 0..<(try reader.readViewCount("view members", max: Limits.membersMax)) {
      let origin = try reader.readViewOrigin()
      if let last = members.last, origin <= last.origin { throw .invalid(field: "view members") }
      members.append(ViewMember(origin: origin, token: StoreToken(try reader.readFixed("member token"))))
    }
    var origins: [RegisteredOrigin] = []
    var base: [Head] = []
    for _ in 0..<(try reader.readViewCount("view origins", max: ViewLimits.originsMax)) {
      let key = try reader.readPublicKey()
      let incarnation = UInt32(try reader.readVarint("incarnation", max: number))
      if let last = origins.last, incarnation < last.origin.incarnation { throw .invalid(field: "incarnation") }
      let lease = incarnation > 0 ? try reader.readVarint("lease round", max: ViewLimits.numberMax) : 0
      let name = try reader.readName()
      origins.append(
        RegisteredOrigin(
          origin: Origin(node: key.nodeID, incarnation: incarnation), publicKey: key, name: name, leaseRound: lease))
      base.append(try reader.readViewHead())
    }
    floor = Stamp(try reader.readVarint("floor"))
    checkpoint = try reader.readFlag("has checkpoint") ? try reader.readCheckpoint() : nil
    guard let last = members.last, last.origin.int < origins.count else { throw .invalid(field: "view members") }
    let nodes = members.map { origins[$0.origin.int].origin.node }.sorted()
    for (left, right) in zip(nodes, nodes.dropFirst()) where left == right { throw .invalid(field: "view members") }
    self.members = members
    self.origins = origins
    self.base = base
  }
}

// MARK: Fields

extension ByteWriter {
  /// The start of a log has no hash.
  mutating func write(_ head: Head) {
    writeVarint(head.sequence)
    if head.sequence > 0 { write(head.hash) }
  }

  mutating func write(_ checkpoint: CheckpointReport) {
    writeVarint(checkpoint.number)
    write(checkpoint.hash)
  }

  mutating func write(_ ballot: Ballot) {
    writeVarint(ballot.round)
    writeVarint(UInt64(ballot.rank))
  }
}

extension ByteReader {
  /// A count of things that take at least a byte each.
  mutating func readViewCount(_ field: StaticName, max: Int) throws(CodecError) -> Int {
    let count = try readVarint(field, max: UInt64(max))
    guard count <= UInt64(remaining) else { throw .truncated(field: field) }
    return Int(count)
  }

  mutating func readViewOrigin() throws(CodecError) -> OriginIndex {
    OriginIndex(UInt32(try readVarint("origin", max: UInt64(ViewLimits.originsMax - 1))))
  }

  mutating func readViewHead() throws(CodecError) -> Head {
    let sequence = try readVarint("head sequence", max: UInt64.max >> 1)
    return Head(sequence: sequence, hash: sequence == 0 ? .zero : try readHash("head hash"))
  }

  mutating func readFlag(_ field: StaticName) throws(CodecError) -> Bool {
    switch try readByte(field) {
    case 0: return false
    case 1: return true
    default: throw .invalid(field: field)
    }
  }

  mutating func readCheckpoint() throws(CodecError) -> CheckpointReport {
    CheckpointReport(number: try readVarint("checkpoint"), hash: try readHash("checkpoint hash"))
  }

  mutating func readBallot() throws(CodecError) -> Ballot {
    Ballot(
      round: try readVarint("ballot round", max: ViewLimits.numberMax),
      rank: UInt32(try readVarint("ballot rank", max: UInt64(Limits.membersMax - 1))))
  }

  mutating func readViewNumber() throws(CodecError) -> UInt64 {
    try readVarint("view number", max: ViewLimits.numberMax)
  }

  mutating func readPublicKey() throws(CodecError) -> PublicKey {
    guard let key = PublicKey(bytes: try readBytes(PublicKey.byteCount, "public key")) else {
      throw .invalid(field: "public key")
    }
    return key
  }

  mutating func readSignature() throws(CodecError) -> Signature {
    guard let signature = Signature(bytes: try readBytes(Signature.byteCount, "signature")) else {
      throw .invalid(field: "signature")
    }
    return signature
  }

  mutating func readName() throws(CodecError) -> String {
    let utf8 = try readPrefixed("name", max: Limits.nameBytesMax)
    guard let name = String(validating: utf8, as: UTF8.self) else { throw .invalid(field: "name") }
    return name
  }
}
