import EventLog
import Gossip
import Membership
import OrderBook
import Primitives

@testable import Replica

/// Whole replicas in virtual time, in one thread: a seeded network that delays, and disks that sync when told.
///
/// It carries out effects exactly as a node does: what waits for a commit leaves only when that commit is durable.
final class VirtualCluster {
  final class Node {
    var replica: Replica
    let index: Int
    /// What is on this node's disk.
    var disk: [Batch] = []
    var records: [(key: String, value: [UInt8])] = []
    /// Appended, not synced yet.
    var unsynced: [Batch] = []
    var gate = CommitGate()
    var accepted: [(request: UInt64, dot: Dot, stamp: Stamp)] = []
    var refused: [RefusalReason] = []
    var reports: [OrderReport] = []
    var notices: [Notice] = []
    var halted: String?
    var final = AppliedRun()
    var clockSkewMilliseconds: Int64 = 0
    var batchesReceived = 0
    /// What it wants to be read, by the next tick.
    var reading: LogReading?
    /// Snapshots on its disk, and one that it was told to start anew from.
    var snapshots: [Snapshot] = []
    var installed: (snapshot: Snapshot, records: [(key: String, value: [UInt8])])?
    /// What it has said of snapshots, and to whom.
    var said: [(to: Int, message: SnapshotMessage)] = []
    /// By origin, entries that it keeps no more as entries.
    var compacted: [UInt64] = []

    init(_ replica: consuming Replica, index: Int) {
      self.replica = replica
      self.index = index
    }
  }

  struct Delivery {
    var at: UInt64
    var number: UInt64
    var from: Int
    var to: Int
    var message: PeerMessage
  }

  let genesis: Genesis
  let keys: [Ed25519]
  var nodes: [Node] = []
  var generator: SeededGenerator
  var nowMicroseconds: UInt64 = 1_000
  static let wallStartMilliseconds: UInt64 = 1_700_000_000_000
  private var queue: [Delivery] = []
  private var deliveries: UInt64 = 0
  /// Last arrival on a link: TCP keeps the order.
  private var lastArrival: [[UInt64]]
  var latencyMicroseconds: ClosedRange<Int> = 50...2_000
  /// Links that lose everything.
  var cut: Set<Int> = []
  var messagesSent = 0
  var wordsSent = 0

  /// - Parameter observers: nodes after the members that only follow, and are linked to nobody.
  init(
    nodes members: Int, observers: Int = 0, fanout: Int = 3, seed: UInt64,
    tentativeEntriesMax: Int = Limits.tentativeEntriesMax, snapshotSeconds: UInt64 = 0, defects: Defects = [],
    liars: [Int] = [], scrubMicroseconds: UInt64 = 1_000_000
  ) throws {
    let count = members + observers
    self.defects = defects
    self.liars = liars
    self.scrubMicroseconds = scrubMicroseconds
    self.tentativeEntriesMax = tentativeEntriesMax
    self.snapshotSeconds = snapshotSeconds
    generator = SeededGenerator(seed: seed)
    var keys: [Ed25519] = []
    for index in 0..<count {
      var bytes = [UInt8](repeating: UInt8(index + 1), count: 32)
      bytes[31] = 7
      keys.append(Ed25519(seed: bytes)!)
    }
    genesis = try Genesis(
      members: keys.prefix(members).enumerated().map {
        Genesis.Member(publicKey: $1.publicKey, name: "n\($0 + 1)", token: StoreToken(UInt64($0) + 1))
      })
    // In the register's order, so that index and origin agree.
    self.keys =
      keys.prefix(members).sorted { $0.publicKey.nodeID < $1.publicKey.nodeID } + Array(keys.dropFirst(members))
    lastArrival = Array(repeating: Array(repeating: 0, count: count), count: count)
    self.fanout = fanout
    for index in 0..<count { nodes.append(Node(makeReplica(index), index: index)) }
    for node in nodes { give(.recovered, to: node.index) }
    for from in 0..<members { for to in 0..<members where from != to { link(from, to) } }
    // Until they have heard of each other they take no orders.
    run(milliseconds: 20)
  }

