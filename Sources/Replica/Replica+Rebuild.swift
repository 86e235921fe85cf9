import EventLog
import Gossip
import Membership
import OrderBook
import Primitives

/// Makes the book a second time from the log: to see whether it is what it should be, or to take its place.
extension Replica {
  // MARK: Reading

  mutating func begin(_ purpose: Rebuild.Purpose, _ effects: inout [Effect]) {
    health.rebuilds += 1
    health.isReading = true
    health.wantsCheck = false
    rebuild = nil
    if purpose == .check { health.state = .suspect }
    let good = purpose == .check ? newestAttestedByMajority : health.lastGood
    var bases = snapshots.kept.filter { $0.number <= good && $0.entries <= finalEntries }
    // What failed once is tried from further back.
    if configuration.defects.contains(.believesRebuild) { bases = snapshots.kept }
    if purpose == .repair, health.attempts > 0 { bases.removeLast(min(bases.count, Int(health.attempts))) }
    if purpose == .repair {
      changeCurrent(&effects) {
        $0.state = .rebuilding
        $0.attempts += 1
      }
    }
    effects.append(
      .readLog(
        LogReading(
          rebuild: health.rebuilds, isStart: true, snapshots: bases.reversed(), entriesMax: Rebuild.entriesPerStep)))
  }

  public var finalEntries: UInt64 { sequencer.logs.indices.reduce(0) { $0 + sequencer.logs[$1].final } }

  mutating func receive(_ piece: LogPiece, _ now: LogicalTime, _ effects: inout [Effect]) {
    guard health.isReading, piece.rebuild == health.rebuilds else { return }
    if piece.isBaseless {
      health.isReading = false
      // The log does not reach back far enough, and no snapshot is left: others have one.
      snapshots.isWanted = health.state == .rebuilding
      if health.state == .suspect { return endCheck(passed: nil, now, &effects) }
      health.nextAttemptMicroseconds = now.monotonicMicroseconds + HealthDesk.attemptPauseMicroseconds
      return
    }
    var made = rebuild.take() ?? makeRebuild(piece.base)
    if !made.isAtTarget || !made.isEnd { made.take(piece) }
    if !made.advance(keeper.list) {
      rebuild = consume made
      return readOn(0, &effects)
    }
    guard made.isEnd else {
      rebuild = consume made
      return readOn(Rebuild.entriesPerStep, &effects)
    }
    guard made.isAtTarget else {
      health.isReading = false
      return lacksLog(made.damages, now, &effects)
    }
    switch made.purpose {
    case .check:
      health.isReading = false
      if let (mine, theirs) = made.firstDiffering {
        return becomeUnsound(.replayDiffers, now, &effects) { finding in
          finding.checkpoint = theirs.number
          finding.mine = theirs.hash
          finding.theirs = mine.hash
        }
      }
      // At rest, no checkpoint says what the book is.
      if !health.wrongDigests.isEmpty, sequencer.tail.isEmpty, sequencer.finalKey == made.sequencer.finalKey,
        made.sequencer.engine.bookHash() != bookHash()
      {
        return becomeUnsound(.replayDiffers, now, &effects) { _ in }
      }
      if let newest = health.wrongDigests.map(\.stamp).max(), keeper.closedThrough < newest,
        sequencer.finalKey != made.sequencer.finalKey
      {
        // Something has happened meanwhile: once more, when it is in a checkpoint.
        endCheck(passed: nil, now, &effects)
        health.wantsCheck = true
        return
      }
      endCheck(passed: true, now, &effects)
    case .repair:
      guard health.isComparable, !made.compareSome(sequencer.engine) else {
        health.isReading = false
        return install(made, now, &effects)
      }
      rebuild = consume made
      readOn(0, &effects)
    }
  }

  private func readOn(_ entries: Int, _ effects: inout [Effect]) {
    effects.append(
      .readLog(LogReading(rebuild: health.rebuilds, isStart: false, snapshots: [], entriesMax: entries)))
  }

  private func makeRebuild(_ base: StateBox?) -> Rebuild {
    Rebuild(
      number: health.rebuilds, purpose: health.state == .suspect ? .check : .repair, cluster: configuration.cluster,
      chainStarts: sequencer.logs.indices.map { sequencer.logs[$0].chainStart },
      target: sequencer.logs.indices.map { sequencer.logs[$0].final }, closedThrough: keeper.closedThrough,
      from: base?.take(), sha)
  }

