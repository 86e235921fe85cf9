import EventLog
import Gossip
import OrderBook
import Primitives

/// A part of the stored log that is fetched again.
struct LogRepair: Sendable {
  /// From one question to the next; each time another peer is asked.
  static let askMicroseconds: UInt64 = 300_000
  static let attemptsMax: UInt64 = 20
  static let repairsMax = 64

  var hole: LogHole
  var finding: UInt64
  /// What has come of it, in order.
  var batches: [Batch] = []
  var attempts: UInt64 = 0
  var nextMicroseconds: UInt64 = 0
  /// It is being put in place.
  var isMending = false

  /// What is missing comes after this.
  var head: Head {
    batches.last.map { Head(sequence: $0.lastSequence, hash: $0.hash) } ?? hole.before
  }
}

/// Stored batches that are not what was written: peers have them, and the chain says which they are.
extension Replica {
  /// The scrubber of the stored log has found something.
  mutating func logDamaged(_ hole: LogHole, _ now: LogicalTime, _ effects: inout [Effect]) {
    guard hole.origin.int < sequencer.logs.count, health.repairs.count < LogRepair.repairsMax,
      !health.repairs.contains(where: { $0.hole.origin == hole.origin && $0.hole.before == hole.before })
    else { return }
    // What is beyond the end of a sealed log is no part of it.
    if let cut = membership.cuts[hole.origin.int], hole.through > cut { return }
    var finding = newFinding(.logDamage, .noticed, now)
    finding.entry = Dot(origin: hole.origin, sequence: hole.before.sequence + 1)
    add(finding, &effects)
    health.repairs.append(LogRepair(hole: hole, finding: finding.number))
  }

  mutating func tickLogRepairs(_ now: LogicalTime, _ effects: inout [Effect]) {
    let micros = now.monotonicMicroseconds
    for index in health.repairs.indices {
      let repair = health.repairs[index]
      guard !repair.isMending, micros >= repair.nextMicroseconds, repair.attempts < LogRepair.attemptsMax else {
        continue
      }
      let peers = gossip.connectedPeers
      guard !peers.isEmpty else { continue }
      health.repairs[index].attempts += 1
      health.repairs[index].nextMicroseconds = micros + LogRepair.askMicroseconds
      let peer = peers[Int(repair.attempts % UInt64(peers.count))]
      let range = LogRange(
        origin: repair.hole.origin, from: repair.head.sequence + 1, through: repair.hole.through)
      effects.append(.send(to: peer, .request(range), after: 0))
      if health.repairs[index].attempts == LogRepair.attemptsMax {
        change(repair.finding, &effects) { $0.state = .unreconciled }
      }
    }
  }

  /// - Returns: whether the batch is a part of what is missing.
  mutating func takeForRepair(
    _ sealed: SealedBatch, _ header: BatchHeader, _ effects: inout [Effect]
  ) -> Bool {
    guard !health.repairs.isEmpty,
      let index = health.repairs.firstIndex(where: {
        $0.hole.origin == header.origin && !$0.isMending && $0.head.sequence + 1 == header.firstSequence
          && header.lastSequence <= $0.hole.through
      })
    else { return false }
    let head = health.repairs[index].head
    guard let batch = try? Batch.decode(sealed, previous: head.hash, sha) else { return true }
    health.repairs[index].batches.append(batch)
    guard batch.lastSequence == health.repairs[index].hole.through else { return true }
    let batches = health.repairs[index].batches
    // Both sides of the chain decide: who sends something else is asked no more, another one is.
    guard health.repairs[index].hole.isFilled(by: batches, sha) else {
      health.repairs[index].batches.removeAll()
      return true
    }
    health.repairs[index].isMending = true
    effects.append(.mendLog(health.repairs[index].hole, batches))
    return true
  }

  /// The store has put it in place, or could not.
  mutating func logMended(_ hole: LogHole, _ isDone: Bool, _ effects: inout [Effect]) {
    guard let index = health.repairs.firstIndex(where: { $0.hole == hole }) else { return }
    guard isDone else {
      health.repairs[index].isMending = false
      health.repairs[index].batches.removeAll()
      return
    }
    let finding = health.repairs[index].finding
    health.repairs.remove(at: index)
    change(finding, &effects) { $0.state = .repaired }
  }
}
