import EventLog
import Primitives

/// Names a node that this node is linked to: a member, or one that only follows. Given out by whoever keeps the links,
/// in no order that matters; free again once the link is down.
public struct PeerIndex: Hashable, Comparable, Sendable, CustomStringConvertible {
  public let value: UInt32
  public init(_ value: UInt32) { self.value = value }
  public var int: Int { Int(value) }
  public var description: String { String(value) }
  public static func < (left: PeerIndex, right: PeerIndex) -> Bool { left.value < right.value }
}

/// What is known of one other node.
struct PeerState: Sendable {
  var isConnected = false
  /// It is a member of the present view. Others are given what members are, but nothing is expected of them.
  var isMember = false
  /// It was down once, and `Defects.forgetsPeer`.
  var isForgotten = false
  /// False while its queue of unsent bytes is over the limit: nothing is pushed to it then, it asks later.
  var isWritable = true
  /// On its disk, as it said.
  var acked = VersionVector()
  /// Handed to the present connection; with `acked`, what need not be sent again.
  var sent = VersionVector()
  /// Our acks that this connection has been told.
  var told = VersionVector()
  /// Our newest promise that it has been told.
  var toldPromise = Stamp.zero
  var lastHeartbeatMicroseconds: UInt64 = 0
  /// The newest view of which it has sent a heartbeat over this connection.
  var heardView: UInt64?
  /// When it was told all acks last.
  var lastFullMicroseconds: UInt64 = 0
  /// When it sent a heartbeat last.
  var heardMicroseconds: UInt64 = 0
  /// The member as which it speaks.
  var speaker: OriginIndex?
  /// Whom it does not hear, and asks this node for; whether it asks for this node's own word.
  var wants: [OriginIndex] = []
  var wantsWord = false
  /// What of the kind it was asked for last.
  var toldUnheard: [OriginIndex] = []
  var toldWantsWord = false
  /// Words that it was told, each member's newest.
  var toldWords: [ToldWord] = []

  /// A new connection: TCP may have lost what the last one was given.
  mutating func connect(isMember: Bool) {
    isConnected = true
    self.isMember = isMember
    acked = VersionVector()
    isWritable = true
    sent = VersionVector()
    told = VersionVector()
    toldPromise = .zero
    heardView = nil
    lastHeartbeatMicroseconds = 0
    lastFullMicroseconds = 0
    heardMicroseconds = 0
    speaker = nil
    wants = []
    wantsWord = false
    toldUnheard = []
    toldWantsWord = false
    toldWords = []
  }

  /// It was asked for `asked` and gave entries through `through`: less than nothing new means that it has no more.
  mutating func shown(_ origin: OriginIndex, through: UInt64, asked: ClosedRange<UInt64>?) {
    guard let asked, through < asked.lowerBound else { return }
    if acked[origin] > through { acked[origin] = through }
    if sent[origin] > through { sent[origin] = through }
  }

  func isKnownToHold(_ origin: OriginIndex, _ sequence: UInt64) -> Bool {
    acked[origin] >= sequence || sent[origin] >= sequence
  }

  func reach(_ origin: OriginIndex) -> UInt64 { max(acked[origin], sent[origin]) }
}
