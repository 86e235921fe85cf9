import Client
import EventLog
import Logging
import NIOCore
import OrderBook
import Primitives
import Replica
import Storage

/// What the node does for a replica that looks after itself: it reads the log a second time, and lets nobody read what
/// is not believed.
extension NodeServer {
  /// Between two pieces of the log, so that other work comes in between.
  private static let readPauseMicroseconds: Int64 = 1_000

  func read(_ reading: LogReading) {
    loop.scheduleTask(in: .microseconds(Self.readPauseMicroseconds)) { [self] in
      guard !isStopping, !hasFailed, !isStartingAnew else { return }
      input(.logRead(piece(reading)))
    }
  }

  private func piece(_ reading: LogReading) -> LogPiece {
    var piece = LogPiece(rebuild: reading.rebuild)
    do {
      if reading.isStart {
        piece.base = try base(of: reading.snapshots)
        piece.isBaseless = piece.base == nil && !store.logBase.isEmpty
        if piece.isBaseless { return piece }
        logReader = try StoredLogReader(
          store, chainStart: { [replica = self] in replica.chainStart(of: $0) }, base: piece.base?.bases ?? [])
      }
      var entries = 0
      while entries < reading.entriesMax {
        guard let batch = try logReader?.next() else {
          piece.isEnd = true
          break
        }
        entries += batch.entries.count
        piece.batches.append(batch)
      }
    } catch {
      logger.error("the log cannot be read a second time: \(error)")
      piece.isEnd = true
    }
    piece.damages = logReader?.damages ?? []
    if piece.isEnd { logReader = nil }
    return piece
  }

  /// The first snapshot that is what was written.
  private func base(of infos: [SnapshotInfo]) throws(StoreError) -> StateBox? {
    let origins = replica.viewValue.origins.count
    for info in infos where store.snapshots.contains(info) {
      let snapshot = try store.snapshot(info)
      do throws(CodecError) {
        return StateBox(try ReplicaState(info, snapshot.bytes, cluster: cluster, origins: origins))
      } catch {
        logger.error("snapshot \(info.number) is damaged and not used: \(error)")
      }
    }
    return nil
  }

  private func chainStart(of origin: OriginIndex) -> Hash256 {
    guard let registered = replica.registered(origin) else { return .zero }
    return HashChain.start(cluster: cluster, origin: registered.origin, SHA256())
  }

  // MARK: The stored log

  /// Of the stored log, what is held against its chain in one tick: when there is nothing else to do, and else.
  private static let scrubBytesIdle = 64 * 1024
  private static let scrubBytesBusy = 4 * 1024
  /// How often: 1.3 MB a second of an idle node, half a percent of a core.
  private static let scrubMilliseconds: Int64 = 50

  func scrubLog() {
    guard configuration.scrubMicroseconds > 0, !hasFailed, !isStartingAnew, !hasStopped else { return }
    let now = NIODeadline.now()
    guard now - lastLogScrub >= .milliseconds(Self.scrubMilliseconds) else { return }
    lastLogScrub = now
    let isIdle = now - lastBusy > .milliseconds(Self.auditIdleMilliseconds)
    do throws(StoreError) {
      let holes = try store.scrub(
        &logScrubber,
        start: { [self] origin in
          store.base(of: origin)?.head ?? Head(sequence: 0, hash: chainStart(of: origin))
        }, bytesMax: isIdle ? Self.scrubBytesIdle : Self.scrubBytesBusy)
      for hole in holes { input(.logDamaged(hole)) }
    } catch {
      logScrubber = LogScrubber()
      logger.error("the stored log cannot be read: \(error)")
    }
  }

  func mend(_ hole: LogHole, _ batches: [Batch]) {
    do throws(StoreError) {
      input(.logMended(hole, try store.mend(hole, batches)))
    } catch {
      fail("the log cannot be written: \(error)")
    }
  }

  func dropSnapshots(after number: UInt64) {
    do throws(StoreError) {
      for info in store.snapshots where info.number > number { try store.drop(info) }
    } catch {
      return fail("a snapshot cannot be dropped: \(error)")
    }
    if let under = snapshotUnderWay, under.snapshot.info.number > number { snapshotUnderWay = nil }
    input(.snapshotsKept(store.snapshots))
  }

