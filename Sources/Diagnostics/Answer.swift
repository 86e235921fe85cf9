import EventLog
import OrderBook
import Primitives

/// The answer to a `Question`.
///
/// ```
/// answer  kind u8 as the question's, or 0; fields
/// ```
/// 0 is followed by a text: why it cannot be answered. Lists have their count before them; what may be missing has a u8
/// before it that says whether it is there. Hashes are 32 bytes, other integers varints unless said otherwise.
public enum Answer: Hashable, Sendable {
  case unavailable(String)
  case overview(Overview)
  /// By rising number.
  case checkpoints([CheckpointName])
  case checkpoint(Checkpoint?)
  /// By rising origin: the run of batches in the range.
  case heads([LogPosition])
  case places([LogPosition?])
  case batch(StoredBatch?)
  /// Nil where there are fewer fills.
  case fillHashes([Hash256?])
  case fills([StoredFill])
  case book(BookSummary)
  case levels([LevelRange])
  case orders([ComparedOrder], isMore: Bool)
  case instruments([NamedInstrument])
  case queues([QueueOutline])
  /// Nil if it is not known any more, or not yet; zero if that second held nothing.
  case checkpointHashes([Hash256?])
  case trace(EntryTrace)
  /// Nil if the tables have no such order.
  case fate(OrderFate?)

  public static let headsMax = 1_024
  public static let ordersMax = 256
  static let textBytesMax = 1_024

  public func write(to writer: inout ByteWriter) {
    switch self {
    case .unavailable(let reason):
      writer.write(0)
      writer.write(text: reason, max: Self.textBytesMax)
    case .overview(let overview):
      writer.write(1)
      overview.write(to: &writer)
    case .checkpoints(let names):
      writer.write(2)
      writer.write(list: names) { $1.write(to: &$0) }
    case .checkpoint(let checkpoint):
      writer.write(3)
      writer.write(optional: checkpoint) { $1.write(to: &$0) }
    case .heads(let heads):
      writer.write(4)
      writer.write(list: heads) { $1.write(to: &$0) }
    case .places(let places):
      writer.write(5)
      writer.write(list: places) { writer, place in writer.write(optional: place) { $1.write(to: &$0) } }
    case .batch(let batch):
      writer.write(6)
      writer.write(optional: batch) { $1.write(to: &$0) }
    case .fillHashes(let hashes):
      writer.write(7)
      writer.write(list: hashes) { writer, hash in writer.write(optional: hash) { $0.write($1) } }
    case .fills(let fills):
      writer.write(8)
      writer.write(list: fills) { $1.write(to: &$0) }
    case .book(let summary):
      writer.write(9)
      summary.write(to: &writer)
    case .levels(let ranges):
      writer.write(10)
      writer.write(list: ranges) { $1.write(to: &$0) }
    case .orders(let orders, let isMore):
      writer.write(11)
      writer.write(list: orders) { $1.write(to: &$0) }
      writer.write(isMore ? 1 : 0)
    case .instruments(let instruments):
      writer.write(12)
      writer.write(list: instruments) { $1.write(to: &$0) }
    case .queues(let queues):
      writer.write(13)
      writer.write(list: queues) { $1.write(to: &$0) }
    case .checkpointHashes(let hashes):
      writer.write(14)
      writer.write(list: hashes) { writer, hash in writer.write(optional: hash) { $0.write($1) } }
    case .trace(let trace):
      writer.write(15)
      trace.write(to: &writer)
    case .fate(let fate):
      writer.write(16)
      writer.write(optional: fate) { $1.write(to: &$0) }
    }
  }

  public var bytes: [UInt8] {
    var writer = ByteWriter(reserving: 256)
    write(to: &writer)
    return writer.bytes
  }

  public init(bytes: [UInt8]) throws(CodecError) {
    self = try bytes.withReader { (reader) throws(CodecError) in
      let answer = try Answer(&reader)
      try reader.expectEnd()
      return answer
    }
  }

