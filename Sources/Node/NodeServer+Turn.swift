import Client
import EventLog
import Glibc
import Gossip
import NIOCore
import Primitives
import Replica
import Storage
import Transport
import Wire

/// The turn: inputs in, effects out, one commit for all of it.
extension NodeServer {
  /// Gives the replica one input; its effects are carried out at the end of the turn.
  func input(_ input: Input) {
    guard !isStartingAnew else { return }
    replica.step(input, now: Self.now(), &effects)
    scheduleTurn()
  }

  func scheduleTurn() {
    guard !isTurnScheduled else { return }
    isTurnScheduled = true
    // Runs when everything that is readable now has been read.
    loop.execute { [self] in turn() }
  }

  func turn() {
    isTurnScheduled = false
    guard !hasStopped, !hasFailed, !isStartingAnew else { return }
    let started = NIODeadline.now()
    replica.step(.flush, now: Self.now(), &effects)
    let stepped = NIODeadline.now()
    carryOut()
    history.endTurn(final: replica.finalStamp, isWaiting: replica.isBusy)
    collectFinal()
    watchHealth()
    serveReads()
    serveInspections()
    let ended = NIODeadline.now()
    if ended - started > .milliseconds(Self.longTurnMilliseconds) {
      logger.info(
        "long turn",
        metadata: [
          "step_ms": "\((stepped - started).nanoseconds / 1_000_000)",
          "effects_ms": "\((ended - stepped).nanoseconds / 1_000_000)",
          "commit_ms": "\(figures.lastCommitMicroseconds / 1000)",
        ])
    }
    flushTouched()
  }

  /// What was said leaves now.
  func flushTouched() {
    // A flush may tell this node something, which makes it say more.
    let count = touched.count
    for index in 0..<count { touched[index].flush() }
    touched.removeFirst(count)
  }

  func tick() {
    guard !isStopping, !isStartingAnew else { return }
    // Before the turn, which may sync for long: the loop has just read what there was.
    closeSilentConnections()
    replica.step(.tick, now: Self.now(), &effects)
    turn()
    writeAuditIfDue()
    keepSnapshots()
    scrubLog()
    publishMarket()
    flushTouched()
  }

  /// Carries out effects in order. A commit's own effects join the end of the queue, so this goes on until nothing is
  /// left to do; what waits for a commit goes right behind it.
  private func carryOut() {
    var index = 0
    while index < effects.count, !hasStopped, !hasFailed, !isStartingAnew {
      let effect = effects[index]
      index += 1
      guard gate.admit(effect) else { continue }
      switch effect {
      case .append(let batch): pendingBatches.append(batch)
      case .void(let origin, let sequence): pendingEnds.append((origin, sequence))
      case .persist(let key, let value): pendingRecords.append((key, value))
      case .keepCheckpoints(let list): pendingCheckpoints = list
      case .commit(let number): commit(number)
      default: perform(effect)
      }
    }
    effects.removeAll(keepingCapacity: true)
  }

  private func commit(_ number: CommitNumber) {
    // What waits for no commit, or for an earlier one, need not wait for this sync.
    flushTouched()
    let started = NIODeadline.now()
    do throws(StoreError) {
      try store.commit(
        batches: pendingBatches, ends: pendingEnds, records: pendingRecords, checkpoints: pendingCheckpoints)
    } catch {
      // After a failed sync nobody knows what is on disk: going on could acknowledge what is not.
      fail("the log cannot be written: \(error)")
      effects.removeAll()
      gate.dropAll()
      return
    }
    if !pendingBatches.isEmpty { lastAppend = .now() }
    figures.committed(microseconds: UInt64((NIODeadline.now() - started).nanoseconds / 1000))
    pendingBatches.removeAll(keepingCapacity: true)
    pendingEnds.removeAll(keepingCapacity: true)
    pendingRecords.removeAll(keepingCapacity: true)
    pendingCheckpoints = nil
    for effect in gate.open(through: number) { perform(effect) }
    replica.step(.committed(number), now: Self.now(), &effects)
  }

  private func perform(_ effect: Effect) {
    switch effect {
    case .append, .void, .persist, .keepCheckpoints, .commit: preconditionFailure("handled by carryOut")
    case .send(let peer, let message, _): send(message, to: peer)
    case .serve(let peer, let range): serve(range, to: peer)
    case .keepSnapshot(let snapshot): snapshotUnderWay = (snapshot, 0)
    case .servePiece(let peer, let info, let offset): servePiece(of: info, at: offset, to: peer)
    case .install(let snapshot, let ends, let records): install(snapshot, ends: ends, records: records)
    case .dial(let address): dial(address)
    case .disconnect(let peer, let reason): link(peer)?.abort(reason: reason)
    case .accepted(let session, let firstRequest, let first, let stamps, _):
      figures.accepted += UInt64(stamps.count)
      sessions[session]?.say(
        .accepted([AcceptedRun(firstRequest: firstRequest, firstDot: first, stamps: stamps)]))
    case .refused(let session, let firstRequest, let count, let reason):
      sessions[session]?.say(
        .refused(RefusedRun(firstRequest: firstRequest, count: count, refusal: reason.refusal)))
    case .report(let session, let reports, _): sessions[session]?.say(reports)
    case .readLog(let reading): read(reading)
    case .mendLog(let hole, let batches): mend(hole, batches)
    case .dropSnapshots(let number): dropSnapshots(after: number)
    case .notice(let notice):
      if case .injected(let flip) = notice { injected = "\(flip)" }
      if configuration.diesAt == .decided, history.isAdmitted(by: notice) { die() }
      history.note(notice)
      log(notice)
    case .halt(let reason): fail(reason)
    case .left:
      logger.notice("this node has left the cluster")
      stopNow(nil)
    }
  }

