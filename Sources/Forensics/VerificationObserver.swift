import Diagnostics
import EventLog
import OrderBook
import Primitives
import Replica
import Storage

/// Holds what a replay derives against what the file says.
struct VerificationObserver: HistoryObserver {
  private static let runItemsMax = 20_000

  private let file: NodeFile
  private let derived: ScratchTables
  /// Up to where the derived tables of the file go.
  private let position: OrderKey
  var report: VerificationReport
  var progress: (VerificationProgress) -> Void = { _ in }
  var total: UInt64 = 0
  private var done: UInt64 = 0
  private var run = AppliedRun()
  /// Rows of the table, by rising number, and which of them comes next.
  private let rows: [CheckpointRow]
  private var next = 0
  private let numbers: [UInt64]
  private(set) var reached: [Snapshot] = []
  /// The last checkpoint that is what the table says, and the first that is not.
  private var agreed: Checkpoint?
  private var firstDifferent: (derived: Checkpoint, found: Checkpoint)?
  private var laterDifferent: UInt64 = 0
  /// What members attest that was not derived, of the first numbers; and how far each agrees.
  private var attested: [(number: UInt64, origin: OriginIndex, hash: Hash256)] = []
  private var agreement: [(origin: OriginIndex, number: UInt64)] = []
  private var list = CheckpointList()
  private var fillDifferences: [String] = []
  private var attestationDifferences = 0

  init(file: NodeFile, derived: ScratchTables, position: OrderKey, report: VerificationReport) {
    self.file = file
    self.derived = derived
    self.position = position
    self.report = report
    rows = (try? file.store.checkpoints()) ?? []
    numbers = file.store.snapshots.map(\.number)
  }

  /// A snapshot stands for what came before.
  mutating func begin(_ state: borrowing ReplicaState) {
    done = state.info.entries
    list = state.checkpoints
    for checkpoint in list.kept { compare(checkpoint) }
    // Thinned out since it was written: what it does not know it may have dropped.
    while next < rows.count, rows[next].number <= state.info.number { next += 1 }
  }

  // MARK: Entries

  mutating func applied(_ dot: Dot, _ entry: Entry, _ events: EventRun, isFinal: Bool) throws {
    done += 1
    if done & 0x3fff == 0 { progress(VerificationProgress(phase: .replay, done: done, total: total)) }
    guard OrderKey(stamp: entry.stamp, origin: dot.origin) <= position else { return }
    run.append(dot: dot, entry: entry, events: events)
    if run.items.count == Self.runItemsMax { try flush() }
  }

  mutating func flush() throws {
    if run.isEmpty { return }
    try derived.write(run)
    run.removeAll()
  }

  // MARK: Checkpoints

  func wantsState(of number: UInt64) -> Bool { numbers.contains(number) }

  mutating func reached(_ snapshot: Snapshot) { reached.append(snapshot) }

  mutating func closed(_ checkpoint: Checkpoint, isAttested: Bool) {
    list.append(checkpoint)
    compare(checkpoint)
  }

  private mutating func compare(_ checkpoint: Checkpoint) {
    while next < rows.count, rows[next].number < checkpoint.number {
      report.add(
        Damage(
          .checkpointExtra, number: rows[next].number,
          "checkpoint \(rows[next].number) is in the table, and nothing in the log lies in its second"))
      next += 1
    }
    guard next < rows.count, rows[next].number == checkpoint.number else { return }
    let row = rows[next]
    next += 1
    guard let found = row.checkpoint, row.isSound else { return }
    if found == checkpoint {
      if firstDifferent == nil { agreed = checkpoint }
    } else if firstDifferent == nil {
      firstDifferent = (checkpoint, found)
    } else {
      laterDifferent += 1
    }
  }

