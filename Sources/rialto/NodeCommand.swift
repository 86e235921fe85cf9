import ArgumentParser
import Client
import Foundation
import Gossip
import Logging
import Membership
import Node
import Primitives
import Wire

/// `rialto node`: one node of a cluster, until it is told to stop.
struct NodeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "node",
    abstract: "Run one node: listen, join its cluster, take orders.",
    discussion: """
      A node needs the member list of its cluster (`rialto genesis`), its own key (made at the first start) and, unless
      it is the only one, the address of any other member; it finds the rest by itself. One that is not in the list
      joins as a new member, under the name that --name gives it.

      SIGTERM makes it leave the cluster first, so that nobody waits for it; Ctrl-C (SIGINT) or SIGHUP stops it at once,
      and it is a member still: it has about two seconds to come back before the others go on without it.

      Examples:
        rialto node --data n1 --genesis genesis.json --listen 127.0.0.1:7001
        rialto node --data n2 --genesis genesis.json --listen 127.0.0.1:7002 --peer 127.0.0.1:7001
        rialto node --data n3 --genesis genesis.json --peer 127.0.0.1:7001 --flow random --every 5s
        rialto node --data n4 --genesis genesis.json --peer 127.0.0.1:7001 --name n4
      """)

  @Option(help: "Directory of the node's file, key and log.")
  var data: String

  @Option(help: "Member list of the cluster. (default: genesis.json in the data directory)")
  var genesis: String?

  @Option(help: "The node's secret key; made if there is none. (default: key in the data directory)")
  var key: String?

  @Option(help: "Under which to join, if the member list does not name this node. (default: the directory's name)")
  var name: String?

  @Flag(help: "Only follow: hold everything, serve reads, never become a member.")
  var observe = false

  @Option(help: "Where to listen; port 0 lets the system pick.")
  var listen = "127.0.0.1:0"

  @Option(help: "What others should dial, if it is not the listening address.")
  var advertise: String?

  @Option(name: .customLong("peer"), help: "Address of another member; may be repeated, one is enough.")
  var peers: [String] = []

  @Option(help: "Peers that a new batch is offered to.")
  var fanout = 3

  @Option(help: "Milliseconds between two digests with a random peer.")
  var roundMilliseconds: UInt64 = 100

  @Option(name: .customLong("snapshot"), help: "Time from one snapshot to the next; the same for all nodes.")
  var snapshotEvery = TimeSpan(milliseconds: 60_000)

  @Option(help: "Time in which the whole book in memory is checked against its hashes; 0s for never.")
  var scrubInterval = TimeSpan(milliseconds: 10_000)

  @Option(help: "Entries of each origin to keep below the older of two snapshots. (default: all)")
  var retain: UInt64?

  @Option(help: "Join from a snapshot rather than fetch more entries than this.")
  var joinEntries: UInt64 = 10_000_000

  @Option(help: "Least level that is logged, on stderr: trace, debug, info, notice, warning, error or critical.")
  var logLevel = "warning"

  @Option(help: "Seed of the node's random choices. (default: drawn)")
  var seed: UInt64?

  @Option(help: "Trade by itself and print each order and fill; 'random' is the only flow.")
  var flow: String?

  @Option(help: "With --flow: time between two orders, such as 5s or 200ms.")
  var every = TimeSpan(milliseconds: 5_000)

  @Option(help: "With --flow: the instrument to trade; defined if the cluster has none of that name.")
  var symbol = "BTC-USD"

  @Flag(help: "Print one line of JSON on stdout once the node listens.")
  var json = false

  @Flag(help: "Part of a cluster to try things with: takes injected faults, such as partitions, from any client.")
  var demo = false

  @Flag(help: .hidden)
  var stopWithStdin = false

  /// For measurements of what a joiner that dies costs the others.
  @Option(help: .hidden)
  var dieAt: DeathPoint?

  func validate() throws {
    guard fanout >= 1 else { throw ValidationError("--fanout must be at least 1") }
    guard (1...1_000).contains(roundMilliseconds) else {
      throw ValidationError("--round-milliseconds must be between 1 and 1000")
    }
    guard snapshotEvery.milliseconds % 1_000 == 0 else {
      throw ValidationError("--snapshot must be whole seconds, such as 60s")
    }
    guard flow == nil || flow == "random" else { throw ValidationError("--flow must be 'random'") }
  }

  func run() async throws {
    try await explaining { try await runNode() }
  }

  private func runNode() async throws {
    let configuration = try makeConfiguration()
    let server = try await NodeServer.start(configuration)
    let signals = StopSignals { signal in if signal == SIGTERM { server.leave() } else { server.stop() } }
    if stopWithStdin { StdinWatch.onEnd { server.stop() } }
    let files = NodeDirectory(path: data)
    try files.writeRunning(RunningNode(name: server.name, address: server.address.description, pid: getpid()))
    announce(server)
    var trader: Task<Void, Never>?
    if flow != nil { trader = Task { await trade(server) } }
    let failure = try await server.waitUntilStopped()
    trader?.cancel()
    signals.cancel()
    files.removeRunning()
    if let failure { throw CommandError(failure) }
  }

  private func makeConfiguration() throws -> NodeConfiguration {
    guard let listen = Address(listen) else { throw CommandError("--listen \(listen) is not of the form host:port") }
    let peers = try peers.map { text in
      guard let address = Address(text) else { throw CommandError("--peer \(text) is not of the form host:port") }
      return address
    }
    guard let level = Logger.Level(rawValue: logLevel) else {
      throw CommandError("--log-level \(logLevel) is none of trace, debug, info, notice, warning, error, critical")
    }
    do {
      try FileManager.default.createDirectory(atPath: data, withIntermediateDirectories: true)
    } catch {
      throw CommandError(
        "the data directory \(data) cannot be made: \(error.localizedDescription)", advice: "Choose another --data.")
    }
    let files = NodeDirectory(path: data)
    let members = try GenesisFile.load(genesis ?? files.genesisPath)
    let secret = try KeyFile.loadOrCreate(key ?? files.keyPath)
    var logger = Logger(label: "rialto", factory: { StreamLogHandler.standardError(label: $0) })
    logger.logLevel = level
    let listed = members.members.first { $0.publicKey == secret.publicKey }?.name
    let own = listed ?? name ?? URL(fileURLWithPath: data).lastPathComponent
    guard !own.isEmpty, own.utf8.count <= Limits.nameBytesMax else {
      throw CommandError("--name \(own) must have 1 to \(Limits.nameBytesMax) bytes")
    }
    logger[metadataKey: "node"] = "\(own)"
    var generator = SystemRandomNumberGenerator()
    var configuration = NodeConfiguration(
      genesis: members, name: own, key: secret, dataDirectory: data, listen: listen, peers: peers,
      seed: seed ?? UInt64.random(in: 0 ... .max, using: &generator), logger: logger)
    configuration.wantsMembership = !observe
    configuration.isDemo = demo
    configuration.snapshotSeconds = snapshotEvery.milliseconds / 1_000
    configuration.snapshotBehindEntries = joinEntries
    configuration.scrubMicroseconds = scrubInterval.milliseconds * 1_000
    configuration.retainedEntries = retain
    if dieAt != nil, !demo {
      throw CommandError("--die-at is for nodes of a cluster to try things with: --demo")
    }
    configuration.diesAt = dieAt
    configuration.gossip.fanout = fanout
    configuration.gossip.roundMicroseconds = roundMilliseconds * 1_000
    if let advertise {
      guard let address = Address(advertise) else {
        throw CommandError("--advertise \(advertise) is not of the form host:port")
      }
      configuration.advertise = address
    }
    return configuration
  }

  private func announce(_ server: NodeServer) {
    if json {
      var line = JSONLine()
      line.add("name", server.name)
      line.add("address", server.address.description)
      line.add("cluster", server.clusterID.description)
      line.add("pid", Int(getpid()))
      Output.result(line.text)
    } else {
      Output.note("node \(server.name) of cluster \(server.clusterID.prefix(12)) listens on \(server.address)")
    }
  }

  private func trade(_ server: NodeServer) async {
    do {
      try await SelfTrader(address: server.address, symbol: symbol, every: every, seed: seed ?? UInt64(getpid())).run()
    } catch is CancellationError {
      return
    } catch {
      if !Task.isCancelled { Output.errorLine("the flow has ended: \(error)") }
    }
  }
}

