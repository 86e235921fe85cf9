import Oracle
import Primitives

@testable import OrderBook

/// What the engine and the oracle have in common.
protocol BookUnderTest: ~Copyable {
  init()
  mutating func events(of command: Command?, at dot: Dot, stamp: Stamp) -> [OrderEvent]

  var definitions: [(dot: Dot, instrument: Instrument)] { get }
  var restingOrders: Int { get }
  var waitingStops: Int { get }
  func order(_ dot: Dot) -> RestingOrder?
  /// Best first.
  func levels(of instrument: Dot, _ side: Side) -> [LevelSummary]
  /// One level, the order that trades first first.
  func queue(of instrument: Dot, _ side: Side, priceTicks: Int64) -> [RestingOrder]
  /// The one that triggers first first.
  func stops(of instrument: Dot, _ side: Side) -> [RestingOrder]
  mutating func hash() -> Hash256
  /// What of its parts contradict each other; nil if all is well.
  var contradiction: String? { get }
}

extension Oracle: BookUnderTest {
  init() { self.init(idsMax: Limits.clientOrderIDsMax) }
  mutating func events(of command: Command?, at dot: Dot, stamp: Stamp) -> [OrderEvent] {
    apply(command, at: dot, stamp: stamp)
  }
  var definitions: [(dot: Dot, instrument: Instrument)] { books.map { ($0.dot, $0.instrument) } }
  mutating func hash() -> Hash256 { bookHash() }
  var contradiction: String? { nil }
}

extension MatchingEngine: BookUnderTest {
  init() { self.init(origins: 16) }
  mutating func events(of command: Command?, at dot: Dot, stamp: Stamp) -> [OrderEvent] {
    var tape = EventTape()
    apply(command, at: dot, stamp: stamp, into: &tape)
    return tape.events
  }
  var definitions: [(dot: Dot, instrument: Instrument)] { instruments }
  func levels(of instrument: Dot, _ side: Side) -> [LevelSummary] { levels(of: instrument, side, limit: .max) }
  func queue(of instrument: Dot, _ side: Side, priceTicks: Int64) -> [RestingOrder] {
    orders(of: instrument, side, priceTicks: priceTicks)
  }
  mutating func hash() -> Hash256 { bookHash() }
  var contradiction: String? { brokenInvariant.map { "\($0)" } }
}
