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
    if sequencer.tentative
      > UInt64(configuration.tentativeEntriesMax + Limits.requestsPerFrameMax * sequencer.logs.count)
    {
      return "\(sequencer.tentative) tentative entries"
    }
    for log in sequencer.logs where log.orphanCount > Limits.orphanBatchesPerOriginMax {
      return "\(log.orphanCount) batches of origin \(log.origin) wait for an earlier one"
    }
    if openCount > Limits.requestsPerFrameMax { return "\(openCount) entries in the open batch" }
    if inFlight.count > 2 { return "\(inFlight.count) commits under way" }
    if recentBooks.count > Self.recentBooksMax { return "\(recentBooks.count) book hashes kept" }
    if gossip.frontier.waitingBeats > Frontier.waitingBeatsMax { return "\(gossip.frontier.waitingBeats) beats wait" }
    return nil
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
