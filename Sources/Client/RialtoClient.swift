import NIOCore
import NIOPosix
import OrderBook
import Primitives
import Synchronization
import Wire

/// A connection to one node, for any number of tasks at once.
///
/// Requests are pipelined: nobody waits for anybody else's answer, and what is asked within one turn of the event loop
/// goes out together. At most `Limits.clientRequestsInFlightMax` requests are unanswered at a time; further ones wait
/// their turn. Nothing waits for ever: a call that is not answered in time, or whose connection ends, fails with a
/// `ClientError` that says what is known of it. The connection is closed when the client and the market streams it gave
/// out are released; a client does not reconnect.
public final class RialtoClient: Sendable {
  /// What the node said of itself: name, origin, clock.
  public let welcome: Welcome
  /// The node's key, which it has proved to hold.
  public let nodeKey: PublicKey
  public let clusterID: Hash256
  public let account: AccountID
  /// What becomes of this connection's own entries, in order, for one reader.
  ///
  /// At most `ClientLimits.updatesBufferedMax` wait for the reader; then the oldest are dropped and `updatesDropped`
  /// counts them. Empty if `connect` was given `onUpdates`. Ends with the connection.
  public let updates: AsyncStream<OrderUpdate>

  private let channel: any Channel
  private let outbox: Outbox
  private let end: NIOLoopBound<ClientHandler>
  private let dropped: Counter
  private let subscriptionIDs = Atomic<UInt64>(1)

  private init(
    _ parts: Parts, _ established: Handshake.Established, welcome: Welcome, key: PublicKey, options: Options
  ) {
    self.welcome = welcome
    nodeKey = key
    clusterID = established.clusterID
    account = options.account
    channel = parts.channel
    end = parts.handler
    outbox = parts.outbox
    updates = options.updates
    dropped = options.dropped
  }

  deinit {
    let handler = end
    if channel.isActive { channel.eventLoop.execute { handler.value.end(.closed) } }
  }

  /// Updates lost because nobody read them in time.
  public var updatesDropped: UInt64 { dropped.value.load(ordering: .relaxed) }

  /// Whether the connection stands, as far as is known.
  public var isConnected: Bool { channel.isActive }
}

// MARK: - Connecting

extension RialtoClient {
  /// Connects, and agrees with the node on protocol, cluster and account.
  /// - Parameters:
  ///   - account: in whose name everything is submitted.
  ///   - name: for the node's logs, at most `Limits.nameBytesMax` bytes.
  ///   - clusterID: the only cluster to take; nil takes any.
  ///   - group: event loops; nil uses the process's own.
  ///   - timeoutMilliseconds: for the TCP connection, and again for the handshake. Looking up a host name is the
  ///     system's affair and may take longer.
  ///   - requestTimeoutMilliseconds: after which a call that was not answered fails.
  ///   - onUpdates: takes the updates instead of `updates`, on the event loop, frame by frame; must not block.
  /// - Throws: `connectFailed`, `connectTimedOut`, `refused`, `connectionLost`, `protocolViolation`.
  public static func connect(
    to address: Address, account: AccountID, name: String = "client", clusterID: Hash256? = nil,
    group: (any EventLoopGroup)? = nil, timeoutMilliseconds: Int64 = 5_000, requestTimeoutMilliseconds: Int64 = 10_000,
    onUpdates: (@Sendable ([OrderUpdate]) -> Void)? = nil
  ) async throws(ClientError) -> RialtoClient {
    precondition(timeoutMilliseconds > 0 && requestTimeoutMilliseconds > 0)
    let options = Options(
      address: address, account: account, name: name, clusterID: clusterID,
      timeouts: ClientTimeouts(
        connectMilliseconds: timeoutMilliseconds, requestMilliseconds: requestTimeoutMilliseconds),
      onUpdates: onUpdates)
    let bootstrap = ClientBootstrap(group: group ?? MultiThreadedEventLoopGroup.singleton)
      .connectTimeout(.milliseconds(timeoutMilliseconds))
      .channelOption(.tcpOption(.tcp_nodelay), value: 1)
      .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 256 * 1024))
      .channelOption(
        .writeBufferWaterMark, value: ChannelOptions.Types.WriteBufferWaterMark(low: 256 * 1024, high: 1024 * 1024))
    let parts: Parts
    do {
      parts = try await bootstrap.connect(host: address.host, port: Int(address.port)) { channel in
        channel.eventLoop.makeCompletedFuture { try Parts.make(channel, options) }
      }
    } catch ChannelError.connectTimeout {
      throw .connectTimedOut(address, milliseconds: timeoutMilliseconds)
    } catch {
      throw .connectFailed(address, reason: "\(error)")
    }
    do {
      let established = try await parts.established.get()
      guard let welcome = established.welcome, let key = established.publicKey else {
        throw ClientError.protocolViolation("no welcome")
      }
      return RialtoClient(parts, established, welcome: welcome, key: key, options: options)
    } catch let error as ClientError {
      throw error
    } catch {
      throw .connectionLost(reason: "\(error)")
    }
  }

  /// Closes the connection. What waits for an answer fails with `ClientError.closed`.
  public func close() async {
    let handler = end
    try? await channel.eventLoop.submit { handler.value.end(.closed) }.get()
    try? await channel.closeFuture.get()
  }
}

