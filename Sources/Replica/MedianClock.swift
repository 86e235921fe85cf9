import EventLog
import Membership
import Primitives

/// Keeps this node's time close to that of most others: one clock that is wrong harms nobody, its own node neither.
///
/// Every heartbeat says what its sender's clock shows. The median of the members' clocks, this node's among them and
/// the others' carried on by the monotonic clock since they came, is what most of them take for the time; the own clock
/// counts only as far as it lies within 250 ms of that. With an even number of clocks the median is all that lies
/// between the middle two: of two that differ, nobody can tell which is right, and each goes by its own.
///
/// What is compared are clocks as they are. Were it stamps or promises, a clock that is ahead would hear itself in
/// those of the others, which follow its stamps, and lead all of them away step by step.
/// Source: DESIGN 3.
struct MedianClock: Sendable {
  static let reachMilliseconds: Int64 = 250
  /// A message that was on its way for long shows an old time: of about two of these the highest counts.
  static let spanMicroseconds: UInt64 = 1_000_000
  /// What is carried on for longer counts no more.
  static let memoryMicroseconds: UInt64 = 600_000_000

  private struct Sample: Sendable {
    let origin: OriginIndex
    var heardMicroseconds: UInt64
    var spanStartMicroseconds: UInt64
    /// By how many milliseconds its clock is ahead of the monotonic one here: highest of this span, and of the last.
    var highest: Int64
    var before: Int64?
    var ahead: Int64 { max(highest, before ?? highest) }
  }

  /// Of members, ascending.
  private var samples: [Sample] = []
  private var isDirty = false
  private var majoritySinceMicroseconds: UInt64?
  private var updatedMicroseconds: UInt64 = 0
  /// Between which differences to the monotonic clock here, in milliseconds, the own clock counts; nil for any.
  private var ahead: ClosedRange<Int64>?
  /// After a start, of three members two may show different times: the third is waited for as long as this.
  static let thirdMicroseconds: UInt64 = 500_000
  /// A majority was heard since this node started: before, it neither promises nor stamps.
  private(set) var isSet = false

  /// A member's clock, as it has just said.
  mutating func hear(_ origin: OriginIndex, _ wallMilliseconds: UInt64, _ now: LogicalTime) {
    guard wallMilliseconds > 0 else { return }
    let micros = now.monotonicMicroseconds
    let ahead = Int64(wallMilliseconds) - Int64(micros / 1_000)
    isDirty = true
    let place = samples.firstIndex { $0.origin >= origin } ?? samples.count
    guard place < samples.count, samples[place].origin == origin else {
      return samples.insert(
        Sample(origin: origin, heardMicroseconds: micros, spanStartMicroseconds: micros, highest: ahead), at: place)
    }
    if micros >= samples[place].spanStartMicroseconds + Self.spanMicroseconds {
      samples[place].before = samples[place].highest
      samples[place].highest = ahead
      samples[place].spanStartMicroseconds = micros
    } else {
      samples[place].highest = max(samples[place].highest, ahead)
    }
    samples[place].heardMicroseconds = micros
  }

  /// Takes the median anew, if something was heard.
  /// - Parameter now: what this node's own clocks show.
  /// - Complexity: O(members · log members).
  mutating func update(_ view: View, me: OriginIndex?, _ now: LogicalTime) {
    if view.members.count == 1, me != nil { isSet = true }
    if !isSet, let since = majoritySinceMicroseconds, now.monotonicMicroseconds >= since + Self.thirdMicroseconds {
      isSet = true
    }
    guard isDirty || now.monotonicMicroseconds >= updatedMicroseconds + Self.memoryMicroseconds / 10 else { return }
    isDirty = false
    updatedMicroseconds = now.monotonicMicroseconds
    samples.removeAll { sample in
      !view.contains(sample.origin) || now.monotonicMicroseconds >= sample.heardMicroseconds + Self.memoryMicroseconds
    }
    var clocks = samples.filter { $0.origin != me }.map(\.ahead)
    if me != nil {
      clocks.append(Int64(clamping: now.wallMilliseconds) - Int64(now.monotonicMicroseconds / 1_000))
    }
    guard clocks.count >= view.majority else { return ahead = nil }
    majoritySinceMicroseconds = majoritySinceMicroseconds ?? now.monotonicMicroseconds
    if clocks.count >= min(3, view.members.count) { isSet = true }
    clocks.sort()
    ahead = clocks[(clocks.count - 1) / 2] - Self.reachMilliseconds...clocks[clocks.count / 2] + Self.reachMilliseconds
  }

  /// The time that this node goes by.
  func time(_ now: LogicalTime) -> LogicalTime {
    guard let ahead else { return now }
    let passed = Int64(now.monotonicMicroseconds / 1_000)
    let wall = Int64(clamping: now.wallMilliseconds)
    let time = min(max(wall, passed + ahead.lowerBound), passed + ahead.upperBound)
    return LogicalTime(
      wallMilliseconds: UInt64(max(0, time)), monotonicMicroseconds: now.monotonicMicroseconds)
  }

  /// Whether the own clock counts as it is.
  func isRight(_ now: LogicalTime) -> Bool { time(now) == now }
}
