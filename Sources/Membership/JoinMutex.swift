import EventLog
import Primitives

/// One attempt of one node to take the join mutex: its fencing token. A node never uses one twice.
public struct LeaseBallot: Hashable, Comparable, Sendable, CustomStringConvertible {
  public let round: UInt64
  public let node: NodeID
  public init(round: UInt64, node: NodeID) {
    self.round = round
    self.node = node
  }
  public var description: String { "\(round)@\(node.hash.prefix(8))" }
  public static func < (left: LeaseBallot, right: LeaseBallot) -> Bool {
    left.round == right.round ? left.node < right.node : left.round < right.round
  }

  /// `"rialto.grant.1" ‖ cluster id ‖ view u64 ‖ round u64 ‖ node id`.
  func voteBytes(cluster: Hash256, view: UInt64) -> [UInt8] {
    var writer = ByteWriter(reserving: 128)
    writer.write(Array("rialto.grant.1".utf8))
    writer.write(cluster)
    writer.writeFixed(view)
    writer.writeFixed(round)
    writer.write(node.hash)
    return writer.bytes
  }
}

/// One member's part of the join mutex: to whom it has lent its vote, and until when.
///
/// The mutex keeps joiners from duelling; what is decided does not rest on it. So it lives in memory: a member that has
/// restarted lends nothing for the length of a lease, as it may have lent before, unless it has never promised anything
/// in its life. A lease is one view's.
/// Source: DESIGN 7.
public struct JoinMutex: Sendable {
  public enum Answer: Hashable, Sendable {
    case granted
    /// - Parameter leftMicroseconds: until another attempt may have this vote, if nobody gives it back before; 0 if the
    ///   attempt itself is too old.
    case denied(highest: LeaseBallot, leftMicroseconds: UInt64)
  }

  /// The highest ballot that was granted: what is asked under a lower one is refused.
  public private(set) var highest: LeaseBallot?
  /// The highest that was given back, granted or not: its request may come late, and is refused.
  private var released: LeaseBallot?
  private var holder: LeaseBallot?
  private var untilMicroseconds: UInt64
  private var silentUntilMicroseconds: UInt64
  private let defects: ViewDefects

  init(nowMicroseconds now: UInt64, hasRestarted: Bool, _ defects: ViewDefects = []) {
    untilMicroseconds = 0
    silentUntilMicroseconds = hasRestarted ? now + ViewLimits.leaseMicroseconds : 0
    self.defects = defects
  }

  /// Who holds this member's vote now.
  public func holder(nowMicroseconds now: UInt64) -> LeaseBallot? { now < untilMicroseconds ? holder : nil }

  /// How long the present holder has had this member's vote, in microseconds; 0 if nobody has it.
  public func heldMicroseconds(nowMicroseconds now: UInt64) -> UInt64 {
    guard holder(nowMicroseconds: now) != nil else { return 0 }
    return ViewLimits.leaseMicroseconds - min(untilMicroseconds - now, ViewLimits.leaseMicroseconds)
  }

  /// A repeated request does not prolong its lease. A node's newer request takes over from its older one.
  mutating func request(_ ballot: LeaseBallot, nowMicroseconds now: UInt64) -> Answer {
    if defects.contains(.leaseNotFenced) { return .granted }
    let held = self.holder(nowMicroseconds: now)
    if held == ballot { return .granted }
    let newest = max(highest ?? ballot, released ?? ballot)
    if let held, held.node != ballot.node {
      return .denied(highest: newest, leftMicroseconds: left(until: untilMicroseconds, now))
    }
    // Granted before or given back before: once is enough.
    guard ballot >= newest, ballot != highest, ballot != released else {
      return .denied(highest: newest, leftMicroseconds: 0)
    }
    guard now >= silentUntilMicroseconds else {
      return .denied(highest: newest, leftMicroseconds: left(until: silentUntilMicroseconds, now))
    }
    untilMicroseconds = now + ViewLimits.leaseMicroseconds
    holder = ballot
    highest = ballot
    return .granted
  }

  private func left(until end: UInt64, _ now: UInt64) -> UInt64 {
    min(end - min(end, now), ViewLimits.leaseMicroseconds)
  }

  mutating func release(_ ballot: LeaseBallot) {
    if holder == ballot { holder = nil }
    released = max(released ?? ballot, ballot)
  }

  /// Whether a later ballot was granted: what is asked under this one is refused.
  func isStale(_ ballot: LeaseBallot) -> Bool {
    guard let highest, !defects.contains(.leaseNotFenced) else { return false }
    return ballot < highest
  }
}

/// A node's way to membership: takes the join mutex and asks members, one after the other, to sponsor it.
///
/// ```
/// resting ─ due ─▶ asking ─ majority of grants ─▶ holding ─ admitted ─▶ gone
///    ▲               │ no majority in 200 ms        │ lease over
///    └───────────────┴──────────────────────────────┘
/// ```
/// It rests a while, but no longer than until a majority of the votes is free again, as far as those who refused have
/// said for how long theirs are lent; and a little more, each joiner by its own name.
struct Joiner: Sendable {
  enum State: Sendable {
    /// Can transition to: asking.
    case resting(untilMicroseconds: UInt64)
    /// Can transition to: holding, resting.
    case asking(sinceMicroseconds: UInt64)
    /// Can transition to: resting.
    case holding(untilMicroseconds: UInt64, nextJoinMicroseconds: UInt64)
  }

  let name: String
  let token: StoreToken
  var state: State
  var ballot: LeaseBallot
  var votes: [Certificate.Vote] = []
  /// Who has refused this attempt.
  var denied: [Denial] = []
  /// The highest round that anybody has mentioned.
  var roundSeen: UInt64 = 0
  /// How often a majority did not answer in time.
  var attempts: UInt64 = 0
  /// Which member is asked next, by rank.
  var sponsor: Int

  struct Denial: Sendable {
    var member: OriginIndex
    /// Until when its vote is lent, as far as it has said.
    var untilMicroseconds: UInt64
  }

  /// How long it takes until a majority of the votes can be had; nil if nothing that was said stands in the way.
  /// - Complexity: O(members²).
  func leftMicroseconds(of view: View, nowMicroseconds now: UInt64) -> UInt64? {
    let ends = view.members.map { member in denied.first { $0.member == member }?.untilMicroseconds ?? 0 }
    let last = ends.sorted()[view.majority - 1]
    return last > now ? last - now : nil
  }

  /// From 1 up to `bound`: joiners that one lease has kept out come back at different times, others at each attempt.
  func jitter(_ bound: UInt64) -> UInt64 {
    var bits: UInt64 = 0xCBF2_9CE4_8422_2325 ^ attempts
    for byte in ballot.node.hash.bytes { bits = (bits ^ UInt64(byte)) &* 0x100_0000_01B3 }
    return 1 + (bits ^ bits &>> 32) % bound
  }

  /// The fencing token under which this node holds the mutex now.
  func held(nowMicroseconds now: UInt64) -> LeaseBallot? {
    guard case .holding(let until, _) = state, now < until else { return nil }
    return ballot
  }
}
