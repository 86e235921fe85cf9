import EventLog
import Gossip
import Membership
import OrderBook
import Primitives

/// What other members say, and whom to talk to.
extension Replica {
  // MARK: Links

  mutating func linkUp(
    _ peer: PeerIndex, key: PublicKey, address: String, _ now: LogicalTime, _ effects: inout [Effect]
  ) {
    peers.linkUp(peer, key: key, register)
    let origin = peers.origin(of: peer)
    gossip.linkUp(peer, isMember: origin.map { view.contains($0) } ?? false)
    if let origin {
      if let known = addresses[origin]?.address { dialer.succeeded(known, nowMicroseconds: now.monotonicMicroseconds) }
      detect(.linkUp(origin), now, &effects)
    }
    if !address.isEmpty {
      dialer.succeeded(address, nowMicroseconds: now.monotonicMicroseconds)
      aliases.removeAll { $0.address == address }
      aliases.append((address, key))
    }
    guard hasRecovered else { return }
    effects.append(.send(to: peer, .addresses(addresses.all), after: 0))
    effects.append(.send(to: peer, .vector(VersionVector(sequencer.logs.map(\.acked.sequence))), after: 0))
    sendHeartbeats(force: false, isIdle: true, now, &effects)
  }

  mutating func linkDown(_ peer: PeerIndex, _ now: LogicalTime, _ effects: inout [Effect]) {
    let origin = peers.origin(of: peer)
    gossip.linkDown(peer)
    peers.linkDown(peer)
    snapshots.forget(peer)
    guard let origin else { return }
    detect(.linkDown(origin), now, &effects)
    if let address = addresses[origin]?.address {
      dialer.failed(address, nowMicroseconds: now.monotonicMicroseconds, &generator)
    }
  }

  mutating func dialFailed(_ address: String, isRefused: Bool, _ now: LogicalTime, _ effects: inout [Effect]) {
    dialer.failed(address, nowMicroseconds: now.monotonicMicroseconds, &generator)
    guard isRefused, let record = addresses.all.first(where: { $0.address == address }) else { return }
    detect(.dialRefused(record.origin), now, &effects)
  }

  /// Addresses to dial: of members that are known and not connected, and the seeds while somebody is unknown.
  mutating func dueAddresses(_ micros: UInt64) -> [String] {
    guard gossip.connectedMembers < view.members.count - (me == nil ? 0 : 1) else { return [] }
    let table = addresses
    let connected = peers.origins
    let mine = signatures.publicKey
    let known = aliases
    let members = view
    let directory = peers
    let everybodyKnown = members.members.allSatisfy { table[$0] != nil }
    // Who knows nobody that is there tries everybody it has ever heard of: they may know who is.
    let isAlone = gossip.connectedMembers == 0
    let names = register
    return dialer.due(nowMicroseconds: micros) { address in
      if let record = table.all.last(where: { $0.address == address }) {
        guard names[record.origin]?.publicKey != mine, !connected.contains(record.origin) else { return false }
        return members.contains(record.origin) || isAlone
      }
      if let alias = known.first(where: { $0.address == address }), directory.peer(with: alias.key) != nil {
        return false
      }
      return !everybodyKnown || isAlone
    }
  }

  private mutating func receive(
    addresses records: [AddressRecord], from peer: PeerIndex?, _ now: LogicalTime, _ effects: inout [Effect]
  ) {
    var news: [AddressRecord] = []
    for record in records where record.origin != me && addresses.isNews(record) {
      guard let origin = register[record.origin] else {
        // Admitted by a view that this node does not know yet.
        if strangers.count < Limits.peerAddressesMax, !strangers.contains(record) { strangers.append(record) }
        continue
      }
      guard record.isValid(cluster: configuration.cluster, key: origin.publicKey, signatures: signatures) else {
        if let peer { effects.append(.notice(.badAddress(origin: record.origin, from: peer))) }
        continue
      }
      if let old = addresses[record.origin], old.address != record.address { dialer.remove(old.address) }
      // A node has one address: an earlier origin of it is nowhere.
      for earlier in addresses.all where register[earlier.origin]?.publicKey == origin.publicKey {
        guard earlier.origin < record.origin else { continue }
        if earlier.address != record.address { dialer.remove(earlier.address) }
        addresses.remove(earlier.origin)
      }
      addresses.insert(record)
      news.append(record)
      let courtesy = (me ?? OriginIndex(UInt32.max)) < record.origin ? 0 : Dialer.courtesyMicroseconds
      dialer.add(record.address, notBeforeMicroseconds: now.monotonicMicroseconds + courtesy)
    }
    guard !news.isEmpty else { return }
    for other in gossip.connectedPeers where other != peer {
      effects.append(.send(to: other, .addresses(news), after: 0))
    }
  }

