import OrderBook
import Primitives
import Wire

/// The native protocol between a client and a node, format 1.
///
/// A TCP connection; `Wire.Handshake` first, in which the client names its account; then frames (`Wire.Frame`), of at
/// most `Limits.clientFrameBytesMax` bytes of type and body either way. Integers are varints (LEB128, shortest form)
/// unless said otherwise, "signed" ones zigzag first, fixed ones (`u8`, `u64`) little-endian; a dot is its origin, then
/// its sequence, and none is `0 0`; text is a length and UTF-8; a symbol is a text; a list is a count and its elements.
/// Every message has exactly one encoding, and a receiver refuses any other.
///
/// Who asks numbers its requests. Numbers start where the client likes, ascend over the connection, and are never used
/// twice; submissions, queries and subscriptions share one sequence. Answers may come in any order. The client library
/// leaves at most `Limits.clientRequestsInFlightMax` requests unanswered; a node does not count them.
///
/// | type | direction | message | answered by |
/// |---|---|---|---|
/// | `0x20` | to node | `SubmitRequest` | `0x40` accepted or `0x41` refused for every command |
/// | `0x21` | to node | `ClientQuery` | `0x43` answer or `0x41` refused |
/// | `0x22` | to node | `SubscribeRequest` | `0x43` answer (subscribed) or `0x41`; then `0x44`, `0x45` |
/// | `0x23` | to node | unsubscribe: `request number of the subscription` | nothing; what is under way may still come |
/// | `0x24` | to node | ping: `nonce u64` | `0x46` pong with the same nonce |
/// | `0x25` | to node | own updates: `u8`, 1 on (as it is at first), 0 off | nothing |
/// | `0x40` | to client | `AcceptedRun` list | |
/// | `0x41` | to client | `RefusedRun` | |
/// | `0x42` | to client | `OrderUpdate` list | |
/// | `0x43` | to client | `ClientAnswer` | |
/// | `0x44` | to client | `MarketSnapshot` | |
/// | `0x45` | to client | `MarketChange` | |
/// | `0x46` | to client | pong: `nonce u64` | |
/// | `0x47` | to client | goodbye: `reason text`, at most `Limits.reasonBytesMax` bytes; then the node closes | |
///
/// A message that cannot be decoded ends the connection with a goodbye that says what is wrong with it; one that can,
/// but asks what the node will not do, is refused by its number.
public enum ClientFrame: UInt8, Sendable, CaseIterable {
  case submit = 0x20
  case query = 0x21
  case subscribe = 0x22
  case unsubscribe = 0x23
  case ping = 0x24
  case ownUpdates = 0x25
  case accepted = 0x40
  case refused = 0x41
  case updates = 0x42
  case answer = 0x43
  case marketSnapshot = 0x44
  case marketChange = 0x45
  case pong = 0x46
  case goodbye = 0x47
}

/// Bounds of this protocol that follow from `Limits.clientFrameBytesMax`: a message at its bound fits one frame.
public enum ClientLimits {
  /// Levels of one side in a book answer or a market snapshot; 28 bytes each at worst, since prices are finite.
  public static let levelsPerSideMax = 4_096
  /// Changed levels in one market change.
  public static let levelChangesMax = 4_096
  /// Trades in one answer or market change; at most 80 bytes each.
  public static let tradesMax = 1_024
  /// Orders in one page of open orders; at most 170 bytes each.
  public static let ordersPerPageMax = 1_024
  /// Fills in one order's detail, and new fills in one update; at most 34 bytes each.
  public static let fillsMax = 4_096
  /// Updates in one frame.
  public static let updatesMax = 4_096
  /// A frame of updates is closed once it is longer than this.
  public static let updatesFrameBytesTarget = 64 * 1024
  /// How long a read may wait for a stamp.
  public static let waitMillisecondsMax: UInt64 = 60_000
  /// Batches in one answer; and their bytes, with what is about them.
  public static let batchesMax = 1_024
  public static let batchBytesTarget = Limits.clientFrameBytesMax - 4_096
  /// JSON text of a status or a list of peers.
  public static let jsonBytesMax = Limits.clientFrameBytesMax - 64
  /// Bytes of a question about a node's history, and of the answer.
  public static let questionBytesMax = 1_024
  public static let inspectionBytesMax = Limits.clientFrameBytesMax - 64

  // The client library's own
  /// Updates that wait for a reader of `RialtoClient.updates`; the oldest are dropped beyond it, and counted.
  public static let updatesBufferedMax = 65_536
  /// Market events that wait for a reader of one subscription; beyond it they give way to a fresh snapshot.
  public static let marketEventsBufferedMax = 4_096
  /// Resubscriptions in a row without one change delivered, before a subscription fails.
  public static let recoveriesInARowMax = 8
  /// Submissions, queries and commands that wait for room in flight.
  public static let commandsWaitingMax = 1_048_576
}

/// What a client says to a node.
public enum ClientRequest: Equatable, Sendable {
  case submit(SubmitRequest)
  case query(request: UInt64, ClientQuery)
  case subscribe(SubscribeRequest)
  case unsubscribe(subscription: UInt64)
  case ping(nonce: UInt64)
  case ownUpdates(Bool)

  public var frame: ClientFrame {
    switch self {
    case .submit: .submit
    case .query: .query
    case .subscribe: .subscribe
    case .unsubscribe: .unsubscribe
    case .ping: .ping
    case .ownUpdates: .ownUpdates
    }
  }

