import EventLog
import Primitives
import Replica

/// What is wrong with a node's book, from the damage on until it serves a right one again.
struct SimulatedDamage {
  let kind: FaultKind
  let at: UInt64
  /// For how long the process has run well since: only then can it find anything.
  var awakeMicroseconds: UInt64 = 0
  /// What was done.
  var text = ""
  /// When it stopped to serve.
  var foundAt: UInt64?
  /// It tells what it has made anew.
  var isReplaced = false
}

/// How one damage to a book ended.
package struct DamageRepair: Hashable, Sendable {
  package var kind: FaultKind
  /// From the damage until the node stopped serving, and from then until it served again.
  package var foundMicroseconds: UInt64
  package var repairedMicroseconds: UInt64
}

extension SimulatedNode {
  /// What it says of final entries follows from a damaged book.
  var tellsLies: Bool { damage.map { !$0.isReplaced } ?? false }
}

/// Memory fails, and nodes look after themselves.
extension Simulation {
  /// To read a piece of a log.
  static let readMicroseconds: UInt64 = 500

  /// - Returns: false if there is nothing to damage.
  func damage(_ node: SimulatedNode, _ fault: Fault) -> Bool {
    // One damage of a node at a time, so that it is known what is found.
    guard let process = node.process, node.damage == nil, process.replica.healthState == .sound,
      process.commitUnderWay == nil, node.pauses == 0, process.replica.status.restingOrders > 0
    else { return false }
    node.damage = SimulatedDamage(kind: fault.kind, at: now)
    node.wasDamaged = true
    give(.inject(fault.kind == .skippedFill ? .skipFill : .flipBookBit(seed: fault.detail)), to: node, process)
    return true
  }

  /// After each step of a process.
  func watchHealth(_ node: SimulatedNode) {
    guard let health = node.process?.replica.healthState, health != node.health else { return }
    let before = node.health
    node.health = health
    node.timeline.note(.said("is \(health)"), at: now)
    if before.serves, !health.serves, node.damage?.foundAt == nil { node.damage?.foundAt = now }
    guard !before.serves, health.serves, let damage = node.damage, let found = damage.foundAt else { return }
    node.damage = nil
    repairs.append(
      DamageRepair(
        kind: damage.kind, foundMicroseconds: found - damage.at, repairedMicroseconds: now - found))
  }

  /// Reads what a process wants of its own disk, as the shell does.
  func readLog(_ reading: LogReading, _ node: SimulatedNode, _ process: SimulatedProcess) {
    guard !node.disk.isUnreadable else {
      return schedule(.logRead(node: node.index, boot: process.boot, reading), after: 100_000)
    }
    var piece = LogPiece(rebuild: reading.rebuild)
    if reading.isStart {
      for info in reading.snapshots where piece.base == nil {
        guard let kept = node.disk.snapshots.first(where: { $0.info == info }),
          let state = try? ReplicaState(
            info, kept.bytes, cluster: genesis.clusterID, origins: process.replica.originCount)
        else { continue }
        piece.base = StateBox(state)
      }
      piece.isBaseless = piece.base == nil && node.disk.isCompacted
      let replica = process
      process.recovery = try? LogRecovery(
        node.disk, chainStart: { replica.replica.chainStart(of: $0) }, base: piece.base?.bases ?? [], sha)
    }
    var entries = 0
    while entries < reading.entriesMax, !piece.isEnd {
      // A source in memory does not fail; what cannot be decoded ends it like what is damaged.
      guard let batch = try? process.recovery?.next() else {
        piece.isEnd = true
        break
      }
      entries += batch.entries.count
      piece.batches.append(batch)
    }
    piece.damages = process.recovery?.report.damages ?? []
    if piece.isEnd { process.recovery = nil }
    give(.logRead(piece), to: node, process)
  }
}

/// Rows of a log that are damaged while a process runs.
extension Simulation {
  /// Of the stored log, in one tick.
  private static let scrubBytes = 4_096

  func damageRow(_ node: SimulatedNode, _ fault: Fault) -> Bool {
    // Where logs are compacted, nobody may have the entries any more.
    guard node.process != nil, node.damagedRows.isEmpty, profile.snapshotSeconds == 0,
      mayLoseDisk(fault.node)
    else { return false }
    guard let damage = node.disk.damageRow(fault.detail) else { return false }
    // If it is restarted before it has found that, it has lost what it vouched for.
    node.weakToken = node.token
    node.hasDamage = true
    if machine(of: OriginIndex(UInt32(damage.origin))) == fault.node { node.hasLostData = true }
    node.damagedRows.append((now, damage.origin, damage.sequence))
    node.timeline.note(.said("row of origin \(damage.origin) at \(damage.sequence) is damaged"), at: now)
    return true
  }

  func scrubLog(_ node: SimulatedNode, _ process: SimulatedProcess) {
    guard process.commitUnderWay == nil, !node.disk.isUnreadable else { return }
    let replica = process
    let disk = node.disk
    let holes = process.logScrubber.step(
      disk,
      start: { origin in
        let base = disk.base(of: origin).head
        return base.sequence > 0 ? base : Head(sequence: 0, hash: replica.replica.chainStart(of: origin))
      },
      end: { replica.replica.durableHead(of: $0) }, bytesMax: Self.scrubBytes, sha)
    for hole in holes { process.replica.step(.logDamaged(hole), now: node.clock.read(now), &process.effects) }
  }
}
