import EventLog
import Gossip
import OrderBook
import Primitives

/// Checkpoints as final entries pass their boundaries, and what members say of them.
extension Replica {
  /// Checkpoints closed in one step: each hashes what has changed in a second.
  static let checkpointsPerStepMax = 256
  /// Brings the book to a boundary, on its copy. No origin's place is that high, so no entry and no tombstone is meant.
  private static let nobody = OriginIndex(UInt32(Limits.originsMax))

  // MARK: Reading

  /// The checkpoints that are kept.
  public var checkpoints: CheckpointList { keeper.list }

  /// The newest checkpoint that members attest, since it holds more than fills and attestations; 0 if there is none.
  public var newestAttestedNumber: UInt64 { keeper.newestAttested }

  var newestAttestedCheckpoint: Checkpoint? {
    guard newestAttestedNumber > 0, case .kept(let checkpoint) = keeper.list.find(newestAttestedNumber) else {
      return nil
    }
    return checkpoint
  }

  /// Members of the view that agree with this checkpoint, by what they attested of it or of a later one.
  ///
  /// - Complexity: O(members).
  public func attesters(of number: UInt64) -> [OriginIndex] {
    view.members.filter { keeper.attested(by: $0) >= number }
  }

  /// More than half of the members agree with it.
  public func isAttestedByMajority(_ number: UInt64) -> Bool {
    attesters(of: number).count >= view.majority
  }

  public func isAttestedByAll(_ number: UInt64) -> Bool {
    attesters(of: number).count == view.members.count
  }

  /// Nothing waits: not to become final, not to be closed, not to be published. Then nothing more is written unless
  /// somebody asks for something.
  public var isAtRest: Bool {
    sequencer.tentative == 0 && keeper.interval.number == nil && unpublished == 0 && resubmitter.isDone
  }

  // MARK: Closing

  /// Makes final what lies up to `stamp`, second by second, and closes each second that is over by then.
  ///
  /// A second's entries are applied before anything later, so mostly nothing has to be taken back for the hash. What
  /// was applied tentatively before its boundary was final is, and is put back at once.
  /// - Parameter stamp: everything at or before it that is not applied yet may be applied for good.
  /// - Returns: false if there was too much for one step: then nothing beyond may be applied or made final before the
  ///   next.
  mutating func closeCheckpoints(through stamp: Stamp, _ effects: inout [Effect]) -> Bool {
    var closed = 0
    let applied = sequencer.counters.applications
    while let number = keeper.interval.number ?? sequencer.oldestOpenSecond, stamp >= Checkpoint.lastStamp(number) {
      let last = Checkpoint.lastStamp(number)
      apply(through: last)
      finalizeApplied(through: last, &effects)
      guard sequencer.appliedReach(of: last) == last else { return false }
      if keeper.interval.number == number { closeCheckpoint(&effects) }
      closed += 1
      let spent = sequencer.counters.applications - applied
      if closed == Self.checkpointsPerStepMax || spent >= UInt64(Self.applicationsPerStepMax) { return false }
    }
    return true
  }

  private mutating func closeCheckpoint(_ effects: inout [Effect]) {
    guard let number = keeper.interval.number else { return }
    let boundary = Checkpoint.boundary(number)
    let includesTail = configuration.defects.contains(.checkpointIncludesTentative)
    let isSnapshotDue = isSnapshotDue(number)
    let cluster = configuration.cluster
    var snapshot: PieceWriter?
    let bookHash = sequencer.withFinalBook(includesTail: includesTail) { engine in
      if isSnapshotDue { snapshot = ReplicaState.writeBook(engine, cluster: cluster) }
      return Self.bookHash(at: boundary, of: &engine)
    }
    let (checkpoint, isAttested, differences) = keeper.close(bookHash: bookHash, sha)
    if isAttested { publisher.mustAttest(checkpoint) }
    if let before = configuration.checkpoint, before.number == number, before != checkpoint {
      effects.append(.notice(.checkpointChanged(number: number, before: before.hash, now: checkpoint.hash)))
    }
    for difference in differences { contradicted(by: difference, entry: .none, &effects) }
    if let snapshot { finishWriting(snapshot, of: checkpoint) }
    if hasRecovered {
      var writer = ByteWriter(reserving: 160)
      checkpoint.write(to: &writer)
      // It goes with the next commit; nothing waits for it.
      effects.append(.persist(key: RecordKey.checkpoint, value: writer.bytes))
      effects.append(.keepCheckpoints(keeper.list))
    }
  }

