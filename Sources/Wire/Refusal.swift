import Primitives

/// Why a handshake ended without a connection. The raw value is part of the wire.
public enum RefusalCode: UInt8, Hashable, Sendable, CaseIterable {
  /// The two speak different formats: upgrade the older one.
  case version = 1
  /// They belong to different clusters: check cluster id and address.
  case cluster = 2
  /// The public key is not of a member of the current view.
  case notAMember = 3
  /// The signature does not fit the challenge.
  case badProof = 4
  /// Not this protocol, or not in this order.
  case malformed = 5
  /// No room for another connection: try later or elsewhere.
  case busy = 6
  /// The node has reached itself.
  case yourself = 7
  /// There is a connection between the two already.
  case duplicate = 8
  /// Still recovering or shutting down: try later.
  case notReady = 9
}

/// A refusal and its reason, for a person to act on.
///
/// Frame `0x04`: `code u8, text prefixed`. The sender closes the connection after it.
public struct Refusal: Error, Hashable, Sendable, CustomStringConvertible {
  public let code: RefusalCode
  /// At most `Limits.reasonBytesMax` bytes of UTF-8.
  public let text: String

  /// - Parameter text: cut to `Limits.reasonBytesMax` bytes.
  public init(_ code: RefusalCode, _ text: String) {
    self.code = code
    self.text = text.clipped(utf8Max: Limits.reasonBytesMax)
  }

  public var description: String { "\(text) (\(code))" }

  /// The body of the frame.
  public var body: [UInt8] {
    var writer = ByteWriter()
    writer.write(code.rawValue)
    writer.writeText(text)
    return writer.bytes
  }

  /// Reads the body of the frame. A code of a later version becomes `malformed`, with its text kept.
  public init(body: UnsafeRawBufferPointer) throws(CodecError) {
    var reader = ByteReader(body)
    let raw = try reader.readByte("refusal code")
    let text = try reader.readText("refusal text", max: Limits.reasonBytesMax)
    try reader.expectEnd()
    guard let code = RefusalCode(rawValue: raw) else {
      self.init(.malformed, "refused with the unknown code \(raw): \(text)")
      return
    }
    self.init(code, text)
  }
}

extension String {
  /// The longest prefix of whole characters that takes at most `limit` bytes of UTF-8.
  public func clipped(utf8Max limit: Int) -> String {
    if utf8.count <= limit { return self }
    var out = ""
    var count = 0
    for character in self {
      count += character.utf8.count
      if count > limit { break }
      out.append(character)
    }
    return out
  }
}

extension ByteWriter {
  /// A length (varint), then the text's UTF-8.
  public mutating func writeText(_ text: String) { writePrefixed(Array(text.utf8)) }
}

extension ByteReader {
  /// A length (varint, at most `limit` bytes), then valid UTF-8.
  public mutating func readText(_ field: StaticName, max limit: Int) throws(CodecError) -> String {
    let bytes = try readPrefixed(field, max: limit)
    guard let text = String(validating: bytes, as: UTF8.self) else { throw .invalid(field: field) }
    return text
  }
}
