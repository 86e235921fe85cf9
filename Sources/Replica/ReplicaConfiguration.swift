import EventLog
import Gossip
import Membership
import Primitives

/// Who a replica is and how it behaves. All of it is known before the first step.
public struct ReplicaConfiguration: Sendable {
  public var me: OriginIndex
  public var cluster: Hash256
  public var register: Register
  public var view: View
  public var gossip = GossipConfiguration()
  /// Where this node listens, as others should dial it.
  public var listenAddress: String
  /// Addresses to try at the start; one that works is enough.
  public var seeds: [String]
  /// Wall-clock milliseconds at which this process started.
  public var bootMilliseconds: UInt64
  public var seed: UInt64
  public var tentativeEntriesMax = Limits.tentativeEntriesMax
  /// Final batches of each origin that stay in memory, so that most requests need no disk.
  public var retainedBatchesMax = OriginLog.retainedBatchesDefault
  /// Durable promise limit of the last run, if there was one.
  public var clockCeiling = Stamp.zero
  /// Final frontier of the last run: recovered entries up to it are final at once.
  public var finalStamp = Stamp.zero
  /// None, but in tests of the simulator.
  package var defects: Defects = [] { didSet { gossip.defects = defects } }

  public init(
    me: OriginIndex, genesis: Genesis, listenAddress: String, seeds: [String], bootMilliseconds: UInt64, seed: UInt64
  ) {
    self.me = me
    cluster = genesis.clusterID
    register = genesis.register
    view = genesis.view
    self.listenAddress = listenAddress
    self.seeds = seeds
    self.bootMilliseconds = bootMilliseconds
    self.seed = seed
  }
}

/// Keys under which a replica persists its own records.
public enum RecordKey {
  /// Eight bytes, little-endian: no promise above this stamp was ever sent.
  public static let clockCeiling = "clock_ceiling"
}

/// Figures for people and tools.
public struct ReplicaStatus: Hashable, Sendable {
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
}
