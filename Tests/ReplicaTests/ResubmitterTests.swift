import EventLog
import Membership
import OrderBook
import Primitives
import Testing

@testable import Replica

/// The walk through void tails.
struct ResubmitterTests {
  private static func dot(_ origin: UInt32, _ sequence: UInt64) -> Dot {
    Dot(origin: OriginIndex(origin), sequence: sequence)
  }

  private static let signature = Signature(bytes: [UInt8](repeating: 0, count: Signature.byteCount))!

  private static func order(first: Dot = .none) -> Payload {
    .command(
      .order(
        Order(
          instrument: dot(0, 1), account: AccountID(1), side: .buy, priceTicks: 1, quantityLots: 1, firstDot: first)))
  }

  /// Batches of `size` entries each.
  private static func batches(_ origin: UInt32, from first: UInt64, _ payloads: [Payload], size: Int = 2) -> [Batch] {
    var found: [Batch] = []
    for start in stride(from: 0, to: payloads.count, by: size) {
      let sequence = first + UInt64(start)
      var builder = BatchBuilder(origin: OriginIndex(origin), firstSequence: sequence)
      for (index, payload) in payloads[start..<min(start + size, payloads.count)].enumerated() {
        builder.append(Entry(stamp: Stamp(sequence + UInt64(index)), payload: payload))
      }
      found.append(
        Batch(
          origin: builder.origin, firstSequence: sequence, entries: builder.entries, bytes: builder.canonicalBytes(),
          hash: .zero, view: 0, signature: signature))
    }
    return found
  }

  private static func walk(_ resubmitter: inout Resubmitter, atMost count: Int = .max) -> [Dot] {
    var dots: [Dot] = []
    while dots.count < count, let next = resubmitter.next {
      dots.append(next.dot)
      resubmitter.advance(.again)
    }
    return dots
  }

  @Test func goesOnWhereItWas() throws {
    let tail = Self.batches(0, from: 8, (0..<5).map { _ in Self.order() })
    for stop in 0...5 {
      var first = Resubmitter(ResubmissionRecord())
      #expect(first.isDone)
      #expect(first.sealed(tail) == nil)
      let before = Self.walk(&first, atMost: stop)
      // As it is on disk.
      let bytes = ViewRecord.resubmission(first.record).bytes
      guard case .resubmission(let record) = try ViewRecord(key: .resubmission, stored: bytes) else {
        Issue.record("another record")
        return
      }
      var second = Resubmitter(record)
      for batch in tail { second.recover(batch) }
      #expect(second.missing == 0)
      // The last one is looked at again unless the tail was finished: the caller does both in one commit.
      let after = Self.walk(&second)
      #expect(before.prefix(4) + after == (8...12).map { Self.dot(0, $0) })
      second.finishTail()
      #expect(second.isDone && second.record == ResubmissionRecord())
    }
  }

  @Test func theNewestTailComesFirst() {
    var resubmitter = Resubmitter(ResubmissionRecord())
    _ = resubmitter.sealed(Self.batches(0, from: 1, (0..<4).map { _ in Self.order() }))
    #expect(Self.walk(&resubmitter, atMost: 2).count == 2)
    _ = resubmitter.sealed(
      Self.batches(3, from: 1, [Self.order(first: Self.dot(0, 1)), Self.order(first: Self.dot(0, 2))]))
    #expect(resubmitter.origin == OriginIndex(3))
    #expect(resubmitter.firstDot(of: Self.dot(3, 2)) == Self.dot(0, 2))
    #expect(resubmitter.firstDot(of: Self.dot(0, 2)) == Self.dot(0, 2))
    #expect(Self.walk(&resubmitter) == [Self.dot(3, 1), Self.dot(3, 2)])
    resubmitter.finishTail()
    #expect(Self.walk(&resubmitter) == [Self.dot(0, 3), Self.dot(0, 4)])
  }

  @Test func whatHasNoCommandsIsNoTail() {
    var resubmitter = Resubmitter(ResubmissionRecord())
    let fill = FillAttestation(maker: Self.dot(0, 1), taker: Self.dot(0, 2), priceTicks: 1, quantityLots: 1)
    _ = resubmitter.sealed(Self.batches(0, from: 1, [.fill(fill)]))
    #expect(resubmitter.isDone)
  }

  @Test func aLostBatchIsPassedOver() {
    let tail = Self.batches(0, from: 1, (0..<6).map { _ in Self.order() })
    var resubmitter = Resubmitter(
      ResubmissionRecord(tails: [.init(origin: OriginIndex(0), first: 1, last: 6, next: 2)]))
    resubmitter.recover(tail[0])
    resubmitter.recover(tail[2])
    #expect(resubmitter.missing == 2)
    #expect(Self.walk(&resubmitter) == [Self.dot(0, 2), Self.dot(0, 5), Self.dot(0, 6)])
    #expect(resubmitter.next == nil)
  }

  @Test func tooManyTailsAreGivenUp() {
    var resubmitter = Resubmitter(ResubmissionRecord())
    var given: [UInt32] = []
    for origin in 0..<UInt32(Limits.voidTailsMax + 2) {
      if let tail = resubmitter.sealed(Self.batches(origin, from: 1, [Self.order()])) {
        given.append(tail.origin.value)
      }
    }
    #expect(given == [0, 1])
    #expect(resubmitter.record.tails.count == Limits.voidTailsMax)
  }

  @Test(arguments: [[1, 0, 0, 1, 1], [1, 0, 2, 1, 2], [1, 0, 1, 3, 4], [1, 0, 2, 3, 1], [0, 0]] as [[UInt8]])
  func badRecordsAreRefused(bytes: [UInt8]) {
    #expect(throws: CodecError.self) { try ViewRecord(key: .resubmission, stored: bytes) }
  }
}
