import OrderBook
import Primitives

/// What a modelled flow is like.
public enum FlowShape: String, Sendable, CaseIterable {
  /// The mid price wanders within 2 %; some ten thousand orders rest.
  case normal
  /// The mid price moves away by 25 to 60 %, one way and back.
  case swing
  /// The mid price stands still; orders lie far from it and stay for long, so that the book is deepest.
  case deep
  /// As `normal`, with all order types, flags and kinds of amend.
  case mixed
}

/// An order flow made up from a seed: the same one on every machine, since only integers are used.
///
/// What it models, in steps that are one new order each:
/// - **Mid price**: a random walk by single ticks from 40,000, or a straight move with that walk on top of it.
/// - **New orders** are placed on either side with equal chance. 85 % rest: their distance from the mid follows a power
///   law (each octave of ticks holds less than half as many orders as the one before), so most lie near the touch. 15 %
///   are immediate-or-cancel, up to 4 ticks before or beyond the mid: about every third of them trades.
/// - **Lifetimes** are short and heavy-tailed, longer for orders further away, of which some stay for the day. Every
///   order that rests gets one cancel at the end of its life, even if it has been filled by then, as happens to real
///   cancels that are under way: the engine must answer those too.
/// - **Amends**: about one resting order in five is amended once in its life: one lot more, and mostly one tick nearer
///   to the mid. It loses its place, as a replace does.
///
/// That gives about 50 % new orders, 41 % cancels and 9 % amends. It is nobody's real market: there are no auctions, no
/// bursts, and no orders that react to fills.
public struct FlowModel {
  /// Lifetimes in new orders, and for how long the book needs to fill before it stops growing.
  private static let lifetimeMax = 1 << 19
  static let startTicks: Int64 = 40_000
  static let wanderTicksMax: Int64 = 800
  private static let accounts: UInt64 = 1_000
  /// With self-trade prevention there must be self-trades.
  private static let mixedAccounts: UInt64 = 50

  /// Enough steps for a book to reach the size that it keeps.
  public static let preludeSteps = 1_100_000

  let shape: FlowShape
  var random: SeededGenerator
  var steps: ContiguousArray<FlowStep> = []
  var calendar = Calendar(slots: lifetimeMax)
  var now = 0
  /// The mid price without the walk, and the walk.
  private var drift: Int64 = 0
  private var wander: Int64 = 0
  /// The farthest that the mid price drifts.
  private let swingTicks: Int64

  var mid: Int64 { Self.startTicks + drift + wander }

  private init(_ shape: FlowShape, seed: UInt64) {
    self.shape = shape
    var random = SeededGenerator(seed: seed)
    let percent = Int64(random.pick(25...60))
    let isDown = random.chance(1, of: 2)
    swingTicks = Self.startTicks * percent / 100 * (isDown ? -1 : 1)
    self.random = random
  }

  /// - Parameters:
  ///   - preludeSteps: fill the book; the mid price drifts after them only.
  ///   - measuredSteps: follow.
  /// - Precondition: `measuredSteps > 0`; less than 2^32 − 1 in all.
  public static func flow(
    _ shape: FlowShape, seed: UInt64, preludeSteps: Int = preludeSteps, measuredSteps: Int
  ) -> EngineFlow {
    precondition(preludeSteps >= 0 && measuredSteps > 0, "there must be something to measure")
    precondition(preludeSteps + measuredSteps < Int(UInt32.max), "steps are numbered by 32 bits")
    var model = FlowModel(shape, seed: seed)
    let count = preludeSteps + measuredSteps
    model.steps.reserveCapacity(count)
    while model.steps.count < count {
      model.moveMid(measured: model.steps.count - preludeSteps, of: measuredSteps)
      model.addDueSteps()
      model.addOrder()
      model.now += 1
    }
    model.steps.removeLast(model.steps.count - count)
    return EngineFlow(name: shape.rawValue, steps: model.steps, preludeSteps: preludeSteps)
  }

  // MARK: Mid price

  private mutating func moveMid(measured: Int, of count: Int) {
    if shape == .deep { return }
    if shape == .swing && measured > 0 {
      // There in the first half, back in the second.
      let part = Int64(measured <= count / 2 ? measured : count - measured)
      drift = swingTicks * part * 2 / Int64(count)
    }
    if random.chance(1, of: 1_024) { wander += random.chance(1, of: 2) ? 1 : -1 }
    wander = max(-Self.wanderTicksMax, min(Self.wanderTicksMax, wander))
  }

