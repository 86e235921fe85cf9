import Primitives
import Testing

@testable import EventLog

/// What is damaged in a stored log, or gone, is found; and only what was there fills the hole.
struct LogScrubberTests {
  private let sha = SHA256()
  private let start = Head(sequence: 0, hash: Hash256(word0: 9, word1: 8, word2: 7, word3: 6))

  /// Rows of one origin in order.
  private struct Rows: LogSource {
    var rows: [LogRow]
    func origins() throws(Never) -> [OriginIndex] { rows.isEmpty ? [] : [OriginIndex(2)] }
    func places(of origin: OriginIndex, after sequence: UInt64, max: Int) throws(Never) -> [LogPlace] {
      rows.enumerated().filter { $1.firstSequence > sequence }.prefix(max).map {
        LogPlace(row: Int64($0), firstSequence: $1.firstSequence, firstStamp: $1.firstStamp)
      }
    }
    func row(_ place: LogPlace) throws(Never) -> LogRow? { rows[Int(place.row)] }
    func extent(of origin: OriginIndex, from sequence: UInt64) throws(Never) -> (batches: Int, entries: UInt64) {
      (0, 0)
    }
  }

  private func batches(_ count: Int) -> [Batch] {
    var previous = start.hash
    return (0..<count).map { index in
      var builder = BatchBuilder(origin: OriginIndex(2), firstSequence: UInt64(index * 3 + 1))
      for entry in 0..<3 {
        builder.append(
          Entry(
            stamp: Stamp(milliseconds: UInt64(1_000 + index * 10 + entry)),
            payload: .fill(
              FillAttestation(
                maker: Dot(origin: OriginIndex(1), sequence: 1), taker: Dot(origin: OriginIndex(2), sequence: 2),
                priceTicks: Int64(index + 1), quantityLots: 5))))
      }
      let bytes = builder.canonicalBytes()
      let hash = HashChain.link(previous: previous, bytes: bytes, sha)
      previous = hash
      return Batch(
        origin: OriginIndex(2), firstSequence: UInt64(index * 3 + 1), entries: builder.entries, bytes: bytes,
        hash: hash,
        view: 0, signature: Signature(bytes: [UInt8](repeating: 1, count: 64))!)
    }
  }

  private func holes(_ rows: [LogRow], end: Head, bytesMax: Int) -> [LogHole] {
    var scrubber = LogScrubber()
    var found: [LogHole] = []
    var calls = 0
    while scrubber.passes == 0, calls < 1_000 {
      found += scrubber.step(Rows(rows: rows), start: { _ in start }, end: { _ in end }, bytesMax: bytesMax, sha)
      calls += 1
    }
    #expect(scrubber.passes == 1)
    return found
  }

  @Test(arguments: [1, 100, 1_000_000]) func findsEveryDamage(_ bytesMax: Int) throws {
    let batches = batches(10)
    let rows = batches.map { LogRow($0) }
    let end = Head(sequence: 30, hash: batches[9].hash)
    #expect(holes(rows, end: end, bytesMax: bytesMax).isEmpty)
    for place in 0..<10 {
      var flipped = rows
      flipped[place].bytes[flipped[place].bytes.count / 2] ^= 4
      var dropped = rows
      dropped.remove(at: place)
      var hash = rows
      hash[place].hash?.word1 ^= 1
      for damaged in [flipped, dropped] {
        let found = holes(damaged, end: end, bytesMax: bytesMax)
        let hole = try #require(found.first)
        #expect(found.count == 1)
        #expect(hole.before.sequence == UInt64(place * 3) && hole.through == UInt64(place * 3 + 3))
        #expect(hole.isFilled(by: [batches[place]], sha))
        #expect(!hole.isFilled(by: [], sha))
        #expect(!hole.isFilled(by: [batches[(place + 1) % 10]], sha))
      }
      #expect(!holes(hash, end: end, bytesMax: bytesMax).isEmpty)
    }
    // What was never there is no hole that other batches fill.
    var other = batches[9]
    other = Batch(
      origin: other.origin, firstSequence: other.firstSequence, entries: other.entries, bytes: other.bytes + [0],
      hash: HashChain.link(previous: batches[8].hash, bytes: other.bytes + [0], sha), view: 0,
      signature: other.signature)
    let last = try #require(holes(Array(rows.dropLast()), end: end, bytesMax: bytesMax).first)
    #expect(last.next == nil && !last.isFilled(by: [other], sha) && last.isFilled(by: [batches[9]], sha))
  }
}