  /// Some of what the audit tables say came from a book that was wrong: they are written anew from the whole log. A log
  /// that does not begin at its start cannot give them again; they keep what they have, and the log says so.
  func auditAnew(_ run: AppliedRun) {
    guard store.logBase.isEmpty else {
      logger.error(
        "audit tables may be wrong above \(run.anew?.above ?? .zero): the log does not reach back to write them anew")
      auditQueue.append(run)
      return
    }
    do throws(StoreError) {
      try store.eraseAudit()
    } catch {
      return fail("the audit tables cannot be erased: \(error)")
    }
    logger.notice("audit tables are written anew from the log")
    isStartingAnew = true
    loop.execute { [self] in beginAnew() }
  }

  // MARK: Clients

  /// Once the book is not believed, whoever follows it must ask another node.
  func watchHealth() {
    let now = replica.healthState
    guard now != health else { return }
    let served = health.serves
    health = now
    logger.notice("health", metadata: ["is": "\(now)"])
    guard served, !now.serves else { return }
    market.trades.removeAll()
    let followers = market.subscriptions.map(\.session)
    market.subscriptions.removeAll()
    for id in followers {
      sessions[id]?.drop("this node makes its book anew, and tells no market meanwhile; connect to another one")
    }
  }

  /// What may be answered whatever the book is.
  func mayAnswer(_ query: ClientQuery) -> Bool {
    if replica.healthState.serves { return true }
    return switch query {
    // A comparison shows what is wrong; it says with every answer what it is about.
    case .status, .peers, .fault, .findings, .inspect, .log: true
    case .book, .order, .openOrders, .trades, .instruments, .finality: false
    }
  }

  // MARK: Findings

  func findings() -> [NodeFinding] { replica.findings.findings.map { told($0) } }

  private func told(_ finding: Finding) -> NodeFinding {
    var told = NodeFinding(
      number: finding.number, cause: finding.cause.word, state: "\(finding.state)",
      noticedAt: finding.noticedMilliseconds, changedAt: finding.changedMilliseconds, text: "\(finding)")
    told.origin = finding.origin?.value
    told.checkpoint = finding.checkpoint
    if finding.checkpoint > 0 || finding.mine != finding.theirs {
      told.mine = finding.mine.description
      told.theirs = finding.theirs.description
    }
    told.damage = finding.damage.map { "\($0)" } ?? ""
    let instrument = instrument(finding.instrument)
    told.symbol = instrument?.symbol.description ?? ""
    told.side = finding.side.map { "\($0)" } ?? ""
    told.price = finding.priceTicks > 0 ? price(finding.priceTicks, of: instrument) : ""
    told.orders = finding.orders.map(\.description)
    told.entry = finding.entry.isNone ? "" : finding.entry.description
    told.attempts = finding.attempts
    told.differences = finding.differences.map { difference in
      NodeFinding.Difference(
        order: difference.dot.description, here: difference.here.map { order($0) },
        rebuilt: difference.other.map { order($0) })
    }
    told.differencesTotal = finding.differencesTotal
    return told
  }

  private func order(_ order: RestingOrder) -> NodeFinding.Side {
    let instrument = instrument(order.instrument)
    let ticks = order.priceTicks > 0 ? order.priceTicks : order.stopPriceTicks
    return NodeFinding.Side(
      symbol: instrument?.symbol.description ?? "", side: "\(order.side)", price: price(ticks, of: instrument),
      openLots: order.openLots, filledLots: order.filledLots)
  }

  private func instrument(_ dot: Dot) -> Instrument? {
    replica.withBook { book in book.instruments.first { $0.dot == dot }?.instrument }
  }

  /// A price in decimals; in ticks if the instrument is not known.
  private func price(_ ticks: Int64, of instrument: Instrument?) -> String {
    guard let tick = instrument?.tick else { return "\(ticks) ticks" }
    let (units, overflow) = UInt64(clamping: ticks).multipliedReportingOverflow(by: tick.mantissa)
    guard !overflow else { return "\(ticks) ticks" }
    let digits = Int(tick.scale)
    guard digits > 0 else { return "\(units)" }
    let text = String(repeating: "0", count: max(0, digits + 1 - "\(units)".count)) + "\(units)"
    return "\(text.dropLast(digits)).\(text.suffix(digits))"
  }
}

extension Finding.Cause {
  /// In JSON.
  fileprivate var word: String {
    switch self {
    case .bookDamage: "book_damage"
    case .contradicted: "contradicted"
    case .replayDiffers: "replay_differs"
    case .wrongAttestation: "wrong_attestation"
    case .wrongDigest: "wrong_digest"
    case .logDamage: "log_damage"
    case .equivocation: "equivocation"
    }
  }
}

extension ClientSession {
  func refuse(_ number: UInt64, _ refusal: RequestRefusal) { refuse(number, refusal.code, refusal.text) }
}
