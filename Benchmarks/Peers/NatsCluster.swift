import Foundation

/// Three NATS servers with one JetStream stream of three replicas, and a publisher that waits for its acknowledgements.
///
/// The client speaks the text protocol over one blocking socket to the stream's leader: a `PUB` with a reply subject,
/// and a `MSG` with the acknowledgement.
public final class NatsCluster: PeerSystem, @unchecked Sendable {
  public enum Sync: String, Sendable {
    /// A write is synced before it is acknowledged.
    case always
    /// As it comes: synced every two minutes.
    case interval
  }

  private static let stream = "orders"
  private static let subject = "orders.new"
  private static let inbox = "_INBOX.rialto"

  private let program: String
  private let directory: String
  private let sync: Sync
  private var version = ""
  private var processes: [PeerProcess] = []
  private var connection: NatsConnection?

  /// - Parameter directory: of its own; made if there is none.
  public init(programs: PeerPrograms, directory: String, sync: Sync) throws {
    program = try programs.path(of: "nats-server")
    self.directory = directory
    self.sync = sync
  }

  public var title: String {
    "NATS JetStream \(version), R3, " + (sync == .always ? "sync_interval: always" : "sync_interval as it comes (2m)")
  }
  public var clientTitle: String { "text protocol over one blocking socket to the stream's leader" }

  public func start() async throws {
    let ports = try PeerPrograms.freePorts(2 * Self.memberCount)
    let clientPorts = Array(ports.prefix(Self.memberCount))
    let routePorts = Array(ports.suffix(Self.memberCount))
    let routes = routePorts.map { "nats://127.0.0.1:\($0)" }.joined(separator: ", ")
    for index in 0..<Self.memberCount {
      let place = "\(directory)/n\(index + 1)"
      try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
      let configuration = """
        server_name: n\(index + 1)
        listen: "127.0.0.1:\(clientPorts[index])"
        jetstream {
          store_dir: "\(place)"
          \(sync == .always ? "sync_interval: always" : "")
        }
        cluster {
          name: bench
          listen: "127.0.0.1:\(routePorts[index])"
          routes: [\(routes)]
        }

        """
      let path = place + "/nats.conf"
      try configuration.write(toFile: path, atomically: true, encoding: .utf8)
      processes.append(try PeerProcess(program, ["-c", path], logPath: place + "/server.log"))
    }
    let leader = try await Self.retry("NATS JetStream takes no writes") {
      for process in processes where !process.isRunning { throw PeerError("a server has ended: \(process.logTail)") }
      let any = try NatsConnection(port: clientPorts[0], inbox: Self.inbox)
      return try any.createStream(Self.stream, subject: Self.subject, replicas: Self.memberCount)
    }
    guard let place = Int(leader.dropFirst()), (1...Self.memberCount).contains(place) else {
      throw PeerError("the stream's leader is '\(leader)', which is none of the servers")
    }
    let leading = try NatsConnection(port: clientPorts[place - 1], inbox: Self.inbox)
    version = leading.version
    connection = leading
    try await Self.retry("NATS JetStream takes no writes") { try write([UInt8](repeating: 0, count: 100)) }
  }

  private func connected() throws -> NatsConnection {
    guard let connection else { throw PeerError("NATS is not connected") }
    return connection
  }

  public func write(_ value: [UInt8]) throws {
    let connection = try connected()
    try connection.publish([value], to: Self.subject)
    try connection.awaitAcknowledgement()
  }

  public func write(count: Int, of value: [UInt8], window: Int) throws {
    let connection = try connected()
    var sent = 0
    for acknowledged in 0..<count {
      // Half a window at once, so that many share a system call.
      if sent - acknowledged <= window / 2, sent < count {
        let some = min(count, acknowledged + window) - sent
        try connection.publish(repeatElement(value, count: some), to: Self.subject)
        sent += some
      }
      try connection.awaitAcknowledgement()
    }
  }

