import EventLog
import Forensics
import Foundation
import Histories
import OrderBook
import Primitives
import Replica
import Storage
import Testing

/// The commands as people and scripts see them: exit codes, JSON, pipes.
@Suite struct CommandTests {
  struct Outcome {
    var code: Int32
    var output: String
    var errors: String
    /// Of the last line.
    func json() throws -> [String: Any] {
      let line = try #require(output.split(separator: "\n").last)
      return try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
    }
  }

  /// The executable lies beside the tests'.
  private static let executable = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    .deletingLastPathComponent().appendingPathComponent("rialto").path

  private func run(_ arguments: [String], shell: String? = nil) throws -> Outcome {
    let scratch = try ScratchDirectory()
    let (out, err) = (scratch.path + "/out", scratch.path + "/err")
    for path in [out, err] { _ = FileManager.default.createFile(atPath: path, contents: nil) }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: shell == nil ? Self.executable : "/bin/bash")
    process.arguments = shell.map { ["-c", $0] } ?? arguments
    process.standardOutput = FileHandle(forWritingAtPath: out)
    process.standardError = FileHandle(forWritingAtPath: err)
    try process.run()
    process.waitUntilExit()
    return Outcome(
      code: process.terminationStatus, output: try String(contentsOfFile: out, encoding: .utf8),
      errors: try String(contentsOfFile: err, encoding: .utf8))
  }

  private func copy() throws -> (directory: String, scratch: ScratchDirectory, history: BuiltHistory) {
    let made = try VerificationTests.built.get()
    let scratch = try ScratchDirectory()
    let directory = scratch.path + "/copy"
    try FileManager.default.copyItem(atPath: made.history.directory, toPath: directory)
    return (directory, scratch, made.history)
  }

  @Test func verifySaysSoundAndDamagedAndCannotTell() throws {
    let (directory, scratch, history) = try copy()
    let sound = try run(["verify", directory, "--json"])
    #expect(sound.code == 0, "\(sound.errors)")
    let good = try sound.json()
    #expect(good["verdict"] as? String == "sound" && good["damage_count"] as? Int == 0)
    #expect(good["entries"] as? UInt64 == history.entries)

    let fault = try FileFaults.put(.bitflipLog, in: directory, seed: 4)
    let damaged = try run(["verify", directory, "--json"])
    #expect(damaged.code == 1)
    let bad = try damaged.json()
    let first = try #require((bad["damages"] as? [[String: Any]])?.first)
    #expect(bad["verdict"] as? String == "damaged" && first["kind"] as? String == "batch bytes")
    #expect(first["first"] as? UInt64 == fault.first && first["origin"] as? UInt32 == fault.origin?.value)
    let text = try run(["verify", directory])
    #expect(text.code == 1 && text.output.contains("DAMAGED batch bytes: log of "))
    #expect(try run(["verify", directory, "--repair"]).code == 2, "nobody to fetch from")

    #expect(try run(["verify", scratch.path + "/nothing"]).code == 2)
    #expect(try run(["verify", scratch.path]).code == 2)
    try "no database".write(toFile: scratch.path + "/node.sqlite", atomically: true, encoding: .utf8)
    let other = try run(["verify", scratch.path])
    #expect(other.code == 2 && other.errors.contains("is not an SQLite database"))
  }

  @Test func logPrintsEntriesInKeyOrder() throws {
    let (directory, scratch, history) = try copy()
    defer { withExtendedLifetime(scratch) {} }
    let all = try run(["log", directory, "--json"])
    #expect(all.code == 0, "\(all.errors)")
    let lines = try all.output.split(separator: "\n").map {
      try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
    }
    #expect(UInt64(lines.count) == history.entries)
    var expected: [(OrderKey, Dot)] = []
    for batch in history.batches {
      for (place, entry) in batch.entries.enumerated() {
        expected.append(
          (
            OrderKey(stamp: entry.stamp, origin: batch.origin),
            Dot(origin: batch.origin, sequence: batch.firstSequence + UInt64(place))
          ))
      }
    }
    expected.sort { $0.0 < $1.0 }
    #expect(lines.map { $0["entry"] as? String } == expected.map(\.1.description))
    #expect(Set(lines.compactMap { $0["kind"] as? String }).count >= 6)

    // Both ends included; by stamp, by entry, by origin's name.
    let (from, to) = (expected[100], expected[160])
    let part = try run(["log", directory, "--from", from.0.description, "--to", to.1.description])
    #expect(part.output.split(separator: "\n").count == 61)
    #expect(part.output.hasPrefix("\(from.0)  \(from.1)  "))
    let own = try run(["log", directory, "--origin", "n2", "--limit", "7"])
    #expect(own.output.split(separator: "\n").count == 7)
    #expect(own.output.split(separator: "\n").allSatisfy { $0.contains("  n2  ") })
    let batches = try run(["log", directory, "--batches"])
    #expect(batches.output.split(separator: "\n").count == history.batches.count)
    // Decimals of the instrument, which has a tick of 0.5.
    #expect(all.output.contains("BTC-USD limit 50"))

    let pipe = try run([], shell: "set -o pipefail; '\(Self.executable)' log '\(directory)' | head -n 3")
    #expect(pipe.code == 0 && pipe.output.split(separator: "\n").count == 3, "\(pipe.errors)")
    #expect(try run(["log", directory, "--from", "yesterday"]).code == 2)
    #expect(try run(["log", directory, "--origin", "n9"]).code == 2)
    #expect(try run(["log", "nothing"]).code == 2)
    _ = try FileFaults.put(.dropEntry, in: directory, seed: 4)
    #expect(try run(["log", directory]).code == 1)
  }

  @Test func replayShowsTheBookAsItWas() throws {
    let (directory, scratch, history) = try copy()
    let checkpoint = history.checkpoints.kept[6]
    let boundary = Checkpoint.lastStamp(checkpoint.number)
    let book = scratch.path + "/book.csv"
    let trades = scratch.path + "/trades.csv"
    let at = try run([
      "replay", directory, "--until", boundary.description, "--json", "--book", book, "--trades", trades,
    ])
    #expect(at.code == 0, "\(at.errors)")
    let said = try at.json()
    #expect(said["fills"] as? UInt64 == checkpoint.fills)
    let newest = try #require(said["checkpoint"] as? [String: Any])
    #expect(newest["hash"] as? String == checkpoint.hash.description)
    let next = try #require(said["next_checkpoint"] as? [String: Any])
    #expect(next["number"] as? UInt64 == history.checkpoints.kept[7].number)
    let lines = try String(contentsOfFile: trades, encoding: .utf8).split(separator: "\n")
    #expect(UInt64(lines.count) == checkpoint.fills + 1 && lines[0] == "maker,taker,price,qty")
    #expect(try String(contentsOfFile: book, encoding: .utf8).hasPrefix("symbol,side,price,orders,qty\nBTC-USD,B,"))
    let seconds = Date(timeIntervalSince1970: Double(checkpoint.number) - 0.001)
    let formatter = ISO8601DateFormatter()
    formatter.formatOptions = [.withInternetDateTime, .withFractionalSeconds]
    let byTime = try run(["replay", directory, "--until", formatter.string(from: seconds), "--json"]).json()
    #expect(byTime["book_hash"] as? String == said["book_hash"] as? String)
    let final = try run(["replay", directory])
    #expect(final.code == 0 && final.output.contains("BTC-USD") && final.output.contains(", final"))
    #expect(try run(["replay", directory, "--until", "7-7"]).code == 2)
    #expect(try run(["replay", directory, "--events", book]).code == 2)
    let flow = scratch.path + "/flow.csv"
    try "op,id,side,price,qty\nL,1,B,5,5\n".write(toFile: flow, atomically: true, encoding: .utf8)
    #expect(try run(["replay", flow]).code == 0)
    #expect(try run(["replay", flow, "--until", "final"]).code == 2)
  }
}
