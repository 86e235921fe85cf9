import EventLog
import OrderBook
import Primitives
import Replica

/// Derives a history again from its log: every book, fill and checkpoint, without a network, a disk or a clock.
///
/// Batches come in the order of their first stamps, as `LogRecovery` gives them; their entries are merged and applied
/// in key order. Nothing is ever taken back, so the journal is settled as it goes: what is held is the book, and the
/// batches of one second. Checkpoints are closed by the code that closes a replica's.
///
/// ```swift
/// var replay = HistoryReplay(cluster: cluster, finalThrough: stamp)
/// while let batch = try recovery.next() { try replay.add(batch, &observer) }
/// try replay.finish(&observer)
/// ```
public struct HistoryReplay: ~Copyable {
  /// Applied entries between two settlings of the journal.
  private static let entriesPerSettling: UInt64 = 4_096

  private var engine: MatchingEngine
  private var keeper: CheckpointKeeper
  private var ledger = FillLedger()
  private let cluster: Hash256
  /// Everything at or before it is final: the seconds that it ends are closed, what lies after it is only applied.
  public let finalThrough: Stamp
  /// The last key that is applied; nil for no end.
  public let until: OrderKey?
  private var merge = EntryMerge()
  /// End of the last batch of each origin that is applied whole.
  private var bases: [LogBase]
  private var tape = EventTape()
  private let sha = SHA256()
  private var unsettled: UInt64 = 0

  /// Applied entries; with a snapshot, those that it stands for as well.
  public private(set) var entries: UInt64
  public private(set) var orders: UInt64
  public private(set) var fills: UInt64
  /// Key of the last applied entry, of the snapshot's newest before there is one.
  public private(set) var lastKey: OrderKey
  /// `until` is reached: what is added now is not looked at.
  public private(set) var isDone = false

  /// A fill that is left out of what checkpoints are made of, as by a replica that has skipped it; 0 for none. The book
  /// is not different. For tests and demonstrations of diagnosis.
  package var omittedFill: UInt64 = 0

  /// - Parameters:
  ///   - finalThrough: see the property.
  ///   - until: the last key to be applied; nil for no end.
  ///   - state: a snapshot to go on from; batches MUST then begin after its bases.
  public init(
    cluster: Hash256, finalThrough: Stamp, until: OrderKey? = nil, from state: consuming ReplicaState? = nil
  ) {
    self.cluster = cluster
    self.finalThrough = finalThrough
    self.until = until
    keeper = CheckpointKeeper(cluster: cluster)
    guard let state = consume state else {
      engine = MatchingEngine()
      bases = []
      (entries, orders, fills, lastKey) = (0, 0, 0, .zero)
      return
    }
    keeper.restore(state)
    ledger.restore(state.homes)
    bases = state.bases
    (entries, orders, fills) = (state.info.entries, state.finalOrders, state.finalFills)
    engine = state.takeEngine()
    lastKey = engine.newestKey
    isDone = until.map { $0 <= lastKey } ?? false
  }

  // MARK: Reading

  /// The checkpoints that are kept of those closed so far.
  public var checkpoints: CheckpointList { keeper.list }
  /// Number of the second that is open; nil if none is.
  public var openNumber: UInt64? { keeper.interval.number }
  /// The newest checkpoint that members attest; 0 if there is none.
  public var newestAttested: UInt64 { keeper.newestAttested }
  /// The newest checkpoint of which a member has attested, in the log so far, what was derived here.
  public func attested(by origin: OriginIndex) -> UInt64 { keeper.attested(by: origin) }
  public var restingOrders: Int { engine.restingOrders }
  public var waitingStops: Int { engine.waitingStops }
  public var instruments: [(dot: Dot, instrument: Instrument)] { engine.instruments }

  /// Lets `body` look at the book as it is now.
  public mutating func withBook<Result>(_ body: (inout MatchingEngine) throws -> Result) rethrows -> Result {
    try body(&engine)
  }

  public mutating func bookHash() -> Hash256 { engine.bookHash() }

  // MARK: Going on

  /// Takes the next batch; applies what comes before it.
  /// - Precondition: its first key is above those of the batches before it, and it continues its origin's log.
  /// - Throws: what the observer throws.
  /// - Complexity: O(entries × log levels), amortised.
  public mutating func add(_ batch: Batch, _ observer: inout some HistoryObserver) throws {
    guard !isDone else { return }
    try apply(below: batch.firstKey, &observer)
    merge.add(batch)
  }

  /// Applies what is left, and closes the second that is open, if it is final.
  public mutating func finish(_ observer: inout some HistoryObserver) throws {
    try apply(below: nil, &observer)
    if !isDone { try closeIfFinal(before: nil, &observer) }
    settle()
  }

  private mutating func apply(below limit: OrderKey?, _ observer: inout some HistoryObserver) throws {
    while !isDone, let item = merge.next(below: limit) { try apply(item, &observer) }
  }

