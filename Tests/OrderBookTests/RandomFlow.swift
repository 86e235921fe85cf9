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

/// Random entries that get in each other's way: few prices, few accounts, repeated ids, cancels before their orders,
/// stops and expiries that are near.
///
/// One thing is never made: an iceberg of many lots that shows few. An order that meets it trades slice by slice.
struct RandomFlow {
  var generator: SeededGenerator
  var profile: FlowProfile
  private var sequences: [UInt64] = [0, 0, 0]
  private var origin = 0
  private var stamp = Stamp(milliseconds: 1_000_000)
  private var defined: [Dot] = []
  /// The newest orders, and the newest that show less than they have or wait.
  private var placed: [(dot: Dot, order: Order)] = []
  private var special: [(dot: Dot, order: Order)] = []

  init(seed: UInt64, _ profile: FlowProfile = .mixed) {
    generator = SeededGenerator(seed: seed)
    self.profile = profile
  }

  mutating func entries(_ count: Int) -> [Entry] { (0..<count).map { _ in next() } }

  mutating func next() -> Entry {
    advance()
    sequences[origin] += 1
    let dot = Dot(origin: OriginIndex(UInt32(origin)), sequence: sequences[origin])
    return Entry(command: command(dot), dot: dot, stamp: stamp)
  }

  /// To a later key; now and then minutes later, now and then the same stamp for the next origin.
  private mutating func advance() {
    if origin < 2 && generator.chance(1, of: 8) {
      origin += 1
      return
    }
    origin = generator.pick(0...2)
    let isLong = happens(profile.pauses)
    let pause = isLong ? UInt64(generator.pick(100...400)) * 1000 : generator.below(400)
    let next = Stamp(milliseconds: stamp.milliseconds + pause, counter: stamp.counter &+ 1)
    stamp = next > stamp ? next : Stamp(milliseconds: next.milliseconds + 1)
    // Whole seconds, so that expiries and stamps meet.
    if generator.chance(1, of: 10) { stamp = Stamp(milliseconds: (stamp.second + 1) * 1000) }
  }

  private mutating func happens(_ chance: UInt64) -> Bool { generator.chance(chance, of: 1000) }

  private mutating func command(_ dot: Dot) -> Command? {
    if defined.count < 2 || generator.chance(1, of: 150) {
      // Two, then the same again.
      defined.append(dot)
      return .instrument(Instrument(symbol: Symbol(defined.count % 2 == 1 ? "BTC-USD" : "ETH-USD")!))
    }
    var share = generator.below(100)
    func takes(_ weight: UInt64) -> Bool {
      if share < weight { return true }
      share -= weight
      return false
    }
    if takes(profile.orders) { return .order(order(dot)) }
    if takes(profile.cancels) { return .cancel(cancel()) }
    if takes(profile.amends) { return .amend(amend()) }
    if takes(profile.cancelAlls) {
      return .cancelAll(CancelAll(account: account(), instrument: generator.chance(1, of: 2) ? .none : instrument()))
    }
    return nil
  }

  // MARK: Values

  private mutating func account() -> AccountID { AccountID(1 + generator.below(profile.accounts)) }

  private mutating func instrument() -> Dot {
    switch generator.below(60) {
    case 0: Dot(origin: OriginIndex(0), sequence: 9999)
    // Perhaps a definition that came too late.
    case 1: defined[defined.count - 1]
    case 2..<20: defined[1]
    default: defined[0]
    }
  }

  private mutating func price() -> Int64 {
    if happens(profile.extreme) {
      return generator.chance(1, of: 2) ? Limits.priceTicksMax : Int64(generator.below(1 << 40)) + 1
    }
    return 1000 + Int64(generator.below(UInt64(profile.prices)))
  }

  /// Anywhere, or in the side's own half of the band: some orders must be left for others to meet.
  private mutating func price(for side: Side) -> Int64 {
    let price = price()
    if price >= 1000 + profile.prices || generator.chance(2, of: 5) { return price }
    let half = Int64(generator.below(UInt64((profile.prices + 1) / 2)))
    return side == .buy ? 1000 + half : 1000 + profile.prices - 1 - half
  }

  private mutating func quantity() -> Int64 {
    if happens(profile.extreme) { return hugeLots() }
    return 1 + Int64(generator.below(profile.lots))
  }

