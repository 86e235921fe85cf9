import Primitives

/// How fast a failure detector loses patience. Times are microseconds of time awake: the detector's own oversleeping
/// does not count.
///
/// memberlist's defaults for a local network, for comparison (`config.go`): a probe a second, 500 ms for an ack,
/// 3 relays, suspicion of 4 · log10 n seconds and up to 6 times that, 3 confirmations short of it, health up to 8.
/// Here every member hears every other over its own link anyway, so only a silent one is probed, at once and by all.
public struct DetectorConfiguration: Hashable, Sendable {
  /// A member that is silent for this long is probed. Heartbeats come every 200 ms at the latest.
  public var probeAfterMicroseconds: UInt64 = 300_000
  /// Time for the ack of a probe, direct or through others; times the local health multiplier.
  public var ackMicrosecondsMax: UInt64 = 150_000
  /// A member that has been given up is looked at this often.
  public var gonePauseMicroseconds: UInt64 = 2_000_000

  /// Silence after which a suspect is given up with all confirmations, and with none. A pause of a second, after a
  /// heartbeat that was due, must fit into the former.
  public var silenceMicrosecondsMin: UInt64 = 1_500_000
  public var silenceMicrosecondsMax: UInt64 = 3_000_000
  /// The same where the link was closed and a new one refused: a process that is merely starved does neither.
  public var refusedMicrosecondsMin: UInt64 = 500_000
  public var refusedMicrosecondsMax: UInt64 = 1_000_000
  /// No local health and no slackness makes a suspect wait longer than this.
  public var silenceMicrosecondsCeiling: UInt64 = 8_000_000
  /// Members that were never heard since the start get this much more: they may start later.
  public var bootMicroseconds: UInt64 = 5_000_000
  /// How long it is remembered of a member that it came back from a long silence.
  public var slackMemoryMicroseconds: UInt64 = 60_000_000

  /// Members asked to probe another on one's behalf; 0 for none.
  public var relays = 3
  /// Independent confirmations that bring a suspicion's time down to its minimum; fewer in a small cluster.
  public var confirmations = 3

  /// The worst local health; times are multiplied by one more than the score. 0 for no local health.
  public var localHealthMax = 4
  /// The score falls by one after this long without a reason to rise.
  public var localHealthPauseMicroseconds: UInt64 = 2_000_000
  /// Ticks come at least every 50 ms; what is beyond this between two of them was overslept, and no deadline counts it.
  public var tickGapMicrosecondsMax: UInt64 = 100_000
  /// The score rises by one for each of these between two ticks.
  public var starvedGapMicroseconds: UInt64 = 250_000

  /// Rumours are passed on this often, to this many, each `transmissionsPerLog · ⌈log2(n + 1)⌉` times by a member.
  public var gossipMicroseconds: UInt64 = 50_000
  public var gossipFanout = 3
  public var transmissionsPerLog = 2

  public init() {}
}

/// What bounds a failure detector's memory and messages.
public enum DetectorLimits {
  /// Updates that one message carries.
  public static let updatesPerMessageMax = 8
  /// Rumours waiting to be passed on; beyond it the one told most often gives way.
  public static let rumoursMax = 256
  /// Probes under way on behalf of others; beyond it requests are not answered.
  public static let errandsMax = 128
  /// Accusers remembered of a member.
  public static let accusersMax = 8
  /// SWIM's incarnation numbers end here.
  public static let refutationsMax: UInt32 = 1 << 31
  /// Age of evidence, in milliseconds, that an ack can speak of.
  public static let ageMillisecondsMax: UInt64 = 60_000
}

/// A saturating count of reasons to believe that this process, not the others, is slow.
///
/// It rises with what was overslept, with each probe whose relays did not all answer, with each suspicion that this
/// process has to refute, and from 0 with one of its own that proves wrong; unlike Lifeguard's it falls with time only,
/// because here a healthy cluster has no probes that could succeed.
///
/// Source: Dadgar, Phillips, Currey, "Lifeguard: Local Health Awareness for More Accurate Failure Detection", 2018,
/// section IV A.
struct LocalHealth: Sendable {
  private(set) var score = 0
  private var changedMicroseconds: UInt64 = 0

  mutating func rise(by count: Int, max: Int, nowMicroseconds now: UInt64) {
    guard count > 0 else { return }
    score = min(score + min(count, max), max)
    changedMicroseconds = now
  }

  mutating func rest(pauseMicroseconds pause: UInt64, nowMicroseconds now: UInt64) {
    guard score > 0, now >= changedMicroseconds + pause else { return }
    score -= 1
    changedMicroseconds = now
  }
}

enum SuspicionTimeout {
  /// `max − (max − min) · log(confirmations + 1) / log(wanted + 1)`, at least `min`.
  ///
  /// Source: Lifeguard, section IV B; memberlist's `remainingSuspicionTime`.
  static func microseconds(confirmations: Int, wanted: Int, min: UInt64, max: UInt64) -> UInt64 {
    guard confirmations < wanted, min < max else { return min }
    let share = log2(UInt64(confirmations) + 1)
    return max - (max - min) * share / log2(UInt64(wanted) + 1)
  }

  /// log2 in units of 2^-16, rounded down.
  /// - Precondition: `value > 0`.
  static func log2(_ value: UInt64) -> UInt64 {
    precondition(value > 0)
    let whole = UInt64(63 - value.leadingZeroBitCount)
    // The mantissa, in 1..<2, with 31 bits after the point; each squaring yields one bit of the logarithm.
    var mantissa = whole > 31 ? value >> (whole - 31) : value << (31 - whole)
    var result = whole
    for _ in 0..<16 {
      mantissa = (mantissa * mantissa) >> 31
      result <<= 1
      if mantissa >= 1 << 32 {
        mantissa >>= 1
        result |= 1
      }
    }
    return result
  }

  /// ⌈log2(n + 1)⌉ for n members.
  static func ceilingOfLog2(membersAndOne value: Int) -> Int {
    value <= 1 ? 0 : Int.bitWidth - (value - 1).leadingZeroBitCount
  }
}
