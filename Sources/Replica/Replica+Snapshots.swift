import EventLog
import Gossip
import Membership
import OrderBook
import Primitives

/// Snapshots: made at checkpoints, offered to those who need one, fetched from those who have one.
///
/// <doc:Snapshots> has the whole of it.
extension Replica {
  // MARK: Making

  /// Whether the checkpoint that is about to be closed is the first one at or after a multiple of the interval: a
  /// function of the final log alone, so that all make the same ones.
  func isSnapshotDue(_ number: UInt64) -> Bool {
    let interval = configuration.snapshotSeconds
    guard interval > 0, health.state.serves, let before = keeper.list.newest?.number,
      before / interval != number / interval
    else {
      return false
    }
    // Of a long log that is read back, the newest ones are enough.
    let isOld = !hasRecovered && configuration.finalStamp.second > number + 2 * interval
    return !isOld && !snapshots.kept.contains { $0.number == number }
  }

  /// The book has been written at its boundary; the rest follows now, its hash over the next ticks.
  mutating func finishWriting(_ book: PieceWriter, of checkpoint: Checkpoint) {
    var out = book
    let bases = finalBases
    ReplicaState.writeRest(finalOrders: sequencer.finalOrders, keeper, bases: bases, ledger, to: &out)
    let entries = sequencer.logs.indices.reduce(0) { $0 + sequencer.logs[$1].final }
    let byteCount = UInt64(out.count)
    guard byteCount <= UInt64(Limits.snapshotBytesMax) else { return }
    let making = SnapshotDesk.Making(
      number: checkpoint.number, checkpointHash: checkpoint.hash, entries: entries, byteCount: byteCount,
      bases: bases, pieces: out.finish())
    making.sha.begin()
    // One that is not hashed yet is too old already.
    snapshots.making = making
  }

  private mutating func hashSome(_ effects: inout [Effect]) {
    guard snapshots.making != nil else { return }
    for _ in 0..<SnapshotDesk.piecesPerTick {
      guard let next = snapshots.making?.hashed, let count = snapshots.making?.pieces.count, next < count else { break }
      if let piece = snapshots.making?.pieces[next] { snapshots.making?.sha.update(piece) }
      snapshots.making?.hashed += 1
    }
    guard let making = snapshots.making, making.hashed == making.pieces.count else { return }
    snapshots.making = nil
    let info = SnapshotInfo(
      number: making.number, checkpointHash: making.checkpointHash, entries: making.entries,
      byteCount: making.byteCount, hash: making.sha.finish())
    effects.append(.keepSnapshot(Snapshot(info: info, bases: making.bases, pieces: making.pieces)))
  }

  // MARK: Needing

  mutating func tickSnapshots(_ now: LogicalTime, _ effects: inout [Effect]) {
    hashSome(&effects)
    guard !snapshots.isInstalling else { return }
    let micros = now.monotonicMicroseconds
    snapshots.missing.removeAll { missing in sequencer.logs[missing.origin.int].held.sequence >= missing.through }
    if snapshots.missing.isEmpty, !isFarBehind, !snapshots.isWanted {
      if snapshots.isNeeded { snapshots.endFetch() }
      return
    }
    let since = snapshots.neededSince ?? micros
    snapshots.neededSince = since
    guard micros >= since + SnapshotDesk.graceMicroseconds else { return }
    if snapshots.fetch != nil {
      askAnotherIfLate(micros, &effects)
    } else {
      beginFetch(micros, &effects)
    }
  }

  /// So far that it is not worth while to fetch the entries: one that is no member, and so vouches for nothing.
  private var isFarBehind: Bool {
    guard me == nil, gossip.connectedMembers > 0 else { return false }
    let held = VersionVector(sequencer.logs.map(\.held.sequence))
    return gossip.missing(held: { held[$0] }) > configuration.snapshotBehindEntries
  }

