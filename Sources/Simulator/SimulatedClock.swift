import Primitives

/// One machine's clocks: a wall clock that is off, drifts and jumps, and a monotonic one that only drifts.
struct SimulatedClock {
  static let wallStartMilliseconds: UInt64 = 1_700_000_000_000

  /// Milliseconds that the wall clock is ahead; may be negative.
  var offsetMilliseconds: Int64
  /// Parts per million by which it runs fast.
  var driftPerMillion: Int64

  private func elapsed(_ now: UInt64) -> UInt64 { UInt64(Int64(now) + Int64(now) * driftPerMillion / 1_000_000) }

  func read(_ now: UInt64) -> LogicalTime {
    let elapsed = elapsed(now)
    let wall = Int64(Self.wallStartMilliseconds + elapsed / 1000) + offsetMilliseconds
    return LogicalTime(wallMilliseconds: UInt64(wall), monotonicMicroseconds: elapsed)
  }
}
