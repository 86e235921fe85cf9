import EventLog
import Membership
import Primitives

/// Which members are not heard here, who is asked to pass on their word, and what was passed on.
///
/// Each member beats and acks to every other over its own link. Where such a link is silent while others are not, the
/// silent member's word goes round by them:
///
/// ```
/// a  does not hear x, and says so to up to three others, r among them
/// r  hears that, and tells x that its word is wanted
/// x  signs its beat and acks when they change, at most every 10 ms, and gives them to r
/// r  checks the signature and passes on what is news to those who asked: a
/// ```
/// Each step is said again in every heartbeat as long as it is so, and nothing of it is when all is well: nobody signs
/// then. One who was asked and does not hear x either asks others in turn, so a word goes as far as it must.
/// Source: DESIGN 4.
struct Relay: Sendable {
  /// A link is silent after this, while something waits to become final: then members speak every 10 ms.
  static let silenceMicroseconds: UInt64 = 200_000
  /// And after this while nothing does: then they speak every 200 ms.
  static let idleSilenceMicroseconds: UInt64 = 300_000
  /// Between two words of one member; a relay allows for some jitter.
  static let wordMicroseconds: UInt64 = 10_000
  static let passMicroseconds: UInt64 = 6_000
  /// A word that has not changed is told again after this: it may have been lost.
  static let repeatMicroseconds: UInt64 = 200_000
  /// Who was asked and has brought no news since, although something waits to become final, is not asked again.
  static let reviewMicroseconds: UInt64 = 300_000
  /// How many are asked for one member's word at first, and of those who bring it, how many go on.
  static let askedMax = 3
  static let keptMax = 2

  /// What is known here of another member.
  struct Member: Sendable {
    let origin: OriginIndex
    /// When it was last heard over its own link; nil if it never was.
    var heardMicroseconds: UInt64?
    /// Since when it is watched.
    var sinceMicroseconds: UInt64?
    var isUnheard = false
    var asked: [PeerIndex] = []
    var reviewAtMicroseconds: UInt64 = 0
    /// Of those that were asked, who has brought news since the last review. What was known does not count: two who do
    /// not hear it either would tell it to each other for ever.
    var broughtBy: [PeerIndex] = []
    /// Its newest word, whoever brought it, and how many there were before.
    var word: SignedHeartbeat?
    var version: UInt64 = 0
  }

  /// Of the present view, by place; this node among them if it is a member.
  private(set) var members: [Member]
  /// Since when something waits to become final.
  private var busySinceMicroseconds: UInt64?
  /// This node's own word, how many there were before, and when it was signed.
  private(set) var own: SignedHeartbeat?
  private(set) var ownVersion: UInt64 = 0
  private(set) var signedMicroseconds: UInt64?
  /// Somebody is not heard here.
  private(set) var isAsking = false

  init(view: View, before: [Member] = []) {
    members = view.members.map { origin in
      var member = Member(origin: origin)
      member.heardMicroseconds = before.first { $0.origin == origin }?.heardMicroseconds
      return member
    }
  }

  func place(_ origin: OriginIndex) -> Int? { members.firstIndex { $0.origin == origin } }

  mutating func heard(_ origin: OriginIndex, nowMicroseconds now: UInt64) {
    guard let place = place(origin) else { return }
    members[place].heardMicroseconds = now
    if members[place].isUnheard { stopAsking(place) }
  }

  private mutating func stopAsking(_ place: Int) {
    members[place].isUnheard = false
    members[place].asked = []
    members[place].broughtBy = []
    isAsking = members.contains { $0.isUnheard }
  }

  /// Looks who has fallen silent, and whom to ask for its word.
  /// - Parameters:
  ///   - isBusy: something waits to become final.
  ///   - candidates: who may be asked for a member's word.
  mutating func look(
    nowMicroseconds now: UInt64, me: OriginIndex?, isBusy: Bool, candidates: (OriginIndex) -> [PeerIndex],
    _ generator: inout SeededGenerator
  ) {
    busySinceMicroseconds = isBusy ? busySinceMicroseconds ?? now : nil
    for place in members.indices where members[place].origin != me {
      let since = members[place].sinceMicroseconds ?? now
      members[place].sinceMicroseconds = since
      let heard = max(since, members[place].heardMicroseconds ?? 0)
      // What was said at leisure does not count as silence once there is something to say.
      let busy = busySinceMicroseconds.map { now >= max($0, heard) + Self.silenceMicroseconds } ?? false
      guard busy || now >= heard + Self.idleSilenceMicroseconds else { continue }
      members[place].isUnheard = true
      isAsking = true
      guard now >= members[place].reviewAtMicroseconds || members[place].asked.isEmpty else { continue }
      members[place].reviewAtMicroseconds = now + Self.reviewMicroseconds
      let useful = members[place].broughtBy.prefix(Self.keptMax)
      let before = members[place].asked
      members[place].broughtBy = []
      let isStuck = busySinceMicroseconds.map { now >= $0 + Self.reviewMicroseconds } ?? false
      guard useful.isEmpty, before.isEmpty || isStuck else {
        if !useful.isEmpty { members[place].asked = Array(useful) }
        continue
      }
      members[place].asked = []
      // Not those again who brought nothing, if there are others.
      let all = candidates(members[place].origin)
      let others = all.filter { !before.contains($0) }
      choose(place, others.isEmpty ? all : others, &generator)
    }
  }

