import Foundation

/// A TCP connection on loopback that blocks: the client of a measurement of one thing at a time needs no more.
final class PeerSocket {
  static let timeoutSeconds = 10
  private static let chunkBytes = 1 << 16

  private let descriptor: Int32
  private var buffer: [UInt8] = []
  private var start = 0

  init(port: UInt16) throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw Self.failure("no socket") }
    var address = Self.loopback(port: port)
    let length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isConnected = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, length) == 0 }
    }
    // From here on deinit closes it.
    guard isConnected else { throw Self.failure("port \(port)") }
    var on: Int32 = 1
    setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
    var patience = timeval(tv_sec: Self.timeoutSeconds, tv_usec: 0)
    for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
      setsockopt(descriptor, SOL_SOCKET, option, &patience, socklen_t(MemoryLayout<timeval>.size))
    }
  }

  deinit { close(descriptor) }

  static func loopback(port: UInt16) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    return address
  }

  private static func failure(_ what: String) -> PeerError { PeerError("\(what): \(String(cString: strerror(errno)))") }

  func write(_ bytes: [UInt8]) throws {
    var sent = 0
    while sent < bytes.count {
      let count = bytes.withUnsafeBytes {
        send(descriptor, $0.baseAddress! + sent, $0.count - sent, Int32(MSG_NOSIGNAL))
      }
      if count < 0 {
        if errno == EINTR { continue }
        throw Self.failure("the connection is lost")
      }
      sent += count
    }
  }

  private func fill() throws {
    if start == buffer.count {
      buffer.removeAll(keepingCapacity: true)
      start = 0
    } else if start > Self.chunkBytes {
      buffer.removeFirst(start)
      start = 0
    }
    let before = buffer.count
    buffer.append(contentsOf: repeatElement(0, count: Self.chunkBytes))
    while true {
      let count = buffer.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress! + before, Self.chunkBytes, 0) }
      if count < 0, errno == EINTR { continue }
      buffer.removeLast(Self.chunkBytes - max(0, count))
      if count < 0 { throw Self.failure("no answer") }
      if count == 0 { throw PeerError("the other side has closed the connection") }
      return
    }
  }

  /// The next so many bytes.
  func read(_ count: Int) throws -> ArraySlice<UInt8> {
    while buffer.count - start < count { try fill() }
    defer { start += count }
    return buffer[start..<start + count]
  }

  /// What comes before the next CR LF.
  func readLine(bytesMax: Int = 1 << 20) throws -> String {
    var searched = start
    while true {
      if let end = buffer[searched...].firstIndex(of: UInt8(ascii: "\n")) {
        var line = buffer[start..<end]
        if line.last == UInt8(ascii: "\r") { line.removeLast() }
        let text = String(decoding: line, as: UTF8.self)
        start = end + 1
        return text
      }
      guard buffer.count - start < bytesMax else { throw PeerError("a line without an end") }
      let known = buffer.count - start
      try fill()
      searched = start + known
    }
  }
}