  /// Addresses that came before the view that admitted their owners.
  mutating func acceptStrangers(_ now: LogicalTime, _ effects: inout [Effect]) {
    guard !strangers.isEmpty else { return }
    let records = strangers
    strangers.removeAll()
    receive(addresses: records, from: nil, now, &effects)
  }

  // MARK: Messages

  mutating func receive(
    _ message: PeerMessage, from peer: PeerIndex, _ now: LogicalTime, _ effects: inout [Effect]
  ) {
    guard hasRecovered, peers.isLinked(peer) else { return }
    if case .heartbeat(let heartbeat) = message { receive(heartbeat, from: peer, now, &effects) }
    if let speaker = peers.markHeard(peer) { detect(.heard(speaker), now, &effects) }
    switch message {
    case .heartbeat: break
    case .batch(let sealed): receive(sealed, from: peer, now, &effects)
    case .announce(let heads): gossip.receiveAnnounce(heads, from: peer)
    case .request(let range):
      guard range.origin.int < sequencer.logs.count else { return }
      var actions: [GossipAction] = []
      gossip.receiveRequest(range, from: peer, held: sequencer.logs[range.origin.int].durable, &actions)
      emit(actions, after: 0, &effects)
    case .digest(let digest): receive(digest, from: peer, now, &effects)
    case .vector(let vector):
      gossip.receiveVector(vector, from: peer)
      guard let me else { return }
      if vector[me] <= sequencer.logs[me.int].held.sequence, let origin = peers.origin(of: peer) {
        confirmedBy.insert(origin)
      }
      checkOwnLog(vector[me], from: peer, now)
    case .addresses(let records): receive(addresses: records, from: peer, now, &effects)
    case .served(let origin, let through):
      guard origin.int < sequencer.logs.count else { return }
      gossip.receiveServed(origin, through: through, from: peer)
    case .detector(let message):
      guard let speaker = peers.speaker(of: peer) else { return }
      detect(.message(from: speaker, message), now, &effects)
    case .view(let message): change(.message(message), now, &effects)
    case .word(let word): receive(word, from: peer, now, &effects)
    case .snapshot(let message): receive(message, from: peer, now, &effects)
    }
  }

  private mutating func receive(
    _ heartbeat: Heartbeat, from peer: PeerIndex, _ now: LogicalTime, _ effects: inout [Effect]
  ) {
    let speaker = peers.hear(peer, speaksAs: heartbeat.speaker, register)
    noteView(heartbeat.view, of: peer, isBeat: heartbeat.beat != nil && speaker != nil, now, &effects)
    var genuine = heartbeat
    // An ack of another log is no ack of this one. In another view a log may have ended elsewhere.
    if heartbeat.view == view.number {
      genuine.acks = heartbeat.acks.filter { check($0, from: peer, now, &effects) }
    }
    if let speaker, view.contains(speaker) { median.hear(speaker, heartbeat.wallMilliseconds, now) }
    gossip.receive(genuine, from: peer, origin: speaker, nowMicroseconds: now.monotonicMicroseconds)
  }

  /// An ack tells a hash: at a batch end that is known here, it must be the same.
  /// - Returns: false if it is of another log than the one held here.
  mutating func check(
    _ ack: Ack, from peer: PeerIndex, _ now: LogicalTime, _ effects: inout [Effect]
  ) -> Bool {
    guard ack.origin.int < sequencer.logs.count else { return false }
    if let mine = sequencer.logs[ack.origin.int].hash(at: ack.head.sequence), mine != ack.head.hash {
      noticeFork(ack.origin, ack.head.sequence, from: peer, &effects)
      return false
    }
    if ack.origin == me { checkOwnLog(ack.head.sequence, from: peer, now) }
    return true
  }

  /// Two logs under one name. If the name is this node's own, what it writes from here on may contradict what it has
  /// said: it stops.
  /// - Parameter peer: who holds the other one; nil if a view's base names it.
  mutating func noticeFork(
    _ origin: OriginIndex, _ sequence: UInt64, from peer: PeerIndex?, _ effects: inout [Effect]
  ) {
    if !noticedForks[origin.int] { effects.append(.notice(.fork(origin: origin, sequence: sequence, from: peer))) }
    noticedForks[origin.int] = true
    guard origin == me else { return }
    effects.append(
      .halt(
        "\(name(of: peer)) holds another log of this node than this disk (at sequence \(sequence)): the disk was set "
          + "back, or another process runs with the same key. Take this node out of the cluster, or restore its "
          + "latest data"))
  }

