import EventLog
import Gossip
import Primitives

/// Snapshots of one replica: the one that is being made, those on disk, and the one that is fetched because the entries
/// that are missing are kept nowhere.
struct SnapshotDesk {
  /// From one question to the members to the next, while a snapshot is needed.
  static let queryMicroseconds: UInt64 = 250_000
  /// Somebody else may still have the entries that one has compacted: this long a snapshot is not thought of.
  static let graceMicroseconds: UInt64 = 300_000
  /// A piece that does not come within this is asked of another node.
  static let patienceMicroseconds: UInt64 = 500_000
  /// Pieces that are hashed in one tick.
  static let piecesPerTick = 4
  /// Snapshots that a majority had and that could not be read; the oldest is forgotten.
  static let refusedMax = 8

  /// Written at a boundary, hashed over some ticks.
  struct Making {
    var number: UInt64
    var checkpointHash: Hash256
    var entries: UInt64
    var byteCount: UInt64
    var bases: [LogBase]
    var pieces: [[UInt8]]
    var hashed = 0
    let sha = SHA256()
  }

  struct Fetch {
    var info: SnapshotInfo
    var peer: PeerIndex
    var pieces: [[UInt8]] = []
    var byteCount: UInt64 = 0
    var deadline: UInt64
  }

  /// On disk, oldest first.
  var kept: [SnapshotInfo]
  var making: Making?
  /// Logs of which nobody has been found that keeps what is missing; and up to where it is missing.
  var missing: [(origin: OriginIndex, through: UInt64)] = []
  var neededSince: UInt64?
  /// What each peer has, as it said last.
  var offers: [(peer: PeerIndex, infos: [SnapshotInfo])] = []
  var fetch: Fetch?
  var refused: [Hash256] = []
  var nextQuery: UInt64 = 0
  /// The own disk has nothing left to make the book of: one is fetched, whatever else is there.
  var isWanted = false
  /// One was fetched, and what comes now is for nothing: the replica starts anew from it.
  var isInstalling = false

  init(kept: [SnapshotInfo]) { self.kept = kept }

  var isNeeded: Bool { neededSince != nil }

  mutating func forget(_ peer: PeerIndex) {
    offers.removeAll { $0.peer == peer }
    if fetch?.peer == peer { fetch?.deadline = 0 }
  }

  mutating func refuse(_ hash: Hash256) {
    refused.append(hash)
    if refused.count > Self.refusedMax { refused.removeFirst() }
  }

  mutating func endFetch() {
    fetch = nil
    offers.removeAll()
    missing.removeAll()
    neededSince = nil
  }
}
