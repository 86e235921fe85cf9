import Foundation

/// Where the programs of other systems are: `Scripts/peers` puts them there.
public struct PeerPrograms: Sendable {
  public let directory: String

  /// - Parameter directory: nil for `rialto-peers` in the user's cache directory.
  public init(directory: String? = nil) {
    let environment = ProcessInfo.processInfo.environment
    let cache = environment["XDG_CACHE_HOME"].flatMap { $0.isEmpty ? nil : $0 } ?? NSHomeDirectory() + "/.cache"
    self.directory = directory ?? cache + "/rialto-peers"
  }

  /// The program of that name: there, or on the path.
  public func path(of name: String) throws -> String {
    let own = directory + "/bin/" + name
    let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin").split(separator: ":")
    let places = [own] + folders.map { "\($0)/\(name)" }
    guard let path = places.first(where: FileManager.default.isExecutableFile) else {
      throw PeerError("\(name) is not installed in \(directory), nor on the PATH: run Scripts/peers, or leave it out")
    }
    return path
  }

  /// Ports that nobody listens on now, as the system picks them.
  ///
  /// All are held until the last one is known, so that they differ; whoever is given them had better be quick.
  public static func freePorts(_ count: Int) throws -> [UInt16] {
    var sockets: [Int32] = []
    defer { for socket in sockets { close(socket) } }
    return try (0..<count).map { _ in
      let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
      guard descriptor >= 0 else { throw PeerError("no socket: \(String(cString: strerror(errno)))") }
      sockets.append(descriptor)
      var address = PeerSocket.loopback(port: 0)
      var length = socklen_t(MemoryLayout<sockaddr_in>.size)
      let isBound = withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0
        }
      }
      guard isBound else { throw PeerError("no port: \(String(cString: strerror(errno)))") }
      return UInt16(bigEndian: address.sin_port)
    }
  }
}

/// A member of another system, in a process that ends with this one, however this one ends.
final class PeerProcess: @unchecked Sendable {
  /// Starts the program in the background, says its pid, and kills it once stdin is closed, as a crash does, too. It
  /// does not wait for it: a process that is started from here may have SIGCHLD blocked, and would wait for ever.
  private static let guardian = "\"$@\" <&- >&2 & echo $!; read -r line; kill -9 $!"

  private let shell = Process()
  private let input = Pipe()
  private let logPath: String
  private(set) var pid: Int32 = 0

  /// - Parameter logPath: takes what it prints.
  init(_ program: String, _ arguments: [String], logPath: String) throws {
    self.logPath = logPath
    _ = FileManager.default.createFile(atPath: logPath, contents: nil)
    guard let log = FileHandle(forWritingAtPath: logPath) else { throw PeerError("\(logPath) cannot be written") }
    let output = Pipe()
    shell.executableURL = URL(fileURLWithPath: "/bin/sh")
    shell.arguments = ["-c", Self.guardian, "sh", program] + arguments
    shell.standardInput = input
    shell.standardOutput = output
    shell.standardError = log
    try shell.run()
    try? log.close()
    let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
    pid = Int32(line.trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0
    guard pid > 0 else {
      stop()
      throw PeerError("\(program) does not start:\n\(logTail)")
    }
  }

  deinit { stop() }

  var isRunning: Bool { pid > 0 && Self.isAlive(pid) }

  var logTail: String {
    let text = String(decoding: FileManager.default.contents(atPath: logPath)?.suffix(8_192) ?? Data(), as: UTF8.self)
    return text.split(separator: "\n").suffix(5).joined(separator: "\n")
  }

  /// Kills it and waits until it is gone.
  func stop() {
    guard shell.isRunning else { return }
    try? input.fileHandleForWriting.close()
    shell.waitUntilExit()
    for _ in 0..<200 where isRunning { usleep(10_000) }
  }

  /// Whether a process runs. One that was killed and that nobody has looked at yet keeps its number and does not run:
  /// whoever adopts it here may never look.
  static func isAlive(_ pid: Int32) -> Bool {
    guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else { return false }
    return text.split(separator: ")").last?.split(separator: " ").first != "Z"
  }
}
