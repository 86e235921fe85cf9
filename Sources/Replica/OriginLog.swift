import DequeModule
import EventLog
import Gossip
import Primitives

/// The recent part of one origin's log, and how far each stage has come with it.
///
/// `final ≤ applied ≤ visible ≤ held`. Older batches are in storage only.
struct OriginLog: Sendable {
  /// A place between two entries of the batches in memory.
  struct Cursor: Equatable, Sendable {
    var batch = 0
    var entry = 0
  }

  /// Batches kept in memory after they are final, so that most requests need no disk.
  static let retainedBatchesDefault = 512
  static let retainedEntriesMax = 65_536

  let origin: OriginIndex
  let chainStart: Hash256
  private(set) var held: Head
  private(set) var heldStamp: Stamp = .zero
  /// Entries whose stamps are not quarantined.
  private(set) var visible: UInt64 = 0
  /// Entries on disk here.
  private(set) var durable: UInt64 = 0
  /// Newest batch end that is on disk and visible: what is acked.
  private(set) var acked: Head
  private(set) var applied: UInt64 = 0
  private(set) var final: UInt64 = 0

  /// End of what is not in memory any more, or never was: all of it is final.
  private(set) var memoryStart: LogBase

  private(set) var batches: Deque<Batch> = []
  private var entriesInMemory = 0
  private var applyCursor = Cursor()
  private var finalCursor = Cursor()
  /// Batches that wait for an earlier one, by first sequence; bounded.
  private var orphans: [Orphan] = []

  private struct Orphan: Sendable {
    var first: UInt64
    var last: UInt64
    var batch: SealedBatch
    var source: PeerIndex
  }

  init(origin: OriginIndex, chainStart: Hash256) {
    self.origin = origin
    self.chainStart = chainStart
    held = Head(sequence: 0, hash: chainStart)
    acked = held
    memoryStart = LogBase(head: held, stamp: .zero)
  }

  /// Begins after what a snapshot stands for: it is held, on disk, applied and final.
  /// - Precondition: nothing was appended.
  mutating func begin(at base: LogBase) {
    precondition(held.sequence == 0 && batches.isEmpty, "the log has begun")
    held = base.head
    heldStamp = base.stamp
    acked = base.head
    memoryStart = base
    visible = base.head.sequence
    durable = base.head.sequence
    applied = base.head.sequence
    final = base.head.sequence
  }

  /// End of the last batch that is final as a whole.
  /// - Precondition: `final` is the end of a batch.
  var finalBase: LogBase {
    if final == memoryStart.head.sequence { return memoryStart }
    let batch = batches[batchIndex(containing: final)]
    precondition(batch.lastSequence == final, "finality ends within a batch")
    return LogBase(head: Head(sequence: final, hash: batch.hash), stamp: batch.lastStamp)
  }

  // MARK: Growing

  /// - Precondition: the batch continues the log.
  mutating func append(_ batch: Batch) {
    precondition(batch.firstSequence == held.sequence + 1 && batch.firstStamp > heldStamp)
    batches.append(batch)
    entriesInMemory += batch.entries.count
    held = Head(sequence: batch.lastSequence, hash: batch.hash)
    heldStamp = batch.lastStamp
  }

  /// Forgets batches after `head` that were appended but neither applied nor stored.
  mutating func truncate(to head: Head, stamp: Stamp) {
    precondition(head.sequence >= visible && head.sequence >= applied)
    while let last = batches.last, last.lastSequence > head.sequence {
      entriesInMemory -= last.entries.count
      batches.removeLast()
    }
    held = head
    heldStamp = stamp
  }

  /// The log ends here for ever: what is beyond is void, on disk or not.
  /// - Precondition: nothing beyond is applied.
  /// - Returns: the void entries, in order.
  mutating func cut(to head: Head) -> [Batch] {
    precondition(applied <= head.sequence && final <= head.sequence)
    orphans.removeAll()
    guard held.sequence > head.sequence else { return [] }
    var void: [Batch] = []
    while let last = batches.last, last.lastSequence > head.sequence {
      entriesInMemory -= last.entries.count
      void.append(batches.removeLast())
    }
    held = head
    heldStamp = batches.last?.lastStamp ?? memoryStart.stamp
    visible = min(visible, head.sequence)
    durable = min(durable, head.sequence)
    if acked.sequence > head.sequence { acked = head }
    return void.reversed()
  }

  /// Makes visible what is not too far ahead of the node's time, or is believed in any case.
  /// - Returns: the newest stamp made visible, or nil.
  mutating func reveal(nowMilliseconds: UInt64, believed: UInt64 = 0) -> Stamp? {
    guard visible < held.sequence else { return nil }
    var newest: Stamp?
    var index = batchIndex(containing: visible + 1)
    while index < batches.count {
      let batch = batches[index]
      guard
        batch.lastSequence <= believed
          || !HybridClock.isQuarantined(batch.lastStamp, nowMilliseconds: nowMilliseconds)
      else { break }
      visible = batch.lastSequence
      newest = batch.lastStamp
      index += 1
    }
    if newest != nil { refreshAck() }
    return newest
  }

  /// Makes visible what is known to have been, up to a sequence that may lie within a batch.
  mutating func reveal(through sequence: UInt64) { visible = max(visible, min(sequence, held.sequence)) }

  /// Whether entries wait here because their stamps are too far ahead.
  var hasQuarantined: Bool { visible < held.sequence }

  mutating func becameDurable(through sequence: UInt64) {
    // A sync may end after the log was cut.
    durable = max(durable, min(sequence, held.sequence))
    refreshAck()
  }

