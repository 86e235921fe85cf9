/// Counts of durations in microseconds, to within 3 %, in constant memory.
///
/// Log-linear: 32 buckets for each power of two.
struct LatencyHistogram: Sendable {
  private static let bucketsPerOctaveBits = 5
  private static let bucketsPerOctave = 1 << bucketsPerOctaveBits
  /// Up to 2^32 µs, over an hour; longer ones count as that.
  private static let octaves = 32 - bucketsPerOctaveBits

  private var counts = [Int](repeating: 0, count: (octaves + 1) * bucketsPerOctave)
  private(set) var count = 0
  private(set) var maxMicroseconds: UInt64 = 0

  mutating func record(microseconds: UInt64) {
    counts[Self.bucket(of: microseconds)] += 1
    count += 1
    maxMicroseconds = max(maxMicroseconds, microseconds)
  }

  mutating func merge(_ other: LatencyHistogram) {
    for bucket in counts.indices { counts[bucket] += other.counts[bucket] }
    count += other.count
    maxMicroseconds = max(maxMicroseconds, other.maxMicroseconds)
  }

  /// The duration that `permille` of all durations do not exceed; zero if there are none.
  func percentile(permille: Int) -> Duration {
    let wanted = (count * permille + 999) / 1_000
    var seen = 0
    for (bucket, bucketCount) in counts.enumerated() where bucketCount > 0 {
      seen += bucketCount
      if seen >= wanted { return .microseconds(Int64(min(Self.upperBound(of: bucket), maxMicroseconds))) }
    }
    return .zero
  }

  var max: Duration { .microseconds(Int64(clamping: maxMicroseconds)) }

  private static func bucket(of microseconds: UInt64) -> Int {
    let value = Swift.min(microseconds, UInt64(UInt32.max))
    if value < UInt64(bucketsPerOctave) { return Int(value) }
    let octave = 63 - value.leadingZeroBitCount - bucketsPerOctaveBits
    return (octave + 1) * bucketsPerOctave + Int(value >> UInt64(octave)) - bucketsPerOctave
  }

  private static func upperBound(of bucket: Int) -> UInt64 {
    if bucket < bucketsPerOctave { return UInt64(bucket) }
    let octave = bucket / bucketsPerOctave - 1
    return (UInt64(bucket % bucketsPerOctave + bucketsPerOctave) + 1) << UInt64(octave) - 1
  }

  private func max(_ left: UInt64, _ right: UInt64) -> UInt64 { Swift.max(left, right) }
}
