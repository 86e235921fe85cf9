import DequeModule
import EventLog
import OrderBook
import Primitives

/// Applies entries to the book in key order, and takes them back when an earlier one arrives.
///
/// The book is the replay of all visible entries in key order; nothing else decides anything. Entries between the final
/// frontier and the applied tail can be undone; what happened to each is on the tape until it is final.
struct Sequencer: ~Copyable {
  /// One applied entry that is not final.
  struct Record: Sendable {
    var key: OrderKey
    var sequence: UInt64
    /// Engine journal before it.
    var mark: UInt64
    /// Tape position before it.
    var tapeStart: UInt64
    var dot: Dot { Dot(origin: key.origin, sequence: sequence) }
  }

  struct Counters: Equatable, Sendable {
    /// Entries applied, again or not.
    var applications: UInt64 = 0
    var rollbacks: UInt64 = 0
    var rollbackDepthMax: UInt64 = 0
    var undone: UInt64 = 0
    /// As often the tail was taken back for a checkpoint's hash and put back at once: neither rollbacks nor, what was
    /// put back, applications.
    var checkpointRollbacks: UInt64 = 0
    var checkpointUndone: UInt64 = 0
  }

  var engine = MatchingEngine()
  var logs: [OriginLog]
  /// Places of logs that may grow, or are not final to their ends, ascending: what is done often leaves out those that
  /// were sealed long ago.
  private(set) var live: [Int]
  /// Final batches of each origin that stay in memory.
  var retainedBatchesMax = OriginLog.retainedBatchesDefault
  private(set) var tail: Deque<Record> = []
  private(set) var tape = EventTape()
  private(set) var finalKey = OrderKey.zero
  private(set) var counters = Counters()
  /// Final entries that nobody has taken yet.
  var finalRun = AppliedRun()
  private(set) var finalFills: UInt64 = 0
  private(set) var finalOrders: UInt64 = 0
  /// Changes with every application and rollback.
  private(set) var version: UInt64 = 0

  /// Scratch of `rollBack`: by origin, `UInt64.max` for "not touched".
  private var pendingRewind: [UInt64]

  init(logs: [OriginLog]) {
    self.logs = logs
    live = Array(logs.indices)
    pendingRewind = Array(repeating: UInt64.max, count: logs.count)
  }

  /// Starts with what a snapshot stands for.
  /// - Precondition: nothing was appended.
  mutating func restore(_ restored: consuming MatchingEngine, bases: [LogBase], fills: UInt64, orders: UInt64) {
    let defects = engine.defects
    engine = restored
    engine.defects = defects
    for (place, base) in bases.enumerated() where base.head.sequence > 0 { logs[place].begin(at: base) }
    finalKey = engine.newestKey
    finalFills = fills
    finalOrders = orders
    version += 1
  }

  /// One more origin is known.
  mutating func add(_ log: OriginLog) {
    precondition(log.origin.int == logs.count)
    live.append(logs.count)
    logs.append(log)
    pendingRewind.append(UInt64.max)
  }

  /// Events of the tail's record at `index`, for immediate use.
  func events(ofTail index: Int) -> EventRun {
    tape.run(from: tail[index].tapeStart, to: index + 1 < tail.count ? tail[index + 1].tapeStart : tape.end)
  }

  /// Events of all that is tentative, for immediate use.
  var tentativeEvents: EventRun { tape.run(from: tail.first?.tapeStart ?? tape.end, to: tape.end) }

  var appliedVector: VersionVector { VersionVector(logs.map(\.applied)) }
  var unapplied: UInt64 { live.reduce(0) { $0 + logs[$1].visible - logs[$1].applied } }
  var tentative: UInt64 { live.reduce(0) { $0 + logs[$1].held.sequence - logs[$1].final } }

  var oldestTentative: Stamp? {
    if let first = tail.first { return first.key.stamp }
    return oldestUnapplied
  }

  /// Stamp of the oldest visible entry that is not applied.
  var oldestUnapplied: Stamp? {
    var oldest: Stamp?
    for index in live {
      if let stamp = logs[index].nextKey?.stamp { oldest = min(oldest ?? stamp, stamp) }
    }
    return oldest
  }

  /// A log grows; it may have been at its end.
  /// - Precondition: the batch continues it.
  mutating func append(_ batch: Batch) {
    logs[batch.origin.int].append(batch)
    wake(batch.origin.int)
  }

  private mutating func wake(_ index: Int) {
    guard let place = live.firstIndex(where: { $0 >= index }) else { return live.append(index) }
    if live[place] != index { live.insert(index, at: place) }
  }

  /// Leaves out the logs that are final to their ends, but those of members.
  mutating func rest(_ members: [OriginIndex]) {
    live.removeAll { index in
      logs[index].final == logs[index].held.sequence && !members.contains { $0.int == index }
    }
  }

  /// Applies visible entries with stamps up to `limit`, at most `count` of them.
  /// - Precondition: nothing visible has a key below the applied tail; `rollBack` first.
  /// - Returns: how many were applied.
  mutating func apply(through limit: Stamp, atMost count: Int) -> Int {
    var done = 0
    while done < count {
      // The origin with the smallest next key, and how far it may run before another one's turn.
      var lowest = OrderKey(stamp: limit, origin: OriginIndex(UInt32.max))
      var bound = lowest
      var chosen = -1
      for index in live {
        guard let key = logs[index].nextKey else { continue }
        if key < lowest {
          bound = lowest
          lowest = key
          chosen = index
        } else if key < bound {
          bound = key
        }
      }
      guard chosen >= 0 else { break }
      while done < count, let key = logs[chosen].nextKey, key < bound {
        applyNext(of: chosen, key)
        done += 1
      }
    }
    return done
  }

