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

/// What a faulty replica says, or does not say.
extension Replica {
  /// Whether a fill is left out of what this node publishes.
  func skips(_ fill: Fill) -> Bool {
    configuration.defects.contains(.skipsFill) && fill.taker.origin == me
      && (fill.maker.sequence &+ fill.taker.sequence) % 200 == 0
  }

  /// An attestation as this node writes it down.
  func asSaid(_ attestation: CheckpointAttestation) -> CheckpointAttestation {
    guard configuration.defects.contains(.liesInAttestation), let me,
      (attestation.number + UInt64(me.value)) % 8 == 0
    else { return attestation }
    var lie = attestation
    lie.bookHash.word0 ^= 1 << 60
    return lie
  }
}
