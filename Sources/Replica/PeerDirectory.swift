import EventLog
import Gossip
import Membership
import Primitives

/// Which node is at the other end of each link, and as whom it speaks.
struct PeerDirectory: Sendable {
  private struct Peer: Sendable {
    var key: PublicKey
    /// The newest origin of that node.
    var origin: OriginIndex?
    /// As whom it said that it speaks; nil as long as it said so of nobody, or of somebody it is not.
    var speaker: OriginIndex?
    /// When something was last said to it of views.
    var viewNoteMicroseconds: UInt64?
    /// Something came from it during this turn.
    var isHeard = false
  }

  /// By peer index; nil for one that is not linked.
  private var peers: [Peer?] = []

  private func peer(_ index: PeerIndex) -> Peer? { index.int < peers.count ? peers[index.int] : nil }

  mutating func linkUp(_ index: PeerIndex, key: PublicKey, _ register: Register) {
    while peers.count <= index.int { peers.append(nil) }
    peers[index.int] = Peer(key: key, origin: register.index(of: key))
  }

  mutating func linkDown(_ index: PeerIndex) {
    if index.int < peers.count { peers[index.int] = nil }
  }

  /// More origins are known.
  mutating func refresh(_ register: Register) {
    for index in peers.indices {
      guard let key = peers[index]?.key else { continue }
      peers[index]?.origin = register.index(of: key)
    }
  }

  func isLinked(_ index: PeerIndex) -> Bool { peer(index) != nil }
  func key(of index: PeerIndex) -> PublicKey? { peer(index)?.key }
  /// The newest origin of the node at the other end.
  func origin(of index: PeerIndex) -> OriginIndex? { peer(index)?.origin }
  /// The origin as which it speaks.
  func speaker(of index: PeerIndex) -> OriginIndex? { peer(index)?.speaker }

  /// - Complexity: O(peers).
  func peer(with key: PublicKey) -> PeerIndex? {
    peers.firstIndex { $0?.key == key }.map { PeerIndex(UInt32($0)) }
  }

  /// Origins at the other ends, in the order of their links.
  var origins: [OriginIndex] { peers.compactMap { $0?.origin } }

  /// - Parameter origin: as whom it says that it speaks.
  /// - Returns: the same, if it is that origin's node.
  mutating func hear(_ index: PeerIndex, speaksAs origin: OriginIndex?, _ register: Register) -> OriginIndex? {
    guard let peer = peer(index) else { return nil }
    let speaker = origin.flatMap { register[$0]?.publicKey == peer.key ? $0 : nil }
    peers[index.int]?.speaker = speaker
    return speaker
  }

  /// Whether something may be said to it of views again; then it counts as said.
  mutating func mayNoteView(_ index: PeerIndex, nowMicroseconds now: UInt64, pause: UInt64) -> Bool {
    guard let peer = peer(index) else { return false }
    if let last = peer.viewNoteMicroseconds, now < last + pause { return false }
    peers[index.int]?.viewNoteMicroseconds = now
    return true
  }

  /// Something came from a peer.
  /// - Returns: as whom it speaks, the first time in a turn.
  mutating func markHeard(_ index: PeerIndex) -> OriginIndex? {
    guard let peer = peer(index), !peer.isHeard, let speaker = peer.speaker else { return nil }
    peers[index.int]?.isHeard = true
    return speaker
  }

  mutating func endTurn() {
    for index in peers.indices where peers[index]?.isHeard == true { peers[index]?.isHeard = false }
  }
}
