import Primitives

extension MatchingEngine {
  /// Takes back everything after `mark`: the earlier state, exactly.
  ///
  /// - Precondition: `mark` is a `journalMark` between two entries, not settled away and not ahead.
  /// - Complexity: O(undo records after `mark`).
  public mutating func rollback(to mark: UInt64) {
    precondition(mark >= journal.start && mark <= journal.end, "no such mark in the undo journal")
    let stopsBefore = waitingStops
    while journal.end > mark { undo(journal.pop()) }
    finish()
    if !defects.isEmpty { misremember(stopsBefore: stopsBefore) }
  }

  /// Everything before `mark` stays: its undo records go, and the slots of orders that it removed.
  ///
  /// - Precondition: `mark` is a `journalMark` between two entries, not ahead. An earlier settled mark does nothing.
  /// - Complexity: O(undo records let go).
  public mutating func settle(through mark: UInt64) {
    precondition(mark <= journal.end, "no such mark in the undo journal")
    // Twice over the records: first to find the slots to be let go, without a branch, since any record may have one;
    // then to let them go, with time to ask for their memory.
    var position = journal.start
    var others: UInt32 = 0
    settling.removeAll()
    if mark > position { settling.reserve(Int(mark &- position) + 1) }
    while position < mark {
      let record = journal[position]
      position &+= 1
      settling.put(record.slot, counting: record.releasedOrders)
      others |= record.otherSettling
    }
    releaseSettling()
    if others != 0 { settleOthers(through: mark) }
    journal.settle(through: mark)
  }

  private mutating func releaseSettling() {
    for place in 0..<settling.count { release(settling[place]) }
  }

  /// Settles the records that are not about orders.
  @inline(never) private mutating func settleOthers(through mark: UInt64) {
    let recordsBefore = settledRecords
    let secondBefore = settledSecond
    for position in journal.start..<mark {
      let record = journal[position]
      switch record.kind {
      case .identified: settledRecords += 1
      case .clock: settledSecond = record.old
      case .tombstoneLifted: tombstones.release(record.slot)
      case .removed, .cancelled, .replaced, .applied, .placed, .inserted, .filled, .reduced, .lastTrade, .tombstoneLaid,
        .defined, .shown, .requeued:
        break
      }
    }
    if settledRecords != recordsBefore || settledSecond != secondBefore {
      ids.trim(second: settledSecond, settled: settledRecords)
    }
  }

  @inline(__always) private mutating func undo(_ record: UndoRecord) {
    switch record.kind {
    case .applied: undoEntry(record)
    case .placed:
      undoInsert(record.slot)
      undoEntry(record)
    case .cancelled:
      undoRemove(record.slot)
      undoEntry(record)
    case .replaced:
      undoInsert(index.slot(of: orders[record.slot].dot))
      undoRemove(record.slot)
      undoEntry(record)
    case .inserted: undoInsert(record.slot)
    case .removed: undoRemove(record.slot)
    case .filled: undoLower(record.slot, Int64(bitPattern: record.old), filled: Int64(bitPattern: record.old))
    case .reduced: undoLower(record.slot, Int64(bitPattern: record.old), filled: 0)
    case .shown: undoShow(record.slot, Int64(bitPattern: record.old))
    case .requeued: undoRequeue(record.slot)
    case .lastTrade:
      books[record.slot].lastTradeTicks = Int64(bitPattern: record.old)
      books[record.slot].isDirty = true
    case .clock: setClock(record.old)
    case .identified: undoName(record.slot)
    case .tombstoneLaid: tombstones.unlay(record.slot)
    case .tombstoneLifted: tombstones.restore(record.slot)
    case .defined: undoDefinition(record.slot)
    }
  }

  /// The newest key, which is that of the entry taken back, gives way to the one before.
  @inline(__always) private mutating func undoEntry(_ record: UndoRecord) {
    index.retreat(lastKey.origin)
    lastKey = OrderKey(stamp: Stamp(record.old), origin: OriginIndex(record.payload))
  }

  private mutating func undoDefinition(_ book: UInt32) {
    precondition(book + 1 == books.count, "undo is out of order")
    if tracksChangedLevels { rememberVanishedLevels(of: book) }
    hasher.forget(&books[book])
    books.removeLast()
    ladder.removeLast()
    stops.removeLast()
    stops.removeLast()
  }
}
