import OrderBook
import Primitives
import Testing

@testable import Flow

@Suite("Random flow")
struct RandomFlowTests {
  /// What a run of operations consists of.
  private struct Statistics {
    var counts: [FlowOperation.Kind: Int] = [:]
    var prices: [Int64] = []
    var sizes: [Int64] = []
    var restingMax = 0
    let total: Int

    init(_ flow: RandomFlow, _ total: Int) {
      var flow = flow
      self.total = total
      for _ in 0..<total {
        let operation = flow.nextOperation()
        counts[operation.kind, default: 0] += 1
        if operation.kind == .limit { prices.append(operation.priceTicks) }
        if operation.kind.usesQuantity { sizes.append(operation.quantityLots) }
        restingMax = max(restingMax, flow.restingOrders)
      }
      prices.sort()
      sizes.sort()
    }

    func permille(_ kind: FlowOperation.Kind) -> Int { 1_000 * counts[kind, default: 0] / total }
  }

  @Test func sameSeedSameFlow() {
    let first = Array(RandomFlow(seed: 7).prefix(20_000))
    #expect(first == Array(RandomFlow(seed: 7).prefix(20_000)))
    #expect(first != Array(RandomFlow(seed: 8).prefix(20_000)))
  }

  /// The sequence itself is a promise: a seed in a bug report must mean the same flow in the next release.
  @Test func firstOperationsOfSeedOne() {
    let text = String(decoding: FlowFile.write(RandomFlow(seed: 1).prefix(6)), as: UTF8.self)
    #expect(
      text == """
        op,id,side,price,qty
        L,1,B,5999991,2200000
        L,2,B,5999989,850000
        C,1,,,
        L,3,B,5999991,1450000
        L,4,S,6000007,3000000
        C,2,,,

        """)
    let hash = SHA256().hash(FlowFile.write(RandomFlow(seed: 1).prefix(10_000)))
    #expect(hash.description == "5e73f5686f9e9f2f17cf70def038ac83e00ff6e65a54268046acbed03821b7cd")
  }

  private static let all = RandomFlow.Configuration(mix: .all)

  @Test func firstOperationsOfSeedOneOfAllTypes() {
    let operations = Array(RandomFlow(seed: 1, configuration: Self.all).prefix(10_000))
    #expect(operations == Array(RandomFlow(seed: 1, configuration: Self.all).prefix(10_000)))
    let hash = SHA256().hash(FlowFile.write(operations))
    #expect(hash.description == "f21cb6c5e81e38a0535cb529c57aaf430ffeb164816908c1ee35c6d3db300ccc")
  }

  @Test("every type of order is there, of every account", arguments: [1, 2, 3] as [UInt64])
  func everyType(seed: UInt64) {
    let configuration = RandomFlow.Configuration(mix: .all, firstAccount: 70)
    #expect(configuration.accounts == (70...73).map { AccountID($0) })
    let operations = Array(RandomFlow(seed: seed, configuration: configuration).prefix(50_000))
    let orders = operations.filter { !$0.kind.namesTarget }
    func permille(_ isCounted: (FlowOperation) -> Bool) -> Int { 1_000 * orders.filter(isCounted).count / orders.count }
    #expect((20...80).contains(permille { $0.type == .stop }))
    #expect((20...80).contains(permille { $0.type == .stopLimit }))
    #expect((50...200).contains(permille { $0.displayLots > 0 }))
    #expect((50...150).contains(permille(\.postOnly)))
    #expect((50...200).contains(permille { $0.timeInForce == .goodTillDate }))
    for prevention in SelfTradePrevention.allCases where prevention != .none {
      #expect((100...200).contains(permille { $0.selfTradePrevention == prevention }))
    }
    for account in configuration.accounts {
      #expect((200...300).contains(permille { $0.account == account }))
    }
    let shapes = Set(orders.map { [UInt8($0.type.rawValue), $0.timeInForce.rawValue] })
    // Stops of either kind with each time in force; limit with each, market.
    #expect(shapes.count == 13)
    #expect((350...490).contains(1_000 * operations.filter { $0.kind == .cancel }.count / operations.count))
    #expect(operations.allSatisfy { $0.account != nil })
    #expect(
      orders.allSatisfy {
        $0.displayLots < $0.quantityLots && ($0.lifetimeMilliseconds > 0) == ($0.timeInForce == .goodTillDate)
      })
  }

  @Test("with all types, what is open stays bounded", arguments: [0, 450] as [UInt64])
  func boundedOfAllTypes(cancelPermille: UInt64) {
    var flow = RandomFlow(
      seed: 3,
      configuration: RandomFlow.Configuration(cancelPermille: cancelPermille, restingOrdersMax: 300, mix: .all))
    var most = 0
    for _ in 0..<50_000 {
      _ = flow.nextOperation()
      most = max(most, flow.restingOrders + flow.waitingStops)
    }
    #expect(most <= 300 && most > 50)
  }

  @Test("shares, prices and sizes look like a market", arguments: [1, 2, 3] as [UInt64])
  func shares(seed: UInt64) {
    let flow = Statistics(RandomFlow(seed: seed), 200_000)
    #expect((400...490).contains(flow.permille(.cancel)), "\(flow.permille(.cancel))")
    #expect((5...15).contains(flow.permille(.market)))
    #expect((5...15).contains(flow.permille(.immediateOrCancel)))
    #expect((2...8).contains(flow.permille(.fillOrKill)))
    #expect((8...25).contains(flow.permille(.replace)))
    // Heavy tails: the middle is narrow, the ends are far.
    let sizes = flow.sizes
    #expect(sizes[sizes.count / 2] < 50 * 50_000)
    #expect(sizes[sizes.count - 1] > 100 * sizes[sizes.count / 2])
    let prices = flow.prices
    #expect(prices[prices.count * 9 / 10] - prices[prices.count / 10] < 20_000)
    #expect(prices[prices.count - 1] - prices[0] > 5_000)
    #expect(sizes[0] > 0 && prices[0] > 0)
  }

  @Test("the book stays bounded for any share of cancels", arguments: [0, 200, 450, 900] as [UInt64])
  func bounded(cancelPermille: UInt64) {
    var configuration = RandomFlow.Configuration(cancelPermille: cancelPermille, restingOrdersMax: 500)
    configuration.midPriceTicks = 50_000
    let flow = Statistics(RandomFlow(seed: 3, configuration: configuration), 100_000)
    #expect(flow.restingMax <= 500)
    #expect(flow.permille(.cancel) <= Int(cancelPermille) + 20, "\(flow.permille(.cancel))")
    if cancelPermille <= 450 { #expect(flow.permille(.cancel) >= Int(cancelPermille) - 50) }
  }

  @Test("ids count up from the base, and cancels name orders that came before", arguments: RandomFlow.Mix.allCases)
  func identifiers(mix: RandomFlow.Mix) {
    var next: UInt64 = 1 << 40
    let flow = RandomFlow(seed: 5, configuration: RandomFlow.Configuration(firstID: next, mix: mix))
    for operation in flow.prefix(50_000) {
      if operation.kind.namesTarget {
        #expect(operation.id >= 1 << 40 && operation.id < next)
      } else {
        #expect(operation.id == next)
        next += 1
      }
    }
  }

  @Test("the smallest mid price gives prices in range", arguments: RandomFlow.Mix.allCases)
  func lowPrices(mix: RandomFlow.Mix) {
    var configuration = RandomFlow.Configuration(
      midPriceTicks: RandomFlow.Configuration.midPriceTicksMin, mix: mix)
    configuration.quantityUnitLots = 1
    #expect(configuration.isValid)
    for operation in RandomFlow(seed: 1, configuration: configuration).prefix(50_000) where operation.kind == .limit {
      #expect(operation.priceTicks > 0 && operation.quantityLots > 0)
      #expect(operation.stopPriceTicks >= 0)
    }
  }

  @Test func configurationsThatMeanNothing() {
    #expect(RandomFlow.Configuration().isValid)
    #expect(!RandomFlow.Configuration(midPriceTicks: 0).isValid)
    #expect(!RandomFlow.Configuration(quantityUnitLots: 0).isValid)
    #expect(!RandomFlow.Configuration(cancelPermille: 970).isValid)
    #expect(!RandomFlow.Configuration(cancelPermille: .max).isValid)
    #expect(!RandomFlow.Configuration(restingOrdersMax: 0).isValid)
    #expect(!RandomFlow.Configuration(firstID: 1 << 63).isValid)
    #expect(!RandomFlow.Configuration(firstAccount: 1 << 63).isValid)
  }
}