  private mutating func beginFetch(_ micros: UInt64, _ effects: inout [Effect]) {
    if let (info, peers) = attestedOffer {
      let peer = peers[Int(generator.below(UInt64(peers.count)))]
      snapshots.fetch = SnapshotDesk.Fetch(info: info, peer: peer, deadline: 0)
      effects.append(.notice(.fetchesSnapshot(info)))
      return ask(peer, micros, &effects)
    }
    guard micros >= snapshots.nextQuery else { return }
    snapshots.nextQuery = micros + SnapshotDesk.queryMicroseconds
    for peer in gossip.connectedPeers { effects.append(.send(to: peer, .snapshot(.query), after: 0)) }
  }

  /// The newest snapshot that more than half of the members of the newest view have said that they have, each over its
  /// own link, and who they are; nil if there is none that is of use.
  ///
  /// That is the attestation: the bytes of a snapshot follow from the final log, so its hash speaks for all of it, and
  /// a handshake has bound each link to the key of a member.
  private var attestedOffer: (SnapshotInfo, [PeerIndex])? {
    let value = views.newestKnown.value
    let majority = value.view.majority
    var best: (SnapshotInfo, [PeerIndex])?
    // Whose own disk cannot give a book takes any.
    let newest = snapshots.isWanted ? 0 : keeper.list.newest?.number ?? 0
    for offer in snapshots.offers {
      for info in offer.infos where info.number > best?.0.number ?? newest {
        guard !snapshots.refused.contains(info.hash) else { continue }
        // What was decided of a checkpoint is not for a majority of today to change.
        if let decided = value.checkpoint, decided.number == info.number, decided.hash != info.checkpointHash {
          continue
        }
        let having = snapshots.offers.filter { $0.infos.contains(info) && gossip.isConnected($0.peer) }.map(\.peer)
        var members: [OriginIndex] = []
        for peer in having {
          guard let origin = peers.origin(of: peer), value.contains(origin), !members.contains(origin) else { continue }
          members.append(origin)
        }
        if members.count >= majority { best = (info, having) }
      }
    }
    return best
  }

  // MARK: Fetching

  private mutating func ask(_ peer: PeerIndex, _ micros: UInt64, _ effects: inout [Effect]) {
    guard let fetch = snapshots.fetch else { return }
    snapshots.fetch?.peer = peer
    snapshots.fetch?.deadline = micros + SnapshotDesk.patienceMicroseconds
    effects.append(
      .send(to: peer, .snapshot(.request(hash: fetch.info.hash, offset: fetch.byteCount)), after: 0))
  }

  /// What has come stays: another node has the same bytes.
  private mutating func askAnotherIfLate(_ micros: UInt64, _ effects: inout [Effect]) {
    guard let fetch = snapshots.fetch, micros >= fetch.deadline else { return }
    // It may have made newer ones since, and dropped this one.
    let others = snapshots.offers.filter {
      $0.peer != fetch.peer && $0.infos.contains(fetch.info) && gossip.isConnected($0.peer)
    }
    guard !others.isEmpty else {
      snapshots.fetch = nil
      snapshots.offers.removeAll()
      return
    }
    ask(others[Int(generator.below(UInt64(others.count)))].peer, micros, &effects)
  }

  mutating func receive(
    _ message: SnapshotMessage, from peer: PeerIndex, _ now: LogicalTime, _ effects: inout [Effect]
  ) {
    switch message {
    case .query: effects.append(.send(to: peer, .snapshot(.offer(snapshots.kept)), after: 0))
    case .offer(let infos):
      guard snapshots.isNeeded else { return }
      snapshots.offers.removeAll { $0.peer == peer }
      snapshots.offers.append((peer, infos))
    case .request(let hash, let offset):
      guard let info = snapshots.kept.first(where: { $0.hash == hash }), offset < info.byteCount else {
        return effects.append(
          .send(to: peer, .snapshot(.piece(hash: hash, offset: offset, bytes: [])), after: 0))
      }
      effects.append(.servePiece(to: peer, info, offset: offset))
    case .piece(let hash, let offset, let bytes):
      receivePiece(hash, offset, bytes, from: peer, now, &effects)
    case .compacted(let origin, let through):
      guard origin.int < sequencer.logs.count else { return }
      let held = sequencer.logs[origin.int].held.sequence
      // It is no answer to what is asked of it now, if something else is.
      gossip.receiveServed(origin, through: held, from: peer)
      guard through > held, !(membership.cuts[origin.int].map { through > $0 } ?? false) else { return }
      if let place = snapshots.missing.firstIndex(where: { $0.origin == origin }) {
        snapshots.missing[place].through = max(snapshots.missing[place].through, through)
      } else {
        snapshots.missing.append((origin, through))
        effects.append(.notice(.needsSnapshot(origin, through: through)))
      }
    }
  }

