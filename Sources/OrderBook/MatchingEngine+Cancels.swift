import Primitives

extension MatchingEngine {
  /// What a cancel's or amend's reference leads to.
  enum Target {
    case resting(UInt32)
    case refused(RejectReason, Dot)
    /// Not applied yet, or never heard of.
    case unknown(Dot)
  }

  @inline(__always) func resolve(_ reference: OrderReference, _ account: UInt64) -> Target {
    switch reference {
    case .dot(let dot):
      let slot = index.slot(of: dot)
      if slot != noSlot {
        return accounts[orders[slot].account].account == account ? .resting(slot) : .refused(.notOwner, dot)
      }
      return resolveOther(dot, account)
    case .client(let id):
      guard !id.isNone, let record = remembered(account, id) else { return .unknown(noDot) }
      let dot = ids[record].dot
      let slot = index.slot(of: dot)
      return slot != noSlot ? .resting(slot) : .refused(.notOpen, dot)
    }
  }

  /// A dot of no open order: perhaps one that had another dot before.
  @inline(never) private func resolveOther(_ dot: Dot, _ account: UInt64) -> Target {
    if let record = remembered(account, dot) {
      let order = ids[record].dot
      let slot = index.slot(of: order)
      return slot != noSlot ? .resting(slot) : .refused(.notOpen, order)
    }
    return dot.sequence <= index.applied(dot.origin) ? .refused(.notOpen, dot) : .unknown(dot)
  }

  @inline(__always) mutating func applyCancel(_ cancel: Cancel, _ dot: Dot, _ tape: inout EventTape) {
    if case .dot(let target) = cancel.target {
      let cell = index.cell(of: target)
      let slot = cell < 0 ? noSlot : index.slot(in: cell)
      if slot != noSlot {
        let order = orders.address(slot)
        if accounts.address(order.pointee.account).pointee.account == cancel.account.value {
          let open = order.pointee.openLots
          remove(slot, indexedAt: cell)
          tape.append(.cancelled(order: target, reason: .requested, openLots: open))
          return
        }
      }
    }
    applyOtherCancel(cancel, dot, &tape)
  }

  /// A cancel by client order id, or of an order that is not open or is another's.
  @inline(never) private mutating func applyOtherCancel(_ cancel: Cancel, _ dot: Dot, _ tape: inout EventTape) {
    switch resolve(cancel.target, cancel.account.value) {
    case .resting(let slot):
      let order = orders[slot].dot
      let open = orders[slot].openLots
      remove(slot)
      tape.append(.cancelled(order: order, reason: .requested, openLots: open))
    case .refused(let reason, let order):
      tape.append(.rejected(entry: dot, reason: reason, order: order))
    case .unknown(let order):
      let isStamped = cancel.targetStamp.value != 0
      let isNothing = cancel.target == .client(.none)
      if isStamped || isNothing { tape.append(.rejected(entry: dot, reason: .unknownOrder, order: order)) }
      // A dot that its sender knows of and that is not here is void: the order may come again under another one.
      if !isNothing, !isStamped || !order.isNone { layTombstone(cancel) }
    }
  }

  /// Cancels the account's orders, in the order of their dots.
  /// - Complexity: O(k log k) for an account with k open orders.
  mutating func applyCancelAll(_ all: CancelAll, _ dot: Dot, _ tape: inout EventTape) {
    var only: UInt32?
    if !all.instrument.isNone {
      only = books.find(all.instrument)
      if only == nil {
        tape.append(.rejected(entry: dot, reason: .unknownInstrument, order: .none))
        return
      }
    }
    for (order, slot) in slots(of: all.account.value, in: only) {
      let open = orders[slot].openLots
      remove(slot)
      tape.append(.cancelled(order: order, reason: .cancelAll, openLots: open))
    }
  }

  /// The account's open orders by dot, of one book or of all.
  func slots(of account: UInt64, in book: UInt32?) -> [(dot: Dot, slot: UInt32)] {
    var found: [(dot: Dot, slot: UInt32)] = []
    let entry = accounts.lookUp(account)
    var slot = entry == noSlot ? noSlot : accounts[entry].head
    while slot != noSlot {
      if book == nil || self.book(of: slot) == book { found.append((orders[slot].dot, slot)) }
      slot = orders[slot].accountNext
    }
    return found.sorted { $0.dot < $1.dot }
  }

  /// The book of an open order.
  @inline(__always) func book(of slot: UInt32) -> UInt32 {
    let order = orders[slot]
    return order.isWaiting ? stops.pages.row(of: order.level) / 2 : ladder.pages.row(of: order.level)
  }

  // MARK: Tombstones

  /// Remembers a cancel that came before its order. A second one changes nothing.
  private mutating func layTombstone(_ cancel: Cancel) {
    var stone = Tombstone(account: cancel.account.value, second: second)
    switch cancel.target {
    case .dot(let dot):
      if tombstones.find(dot, account: stone.account) != noSlot { return }
      stone.sequence = dot.sequence
      stone.origin = dot.origin.value
    case .client(let id):
      if tombstones.find(stone.account, id) != noSlot { return }
      stone.id = id
    }
    if tombstones.count >= Int(ids.recordsMax) { lift(tombstones.oldest) }
    journal.push(UndoRecord(.tombstoneLaid, slot: tombstones.lay(stone)))
  }

  /// The entry `dot` is being applied: no cancel waits for it any more.
  /// - Parameter account: whose order the entry is; nil if it is none.
  /// - Returns: true if it is an order that its own account had cancelled.
  @inline(never) mutating func liftTombstones(of dot: Dot, account: UInt64?) -> Bool {
    let isEntombed = account.map { tombstones.find(dot, account: $0) != noSlot } ?? false
    while true {
      let stone = tombstones.find(dot, account: nil)
      if stone == noSlot { return isEntombed }
      lift(stone)
    }
  }
}
