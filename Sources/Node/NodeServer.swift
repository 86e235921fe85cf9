import Client
import EventLog
import Foundation
import Gossip
import Logging
import Membership
import NIOCore
import NIOPosix
import OrderBook
import Primitives
import Replica
import Storage
import Transport
import Wire

/// One running node: carries out what its replica wants done, on one event loop.
///
/// Everything below is touched on that loop only. A turn is what the loop does between two waits: inputs go to the
/// replica as they come, then one `.flush`, then at most a commit or two for all of it.
public final class NodeServer: @unchecked Sendable {
  static let tickMilliseconds: Int64 = 5
  /// A turn that takes longer is logged, at level info.
  static let longTurnMilliseconds: Int64 = 50
  /// A link on which nothing came for this long is half-open; members say something every 200 ms.
  static let linkSilenceMilliseconds: Int64 = 2_000
  /// Clients ping when idle.
  static let clientSilenceMilliseconds: Int64 = 60_000

  // First, at a place that does not move when other parts change size.
  public private(set) var address: Address
  let configuration: NodeConfiguration
  let me: OriginIndex
  let register: Register
  let cluster: Hash256
  let group: MultiThreadedEventLoopGroup
  let loop: any EventLoop
  var logger: Logger
  let boot: UInt64
  let startedMilliseconds: UInt64

  var replica: Replica
  let store: Store
  var listener: (any Channel)?

  // Links by origin, clients by session.
  var links: [Connection?]
  var sessions: [SessionID: ClientSession] = [:]
  var nextSession: UInt64 = 1
  var connections: [ObjectIdentifier: Connection] = [:]

  // The turn
  var effects: [Effect] = []
  var isTurnScheduled = false
  var gate = CommitGate()
  var pendingBatches: [Batch] = []
  var pendingRecords: [(key: String, value: [UInt8])] = []
  var touched: [Connection] = []
  var batchFrame: (signature: Signature, buffer: ByteBuffer)?

  // Behind the log
  var auditQueue: [AppliedRun] = []
  var auditOffset = 0
  var auditAcceptedBefore: UInt64 = 0
  /// When the log last grew.
  var lastAppend = NIODeadline.now()
  var lastAudit = NIODeadline.now()
  var lastBusy = NIODeadline.now()
  var market = MarketDesk()
  var figures = NodeFigures()
  var lastClientSweep = NIODeadline.now()

  let stopped: EventLoopPromise<String?>
  var isStopping = false
  var hasStopped = false
  /// Nothing may be written or sent any more.
  var hasFailed = false
  var ticker: RepeatedTask?

  private init(
    configuration: NodeConfiguration, me: OriginIndex, group: MultiThreadedEventLoopGroup, store: Store,
    replica: consuming Replica, address: Address, boot: UInt64, startedMilliseconds: UInt64
  ) {
    self.configuration = configuration
    self.me = me
    self.group = group
    loop = group.next()
    self.store = store
    self.replica = replica
    self.address = address
    self.boot = boot
    self.startedMilliseconds = startedMilliseconds
    register = configuration.genesis.register
    cluster = configuration.genesis.clusterID
    logger = configuration.logger
    links = Array(repeating: nil, count: register.count)
    stopped = loop.makePromise(of: String?.self)
  }

  public var name: String { register[me]?.name ?? "?" }
  public var clusterID: Hash256 { cluster }

  /// Opens the store, reads the log, listens.
  /// - Throws: `StartError`; nothing is left running.
  public static func start(_ configuration: NodeConfiguration) async throws -> NodeServer {
    let genesis = configuration.genesis
    guard let me = genesis.register.index(of: configuration.key.publicKey) else {
      throw StartError(
        "the key of this node (\(configuration.key.publicKey)) is not in the member list; add it there on every node, "
          + "or start with the right --key")
    }
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let relay = AcceptRelay()
    do {
      let listener: any Channel
      do {
        listener = try await Sockets.listen(on: configuration.listen, group: group) { relay.accept($0) }.get()
      } catch {
        throw StartError("cannot listen on \(configuration.listen): \(error). Try another --listen, or port 0")
      }
      let opening = listener.eventLoop.submit {
        let server = try open(configuration, me: me, group: group, listener: listener)
        relay.server = server
        return server
      }
      return try await opening.get()
    } catch {
      try? await group.shutdownGracefully()
      throw error
    }
  }

