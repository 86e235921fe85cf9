import Foundation

/// Three etcd members, and a client that puts values through the leader.
///
/// The client speaks gRPC over one blocking socket, as etcd's own does; the JSON gateway would cost another hop.
public final class EtcdCluster: PeerSystem, @unchecked Sendable {
  private let program: String
  private let directory: String
  private var version = ""
  private var processes: [PeerProcess] = []
  private var connection: GRPCConnection?
  private var puts: UInt64 = 0

  /// - Parameter directory: of its own; made if there is none.
  public init(programs: PeerPrograms, directory: String) throws {
    program = try programs.path(of: "etcd")
    self.directory = directory
  }

  public var title: String { "etcd \(version), three members" }
  public var clientTitle: String { "gRPC over one blocking socket to the leader" }

  public func start() async throws {
    let ports = try PeerPrograms.freePorts(2 * Self.memberCount)
    let names = (1...Self.memberCount).map { "n\($0)" }
    let clients = ports.prefix(Self.memberCount).map { "http://127.0.0.1:\($0)" }
    let peers = ports.suffix(Self.memberCount).map { "http://127.0.0.1:\($0)" }
    let initial = zip(names, peers).map { "\($0)=\($1)" }.joined(separator: ",")
    for (index, name) in names.enumerated() {
      let place = directory + "/" + name
      try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
      let arguments = [
        "--name", name, "--data-dir", place + "/data", "--listen-client-urls", clients[index],
        "--advertise-client-urls", clients[index], "--listen-peer-urls", peers[index],
        "--initial-advertise-peer-urls", peers[index], "--initial-cluster", initial, "--initial-cluster-state", "new",
        "--initial-cluster-token", "rialto-bench", "--logger", "zap", "--log-level", "warn",
      ]
      processes.append(try PeerProcess(program, arguments, logPath: place + "/server.log"))
    }
    connection = try await Self.retry("etcd has no leader") {
      for process in processes where !process.isRunning { throw PeerError("a member has ended: \(process.logTail)") }
      for port in ports.prefix(Self.memberCount) {
        let connection = try GRPCConnection(port: port)
        let status = try connection.status()
        version = status.version
        if status.leader != 0, status.leader == status.member { return connection }
      }
      throw PeerError("none of the members leads")
    }
    try await Self.retry("etcd takes no writes") { try write([UInt8](repeating: 0, count: 100)) }
  }

  private func connected() throws -> GRPCConnection {
    guard let connection else { throw PeerError("etcd is not connected") }
    return connection
  }

  private func request(_ value: [UInt8]) -> [UInt8] {
    puts += 1
    var message = Protobuf()
    message.write(1, Array("o\(puts)".utf8))
    message.write(2, value)
    return message.bytes
  }

  public func write(_ value: [UInt8]) throws {
    _ = try connected().call("/etcdserverpb.KV/Put", request(value))
  }

  public func write(count: Int, of value: [UInt8], window: Int) throws {
    let connection = try connected()
    var sent = 0
    for answered in 0..<count {
      while sent < min(count, answered + window) {
        try connection.begin("/etcdserverpb.KV/Put", request(value))
        sent += 1
      }
      try connection.awaitAnswer()
    }
  }

  public func ping() throws { _ = try connected().status() }

  public func stop() {
    connection = nil
    for process in processes { process.stop() }
    processes = []
  }
}

extension GRPCConnection {
  /// What a member says of itself.
  func status() throws -> (member: UInt64, leader: UInt64, version: String) {
    let answer = Protobuf(bytes: try call("/etcdserverpb.Maintenance/Status", []))
    let header = Protobuf(bytes: answer.field(1)?.bytes ?? [])
    return (
      header.field(2)?.number ?? 0, answer.field(4)?.number ?? 0,
      String(decoding: answer.field(2)?.bytes ?? [], as: UTF8.self)
    )
  }
}

/// As much of Protocol Buffers as the calls here need.
struct Protobuf {
  var bytes: [UInt8] = []

  init(bytes: [UInt8] = []) { self.bytes = bytes }

  mutating func write(_ field: UInt8, _ value: [UInt8]) {
    bytes.append(field << 3 | 2)
    var count = value.count
    while count >= 128 {
      bytes.append(UInt8(truncatingIfNeeded: count) | 128)
      count >>= 7
    }
    bytes.append(UInt8(count))
    bytes += value
  }

  struct Field {
    var number: UInt64 = 0
    var bytes: [UInt8] = []
  }

  /// The first field of that number; nil if there is none, or the message cannot be read that far.
  func field(_ wanted: UInt64) -> Field? {
    var rest = bytes[...]
    func varint() -> UInt64? {
      var value: UInt64 = 0
      var shift: UInt64 = 0
      while let byte = rest.popFirst(), shift < 64 {
        value |= UInt64(byte & 127) << shift
        if byte < 128 { return value }
        shift += 7
      }
      return nil
    }
    while let key = varint() {
      var field = Field()
      switch key & 7 {
      case 0:
        guard let number = varint() else { return nil }
        field.number = number
      case 1, 5:
        let width = key & 7 == 1 ? 8 : 4
        guard rest.count >= width else { return nil }
        rest = rest.dropFirst(width)
      case 2:
        guard let count = varint(), count <= UInt64(rest.count) else { return nil }
        field.bytes = Array(rest.prefix(Int(count)))
        rest = rest.dropFirst(Int(count))
      default: return nil
      }
      if key >> 3 == wanted { return field }
    }
    return nil
  }
}
