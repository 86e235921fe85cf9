import OrderBook
import Primitives

/// One entry of a test's log.
struct Entry {
  var command: Command?
  var dot: Dot
  var stamp: Stamp
}

extension Entry: CustomStringConvertible {
  var description: String { "\(dot) at \(stamp): \(command.map { "\($0)" } ?? "nothing")" }
}

/// Random entries that get in each other's way: few prices, few accounts, repeated ids, cancels before their orders.
struct RandomFlow {
  var generator: SeededGenerator
  var origins = 3
  var prices: Int64 = 8
  var withIDs = true
  private var sequences: [UInt64]
  private var stamp = Stamp(milliseconds: 1_000_000)
  private var defined: [Dot] = []
  private var placed: [(dot: Dot, order: Order)] = []

  init(seed: UInt64) {
    generator = SeededGenerator(seed: seed)
    sequences = [0, 0, 0]
  }

  mutating func entries(_ count: Int) -> [Entry] { (0..<count).map { _ in next() } }

  mutating func next() -> Entry {
    // Now and then hundreds of seconds pass, and ids are forgotten.
    let pause = generator.chance(1, of: 60) ? UInt64(generator.pick(100...400)) * 1000 : generator.below(400)
    stamp = Stamp(milliseconds: stamp.milliseconds + pause, counter: stamp.counter &+ 1)
    if pause == 0 && stamp.counter == 0 { stamp = Stamp(milliseconds: stamp.milliseconds + 1) }
    let origin = generator.pick(0...origins - 1)
    sequences[origin] += 1
    let dot = Dot(origin: OriginIndex(UInt32(origin)), sequence: sequences[origin])
    return Entry(command: command(dot), dot: dot, stamp: stamp)
  }

  private mutating func command(_ dot: Dot) -> Command? {
    if defined.count < 2 || generator.chance(1, of: 100) {
      defined.append(dot)
      let symbol = Symbol(generator.chance(1, of: 2) ? "BTC-USD" : "ETH-USD")!
      return .instrument(Instrument(symbol: symbol))
    }
    switch generator.below(100) {
    case 0..<55: return .order(order(dot))
    case 55..<75:
      let stamp = generator.chance(1, of: 2) ? Stamp.zero : Stamp(1)
      return .cancel(Cancel(account: account(), target: target(), targetStamp: stamp))
    case 75..<92: return .amend(amend())
    case 92..<94:
      return .cancelAll(CancelAll(account: account(), instrument: generator.chance(1, of: 2) ? .none : instrument()))
    default: return nil
    }
  }

  private mutating func account() -> AccountID { AccountID(1 + generator.below(3)) }

  private mutating func instrument() -> Dot {
    generator.chance(1, of: 40)
      ? Dot(origin: OriginIndex(0), sequence: 9999) : defined[generator.pick(0...defined.count - 1)]
  }

  private mutating func price() -> Int64 {
    switch generator.below(60) {
    case 0: return 0
    case 1: return Limits.priceTicksMax
    case 2: return Limits.priceTicksMax + 1
    case 3: return Int64(generator.below(1 << 40)) + 1
    default: return 1000 + Int64(generator.below(UInt64(prices)))
    }
  }

  private mutating func quantity() -> Int64 {
    switch generator.below(60) {
    case 0: return 0
    case 1: return Limits.quantityLotsMax
    case 2: return -5
    case 3: return Int64.max
    default: return 1 + Int64(generator.below(12))
    }
  }

  private mutating func id() -> ClientOrderID {
    let number = generator.below(12)
    return number < 9 ? ClientOrderID(number) : ClientOrderID("order \(number) of a client with a longish name"[...35])
  }

  private mutating func order(_ dot: Dot) -> Order {
    if withIDs, !placed.isEmpty, generator.chance(1, of: 10) {
      // Sent twice.
      var order = placed[generator.pick(0...placed.count - 1)].order
      order.clientTimeMilliseconds = stamp.milliseconds
      return order
    }
    var order = Order(
      instrument: instrument(), account: account(), side: generator.chance(1, of: 2) ? .buy : .sell,
      priceTicks: price(), quantityLots: quantity())
    switch generator.below(12) {
    case 0: order.timeInForce = .immediateOrCancel
    case 1, 2: order.timeInForce = .fillOrKill
    case 3:
      order.type = .market
      order.priceTicks = 0
      if generator.chance(1, of: 3) { order.timeInForce = .fillOrKill }
    default: break
    }
    if withIDs && generator.chance(1, of: 2) {
      order.clientOrderID = id()
      let age = generator.chance(1, of: 20) ? UInt64(generator.pick(599_000...601_000)) : 0
      let lead = generator.chance(1, of: 20) ? UInt64(generator.pick(400...600)) : 0
      order.clientTimeMilliseconds = stamp.milliseconds - age + lead
    }
    placed.append((dot, order))
    if placed.count > 40 { placed.removeFirst() }
    return order
  }

  private mutating func target() -> OrderReference {
    if withIDs && generator.chance(1, of: 3) { return .client(id()) }
    if generator.chance(1, of: 5) || placed.isEmpty {
      // Not there yet, or never.
      let origin = generator.pick(0...origins - 1)
      return .dot(
        Dot(origin: OriginIndex(UInt32(origin)), sequence: sequences[origin] + 1 + generator.below(6)))
    }
    return .dot(placed[generator.pick(0...placed.count - 1)].dot)
  }

  private mutating func amend() -> Amend {
    var account = self.account()
    var target = self.target()
    if !placed.isEmpty && generator.chance(3, of: 4) {
      let mine = placed[generator.pick(0...placed.count - 1)]
      account = mine.order.account
      target = .dot(mine.dot)
    }
    return Amend(
      account: account, target: target, targetStamp: Stamp(1),
      priceTicks: generator.chance(1, of: 2) ? price() : nil,
      quantityLots: generator.chance(2, of: 3) ? quantity() : nil,
      quantityMeaning: generator.chance(1, of: 2) ? .total : .open, forfeitsPriority: generator.chance(1, of: 4))
  }
}

extension ClientOrderID {
  fileprivate init(_ text: Substring) { self = ClientOrderID(String(text))! }
}

extension String {
  fileprivate subscript(range: PartialRangeThrough<Int>) -> Substring { prefix(range.upperBound) }
}

/// Runs `problem` over random flows; a failure prints the seed and the shortest sequence of commands that was found.
///
/// Shrinking replaces commands by nothing, so that dots and stamps stay what they were.
func explore(
  seeds: ClosedRange<UInt64>, entries count: Int, prices: Int64 = 8,
  problem: (_ entries: [Entry], _ seed: UInt64) -> String?
) -> String? {
  for seed in seeds {
    var flow = RandomFlow(seed: seed)
    flow.prices = prices
    var entries = flow.entries(count)
    guard var found = problem(entries, seed) else { continue }
    var stride = entries.count / 2
    while stride > 0 {
      var start = 0
      while start < entries.count {
        var shorter = entries
        for index in start..<min(start + stride, entries.count) { shorter[index].command = nil }
        if shorter.contains(where: { $0.command != nil }), let still = problem(shorter, seed) {
          entries = shorter
          found = still
        }
        start += stride
      }
      stride /= 2
    }
    let commands = entries.filter { $0.command != nil }.map(\.description).joined(separator: "\n")
    return "seed \(seed): \(found)\n\(commands)"
  }
  return nil
}
