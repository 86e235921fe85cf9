import Client
import EventLog
import Foundation
import Gossip
import Membership
import OrderBook
import Primitives
import Wire

@testable import FuzzChecks

/// Inputs that lead the fuzzer into a decoder: what our own encoders write, and the bytes of the golden vectors.
struct Seeds {
  /// Canonical bytes of batches, those that no decoder accepts included.
  private let golden: [[UInt8]]
  /// Of the golden batches, each as one run.
  private let commands: [[Command]]
  private static let hash = Hash256(word0: 1, word1: 2, word2: 3, word3: 4)
  private static let signature = Signature(bytes: Array(repeating: 1, count: Signature.byteCount))!
  private static let randomMessagesPerFrame: UInt64 = 12

  init(goldenFolder: String) {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: goldenFolder)) ?? []
    golden = names.filter { $0.hasSuffix(".txt") }.sorted().flatMap { name in
      Self.vectors(String(decoding: readFile("\(goldenFolder)/\(name)"), as: UTF8.self))
    }
    commands = golden.compactMap { bytes in
      let sealed = SealedBatch(bytes: bytes, view: 0, signature: Self.signature)
      guard let batch = try? Batch.decode(sealed, previous: .zero, SHA256()) else { return nil }
      let commands = batch.entries.compactMap { entry -> Command? in
        if case .command(let command) = entry.payload { command } else { nil }
      }
      return commands.isEmpty ? nil : commands
    }
  }

  /// The digits on the indented lines below each line `bytes`.
  private static func vectors(_ text: String) -> [[UInt8]] {
    var found: [[UInt8]] = []
    var digits: String?
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
      if let open = digits, line.hasPrefix("  ") {
        digits = open + line.dropFirst(2)
      } else {
        if let digits, let bytes = [UInt8](hex: digits) { found.append(bytes) }
        digits = line == "bytes" ? "" : nil
      }
    }
    return found
  }

  func inputs(of target: FuzzTarget) -> [[UInt8]] {
    switch target.name {
    case "batch": golden
    case "command": commands.map(Self.encode)
    case "peer": peerMessages.map { [$0.frameType] + $0.body }
    case "snapshot": snapshotParts
    case "vector": [[0, 0], [1, 7, 0], [3, 1, 0, 0x80, 1, 2, 5, 6]]
    case "frame": frameStreams
    case "hello": handshakeMessages
    case "handshake": handshakes
    case "request": requests.map(Self.frame)
    case "message": messages.map(Self.frame)
    case "question": RandomInspections.seeds { $0.question().bytes }
    case "inspection": RandomInspections.seeds { $0.answer().bytes }
    case "session": sessions
    case "flow": flows
    case "decimal": decimals
    case "text": texts
    case "genesis": genesisFiles
    default: []
    }
  }
}

// MARK: - Members

extension Seeds {
  private static func encode(_ commands: [Command]) -> [UInt8] {
    var writer = ByteWriter()
    var context = CommandContext()
    for command in commands { writer.write(command: command, &context) }
    return writer.bytes
  }

  private var peerMessages: [PeerMessage] {
    let head = Head(sequence: 300, hash: Self.hash)
    let range = LogRange(origin: OriginIndex(1), from: 1, through: 200)
    let address = AddressRecord(
      origin: OriginIndex(1), bootMilliseconds: 5, address: "127.0.0.1:80", signature: Self.signature)
    let digest = Digest(
      view: 1, finalStamp: Stamp(99), checkpointNumber: 2, checkpointHash: Self.hash, appliedHash: Self.hash,
      bookHash: Self.hash, isAnswer: true)
    return golden.prefix(40).map { .batch(SealedBatch(bytes: $0, view: 1, signature: Self.signature)) } + [
      .heartbeat(Heartbeat(view: 0, speaker: nil, beat: nil, acks: [])),
      .heartbeat(
        Heartbeat(
          view: 300, speaker: OriginIndex(1), beat: Beat(promise: Stamp(1 << 40), head: head),
          acks: [Ack(origin: OriginIndex(2), head: head)])),
      .heartbeat(
        Heartbeat(
          view: 3, speaker: OriginIndex(1), beat: nil, acks: [], wallMilliseconds: 1_700_000_000_000,
          unheard: [OriginIndex(0), OriginIndex(300)], wantsWord: true)),
      .word(
        SignedHeartbeat(
          heartbeat: Heartbeat(
            view: 300, speaker: OriginIndex(1), beat: Beat(promise: Stamp(1 << 40), head: head),
            acks: [Ack(origin: OriginIndex(2), head: head)], wallMilliseconds: 1_700_000_000_000),
          signature: Self.signature)),
      .announce([range, range]), .request(range), .digest(digest), .vector(VersionVector([1, 0, 300])),
      .addresses([address, address]), .served(origin: OriginIndex(65_535), through: 1 << 63),
      .snapshot(.query), .snapshot(.request(hash: Self.hash, offset: UInt64(Limits.snapshotPieceBytes))),
      .snapshot(.piece(hash: Self.hash, offset: 0, bytes: [1, 2, 3])),
      .snapshot(.compacted(origin: OriginIndex(2), through: 300)),
      .snapshot(
        .offer([SnapshotInfo(number: 9, checkpointHash: Self.hash, entries: 5, byteCount: 7, hash: Self.hash)])),
    ]
  }
}

