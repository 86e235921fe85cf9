import OrderBook
import Primitives

/// An endless, seeded order flow that looks like a market.
///
/// The mid price walks at random, with bursts in which it runs one way and takers follow it; prices cluster near the
/// mid with a heavy-tailed distance, sizes have a heavy tail, and cancels and replacements mostly hit recent orders.
/// The same seed and configuration give the same flow on every machine: integer arithmetic only.
///
/// It follows its own orders in a book of its own and of bounded size, so that memory and the resting book stay bounded
/// however long it runs.
public struct RandomFlow: Sequence, IteratorProtocol, Sendable {
  /// Which orders there are.
  public enum Mix: String, Hashable, Sendable, CaseIterable {
    /// Limit, market, immediate-or-cancel and fill-or-kill orders, cancels and replacements, all of one account.
    case basic
    /// Besides these, stops, icebergs, post-only and good-till-date orders; of several accounts, which keep themselves
    /// from trading with themselves.
    case all
  }

  /// What the flow looks like. Shares are per thousand operations.
  public struct Configuration: Hashable, Sendable {
    public var mix: Mix
    /// Id of the first order; later ones count up from it. Flows of one account need ranges that do not meet.
    public var firstID: UInt64
    /// Where the walk starts; it stays between half and one and a half times this. At least `midPriceTicksMin`.
    public var midPriceTicks: Int64
    /// A typical order has 16 to 32 of these, one in a thousand a thousand times as many.
    public var quantityUnitLots: Int64
    /// Aimed at once the book has filled; above about 475 there are not enough orders to cancel.
    public var cancelPermille: UInt64
    public var marketPermille: UInt64
    public var immediateOrCancelPermille: UInt64
    public var fillOrKillPermille: UInt64
    public var replacePermille: UInt64
    /// More own orders than this never rest; with `Mix.all`, rest or wait.
    public var restingOrdersMax: Int
    /// With `Mix.all`, the first of `accountCount` accounts; with `Mix.basic` operations name none.
    public var firstAccount: UInt64

    public static let midPriceTicksMin: Int64 = 16
    public static let accountCount: UInt64 = 4

    /// The defaults suit `BTC-USD` with a tick of 0.01 and a lot of 0.00000001.
    public init(
      firstID: UInt64 = 1, midPriceTicks: Int64 = 6_000_000, quantityUnitLots: Int64 = 50_000,
      cancelPermille: UInt64 = 450, marketPermille: UInt64 = 10, immediateOrCancelPermille: UInt64 = 10,
      fillOrKillPermille: UInt64 = 5, replacePermille: UInt64 = 15, restingOrdersMax: Int = 4_096, mix: Mix = .basic,
      firstAccount: UInt64 = 1
    ) {
      self.mix = mix
      self.firstAccount = firstAccount
      self.firstID = firstID
      self.midPriceTicks = midPriceTicks
      self.quantityUnitLots = quantityUnitLots
      self.cancelPermille = cancelPermille
      self.marketPermille = marketPermille
      self.immediateOrCancelPermille = immediateOrCancelPermille
      self.fillOrKillPermille = fillOrKillPermille
      self.replacePermille = replacePermille
      self.restingOrdersMax = restingOrdersMax
    }

    /// Shares add up to a thousand at most, and every price and size that follows from it is in range.
    public var isValid: Bool {
      let shares = [cancelPermille, marketPermille, immediateOrCancelPermille, fillOrKillPermille, replacePermille]
      return shares.allSatisfy { $0 <= 1_000 } && shares.reduce(0, +) <= 1_000
        && (Self.midPriceTicksMin...Limits.priceTicksMax / 4).contains(midPriceTicks)
        && (1...Int64(1) << 40).contains(quantityUnitLots) && restingOrdersMax >= 16
        && firstID <= UInt64(FlowFile.integerMax) / 2 && firstAccount <= UInt64(FlowFile.integerMax) / 2
    }

    /// The accounts that operations name; empty if they name none.
    public var accounts: [AccountID] {
      switch mix {
      case .basic: []
      case .all: (0..<Self.accountCount).map { AccountID(firstAccount + $0) }
      }
    }
  }

