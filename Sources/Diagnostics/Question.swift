import EventLog
import OrderBook
import Primitives

/// What one replica is asked about itself by somebody who compares it with another one.
///
/// Answers are small and bounded, whatever the history's length: a search narrows a range sixteenfold with each.
///
/// ```
/// question  kind u8, fields
/// ```
///
/// | kind | asks for | fields |
/// |---|---|---|
/// | 1 | `Overview` | |
/// | 2 | numbers and hashes of kept checkpoints in a range, evenly spread, the last of them too | after, through |
/// | 3 | a checkpoint | number |
/// | 4 | where each log stands that has entries in a range of stamps | after, through, deep u8 |
/// | 5 | the batches that hold certain sequences of an origin | origin, after, `Chain`, count, each sequence |
/// | 6 | the batch that holds a sequence, with what is needed to check it | origin, sequence |
/// | 7 | hashes over the fills up to certain numbers | after, count, each number |
/// | 8 | fills, from a number on | first, count |
/// | 9 | the book at a point, to be asked about with 10, 11 and 13 | `BookPoint`, `BookHashing` u8, count, each level |
/// | 10 | the levels of a queue between certain prices, added up | book, queue, count, each price |
/// | 11 | the orders of a level | book, level, count to leave out |
/// | 12 | what instruments there are | |
/// | 13 | the four queues of an instrument | book, instrument |
/// | 14 | hashes of certain checkpoints | count, each number |
/// | 15 | how an entry came to this node | dot, stamp |
/// | 16 | what has become of an order | dot |
///
/// A queue is instrument and queue u8, a level that and a price. A running node keeps of a book the orders of those
/// levels only that were named with 9.
///
/// Integers are varints. `after` is left out, `through` is in.
public enum Question: Hashable, Sendable {
  case overview
  case checkpoints(after: UInt64, through: UInt64)
  case checkpoint(UInt64)
  case heads(after: Stamp, through: Stamp, isDeep: Bool)
  case places(OriginIndex, after: UInt64, Chain, at: [UInt64])
  case batch(OriginIndex, sequence: UInt64)
  case fillHashes(after: UInt64, at: [UInt64])
  case fills(from: UInt64, count: Int)
  case book(BookPoint, BookHashing, levels: [LevelName])
  case levels(book: UInt64, QueueName, at: [UInt64])
  case orders(book: UInt64, LevelName, skipping: Int)
  case instruments
  case queues(book: UInt64, instrument: Dot)
  case checkpointHashes([UInt64])
  case trace(Dot, Stamp)
  case fate(Dot)

  /// Sequences, numbers or prices in one question.
  public static let partsMax = 16
  public static let fillsMax = 256
  public static let namedLevelsMax = 4
  public static let ordersHashedMax = 250_000

  public func write(to writer: inout ByteWriter) {
    switch self {
    case .overview: writer.write(1)
    case .checkpoints(let after, let through):
      writer.write(2)
      writer.writeVarint(after)
      writer.writeVarint(through)
    case .checkpoint(let number):
      writer.write(3)
      writer.writeVarint(number)
    case .heads(let after, let through, let isDeep):
      writer.write(4)
      writer.writeVarint(after.value)
      writer.writeVarint(through.value)
      writer.write(isDeep ? 1 : 0)
    case .places(let origin, let after, let chain, let sequences):
      writer.write(5)
      writer.writeVarint(UInt64(origin.value))
      writer.writeVarint(after)
      chain.write(to: &writer)
      writer.write(numbers: sequences)
    case .batch(let origin, let sequence):
      writer.write(6)
      writer.writeVarint(UInt64(origin.value))
      writer.writeVarint(sequence)
    case .fillHashes(let after, let numbers):
      writer.write(7)
      writer.writeVarint(after)
      writer.write(numbers: numbers)
    case .fills(let first, let count):
      writer.write(8)
      writer.writeVarint(first)
      writer.writeVarint(UInt64(count))
    case .book(let point, let hashing, let levels):
      writer.write(9)
      point.write(to: &writer)
      writer.write(hashing.rawValue)
      writer.write(list: levels) { $1.write(to: &$0) }
    case .levels(let book, let queue, let prices):
      writer.write(10)
      writer.writeVarint(book)
      queue.write(to: &writer)
      writer.write(numbers: prices)
    case .orders(let book, let level, let skipping):
      writer.write(11)
      writer.writeVarint(book)
      level.write(to: &writer)
      writer.writeVarint(UInt64(skipping))
    case .instruments: writer.write(12)
    case .queues(let book, let instrument):
      writer.write(13)
      writer.writeVarint(book)
      writer.write(instrument)
    case .checkpointHashes(let numbers):
      writer.write(14)
      writer.write(numbers: numbers)
    case .trace(let dot, let stamp):
      writer.write(15)
      writer.write(dot)
      writer.writeVarint(stamp.value)
    case .fate(let dot):
      writer.write(16)
      writer.write(dot)
    }
  }

