import EventLog
import Membership
import Primitives

/// Computes how far the log is final, from the beats and acks of a view's members.
///
/// ```
/// FINAL(t)  when for every member o: a beat of o with promise ≥ t is known, the prefix that it covers is held here,
///           and a majority of the view has acked that prefix
/// ```
/// Beats and acks count only in the view in which they were said: each view has a frontier of its own.
/// Source: DESIGN 4.
public struct Frontier: Sendable {
  private let view: View
  private let defects: Defects
  /// Beats of each member (by its place in `view.members`) that are not usable yet, oldest first, bounded; and the
  /// newest one that was.
  private var waiting: [[Beat]]
  private var usable: [Stamp]
  private var newestPromise: [Stamp]
  /// acked[member][origin]: what that member has on its disk.
  private var acked: [VersionVector]
  /// Of each origin, what more than half of the members have on disk.
  private var majority = VersionVector()
  /// Something was received, or more is held, since the last update.
  private var isDirty = true
  private var heldBefore: UInt64 = 0
  public private(set) var final: Stamp

  /// Beats kept a member; beyond it the middle ones give way to the newest, which only delays finality.
  package static let waitingBeatsMax = 64

  /// The largest number of beats that wait of one member.
  package var waitingBeats: Int { waiting.reduce(0) { max($0, $1.count) } }

  /// - Parameter final: how far it was final before this view.
  public init(view: View, final: Stamp = .zero) { self.init(view: view, final: final, defects: []) }

  package init(view: View, final: Stamp, defects: Defects) {
    self.view = view
    self.defects = defects
    self.final = final
    complete = final
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
  public private(set) var complete: Stamp

  public mutating func receive(_ beat: Beat, from member: OriginIndex) {
    guard let place = place(member), beat.promise > newestPromise[place] else { return }
    newestPromise[place] = beat.promise
    isDirty = true
    if waiting[place].count >= Self.waitingBeatsMax { waiting[place].remove(at: Self.waitingBeatsMax / 2) }
    waiting[place].append(beat)
  }

  public mutating func receive(_ ack: Ack, from member: OriginIndex) {
    guard let place = place(member) else { return }
    let before = acked[place][ack.origin]
    guard ack.head.sequence > before else { return }
    acked[place][ack.origin] = ack.head.sequence
    // Else as many as before have at least that much.
    let common = majority[ack.origin]
    guard before <= common, ack.head.sequence > common else { return }
    var sequences: [UInt64] = []
    sequences.reserveCapacity(acked.count)
    for vector in acked { sequences.append(vector[ack.origin]) }
    sequences.sort(by: >)
    majority[ack.origin] = sequences[view.majority - 1]
    isDirty = true
  }

  /// Sequence of `origin` that more than half of the members have on disk.
  public func majorityAcked(_ origin: OriginIndex) -> UInt64 { majority[origin] }

  /// Recomputes the frontiers.
  /// - Parameter held: contiguous sequence held here of an origin; it never shrinks.
  /// - Returns: true if `final` moved.
  /// - Complexity: O(members + beats that wait).
  public mutating func update(held: (OriginIndex) -> UInt64) -> Bool {
    let heldNow = view.members.reduce(0) { $0 &+ held($1) }
    guard isDirty || heldNow != heldBefore else { return false }
    isDirty = false
    heldBefore = heldNow
    var lowestFinal = Stamp(UInt64.max)
    var lowestComplete = Stamp(UInt64.max)
    for (place, member) in view.members.enumerated() {
      let heldSequence = held(member)
      let ackedSequence = majorityAcked(member)
      var complete = usable[place]
      var used = 0
      for beat in waiting[place] {
        guard beat.head.sequence <= heldSequence || defects.contains(.beatBeforePrefix) else { break }
        complete = max(complete, beat.promise)
        guard beat.head.sequence <= ackedSequence || defects.contains(.finalByPromisesAlone) else { continue }
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