  private mutating func receivePiece(
    _ hash: Hash256, _ offset: UInt64, _ bytes: [UInt8], from peer: PeerIndex, _ now: LogicalTime,
    _ effects: inout [Effect]
  ) {
    guard let fetch = snapshots.fetch, fetch.peer == peer, fetch.info.hash == hash, offset == fetch.byteCount else {
      return
    }
    let wanted = min(UInt64(Limits.snapshotPieceBytes), fetch.info.byteCount - offset)
    guard UInt64(bytes.count) == wanted, wanted > 0 else {
      // It does not have it any more.
      snapshots.offers.removeAll { $0.peer == peer }
      snapshots.fetch?.deadline = 0
      return
    }
    snapshots.fetch?.pieces.append(bytes)
    snapshots.fetch?.byteCount += wanted
    if offset + wanted < fetch.info.byteCount { return ask(peer, now.monotonicMicroseconds, &effects) }
    guard let whole = snapshots.fetch else { return }
    install(whole.info, whole.pieces, from: peer, &effects)
  }

  private mutating func install(
    _ info: SnapshotInfo, _ pieces: [[UInt8]], from peer: PeerIndex, _ effects: inout [Effect]
  ) {
    let newest = views.newestKnown
    var snapshot = Snapshot(info: info, bases: [], pieces: pieces)
    do throws(CodecError) {
      let state = try ReplicaState(
        snapshot.info, snapshot.bytes, cluster: configuration.cluster, origins: newest.value.origins.count)
      for (place, base) in state.bases.enumerated() {
        if let cut = newest.value.cut(of: OriginIndex(UInt32(place))), base.head.sequence > cut {
          throw .invalid(field: "log (beyond its end)")
        }
      }
      snapshot = Snapshot(info: info, bases: state.bases, pieces: pieces)
    } catch {
      // Of what the hash says, it was not this peer's doing alone: begin again, with whoever is next.
      effects.append(.notice(.badSnapshot(number: snapshot.info.number, from: peer, error)))
      if SHA256().hash(snapshot.bytes) == snapshot.info.hash { snapshots.refuse(snapshot.info.hash) }
      snapshots.offers.removeAll { $0.peer == peer }
      snapshots.fetch = nil
      return
    }
    snapshots.endFetch()
    snapshots.isInstalling = true
    finishOwnLog(&effects)
    var ends: [(origin: OriginIndex, sequence: UInt64)] = []
    for place in newest.value.origins.indices {
      let origin = OriginIndex(UInt32(place))
      guard let cut = newest.value.cut(of: origin) else { continue }
      ends.append((origin, cut))
      guard isOwn(origin), place < sequencer.logs.count, sequencer.logs[place].held.sequence > cut else { continue }
      wasVoided(sequencer.logs[place].batches.filter { $0.firstSequence > cut }, &effects)
    }
    // All of it is on disk before what is installed sets a part of it aside.
    if isCommitDue { startCommit(&effects) }
    // It holds the base of this view once it has fetched what is above the snapshot, and says nothing before. As a
    // member it vouched for entries that it will not have as entries any more, so it is one no longer, and joins anew.
    let records: [ViewRecord] = [.view(newest), .store(StoreToken(generator.next() | 1))]
    becomeNobody()
    effects.append(.install(snapshot, ends: ends, records: records.map { ($0.key.rawValue, $0.bytes) }))
  }

  /// What was taken in this turn is written before the end: its clients are told after the next commit.
  private mutating func finishOwnLog(_ effects: inout [Effect]) {
    sealOpenBatch()
    for batch in ownSealed { append(batch, &effects) }
    ownSealed.removeAll()
  }
}
