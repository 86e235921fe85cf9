/// Unary gRPC calls over HTTP/2 without TLS, on one blocking socket: no more of either than that takes.
///
/// Header blocks that come are not decoded: an answer with a message has succeeded, one without has failed. So nothing
/// has to be known of the other side's compression, and the own headers use none.
final class GRPCConnection {
  private enum FrameType {
    static let data: UInt8 = 0
    static let headers: UInt8 = 1
    static let reset: UInt8 = 3
    static let settings: UInt8 = 4
    static let ping: UInt8 = 6
    static let goAway: UInt8 = 7
    static let windowUpdate: UInt8 = 8
  }
  private static let acknowledged: UInt8 = 1
  private static let endOfStream: UInt8 = 1
  private static let endOfHeaders: UInt8 = 4
  private static let windowMax = 1 << 30
  private static let frameBytesMax = 1 << 24

  private let socket: PeerSocket
  private let authority: String
  private var nextStream: UInt32 = 1
  /// Bytes that the other side takes before it says that it takes more.
  private var sendWindow = 65_535
  /// Bytes that came since it was told that more are welcome.
  private var received = 0
  /// Messages of streams that have not ended.
  private var messages: [UInt32: [UInt8]] = [:]
  /// Streams that have ended, oldest first, with their messages.
  private var ended: [[UInt8]] = []

  init(port: UInt16) throws {
    socket = try PeerSocket(port: port)
    authority = "127.0.0.1:\(port)"
    var bytes = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
    bytes += Self.frame(FrameType.settings, 0, 0, [])
    bytes += Self.frame(FrameType.windowUpdate, 0, 0, Self.fixed(UInt32(Self.windowMax)))
    try socket.write(bytes)
  }

  private static func fixed(_ value: UInt32) -> [UInt8] {
    (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * $0)) }
  }

  private static func frame(_ type: UInt8, _ flags: UInt8, _ stream: UInt32, _ payload: [UInt8]) -> [UInt8] {
    Array(fixed(UInt32(payload.count)).dropFirst()) + [type, flags] + fixed(stream) + payload
  }

  /// Indexed names where the static table has them, values as they are.
  private func headers(_ path: String) -> [UInt8] {
    func text(_ value: String) -> [UInt8] { [UInt8(value.utf8.count)] + Array(value.utf8) }
    // :method POST, :scheme http, :path, :authority, content-type, te
    return [0x83, 0x86, 0x04] + text(path) + [0x01] + text(authority) + [0x0f, 0x10] + text("application/grpc")
      + [0x00] + text("te") + text("trailers")
  }

  /// Sends a request; its answer is one that `awaitAnswer` waits for.
  func begin(_ path: String, _ message: [UInt8]) throws {
    let body = [0] + Self.fixed(UInt32(message.count)) + message
    while sendWindow < body.count { try readFrame() }
    sendWindow -= body.count
    let stream = nextStream
    nextStream += 2
    messages[stream] = []
    try socket.write(
      Self.frame(FrameType.headers, Self.endOfHeaders, stream, headers(path))
        + Self.frame(FrameType.data, Self.endOfStream, stream, body))
  }

  /// Waits until one of the requests is answered.
  /// - Returns: the message.
  @discardableResult
  func awaitAnswer() throws -> [UInt8] {
    while ended.isEmpty { try readFrame() }
    let body = ended.removeFirst()
    guard body.count >= 5, body[0] == 0 else { throw PeerError("the call has failed") }
    return Array(body.dropFirst(5))
  }

  func call(_ path: String, _ message: [UInt8]) throws -> [UInt8] {
    try begin(path, message)
    return try awaitAnswer()
  }

  private func readFrame() throws {
    let head = Array(try socket.read(9))
    let count = Int(head[0]) << 16 | Int(head[1]) << 8 | Int(head[2])
    guard count < Self.frameBytesMax else { throw PeerError("a frame of \(count) bytes") }
    let (type, flags) = (head[3], head[4])
    let stream = head[5...].reduce(UInt32(0)) { $0 << 8 | UInt32($1) } & 0x7fff_ffff
    let payload = Array(try socket.read(count))
    switch type {
    case FrameType.data:
      messages[stream]?.append(contentsOf: payload)
      received += count
      if received > Self.windowMax / 2 {
        try socket.write(Self.frame(FrameType.windowUpdate, 0, 0, Self.fixed(UInt32(received))))
        received = 0
      }
      if flags & Self.endOfStream != 0 { end(stream) }
    case FrameType.headers: if flags & Self.endOfStream != 0 { end(stream) }
    case FrameType.reset: throw PeerError("the call was refused")
    case FrameType.settings:
      if flags & Self.acknowledged == 0 {
        try socket.write(Self.frame(FrameType.settings, Self.acknowledged, 0, []))
      }
    case FrameType.ping:
      if flags & Self.acknowledged == 0 {
        try socket.write(Self.frame(FrameType.ping, Self.acknowledged, 0, payload))
      }
    case FrameType.goAway: throw PeerError("the other side ends the connection")
    case FrameType.windowUpdate:
      if stream == 0, count == 4 { sendWindow += Int(payload.reduce(UInt32(0)) { $0 << 8 | UInt32($1) }) }
    default: break
    }
  }

  private func end(_ stream: UInt32) {
    if let message = messages.removeValue(forKey: stream) { ended.append(message) }
  }
}
