import DequeModule
import EventLog
import OrderBook
import Primitives

/// What a snapshot holds, read and verified: everything that a replica needs to go on from a checkpoint's boundary.
///
/// ```
/// snapshot  "rialto.snapshot.1", cluster id 32, book as `EngineFormat` has it, final orders, newest attested number,
///           checkpoints as `CheckpointList` has them; logs, each: sequence, [hash 32, last stamp]; the last not 0;
///           members, each: agrees through, has-early u8, [number, fills, book hash 32, checkpoint hash 32];
///           homes, each: is-trimmed u8, fills that wait, fills compared last; the last is not empty
/// fill      maker, taker: origin, sequence; price, quantity
/// ```
/// Numbers are varints. Logs are by place in the register, each up to the last batch below the boundary; a sequence of
/// 0 has nothing after it. Members say what their attestations are known to agree with, and the newest that came too
/// early to be compared. Homes have what `FillLedger` holds of them: the final fills whose entries are not final yet,
/// and the last ones whose entries are, by which a repetition is told from a mistake.
///
/// All of it follows from the final entries below the boundary. What a node knows besides, such as its own entries
/// above, it has from its own log.
public struct ReplicaState: ~Copyable {
  public let info: SnapshotInfo
  /// Final fills below the boundary.
  public var finalFills: UInt64 { checkpoints.newest?.fills ?? 0 }
  /// By place in the register: what the snapshot stands for.
  public let bases: [LogBase]
  package internal(set) var engine: MatchingEngine
  /// Those that are kept of all up to its own.
  public let checkpoints: CheckpointList
  let newestAttested: UInt64
  public let finalOrders: UInt64
  let members: [CheckpointKeeper.Member]
  package let homes: [FillLedger.Home]

  public var instruments: [(dot: Dot, instrument: Instrument)] { engine.instruments }
  /// Every order that is open, stops that wait included.
  /// - Complexity: O(n log n) for n orders.
  public var openOrders: [RestingOrder] { engine.openOrders }

  package static let tag = Array("rialto.snapshot.1".utf8)

  /// Reads a snapshot and holds everything in it against everything else: its bytes against their hash, the book
  /// against the checkpoint, the logs against the book.
  ///
  /// That it is what the cluster agreed on, nothing in it can say: `info` must be known from elsewhere, from this
  /// node's own disk or from a majority.
  /// - Parameter origins: how many the register has; one that names others is refused.
  /// - Throws: `CodecError`.
  /// - Complexity: O(bytes).
  public init(_ info: SnapshotInfo, _ bytes: [UInt8], cluster: Hash256, origins: Int) throws(CodecError) {
    guard UInt64(bytes.count) == info.byteCount, SHA256().hash(bytes) == info.hash else {
      throw .invalid(field: "snapshot hash")
    }
    try self.init(info, unverified: bytes, cluster: cluster, origins: origins)
  }

  /// As above, of bytes whose hash nobody looked at.
  package init(
    _ info: SnapshotInfo, unverified bytes: [UInt8], cluster: Hash256, origins: Int
  ) throws(CodecError) {
    var engine = MatchingEngine()
    let rest: Rest
    do {
      rest = try bytes.withUnsafeBytes { raw in
        var reader = ByteReader(raw)
        guard try reader.readBytes(Self.tag.count, "snapshot tag") == Self.tag,
          try reader.readHash("cluster") == cluster
        else { throw CodecError.invalid(field: "snapshot tag") }
        engine = try MatchingEngine(from: &reader)
        return try Rest(&reader)
      }
    } catch let error as CodecError {
      throw error
    } catch {
      preconditionFailure("nothing else is thrown")
    }
    guard let newest = rest.checkpoints.newest, newest.number == info.number, newest.hash == info.checkpointHash,
      rest.newestAttested <= newest.number, rest.bases.count <= origins
    else { throw .invalid(field: "checkpoint") }
    let last = Checkpoint.lastStamp(newest.number)
    var stamp = Stamp.zero
    var entries: UInt64 = 0
    for (place, base) in rest.bases.enumerated() {
      guard engine.appliedSequence(OriginIndex(UInt32(place))) == base.head.sequence, base.stamp <= last else {
        throw .invalid(field: "log")
      }
      stamp = max(stamp, base.stamp)
      entries += base.head.sequence
    }
    for place in rest.bases.count..<Limits.originsMax where engine.appliedSequence(OriginIndex(UInt32(place))) > 0 {
      throw .invalid(field: "log")
    }
    guard stamp == engine.newestKey.stamp, Checkpoint.number(closing: stamp) == newest.number,
      entries == info.entries, Replica.bookHash(at: Checkpoint.boundary(newest.number), of: &engine) == newest.bookHash
    else { throw .invalid(field: "book") }
    self.info = info
    bases = rest.bases
    self.engine = engine
    checkpoints = rest.checkpoints
    newestAttested = rest.newestAttested
    finalOrders = rest.finalOrders
    members = rest.members
    homes = rest.homes
  }