  /// Appends the whole frame.
  public func write(to writer: inout ByteWriter) {
    writer.writeFrame(type: frame.rawValue) { writer in
      switch self {
      case .submit(let submit): submit.write(to: &writer)
      case .query(let request, let query):
        writer.writeVarint(request)
        query.write(to: &writer)
      case .subscribe(let subscribe): subscribe.write(to: &writer)
      case .unsubscribe(let subscription): writer.writeVarint(subscription)
      case .ping(let nonce): writer.writeFixed(nonce)
      case .ownUpdates(let isOn): writer.write(isOn ? 1 : 0)
      }
    }
  }

  /// Reads the body of a frame of type `type`.
  /// - Throws: `CodecError`; `unknown` for a type that a client may not send.
  public static func decode(type: UInt8, body: UnsafeRawBufferPointer) throws(CodecError) -> ClientRequest {
    var reader = ByteReader(body)
    let message: ClientRequest
    switch ClientFrame(rawValue: type) {
    case .submit: message = .submit(try SubmitRequest(&reader))
    case .query:
      let request = try reader.readVarint("request number")
      message = .query(request: request, try ClientQuery(&reader))
    case .subscribe: message = .subscribe(try SubscribeRequest(&reader))
    case .unsubscribe: message = .unsubscribe(subscription: try reader.readVarint("subscription"))
    case .ping: message = .ping(nonce: try reader.readFixed("nonce"))
    case .ownUpdates: message = .ownUpdates(try reader.readFlag("own updates"))
    case .accepted, .refused, .updates, .answer, .marketSnapshot, .marketChange, .pong, .goodbye, nil:
      throw .unknown(field: "request type", value: UInt64(type))
    }
    try reader.expectEnd()
    return message
  }

  public static func decode(_ frame: Frame) throws(CodecError) -> ClientRequest {
    try frame.decodeWhole { (raw) throws(CodecError) in try decode(type: frame.type, body: raw) }
  }
}

/// What a node says to a client.
public enum NodeMessage: Equatable, Sendable {
  case accepted([AcceptedRun])
  case refused(RefusedRun)
  case updates([OrderUpdate])
  case answer(request: UInt64, ClientAnswer)
  case marketSnapshot(MarketSnapshot)
  case marketChange(MarketChange)
  case pong(nonce: UInt64)
  /// At most `Limits.reasonBytesMax` bytes; longer text is cut.
  case goodbye(String)

  public var frame: ClientFrame {
    switch self {
    case .accepted: .accepted
    case .refused: .refused
    case .updates: .updates
    case .answer: .answer
    case .marketSnapshot: .marketSnapshot
    case .marketChange: .marketChange
    case .pong: .pong
    case .goodbye: .goodbye
    }
  }

  /// Appends the whole frame.
  /// - Precondition: lists are within `ClientLimits`; for updates, see `ByteWriter.write(updates:)`, which cuts them.
  public func write(to writer: inout ByteWriter) {
    writer.writeFrame(type: frame.rawValue) { writer in
      switch self {
      case .accepted(let runs): writer.writeList(runs) { $1.write(to: &$0) }
      case .refused(let run): run.write(to: &writer)
      case .updates(let updates): writer.writeList(updates) { $1.write(to: &$0) }
      case .answer(let request, let answer):
        writer.writeVarint(request)
        answer.write(to: &writer)
      case .marketSnapshot(let snapshot): snapshot.write(to: &writer)
      case .marketChange(let change): change.write(to: &writer)
      case .pong(let nonce): writer.writeFixed(nonce)
      case .goodbye(let text): writer.writeText(text.clipped(utf8Max: Limits.reasonBytesMax))
      }
    }
  }

  /// Reads the body of a frame of type `type`.
  /// - Throws: `CodecError`; `unknown` for a type that a node may not send.
  public static func decode(type: UInt8, body: UnsafeRawBufferPointer) throws(CodecError) -> NodeMessage {
    var reader = ByteReader(body)
    let message: NodeMessage
    switch ClientFrame(rawValue: type) {
    case .accepted:
      message = .accepted(
        try reader.readList("accepted runs", max: Limits.requestsPerFrameMax, elementBytesMin: 5) {
          (reader) throws(CodecError) in try AcceptedRun(&reader)
        })
    case .refused: message = .refused(try RefusedRun(&reader))
    case .updates:
      message = .updates(
        try reader.readList("updates", max: ClientLimits.updatesMax, elementBytesMin: OrderUpdate.byteCountMin) {
          (reader) throws(CodecError) in try OrderUpdate(&reader)
        })
    case .answer:
      let request = try reader.readVarint("request number")
      message = .answer(request: request, try ClientAnswer(&reader))
    case .marketSnapshot: message = .marketSnapshot(try MarketSnapshot(&reader))
    case .marketChange: message = .marketChange(try MarketChange(&reader))
    case .pong: message = .pong(nonce: try reader.readFixed("nonce"))
    case .goodbye: message = .goodbye(try reader.readText("goodbye", max: Limits.reasonBytesMax))
    case .submit, .query, .subscribe, .unsubscribe, .ping, .ownUpdates, nil:
      throw .unknown(field: "message type", value: UInt64(type))
    }
    try reader.expectEnd()
    return message
  }

  public static func decode(_ frame: Frame) throws(CodecError) -> NodeMessage {
    try frame.decodeWhole { (raw) throws(CodecError) in try decode(type: frame.type, body: raw) }
  }
}

extension Frame {
  fileprivate func decodeWhole<Value>(
    _ read: (UnsafeRawBufferPointer) throws(CodecError) -> Value
  ) throws(CodecError) -> Value {
    try body.withUnsafeReadableBytes { raw -> Result<Value, CodecError> in
      do throws(CodecError) { return .success(try read(raw)) } catch { return .failure(error) }
    }.get()
  }
}
