import EventLog
import Gossip
import Membership
import OrderBook
import Primitives

/// One node's whole state: logs, book, gossip, clients' orders. Values in, effects out.
///
/// `step` is the only way in. It reads no clock, draws no randomness but from its seed, and touches neither disk nor
/// network: it says what must happen, and which commit must be durable before.
///
/// A turn is any number of inputs followed by `.flush`; the shell then carries out the effects in order.
public struct Replica: ~Copyable {
  public static let tickMicroseconds: UInt64 = 10_000
  /// A promise reaches at most this far ahead of the durable ceiling's last value.
  static let ceilingAheadMilliseconds: UInt64 = 200
  /// Entries applied in one step, so that no step is long.
  static let applicationsPerStepMax = 20_000
  /// After a rollback, tentative application rests this long for each entry that was undone.
  static let rollbackRestMicroseconds: UInt64 = 20
  static let rollbackRestMicrosecondsMax: UInt64 = 100_000
  static let bookHashMicrosecondsMin: UInt64 = 100_000
  /// Addresses are told once in so many digests.
  static let roundsPerAddresses: UInt64 = 16
  /// How long a member has to show that it holds more of this node's log than this node.
  static let claimMicroseconds: UInt64 = 2_000_000

  let configuration: ReplicaConfiguration
  let signatures: any Signatures
  /// The member that this node is; nil for one that only follows, or has been sealed.
  var me: OriginIndex?
  /// The view that was entered last.
  var view: View
  /// Every origin that is known to have been admitted.
  var register: Register
  let sha = SHA256()

  var sequencer: Sequencer
  var gossip: Gossip
  var desk = OrderDesk()
  var clock = HybridClock()
  var median = MedianClock()
  /// What this node's own clock shows, whatever others' do.
  var ownWallMilliseconds: UInt64 = 0
  var keeper: CheckpointKeeper
  var ledger = FillLedger()
  var publisher = Publisher()
  var snapshots = SnapshotDesk(kept: [])
  /// Entries that the snapshot stands for from which this replica started.
  public internal(set) var restoredEntries: UInt64 = 0
  var resubmitter: Resubmitter
  var addresses = AddressBook()
  var dialer = Dialer()
  /// Addresses as they were dialled, with who answered: a seed may be written otherwise than a member writes its own.
  var aliases: [(address: String, key: PublicKey)] = []
  /// Addresses of origins that are not known yet.
  var strangers: [AddressRecord] = []
  var peers = PeerDirectory()

  // Views
  var views: ViewChange
  var detector: FailureDetector?
  var membership = MembershipDesk()
  var generator: SeededGenerator

  // The batch being filled, and what came in during this turn.
  var open: BatchBuilder
  var openCount = 0
  /// Remote origins whose logs grew in this turn: state before it, and who sent it.
  var grown: [Growth] = []
  var ownSealed: [Batch] = []

  // Commits
  var nextCommit: CommitNumber = 1
  var isCommitDue = false
  /// Heads that each commit under way makes durable.
  var inFlight: [(commit: CommitNumber, heads: [(OriginIndex, UInt64)], ceiling: Stamp?)] = []
  var pendingHeads: [(OriginIndex, UInt64)] = []
  var durableCeiling: Stamp
  var pendingCeiling: Stamp?
  /// The newest promise that was sent.
  var lastBeat: Beat?

  // Timers, in monotonic microseconds
  var startedMicroseconds: UInt64?
  var applyTentativeAfter: UInt64 = 0
  var lastBookHashMicroseconds: UInt64 = 0
  /// Digests that this node has begun.
  var rounds: UInt64 = 0

