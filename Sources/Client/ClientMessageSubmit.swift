import OrderBook
import Primitives
import Wire

/// Commands to take into the node's log. Frame `0x20`, client to node.
///
/// ```
/// first request number · after-stamp · count (1 … Limits.requestsPerFrameMax) · that many commands
/// ```
///
/// Commands are in the log's own codec, with one `CommandContext` for the frame; the n-th (from 0) has request number
/// first + n. The after-stamp asks for stamps later than it (what the client has seen before it sent this); 0 asks for
/// nothing. Every command is answered once, accepted (`AcceptedRun`) or refused (`RefusedRun`), perhaps not in order.
///
/// Accepted means durable on the node's disk, under an order id that stays; what the book makes of it, tells an
/// `OrderUpdate`. Refused means that it is in no log. After a lost connection neither is known: submit it again,
/// anywhere, with the same client order id.
public struct SubmitRequest: Equatable, Sendable {
  public var firstRequest: UInt64
  public var after: Stamp
  public var commands: [Command]

  public init(firstRequest: UInt64, after: Stamp = .zero, commands: [Command]) {
    self.firstRequest = firstRequest
    self.after = after
    self.commands = commands
  }

  func write(to writer: inout ByteWriter) {
    precondition((1...Limits.requestsPerFrameMax).contains(commands.count))
    writer.writeVarint(firstRequest)
    writer.writeVarint(after.value)
    writer.writeVarint(UInt64(commands.count))
    var context = CommandContext()
    for command in commands { writer.write(command: command, &context) }
  }

  init(_ reader: inout ByteReader) throws(CodecError) {
    firstRequest = try reader.readVarint("first request number")
    after = Stamp(try reader.readVarint("after-stamp"))
    let count = try reader.readCount("command count", max: Limits.requestsPerFrameMax, elementBytesMin: 1)
    guard count > 0, firstRequest <= UInt64.max - UInt64(count) else { throw .invalid(field: "command count") }
    commands = []
    commands.reserveCapacity(count)
    var context = CommandContext()
    for _ in 0..<count {
      let head = try reader.readByte("command")
      guard let command = try reader.readCommand(head: head, &context) else { throw .invalid(field: "command kind") }
      // Only a node that sends again what it took once names a dot besides the order's own.
      if case .order(let order) = command, !order.firstDot.isNone { throw .invalid(field: "first dot") }
      commands.append(command)
    }
  }
}

/// Builds submit frames command by command, so that many small submissions share a frame.
struct SubmitFrameBuilder {
  /// Longest encoding of one command: every field of an order at its widest.
  static let commandBytesMax = 160

  let firstRequest: UInt64
  let after: Stamp
  private(set) var count = 0
  private var commands = ByteWriter()
  private var context = CommandContext()

  init(firstRequest: UInt64, after: Stamp) {
    self.firstRequest = firstRequest
    self.after = after
  }

  var isEmpty: Bool { count == 0 }
  var isFull: Bool {
    count == Limits.requestsPerFrameMax || commands.count > Limits.clientFrameBytesMax - Self.commandBytesMax - 64
  }

  /// - Precondition: not `isFull`.
  mutating func add(_ command: Command) {
    precondition(!isFull)
    commands.write(command: command, &context)
    count += 1
  }

  func write(to writer: inout ByteWriter) {
    writer.writeFrame(type: ClientFrame.submit.rawValue) { writer in
      writer.writeVarint(firstRequest)
      writer.writeVarint(after.value)
      writer.writeVarint(UInt64(count))
      writer.write(commands.bytes)
    }
  }
}

/// Consecutive requests that went into the node's log as consecutive entries. Frame `0x40`, node to client, is a list
/// of at most `Limits.requestsPerFrameMax` runs.
///
/// ```
/// first request number · count (≥ 1) · first dot · first stamp · count − 1 stamp deltas (≥ 1)
/// ```
///
/// Sent once the entries are on the node's disk. Request `first + n` has dot `first dot + n` (for an order, its id) and
/// the n-th stamp. Entries are tentative until told otherwise.
public struct AcceptedRun: Equatable, Sendable {
  public var firstRequest: UInt64
  public var firstDot: Dot
  /// One per request, ascending.
  public var stamps: [Stamp]

  public init(firstRequest: UInt64, firstDot: Dot, stamps: [Stamp]) {
    self.firstRequest = firstRequest
    self.firstDot = firstDot
    self.stamps = stamps
  }

  /// The n-th request's entry.
  @inlinable public func acceptance(_ index: Int) -> Acceptance {
    Acceptance(
      dot: Dot(origin: firstDot.origin, sequence: firstDot.sequence + UInt64(index)), stamp: stamps[index])
  }