  /// The replay of the own log is done, or could not be.
  private mutating func endCheck(passed: Bool?, _ now: LogicalTime, _ effects: inout [Effect]) {
    health.state = .sound
    health.nextCheckMicroseconds = now.monotonicMicroseconds + health.checkPauseMicroseconds
    health.checkPauseMicroseconds = min(2 * health.checkPauseMicroseconds, HealthDesk.checkPauseMicrosecondsMax)
    guard passed == true else { return }
    accuseAll(now, &effects)
  }

  // MARK: Taking its place

  private mutating func install(_ rebuilt: consuming Rebuild, _ now: LogicalTime, _ effects: inout [Effect]) {
    var rebuilt = consume rebuilt
    let run = rebuilt.sequencer.finalRun
    let difference = rebuilt.difference
    let areTablesWrong = rebuilt.firstDiffering != nil || rebuilt.keeper.fillsSoFar() != keeper.fillsSoFar()
    if !configuration.defects.contains(.rebuildsNothing) {
      sequencer.takeBook(of: &rebuilt.sequencer)
      swap(&keeper, &rebuilt.keeper)
      ledger = rebuilt.ledger
      if areTablesWrong {
        sequencer.finalRun = run
        sequencer.finalRun.anew = AppliedRun.Anew(
          above: rebuilt.equalThrough == 0 ? .zero : Checkpoint.lastStamp(rebuilt.equalThrough),
          entries: rebuilt.equalEntries)
      } else {
        // What was handed out before is so; the rest follows.
        let handedOut = finalEntries - min(finalEntries, health.untakenEntries)
        sequencer.finalRun = run.dropFirst(Int(handedOut - min(handedOut, rebuilt.equalEntries)))
      }
    }
    if let newest = keeper.list.newest {
      // What is on disk may be the damaged book's.
      var writer = ByteWriter(reserving: 160)
      newest.write(to: &writer)
      effects.append(.persist(key: RecordKey.checkpoint, value: writer.bytes))
      effects.append(.keepCheckpoints(keeper.list))
      isCommitDue = true
    }
    forgetReports(run)
    restartPublisher(rebuilt.attested)
    forgetBookHashes()
    nextExpiryCache = nil
    endedDueOrders = (0, .zero)
    noticedCheckpoint = nil
    changeCurrent(&effects) {
      $0.differences = difference.orders
      $0.differencesTotal = difference.total
    }
    awaitProof()
    health.contraries.removeAll()
    for difference in rebuilt.differences { noteAgain(difference) }
    if configuration.defects.contains(.believesRebuild) || configuration.defects.contains(.rebuildsNothing) {
      becomeSound(now, &effects)
    }
  }

  /// What the own log says already is not said again, unless it was wrong.
  private mutating func restartPublisher(_ attested: some Sequence<Checkpoint>) {
    var through = me.map { keeper.attested(by: $0) } ?? 0
    if let me {
      var sequence = sequencer.logs[me.int].final + 1
      while sequence <= sequencer.logs[me.int].held.sequence, let entry = sequencer.logs[me.int].entry(at: sequence) {
        sequence += 1
        switch entry.payload {
        case .command: break
        case .fill(let fill): ledger.published(fill)
        case .checkpoint(let said):
          if case .kept(let checkpoint) = keeper.list.find(said.number), checkpoint.attestation == said {
            through = max(through, said.number)
          }
        }
      }
    }
    publisher.restart(attested, attestedThrough: through)
    if publisher.pending.isEmpty, let newest = newestAttestedCheckpoint, newest.number > through {
      publisher.restart([newest], attestedThrough: through)
    }
  }

  /// Clients follow their orders further if what they were told of them is so.
  private mutating func forgetReports(_ run: AppliedRun) {
    guard desk.count > 0 else { return }
    for index in run.items.indices {
      for event in run.events(at: index) {
        let (first, second) = OrderDesk.subjects(of: event)
        for dot in [first, second] {
          guard let dot else { continue }
          let order = sequencer.engine.order(dot)
          desk.forgetUnless(dot, openLots: order?.openLots, filledLots: order?.filledLots)
        }
      }
    }
  }

  // MARK: Proof