  /// What comes after the book.
  private struct Rest {
    var checkpoints: CheckpointList
    var newestAttested: UInt64
    var finalOrders: UInt64
    var bases: [LogBase] = []
    var members: [CheckpointKeeper.Member] = []
    var homes: [FillLedger.Home] = []

    init(_ reader: inout ByteReader) throws(CodecError) {
      finalOrders = try reader.readVarint("final orders")
      newestAttested = try reader.readVarint("newest attested number")
      checkpoints = try CheckpointList(from: &reader, SHA256())
      for _ in 0..<(try reader.readSnapshotCount("logs")) {
        let sequence = try reader.readVarint("log", max: UInt64.max >> 2)
        bases.append(
          LogBase(
            head: Head(sequence: sequence, hash: sequence == 0 ? .zero : try reader.readHash("log hash")),
            stamp: sequence == 0 ? .zero : Stamp(try reader.readVarint("log stamp"))))
      }
      for _ in 0..<(try reader.readSnapshotCount("members")) {
        var member = CheckpointKeeper.Member()
        member.equalThrough = try reader.readVarint("attested", max: checkpoints.newest?.number ?? 0)
        switch try reader.readByte("has early") {
        case 0: break
        case 1:
          let number = try reader.readVarint("early attestation")
          guard number > checkpoints.newest?.number ?? 0 else { throw .invalid(field: "early attestation") }
          member.early = CheckpointAttestation(
            number: number, fills: try reader.readVarint("fills"), bookHash: try reader.readHash("book hash"),
            checkpointHash: try reader.readHash("checkpoint hash"))
        default: throw .invalid(field: "has early")
        }
        members.append(member)
      }
      var waiting = 0
      for place in 0..<(try reader.readSnapshotCount("homes")) {
        let origin = OriginIndex(UInt32(place))
        var home = FillLedger.Home()
        let flag = try reader.readByte("is trimmed")
        guard flag < 2 else { throw .invalid(field: "is trimmed") }
        home.isTrimmed = flag == 1
        home.derived = try reader.readSnapshotFills(of: origin, max: Limits.unpublishedFillsMax - waiting)
        home.compared = try reader.readSnapshotFills(of: origin, max: Limits.comparedFillsMax)
        waiting += home.derived.count
        homes.append(home)
      }
      try reader.expectEnd()
      guard bases.last?.head.sequence != 0, members.last != CheckpointKeeper.Member(), homes.last?.isEmpty != true
      else { throw .invalid(field: "snapshot") }
    }
  }
}

extension ByteReader {
  /// A count of origins that take at least a byte each.
  fileprivate mutating func readSnapshotCount(_ field: StaticName) throws(CodecError) -> Int {
    let count = try readVarint(field, max: UInt64(Limits.originsMax))
    guard count <= UInt64(remaining) else { throw .truncated(field: field) }
    return Int(count)
  }

  private mutating func readSnapshotDot() throws(CodecError) -> Dot {
    let origin = OriginIndex(UInt32(try readVarint("origin", max: UInt64(Limits.originsMax - 1))))
    return Dot(origin: origin, sequence: try readVarint("sequence"))
  }

  fileprivate mutating func readSnapshotFills(
    of home: OriginIndex, max: Int
  ) throws(CodecError) -> Deque<FillAttestation> {
    var fills: Deque<FillAttestation> = []
    for _ in 0..<(try readVarint("fills", max: UInt64(max))) { fills.append(try readSnapshotFill(of: home)) }
    return fills
  }

  private mutating func readSnapshotFill(of home: OriginIndex) throws(CodecError) -> FillAttestation {
    let fill = FillAttestation(
      maker: try readSnapshotDot(), taker: try readSnapshotDot(),
      priceTicks: Int64(try readVarint("price", max: UInt64(Limits.priceTicksMax))),
      quantityLots: Int64(try readVarint("quantity", max: UInt64(Limits.quantityLotsMax))))
    guard fill.taker.origin == home, fill.priceTicks > 0, fill.quantityLots > 0 else { throw .invalid(field: "fill") }
    return fill
  }
}

