import EventLog
import OrderBook
import Primitives

/// A stored log in memory: an index and rows, each of which a test may change as damage would.
final class MemoryLog: LogSource {
  struct Broken: Error, Equatable {}
  enum Read: CaseIterable { case origins, places, row, extent }

  struct Indexed {
    var origin: OriginIndex
    var place: LogPlace
    var lastSequence: UInt64
  }

  var index: [Indexed]
  var rows: [Int64: LogRow]
  /// A kind of read that fails from now on.
  var broken: Read?
  /// How many places were asked for, read by read, and how many were given.
  private(set) var placesAsked: [Int] = []
  private(set) var placesGiven: [Int] = []

  init(_ batches: [Batch]) {
    index = []
    rows = [:]
    for (number, batch) in batches.enumerated() {
      // Not in log order, as rows would not be after a deletion.
      let row = Int64(batches.count - number)
      index.append(
        Indexed(
          origin: batch.origin,
          place: LogPlace(row: row, firstSequence: batch.firstSequence, firstStamp: batch.firstStamp),
          lastSequence: batch.lastSequence))
      rows[row] = LogRow(batch)
    }
  }

  /// Where a batch is in `index`.
  func position(_ origin: UInt32, _ firstSequence: UInt64) -> Int {
    index.firstIndex { $0.origin.value == origin && $0.place.firstSequence == firstSequence }!
  }

  /// Changes the row of a batch, and nothing in the index.
  func change(_ origin: UInt32, _ firstSequence: UInt64, _ body: (inout LogRow) -> Void) {
    body(&rows[index[position(origin, firstSequence)].place.row]!)
  }

  private func attempt(_ read: Read) throws(Broken) {
    if broken == read { throw Broken() }
  }

  func origins() throws(Broken) -> [OriginIndex] {
    try attempt(.origins)
    return Set(index.map(\.origin)).sorted()
  }

  func places(of origin: OriginIndex, after sequence: UInt64, max: Int) throws(Broken) -> [LogPlace] {
    try attempt(.places)
    let all = index.filter { $0.origin == origin && $0.place.firstSequence > sequence }.map(\.place)
    let places = Array(all.sorted { $0.firstSequence < $1.firstSequence }.prefix(max))
    placesAsked.append(max)
    placesGiven.append(places.count)
    return places
  }

  func row(_ place: LogPlace) throws(Broken) -> LogRow? {
    try attempt(.row)
    return rows[place.row]
  }

  func extent(of origin: OriginIndex, from sequence: UInt64) throws(Broken) -> (batches: Int, entries: UInt64) {
    try attempt(.extent)
    let lost = index.filter { $0.origin == origin && $0.place.firstSequence >= sequence }
    return (lost.count, lost.map(\.lastSequence).max().map { $0 - sequence + 1 } ?? 0)
  }
}

/// Writes batches of several origins, chained as theirs would be.
struct ChainWriter {
  private var heads: [OriginIndex: Head] = [:]
  private var generator: SeededGenerator
  private let sha = SHA256()

  init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

  static func chainStart(_ origin: OriginIndex) -> Hash256 { SHA256().hash(Array("start \(origin)".utf8)) }

  func head(_ origin: UInt32) -> Head {
    heads[OriginIndex(origin)] ?? Head(sequence: 0, hash: Self.chainStart(OriginIndex(origin)))
  }

  /// The next batch of an origin, of orders in one second.
  mutating func batch(_ origin: UInt32, second: UInt64, entries: Int = 5) -> Batch {
    let head = head(origin)
    let batch = alternative(origin, first: head.sequence + 1, after: head, second: second, entries: entries)
    heads[batch.origin] = Head(sequence: batch.lastSequence, hash: batch.hash)
    return batch
  }

  /// A batch that is well formed and hashed after `head`, whoever its origin and whatever its place; it joins no chain.
  mutating func alternative(
    _ origin: UInt32, first: UInt64, after head: Head, second: UInt64, entries: Int = 5
  ) -> Batch {
    var builder = BatchBuilder(origin: OriginIndex(origin), firstSequence: first)
    for index in 0..<entries {
      let order = Order(
        instrument: Dot(origin: OriginIndex(0), sequence: 1), account: AccountID(generator.below(50)), side: .sell,
        priceTicks: Int64(generator.below(1 << 40)), quantityLots: Int64(generator.below(1 << 30)) + 1)
      builder.append(
        Entry(stamp: Stamp(milliseconds: second * 1000, counter: UInt16(index)), payload: .command(.order(order))))
    }
    let bytes = builder.canonicalBytes()
    return Batch(
      origin: builder.origin, firstSequence: first, entries: builder.entries, bytes: bytes,
      hash: HashChain.link(previous: head.hash, bytes: bytes, sha), view: generator.below(9),
      signature: Signature(bytes: (0..<64).map { _ in UInt8(generator.below(256)) })!)
  }
}

/// A recovery of a log in memory; a class, because `#expect` cannot change a value.
final class Recovering {
  private var recovery: LogRecovery<MemoryLog>
  var report: RecoveryReport { recovery.report }

  init(
    _ log: MemoryLog, own: OriginIndex? = nil, chainStart: (OriginIndex) -> Hash256 = ChainWriter.chainStart
  ) throws(LogRecoveryError<MemoryLog.Broken>) {
    recovery = try LogRecovery(log, own: own, chainStart: chainStart)
  }

  func next() throws(LogRecoveryError<MemoryLog.Broken>) -> SealedBatch? { try recovery.next()?.sealed }

  /// What is delivered from here on.
  func all() throws(LogRecoveryError<MemoryLog.Broken>) -> [SealedBatch] {
    var batches: [SealedBatch] = []
    while let batch = try next() { batches.append(batch) }
    return batches
  }
}
