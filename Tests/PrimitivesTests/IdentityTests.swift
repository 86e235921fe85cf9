import Primitives
import Testing

struct DotTests {
  @Test func textGoesThereAndBack() {
    for (text, origin, sequence) in [
      ("0-1", 0, 1), ("2-1841", 2, 1_841), ("65535-1", 65_535, 1),
      ("4294967295-18446744073709551615", UInt32.max, UInt64.max),
    ] as [(String, UInt32, UInt64)] {
      let dot = Dot(origin: OriginIndex(origin), sequence: sequence)
      #expect(dot.description == text)
      #expect(Dot(text) == dot)
    }
  }

  /// One order has one id: "+2-1" and "02-1" must not find what "2-1" names.
  @Test func everyOtherTextIsRefused() {
    for text in [
      "", "-", "1", "1-", "-1", "1--1", "1-1-1", "1-1-", "0-0", "5-0", "+2-1", "2-+1", "02-1", "2-01", "2-00", " 2-1",
      "2-1 ", "2 -1", "a-1", "2-a", "4294967296-1", "1-18446744073709551616", "٢-١", "2−1", "0x2-1", "2_0-1",
    ] {
      #expect(Dot(text) == nil, "\(text)")
    }
    #expect(Dot("x2-1y".dropFirst().dropLast()) == Dot(origin: OriginIndex(2), sequence: 1))
  }

  @Test func orderIsByOriginThenSequence() {
    let dots = [(0, 1), (0, 2), (0, UInt64.max), (1, 1), (2, 1), (10, 0)].map {
      Dot(origin: OriginIndex($0.0), sequence: $0.1)
    }
    expectAscending(dots)
  }

  @Test func onlySequenceZeroNamesNothing() {
    #expect(Dot.none.isNone)
    #expect(!Dot(origin: OriginIndex(0), sequence: 1).isNone)
  }
}

struct StampTests {
  @Test func millisecondsAndCounterArePackedInOrder() {
    let stamp = Stamp(milliseconds: 1_700_000_000_123, counter: 45)
    #expect(stamp.value == 1_700_000_000_123 << 16 | 45)
    #expect(stamp.milliseconds == 1_700_000_000_123)
    #expect(stamp.counter == 45)
    #expect(stamp.description == "1700000000123.45")
    #expect(Stamp(.max).milliseconds == (1 << 48) - 1)
    #expect(Stamp(.max).counter == .max)
    #expect(Stamp(milliseconds: (1 << 48) - 1, counter: .max).value == .max)
  }

  @Test func secondChangesAtTheThousandth() {
    #expect(Stamp(milliseconds: 999, counter: .max).second == 0)
    #expect(Stamp(milliseconds: 1_000).second == 1)
    #expect(Stamp(milliseconds: 1_999, counter: 7).second == 1)
  }

  @Test func orderIsByMillisecondsThenCounter() {
    expectAscending([
      .zero, Stamp(milliseconds: 0, counter: 1), Stamp(milliseconds: 0, counter: .max), Stamp(milliseconds: 1),
      Stamp(milliseconds: 1, counter: 1), Stamp(milliseconds: 1 << 47), Stamp(.max),
    ])
  }

  @Test func keysAreOrderedByStampThenOrigin() {
    expectAscending(
      [(0, 0), (0, 1), (1, 0), (1, 5), (2, 0), (UInt64.max, 0), (.max, .max)].map {
        OrderKey(stamp: Stamp($0.0), origin: OriginIndex($0.1))
      })
    #expect(OrderKey(stamp: Stamp(milliseconds: 5, counter: 2), origin: OriginIndex(3)).description == "5.2@3")
  }
}

/// Every pair compares as its places do, in both directions.
private func expectAscending<Value: Comparable>(_ values: [Value], sourceLocation: SourceLocation = #_sourceLocation) {
  for (left, leftValue) in values.enumerated() {
    for (right, rightValue) in values.enumerated() {
      #expect((leftValue < rightValue) == (left < right), "\(leftValue), \(rightValue)", sourceLocation: sourceLocation)
      #expect((leftValue == rightValue) == (left == right), sourceLocation: sourceLocation)
    }
  }
}