  var hasRecovered = false
  /// Became a member in this run: its log begins with it.
  var hasJoined = false
  /// Members that have said, since this node started, that they hold no more of its log than its disk. Without enough
  /// of them it takes no orders and promises nothing: its disk may have been set back, and what it wrote after that
  /// must not be written again otherwise.
  var confirmedBy: Set<OriginIndex> = []
  /// It has promised something since this node started, so its disk was confirmed then: members who have come since
  /// have nothing to say to that.
  var hasBeaten = false
  /// Book hashes of recent applied vectors, newest last.
  var recentBooks: [(applied: Hash256, book: Hash256)] = []
  var appliedHashCache: (version: UInt64, hash: Hash256)?
  var bookHashCache: (version: UInt64, hash: Hash256)?
  /// The earliest expiry later than a stamp, of one version of the book.
  var nextExpiryCache: (version: UInt64, stamp: Stamp, next: Stamp?)?
  /// As of which version of the book, and which stamp, due orders are ended for those who follow them.
  var endedDueOrders: (version: UInt64, stamp: Stamp) = (0, .zero)
  /// As of which stamp the levels were that were last told.
  var changedLevelsStamp = Stamp.zero
  var bookMismatches: UInt64 = 0
  /// Said once: origins with two logs, and at which vectors a member had another book.
  var noticedForks: [Bool] = []
  var noticedMismatches: [Hash256?] = []
  var duplicateBatches: UInt64 = 0
  /// By origin.
  var quarantines: [Quarantine] = []
  /// Second of the wrong fill that was told last.
  var noticedFillSecond: UInt64?
  var noticedCheckpoint: UInt64?
  /// When what came, for those who ask.
  public internal(set) var journal = ArrivalJournal()
  /// Books that are asked for, and those that are there.
  var captures: [CaptureRequest] = []
  var captured: [CapturedBook] = []
  var health: HealthDesk
  /// The book that is made a second time, beside the one that is here.
  var rebuild: Rebuild?

  struct Growth {
    var origin: OriginIndex
    var headBefore: Head
    var stampBefore: Stamp
    var source: PeerIndex
    var batches: [Batch]
  }

  /// - Parameters:
  ///   - configuration: whose records name every origin that the snapshot knows.
  ///   - state: a snapshot to start from; the log above it follows as `Input.recover`.
  public init(
    configuration: ReplicaConfiguration, signatures: any Signatures, from state: consuming ReplicaState? = nil
  ) {
    self.configuration = configuration
    self.signatures = signatures
    generator = SeededGenerator(seed: configuration.seed)
    var changing = ViewChange.Configuration(cluster: configuration.cluster, seed: generator.next())
    changing.defects = configuration.viewDefects
    changing.isFirstStart = configuration.clockCeiling == .zero
    views = ViewChange(configuration: changing, signatures: signatures, records: configuration.records)
    me = views.me
    view = views.view
    register = views.register
    sequencer = Sequencer(logs: [])
    keeper = CheckpointKeeper(cluster: configuration.cluster)
    resubmitter = Resubmitter(configuration.records.resubmission)
    sequencer.engine.defects = configuration.defects
    sequencer.retainedBatchesMax = configuration.retainedBatchesMax
    gossip = Gossip(
      me: views.me, view: views.view, origins: 0, configuration: configuration.gossip, seed: generator.next())
    open = BatchBuilder(origin: views.me ?? OriginIndex(0), firstSequence: 1)
    durableCeiling = configuration.clockCeiling
    health = HealthDesk(findings: configuration.findings)
    for address in configuration.seeds { dialer.add(address, notBeforeMicroseconds: 0) }
    grow(views.register)
    for place in register.origins.indices { noteCut(OriginIndex(UInt32(place)), views.value) }
    if let me { becomeMember(me) }
    snapshots = SnapshotDesk(kept: configuration.snapshots)
    if let state = consume state { restore(state) }
  }

  /// Takes one input; appends what must happen, in order.
  /// - Parameter clocks: what this node's clocks show; `monotonicMicroseconds` never decreases from one step to the
  ///   next.
  public mutating func step(_ input: Input, now clocks: LogicalTime, _ effects: inout [Effect]) {
    if startedMicroseconds == nil { startedMicroseconds = clocks.monotonicMicroseconds }
    ownWallMilliseconds = clocks.wallMilliseconds
    switch input {
    case .tick, .recovered: median.update(view, me: me, clocks)
    default: break
    }
    let now = configuration.defects.contains(.ownClockAlone) ? clocks : median.time(clocks)
    switch input {
    case .recover(let batch): recover(batch, now, &effects)
    case .recoverVoid(let batch): recoverVoid(batch)
    case .recovered: finishRecovery(now, &effects)
    case .submit(let submission): submit(submission, now, &effects)
    case .sessionClosed(let session): desk.close(session)
    case .message(let peer, let message): receive(message, from: peer, now, &effects)
    case .linkUp(let peer, let key, let address): linkUp(peer, key: key, address: address, now, &effects)
    case .linkDown(let peer): linkDown(peer, now, &effects)
    case .dialFailed(let address, let isRefused): dialFailed(address, isRefused: isRefused, now, &effects)
    case .linkWritable(let peer, let isWritable): gossip.linkWritable(peer, isWritable)
    case .flush: flush(now, &effects)
    case .committed(let number): committed(number, now, &effects)
    case .tick: tick(now, &effects)
    case .snapshotsKept(let infos): snapshots.kept = infos
    case .leave: membership.leave()
    case .logRead(let piece): receive(piece, now, &effects)
    case .inject(let damage): inject(damage, &effects)
    case .logDamaged(let hole): logDamaged(hole, now, &effects)
    case .logMended(let hole, let isDone): logMended(hole, isDone, &effects)
    }
  }