  let fanout: Int
  let tentativeEntriesMax: Int
  let snapshotSeconds: UInt64
  let defects: Defects
  /// Nodes that attest what was not.
  let liars: [Int]
  let scrubMicroseconds: UInt64

  func origin(_ index: Int) -> OriginIndex { OriginIndex(UInt32(index)) }
  /// Links are named by the place of the node at the other end.
  func peer(_ index: Int) -> PeerIndex { PeerIndex(UInt32(index)) }

  func link(_ index: Int, _ to: Int) {
    give(.linkUp(peer(to), key: keys[to].publicKey, address: ""), to: index)
  }

  func configuration(_ index: Int) -> ReplicaConfiguration {
    let isMember = index < genesis.members.count
    let records = ViewRecords(
      store: isMember ? genesis.members[index].token : StoreToken(1_000 + UInt64(index)),
      genesis: Decision(genesis: genesis), publicKey: keys[index].publicKey)
    var configuration = ReplicaConfiguration(
      cluster: genesis.clusterID, records: records, name: "n\(index + 1)",
      listenAddress: "node\(index):1", seeds: [], bootMilliseconds: 1, seed: generator.next())
    configuration.gossip.fanout = fanout
    configuration.tentativeEntriesMax = tentativeEntriesMax
    configuration.snapshotSeconds = snapshotSeconds
    configuration.wantsMembership = isMember
    if index < nodes.count { configuration.snapshots = nodes[index].snapshots.map(\.info) }
    configuration.defects = liars.contains(index) ? [.liesInAttestation] : defects
    configuration.scrubMicroseconds = scrubMicroseconds
    return configuration
  }

  private func makeReplica(_ index: Int) -> Replica {
    Replica(configuration: configuration(index), signatures: keys[index])
  }

  func now(_ node: Node) -> LogicalTime {
    let wall = Int64(Self.wallStartMilliseconds + nowMicroseconds / 1000) + node.clockSkewMilliseconds
    return LogicalTime(wallMilliseconds: UInt64(wall), monotonicMicroseconds: nowMicroseconds)
  }

  // MARK: Steps

  /// One input, then the end of the turn.
  func give(_ input: Input, to index: Int, flush: Bool = true) {
    let node = nodes[index]
    guard node.halted == nil else { return }
    var effects: [Effect] = []
    node.replica.step(input, now: now(node), &effects)
    if flush { node.replica.step(.flush, now: now(node), &effects) }
    carryOut(&effects, node)
  }

  private func carryOut(_ effects: inout [Effect], _ node: Node) {
    var place = 0
    while place < effects.count {
      let effect = effects[place]
      place += 1
      guard node.gate.admit(effect) else { continue }
      switch effect {
      case .append(let batch): node.unsynced.append(batch)
      case .persist(let key, let value): node.records.append((key, value))
      case .void(let origin, let last):
        node.unsynced.removeAll { $0.origin == origin && $0.lastSequence > last }
        node.disk.removeAll { $0.origin == origin && $0.lastSequence > last }
      case .commit(let number):
        node.disk += node.unsynced
        node.unsynced.removeAll()
        for effect in node.gate.open(through: number) { perform(effect, node) }
        node.replica.step(.committed(number), now: now(node), &effects)
      default: perform(effect, node)
      }
    }
    collect(node)
  }

  private func collect(_ node: Node) {
    let run = node.replica.takeFinalRun()
    if let anew = run.anew { node.final = node.final.prefix(Int(anew.entries)) }
    for index in run.items.indices {
      node.final.append(dot: run.items[index].dot, entry: run.items[index].entry, events: run.events(at: index))
    }
  }

