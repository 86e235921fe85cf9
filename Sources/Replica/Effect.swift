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
  /// After the log: the void tails that `ViewRecords.resubmission` names, each in order. What was not found, or is not
  /// what was written, is left out.
  case recoverVoid(Batch)
  /// The log has been read.
  case recovered
  case submit(Submission)
  case sessionClosed(SessionID)
  case message(from: PeerIndex, PeerMessage)
  /// A link to the node with this key is up; `address` is the one that was dialled, empty if the other side dialled.
  case linkUp(PeerIndex, key: PublicKey, address: String)
  case linkDown(PeerIndex)
  /// An address could not be reached; `isRefused` if something answered that nobody listens there.
  case dialFailed(String, isRefused: Bool)
  /// Whether the queue of unsent bytes for a peer is below its limit.
  case linkWritable(PeerIndex, Bool)
  /// The end of a turn: everything that came in at once has been given.
  case flush
  case committed(CommitNumber)
  /// At least every `Replica.tickMicroseconds`.
  case tick
  /// This snapshot is on disk whole, and can be served; so are no others than these, oldest first.
  case snapshotsKept([SnapshotInfo])
  /// Stop to be a member: take no more orders, let what was taken become final, then ask for a view without this node.
  /// `Effect.left` follows, unless no majority is there.
  case leave
  /// What `Effect.readLog` asked for, in its own time; nobody waits for it.
  case logRead(LogPiece)
  /// The scrubber of the stored log has found a part of it that is not what was written.
  case logDamaged(LogHole)
  /// What `Effect.mendLog` asked for was done, or could not be.
  case logMended(LogHole, Bool)
  /// A fault on purpose, of a node that is for demonstrations, or of a simulated one.
  case inject(DamageKind)
}

/// Damage that a replica does to itself, to show that it is found.
public enum DamageKind: Hashable, Sendable {
  /// One bit of the book in memory flips.
  case flipBookBit(seed: UInt64)
  /// The next final fill is left out of what follows from it: ledger, checkpoint, audit tables.
  case skipFill
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
  /// It has not read its log yet, has not heard how far the others hold it, or has not sent its void tail again.
  case notReady = 1
  /// Too much is tentative: finality has stopped.
  case tailFull = 2
  /// The stamp to follow is further ahead of this node's time than is believed.
  case stampAhead = 3
  /// Its book is not what its log says, or not what others attest: it makes it anew and serves nothing meanwhile.
  case rebuilding = 4
}

/// What a replica wants done, in this order.
///
/// `after` is a commit: the effect MUST NOT be carried out before that commit is durable.
public enum Effect: Sendable {
  /// Part of the next commit.
  case append(Batch)
  case persist(key: String, value: [UInt8])
  /// Part of the next commit: these are the checkpoints that are kept, and no others.
  case keepCheckpoints(CheckpointList)
  /// Make everything appended and persisted so far durable, then give `Input.committed`. A failure ends the process.
  case commit(CommitNumber)
  case send(to: PeerIndex, PeerMessage, after: CommitNumber)
  /// Part of the next commit, after its batches: the log of an origin ends here for ever. What is stored beyond is no
  /// part of it any more, and is kept aside.
  case void(OriginIndex, after: UInt64)
  /// Send whole batches of this range from storage, at most `Limits.deltaBytesPerRoundMax`, then `PeerMessage.served`.
  case serve(to: PeerIndex, LogRange)
  /// Keep this snapshot when there is time, in as many transactions as it takes, and drop those that
  /// `SnapshotInfo.kept` leaves out; then give `Input.snapshotsKept`. What it stands for MUST be on disk before it.
  case keepSnapshot(Snapshot)
  /// Send the piece at this offset of a snapshot that is kept, or an empty one.
  case servePiece(to: PeerIndex, SnapshotInfo, offset: UInt64)
  /// Start anew from this snapshot: what is below it is fetched no more. In one commit keep it, end the logs of origins
  /// after these sequences, drop what the snapshot stands for, and put the records; then start a new replica from what
  /// is on disk. This one is done.
  case install(Snapshot, ends: [(origin: OriginIndex, sequence: UInt64)], records: [(key: String, value: [UInt8])])
  case dial(String)
  /// Close the link: the peer broke the protocol.
  case disconnect(PeerIndex, reason: String)
  case accepted(SessionID, firstRequest: UInt64, first: Dot, stamps: [Stamp], after: CommitNumber)
  case refused(SessionID, firstRequest: UInt64, count: Int, RefusalReason)
  case report(SessionID, [OrderReport], after: CommitNumber)
  case notice(Notice)
  /// This node must stop; going on would break a promise.
  case halt(String)
  /// Read of the own log what this says, when there is time, and give `Input.logRead`. What was committed before MUST
  /// be read; what comes while it is read need not be.
  case readLog(LogReading)
  /// In a transaction of its own put these batches where a part of the stored log is damaged, if they fill it; what is
  /// there is kept aside. Then give `Input.logMended`.
  case mendLog(LogHole, [Batch])
  /// Drop the snapshots later than this: they were made of a book that is not believed any more.
  case dropSnapshots(after: UInt64)
  /// This node is no member any more, as `Input.leave` asked.
  case left
}

