import DequeModule
import EventLog
import Primitives

/// What this node has to say of its own accord: attestations of checkpoints, and the fills of the homes it speaks for.
///
/// Both are entries of its own log, after the rules that clients' entries follow, and both are attestations: whoever
/// reads them compares, and nobody's book depends on them. What the own log has is not written again, whatever becomes
/// final anew after a restart.
struct Publisher: Sendable {
  /// Between two batches that hold nothing else. What clients write takes along what there is.
  static let restMicroseconds: UInt64 = 250_000
  /// Beyond so many it does not rest.
  static let restEntriesMax = 256

  /// Closed checkpoints that this node may still have to attest, oldest first.
  private(set) var pending: Deque<CheckpointAttestation> = []
  /// The newest checkpoint that the own log attests.
  private(set) var attestedThrough: UInt64 = 0
  /// Fills in the own log.
  private(set) var fills: UInt64 = 0
  private(set) var attestations: UInt64 = 0
  /// When it may write a batch of its own again.
  private(set) var restsUntilMicroseconds: UInt64 = 0

  mutating func mustAttest(_ checkpoint: Checkpoint) {
    guard checkpoint.number > attestedThrough else { return }
    pending.append(checkpoint.attestation)
    if pending.count > Limits.unattestedCheckpointsMax { pending.removeFirst() }
  }

  /// An entry has come into the own log, now or before a restart.
  mutating func published(_ entry: Entry, _ ledger: inout FillLedger) {
    switch entry.payload {
    case .command: break
    case .fill(let fill):
      fills += 1
      ledger.published(fill)
    case .checkpoint(let attestation):
      attestations += 1
      attestedThrough = max(attestedThrough, attestation.number)
      while let first = pending.first, first.number <= attestedThrough { pending.removeFirst() }
    }
  }

  /// Another log is the own one from here on; what the last one attested may be void.
  /// - Parameters:
  ///   - newest: the newest checkpoint that members attest.
  ///   - attestedThrough: what the own log is known to attest.
  mutating func restart(_ newest: Checkpoint?, attestedThrough: UInt64 = 0) {
    self.attestedThrough = attestedThrough
    if let newest, pending.last?.number != newest.number { mustAttest(newest) }
  }

  /// The checkpoints were derived anew: what was to be attested of them before is void.
  /// - Parameters:
  ///   - attested: those that members attest, oldest first.
  ///   - attestedThrough: the newest one of which the own log says what is so.
  mutating func restart(_ attested: some Sequence<Checkpoint>, attestedThrough: UInt64) {
    pending.removeAll()
    self.attestedThrough = attestedThrough
    for checkpoint in attested { mustAttest(checkpoint) }
  }

  mutating func wrote(nowMicroseconds: UInt64) { restsUntilMicroseconds = nowMicroseconds + Self.restMicroseconds }
}

extension Replica {
  /// Whether this node publishes the fills whose takers are of `origin`: its own; and those of an origin that is no
  /// member any more, if it is the first of the members.
  func isPublisher(of origin: OriginIndex) -> Bool {
    if view.contains(origin) { return origin == me }
    return view.members.first == me
  }

  /// How much this node has to publish.
  /// - Complexity: O(origins).
  var unpublished: Int {
    var count = publisher.pending.count
    guard ledger.waiting > 0 else { return count }
    for home in 0..<ledger.homeCount {
      let origin = OriginIndex(UInt32(home))
      let fills = ledger.unpublished(origin)
      if fills > 0, isPublisher(of: origin) { count += fills }
    }
    return count
  }

  /// Puts what is due into the open batch; what does not fit waits for the next turn. It never takes more than one
  /// batch, and one that nobody else needs only now and then.
  mutating func publish(_ now: LogicalTime) {
    let count = unpublished
    guard count > 0, isReady else { return }
    let isDue = now.monotonicMicroseconds >= publisher.restsUntilMicroseconds || count >= Publisher.restEntriesMax
    guard isDue || !open.isEmpty else { return }
    let room = Int(clamping: UInt64(configuration.tentativeEntriesMax)) - Int(clamping: sequencer.tentative) - openCount
    var left = min(Limits.publishedPerTurnMax, room)
    guard left > 0 else { return }
    for attestation in publisher.pending.prefix(left) {
      guard write(.checkpoint(asSaid(attestation)), now) else { return }
      left -= 1
    }
    for home in 0..<ledger.homeCount where left > 0 {
      let origin = OriginIndex(UInt32(home))
      guard ledger.unpublished(origin) > 0, isPublisher(of: origin) else { continue }
      for fill in ledger.unpublished(origin, atMost: left) {
        guard write(.fill(fill), now) else { return }
        left -= 1
      }
    }
  }

  /// Puts one entry into the open batch.
  /// - Returns: false if it does not fit.
  private mutating func write(_ payload: Payload, _ now: LogicalTime) -> Bool {
    var next = clock
    let stamp = next.next(nowMilliseconds: now.wallMilliseconds)
    guard open.canTake(stamp: stamp) else { return false }
    clock = next
    open.append(Entry(stamp: stamp, payload: payload))
    publisher.wrote(nowMicroseconds: now.monotonicMicroseconds)
    return true
  }

  /// A batch has come into the own log.
  mutating func notePublished(_ batch: Batch) {
    for entry in batch.entries {
      if case .command = entry.payload { continue }
      publisher.published(entry, &ledger)
    }
  }
}
