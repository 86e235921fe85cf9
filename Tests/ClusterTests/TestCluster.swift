import Client
import Foundation
import Logging
import Membership
import Node
import OrderBook
import Primitives
import Synchronization
import Testing
import Wire

/// Nodes of one cluster in this process, over loopback, in a temporary directory.
final class TestCluster: Sendable {
  static let symbol = Symbol("BTC-USD")!

  let path: String
  let genesis: Genesis
  let names: [String]
  let log = LogRecorder()
  private let salt: UInt8
  private let servers = Mutex<[String: NodeServer]>([:])

  /// - Parameter salt: clusters of different salts have different keys and ids.
  init(_ count: Int, salt: UInt8 = 1) throws {
    self.salt = salt
    names = (1...count).map { "n\($0)" }
    path = NSTemporaryDirectory() + "rialto-cluster-\(UUID().uuidString)"
    genesis = try Genesis(
      members: names.map {
        Genesis.Member(publicKey: Self.key($0, salt).publicKey, name: $0, token: Self.token($0, salt))
      })
    for name in names {
      try FileManager.default.createDirectory(atPath: directory(name), withIntermediateDirectories: true)
      try (Self.seed(name, salt).hex + "\n").write(toFile: directory(name) + "/key", atomically: true, encoding: .utf8)
      let token = Self.token(name, salt).digits + "\n"
      try token.write(toFile: directory(name) + "/" + TokenFile.name, atomically: true, encoding: .utf8)
    }
    try GenesisFile.write(genesis, to: path + "/genesis.json")
  }

  private static func seed(_ name: String, _ salt: UInt8) -> [UInt8] {
    SHA256().hash(Array("test key of \(name)".utf8) + [salt]).bytes
  }

  private static func key(_ name: String, _ salt: UInt8) -> Ed25519 { Ed25519(seed: seed(name, salt))! }

  private static func token(_ name: String, _ salt: UInt8) -> StoreToken {
    StoreToken(SHA256().hash(Array("test token of \(name)".utf8) + [salt]).word0 | 1)
  }

  func key(_ name: String) -> Ed25519 { Self.key(name, salt) }
  func directory(_ name: String) -> String { path + "/" + name }
  func origin(_ name: String) -> OriginIndex { genesis.register.index(named: name)! }

  // MARK: Nodes

  /// Starts a node from its directory.
  /// - Parameters:
  ///   - name: of a member, or of one that joins.
  ///   - peers: names of running nodes whose addresses it is told.
  ///   - follows: it never asks to become a member.
  ///   - isDemo: it takes injected faults.
  @discardableResult
  func start(
    _ name: String, peers: [String] = [], at addresses: [Address] = [], fanout: Int = 3, follows: Bool = false,
    isDemo: Bool = true, snapshotSeconds: UInt64 = 0, retainedEntries: UInt64? = nil
  ) async throws -> NodeServer {
    let known = servers.withLock { servers in peers.compactMap { servers[$0]?.address } }
    try #require(known.count == peers.count, "a peer does not run")
    let log = log
    var logger = Logger(label: name, factory: { _ in RecordingHandler(recorder: log) })
    logger.logLevel = .debug
    var configuration = NodeConfiguration(
      genesis: genesis, name: name, key: key(name), dataDirectory: directory(name),
      listen: Address(host: "127.0.0.1", port: 0),
      peers: known + addresses, seed: UInt64(names.firstIndex(of: name) ?? 90) + 7, logger: logger)
    // 37 MB for each of many nodes.
    configuration.reservesLog = false
    configuration.gossip.fanout = fanout
    configuration.wantsMembership = !follows
    configuration.isDemo = isDemo
    configuration.snapshotSeconds = snapshotSeconds
    configuration.retainedEntries = retainedEntries
    let server = try await NodeServer.start(configuration)
    servers.withLock { $0[name] = server }
    return server
  }

  /// The first node knows nobody, every other one only the first.
  func startAll(fanout: Int = 3) async throws {
    for name in names { try await start(name, peers: name == names[0] ? [] : [names[0]], fanout: fanout) }
  }

  func server(_ name: String) throws -> NodeServer {
    try #require(servers.withLock { $0[name] }, "\(name) does not run")
  }

  var running: [NodeServer] { servers.withLock { Array($0.values) } }

  func address(_ name: String) throws -> Address { try server(name).address }

  /// - Returns: why it stopped by itself; nil if it was asked to.
  @discardableResult
  func stop(_ name: String) async throws -> String? {
    guard let server = servers.withLock({ $0.removeValue(forKey: name) }) else { return nil }
    server.stop()
    return try await server.waitUntilStopped()
  }

  /// Ends everything; what fails now does not matter.
  func end() async {
    for name in servers.withLock({ $0.keys.sorted() }) { _ = try? await stop(name) }
    try? FileManager.default.removeItem(atPath: path)
  }

