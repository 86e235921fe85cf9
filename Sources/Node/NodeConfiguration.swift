import Gossip
import Logging
import Membership
import Primitives
import Wire

/// All that a node needs to know before it starts.
public struct NodeConfiguration: Sendable {
  public static let version = "0.1.0"

  public var genesis: Genesis
  /// Under which it joins, if it is not in the member list.
  public var name: String
  /// False for a node that only follows.
  public var wantsMembership = true
  /// Of a cluster to try things with: it takes injected faults from clients.
  public var isDemo = false
  public var key: Ed25519
  public var dataDirectory: String
  /// Port 0 lets the system pick one.
  public var listen: Address
  /// What others should dial, where it differs from `listen` (its port, if 0, is the one that was picked).
  public var advertise: Address?
  /// Any one address of the cluster is enough.
  public var peers: [Address]
  public var gossip = GossipConfiguration()
  /// Seconds from one snapshot to the next, the same on all nodes; 0 makes none.
  public var snapshotSeconds: UInt64 = 60
  /// Microseconds from one whole pass of the scrubber over the book to the next; 0 for none.
  public var scrubMicroseconds: UInt64 = 10_000_000
  /// Who joins and lacks more entries than this starts from a snapshot.
  public var snapshotBehindEntries: UInt64 = 10_000_000
  /// Entries of each origin that are kept below the older of two snapshots; nil keeps all.
  public var retainedEntries: UInt64?
  /// Whether the store's write-ahead log is made as long as it gets at the first start: commits take half the time.
  public var reservesLog = true
  public var seed: UInt64
  public var logger: Logger
  /// Where it kills itself while it joins, to be looked at; nil for a node that is to live.
  public var diesAt: DeathPoint?

  public init(
    genesis: Genesis, name: String, key: Ed25519, dataDirectory: String, listen: Address, peers: [Address] = [],
    seed: UInt64, logger: Logger
  ) {
    self.genesis = genesis
    self.name = name
    self.key = key
    self.dataDirectory = dataDirectory
    self.listen = listen
    self.peers = peers
    self.seed = seed
    self.logger = logger
  }
}

/// A step of joining at which a node may be told to die.
public enum DeathPoint: String, Sendable, CaseIterable {
  /// It has just taken the join mutex.
  case lease
  /// It is a member, as it has just learnt, and has said nothing yet.
  case decided
}
