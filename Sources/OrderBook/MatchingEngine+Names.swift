import Primitives

/// An order's names: its client order id, the first dot that it ever had, and its own dot.
///
/// Whoever names an order means the one that has the name. An order that brings a name which another one of its account
/// has is that order, sent twice: it has no effect, and what names it brings become further names of the other. Ids,
/// first dots and the dots of repeats are records of `ClientIDIndex`; an order's own dot needs none.
/// - Source: Docs, "Sealing"; `Tests/Model/resubmission.pml`.
extension MatchingEngine {
  /// Remembers the names of an order; or rejects the order and returns none.
  /// - Parameter isEntombed: a cancel waited for the order's own dot.
  /// - Precondition: it has a client order id or a first dot.
  @inline(never) mutating func takeNames(
    _ order: Order, _ dot: Dot, _ stamp: Stamp, _ isEntombed: Bool, _ tape: inout EventTape
  ) -> UInt32 {
    let fingerprint = order.fingerprint
    let account = order.account.value
    let hasID = !order.clientOrderID.isNone
    if hasID, let first = remembered(account, order.clientOrderID) {
      if ids[first].fingerprint == fingerprint {
        repeats(first, order, dot, isEntombed, &tape)
      } else {
        tape.append(.rejected(entry: dot, reason: .duplicateID, order: ids[first].dot))
      }
      return noSlot
    }
    if order.firstWord != 0, isKnown(order, dot, isEntombed, &tape) { return noSlot }
    // Only now: an order that is sent again after its time is still the same order.
    if order.isOver(at: stamp) {
      tape.append(.rejected(entry: dot, reason: .invalidExpiry, order: .none))
      return noSlot
    }
    if hasID, let reason = untimely(order, stamp) {
      tape.append(.rejected(entry: dot, reason: reason, order: .none))
      return noSlot
    }
    var record = noSlot
    if hasID { record = addName(order.clientOrderID, dot, account, fingerprint, of: noSlot) }
    if order.firstWord != 0 {
      let name = addName(ClientOrderID(naming: order.firstDot), dot, account, fingerprint, of: record)
      if record == noSlot { record = name }
    }
    return record
  }

  /// An id is taken only if no order of that id can have been taken before and forgotten for its age since: a client's
  /// time is at most `ahead` after its entry's stamp, so the refusal starts that much before the forgetting.
  /// (Forgetting because of `Limits.clientOrderIDsMax` is not covered.)
  private func untimely(_ order: Order, _ stamp: Stamp) -> RejectReason? {
    let ahead = Limits.stampAheadMillisecondsMax
    if order.clientTimeMilliseconds > stamp.milliseconds + ahead { return .clientTimeAhead }
    let oldest = stamp.milliseconds + ahead - min(bounds.windowMilliseconds, stamp.milliseconds)
    return order.clientTimeMilliseconds < oldest ? .stale : nil
  }

  private mutating func addName(
    _ name: ClientOrderID, _ dot: Dot, _ account: UInt64, _ fingerprint: UInt64, of head: UInt32
  ) -> UInt32 {
    let record = ids.add(name, dot, account: account, fingerprint: fingerprint, second: second, head: head)
    journal.push(UndoRecord(.identified, slot: record))
    return record
  }

  /// The record of (account, name), if the name is remembered now.
  @inline(__always) func remembered(_ account: UInt64, _ name: ClientOrderID) -> UInt32? {
    let record = ids.find(account, name)
    if record == noSlot { return nil }
    if ids.isInWindow(record, at: second) || index.slot(of: ids[record].dot) != noSlot { return record }
    return nil
  }

  /// The record of an order that had another dot before, or that was sent again as `dot`.
  @inline(__always) func remembered(_ account: UInt64, _ dot: Dot) -> UInt32? {
    ids.dotNames == 0 ? nil : remembered(account, ClientOrderID(naming: dot))
  }

  // MARK: Repeats

  /// Rejects an order whose first dot is known already.
  /// - Returns: false if it is not.
  private mutating func isKnown(
    _ order: Order, _ dot: Dot, _ isEntombed: Bool, _ tape: inout EventTape
  ) -> Bool {
    if let first = remembered(order.account.value, order.firstDot) {
      repeats(first, order, dot, isEntombed, &tape)
      return true
    }
    // The order itself is here: nobody has heard yet that it is void.
    guard order.firstDot.sequence <= index.applied(order.firstDot.origin) else { return false }
    tape.append(.rejected(entry: dot, reason: .repeated, order: order.firstDot))
    let isCancelled = liftTombstones(of: order) || isEntombed
    if isCancelled { cancelEntombed(order.firstDot, order.account.value, &tape) }
    return true
  }

