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
    journalMark = mark
    if !defects.isEmpty { misremember(stopsBefore: stopsBefore) }
  }

  /// Everything before `mark` stays: its undo records go, and the slots of orders that it removed.
  ///
  /// - Precondition: `mark` is a `journalMark` between two entries, not ahead. An earlier settled mark does nothing.
  /// - Complexity: O(undo records let go).
  public mutating func settle(through mark: UInt64) {
    precondition(mark <= journal.end, "no such mark in the undo journal")
    let recordsBefore = settledRecords
    let secondBefore = settledSecond
    var position = journal.start
    while position < mark {
      let record = journal[position]
      position &+= 1
      if record.settlesSilently { continue }
      switch record.kind {
      case .removed: release(record.slot)
      case .identified: settledRecords += 1
      case .clock: settledSecond = record.old
      case .tombstoneLifted: tombstones.release(record.slot)
      default: break
      }
    }
    journal.settle(through: mark)
    if settledRecords != recordsBefore || settledSecond != secondBefore {
      ids.trim(second: settledSecond, settled: settledRecords)
    }
  }

  @inline(__always) private mutating func undo(_ record: UndoRecord) {
    switch record.kind {
    case .applied:
      index.retreat(OriginIndex(record.slot))
      lastKey = OrderKey(stamp: Stamp(record.old), origin: OriginIndex(record.payload))
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
    case .identified: ids.removeNewest()
    case .tombstoneLaid: tombstones.unlay(record.slot)
    case .tombstoneLifted: tombstones.restore(record.slot)
    case .defined: undoDefinition(record.slot)
    }
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