  // MARK: Clients

  func connect(
    _ name: String, account: UInt64 = 1, onUpdates: (@Sendable ([OrderUpdate]) -> Void)? = nil
  ) async throws -> RialtoClient {
    let address = try address(name)
    return try await undisturbed("a connection to \(name)") {
      try await RialtoClient.connect(
        to: address, account: AccountID(account), name: "test", clusterID: genesis.clusterID,
        timeoutMilliseconds: Patience.milliseconds, requestTimeoutMilliseconds: Patience.milliseconds,
        onUpdates: onUpdates)
    }
  }

  /// Cuts members apart: who is in different groups hears nothing of each other. None ends it.
  func partition(_ groups: [[String]]) async throws {
    for name in groups.isEmpty ? names : groups.flatMap({ $0 }) {
      let others = groups.filter { !$0.contains(name) }.flatMap { $0 }
      let cuts = others.map { CutLink(node: key($0).publicKey.nodeID, direction: .both) }
      try await connect(name).inject(.links(cuts))
    }
  }

  /// Defines the instrument by one node, waits until every running one has it.
  func defineInstrument() async throws -> Dot {
    let running = servers.withLock { $0.keys.sorted() }
    let first = try await connect(running[0])
    let dot = try await first.accepted(.instrument(Instrument(symbol: Self.symbol))).dot
    for name in running {
      let client = try await connect(name)
      _ = try await eventually("\(name) knows the instrument") {
        try await client.instruments().first { $0.dot == dot }
      }
    }
    return dot
  }
}

/// Runs `body` with a cluster, and ends all of its nodes whatever happens.
func withCluster(_ count: Int, salt: UInt8 = 1, _ body: (TestCluster) async throws -> Void) async throws {
  let cluster = try TestCluster(count, salt: salt)
  do {
    try await body(cluster)
  } catch {
    await cluster.end()
    throw error
  }
  await cluster.end()
}

extension [RialtoClient] {
  /// Waits until all nodes hold the same entries, everything is final and in the tables.
  /// - Returns: the statuses then; hashes are for the caller to compare.
  func quiet() async throws -> [NodeStatus] {
    var last: [NodeStatus] = []
    do {
      return try await eventually("all nodes are quiet") {
        last = []
        for client in self { last.append(try await client.status()) }
        let isQuiet = last.allSatisfy { $0.entries == last[0].entries && $0.tentative == 0 && $0.auditLag == 0 }
        return isQuiet ? last : nil
      }
    } catch let error as TimedOut {
      let figures = last.map {
        "\($0.name) entries \($0.entries) tentative \($0.tentative) missing \($0.missing) audit \($0.auditLag)"
      }
      throw TimedOut(description: "\(error.description): \(figures)")
    }
  }

  /// Waits until nodes have nothing to say of their own accord, either: fills, and what they attest of the last second.
  func rested() async throws -> [NodeStatus] {
    var last = try await quiet()
    while true {
      // That second ends first.
      try await Task.sleep(for: .seconds(2))
      let now = try await quiet()
      if now.map(\.entries) == last.map(\.entries) { return now }
      last = now
    }
  }

  /// Waits for quiet, and expects agreement.
  func expectAgreement(sourceLocation: SourceLocation = #_sourceLocation) async throws -> NodeStatus {
    let statuses = try await quiet()
    #expect(Set(statuses.map(\.bookHash)).count == 1, "book hashes differ", sourceLocation: sourceLocation)
    #expect(Set(statuses.map(\.tradesHash)).count == 1, "trades hashes differ", sourceLocation: sourceLocation)
    #expect(Set(statuses.map(\.fills)).count == 1, "fills differ", sourceLocation: sourceLocation)
    #expect(statuses.allSatisfy { $0.bookMismatches == 0 }, sourceLocation: sourceLocation)
    return statuses[0]
  }
}

/// Everything that the nodes of a cluster log.
final class LogRecorder: Sendable {
  private let lines = Mutex<[String]>([])
  func add(_ line: String) { lines.withLock { $0.append(line) } }
  func contains(_ text: String) -> Bool { lines.withLock { $0.contains { $0.contains(text) } } }
  func count(_ text: String) -> Int { lines.withLock { $0.count { $0.contains(text) } } }
  var all: [String] { lines.withLock { $0 } }
}

struct RecordingHandler: LogHandler {
  let recorder: LogRecorder
  var logLevel = Logger.Level.info
  var metadata: Logger.Metadata = [:]
  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }
  init(recorder: LogRecorder) { self.recorder = recorder }

  func log(event: LogEvent) {
    let details = event.metadata?.map { "\($0.key)=\($0.value)" }.joined(separator: " ") ?? ""
    recorder.add("\(event.level) \(event.message) \(details)")
  }
}
