import Diagnostics
import EventLog
import Membership
import OrderBook
import Primitives
import Replica
import Storage

/// Checks everything in a node's file against everything else in it, without its node.
///
/// First each batch by itself and in its chain; then the history is derived again, and what is derived is held against
/// the checkpoints, the snapshots and the derived tables. Where the log is damaged, that ends before the damage: what
/// comes after does not follow from what is there.
public struct Verification {
  public struct Options: Sendable {
    public var damagesMax = 20
    public var threads = 1
    /// Leave out what takes long: derive nothing again.
    public var logOnly = false
    public init() {}
  }

  private let file: NodeFile
  private let options: Options
  private let progress: (VerificationProgress) -> Void
  private var report: VerificationReport

  /// - Throws: `CannotTell`: nothing could be said, for example since the file is SQLite's own damage.
  public static func run(
    _ file: NodeFile, _ options: Options = Options(), _ progress: (VerificationProgress) -> Void = { _ in }
  ) throws(CannotTell) -> VerificationReport {
    do {
      return try withoutActuallyEscaping(progress) { progress in
        var verification = Verification(
          file: file, options: options, progress: progress,
          report: VerificationReport(damagesMax: options.damagesMax))
        try verification.run()
        return verification.report
      }
    } catch let error as CannotTell {
      throw error
    } catch {
      throw CannotTell("\(error)")
    }
  }

  private mutating func run() throws {
    checkDecision()
    var log = try LogCheck(file, threads: options.threads)
    try log.run(into: &report, progress)
    try checkRecords()
    if options.logOnly { return }
    try replay(soundThrough: log.soundThrough)
  }

  // MARK: What was decided

  private mutating func checkDecision() {
    guard let decision = file.decision else {
      report.notes.append("no view is known, and no member list was given: signatures cannot be checked")
      return
    }
    guard let genesis = file.genesis, decision.number > 0 else { return }
    guard let signatures = Ed25519(seed: [UInt8](repeating: 1, count: Ed25519.seedByteCount)) else { return }
    if !decision.isValid(after: ViewValue(genesis: genesis), cluster: file.cluster, signatures: signatures) {
      report.add(
        Damage(.decision, "view \(decision.number) was not decided by a majority of those who could decide it"))
    }
  }

  // MARK: Checkpoints by themselves

  private mutating func checkRecords() throws {
    var last: CheckpointRow?
    for row in try file.store.checkpoints() {
      report.counts.checkpoints += 1
      if !row.isSound {
        report.add(
          Damage(
            .checkpointRow, number: row.number, found: row.hash?.description ?? "no hash",
            expected: row.checkpoint?.hash.description,
            "checkpoint \(row.number): the row's hash is not that of its columns"))
      }
      last = row
    }
    guard let bytes = try file.store.record(RecordKey.checkpoint) else { return }
    guard let newest = try? bytes.withReader({ (reader) throws(CodecError) in try Checkpoint(from: &reader, SHA256()) })
    else {
      report.add(Damage(.checkpointRecord, "the record of the newest checkpoint cannot be read"))
      return
    }
    if let last, last.number == newest.number, last.hash != newest.hash {
      report.add(
        Damage(
          .checkpointRecord, number: newest.number, found: newest.hash.description, expected: last.hash?.description,
          "the record of checkpoint \(newest.number) is not the table's"))
    }
  }

  // MARK: Deriving it again

  private mutating func replay(soundThrough: Stamp?) throws {
    guard let derived = file.store.derived else { return }
    let position = file.store.auditPosition
    let newest = try file.store.checkpoints().last?.number ?? 0
    var final = position.stamp > .zero ? Stamp(position.stamp.value - 1) : .zero
    if newest > 0 { final = max(final, Checkpoint.lastStamp(newest)) }
    if let soundThrough, soundThrough < final {
      final = soundThrough
      report.notes.append(
        "the log is damaged: the history was derived again only up to \(soundThrough), what comes after was not checked"
      )
    }
    let start = try startingSnapshot()
    if start == nil, !file.store.logBase.isEmpty {
      report.add(
        Damage(.logBase, "the log does not begin at its start, and no snapshot stands for what is below: no restart"))
      return
    }
    var observer = VerificationObserver(file: file, derived: derived, position: position, report: report)
    observer.progress = progress
    observer.total = file.store.heads.values.reduce(0) { $0 + $1.sequence }
    var state: ReplicaState?
    if let start {
      let read = try ReplicaState(start.info, start.bytes, cluster: file.cluster, origins: Limits.originsMax)
      try derived.begin(
        at: read.bases,
        counts: AuditCounts(entries: start.info.entries, orders: read.finalOrders, fills: read.finalFills),
        instruments: read.instruments, open: read.openOrders)
      observer.begin(read)
      state = consume read
      report.notes.append(
        "what is older than snapshot \(start.info.number) is not in the log any more: derived tables were compared "
          + "from there on"
      )
    }
    observer.report.notes = report.notes
    let until = OrderKey(stamp: final, origin: OriginIndex(.max))
    var replay = HistoryReplay(
      cluster: file.cluster, finalThrough: final, until: max(until, soundThrough == nil ? position : .zero),
      from: consume state)
    _ = try file.readLog(from: start?.bases ?? []) { batch in
      try replay.add(batch, &observer)
      return !replay.isDone
    }
    try replay.finish(&observer)
    try observer.flush()
    observer.compareTable(through: final, replay.checkpoints)
    report = observer.report
    report.counts.replayed = replay.entries - (start?.info.entries ?? 0)
    report.counts.fills = replay.fills
    checkSnapshots(reached: observer.reached, through: final, start: start?.info)
    try compareTables(derived, isWhole: soundThrough == nil, through: min(final, position.stamp), position)
  }