  init(_ reader: inout ByteReader) throws(CodecError) {
    let kind = try reader.readByte("answer")
    let parts = Question.partsMax
    switch kind {
    case 0: self = .unavailable(try reader.readText("reason", max: Self.textBytesMax))
    case 1: self = .overview(try Overview(&reader))
    case 2:
      self = .checkpoints(
        try reader.readList("checkpoints", max: parts) { (reader) throws(CodecError) in try CheckpointName(&reader) })
    case 3:
      self = .checkpoint(
        try reader.readOptional("checkpoint") { (reader) throws(CodecError) in
          try Checkpoint(from: &reader, SHA256())
        })
    case 4:
      self = .heads(
        try reader.readList("heads", max: Self.headsMax) { (reader) throws(CodecError) in try LogPosition(&reader) })
    case 5:
      self = .places(
        try reader.readList("places", max: parts) { (reader) throws(CodecError) in
          try reader.readOptional("place") { (reader) throws(CodecError) in try LogPosition(&reader) }
        })
    case 6:
      self = .batch(
        try reader.readOptional("batch") { (reader) throws(CodecError) in try StoredBatch(&reader) })
    case 7:
      self = .fillHashes(
        try reader.readList("fill hashes", max: parts) { (reader) throws(CodecError) in
          try reader.readOptional("fill hash") { (reader) throws(CodecError) in try reader.readHash("fill hash") }
        })
    case 8:
      self = .fills(
        try reader.readList("fills", max: Question.fillsMax) { (reader) throws(CodecError) in
          try StoredFill(&reader)
        })
    case 9: self = .book(try BookSummary(&reader))
    case 10:
      self = .levels(
        try reader.readList("levels", max: parts) { (reader) throws(CodecError) in try LevelRange(&reader) })
    case 11:
      let orders = try reader.readList("orders", max: Self.ordersMax) { (reader) throws(CodecError) in
        try ComparedOrder(&reader)
      }
      self = .orders(orders, isMore: try reader.readBool("more"))
    case 12:
      self = .instruments(
        try reader.readList("instruments", max: Limits.instrumentsMax) { (reader) throws(CodecError) in
          try NamedInstrument(&reader)
        })
    case 13:
      self = .queues(
        try reader.readList("queues", max: 4) { (reader) throws(CodecError) in try QueueOutline(&reader) })
    case 14:
      self = .checkpointHashes(
        try reader.readList("checkpoint hashes", max: parts) { (reader) throws(CodecError) in
          try reader.readOptional("hash") { (reader) throws(CodecError) in try reader.readHash("checkpoint hash") }
        })
    case 15: self = .trace(try EntryTrace(&reader))
    case 16:
      self = .fate(try reader.readOptional("order") { (reader) throws(CodecError) in try OrderFate(&reader) })
    default: throw .unknown(field: "answer", value: UInt64(kind))
    }
  }
}

/// What a replica says of itself as a whole.
///
/// ```
/// name text, node id, cluster id, running u8, view, members, final stamp, final entries, hash of the final vector,
/// newest checkpoint (if any), newest number that a majority attests, log begins, fills, snapshots (list), tables
/// reach: stamp, origin; health text
/// ```
public struct Overview: Hashable, Sendable {
  public var name: String
  public var node: NodeID
  public var cluster: Hash256
  /// Else it is a directory.
  public var isRunning: Bool
  public var view: UInt64
  public var members: Int
  /// Everything up to here is final, and applied.
  public var finalStamp: Stamp
  public var finalEntries: UInt64
  /// Of the vector of final entries: equal ones mean equally much of every log.
  public var finalVector: Hash256
  public var checkpoint: Checkpoint?
  /// 0 if there is none.
  public var attestedByMajority: UInt64
  /// Entries stamped below may not be kept any more; zero if all are.
  public var logBegins: Stamp
  public var fills: UInt64
  /// Numbers of the snapshots that are kept, oldest first.
  public var snapshots: [UInt64]
  /// Newest entry whose consequences are in the audit tables.
  public var tables: OrderKey
  /// Empty if all is well.
  public var health: String

  public init(
    name: String, node: NodeID, cluster: Hash256, isRunning: Bool, view: UInt64, members: Int, finalStamp: Stamp,
    finalEntries: UInt64, finalVector: Hash256, checkpoint: Checkpoint?, attestedByMajority: UInt64,
    logBegins: Stamp, fills: UInt64, snapshots: [UInt64], tables: OrderKey, health: String
  ) {
    self.name = name
    self.node = node
    self.cluster = cluster
    self.isRunning = isRunning
    self.view = view
    self.members = members
    self.finalStamp = finalStamp
    self.finalEntries = finalEntries
    self.finalVector = finalVector
    self.checkpoint = checkpoint
    self.attestedByMajority = attestedByMajority
    self.logBegins = logBegins
    self.fills = fills
    self.snapshots = snapshots
    self.tables = tables
    self.health = health
  }

