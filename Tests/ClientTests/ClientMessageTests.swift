import Client
import NIOCore
import OrderBook
import Primitives
import Testing
import Wire

/// Either direction, so that every test covers both.
enum AnyMessage: Equatable {
  case request(ClientRequest)
  case message(NodeMessage)

  var bytes: [UInt8] {
    var writer = ByteWriter()
    switch self {
    case .request(let request): request.write(to: &writer)
    case .message(let message): message.write(to: &writer)
    }
    return writer.bytes
  }

  static func decode(type: UInt8, body: [UInt8]) throws(CodecError) -> AnyMessage {
    let isRequest = type < 0x40
    let result: Result<AnyMessage, CodecError> = body.withUnsafeBytes { raw in
      do throws(CodecError) {
        if isRequest { return .success(.request(try ClientRequest.decode(type: type, body: raw))) }
        return .success(.message(try NodeMessage.decode(type: type, body: raw)))
      } catch { return .failure(error) }
    }
    return try result.get()
  }

  static func random(_ frame: ClientFrame, seed: UInt64) -> AnyMessage {
    var random = RandomMessages(seed: seed)
    if let request = random.request(frame) { return .request(request) }
    return .message(random.message(frame)!)
  }
}

struct ClientMessageTests {
  @Test(arguments: ClientFrame.allCases)
  func roundTrips(_ frame: ClientFrame) throws {
    for seed in UInt64(0)..<400 {
      let message = AnyMessage.random(frame, seed: seed)
      let bytes = message.bytes
      #expect(bytes[4] == frame.rawValue)
      #expect(Int(bytes[0]) | Int(bytes[1]) << 8 | Int(bytes[2]) << 16 == bytes.count - 4)
      let back = try AnyMessage.decode(type: bytes[4], body: Array(bytes[5...]))
      // Not within the macro: a failure would print both, which is pages.
      let isSame = back == message
      #expect(isSame, "seed \(seed)")
    }
  }