/// A count that outlives whoever made it.
private final class Counter: Sendable {
  let value = Atomic<UInt64>(0)
}

/// What a connection is made with, and where its updates go.
private struct Options: Sendable {
  let address: Address
  let account: AccountID
  let name: String
  let clusterID: Hash256?
  let timeouts: ClientTimeouts
  let updates: AsyncStream<OrderUpdate>
  let dropped = Counter()
  let onUpdates: @Sendable ([OrderUpdate]) -> Void
  let onEnd: @Sendable () -> Void

  init(
    address: Address, account: AccountID, name: String, clusterID: Hash256?, timeouts: ClientTimeouts,
    onUpdates: (@Sendable ([OrderUpdate]) -> Void)?
  ) {
    self.address = address
    self.account = account
    self.name = name
    self.clusterID = clusterID
    self.timeouts = timeouts
    let (stream, continuation) = AsyncStream.makeStream(
      of: OrderUpdate.self, bufferingPolicy: .bufferingNewest(ClientLimits.updatesBufferedMax))
    updates = stream
    let dropped = dropped
    self.onUpdates =
      onUpdates
      ?? { updates in
        for update in updates {
          if case .dropped = continuation.yield(update) { dropped.value.add(1, ordering: .relaxed) }
        }
      }
    onEnd = { continuation.finish() }
  }

  /// 32 bytes that nobody can foretell.
  static func randomBytes() -> [UInt8] {
    var generator = SystemRandomNumberGenerator()
    return (0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) }
  }
}

/// A channel and what hangs on it.
private struct Parts: Sendable {
  let channel: any Channel
  let handler: NIOLoopBound<ClientHandler>
  let outbox: Outbox
  let established: EventLoopFuture<Handshake.Established>

  static func make(_ channel: any Channel, _ options: Options) throws -> Parts {
    // The key signs nothing here; the library needs one to check the node's signature with.
    guard let signatures = Ed25519(seed: Options.randomBytes()) else {
      throw ClientError.connectFailed(options.address, reason: "no key could be made")
    }
    let handshake = Handshake.client(
      clusterID: options.clusterID, account: options.account.value, name: options.name, nonce: Options.randomBytes(),
      signatures: signatures)
    let promise = channel.eventLoop.makePromise(of: Handshake.Established.self)
    let onEnd = options.onEnd
    let handler = ClientHandler(
      handshake: handshake, address: options.address, timeouts: options.timeouts, established: promise,
      onUpdates: options.onUpdates, onEnd: { _ in onEnd() })
    let bound = NIOLoopBound(handler, eventLoop: channel.eventLoop)
    let outbox = Outbox(eventLoop: channel.eventLoop) { bound.value.drain() }
    handler.outbox = outbox
    try channel.pipeline.syncOperations.addHandler(handler)
    return Parts(channel: channel, handler: bound, outbox: outbox, established: promise.futureResult)
  }
}

