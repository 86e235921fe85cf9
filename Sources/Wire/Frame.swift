import NIOCore
import Primitives

/// One frame as it came: `u32 length, u8 type, body`, where length counts type and body, little-endian.
///
/// Everything that peers and clients say to each other is a frame. Types `0x01…0x0f` are the handshake's, `0x10…0x1f`
/// go between members, `0x20…0x3f` from a client to a node, `0x40…0x5f` from a node to a client.
public struct Frame: Equatable, Sendable {
  /// Bytes before the body: the length and the type.
  public static let headerByteCount = 5

  public var type: UInt8
  /// A view of the bytes that were received, not a copy; keeping it keeps the whole read (up to 256 kB) alive.
  public var body: ByteBuffer

  public init(type: UInt8, body: ByteBuffer) {
    self.type = type
    self.body = body
  }

  /// Reads the body with `read`, and insists that nothing is left over.
  /// - Throws: what `read` throws; `CodecError.trailing`.
  public func decode<Value>(
    _ read: (inout ByteReader) throws(CodecError) -> Value
  ) throws(CodecError) -> Value {
    try body.withUnsafeReadableBytes { raw -> Result<Value, CodecError> in
      do throws(CodecError) {
        var reader = ByteReader(raw)
        let value = try read(&reader)
        try reader.expectEnd()
        return .success(value)
      } catch {
        return .failure(error)
      }
    }.get()
  }
}

/// Why a stream of bytes cannot be cut into frames any further. The connection is of no more use.
public enum FrameError: Error, Equatable, Sendable, CustomStringConvertible {
  /// A length above the limit of this phase of the connection, in bytes of type and body.
  case tooLong(length: Int, limit: Int)
  /// A length of 0, which leaves no room for the type.
  case empty

  public var description: String {
    switch self {
    case .tooLong(let length, let limit): "frame of \(length) bytes, where at most \(limit) are allowed"
    case .empty: "frame without a type"
    }
  }
}

/// Cuts a stream of bytes into frames.
///
/// `append` what was read, then call `next` until it gives nil. A frame's length is checked as soon as its four bytes
/// are there, so at most one frame of `bytesMax` and one read are ever held. A frame that lies whole within one read is
/// given out as a slice of that read; only the tail of an incomplete one is copied, into a buffer of its own, so that a
/// few waiting bytes do not keep a large read alive.
public struct FrameSplitter: Sendable {
  /// Longest frame accepted, in bytes of type and body; applies to every frame not yet given out. Set it to the limit
  /// of the peer's role once the handshake is over.
  public var bytesMax: Int
  private var buffer = ByteBuffer()
  /// True while `buffer` is the caller's read, not the copy of an incomplete frame.
  private var isBorrowed = false
  private var failure: FrameError?

  public init(bytesMax: Int = Limits.handshakeFrameBytesMax) { self.bytesMax = bytesMax }

  /// Bytes held that belong to no frame given out so far.
  public var waitingByteCount: Int { buffer.readableBytes }

  /// Adds what was read. After a failure nothing is kept.
  public mutating func append(_ read: ByteBuffer) {
    guard failure == nil else { return }
    if buffer.readableBytes == 0 {
      buffer = read
      isBorrowed = true
    } else {
      buffer.writeImmutableBuffer(read)
    }
  }

  /// The next whole frame, or nil until more was appended.
  /// - Throws: `FrameError`, and the same one ever after.
  public mutating func next() throws(FrameError) -> Frame? {
    if let failure { throw failure }
    guard let raw = buffer.getInteger(at: buffer.readerIndex, endianness: .little, as: UInt32.self) else {
      keepRest(frameByteCount: nil)
      return nil
    }
    let length = Int(raw)
    guard length > 0 else { throw fail(.empty) }
    guard length <= bytesMax else { throw fail(.tooLong(length: length, limit: bytesMax)) }
    guard buffer.readableBytes >= 4 + length else {
      keepRest(frameByteCount: 4 + length)
      return nil
    }
    buffer.moveReaderIndex(forwardBy: 4)
    guard let type = buffer.readInteger(as: UInt8.self), let body = buffer.readSlice(length: length - 1) else {
      preconditionFailure("a whole frame was there")
    }
    return Frame(type: type, body: body)
  }

  private mutating func fail(_ error: FrameError) -> FrameError {
    failure = error
    buffer = ByteBuffer()
    return error
  }

  /// Moves an incomplete frame out of the read it came in.
  private mutating func keepRest(frameByteCount: Int?) {
    if buffer.readableBytes == 0 {
      buffer = ByteBuffer()
      isBorrowed = false
    } else if isBorrowed {
      var own = ByteBuffer()
      own.reserveCapacity(max(frameByteCount ?? 64, buffer.readableBytes))
      own.writeImmutableBuffer(buffer)
      buffer = own
      isBorrowed = false
    } else if buffer.readerIndex > 0 {
      buffer.discardReadBytes()
    }
  }
}

extension ByteBuffer {
  /// Appends one frame.
  /// - Precondition: type and body fit a `UInt32`; the receiver's own limit is the caller's business.
  public mutating func writeFrame(type: UInt8, body: [UInt8]) {
    reserveCapacity(minimumWritableBytes: Frame.headerByteCount + body.count)
    writeInteger(UInt32(body.count + 1), endianness: .little)
    writeInteger(type)
    writeBytes(body)
  }

  /// Appends one frame whose body `build` appends.
  public mutating func writeFrame(type: UInt8, _ build: (inout ByteBuffer) -> Void) {
    let start = writerIndex
    writeInteger(UInt32(0), endianness: .little)
    writeInteger(type)
    build(&self)
    setInteger(UInt32(writerIndex - start - 4), at: start, endianness: .little)
  }
}

extension ByteWriter {
  /// Appends one frame whose body `build` appends.
  @inlinable public mutating func writeFrame(type: UInt8, _ build: (inout ByteWriter) -> Void) {
    let start = bytes.count
    writeFixed(UInt32(0))
    write(type)
    build(&self)
    let length = UInt32(bytes.count - start - 4)
    for index in 0..<4 { bytes[start + index] = UInt8(truncatingIfNeeded: length >> UInt32(8 * index)) }
  }
}

extension [UInt8] {
  /// One frame, as bytes.
  public static func frame(type: UInt8, body: [UInt8]) -> [UInt8] {
    var writer = ByteWriter(reserving: Frame.headerByteCount + body.count)
    writer.writeFrame(type: type) { $0.write(body) }
    return writer.bytes
  }
}