  /// About as much as may be asked for: with a price of some 1000 ticks the product is below 2^96.
  private mutating func hugeLots() -> Int64 {
    [Limits.quantityLotsMax, 1 << 61, 1 << 40][generator.pick(0...2)]
  }

  private mutating func outOfRange() -> Int64 {
    [0, -1, -5, Limits.priceTicksMax + 1, Int64.max, Int64.min][generator.pick(0...5)]
  }

  private mutating func id() -> ClientOrderID {
    let number = generator.below(16)
    return number < 12
      ? ClientOrderID(number) : ClientOrderID(String("order \(number) of a client with a longish name".prefix(36)))!
  }

  /// Soon, and on a coarse grid, so that several expire at once; or hours away.
  private mutating func expiry() -> Stamp {
    if generator.chance(1, of: 8) { return Stamp(milliseconds: stamp.milliseconds + 3_600_000) }
    if generator.chance(1, of: 8) { return Stamp(stamp.value + 1 + generator.below(100)) }
    return Stamp(milliseconds: (stamp.second + 1 + generator.below(profile.lifetime)) * 1000)
  }

  // MARK: Orders

  private mutating func order(_ dot: Dot) -> Order {
    if profile.withIDs, !placed.isEmpty, generator.chance(1, of: 12) {
      // Sent twice.
      var order = placed[generator.pick(0...placed.count - 1)].order
      order.clientTimeMilliseconds = stamp.milliseconds
      if isResubmitted() { order.firstDot = formerDot() }
      let isOver = order.timeInForce == .goodTillDate && order.expiry <= stamp
      if isOver && generator.chance(1, of: 2) { order.expiry = expiry() }
      return order
    }
    let side: Side = generator.chance(1, of: 2) ? .buy : .sell
    var order = Order(
      instrument: instrument(), account: account(), side: side, priceTicks: price(for: side),
      quantityLots: quantity())
    setType(&order)
    setFlags(&order)
    if isResubmitted() { order.firstDot = formerDot() }
    if profile.withIDs && generator.chance(1, of: 3) {
      order.clientOrderID = id()
      let age = generator.chance(1, of: 20) ? UInt64(generator.pick(599_000...601_000)) : 0
      let lead = generator.chance(1, of: 20) ? UInt64(generator.pick(400...600)) : 0
      order.clientTimeMilliseconds = stamp.milliseconds - age + lead
    }
    if happens(profile.invalid) { spoil(&order) }
    placed.append((dot, order))
    if placed.count > 40 { placed.removeFirst() }
    if order.displayLots != 0 || order.stopPriceTicks != 0 {
      special.append((dot, order))
      if special.count > 10 { special.removeFirst() }
    }
    return order
  }

  private mutating func isResubmitted() -> Bool { profile.resubmitted > 0 && happens(profile.resubmitted) }

  /// Mostly of an origin of which nothing is here; else of an order that is, or may be yet.
  private mutating func formerDot() -> Dot {
    switch generator.below(12) {
    case 0:
      let last = sequences[1]
      return Dot(origin: OriginIndex(1), sequence: last + 1 + generator.below(8))
    case 1 where !placed.isEmpty: return placed[generator.pick(0...placed.count - 1)].dot
    default: return Dot(origin: OriginIndex(3), sequence: 1 + generator.below(12))
    }
  }

  private mutating func setType(_ order: inout Order) {
    let share = generator.below(100)
    if share < profile.markets {
      order.type = .market
      order.priceTicks = 0
    } else if share < profile.markets + profile.stops {
      order.type = .stop
      order.priceTicks = 0
      order.stopPriceTicks = stopPrice(order.side)
    } else if share < profile.markets + profile.stops + profile.stopLimits {
      order.type = .stopLimit
      order.stopPriceTicks = stopPrice(order.side)
    }
  }

  /// Mostly on the side of the band where it has to wait.
  private mutating func stopPrice(_ side: Side) -> Int64 {
    let first = price()
    if generator.chance(1, of: 4) { return first }
    let second = price()
    return side == .buy ? max(first, second) : min(first, second)
  }