  public func ping() throws { try connected().ping() }

  public func stop() {
    connection = nil
    for process in processes { process.stop() }
    processes = []
  }
}

/// One connection of the NATS text protocol.
final class NatsConnection {
  private let socket: PeerSocket
  private let inbox: String
  private var published: UInt64 = 0
  private(set) var version = ""

  init(port: UInt16, inbox: String) throws {
    socket = try PeerSocket(port: port)
    self.inbox = inbox
    let info = try socket.readLine()
    guard info.hasPrefix("INFO ") else { throw PeerError("this is no NATS server: \(info)") }
    version = Self.text("version", in: info.dropFirst(5)) ?? "?"
    let options = #"{"verbose":false,"pedantic":false,"headers":true,"no_responders":true,"lang":"swift","protocol":1}"#
    try socket.write(Array("CONNECT \(options)\r\nSUB \(inbox).* 1\r\n".utf8))
    try ping()
  }

  private static func object(_ text: some StringProtocol) -> [String: Any]? {
    try? JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
  }

  private static func text(_ key: String, in json: some StringProtocol) -> String? { object(json)?[key] as? String }

  /// The payload of the next message.
  private func nextMessage() throws -> String {
    while true {
      let line = try socket.readLine()
      if line == "PING" {
        try socket.write(Array("PONG\r\n".utf8))
      } else if line.hasPrefix("MSG ") || line.hasPrefix("HMSG ") {
        guard let count = line.split(separator: " ").last.flatMap({ Int($0) }), (0...1 << 20).contains(count) else {
          throw PeerError("NATS says '\(line)'")
        }
        let payload = String(decoding: try socket.read(count), as: UTF8.self)
        _ = try socket.read(2)
        if line.hasPrefix("HMSG ") {
          throw PeerError("NATS: \(payload.prefix(60).split(separator: "\r\n").first ?? "")")
        }
        return payload
      } else if line.hasPrefix("-ERR") {
        throw PeerError("NATS: \(line)")
      }
    }
  }

  func ping() throws {
    try socket.write(Array("PING\r\n".utf8))
    while true {
      let line = try socket.readLine()
      if line == "PONG" { return }
      if line.hasPrefix("-ERR") { throw PeerError("NATS: \(line)") }
    }
  }

  func publish(_ values: some Sequence<[UInt8]>, to subject: String) throws {
    var bytes: [UInt8] = []
    for value in values {
      published += 1
      bytes += Array("PUB \(subject) \(inbox).\(published) \(value.count)\r\n".utf8)
      bytes += value
      bytes += [13, 10]
    }
    try socket.write(bytes)
  }

  /// - Throws: `PeerError` if the message was not stored.
  func awaitAcknowledgement() throws {
    let message = try nextMessage()
    // {"stream":"orders","seq":17}; an error has no sequence that counts.
    guard !message.contains("\"error\""), message.contains("\"seq\"") else { throw PeerError("NATS: \(message)") }
  }

  /// - Returns: the name of the server that leads it.
  func createStream(_ name: String, subject: String, replicas: Int) throws -> String {
    let request = #"{"name":"\#(name)","subjects":["\#(subject)"],"num_replicas":\#(replicas),"storage":"file"}"#
    try publish([Array(request.utf8)], to: "$JS.API.STREAM.CREATE.\(name)")
    let answer = try nextMessage()
    guard let object = Self.object(answer), object["error"] == nil else { throw PeerError("NATS: \(answer)") }
    try publish([[]], to: "$JS.API.STREAM.INFO.\(name)")
    let info = try nextMessage()
    guard let cluster = Self.object(info)?["cluster"] as? [String: Any], let leader = cluster["leader"] as? String,
      (cluster["replicas"] as? [[String: Any]])?.count == replicas - 1
    else { throw PeerError("NATS: the stream has no leader yet") }
    return leader
  }
}
