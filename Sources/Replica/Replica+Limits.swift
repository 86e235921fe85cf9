import EventLog
import Gossip
import Membership
import Primitives

extension Replica {
  /// The first queue that is longer than it may be; nil if all are within their limits.
  ///
  /// For tests and simulations: each queue is bounded where it grows, and this looks whether that holds.
  /// - Complexity: O(origins).
  package var queueOverLimit: String? {
    let slack = Limits.requestsPerFrameMax * sequencer.logs.count
    // By index: a loop over the logs would copy each.
    for index in sequencer.logs.indices where sequencer.logs[index].orphanCount > Limits.orphanBatchesPerOriginMax {
      return "\(sequencer.logs[index].orphanCount) batches of origin \(index) wait for an earlier one"
    }
    if sequencer.tail.count > configuration.tentativeEntriesMax + slack {
      return "\(sequencer.tail.count) tentative entries are applied"
    }
    if openCount > Limits.requestsPerFrameMax { return "\(openCount) entries in the open batch" }
    if ledger.waiting > Limits.unpublishedFillsMax { return "\(ledger.waiting) fills wait for their entries" }
    if publisher.pending.count > Limits.unattestedCheckpointsMax {
      return "\(publisher.pending.count) checkpoints wait to be attested"
    }
    if inFlight.count > 2 { return "\(inFlight.count) commits under way" }
    if recentBooks.count > Self.recentBooksMax { return "\(recentBooks.count) book hashes kept" }
    if gossip.frontier.waitingBeats > Frontier.waitingBeatsMax { return "\(gossip.frontier.waitingBeats) beats wait" }
    return nil
  }

  /// What an entry with this stamp waits for to become final here, for people.
  package func whatIsMissing(for stamp: Stamp) -> String {
    var missing: [String] = []
    for member in view.members {
      let promise = gossip.frontier.promise(of: member)
      let held = sequencer.logs[member.int].visible
      if promise < stamp { missing.append("\(member) has promised \(promise)") }
      if gossip.frontier.majorityAcked(member) < held {
        missing.append("\(gossip.frontier.majorityAcked(member)) of \(held) entries of \(member) are acked")
      }
      let lacking = gossip.missing(held: { $0 == member ? held : .max })
      if lacking > 0 { missing.append("\(lacking) entries of \(member) are not here") }
    }
    return missing.isEmpty ? "nothing" : missing.joined(separator: ", ")
  }

  /// How far an origin's log is known to be on disk; nil for one that is not known, or whose newest batches are not.
  public func durableHead(of origin: OriginIndex) -> Head? {
    origin.int < sequencer.logs.count ? sequencer.logs[origin.int].acked : nil
  }

  /// Origins that are known.
  package var originCount: Int { sequencer.logs.count }

  /// Hash with which an origin's chain starts.
  package func chainStart(of origin: OriginIndex) -> Hash256 {
    origin.int < sequencer.logs.count ? sequencer.logs[origin.int].chainStart : .zero
  }

  /// Applied entries in key order, without the first `final` ones of the log, all of which are final.
  ///
  /// For simulations.
  package func tentativeEntries(after final: Int) -> [(dot: Dot, entry: Entry)] {
    let skipped = max(0, final - Int(sequencer.logs.reduce(0) { $0 + $1.final }))
    return sequencer.tail.dropFirst(skipped).compactMap { record in
      sequencer.logs[record.key.origin.int].entry(at: record.sequence).map { (record.dot, $0) }
    }
  }
}
