import EventLog
import Primitives

/// Signatures of more than half of some members under the same bytes.
public struct Certificate: Hashable, Sendable {
  public struct Vote: Hashable, Sendable {
    public let member: OriginIndex
    public let signature: Signature
    public init(member: OriginIndex, signature: Signature) {
      self.member = member
      self.signature = signature
    }
  }

  /// Ascending by member.
  public let votes: [Vote]

  public init(votes: [Vote]) { self.votes = votes.sorted { $0.member < $1.member } }

  /// Whether more than half of `electors` have signed `bytes`, each counted once.
  func isValid(
    _ bytes: [UInt8], electors: [OriginIndex], register: Register, signatures: any Signatures, _ defects: ViewDefects
  ) -> Bool {
    var signers: [OriginIndex] = []
    for vote in votes where electors.contains(vote.member) && !signers.contains(vote.member) {
      guard let key = register[vote.member]?.publicKey, signatures.isValid(vote.signature, of: bytes, by: key) else {
        return false
      }
      signers.append(vote.member)
    }
    return signers.count >= Self.needed(of: electors.count, defects)
  }

  static func needed(of electors: Int, _ defects: ViewDefects) -> Int {
    electors / 2 + (defects.contains(.tooFewSigners) ? 0 : 1)
  }

  func write(to writer: inout ByteWriter) {
    writer.writeVarint(UInt64(votes.count))
    for vote in votes {
      writer.writeVarint(UInt64(vote.member.value))
      writer.write(vote.signature.bytes)
    }
  }

  init(from reader: inout ByteReader) throws(CodecError) {
    var votes: [Vote] = []
    for _ in 0..<(try reader.readViewCount("certificate", max: Limits.membersMax)) {
      let vote = Vote(member: try reader.readViewOrigin(), signature: try reader.readSignature())
      if let last = votes.last, vote.member <= last.member { throw .invalid(field: "certificate") }
      votes.append(vote)
    }
    self.votes = votes
  }
}

/// A view that was decided, with the proof: what more than half of the view before have signed.
///
/// ```
/// value, electors count varint, origin varint…, ballot round varint, rank varint, certificate
/// ```
public struct Decision: Hashable, Sendable {
  public let value: ViewValue
  /// Members of the view before, ascending; none for view 0, which nobody decided.
  public let electors: [OriginIndex]
  public let ballot: Ballot
  public let certificate: Certificate

  init(value: ViewValue, electors: [OriginIndex], ballot: Ballot, certificate: Certificate) {
    self.value = value
    self.electors = electors
    self.ballot = ballot
    self.certificate = certificate
  }

  /// View 0, which follows from the member list.
  public init(genesis: Genesis) {
    self.init(
      value: ViewValue(genesis: genesis), electors: [], ballot: Ballot(round: 0, rank: 0),
      certificate: Certificate(votes: []))
  }

  public var number: UInt64 { value.number }

  /// What an ACCEPTED is signed over.
  ///
  /// `"rialto.accepted.1" ‖ cluster id ‖ view u64 ‖ round u64 ‖ rank u32 ‖ elector count u32 ‖ electors u32… ‖
  /// value hash`
  static func voteBytes(
    cluster: Hash256, view: UInt64, ballot: Ballot, electors: [OriginIndex], valueHash: Hash256
  ) -> [UInt8] {
    var writer = ByteWriter(reserving: 160)
    writer.write(Array("rialto.accepted.1".utf8))
    writer.write(cluster)
    writer.writeFixed(view)
    writer.writeFixed(ballot.round)
    writer.writeFixed(ballot.rank)
    writer.writeFixed(UInt32(electors.count))
    for elector in electors { writer.writeFixed(elector.value) }
    writer.write(valueHash)
    return writer.bytes
  }

  /// Whether the proof holds for one who is in the view `known`.
  ///
  /// Who has missed views cannot know the electors; the electors' own signatures name them then, with keys that agree
  /// with the register as far as it is known.
  package func isValid(
    after known: ViewValue, cluster: Hash256, signatures: any Signatures, _ defects: ViewDefects = []
  ) -> Bool {
    guard value.canFollow(known, defects), let last = electors.last, last.int < value.origins.count else {
      return false
    }
    guard number > known.number + 1 || electors == known.members.map(\.origin) else { return false }
    let bytes = Self.voteBytes(
      cluster: cluster, view: number - 1, ballot: ballot, electors: electors, valueHash: value.hash)
    return certificate.isValid(
      bytes, electors: electors, register: value.register, signatures: signatures, defects)
  }

  public func write(to writer: inout ByteWriter) {
    value.write(to: &writer)
    writer.writeVarint(UInt64(electors.count))
    for elector in electors { writer.writeVarint(UInt64(elector.value)) }
    writer.write(ballot)
    certificate.write(to: &writer)
  }

  public init(from reader: inout ByteReader) throws(CodecError) {
    value = try ViewValue(from: &reader)
    var electors: [OriginIndex] = []
    for _ in 0..<(try reader.readViewCount("electors", max: Limits.membersMax)) {
      let elector = try reader.readViewOrigin()
      if let last = electors.last, elector <= last { throw .invalid(field: "electors") }
      electors.append(elector)
    }
    self.electors = electors
    ballot = try reader.readBallot()
    certificate = try Certificate(from: &reader)
  }
}

/// Who a node is among the members: only with a store of this token.
public struct IdentityRecord: Hashable, Sendable {
  public let origin: OriginIndex
  public let token: StoreToken
  public init(origin: OriginIndex, token: StoreToken) {
    self.origin = origin
    self.token = token
  }
}