  public let configuration: Configuration
  var generator: SeededGenerator
  /// Of `Mix.basic`, and of `Mix.all`.
  private var book = ShadowBook()
  var market = ShadowMarket()
  private var nextID: UInt64
  /// Of `Mix.all`, from 1: the time by which good-till-date orders leave.
  var operationNumber: UInt64 = 0
  private(set) var midPriceTicks: Int64
  /// Operations that the present burst goes on for, and which side runs.
  private var burstLeft: UInt64 = 0
  private var burstSide = Side.buy

  private static let burstOneIn: UInt64 = 10_000
  private static let burstOperations: ClosedRange<Int> = 30...200
  /// Doublings of a size and of a distance at most: ×16,384 and ×4,096.
  static let sizeDoublingsMax = 14
  static let distanceDoublingsMax = 12
  static let takerSizeDoublingsMax = 4

  /// - Precondition: `configuration.isValid`.
  public init(seed: UInt64, configuration: Configuration = Configuration()) {
    precondition(configuration.isValid)
    self.configuration = configuration
    generator = SeededGenerator(seed: seed)
    nextID = configuration.firstID
    midPriceTicks = configuration.midPriceTicks
  }

  /// Own orders that rest, if nobody else trades.
  public var restingOrders: Int { configuration.mix == .basic ? book.count : market.restingOrders }

  /// Own stops that wait, if nobody else trades.
  public var waitingStops: Int { market.waitingStops }

  /// Never nil.
  public mutating func next() -> FlowOperation? { nextOperation() }

  public mutating func nextOperation() -> FlowOperation {
    walk()
    if configuration.mix == .all { return nextOfAll() }
    var draw = generator.below(1_000)
    if draw < cancelPermilleNow, let operation = cancel() { return operation }
    draw = generator.below(Swift.max(1, 1_000 - configuration.cancelPermille))
    var bound = configuration.replacePermille
    if draw < bound, let operation = replace() { return operation }
    bound += configuration.marketPermille
    if draw < bound { return take(.market) }
    bound += configuration.immediateOrCancelPermille
    if draw < bound { return take(.immediateOrCancel) }
    bound += configuration.fillOrKillPermille
    if draw < bound { return take(.fillOrKill) }
    return limit()
  }

  // MARK: Operations

  /// A fifth fewer while the book is thin, so that it fills; only cancels once it holds all it may.
  var cancelPermilleNow: UInt64 {
    let resting = UInt64(openOrders)
    let enough = UInt64(configuration.restingOrdersMax / 4)
    if resting >= UInt64(configuration.restingOrdersMax) { return 1_000 }
    return configuration.cancelPermille * (4 * enough + Swift.min(resting, enough)) / (5 * enough)
  }

  private var openOrders: Int { configuration.mix == .basic ? book.count : market.count }

  private mutating func cancel() -> FlowOperation? {
    guard let (_, order) = book.remove(age: recentAge()) else { return nil }
    return FlowOperation(.cancel, id: order.id)
  }

  private mutating func replace() -> FlowOperation? {
    guard let (side, order) = book.remove(age: recentAge()) else { return nil }
    let operation = FlowOperation(
      .replace, id: order.id, priceTicks: limitPrice(side), quantityLots: size())
    enter(side, operation)
    return operation
  }

  private mutating func limit() -> FlowOperation {
    let side = drawSide()
    let price = mustCross() ? crossingPrice(side) : limitPrice(side)
    let operation = FlowOperation(.limit, id: takeID(), side: side, priceTicks: price, quantityLots: size())
    enter(side, operation)
    return operation
  }

  /// Above half of what may rest, ever more orders go through the touch: what is not cancelled has to trade.
  mutating func mustCross() -> Bool {
    let half = UInt64(configuration.restingOrdersMax / 2)
    let crowd = UInt64(openOrders) > half ? UInt64(openOrders) - half : 0
    return generator.chance(crowd, of: half)
  }