  /// Somebody says that it holds more of this node's log than the disk here: then data was lost, and these sequences
  /// must not be written again. Anybody can say so; the batch with this node's own signature proves it, and is asked
  /// for.
  private mutating func checkOwnLog(_ sequence: UInt64, from peer: PeerIndex, _ now: LogicalTime) {
    guard let me, sequence > sequencer.logs[me.int].held.sequence else { return }
    // Whether it can prove that or not, it has not confirmed this disk; nor does a claim that expires.
    if !isConfirmed, let origin = peers.origin(of: peer) { confirmedBy.remove(origin) }
    guard sequence > unprovenClaim, ownLogClaim == nil else { return }
    ownLogClaim = (peer, sequence, now.monotonicMicroseconds + Self.claimMicroseconds)
    gossip.learn(me, exists: sequence, offered: true)
  }

  /// Another node, for people.
  func name(of peer: PeerIndex?) -> String {
    guard let peer else { return "the cluster" }
    return peers.origin(of: peer).flatMap { register[$0]?.name }.map { "member \($0)" } ?? "a node that follows"
  }

  /// A batch of this node's own log that it does not have: its disk has lost what it had. What it wrote is safe with
  /// those who have it; this node must not write it again otherwise, and goes on under another name.
  /// - Returns: whether it was proven.
  private mutating func receiveOwn(
    _ sealed: SealedBatch, _ header: BatchHeader, from peer: PeerIndex, _ now: LogicalTime, _ effects: inout [Effect]
  ) -> Bool {
    guard let me else { return false }
    let held = sequencer.logs[me.int].held
    guard header.firstSequence == held.sequence + 1, isSigned(sealed, origin: me, previous: held.hash) else {
      return false
    }
    effects.append(.notice(.diskLost(peer: peer, held: held.sequence, theirs: header.lastSequence)))
    becomeNobody()
    change(.diskLost(token: StoreToken(generator.next() | 1)), now, &effects)
    return true
  }

  /// A claim that nobody proved in time does not stop this node.
  mutating func expireClaim(_ now: LogicalTime, _ effects: inout [Effect]) {
    guard let claim = ownLogClaim, now.monotonicMicroseconds >= claim.untilMicroseconds else { return }
    ownLogClaim = nil
    unprovenClaim = claim.sequence
    effects.append(.notice(.unprovenClaim(peer: claim.peer, sequence: claim.sequence)))
  }

  // MARK: Batches

  private mutating func receive(
    _ sealed: SealedBatch, from peer: PeerIndex, _ now: LogicalTime, _ effects: inout [Effect]
  ) {
    let header: BatchHeader
    do throws(CodecError) {
      header = try BatchHeader(canonicalBytes: sealed.bytes)
    } catch {
      refuseBatch(nil, from: peer, error, &effects)
      return
    }
    let origin = header.origin
    guard origin.int < sequencer.logs.count else { return }
    if takeForRepair(sealed, header, &effects) { return }
    if origin == me, !receiveOwn(sealed, header, from: peer, now, &effects) { return }
    // Void: its author was sealed before it wrote this.
    if let cut = membership.cuts[origin.int], header.lastSequence > cut { return }
    let held = sequencer.logs[origin.int].held.sequence
    if header.lastSequence <= held {
      duplicateBatches += 1
      return
    }
    if header.firstSequence > held + 1 {
      sequencer.logs[origin.int].keepOrphan(
        sealed, first: header.firstSequence, last: header.lastSequence, from: peer)
      // Whoever sends it says that it has what comes before.
      gossip.receiveAnnounce(
        [LogRange(origin: origin, from: header.firstSequence, through: header.lastSequence)], from: peer)
      return
    }
    guard header.firstSequence == held + 1 else {
      noticeFork(origin, header.lastSequence, from: peer, &effects)
      return
    }
    guard extend(origin, with: sealed, from: peer, &effects) else { return }
    while let orphan = sequencer.logs[origin.int].takeOrphan() {
      guard extend(origin, with: orphan.batch, from: orphan.source, &effects) else { return }
    }
  }

