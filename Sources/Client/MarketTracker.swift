import OrderBook
import Primitives

/// Whether the market messages of one subscription are without a gap.
struct MarketTracker {
  enum Verdict: Equatable {
    case deliver
    /// Something is missing: subscribe anew.
    case gap
  }

  /// By symbol, the sequence of the next change. Looked up, never iterated.
  private var nextSequence: [Symbol: UInt64] = [:]

  init() {}

  mutating func receive(_ snapshot: MarketSnapshot) -> Verdict {
    nextSequence[snapshot.symbol] = snapshot.sequence &+ 1
    return .deliver
  }

  mutating func receive(_ change: MarketChange) -> Verdict {
    guard nextSequence[change.symbol] == change.sequence else { return .gap }
    nextSequence[change.symbol] = change.sequence &+ 1
    return .deliver
  }
}

/// What a subscription yields.
public enum MarketEvent: Equatable, Sendable {
  /// Forget what was known of this instrument and start from here. The first event of each instrument; later ones mean
  /// that something was missed (by a slow reader, for example), and trades in between are not told.
  case snapshot(MarketSnapshot)
  case change(MarketChange)
}
