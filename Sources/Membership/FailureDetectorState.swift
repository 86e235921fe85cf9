import EventLog
import Primitives

/// What a detector thinks of a member.
public enum MemberState: String, Hashable, Sendable {
  /// Can transition to: `suspected`.
  case alive
  /// Probes failed. Can transition to: `alive`, `gone`.
  case suspected
  /// Given up; still looked at. Can transition to: `alive`.
  case gone
}

/// What a detector knows, for people.
public struct DetectorStatus: Hashable, Sendable {
  public struct Member: Hashable, Sendable {
    public var member: OriginIndex
    public var state: MemberState
    /// Monotonic time since when.
    public var sinceMicroseconds: UInt64
    /// Time awake since it was heard; 0 while it may still start.
    public var silenceMicroseconds: UInt64
    /// Others that suspect it too.
    public var confirmations: Int
    /// How often it refuted, as far as is known here.
    public var refutations: UInt32
    public var isRefused: Bool
  }

  public var view: UInt64
  /// 0 for healthy, up to `DetectorConfiguration.localHealthMax`.
  public var localHealth: Int
  public var oversleptMicroseconds: UInt64
  /// How often this process had to refute.
  public var refutations: UInt32
  /// All but this process, by origin.
  public var members: [Member]
}

extension FailureDetector {
  public var status: DetectorStatus {
    var members: [DetectorStatus.Member] = []
    for place in records.indices where records[place].origin != me {
      let record = records[place]
      members.append(
        DetectorStatus.Member(
          member: record.origin, state: record.state, sinceMicroseconds: record.sinceMicroseconds,
          silenceMicroseconds: silence(of: place), confirmations: record.confirmations(besides: me),
          refutations: record.refutations, isRefused: record.isRefused))
    }
    return DetectorStatus(
      view: view, localHealth: health.score, oversleptMicroseconds: clock.oversleptMicroseconds,
      refutations: refutations, members: members)
  }
}

/// Time that passes only while this process runs: between two ticks never more than a limit.
struct AwakeClock: Sendable {
  private var lastTickMicroseconds: UInt64?
  private var awakeMicroseconds: UInt64 = 0
  private(set) var oversleptMicroseconds: UInt64 = 0

  func time(nowMicroseconds now: UInt64, gapMax: UInt64) -> UInt64 {
    guard let last = lastTickMicroseconds else { return awakeMicroseconds }
    return awakeMicroseconds + min(now - last, gapMax)
  }

  /// - Returns: the time since the last tick.
  mutating func tick(nowMicroseconds now: UInt64, gapMax: UInt64) -> UInt64 {
    let gap = now - (lastTickMicroseconds ?? now)
    awakeMicroseconds += min(gap, gapMax)
    oversleptMicroseconds += gap - min(gap, gapMax)
    lastTickMicroseconds = now
    return gap
  }
}

/// A probe that this process makes for another.
struct Errand: Sendable {
  let requester: OriginIndex
  let sequence: UInt64
  let subject: OriginIndex
  /// Without an ack until then, in time awake, the requester is told so.
  let deadlineMicroseconds: UInt64
}

/// How far looking at a silent member has come. Times are of time awake.
enum Probe: Sendable {
  /// Can transition to: `direct`, or without a link `indirect`.
  case resting(untilMicroseconds: UInt64)
  /// Pinged. Can transition to: `resting`, `indirect`.
  case direct(deadlineMicroseconds: UInt64)
  /// Others were asked. Can transition to: `resting`.
  case indirect(IndirectProbe)
}

struct IndirectProbe: Sendable {
  let sequence: UInt64
  let startedMicroseconds: UInt64
  let deadlineMicroseconds: UInt64
  let asked: Int
  var answered = 0
}

/// What is known of a member.
struct MemberRecord: Sendable {
  let origin: OriginIndex
  private(set) var state: MemberState = .alive
  /// Monotonic time.
  private(set) var sinceMicroseconds: UInt64
  /// Newest evidence of life in time awake; while nothing was heard, when silence begins to count.
  var heardMicroseconds: UInt64
  /// Monotonic time at which it was heard over its own link; nil if it never was.
  var heardNowMicroseconds: UInt64?
  var isUnheard = true
  var isLinkUp = false
  var isRefused = false
  var probe: Probe = .resting(untilMicroseconds: 0)
  /// SWIM's incarnation number of the member, as far as is known.
  private(set) var refutations: UInt32 = 0
  /// Of the present number, and when each was learned in time awake; at most `DetectorLimits.accusersMax`.
  private var accusations: [(accuser: OriginIndex, atMicroseconds: UInt64)] = []
  /// The longest silence that it came back from lately.
  var slackMicroseconds: UInt64 = 0
  var slackSinceMicroseconds: UInt64 = 0

  init(origin: OriginIndex, heardMicroseconds: UInt64, nowMicroseconds: UInt64) {
    self.origin = origin
    self.heardMicroseconds = heardMicroseconds
    sinceMicroseconds = nowMicroseconds
  }

  var isResting: Bool { if case .resting = probe { true } else { false } }

  mutating func turn(_ state: MemberState, nowMicroseconds now: UInt64) {
    self.state = state
    sinceMicroseconds = now
  }

  /// Others that accuse it of the present silence.
  func confirmations(besides me: OriginIndex) -> Int {
    var count = 0
    for accusation in accusations where accusation.accuser != me && accusation.atMicroseconds > heardMicroseconds {
      count += 1
    }
    return count
  }

  /// Somebody who accuses it of the present silence.
  var accuser: OriginIndex? { accusations.first { $0.atMicroseconds > heardMicroseconds }?.accuser }

  /// - Returns: false if it is no news.
  mutating func outdo(_ number: UInt32) -> Bool {
    guard number > refutations else { return false }
    refutations = number
    accusations.removeAll()
    return true
  }

  /// - Returns: false if it is no news.
  mutating func accuse(_ accuser: OriginIndex, atMicroseconds at: UInt64, memoryMicroseconds memory: UInt64) -> Bool {
    accusations.removeAll { $0.atMicroseconds + memory <= at }
    guard !accusations.contains(where: { $0.accuser == accuser }) else { return false }
    guard accusations.count < DetectorLimits.accusersMax else { return false }
    accusations.append((accuser, at))
    return true
  }
}