  /// On the event loop: a store belongs to one thread.
  private static func open(
    _ configuration: NodeConfiguration, me: OriginIndex, group: MultiThreadedEventLoopGroup, listener: any Channel
  ) throws -> NodeServer {
    let genesis = configuration.genesis
    let identity = StoreIdentity(cluster: genesis.clusterID, node: configuration.key.publicKey.nodeID)
    let store = try Store.open(directory: configuration.dataDirectory, identity: identity)
    let port = UInt16(listener.localAddress?.port ?? Int(configuration.listen.port))
    let shown = configuration.advertise ?? configuration.listen
    let address = Address(host: shown.host, port: shown.port == 0 ? port : shown.port)
    let now = NodeServer.now()
    var settings = ReplicaConfiguration(
      me: me, genesis: genesis, listenAddress: address.description, seeds: configuration.peers.map(\.description),
      bootMilliseconds: now.wallMilliseconds, seed: configuration.seed)
    settings.gossip = configuration.gossip
    if let ceiling = try store.record(RecordKey.clockCeiling) {
      settings.clockCeiling = Stamp(
        try ceiling.withReader { (reader) throws(CodecError) in try reader.readFixed("ceiling") })
    }
    let finality = RecoveredFinality(
      origins: genesis.register.count, auditPosition: store.auditPosition, auditedEntries: store.counts().entries)
    settings.finalStamp = finality.finalStamp
    var generator = SystemRandomNumberGenerator()
    let server = NodeServer(
      configuration: configuration, me: me, group: group, store: store,
      replica: Replica(configuration: settings, signatures: configuration.key), address: address,
      boot: UInt64.random(in: 1 ... .max, using: &generator), startedMilliseconds: now.wallMilliseconds)
    server.listener = listener
    do {
      try server.recover(settings, finality)
    } catch {
      server.hasStopped = true
      server.stopped.fail(error)
      store.close()
      throw error
    }
    server.startTicking()
    return server
  }

  /// Reads the log into the replica; twice if it has lost what the audit tables know, as `RecoveredFinality` says.
  private func recover(_ settings: ReplicaConfiguration, _ finality: RecoveredFinality) throws {
    var finality = finality
    var report = try readLog { finality.read($0) }
    for damage in report.damages {
      logger.error("log damaged, fetching it again from peers", metadata: ["damage": "\(damage)"])
    }
    if let lowered = finality.loweredFinalStamp {
      var settings = settings
      settings.finalStamp = lowered
      replica = Replica(configuration: settings, signatures: configuration.key)
      auditQueue.removeAll()
      report = try readLog { _ in }
    }
    input(.recovered)
    collectFinal()
    logger.info(
      "log read", metadata: ["entries": "\(report.entries)", "batches": "\(report.batches)", "address": "\(address)"])
  }

  private func readLog(_ body: (Batch) -> Void) throws -> RecoveryReport {
    let starts = register.origins.map { HashChain.start(cluster: cluster, origin: $0.origin, SHA256()) }
    return try store.recover(own: me, chainStart: { $0.int < starts.count ? starts[$0.int] : .zero }) { batch in
      body(batch)
      input(.recover(batch))
      if replica.finalRunCount > 100_000 { collectFinal() }
    }
  }

  private func startTicking() {
    ticker = loop.scheduleRepeatedTask(initialDelay: .zero, delay: .milliseconds(Self.tickMilliseconds)) { [self] _ in
      tick()
    }
  }

  static func now() -> LogicalTime {
    var wall = timespec()
    clock_gettime(CLOCK_REALTIME, &wall)
    return LogicalTime(
      wallMilliseconds: UInt64(wall.tv_sec) * 1000 + UInt64(wall.tv_nsec) / 1_000_000,
      monotonicMicroseconds: NIODeadline.now().uptimeNanoseconds / 1000)
  }

  // MARK: Stopping

  /// Completes when the node has stopped: nil if it was asked to, else why it had to.
  public func waitUntilStopped() async throws -> String? {
    let reason = try await stopped.futureResult.get()
    try await group.shutdownGracefully()
    return reason
  }

  /// Ends the turn that is under way, tells the clients, closes everything.
  public func stop() { loop.execute { self.stopNow(nil) } }

  func stopNow(_ failure: String?) {
    guard !isStopping else { return }
    isStopping = true
    // The audit tables may stay behind: what they lack is derived from the log again at the next start.
    if failure == nil { turn() }
    ticker?.cancel()
    listener?.close(promise: nil)
    for session in sessions.values {
      session.say(.goodbye(failure == nil ? "the node is stopping" : "the node failed"))
    }
    for connection in connections.values { connection.close(reason: "stopping") }
    // What clients were told has left the process when the sockets are flushed; a moment is enough.
    loop.scheduleTask(in: .milliseconds(50)) { [self] in
      for connection in connections.values { connection.abort(reason: "stopping") }
      if !hasStopped {
        hasStopped = true
        store.close()
        stopped.succeed(failure)
      }
    }
  }

  /// A promise cannot be kept: nothing more is written, sent or said.
  func fail(_ reason: String) {
    hasFailed = true
    logger.critical("stopping: \(reason)")
    stopNow(reason)
  }
}

/// Hands accepted channels to the server; before there is one, they are closed and come again.
final class AcceptRelay: @unchecked Sendable {
  /// Set and read on the event loop only.
  weak var server: NodeServer?

  func accept(_ channel: any Channel) {
    if let server { server.accept(channel) } else { channel.close(promise: nil) }
  }
}
