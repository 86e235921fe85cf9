/// A seeded generator: the same seed gives the same numbers on every machine, in every process.
///
/// SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
public struct SeededGenerator: RandomNumberGenerator, Sendable {
  private var state: UInt64
  public init(seed: UInt64) { state = seed }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }

  /// Uniform in `0..<bound` (up to a bias of `bound / 2^64`).
  /// - Precondition: `bound > 0`.
  public mutating func below(_ bound: UInt64) -> UInt64 {
    precondition(bound > 0)
    return next().multipliedFullWidth(by: bound).high
  }

  /// Uniform in `range`.
  public mutating func pick(_ range: ClosedRange<Int>) -> Int {
    range.lowerBound + Int(below(UInt64(range.upperBound - range.lowerBound) + 1))
  }

  /// True `count` times out of `total`.
  public mutating func chance(_ count: UInt64, of total: UInt64) -> Bool { below(total) < count }

  /// An independent generator whose numbers do not depend on how far this one is used later.
  public mutating func split() -> SeededGenerator { SeededGenerator(seed: next()) }
}
