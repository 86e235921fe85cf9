import EventLog
import Gossip
import Membership
import OrderBook
import Primitives

/// Looks after the replica itself: finds out whether its book is wrong, stops serving if it is, and is back when it is
/// proven equal. <doc:Integrity> has the whole of it.
extension Replica {
  // MARK: Reading

  public var healthState: Health { health.state }
  public var findings: FindingLog { health.findings }

  /// How far the scrubber is with its present pass, of 1,000; whole passes; and when the last one ended, in wall-clock
  /// milliseconds.
  public var scrubProgress: (perMille: Int, passes: UInt64, endedMilliseconds: UInt64?) {
    let units = max(1, sequencer.engine.scrubUnits)
    return (
      min(1_000, health.cursor.units * 1_000 / units), health.cursor.passes, health.passEndedMilliseconds
    )
  }

  /// Whether anything is done about damage: not if the book is damaged by design.
  private var looksAfterItself: Bool { configuration.defects.subtracting(.ofHealth).isEmpty }

  // MARK: Ticks

  /// After the log has been read: what was found before the restart is not forgotten by it. The book has just been made
  /// anew, so all that is missing is the proof.
  mutating func resumeHealth(_ effects: inout [Effect]) {
    // The log has been read whole, and what was damaged of it was left out, to be fetched again.
    for finding in health.findings.findings where finding.state.isOpen && finding.cause == .logDamage {
      change(finding.number, &effects) { $0.state = .repaired }
    }
    guard let open = health.findings.findings.last(where: { $0.state.isOpen && $0.cause.isOfBook }) else { return }
    health.state = .rebuilding
    health.current = open.number
    health.attempts = 0
    awaitProof()
  }

  mutating func tickHealth(_ now: LogicalTime, _ effects: inout [Effect]) {
    guard looksAfterItself else { return }
    let micros = now.monotonicMicroseconds
    judge(now, &effects)
    tickLogRepairs(now, &effects)
    switch health.state {
    case .sound, .suspect:
      scrub(now, isUrgent: health.mismatch != nil, &effects)
      if health.state == .sound, health.wantsCheck, micros >= health.nextCheckMicroseconds, mayCheck {
        begin(.check, &effects)
      }
    case .rebuilding:
      if health.isProving {
        prove(now, &effects)
      } else if rebuild == nil, !health.isReading, micros >= health.nextAttemptMicroseconds, isFinalDurable {
        begin(.repair, &effects)
      }
    case .unreconciled: break
    }
  }

  // MARK: Scrubbing

  private mutating func scrub(_ now: LogicalTime, isUrgent: Bool, _ effects: inout [Effect]) {
    guard configuration.scrubMicroseconds > 0, !configuration.defects.contains(.noScrub) else { return }
    let micros = now.monotonicMicroseconds
    let elapsed = min(micros - (health.lastScrubMicroseconds ?? micros), 100_000)
    health.lastScrubMicroseconds = micros
    let whole = UInt64(sequencer.engine.scrubUnits)
    guard whole > 0 else {
      // Nothing is there to be damaged.
      health.cursor.skip()
      return endPass(now, &effects)
    }
    // A little more than what a pass needs, as the book may grow meanwhile.
    let share = whole * elapsed * 9 / 8 / configuration.scrubMicroseconds + 1
    let units = isUrgent ? share * HealthDesk.hurry : share
    let passes = health.cursor.passes
    var damages: [BookDamage] = []
    sequencer.engine.scrub(
      &health.cursor,
      unitsMax: max(HealthDesk.scrubUnitsMin, min(Int(units), HealthDesk.scrubUnitsMax)), &damages)
    if let damage = damages.first {
      tellMismatch(passed: false, &effects)
      return becomeUnsound(.bookDamage, now, &effects) { finding in
        finding.damage = damage.kind
        finding.instrument = damage.instrument
        finding.side = damage.side
        finding.priceTicks = damage.priceTicks
        finding.orders = Array(damage.orders.prefix(Finding.ordersMax))
      }
    }
    if health.cursor.passes > passes { endPass(now, &effects) }
  }

  private mutating func endPass(_ now: LogicalTime, _ effects: inout [Effect]) {
    health.passEndedMilliseconds = now.wallMilliseconds
    guard let mismatch = health.mismatch, health.cursor.passes >= mismatch.afterPasses else { return }
    tellMismatch(passed: true, &effects)
    health.wrongDigests.append(mismatch)
    health.wantsCheck = true
  }

  /// Somebody has another book for the same entries: the whole book is looked at now, in slices.
  mutating func checkBook(against peer: PeerIndex, mine: Hash256, theirs: Hash256) {
    guard health.mismatch == nil, health.wrongDigests.isEmpty else { return }
    health.cursor.restart()
    health.mismatch = HealthDesk.Mismatch(
      peer: peer, origin: peers.origin(of: peer), mine: mine, theirs: theirs, stamp: clock.last,
      afterPasses: health.cursor.passes + 1)
  }