  public var bytes: [UInt8] {
    var writer = ByteWriter(reserving: 32)
    write(to: &writer)
    return writer.bytes
  }

  public init(bytes: [UInt8]) throws(CodecError) {
    self = try bytes.withReader { (reader) throws(CodecError) in
      let question = try Question(&reader)
      try reader.expectEnd()
      return question
    }
  }

  init(_ reader: inout ByteReader) throws(CodecError) {
    let kind = try reader.readByte("question")
    switch kind {
    case 1: self = .overview
    case 2: self = .checkpoints(after: try reader.readVarint("after"), through: try reader.readVarint("through"))
    case 3: self = .checkpoint(try reader.readVarint("checkpoint number"))
    case 4:
      self = .heads(
        after: Stamp(try reader.readVarint("after")), through: Stamp(try reader.readVarint("through")),
        isDeep: try reader.readBool("deep"))
    case 5:
      self = .places(
        try reader.readOrigin(), after: try reader.readVarint("after"), try Chain(&reader),
        at: try reader.readNumbers("sequences"))
    case 6: self = .batch(try reader.readOrigin(), sequence: try reader.readVarint("sequence"))
    case 7: self = .fillHashes(after: try reader.readVarint("after"), at: try reader.readNumbers("fill numbers"))
    case 8:
      self = .fills(
        from: try reader.readVarint("fill number"),
        count: Int(try reader.readVarint("fill count", max: UInt64(Self.fillsMax))))
    case 9:
      self = .book(
        try BookPoint(&reader), try reader.readCase("book hashing"),
        levels: try reader.readList("levels", max: Self.namedLevelsMax) { (reader) throws(CodecError) in
          try LevelName(&reader)
        })
    case 10:
      self = .levels(
        book: try reader.readVarint("book"), try QueueName(&reader), at: try reader.readNumbers("prices"))
    case 11:
      self = .orders(
        book: try reader.readVarint("book"), try LevelName(&reader),
        skipping: Int(try reader.readVarint("orders left out", max: UInt64(Int32.max))))
    case 12: self = .instruments
    case 13: self = .queues(book: try reader.readVarint("book"), instrument: try reader.readDot("instrument"))
    case 14: self = .checkpointHashes(try reader.readNumbers("checkpoint numbers"))
    case 15: self = .trace(try reader.readDot("entry"), Stamp(try reader.readVarint("stamp")))
    case 16: self = .fate(try reader.readDot("order"))
    default: throw .unknown(field: "question", value: UInt64(kind))
    }
  }
}

/// At which point of the history a book is asked for.
public enum BookPoint: Hashable, Sendable {
  /// 0: what is final at the moment; a node that is asked twice may answer with two books.
  case now
  /// 1: when everything up to this stamp is final, and nothing later is in it. A node that has gone beyond cannot say.
  case at(Stamp)
  /// 2: as the snapshot of this number has it, as it is stored.
  case snapshot(UInt64)
  /// 3: as the audit tables have it.
  case tables

