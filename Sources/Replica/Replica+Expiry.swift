import OrderBook
import Primitives

/// Orders whose date has come although no entry has: the book keeps them until one is applied, views do not.
///
/// What no later entry can prevent is told at once, so it depends on the final frontier and on nothing less: not on
/// this node's time, nor on what is applied tentatively.
extension Replica {
  /// Views leave out the orders that are due as of this stamp: everything up to it is final, and applied here. It never
  /// goes back.
  ///
  /// - Complexity: O(origins).
  public var viewStamp: Stamp { sequencer.appliedReach(of: gossip.frontier.final) }

  /// Whether an open order's date has come by this node's clock but is not final yet. Then promises go on as if
  /// something were tentative, else an idle cluster would show the order as open for ever.
  mutating func awaitsExpiry(_ now: LogicalTime) -> Bool {
    guard !health.isStopped else { return false }
    let stamp = viewStamp
    if nextExpiryCache?.version != sequencer.version || nextExpiryCache?.stamp != stamp {
      nextExpiryCache = (sequencer.version, stamp, sequencer.engine.nextExpiry(after: stamp))
    }
    guard let next = nextExpiryCache?.next else { return false }
    // What would be promised.
    var present = clock
    return next <= present.advance(nowMilliseconds: now.wallMilliseconds)
  }

  /// Ends the followed orders that are due: their clients are told, and it is the last that they are told of them.
  mutating func endDueOrders() {
    let stamp = viewStamp
    let isSameBook = endedDueOrders.version == sequencer.version
    if desk.count == 0 || isSameBook && endedDueOrders.stamp == stamp { return }
    // A rollback may have brought back one that was due before, and of which an expiry was told that is undone.
    let start = isSameBook ? endedDueOrders.stamp : .zero
    for order in sequencer.engine.dueOrders(after: start, asOf: stamp) {
      desk.expired(order.dot, openLots: order.openLots)
    }
    endedDueOrders = (sequencer.version, stamp)
  }

  /// Changes of levels since the last call, as views show them; tracked once asked for.
  public mutating func takeChangedLevels() -> [LevelChange] {
    let stamp = viewStamp
    if !sequencer.engine.tracksChangedLevels {
      sequencer.engine.tracksChangedLevels = true
      changedLevelsStamp = stamp
    }
    defer { changedLevelsStamp = stamp }
    return sequencer.engine.takeChangedLevels(since: changedLevelsStamp, asOf: stamp)
  }
}

extension Sequencer {
  /// How far everything is applied, of what has stamps up to `frontier`. While entries below it wait to be applied, not
  /// so far: one of them may fill an order before its date.
  func appliedReach(of frontier: Stamp) -> Stamp {
    guard let next = oldestUnapplied, next <= frontier else { return frontier }
    return Stamp(next.value - 1)
  }
}
