import EventLog
import Membership
import Primitives

/// Computes how far the log is final, from the beats and acks of a view's members.
///
/// ```
/// FINAL(t)  when for every member o: a beat of o with promise ≥ t is known, the prefix that it covers is held here,
///           and a majority of the view has acked that prefix
/// ```
/// Source: DESIGN 4.
public struct Frontier: Sendable {
  private let view: View
  /// Beats of each member (by its place in `view.members`) that are not usable yet, oldest first, bounded; and the
  /// newest one that was.
  private var waiting: [[Beat]]
  private var usable: [Stamp]
  private var newestPromise: [Stamp]
  /// acked[member][origin]: what that member has on its disk.
  private var acked: [VersionVector]
  public private(set) var final: Stamp = .zero

  /// Beats kept a member; beyond it the middle ones give way to the newest, which only delays finality.
  static let waitingBeatsMax = 64

  public init(view: View) {
    self.view = view
    let count = view.members.count
    waiting = Array(repeating: [], count: count)
    usable = Array(repeating: .zero, count: count)
    newestPromise = Array(repeating: .zero, count: count)
    acked = Array(repeating: VersionVector(), count: count)
  }

  private func place(_ member: OriginIndex) -> Int? { view.members.firstIndex(of: member) }

  /// Promise heard last from a member.
  public func promise(of member: OriginIndex) -> Stamp {
    guard let place = place(member) else { return .zero }
    return newestPromise[place]
  }

  public func acked(by member: OriginIndex) -> VersionVector {
    guard let place = place(member) else { return VersionVector() }
    return acked[place]
  }

  /// Smallest promise among members whose covered prefix is held here: nothing at or below it can arrive any more.
  public private(set) var complete: Stamp = .zero

  public mutating func receive(_ beat: Beat, from member: OriginIndex) {
    guard let place = place(member), beat.promise > newestPromise[place] else { return }
    newestPromise[place] = beat.promise
    if waiting[place].count >= Self.waitingBeatsMax { waiting[place].remove(at: Self.waitingBeatsMax / 2) }
    waiting[place].append(beat)
  }

  public mutating func receive(_ ack: Ack, from member: OriginIndex) {
    guard let place = place(member), ack.head.sequence > acked[place][ack.origin] else { return }
    acked[place][ack.origin] = ack.head.sequence
  }

  /// Sequence of `origin` that more than half of the members have on disk.
  public func majorityAcked(_ origin: OriginIndex) -> UInt64 {
    var sequences: [UInt64] = []
    sequences.reserveCapacity(acked.count)
    for vector in acked { sequences.append(vector[origin]) }
    sequences.sort(by: >)
    return sequences[view.majority - 1]
  }

  /// Recomputes the frontiers.
  /// - Parameter held: contiguous sequence held here of an origin.
  /// - Returns: true if `final` moved.
  /// - Complexity: O(members²).
  public mutating func update(held: (OriginIndex) -> UInt64) -> Bool {
    var lowestFinal = Stamp(UInt64.max)
    var lowestComplete = Stamp(UInt64.max)
    for (place, member) in view.members.enumerated() {
      let heldSequence = held(member)
      let ackedSequence = majorityAcked(member)
      var complete = usable[place]
      var used = 0
      for beat in waiting[place] {
        guard beat.head.sequence <= heldSequence else { break }
        complete = max(complete, beat.promise)
        guard beat.head.sequence <= ackedSequence else { continue }
        usable[place] = max(usable[place], beat.promise)
        used += 1
      }
      if used > 0 { waiting[place].removeFirst(used) }
      lowestFinal = min(lowestFinal, usable[place])
      lowestComplete = min(lowestComplete, complete)
    }
    self.complete = max(self.complete, lowestComplete)
    guard lowestFinal > final else { return false }
    final = lowestFinal
    return true
  }
}
