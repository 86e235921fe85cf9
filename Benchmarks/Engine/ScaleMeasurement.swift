import OrderBook
import Primitives

/// An engine with many resting orders, in a process of its own: what they take, and what an operation costs among them.
///
/// The process that starts this one asks for one round after the other, so that rounds of several sizes alternate.
public struct ScaleMeasurement: ~Copyable {
  /// Levels that the orders are spread over.
  public static let levels = 20_000
  public static let ordersMax = 50_000_000
  public static let accounts = Int(Population.accounts)

  public let orders: Int
  private var population: Population
  private let roundBatches: Int
  /// Bytes that became resident while the book was filled, if the system tells.
  public let residentBytes: Int?
  /// The most that was resident above the empty engine at any time, if the system tells.
  public let peakBytes: Int?

  /// Fills the book.
  /// - Parameters:
  ///   - roundOperations: of one round; rounded up to whole batches.
  ///   - rounds: how many rounds there may be.
  /// - Precondition: `orders` in `1...ordersMax`.
  public init(orders: Int, roundOperations: Int, rounds: Int, seed: UInt64) {
    precondition((1...Self.ordersMax).contains(orders) && roundOperations > 0 && rounds > 0, "out of range")
    self.orders = orders
    roundBatches = (roundOperations + FlowLog.batchSteps - 1) / FlowLog.batchSteps
    population = Population(
      orders: orders, levels: Self.levels,
      sequencesMax: 1 + orders + roundBatches * rounds * FlowLog.batchSteps, seed: seed)
    let before = ProcessMemory.now()
    population.fill(orders)
    let after = ProcessMemory.now()
    residentBytes = before.flatMap { before in after.map { $0.resident - before.resident } }
    peakBytes = before.flatMap { before in after.map { $0.peak - before.resident } }
  }

  public var roundOperations: Int { roundBatches * FlowLog.batchSteps }

  /// One round.
  /// - Returns: its CPU time in nanoseconds.
  public mutating func round() -> UInt64 {
    var nanoseconds: UInt64 = 0
    for _ in 0..<roundBatches {
      population.planMixedBatch()
      nanoseconds += population.apply()
    }
    return nanoseconds
  }

  public var restingOrders: Int { population.lane.engine.restingOrders }
  public mutating func bookHash() -> Hash256 { population.bookHash() }
}
