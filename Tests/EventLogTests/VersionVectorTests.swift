import EventLog
import Primitives
import Testing

struct VersionVectorTests {
  private func origin(_ value: UInt32) -> OriginIndex { OriginIndex(value) }

  @Test func originsThatAreNotListedStandAtZero() {
    var vector = VersionVector()
    #expect(vector[origin(7)] == 0)
    vector[origin(2)] = 5
    #expect(vector.sequences == [0, 0, 5])
    #expect(vector[origin(0)] == 0)
    #expect(vector[origin(2)] == 5)
    #expect(vector.entries == 5)
  }

  /// Equal content is equal value, equal hash and equal bytes, whichever way it came about.
  @Test func trailingZerosDoNotCount() {
    var vector = VersionVector([1, 2, 0, 0])
    #expect(vector == VersionVector([1, 2]))
    #expect(vector.sequences == [1, 2])
    vector[origin(9)] = 0
    #expect(vector.sequences == [1, 2])
    vector[origin(4)] = 3
    vector[origin(4)] = 0
    #expect(vector.sequences == [1, 2])
    vector[origin(1)] = 0
    vector[origin(0)] = 0
    #expect(vector == VersionVector())
  }

  @Test func mergeTakesTheLargerOfBoth() {
    var vector = VersionVector([3, 1])
    vector.merge(VersionVector([2, 4, 6]))
    #expect(vector == VersionVector([3, 4, 6]))
    vector.merge(VersionVector())
    #expect(vector == VersionVector([3, 4, 6]))
  }

  @Test func coversIsNoTotalOrder() {
    #expect(VersionVector([3, 4]).covers(VersionVector([3, 4])))
    #expect(VersionVector([3, 4]).covers(VersionVector([3])))
    #expect(VersionVector([3]).covers(VersionVector()))
    #expect(!VersionVector([3]).covers(VersionVector([3, 1])))
    #expect(!VersionVector([3, 0, 1]).covers(VersionVector([2, 1])))
    #expect(!VersionVector([2, 1]).covers(VersionVector([3, 0, 1])))
  }

  @Test(arguments: [11, 12] as [UInt64]) func mergeIsALeastUpperBound(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    func random() -> VersionVector {
      VersionVector((0..<generator.pick(0...5)).map { _ in generator.below(4) })
    }
    for _ in 0..<500 {
      let (left, right) = (random(), random())
      var both = left
      both.merge(right)
      var other = right
      other.merge(left)
      #expect(both == other, "seed \(seed)")
      #expect(both.covers(left) && both.covers(right), "seed \(seed)")
      #expect(left.covers(right) == (both == left), "seed \(seed)")
      #expect((left.covers(right) && right.covers(left)) == (left == right), "seed \(seed)")
    }
  }

  @Test func bytesGoThereAndBack() throws {
    for sequences in [[], [1], [0, 0, 7], [.max, 0, 128]] as [[UInt64]] {
      var writer = ByteWriter()
      VersionVector(sequences).write(to: &writer)
      let read = try writer.bytes.withReader { (reader) throws(CodecError) in try VersionVector(from: &reader) }
      #expect(read == VersionVector(sequences))
      for count in 0..<writer.count {
        #expect(throws: CodecError.self) {
          try Array(writer.bytes.prefix(count)).withReader { (reader) throws(CodecError) in
            try VersionVector(from: &reader)
          }
        }
      }
    }
  }

  @Test func trailingZerosAndHugeCountsAreRefused() {
    func refusal(_ bytes: [UInt8]) -> CodecError? {
      do throws(CodecError) {
        _ = try bytes.withReader { (reader) throws(CodecError) in try VersionVector(from: &reader) }
        return nil
      } catch {
        return error
      }
    }
    #expect(refusal([1, 0]) == .invalid(field: "vector"))
    #expect(refusal([2, 5, 0]) == .invalid(field: "vector"))
    #expect(refusal([2, 0, 5]) == nil)
    // 65,536 origins in three bytes; one more than there can be; more than fits a number.
    #expect(refusal([0x80, 0x80, 0x04, 1, 1, 1]) == .truncated(field: "vector"))
    #expect(refusal([0x81, 0x80, 0x04, 1, 1, 1]) == .invalid(field: "vector count"))
    #expect(refusal([UInt8](repeating: 0xff, count: 9) + [1, 1]) == .invalid(field: "vector count"))
  }

  @Test func hashIsOfTagCountAndSequences() {
    let sha = SHA256()
    #expect(VersionVector([1, 2]).hash(sha) == VersionVector([1, 2, 0]).hash(sha))
    #expect(
      VersionVector([1, 258]).hash(sha)
        == sha.hash(
          Array("rialto.vector.1".utf8) + [2, 0, 0, 0] + [1, 0, 0, 0, 0, 0, 0, 0] + [2, 1, 0, 0, 0, 0, 0, 0]))
    #expect(VersionVector().hash(sha).description == "f68a39005cb121ff296da445df63d68776bbecc3f71020223daaab6df42de24d")
    #expect(
      VersionVector([1, 258]).hash(sha).description
        == "cccddd1dfd8170b686d715ae69151bcbc935214669a6573574a43074e9c97e69")
  }
}
