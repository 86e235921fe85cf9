import NIOCore
import Primitives
import Testing
import Wire

struct FrameTests {
  /// Three frames, fed in pieces of every size, come out the same.
  @Test func everySplitGivesTheSameFrames() throws {
    let bodies: [[UInt8]] = [[1, 2, 3], [], Array(repeating: 9, count: 300)]
    let stream = bodies.enumerated().flatMap { [UInt8].frame(type: UInt8($0 + 1), body: $1) }
    for size in 1...stream.count {
      var splitter = FrameSplitter(bytesMax: 301)
      var frames: [Frame] = []
      for start in stride(from: 0, to: stream.count, by: size) {
        splitter.append(ByteBuffer(bytes: stream[start..<min(start + size, stream.count)]))
        while let frame = try splitter.next() { frames.append(frame) }
      }
      #expect(frames.map(\.type) == [1, 2, 3])
      #expect(frames.map { Array($0.body.readableBytesView) } == bodies)
      #expect(splitter.waitingByteCount == 0)
    }
  }

  @Test func lengthIsCheckedBeforeTheBodyComes() {
    var splitter = FrameSplitter(bytesMax: 100)
    splitter.append(ByteBuffer(bytes: [101, 0, 0]))
    #expect(throws: Never.self) { try splitter.next() }
    splitter.append(ByteBuffer(bytes: [0]))
    #expect(throws: FrameError.tooLong(length: 101, limit: 100)) { try splitter.next() }
    splitter.append(ByteBuffer(repeating: 0, count: 1_000))
    #expect(splitter.waitingByteCount == 0)
    #expect(throws: FrameError.tooLong(length: 101, limit: 100)) { try splitter.next() }
  }

  @Test func emptyFrameIsAnError() {
    var splitter = FrameSplitter()
    splitter.append(ByteBuffer(bytes: [0, 0, 0, 0]))
    #expect(throws: FrameError.empty) { try splitter.next() }
  }

  /// The limit may be raised between two frames that came in one read: the handshake ends, and a long frame follows.
  @Test func limitMayRiseWithinARead() throws {
    var splitter = FrameSplitter()
    let long = [UInt8](repeating: 7, count: Limits.handshakeFrameBytesMax * 2)
    splitter.append(ByteBuffer(bytes: [UInt8].frame(type: 3, body: []) + [UInt8].frame(type: 0x40, body: long)))
    #expect(try splitter.next()?.type == 3)
    splitter.bytesMax = PeerRole.client.frameBytesMax
    #expect(try splitter.next()?.body.readableBytes == long.count)
  }

  @Test func allBuildersAgree() {
    let bytes = [UInt8].frame(type: 0x24, body: [5, 6])
    #expect(bytes == [3, 0, 0, 0, 0x24, 5, 6])
    var one = ByteBuffer()
    one.writeFrame(type: 0x24, body: [5, 6])
    var two = ByteBuffer()
    two.writeFrame(type: 0x24) { $0.writeBytes([5, 6] as [UInt8]) }
    #expect(Array(one.readableBytesView) == bytes)
    #expect(Array(two.readableBytesView) == bytes)
  }

  @Test(arguments: [
    ("127.0.0.1:7000", "127.0.0.1", 7000), ("node-1.example:1", "node-1.example", 1), ("[::1]:65535", "::1", 65535),
  ])
  func addresses(_ text: String, _ host: String, _ port: UInt16) {
    #expect(Address(text) == Address(host: host, port: port))
    #expect(Address(text)?.description == text)
  }

  @Test(arguments: [
    "", ":", "host", "host:", ":80", "host:65536", "host:-1", "host:+1", "::1:80", "[::1]", "[::1]80", "[host]:80",
    "a b:80", "http://host:80", "host:8 0",
  ])
  func notAddresses(_ text: String) { #expect(Address(text) == nil) }
}