extension DeathPoint: ExpressibleByArgument {}

/// A time with its unit on the command line: `250ms`, `5s`, `2m`.
struct TimeSpan: ExpressibleByArgument, Hashable, CustomStringConvertible {
  var milliseconds: UInt64

  init(milliseconds: UInt64) { self.milliseconds = milliseconds }

  init?(argument: String) {
    let units: [(String, UInt64)] = [
      ("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000),
    ]
    for (suffix, factor) in units where argument.hasSuffix(suffix) {
      guard let number = UInt64(argument.dropLast(suffix.count)), number > 0, number <= 86_400_000 else { continue }
      milliseconds = number * factor
      return
    }
    return nil
  }

  var description: String { milliseconds % 1_000 == 0 ? "\(milliseconds / 1_000)s" : "\(milliseconds)ms" }
  var defaultValueDescription: String { description }
}

/// Calls back on the first SIGTERM, SIGINT or SIGHUP; a second one ends the process at once.
final class StopSignals: @unchecked Sendable {
  private var sources: [any DispatchSourceSignal] = []

  init(_ stop: @escaping @Sendable (Int32) -> Void) {
    for number in [SIGTERM, SIGINT, SIGHUP] {
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler {
        for number in [SIGTERM, SIGINT, SIGHUP] { signal(number, SIG_DFL) }
        stop(number)
      }
      source.resume()
      sources.append(source)
    }
    signal(SIGPIPE, SIG_IGN)
  }

  func cancel() { for source in sources { source.cancel() } }
}

/// Notices that whoever started this process is gone: its end of stdin is closed.
enum StdinWatch {
  static func onEnd(_ body: @escaping @Sendable () -> Void) {
    Thread.detachNewThread {
      var byte: UInt8 = 0
      while read(STDIN_FILENO, &byte, 1) > 0 {}
      body()
    }
  }
}
