import OrderBook
import Primitives
import Testing

@testable import EngineBenchmark

@Suite("Engine benchmark flows")
struct EngineFlowTests {
  static func flow(_ shape: FlowShape, seed: UInt64 = 7) -> EngineFlow {
    FlowModel.flow(shape, seed: seed, preludeSteps: 2_000, measuredSteps: 6_000)
  }

  @Test(
    "a seed gives the same flow on every machine",
    arguments: [
      (FlowShape.normal, "aeef20718ddac593f7be703dff6c68301b22709e51760223ac0272ba284e8194"),
      (.swing, "dffc3ae3e7db8a65ec18a8d37d9fb1f3eb49e9a0bef7894b0d969895c9b7bee1"),
      (.deep, "2656040e17cabbcadfb991219ed9228fd9b265114efe969e7092679855247279"),
      (.mixed, "fad56caf76c3798fcf90934f7c116e28590fa25d17f566b8038cd7fdf56215fb"),
    ])
  func pinned(shape: FlowShape, hash: String) {
    #expect(Self.flow(shape).hash().description == hash)
    #expect(Self.flow(shape, seed: 8).hash() != Self.flow(shape).hash())
  }

  @Test("a flow has as many steps as asked for, and its prelude is not counted", arguments: FlowShape.allCases)
  func sizes(shape: FlowShape) {
    for (prelude, measured) in [(0, 1), (1_024, 1_024), (999, 3_001)] {
      let flow = FlowModel.flow(shape, seed: 1, preludeSteps: prelude, measuredSteps: measured)
      #expect(flow.steps.count == prelude + measured && flow.measuredSteps == measured)
      #expect(flow.mix.orders + flow.mix.cancels + flow.mix.amends == measured)
      #expect(flow.batches.flatMap { $0 } == Array(0..<prelude + measured))
      #expect(flow.batches.allSatisfy { $0.count <= 1_024 && ($0.upperBound <= prelude || $0.lowerBound >= prelude) })
    }
  }

  @Test("cancels and amends come after their order, from its account; amends before its cancel, and each once")
  func targets() throws {
    for shape in FlowShape.allCases {
      let flow = Self.flow(shape)
      var cancelled: Set<UInt32> = []
      var amended: Set<UInt32> = []
      for (number, step) in flow.steps.enumerated() where step.kind != .order {
        try #require(step.target < number)
        let placed = flow.steps[Int(step.target)]
        try #require(placed.kind == .order && placed.account == step.account)
        try #require(!cancelled.contains(step.target))
        if step.kind == .cancel {
          cancelled.insert(step.target)
        } else {
          try #require(amended.insert(step.target).inserted)
          try #require(step.keepsPlace ? step.quantityLots <= placed.quantityLots : placed.side == step.side)
        }
      }
      #expect(!cancelled.isEmpty && !amended.isEmpty)
    }
  }

  @Test("once the book is full, about half are new orders, four in ten cancels, one in eleven amends")
  func mix() {
    let flow = FlowModel.flow(.normal, seed: 3, preludeSteps: 600_000, measuredSteps: 50_000)
    #expect((24_000...26_000).contains(flow.mix.orders))
    #expect((19_500...21_500).contains(flow.mix.cancels))
    #expect((4_000...5_000).contains(flow.mix.amends))
    #expect((flow.mix.orders * 14 / 100...flow.mix.orders * 16 / 100).contains(flow.mix.immediateOrders))
  }

  @Test("the mid price of 'swing' moves by 25 to 60 % and comes back; that of 'deep' stands still")
  func swing() {
    for seed in UInt64(1)...8 {
      let flow = FlowModel.flow(.swing, seed: seed, preludeSteps: 0, measuredSteps: 40_000)
      // Prices lie up to 2,048 ticks from the mid.
      func middle(_ range: Range<Int>) -> Int64 {
        let prices = flow.steps[range].filter { $0.kind == .order }.map(\.priceTicks).sorted()
        return prices[prices.count / 2]
      }
      let moved = abs(middle(19_800..<20_200) - FlowModel.startTicks) * 100 / FlowModel.startTicks
      #expect((23...62).contains(moved), "seed \(seed): \(moved) %")
      #expect(abs(middle(39_700..<40_000) - FlowModel.startTicks) < 1_000)
    }
    let deep = Self.flow(.deep)
    #expect(
      deep.steps.allSatisfy { step in
        step.kind != .order || step.timeInForce == .immediateOrCancel
          || (step.side == .buy ? step.priceTicks < FlowModel.startTicks : step.priceTicks > FlowModel.startTicks)
      })
  }

  @Test("'mixed' has every order type, flag and kind of amend; the other flows are plain")
  func mixed() {
    let flow = FlowModel.flow(.mixed, seed: 1, preludeSteps: 0, measuredSteps: 20_000)
    let orders = flow.steps.filter { $0.kind == .order }
    #expect(OrderType.allCases.allSatisfy { type in orders.contains { $0.type == type } })
    #expect(TimeInForce.allCases.allSatisfy { time in orders.contains { $0.timeInForce == time } })
    #expect(SelfTradePrevention.allCases.allSatisfy { kind in orders.contains { $0.selfTradePrevention == kind } })
    #expect(orders.contains(where: \.postOnly) && orders.contains { $0.displayLots > 0 })
    let amends = flow.steps.filter { $0.kind == .amend }
    #expect(amends.contains(where: \.keepsPlace) && !amends.allSatisfy(\.keepsPlace))
    #expect(!flow.isPlain)
    for shape in FlowShape.allCases where shape != .mixed { #expect(Self.flow(shape).isPlain) }
  }
}