  private func log(_ notice: Notice) {
    switch notice {
    case .bookMismatch, .fork, .attestationDiffers, .checkpointChanged, .checkpointContradicted, .fillDiffers,
      .badSnapshot, .finding:
      logger.error("\(notice)")
    case .badBatch, .badSignature, .badWord, .badAddress, .quarantined, .unbelieved, .unprovenClaim, .gaveUp, .sealed,
      .voided, .diskLost, .fillMissing, .voidTailLost, .injected:
      logger.warning("\(notice)")
    case .deepRollback, .entered, .resubmitted, .needsSnapshot, .fetchesSnapshot: logger.notice("\(notice)")
    case .suspected, .heardAgain, .wedged: logger.info("\(notice)")
    }
  }

  /// As a crash would, for those who want to see what the others make of it.
  private func die() -> Never {
    kill(getpid(), SIGKILL)
    // The signal may take a moment; nothing may be said meanwhile.
    while true { pause() }
  }

  // MARK: To peers

  func link(_ peer: PeerIndex) -> Connection? { peer.int < links.count ? links[peer.int] : nil }

  func send(_ message: PeerMessage, to peer: PeerIndex) {
    guard let link = link(peer) else { return }
    // What it asks of a sponsor shows that it has just taken the join mutex.
    if configuration.diesAt == .lease, case .view(let said) = message, case .join = said.message {
      die()
    }
    figures.messagesSent += 1
    if case .batch(let sealed) = message {
      // The same batch goes to several peers: encode its frame once.
      if batchFrame?.signature != sealed.signature {
        batchFrame = (sealed.signature, frame(message))
      }
      if let buffer = batchFrame?.buffer {
        figures.bytesSent += UInt64(buffer.readableBytes)
        link.write(buffer)
      }
    } else {
      let buffer = frame(message)
      figures.bytesSent += UInt64(buffer.readableBytes)
      link.write(buffer)
    }
    touched.append(link)
  }

  private func frame(_ message: PeerMessage) -> ByteBuffer {
    let body = message.body
    var buffer = ByteBufferAllocator().buffer(capacity: body.count + Frame.headerByteCount)
    buffer.writeFrame(type: message.frameType, body: body)
    return buffer
  }

  /// Answers a request from memory if it reaches back that far, else from the store.
  private func serve(_ range: LogRange, to peer: PeerIndex) {
    guard link(peer) != nil else { return }
    var through = range.from - 1
    if let recent = replica.recentBatches(range, bytesMax: Limits.deltaBytesPerRoundMax) {
      for batch in recent {
        send(.batch(batch.sealed), to: peer)
        through = batch.lastSequence
      }
    } else if let base = store.base(of: range.origin)?.head.sequence, range.from <= base {
      return send(.snapshot(.compacted(origin: range.origin, through: base)), to: peer)
    } else {
      do throws(StoreError) {
        let stored = try store.batches(
          of: range.origin, from: range.from, through: range.through, bytesMax: Limits.deltaBytesPerRoundMax)
        for sealed in stored {
          send(.batch(sealed), to: peer)
          if let header = try? BatchHeader(canonicalBytes: sealed.bytes) { through = header.lastSequence }
        }
      } catch {
        logger.error("the log cannot be read: \(error)")
      }
    }
    send(.served(origin: range.origin, through: through), to: peer)
  }
}

extension RefusalReason {
  var refusal: RequestRefusal {
    switch self {
    case .notReady:
      RequestRefusal(
        .notReady,
        "this node is starting and has not heard from the others, or sends again what it took before it was sealed; "
          + "try again in a second")
    case .tailFull:
      RequestRefusal(
        .tailFull, "too many entries are tentative: finality has stopped; is a majority of members running?")
    case .stampAhead:
      RequestRefusal(.stampAhead, "the stamp to follow is ahead of this node's time; is a clock wrong?")
    case .rebuilding: .rebuilding
    }
  }
}

extension RequestRefusal {
  static var rebuilding: RequestRefusal {
    RequestRefusal(
      .rebuilding,
      "this node found that its book is wrong and makes it anew from its log; send it to another node, and see "
        + "`rialto findings`")
  }
}

/// Running totals for the status.
struct NodeFigures {
  var accepted: UInt64 = 0
  var messagesSent: UInt64 = 0
  var bytesSent: UInt64 = 0
  var commits: UInt64 = 0
  var lastCommitMicroseconds: UInt64 = 0
  private var recent: [UInt64] = []
  private var next = 0
  static let recentMax = 1_024

  mutating func committed(microseconds: UInt64) {
    commits += 1
    lastCommitMicroseconds = microseconds
    if recent.count < Self.recentMax { recent.append(microseconds) } else { recent[next] = microseconds }
    next = (next + 1) % Self.recentMax
  }

  /// Commit time of the last commits at `share` per mille.
  func commitMicroseconds(perMille share: Int) -> UInt64 {
    guard !recent.isEmpty else { return 0 }
    let sorted = recent.sorted()
    return sorted[min(sorted.count - 1, sorted.count * share / 1000)]
  }
}
