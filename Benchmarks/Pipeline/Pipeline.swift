import EventLog
import Flow
import Glibc
import OrderBook
import Primitives

/// What an operation costs on its way through the core, stage by stage: one thread, no network, no disk.
///
/// CPU time of this thread, not wall time, so that other processes on the machine disturb it little. Each stage works
/// on what the stage before it made, and the book hash at the end depends on all of it.
public struct Pipeline {
  /// Entries of one batch, and operations between two book hashes.
  static let batchEntries = 1_000
  /// Stamp time between two batches: 100,000 operations a second.
  static let batchMilliseconds: UInt64 = 10
  static let startMilliseconds: UInt64 = 1_000_000_000
  /// Batches between two settlings of the journal: what a second brings at that rate.
  static let settledBatches = 100

  static let origin = OriginIndex(0)
  static let instrument = Dot(origin: origin, sequence: 1)
  static let account = AccountID(1)

  public let operations: Int
  public let seed: UInt64

  /// - Precondition: `operations > 0`.
  public init(operations: Int, seed: UInt64) {
    precondition(operations > 0, "there must be something to measure")
    self.operations = operations
    self.seed = seed
  }

  /// Runs every stage once.
  /// - Throws: `PipelineError`, if two ways to the same book disagree.
  public func measure() throws(PipelineError) -> PipelineReport {
    let batches = stampedFlow()
    var report = PipelineReport(operations: operations, seed: seed)
    let encoded = encode(batches, &report)
    chain(encoded, &report)
    let decoded = try decode(encoded, &report)
    guard decoded == batches else { throw .decodedOtherwise }
    apply(decoded, &report)
    try replay(decoded, &report)
    try replicate(batches, &report)
    return report
  }

  // MARK: Input

  /// The definition of the instrument, then the operations, with the stamps that a node gives that gets a batch of them
  /// at a time.
  private func stampedFlow() -> [ContiguousArray<Entry>] {
    guard let symbol = Symbol("BTC-USD") else { preconditionFailure("BTC-USD is a symbol") }
    var flow = RandomFlow(seed: seed)
    var clock = HybridClock()
    var now = Self.startMilliseconds
    let definition = Entry(
      stamp: clock.next(nowMilliseconds: now), payload: .command(.instrument(Instrument(symbol: symbol))))
    var batches: [ContiguousArray<Entry>] = [[definition]]
    var left = operations
    while left > 0 {
      now += Self.batchMilliseconds
      var batch: ContiguousArray<Entry> = []
      for _ in 0..<min(left, Self.batchEntries) {
        let command = flow.nextOperation().command(
          instrument: Self.instrument, account: Self.account, targetStamp: .zero, clientTimeMilliseconds: now)
        batch.append(Entry(stamp: clock.next(nowMilliseconds: now), payload: .command(command)))
      }
      left -= batch.count
      batches.append(batch)
    }
    return batches
  }

  // MARK: The log's stages

  private func encode(_ batches: [ContiguousArray<Entry>], _ report: inout PipelineReport) -> [[UInt8]] {
    var encoded: [[UInt8]] = []
    encoded.reserveCapacity(batches.count)
    var sequence: UInt64 = 1
    let start = CPUTime.now()
    for batch in batches {
      var builder = BatchBuilder(origin: Self.origin, firstSequence: sequence)
      for entry in batch { builder.append(entry) }
      encoded.append(builder.canonicalBytes())
      sequence = builder.nextSequence
    }
    report.add(.encode, CPUTime.now() - start)
    report.batches = encoded.count
    report.bytes = encoded.reduce(0) { $0 + $1.count }
    return encoded
  }

  private func chain(_ encoded: [[UInt8]], _ report: inout PipelineReport) {
    let sha = SHA256()
    var hash = Hash256.zero
    let start = CPUTime.now()
    for bytes in encoded { hash = HashChain.link(previous: hash, bytes: bytes, sha) }
    report.add(.chain, CPUTime.now() - start)
    report.chainHash = hash
  }