extension Seeds {
  /// Books of the golden entries, one after another, where they are commands; a list of checkpoints; a name.
  private var snapshotParts: [[UInt8]] {
    var parts: [[UInt8]] = []
    for (seed, run) in commands.enumerated() {
      var engine = MatchingEngine()
      var tape = EventTape()
      let symbol = Symbol("BTC-USD")
      let first = symbol.map { [Command.instrument(Instrument(symbol: $0))] } ?? []
      for (place, command) in (first + run + resting(seed)).enumerated() {
        engine.apply(
          command, at: Dot(origin: OriginIndex(0), sequence: UInt64(place) + 1),
          stamp: Stamp(milliseconds: 1_700_000_000_000 + UInt64(place)), into: &tape)
      }
      var out = PieceWriter(pieceBytes: 4_096)
      engine.write(to: &out)
      parts.append([0] + out.finish().flatMap { $0 })
    }
    var list = CheckpointList()
    for number in [UInt64(3), 4, 9, 200] {
      list.append(
        Checkpoint(
          number: number, previous: Self.hash, bookHash: Self.hash, logHash: Self.hash, fillsHash: Self.hash,
          fills: number, SHA256()))
      var writer = ByteWriter()
      list.write(to: &writer)
      parts.append([1] + writer.bytes)
    }
    var writer = ByteWriter()
    SnapshotInfo(number: 60, checkpointHash: Self.hash, entries: 1_000, byteCount: 99, hash: Self.hash)
      .write(to: &writer)
    return parts + [[2] + writer.bytes]
  }

  /// Orders of the kinds that stay.
  private func resting(_ seed: Int) -> [Command] {
    let instrument = Dot(origin: OriginIndex(0), sequence: 1)
    func order(_ change: (inout Order) -> Void) -> Command {
      var order = Order(
        instrument: instrument, account: AccountID(UInt64(seed % 3)), side: .buy, priceTicks: 100, quantityLots: 5)
      change(&order)
      return .order(order)
    }
    return [
      order { _ in },
      order {
        $0.quantityLots = 40
        $0.displayLots = 4
        $0.clientOrderID = ClientOrderID(UInt64(seed))
        $0.clientTimeMilliseconds = 1_700_000_000_000
      },
      order {
        $0.side = .sell
        $0.priceTicks = 120
        $0.timeInForce = .goodTillDate
        $0.expiry = Stamp(milliseconds: 1_800_000_000_000)
      },
      order {
        $0.type = .stopLimit
        $0.stopPriceTicks = 150
      },
      order { $0.firstDot = Dot(origin: OriginIndex(9), sequence: 5) },
      order {
        $0.quantityLots = 40
        $0.displayLots = 4
        $0.clientOrderID = ClientOrderID(UInt64(seed))
        $0.clientTimeMilliseconds = 1_700_000_000_000
        $0.firstDot = Dot(origin: OriginIndex(9), sequence: 6)
      },
      .cancel(Cancel(account: AccountID(3), target: .client(ClientOrderID("later") ?? .none))),
    ]
  }
}

// MARK: - The wire