// MARK: - Submitting

extension RialtoClient {
  /// Submits commands, in this order, and waits until all are answered.
  ///
  /// May be called by many tasks at once. The commands of one call may reach the log with others' in between.
  /// - Parameters:
  ///   - commands: any number; more than one frame's worth is sent in several frames.
  ///   - after: the node gives them stamps later than this; zero asks for nothing.
  /// - Returns: one outcome per command, in their order; never `unknown`.
  /// - Throws: `connectionLost`, `goodbye`, `closed`, `timedOut`, `cancelled`: then some may have taken effect;
  ///   `tooManyWaiting`: none has.
  public func submit(_ commands: [Command], after: Stamp = .zero) async throws(ClientError) -> [Outcome] {
    if commands.isEmpty { return [] }
    let reply = Reply<[Outcome]>()
    if let refusal = outbox.put(.submit(commands: commands, after: after, sink: .reply(reply))) { throw refusal }
    return try await reply.value()
  }

  /// Submits commands without waiting, for load generators: no task per request, and many requests share a frame.
  /// - Parameter onOutcome: told the position of each command and its outcome, once each, on the event loop, in the
  ///   order in which answers come; must not block. Where nothing can be sent it is called before this returns.
  public func submit(
    _ commands: [Command], after: Stamp = .zero, onOutcome: @escaping @Sendable (Int, Outcome) -> Void
  ) {
    if commands.isEmpty { return }
    let call = ClientCall.submit(commands: commands, after: after, sink: .callback(onOutcome))
    guard let refusal = outbox.put(call) else { return }
    let outcome: Outcome =
      if case .tooManyWaiting = refusal {
        .refused(RequestRefusal(.busy, "\(refusal)"))
      } else {
        .unknown(refusal)
      }
    for position in commands.indices { onOutcome(position, outcome) }
  }

  /// Turns the updates of this connection's own entries on (as they are at first) or off.
  public func setUpdates(_ isOn: Bool) { _ = outbox.put(.ownUpdates(isOn)) }
}

// MARK: - Asking

extension RialtoClient {
  private func ask(_ query: ClientQuery) async throws(ClientError) -> ClientAnswer {
    let reply = Reply<ClientAnswer>()
    if let refusal = outbox.put(.query(query, reply)) { throw refusal }
    return try await reply.value()
  }

  private static func mismatch(_ answer: ClientAnswer, _ query: StaticString) -> ClientError {
    .protocolViolation("a query for \(query) got an answer of another kind")
  }

  /// The book of an instrument.
  /// - Parameter depth: levels a side, `1...ClientLimits.levelsPerSideMax`.
  public func book(
    symbol: Symbol, depth: Int = 20, level: ReadLevel = .tentative
  ) async throws(ClientError) -> BookAnswer {
    let bounded = min(max(depth, 1), ClientLimits.levelsPerSideMax)
    let answer = try await ask(.book(symbol, depth: bounded, level))
    guard case .book(let book) = answer else { throw Self.mismatch(answer, "a book") }
    return book
  }

  /// One order of this account.
  /// - Throws: `requestRefused` with `notFound`, among others.
  public func order(
    _ reference: OrderReference, level: ReadLevel = .tentative
  ) async throws(ClientError) -> OrderDetail {
    let answer = try await ask(.order(reference, level))
    guard case .order(let detail) = answer else { throw Self.mismatch(answer, "an order") }
    return detail
  }