  func write(to writer: inout ByteWriter) {
    writer.write(text: name, max: 255)
    writer.write(node.hash)
    writer.write(cluster)
    writer.write(isRunning ? 1 : 0)
    writer.writeVarint(view)
    writer.writeVarint(UInt64(members))
    writer.writeVarint(finalStamp.value)
    writer.writeVarint(finalEntries)
    writer.write(finalVector)
    writer.write(optional: checkpoint) { $1.write(to: &$0) }
    writer.writeVarint(attestedByMajority)
    writer.writeVarint(logBegins.value)
    writer.writeVarint(fills)
    writer.write(list: snapshots) { $0.writeVarint($1) }
    writer.writeVarint(tables.stamp.value)
    writer.writeVarint(UInt64(tables.origin.value))
    writer.write(text: health, max: Answer.textBytesMax)
  }

  init(_ reader: inout ByteReader) throws(CodecError) {
    name = try reader.readText("name", max: 255)
    node = NodeID(try reader.readHash("node id"))
    cluster = try reader.readHash("cluster id")
    isRunning = try reader.readBool("running")
    view = try reader.readVarint("view")
    members = Int(try reader.readVarint("members", max: UInt64(Limits.originsMax)))
    finalStamp = Stamp(try reader.readVarint("final stamp"))
    finalEntries = try reader.readVarint("final entries")
    finalVector = try reader.readHash("final vector")
    checkpoint = try reader.readOptional("checkpoint") { (reader) throws(CodecError) in
      try Checkpoint(from: &reader, SHA256())
    }
    attestedByMajority = try reader.readVarint("attested number")
    logBegins = Stamp(try reader.readVarint("log begins"))
    fills = try reader.readVarint("fills")
    snapshots = try reader.readList("snapshots", max: 16) { (reader) throws(CodecError) in
      try reader.readVarint("snapshot number")
    }
    tables = OrderKey(stamp: Stamp(try reader.readVarint("tables")), origin: try reader.readOrigin())
    health = try reader.readText("health", max: Answer.textBytesMax)
  }
}

/// A checkpoint's number and hash.
public struct CheckpointName: Hashable, Sendable {
  public var number: UInt64
  public var hash: Hash256
  public init(number: UInt64, hash: Hash256) {
    self.number = number
    self.hash = hash
  }

  /// At most `Question.partsMax` of those that are kept, evenly spread, the last one too.
  public static func spread<Kept>(_ kept: [Kept]) -> [Kept] {
    let parts = Question.partsMax
    guard kept.count > parts else { return kept }
    return (1...parts).map { kept[$0 * kept.count / parts - 1] }
  }

  func write(to writer: inout ByteWriter) {
    writer.writeVarint(number)
    writer.write(hash)
  }

  init(_ reader: inout ByteReader) throws(CodecError) {
    number = try reader.readVarint("checkpoint number")
    hash = try reader.readHash("checkpoint hash")
  }
}

/// A batch as a place in a log, or a run of batches: `origin, first, last, batches, hash`.
public struct LogPosition: Hashable, Sendable {
  public var origin: OriginIndex
  public var firstSequence: UInt64
  public var lastSequence: UInt64
  /// In the run; or kept ones after the place from which they were to be counted, up to and with this one.
  public var batches: UInt64
  /// Of the chain up to here: as it is stored; or, if asked for, worked out from the stored bytes.
  public var hash: Hash256

  public init(origin: OriginIndex, firstSequence: UInt64, lastSequence: UInt64, batches: UInt64, hash: Hash256) {
    self.origin = origin
    self.firstSequence = firstSequence
    self.lastSequence = lastSequence
    self.batches = batches
    self.hash = hash
  }

  func write(to writer: inout ByteWriter) {
    writer.writeVarint(UInt64(origin.value))
    writer.writeVarint(firstSequence)
    writer.writeVarint(lastSequence)
    writer.writeVarint(batches)
    writer.write(hash)
  }

  init(_ reader: inout ByteReader) throws(CodecError) {
    origin = try reader.readOrigin()
    firstSequence = try reader.readVarint("first sequence")
    lastSequence = try reader.readVarint("last sequence")
    batches = try reader.readVarint("batches")
    hash = try reader.readHash("chain hash")
  }
}

/// A batch as it is stored, with what it takes to check it:
/// `origin: node id, incarnation; name, public key; first, last, hash before, hash stored; sealed batch`.
public struct StoredBatch: Hashable, Sendable {
  public var origin: Origin
  public var name: String
  public var publicKey: PublicKey
  public var firstSequence: UInt64
  public var lastSequence: UInt64
  /// Of the chain before it, as it is stored.
  public var previous: Hash256
  /// Of the chain up to it, as it is stored.
  public var hash: Hash256
  public var sealed: SealedBatch

