import EventLog
import OrderBook
import Primitives

/// What a faulty replica does; see `Defects`.
extension Replica {
  /// Whether a rollback is left out: what is late is then applied on top of what is there.
  mutating func leavesOutRollback() -> Bool {
    let defects = configuration.defects
    guard defects.contains(.arrivalOrder) || defects.contains(.dropsRollback) && sequencer.version % 3 == 0 else {
      return false
    }
    sequencer.engine.acceptLateEntries()
    return true
  }
}

extension BatchBuilder {
  /// Canonical bytes of the same entries, but without what icebergs display.
  func bytesWithoutDisplay() -> [UInt8] {
    var poorer = BatchBuilder(origin: origin, firstSequence: firstSequence)
    for var entry in entries {
      if case .command(.order(var order)) = entry.payload {
        order.displayLots = 0
        entry.payload = .command(.order(order))
      }
      poorer.append(entry)
    }
    return poorer.canonicalBytes()
  }
}