extension ByteWriter {
  fileprivate mutating func write(snapshot fill: FillAttestation) {
    for dot in [fill.maker, fill.taker] {
      writeVarint(UInt64(dot.origin.value))
      writeVarint(dot.sequence)
    }
    writeVarint(UInt64(fill.priceTicks))
    writeVarint(UInt64(fill.quantityLots))
  }
}

extension ReplicaState {
  /// Starts a snapshot with the book as it is now.
  package static func writeBook(_ engine: borrowing MatchingEngine, cluster: Hash256) -> PieceWriter {
    var out = PieceWriter(pieceBytes: Limits.snapshotPieceBytes)
    out.open.write(tag)
    out.open.write(cluster)
    engine.write(to: &out)
    return out
  }

  /// The rest of a snapshot.
  /// - Precondition: the newest checkpoint has just been closed, and nothing beyond it is final.
  package static func writeRest(
    finalOrders: UInt64, _ keeper: borrowing CheckpointKeeper, bases: [LogBase], _ ledger: FillLedger,
    to out: inout PieceWriter
  ) {
    out.open.writeVarint(finalOrders)
    out.open.writeVarint(keeper.newestAttested)
    keeper.list.write(to: &out.open)
    out.cut()
    out.open.writeVarint(UInt64(bases.count))
    for base in bases {
      out.open.writeVarint(base.head.sequence)
      if base.head.sequence == 0 { continue }
      out.open.write(base.head.hash)
      out.open.writeVarint(base.stamp.value)
      out.cut()
    }
    var members = keeper.members.count
    while members > 0, keeper.members[members - 1] == CheckpointKeeper.Member() { members -= 1 }
    out.open.writeVarint(UInt64(members))
    for member in keeper.members[..<members] {
      out.open.writeVarint(member.equalThrough)
      out.open.write(member.early == nil ? 0 : 1)
      guard let early = member.early else { continue }
      out.open.writeVarint(early.number)
      out.open.writeVarint(early.fills)
      out.open.write(early.bookHash)
      out.open.write(early.checkpointHash)
      out.cut()
    }
    var homes = ledger.homes.count
    while homes > 0, ledger.homes[homes - 1].isEmpty { homes -= 1 }
    out.open.writeVarint(UInt64(homes))
    for home in 0..<homes {
      out.open.write(ledger.homes[home].isTrimmed ? 1 : 0)
      write(ledger.homes[home].derived, to: &out)
      write(ledger.homes[home].compared, to: &out)
    }
  }

  private static func write(_ fills: Deque<FillAttestation>, to out: inout PieceWriter) {
    out.open.writeVarint(UInt64(fills.count))
    for fill in fills {
      out.open.write(snapshot: fill)
      out.cut()
    }
  }

  package consuming func takeEngine() -> MatchingEngine { engine }
}

extension Replica {
  /// Of each origin the last batch that is final.
  /// - Precondition: finality ends between batches.
  var finalBases: [LogBase] {
    var logs = sequencer.logs.count
    while logs > 0, sequencer.logs[logs - 1].final == 0 { logs -= 1 }
    return (0..<logs).map {
      let base = sequencer.logs[$0].finalBase
      return base.head.sequence > 0 ? base : LogBase(head: Head(sequence: 0, hash: .zero), stamp: .zero)
    }
  }

  /// Takes what a snapshot holds for what was before.
  /// - Precondition: nothing was recovered yet; the register has all its origins.
  mutating func restore(_ state: consuming ReplicaState) {
    let info = state.info
    restoredEntries = info.entries
    keeper.restore(state)
    if !configuration.defects.contains(.snapshotForgetsFills) { ledger.restore(state.homes) }
    clock.merge(state.engine.newestKey.stamp)
    let (bases, fills, orders) = (state.bases, keeper.fills, state.finalOrders)
    sequencer.restore(state.takeEngine(), bases: bases, fills: fills, orders: orders)
    if let me {
      publisher.restart(newestAttestedCheckpoint, attestedThrough: keeper.attested(by: me))
      open = BatchBuilder(origin: me, firstSequence: sequencer.logs[me.int].held.sequence + 1)
    }
  }
}

extension FillLedger {
  /// Starts with what a snapshot says of homes.
  package mutating func restore(_ restored: [Home]) {
    homes = restored
    waiting = restored.reduce(0) { $0 + $1.derived.count }
  }
}

extension FillLedger.Home {
  /// Nothing in it follows from final entries.
  fileprivate var isEmpty: Bool { derived.isEmpty && compared.isEmpty && !isTrimmed }
}
