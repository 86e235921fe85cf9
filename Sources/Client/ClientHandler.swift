import NIOCore
import OrderBook
import Primitives
import Wire

/// The channel's side of a connection: handshake, frames, timers; what is said is the session's concern.
final class ClientHandler: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  private enum Phase {
    /// Can transition to: `ready`, `ended`.
    case handshake(Handshake)
    /// Can transition to: `ended`.
    case ready(ClientSession)
    case ended
  }

  static let tickMilliseconds: Int64 = 250

  private var phase: Phase
  private var splitter = FrameSplitter()
  private var context: ChannelHandlerContext?
  private var nextTick: Scheduled<Void>?
  private var handshakeTimeout: Scheduled<Void>?
  private let address: Address
  private let timeouts: ClientTimeouts
  private let onUpdates: @Sendable ([OrderUpdate]) -> Void
  private let onEnd: @Sendable (ClientError) -> Void
  private let established: EventLoopPromise<Handshake.Established>
  /// Where callers put what they ask; nil after the end.
  var outbox: Outbox?

  init(
    handshake: Handshake, address: Address, timeouts: ClientTimeouts,
    established: EventLoopPromise<Handshake.Established>, onUpdates: @escaping @Sendable ([OrderUpdate]) -> Void,
    onEnd: @escaping @Sendable (ClientError) -> Void
  ) {
    phase = .handshake(handshake)
    self.address = address
    self.timeouts = timeouts
    self.established = established
    self.onUpdates = onUpdates
    self.onEnd = onEnd
  }

  private static func now() -> UInt64 { NIODeadline.now().uptimeNanoseconds / 1_000_000 }

  // MARK: Calls

  /// Everything that callers asked since the last turn goes out in one write.
  func drain() {
    guard case .ready(let session) = phase, let outbox else { return }
    session.take(outbox.take(), nowMilliseconds: Self.now())
    pumpAndFlush(session)
  }

  /// Ends the connection and everything that waits for it; called for any reason, acts once.
  func end(_ error: ClientError) {
    if case .ended = phase { return }
    let last = phase
    phase = .ended
    nextTick?.cancel()
    handshakeTimeout?.cancel()
    switch last {
    case .handshake: established.fail(error)
    case .ready(let session): session.failAll(error)
    case .ended: break
    }
    // The outbox holds on to this handler; neither outlives the connection.
    outbox?.end(error)
    outbox = nil
    onEnd(error)
    context?.close(promise: nil)
  }

  private func pumpAndFlush(_ session: ClientSession) {
    guard let context else { return }
    if context.channel.isWritable { session.pump() }
    outbox?.release(session.released)
    session.released = 0
    guard session.output.count > 0 else { return }
    let buffer = context.channel.allocator.buffer(bytes: session.output.bytes)
    session.output.bytes.removeAll(keepingCapacity: session.output.count <= Limits.clientFrameBytesMax)
    context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
  }

  // MARK: Channel

  func handlerAdded(context: ChannelHandlerContext) {
    self.context = context
    if context.channel.isActive { begin(context) }
  }

  func handlerRemoved(context: ChannelHandlerContext) {
    end(.connectionLost(reason: "the channel was closed"))
    self.context = nil
  }

  func channelActive(context: ChannelHandlerContext) {
    begin(context)
    context.fireChannelActive()
  }

  private func begin(_ context: ChannelHandlerContext) {
    guard case .handshake(var handshake) = phase, handshakeTimeout == nil else { return }
    let late = ClientError.connectTimedOut(address, milliseconds: timeouts.connectMilliseconds)
    handshakeTimeout = context.eventLoop.assumeIsolated().scheduleTask(
      in: .milliseconds(timeouts.connectMilliseconds)
    ) { [weak self] in self?.end(late) }
    let actions = handshake.start()
    phase = .handshake(handshake)
    perform(actions, context)
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    splitter.append(unwrapInboundIn(data))
    do {
      while let frame = try splitter.next() {
        switch phase {
        case .handshake(var handshake):
          let actions = frame.body.withUnsafeReadableBytes { handshake.receive(type: frame.type, body: $0) }
          phase = .handshake(handshake)
          perform(actions, context)
        case .ready(let session):
          try session.receive(try NodeMessage.decode(frame), nowMilliseconds: Self.now())
        case .ended: return
        }
      }
    } catch let error as ClientError {
      end(error)
    } catch {
      end(.protocolViolation("\(error)"))
    }
  }

  func channelReadComplete(context: ChannelHandlerContext) {
    if case .ready(let session) = phase { pumpAndFlush(session) }
    context.fireChannelReadComplete()
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    if case .ready(let session) = phase, context.channel.isWritable { pumpAndFlush(session) }
    context.fireChannelWritabilityChanged()
  }

  func channelInactive(context: ChannelHandlerContext) {
    end(.connectionLost(reason: "the node closed the connection"))
    context.fireChannelInactive()
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    end(.connectionLost(reason: "\(error)"))
  }

  private func perform(_ actions: [Handshake.Action], _ context: ChannelHandlerContext) {
    for action in actions {
      switch action {
      case .send(let type, let body): writeFrame(type, body, context)
      case .established(let result): becomeReady(result, context)
      case .refuse(let refusal):
        writeFrame(HandshakeFrame.refusal.rawValue, refusal.body, context)
        end(.refused(refusal))
      case .fail(let refusal): end(.refused(refusal))
      }
    }
  }

  private func writeFrame(_ type: UInt8, _ body: [UInt8], _ context: ChannelHandlerContext) {
    var buffer = context.channel.allocator.buffer(capacity: Frame.headerByteCount + body.count)
    buffer.writeFrame(type: type, body: body)
    context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
  }

  private func becomeReady(_ result: Handshake.Established, _ context: ChannelHandlerContext) {
    handshakeTimeout?.cancel()
    splitter.bytesMax = PeerRole.client.frameBytesMax
    let session = ClientSession(
      nowMilliseconds: Self.now(), requestTimeoutMilliseconds: UInt64(timeouts.requestMilliseconds),
      onUpdates: onUpdates)
    phase = .ready(session)
    scheduleTick(context)
    established.succeed(result)
  }

  private func scheduleTick(_ context: ChannelHandlerContext) {
    nextTick = context.eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(Self.tickMilliseconds)) {
      [weak self] in self?.tick()
    }
  }

  private func tick() {
    guard case .ready(let session) = phase, let context else { return }
    do throws(ClientError) {
      try session.tick(nowMilliseconds: Self.now())
    } catch {
      end(error)
      return
    }
    pumpAndFlush(session)
    scheduleTick(context)
  }
}

/// How long things may take.
struct ClientTimeouts: Sendable {
  var connectMilliseconds: Int64
  var requestMilliseconds: Int64
}