  func write(to writer: inout ByteWriter) {
    switch self {
    case .now: writer.write(0)
    case .at(let stamp):
      writer.write(1)
      writer.writeVarint(stamp.value)
    case .snapshot(let number):
      writer.write(2)
      writer.writeVarint(number)
    case .tables: writer.write(3)
    }
  }

  init(_ reader: inout ByteReader) throws(CodecError) {
    let kind = try reader.readByte("book point")
    switch kind {
    case 0: self = .now
    case 1: self = .at(Stamp(try reader.readVarint("stamp")))
    case 2: self = .snapshot(try reader.readVarint("snapshot number"))
    case 3: self = .tables
    default: throw .unknown(field: "book point", value: UInt64(kind))
    }
  }
}

/// Which hashes of levels are asked for.
public enum BookHashing: UInt8, Hashable, Sendable, CaseIterable {
  /// Those that a replica keeps, which hide what has changed in memory by itself.
  case kept = 0
  /// Worked out from every order, unless there are more than `Question.ordersHashedMax`: these would hold a node up.
  case rawIfSmall = 1
  /// Worked out from every order.
  case raw = 2
}

/// Which hashes of a chain are asked for: `u8, of 2: hash`.
public enum Chain: Hashable, Sendable {
  /// 0: those that are stored.
  case stored
  /// 1: worked out from the stored bytes, after what is stored of the place where they begin.
  case derived
  /// 2: worked out from the stored bytes, after this hash.
  case derivedAfter(Hash256)

  func write(to writer: inout ByteWriter) {
    switch self {
    case .stored: writer.write(0)
    case .derived: writer.write(1)
    case .derivedAfter(let hash):
      writer.write(2)
      writer.write(hash)
    }
  }

  init(_ reader: inout ByteReader) throws(CodecError) {
    switch try reader.readByte("chain") {
    case 0: self = .stored
    case 1: self = .derived
    case 2: self = .derivedAfter(try reader.readHash("chain hash"))
    default: throw .invalid(field: "chain")
    }
  }
}

extension QueueName {
  func write(to writer: inout ByteWriter) {
    writer.write(instrument)
    writer.write(kind.rawValue)
  }

  init(_ reader: inout ByteReader) throws(CodecError) {
    self.init(try reader.readDot("instrument"), try reader.readCase("queue"))
  }
}

extension LevelName {
  func write(to writer: inout ByteWriter) {
    queue.write(to: &writer)
    writer.writeVarint(UInt64(clamping: priceTicks))
  }

  init(_ reader: inout ByteReader) throws(CodecError) {
    let queue = try QueueName(&reader)
    self.init(queue, priceTicks: Int64(try reader.readVarint("price", max: UInt64(Int64.max))))
  }
}

// MARK: Fields

extension ByteWriter {
  mutating func write(numbers: [UInt64]) {
    writeVarint(UInt64(numbers.count))
    for number in numbers { writeVarint(number) }
  }

  mutating func write(_ dot: Dot) {
    writeVarint(UInt64(dot.origin.value))
    writeVarint(dot.sequence)
  }
}

extension ByteReader {
  mutating func readBool(_ field: StaticName) throws(CodecError) -> Bool {
    let byte = try readByte(field)
    guard byte < 2 else { throw .invalid(field: field) }
    return byte == 1
  }

  mutating func readOrigin() throws(CodecError) -> OriginIndex {
    OriginIndex(UInt32(try readVarint("origin", max: UInt64(Limits.originsMax - 1))))
  }

  mutating func readDot(_ field: StaticName) throws(CodecError) -> Dot {
    Dot(origin: try readOrigin(), sequence: try readVarint(field))
  }

  /// At most `Question.partsMax`, rising.
  mutating func readNumbers(_ field: StaticName) throws(CodecError) -> [UInt64] {
    let count = try readVarint(field, max: UInt64(Question.partsMax))
    var numbers: [UInt64] = []
    for _ in 0..<count {
      let number = try readVarint(field)
      if let last = numbers.last, number <= last { throw .invalid(field: field) }
      numbers.append(number)
    }
    return numbers
  }
}
