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
  case send(to: OriginIndex, PeerMessage)
  /// Answer a request from the log.
  case serve(to: OriginIndex, LogRange)
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
  public let me: OriginIndex
  public let configuration: GossipConfiguration
  public private(set) var view: View
  public private(set) var frontier: Frontier
  private var peers: [PeerState]
  private var repairs = Repairs()
  private var generator: SeededGenerator
  private var nextRoundMicroseconds: UInt64 = 0

  public init(me: OriginIndex, view: View, origins: Int, configuration: GossipConfiguration, seed: UInt64) {
    self.me = me
    self.view = view
    self.configuration = configuration
    frontier = Frontier(view: view)
    peers = Array(repeating: PeerState(), count: origins)
    generator = SeededGenerator(seed: seed)
  }

  // MARK: Links

  public var connectedPeers: [OriginIndex] {
    peers.indices.filter { peers[$0].isConnected }.map { OriginIndex(UInt32($0)) }
  }

  public var connectedCount: Int { peers.count { $0.isConnected } }

  public func isConnected(_ peer: OriginIndex) -> Bool { peers[peer.int].isConnected }

  public mutating func linkUp(_ peer: OriginIndex) {
    if !peers[peer.int].isForgotten { peers[peer.int].connect() }
  }

  public mutating func linkDown(_ peer: OriginIndex) {
    peers[peer.int].isConnected = false
    peers[peer.int].isForgotten = configuration.defects.contains(.forgetsPeer)
    repairs.disconnected(peer)
  }

  public mutating func linkWritable(_ peer: OriginIndex, _ isWritable: Bool) {
    peers[peer.int].isWritable = isWritable
  }

  // MARK: Push

  /// Whether the author of a batch reaches everybody by itself.
  public var authorReachesAll: Bool { view.members.count - 1 <= configuration.fanout }

  /// Offers a batch that is new here.
  /// - Parameter source: who sent it; nil for an own batch.
  public mutating func offer(_ batch: Batch, from source: OriginIndex?, _ actions: inout [GossipAction]) {
    repairs.learn(batch.origin, exists: batch.lastSequence)
    if let source {
      peers[source.int].sent[batch.origin] = max(peers[source.int].sent[batch.origin], batch.lastSequence)
    }
    let message = PeerMessage.batch(batch.sealed)
    if authorReachesAll {
      guard source == nil else { return }
      for member in view.members where member != me { push(batch, message, to: member, &actions) }
      return
    }
    var candidates = view.members.filter {
      $0 != me && $0 != source && $0 != batch.origin && peers[$0.int].isConnected
        && !peers[$0.int].isKnownToHold(batch.origin, batch.lastSequence)
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
    _ batch: Batch, _ message: PeerMessage, to peer: OriginIndex, _ actions: inout [GossipAction]
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

  public mutating func receive(_ heartbeat: Heartbeat, from peer: OriginIndex) {
    guard heartbeat.view == view.number else { return }
    if let beat = heartbeat.beat {
      frontier.receive(beat, from: peer)
      repairs.learn(peer, exists: beat.head.sequence)
    }
    for ack in heartbeat.acks where ack.origin.int < peers.count {
      if ack.head.sequence > peers[peer.int].acked[ack.origin] {
        peers[peer.int].acked[ack.origin] = ack.head.sequence
      }
      frontier.receive(ack, from: peer)
      repairs.learn(ack.origin, exists: ack.head.sequence)
    }
  }

  public mutating func receiveAnnounce(_ heads: [LogRange], from peer: OriginIndex) {
    for head in heads where head.origin.int < peers.count {
      peers[peer.int].sent[head.origin] = max(peers[peer.int].sent[head.origin], head.through)
      repairs.learn(head.origin, exists: head.through, offered: true)
    }
  }

  public mutating func receiveVector(_ vector: VersionVector, from peer: OriginIndex) {
    for index in 0..<min(vector.sequences.count, peers.count) {
      let origin = OriginIndex(UInt32(index))
      peers[peer.int].sent[origin] = max(peers[peer.int].sent[origin], vector[origin])
      repairs.learn(origin, exists: vector[origin])
    }
  }

  /// A request: what it covers is on its way and need not be pushed as well.
  public mutating func receiveRequest(
    _ range: LogRange, from peer: OriginIndex, held: UInt64, _ actions: inout [GossipAction]
  ) {
    guard range.from <= held else {
      actions.append(.send(to: peer, .served(origin: range.origin, through: held)))
      return
    }
    let through = min(range.through, held)
    actions.append(.serve(to: peer, LogRange(origin: range.origin, from: range.from, through: through)))
  }

  /// The answer to a request has ended: what the peer did not show it does not have, whatever it said before.
  public mutating func receiveServed(_ origin: OriginIndex, through: UInt64, from peer: OriginIndex) {
    peers[peer.int].shown(origin, through: through, asked: repairs.asked(origin, of: peer))
    repairs.served(origin, by: peer)
  }

  /// An ack of this node itself, once it is on disk.
  public mutating func acknowledge(_ ack: Ack) { frontier.receive(ack, from: me) }

  /// A promise of this node itself.
  public mutating func promise(_ beat: Beat) { frontier.receive(beat, from: me) }

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
        table.indices.filter { table[$0].isConnected && table[$0].reach(origin) > have }
          .map { OriginIndex(UInt32($0)) }
      }, &generator)
    for request in requests { actions.append(.send(to: request.peer, .request(request.range))) }
  }

  /// The peer to exchange a digest with, if a round is due.
  public mutating func roundPeer(nowMicroseconds now: UInt64) -> OriginIndex? {
    guard now >= nextRoundMicroseconds else { return nil }
    nextRoundMicroseconds = now + configuration.roundMicroseconds
    let connected = connectedPeers
    guard !connected.isEmpty else { return nil }
    return connected[Int(generator.below(UInt64(connected.count)))]
  }

  /// Heartbeats for everybody: the beat, and of the acks what the peer has not been told.
  /// - Parameters:
  ///   - force: false sends only to peers whose last heartbeat is old enough or whose acks changed.
  ///   - isIdle: nothing waits to become final; the slower interval will do.
  public mutating func heartbeats(
    beat: Beat?, durable: [Head], force: Bool, isIdle: Bool, nowMicroseconds now: UInt64,
    _ actions: inout [GossipAction]
  ) {
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
      for (origin, head) in durable.enumerated() {
        let place = OriginIndex(UInt32(origin))
        if head.sequence > peers[index].told[place] {
          acks.append(Ack(origin: place, head: head))
          peers[index].told[place] = head.sequence
        }
      }
      guard force || isDue || !acks.isEmpty else { continue }
      peers[index].lastHeartbeatMicroseconds = now
      if let beat { peers[index].toldPromise = beat.promise }
      let heartbeat = Heartbeat(view: view.number, beat: beat, acks: acks)
      actions.append(.send(to: OriginIndex(UInt32(index)), .heartbeat(heartbeat)))
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

  public func acked(by peer: OriginIndex) -> VersionVector { peers[peer.int].acked }
}
