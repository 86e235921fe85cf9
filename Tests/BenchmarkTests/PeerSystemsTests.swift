import Foundation
import Testing

@testable import PeerSystems

@Suite("Other systems, as they are talked to")
struct PeerSystemsTests {
  @Test("fields of a message are found by number, whatever comes before them")
  func protobuf() {
    var message = Protobuf()
    message.write(1, Array("key".utf8))
    message.write(2, [UInt8](repeating: 7, count: 300))
    #expect(message.field(1)?.bytes == Array("key".utf8))
    #expect(message.field(2)?.bytes.count == 300)
    #expect(message.field(3) == nil)
    // 1: varint 150, 2: fixed64, 3: fixed32, 4: varint 1
    let other = Protobuf(bytes: [0x08, 0x96, 0x01, 0x11, 1, 2, 3, 4, 5, 6, 7, 8, 0x1d, 1, 2, 3, 4, 0x20, 0x01])
    #expect(other.field(1)?.number == 150 && other.field(4)?.number == 1)
    for end in 0..<other.bytes.count { _ = Protobuf(bytes: Array(other.bytes.prefix(end))).field(4) }
    #expect(Protobuf(bytes: [0x12, 0x7f, 0x00]).field(2) == nil, "longer than what there is")
  }

  @Test("ports that the system picks differ")
  func ports() throws {
    let ports = try PeerPrograms.freePorts(6)
    #expect(Set(ports).count == 6 && !ports.contains(0))
  }

  @Test("a program that is not there is named, with what to do")
  func missing() throws {
    #expect {
      try PeerPrograms(directory: "/nonexistent").path(of: "no-such-program")
    } throws: {
      "\($0)".contains("no-such-program") && "\($0)".contains("Scripts/peers")
    }
  }

  @Test("a process ends when it is told to, and when nobody holds on to it")
  func processes() throws {
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent("peer-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    var process: PeerProcess? = try PeerProcess("/bin/sleep", ["1000"], logPath: directory + "/log")
    let first = try #require(process?.pid)
    #expect(process?.isRunning == true && PeerProcess.isAlive(first))
    process?.stop()
    #expect(process?.isRunning == false)
    process = try PeerProcess("/bin/sleep", ["1000"], logPath: directory + "/log")
    let second = try #require(process?.pid)
    #expect(PeerProcess.isAlive(second))
    process = nil
    #expect(!PeerProcess.isAlive(second))
  }

  /// Whether `Scripts/peers` has been run here.
  static func has(_ program: String) -> Bool { (try? PeerPrograms().path(of: program)) != nil }

  private func writes(_ system: any PeerSystem) async throws {
    do {
      try await system.start()
      let value = [UInt8](repeating: 1, count: 100)
      for _ in 0..<5 { try system.write(value) }
      try system.write(count: 200, of: value, window: 32)
      try system.ping()
    } catch {
      system.stop()
      throw error
    }
    system.stop()
  }

  private func inDirectory(_ body: (String) async throws -> Void) async throws {
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent("peers-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try await body(directory)
  }

  @Test("three NATS servers take writes, one and many at a time", .enabled(if: has("nats-server")))
  func nats() async throws {
    try await inDirectory { directory in
      let system = try NatsCluster(programs: PeerPrograms(), directory: directory, sync: .always)
      try await writes(system)
      #expect(system.title.contains("sync_interval: always"))
    }
  }

  @Test("three etcd members take writes, one and many at a time", .enabled(if: has("etcd")))
  func etcd() async throws {
    try await inDirectory { directory in
      try await writes(try EtcdCluster(programs: PeerPrograms(), directory: directory))
    }
  }
}
