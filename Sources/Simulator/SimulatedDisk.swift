import EventLog
import Membership
import Primitives

/// One machine's disk: what a node's store keeps there, as bytes, with the faults that disks have.
///
/// A transaction is one commit of the store: it is there whole or not at all, as SQLite's write-ahead log makes it; one
/// whose sync never returned may be either after a crash.
struct SimulatedDisk {
  /// Batches of each origin, by its place in the register, in order.
  var logs: [[LogRow]] = []
  /// By place in the register: what is below is not kept as entries.
  private(set) var bases: [LogBase] = []
  /// Oldest first.
  var snapshots: [Snapshot] = []
  /// What was beyond the end of a sealed log, kept aside.
  var void: [LogRow] = []
  private var hasNewView = false
  /// By key; few.
  private(set) var records: [(key: String, value: [UInt8])] = []
  /// How far the audit tables are written, behind the log.
  private(set) var auditPosition = OrderKey.zero
  private(set) var auditEntries: UInt64 = 0

  /// The checkpoints that are kept.
  private(set) var checkpoints = CheckpointList()

  var isFull = false
  var isUnreadable = false
  var failsNextSync = false
  /// Added to each sync, in microseconds.
  var slowness: UInt64 = 0

  private enum Write {
    case batch(Batch)
    case void(OriginIndex, after: UInt64)
  }

  private var pending: [Write] = []
  private var pendingRecords: [(key: String, value: [UInt8])] = []
  private var pendingCheckpoints: CheckpointList?
  private var pendingAudit: (position: OrderKey, entries: UInt64)?

  // MARK: Writing

  mutating func append(_ batch: Batch) { pending.append(.batch(batch)) }
  mutating func void(_ origin: OriginIndex, after sequence: UInt64) { pending.append(.void(origin, after: sequence)) }
  mutating func put(_ key: String, _ value: [UInt8]) { pendingRecords.append((key, value)) }
  mutating func keep(_ list: CheckpointList) { pendingCheckpoints = list }
  mutating func putAudit(_ position: OrderKey, entries: UInt64) { pendingAudit = (position, entries) }

  /// What was written since the last sync is on disk now.
  mutating func sync() {
    for write in pending {
      switch write {
      case .batch(let batch):
        while logs.count <= batch.origin.int { logs.append([]) }
        logs[batch.origin.int].append(LogRow(batch))
      case .void(let origin, let sequence):
        guard origin.int < logs.count else { continue }
        void += logs[origin.int].filter { $0.lastSequence > sequence }
        logs[origin.int].removeAll { $0.lastSequence > sequence }
      }
    }
    for (key, value) in pendingRecords {
      if key == ViewRecord.Key.view.rawValue { hasNewView = true }
      if let place = records.firstIndex(where: { $0.key == key }) {
        records[place].value = value
      } else {
        records.append((key, value))
      }
    }
    if let pendingCheckpoints { checkpoints = pendingCheckpoints }
    if let pendingAudit { (auditPosition, auditEntries) = pendingAudit }
    forgetUnsynced()
  }

  /// Writes a record at once: before a process runs.
  mutating func putNow(_ record: ViewRecord) { putNow(record.key.rawValue, record.bytes) }

  mutating func putNow(_ key: String, _ value: [UInt8]) {
    if key == ViewRecord.Key.view.rawValue { hasNewView = true }
    records.removeAll { $0.key == key }
    records.append((key, value))
  }

  mutating func set(_ base: LogBase, of origin: OriginIndex) {
    while bases.count <= origin.int { bases.append(LogBase(head: Head(sequence: 0, hash: .zero), stamp: .zero)) }
    bases[origin.int] = base
  }

  mutating func set(_ list: CheckpointList) { checkpoints = list }

  mutating func setAudit(_ position: OrderKey, entries: UInt64) { (auditPosition, auditEntries) = (position, entries) }

  /// The view that was written since the last call, if one was.
  mutating func takeNewView() -> ViewValue? {
    guard hasNewView else { return nil }
    hasNewView = false
    guard let bytes = record(ViewRecord.Key.view.rawValue),
      case .view(let decision)? = try? ViewRecord(key: .view, stored: bytes)
    else { return nil }
    return decision.value
  }

