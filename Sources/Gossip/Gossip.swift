import EventLog
import Membership
import Primitives

/// How a node gossips.
public struct GossipConfiguration: Hashable, Sendable {
  /// Peers that a new batch is offered to. Where it covers the cluster, the author pushes to everybody.
  public var fanout = 3
  /// Digest with one random peer.
  public var roundMicroseconds: UInt64 = 100_000
  /// Heartbeat while entries wait to become final.
  public var heartbeatMicroseconds: UInt64 = 10_000
  /// Heartbeat while nothing happens.
  public var idleHeartbeatMicroseconds: UInt64 = 200_000
  /// None, but in tests of the simulator.
  package var defects: Defects = []
  public init() {}
}

/// What gossip wants done.
public enum GossipAction: Equatable, Sendable {
  case send(to: PeerIndex, PeerMessage)
  /// Answer a request from the log.
  case serve(to: PeerIndex, LogRange)
  case dial(String)
}

/// Dissemination: who gets which batch, who is asked for what is missing, and what each peer is known to hold.
///
/// Push to a random subset, passing on what is new; where the subset is smaller than the cluster, the payload goes
/// eagerly to one peer and is announced to the others, who ask for it if they lack it. What pushes miss, acks show and
/// requests repair; a digest a round finds what both miss. Nothing is sent to a peer that is known to hold it.
///
/// Sources: Demers et al., "Epidemic Algorithms", 1987; Leitão et al., "Epidemic Broadcast Trees", 2007; DESIGN 5.
public struct Gossip: Sendable {
  /// The member that this node is; nil if it only follows.
  public private(set) var me: OriginIndex?
  public let configuration: GossipConfiguration
  public private(set) var view: View
  public internal(set) var frontier: Frontier
  /// How many origins the register has.
  private var origins: Int
  var peers: [PeerState] = []
  var relay: Relay
  private var repairs = Repairs()
  var generator: SeededGenerator
  private var nextRoundMicroseconds: UInt64 = 0

  public init(me: OriginIndex?, view: View, origins: Int, configuration: GossipConfiguration, seed: UInt64) {
    self.me = me
    self.view = view
    self.origins = origins
    self.configuration = configuration
    frontier = Frontier(view: view, final: .zero, defects: configuration.defects)
    relay = Relay(view: view)
    generator = SeededGenerator(seed: seed)
  }

  // MARK: Views

  /// Another view: what was said in the last one counts no more, and everything is told anew.
  /// - Parameter isMember: whether a peer is a member of it.
  public mutating func enter(_ view: View, me: OriginIndex?, isMember: (PeerIndex) -> Bool) {
    self.view = view
    self.me = me
    frontier = Frontier(view: view, final: frontier.final, defects: configuration.defects)
    relay = Relay(view: view, before: relay.members)
    for index in peers.indices {
      peers[index].toldWords.removeAll()
      peers[index].isMember = isMember(PeerIndex(UInt32(index)))
      peers[index].told = VersionVector()
      peers[index].toldPromise = .zero
    }
  }

  /// More origins are known.
  public mutating func grow(origins count: Int) { origins = max(origins, count) }

  /// An origin's log ends at `sequence` for ever.
  public mutating func cut(_ origin: OriginIndex, at sequence: UInt64) {
    repairs.cut(origin, at: sequence)
    for index in peers.indices {
      if peers[index].acked[origin] > sequence { peers[index].acked[origin] = sequence }
      if peers[index].sent[origin] > sequence { peers[index].sent[origin] = sequence }
      if peers[index].told[origin] > sequence { peers[index].told[origin] = sequence }
    }
  }

  // MARK: Links

  public var connectedPeers: [PeerIndex] {
    peers.indices.filter { peers[$0].isConnected }.map { PeerIndex(UInt32($0)) }
  }

  public var connectedMembers: Int { peers.count { $0.isConnected && $0.isMember } }