  // MARK: Steps

  private mutating func addOrder() {
    var step = FlowStep(kind: .order)
    step.side = random.chance(1, of: 2) ? .buy : .sell
    step.account = 1 + UInt32(random.below(shape == .mixed ? Self.mixedAccounts : Self.accounts))
    if shape == .mixed {
      takeManners(&step)
    } else if random.chance(15, of: 100) {
      step.timeInForce = .immediateOrCancel
    }
    if step.type == .market || step.timeInForce == .immediateOrCancel || step.timeInForce == .fillOrKill {
      step.quantityLots = Int64(random.pick(1...30))
      step.priceTicks = price(step.side, Int64(random.pick(-4...4)))
    } else {
      step.quantityLots = Int64(random.pick(1...100))
      let octave = self.octave()
      let depth = Int64(1 << octave) + Int64(random.below(1 << UInt64(octave)))
      step.priceTicks = price(step.side, 1 + depth)
      planLife(of: steps.count, octave: octave)
    }
    if shape == .mixed { completeManners(&step) }
    steps.append(step)
  }

  /// `ticks` away from the mid on the order's own side; negative ones reach beyond the mid.
  func price(_ side: Side, _ ticks: Int64) -> Int64 { max(1, side == .buy ? mid - ticks : mid + ticks) }

  /// Base-2 logarithm of the distance from the mid.
  private mutating func octave() -> Int {
    let (more, most): (UInt64, Int) = shape == .deep ? (65, 12) : (44, 10)
    var octave = 0
    while octave < most && random.chance(more, of: 100) { octave += 1 }
    return octave
  }

  private mutating func planLife(of step: Int, octave: Int) {
    let life: Int
    if shape == .deep ? random.chance(1, of: 2) : octave >= 2 && random.chance(1, of: 2) {
      let day = shape == .deep ? Self.lifetimeMax / 2 : Self.lifetimeMax / 4
      life = day + Int(random.below(UInt64(day)))
    } else {
      var scale = 16 << (octave / 2)
      while scale < Self.lifetimeMax / 4 && random.chance(55, of: 100) { scale *= 2 }
      life = scale + Int(random.below(UInt64(scale)))
    }
    calendar.add(.cancel, step, at: now + life)
    if random.chance(21, of: 100) { calendar.add(.amend, step, at: now + 1 + Int(random.below(UInt64(life - 1)))) }
  }

  private mutating func addDueSteps() {
    while let (kind, target) = calendar.next(at: now) {
      var step = FlowStep(kind: kind)
      step.target = UInt32(target)
      step.account = steps[target].account
      if kind == .amend {
        step.side = steps[target].side
        step.quantityLots = steps[target].quantityLots + 1
        step.priceTicks = steps[target].priceTicks
        if random.chance(8, of: 10) { step.priceTicks += step.side == .buy ? 1 : -1 }
        if shape == .mixed { amendManners(&step) }
      }
      steps.append(step)
    }
  }
}

extension FlowModel {
  /// What is due when: a wheel of lists, a slot for each moment ahead.
  struct Calendar {
    private struct Item {
      var step: UInt32
      var kind: FlowStep.Kind
      var next: Int32
    }
    private var heads: ContiguousArray<Int32>
    private var items: ContiguousArray<Item> = []
    private var free: Int32 = -1

    init(slots: Int) { heads = ContiguousArray(repeating: -1, count: slots) }

    /// - Precondition: the moment lies ahead, by less than there are slots.
    mutating func add(_ kind: FlowStep.Kind, _ step: Int, at moment: Int) {
      let slot = moment % heads.count
      let item = Item(step: UInt32(step), kind: kind, next: heads[slot])
      if free >= 0 {
        heads[slot] = free
        free = items[Int(free)].next
        items[Int(heads[slot])] = item
      } else {
        heads[slot] = Int32(items.count)
        items.append(item)
      }
    }

    /// Takes out one thing that is due now, the one added last first; nil if there is none left.
    mutating func next(at moment: Int) -> (FlowStep.Kind, Int)? {
      let slot = moment % heads.count
      let index = heads[slot]
      guard index >= 0 else { return nil }
      let item = items[Int(index)]
      heads[slot] = item.next
      items[Int(index)].next = free
      free = index
      return (item.kind, Int(item.step))
    }
  }
}