extension Seeds {
  private var frameStreams: [[UInt8]] {
    let stream: [UInt8] =
      .frame(type: 1, body: []) + .frame(type: 0x20, body: [1, 2, 3]) + .frame(type: 3, body: Array(0..<60))
    return [0, 1, 2, 3].map { [$0, 77] + stream } + [
      [3, 250] + stream + .frame(type: 4, body: Array(repeating: 1, count: 900))
    ]
  }

  private static let nonce = Array(repeating: UInt8(9), count: Hello.nonceByteCount)

  private static func memberHello(_ address: String) -> Hello {
    let key = WireChecks.GuessableSignatures(WireChecks.peerKeyByte).publicKey
    return Hello(
      clusterID: WireChecks.clusterID, nonce: nonce,
      sender: .member(publicKey: key, boot: 8, listenAddress: address))
  }

  private static func clientHello(_ cluster: Hash256) -> Hello {
    Hello(clusterID: cluster, nonce: nonce, sender: .client(account: 300, name: "desk"))
  }

  private static let welcome = Welcome(nodeName: "n1", origin: OriginIndex(300), stamp: Stamp(1 << 50))

  private var handshakeMessages: [[UInt8]] {
    let hellos = [Self.memberHello("[::1]:80"), Self.memberHello(""), Self.clientHello(.zero)]
    return hellos.map { [0] + $0.body } + [
      [1] + Self.welcome.body, [2] + Refusal(.busy, "try later").body,
      [2, 77] + Refusal(.busy, "new").body.dropFirst(),
    ]
  }

  private var handshakes: [[UInt8]] {
    func part(_ frame: HandshakeFrame, _ body: [UInt8]) -> [UInt8] { [frame.rawValue, UInt8(body.count)] + body }
    let hello = part(.hello, Self.memberHello("n1:80").body)
    let proof = part(.proof, Self.signature.bytes)
    let welcome = part(.welcome, Self.welcome.body)
    let refusal = part(.refusal, Refusal(.notReady, "starting").body)
    let (whole, refused) = (hello + proof + welcome, hello + refusal)
    let members = WireChecks.Party.allCases.flatMap { party in [[party.rawValue] + whole, [party.rawValue] + refused] }
    return members + [[WireChecks.Party.responder.rawValue] + part(.hello, Self.clientHello(.zero).body)]
  }
}

// MARK: - Clients

extension Seeds {
  /// Type and body of the first frame.
  private static func frame(_ bytes: [UInt8]) -> [UInt8] { Array(bytes.dropFirst(Frame.headerByteCount - 1)) }

  private static func bytes(_ message: NodeMessage) -> [UInt8] {
    var writer = ByteWriter()
    message.write(to: &writer)
    return writer.bytes
  }

  /// As `ShortFrame` reads it.
  private static func short(_ message: NodeMessage) -> [UInt8] {
    let body = bytes(message).dropFirst(Frame.headerByteCount)
    return [message.frame.rawValue, UInt8(body.count)] + body
  }

  private var requests: [[UInt8]] {
    let random = (0..<Self.randomMessagesPerFrame).flatMap { seed in
      var messages = RandomMessages(seed: seed)
      return ClientFrame.allCases.compactMap { messages.request($0) }
    }
    let submits = commands.map { ClientRequest.submit(SubmitRequest(firstRequest: 1, commands: $0)) }
    return (random + submits).map { request in
      var writer = ByteWriter()
      request.write(to: &writer)
      return writer.bytes
    }
  }

  private var messages: [[UInt8]] {
    (0..<Self.randomMessagesPerFrame).flatMap { seed in
      var messages = RandomMessages(seed: seed)
      return ClientFrame.allCases.compactMap { messages.message($0).map(Self.bytes) }
    }
  }