  private func perform(_ effect: Effect, _ node: Node) {
    switch effect {
    case .send(let to, let message, _):
      if case .snapshot(let said) = message { node.said.append((to.int, said)) }
      send(message, node.index, to.int)
    case .keepSnapshot(let snapshot):
      node.snapshots = (node.snapshots + [snapshot]).suffix(Limits.snapshotGenerations)
      give(.snapshotsKept(node.snapshots.map(\.info)), to: node.index, flush: false)
    case .servePiece(let to, let info, let offset):
      let pieces = node.snapshots.first { $0.info == info }?.pieces ?? []
      let place = Int(offset) / Limits.snapshotPieceBytes
      let bytes = place < pieces.count ? pieces[place] : []
      send(.snapshot(.piece(hash: info.hash, offset: offset, bytes: bytes)), node.index, to.int)
    case .install(let snapshot, _, let records): node.installed = (snapshot, records)
    case .accepted(_, let first, let dot, let stamps, _):
      for (offset, stamp) in stamps.enumerated() {
        node.accepted.append(
          (first + UInt64(offset), Dot(origin: dot.origin, sequence: dot.sequence + UInt64(offset)), stamp))
      }
    case .report(_, let reports, _): node.reports += reports
    case .refused(_, _, _, let reason): node.refused.append(reason)
    case .serve(let to, let range):
      if range.origin.int < node.compacted.count, range.from <= node.compacted[range.origin.int] {
        let through = node.compacted[range.origin.int]
        return send(.snapshot(.compacted(origin: range.origin, through: through)), node.index, to.int)
      }
      var through = range.from - 1
      for batch in node.disk where batch.origin == range.origin && batch.firstSequence >= range.from {
        guard batch.firstSequence == through + 1, batch.firstSequence <= range.through else { continue }
        send(.batch(batch.sealed), node.index, to.int)
        through = batch.lastSequence
      }
      send(.served(origin: range.origin, through: through), node.index, to.int)
    case .notice(let notice): node.notices.append(notice)
    case .halt(let reason): node.halted = reason
    case .readLog(let reading): node.reading = reading
    case .dropSnapshots(let number):
      node.snapshots.removeAll { $0.info.number > number }
      give(.snapshotsKept(node.snapshots.map(\.info)), to: node.index, flush: false)
    case .mendLog(let hole, _): give(.logMended(hole, false), to: node.index, flush: false)
    case .dial, .disconnect, .left: break
    case .append, .void, .persist, .keepCheckpoints, .commit: break
    }
  }

  /// The whole log from its start at once, or nothing more.
  private func read(_ reading: LogReading, _ node: Node) {
    node.reading = nil
    var piece = LogPiece(rebuild: reading.rebuild)
    if reading.isStart { piece.batches = node.disk.sorted { $0.firstKey < $1.firstKey } }
    piece.isEnd = true
    give(.logRead(piece), to: node.index)
  }

  private func send(_ message: PeerMessage, _ from: Int, _ to: Int) {
    messagesSent += 1
    if case .word = message { wordsSent += 1 }
    guard !cut.contains(from * 1_000 + to) else { return }
    let delay = UInt64(generator.pick(latencyMicroseconds))
    let at = max(nowMicroseconds + delay, lastArrival[from][to])
    lastArrival[from][to] = at
    deliveries += 1
    queue.append(Delivery(at: at, number: deliveries, from: from, to: to, message: message))
  }

  /// Lets virtual time pass: deliveries in order, a tick of every node each 5 ms.
  func run(milliseconds: UInt64) {
    let end = nowMicroseconds + milliseconds * 1000
    var nextTick = nowMicroseconds
    while true {
      let due = queue.indices.min { (queue[$0].at, queue[$0].number) < (queue[$1].at, queue[$1].number) }
      let at = due.map { queue[$0].at } ?? UInt64.max
      if min(at, nextTick) > end { break }
      if nextTick <= at {
        nowMicroseconds = nextTick
        for node in nodes {
          if let reading = node.reading { read(reading, node) }
          give(.tick, to: node.index, flush: false)
        }
        nextTick += 5_000
      } else if let due {
        let delivery = queue.remove(at: due)
        nowMicroseconds = max(nowMicroseconds, delivery.at)
        if case .batch = delivery.message { nodes[delivery.to].batchesReceived += 1 }
        give(.message(from: peer(delivery.from), delivery.message), to: delivery.to)
      }
    }
    nowMicroseconds = end
  }