  private mutating func choose(_ place: Int, _ candidates: [PeerIndex], _ generator: inout SeededGenerator) {
    var candidates = candidates
    for _ in 0..<min(Self.askedMax, candidates.count) {
      members[place].asked.append(candidates.remove(at: Int(generator.below(UInt64(candidates.count)))))
    }
  }

  /// Whose word a peer is asked for.
  func wanted(of peer: PeerIndex) -> [OriginIndex] {
    guard isAsking else { return [] }
    return members.filter { $0.isUnheard && $0.asked.contains(peer) }.map(\.origin)
  }

  mutating func disconnected(_ peer: PeerIndex) {
    for place in members.indices {
      members[place].asked.removeAll { $0 == peer }
      members[place].broughtBy.removeAll { $0 == peer }
    }
  }

  // MARK: Words

  /// Whether a word says more than those of its speaker that are known.
  func isNews(_ heartbeat: Heartbeat) -> Bool {
    guard let speaker = heartbeat.speaker, let place = place(speaker) else { return false }
    guard let known = members[place].word?.heartbeat else { return true }
    if let beat = heartbeat.beat, beat.promise > known.beat?.promise ?? .zero { return true }
    return heartbeat.acks.contains { ack in
      !known.acks.contains { $0.origin == ack.origin && $0.head.sequence >= ack.head.sequence }
    }
  }

  /// Somebody has passed on news: it is of use.
  private mutating func brought(_ place: Int, by peer: PeerIndex) {
    if members[place].asked.contains(peer), !members[place].broughtBy.contains(peer) {
      members[place].broughtBy.append(peer)
    }
  }

  /// - Precondition: it is news, and genuine.
  mutating func keep(_ word: SignedHeartbeat, from peer: PeerIndex) {
    guard let speaker = word.heartbeat.speaker, let place = place(speaker) else { return }
    brought(place, by: peer)
    members[place].word = word
    members[place].version += 1
  }

  /// Whether this node's word has to be signed anew.
  func mustSign(_ beat: Beat?, _ acks: [Ack], nowMicroseconds now: UInt64) -> Bool {
    if let own, own.heartbeat.beat == beat, own.heartbeat.acks == acks { return false }
    return signedMicroseconds.map { now >= $0 + Self.wordMicroseconds } ?? true
  }

  mutating func sign(_ word: SignedHeartbeat, nowMicroseconds now: UInt64) {
    own = word
    ownVersion += 1
    signedMicroseconds = now
  }
}

/// A word as a peer was told it last.
struct ToldWord: Sendable {
  var origin: OriginIndex
  var version: UInt64
  var atMicroseconds: UInt64
}

extension Gossip {
  // MARK: Who is not heard

  /// Looks who has fallen silent, and passes on what is due; comes with every tick.
  public mutating func lookForSilence(
    nowMicroseconds now: UInt64, isBusy: Bool, _ actions: inout [GossipAction]
  ) {
    guard !configuration.defects.contains(.noRelay) else { return }
    let table = peers
    relay.look(
      nowMicroseconds: now, me: me, isBusy: isBusy,
      candidates: { subject in
        let others = table.indices.filter {
          table[$0].isConnected && table[$0].isWritable && table[$0].speaker != subject
            && now < table[$0].heardMicroseconds + Relay.idleSilenceMicroseconds
        }
        // Who only follows may hear it too, but a member more likely.
        let members = others.filter { table[$0].isMember }
        return (members.isEmpty ? others : members).map { PeerIndex(UInt32($0)) }
      }, &generator)
    passOn(nowMicroseconds: now, &actions)
  }

  /// How many members are linked and were heard in the last `span`; this node is one if it is a member.
  /// - Complexity: O(members · peers).
  public func membersHeard(inLast span: UInt64, nowMicroseconds now: UInt64) -> Int {
    relay.members.count { member in
      member.origin == me
        || member.heardMicroseconds.map { now < $0 + span } ?? false
          && peers.contains { $0.isConnected && $0.speaker == member.origin }
    }
  }