  /// Answers to what the session of the check has asked: see `ClientChecks`.
  private var sessions: [[UInt8]] {
    let symbol = Symbol("BTC-USD")!
    let level = MarketLevel(priceTicks: 5, quantityLots: 7, orders: 1)
    let change = MarketChange(
      subscription: 1, symbol: symbol, sequence: 8, levels: [.init(side: .buy, level: level)])
    let dot = Dot(origin: OriginIndex(1), sequence: 5)
    let refusal = RequestRefusal(.busy, "later")
    let accepted = Self.short(
      .accepted([AcceptedRun(firstRequest: 2, firstDot: dot, stamps: [Stamp(7), Stamp(8), Stamp(9)])]))
    let subscribed = Self.short(.answer(request: 1, .subscribed))
    let snapshot = Self.short(
      .marketSnapshot(
        MarketSnapshot(
          subscription: 1, symbol: symbol, sequence: 7, bookHash: .zero, sides: MarketSides(bids: [level]))))
    let update = OrderUpdate(entry: dot, state: .open, openLots: 5)
    let rest =
      Self.short(.answer(request: 5, .status(json: "{}"))) + Self.short(.pong(nonce: 1))
      + Self.short(.updates([update])) + Self.short(.goodbye("bye"))
    let refused = Self.short(.refused(RefusedRun(firstRequest: 2, count: 3, refusal: refusal)))
    return [
      subscribed + snapshot + Self.short(.marketChange(change)) + accepted + rest,
      accepted + Self.short(.refused(RefusedRun(firstRequest: 1, refusal: refusal))) + rest,
      refused + rest, subscribed + snapshot + snapshot + Self.short(.marketChange(change)) + refused,
      subscribed + Self.short(.marketChange(change)) + accepted,
      // Answers to what was never asked; numbers that long are hard to come by.
      Self.short(.answer(request: 1 << 63, .subscribed)),
      Self.short(.refused(RefusedRun(firstRequest: 1 << 63, count: 300, refusal: refusal))),
      Self.short(.accepted([AcceptedRun(firstRequest: 1 << 63, firstDot: dot, stamps: [Stamp(1 << 63)])])),
    ]
  }
}

// MARK: - Text

extension Seeds {
  private var flows: [[UInt8]] {
    [
      """
      op,id,side,price,qty
      L,1,B,100,5
      M,2,S,,7
      I,3,S,-4611686018427387904,1
      F,4,B,101,4611686018427387904
      R,1,,99,3
      C,1,,,

      """,
      """
      \u{feff}op,id,side,price,qty,account,tif,expire,display,stop,stp,post_only\r
      L,1,B,100,5,7,GTD,1000,2,90,cancel_newest,1\r
      M,2,S,,5,,FOK,,,105,decrement,false\r
      R,1,,99,3,7,,,,,,\r
      L,3,B,100,5,,IOC,,,,none,true\r
      L,4,B,1,1,,GTC,,0,0,cancel_both,0\r
      L,5,B,1,1,,,,,,cancel_oldest,\r
      \r

      """,
      "stop,qty,price,side,id,op\n5,1,2,S,3,L",
      "op,id,side,price,qty\nL,1,B,\u{1b}[31m,5\n",
    ].map { Array($0.utf8) }
  }

  /// In units of 1 and of 25, each of them with 0 to 18 decimals.
  private var decimals: [[UInt8]] {
    ["64250.25", "0.00000001", "7", "0.5", "46116860184273879.04", "1.", "12e3", "000120.500"].flatMap { text in
      [(0, 0), (2, 0), (8, 0), (18, 0), (2, 24), (0, 24)].map { scale, mantissa -> [UInt8] in
        [scale, mantissa] + Array(repeating: 0, count: 7) + Array(0..<7) + Array(repeating: 0, count: 9)
          + Array(text.utf8)
      }
    }
  }

  private var texts: [[UInt8]] {
    let texts = [
      ["BTC-USD", "A.B_C/9"], ["2-1841", "0-1", "4294967295-18446744073709551615"],
      ["127.0.0.1:80", "[::1]:65535", "n1.example:080"], ["my-order-7", "18446744073709551615", "007", ""],
      ["00ff", "AbCd", String(repeating: "5a", count: 32)], ["a é … 𝄞 👩‍👩‍👧", "short"],
    ]
    return texts.enumerated().flatMap { which, texts in texts.map { [UInt8(which), 9] + Array($0.utf8) } }
  }

  private var genesisFiles: [[UInt8]] {
    func member(_ name: String, _ digit: String) -> String {
      "{\"name\":\"\(name)\",\"public_key\":\"\(String(repeating: digit, count: 64))\","
        + "\"token\":\"000000000000000\(digit == "0" ? "f" : digit)\"}"
    }
    return [
      "{\"members\":[\(member("n1", "a"))]}", "{\"members\":[\(member("n1", "b")),\(member("n2", "0"))]}",
      "{ \"members\" : [\n\(member("\\u00e9", "1")), \(member("n1", "1"))\n] }", "{\"members\":[]}",
    ].map { Array($0.utf8) }
  }
}