  /// All open orders of this account, ascending by dot, without their fills. Asked page by page: what changes meanwhile
  /// may or may not show.
  public func openOrders(level: ReadLevel = .tentative) async throws(ClientError) -> [OrderDetail] {
    var all: [OrderDetail] = []
    while true {
      let last = all.last?.dot ?? .none
      let answer = try await ask(.openOrders(after: last, level))
      guard case .orders(let page, let isTruncated) = answer else { throw Self.mismatch(answer, "open orders") }
      all += page
      guard isTruncated else { return all }
      guard let end = page.last?.dot, last.isNone || last < end else {
        throw .protocolViolation("a page of open orders does not go on from the one before")
      }
    }
  }

  /// The newest trades, newest first.
  /// - Parameters:
  ///   - symbol: nil asks for all instruments.
  ///   - count: `1...ClientLimits.tradesMax`.
  ///   - level: at the tentative one, trades that are not final come first; each says which it is.
  public func trades(
    symbol: Symbol? = nil, count: Int = 100, level: ReadLevel = .final
  ) async throws(ClientError) -> [MarketTrade] {
    let answer = try await ask(.trades(symbol, count: min(max(count, 1), ClientLimits.tradesMax), level))
    guard case .trades(let trades) = answer else { throw Self.mismatch(answer, "trades") }
    return trades
  }

  public func status() async throws(ClientError) -> NodeStatus {
    let answer = try await ask(.status)
    guard case .status(let json) = answer else { throw Self.mismatch(answer, "the status") }
    return try ClientAnswer.parse(json, as: NodeStatus.self)
  }

  /// All instruments, ascending by dot.
  public func instruments() async throws(ClientError) -> [InstrumentRecord] {
    let answer = try await ask(.instruments)
    guard case .instruments(let records) = answer else { throw Self.mismatch(answer, "instruments") }
    return records
  }

  public func peers() async throws(ClientError) -> [PeerStatus] {
    let answer = try await ask(.peers)
    guard case .peers(let json) = answer else { throw Self.mismatch(answer, "peers") }
    return try ClientAnswer.parse(json, as: [PeerStatus].self)
  }

  /// The stamp up to which everything is final at this node, and applied there.
  ///
  /// With `level` `atLeast(acceptance.stamp, …)` it is the wait for an entry to become final, be it an order or not.
  /// - Throws: `requestRefused` with `timedOut` if it did not in time.
  public func finalStamp(level: ReadLevel = .final) async throws(ClientError) -> Stamp {
    let answer = try await ask(.finality(level))
    guard case .finality(let stamp) = answer else { throw Self.mismatch(answer, "finality") }
    return stamp
  }

  /// Waits until an entry is final, wherever it was submitted.
  /// - Parameter timeoutMilliseconds: 1 to `ClientLimits.waitMillisecondsMax`.
  /// - Returns: the stamp up to which everything is.
  /// - Throws: `requestRefused` with `timedOut`; the entry is tentative then, and may become final later.
  @discardableResult
  public func waitUntilFinal(
    _ acceptance: Acceptance, timeoutMilliseconds: UInt64
  ) async throws(ClientError) -> Stamp {
    let wait = min(max(timeoutMilliseconds, 1), ClientLimits.waitMillisecondsMax)
    return try await finalStamp(level: .atLeast(acceptance.stamp, waitMilliseconds: wait))
  }

  /// Stored batches of an origin's log, from the one that holds `from` on, as many as fit into a frame.
  /// - Returns: the batches, and the last sequence that the node has stored; with none, there are none in the range.
  /// - Throws: `requestRefused`: with `notFound` if the node does not keep the log from there on any more, with
  ///   `tooMany` if the first batch alone is too long for a frame.
  public func log(
    of origin: OriginIndex, from: UInt64, through: UInt64
  ) async throws(ClientError) -> (batches: [LoggedBatch], held: UInt64) {
    let answer = try await ask(.log(origin, from: from, through: through))
    guard case .log(let batches, let held) = answer else { throw Self.mismatch(answer, "a log") }
    return (batches, held)
  }

