import Client
import Foundation
import OrderBook
import Primitives
import Testing
import Wire

/// A `rialto node` in a process of its own, from the directory of a cluster's member.
final class NodeProcess: @unchecked Sendable {
  private let process = Process()
  /// Its end is the node's, so none outlives these tests, however they end.
  private let input = Pipe()
  private let outputPath: String
  private let errorPath: String

  /// The executable lies beside the tests'.
  private static let executable: URL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    .deletingLastPathComponent().appendingPathComponent("rialto")

  /// - Parameter arguments: after `node`.
  init(_ arguments: [String], outputs: String) throws {
    outputPath = outputs + "-\(UUID().uuidString).out"
    errorPath = outputPath + ".err"
    for path in [outputPath, errorPath] { _ = FileManager.default.createFile(atPath: path, contents: nil) }
    try #require(
      FileManager.default.isExecutableFile(atPath: Self.executable.path), "\(Self.executable.path) is not built")
    process.executableURL = Self.executable
    process.arguments = ["node"] + arguments + ["--stop-with-stdin"]
    process.standardInput = input
    process.standardOutput = FileHandle(forWritingAtPath: outputPath)
    process.standardError = FileHandle(forWritingAtPath: errorPath)
    try process.run()
  }

  deinit { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }

  var pid: Int32 { process.processIdentifier }
  var isRunning: Bool { process.isRunning }
  var output: String { (try? String(contentsOfFile: outputPath, encoding: .utf8)) ?? "" }
  var errors: String { (try? String(contentsOfFile: errorPath, encoding: .utf8)) ?? "" }

  func signal(_ number: Int32) { kill(process.processIdentifier, number) }

  /// Waits for its end.
  /// - Returns: its exit code; a signal's number, negative, if that ended it.
  func exitCode() async throws -> Int32 {
    try await eventually("the process ends") { !self.process.isRunning }
    return process.terminationReason == .exit ? process.terminationStatus : -process.terminationStatus
  }

  private struct Announcement: Decodable {
    var address: String
  }

  /// Where it listens, once it does.
  func address() async throws -> Address {
    try await eventually("the process listens") {
      if !self.process.isRunning { throw TimedOut(description: "it has ended: \(self.errors)") }
      guard let line = self.output.split(separator: "\n").first,
        let said = try? JSONDecoder().decode(Announcement.self, from: Data(line.utf8))
      else { return nil }
      return Address(said.address)
    }
  }

  /// A client of it, as soon as it listens.
  func connect(clusterID: Hash256? = nil) async throws -> RialtoClient {
    let address = try await address()
    return try await eventually("a connection to \(address)") {
      do {
        return try await RialtoClient.connect(
          to: address, account: AccountID(1), clusterID: clusterID, timeoutMilliseconds: Patience.milliseconds,
          requestTimeoutMilliseconds: Patience.milliseconds)
      } catch ClientError.connectionLost {
        // The node gives up who does not finish the handshake in time.
        return nil
      }
    }
  }

  /// A connection that has named an account.
  func rawClient() async throws -> RawConnection {
    let address = try await address()
    return try await eventually("a handshake with \(address)") {
      do {
        let raw = try RawConnection(to: address)
        try await raw.shake(
          Handshake.client(
            clusterID: nil, account: 7, name: "raw", nonce: RawConnection.nonce(),
            signatures: Ed25519(seed: Array(repeating: 1, count: 32))!))
        return raw
      } catch let refusal as Refusal where refusal == RawConnection.closedUnrefused {
        // As above.
        return nil
      }
    }
  }

  /// Memory that is in use now, in bytes.
  func residentBytes() throws -> Int {
    let status = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
    let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") })
    return (Int(line.split(whereSeparator: { !$0.isNumber }).first ?? "0") ?? 0) * 1_024
  }
}

extension TestCluster {
  /// Starts a member as a process.
  func launch(_ name: String, peers: [Address] = [], data: String? = nil, more: [String] = []) throws -> NodeProcess {
    var arguments = [
      "--data", data ?? directory(name), "--genesis", path + "/genesis.json", "--key", directory(name) + "/key",
      "--json",
    ]
    for peer in peers { arguments += ["--peer", peer.description] }
    return try NodeProcess(arguments + more, outputs: path + "/" + name)
  }
}