  /// Kills a node: what was not synced is gone; then it starts again from its disk.
  /// - Parameter snapshot: from which it starts, reading only what is above.
  func crash(_ index: Int, from snapshot: Snapshot? = nil) {
    let old = nodes[index]
    var settings = configuration(index)
    for (key, value) in old.records + (old.installed?.records ?? []) {
      guard let key = ViewRecord.Key(rawValue: key),
        let record = try? value.withUnsafeBytes({ raw in try ViewRecord(key: key, bytes: raw) })
      else { continue }
      settings.records.restore(record)
    }
    if let ceiling = old.records.last(where: { $0.key == RecordKey.clockCeiling }),
      let value = try? ceiling.value.withReader({ (reader) throws(CodecError) in
        try reader.readFixed("c", as: UInt64.self)
      })
    {
      settings.clockCeiling = Stamp(value)
    }
    let node = Node(Replica(configuration: settings, signatures: keys[index]), index: index)
    if let snapshot {
      let origins = settings.records.view.value.origins.count
      guard
        let state = try? ReplicaState(snapshot.info, snapshot.bytes, cluster: genesis.clusterID, origins: origins)
      else { preconditionFailure("the snapshot is none") }
      node.replica = Replica(configuration: settings, signatures: keys[index], from: state)
    }
    node.disk = old.disk.filter { batch in
      guard let snapshot, batch.origin.int < snapshot.bases.count else { return true }
      return batch.firstSequence > snapshot.bases[batch.origin.int].head.sequence
    }
    node.records = old.records + (old.installed?.records ?? [])
    node.snapshots = old.snapshots
    node.said = old.said
    node.notices = old.notices
    node.compacted = old.compacted
    nodes[index] = node
    queue.removeAll { $0.from == index || $0.to == index }
    for other in nodes where other.index != index { give(.linkDown(peer(index)), to: other.index) }
    for batch in node.disk.sorted(by: { $0.firstKey < $1.firstKey }) { give(.recover(batch), to: index, flush: false) }
    give(.recovered, to: index)
    for other in nodes where other.index != index {
      link(other.index, index)
      link(index, other.index)
    }
  }

  /// Runs until nobody has anything left to say: checkpoints are closed, and all that is said of them is final. False
  /// after `milliseconds`.
  func rest(milliseconds: UInt64 = 8_000) -> Bool {
    for _ in 0..<(milliseconds / 20) {
      run(milliseconds: 20)
      let vectors = nodes.map { $0.replica.status.vector }
      if vectors.allSatisfy({ $0 == vectors[0] }), nodes.allSatisfy({ $0.replica.isAtRest }) { return true }
    }
    return false
  }

  /// Runs until every replica has applied the same entries and nothing is tentative; false after `milliseconds`.
  func settle(milliseconds: UInt64 = 5_000) -> Bool {
    for _ in 0..<(milliseconds / 20) {
      run(milliseconds: 20)
      let states = nodes.map { $0.replica.status }
      if states.allSatisfy({ $0.vector == states[0].vector && $0.tentative == 0 && $0.applied == $0.entries }) {
        return true
      }
    }
    return false
  }
}

extension AppliedRun {
  /// The first items.
  func prefix(_ count: Int) -> AppliedRun {
    var first = AppliedRun()
    for index in 0..<min(count, items.count) {
      first.append(dot: items[index].dot, entry: items[index].entry, events: events(at: index))
    }
    return first
  }
}