  /// Decodes a batch that continues an origin's log, and adds it until the end of the turn.
  private mutating func extend(
    _ origin: OriginIndex, with sealed: SealedBatch, from peer: PeerIndex, _ effects: inout [Effect]
  ) -> Bool {
    // Only values are read here: a copy of the log would make the append below copy its batches.
    let held = sequencer.logs[origin.int].held
    let heldStamp = sequencer.logs[origin.int].heldStamp
    let batch: Batch
    do throws(CodecError) {
      batch = try Batch.decode(sealed, previous: held.hash, sha)
      guard batch.firstStamp > heldStamp else { throw .invalid(field: "batch stamp (not after the log's last)") }
      guard batch.firstStamp > max(sequencer.finalKey.stamp, keeper.closedThrough) else {
        throw .invalid(field: "batch stamp (below what its author promised)")
      }
    } catch {
      if case .unknown = error, isSigned(sealed, origin: origin, previous: held.hash) {
        effects.append(.halt("origin \(origin) writes what this version cannot read (\(error)): upgrade this node"))
      }
      refuseBatch(origin, from: peer, error, &effects)
      return false
    }
    if let place = grown.firstIndex(where: { $0.origin == origin }) {
      grown[place].batches.append(batch)
      grown[place].source = peer
    } else {
      grown.append(
        Growth(
          origin: origin, headBefore: held, stampBefore: heldStamp, source: peer, batches: [batch]))
    }
    sequencer.append(batch)
    return true
  }

  private func refuseBatch(
    _ origin: OriginIndex?, from peer: PeerIndex, _ error: CodecError, _ effects: inout [Effect]
  ) {
    effects.append(.notice(.badBatch(origin: origin, from: peer, error)))
    effects.append(.disconnect(peer, reason: "malformed batch: \(error)"))
  }

  /// Whether the author vouches for bytes that cannot be decoded here.
  private func isSigned(_ sealed: SealedBatch, origin: OriginIndex, previous: Hash256) -> Bool {
    guard let header = try? BatchHeader(canonicalBytes: sealed.bytes) else { return false }
    let head = Head(
      sequence: header.lastSequence, hash: HashChain.link(previous: previous, bytes: sealed.bytes, sha))
    return isValid(sealed.signature, view: sealed.view, origin: origin, head: head)
  }

  private func isValid(_ signature: Signature, view: UInt64, origin: OriginIndex, head: Head) -> Bool {
    guard let registered = register[origin] else { return false }
    let message = HashChain.signedHead(
      cluster: configuration.cluster, origin: registered.origin, view: view, head: head)
    return signatures.isValid(signature, of: message, by: registered.publicKey)
  }

  /// End of a turn: the newest signature of an origin speaks for the whole chain before it, so one check an origin and
  /// turn is enough. Nothing is stored, acked, applied or passed on without it.
  mutating func acceptGrowth(_ actions: inout [GossipAction], _ effects: inout [Effect]) {
    let growths = grown
    grown.removeAll(keepingCapacity: true)
    for growth in growths {
      let newest = growth.batches[growth.batches.count - 1]
      let head = Head(sequence: newest.lastSequence, hash: newest.hash)
      guard isValid(newest.signature, view: newest.view, origin: growth.origin, head: head) else {
        sequencer.logs[growth.origin.int].truncate(to: growth.headBefore, stamp: growth.stampBefore)
        effects.append(.notice(.badSignature(origin: growth.origin, from: growth.source)))
        effects.append(.disconnect(growth.source, reason: "batch with a bad signature"))
        continue
      }
      let source = peers.origin(of: growth.source)
      for batch in growth.batches {
        append(batch, &effects)
        journal.note(batch, from: source, ownWallMilliseconds)
        gossip.offer(batch, from: growth.source, &actions)
      }
    }
  }

  /// Makes visible what is not quarantined, takes back what it overtakes.
  mutating func reveal(_ now: LogicalTime, _ effects: inout [Effect]) {
    var lowest: OrderKey?
    for index in sequencer.live {
      let before = sequencer.logs[index].visible
      // This node's own stamps are believed here even when its clock has jumped back since.
      let time = index == me?.int ? UInt64.max : now.wallMilliseconds
      let believed = membership.believed[index]
      guard let newest = sequencer.logs[index].reveal(nowMilliseconds: time, believed: believed) else {
        watchQuarantine(index, now, &effects)
        continue
      }
      watchQuarantine(index, now, &effects)
      // What is believed only because a view rests on it must not lead this clock away.
      if !HybridClock.isQuarantined(newest, nowMilliseconds: time) { clock.merge(newest) }
      acknowledge(index)
      if before == sequencer.logs[index].applied, let key = sequencer.logs[index].nextKey {
        lowest = min(lowest ?? key, key)
      }
    }
    if let lowest { rollBack(below: lowest, now, &effects) }
  }
}
