import NIOCore
import Primitives
import Wire

/// Who is told what happens on a connection; all calls come on the connection's event loop.
public protocol ConnectionOwner: AnyObject {
  func connectionEstablished(_ connection: Connection, _ established: Handshake.Established)
  func connection(_ connection: Connection, received frame: Frame)
  /// Everything that could be read without waiting has been given.
  func connectionReadComplete(_ connection: Connection)
  func connection(_ connection: Connection, isWritable: Bool)
  /// After the handshake came what no frame can be cut from. Nothing more is read; the owner closes, with or without a
  /// word.
  func connection(_ connection: Connection, failed error: FrameError)
  /// Once, whatever ended it; `reason` is for the log.
  func connectionClosed(_ connection: Connection, reason: String)
}

/// One TCP connection: frames in and out, the handshake before anything else.
///
/// Lives on its channel's event loop. Frames are length-limited from the first byte; what does not finish its handshake
/// in time is closed, and so is what breaks the protocol.
public final class Connection: ChannelInboundHandler {
  public typealias InboundIn = ByteBuffer
  public typealias OutboundOut = ByteBuffer

  public static let handshakeSecondsMax: Int64 = 5

  /// Address that was dialled; nil if the other side dialled.
  public let dialedAddress: String?
  public private(set) var established: Handshake.Established?
  public private(set) var lastRead = NIODeadline.now()
  /// For the owner's use.
  public var tag: UInt64 = 0

  private weak var owner: (any ConnectionOwner)?
  private var handshake: Handshake
  private var splitter = FrameSplitter()
  private var context: ChannelHandlerContext?
  private var timeout: Scheduled<Void>?
  private var isClosing = false
  private var closeReason = "closed by the other side"
  private var needsFlush = false

  public init(handshake: Handshake, dialedAddress: String?, owner: any ConnectionOwner) {
    self.handshake = handshake
    self.dialedAddress = dialedAddress
    self.owner = owner
  }

  public var remoteAddress: String { context?.channel.remoteAddress?.description ?? "unknown" }
  public var isOpen: Bool { context != nil && !isClosing }

  /// False while more waits to be sent than the high-water mark allows.
  public var isWritable: Bool { context?.channel.isWritable ?? true }

  /// Bytes handed over that the network has not taken yet.
  public var queuedBytes: Int {
    guard let channel = context?.channel else { return 0 }
    return (try? channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
  }

  // MARK: Out

  /// Hands over whole frames; they leave at the next `flush`.
  public func write(_ buffer: ByteBuffer) {
    guard let context, !isClosing else { return }
    context.write(wrapOutboundOut(buffer), promise: nil)
    needsFlush = true
  }

  public func write(type: UInt8, body: [UInt8]) {
    guard let context, !isClosing else { return }
    var buffer = context.channel.allocator.buffer(capacity: body.count + Frame.headerByteCount)
    buffer.writeFrame(type: type, body: body)
    write(buffer)
  }

  public func flush() {
    guard needsFlush, let context else { return }
    needsFlush = false
    context.flush()
  }

  /// Sends what was written, then closes.
  public func close(reason: String) {
    guard let context, !isClosing else { return }
    closeReason = reason
    flush()
    isClosing = true
    // A peer that does not read must not keep the close waiting: what it did not take in a second is dropped.
    let channel = context.channel
    context.close(mode: .output, promise: nil)
    context.eventLoop.scheduleTask(in: .seconds(1)) { channel.close(promise: nil) }
  }

  /// Drops the connection and what it has queued.
  public func abort(reason: String) {
    guard let context else { return }
    closeReason = reason
    isClosing = true
    context.close(promise: nil)
  }

  // MARK: In

  public func handlerAdded(context: ChannelHandlerContext) {
    self.context = context
    if context.channel.isActive { begin(context) }
  }

  public func channelActive(context: ChannelHandlerContext) {
    begin(context)
    context.fireChannelActive()
  }

  private func begin(_ context: ChannelHandlerContext) {
    guard timeout == nil else { return }
    let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
    timeout = context.eventLoop.scheduleTask(in: .seconds(Self.handshakeSecondsMax)) {
      bound.value.abort(reason: "no handshake within \(Self.handshakeSecondsMax) s")
    }
    perform(handshake.start())
    flush()
  }

  public func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard !isClosing else { return }
    lastRead = .now()
    splitter.append(unwrapInboundIn(data))
    do throws(FrameError) {
      while !isClosing, let frame = try splitter.next() {
        if established != nil {
          owner?.connection(self, received: frame)
        } else {
          let actions = frame.body.withUnsafeReadableBytes { handshake.receive(type: frame.type, body: $0) }
          perform(actions)
          flush()
        }
      }
    } catch {
      if established == nil {
        perform([.refuse(Refusal(.malformed, error.description))])
      } else {
        owner?.connection(self, failed: error)
      }
    }
  }

  private func perform(_ actions: [Handshake.Action]) {
    for action in actions {
      switch action {
      case .send(let type, let body): write(type: type, body: body)
      case .established(let result):
        timeout?.cancel()
        established = result
        splitter.bytesMax = result.role.frameBytesMax
        owner?.connectionEstablished(self, result)
      case .refuse(let refusal):
        write(type: HandshakeFrame.refusal.rawValue, body: refusal.body)
        close(reason: "refused: \(refusal)")
      case .fail(let refusal):
        close(reason: "the other side refused: \(refusal)")
      }
    }
  }

  public func channelReadComplete(context: ChannelHandlerContext) {
    owner?.connectionReadComplete(self)
  }

  public func channelWritabilityChanged(context: ChannelHandlerContext) {
    if established != nil { owner?.connection(self, isWritable: context.channel.isWritable) }
  }

  public func errorCaught(context: ChannelHandlerContext, error: any Error) {
    abort(reason: "\(error)")
  }

  public func channelInactive(context: ChannelHandlerContext) {
    timeout?.cancel()
    self.context = nil
    isClosing = true
    owner?.connectionClosed(self, reason: closeReason)
    context.fireChannelInactive()
  }

  public func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }
}
