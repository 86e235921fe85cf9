import EventLog
import Membership
import OrderBook
import Primitives

/// What was written past the end of a sealed log is void; what of it can be sent again, this node sends again by
/// itself.
///
/// As a new origin, before it takes any client's request, in log order: limit orders that are good till cancelled or
/// till a date, under the first dot that they ever had, and cancels. Of everything else the clients are told that it is
/// rejected. Entries and how far it has come are in one commit, so nothing is left out and nothing is written twice.
/// - Source: Docs, "Sealing"; `Tests/Model/resubmission.pml`.
extension Replica {
  private enum Fate {
    case again(Command)
    case rejected
    /// Of what nobody waits for: fills and attestations are published anew.
    case nothing
  }

  /// Whether this node has written a log, as the member that it is or as one that it was before.
  func isOwn(_ origin: OriginIndex) -> Bool {
    origin == membership.former || register[origin]?.publicKey == signatures.publicKey
  }

  /// The tail that was cut off belongs to this node's own log.
  mutating func wasVoided(_ batches: [Batch], _ effects: inout [Effect]) {
    if let given = resubmitter.sealed(batches) {
      effects.append(.notice(.voidTailLost(given.origin, entries: given.last + 1 - given.next)))
    }
    persistResubmission(&effects)
  }

  private mutating func persistResubmission(_ effects: inout [Effect]) {
    let record = ViewRecord.resubmission(resubmitter.record)
    effects.append(.persist(key: record.key.rawValue, value: record.bytes))
    isCommitDue = true
  }

  mutating func recoverVoid(_ batch: Batch) {
    precondition(!hasRecovered)
    if configuration.defects.contains(.forgetsVoidTail) { return }
    resubmitter.recover(batch)
  }

  /// After the log has been read.
  mutating func noticeLostVoidTail(_ effects: inout [Effect]) {
    let missing = resubmitter.missing
    guard missing > 0, !configuration.defects.contains(.forgetsVoidTail), let origin = resubmitter.origin else {
      return
    }
    effects.append(.notice(.voidTailLost(origin, entries: missing)))
  }

  /// A step of it: so many entries that no turn is long, and no more than may be tentative. What it writes is in the
  /// open batch, or sealed in this turn; the record joins the same commit.
  mutating func resubmit(_ now: LogicalTime, _ effects: inout [Effect]) {
    guard !resubmitter.isDone, me != nil, isPastCeiling, isConfirmed, membership.holdsBase else { return }
    var room = Int(clamping: UInt64(configuration.tentativeEntriesMax)) - Int(clamping: sequencer.tentative)
    var count = 0
    while count < configuration.resubmittedPerTurnMax, room > 0, let (dot, entry) = resubmitter.next {
      let outcome = settle(dot, entry, now)
      resubmitter.advance(outcome)
      count += 1
      if outcome == .again { room -= 1 }
    }
    let isOver = resubmitter.next == nil
    guard count > 0 || isOver, let origin = resubmitter.origin else { return }
    if isOver {
      effects.append(.notice(.resubmitted(origin, again: resubmitter.again, told: resubmitter.told)))
      resubmitter.finishTail()
    }
    persistResubmission(&effects)
  }

  /// Sends one entry again, or tells its client why not.
  private mutating func settle(_ dot: Dot, _ entry: Entry, _ now: LogicalTime) -> Resubmitter.Outcome {
    switch fate(of: dot, entry) {
    case .nothing: return .nothing
    case .rejected:
      desk.reject(dot, .sealed)
      return .told
    case .again(let command):
      var next = clock
      if !HybridClock.isQuarantined(command.targetStamp, nowMilliseconds: now.wallMilliseconds) {
        next.merge(command.targetStamp)
      }
      let stamp = next.next(nowMilliseconds: now.wallMilliseconds)
      if case .order(let order) = command, order.expiry != .zero, order.expiry <= stamp {
        desk.expired(dot, openLots: order.quantityLots)
        return .told
      }
      clock = next
      if !open.canTake(stamp: stamp) { sealOpenBatch() }
      guard let me else { preconditionFailure("only a member writes") }
      desk.rename(dot, to: Dot(origin: me, sequence: open.nextSequence))
      open.append(Entry(stamp: stamp, payload: .command(command)))
      openCount += 1
      return .again
    }
  }

  private func fate(of dot: Dot, _ entry: Entry) -> Fate {
    guard case .command(let command) = entry.payload else { return .nothing }
    switch command {
    case .order(var order):
      guard order.isResubmittable else { return .rejected }
      if order.firstDot.isNone, !configuration.defects.contains(.forgetsFirstDot) { order.firstDot = dot }
      return .again(.order(order))
    case .cancel(var cancel):
      if case .dot(let target) = cancel.target { cancel.target = .dot(resubmitter.firstDot(of: target)) }
      return .again(.cancel(cancel))
    case .instrument, .amend, .cancelAll: return .rejected
    }
  }
}

extension Order {
  /// Whether a node sends it again that was sealed away before it was final: a limit order that may rest. Whatever else
  /// there is was meant for the moment in which it was sent.
  public var isResubmittable: Bool {
    type == .limit && (timeInForce == .goodTillCancel || timeInForce == .goodTillDate)
  }
}