  @Test(arguments: ClientFrame.allCases)
  func truncationAnywhereIsAnError(_ frame: ClientFrame) {
    for seed in UInt64(0)..<60 {
      let bytes = AnyMessage.random(frame, seed: seed).bytes
      for end in 5..<bytes.count {
        #expect(throws: CodecError.self, "seed \(seed), cut at \(end)") {
          try AnyMessage.decode(type: bytes[4], body: Array(bytes[5..<end]))
        }
      }
    }
  }

  @Test(arguments: ClientFrame.allCases)
  func trailingBytesAreAnError(_ frame: ClientFrame) {
    for seed in UInt64(0)..<40 {
      let bytes = AnyMessage.random(frame, seed: seed).bytes
      #expect(throws: CodecError.trailing(count: 1)) {
        try AnyMessage.decode(type: bytes[4], body: Array(bytes[5...]) + [0])
      }
    }
  }

  /// What decodes at all is the one encoding of what it decodes to.
  @Test(arguments: ClientFrame.allCases)
  func alteredBytesFailOrAreCanonical(_ frame: ClientFrame) {
    for seed in UInt64(0)..<150 {
      let bytes = AnyMessage.random(frame, seed: seed).bytes
      guard bytes.count > 5 else { continue }
      var random = SeededGenerator(seed: seed &+ 99)
      for _ in 0..<40 {
        var altered = bytes
        altered[random.pick(5...bytes.count - 1)] = UInt8(truncatingIfNeeded: random.next())
        if let back = try? AnyMessage.decode(type: altered[4], body: Array(altered[5...])) {
          #expect(back.bytes == altered, "seed \(seed)")
        }
      }
    }
  }

  @Test func noiseNeverCrashes() {
    var random = SeededGenerator(seed: 4)
    for frame in ClientFrame.allCases {
      for _ in 0..<2_000 {
        let body = (0..<random.pick(0...80)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        _ = try? AnyMessage.decode(type: frame.rawValue, body: body)
      }
    }
  }

  /// A count that cannot be true is refused before anything is allocated for it.
  @Test func hostileCounts() {
    // Submit: request 1, after 0, 4,096 commands announced, none there.
    #expect(throws: CodecError.truncated(field: "command count")) {
      try AnyMessage.decode(type: 0x20, body: [1, 0, 0x80, 0x20])
    }
    #expect(throws: CodecError.invalid(field: "command count")) {
      try AnyMessage.decode(type: 0x20, body: [1, 0, 0x81, 0x20])
    }
    #expect(throws: CodecError.invalid(field: "command count")) { try AnyMessage.decode(type: 0x20, body: [1, 0, 0]) }
    #expect(throws: CodecError.truncated(field: "updates")) { try AnyMessage.decode(type: 0x42, body: [0x80, 0x20]) }
    #expect(throws: CodecError.invalid(field: "updates")) { try AnyMessage.decode(type: 0x42, body: [0x81, 0x20]) }
    // A fill belongs to the log; no client may send one.
    #expect(throws: CodecError.invalid(field: "command kind")) {
      try AnyMessage.decode(type: 0x20, body: [1, 0, 1, 0x60])
    }
  }

  @Test func eachSideRefusesTheOthersTypes() {
    for frame in ClientFrame.allCases {
      let body = [UInt8](repeating: 0, count: 8)
      body.withUnsafeBytes { raw in
        let type = UInt64(frame.rawValue)
        if frame.rawValue < 0x40 {
          #expect(throws: CodecError.unknown(field: "message type", value: type)) {
            try NodeMessage.decode(type: frame.rawValue, body: raw)
          }
        } else {
          #expect(throws: CodecError.unknown(field: "request type", value: type)) {
            try ClientRequest.decode(type: frame.rawValue, body: raw)
          }
        }
      }
    }
  }

  /// Messages at the bounds of `ClientLimits` fit a frame, with the widest fields that can occur.
  @Test func boundsFitAFrame() {
    let wide = Dot(origin: OriginIndex(65_535), sequence: 1 << 62)
    let symbol = Symbol("ABCDEFGHIJKLMNOP")!
    let fill = OrderFill(priceTicks: 1 << 62, quantityLots: 1 << 62, counterparty: wide, isMaker: true)
    let trade = MarketTrade(
      symbol: symbol, maker: wide, taker: wide, takerSide: .buy, priceTicks: 1 << 62, quantityLots: 1 << 62,
      stamp: Stamp(.max))
    let detail = OrderDetail(
      dot: wide, stamp: Stamp(.max), clientOrderID: ClientOrderID(String(repeating: "x", count: 36))!, symbol: symbol,
      account: AccountID(.max), side: .buy, type: .limit, timeInForce: .goodTillDate, priceTicks: 1 << 62,
      quantityLots: 1 << 62, stopPriceTicks: 1 << 62, displayLots: 1 << 62, expiry: Stamp(.max), openLots: 1 << 62,
      filledLots: 1 << 62, status: .open, fillsOmitted: .max)
    var one = detail
    one.fills = Array(repeating: fill, count: ClientLimits.fillsMax)
    // Prices within their range, spread as widely as so many can be.
    let gap = (Int64(1) << 62) / Int64(ClientLimits.levelsPerSideMax + 1)
    let levels = (1...ClientLimits.levelsPerSideMax).map {
      MarketLevel(priceTicks: Int64($0) * gap, quantityLots: 1 << 93, orders: .max)
    }
    let change = MarketChange(
      subscription: .max, symbol: symbol, sequence: .max, bookHash: .zero,
      levels: (0..<ClientLimits.levelChangesMax).map { Client.LevelChange(side: .buy, level: levels[$0]) },
      tradesWithdrawn: .max, trades: Array(repeating: trade, count: ClientLimits.tradesMax))
    let page = Array(repeating: detail, count: ClientLimits.ordersPerPageMax)
    let messages: [NodeMessage] = [
      .answer(request: .max, .order(one)),
      .answer(request: .max, .orders(page, isTruncated: true)),
      .answer(request: .max, .trades(Array(repeating: trade, count: ClientLimits.tradesMax))),
      .marketSnapshot(
        MarketSnapshot(
          subscription: .max, symbol: symbol, sequence: .max, bookHash: .zero,
          sides: MarketSides(bids: levels.reversed(), asks: levels))),
      .marketChange(change),
    ]
    for message in messages {
      let bytes = AnyMessage.message(message).bytes
      #expect(bytes.count - 4 <= Limits.clientFrameBytesMax, "\(message.frame): \(bytes.count)")
    }
  }

  @Test func updatesAreCutIntoFrames() throws {
    let fill = OrderFill(priceTicks: 5, quantityLots: 1, counterparty: Dot("1-9")!, isMaker: false)
    let many = OrderUpdate(
      entry: Dot("2-1")!, state: .open, fillsStanding: 3, newFills: Array(repeating: fill, count: 10_000))
    let small = OrderUpdate(entry: Dot("2-2")!, state: .done)
    var writer = ByteWriter()
    writer.write(updates: [many] + Array(repeating: small, count: 9_000))
    var splitter = FrameSplitter(bytesMax: Limits.clientFrameBytesMax)
    splitter.append(ByteBuffer(bytes: writer.bytes))
    var updates: [OrderUpdate] = []
    while let frame = try splitter.next() {
      guard case .updates(let some) = try NodeMessage.decode(frame) else { Issue.record("not updates"); return }
      updates += some
    }
    #expect(updates.count == 9_003)
    #expect(updates.prefix(3).map(\.fillsStanding) == [3, 4_099, 8_195])
    #expect(updates.prefix(3).map(\.newFills.count) == [4_096, 4_096, 1_808])
    #expect(updates.last == small)
    var nothing = ByteWriter()
    nothing.write(updates: [])
    #expect(nothing.bytes.isEmpty)
  }
}
