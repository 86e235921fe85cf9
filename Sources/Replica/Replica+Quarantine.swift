import EventLog
import Gossip
import Membership
import Primitives

/// What one origin has stamped too far ahead of this node's time to be believed yet.
struct Quarantine: Sendable {
  /// An episode is over when nothing has waited for this long; until then it is told once.
  static let episodeMicroseconds: UInt64 = 10_000_000
  /// Who stamps ahead for longer is proposed for sealing.
  static let patienceMicroseconds: UInt64 = 1_000_000

  /// Since when something waits without a break; nil while nothing does.
  private(set) var sinceMicroseconds: UInt64?
  /// When something waited last.
  private var lastMicroseconds: UInt64?

  /// - Returns: whether this begins an episode.
  mutating func waits(nowMicroseconds now: UInt64) -> Bool {
    let isNew = lastMicroseconds.map { now >= $0 + Self.episodeMicroseconds } ?? true
    sinceMicroseconds = sinceMicroseconds ?? now
    lastMicroseconds = now
    return isNew
  }

  mutating func isOver() { sinceMicroseconds = nil }

  func hasLasted(_ span: UInt64, nowMicroseconds now: UInt64) -> Bool {
    sinceMicroseconds.map { now >= $0 + span } ?? false
  }
}

extension Replica {
  /// Something of an origin has become visible, or nothing has: does anything of it wait for its time?
  mutating func watchQuarantine(_ index: Int, _ now: LogicalTime, _ effects: inout [Effect]) {
    guard sequencer.logs[index].hasQuarantined else {
      if quarantines[index].sinceMicroseconds != nil { quarantines[index].isOver() }
      return
    }
    guard quarantines[index].waits(nowMicroseconds: now.monotonicMicroseconds) else { return }
    let stamp = sequencer.logs[index].heldStamp.milliseconds
    effects.append(
      .notice(
        .quarantined(
          origin: OriginIndex(UInt32(index)), through: sequencer.logs[index].held.sequence,
          aheadMilliseconds: stamp &- min(now.wallMilliseconds, stamp))))
  }

  /// Members whose stamps have been too far ahead for so long that they are proposed for sealing.
  ///
  /// Never when half of the others look so, or when others have to correct this node's clock: then it is this clock
  /// that is wrong. A member proposes the later the higher its rank, so mostly one does.
  func unbelieved(rank: Int, _ now: LogicalTime) -> [OriginIndex] {
    let micros = now.monotonicMicroseconds
    let patience = Quarantine.patienceMicroseconds + UInt64(rank) * Self.proposalStaggerMicroseconds
    let ahead = view.members.filter { quarantines[$0.int].hasLasted(patience, nowMicroseconds: micros) }
    let waiting = view.members.count { quarantines[$0.int].sinceMicroseconds != nil }
    guard !ahead.isEmpty, 2 * waiting < view.members.count, ownWallMilliseconds == now.wallMilliseconds else {
      return []
    }
    return ahead
  }
}