  public func isConnected(_ peer: PeerIndex) -> Bool { peer.int < peers.count && peers[peer.int].isConnected }

  public mutating func linkUp(_ peer: PeerIndex, isMember: Bool) {
    while peers.count <= peer.int { peers.append(PeerState()) }
    if !peers[peer.int].isForgotten { peers[peer.int].connect(isMember: isMember) }
  }

  public mutating func linkDown(_ peer: PeerIndex) {
    guard peer.int < peers.count else { return }
    peers[peer.int].isConnected = false
    peers[peer.int].isForgotten = configuration.defects.contains(.forgetsPeer)
    repairs.disconnected(peer)
    relay.disconnected(peer)
  }

  public mutating func linkWritable(_ peer: PeerIndex, _ isWritable: Bool) {
    guard peer.int < peers.count else { return }
    peers[peer.int].isWritable = isWritable
  }

  // MARK: Push

  /// Whether the author of a batch reaches all members by itself.
  public var authorReachesAll: Bool { view.members.count - 1 <= configuration.fanout }

  /// Offers a batch that is new here.
  /// - Parameter source: who sent it; nil for an own batch.
  public mutating func offer(_ batch: Batch, from source: PeerIndex?, _ actions: inout [GossipAction]) {
    repairs.learn(batch.origin, exists: batch.lastSequence)
    if let source {
      peers[source.int].sent[batch.origin] = max(peers[source.int].sent[batch.origin], batch.lastSequence)
    }
    let message = PeerMessage.batch(batch.sealed)
    if authorReachesAll {
      // Its author pushes to every member; who only follows gets it from all that it is linked to, at most once each.
      for index in peers.indices where source == nil || !peers[index].isMember || mustPassOn(batch.origin, to: index) {
        push(batch, message, to: PeerIndex(UInt32(index)), &actions)
      }
      return
    }
    var candidates = connectedPeers.filter {
      $0 != source && !peers[$0.int].isKnownToHold(batch.origin, batch.lastSequence)
    }
    let heads = [LogRange(origin: batch.origin, from: batch.firstSequence, through: batch.lastSequence)]
    for turn in 0..<min(configuration.fanout, candidates.count) {
      let peer = candidates.remove(at: Int(generator.below(UInt64(candidates.count))))
      if turn == 0 {
        push(batch, message, to: peer, &actions)
      } else {
        actions.append(.send(to: peer, .announce(heads)))
      }
    }
  }

  private mutating func push(
    _ batch: Batch, _ message: PeerMessage, to peer: PeerIndex, _ actions: inout [GossipAction]
  ) {
    let state = peers[peer.int]
    guard state.isConnected, state.isWritable, !state.isKnownToHold(batch.origin, batch.lastSequence) else { return }
    // A gap before it means that the peer could not use it yet; it asks for the whole range.
    if state.reach(batch.origin) + 1 >= batch.firstSequence {
      peers[peer.int].sent[batch.origin] = batch.lastSequence
    }
    actions.append(.send(to: peer, message))
  }

  // MARK: What others say

  /// - Parameter origin: the member that the peer is; nil if it is none.
  public mutating func receive(
    _ heartbeat: Heartbeat, from peer: PeerIndex, origin: OriginIndex?, nowMicroseconds now: UInt64
  ) {
    noteView(heartbeat.view, of: peer)
    if let origin { relay.heard(origin, nowMicroseconds: now) }
    peers[peer.int].heardMicroseconds = now
    peers[peer.int].speaker = origin
    peers[peer.int].wants = heartbeat.unheard
    peers[peer.int].wantsWord = heartbeat.wantsWord
    let counts = heartbeat.view == view.number || configuration.defects.contains(.untaggedBeats)
    if let beat = heartbeat.beat, let origin, counts {
      frontier.receive(beat, from: origin)
      repairs.learn(origin, exists: beat.head.sequence)
    }
    for ack in heartbeat.acks where ack.origin.int < origins {
      if ack.head.sequence > peers[peer.int].acked[ack.origin] {
        peers[peer.int].acked[ack.origin] = ack.head.sequence
      }
      if let origin, counts { frontier.receive(ack, from: origin) }
      repairs.learn(ack.origin, exists: ack.head.sequence)
    }
  }

