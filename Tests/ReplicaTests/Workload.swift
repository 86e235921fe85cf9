import EventLog
import OrderBook
import Primitives

@testable import Replica

/// Seeded commands of a few accounts: orders of every type that cross, cancels and amends of orders of any node.
struct Workload {
  var generator: SeededGenerator
  var instrument: Dot
  private var nextID: UInt64 = 1
  /// Placed through any node.
  private var placed: [(account: AccountID, id: UInt64)] = []

  init(seed: UInt64, instrument: Dot) {
    generator = SeededGenerator(seed: seed)
    self.instrument = instrument
  }

  mutating func next(clientTimeMilliseconds: UInt64) -> Command {
    if let last = placed.last, generator.chance(35, of: 100) {
      let target = generator.chance(1, of: 2) ? last : placed[Int(generator.below(UInt64(placed.count)))]
      let reference = OrderReference.client(ClientOrderID(target.id))
      if generator.chance(1, of: 3) {
        return .amend(
          Amend(
            account: target.account, target: reference, priceTicks: Int64(generator.pick(95...105)),
            quantityLots: Int64(generator.pick(1...30)), quantityMeaning: .open, forfeitsPriority: true))
      }
      return .cancel(Cancel(account: target.account, target: reference))
    }
    let account = AccountID(generator.below(4) + 1)
    // Now and then an id that was used before, sometimes with the same content.
    let repeats = !placed.isEmpty && generator.chance(1, of: 20)
    let id = repeats ? placed[placed.count - 1].id : nextID
    if !repeats {
      nextID += 1
      placed.append((account, id))
    }
    var order = Order(
      instrument: instrument, account: account, side: generator.chance(1, of: 2) ? .buy : .sell,
      timeInForce: TimeInForce(rawValue: UInt8(generator.below(8))) ?? .goodTillCancel,
      priceTicks: Int64(generator.pick(95...105)), quantityLots: Int64(generator.pick(1...30)),
      selfTradePrevention: SelfTradePrevention(rawValue: UInt8(generator.below(8))) ?? .none,
      clientOrderID: ClientOrderID(id), clientTimeMilliseconds: clientTimeMilliseconds)
    let rests = order.timeInForce == .goodTillCancel || order.timeInForce == .goodTillDate
    if order.timeInForce == .goodTillDate {
      order.expiry = Stamp(milliseconds: clientTimeMilliseconds + 20 + generator.below(400))
    }
    if rests, generator.chance(1, of: 5) { order.displayLots = Int64(generator.pick(1...Int(order.quantityLots))) }
    switch generator.below(10) {
    case 0:
      order.type = .stopLimit
      order.stopPriceTicks = Int64(generator.pick(95...105))
    case 1 where order.displayLots == 0:
      order.type = .stop
      order.priceTicks = 0
      order.stopPriceTicks = Int64(generator.pick(95...105))
    case 2: order.postOnly = rests
    default: break
    }
    return .order(order)
  }
}

extension VirtualCluster {
  /// Defines the instrument through the last member and waits until all have it.
  func defineInstrument() -> Dot {
    let command = Command.instrument(Instrument(symbol: Symbol("BTC-USD")!))
    give(
      .submit(Submission(session: SessionID(1), firstRequest: 1, commands: [command], wantsReports: false)),
      to: genesis.members.count - 1)
    run(milliseconds: 100)
    return nodes[genesis.members.count - 1].accepted[0].dot
  }

  func submit(_ commands: [Command], to index: Int, request: UInt64 = 1, reports: Bool = false, after: Stamp = .zero) {
    give(
      .submit(
        Submission(
          session: SessionID(UInt64(index) + 1), firstRequest: request, after: after, commands: commands,
          wantsReports: reports)), to: index)
  }
}
