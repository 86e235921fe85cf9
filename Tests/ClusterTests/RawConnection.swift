import Client
import Foundation
import NIOCore
import Primitives
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

  private let descriptor: Int32
  private var splitter = FrameSplitter(bytesMax: Limits.peerFrameBytesMax)
  private var isClosed = false

  init(to address: Address) throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
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

  deinit { Foundation.close(descriptor) }

  /// - Returns: false if the other side has closed.
  @discardableResult
  func send(_ bytes: [UInt8]) -> Bool {
    var sent = 0
    while sent < bytes.count {
      let count = bytes[sent...].withUnsafeBytes {
        Foundation.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      if count <= 0 { return false }
      sent += count
    }
    return true
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
  func finish() { shutdown(descriptor, Int32(SHUT_WR)) }

  /// The next frame, or the end.
  func next(seconds: Double = 20) async throws -> Event {
    try await eventually("a frame or the end", seconds: seconds) { try self.nextNow() }
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

  /// Reads everything until the other side closes.
  func end(seconds: Double = 20) async throws -> End {
    var last = End.closed
    while case .frame(let frame) = try await next(seconds: seconds) {
      if frame.type == HandshakeFrame.refusal.rawValue {
        let refusal = try frame.body.withUnsafeReadableBytes { try Refusal(body: $0) }
        last = .refused(refusal.code, refusal.text)
      } else if frame.type == ClientFrame.goodbye.rawValue, case .goodbye(let text) = try NodeMessage.decode(frame) {
        last = .goodbye(text)
      }
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
      guard case .frame(let frame) = try await next() else { throw Refusal(.busy, "closed without a refusal") }
      actions = frame.body.withUnsafeReadableBytes { handshake.receive(type: frame.type, body: $0) }
    }
  }

  static func nonce() -> [UInt8] { (0..<Hello.nonceByteCount).map { _ in UInt8.random(in: .min ... .max) } }
}

extension TestCluster {
  /// A connection that has shown the key of a member, which does not run here.
  func rawMember(
    _ name: String, to target: String, boot: UInt64 = .random(in: 1 ... .max)
  ) async throws -> RawConnection {
    let connection = try RawConnection(to: try address(target))
    try await connection.shake(memberHandshake(name, boot: boot))
    return connection
  }

  func memberHandshake(_ name: String, boot: UInt64 = 1) -> Handshake {
    let register = genesis.register
    return Handshake.member(
      clusterID: genesis.clusterID, boot: boot, listenAddress: nil, nonce: RawConnection.nonce(),
      signatures: key(name), membership: { register.index(of: $0) })
  }

  /// A connection that has named an account.
  func rawClient(to target: String, account: UInt64 = 9) async throws -> RawConnection {
    let connection = try RawConnection(to: try address(target))
    try await connection.shake(clientHandshake(account: account))
    return connection
  }

  func clientHandshake(account: UInt64 = 9, clusterID: Hash256? = nil) -> Handshake {
    Handshake.client(
      clusterID: clusterID, account: account, name: "raw", nonce: RawConnection.nonce(), signatures: key(names[0]))
  }
}