  mutating func attested(_ attestation: CheckpointAttestation, in entry: Dot) {
    report.counts.attestations += 1
    if case .kept(let mine) = list.find(attestation.number), mine.attestation == attestation {
      if let place = agreement.firstIndex(where: { $0.origin == entry.origin }) {
        agreement[place].number = max(agreement[place].number, attestation.number)
      } else {
        agreement.append((entry.origin, attestation.number))
      }
    } else if attested.count < 4_096 {
      attested.append((attestation.number, entry.origin, attestation.checkpointHash))
    }
  }

  mutating func differs(_ difference: HistoryDifference) {
    switch difference {
    case .fill(let entry, let fill):
      guard fillDifferences.count < 3 else { return }
      fillDifferences.append(
        "entry \(entry) publishes a fill that there was not: \(fill.maker) with \(fill.taker), \(fill.quantityLots) "
          + "lots at \(fill.priceTicks) ticks")
    case .attestation: attestationDifferences += 1
    }
  }

  // MARK: At the end

  /// What the table should have, and what it has otherwise.
  mutating func compareTable(through stamp: Stamp, _ kept: CheckpointList) {
    while next < rows.count, Checkpoint.lastStamp(rows[next].number) <= stamp {
      report.add(
        Damage(
          .checkpointExtra, number: rows[next].number,
          "checkpoint \(rows[next].number) is in the table, and nothing in the log lies in its second"))
      next += 1
    }
    if let newest = rows.last?.number, Checkpoint.lastStamp(newest) <= stamp {
      var expected = CheckpointList()
      // The table may be older than what was closed last.
      if kept.newest?.number == newest { expected = kept }
      for checkpoint in expected.kept where !rows.contains(where: { $0.number == checkpoint.number }) {
        report.add(
          Damage(.checkpointMissing, number: checkpoint.number, "checkpoint \(checkpoint.number) is not in the table"))
      }
    }
    if let (derived, found) = firstDifferent { describe(derived, found) }
    report.derivedCheckpoints = kept
    compareAttested()
    guard firstDifferent == nil else { return }
    if attestationDifferences > 0 {
      let who = Set(attested.map(\.origin)).sorted().map { file.name($0) }.joined(separator: ", ")
      report.notes.append("\(attestationDifferences) attestations in the log are not what it leads to: of \(who)")
    }
    report.notes += fillDifferences
  }

  /// A majority that attests something else knows better than one file.
  private mutating func compareAttested() {
    let majority = file.decision?.value.view.majority ?? .max
    var counted: [(number: UInt64, hash: Hash256, origins: [OriginIndex])] = []
    for one in attested {
      if let place = counted.firstIndex(where: { $0.number == one.number && $0.hash == one.hash }) {
        if !counted[place].origins.contains(one.origin) { counted[place].origins.append(one.origin) }
      } else if counted.count < 256 {
        counted.append((one.number, one.hash, [one.origin]))
      }
    }
    guard let first = counted.first(where: { $0.origins.count >= majority }) else { return }
    report.isAttested = false
    guard firstDifferent == nil else { return }
    let names = first.origins.sorted().map { file.name($0) }.joined(separator: ", ")
    report.add(
      Damage(
        .checkpoint, number: first.number, expected: first.hash.description,
        "checkpoint \(first.number): a majority (\(names)) attests \(first.hash.prefix(12)), which is not what this "
          + "log leads to"))
  }

  private mutating func describe(_ derived: Checkpoint, _ found: Checkpoint) {
    let parts: [(String, Hash256, Hash256)] = [
      ("log", found.logHash, derived.logHash), ("book", found.bookHash, derived.bookHash),
      ("fills", found.fillsHash, derived.fillsHash), ("chain before", found.previous, derived.previous),
    ]
    let different = parts.filter { $0.1 != $0.2 }
    let names = different.map(\.0).joined(separator: ", ")
    let after = agreed.map { "after checkpoint \($0.number), the last that agrees" } ?? "from the beginning"
    let isNext = found.previous == derived.previous
    let withTable = attested.filter { $0.number >= found.number }.map(\.origin)
    let withLog = agreement.filter { $0.number >= found.number }.map(\.origin)
    var text =
      "checkpoint \(found.number): the table has \(found.hash.prefix(12)) and the log leads to "
      + "\(derived.hash.prefix(12)); different: \(names)\(isNext ? "" : "; the first difference lies \(after)")"
    if laterDifferent > 0 { text += "; so are \(laterDifferent) later ones" }
    text += "; " + judgement(Set(withTable).sorted(), Set(withLog).sorted())
    report.add(
      Damage(
        .checkpoint, number: found.number, found: different.map { "\($0.0) \($0.1)" }.joined(separator: " "),
        expected: different.map { "\($0.0) \($0.2)" }.joined(separator: " "), text), counting: 1 + laterDifferent)
  }

