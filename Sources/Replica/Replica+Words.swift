import EventLog
import Gossip
import Membership
import Primitives

/// Words of members that are not heard over their own links: signed beats and acks, passed on by others.
extension Replica {
  /// Looks whose link has fallen silent: others are asked for its word.
  mutating func lookForSilence(_ now: LogicalTime, _ effects: inout [Effect]) {
    var actions: [GossipAction] = []
    gossip.lookForSilence(
      nowMicroseconds: now.monotonicMicroseconds, isBusy: sequencer.tentative > 0, &actions)
    emit(actions, after: 0, &effects)
  }

  /// Signs what a heartbeat says, for those who do not hear it. Never while all is well.
  mutating func tellWord(
    beat: Beat?, durable: [(origin: OriginIndex, head: Head)], _ now: LogicalTime, _ actions: inout [GossipAction]
  ) {
    gossip.tellWord(
      beat: beat, durable: durable, wallMilliseconds: ownWallMilliseconds,
      nowMicroseconds: now.monotonicMicroseconds, &actions
    ) { [signatures, cluster = configuration.cluster] heartbeat in
      signatures.sign(SignedHeartbeat.signedBytes(heartbeat, cluster: cluster))
    }
  }

  /// Somebody passes on a member's word, or gives its own to be passed on.
  mutating func receive(
    _ word: SignedHeartbeat, from peer: PeerIndex, _ now: LogicalTime, _ effects: inout [Effect]
  ) {
    guard let speaker = word.heartbeat.speaker, gossip.isNews(word), let registered = register[speaker]
    else { return }
    guard word.isValid(cluster: configuration.cluster, key: registered.publicKey, signatures: signatures) else {
      // Who passes it on has looked at it as well.
      effects.append(.notice(.badWord(origin: speaker, from: peer)))
      return effects.append(.disconnect(peer, reason: "word with a bad signature"))
    }
    median.hear(speaker, word.heartbeat.wallMilliseconds, now)
    if word.heartbeat.beat != nil, views.watchesNewcomers {
      change(.heardView(from: .origin(speaker), view: word.heartbeat.view, isBeat: true), now, &effects)
    }
    let genuine = word.heartbeat.acks.filter { check($0, from: peer, now, &effects) }
    var actions: [GossipAction] = []
    gossip.receive(
      word, genuine: genuine, from: peer, nowMicroseconds: now.monotonicMicroseconds, &actions)
    emit(actions, after: 0, &effects)
  }
}
