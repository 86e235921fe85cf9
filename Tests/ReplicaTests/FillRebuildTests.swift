import EventLog
import OrderBook
import Primitives
import Testing

@testable import Replica

/// An observer that does not match: orders, cancels and published fills alone give it the book.
///
/// It knows how orders come, end and expire, and nothing of priority. Self-trade prevention takes quantity without a
/// trade, and whether a stop has been reached or a post-only order would trade depends on the book at that moment; none
/// of these is here.
private struct Observer {
  private struct Standing {
    var order: Order
    var open: Int64
    var mayRest: Bool
    var hasEnded = false
  }

  /// In the order in which they came, and where each is. The dictionary is looked up only.
  private var orders: [Standing] = []
  private var places: [Dot: Int] = [:]
  /// Cancels that came before their orders.
  private var stones: [Dot: AccountID] = [:]
  private(set) var fills = 0

  mutating func read(_ item: AppliedRun.Item) {
    for index in orders.indices where orders[index].order.timeInForce == .goodTillDate {
      if orders[index].order.expiry <= item.entry.stamp { orders[index].hasEnded = true }
    }
    switch item.entry.payload {
    case .command(.order(let order)):
      places[item.dot] = orders.count
      let mayRest = order.timeInForce == .goodTillCancel || order.timeInForce == .goodTillDate
      orders.append(
        Standing(
          order: order, open: order.quantityLots, mayRest: mayRest && order.type == .limit,
          hasEnded: stones[item.dot] == order.account))
    case .command(.cancel(let cancel)):
      guard case .dot(let target) = cancel.target else { return }
      guard let place = places[target] else {
        stones[target] = cancel.account
        return
      }
      if orders[place].order.account == cancel.account { orders[place].hasEnded = true }
    case .command: break
    case .fill(let fill):
      fills += 1
      for dot in [fill.maker, fill.taker] {
        if let place = places[dot] { orders[place].open -= fill.quantityLots }
      }
    case .checkpoint: break
    }
  }

  /// No order gave or took more than it had.
  var isSound: Bool { orders.allSatisfy { $0.open >= 0 } }

  func levels(_ side: Side) -> [LevelSummary] {
    var levels: [LevelSummary] = []
    for standing in orders {
      guard standing.open > 0, standing.mayRest, !standing.hasEnded, standing.order.side == side else { continue }
      if let place = levels.firstIndex(where: { $0.priceTicks == standing.order.priceTicks }) {
        levels[place].quantityLots += UInt128(standing.open)
        levels[place].orders += 1
      } else {
        levels.append(
          LevelSummary(priceTicks: standing.order.priceTicks, quantityLots: UInt128(standing.open), orders: 1))
      }
    }
    return levels.sorted { side == .buy ? $0.priceTicks > $1.priceTicks : $0.priceTicks < $1.priceTicks }
  }
}

struct FillRebuildTests {
  /// Limit and market orders of every time-in-force, and cancels of any node's orders.
  private static func command(
    _ generator: inout SeededGenerator, _ instrument: Dot, _ placed: [(dot: Dot, account: AccountID)],
    nowMilliseconds: UInt64
  ) -> Command {
    if !placed.isEmpty, generator.chance(1, of: 4) {
      let target = placed[Int(generator.below(UInt64(placed.count)))]
      return .cancel(Cancel(account: target.account, target: .dot(target.dot)))
    }
    var order = Order(
      instrument: instrument, account: AccountID(generator.below(4) + 1),
      side: generator.chance(1, of: 2) ? .buy : .sell,
      timeInForce: [.goodTillCancel, .goodTillCancel, .immediateOrCancel, .fillOrKill, .goodTillDate][
        generator.pick(0...4)], priceTicks: Int64(generator.pick(95...105)),
      quantityLots: Int64(generator.pick(1...30)))
    if order.timeInForce == .goodTillDate {
      order.expiry = Stamp(milliseconds: nowMilliseconds + 20 + generator.below(3_000))
    } else if generator.chance(1, of: 10) {
      order.type = .market
      order.priceTicks = 0
      order.timeInForce = .immediateOrCancel
    }
    return .order(order)
  }

  @Test(arguments: [UInt64(1), 2, 3, 4]) func ordersAndFillsGiveTheBook(seed: UInt64) throws {
    let cluster = try VirtualCluster(nodes: 3, seed: seed)
    let instrument = cluster.defineInstrument()
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<400 {
      let node = cluster.nodes[generator.pick(0...2)]
      let placed = node.accepted.suffix(60).map { (dot: $0.dot, account: AccountID($0.dot.sequence % 4 + 1)) }
      let command = Self.command(
        &generator, instrument, placed, nowMilliseconds: cluster.now(node).wallMilliseconds)
      cluster.submit([command], to: node.index)
      cluster.run(milliseconds: UInt64(generator.pick(0...8)))
    }
    #expect(cluster.rest())
    var observer = Observer()
    for item in cluster.nodes[0].final.items { observer.read(item) }
    let node = cluster.nodes[generator.pick(0...2)]
    #expect(observer.isSound && observer.fills > 100 && observer.fills == node.replica.status.finalFills)
    for side in Side.allCases {
      let expected = node.replica.withBook { $0.levels(of: instrument, side, limit: .max) }
      #expect(!expected.isEmpty && observer.levels(side) == expected, "\(side)")
    }
  }
}
