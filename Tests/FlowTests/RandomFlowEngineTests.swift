import OrderBook
import Primitives
import Testing

@testable import Flow

/// A random flow follows its own orders without an engine; the engine must see the same market.
@Suite("Random flow and engine")
struct RandomFlowEngineTests {
  /// An engine to which a flow is applied, operation n as entry n + 1.
  private struct Market: ~Copyable {
    var engine = MatchingEngine()
    private var tape = EventTape()
    private(set) var fills: UInt64 = 0
    private var ids: [UInt64] = [0]
    static let instrument = Dot(origin: OriginIndex(0), sequence: 1)
    private static let start = Stamp(milliseconds: 1_000_000_000)

    init() {
      let instrument = Instrument(symbol: Symbol("BTC-USD")!)
      engine.apply(.instrument(instrument), at: Self.instrument, stamp: Self.start, into: &tape)
    }

    /// - Returns: why it was rejected, if it was.
    mutating func apply(_ operation: FlowOperation) -> RejectReason? {
      let sequence = UInt64(ids.count) + 1
      ids.append(operation.id)
      let stamp = Stamp(Self.start.value + sequence)
      let command = operation.command(
        instrument: Self.instrument, account: AccountID(1), targetStamp: Stamp(stamp.value - 1),
        clientTimeMilliseconds: stamp.milliseconds, expiry: operation.expiry(after: stamp, unit: 1))
      tape.removeAll()
      engine.apply(command, at: Dot(origin: OriginIndex(0), sequence: sequence), stamp: stamp, into: &tape)
      var reason: RejectReason?
      for event in tape.events {
        if case .filled = event { fills += 1 }
        if case .rejected(_, let why, _) = event { reason = why }
      }
      if sequence % 4_096 == 0 { engine.settle(through: engine.journalMark) }
      return reason
    }

    /// Every open order in the order in which it trades or is triggered, as text.
    func openOrders() -> [String] {
      [Side.buy, .sell].flatMap { side -> [String] in
        let resting = engine.levels(of: Self.instrument, side, limit: .max).flatMap { level in
          engine.orders(of: Self.instrument, side, priceTicks: level.priceTicks)
        }
        return (resting + engine.stops(of: Self.instrument, side)).map { order in
          "\(ids[Int(order.dot.sequence) - 1]) of \(order.account) \(side) \(order.type) at \(order.priceTicks) "
            + "stop \(order.stopPriceTicks) open \(order.openLots) visible \(order.visibleLots)"
        }
      }
    }
  }

  @Test("the engine rejects nothing and holds exactly what the flow believes", arguments: [1, 2, 3] as [UInt64])
  func agree(seed: UInt64) {
    var flow = RandomFlow(seed: seed)
    var market = Market()
    for number in 1..<60_000 {
      let operation = flow.nextOperation()
      if let reason = market.apply(operation) {
        Issue.record("seed \(seed), operation \(number), \(operation): rejected, \(reason)")
        return
      }
      if market.engine.restingOrders != flow.restingOrders {
        Issue.record(
          "seed \(seed), operation \(number): \(market.engine.restingOrders) rest, not \(flow.restingOrders)")
        return
      }
    }
    #expect(market.fills > 1_000)
  }

  /// What a flow believes is open, as `Market.openOrders` says it.
  private func openOrders(_ flow: RandomFlow) -> [String] {
    func isBefore(_ left: ShadowMarket.Order, _ right: ShadowMarket.Order) -> Bool {
      let (first, second) =
        left.isWaiting ? (left.stopPriceTicks, right.stopPriceTicks) : (left.priceTicks, right.priceTicks)
      if first == second { return left.arrival < right.arrival }
      return (first > second) == ((left.side == .buy) != left.isWaiting)
    }
    let orders = flow.market.openOrders
    return [Side.buy, .sell].flatMap { side -> [String] in
      let own = orders.filter { $0.side == side }
      return (own.filter { !$0.isWaiting }.sorted(by: isBefore) + own.filter(\.isWaiting).sorted(by: isBefore)).map {
        "\($0.id) of \($0.account) \(side) \($0.type) at \($0.type == .stop ? 0 : $0.priceTicks) "
          + "stop \($0.isWaiting ? $0.stopPriceTicks : 0) open \($0.openLots) visible \($0.visibleLots)"
      }
    }
  }

  @Test(
    "with every type of order, too: the same fills, the same queues, the same stops",
    arguments: [1, 2, 3, 4] as [UInt64], [4_096, 200])
  func agreeOnAllTypes(seed: UInt64, restingOrdersMax: Int) {
    let configuration = RandomFlow.Configuration(
      cancelPermille: restingOrdersMax < 1_000 ? 300 : 450, restingOrdersMax: restingOrdersMax, mix: .all)
    var flow = RandomFlow(seed: seed, configuration: configuration)
    var market = Market()
    var wouldTrade = 0
    for number in 1..<40_000 {
      let operation = flow.nextOperation()
      let reason = market.apply(operation)
      // An order that would trade although it is not to is not meant as a mistake.
      if reason == .wouldTrade { wouldTrade += 1 }
      let isRejected = reason != nil && reason != .wouldTrade
      let isSame =
        market.engine.restingOrders == flow.restingOrders && market.engine.waitingStops == flow.waitingStops
        && market.fills == flow.market.trades
      if isRejected || !isSame || number % 500 == 0 && market.openOrders() != openOrders(flow) {
        let (there, here) = (market.openOrders(), openOrders(flow))
        let first = zip(there, here).first { $0 != $1 }
        Issue.record(
          """
          seed \(seed), at most \(restingOrdersMax), operation \(number), \(operation), \(String(describing: reason))
          engine  \(market.fills) fills, \(there.count) open, \(first?.0 ?? "")
          flow    \(flow.market.trades) fills, \(here.count) open, \(first?.1 ?? "")
          """)
        return
      }
    }
    #expect(market.fills > 1_000 && wouldTrade < 400)
  }
}