  /// Whether this disk's member has promised to change the view that it is in.
  func hasPromised(in view: UInt64) -> Bool {
    guard let bytes = record(ViewRecord.Key.promise.rawValue),
      case .promise(let promise)? = try? ViewRecord(key: .promise, stored: bytes)
    else { return false }
    return promise.view == view
  }

  /// What the disk says of views.
  func viewRecords(genesis: Genesis, publicKey: PublicKey) -> ViewRecords? {
    let stored = records.compactMap { record in
      ViewRecord.Key(rawValue: record.key).flatMap { try? ViewRecord(key: $0, stored: record.value) }
    }
    guard case .store(let token)? = stored.first(where: { $0.key == .store }) else { return nil }
    var views = ViewRecords(store: token, genesis: Decision(genesis: genesis), publicKey: publicKey)
    for record in stored { views.restore(record) }
    return views
  }

  mutating func forgetUnsynced() {
    pending.removeAll(keepingCapacity: true)
    pendingRecords.removeAll(keepingCapacity: true)
    pendingCheckpoints = nil
    pendingAudit = nil
  }

  // MARK: Reading

  func record(_ key: String) -> [UInt8]? { records.first { $0.key == key }?.value }

  /// Entries of an origin's log on this disk.
  func entries(of origin: OriginIndex) -> UInt64 {
    let last = origin.int < logs.count ? logs[origin.int].last?.lastSequence ?? 0 : 0
    return max(last, base(of: origin).head.sequence)
  }

  /// What of a void tail this disk keeps aside.
  func voidBatches(_ tail: ResubmissionRecord.Tail, chainStart: Hash256, _ sha: SHA256) -> [Batch] {
    let rows = void.filter {
      $0.origin == Int64(tail.origin.value) && $0.firstSequence >= tail.first && $0.lastSequence <= tail.last
    }
    return LogRow.voidBatches(rows, after: hash(before: tail, chainStart), sha)
  }

  /// Of the chain before a void tail; nil if what was there is not kept.
  private func hash(before tail: ResubmissionRecord.Tail, _ chainStart: Hash256) -> Hash256? {
    if tail.first == 1 { return chainStart }
    let end = tail.origin.int < logs.count ? logs[tail.origin.int].last : nil
    if let end, end.lastSequence == tail.first - 1 { return end.hash }
    let base = base(of: tail.origin).head
    return base.sequence == tail.first - 1 ? base.hash : nil
  }

  /// Whether an entry is kept aside: the log ended before it.
  func hasVoid(_ dot: Dot) -> Bool {
    void.contains {
      $0.origin == Int64(dot.origin.value) && $0.firstSequence <= dot.sequence && dot.sequence <= $0.lastSequence
    }
  }

  /// Whole batches of a range, each checked against its stored hash; those before a damaged one, if there is one.
  func batches(
    _ range: ClosedRange<UInt64>, of origin: Int, chainStart: Hash256, bytesMax: Int, _ sha: SHA256
  )
    -> [SealedBatch]
  {
    guard origin < logs.count else { return [] }
    var low = 0
    var high = logs[origin].count
    while low < high {
      let middle = (low + high) / 2
      if logs[origin][middle].lastSequence < range.lowerBound { low = middle + 1 } else { high = middle }
    }
    var found: [SealedBatch] = []
    var bytes = 0
    for index in low..<logs[origin].count {
      let row = logs[origin][index]
      guard row.firstSequence <= range.upperBound, let hash = row.hash, let signature = row.signature else { break }
      bytes += row.bytes.count
      if !found.isEmpty, bytes > bytesMax { break }
      let base = base(of: OriginIndex(UInt32(origin)))
      let start = base.head.sequence > 0 ? base.head.hash : chainStart
      let previous = index == 0 ? start : logs[origin][index - 1].hash ?? .zero
      guard HashChain.link(previous: previous, bytes: row.bytes, sha) == hash else { break }
      found.append(SealedBatch(bytes: row.bytes, view: row.view, signature: signature))
    }
    return found
  }

  // MARK: Damage