  /// The book is another one now, and is not believed before a majority attests what it leads to and its raw fields
  /// give its hash.
  mutating func awaitProof() {
    health.isProving = true
    health.provenNumber = keeper.newestAttested
    health.cursor.restart()
    health.provenPasses = health.cursor.passes + 1
    health.lastScrubMicroseconds = nil
  }

  mutating func prove(_ now: LogicalTime, _ effects: inout [Effect]) {
    // Everything final is applied: then it is where the others are.
    guard viewStamp >= gossip.frontier.final else { return }
    if health.cursor.passes < health.provenPasses {
      var damages: [BookDamage] = []
      _ = bookHash()
      sequencer.engine.scrub(&health.cursor, unitsMax: HealthDesk.scrubUnitsMax, &damages)
      guard damages.isEmpty else { return failAttempt(now, &effects) { _ in } }
      guard health.cursor.passes >= health.provenPasses else { return }
    }
    let others = view.members.count { $0 != me && keeper.attested(by: $0) >= health.provenNumber }
    let needed = view.majority - (me.map { view.contains($0) } == true ? 1 : 0)
    guard health.provenNumber == 0 || others >= needed else { return }
    becomeSound(now, &effects)
  }

  mutating func becomeSound(_ now: LogicalTime, _ effects: inout [Effect]) {
    health.state = .sound
    health.isProving = false
    health.attempts = 0
    health.cursor.restart()
    snapshots.isWanted = false
    changeCurrent(&effects) { $0.state = .repaired }
    health.current = nil
  }

  /// That was not it: once more, from further back; after some attempts a person has to look.
  mutating func failAttempt(
    _ now: LogicalTime, _ effects: inout [Effect], _ describe: (inout Finding) -> Void
  ) {
    rebuild = nil
    health.isReading = false
    health.attempts += 1
    if health.isProving {
      health.isProving = false
      health.isComparable = false
      health.untakenEntries = UInt64(sequencer.finalRun.items.count)
      sequencer.finalRun.removeAll()
      restAgain()
    }
    let isOver = health.attempts >= HealthDesk.attemptsMax
    health.nextAttemptMicroseconds =
      now.monotonicMicroseconds + health.attempts * health.attempts * HealthDesk.attemptPauseMicroseconds
    if isOver { health.state = .unreconciled }
    changeCurrent(&effects) {
      describe(&$0)
      if isOver { $0.state = .unreconciled }
    }
  }

  /// The stored log does not reach as far as what is final: it is damaged.
  private mutating func lacksLog(_ damages: [LogDamage], _ now: LogicalTime, _ effects: inout [Effect]) {
    if health.state == .suspect { return endCheck(passed: nil, now, &effects) }
    // The scrubber of the log finds that too, and what is missing is fetched: then it is tried again.
    rebuild = nil
    health.lacks += 1
    if health.lacks >= HealthDesk.lacksMax { snapshots.isWanted = true }
    health.nextAttemptMicroseconds = now.monotonicMicroseconds + HealthDesk.attemptPauseMicroseconds
    changeCurrent(&effects) { finding in
      if let damage = damages.first { finding.entry = Dot(origin: damage.origin, sequence: damage.sequence) }
    }
  }
}

// MARK: Damage on purpose

extension Replica {
  mutating func inject(_ damage: DamageKind, _ effects: inout [Effect]) {
    guard health.state.serves else { return }
    switch damage {
    case .flipBookBit(let seed):
      if let flip = sequencer.engine.flipBit(seed: seed) { effects.append(.notice(.injected(flip))) }
    case .skipFill: health.skipsNextFill = true
    }
  }

  /// Whether a fill that has just become final is left out, as was asked for.
  mutating func leavesOut(_ entry: Dot, _ fill: FillAttestation) -> Bool {
    guard health.skipsNextFill else { return false }
    health.skipsNextFill = false
    health.skipped = (entry, fill)
    return true
  }

  /// And from what the audit tables are made of.
  mutating func leaveOutSkippedFill() {
    guard let (entry, fill) = health.skipped else { return }
    health.skipped = nil
    guard let index = sequencer.finalRun.items.lastIndex(where: { $0.dot == entry }) else { return }
    sequencer.finalRun.removeEvent(at: index) {
      if case .filled(let one) = $0 { FillAttestation(one) == fill } else { false }
    }
  }
}
