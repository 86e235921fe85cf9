import OrderBook
import Primitives
import Wire

@testable import Client

/// The native protocol, both ways: one encoding each.
enum ClientChecks {
  @Sendable static func request(_ input: [UInt8]) throws(Finding) -> Bool {
    guard let type = input.first else { return false }
    let request: ClientRequest
    do throws(CodecError) {
      request = try withBytes(of: input.dropFirst()) { (raw) throws(CodecError) in
        try ClientRequest.decode(type: type, body: raw)
      }
    } catch {
      return false
    }
    var writer = ByteWriter(reserving: input.count + 4)
    request.write(to: &writer)
    try check(writer.bytes, isFrameOf: input)
    if case .submit(let submit) = request {
      try expect((1...Limits.requestsPerFrameMax).contains(submit.commands.count), "no or too many commands")
    }
    return true
  }

  @Sendable static func message(_ input: [UInt8]) throws(Finding) -> Bool {
    guard let type = input.first else { return false }
    let message: NodeMessage
    do throws(CodecError) {
      message = try withBytes(of: input.dropFirst()) { (raw) throws(CodecError) in
        try NodeMessage.decode(type: type, body: raw)
      }
    } catch {
      return false
    }
    var writer = ByteWriter(reserving: input.count + 4)
    message.write(to: &writer)
    try check(writer.bytes, isFrameOf: input)
    switch message {
    case .accepted(let runs):
      for run in runs {
        try expect(zip(run.stamps, run.stamps.dropFirst()).allSatisfy { $0 < $1 }, "stamps do not ascend")
        try expect(run.acceptance(run.stamps.count - 1).stamp == run.stamps.last, "another stamp is accepted")
      }
    case .marketSnapshot(let snapshot): try check(snapshot.sides)
    case .answer(_, .book(let book)): try check(book.sides)
    case .refused, .updates, .answer, .marketChange, .pong, .goodbye: break
    }
    return true
  }

  private static func check(_ bytes: [UInt8], isFrameOf input: [UInt8]) throws(Finding) {
    try expect(bytes.dropFirst(Frame.headerByteCount - 1).elementsEqual(input), "encodes to other bytes: \(bytes)")
    let length = bytes.prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
    try expect(length == input.count, "the frame gives a length of \(length)")
  }

  private static func check(_ sides: MarketSides) throws(Finding) {
    let bids = sides.bids.map(\.priceTicks)
    let asks = sides.asks.map(\.priceTicks)
    try expect(zip(bids, bids.dropFirst()).allSatisfy { $0 > $1 }, "bids do not descend")
    try expect(zip(asks, asks.dropFirst()).allSatisfy { $0 < $1 }, "asks do not ascend")
    try expect((sides.bids + sides.asks).allSatisfy { $0.quantityLots > 0 }, "an empty level")
  }
}

// MARK: - A session

extension ClientChecks {
  /// How often each command was told its outcome. A session belongs to one thread.
  private final class Told: @unchecked Sendable {
    var counts = Array(repeating: 0, count: 3)
  }

  /// A session that has asked a little of everything: subscription 1, commands 2 to 4, query 5, ping 1.
  private static func busySession(_ told: Told) -> ClientSession {
    let session = ClientSession(nowMilliseconds: 0, requestTimeoutMilliseconds: 1_000, onUpdates: { _ in })
    let commands = Array(repeating: Command.cancelAll(CancelAll(account: AccountID(1))), count: told.counts.count)
    session.take(
      [
        .subscribe(id: 1, symbol: nil, content: [.levels, .trades], mailbox: MarketMailbox(), Reply()),
        .submit(commands: commands, after: .zero, sink: .callback { position, _ in told.counts[position] += 1 }),
        .query(.status, Reply()), .ping(Reply()),
      ], nowMilliseconds: 0)
    session.pump()
    return session
  }

  /// What a node may do to a client library with its messages: answer it, or end its connection, no more.
  @Sendable static func session(_ input: [UInt8]) throws(Finding) -> Bool {
    let told = Told()
    let session = busySession(told)
    var rest = input[...]
    var isFine = true
    var now: UInt64 = 0
    while isFine, let frame = ShortFrame(from: &rest) {
      now += 100
      let decoded: Result<NodeMessage, CodecError> = withBytes(of: frame.body) { raw in
        Result { () throws(CodecError) in try NodeMessage.decode(type: frame.type, body: raw) }
      }
      guard case .success(let message) = decoded else { break }
      do throws(ClientError) {
        try session.receive(message, nowMilliseconds: now)
        try session.tick(nowMilliseconds: now)
      } catch {
        isFine = false
      }
      session.pump()
      try expect(told.counts.allSatisfy { $0 <= 1 }, "commands were answered \(told.counts) times")
    }
    session.failAll(.closed)
    try expect(told.counts.allSatisfy { $0 == 1 }, "at the end commands were answered \(told.counts) times")
    try expect(session.inFlight == 0, "\(session.inFlight) requests are left after the end")
    return isFine && now > 0
  }
}
