import Flow
import OrderBook
import Primitives
import Testing

/// A random flow follows its own orders without an engine; the engine must see the same market.
@Suite("Random flow and engine")
struct RandomFlowEngineTests {
  @Test("the engine rejects nothing and holds exactly what the flow believes", arguments: [1, 2, 3] as [UInt64])
  func agree(seed: UInt64) {
    var flow = RandomFlow(seed: seed)
    var engine = MatchingEngine()
    var tape = EventTape()
    let origin = OriginIndex(0)
    let instrument = Dot(origin: origin, sequence: 1)
    let start = Stamp(milliseconds: 1_000_000_000)
    engine.apply(
      .instrument(Instrument(symbol: Symbol("BTC-USD")!)), at: instrument, stamp: start, into: &tape)
    var fills = 0
    for number in 2...UInt64(60_000) {
      let stamp = Stamp(start.value + number)
      let operation = flow.nextOperation()
      let command = operation.command(
        instrument: instrument, account: AccountID(1), targetStamp: Stamp(stamp.value - 1),
        clientTimeMilliseconds: stamp.milliseconds)
      tape.removeAll()
      engine.apply(command, at: Dot(origin: origin, sequence: number), stamp: stamp, into: &tape)
      for event in tape.events {
        switch event {
        case .rejected(_, let reason, _):
          Issue.record("seed \(seed), operation \(number - 1), \(operation): rejected, \(reason)")
          return
        case .filled: fills += 1
        default: break
        }
      }
      if engine.restingOrders != flow.restingOrders {
        Issue.record("seed \(seed), operation \(number - 1): \(engine.restingOrders) rest, not \(flow.restingOrders)")
        return
      }
      if number % 4_096 == 0 { engine.settle(through: engine.journalMark) }
    }
    #expect(fills > 1_000)
  }
}