  private mutating func take(_ kind: FlowOperation.Kind) -> FlowOperation {
    let side = drawSide()
    let price = crossingPrice(side)
    // Takers mostly ask for what is there; else one of them would empty the book.
    let quantity = size(doublingsMax: Self.takerSizeDoublingsMax)
    let operation = FlowOperation(kind, id: takeID(), side: side, priceTicks: price, quantityLots: quantity)
    switch kind {
    case .market:
      _ = book.take(side, priceTicks: nil, quantityLots: operation.quantityLots)
    case .immediateOrCancel:
      _ = book.take(side, priceTicks: price, quantityLots: operation.quantityLots)
    case .fillOrKill:
      if book.canFill(side, priceTicks: price, quantityLots: operation.quantityLots) {
        _ = book.take(side, priceTicks: price, quantityLots: operation.quantityLots)
      }
    case .limit, .cancel, .replace: break
    }
    return operation
  }

  private mutating func enter(_ side: Side, _ operation: FlowOperation) {
    let left = book.take(side, priceTicks: operation.priceTicks, quantityLots: operation.quantityLots)
    if left > 0 { book.rest(side, id: operation.id, priceTicks: operation.priceTicks, openLots: left) }
  }

  mutating func takeID() -> UInt64 {
    defer { nextID += 1 }
    return nextID
  }

  // MARK: Prices, sizes, ages

  /// The mid moves a tick now and then; in a burst, often and one way.
  private mutating func walk() {
    if burstLeft > 0 {
      burstLeft -= 1
      let step = Int64(generator.below(3))
      midPriceTicks += burstSide == .buy ? step : -step
    } else if generator.chance(1, of: Self.burstOneIn) {
      burstLeft = UInt64(generator.pick(Self.burstOperations))
      burstSide = generator.chance(1, of: 2) ? .buy : .sell
    } else {
      switch generator.below(128) {
      case 0: midPriceTicks += 1
      case 1: midPriceTicks -= 1
      default: break
      }
    }
    let start = configuration.midPriceTicks
    midPriceTicks = Swift.min(Swift.max(midPriceTicks, start / 2), start + start / 2)
  }

  /// Either side alike; in a burst, three of four follow it.
  mutating func drawSide() -> Side {
    if burstLeft > 0 { return generator.chance(3, of: 4) ? burstSide : burstSide.opposite }
    return generator.chance(1, of: 2) ? .buy : .sell
  }

  /// At the mid or behind it, by a distance with a heavy tail (half as many orders at twice the distance).
  mutating func limitPrice(_ side: Side) -> Int64 {
    let distance = heavyTailed(permille: 500, doublingsMax: Self.distanceDoublingsMax) - 15
    switch side {
    case .buy: return Swift.max(1, midPriceTicks - distance)
    case .sell: return midPriceTicks + 1 + distance
    }
  }

  /// At the other side's best price or a little through it.
  mutating func crossingPrice(_ side: Side) -> Int64 {
    let depth = heavyTailed(permille: 400, doublingsMax: 6) / 16
    let best =
      (configuration.mix == .basic ? book.best(side.opposite) : market.best(side.opposite)) ?? midPriceTicks
    return side == .buy ? best + depth : Swift.max(1, best - depth)
  }

  /// Sizes above x are about as frequent as x to the power of -1.5.
  mutating func size(doublingsMax: Int = sizeDoublingsMax) -> Int64 {
    heavyTailed(permille: 354, doublingsMax: doublingsMax) * configuration.quantityUnitLots
  }

  /// How many orders ago the order came that is picked: recent ones mostly, any one now and then.
  mutating func recentAge() -> Int {
    Int(heavyTailed(permille: 600, doublingsMax: Self.distanceDoublingsMax)) - 16
  }

  /// 16 to 31, doubled again and again with this chance.
  mutating func heavyTailed(permille: UInt64, doublingsMax: Int) -> Int64 {
    var doublings = 0
    while doublings < doublingsMax, generator.chance(permille, of: 1_000) { doublings += 1 }
    return Int64(16 + generator.below(16)) << Int64(doublings)
  }
}