  /// Makes a node of a demo cluster have a fault.
  /// - Returns: what exactly was done, if there is something to tell; else an empty text.
  /// - Throws: `requestRefused` with `notADemo`.
  @discardableResult
  public func inject(_ fault: InjectedFault) async throws(ClientError) -> String {
    switch try await ask(.fault(fault)) {
    case .done: return ""
    case .damaged(let text): return text
    case let answer: throw Self.mismatch(answer, "a fault")
    }
  }

  /// What the node has found to be wrong, with itself or with others; oldest first.
  public func findings() async throws(ClientError) -> [NodeFinding] {
    let answer = try await ask(.findings)
    guard case .findings(let json) = answer else { throw Self.mismatch(answer, "findings") }
    return try ClientAnswer.parse(json, as: [NodeFinding].self)
  }

  /// Asks about the node's history, to compare it with another one's.
  /// - Parameter question: bytes of a question of `Diagnostics`, at most `ClientLimits.questionBytesMax`.
  /// - Returns: bytes of the answer.
  /// - Throws: `requestRefused`, among others.
  public func inspect(_ question: [UInt8]) async throws(ClientError) -> [UInt8] {
    let answer = try await ask(.inspect(question))
    guard case .inspection(let bytes) = answer else { throw Self.mismatch(answer, "an inspection") }
    return bytes
  }

  /// Waits for a word from the node.
  public func ping() async throws(ClientError) {
    let reply = Reply<Void>()
    if let refusal = outbox.put(.ping(reply)) { throw refusal }
    try await reply.value()
  }
}

// MARK: - Listening

extension RialtoClient {
  /// Follows the market.
  ///
  /// Yields a snapshot of each instrument, then its changes without a gap. If something is missed, because the node
  /// left it out or this reader was more than `ClientLimits.marketEventsBufferedMax` events behind, the library
  /// subscribes anew and yields fresh snapshots. Ends, by throwing, with the connection. Releasing the stream
  /// unsubscribes.
  /// - Parameter symbol: nil follows every instrument.
  /// - Precondition: levels or trades.
  /// - Returns: a stream for one reader, once the node has agreed.
  /// - Throws: `requestRefused` with `unknownSymbol` or `tooMany`, among others.
  public func subscribe(
    symbol: Symbol?, levels: Bool = true, trades: Bool = true
  ) async throws(ClientError) -> AsyncThrowingStream<MarketEvent, any Error> {
    precondition(levels || trades, "a subscription without content")
    var content: SubscribeRequest.Content = []
    if levels { content.insert(.levels) }
    if trades { content.insert(.trades) }
    let id = subscriptionIDs.add(1, ordering: .relaxed).oldValue
    let mailbox = MarketMailbox()
    let reply = Reply<Void>()
    let call = ClientCall.subscribe(id: id, symbol: symbol, content: content, mailbox: mailbox, reply)
    if let refusal = outbox.put(call) { throw refusal }
    let handle = SubscriptionHandle(id: id, mailbox: mailbox, outbox: outbox, client: self)
    try await reply.value()
    return AsyncThrowingStream { try await handle.next() }
  }
}

/// Keeps a subscription, and the client under it, alive as long as its stream is.
private final class SubscriptionHandle: Sendable {
  private let id: UInt64
  private let mailbox: MarketMailbox
  private let outbox: Outbox
  private let client: RialtoClient

  init(id: UInt64, mailbox: MarketMailbox, outbox: Outbox, client: RialtoClient) {
    self.id = id
    self.mailbox = mailbox
    self.outbox = outbox
    self.client = client
  }

  deinit { _ = outbox.put(.unsubscribe(id: id)) }

  func next() async throws(ClientError) -> MarketEvent? {
    try await mailbox.next { _ = outbox.put(.restart(id: id)) }
  }
}
