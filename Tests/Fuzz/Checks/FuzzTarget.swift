import Primitives

/// What a check has found wrong with a decoder.
public struct Finding: Error, CustomStringConvertible, Sendable {
  public let description: String
  init(_ description: String) { self.description = description }
}

/// One decoder of bytes that come from outside, and what must hold for any bytes at all.
///
/// A check does more than not crash: what decodes is encoded again, to the same bytes where there is one encoding, else
/// to bytes that decode to the same; limits hold; errors are those that the decoder declares. The same checks run under
/// libFuzzer (Scripts/fuzz) and over the kept inputs in the tests.
public struct FuzzTarget: Sendable {
  public let name: String
  /// What the bytes of an input are.
  public let input: String
  /// Longest input that the fuzzer makes, unless told otherwise.
  public let bytesMax: Int
  /// Bytes that a single allocation may take for each byte of input, beyond `allocationBytesFree`: a decoder reserves
  /// room for as many elements as could be there, and an element is wider in memory than on the wire.
  public let allocationBytesPerByte: Int
  /// Single allocations up to this size need no reason.
  public let allocationBytesFree: Int
  /// - Returns: whether the decoder accepted the input.
  /// - Throws: `Finding`, if it did not do what it must.
  public let check: @Sendable (_ input: [UInt8]) throws(Finding) -> Bool

  /// A stream of frames makes room for a whole frame as soon as its length is there; buffers come in powers of two.
  private static let frameBytesFree = 2 * Limits.clientFrameBytesMax

  init(
    _ name: String, input: String, bytesMax: Int = 1024, allocationBytesPerByte: Int = 64,
    allocationBytesFree: Int = 64 * 1024, check: @escaping @Sendable (_ input: [UInt8]) throws(Finding) -> Bool
  ) {
    self.name = name
    self.input = input
    self.bytesMax = bytesMax
    self.allocationBytesPerByte = allocationBytesPerByte
    self.allocationBytesFree = allocationBytesFree
    self.check = check
  }

  /// Every decoder that reads what others wrote.
  ///
  /// A new decoder is a line here, a check, and seeds if it is hard to guess.
  public static let all: [FuzzTarget] = [
    FuzzTarget(
      "batch", input: "canonical bytes of a batch", bytesMax: 2048, allocationBytesPerByte: 512,
      check: BatchChecks.batch),
    FuzzTarget("command", input: "commands, one after another, in one context", check: BatchChecks.commands),
    FuzzTarget(
      "peer", input: "frame type u8, body of a frame between members", bytesMax: 2048, allocationBytesPerByte: 512,
      check: PeerChecks.message),
    FuzzTarget("vector", input: "two version vectors", check: PeerChecks.vectors),
    // An engine has its first memory whatever it holds, and an order far out makes a path in the index of dots.
    FuzzTarget(
      "snapshot", input: "which part u8 (0 book, 1 checkpoints, else its name), its bytes", bytesMax: 2048,
      allocationBytesPerByte: 16_384, allocationBytesFree: 1024 * 1024, check: SnapshotChecks.part),
    FuzzTarget(
      "frame", input: "limit u8, cuts u8, stream of frames", bytesMax: 4096, allocationBytesFree: frameBytesFree,
      check: WireChecks.frames),
    FuzzTarget("hello", input: "which message u8, body of a handshake's frame", check: WireChecks.handshakeMessage),
    FuzzTarget("handshake", input: "which party u8, short frames", check: WireChecks.handshake),
    FuzzTarget("request", input: "frame type u8, body of a client's frame", check: ClientChecks.request),
    FuzzTarget("message", input: "frame type u8, body of a frame to a client", check: ClientChecks.message),
    FuzzTarget("question", input: "a question about a node's history", bytesMax: 256, check: InspectionChecks.question),
    FuzzTarget(
      "inspection", input: "the answer to such a question", bytesMax: 2048, allocationBytesPerByte: 512,
      check: InspectionChecks.answer),
    FuzzTarget("session", input: "short frames, as a node sends them to a client", check: ClientChecks.session),
    FuzzTarget("flow", input: "a flow file", bytesMax: 2048, allocationBytesPerByte: 128, check: TextChecks.flow),
    FuzzTarget("decimal", input: "increment 9 bytes, count 16 bytes, text", bytesMax: 256, check: TextChecks.decimal),
    FuzzTarget("text", input: "which reader u8, limit u8, text", bytesMax: 512, check: TextChecks.text),
    FuzzTarget("genesis", input: "a member list in JSON", bytesMax: 2048, check: TextChecks.genesis),
  ]
}

/// - Throws: `Finding` with `description`, unless `condition` holds.
func expect(_ condition: Bool, _ description: @autoclosure () -> String) throws(Finding) {
  if !condition { throw Finding(description()) }
}

/// A frame of a conversation: type u8, length u8, body. Shorter than real ones, and a mutation seldom breaks what
/// follows it.
struct ShortFrame {
  let type: UInt8
  let body: ArraySlice<UInt8>

  /// Takes the next one off `bytes`; a body that is cut short is one all the same.
  init?(from bytes: inout ArraySlice<UInt8>) {
    guard let type = bytes.popFirst(), let count = bytes.popFirst() else { return nil }
    self.type = type
    body = bytes.prefix(Int(count))
    bytes = bytes.dropFirst(body.count)
  }
}

/// Runs `body` over the bytes of a slice.
func withBytes<Value, Failure: Error>(
  of bytes: ArraySlice<UInt8>, _ body: (UnsafeRawBufferPointer) throws(Failure) -> Value
) throws(Failure) -> Value {
  try bytes.withUnsafeBytes { raw -> Result<Value, Failure> in
    do throws(Failure) { return .success(try body(raw)) } catch { return .failure(error) }
  }.get()
}