  private func judgement(_ withTable: [OriginIndex], _ withLog: [OriginIndex]) -> String {
    let majority = file.decision?.value.view.majority ?? .max
    func names(_ origins: [OriginIndex]) -> String { origins.map { file.name($0) }.joined(separator: ", ") }
    if withLog.count >= majority { return "a majority (\(names(withLog))) attests what the log leads to" }
    if withTable.count >= majority {
      return "a majority (\(names(withTable))) attests otherwise than this log leads to: the log is not what was final"
    }
    let log = withLog.isEmpty ? "nobody" : names(withLog)
    let table = withTable.isEmpty ? "nobody" : names(withTable)
    return "\(log) attests what the log leads to, \(table) something else: no majority"
  }
}

/// Where a snapshot is not what the log leads to.
enum SnapshotComparison {
  static func damage(_ stored: Snapshot, _ derived: Snapshot, isWhole: Bool) -> Damage {
    let number = stored.info.number
    let (mine, right) = (stored.bytes, derived.bytes)
    let offset = zip(mine, right).enumerated().first { $1.0 != $1.1 }?.offset ?? min(mine.count, right.count)
    var text =
      isWhole
      ? "snapshot \(number) is not what the log leads to"
      : "snapshot \(number): its bytes are not those that were written"
    var order: Dot?
    var (found, expected): (String?, String?) = (nil, nil)
    if let orders = Self.orders(mine), let wanted = Self.orders(right), let first = firstDifference(orders, wanted) {
      order = first.dot
      found = first.found.map(describe) ?? "not there"
      expected = first.expected.map(describe) ?? "not there"
      text += "; order \(first.dot) is \(found ?? "") and should be \(expected ?? "")"
    } else {
      text += "; byte \(offset) is the first that differs"
    }
    return Damage(.snapshot, number: number, order: order, found: found, expected: expected, text)
  }

  /// Every open order of a snapshot's book, by dot; nil if it cannot be read.
  static func orders(_ bytes: [UInt8]) -> [RestingOrder]? {
    let read = bytes.withUnsafeBytes { raw -> [RestingOrder]? in
      var reader = ByteReader(raw)
      guard (try? reader.readBytes(ReplicaState.tag.count, "tag")) != nil, (try? reader.readHash("cluster")) != nil,
        let engine = try? MatchingEngine(from: &reader)
      else { return nil }
      return engine.openOrders
    }
    return read?.sorted { $0.dot < $1.dot }
  }

  private static func firstDifference(
    _ found: [RestingOrder], _ expected: [RestingOrder]
  ) -> (dot: Dot, found: RestingOrder?, expected: RestingOrder?)? {
    var place = 0
    for order in expected {
      guard place < found.count, found[place].dot <= order.dot else { return (order.dot, nil, order) }
      if found[place].dot < order.dot { return (found[place].dot, found[place], nil) }
      if found[place] != order { return (order.dot, found[place], order) }
      place += 1
    }
    return place < found.count ? (found[place].dot, found[place], nil) : nil
  }

  private static func describe(_ order: RestingOrder) -> String {
    "\(order.side) \(order.openLots) lots at \(order.priceTicks) ticks, filled \(order.filledLots), account "
      + "\(order.account)"
  }
}
