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
  /// A node that leaves and has not been let go after this stops all the same.
  static let leaveMilliseconds: Int64 = 3_000
  /// Clients ping when idle.
  static let clientSilenceMilliseconds: Int64 = 60_000

  // First, at a place that does not move when other parts change size.
  public private(set) var address: Address
  let configuration: NodeConfiguration
  let cluster: Hash256
  let group: MultiThreadedEventLoopGroup
  let loop: any EventLoop
  var logger: Logger
  let boot: UInt64
  let startedMilliseconds: UInt64

  var replica: Replica
  let store: Store
  var listener: (any Channel)?

  // Links by peer index, clients by session.
  var links: [Connection?] = []
  var sessions: [SessionID: ClientSession] = [:]
  var nextSession: UInt64 = 1
  var connections: [ObjectIdentifier: Connection] = [:]

  // The turn
  var effects: [Effect] = []
  var isTurnScheduled = false
  var gate = CommitGate()
  var pendingBatches: [Batch] = []
  var pendingEnds: [(origin: OriginIndex, sequence: UInt64)] = []
  var pendingRecords: [(key: String, value: [UInt8])] = []
  var pendingCheckpoints: CheckpointList?
  var touched: [Connection] = []
  var batchFrame: (signature: Signature, buffer: ByteBuffer)?

  // Snapshots
  /// Made, and written piece by piece; the pieces that are written.
  var snapshotUnderWay: (snapshot: Snapshot, pieces: Int)?
  var lastCompaction = NIODeadline.now()
  /// The replica is done; another one starts from a snapshot that was fetched.
  var isStartingAnew = false

  // Behind the log
  var auditQueue: [AppliedRun] = []
  var auditOffset = 0
  var auditAcceptedBefore: UInt64 = 0
  /// When the log last grew.
  var lastAppend = NIODeadline.now()
  var lastAudit = NIODeadline.now()
  var lastBusy = NIODeadline.now()
  var market = MarketDesk()
  var reads = ReadDesk()
  var inspections = InspectionDesk()
  let inspectionReader: InspectionReader
  /// Injected: looked up only.
  var cutLinks: [NodeID: CutLink.Direction] = [:]
  var figures = NodeFigures()
  var history = NodeHistory(view: 0, members: [], me: nil)
  var lastClientSweep = NIODeadline.now()

  // Health
  /// The log that is read a second time, beside everything else.
  var logReader: StoredLogReader?
  var logScrubber = LogScrubber()
  var lastLogScrub = NIODeadline.now()
  var health = Health.sound
  /// What the last damage on purpose was.
  var injected = ""

  let stopped: EventLoopPromise<String?>
  var isStopping = false
  var hasStopped = false
  /// Nothing may be written or sent any more.
  var hasFailed = false
  var ticker: RepeatedTask?

  private init(
    configuration: NodeConfiguration, group: MultiThreadedEventLoopGroup, store: Store,
    replica: consuming Replica, address: Address, boot: UInt64, startedMilliseconds: UInt64
  ) {
    self.configuration = configuration
    self.group = group
    loop = group.next()
    self.store = store
    self.replica = replica
    self.address = address
    self.boot = boot
    self.startedMilliseconds = startedMilliseconds
    cluster = configuration.genesis.clusterID
    logger = configuration.logger
    inspectionReader = InspectionReader(directory: configuration.dataDirectory, cluster: cluster)
    stopped = loop.makePromise(of: String?.self)
  }

  public var name: String { configuration.name }
  public var clusterID: Hash256 { cluster }

  /// Opens the store, reads the log, listens.
  /// - Throws: `StartError`; nothing is left running.
  public static func start(_ configuration: NodeConfiguration) async throws -> NodeServer {
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
        let server = try open(configuration, group: group, listener: listener)
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
    _ configuration: NodeConfiguration, group: MultiThreadedEventLoopGroup, listener: any Channel
  ) throws -> NodeServer {
    let genesis = configuration.genesis
    let identity = StoreIdentity(cluster: genesis.clusterID, node: configuration.key.publicKey.nodeID)
    let store = try Store.open(directory: configuration.dataDirectory, identity: identity)
    if configuration.reservesLog { try store.reserveLog() }
    let port = UInt16(listener.localAddress?.port ?? Int(configuration.listen.port))
    let shown = configuration.advertise ?? configuration.listen
    let address = Address(host: shown.host, port: shown.port == 0 ? port : shown.port)
    let now = NodeServer.now()
    let settings = try replicaSettings(configuration, store, address: address, now)
    var generator = SystemRandomNumberGenerator()
    let server = NodeServer(
      configuration: configuration, group: group, store: store,
      replica: Replica(configuration: settings, signatures: configuration.key), address: address,
      boot: UInt64.random(in: 1 ... .max, using: &generator), startedMilliseconds: now.wallMilliseconds)
    server.listener = listener
    do {
      try server.recover(settings)
    } catch {
      server.hasStopped = true
      server.stopped.fail(error)
      server.inspectionReader.close()
      store.close()
      throw error
    }
    server.startTicking()
    return server
  }

  private static func replicaSettings(
    _ configuration: NodeConfiguration, _ store: Store, address: Address, _ now: LogicalTime
  ) throws -> ReplicaConfiguration {
    var settings = ReplicaConfiguration(
      cluster: configuration.genesis.clusterID, records: try viewRecords(configuration, store),
      name: configuration.name, listenAddress: address.description, seeds: configuration.peers.map(\.description),
      bootMilliseconds: now.wallMilliseconds, seed: configuration.seed)
    settings.wantsMembership = configuration.wantsMembership
    settings.gossip = configuration.gossip
    settings.snapshotSeconds = configuration.snapshotSeconds
    settings.snapshotBehindEntries = configuration.snapshotBehindEntries
    settings.scrubMicroseconds = configuration.scrubMicroseconds
    if let record = try store.record(RecordKey.findings) { settings.findings = try FindingLog(bytes: record) }
    if let ceiling = try store.record(RecordKey.clockCeiling) {
      settings.clockCeiling = Stamp(
        try ceiling.withReader { (reader) throws(CodecError) in try reader.readFixed("ceiling") })
    }
    if let record = try store.record(RecordKey.checkpoint) { try settings.readCheckpoint(record) }
    return settings
  }

  /// What the store says of views. A new store gets its token here: the one that was drawn for it before the member
  /// list was written, or one that makes it a joiner's.
  private static func viewRecords(_ configuration: NodeConfiguration, _ store: Store) throws -> ViewRecords {
    let genesis = Decision(genesis: configuration.genesis)
    let key = configuration.key.publicKey
    var found: [ViewRecord] = []
    for name in ViewRecord.Key.allCases {
      if let bytes = try store.record(name.rawValue) { found.append(try ViewRecord(key: name, stored: bytes)) }
    }
    if case .store(let token)? = found.first(where: { $0.key == .store }) {
      var records = ViewRecords(store: token, genesis: genesis, publicKey: key)
      for record in found { records.restore(record) }
      TokenFile.remove(configuration.dataDirectory)
      return records
    }
    var generator = SystemRandomNumberGenerator()
    let drawn = try TokenFile.load(configuration.dataDirectory)
    let token = drawn ?? StoreToken(UInt64.random(in: 1 ... .max, using: &generator))
    try store.commit(batches: [], records: [(ViewRecord.Key.store.rawValue, ViewRecord.store(token).bytes)])
    TokenFile.remove(configuration.dataDirectory)
    return ViewRecords(store: token, genesis: genesis, publicKey: key)
  }

  /// A replica from what is on disk, in the place of one that is done.
  func startAnew() throws {
    try recover(try Self.replicaSettings(configuration, store, address: address, Self.now()))
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

  /// Asks for a view without this node, then stops; stops without one if none is decided in time.
  public func leave() {
    loop.execute { [self] in
      guard !isStopping else { return }
      logger.notice("leaving")
      input(.leave)
      loop.scheduleTask(in: .milliseconds(Self.leaveMilliseconds)) { [self] in
        guard !isStopping else { return }
        logger.warning("no majority has let this node go; it stops, and is sealed later")
        stopNow(nil)
      }
    }
  }

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
        inspectionReader.close()
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