public struct PromiseRecord: Hashable, Sendable {
  public let view: UInt64
  public let ballot: Ballot
  public init(view: UInt64, ballot: Ballot) {
    self.view = view
    self.ballot = ballot
  }
}

public struct AcceptedRecord: Hashable, Sendable {
  public let view: UInt64
  public let ballot: Ballot
  public let value: ViewValue
  public init(view: UInt64, ballot: Ballot, value: ViewValue) {
    self.view = view
    self.ballot = ballot
    self.value = value
  }
}

/// One durable record; the newest of a key counts. Those of a view that is over are not removed but ignored.
///
/// Source: `Tests/Model`, "State".
public enum ViewRecord: Hashable, Sendable {
  case store(StoreToken)
  case identity(IdentityRecord)
  case view(Decision)
  case promise(PromiseRecord)
  case accepted(AcceptedRecord)
  /// The clock ceiling of an origin that was just admitted: no stamp of it is at or below. A higher one that is on disk
  /// already stays.
  case ceiling(Stamp)
  /// The last round in which this node asked for the join mutex.
  case leaseRound(UInt64)
  /// What is void of this node's own logs and not sent again yet.
  case resubmission(ResubmissionRecord)

  public enum Key: String, CaseIterable, Sendable {
    case store, identity, view, promise, accepted, resubmission
    case ceiling = "clock_ceiling"
    case leaseRound = "lease_round"
  }

  public var key: Key {
    switch self {
    case .store: .store
    case .identity: .identity
    case .view: .view
    case .promise: .promise
    case .accepted: .accepted
    case .ceiling: .ceiling
    case .leaseRound: .leaseRound
    case .resubmission: .resubmission
    }
  }

  /// Canonical bytes; the ceiling's are those that a replica's own record has.
  public var bytes: [UInt8] {
    var writer = ByteWriter(reserving: 64)
    switch self {
    case .store(let token): writer.writeFixed(token.value)
    case .identity(let identity):
      writer.writeVarint(UInt64(identity.origin.value))
      writer.writeFixed(identity.token.value)
    case .view(let decision): decision.write(to: &writer)
    case .promise(let promise):
      writer.writeVarint(promise.view)
      writer.write(promise.ballot)
    case .accepted(let accepted):
      writer.writeVarint(accepted.view)
      writer.write(accepted.ballot)
      accepted.value.write(to: &writer)
    case .ceiling(let stamp): writer.writeFixed(stamp.value)
    case .leaseRound(let round): writer.writeVarint(round)
    case .resubmission(let resubmission): resubmission.write(to: &writer)
    }
    return writer.bytes
  }

  public init(key: Key, stored: [UInt8]) throws(CodecError) {
    self = try stored.withUnsafeBytes { raw -> Result<ViewRecord, CodecError> in
      do throws(CodecError) { return .success(try ViewRecord(key: key, bytes: raw)) } catch { return .failure(error) }
    }.get()
  }

  public init(key: Key, bytes: UnsafeRawBufferPointer) throws(CodecError) {
    var reader = ByteReader(bytes)
    switch key {
    case .store: self = .store(StoreToken(try reader.readFixed("store token")))
    case .identity:
      let origin = try reader.readViewOrigin()
      self = .identity(IdentityRecord(origin: origin, token: StoreToken(try reader.readFixed("identity token"))))
    case .view: self = .view(try Decision(from: &reader))
    case .promise:
      self = .promise(PromiseRecord(view: try reader.readViewNumber(), ballot: try reader.readBallot()))
    case .accepted:
      self = .accepted(
        AcceptedRecord(
          view: try reader.readViewNumber(), ballot: try reader.readBallot(), value: try ViewValue(from: &reader)))
    case .ceiling: self = .ceiling(Stamp(try reader.readFixed("clock ceiling")))
    case .leaseRound: self = .leaseRound(try reader.readVarint("lease round", max: ViewLimits.numberMax))
    case .resubmission: self = .resubmission(try ResubmissionRecord(from: &reader))
    }
    try reader.expectEnd()
  }
}

/// What a node's disk says about views.
public struct ViewRecords: Hashable, Sendable {
  public var store: StoreToken
  public var identity: IdentityRecord?
  /// The newest view that this node has entered, as a member or as an observer.
  public var view: Decision
  public var promise: PromiseRecord?
  public var accepted: AcceptedRecord?
  public var leaseRound: UInt64 = 0
  /// Of this store's sealed logs, what has to be sent again.
  public var resubmission = ResubmissionRecord()

  /// A new store: a member of view 0 if it was made for one, else nobody yet.
  public init(store: StoreToken, genesis: Decision, publicKey: PublicKey) {
    self.store = store
    view = genesis
    if let member = genesis.value.member(publicKey: publicKey, token: store, []) {
      identity = IdentityRecord(origin: member.origin, token: store)
    }
  }

  /// Puts in what was read from disk, in any order.
  public mutating func restore(_ record: ViewRecord) {
    switch record {
    case .store(let token): store = token
    case .identity(let identity): self.identity = identity
    case .view(let decision): view = decision
    case .promise(let promise): self.promise = promise
    case .accepted(let accepted): self.accepted = accepted
    case .ceiling: break
    case .leaseRound(let round): leaseRound = round
    case .resubmission(let resubmission): self.resubmission = resubmission
    }
  }

  /// The member that this node is in its view; nil for an observer, and with another disk than it joined with.
  func origin(publicKey: PublicKey) -> OriginIndex? {
    guard let identity, identity.token == store, store != .none,
      view.value.members.contains(ViewMember(origin: identity.origin, token: store)),
      view.value.register[identity.origin]?.publicKey == publicKey
    else { return nil }
    return identity.origin
  }
}