  /// Members whose word somebody who is linked asks for.
  var wantedWords: [OriginIndex] {
    var wanted: [OriginIndex] = []
    for peer in peers where peer.isConnected && !peer.wants.isEmpty { wanted += peer.wants }
    return wanted
  }

  /// What a heartbeat to a peer asks of it.
  func asks(of index: Int, wanted: [OriginIndex]) -> (unheard: [OriginIndex], wantsWord: Bool) {
    let isWanted = peers[index].speaker.map { wanted.contains($0) } ?? false
    return (relay.wanted(of: PeerIndex(UInt32(index))), isWanted)
  }

  /// Whether a peer does not hear the author of a batch, and asks this node for its word.
  func mustPassOn(_ origin: OriginIndex, to index: Int) -> Bool {
    !peers[index].wants.isEmpty && peers[index].wants.contains(origin)
  }

  // MARK: Own word

  /// Whether somebody is known not to hear this node.
  public var isAskedForWord: Bool { peers.contains { $0.wantsWord && $0.isConnected } }

  /// Signs what this node has to say, if somebody is known not to hear it, and gives it to those who pass it on.
  /// - Parameters:
  ///   - durable: as for `heartbeats`.
  ///   - sign: called at most every 10 ms.
  public mutating func tellWord(
    beat: Beat?, durable: [(origin: OriginIndex, head: Head)], wallMilliseconds: UInt64, nowMicroseconds now: UInt64,
    _ actions: inout [GossipAction], sign: (Heartbeat) -> Signature
  ) {
    guard let me else { return }
    let acks = durable.filter { $0.head.sequence > 0 }.map { Ack(origin: $0.origin, head: $0.head) }
    if relay.mustSign(beat, acks, nowMicroseconds: now) {
      let heartbeat = Heartbeat(
        view: view.number, speaker: me, beat: beat, acks: acks, wallMilliseconds: wallMilliseconds)
      relay.sign(SignedHeartbeat(heartbeat: heartbeat, signature: sign(heartbeat)), nowMicroseconds: now)
    }
    guard let word = relay.own else { return }
    for index in peers.indices where peers[index].isConnected && peers[index].wantsWord {
      guard peers[index].isWordDue(me, relay.ownVersion, nowMicroseconds: now) else { continue }
      actions.append(.send(to: PeerIndex(UInt32(index)), .word(word)))
    }
  }

  // MARK: Others' words

  /// Whether a word has to be looked at: it is of a member of this view, and says more than is known.
  public func isNews(_ word: SignedHeartbeat) -> Bool {
    word.heartbeat.view == view.number && word.heartbeat.speaker != me && relay.isNews(word.heartbeat)
  }

  /// A word that somebody has passed on, or that this node is to pass on.
  /// - Parameter genuine: those of its acks that are of the logs held here.
  /// - Precondition: it is news, and its signature is its speaker's.
  public mutating func receive(
    _ word: SignedHeartbeat, genuine: [Ack], from peer: PeerIndex, nowMicroseconds now: UInt64,
    _ actions: inout [GossipAction]
  ) {
    guard let speaker = word.heartbeat.speaker else { return }
    relay.keep(word, from: peer)
    if let beat = word.heartbeat.beat {
      frontier.receive(beat, from: speaker)
      learn(speaker, exists: beat.head.sequence)
    }
    for ack in genuine {
      frontier.receive(ack, from: speaker)
      learn(ack.origin, exists: ack.head.sequence)
    }
    passOn(nowMicroseconds: now, &actions)
  }

  /// Puts what is news, or due again, in the way of those who asked for it.
  private mutating func passOn(nowMicroseconds now: UInt64, _ actions: inout [GossipAction]) {
    for index in peers.indices where peers[index].isConnected && !peers[index].wants.isEmpty {
      for origin in peers[index].wants {
        guard let place = relay.place(origin), let word = relay.members[place].word,
          peers[index].isWordDue(origin, relay.members[place].version, nowMicroseconds: now)
        else { continue }
        actions.append(.send(to: PeerIndex(UInt32(index)), .word(word)))
      }
    }
  }
}

extension PeerState {
  /// Whether a word is to be told now; then it counts as told.
  mutating func isWordDue(_ origin: OriginIndex, _ version: UInt64, nowMicroseconds now: UInt64) -> Bool {
    guard isWritable else { return false }
    guard let place = toldWords.firstIndex(where: { $0.origin == origin }) else {
      toldWords.append(ToldWord(origin: origin, version: version, atMicroseconds: now))
      return true
    }
    let pause = toldWords[place].version == version ? Relay.repeatMicroseconds : Relay.passMicroseconds
    guard now >= toldWords[place].atMicroseconds + pause else { return false }
    toldWords[place].version = version
    toldWords[place].atMicroseconds = now
    return true
  }
}