  private mutating func setFlags(_ order: inout Order) {
    if happens(profile.selfTrade) {
      order.selfTradePrevention = SelfTradePrevention(rawValue: UInt8(generator.pick(1...4)))!
    }
    if happens(profile.tillDate) && order.type != .market {
      order.timeInForce = .goodTillDate
      order.expiry = expiry()
    } else if happens(profile.fillOrKill) {
      order.timeInForce = .fillOrKill
    } else if happens(profile.immediate) {
      order.timeInForce = .immediateOrCancel
    }
    let canRest = order.timeInForce == .goodTillCancel || order.timeInForce == .goodTillDate
    if canRest && order.type == .limit && happens(profile.postOnly) { order.postOnly = true }
    if canRest && order.priceTicks != 0 && happens(profile.icebergs) {
      // Never thousands of slices.
      let most = order.quantityLots > 100 ? order.quantityLots : min(order.quantityLots, 4)
      let least = order.quantityLots > 100 ? most / 4 : 1
      order.displayLots = least + Int64(generator.below(UInt64(most - least + 1)))
    }
  }

  /// Makes one thing wrong.
  private mutating func spoil(_ order: inout Order) {
    let isStop = order.type == .stop || order.type == .stopLimit
    switch generator.below(10) {
    case 0: order.quantityLots = outOfRange()
    case 1: order.priceTicks = order.priceTicks == 0 ? 1000 : outOfRange()
    case 2: order.stopPriceTicks = isStop ? outOfRange() : 1000
    case 3:
      // At the limit of what price × quantity may be, or just below.
      order.priceTicks = 1 << 40
      order.quantityLots = 1 << 56 - Int64(generator.below(2))
      order.displayLots = 0
    case 4: order.expiry = order.timeInForce == .goodTillDate ? Stamp(stamp.value - generator.below(2)) : expiry()
    case 5: order.displayLots = generator.chance(1, of: 2) ? -1 : order.quantityLots &+ 1
    case 6: order.postOnly = true
    case 7: order.displayLots = min(order.quantityLots, 2)
    case 8:
      order.timeInForce = .goodTillDate
      order.expiry = generator.chance(1, of: 4) ? .zero : expiry()
    default: order.timeInForce = TimeInForce(rawValue: UInt8(generator.pick(0...3)))!
    }
  }

  // MARK: Cancels and amends

  private mutating func cancel() -> Cancel {
    let stamp = generator.chance(1, of: 2) ? Stamp.zero : Stamp(1)
    if let mine = recent(), generator.chance(1, of: 2) {
      return Cancel(account: mine.order.account, target: .dot(mine.dot), targetStamp: stamp)
    }
    return Cancel(account: account(), target: target(), targetStamp: stamp)
  }

  /// One of the newest orders, icebergs and stops more often than others.
  private mutating func recent() -> (dot: Dot, order: Order)? {
    if !special.isEmpty && generator.chance(1, of: 2) { return special[generator.pick(0...special.count - 1)] }
    if placed.isEmpty { return nil }
    // Old ones have mostly ended.
    let last = placed.count - 1
    return placed[max(generator.pick(0...last), generator.pick(0...last))]
  }

  private mutating func target() -> OrderReference {
    if profile.withIDs && generator.chance(1, of: 4) { return .client(id()) }
    if isResubmitted() { return .dot(formerDot()) }
    if generator.chance(1, of: 5) || placed.isEmpty {
      // Not there yet, or never.
      let origin = generator.pick(0...2)
      return .dot(
        Dot(origin: OriginIndex(UInt32(origin)), sequence: sequences[origin] + 1 + generator.below(6)))
    }
    return .dot(placed[generator.pick(0...placed.count - 1)].dot)
  }

  private mutating func amend() -> Amend {
    var amend = Amend(
      account: account(), target: target(), targetStamp: Stamp(1),
      priceTicks: generator.chance(2, of: 5) ? price() : nil,
      quantityLots: generator.chance(2, of: 3) ? 1 + Int64(generator.below(profile.lots)) : nil,
      quantityMeaning: generator.chance(1, of: 2) ? .total : .open, forfeitsPriority: generator.chance(1, of: 5))
    if let mine = recent(), generator.chance(4, of: 5) {
      amend.account = mine.order.account
      amend.target = .dot(mine.dot)
    }
    if happens(profile.extreme) { amend.quantityLots = hugeLots() }
    if happens(profile.invalid) {
      switch generator.below(4) {
      case 0: amend.priceTicks = outOfRange()
      case 1: amend.quantityLots = outOfRange()
      case 2: amend.quantityLots = Limits.quantityLotsMax
      default:
        amend.priceTicks = 1 << 40
        amend.quantityLots = 1 << 56 - Int64(generator.below(2))
      }
    }
    return amend
  }
}