  private mutating func applyNext(of index: Int, _ key: OrderKey) {
    let entry = logs[index].nextEntry
    let sequence = logs[index].applied + 1
    tail.append(Record(key: key, sequence: sequence, mark: engine.journalMark, tapeStart: tape.end))
    let dot = Dot(origin: key.origin, sequence: sequence)
    switch entry.payload {
    case .command(let command): engine.apply(command, at: dot, stamp: entry.stamp, into: &tape)
    case .fill, .checkpoint: engine.apply(nil, at: dot, stamp: entry.stamp, into: &tape)
    }
    logs[index].advanceApplied()
    counters.applications += 1
    version += 1
  }

  /// Index in the tail of the first record whose key is above `key`.
  func tailIndex(above key: OrderKey) -> Int {
    var low = 0
    var high = tail.count
    while low < high {
      let middle = (low + high) / 2
      if tail[middle].key > key { high = middle } else { low = middle + 1 }
    }
    return low
  }

  /// Takes back every record from `index` on.
  /// - Complexity: O(records taken back).
  mutating func rollBack(toTailIndex index: Int) {
    guard index < tail.count else { return }
    let depth = tail.count - index
    engine.rollback(to: tail[index].mark)
    let tapeStart = tail[index].tapeStart
    // The lowest undone sequence of an origin comes last when walking backwards.
    for place in stride(from: tail.count - 1, through: index, by: -1) {
      let record = tail[place]
      pendingRewind[record.key.origin.int] = record.sequence - 1
    }
    for origin in live where pendingRewind[origin] != UInt64.max {
      logs[origin].rewind(to: pendingRewind[origin])
      pendingRewind[origin] = UInt64.max
    }
    tail.removeLast(depth)
    tape.truncate(to: tapeStart)
    counters.rollbacks += 1
    counters.undone += UInt64(depth)
    counters.rollbackDepthMax = max(counters.rollbackDepthMax, UInt64(depth))
    version += 1
  }

  /// Forgets what was applied tentatively; it is applied anew later.
  /// - Parameter undoing: also takes it back from the book; else the book is of no use any more.
  mutating func dropTail(undoing: Bool) {
    guard !tail.isEmpty else { return }
    if undoing { return rollBack(toTailIndex: 0) }
    for index in live { logs[index].rewind(to: logs[index].final) }
    tail.removeAll()
    tape.truncate(to: tape.end)
    tape.removeAll()
    version += 1
  }

  /// Takes a book that was made of the same final entries for the one that is here.
  /// - Precondition: nothing is applied tentatively; `other` is final through the same entries.
  mutating func takeBook(of other: inout Sequencer) {
    precondition(tail.isEmpty && other.tail.isEmpty, "books are exchanged between two entries")
    let (defects, tracks) = (engine.defects, engine.tracksChangedLevels)
    swap(&engine, &other.engine)
    engine.defects = defects
    engine.tracksChangedLevels = tracks
    finalFills = other.finalFills
    finalOrders = other.finalOrders
    finalRun.removeAll()
    version += 1
  }

  /// Lets `body` see the book without what is tentative: taken back for it, and put back as it was. Nothing is
  /// different afterwards but two counters.
  /// - Parameter includesTail: leaves everything where it is; see `Defects.checkpointIncludesTentative`.
  /// - Complexity: O(tail), beside `body`.
  mutating func withFinalBook<Result>(
    includesTail: Bool = false, _ body: (inout MatchingEngine) -> Result
  ) -> Result {
    let depth = tail.count
    guard depth > 0, !includesTail else { return body(&engine) }
    let before = (counters: counters, version: version)
    rollBack(toTailIndex: 0)
    let result = body(&engine)
    // What is visible and was not applied lies above the tail, so these are the same entries.
    let again = apply(through: Stamp(UInt64.max), atMost: depth)
    precondition(again == depth, "the tail is visible")
    (counters, version) = before
    counters.checkpointRollbacks += 1
    counters.checkpointUndone += UInt64(depth)
    return result
  }

  /// Makes applied entries with stamps up to `stamp` final: they cannot be undone any more.
  /// - Returns: how many became final.
  mutating func finalize(through stamp: Stamp) -> Int {
    var count = 0
    while count < tail.count, tail[count].key.stamp <= stamp {
      let record = tail[count]
      let events = events(ofTail: count)
      let origin = record.key.origin.int
      let entry = logs[origin].nextFinal
      logs[origin].advanceFinal()
      for event in events { if case .filled = event { finalFills += 1 } }
      if case .command(.order) = entry.payload { finalOrders += 1 }
      finalRun.append(dot: record.dot, entry: entry, events: events)
      finalKey = record.key
      count += 1
    }
    guard count > 0 else { return 0 }
    let mark = count < tail.count ? tail[count].mark : engine.journalMark
    let tapeStart = count < tail.count ? tail[count].tapeStart : tape.end
    engine.settle(through: mark)
    tail.removeFirst(count)
    tape.trim(to: tapeStart)
    for index in live { logs[index].evict(beyond: retainedBatchesMax) }
    return count
  }
}
