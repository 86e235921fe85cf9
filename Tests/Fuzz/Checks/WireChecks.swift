import NIOCore
import Primitives
import Wire

/// Frames and the handshake.
enum WireChecks {
  private static let limits = [1, 5, 64, 4_096, Limits.clientFrameBytesMax]

  /// However a stream is cut into reads, the same frames come out of it, and the same error.
  @Sendable static func frames(_ input: [UInt8]) throws(Finding) -> Bool {
    guard input.count >= 2 else { return false }
    let limit = limits[Int(input[0]) % limits.count]
    var cut = input[1]
    let stream = input.dropFirst(2)
    let (expected, expectedError) = model(stream, limit: limit)
    var splitter = FrameSplitter(bytesMax: limit)
    var frames: [Frame] = []
    var failure: FrameError?
    var position = stream.startIndex
    while position < stream.endIndex {
      cut = cut &* 5 &+ 1
      let end = min(stream.endIndex, position + (cut >= 128 ? Int(cut) * 8 : Int(cut & 31) + 1))
      splitter.append(ByteBuffer(bytes: stream[position..<end]))
      position = end
      do throws(FrameError) {
        while let frame = try splitter.next() { frames.append(frame) }
      } catch {
        if let failure { try expect(failure == error, "fails with \(failure), then with \(error)") }
        failure = error
      }
      try expect(failure == nil || splitter.waitingByteCount == 0, "keeps bytes after a failure")
      try expect(splitter.waitingByteCount < 4 + limit, "holds \(splitter.waitingByteCount) bytes of a frame")
    }
    try expect(
      failure == expectedError, "fails with \(String(describing: failure)), not \(String(describing: expectedError))")
    try expect(frames.count == expected.count, "\(frames.count) frames, not \(expected.count)")
    var again = ByteBuffer()
    var bytes = ByteWriter()
    for (frame, range) in zip(frames, expected) {
      // Looked at only now: later reads must not have changed them.
      let body = stream[(range.lowerBound + Frame.headerByteCount)..<range.upperBound]
      let isEqual = frame.body.readableBytesView.elementsEqual(body)
      try expect(isEqual && frame.type == stream[range.lowerBound + 4], "a frame differs from its bytes")
      try check(frame)
      again.writeFrame(type: frame.type, body: Array(body))
      bytes.writeFrame(type: frame.type) { writer in body.withUnsafeBytes { writer.write($0) } }
    }
    let whole = stream.prefix((expected.last?.upperBound ?? stream.startIndex) - stream.startIndex)
    try expect(bytes.bytes.elementsEqual(whole), "frames are encoded to other bytes")
    try expect(again.readableBytesView.elementsEqual(whole), "frames are encoded to another buffer")
    return expectedError == nil && !frames.isEmpty
  }

  /// Where the whole frames of a stream are, headers included, and what ends it.
  private static func model(_ stream: ArraySlice<UInt8>, limit: Int) -> ([Range<Int>], FrameError?) {
    var frames: [Range<Int>] = []
    var start = stream.startIndex
    while stream.endIndex - start >= 4 {
      let length = stream[start..<start + 4].reversed().reduce(0) { $0 << 8 | Int($1) }
      if length == 0 { return (frames, .empty) }
      if length > limit { return (frames, .tooLong(length: length, limit: limit)) }
      if stream.endIndex - start < 4 + length { break }
      frames.append(start..<start + 4 + length)
      start += 4 + length
    }
    return (frames, nil)
  }

  private static func check(_ frame: Frame) throws(Finding) {
    let count = frame.body.readableBytes
    let whole: Result<Void, CodecError> = Result { () throws(CodecError) in
      try frame.decode { (reader) throws(CodecError) in _ = try reader.readRaw(count, "body") }
    }
    guard case .success = whole else { throw Finding("a body cannot be read to its end") }
    if count == 0 { return }
    let part: Result<Void, CodecError> = Result { () throws(CodecError) in
      try frame.decode { (reader) throws(CodecError) in _ = try reader.readRaw(count - 1, "body") }
    }
    guard case .failure(.trailing(count: 1)) = part else { throw Finding("a byte too many is not noticed") }
  }
}

// MARK: - Messages of the handshake

extension WireChecks {
  @Sendable static func handshakeMessage(_ input: [UInt8]) throws(Finding) -> Bool {
    guard let which = input.first else { return false }
    let body = input.dropFirst()
    switch which % 3 {
    case 0: return try hello(body)
    case 1:
      let decoded: Result<Welcome, CodecError> = withBytes(of: body) { raw in
        Result { () throws(CodecError) in try Welcome(body: raw) }
      }
      guard case .success(let welcome) = decoded else { return false }
      try expect(welcome.body.elementsEqual(body), "a welcome encodes to other bytes")
      try expect(welcome.nodeName.utf8.count <= Limits.nameBytesMax, "the name is too long")
      return true
    default: return try refusal(body)
    }
  }

  private static func hello(_ body: ArraySlice<UInt8>) throws(Finding) -> Bool {
    let hello: Hello
    do throws(Refusal) {
      hello = try withBytes(of: body) { (raw) throws(Refusal) in try Hello.decode(raw) }
    } catch {
      try expect(error.code == .malformed || error.code == .version, "refused with \(error.code)")
      try check(error)
      return false
    }
    try expect(hello.body.elementsEqual(body), "a hello encodes to other bytes")
    if case .member(_, _, let address) = hello.sender, !address.isEmpty {
      try expect(Address(address) != nil, "an address that does not read")
    }
    return true
  }

  /// A refusal from elsewhere; a code of a later version is replaced, so there is no one encoding.
  private static func refusal(_ body: ArraySlice<UInt8>) throws(Finding) -> Bool {
    let decoded: Result<Refusal, CodecError> = withBytes(of: body) { raw in
      Result { () throws(CodecError) in try Refusal(body: raw) }
    }
    guard case .success(let refusal) = decoded else { return false }
    if body.first.flatMap(RefusalCode.init(rawValue:)) != nil {
      try expect(refusal.body.elementsEqual(body), "a refusal encodes to other bytes")
    } else {
      try expect(refusal.code == .malformed, "an unknown code became \(refusal.code)")
    }
    try check(refusal)
    return true
  }

  static func check(_ refusal: Refusal) throws(Finding) {
    try expect(refusal.text.utf8.count <= Limits.reasonBytesMax, "a refusal's text is too long")
    let again: Result<Refusal, CodecError> = withBytes(of: refusal.body[...]) { raw in
      Result { () throws(CodecError) in try Refusal(body: raw) }
    }
    try expect(again == .success(refusal), "a refusal decodes to another one")
  }
}
