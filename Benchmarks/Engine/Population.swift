import OrderBook
import Primitives

/// An engine with a given number of resting orders, and commands that keep it so.
///
/// Orders are spread evenly over a band of neighbouring prices, half of them bids, and over 4,096 accounts. Whatever
/// leaves the book is placed anew at the same price, so that the shape of the book does not change however many
/// operations follow. Bookkeeping happens between batches and is not measured.
struct Population: ~Copyable {
  static let accounts: UInt64 = 4_096
  /// Lowest ask.
  private static let touchTicks: Int64 = 1_000_000
  private static let lotsMax = 100
  /// With more orders than these gone, new ones come faster.
  private static let vacatedWanted = 128
  /// Of the slots that `places` has for sequences: this one does not rest.
  private static let absent = UInt32.max

  private(set) var lane = EngineLane()
  private var random: SeededGenerator
  private let levels: Int
  private var stamp = FlowLog.stamp(of: 0).value

  /// Sequences of the resting orders, in no order, and their levels.
  private var resting: ContiguousArray<UInt32>
  private var restingLevels: ContiguousArray<UInt16>
  /// Where the order of a sequence is in `resting`.
  private var places: ContiguousArray<UInt32>
  /// Levels of orders that have left and come back in a later step.
  private var vacated: ContiguousArray<UInt16> = []
  /// In the batch that is being made.
  private var planned = 0

  /// An empty book. All memory that bookkeeping will need is resident when this returns.
  /// - Parameters:
  ///   - levels: prices, an even number up to 65,536.
  ///   - sequencesMax: how many entries there may be in all.
  init(orders: Int, levels: Int, sequencesMax: Int, seed: UInt64) {
    precondition(levels >= 2 && levels % 2 == 0 && levels <= 1 << 16, "an even number of levels")
    precondition(sequencesMax < Int(Self.absent), "sequences are kept in 32 bits")
    self.levels = levels
    random = SeededGenerator(seed: seed)
    // One batch more: so many may be planned before it is known that others have left.
    resting = ContiguousArray(repeating: 0, count: orders + FlowLog.batchSteps)
    restingLevels = ContiguousArray(repeating: 0, count: orders + FlowLog.batchSteps)
    places = ContiguousArray(repeating: Self.absent, count: sequencesMax + 1)
    resting.removeAll(keepingCapacity: true)
    restingLevels.removeAll(keepingCapacity: true)
    vacated.reserveCapacity(4 * FlowLog.batchSteps)
  }

  /// Orders in the book, as the plan has it.
  var count: Int { resting.count }

  // MARK: Steps

  /// Places new orders on random levels, in batches.
  mutating func fill(_ orders: Int) {
    var left = orders
    while left > 0 {
      let batch = min(left, FlowLog.batchSteps)
      for _ in 0..<batch { plan(orderAt: UInt16(random.below(UInt64(levels)))) }
      left -= batch
      lane.applyBatch()
      lane.takeLevels()
      readTape()
    }
  }

  /// Makes a batch: half new orders where some have left, a third cancels of orders chosen evenly among all that rest,
  /// a sixth small trades.
  mutating func planMixedBatch() {
    for _ in 0..<FlowLog.batchSteps {
      if !vacated.isEmpty && random.chance(vacated.count > Self.vacatedWanted ? 3 : 2, of: 4) {
        planReplacement()
      } else if random.chance(1, of: 3) {
        planTrade()
      } else {
        plan(cancelAt: Int(random.below(UInt64(resting.count))))
      }
    }
  }

  /// Makes a batch of as many cancels as new orders, all of them within `nearest` levels around the touch.
  /// - Parameter nearest: nil for all levels.
  mutating func planChanges(_ changes: Int, nearest: Int?) {
    for _ in 0..<changes / 2 {
      var place = Int(random.below(UInt64(resting.count)))
      while let nearest, !isNear(restingLevels[place], nearest) { place = Int(random.below(UInt64(resting.count))) }
      plan(cancelAt: place)
      planReplacement()
    }
  }

