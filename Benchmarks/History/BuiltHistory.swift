import Diagnostics
import EventLog
import Foundation
import Membership
import OrderBook
import Primitives
import Replica
import Storage

/// A node's directory with a history in it, as a node would have written it: logs of three members with real
/// signatures, fill entries and attestations among them; checkpoints, snapshots and derived tables from a real
/// replica that has read those logs.
public struct BuiltHistory: Sendable {
  public struct Shape: Sendable {
    /// About so many entries in all, fills and attestations included.
    public var entries = 5_000
    public var entriesPerSecond = 250
    /// Seconds of stamp time from one snapshot to the next.
    public var snapshotSeconds: UInt64 = 5
    public var seed: UInt64 = 1
    /// Drop the log below the older snapshot.
    public var isCompacted = false
    /// Price levels around the middle in which orders are placed.
    public var prices = 20

    public init(
      entries: Int = 5_000, entriesPerSecond: Int = 250, snapshotSeconds: UInt64 = 5, seed: UInt64 = 1,
      isCompacted: Bool = false, prices: Int = 20
    ) {
      self.entries = entries
      self.entriesPerSecond = entriesPerSecond
      self.snapshotSeconds = snapshotSeconds
      self.seed = seed
      self.isCompacted = isCompacted
      self.prices = prices
    }
  }

  public static let start: UInt64 = 1_700_000_000_000
  public static let instruments = [
    Instrument(
      symbol: Symbol("BTC-USD")!, tick: Increment(mantissa: 5, scale: 1)!, lot: Increment(mantissa: 1, scale: 3)!),
    Instrument(symbol: Symbol("ETH-USD")!),
  ]

  public let directory: String
  public let genesis: Genesis
  /// By place in the register.
  public let keys: [Ed25519]
  public let batches: [Batch]
  public let checkpoints: CheckpointList
  public let entries: UInt64
  public let fills: UInt64

  public var cluster: Hash256 { genesis.clusterID }
  public func chainStart(_ origin: OriginIndex) -> Hash256 {
    HashChain.start(cluster: cluster, origin: genesis.register[origin]!.origin, SHA256())
  }

  /// Writes a history into `directory`, which is made.
  public init(_ shape: Shape = Shape(), in directory: String) throws {
    self.directory = directory
    let keys = (1...3).map { Ed25519(seed: [UInt8](repeating: UInt8($0), count: 32))! }
    genesis = try Genesis(
      members: keys.enumerated().map {
        Genesis.Member(publicKey: $1.publicKey, name: "n\($0 + 1)", token: StoreToken(UInt64($0) + 1))
      })
    self.keys = keys.sorted { $0.publicKey.nodeID < $1.publicKey.nodeID }
    var writer = HistoryWriter(shape, genesis: genesis, keys: self.keys)
    batches = try writer.write()
    entries = batches.reduce(0) { $0 + UInt64($1.entries.count) }
    (checkpoints, fills) = try Self.keep(batches, shape, genesis, self.keys[0], in: directory)
  }

  /// Lets a replica read the log, twice, so that there are two snapshots, and writes what a node would.
  private static func keep(
    _ batches: [Batch], _ shape: Shape, _ genesis: Genesis, _ key: Ed25519, in directory: String
  ) throws -> (CheckpointList, UInt64) {
    let store = try Store.open(
      directory: directory, identity: StoreIdentity(cluster: genesis.clusterID, node: key.publicKey.nodeID))
    defer { store.close(movingLog: true) }
    let records: [ViewRecord] = [.store(genesis.members[0].token), .view(Decision(genesis: genesis))]
    try store.commit(batches: [], records: records.map { ($0.key.rawValue, $0.bytes) })
    for first in stride(from: 0, to: batches.count, by: 64) {
      try store.commit(batches: Array(batches[first..<min(first + 64, batches.count)]))
    }
    let last = batches[batches.count - 1].lastStamp.second
    // The newest second but one that is over ends what is final.
    let finalThrough = Checkpoint.lastStamp(last)
    let interval = shape.snapshotSeconds
    let newest = try read(batches, genesis, key, finalThrough, interval) { run in try store.writeAudit(run) }
    let earlier = Checkpoint.lastStamp(max(1, (last / interval) * interval - 1))
    if interval > 0 {
      let older = try read(batches.filter { $0.lastStamp <= earlier }, genesis, key, earlier, interval) { _ in }
      for snapshot in [older.snapshot, newest.snapshot] {
        guard let snapshot else { continue }
        try store.write(snapshot, pieces: snapshot.pieces.indices)
        try store.finish(snapshot)
      }
    }
    var writer = ByteWriter(reserving: 160)
    newest.checkpoints.newest?.write(to: &writer)
    try store.commit(batches: [], records: [(RecordKey.checkpoint, writer.bytes)], checkpoints: newest.checkpoints)
    while shape.isCompacted, try store.compact(retaining: 0, batchesMax: 1_000) > 0 {}
    return (newest.checkpoints, store.counts().fills)
  }