  public init(
    origin: Origin, name: String, publicKey: PublicKey, firstSequence: UInt64, lastSequence: UInt64,
    previous: Hash256, hash: Hash256, sealed: SealedBatch
  ) {
    self.origin = origin
    self.name = name
    self.publicKey = publicKey
    self.firstSequence = firstSequence
    self.lastSequence = lastSequence
    self.previous = previous
    self.hash = hash
    self.sealed = sealed
  }

  func write(to writer: inout ByteWriter) {
    writer.write(origin.node.hash)
    writer.writeVarint(UInt64(origin.incarnation))
    writer.write(text: name, max: 255)
    writer.write(publicKey.bytes)
    writer.writeVarint(firstSequence)
    writer.writeVarint(lastSequence)
    writer.write(previous)
    writer.write(hash)
    sealed.write(to: &writer)
  }

  init(_ reader: inout ByteReader) throws(CodecError) {
    origin = Origin(
      node: NodeID(try reader.readHash("node id")),
      incarnation: UInt32(try reader.readVarint("incarnation", max: UInt64(UInt32.max))))
    name = try reader.readText("name", max: 255)
    guard let key = PublicKey(bytes: try reader.readBytes(PublicKey.byteCount, "public key")) else {
      throw .invalid(field: "public key")
    }
    publicKey = key
    firstSequence = try reader.readVarint("first sequence")
    lastSequence = try reader.readVarint("last sequence")
    previous = try reader.readHash("hash before")
    hash = try reader.readHash("hash")
    sealed = try SealedBatch(from: &reader)
  }
}

/// A fill as the audit tables have it: `number, instrument, maker, taker, price, quantity, taker's side u8, stamp`.
public struct StoredFill: Hashable, Sendable {
  public var number: UInt64
  public var instrument: Dot
  public var maker: Dot
  public var taker: Dot
  public var priceTicks: Int64
  public var quantityLots: Int64
  public var takerSide: Side
  public var stamp: Stamp

  public init(
    number: UInt64, instrument: Dot, maker: Dot, taker: Dot, priceTicks: Int64, quantityLots: Int64,
    takerSide: Side, stamp: Stamp
  ) {
    self.number = number
    self.instrument = instrument
    self.maker = maker
    self.taker = taker
    self.priceTicks = priceTicks
    self.quantityLots = quantityLots
    self.takerSide = takerSide
    self.stamp = stamp
  }

  /// Everything but its number: what two replicas' fills are compared by.
  public var content: StoredFill {
    var fill = self
    fill.number = 0
    return fill
  }

  public func write(to writer: inout ByteWriter) {
    writer.writeVarint(number)
    writer.write(instrument)
    writer.write(maker)
    writer.write(taker)
    writer.writeSigned(priceTicks)
    writer.writeSigned(quantityLots)
    writer.write(takerSide.rawValue)
    writer.writeVarint(stamp.value)
  }

  init(_ reader: inout ByteReader) throws(CodecError) {
    number = try reader.readVarint("fill number")
    instrument = try reader.readDot("instrument")
    maker = try reader.readDot("maker")
    taker = try reader.readDot("taker")
    priceTicks = try reader.readSigned("price")
    quantityLots = try reader.readSigned("quantity")
    guard let side = Side(rawValue: try reader.readByte("taker's side")) else { throw .invalid(field: "taker's side") }
    takerSide = side
    stamp = Stamp(try reader.readVarint("stamp"))
  }
}

public struct NamedInstrument: Hashable, Sendable {
  public var dot: Dot
  public var instrument: Instrument
  public init(dot: Dot, instrument: Instrument) {
    self.dot = dot
    self.instrument = instrument
  }

  func write(to writer: inout ByteWriter) {
    writer.write(dot)
    writer.write(text: instrument.symbol.description, max: Limits.symbolBytesMax)
    for increment in [instrument.tick, instrument.lot] {
      writer.writeVarint(increment.mantissa)
      writer.write(increment.scale)
    }
  }

  init(_ reader: inout ByteReader) throws(CodecError) {
    dot = try reader.readDot("instrument")
    guard let symbol = Symbol(try reader.readText("symbol", max: Limits.symbolBytesMax)) else {
      throw .invalid(field: "symbol")
    }
    instrument = Instrument(symbol: symbol, tick: try Increment(&reader), lot: try Increment(&reader))
  }
}

extension Increment {
  fileprivate init(_ reader: inout ByteReader) throws(CodecError) {
    let mantissa = try reader.readVarint("increment")
    guard let increment = Increment(mantissa: mantissa, scale: try reader.readByte("increment scale")) else {
      throw .invalid(field: "increment")
    }
    self = increment
  }
}
