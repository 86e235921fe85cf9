import EventLog
import OrderBook
import Primitives

/// What a busy exchange's log may look like: a few instruments at different price levels, many accounts, prices near a
/// middle that wanders, client order ids that count up for each account.
struct PlausibleFlow {
  var generator: SeededGenerator
  var names = true
  /// Stamps advance by this many milliseconds at most from one entry to the next.
  var pauseMillisecondsMax: UInt64 = 1
  private(set) var stamp = Stamp(milliseconds: 1_700_000_000_000)
  private var middles: [Int64] = [6_500_000, 250_000, 14_200, 1_043_311, 98, 7_215, 64_000, 3_141_592]
  private var ids: [UInt64]
  private var placed: [(dot: Dot, order: Order, stamp: Stamp)] = []

  init(seed: UInt64, accounts: Int = 500) {
    generator = SeededGenerator(seed: seed)
    ids = (0..<accounts).map { UInt64($0) * 977 % 100_000 }
  }

  mutating func order() -> Order {
    let instrument = generator.pick(0...middles.count - 1)
    if generator.chance(1, of: 20) { middles[instrument] += Int64(generator.pick(-1...1)) }
    let account = generator.pick(0...ids.count - 1)
    let distance = Int64(generator.below(1 << generator.below(9)))
    let side: Side = generator.chance(1, of: 2) ? .buy : .sell
    var order = Order(
      instrument: Dot(origin: OriginIndex(0), sequence: UInt64(1 + instrument)), account: AccountID(UInt64(account)),
      side: side, priceTicks: middles[instrument] + (side == .buy ? -distance : distance),
      quantityLots: Int64(1 + generator.below(1 << generator.below(14))))
    if names {
      ids[account] += 1
      order.clientOrderID = ClientOrderID(ids[account])
      order.clientTimeMilliseconds = stamp.milliseconds - 2 - generator.below(30)
    }
    return order
  }

  /// Orders mostly; some cancels, amends and fills of what was placed.
  mutating func payload(dot: Dot) -> Payload {
    guard placed.count > 1, generator.chance(2, of: 5) else {
      let order = order()
      placed.append((dot, order, stamp))
      return .command(.order(order))
    }
    let target = placed[generator.pick(0...placed.count - 1)]
    let reference: OrderReference =
      generator.chance(1, of: 2) ? .dot(target.dot) : .client(target.order.clientOrderID)
    switch generator.below(3) {
    case 0:
      return .command(.cancel(Cancel(account: target.order.account, target: reference, targetStamp: target.stamp)))
    case 1:
      return .command(
        .amend(
          Amend(
            account: target.order.account, target: reference, targetStamp: target.stamp,
            priceTicks: target.order.priceTicks + 1, quantityLots: generator.chance(1, of: 2) ? 5 : nil)))
    default:
      let taker = placed[placed.count - 1]
      return .fill(
        FillAttestation(
          maker: target.dot, taker: taker.dot, priceTicks: target.order.priceTicks,
          quantityLots: Int64(1 + generator.below(100))))
    }
  }

  /// The stamp of the next entry.
  mutating func nextStamp() -> Stamp {
    let pause = generator.below(pauseMillisecondsMax + 1)
    stamp = pause == 0 ? Stamp(stamp.value + 1) : Stamp(milliseconds: stamp.milliseconds + pause)
    return stamp
  }
}
