import EventLog
import Primitives
import Testing

@testable import Membership

struct DetectorMessageTests {
  static let updates: [DetectorUpdate] = [
    .suspect(OriginIndex(300), refutations: 5, accuser: OriginIndex(2)), .refute(OriginIndex(7), refutations: 1 << 31),
    .suspect(OriginIndex(0), refutations: (1 << 31) - 1, accuser: OriginIndex(65_535)),
  ]

  static let messages: [DetectorMessage] = [
    DetectorMessage(view: 0, kind: .ping(sequence: 0)), DetectorMessage(view: .max, kind: .ping(sequence: .max)),
    DetectorMessage(view: 9, kind: .ping(sequence: 1), updates: updates),
    DetectorMessage(view: 9, kind: .pingRequest(sequence: 1_000, subject: OriginIndex(300)), updates: updates),
    DetectorMessage(view: 9, kind: .ack(sequence: 3, subject: OriginIndex(4), ageMilliseconds: nil)),
    DetectorMessage(
      view: 9, kind: .ack(sequence: 3, subject: OriginIndex(4), ageMilliseconds: 60_000), updates: updates),
    DetectorMessage(view: 9, kind: .rumours, updates: updates),
  ]

  static func read(_ type: UInt8, _ bytes: [UInt8]) throws -> DetectorMessage {
    try bytes.withUnsafeBytes { try DetectorMessage(frameType: type, body: $0) }
  }

  @Test func whatIsWrittenIsRead() throws {
    for message in Self.messages { #expect(try Self.read(message.frameType, message.body) == message) }
  }

  @Test func theBytesAreFixed() {
    let request = DetectorMessage(
      view: 300, kind: .pingRequest(sequence: 1, subject: OriginIndex(2)),
      updates: [
        .suspect(OriginIndex(2), refutations: 3, accuser: OriginIndex(4)), .refute(OriginIndex(5), refutations: 6),
      ])
    #expect(request.frameType == 0x19)
    #expect(request.body == [0xac, 0x02, 1, 2, 2, 1, 2, 3, 4, 2, 5, 6])
    let ack = DetectorMessage(view: 1, kind: .ack(sequence: 2, subject: OriginIndex(3), ageMilliseconds: 4))
    #expect(ack.frameType == 0x1a && ack.body == [1, 2, 3, 1, 4, 0])
  }

  @Test func everyTruncationAndEveryLeftoverIsRefused() {
    for message in Self.messages {
      let body = message.body
      for count in 0..<body.count {
        #expect(throws: CodecError.self) { try Self.read(message.frameType, Array(body[..<count])) }
      }
      #expect(throws: CodecError.trailing(count: 1)) { try Self.read(message.frameType, body + [0]) }
    }
  }

  @Test func badValuesAreRefused() {
    let bad: [(type: UInt8, body: [UInt8], error: CodecError)] = [
      (0x18, [1, 2, 9], .invalid(field: "update count")), (0x1b, [1, 0], .invalid(field: "update count")),
      (0x1a, [1, 2, 3, 2, 0], .invalid(field: "heard")),
      (0x1a, [1, 2, 3, 1, 0xe1, 0xd4, 0x03, 0], .invalid(field: "age")),
      (0x19, [1, 2, 0x80, 0x80, 0x04, 0], .invalid(field: "subject")),
      (0x1b, [1, 1, 1, 2, 3, 2], .invalid(field: "accuser")),
      (0x1b, [1, 1, 1, 2, 0x80, 0x80, 0x80, 0x80, 0x08, 3], .invalid(field: "refutations")),
      (0x1b, [1, 1, 2, 2, 0x81, 0x80, 0x80, 0x80, 0x08], .invalid(field: "refutations")),
      (0x1b, [1, 1, 3, 2, 0], .unknown(field: "update", value: 3)),
      (0x1c, [1, 1, 2, 2, 0], .unknown(field: "frame type", value: 0x1c)),
      (0x18, [0x80, 0x00, 2, 0], .invalid(field: "view")),
    ]
    for (type, body, error) in bad { #expect(throws: error, "\(body)") { try Self.read(type, body) } }
  }

  @Test func anyBytesGiveAMessageOrAnErrorAndAMessageGivesItsBytes() {
    var generator = SeededGenerator(seed: 11)
    var messages = 0
    for _ in 0..<20_000 {
      let type = UInt8(generator.pick(0x17...0x1c))
      var body = (0..<generator.pick(0...12)).map { _ in UInt8(generator.pick(0...6)) }
      if generator.chance(1, of: 8), !body.isEmpty { body[0] = UInt8(generator.pick(0...255)) }
      if let message = try? Self.read(type, body) {
        messages += 1
        #expect(message.body == body && message.frameType == type)
      }
    }
    #expect(messages > 100)
  }

  // MARK: Parts

  @Test func theLogarithmIsTheOneOfTheTable() {
    // Units of 2^-16, rounded down: log2 of 1, 2, 3, 4, 5, 10 and 128.
    for (value, log) in [(1, 0), (2, 65_536), (3, 103_872), (4, 131_072), (5, 152_169), (10, 217_705), (128, 458_752)] {
      let found = Int(SuspicionTimeout.log2(UInt64(value)))
      #expect(abs(found - log) <= 1, "\(value): \(found)")
    }
    #expect(SuspicionTimeout.log2(.max) >> 16 == 63)
  }

  /// The cases of memberlist's `TestSuspicion_remainingSuspicionTime`: 2 s to 30 s, three confirmations wanted.
  @Test func suspicionTimesAreMemberlists() {
    let times = (0...4).map {
      SuspicionTimeout.microseconds(confirmations: $0, wanted: 3, min: 2_000_000, max: 30_000_000) / 1_000
    }
    #expect(times == [30_000, 16_000, 7_810, 2_000, 2_000])
    #expect(SuspicionTimeout.microseconds(confirmations: 0, wanted: 0, min: 5, max: 9) == 5)
  }

  @Test func rumoursToldLeastGoFirstAndAreForgotten() {
    var queue = RumourQueue()
    let first = DetectorUpdate.refute(OriginIndex(1), refutations: 1)
    let second = DetectorUpdate.suspect(OriginIndex(2), refutations: 0, accuser: OriginIndex(3))
    queue.add(first)
    #expect(queue.take(8, transmissions: 3) == [first])
    queue.add(second)
    #expect(queue.take(1, transmissions: 3) == [second])
    #expect(queue.take(8, transmissions: 3) == [first, second])
    #expect(queue.take(8, transmissions: 3) == [first, second])
    #expect(queue.isEmpty)
  }

  @Test func newsReplacesWhatItMakesObsolete() {
    var queue = RumourQueue()
    queue.add(.suspect(OriginIndex(2), refutations: 0, accuser: OriginIndex(3)))
    queue.add(.suspect(OriginIndex(2), refutations: 0, accuser: OriginIndex(4)))
    queue.add(.suspect(OriginIndex(5), refutations: 0, accuser: OriginIndex(4)))
    #expect(queue.count == 3)
    queue.add(.refute(OriginIndex(2), refutations: 1))
    #expect(queue.count == 2)
    queue.add(.suspect(OriginIndex(2), refutations: 1, accuser: OriginIndex(3)))
    #expect(queue.count == 3)
    queue.add(.suspect(OriginIndex(2), refutations: 2, accuser: OriginIndex(3)))
    #expect(queue.count == 2)
  }
}
