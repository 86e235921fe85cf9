import EventLog
import Gossip
import Membership
import Primitives

/// Who a replica is and how it behaves. All of it is known before the first step.
public struct ReplicaConfiguration: Sendable {
  public var cluster: Hash256
  /// What the disk says of views: which one this node is in, and as whom.
  public var records: ViewRecords
  /// Under which a node that joins is listed; at most `Limits.nameBytesMax` bytes.
  public var name: String
  /// False for an observer, which follows and never asks to become a member.
  public var wantsMembership = true
  public var gossip = GossipConfiguration()
  public var detector = DetectorConfiguration()
  /// Where this node listens, as others should dial it.
  public var listenAddress: String
  /// Addresses to try at the start; one that works is enough.
  public var seeds: [String]
  /// Wall-clock milliseconds at which this process started.
  public var bootMilliseconds: UInt64
  public var seed: UInt64
  public var tentativeEntriesMax = Limits.tentativeEntriesMax
  /// Entries of a void tail that one turn looks at.
  public var resubmittedPerTurnMax = Limits.resubmittedPerTurnMax
  /// Final batches of each origin that stay in memory, so that most requests need no disk.
  public var retainedBatchesMax = OriginLog.retainedBatchesDefault
  /// Durable promise limit of the last run, if there was one.
  public var clockCeiling = Stamp.zero
  /// Final frontier of the last run: recovered entries up to it are final at once.
  public var finalStamp = Stamp.zero
  /// The newest checkpoint of the last run, if there was one: the same log must lead to it again.
  public var checkpoint: Checkpoint?
  /// Snapshots on disk, oldest first.
  public var snapshots: [SnapshotInfo] = []
  /// Seconds of stamp time from one snapshot to the next; 0 makes none. All nodes MUST use the same, or none will ever
  /// be in the hands of a majority.
  public var snapshotSeconds: UInt64 = 60
  /// Who lacks more entries than this, and is no member, starts from a snapshot rather than fetch them.
  public var snapshotBehindEntries: UInt64 = 10_000_000
  /// Whole passes of the scrubber over the book, one each; 0 for none.
  public var scrubMicroseconds: UInt64 = 10_000_000
  /// What was found before this run; of what is open, the book must be proven before anything is served.
  public var findings = FindingLog()
  /// None, but in tests of the simulator.
  package var defects: Defects = [] { didSet { gossip.defects = defects } }
  package var viewDefects: ViewDefects = []

  public init(
    cluster: Hash256, records: ViewRecords, name: String, listenAddress: String, seeds: [String],
    bootMilliseconds: UInt64, seed: UInt64
  ) {
    self.cluster = cluster
    self.records = records
    self.name = name
    self.listenAddress = listenAddress
    self.seeds = seeds
    self.bootMilliseconds = bootMilliseconds
    self.seed = seed
  }
}

/// Keys under which a replica persists its own records.
public enum RecordKey {
  /// Eight bytes, little-endian: no promise above this stamp was ever sent.
  public static let clockCeiling = ViewRecord.Key.ceiling.rawValue
  /// The newest checkpoint, `Checkpoint.write(to:)`. It is derived from the log again at a start.
  public static let checkpoint = "checkpoint"
  /// `FindingLog.bytes`.
  public static let findings = "findings"
}

extension ReplicaConfiguration {
  /// Takes the checkpoint from its record.
  /// - Throws: the record is none.
  public mutating func readCheckpoint(_ record: [UInt8]) throws(CodecError) {
    checkpoint = try record.withReader { (reader) throws(CodecError) in try Checkpoint(from: &reader, SHA256()) }
  }
}

/// Figures for people and tools.
public struct ReplicaStatus: Hashable, Sendable {
  public var view: UInt64
  public var members: [OriginIndex]
  /// Nil for a node that is no member.
  public var me: OriginIndex?
  /// Between two views: nothing becomes final meanwhile.
  public var isWedged: Bool
  public var viewChanges: UInt64
  public var entries: UInt64
  public var applied: UInt64
  public var tentative: UInt64
  public var missing: UInt64
  public var finalFills: UInt64
  public var finalOrders: UInt64
  public var finalStamp: Stamp
  public var vector: VersionVector
  public var restingOrders: Int
  public var applications: UInt64
  public var rollbacks: UInt64
  public var rollbackDepthMax: UInt64
  public var undone: UInt64
  public var quarantined: Bool
  public var bookMismatches: UInt64
  public var duplicateBatches: UInt64
  public var isReady: Bool
  /// Stamp of the oldest entry that is not final; nil if all are.
  public var oldestTentative: Stamp?
  /// The newest checkpoint; 0 and zero while there is none.
  public var checkpointNumber: UInt64
  public var checkpointHash: Hash256
  /// Attestations of members that are not what was derived here.
  public var attestationDifferences: UInt64
  /// Fill entries in this node's own log.
  public var fillsPublished: UInt64
  /// Fill entries of all members that are what was derived here, those that are not, and fills that nobody published in
  /// time.
  public var fillsCompared: UInt64
  public var fillDifferences: UInt64
  public var fillsMissing: UInt64
  /// How often tentative entries were taken back for a checkpoint's hash and put back at once, and how many.
  public var checkpointRollbacks: UInt64
  public var checkpointUndone: UInt64
  /// The newest snapshot on disk, and how many final entries it stands for; 0 while there is none.
  public var snapshotNumber: UInt64
  public var snapshotEntries: UInt64
}
