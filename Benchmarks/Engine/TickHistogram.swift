/// Counts of durations in clock ticks: exact up to 2^16 ticks (some 25 µs), to within 3 % above that.
///
/// Recording is one addition to a table that stays in the cache, so that it disturbs little of what is measured.
struct TickHistogram {
  private static let exactMax = 1 << 16
  /// Above that, 32 buckets for each power of two.
  private static let bucketBits = 5

  private var exact = [UInt32](repeating: 0, count: exactMax)
  private var coarse = [UInt32](repeating: 0, count: (64 - 16) << bucketBits)
  private(set) var count = 0
  private(set) var maxTicks: UInt64 = 0

  @inline(__always) mutating func record(_ ticks: UInt64) {
    count &+= 1
    if ticks < UInt64(Self.exactMax) {
      exact[Int(ticks)] &+= 1
      if ticks > maxTicks { maxTicks = ticks }
    } else {
      recordLong(ticks)
    }
  }

  @inline(never) private mutating func recordLong(_ ticks: UInt64) {
    coarse[Self.bucket(ticks)] += 1
    maxTicks = max(maxTicks, ticks)
  }

  /// The duration that `permille` of all durations do not exceed; 0 if there are none.
  func ticks(permille: Int) -> UInt64 {
    let wanted = (count * permille + 999) / 1_000
    if wanted == 0 { return 0 }
    var seen = 0
    for (ticks, number) in exact.enumerated() {
      seen += Int(number)
      if seen >= wanted { return UInt64(ticks) }
    }
    for (bucket, number) in coarse.enumerated() {
      seen += Int(number)
      if seen >= wanted { return min(Self.upperBound(bucket), maxTicks) }
    }
    return maxTicks
  }

  private static func bucket(_ ticks: UInt64) -> Int {
    let octave = 63 - ticks.leadingZeroBitCount
    let fraction = Int(ticks >> UInt64(octave - bucketBits)) & (1 << bucketBits - 1)
    return (octave - 16) << bucketBits + fraction
  }

  /// The largest number of ticks that a bucket stands for.
  private static func upperBound(_ bucket: Int) -> UInt64 {
    let octave = bucket >> bucketBits + 16
    let fraction = UInt64(bucket & (1 << bucketBits - 1))
    let width = UInt64(1) << UInt64(octave - bucketBits)
    // The last bucket's bound wraps around to the largest value there is.
    return UInt64(1) << UInt64(octave) &+ (fraction + 1) * width &- 1
  }
}
