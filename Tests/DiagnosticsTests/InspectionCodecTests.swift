import Diagnostics
import EventLog
import OrderBook
import Primitives
import Testing

struct InspectionCodecTests {
  @Test func whatIsWrittenIsRead() throws {
    var random = RandomInspections(seed: 7)
    for _ in 0..<2_000 {
      let question = random.question()
      #expect(try Question(bytes: question.bytes) == question)
      let answer = random.answer()
      #expect(try Answer(bytes: answer.bytes) == answer)
    }
  }

  @Test func nothingThatIsCutShortIsRead() {
    var random = RandomInspections(seed: 8)
    for _ in 0..<200 {
      let question = random.question().bytes
      for end in 0..<question.count {
        #expect(throws: CodecError.self) { try Question(bytes: Array(question.prefix(end))) }
      }
      #expect(throws: CodecError.self) { try Question(bytes: question + [0]) }
      let answer = random.answer().bytes
      for end in 0..<answer.count {
        #expect(throws: CodecError.self) { try Answer(bytes: Array(answer.prefix(end))) }
      }
      #expect(throws: CodecError.self) { try Answer(bytes: answer + [0]) }
    }
  }

  /// For ever: other tools ask by them.
  @Test func goldenBytes() {
    #expect(Question.overview.bytes.hex == "01")
    #expect(Question.checkpoints(after: 1, through: 300).bytes.hex == "0201ac02")
    #expect(Question.heads(after: Stamp(5), through: Stamp(6), isDeep: true).bytes.hex == "04050601")
    #expect(Question.places(OriginIndex(2), after: 3, .stored, at: [4, 9]).bytes.hex == "05020300020409")
    #expect(Question.fillHashes(after: 0, at: [1]).bytes.hex == "07000101")
    let queue = QueueName(Dot("0-1")!, .asks)
    #expect(
      Question.book(.at(Stamp(9)), .kept, levels: [LevelName(queue, priceTicks: 100)]).bytes.hex
        == "0901090001" + "00010164")
    #expect(Question.levels(book: 3, queue, at: [0, 5]).bytes.hex == "0a03000101020005")
    #expect(Question.trace(Dot("1-2")!, Stamp(3)).bytes.hex == "0f010203")
    #expect(Answer.unavailable("no").bytes.hex == "00026e6f")
    let fill = StoredFill(
      number: 1, instrument: Dot("0-1")!, maker: Dot("1-2")!, taker: Dot("2-3")!, priceTicks: 10, quantityLots: -1,
      takerSide: .sell, stamp: Stamp(7))
    #expect(Answer.fills([fill]).bytes.hex == "0801" + "01" + "0001" + "0102" + "0203" + "14" + "01" + "01" + "07")
    #expect(
      Answer.levels([LevelRange(levels: 1, lowest: 1, highest: 2, hash: .zero)]).bytes.hex
        == "0a01" + "01" + "02" + "04" + String(repeating: "00", count: 32))
  }

  /// Numbers rise, counts are bounded, names are whole.
  @Test func whatMakesNoSenseIsRefused() {
    for bytes: [UInt8] in [
      [], [0], [17], [7, 0, 2, 5, 5], [7, 0, 2, 5, 4], [7, 0, 17] + Array(1...17), [4, 1, 2, 2], [9, 4, 0, 0],
      [10, 1, 0, 1, 4, 0],
    ] {
      #expect(throws: CodecError.self) { try Question(bytes: bytes) }
    }
  }
}