  /// Flips one bit of a stored batch that `choice` names; nil if there is none.
  /// - Returns: the origin whose log is damaged, and from which sequence.
  mutating func flipBit(_ choice: UInt64) -> (origin: Int, sequence: UInt64)? {
    let total = logs.reduce(0) { $0 + $1.count }
    guard total > 0 else { return nil }
    var place = Int(choice % UInt64(total))
    for origin in logs.indices {
      guard place >= logs[origin].count else {
        let byte = Int((choice >> 20) % UInt64(logs[origin][place].bytes.count))
        logs[origin][place].bytes[byte] ^= 1 << UInt8(choice >> 40 & 7)
        return (origin, logs[origin][place].firstSequence)
      }
      place -= logs[origin].count
    }
    return nil
  }

  /// Drops an origin's rows from `sequence` on: they are damaged, and peers have them.
  mutating func cut(_ origin: Int, from sequence: UInt64) {
    logs[origin].removeAll { $0.firstSequence >= sequence }
  }

  /// Flips a bit of a stored batch, or drops its row, while a process uses the disk.
  mutating func damageRow(_ choice: UInt64) -> (origin: Int, sequence: UInt64)? {
    if choice >> 63 == 0 { return flipBit(choice) }
    let total = logs.reduce(0) { $0 + $1.count }
    guard total > 0 else { return nil }
    var place = Int(choice % UInt64(total))
    for origin in logs.indices {
      // The last row stays: it says how much there is.
      if place + 1 < logs[origin].count { return (origin, logs[origin].remove(at: place).firstSequence) }
      if place < logs[origin].count { return flipBit(choice) }
      place -= logs[origin].count
    }
    return nil
  }

  /// Puts what was fetched where the log is damaged.
  mutating func mend(_ hole: LogHole, _ batches: [Batch], _ sha: SHA256) -> Bool {
    guard hole.origin.int < logs.count, hole.isFilled(by: batches, sha),
      self.base(of: hole.origin).head.sequence <= hole.before.sequence
    else { return false }
    void += logs[hole.origin.int].filter {
      $0.firstSequence > hole.before.sequence && $0.firstSequence <= hole.through
    }
    logs[hole.origin.int].removeAll { $0.firstSequence > hole.before.sequence && $0.firstSequence <= hole.through }
    let place = logs[hole.origin.int].firstIndex { $0.firstSequence > hole.through } ?? logs[hole.origin.int].count
    logs[hole.origin.int].insert(contentsOf: batches.map { LogRow($0) }, at: place)
    return true
  }

  mutating func wipe() { self = SimulatedDisk() }

  /// Nothing of the log is of use any more: what it stood on is lost.
  mutating func forgetLog() {
    void += logs.flatMap { $0 }
    logs = []
    bases = []
    snapshots = []
    checkpoints = CheckpointList()
    setAudit(.zero, entries: 0)
  }
}

extension SimulatedDisk: LogSource {
  func origins() throws(Never) -> [OriginIndex] {
    logs.indices.filter { !logs[$0].isEmpty }.map { OriginIndex(UInt32($0)) }
  }

  func places(of origin: OriginIndex, after sequence: UInt64, max: Int) throws(Never) -> [LogPlace] {
    let rows = logs[origin.int]
    var low = 0
    var high = rows.count
    while low < high {
      let middle = (low + high) / 2
      if rows[middle].firstSequence <= sequence { low = middle + 1 } else { high = middle }
    }
    return (low..<min(rows.count, low + max)).map {
      LogPlace(
        row: Int64($0) << 16 | Int64(origin.value), firstSequence: rows[$0].firstSequence,
        firstStamp: rows[$0].firstStamp)
    }
  }

  func row(_ place: LogPlace) throws(Never) -> LogRow? { logs[Int(place.row & 0xFFFF)][Int(place.row >> 16)] }

  func extent(of origin: OriginIndex, from sequence: UInt64) throws(Never) -> (batches: Int, entries: UInt64) {
    let lost = logs[origin.int].filter { $0.firstSequence >= sequence }
    guard let last = lost.last else { return (0, 0) }
    return (lost.count, last.lastSequence - sequence + 1)
  }
}