  // MARK: Reading

  public var status: ReplicaStatus {
    let held = VersionVector(sequencer.logs.map(\.held.sequence))
    return ReplicaStatus(
      view: view.number, members: view.members, me: me, isWedged: views.isWedged, viewChanges: membership.viewChanges,
      entries: held.entries, applied: sequencer.appliedVector.entries, tentative: sequencer.tentative,
      missing: gossip.missing(held: { [vector = held] in vector[$0] }), finalFills: sequencer.finalFills,
      finalOrders: sequencer.finalOrders, finalStamp: gossip.frontier.final, vector: held,
      restingOrders: health.state.serves ? sequencer.engine.restingOrders(asOf: viewStamp) : 0,
      applications: sequencer.counters.applications,
      rollbacks: sequencer.counters.rollbacks, rollbackDepthMax: sequencer.counters.rollbackDepthMax,
      undone: sequencer.counters.undone, quarantined: sequencer.live.contains { sequencer.logs[$0].hasQuarantined },
      bookMismatches: bookMismatches, duplicateBatches: duplicateBatches, isReady: isReady,
      oldestTentative: sequencer.oldestTentative, checkpointNumber: keeper.list.newest?.number ?? 0,
      checkpointHash: keeper.list.newest?.hash ?? .zero, attestationDifferences: keeper.differences,
      fillsPublished: publisher.fills, fillsCompared: ledger.compared, fillDifferences: ledger.differences,
      fillsMissing: ledger.missing, checkpointRollbacks: sequencer.counters.checkpointRollbacks,
      checkpointUndone: sequencer.counters.checkpointUndone, snapshotNumber: snapshots.kept.last?.number ?? 0,
      snapshotEntries: snapshots.kept.last?.entries ?? 0)
  }

  /// The member that this node is; nil for one that only follows.
  public var member: OriginIndex? { me }
  /// Whether it has promised to change its view, and waits for the next one.
  public var isWedged: Bool { views.isWedged }
  /// The join mutex as this member sees it: to whom it has lent its vote, and for how long.
  public func joinMutex(_ now: LogicalTime) -> (holder: NodeID?, heldMicroseconds: UInt64) {
    let micros = now.monotonicMicroseconds
    return (views.leaseHolder(nowMicroseconds: micros)?.node, views.leaseHeldMicroseconds(nowMicroseconds: micros))
  }
  /// What was decided of the view that was entered last.
  public var viewValue: ViewValue { views.value }

  /// Whether the book holds what is not final.
  public var hasTentative: Bool { !sequencer.tail.isEmpty }

  /// Whether entries wait to be applied or to become final.
  public var isBusy: Bool { sequencer.tentative > 0 }

  /// Everything up to here is final.
  public var finalStamp: Stamp { gossip.frontier.final }

  /// The newest stamp this node has given or seen.
  public var clockStamp: Stamp { clock.last }
  public var connectedPeers: [PeerIndex] { gossip.connectedPeers }
  /// The newest origin of the node at the other end of a link.
  public func origin(of peer: PeerIndex) -> OriginIndex? { peers.origin(of: peer) }
  public func registered(_ origin: OriginIndex) -> RegisteredOrigin? { register[origin] }
  public func address(of origin: OriginIndex) -> String? { addresses[origin]?.address }

  /// Hash of the book as applied now, tentative entries included.
  public mutating func bookHash() -> Hash256 {
    if let cache = bookHashCache, cache.version == sequencer.version { return cache.hash }
    let hash = sequencer.engine.bookHash()
    bookHashCache = (sequencer.version, hash)
    return hash
  }

  /// Hash of the vector of applied entries.
  public mutating func appliedHash() -> Hash256 {
    if let cache = appliedHashCache, cache.version == sequencer.version { return cache.hash }
    let hash = sequencer.appliedVector.hash(sha)
    appliedHashCache = (sequencer.version, hash)
    return hash
  }

  /// Final entries since the last call, with what they did; the source of audit tables.
  public mutating func takeFinalRun() -> AppliedRun {
    var run = AppliedRun()
    swap(&run, &sequencer.finalRun)
    return run
  }

  /// How much `takeFinalRun` would give; not 0 if what it gives begins anew.
  public var finalRunCount: Int { sequencer.finalRun.items.count + (sequencer.finalRun.anew == nil ? 0 : 1) }

