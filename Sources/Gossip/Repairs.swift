import EventLog
import Primitives

/// Finds out what is missing here and whom to ask for it: one request an origin at a time, bounded, from a random peer
/// that has it.
struct Repairs: Sendable {
  /// A gap is left this long to the pushes that are under way.
  static let graceMicroseconds: UInt64 = 20_000
  /// What somebody offered is left this long to a copy that may be on its way from somebody else.
  static let offerGraceMicroseconds: UInt64 = 3_000
  /// A request that brings nothing for this long is given to another peer.
  static let patienceMicroseconds: UInt64 = 300_000

  private struct Want: Sendable {
    /// Highest sequence known to exist.
    var known: UInt64 = 0
    var missingSince: UInt64?
    var askedPeer: PeerIndex?
    var askedFrom: UInt64 = 0
    var askedThrough: UInt64 = 0
    var deadline: UInt64 = 0
    /// Somebody offered it: little grace.
    var isOffered = false
    /// The last answer was cut at its limit: go on at once.
    var goesOn = false
    var heldWhenAsked: UInt64 = 0
    /// Who was asked last and brought nothing in time: its link may be dead one way.
    var avoided: PeerIndex?
    /// It is in `open`.
    var isOpen = false
    /// Where the log ends for ever; what is beyond is void.
    var cut = UInt64.max
  }

  private var wants: [Want] = []
  /// Places of wants that may have to be looked at, ascending.
  private var open: [Int] = []

  private mutating func reserve(_ origin: OriginIndex) {
    while wants.count <= origin.int { wants.append(Want()) }
  }

  mutating func learn(_ origin: OriginIndex, exists sequence: UInt64, offered: Bool = false) {
    reserve(origin)
    wants[origin.int].known = max(wants[origin.int].known, min(sequence, wants[origin.int].cut))
    if offered { wants[origin.int].isOffered = true }
    guard !wants[origin.int].isOpen else { return }
    wants[origin.int].isOpen = true
    open.insert(origin.int, at: open.firstIndex { $0 > origin.int } ?? open.count)
  }

  /// An origin's log ends at `sequence`, whatever anybody says.
  mutating func cut(_ origin: OriginIndex, at sequence: UInt64) {
    reserve(origin)
    wants[origin.int].cut = sequence
    wants[origin.int].known = min(wants[origin.int].known, sequence)
  }

  /// What a peer was asked for and has not finished answering.
  func asked(_ origin: OriginIndex, of peer: PeerIndex) -> ClosedRange<UInt64>? {
    guard origin.int < wants.count, wants[origin.int].askedPeer == peer else { return nil }
    let from = wants[origin.int].askedFrom
    return from...max(from, wants[origin.int].askedThrough)
  }

  /// The peer has answered all that it will of the last request.
  mutating func served(_ origin: OriginIndex, by peer: PeerIndex) {
    reserve(origin)
    if wants[origin.int].askedPeer == peer {
      wants[origin.int].askedPeer = nil
      wants[origin.int].goesOn = wants[origin.int].isOpen
    }
  }

  mutating func disconnected(_ peer: PeerIndex) {
    for index in wants.indices where wants[index].askedPeer == peer { wants[index].askedPeer = nil }
  }

  var highestKnown: VersionVector { VersionVector(wants.map(\.known)) }

  /// What to ask now.
  /// - Parameters:
  ///   - held: contiguous sequence held of an origin.
  ///   - holders: connected peers that hold more than that of an origin, ascending.
  mutating func due(
    nowMicroseconds now: UInt64, held: (OriginIndex) -> UInt64, holders: (OriginIndex, UInt64) -> [PeerIndex],
    _ generator: inout SeededGenerator
  ) -> [(peer: PeerIndex, range: LogRange)] {
    var requests: [(PeerIndex, LogRange)] = []
    var closed = 0
    for index in open {
      let origin = OriginIndex(UInt32(index))
      let have = held(origin)
      guard wants[index].known > have else {
        wants[index].missingSince = nil
        wants[index].askedPeer = nil
        wants[index].isOffered = false
        wants[index].goesOn = false
        wants[index].isOpen = false
        closed += 1
        continue
      }
      if wants[index].askedPeer != nil {
        if have > wants[index].heldWhenAsked {
          wants[index].heldWhenAsked = have
          wants[index].deadline = now + Self.patienceMicroseconds
        }
        if have < wants[index].askedThrough && now < wants[index].deadline { continue }
        wants[index].avoided = have < wants[index].askedThrough ? wants[index].askedPeer : nil
        wants[index].askedPeer = nil
      }
      let since = wants[index].missingSince ?? now
      wants[index].missingSince = since
      let grace = wants[index].isOffered ? Self.offerGraceMicroseconds : Self.graceMicroseconds
      guard wants[index].goesOn || now >= since + grace else { continue }
      var candidates = holders(origin, have)
      if candidates.count > 1, let avoided = wants[index].avoided { candidates.removeAll { $0 == avoided } }
      guard !candidates.isEmpty else {
        // Nobody who is there has it, or somebody said so and could not show it. Whoever comes will say it again.
        wants[index].known = have
        continue
      }
      let peer = candidates[Int(generator.below(UInt64(candidates.count)))]
      wants[index].askedPeer = peer
      wants[index].askedFrom = have + 1
      wants[index].askedThrough = wants[index].known
      wants[index].heldWhenAsked = have
      wants[index].deadline = now + Self.patienceMicroseconds
      wants[index].isOffered = false
      wants[index].goesOn = false
      requests.append((peer, LogRange(origin: origin, from: have + 1, through: wants[index].known)))
    }
    if closed > 0 { open.removeAll { !wants[$0].isOpen } }
    return requests
  }
}
