import Client
import OrderBook
import Primitives
import Testing
import Wire

/// The bytes of a few messages, for ever: other languages implement the protocol by them.
struct GoldenMessageTests {
  private func check(_ message: AnyMessage, _ hex: String) throws {
    #expect(message.bytes.hex == hex)
    let bytes = try #require([UInt8](hex: hex))
    #expect(try AnyMessage.decode(type: bytes[4], body: Array(bytes[5...])) == message)
  }

  @Test func submit() throws {
    let account = AccountID(7)
    let order = Order(
      instrument: Dot("0-1")!, account: account, side: .sell, priceTicks: 100, quantityLots: 5,
      clientOrderID: ClientOrderID(1_000), clientTimeMilliseconds: 50)
    let request = SubmitRequest(
      firstRequest: 300, after: Stamp(2), commands: [.order(order), .cancelAll(CancelAll(account: account))])
    // Length 18, type; first 300, after 2, count 2; order: sell, new shape 0x0100, instrument 0-1, account 7, price
    // +100, quantity 5, id +1000, time +50; cancel-all: same account, all instruments.
    try check(.request(.submit(request)), "1200000020ac020202210001000107c8010ad00f6456")
  }

  @Test func queriesAndSubscription() throws {
    try check(
      .request(.query(request: 1, .book(Symbol("BTC-USD")!, depth: 10, .tentative))),
      "0d000000210101074254432d5553440a" + "00")
    try check(.request(.query(request: 2, .order(.dot(Dot("3-300")!), .final))), "0700000021020203ac0201")
    // Level 2, stamp 300, 500 ms.
    try check(
      .request(.query(request: 3, .finality(.atLeast(Stamp(300), waitMilliseconds: 500)))),
      "0800000021030a" + "02ac02f403")
    let cut = CutLink(node: NodeID(Hash256(word0: 1, word1: 2, word2: 3, word3: 4)), direction: .both)
    try check(
      .request(.query(request: 4, .fault(.links([cut])))),
      "2600000021040b0101" + (1...4).map { "000000000000000\($0)" }.joined() + "01")
    try check(.request(.query(request: 6, .inspect([1]))), "0500000021060c0101")
    try check(
      .request(.query(request: 6, .log(OriginIndex(2), from: 300, through: 301))), "0800000021060d02ac02ad02")
    try check(.request(.query(request: 6, .fault(.corrupt(.skipFill, seed: 300)))), "0700000021060b0206ac02")
    try check(.request(.query(request: 7, .findings)), "0300000021070e")
    let all = SubscribeRequest(request: 5, symbol: nil, content: [.levels, .trades])
    try check(.request(.subscribe(all)), "0400000022050003")
    try check(.request(.ping(nonce: 1)), "09000000240100000000000000")
  }

  @Test func answers() throws {
    let run = AcceptedRun(firstRequest: 300, firstDot: Dot("2-9")!, stamps: [Stamp(128), Stamp(129), Stamp(131)])
    try check(.message(.accepted([run])), "0b0000004001ac0203020980010102")
    let refused = RefusedRun(firstRequest: 4, count: 2, refusal: RequestRefusal(.tailFull, "full"))
    try check(.message(.refused(refused)), "09000000410402020466756c6c")
    let update = OrderUpdate(
      entry: Dot("2-9")!, state: .partiallyFilled, openLots: 3, filledLots: 2, fillsStanding: 1,
      newFills: [OrderFill(priceTicks: -1, quantityLots: 2, counterparty: Dot("1-4")!, isMaker: true)],
      flags: .correction)
    try check(.message(.updates([update])), "120000004201020902000000030201010102010401" + "01")
    try check(.message(.answer(request: 6, .inspection([0, 2, 104, 105]))), "0800000043060c0400026869")
    // Held 400; one batch: view 1, signature, three bytes.
    let logged = LoggedBatch(view: 1, signature: Signature(bytes: Array(0..<64))!, bytes: [9, 8, 7])
    try check(
      .message(.answer(request: 6, .log([logged], held: 400))),
      "4b00000043060d9003" + "01" + "01" + Array(0..<64).hex + "03090807")
    try check(.message(.goodbye("bye")), "050000004703627965")
  }

  @Test func market() throws {
    let change = MarketChange(
      subscription: 5, symbol: Symbol("X")!, sequence: 2,
      levels: [Client.LevelChange(side: .sell, level: MarketLevel(priceTicks: 10, quantityLots: 1 << 64, orders: 3))])
    try check(.message(.marketChange(change)), "15000000450501580200000000000000000101140001030000")
  }
}