  /// The order is the one of a record, sent again: it has no effect but that of a cancel that waited for it.
  private mutating func repeats(
    _ first: UInt32, _ order: Order, _ dot: Dot, _ isEntombed: Bool, _ tape: inout EventTape
  ) {
    let original = ids[first].dot
    let account = order.account.value
    tape.append(.rejected(entry: dot, reason: .repeated, order: original))
    // The first dot of an order that is here is no name of another one, whatever its node says.
    if order.firstWord != 0, order.firstDot.sequence > index.applied(order.firstDot.origin) {
      alias(order.firstDot, first)
    }
    alias(dot, first)
    let isCancelled = liftTombstones(of: order) || isEntombed
    if isCancelled { cancelEntombed(original, account, &tape) }
  }

  /// A dot is one more name of a record's order, unless it is somebody's name already.
  ///
  /// A record that hid one which is remembered would let the older one come back once it is forgotten itself: at a
  /// replica that has settled so far, and at no other.
  private mutating func alias(_ dot: Dot, _ record: UInt32) {
    let value = ids[record]
    if remembered(value.account, dot) != nil { return }
    let slot = index.slot(of: value.dot)
    // An open order keeps its names. Those of one that has ended are forgotten one by one.
    let head = slot == noSlot ? noSlot : orders[slot].clientRecord
    if head != noSlot, ids.names(of: head) >= Limits.namesPerOrderMax { return }
    _ = addName(ClientOrderID(naming: dot), value.dot, value.account, value.fingerprint, of: head)
    touch(value.dot)
  }

  /// What is hashed of an open order has changed, and none of its quantities.
  private mutating func touch(_ dot: Dot) {
    let slot = index.slot(of: dot)
    if slot == noSlot { return }
    let order = orders[slot]
    if order.block != noSlot { hasher.blocks.touch(order.block) }
    if order.isWaiting {
      stops.pages.mark(order.level, order.side.opposite)
    } else {
      ladder.pages.mark(order.level, order.side)
    }
  }

  private mutating func cancelEntombed(_ dot: Dot, _ account: UInt64, _ tape: inout EventTape) {
    let slot = index.slot(of: dot)
    guard slot != noSlot, accounts[orders[slot].account].account == account else { return }
    let open = orders[slot].openLots
    remove(slot)
    tape.append(.cancelled(order: dot, reason: .tombstone, openLots: open))
  }

  /// A cancel that waited for one of the order's names, its own dot apart, has found it.
  /// - Returns: true if there was one.
  @inline(never) mutating func liftTombstones(of order: Order) -> Bool {
    guard tombstones.count != 0 else { return false }
    var found = false
    if !order.clientOrderID.isNone {
      let stone = tombstones.find(order.account.value, order.clientOrderID)
      if stone != noSlot {
        lift(stone)
        found = true
      }
    }
    if order.firstWord != 0 {
      let stone = tombstones.find(order.firstDot, account: order.account.value)
      if stone != noSlot {
        if defects.contains(.resubmitsAfterCancel) { return found }
        lift(stone)
        found = true
      }
    }
    return found
  }

  // MARK: Backwards

  /// The newest name was never taken.
  mutating func undoName(_ record: UInt32) {
    let dot = ids[record].dot
    ids.removeNewest()
    touch(dot)
  }

  // MARK: Asking

  /// The order that goes by a dot which is not its own: one that it had before, or that of a repeat; nil if the name is
  /// not remembered.
  /// - Complexity: O(1).
  public func order(account: AccountID, named dot: Dot) -> Dot? {
    dot.isNone ? nil : remembered(account.value, dot).map { ids[$0].dot }
  }
}

extension ClientOrderID {
  /// A dot as a name, told from everything that a client may write by its length, which no text has.
  init(naming dot: Dot) {
    self.init(kind: .text)
    word0 = dot.sequence
    tail = dot.origin.value
    length = .max
  }

  @inline(__always) var namesDot: Bool { length == .max }
  /// - Precondition: `namesDot`.
  var namedDot: Dot { Dot(origin: OriginIndex(tail), sequence: word0) }
}