  /// Who enters a view after this node did not count what it was told of it before: it is told again.
  private mutating func noteView(_ number: UInt64, of peer: PeerIndex) {
    if let before = peers[peer.int].heardView, before >= number { return }
    peers[peer.int].heardView = number
    guard number == view.number else { return }
    peers[peer.int].told = VersionVector()
    peers[peer.int].toldPromise = .zero
  }

  public mutating func receiveAnnounce(_ heads: [LogRange], from peer: PeerIndex) {
    for head in heads where head.origin.int < origins {
      peers[peer.int].sent[head.origin] = max(peers[peer.int].sent[head.origin], head.through)
      repairs.learn(head.origin, exists: head.through, offered: true)
    }
  }

  public mutating func receiveVector(_ vector: VersionVector, from peer: PeerIndex) {
    for index in 0..<min(vector.sequences.count, origins) {
      let origin = OriginIndex(UInt32(index))
      peers[peer.int].sent[origin] = max(peers[peer.int].sent[origin], vector[origin])
      repairs.learn(origin, exists: vector[origin])
    }
  }

  /// A request: what it covers is on its way and need not be pushed as well.
  public mutating func receiveRequest(
    _ range: LogRange, from peer: PeerIndex, held: UInt64, _ actions: inout [GossipAction]
  ) {
    guard range.from <= held else {
      actions.append(.send(to: peer, .served(origin: range.origin, through: held)))
      return
    }
    let through = min(range.through, held)
    actions.append(.serve(to: peer, LogRange(origin: range.origin, from: range.from, through: through)))
  }

  /// The answer to a request has ended: what the peer did not show it does not have, whatever it said before.
  public mutating func receiveServed(_ origin: OriginIndex, through: UInt64, from peer: PeerIndex) {
    peers[peer.int].shown(origin, through: through, asked: repairs.asked(origin, of: peer))
    repairs.served(origin, by: peer)
  }

  /// An ack of this node itself, once it is on disk.
  public mutating func acknowledge(_ ack: Ack) { if let me { frontier.receive(ack, from: me) } }

  /// A promise of this node itself.
  public mutating func promise(_ beat: Beat) { if let me { frontier.receive(beat, from: me) } }

  /// Somebody holds that much of an origin's log.
  public mutating func learn(_ origin: OriginIndex, exists sequence: UInt64, offered: Bool = false) {
    repairs.learn(origin, exists: sequence, offered: offered)
  }

  // MARK: Timers

  /// Requests for what is missing and due.
  public mutating func repair(
    nowMicroseconds now: UInt64, held: (OriginIndex) -> UInt64, _ actions: inout [GossipAction]
  ) {
    let table = peers
    let requests = repairs.due(
      nowMicroseconds: now, held: held,
      holders: { origin, have in
        let holders = table.indices.filter { table[$0].isConnected && table[$0].reach(origin) > have }
        return Self.ofThoseHeard(holders, table, nowMicroseconds: now)
      }, &generator)
    for request in requests { actions.append(.send(to: request.peer, .request(request.range))) }
  }

  /// Who has fallen silent may be dead, although its link is there still: others first.
  private static func ofThoseHeard(
    _ places: [Int], _ table: [PeerState], nowMicroseconds now: UInt64
  ) -> [PeerIndex] {
    let heard = places.filter { now < table[$0].heardMicroseconds + Relay.idleSilenceMicroseconds }
    return (heard.isEmpty ? places : heard).map { PeerIndex(UInt32($0)) }
  }

