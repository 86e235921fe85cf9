import EventLog
import Gossip
import Membership
import OrderBook
import Primitives

/// Numbers the commits of one run of a node, from 1. Commit 0 is what was on disk at the start.
public typealias CommitNumber = UInt64

/// What happens to a replica.
public enum Input: Sendable {
  /// At start, the own log and the others', in ascending order of first stamps.
  case recover(Batch)
  /// The log has been read.
  case recovered
  case submit(Submission)
  case sessionClosed(SessionID)
  case message(from: OriginIndex, PeerMessage)
  /// A link to a member is up; `address` is the one that was dialled, empty if the member dialled.
  case linkUp(OriginIndex, address: String)
  case linkDown(OriginIndex)
  /// An address could not be reached.
  case dialFailed(String)
  /// Whether the queue of unsent bytes for a peer is below its limit.
  case linkWritable(OriginIndex, Bool)
  /// The end of a turn: everything that came in at once has been given.
  case flush
  case committed(CommitNumber)
  /// At least every `Replica.tickMicroseconds`.
  case tick
}

/// Commands of one client, in order.
public struct Submission: Sendable {
  public var session: SessionID
  /// Number of the first request; the others follow it.
  public var firstRequest: UInt64
  /// Stamp later than this.
  public var after: Stamp
  public var commands: [Command]
  /// Report what becomes of them.
  public var wantsReports: Bool
  public init(
    session: SessionID, firstRequest: UInt64, after: Stamp = .zero, commands: [Command], wantsReports: Bool
  ) {
    self.session = session
    self.firstRequest = firstRequest
    self.after = after
    self.commands = commands
    self.wantsReports = wantsReports
  }
}

/// Why a node does not take a request. It may be sent again, to this node or another one.
public enum RefusalReason: UInt8, Hashable, Sendable {
  /// It has not read its log yet, or has not heard how far the others hold it.
  case notReady = 1
  /// Too much is tentative: finality has stopped.
  case tailFull = 2
  /// The stamp to follow is further ahead of this node's time than is believed.
  case stampAhead = 3
}

/// What a replica wants done, in this order.
///
/// `after` is a commit: the effect MUST NOT be carried out before that commit is durable.
public enum Effect: Sendable {
  /// Part of the next commit.
  case append(Batch)
  case persist(key: String, value: [UInt8])
  /// Make everything appended and persisted so far durable, then give `Input.committed`. A failure ends the process.
  case commit(CommitNumber)
  case send(to: OriginIndex, PeerMessage, after: CommitNumber)
  /// Send whole batches of this range from storage, at most `Limits.deltaBytesPerRoundMax`, then `PeerMessage.served`.
  case serve(to: OriginIndex, LogRange)
  case dial(String)
  /// Close the link: the peer broke the protocol.
  case disconnect(OriginIndex, reason: String)
  case accepted(SessionID, firstRequest: UInt64, first: Dot, stamps: [Stamp], after: CommitNumber)
  case refused(SessionID, firstRequest: UInt64, count: Int, RefusalReason)
  case report(SessionID, [OrderReport], after: CommitNumber)
  case notice(Notice)
  /// This node must stop; going on would break a promise.
  case halt(String)
}

/// Something that whoever runs the node may want to know.
public enum Notice: Equatable, Sendable, CustomStringConvertible {
  case badBatch(origin: OriginIndex, from: OriginIndex, CodecError)
  case badSignature(origin: OriginIndex, from: OriginIndex)
  /// Two different batches of one origin at one sequence.
  case fork(origin: OriginIndex, sequence: UInt64, from: OriginIndex)
  case quarantined(origin: OriginIndex, through: UInt64, aheadMilliseconds: UInt64)
  case bookMismatch(peer: OriginIndex, mine: Hash256, theirs: Hash256, selfCheckPassed: Bool)
  case deepRollback(depth: Int)
  case badAddress(origin: OriginIndex, from: OriginIndex)
  /// A member said that it holds more of this node's log than this node, and did not show it.
  case unprovenClaim(peer: OriginIndex, sequence: UInt64)

  public var description: String {
    switch self {
    case .badBatch(let origin, let from, let error): "batch of origin \(origin) from \(from) refused: \(error)"
    case .badSignature(let origin, let from): "batch of origin \(origin) from \(from) has a bad signature"
    case .fork(let origin, let sequence, let from):
      "origin \(origin) has two logs at sequence \(sequence) (seen from \(from))"
    case .quarantined(let origin, let through, let ahead):
      "entries of origin \(origin) up to \(through) are \(ahead) ms ahead of this clock; they wait"
    case .bookMismatch(let peer, let mine, let theirs, let passed):
      "same entries, other book than \(peer): mine \(mine.prefix(12)), theirs \(theirs.prefix(12)); self-check "
        + (passed ? "passed: the other side is wrong" : "failed: this replica is wrong")
    case .deepRollback(let depth): "rolled back \(depth) entries"
    case .unprovenClaim(let peer, let sequence):
      "member \(peer) claims \(sequence) entries of this node's log and does not show them"
    case .badAddress(let origin, let from): "address of origin \(origin) from \(from) has a bad signature"
    }
  }
}
