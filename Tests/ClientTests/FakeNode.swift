import NIOCore
import NIOPosix
import OrderBook
import Primitives
import Synchronization
import Testing
import Wire

@testable import Client

/// A node of a few lines: it shakes hands on loopback, and answers as a test's script says.
final class FakeNode: Sendable {
  /// One connection, as a script sees it; only on its event loop.
  final class Connection {
    let channel: any Channel
    /// How many connections came before.
    let number: Int
    /// What a script wants to remember.
    var counter = 0
    var held: [ClientRequest] = []

    init(channel: any Channel, number: Int) {
      self.channel = channel
      self.number = number
    }

    func send(_ message: NodeMessage) {
      var writer = ByteWriter()
      message.write(to: &writer)
      send(bytes: writer.bytes)
    }

    func send(bytes: [UInt8]) { channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil) }
    func close() { channel.close(promise: nil) }

    /// Accepts every command of a frame, under the dot `1-request`, with the stamp `1,000 + request`.
    func accept(_ submit: SubmitRequest) {
      let stamps = submit.commands.indices.map { Stamp(1_000 + submit.firstRequest + UInt64($0)) }
      let dot = Dot(origin: OriginIndex(1), sequence: submit.firstRequest)
      send(.accepted([AcceptedRun(firstRequest: submit.firstRequest, firstDot: dot, stamps: stamps)]))
    }
  }

  typealias Script = @Sendable (ClientRequest, Connection) -> Void

  static let clusterID = SHA256().hash(Array("fake".utf8))
  static let key = Ed25519(seed: Array(repeating: 9, count: 32))!

  private let requests = Mutex<[ClientRequest]>([])
  private let closed = Atomic<Int>(0)
  private let server: any Channel
  let address: Address

  /// Everything that was asked, in order; without pings, which the library sends when nothing else is said for long.
  var asked: [ClientRequest] { requests.withLock { $0.filter { if case .ping = $0 { false } else { true } } } }
  var connectionsClosed: Int { closed.load(ordering: .relaxed) }

  private init(server: any Channel) {
    self.server = server
    address = Address(host: "127.0.0.1", port: UInt16(server.localAddress!.port!))
  }

  /// - Parameters:
  ///   - admission: refuses the handshake.
  ///   - isSilent: takes connections and never says a word.
  static func start(
    admission: @escaping @Sendable (Hello) -> Refusal? = { _ in nil }, isSilent: Bool = false,
    script: @escaping Script = { _, _ in }
  ) async throws -> FakeNode {
    let box = Mutex<FakeNode?>(nil)
    let connections = Atomic<Int>(0)
    let shared = Shared(box: box, connections: connections)
    let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          if isSilent { return }
          let number = shared.connections.add(1, ordering: .relaxed).oldValue
          let handler = FakeNodeHandler(
            connection: Connection(channel: channel, number: number), admission: admission,
            onRequest: { request, connection in
              shared.node?.requests.withLock { $0.append(request) }
              script(request, connection)
            },
            onClose: { _ = shared.node?.closed.add(1, ordering: .relaxed) })
          try channel.pipeline.syncOperations.addHandler(handler)
        }
      }
      .bind(host: "127.0.0.1", port: 0).get()
    let node = FakeNode(server: server)
    shared.set(node)
    return node
  }

  func stop() async { try? await server.close() }

  /// Lets the handlers of connections find the node, which is made after them.
  private final class Shared: Sendable {
    private let box: Mutex<FakeNode?>
    let connections: Atomic<Int>
    init(box: consuming Mutex<FakeNode?>, connections: consuming Atomic<Int>) {
      self.box = box
      self.connections = connections
    }
    var node: FakeNode? { box.withLock { $0 } }
    func set(_ node: FakeNode) { box.withLock { $0 = node } }
  }
}

private final class FakeNodeHandler: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  private let connection: FakeNode.Connection
  private let onRequest: FakeNode.Script
  private let onClose: @Sendable () -> Void
  private var handshake: Handshake
  private var isReady = false
  private var splitter = FrameSplitter()

  init(
    connection: FakeNode.Connection, admission: @escaping @Sendable (Hello) -> Refusal?,
    onRequest: @escaping FakeNode.Script, onClose: @escaping @Sendable () -> Void
  ) {
    self.connection = connection
    self.onRequest = onRequest
    self.onClose = onClose
    handshake = .responder(
      clusterID: FakeNode.clusterID, boot: 1, listenAddress: nil,
      welcome: Welcome(nodeName: "fake", origin: OriginIndex(1), stamp: Stamp(5)),
      nonce: Array(repeating: 0x55, count: 32), signatures: FakeNode.key, admits: { _ in true },
      admission: admission)
  }

  func channelActive(context: ChannelHandlerContext) { _ = handshake.start() }
  func channelInactive(context: ChannelHandlerContext) { onClose() }
  func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    splitter.append(unwrapInboundIn(data))
    while let frame = try? splitter.next() {
      if isReady {
        guard let request = try? ClientRequest.decode(frame) else {
          connection.send(.goodbye("what was that?"))
          connection.close()
          return
        }
        onRequest(request, connection)
        continue
      }
      for action in frame.body.withUnsafeReadableBytes({ handshake.receive(type: frame.type, body: $0) }) {
        switch action {
        case .send(let type, let body): connection.send(bytes: .frame(type: type, body: body))
        case .established:
          isReady = true
          splitter.bytesMax = PeerRole.client.frameBytesMax
        case .refuse(let refusal):
          connection.send(bytes: .frame(type: HandshakeFrame.refusal.rawValue, body: refusal.body))
          connection.close()
        case .fail: connection.close()
        }
      }
    }
  }
}

/// A limit order that differs from others by its price.
func anOrder(_ price: Int64) -> Command {
  .order(Order(instrument: Dot("0-1")!, account: AccountID(7), side: .buy, priceTicks: price, quantityLots: 1))
}

extension Trait where Self == TimeLimitTrait {
  /// For what nothing else ends. No bound on time tells right from wrong here: on a busy machine any thread may stand
  /// still for seconds.
  static var endsIfItHangs: Self { .timeLimit(.minutes(10)) }
}

/// For calls that are answered, however busy the machine.
let patienceMilliseconds: Int64 = 300_000

/// Runs `body` against a fresh fake node and a client of it, and puts both away.
func withClient(
  requestTimeoutMilliseconds: Int64 = patienceMilliseconds, script: @escaping FakeNode.Script,
  _ body: (RialtoClient, FakeNode) async throws -> Void
) async throws {
  let node = try await FakeNode.start(script: script)
  let client = try await RialtoClient.connect(
    to: node.address, account: AccountID(7), timeoutMilliseconds: patienceMilliseconds,
    requestTimeoutMilliseconds: requestTimeoutMilliseconds)
  try await body(client, node)
  await client.close()
  await node.stop()
}
