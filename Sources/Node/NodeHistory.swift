import Client
import Glibc
import Membership
import NIOCore
import Primitives
import Replica

/// When this node has seen what, by its own clock: whoever measures need not ask often to know it exactly.
struct NodeHistory {
  /// Of what happened, the newest are kept.
  static let eventsMax = 96
  static let pausesMax = 64
  /// Shorter ones are no pauses.
  static let pauseMicrosecondsMin: UInt64 = 20_000

  private(set) var events: [NodeEvent] = []
  private(set) var pauses: [FinalityPause] = []
  private(set) var viewEnteredAt: UInt64
  private var view: UInt64
  private var members: [OriginIndex]
  private var me: OriginIndex?

  // Finality
  private var final = Stamp.zero
  private var waitingSince: NIODeadline?

  /// - Parameters:
  ///   - view: the one that was entered last, with its members.
  ///   - me: the member that this node is.
  init(view: UInt64, members: [OriginIndex], me: OriginIndex?) {
    self.view = view
    self.members = members
    self.me = me
    viewEnteredAt = Self.now()
  }

  /// Microseconds since 1970.
  static func now() -> UInt64 {
    var wall = timespec()
    clock_gettime(CLOCK_REALTIME, &wall)
    return UInt64(wall.tv_sec) * 1_000_000 + UInt64(wall.tv_nsec) / 1_000
  }

  mutating func note(_ notice: Notice) {
    switch notice {
    case .suspected(let member): add(.suspected, member)
    case .heardAgain(let member): add(.heardAgain, member)
    case .gaveUp(let member, _): add(.gaveUp, member)
    case .wedged: add(.wedged, nil)
    case .sealed(let origin): add(.sealed, origin)
    case .entered(let entered, let now): enter(entered, now)
    default: break
    }
  }

  private mutating func enter(_ entered: View, _ now: OriginIndex?) {
    let before = members
    view = entered.number
    members = entered.members
    viewEnteredAt = Self.now()
    add(.entered, nil)
    for member in before where !members.contains(member) { add(.removed, member) }
    for member in members where !before.contains(member) { add(.added, member) }
    if let now, now != me { add(.joined, now) }
    me = now
  }

  private mutating func add(_ kind: NodeEvent.Kind, _ origin: OriginIndex?) {
    if events.count == Self.eventsMax { events.removeFirst() }
    events.append(NodeEvent(kind: kind, origin: origin?.value, view: view, at: Self.now()))
  }

  /// Whether a view that has just been decided makes a member of this node, which was none.
  func isAdmitted(by notice: Notice) -> Bool {
    if case .entered(_, .some) = notice { return me == nil }
    return false
  }

  /// A turn has ended.
  /// - Parameters:
  ///   - final: the final frontier.
  ///   - isWaiting: whether anything waits to become final.
  mutating func endTurn(final newest: Stamp, isWaiting: Bool) {
    let now = NIODeadline.now()
    if let since = waitingSince, newest != final || !isWaiting {
      let microseconds = UInt64((now - since).nanoseconds / 1_000)
      if microseconds >= Self.pauseMicrosecondsMin {
        if pauses.count == Self.pausesMax { pauses.removeFirst() }
        pauses.append(FinalityPause(from: Self.now() - microseconds, microseconds: microseconds))
      }
      waitingSince = nil
    }
    final = newest
    if isWaiting, waitingSince == nil { waitingSince = now }
  }
}
