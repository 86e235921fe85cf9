import OrderBook
import Primitives

/// Where the orders of a large book lie, and where it changes.
public struct HashShape: Hashable, Sendable {
  public var name: String
  public var orders: Int
  public var levels: Int
  /// Changes lie within this many levels around the touch; nil for all.
  public var nearest: Int?

  public init(name: String, orders: Int, levels: Int, nearest: Int?) {
    self.name = name
    self.orders = orders
    self.levels = levels
    self.nearest = nearest
  }

  /// A million orders on 20,000 levels changed everywhere and near the touch, and a million on 50 levels.
  /// - Parameter orders: instead of a million.
  public static func standard(orders: Int = 1_000_000) -> [HashShape] {
    [
      HashShape(name: "spread", orders: orders, levels: 20_000, nearest: nil),
      HashShape(name: "near the touch", orders: orders, levels: 20_000, nearest: 50),
      HashShape(name: "long queues", orders: orders, levels: 50, nearest: nil),
    ]
  }
}

/// What the book hash costs after some changes. Times are CPU time in nanoseconds.
public struct HashReport: Sendable {
  public let shape: HashShape
  public let changes: Int
  public internal(set) var nanoseconds: [UInt64] = []
  /// The first hash of the whole book.
  public internal(set) var firstNanoseconds: UInt64 = 0
  /// Of the hash that uses nothing kept.
  public internal(set) var recomputedNanoseconds: [UInt64] = []
  /// The kept hash and the recomputed one were equal, each time that both were taken.
  public internal(set) var isRight = true
  public internal(set) var bookHash = Hash256.zero
}

public struct HashMeasurement {
  public static let changes = 1_000
  /// One recomputation for so many hashes.
  private static let hashesPerCheck = 8

  private let shape: HashShape
  private let repetitions: Int
  private let seed: UInt64

  /// - Precondition: `repetitions > 0`.
  public init(_ shape: HashShape, repetitions: Int, seed: UInt64) {
    precondition(repetitions > 0, "there must be something to measure")
    self.shape = shape
    self.repetitions = repetitions
    self.seed = seed
  }

  public func measure() -> HashReport {
    var report = HashReport(shape: shape, changes: Self.changes)
    var population = Population(
      orders: shape.orders, levels: shape.levels,
      sequencesMax: 1 + shape.orders + (repetitions + 1) * Self.changes, seed: seed)
    population.fill(shape.orders)
    (report.bookHash, report.firstNanoseconds) = hash(&population)
    check(population, &report)
    for repetition in 1...repetitions {
      population.planChanges(Self.changes, nearest: shape.nearest)
      _ = population.apply()
      let (hash, nanoseconds) = hash(&population)
      report.bookHash = hash
      report.nanoseconds.append(nanoseconds)
      if repetition % Self.hashesPerCheck == 0 || repetition == repetitions { check(population, &report) }
    }
    return report
  }

  private func hash(_ population: inout Population) -> (Hash256, UInt64) {
    let start = CPUTime.now()
    let hash = population.bookHash()
    return (hash, CPUTime.now() - start)
  }

  private func check(_ population: borrowing Population, _ report: inout HashReport) {
    let start = CPUTime.now()
    let hash = population.recomputedBookHash()
    report.recomputedNanoseconds.append(CPUTime.now() - start)
    if hash != report.bookHash { report.isRight = false }
  }
}