/// Something that whoever runs the node may want to know.
public enum Notice: Equatable, Sendable, CustomStringConvertible {
  case badBatch(origin: OriginIndex?, from: PeerIndex, CodecError)
  case badSignature(origin: OriginIndex, from: PeerIndex)
  case badWord(origin: OriginIndex, from: PeerIndex)
  /// Two different batches of one origin at one sequence.
  case fork(origin: OriginIndex, sequence: UInt64, from: PeerIndex?)
  case quarantined(origin: OriginIndex, through: UInt64, aheadMilliseconds: UInt64)
  /// What a member stamps has been too far ahead for over a second: a view without it is proposed.
  case unbelieved(OriginIndex)
  case bookMismatch(peer: PeerIndex, mine: Hash256, theirs: Hash256, selfCheckPassed: Bool)
  case deepRollback(depth: Int)
  case badAddress(origin: OriginIndex, from: PeerIndex)
  /// A member said that it holds more of this node's log than this node, and did not show it.
  case unprovenClaim(peer: PeerIndex, sequence: UInt64)
  /// Failure detection's word of a member; only a decided view changes membership.
  case suspected(OriginIndex)
  case heardAgain(OriginIndex)
  case gaveUp(OriginIndex, DetectorEvidence)
  /// Beats and acks of this view have stopped: its successor is being decided.
  case wedged(view: UInt64)
  case entered(View, me: OriginIndex?)
  /// This node is not a member any more; it joins again unless it was to leave.
  case sealed(OriginIndex)
  /// What an origin wrote after the sequence with which its log was sealed counts for nothing.
  case voided(OriginIndex, after: UInt64, entries: UInt64)
  /// The void tail of this node's own log is done: so many entries were sent again, of others the clients were told why
  /// not.
  case resubmitted(OriginIndex, again: UInt64, told: UInt64)
  /// Entries of a void tail are not on this node's disk any more and cannot be sent again.
  case voidTailLost(OriginIndex, entries: UInt64)
  /// Others hold more of this node's log than its disk: it asks for a new name.
  case diskLost(peer: PeerIndex, held: UInt64, theirs: UInt64)
  /// A member attests another checkpoint than was derived here.
  case attestationDiffers(number: UInt64, origin: OriginIndex, mine: Hash256, theirs: Hash256)
  /// The log leads to another checkpoint than before the restart: it, the book or this build is not what it was.
  case checkpointChanged(number: UInt64, before: Hash256, now: Hash256)
  /// A majority of a view has another checkpoint than was derived here: this replica cannot follow it.
  case checkpointContradicted(number: UInt64, mine: Hash256, theirs: Hash256)
  /// A member has published a fill that there was not.
  case fillDiffers(entry: Dot, FillAttestation)
  /// The taker's home has not published a fill.
  case fillMissing(FillAttestation)
  /// Others keep no more as entries what this node lacks: it asks for a snapshot.
  case needsSnapshot(OriginIndex, through: UInt64)
  /// A majority has this snapshot, and it is being fetched.
  case fetchesSnapshot(SnapshotInfo)
  /// What was fetched is not the snapshot that a majority has, or is one that this version cannot read.
  case badSnapshot(number: UInt64, from: PeerIndex, CodecError)
  /// Something that should not be was noticed, or something was done about it.
  case finding(Finding)
  /// Damage was done on purpose; what exactly.
  case injected(BookFlip)