  /// The peer to exchange a digest with, if a round is due.
  /// - Parameter isUrgent: something is missing and nobody is known to have it; somebody may say so in answer.
  public mutating func roundPeer(nowMicroseconds now: UInt64, isUrgent: Bool = false) -> PeerIndex? {
    guard isUrgent || now >= nextRoundMicroseconds else { return nil }
    nextRoundMicroseconds = now + configuration.roundMicroseconds
    let connected = Self.ofThoseHeard(peers.indices.filter { peers[$0].isConnected }, peers, nowMicroseconds: now)
    guard !connected.isEmpty else { return nil }
    return connected[Int(generator.below(UInt64(connected.count)))]
  }

  /// Heartbeats for everybody: the beat, and of the acks what the peer has not been told.
  /// - Parameters:
  ///   - durable: what is on disk here of each origin that may still grow, ascending.
  ///   - force: false sends only to peers whose last heartbeat is old enough or whose acks changed.
  ///   - isIdle: nothing waits to become final; the slower interval will do.
  ///   - wallMilliseconds: this node's own clock.
  public mutating func heartbeats(
    beat: Beat?, durable: [(origin: OriginIndex, head: Head)], force: Bool, isIdle: Bool, wallMilliseconds: UInt64,
    nowMicroseconds now: UInt64, _ actions: inout [GossipAction]
  ) {
    let wanted = wantedWords
    let interval = isIdle ? configuration.idleHeartbeatMicroseconds : configuration.heartbeatMicroseconds
    for index in peers.indices where peers[index].isConnected {
      // The last promise before a node falls silent makes others final: it does not wait for the slow interval.
      let isNews = (beat?.promise ?? .zero) > peers[index].toldPromise
      let isDue =
        now >= peers[index].lastHeartbeatMicroseconds + (isNews ? configuration.heartbeatMicroseconds : interval)
      // A message may be lost without the connection: now and then everything is told again.
      if isDue, now >= peers[index].lastFullMicroseconds + fullAcksMicroseconds {
        peers[index].lastFullMicroseconds = now
        peers[index].told = VersionVector()
      }
      var acks: [Ack] = []
      for (place, head) in durable {
        if head.sequence > peers[index].told[place] {
          acks.append(Ack(origin: place, head: head))
          peers[index].told[place] = head.sequence
        }
      }
      let asks = asks(of: index, wanted: wanted)
      let asksAnew = asks.unheard != peers[index].toldUnheard || asks.wantsWord != peers[index].toldWantsWord
      guard force || isDue || !acks.isEmpty || asksAnew else { continue }
      peers[index].toldUnheard = asks.unheard
      peers[index].toldWantsWord = asks.wantsWord
      peers[index].lastHeartbeatMicroseconds = now
      if let beat { peers[index].toldPromise = beat.promise }
      let heartbeat = Heartbeat(
        view: view.number, speaker: me, beat: beat, acks: acks, wallMilliseconds: wallMilliseconds,
        unheard: asks.unheard, wantsWord: asks.wantsWord)
      actions.append(.send(to: PeerIndex(UInt32(index)), .heartbeat(heartbeat)))
    }
  }

  /// How often all acks are told again: seldom enough to cost a large cluster nothing to speak of.
  private var fullAcksMicroseconds: UInt64 { max(500_000, 50_000 * UInt64(peers.count)) }

  /// Recomputes the final frontier; true if it moved.
  public mutating func updateFrontier(held: (OriginIndex) -> UInt64) -> Bool { frontier.update(held: held) }

  /// What is known to exist but not held here.
  public func missing(held: (OriginIndex) -> UInt64) -> UInt64 {
    var count: UInt64 = 0
    for (index, known) in repairs.highestKnown.sequences.enumerated() {
      let have = held(OriginIndex(UInt32(index)))
      if known > have { count = count.addingReportingOverflow(known - have).overflow ? .max : count + (known - have) }
    }
    return count
  }

  public func acked(by peer: PeerIndex) -> VersionVector {
    peer.int < peers.count ? peers[peer.int].acked : VersionVector()
  }
}
