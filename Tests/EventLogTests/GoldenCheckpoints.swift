import EventLog
import OrderBook
import Primitives

/// Checkpoints as a golden file: what was final in some seconds, the bytes that their log hash covers, and all hashes.
enum GoldenCheckpoints {
  /// Entries of one second in key order, each with its fills.
  private typealias Second = [(dot: Dot, entry: Entry, fills: [FillAttestation])]

  private static func dot(_ origin: UInt32, _ sequence: UInt64) -> Dot {
    Dot(origin: OriginIndex(origin), sequence: sequence)
  }

  private static func fill(_ maker: Dot, _ taker: Dot, _ price: Int64, _ quantity: Int64) -> FillAttestation {
    FillAttestation(maker: maker, taker: taker, priceTicks: price, quantityLots: quantity)
  }

  private static func order(_ side: Side, _ price: Int64, _ quantity: Int64) -> Payload {
    .command(
      .order(
        Order(
          instrument: dot(0, 1), account: AccountID(7), side: side, priceTicks: price, quantityLots: quantity)))
  }

  /// A second of commands; one of what nodes say of it, which holds no fill; and, after some that hold nothing, another
  /// one of commands.
  private static func seconds(_ first: CheckpointAttestation) -> [Second] {
    func stamp(_ milliseconds: UInt64, _ counter: UInt16 = 0) -> Stamp {
      Stamp(milliseconds: 1_700_000_000_000 + milliseconds, counter: counter)
    }
    guard let symbol = Symbol("BTC-USD") else { preconditionFailure("a symbol") }
    let trade = fill(dot(0, 2), dot(2, 1), 6_500_000, 3)
    return [
      [
        (dot(0, 1), Entry(stamp: stamp(0), payload: .command(.instrument(Instrument(symbol: symbol)))), []),
        (dot(0, 2), Entry(stamp: stamp(20), payload: order(.sell, 6_500_000, 4)), []),
        (dot(1, 1), Entry(stamp: stamp(20), payload: order(.sell, 6_500_001, 4)), []),
        (
          dot(2, 1), Entry(stamp: stamp(999, .max), payload: order(.buy, 6_500_001, 5)),
          [trade, fill(dot(1, 1), dot(2, 1), 6_500_001, 2)]
        ),
      ],
      [
        (dot(2, 2), Entry(stamp: stamp(1_000), payload: .fill(trade)), []),
        (dot(0, 3), Entry(stamp: stamp(1_020), payload: .checkpoint(first)), []),
      ],
      [
        (
          dot(1, 2),
          Entry(
            stamp: stamp(61_500),
            payload: .command(.cancel(Cancel(account: AccountID(7), target: .dot(dot(1, 1)))))), []
        )
      ],
    ]
  }

  /// The file, to the byte.
  static func fileText() -> String {
    let sha = SHA256()
    var previous = sha.hash(Array("golden cluster".utf8))
    var lines = [
      "# Golden vectors of checkpoints: what is hashed of some seconds. Written by GoldenTests, read by decode.py."
    ]
    var fills: UInt64 = 0
    // What the second one says of the first, which does not depend on it.
    var first = CheckpointAttestation(number: 0, fills: 0, bookHash: .zero, checkpointHash: .zero)
    for index in 0..<3 {
      let book = sha.hash(Array("book \(index)".utf8))
      var interval = CheckpointInterval()
      var stream = ByteWriter()
      var items: [String] = []
      for (dot, entry, made) in seconds(first)[index] {
        interval.take(dot, entry)
        items.append("item \(dot) \(GoldenFormat.text(entry))")
        for fill in made {
          interval.take(fill)
          items.append("made \(GoldenFormat.text(.fill(fill)))")
        }
      }
      stream.write(interval.logBytes)
      let checkpoint = interval.close(previous: previous, bookHash: book, fillsBefore: fills, sha)
      lines += ["", "checkpoint \(checkpoint.number)", "previous \(previous)", "book \(book)"] + items
      lines += GoldenFormat.field("stream", stream.bytes)
      lines += ["log \(checkpoint.logHash)", "fills \(checkpoint.fillsHash)", "hash \(checkpoint.hash)"]
      previous = checkpoint.hash
      fills = checkpoint.fills
      if index == 0 { first = checkpoint.attestation }
    }
    return lines.joined(separator: "\n") + "\n"
  }
}