  /// Newest batch end that is on disk, visible or not. Never less than was ever acked: what was believed before a
  /// restart may have to wait again after it.
  var onDisk: Head { head(upTo: durable) }

  private mutating func refreshAck() { acked = head(upTo: min(durable, visible)) }

  /// Newest batch end at or before `reach`; what is acked at least.
  private func head(upTo reach: UInt64) -> Head {
    guard reach > acked.sequence, !batches.isEmpty else { return acked }
    var index = min(batchIndex(containing: reach), batches.count - 1)
    while index >= 0, batches[index].lastSequence > reach { index -= 1 }
    guard index >= 0, batches[index].lastSequence > acked.sequence else { return acked }
    return Head(sequence: batches[index].lastSequence, hash: batches[index].hash)
  }

  /// Keeps a batch whose predecessors are missing; a newer one of the same place takes the older one's.
  ///
  /// Beyond the limit the latest ones are dropped, to be asked for again.
  mutating func keepOrphan(_ batch: SealedBatch, first: UInt64, last: UInt64, from source: PeerIndex) {
    let place = orphans.firstIndex { $0.first >= first } ?? orphans.count
    let orphan = Orphan(first: first, last: last, batch: batch, source: source)
    if place < orphans.count, orphans[place].first == first {
      orphans[place] = orphan
    } else {
      orphans.insert(orphan, at: place)
    }
    if orphans.count > Limits.orphanBatchesPerOriginMax { orphans.removeLast() }
  }

  /// The orphan that continues the log now, and who sent it; those that it made useless are dropped.
  mutating func takeOrphan() -> (batch: SealedBatch, source: PeerIndex)? {
    while let first = orphans.first, first.last <= held.sequence { orphans.removeFirst() }
    guard let first = orphans.first, first.first == held.sequence + 1 else { return nil }
    orphans.removeFirst()
    return (first.batch, first.source)
  }

  var orphanCount: Int { orphans.count }

  // MARK: Looking up

  /// Index of the batch in memory that holds `sequence`; `batches.count` if it is later than all, 0 if earlier.
  private func batchIndex(containing sequence: UInt64) -> Int {
    var low = 0
    var high = batches.count
    while low < high {
      let middle = (low + high) / 2
      if batches[middle].lastSequence < sequence { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// Chain hash at a batch end, if it is in memory.
  func hash(at sequence: UInt64) -> Hash256? {
    let index = batchIndex(containing: sequence)
    guard index < batches.count, batches[index].lastSequence == sequence else { return nil }
    return batches[index].hash
  }

  /// An entry, if it is in memory.
  func entry(at sequence: UInt64) -> Entry? {
    let index = batchIndex(containing: sequence)
    guard index < batches.count, batches[index].firstSequence <= sequence else { return nil }
    return batches[index].entries[Int(sequence - batches[index].firstSequence)]
  }

  /// Key of the entry after `sequence`, if it is held.
  /// - Precondition: it is not final.
  func key(after sequence: UInt64) -> OrderKey? {
    entry(at: sequence + 1).map { OrderKey(stamp: $0.stamp, origin: origin) }
  }

  /// Batches from `sequence` on, if memory reaches that far back.
  func batches(from sequence: UInt64, through: UInt64, bytesMax: Int) -> [Batch]? {
    guard let first = batches.first, first.firstSequence <= sequence else { return nil }
    var index = batchIndex(containing: sequence)
    var found: [Batch] = []
    var bytes = 0
    while index < batches.count, batches[index].firstSequence <= through {
      bytes += batches[index].bytes.count
      if !found.isEmpty && bytes > bytesMax { break }
      found.append(batches[index])
      index += 1
    }
    return found
  }

  // MARK: Applying

  /// Key of the next entry to apply.
  @inline(__always) var nextKey: OrderKey? {
    guard applied < visible else { return nil }
    return OrderKey(stamp: batches[applyCursor.batch].entries[applyCursor.entry].stamp, origin: origin)
  }

  @inline(__always) var nextEntry: Entry { batches[applyCursor.batch].entries[applyCursor.entry] }

  @inline(__always) mutating func advanceApplied() {
    applied += 1
    advance(&applyCursor)
  }

  @inline(__always) private func advance(_ cursor: inout Cursor) {
    cursor.entry += 1
    if cursor.entry == batches[cursor.batch].entries.count {
      cursor.batch += 1
      cursor.entry = 0
    }
  }

  /// Sets the next entry to apply back to `sequence + 1`.
  mutating func rewind(to sequence: UInt64) {
    precondition(sequence >= final && sequence <= applied)
    applied = sequence
    let index = batchIndex(containing: sequence + 1)
    applyCursor = Cursor(
      batch: index, entry: index < batches.count ? Int(sequence + 1 - batches[index].firstSequence) : 0)
  }

  /// The next entry to become final.
  var nextFinal: Entry { batches[finalCursor.batch].entries[finalCursor.entry] }

  mutating func advanceFinal() {
    precondition(final < applied)
    final += 1
    advance(&finalCursor)
  }

  /// Drops final, durable batches from memory beyond what is worth keeping.
  mutating func evict(beyond batchesMax: Int) {
    while let first = batches.first, first.lastSequence <= min(final, acked.sequence),
      batches.count > batchesMax || entriesInMemory > Self.retainedEntriesMax
    {
      entriesInMemory -= first.entries.count
      memoryStart = LogBase(
        head: Head(sequence: first.lastSequence, hash: first.hash), stamp: first.lastStamp)
      batches.removeFirst()
      applyCursor.batch -= 1
      finalCursor.batch -= 1
    }
  }
}