  private static func read(
    _ batches: [Batch], _ genesis: Genesis, _ key: Ed25519, _ finalThrough: Stamp, _ interval: UInt64,
    _ final: (AppliedRun) throws -> Void
  ) throws -> (checkpoints: CheckpointList, snapshot: Snapshot?) {
    let views = ViewRecords(
      store: genesis.members[0].token, genesis: Decision(genesis: genesis), publicKey: key.publicKey)
    var settings = ReplicaConfiguration(
      cluster: genesis.clusterID, records: views, name: "n1", listenAddress: "nowhere:1", seeds: [],
      bootMilliseconds: 1, seed: 1)
    settings.finalStamp = finalThrough
    settings.snapshotSeconds = interval
    var replica = Replica(configuration: settings, signatures: key)
    var effects: [Effect] = []
    var now = LogicalTime(wallMilliseconds: finalThrough.milliseconds + 10_000, monotonicMicroseconds: 1_000)
    for batch in batches {
      replica.step(.recover(batch), now: now, &effects)
      if replica.finalRunCount > 50_000 { try final(replica.takeFinalRun()) }
    }
    replica.step(.recovered, now: now, &effects)
    try final(replica.takeFinalRun())
    for _ in 0..<10_000 {
      now.monotonicMicroseconds += 10_000
      replica.step(.tick, now: now, &effects)
      if effects.contains(where: { if case .keepSnapshot = $0 { true } else { false } }) { break }
      if interval == 0 { break }
    }
    var snapshot: Snapshot?
    for effect in effects {
      switch effect {
      case .keepSnapshot(let made): snapshot = made
      case .notice(.attestationDiffers), .notice(.fillDiffers):
        throw HistoryError(text: "what was written is not what a replica derives: \(effect)")
      default: break
      }
    }
    return (replica.checkpoints, snapshot)
  }
}

public struct HistoryError: Error, CustomStringConvertible {
  var text: String
  public var description: String { text }
}

/// Writes logs second by second: commands, and what follows from those of the second before.
private struct HistoryWriter: HistoryObserver {
  private let shape: BuiltHistory.Shape
  private let genesis: Genesis
  private let keys: [Ed25519]
  private var generator: SeededGenerator
  private var heads: [Head] = []
  private let sha = SHA256()
  private var instruments: [Dot] = []
  /// Orders that were placed of late, and whose they are.
  private var placed: [(dot: Dot, account: AccountID, stamp: Stamp)] = []
  /// By home, fills that are not published yet.
  private var fills: [[FillAttestation]] = [[], [], []]
  private var attestations: [CheckpointAttestation] = []

  init(_ shape: BuiltHistory.Shape, genesis: Genesis, keys: [Ed25519]) {
    self.shape = shape
    self.genesis = genesis
    self.keys = keys
    generator = SeededGenerator(seed: shape.seed)
    for origin in genesis.register.origins {
      heads.append(
        Head(sequence: 0, hash: HashChain.start(cluster: genesis.clusterID, origin: origin.origin, SHA256())))
    }
  }

  mutating func applied(_ dot: Dot, _ entry: Entry, _ events: EventRun, isFinal: Bool) {
    for event in events {
      if case .filled(let fill) = event { fills[fill.taker.origin.int].append(FillAttestation(fill)) }
    }
  }

  mutating func closed(_ checkpoint: Checkpoint, isAttested: Bool) {
    if isAttested { attestations.append(checkpoint.attestation) }
  }

  mutating func write() throws -> [Batch] {
    var replay = HistoryReplay(cluster: genesis.clusterID, finalThrough: Stamp(.max))
    var all: [Batch] = []
    var written = 0
    var second = BuiltHistory.start
    while written < shape.entries {
      var made: [Batch] = []
      let published = attestations
      attestations.removeAll()
      for origin in 0..<3 {
        let mine = fills[origin]
        fills[origin].removeAll()
        made += self.made(origin, at: second, mine, published)
      }
      made.sort { $0.firstKey < $1.firstKey }
      for batch in made {
        try replay.add(batch, &self)
        written += batch.entries.count
      }
      all += made
      // Now and then nothing happens for some seconds.
      second += generator.chance(1, of: 12) ? 3_000 : 1_000
    }
    return all
  }