  /// Whether a replay would show what somebody else's digest is about: a checkpoint was closed since, or nothing has
  /// happened since.
  private var mayCheck: Bool {
    guard let newest = health.wrongDigests.map(\.stamp).max() else { return true }
    return keeper.closedThrough >= newest || sequencer.tail.isEmpty && sequencer.finalKey.stamp <= newest
  }

  private mutating func tellMismatch(passed: Bool, _ effects: inout [Effect]) {
    guard let mismatch = health.mismatch else { return }
    health.mismatch = nil
    effects.append(
      .notice(
        .bookMismatch(
          peer: mismatch.peer, mine: mismatch.mine, theirs: mismatch.theirs, selfCheckPassed: passed)))
  }

  // MARK: Who is wrong

  /// A member attests another checkpoint than was derived here.
  mutating func contradicted(
    by difference: CheckpointKeeper.Difference, entry: Dot, _ effects: inout [Effect]
  ) {
    // What this node said itself, before its book was made anew.
    guard difference.origin != me else { return }
    effects.append(.notice(difference.notice))
    note(difference, entry: entry)
  }

  private mutating func note(_ difference: CheckpointKeeper.Difference, entry: Dot) {
    guard difference.origin != me, !isOwn(difference.origin) else { return }
    health.contraries.append(
      HealthDesk.Contrary(
        number: difference.number, origin: difference.origin, mine: difference.mine, theirs: difference.theirs,
        entry: entry))
    if health.contraries.count > HealthDesk.contrariesMax { health.contraries.removeFirst() }
  }

  /// What members attest otherwise: if more than half of them say the same, this replica is wrong; if more than half
  /// say what it says, the others are; else it has to look.
  private mutating func judge(_ now: LogicalTime, _ effects: inout [Effect]) {
    guard !health.contraries.isEmpty, !health.isStopped else { return }
    let micros = now.monotonicMicroseconds
    if let contrary = majorityAgainst {
      health.contraries.removeAll()
      if health.state.serves {
        return becomeUnsound(.contradicted, now, &effects) { finding in
          finding.checkpoint = contrary.number
          finding.mine = contrary.mine
          finding.theirs = contrary.theirs
          finding.entry = contrary.entry
        }
      }
      return failAttempt(now, &effects) { finding in
        finding.checkpoint = contrary.number
        finding.mine = contrary.mine
        finding.theirs = contrary.theirs
      }
    }
    guard health.state.serves else { return }
    var kept: [HealthDesk.Contrary] = []
    for var contrary in health.contraries {
      let since = contrary.sinceMicroseconds ?? micros
      contrary.sinceMicroseconds = since
      if health.accused.contains(contrary.origin) { continue }
      if configuration.defects.contains(.accusesAtOnce) || isAttestedByMajority(contrary.number) {
        accuse(contrary, now, &effects)
        continue
      }
      if micros >= since + HealthDesk.patienceMicroseconds { health.wantsCheck = true }
      kept.append(contrary)
    }
    health.contraries = kept
  }

  /// What more than half of the members attest of one checkpoint, and is not what was derived here.
  private var majorityAgainst: HealthDesk.Contrary? {
    for (place, one) in health.contraries.enumerated().reversed() {
      var members: [OriginIndex] = []
      for other in health.contraries[...place] where other.number == one.number && other.theirs == one.theirs {
        if view.contains(other.origin), !members.contains(other.origin) { members.append(other.origin) }
      }
      if members.count >= view.majority { return one }
    }
    return nil
  }

  private mutating func accuse(_ contrary: HealthDesk.Contrary, _ now: LogicalTime, _ effects: inout [Effect]) {
    guard !health.accused.contains(contrary.origin) else { return }
    health.accused.append(contrary.origin)
    var finding = newFinding(.wrongAttestation, .accused, now)
    finding.origin = contrary.origin
    finding.checkpoint = contrary.number
    finding.mine = contrary.mine
    finding.theirs = contrary.theirs
    finding.entry = contrary.entry
    add(finding, &effects)
  }

  private mutating func accuseDigests(_ now: LogicalTime, _ effects: inout [Effect]) {
    for mismatch in health.wrongDigests {
      // Damage may be gone again, with its order, before it is in any checkpoint: then nobody is wrong any more. Who
      // differs again is.
      guard health.warned.contains(mismatch.origin) else {
        health.warned.append(mismatch.origin)
        continue
      }
      var finding = newFinding(.wrongDigest, .accused, now)
      finding.origin = mismatch.origin
      finding.mine = mismatch.mine
      finding.theirs = mismatch.theirs
      add(finding, &effects)
    }
    health.wrongDigests.removeAll()
  }

