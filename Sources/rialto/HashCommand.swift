import ArgumentParser
import Client
import Diagnostics
import EventLog
import OrderBook
import Primitives
import Wire

/// `rialto hash`: do nodes agree, in a line each.
struct HashCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "hash",
    abstract: "Shows the hashes of log, book and fills at the newest checkpoint that all nodes have.",
    discussion: """
      The hashes are those of the newest checkpoint that every asked node has
      closed, so they can be compared while orders come. A node that differs
      from most is marked ✗; `rialto diff` says in what.

      Examples:
        rialto hash --cluster --to 127.0.0.1:7001
        rialto hash --to 127.0.0.1:7001,127.0.0.1:7002 --json

      Exit codes: 0 all were reached and agree; 1 not so; 2 could not (none was
      reached).
      """)

  @Flag(help: "Ask every node of the cluster.") var cluster = false
  @Flag(help: "Print the result as one JSON object on one line.") var json = false
  @OptionGroup var nodes: NodeOptions

  private struct Row {
    var witness: NodeWitness
    var overview: Overview
    var lagMilliseconds: UInt64
    var checkpoint: Checkpoint?
    var isGood = true
  }

  func run() async throws {
    try await explaining {
      var (rows, failures) = try await survey()
      guard !rows.isEmpty else { throw failures.first?.error ?? CommandError("no node was reached") }
      let common = rows.map { $0.overview.checkpoint?.number ?? 0 }.min() ?? 0
      for place in rows.indices where common > 0 {
        guard case .checkpoint(let found) = try await rows[place].witness.ask(.checkpoint(common)) else { continue }
        rows[place].checkpoint = found
      }
      let reference = Self.mostCommon(rows.map { $0.checkpoint?.hash })
      for place in rows.indices { rows[place].isGood = rows[place].checkpoint?.hash == reference }
      for (address, error) in failures { Output.note("\(address): \(error)") }
      if json {
        var line = JSONLine()
        line.add("checkpoint", common)
        line.add("nodes", rows.map(Self.json))
        line.add("unreachable", failures.map(\.address.description))
        line.add("agreement", rows.allSatisfy(\.isGood))
        Output.result(line.text)
      } else {
        Self.table(rows).lines.forEach(Output.result)
        Output.result(Self.verdict(rows, common))
      }
      if !failures.isEmpty || !rows.allSatisfy(\.isGood) { throw ExitCode.notGood }
    }
  }

  private func survey() async throws -> ([Row], [(address: Address, error: any Error)]) {
    var rows: [Row] = []
    var failures: [(address: Address, error: any Error)] = []
    var waiting = nodes.to.addresses
    var asked: Set<Address> = []
    while !waiting.isEmpty {
      let address = waiting.removeFirst()
      guard asked.insert(address).inserted else { continue }
      do {
        let witness = NodeWitness(client: try await nodes.connect(to: address), address: address)
        guard case .overview(let overview) = try await witness.ask(.overview) else {
          throw CommandError("\(address) does not say how it stands", advice: "upgrade it")
        }
        if rows.contains(where: { $0.overview.node == overview.node }) { continue }
        let status = try await witness.client.status()
        rows.append(Row(witness: witness, overview: overview, lagMilliseconds: UInt64(max(0, status.lagMilliseconds))))
        if cluster { waiting += status.peers.compactMap { Address($0.address) } }
      } catch {
        failures.append((address, error))
      }
    }
    return (rows.sorted { $0.overview.name < $1.overview.name }, failures)
  }

  /// The first of those that come most often.
  private static func mostCommon(_ hashes: [Hash256?]) -> Hash256? {
    var best: (hash: Hash256?, count: Int) = (nil, 0)
    for hash in hashes {
      let count = hashes.count { $0 == hash }
      if count > best.count { best = (hash, count) }
    }
    return best.hash
  }

  private static func table(_ rows: [Row]) -> TextTable {
    var table = TextTable([
      ("node", .left), ("view", .right), ("final", .left), ("checkpoint", .right), ("log", .left), ("book", .left),
      ("fills", .left), ("lag ms", .right), ("", .left),
    ])
    for row in rows {
      let short = { (hash: Hash256?) in hash.map { String($0.description.prefix(12)) } ?? "-" }
      table.add([
        row.overview.name, "\(row.overview.view)", HistoryText.time(row.overview.finalStamp),
        row.checkpoint.map { "\($0.number)" } ?? "-", short(row.checkpoint?.logHash), short(row.checkpoint?.bookHash),
        short(row.checkpoint?.fillsHash), row.lagMilliseconds.grouped, row.isGood ? "✓" : "✗",
      ])
    }
    return table
  }

  private static func verdict(_ rows: [Row], _ common: UInt64) -> String {
    let wrong = rows.filter { !$0.isGood }.map(\.overview.name)
    if common == 0 { return "no checkpoint that all have yet" }
    if wrong.isEmpty { return "✓ all agree at checkpoint \(common)" }
    return "✗ \(wrong.joined(separator: ", ")) differs from most at checkpoint \(common): see rialto diff"
  }

  private static func json(_ row: Row) -> JSONLine {
    var line = JSONLine()
    line.add("name", row.overview.name)
    line.add("address", row.witness.address.description)
    line.add("view", row.overview.view)
    line.add("final_stamp", row.overview.finalStamp.value)
    line.add("final_entries", row.overview.finalEntries)
    line.add("newest_checkpoint", row.overview.checkpoint?.number ?? 0)
    line.add("checkpoint_hash", row.checkpoint?.hash.description)
    line.add("log_hash", row.checkpoint?.logHash.description)
    line.add("book_hash", row.checkpoint?.bookHash.description)
    line.add("fills_hash", row.checkpoint?.fillsHash.description)
    line.add("lag_ms", row.lagMilliseconds)
    line.add("agrees", row.isGood)
    return line
  }
}