  private func decode(
    _ encoded: [[UInt8]], _ report: inout PipelineReport
  ) throws(PipelineError) -> [ContiguousArray<Entry>] {
    var decoded: [ContiguousArray<Entry>] = []
    decoded.reserveCapacity(encoded.count)
    let start = CPUTime.now()
    for bytes in encoded {
      do throws(CodecError) {
        decoded.append(try bytes.withReader { (reader) throws(CodecError) in try reader.readBatch().1 })
      } catch {
        throw .undecodable(error)
      }
    }
    report.add(.decode, CPUTime.now() - start)
    return decoded
  }

  // MARK: The book's stages

  /// In one go, as a replica does with what is complete: the journal is on, and is let go each second of stamp time.
  private func apply(_ batches: [ContiguousArray<Entry>], _ report: inout PipelineReport) {
    var book = PipelineBook()
    let start = CPUTime.now()
    for (number, batch) in batches.enumerated() {
      book.apply(batch)
      report.fills += book.takeFills()
      if number % Self.settledBatches == 0 { book.settle() }
    }
    report.add(.apply, CPUTime.now() - start)
    report.restingOrders = book.engine.restingOrders
    report.bookHash = book.engine.bookHash()
  }

  /// Each batch is applied, taken back and applied again; then the book is hashed.
  private func replay(
    _ batches: [ContiguousArray<Entry>], _ report: inout PipelineReport
  ) throws(PipelineError) {
    var book = PipelineBook()
    var rollback: UInt64 = 0
    var hashing: UInt64 = 0
    var hash = Hash256.zero
    for (number, batch) in batches.enumerated() {
      let mark = book.mark
      book.apply(batch)
      let start = CPUTime.now()
      book.rollback(to: mark)
      book.apply(batch)
      let applied = CPUTime.now()
      hash = book.engine.bookHash()
      hashing += CPUTime.now() - applied
      rollback += applied - start
      _ = book.takeFills()
      if number % Self.settledBatches == 0 { book.settle() }
    }
    report.add(.rollback, rollback)
    report.add(.bookHash, hashing)
    guard hash == report.bookHash else { throw .otherBook(.rollback, hash) }
  }
}

/// An engine, its tape, and how far the one log that it follows is applied.
struct PipelineBook: ~Copyable {
  struct Mark {
    var journal: UInt64
    var tape: UInt64
    var sequence: UInt64
  }

  var engine = MatchingEngine()
  private var tape = EventTape()
  private var sequence: UInt64 = 0

  var mark: Mark { Mark(journal: engine.journalMark, tape: tape.end, sequence: sequence) }

  mutating func apply(_ batch: ContiguousArray<Entry>) {
    for entry in batch {
      sequence += 1
      guard case .command(let command) = entry.payload else { continue }
      engine.apply(command, at: Dot(origin: Pipeline.origin, sequence: sequence), stamp: entry.stamp, into: &tape)
    }
  }

  mutating func rollback(to mark: Mark) {
    engine.rollback(to: mark.journal)
    tape.truncate(to: mark.tape)
    sequence = mark.sequence
  }

  mutating func settle() { engine.settle(through: engine.journalMark) }

  /// Empties the tape.
  /// - Returns: how many fills were on it.
  mutating func takeFills() -> Int {
    var fills = 0
    for event in tape.run(from: tape.start, to: tape.end) { if case .filled = event { fills += 1 } }
    tape.removeAll()
    return fills
  }
}

/// Two ways that must lead to one result did not.
public enum PipelineError: Error, Equatable, CustomStringConvertible {
  case undecodable(CodecError)
  case decodedOtherwise
  case otherBook(PipelineStage, Hash256)
  /// Only so many entries became final.
  case notFinal(Int)

  public var description: String {
    switch self {
    case .undecodable(let error): "a batch that was just encoded cannot be decoded: \(error)"
    case .decodedOtherwise: "what was decoded is not what was encoded"
    case .otherBook(let stage, let hash): "stage '\(stage.rawValue)' ends with another book: \(hash)"
    case .notFinal(let count): "only \(count) entries became final"
    }
  }
}

/// CPU time of this thread in nanoseconds.
enum CPUTime {
  static func now() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }
}