  /// Reads the book as applied now. For views, ask it as of `viewStamp`.
  public func withBook<Result>(_ body: (borrowing MatchingEngine) -> Result) -> Result { body(sequencer.engine) }

  /// Reads the book without what is tentative; ask it as of `viewStamp`, too.
  /// - Complexity: O(tentative entries) besides `body`: they are taken back for it and put on again.
  public mutating func withFinalBook<Result>(_ body: (inout MatchingEngine) -> Result) -> Result {
    sequencer.withFinalBook(body)
  }

  /// Trades that are not final, the newest first, with the stamps of the entries that caused them.
  /// - Parameter instrument: nil for all.
  /// - Complexity: O(tentative events) at worst.
  public func tentativeTrades(of instrument: Dot?, newest count: Int) -> [(fill: Fill, stamp: Stamp)] {
    var trades: [(fill: Fill, stamp: Stamp)] = []
    for index in sequencer.tail.indices.reversed() where trades.count < count {
      for event in Array(sequencer.events(ofTail: index)).reversed() {
        guard case .filled(let fill) = event, instrument == nil || fill.instrument == instrument else { continue }
        trades.append((fill, sequencer.tail[index].key.stamp))
        if trades.count == count { break }
      }
    }
    return trades
  }

  /// An entry that is still in memory; all that are not final are.
  public func entry(_ dot: Dot) -> Entry? {
    guard dot.origin.int < sequencer.logs.count else { return nil }
    return sequencer.logs[dot.origin.int].entry(at: dot.sequence)
  }

  /// Whether this node has the entry, in memory or on disk.
  public func holds(_ dot: Dot) -> Bool {
    dot.sequence > 0 && dot.origin.int < sequencer.logs.count
      && dot.sequence <= sequencer.logs[dot.origin.int].held.sequence
  }

  public func isFinal(_ dot: Dot) -> Bool {
    dot.sequence > 0 && dot.origin.int < sequencer.logs.count
      && dot.sequence <= sequencer.logs[dot.origin.int].final
  }

  /// After which sequence a sealed origin's log ends: what it wrote beyond is void. Nil of one that is not sealed.
  public func end(ofSealed origin: OriginIndex) -> UInt64? {
    origin.int < membership.cuts.count ? membership.cuts[origin.int] : nil
  }

  /// What tentative entries made of an order that stands at `report` without them.
  /// - Returns: nil if nothing tentative concerns it.
  /// - Complexity: O(tentative events).
  public func tentativeReport(of dot: Dot, after report: OrderReport) -> OrderReport? {
    var now = report
    var isConcerned = false
    for event in sequencer.tentativeEvents {
      let (first, second) = OrderDesk.subjects(of: event)
      guard first == dot || second == dot else { continue }
      isConcerned = true
      OrderDesk.fold(event, of: dot, into: &now, isNew: true)
    }
    return isConcerned ? now : nil
  }

  /// Entries in memory of one origin from `sequence` on, if memory reaches back that far.
  public func recentBatches(_ range: LogRange, bytesMax: Int) -> [Batch]? {
    guard range.origin.int < sequencer.logs.count else { return [] }
    return sequencer.logs[range.origin.int].batches(from: range.from, through: range.through, bytesMax: bytesMax)
  }

  /// Whether orders are taken: the log is read, the clock has passed what was promised before the restart (else each
  /// restart would push stamps further ahead), others have said how far they hold this node's log and what time it is,
  /// it is a member that means to stay one, and what it took as another one before has been sent again.
  var isReady: Bool {
    (health.state.serves || configuration.defects.contains(.servesWhileRebuilding)) && me != nil && isPastCeiling
      && isConfirmed && median.isSet && membership.holdsBase
      && !membership.isLeaving
      && resubmitter.isDone
  }

  /// Whether enough others have said that they hold no more of this node's log than its disk.
  var isConfirmed: Bool {
    guard hasRecovered, ownLogClaim == nil else { return false }
    if hasJoined || hasBeaten || view.members.count == 1 { return true }
    // What a majority acked is with half of the others at least, for one of it may have been this node. Who has lost
    // all of its disk has lost its store's token as well, and is nobody.
    return view.members.count { confirmedBy.contains($0) } >= view.members.count / 2
  }

  /// A member says that it holds more of this node's log than is on disk here: until when it may prove that.
  var ownLogClaim: (peer: PeerIndex, sequence: UInt64, untilMicroseconds: UInt64)?
  /// Log lengths that were claimed and not proven; claims up to here are not listened to again.
  var unprovenClaim: UInt64 = 0

  var isPastCeiling = false
}
