import CBenchmark
import Glibc

/// CPU time of this thread: what other processes do disturbs it little.
enum CPUTime {
  /// Nanoseconds.
  static func now() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }

  /// What one reading costs, in nanoseconds.
  static func cost() -> UInt64 {
    let readings: UInt64 = 20_000
    let start = now()
    var last = start
    for _ in 0..<readings { last = now() }
    return (last - start) / readings
  }
}

/// The cheapest clock that never goes back, for single operations.
struct TickClock {
  /// Ticks in 1,024 nanoseconds.
  private let ticksPer1024Nanoseconds: UInt64
  /// What one reading costs, the median, in ticks.
  let costTicks: UInt64

  static var name: String { String(cString: tick_clock_name()) }

  @inline(__always) static func now() -> UInt64 { tick_clock_now() }

  /// Compares the clock with the system's for a fiftieth of a second.
  init() {
    let startTicks = Self.now()
    let start = Self.monotonic()
    var end = start
    while end - start < 20_000_000 { end = Self.monotonic() }
    let ticks = Self.now() - startTicks
    ticksPer1024Nanoseconds = max(1, ticks * 1_024 / (end - start))
    var costs: [UInt64] = []
    var last = Self.now()
    for _ in 0..<10_001 {
      let now = Self.now()
      costs.append(now - last)
      last = now
    }
    costTicks = costs.median
  }

  func nanoseconds(_ ticks: UInt64) -> UInt64 {
    let (high, low) = ticks.multipliedFullWidth(by: 1_024)
    return high < ticksPer1024Nanoseconds ? ticksPer1024Nanoseconds.dividingFullWidth((high, low)).quotient : .max
  }

  private static func monotonic() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }
}

extension [UInt64] {
  /// The middle value, the upper one of two; 0 of none.
  var median: UInt64 { isEmpty ? 0 : sorted()[count / 2] }
}