  /// One origin's batches of a second.
  private mutating func made(
    _ origin: Int, at milliseconds: UInt64, _ fills: [FillAttestation], _ attestations: [CheckpointAttestation]
  ) -> [Batch] {
    var payloads: [Payload] = fills.map { .fill($0) } + attestations.map { .checkpoint($0) }
    if milliseconds == BuiltHistory.start, origin == 0 {
      payloads += BuiltHistory.instruments.map { .command(.instrument($0)) }
    }
    let published = payloads.count
    let commands = max(1, shape.entriesPerSecond / 3)
    let count = published + commands
    // Stamps of the origins lie among each other.
    let step = max(2, UInt64(900 << 16) / UInt64(count))
    var stamp = milliseconds << 16 + UInt64(origin)
    var batches: [Batch] = []
    var builder = BatchBuilder(origin: OriginIndex(UInt32(origin)), firstSequence: heads[origin].sequence + 1)
    let batchEntries = max(8, shape.entriesPerSecond / 12)
    for index in 0..<count {
      stamp += 1 + generator.below(step - 1)
      let dot = Dot(origin: builder.origin, sequence: builder.nextSequence)
      let payload = index < published ? payloads[index] : .command(command(dot, Stamp(stamp)))
      if case .command(.instrument) = payload { instruments.append(dot) }
      builder.append(Entry(stamp: Stamp(stamp), payload: payload))
      if builder.entries.count >= batchEntries || !builder.canTake(stamp: Stamp(stamp + step)) {
        batches.append(seal(builder))
        builder = BatchBuilder(origin: builder.origin, firstSequence: heads[origin].sequence + 1)
      }
    }
    if !builder.isEmpty { batches.append(seal(builder)) }
    return batches
  }

  private mutating func seal(_ builder: BatchBuilder) -> Batch {
    let origin = builder.origin
    let bytes = builder.canonicalBytes()
    let hash = HashChain.link(previous: heads[origin.int].hash, bytes: bytes, sha)
    heads[origin.int] = Head(sequence: builder.nextSequence - 1, hash: hash)
    let signed = HashChain.signedHead(
      cluster: genesis.clusterID, origin: genesis.register[origin]!.origin, view: 0, head: heads[origin.int])
    return Batch(
      origin: origin, firstSequence: builder.firstSequence, entries: builder.entries, bytes: bytes, hash: hash, view: 0,
      signature: keys[origin.int].sign(signed))
  }

  private mutating func command(_ dot: Dot, _ stamp: Stamp) -> Command {
    let choice = generator.below(100)
    if choice < 35, !placed.isEmpty {
      let place = Int(generator.below(UInt64(placed.count)))
      let target = placed[place]
      if choice < 8 {
        return .amend(
          Amend(
            account: target.account, target: .dot(target.dot), targetStamp: target.stamp,
            priceTicks: price(), quantityLots: 1 + Int64(generator.below(40)), quantityMeaning: .open))
      }
      placed.remove(at: place)
      return .cancel(Cancel(account: target.account, target: .dot(target.dot), targetStamp: target.stamp))
    }
    let instrument = instruments[Int(generator.below(UInt64(instruments.count)))]
    var order = Order(
      instrument: instrument, account: AccountID(1 + generator.below(9)),
      side: generator.chance(1, of: 2) ? .buy : .sell,
      priceTicks: price(), quantityLots: 1 + Int64(generator.below(40)))
    switch choice % 20 {
    case 0: order.displayLots = 1 + order.quantityLots / 4
    case 1:
      order.timeInForce = .goodTillDate
      order.expiry = Stamp(milliseconds: stamp.milliseconds + 1 + generator.below(8_000))
    case 2:
      order.type = .stopLimit
      order.stopPriceTicks = price()
    case 3: order.timeInForce = .immediateOrCancel
    case 4:
      order.clientOrderID = ClientOrderID(dot.sequence)
      order.clientTimeMilliseconds = stamp.milliseconds
    default: break
    }
    placed.append((dot, order.account, stamp))
    if placed.count > 400 { placed.removeFirst() }
    return .order(order)
  }

  private mutating func price() -> Int64 { 1_000 + Int64(generator.below(UInt64(shape.prices))) }
}