  func write(to writer: inout ByteWriter) {
    precondition(!stamps.isEmpty)
    writer.writeVarint(firstRequest)
    writer.writeVarint(UInt64(stamps.count))
    writer.writeEntry(firstDot)
    var last = stamps[0].value
    writer.writeVarint(last)
    for stamp in stamps.dropFirst() {
      writer.writeVarint(stamp.value - last)
      last = stamp.value
    }
  }

  init(_ reader: inout ByteReader) throws(CodecError) {
    firstRequest = try reader.readVarint("first request number")
    let count = try reader.readCount("run length", max: Limits.clientRequestsInFlightMax, elementBytesMin: 1)
    firstDot = try reader.readSomeEntry("first dot")
    guard count > 0, firstRequest <= UInt64.max - UInt64(count), firstDot.sequence <= UInt64.max - UInt64(count) else {
      throw .invalid(field: "run length")
    }
    var last = try reader.readVarint("first stamp")
    guard count - 1 <= reader.remaining else { throw .truncated(field: "stamps") }
    stamps = []
    stamps.reserveCapacity(count)
    stamps.append(Stamp(last))
    for _ in 1..<count {
      let delta = try reader.readVarint("stamp delta")
      let (sum, overflow) = last.addingReportingOverflow(delta)
      guard delta > 0, !overflow else { throw .invalid(field: "stamp delta") }
      last = sum
      stamps.append(Stamp(last))
    }
  }
}

/// Why a request was not done. The raw value is part of the wire.
public enum RequestRefusalCode: UInt8, Hashable, Sendable, CaseIterable {
  /// The node is recovering, or not (any longer) a member: try later or another node.
  case notReady = 1
  /// Too many entries are tentative; without a majority they cannot become final.
  case tailFull = 2
  /// The after-stamp is further ahead of the node's time than `Limits.stampAheadMillisecondsMax`.
  case stampAhead = 3
  /// Understood, but not allowed in this form: for example a request number that does not ascend.
  case malformed = 4
  /// Too many requests wait, at the node or in this library.
  case busy = 5
  case shuttingDown = 6
  case unknownSymbol = 7
  /// No such order, or not one of this account.
  case notFound = 8
  /// More was asked for than one answer may hold, or more subscriptions than a connection may have.
  case tooMany = 9
  /// Reserved, but not built yet.
  case unsupported = 10
  /// The command is of another account than the connection.
  case wrongAccount = 11
  /// The node's disk failed.
  case storage = 12
  /// What was waited for did not become final in time.
  case timedOut = 13
  /// Faults are for the nodes of demo clusters.
  case notADemo = 14
  /// The node's book is damaged or contradicted; it is being made anew and proven. Try another node.
  case rebuilding = 15
}

/// A refusal and its reason, for a person to act on. Nothing of the request has taken effect.
public struct RequestRefusal: Error, Hashable, Sendable, CustomStringConvertible {
  public let code: RequestRefusalCode
  /// At most `Limits.reasonBytesMax` bytes of UTF-8.
  public let text: String

  /// - Parameter text: cut to `Limits.reasonBytesMax` bytes.
  public init(_ code: RequestRefusalCode, _ text: String) {
    self.code = code
    self.text = text.clipped(utf8Max: Limits.reasonBytesMax)
  }

  public var description: String { "\(text) (\(code))" }
}

/// Consecutive requests that were refused for one reason. Frame `0x41`, node to client.
///
/// ```
/// first request number · count (≥ 1) · code u8 · text
/// ```
public struct RefusedRun: Equatable, Sendable {
  public var firstRequest: UInt64
  public var count: Int
  public var refusal: RequestRefusal

  public init(firstRequest: UInt64, count: Int = 1, refusal: RequestRefusal) {
    self.firstRequest = firstRequest
    self.count = count
    self.refusal = refusal
  }

  func write(to writer: inout ByteWriter) {
    writer.writeVarint(firstRequest)
    writer.writeVarint(UInt64(count))
    writer.write(refusal.code.rawValue)
    writer.writeText(refusal.text)
  }

  init(_ reader: inout ByteReader) throws(CodecError) {
    firstRequest = try reader.readVarint("first request number")
    count = Int(try reader.readVarint("refused count", max: UInt64(Limits.clientRequestsInFlightMax)))
    guard count > 0, firstRequest <= UInt64.max - UInt64(count) else { throw .invalid(field: "refused count") }
    let code: RequestRefusalCode = try reader.readCase("refusal code")
    refusal = RequestRefusal(code, try reader.readText("refusal text", max: Limits.reasonBytesMax))
  }
}

/// Where a command stands in the log.
public struct Acceptance: Hashable, Sendable {
  /// Names the entry; for an order, the order id.
  public var dot: Dot
  public var stamp: Stamp
  public init(dot: Dot, stamp: Stamp) {
    self.dot = dot
    self.stamp = stamp
  }
}
