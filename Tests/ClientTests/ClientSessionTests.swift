import NIOCore
import OrderBook
import Primitives
import Synchronization
import Testing
import Wire

@testable import Client

/// The session without a network: calls and messages in, frames out, time as an argument.
struct ClientSessionTests {
  private func session() -> ClientSession {
    ClientSession(nowMilliseconds: 0, requestTimeoutMilliseconds: 1_000, onUpdates: { _ in })
  }

  /// What the session would send now.
  private func sent(_ session: ClientSession) throws -> [ClientRequest] {
    session.pump()
    var splitter = FrameSplitter(bytesMax: Limits.clientFrameBytesMax)
    splitter.append(ByteBuffer(bytes: session.output.bytes))
    session.output.bytes = []
    var requests: [ClientRequest] = []
    while let frame = try splitter.next() { requests.append(try ClientRequest.decode(frame)) }
    #expect(splitter.waitingByteCount == 0)
    return requests
  }

  private func call(_ commands: [Command], after: Stamp = .zero) -> ClientCall {
    .submit(commands: commands, after: after, sink: .callback { _, _ in })
  }

  @Test func callsOfOneTurnShareFrames() throws {
    let session = session()
    let query = ClientCall.query(.status, Reply())
    session.take(
      [
        call([anOrder(1)]), call([anOrder(2), anOrder(3)]), call([anOrder(4)], after: Stamp(9)), query,
        call([anOrder(5)], after: Stamp(9)),
      ], nowMilliseconds: 0)
    #expect(
      try sent(session) == [
        .submit(SubmitRequest(firstRequest: 1, commands: [anOrder(1), anOrder(2), anOrder(3)])),
        .submit(SubmitRequest(firstRequest: 4, after: Stamp(9), commands: [anOrder(4)])),
        .query(request: 5, .status),
        .submit(SubmitRequest(firstRequest: 6, after: Stamp(9), commands: [anOrder(5)])),
      ])
    #expect(session.inFlight == 6)
    #expect(session.released == 6)
  }

  /// The widest commands fill frames by bytes, the narrowest by count; neither is too long.
  @Test func framesAreCutAtTheirLimits() throws {
    let session = session()
    var wide: [Command] = []
    for position in UInt64(0)..<5_000 {
      // Far from the one before in every field that is written as a difference.
      let far: Int64 = position % 2 == 0 ? Int64.max / 4 : -(Int64.max / 4)
      let order = Order(
        instrument: Dot(origin: OriginIndex(65_535), sequence: .max - position), account: AccountID(.max - position),
        side: .buy, type: .stopLimit, timeInForce: .goodTillDate, priceTicks: far, quantityLots: .max,
        stopPriceTicks: -far, displayLots: .max, expiry: Stamp(.max),
        clientOrderID: ClientOrderID(String(repeating: "x", count: 36))!,
        clientTimeMilliseconds: position % 2 == 0 ? 1 << 62 : 0)
      wide.append(.order(order))
    }
    session.take([call(wide)], nowMilliseconds: 0)
    session.pump()
    var splitter = FrameSplitter(bytesMax: Limits.clientFrameBytesMax)
    splitter.append(ByteBuffer(bytes: session.output.bytes))
    var commands: [Command] = []
    while let frame = try splitter.next() {
      guard case .submit(let submit) = try ClientRequest.decode(frame) else { Issue.record("not a submit"); return }
      #expect(submit.firstRequest == UInt64(commands.count + 1))
      commands += submit.commands
    }
    let isSame = commands == wide
    #expect(isSame)
    session.output.bytes = []
    session.take([call(Array(repeating: anOrder(1), count: 9_000))], nowMilliseconds: 0)
    #expect(
      try sent(session).map { if case .submit(let submit) = $0 { submit.commands.count } else { 0 } }
        == [4_096, 4_096, 808])
  }

  @Test func theWindowOpensAsAnswersCome() throws {
    let session = session()
    let max = Limits.clientRequestsInFlightMax
    session.take([call(Array(repeating: anOrder(1), count: max + 5)), .query(.status, Reply())], nowMilliseconds: 0)
    _ = try sent(session)
    #expect(session.inFlight == max)
    #expect(try sent(session) == [])
    let run = AcceptedRun(firstRequest: 10, firstDot: Dot("1-1")!, stamps: [Stamp(1), Stamp(2), Stamp(3)])
    try session.receive(.accepted([run]), nowMilliseconds: 1)
    #expect(
      try sent(session)
        == [.submit(SubmitRequest(firstRequest: UInt64(max + 1), commands: Array(repeating: anOrder(1), count: 3)))])
    let refused = RefusedRun(firstRequest: 100, count: 50, refusal: RequestRefusal(.busy, ""))
    try session.receive(.refused(refused), nowMilliseconds: 1)
    #expect(
      try sent(session) == [
        .submit(SubmitRequest(firstRequest: UInt64(max + 4), commands: [anOrder(1), anOrder(1)])),
        .query(request: UInt64(max + 6), .status),
      ])
    #expect(session.inFlight == max - 47)
  }

  @Test func whatWaitsTooLongFailsWhereverItIs() throws {
    let session = session()
    let outcomes = Mutex<[Outcome]>([])
    let sink = SubmitBatch.Sink.callback { _, outcome in outcomes.withLock { $0.append(outcome) } }
    let many = Array(repeating: anOrder(1), count: Limits.clientRequestsInFlightMax + 10)
    session.take([.submit(commands: many, after: .zero, sink: sink), .query(.status, Reply())], nowMilliseconds: 0)
    _ = try sent(session)
    try session.tick(nowMilliseconds: 999)
    #expect(outcomes.withLock { $0.isEmpty })
    try session.tick(nowMilliseconds: 1_000)
    #expect(outcomes.withLock { $0.count } == many.count)
    #expect(session.inFlight == 0)
    #expect(session.released == many.count + 1)
    // A late answer harms nobody.
    try session.receive(
      .accepted([AcceptedRun(firstRequest: 1, firstDot: Dot("1-1")!, stamps: [Stamp(1)])]), nowMilliseconds: 1_001)
    #expect(outcomes.withLock { $0.count } == many.count)
    #expect(try sent(session) == [])
  }

  @Test func aSilentNodeIsAskedAndThenGivenUp() throws {
    let session = session()
    try session.tick(nowMilliseconds: 4_999)
    #expect(try sent(session) == [])
    try session.tick(nowMilliseconds: 5_000)
    #expect(try sent(session) == [.ping(nonce: 1)])
    try session.receive(.pong(nonce: 1), nowMilliseconds: 5_100)
    try session.tick(nowMilliseconds: 10_000)
    #expect(try sent(session) == [])
    try session.tick(nowMilliseconds: 10_100)
    #expect(try sent(session) == [.ping(nonce: 2)])
    #expect(throws: ClientError.connectionLost(reason: "nothing was heard of the node for 15000 ms")) {
      try session.tick(nowMilliseconds: 20_100)
    }
  }

  /// Answers in any order, cut anywhere, give every command its own outcome exactly once.
  @Test(arguments: UInt64(0)..<50)
  func answersInAnyOrder(_ seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let session = session()
    let told = Mutex<[Int: Outcome]>([:])
    var total = 0
    var calls: [ClientCall] = []
    for _ in 0..<random.pick(1...20) {
      let start = total
      let count = random.pick(1...300)
      total += count
      let sink = SubmitBatch.Sink.callback { position, outcome in
        told.withLock { told in
          #expect(told[start + position] == nil)
          told[start + position] = outcome
        }
      }
      calls.append(.submit(commands: Array(repeating: anOrder(1), count: count), after: .zero, sink: sink))
    }
    session.take(calls, nowMilliseconds: 0)
    _ = try sent(session)
    var runs: [NodeMessage] = []
    var next = 1
    while next <= total {
      let count = min(random.pick(1...200), total - next + 1)
      if random.chance(1, of: 4) {
        let refusal = RequestRefusal(.busy, "")
        runs.append(.refused(RefusedRun(firstRequest: UInt64(next), count: count, refusal: refusal)))
      } else {
        let dot = Dot(origin: OriginIndex(1), sequence: UInt64(next))
        let stamps = (0..<count).map { Stamp(UInt64(next + $0)) }
        runs.append(.accepted([AcceptedRun(firstRequest: UInt64(next), firstDot: dot, stamps: stamps)]))
      }
      next += count
    }
    runs.shuffle(using: &random)
    for run in runs { try session.receive(run, nowMilliseconds: 1) }
    #expect(session.inFlight == 0)
    let outcomes = told.withLock { $0 }
    #expect(outcomes.count == total)
    for (position, outcome) in outcomes {
      if case .accepted(let acceptance) = outcome { #expect(acceptance.dot.sequence == UInt64(position + 1)) }
    }
  }

  @Test func theMailboxIsBounded() async throws {
    let mailbox = MarketMailbox()
    let change = MarketEvent.change(MarketChange(subscription: 1, symbol: Symbol("A")!, sequence: 1))
    for _ in 0..<ClientLimits.marketEventsBufferedMax { #expect(mailbox.put(change)) }
    #expect(!mailbox.put(change))
    mailbox.finish(.closed)
    await #expect(throws: ClientError.closed) { try await mailbox.next {} }
  }

  @Test func fifoKeepsOrder() {
    var fifo = Fifo<Int>()
    var random = SeededGenerator(seed: 1)
    var (next, expected) = (0, 0)
    for _ in 0..<50_000 {
      if random.chance(1, of: 2) {
        fifo.append(next)
        next += 1
      } else if let value = fifo.popFirst() {
        #expect(value == expected)
        expected += 1
      }
      #expect(fifo.count == next - expected)
    }
  }
}