  /// Hash of the book without the orders that are due at a boundary: as if an entry stamped there had come.
  package static func bookHash(at boundary: Stamp, of engine: inout MatchingEngine) -> Hash256 {
    guard engine.hasDueOrders(asOf: boundary) else { return engine.bookHash() }
    let mark = engine.journalMark
    var tape = EventTape()
    engine.apply(
      nil, at: Dot(origin: nobody, sequence: engine.appliedSequence(nobody) + 1), stamp: boundary, into: &tape)
    let hash = engine.bookHash()
    engine.rollback(to: mark)
    return hash
  }

  /// Whether the open second is over by this node's clock but not final yet: then promises go on as if something were
  /// tentative, else an idle cluster would never close it.
  func awaitsCheckpoint(_ now: LogicalTime) -> Bool {
    guard let number = keeper.interval.number else { return false }
    // What would be promised.
    var present = clock
    return Checkpoint.lastStamp(number) <= present.advance(nowMilliseconds: now.wallMilliseconds)
  }

  // MARK: Final entries

  /// What has just become final goes into its checkpoint; fills, and what members say of fills and checkpoints, are
  /// compared.
  /// - Parameter first: place in the final run.
  mutating func takeFinal(from first: Int, _ effects: inout [Effect]) {
    for index in first..<sequencer.finalRun.items.count {
      let item = sequencer.finalRun.items[index]
      // Only who is broken on purpose applies an entry below what is closed.
      if item.entry.stamp <= keeper.closedThrough, !configuration.defects.isEmpty { continue }
      keeper.take(item.dot, item.entry)
      for event in sequencer.finalRun.events(at: index) {
        guard case .filled(let fill) = event else { continue }
        let attestation = FillAttestation(fill)
        if leavesOut(item.dot, attestation) { continue }
        keeper.take(attestation)
        if !skips(fill) { ledger.derive(attestation) }
      }
      switch item.entry.payload {
      case .command: break
      case .fill(let fill):
        let finding = ledger.compare(fill, isOwn: item.dot.origin == me)
        if finding == .wrong, health.state.serves { noticeFill(item.dot, item.entry.stamp, fill, &effects) }
      case .checkpoint(let attestation):
        if let difference = keeper.compare(attestation, by: item.dot.origin) {
          contradicted(by: difference, entry: item.dot, &effects)
        }
      }
    }
  }

  /// Once for each second: somebody who is wrong is so many times.
  private mutating func noticeFill(
    _ dot: Dot, _ stamp: Stamp, _ fill: FillAttestation, _ effects: inout [Effect]
  ) {
    guard noticedFillSecond != stamp.second else { return }
    noticedFillSecond = stamp.second
    effects.append(.notice(.fillDiffers(entry: dot, fill)))
  }

  mutating func noticeMissingFills(_ now: LogicalTime, _ effects: inout [Effect]) {
    for fill in ledger.takeMissing(viewStamp, nowMicroseconds: now.monotonicMicroseconds) {
      effects.append(.notice(.fillMissing(fill)))
    }
  }
}

extension Sequencer {
  /// Number of the checkpoint in which the oldest visible entry will be that is not final; nil if all are.
  /// - Complexity: O(origins).
  var oldestOpenSecond: UInt64? {
    if let first = tail.first { return Checkpoint.number(closing: first.key.stamp) }
    return oldestUnapplied.map { Checkpoint.number(closing: $0) }
  }
}
