import Client
import EventLog
import Foundation
import Gossip
import NIOCore
import Primitives
import Synchronization
import Testing
import Wire

/// A TCP connection that sends any bytes whatever, and reads only when asked to.
final class RawConnection {
  enum Event: Equatable {
    case frame(Frame)
    /// By the other side, in order or not.
    case closed
  }

  /// How the other side ended it.
  enum End: Equatable {
    case refused(RefusalCode, String)
    case goodbye(String)
    /// Without a word.
    case closed
  }

  /// The socket, for whoever sends: a test, and a thread that keeps the link alive meanwhile.
  private final class Line: Sendable {
    let descriptor: Int32
    private let isOver = Mutex(false)

    init(_ descriptor: Int32) { self.descriptor = descriptor }
    deinit { Foundation.close(descriptor) }

    /// - Returns: false if the other side has closed, or nothing more is to be sent.
    func send(_ bytes: [UInt8]) -> Bool {
      isOver.withLock { isOver in
        var sent = 0
        while !isOver, sent < bytes.count {
          let count = bytes[sent...].withUnsafeBytes {
            Foundation.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
          }
          if count <= 0 { isOver = true } else { sent += count }
        }
        return !isOver
      }
    }

    func end(_ how: Int32) {
      isOver.withLock { isOver in
        isOver = true
        shutdown(descriptor, how)
      }
    }
  }

  private let line: Line
  private var descriptor: Int32 { line.descriptor }
  private var splitter = FrameSplitter(bytesMax: Limits.peerFrameBytesMax)
  private var isClosed = false

  init(to address: Address) throws {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    line = Line(descriptor)
    var target = sockaddr_in()
    target.sin_family = sa_family_t(AF_INET)
    target.sin_port = address.port.bigEndian
    target.sin_addr.s_addr = inet_addr(address.host)
    let result = withUnsafePointer(to: &target) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Foundation.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    try #require(result == 0, "cannot connect to \(address)")
  }

  deinit { line.end(Int32(SHUT_RDWR)) }

  /// - Returns: false if the other side has closed.
  @discardableResult
  func send(_ bytes: [UInt8]) -> Bool { line.send(bytes) }

  /// Sends this ten times a second until the connection is over, on a thread of its own: who says nothing is closed.
  func keepSaying(_ bytes: [UInt8]) {
    Thread.detachNewThread { [line] in
      while line.send(bytes) { usleep(100_000) }
    }
  }

  @discardableResult
  func send(type: UInt8, _ body: [UInt8] = []) -> Bool { send([UInt8].frame(type: type, body: body)) }

  @discardableResult
  func send(_ request: ClientRequest) -> Bool {
    var writer = ByteWriter()
    request.write(to: &writer)
    return send(writer.bytes)
  }

  /// As many bytes as there is room for now; nothing is read, nothing waits.
  /// - Returns: how many; nil if the other side has closed.
  func sendWhatFits(_ bytes: [UInt8]) -> Int? {
    let count = bytes.withUnsafeBytes {
      Foundation.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
    }
    if count >= 0 { return count }
    return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : nil
  }

  /// Nothing more will be sent.
  func finish() { line.end(Int32(SHUT_WR)) }

  /// The next frame, or the end.
  func next() async throws -> Event {
    try await eventually("a frame or the end") { try self.nextNow() }
  }

  /// Nil if nothing has come.
  private func nextNow() throws -> Event? {
    while true {
      if let frame = try splitter.next() { return .frame(frame) }
      if isClosed { return .closed }
      var chunk = [UInt8](repeating: 0, count: 65_536)
      let count = recv(descriptor, &chunk, chunk.count, Int32(MSG_DONTWAIT))
      if count < 0, errno == EAGAIN || errno == EWOULDBLOCK { return nil }
      if count <= 0 { isClosed = true } else { splitter.append(ByteBuffer(bytes: chunk[..<count])) }
    }
  }

