import EventLog
import OrderBook
import Primitives

/// Requests of clients become entries of this node's log.
extension Replica {
  mutating func submit(_ submission: Submission, _ now: LogicalTime, _ effects: inout [Effect]) {
    let count = submission.commands.count
    guard count > 0 else { return }
    func refuse(_ reason: RefusalReason) {
      effects.append(.refused(submission.session, firstRequest: submission.firstRequest, count: count, reason))
    }
    guard health.state.serves || configuration.defects.contains(.servesWhileRebuilding) else {
      return refuse(.rebuilding)
    }
    guard isReady, let me else { return refuse(.notReady) }
    guard sequencer.tentative + UInt64(openCount + count) <= UInt64(configuration.tentativeEntriesMax) else {
      return refuse(.tailFull)
    }
    let latest = submission.commands.reduce(submission.after) { max($0, $1.targetStamp) }
    guard !HybridClock.isQuarantined(latest, nowMilliseconds: now.wallMilliseconds) else { return refuse(.stampAhead) }
    clock.merge(latest)

    let first = Dot(origin: me, sequence: open.nextSequence)
    var stamps: [Stamp] = []
    stamps.reserveCapacity(count)
    for command in submission.commands {
      let stamp = clock.next(nowMilliseconds: now.wallMilliseconds)
      if !open.canTake(stamp: stamp) { sealOpenBatch() }
      if submission.wantsReports {
        desk.follow(
          Dot(origin: me, sequence: open.nextSequence), session: submission.session, isOrder: command.isOrder)
      }
      open.append(Entry(stamp: stamp, payload: .command(command)))
      stamps.append(stamp)
    }
    openCount += count
    effects.append(
      .accepted(
        submission.session, firstRequest: submission.firstRequest, first: first, stamps: stamps, after: nextCommit))
  }

  /// Hashes and signs the open batch; it is appended and offered when the turn ends.
  mutating func sealOpenBatch() {
    guard !open.isEmpty, let me else { return }
    let isPoor = configuration.defects.contains(.codecLosesDisplay)
    let bytes = isPoor ? open.bytesWithoutDisplay() : open.canonicalBytes()
    let hash = HashChain.link(previous: sequencer.logs[me.int].held.hash, bytes: bytes, sha)
    let head = Head(sequence: open.nextSequence - 1, hash: hash)
    let message = HashChain.signedHead(
      cluster: configuration.cluster, origin: register.origins[me.int].origin, view: view.number, head: head)
    let batch = Batch(
      origin: me, firstSequence: open.firstSequence, entries: open.entries, bytes: bytes, hash: hash,
      view: view.number, signature: signatures.sign(message))
    sequencer.append(batch)
    ownSealed.append(batch)
    notePublished(batch)
    open = BatchBuilder(origin: me, firstSequence: batch.lastSequence + 1)
    openCount = 0
  }
}

extension Command {
  var isOrder: Bool {
    switch self {
    case .order: true
    case .instrument, .cancel, .amend, .cancelAll: false
    }
  }

  /// A stamp that this command must be later than; zero if it names none.
  var targetStamp: Stamp {
    switch self {
    case .cancel(let cancel): cancel.targetStamp
    case .amend(let amend): amend.targetStamp
    case .order, .instrument, .cancelAll: .zero
    }
  }
}
