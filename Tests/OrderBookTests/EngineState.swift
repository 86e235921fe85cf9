import Primitives

@testable import OrderBook

/// Everything that an engine can be asked for, at one moment; its hash apart.
struct EngineState: Equatable {
  struct Side: Equatable {
    var levels: [LevelSummary]
    var queues: [[RestingOrder]]
    var stops: [RestingOrder]
  }
  var restingOrders: Int
  var waitingStops: Int
  var tombstones: Int
  var instruments: [Dot]
  var lastTrades: [Int64?]
  var sides: [Side]
  var accounts: [[RestingOrder]]
  /// As their dots lead to them.
  var orders: [RestingOrder?]
  var ids: [Dot?]
  var applied: [UInt64]

  init(_ engine: borrowing MatchingEngine) {
    restingOrders = engine.restingOrders
    waitingStops = engine.waitingStops
    tombstones = engine.tombstones.count
    instruments = engine.instruments.map(\.dot)
    lastTrades = []
    sides = []
    for dot in instruments {
      lastTrades.append(engine.lastTradePrice(of: dot))
      for side in OrderBook.Side.allCases {
        let levels = engine.levels(of: dot, side, limit: .max)
        var queues: [[RestingOrder]] = []
        for level in levels { queues.append(engine.orders(of: dot, side, priceTicks: level.priceTicks)) }
        sides.append(Side(levels: levels, queues: queues, stops: engine.stops(of: dot, side)))
      }
    }
    accounts = []
    orders = []
    ids = []
    for number in 1...UInt64(3) {
      let account = AccountID(number)
      accounts.append(engine.orders(of: account))
      for order in accounts.last ?? [] { orders.append(engine.order(order.dot)) }
      for id in 0..<UInt64(12) { ids.append(engine.order(account: account, clientOrderID: ClientOrderID(id))) }
    }
    applied = []
    for origin in 0..<UInt32(3) { applied.append(engine.appliedSequence(OriginIndex(origin))) }
  }

  /// What is not as in `other`; nil if nothing.
  func difference(from other: EngineState) -> String? {
    if sides != other.sides { return "levels, queues or stops are \(sides), were \(other.sides)" }
    if accounts != other.accounts { return "the accounts' orders are \(accounts), were \(other.accounts)" }
    return self == other ? nil : "the state is \(self), was \(other)"
  }
}
