import Primitives

/// Hybrid logical clock: later than everything it has stamped or seen, close to the node's own time.
///
/// Source: DESIGN 3; Kulkarni et al., "Logical Physical Clocks", 2014.
public struct HybridClock: Sendable {
  /// The newest stamp given, promised or merged.
  public private(set) var last: Stamp

  public init(last: Stamp = .zero) { self.last = last }

  /// A stamp later than every one before it. A counter that overflows moves the milliseconds on.
  /// - Parameter nowMilliseconds: the node's own time; may stand still or go back.
  public mutating func next(nowMilliseconds: UInt64) -> Stamp {
    precondition(last.value < UInt64.max, "stamps are used up")
    let physical = Stamp(milliseconds: min(nowMilliseconds, (1 << 48) - 1))
    last = max(Stamp(last.value + 1), physical)
    return last
  }

  /// Moves on without stamping anything: a promise that no later stamp is at or below the result.
  public mutating func advance(nowMilliseconds: UInt64) -> Stamp {
    let physical = Stamp(milliseconds: min(nowMilliseconds, (1 << 48) - 1))
    last = max(last, physical)
    return last
  }

  /// Whether a stamp is too far ahead of this node's time to be believed yet.
  public static func isQuarantined(_ stamp: Stamp, nowMilliseconds: UInt64) -> Bool {
    stamp.milliseconds > nowMilliseconds && stamp.milliseconds - nowMilliseconds > Limits.stampAheadMillisecondsMax
  }

  /// Takes note of another's stamp, so that what is stamped next is later.
  /// - Precondition: the stamp is not quarantined.
  public mutating func merge(_ stamp: Stamp) { last = max(last, stamp) }
}