  /// Applies what was planned.
  /// - Returns: the CPU time of it, in nanoseconds.
  mutating func apply() -> UInt64 {
    planned = 0
    let start = CPUTime.now()
    lane.applyBatch()
    lane.takeLevels()
    let nanoseconds = CPUTime.now() - start
    readTape()
    return nanoseconds
  }

  mutating func bookHash() -> Hash256 { lane.engine.bookHash() }
  func recomputedBookHash() -> Hash256 { lane.engine.recomputedBookHash() }

  // MARK: Plans

  /// Levels alternate between the sides, the ones next to the touch first.
  private func price(_ level: UInt16) -> Int64 {
    let distance = Int64(level / 2)
    return level % 2 == 0 ? Self.touchTicks - 1 - distance : Self.touchTicks + distance
  }

  private func isNear(_ level: UInt16, _ nearest: Int) -> Bool { Int(level) < nearest }

  private func account(_ sequence: UInt32) -> AccountID {
    AccountID(1 + (UInt64(sequence) &* 0x9E37_79B9_7F4A_7C15) >> 40 % Self.accounts)
  }

  private var nextSequence: UInt32 { UInt32(lane.firstSequence) + UInt32(planned) }

  private mutating func plan(_ command: Command) {
    stamp += 1
    lane.prepare(command, stamp: Stamp(stamp))
    planned += 1
  }

  private mutating func plan(orderAt level: UInt16) {
    let sequence = nextSequence
    places[Int(sequence)] = UInt32(resting.count)
    resting.append(sequence)
    restingLevels.append(level)
    plan(
      .order(
        Order(
          instrument: FlowLog.instrument, account: account(sequence), side: level % 2 == 0 ? .buy : .sell,
          priceTicks: price(level), quantityLots: Int64(random.pick(1...Self.lotsMax)))))
  }

  private mutating func planReplacement() {
    let index = Int(random.below(UInt64(vacated.count)))
    vacated.swapAt(index, vacated.count - 1)
    plan(orderAt: vacated.removeLast())
  }

  private mutating func plan(cancelAt place: Int) {
    let sequence = resting[place]
    forget(place)
    plan(
      .cancel(
        Cancel(
          account: account(sequence), target: .dot(Dot(origin: FlowLog.origin, sequence: UInt64(sequence))),
          targetStamp: FlowLog.stamp(of: 0))))
  }

  /// An immediate order of the size of one resting order, at any price.
  private mutating func planTrade() {
    let side: Side = random.chance(1, of: 2) ? .buy : .sell
    let reach = Int64(levels)
    plan(
      .order(
        Order(
          instrument: FlowLog.instrument, account: account(nextSequence), side: side,
          timeInForce: .immediateOrCancel, priceTicks: Self.touchTicks + (side == .buy ? reach : -reach),
          quantityLots: Int64(random.pick(1...Self.lotsMax)))))
  }

  // MARK: Bookkeeping

  /// Takes the order in `place` out of the lists; its level waits for another one.
  private mutating func forget(_ place: Int) {
    places[Int(resting[place])] = Self.absent
    vacated.append(restingLevels[place])
    let last = resting.count - 1
    if place != last {
      resting[place] = resting[last]
      restingLevels[place] = restingLevels[last]
      places[Int(resting[place])] = UInt32(place)
    }
    resting.removeLast()
    restingLevels.removeLast()
  }

  /// Orders that were filled have left.
  private mutating func readTape() {
    for event in lane.tape.run(from: lane.tape.start, to: lane.tape.end) {
      guard case .filled(let fill) = event, fill.makerOpenLots == 0 else { continue }
      let place = places[Int(fill.maker.sequence)]
      if place != Self.absent { forget(Int(place)) }
    }
    planned = 0
  }
}