  /// Reads until a frame has what is looked for. A node that goes on and on is not listened to for ever.
  /// - Returns: nil if the other side has closed before.
  func find<Value>(_ what: String, _ probe: (Frame) throws -> Value?) async throws -> Value? {
    let deadline = ContinuousClock.now + .seconds(Patience.seconds)
    while case .frame(let frame) = try await next() {
      if let value = try probe(frame) { return value }
      guard ContinuousClock.now < deadline else { throw TimedOut(description: "never came: \(what)") }
    }
    return nil
  }

  /// Reads everything until the other side closes.
  func end() async throws -> End {
    var last = End.closed
    let _: Never? = try await find("the end") { frame in
      if frame.type == HandshakeFrame.refusal.rawValue {
        let refusal = try frame.body.withUnsafeReadableBytes { try Refusal(body: $0) }
        last = .refused(refusal.code, refusal.text)
      } else if frame.type == ClientFrame.goodbye.rawValue, case .goodbye(let text) = try NodeMessage.decode(frame) {
        last = .goodbye(text)
      }
      return nil
    }
    return last
  }

  // MARK: Handshakes

  /// Takes one part of a handshake to its end.
  /// - Returns: what was sent on the way.
  /// - Throws: `Refusal`, from the other side or this one.
  @discardableResult
  func shake(_ handshake: Handshake) async throws -> [(type: UInt8, body: [UInt8])] {
    var handshake = handshake
    var sent: [(type: UInt8, body: [UInt8])] = []
    var actions = handshake.start()
    while true {
      for action in actions {
        switch action {
        case .send(let type, let body):
          sent.append((type, body))
          send(type: type, body)
        case .established: return sent
        case .refuse(let refusal), .fail(let refusal): throw refusal
        }
      }
      guard case .frame(let frame) = try await next() else { throw Self.closedUnrefused }
      actions = frame.body.withUnsafeReadableBytes { handshake.receive(type: frame.type, body: $0) }
    }
  }

  /// Stands for a refusal where there was none.
  static let closedUnrefused = Refusal(.busy, "closed without a refusal")

  static func nonce() -> [UInt8] { (0..<Hello.nonceByteCount).map { _ in UInt8.random(in: .min ... .max) } }
}

extension TestCluster {
  /// A connection that has shown the key of a member, which does not run here.
  /// - Parameter isSilent: else it says now and then that it is there, and nothing more.
  func rawMember(
    _ name: String, to target: String, boot: UInt64 = .random(in: 1 ... .max), isSilent: Bool = false
  ) async throws -> RawConnection {
    let connection = try await raw(to: target, memberHandshake(name, boot: boot))
    if !isSilent {
      // It holds nothing of anybody's log: so it confirms what the others have on disk.
      let vector = PeerMessage.vector(VersionVector())
      connection.send(type: vector.frameType, vector.body)
      // And what its clock shows.
      let clock = UInt64(Date().timeIntervalSince1970 * 1_000)
      let heartbeat = PeerMessage.heartbeat(
        Heartbeat(view: 0, speaker: origin(name), beat: nil, acks: [], wallMilliseconds: clock))
      connection.keepSaying(.frame(type: heartbeat.frameType, body: heartbeat.body))
    }
    return connection
  }

  private func raw(to target: String, _ handshake: Handshake) async throws -> RawConnection {
    let address = try address(target)
    return try await undisturbed("a handshake with \(target)") {
      let connection = try RawConnection(to: address)
      try await connection.shake(handshake)
      return connection
    }
  }

  func memberHandshake(_ name: String, boot: UInt64 = 1) -> Handshake {
    Handshake.member(
      clusterID: genesis.clusterID, boot: boot, listenAddress: nil, nonce: RawConnection.nonce(),
      signatures: key(name), admits: { _ in true })
  }

  /// A connection that has named an account.
  func rawClient(to target: String, account: UInt64 = 9) async throws -> RawConnection {
    try await raw(to: target, clientHandshake(account: account))
  }

  func clientHandshake(account: UInt64 = 9, clusterID: Hash256? = nil) -> Handshake {
    Handshake.client(
      clusterID: clusterID, account: account, name: "raw", nonce: RawConnection.nonce(), signatures: key(names[0]))
  }
}
