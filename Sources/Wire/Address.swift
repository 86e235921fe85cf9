import Primitives

/// Where a node listens: a host name or IP address, and a TCP port.
public struct Address: Hashable, Sendable, CustomStringConvertible {
  /// A name, an IPv4 address, or an IPv6 address without brackets.
  public let host: String
  /// 0 lets the system choose, where one listens; nobody connects to it.
  public let port: UInt16

  /// - Precondition: `host` is not empty.
  public init(host: String, port: UInt16) {
    precondition(!host.isEmpty, "an address needs a host")
    self.host = host
    self.port = port
  }

  /// Reads `host:port` or `[IPv6]:port`.
  /// - Returns: nil for anything else, and for more than `Limits.addressBytesMax` bytes.
  public init?(_ text: String) {
    guard text.utf8.count <= Limits.addressBytesMax, let colon = text.lastIndex(of: ":") else { return nil }
    let digits = text[text.index(after: colon)...]
    guard !digits.isEmpty, digits.utf8.allSatisfy({ (48...57).contains($0) }), let port = UInt16(digits) else {
      return nil
    }
    var host = text[..<colon]
    if host.first == "[" {
      guard host.last == "]" else { return nil }
      host = host.dropFirst().dropLast()
      guard host.contains(":") else { return nil }
    } else if host.contains(":") {
      return nil
    }
    let isPlain = host.utf8.allSatisfy { $0 > 32 && $0 < 127 && $0 != 47 && $0 != 91 && $0 != 93 }
    guard !host.isEmpty, isPlain else { return nil }
    self.init(host: String(host), port: port)
  }

  /// The form that `init(_:)` reads.
  public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
