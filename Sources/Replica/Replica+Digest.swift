import EventLog
import Gossip
import OrderBook
import Primitives

/// Digests: are two replicas that applied the same entries holding the same book?
extension Replica {
  static let recentBooksMax = 32

  /// What two replicas have in common if they may compare their books.
  private mutating func comparedHash() -> Hash256 {
    if configuration.defects.contains(.digestOfHeld) {
      return VersionVector(sequencer.logs.map(\.held.sequence)).hash(sha)
    }
    return appliedHash()
  }

  mutating func digest(isAnswer: Bool) -> Digest {
    let applied = comparedHash()
    guard health.state.serves else {
      return Digest(
        view: view.number, finalStamp: gossip.frontier.final, checkpointNumber: 0, checkpointHash: .zero,
        appliedHash: applied, bookHash: nil, isAnswer: isAnswer)
    }
    // Not computed for a digest: under load vectors seldom match, and then nobody would look at it.
    let book = recentBooks.last { $0.applied == applied }?.book
    return Digest(
      view: view.number, finalStamp: gossip.frontier.final,
      checkpointNumber: keeper.list.newest?.number ?? 0, checkpointHash: keeper.list.newest?.hash ?? .zero,
      appliedHash: applied, bookHash: book, isAnswer: isAnswer)
  }

  /// Hash of the book at the present vector, remembered; nil if one was computed a moment ago at another vector.
  private mutating func bookHashForDigest(_ now: LogicalTime) -> Hash256? {
    let applied = comparedHash()
    if let known = recentBooks.last(where: { $0.applied == applied }) { return known.book }
    guard now.monotonicMicroseconds >= lastBookHashMicroseconds + Self.bookHashMicrosecondsMin else { return nil }
    lastBookHashMicroseconds = now.monotonicMicroseconds
    let book = bookHash()
    recentBooks.append((applied, book))
    if recentBooks.count > Self.recentBooksMax { recentBooks.removeFirst() }
    return book
  }

  /// Nothing that was worked out before counts any more.
  mutating func forgetBookHashes() {
    recentBooks.removeAll()
    bookHashCache = nil
  }

  mutating func receive(_ digest: Digest, from peer: PeerIndex, _ now: LogicalTime, _ effects: inout [Effect]) {
    // In another view a log may end elsewhere: books are not compared, but what one side lacks it may ask for.
    guard digest.view == view.number, digest.appliedHash == comparedHash() else {
      // Only a digest that started the round is answered, with what is held here: the other side asks for what it
      // lacks, and the same happens the other way round when it is its turn.
      if !digest.isAnswer {
        effects.append(.send(to: peer, .vector(VersionVector(sequencer.logs.map(\.acked.sequence))), after: 0))
      }
      return
    }
    // It has applied exactly as much of this node's log as was applied here.
    if let speaker = peers.speaker(of: peer) { confirmedBy.insert(speaker) }
    guard health.state.serves, let mine = bookHashForDigest(now) else { return }
    if let theirs = digest.bookHash {
      if theirs != mine { mismatch(with: peer, mine: mine, theirs: theirs) }
      return
    }
    if !digest.isAnswer { effects.append(.send(to: peer, .digest(self.digest(isAnswer: true)), after: 0)) }
  }

  /// Same entries, other book: never normal. Whoever disagrees with its own recomputation is wrong.
  private mutating func mismatch(
    with peer: PeerIndex, mine: Hash256, theirs: Hash256
  ) {
    bookMismatches += 1
    // Once for each vector, and never two at a time: the check reads the whole book.
    while noticedMismatches.count <= peer.int { noticedMismatches.append(nil) }
    guard noticedMismatches[peer.int] != appliedHash() else { return }
    noticedMismatches[peer.int] = appliedHash()
    checkBook(against: peer, mine: mine, theirs: theirs)
  }
}