  private mutating func apply(_ item: EntryMerge.Item, _ observer: inout some HistoryObserver) throws {
    let (dot, entry, key) = (item.dot, item.entry, item.key)
    if let until, key > until {
      isDone = true
      return try closeIfFinal(before: entry.stamp, &observer)
    }
    try closeIfFinal(before: entry.stamp, &observer)
    switch entry.payload {
    case .command(let command):
      engine.apply(command, at: dot, stamp: entry.stamp, into: &tape)
      if case .order = command { orders += 1 }
    case .fill, .checkpoint: engine.apply(nil, at: dot, stamp: entry.stamp, into: &tape)
    }
    entries += 1
    lastKey = key
    if let batch = item.ended {
      let origin = batch.origin.int
      while bases.count <= origin { bases.append(LogBase(head: Head(sequence: 0, hash: .zero), stamp: .zero)) }
      bases[origin] = LogBase(head: Head(sequence: batch.lastSequence, hash: batch.hash), stamp: batch.lastStamp)
    }
    let isFinal = entry.stamp <= finalThrough
    if isFinal { try take(dot, entry, &observer) } else { countFills() }
    try observer.applied(dot, entry, tape.run(from: tape.start, to: tape.end), isFinal: isFinal)
    tape.removeAll()
    unsettled += 1
    if unsettled == Self.entriesPerSettling { settle() }
  }

  private mutating func settle() {
    engine.settle(through: engine.journalMark)
    unsettled = 0
  }

  private mutating func countFills() {
    for event in tape.run(from: tape.start, to: tape.end) { if case .filled = event { fills += 1 } }
  }

  /// As `Replica.takeFinal`.
  private mutating func take(_ dot: Dot, _ entry: Entry, _ observer: inout some HistoryObserver) throws {
    keeper.take(dot, entry)
    for event in tape.run(from: tape.start, to: tape.end) {
      guard case .filled(let fill) = event else { continue }
      fills += 1
      if fills == omittedFill { continue }
      let attestation = FillAttestation(fill)
      keeper.take(attestation)
      ledger.derive(attestation)
    }
    switch entry.payload {
    case .command: break
    case .fill(let fill):
      if ledger.compare(fill, isOwn: false) == .wrong { try observer.differs(.fill(entry: dot, fill)) }
    case .checkpoint(let attestation):
      let difference = keeper.compare(attestation, by: dot.origin)
      try observer.attested(attestation, in: dot)
      if let difference { try observer.differs(HistoryDifference(difference)) }
    }
  }

  // MARK: Checkpoints

  /// Closes the open second if an entry of a later one is next, or none at all, and all of it is final.
  private mutating func closeIfFinal(before stamp: Stamp?, _ observer: inout some HistoryObserver) throws {
    guard let number = keeper.interval.number, Checkpoint.lastStamp(number) <= finalThrough,
      stamp.map({ $0 > Checkpoint.lastStamp(number) }) ?? true
    else { return }
    var snapshot: PieceWriter?
    if observer.wantsState(of: number) { snapshot = ReplicaState.writeBook(engine, cluster: cluster) }
    let bookHash = Replica.bookHash(at: Checkpoint.boundary(number), of: &engine)
    let (checkpoint, isAttested, differences) = keeper.close(bookHash: bookHash, sha)
    try observer.closed(checkpoint, isAttested: isAttested)
    if let snapshot { try observer.reached(finished(snapshot, of: checkpoint)) }
    for difference in differences { try observer.differs(HistoryDifference(difference)) }
  }

  private func finished(_ book: PieceWriter, of checkpoint: Checkpoint) -> Snapshot {
    var out = book
    ReplicaState.writeRest(finalOrders: orders, keeper, bases: bases, ledger, to: &out)
    let byteCount = UInt64(out.count)
    let pieces = out.finish()
    sha.begin()
    for piece in pieces { sha.update(piece) }
    let info = SnapshotInfo(
      number: checkpoint.number, checkpointHash: checkpoint.hash,
      entries: bases.reduce(0) { $0 + $1.head.sequence }, byteCount: byteCount, hash: sha.finish())
    return Snapshot(info: info, bases: bases, pieces: pieces)
  }
}

/// What a replay says as it goes. Events are for immediate use.
public protocol HistoryObserver {
  /// An entry was applied, and this is what it did.
  mutating func applied(_ dot: Dot, _ entry: Entry, _ events: EventRun, isFinal: Bool) throws
  /// A second was closed.
  mutating func closed(_ checkpoint: Checkpoint, isAttested: Bool) throws
  /// Whether `reached` is to be called with the snapshot of a checkpoint, which costs O(book).
  func wantsState(of number: UInt64) -> Bool
  mutating func reached(_ snapshot: Snapshot) throws
  /// A member's attestation stands in the log, and is final.
  mutating func attested(_ attestation: CheckpointAttestation, in entry: Dot) throws
  /// The log says of what follows from it something that does not.
  mutating func differs(_ difference: HistoryDifference) throws
}

extension HistoryObserver {
  public mutating func applied(_ dot: Dot, _ entry: Entry, _ events: EventRun, isFinal: Bool) throws {}
  public mutating func closed(_ checkpoint: Checkpoint, isAttested: Bool) throws {}
  public func wantsState(of number: UInt64) -> Bool { false }
  public mutating func reached(_ snapshot: Snapshot) throws {}
  public mutating func attested(_ attestation: CheckpointAttestation, in entry: Dot) throws {}
  public mutating func differs(_ difference: HistoryDifference) throws {}
}

/// Wants to hear nothing.
public struct NoObserver: HistoryObserver {
  public init() {}
}

/// What an entry says was derived, and was not.
public enum HistoryDifference: Hashable, Sendable {
  /// A member has published a fill that there was not.
  case fill(entry: Dot, FillAttestation)
  /// A member attests another checkpoint; of the checkpoints, or of the books if only those differ. `mine` is zero if
  /// there is no such checkpoint.
  case attestation(number: UInt64, origin: OriginIndex, mine: Hash256, theirs: Hash256)

  init(_ difference: CheckpointKeeper.Difference) {
    self = .attestation(
      number: difference.number, origin: difference.origin, mine: difference.mine, theirs: difference.theirs)
  }
}