  /// Whoever said something else, this replica has replayed its log since and is right.
  mutating func accuseAll(_ now: LogicalTime, _ effects: inout [Effect]) {
    let contraries = health.contraries
    health.contraries.removeAll()
    for contrary in contraries { accuse(contrary, now, &effects) }
    accuseDigests(now, &effects)
  }

  mutating func noteAgain(_ difference: CheckpointKeeper.Difference) { note(difference, entry: .none) }

  /// Nothing tentative is on the book any more.
  mutating func restAgain() { takeBackTail(undoing: true) }

  // MARK: Findings

  func newFinding(_ cause: Finding.Cause, _ state: Finding.State, _ now: LogicalTime) -> Finding {
    Finding(number: health.findings.total + 1, cause: cause, state: state, nowMilliseconds: ownWallMilliseconds)
  }

  mutating func add(_ finding: Finding, _ effects: inout [Effect]) {
    health.findings.add(finding)
    tell(finding, &effects)
  }

  mutating func change(_ number: UInt64?, _ effects: inout [Effect], _ body: (inout Finding) -> Void) {
    guard let number, var finding = health.findings[number] else { return }
    body(&finding)
    finding.changedMilliseconds = max(ownWallMilliseconds, finding.noticedMilliseconds)
    health.findings[number] = finding
    tell(finding, &effects)
  }

  mutating func changeCurrent(_ effects: inout [Effect], _ body: (inout Finding) -> Void) {
    change(health.current, &effects, body)
  }

  private mutating func tell(_ finding: Finding, _ effects: inout [Effect]) {
    effects.append(.persist(key: RecordKey.findings, value: health.findings.bytes))
    isCommitDue = true
    effects.append(.notice(.finding(finding)))
  }

  // MARK: Stopping

  /// From here on nothing is served that rests on this book. The log is sound: beats and acks go on.
  mutating func becomeUnsound(
    _ cause: Finding.Cause, _ now: LogicalTime, _ effects: inout [Effect], _ describe: (inout Finding) -> Void
  ) {
    guard health.state.serves else { return }
    rebuild = nil
    health.isReading = false
    health.isComparable = cause != .bookDamage || areLinksSound
    takeBackTail(undoing: health.isComparable)
    health.state = .rebuilding
    health.attempts = 0
    health.lacks = 0
    health.isProving = false
    health.nextAttemptMicroseconds = 0
    health.lastGood = newestAttestedByMajority
    health.mismatch = nil
    health.wrongDigests.removeAll()
    // What others said was right, then.
    health.warned.removeAll()
    health.wantsCheck = false
    publisher.restart([], attestedThrough: publisher.attestedThrough)
    snapshots.making = nil
    // Of what is final and was not handed out, nothing is believed.
    health.untakenEntries = UInt64(sequencer.finalRun.items.count)
    sequencer.finalRun.removeAll()
    if snapshots.kept.contains(where: { $0.number <= health.lastGood }) {
      effects.append(.dropSnapshots(after: health.lastGood))
    }
    var finding = newFinding(cause, .rebuilding, now)
    describe(&finding)
    health.current = finding.number
    add(finding, &effects)
  }

  /// Whether every link of the book may be followed, as taking entries back does.
  private var areLinksSound: Bool {
    var cursor = ScrubCursor()
    var damages: [BookDamage] = []
    while cursor.passes == 0, damages.isEmpty { sequencer.engine.scrubLinks(&cursor, &damages) }
    return damages.isEmpty
  }

  private mutating func takeBackTail(undoing: Bool) {
    if desk.count > 0 {
      for place in stride(from: sequencer.tail.count - 1, through: 0, by: -1) {
        desk.undone(sequencer.tail[place].dot, events: Array(sequencer.events(ofTail: place)))
      }
    }
    sequencer.dropTail(undoing: undoing)
    forgetBookHashes()
  }

  /// The newest checkpoint with which more than half of the members agree; 0 if there is none.
  var newestAttestedByMajority: UInt64 {
    let numbers = view.members.map { keeper.attested(by: $0) }.sorted(by: >)
    return numbers.count >= view.majority ? numbers[view.majority - 1] : 0
  }

  private var isFinalDurable: Bool {
    sequencer.logs.indices.allSatisfy { sequencer.logs[$0].final <= sequencer.logs[$0].durable }
  }
}

extension Finding.Cause {
  /// The node's own book is in question.
  var isOfBook: Bool {
    switch self {
    case .bookDamage, .contradicted, .replayDiffers: true
    case .wrongAttestation, .wrongDigest, .logDamage, .equivocation: false
    }
  }
}