  public var description: String {
    switch self {
    case .badBatch(let origin, let from, let error):
      "batch" + (origin.map { " of origin \($0)" } ?? "") + " from \(from) refused: \(error)"
    case .badWord(let origin, let from): "word of member \(origin) from \(from) has a bad signature"
    case .badSignature(let origin, let from): "batch of origin \(origin) from \(from) has a bad signature"
    case .fork(let origin, let sequence, let from):
      "origin \(origin) has two logs at sequence \(sequence)" + (from.map { " (seen from \($0))" } ?? "")
    case .quarantined(let origin, let through, let ahead):
      "entries of origin \(origin) up to \(through) are \(ahead) ms ahead of this clock; they wait"
    case .unbelieved(let origin):
      "what origin \(origin) stamps is too far ahead and has been for long: a view without it is proposed"
    case .bookMismatch(let peer, let mine, let theirs, let passed):
      "same entries, other book than \(peer): mine \(mine.prefix(12)), theirs \(theirs.prefix(12)); self-check "
        + (passed ? "passed: the other side is wrong" : "failed: this replica is wrong")
    case .deepRollback(let depth): "rolled back \(depth) entries"
    case .unprovenClaim(let peer, let sequence):
      "member \(peer) claims \(sequence) entries of this node's log and does not show them"
    case .suspected(let member): "no answer from member \(member), nor through others"
    case .heardAgain(let member): "member \(member) is heard again"
    case .gaveUp(let member, let evidence):
      "member \(member) is given up: silent for \(evidence.silenceMicroseconds / 1_000) ms, "
        + "\(evidence.confirmations) others agree" + (evidence.isRefused ? ", its address refuses" : "")
    case .wedged(let view): "view \(view) is being changed"
    case .entered(let view, let me):
      "view \(view.number): members \(view.members.map(\.description).joined(separator: " "))"
        + (me.map { ", this node is \($0)" } ?? ", this node follows")
    case .sealed(let origin): "this node, as \(origin), is not a member any more"
    case .voided(let origin, let after, let entries):
      "\(entries) entries of origin \(origin) after \(after) are void: it was sealed there"
    case .resubmitted(let origin, let again, let told):
      "the void tail of origin \(origin) is done: sent again \(again), rejected or expired \(told)"
    case .voidTailLost(let origin, let entries):
      "\(entries) entries of origin \(origin)'s void tail are lost and cannot be sent again"
    case .diskLost(let peer, let held, let theirs):
      "\(peer) holds \(theirs) entries of this node's log, the disk here only \(held): data was lost, the node joins "
        + "again under a new name"
    case .attestationDiffers(let number, let origin, let mine, let theirs):
      "origin \(origin) attests another checkpoint \(number): mine \(mine.prefix(12)), theirs \(theirs.prefix(12))"
    case .checkpointChanged(let number, let before, let now):
      "checkpoint \(number) was \(before.prefix(12)) before the restart and is \(now.prefix(12)) now"
    case .checkpointContradicted(let number, let mine, let theirs):
      "checkpoint \(number) is \(mine.prefix(12)) here, a majority has \(theirs.prefix(12))"
    case .fillDiffers(let entry, let fill): "entry \(entry) is a fill that there was not: \(fill)"
    case .fillMissing(let fill): "origin \(fill.taker.origin) has not published a fill: \(fill)"
    case .needsSnapshot(let origin, let through):
      "nobody keeps the entries of origin \(origin) up to \(through) any more: a snapshot is needed"
    case .fetchesSnapshot(let info): "fetching snapshot \(info.number): \(info.byteCount) bytes"
    case .badSnapshot(let number, let from, let error): "snapshot \(number), the last of it from \(from): \(error)"
    case .finding(let finding): "\(finding)"
    case .injected(let flip): "on purpose: \(flip)"
    case .badAddress(let origin, let from): "address of origin \(origin) from \(from) has a bad signature"
    }
  }
}