  /// The oldest sound snapshot that stands for all that the log lacks; nil if it lacks nothing. Says which are not
  /// sound by themselves.
  private mutating func startingSnapshot() throws -> Snapshot? {
    var start: Snapshot?
    for info in file.store.snapshots {
      report.counts.snapshots += 1
      let snapshot = try file.store.snapshot(info)
      let isWhole = SHA256().hash(snapshot.bytes) == info.hash
      guard isWhole else { continue }  // Where it differs is known when it is derived again.
      do throws(CodecError) {
        let state = try ReplicaState(info, snapshot.bytes, cluster: file.cluster, origins: Limits.originsMax)
        guard state.bases == snapshot.bases else { throw .invalid(field: "bases") }
      } catch {
        report.add(Damage(.snapshot, number: info.number, "snapshot \(info.number) cannot be used: \(error)"))
        continue
      }
      let base = file.store.logBase
      let covers = base.indices.allSatisfy { place in
        base[place] == 0 || place < snapshot.bases.count && snapshot.bases[place].head.sequence >= base[place]
      }
      if !base.isEmpty, start == nil, covers { start = snapshot }
    }
    return start
  }

  private mutating func checkSnapshots(reached: [Snapshot], through: Stamp, start: SnapshotInfo?) {
    for info in file.store.snapshots where info != start {
      guard let stored = try? file.store.snapshot(info) else { continue }
      let isWhole = SHA256().hash(stored.bytes) == info.hash
      guard let derived = reached.first(where: { $0.info.number == info.number }) else {
        if !isWhole {
          report.add(
            Damage(
              .snapshot, number: info.number, found: SHA256().hash(stored.bytes).description,
              expected: info.hash.description, "snapshot \(info.number): its bytes do not have its hash"))
        } else if info.lastStamp <= through, info.number > start?.number ?? 0 {
          report.add(Damage(.snapshot, number: info.number, "snapshot \(info.number) is of no checkpoint of this log"))
        }
        continue
      }
      if isWhole, derived.info == info { continue }
      report.add(SnapshotComparison.damage(stored, derived, isWhole: isWhole))
    }
  }

  // MARK: Tables

  private mutating func compareTables(
    _ derived: ScratchTables, isWhole: Bool, through: Stamp, _ position: OrderKey
  ) throws {
    progress(VerificationProgress(phase: .tables, done: 0, total: 1))
    let (differences, count, rows) = try file.store.compareTables(through: through, max: options.damagesMax)
    report.counts.rows = rows
    for difference in differences { report.add(Damage(difference)) }
    report.count(.derivedRow, UInt64(count - differences.count))
    progress(VerificationProgress(phase: .tables, done: 1, total: 1))
    guard isWhole, derived.counts != file.store.counts() else { return }
    let (mine, theirs) = (file.store.counts(), derived.counts)
    report.add(
      Damage(
        .derivedCounts, table: "audit_state", found: "\(mine.entries), \(mine.orders), \(mine.fills)",
        expected: "\(theirs.entries), \(theirs.orders), \(theirs.fills)",
        "derived tables: they count \(mine.entries) entries, \(mine.orders) orders and \(mine.fills) fills, the log "
          + "has \(theirs.entries), \(theirs.orders) and \(theirs.fills)"))
  }
}

extension Damage {
  init(_ difference: TableDifference) {
    let columns = difference.columns
    let what =
      switch difference.kind {
      case .missing: "is missing"
      case .extra: "does not follow from the log"
      case .differs:
        columns.map { "\($0.name) is \($0.found), derived \($0.derived)" }.joined(separator: "; ")
      }
    let name = difference.dot.map { "\($0)" } ?? difference.number.map { "\($0)" } ?? ""
    self.init(
      .derivedRow, order: difference.table == "orders" ? difference.dot : nil, fill: difference.number,
      table: difference.table,
      found: difference.kind == .differs ? columns.map { "\($0.name)=\($0.found)" }.joined(separator: " ") : nil,
      expected: difference.kind == .extra ? nil : columns.map { "\($0.name)=\($0.derived)" }.joined(separator: " "),
      "\(difference.table) \(name): \(what)")
  }
}
