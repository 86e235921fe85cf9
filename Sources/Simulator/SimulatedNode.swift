import EventLog
import Gossip
import Membership
import Primitives
import Replica

/// One machine: its disk and clocks stay, its processes come and go.
package final class SimulatedNode {
  enum Condition: Equatable {
    case running
    /// Not running; it will be started again.
    case down
    /// It has stopped for good and said why: its data was lost, or it would break a promise.
    case out(String)
  }

  let index: Int
  var disk = SimulatedDisk()
  var clock: SimulatedClock
  var condition = Condition.down
  var process: SimulatedProcess?
  var timeline = Timeline()
  /// How often it was started.
  var boots: UInt64 = 0
  /// A part of what it held is not what was written, its own or others'.
  var hasDamage = false
  /// Its own log was damaged or wiped: what it held is no longer promised.
  var hasLostData = false
  /// Faults that hold it now.
  var pauses = 0
  var slowness: UInt64 = 0
  /// The view that it was in when it ran last.
  var viewNumber: UInt64 = 0
  /// Who was admitted under this token has said that it holds what its disk has lost since.
  var weakToken: StoreToken?
  /// It is to run: not one that joins later, nor one that has left for now.
  var isWanted = true
  /// Its book is not what it should be, and it does not serve right or nothing yet.
  var damage: SimulatedDamage?
  var wasDamaged = false
  /// Rows of its log that were damaged while it ran, and not found yet.
  var damagedRows: [(at: UInt64, origin: Int, sequence: UInt64)] = []
  /// As its process said last.
  var health = Health.sound
  /// What came while it was paused.
  var parked: [WorldEvent] = []

  init(index: Int, clock: SimulatedClock) {
    self.index = index
    self.clock = clock
  }

  var name: String { "n\(index + 1)" }
  var peer: PeerIndex { PeerIndex(UInt32(index)) }
  /// Of its disk; `none` for one that is empty.
  var token: StoreToken {
    guard let bytes = disk.record(ViewRecord.Key.store.rawValue),
      case .store(let token)? = try? ViewRecord(key: .store, stored: bytes)
    else { return .none }
    return token
  }
  static func address(_ index: Int, boot: UInt64) -> String { "n\(index + 1):\(boot)" }

  /// The node that an address names, and the run of it.
  static func parse(_ address: String) -> (node: Int, boot: UInt64)? {
    let parts = address.split(separator: ":")
    guard parts.count == 2, let node = Int(parts[0].dropFirst()), let boot = UInt64(parts[1]) else { return nil }
    return (node - 1, boot)
  }
}

/// One run of a node, from its start to its end.
final class SimulatedProcess {
  let boot: UInt64
  var replica: Replica
  var gate = CommitGate()
  /// Effects that are not carried out yet; they wait while a commit is under way.
  var effects: [Effect] = []
  var next = 0
  /// The process does nothing else before this: a commit or slow work is under way.
  var busyUntil: UInt64 = 0
  var commitUnderWay: CommitNumber?
  var isTurnScheduled = false
  /// By peer.
  var links: [SimulatedConnection?]
  var lastHeard: [UInt64]
  /// Finals that the audit tables lack, and how far they would bring them.
  var auditedEntries: UInt64 = 0
  var finalEntries: UInt64 = 0
  var finalKey = OrderKey.zero
  /// The frame of the batch that was sent last: it goes to several peers.
  var lastBatch: (signature: Signature, bytes: [UInt8])?
  var rollbacksSeen: UInt64 = 0
  /// The log that is read a second time.
  var recovery: LogRecovery<SimulatedDisk>?
  var logScrubber = LogScrubber()
  /// Made, and not on disk yet.
  var snapshotToKeep: Snapshot?
  /// Asked to leave.
  var isLeaving = false

  init(boot: UInt64, replica: consuming Replica, peers: Int) {
    self.boot = boot
    self.replica = replica
    links = Array(repeating: nil, count: peers)
    lastHeard = Array(repeating: 0, count: peers)
  }
}
