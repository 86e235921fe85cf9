import ArgumentParser
import Client
import OrderBook
import Primitives
import Wire

/// `rialto findings`: what nodes have found to be wrong, with themselves or with others.
struct FindingsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "findings", abstract: "Shows what nodes have found to be wrong, and what became of it.",
    discussion: """
      With --cluster, every node that the given ones know of is asked, too.

      Examples:
        rialto findings --to 127.0.0.1:7001
        rialto findings --cluster --to 127.0.0.1:7001 --json

      Exit codes: 0 nothing is open; 1 something is; 2 could not (none was
      reached).
      """)

  @Flag(help: "Ask every node of the cluster.") var cluster = false
  @Flag(help: "Print the result as one JSON object on one line.") var json = false
  @OptionGroup var nodes: NodeOptions

  func run() async throws {
    try await explaining {
      var found: [(name: String, health: String, findings: [NodeFinding])] = []
      var failures: [(address: Address, error: any Error)] = []
      var waiting = nodes.to.addresses
      var asked: Set<Address> = []
      while !waiting.isEmpty {
        let address = waiting.removeFirst()
        guard asked.insert(address).inserted else { continue }
        do {
          let client = try await nodes.connect(to: address)
          let status = try await client.status()
          let findings = try await client.findings()
          await client.close()
          if cluster { waiting += status.peers.compactMap { Address($0.address) } }
          if !found.contains(where: { $0.name == status.name }) { found.append((status.name, status.health, findings)) }
        } catch {
          failures.append((address, error))
        }
      }
      guard !found.isEmpty else { throw failures.first?.error ?? CommandError("no node was reached") }
      found.sort { $0.name < $1.name }
      for (address, error) in failures { Output.note("\(address): \(error)") }
      if json {
        var line = JSONLine()
        line.add("nodes", found.map { Self.json($0.name, $0.health, $0.findings) })
        line.add("unreachable", failures.map(\.address.description))
        Output.result(line.text)
      } else {
        for node in found { Self.lines(node.name, node.health, node.findings).forEach(Output.result) }
      }
      if found.contains(where: { $0.findings.contains { $0.isOpen } }) { throw ExitCode.notGood }
    }
  }

  private static func lines(_ name: String, _ health: String, _ findings: [NodeFinding]) -> [String] {
    guard !findings.isEmpty else { return ["\(name) is \(health): nothing was found"] }
    var lines = ["\(name) is \(health)"]
    for finding in findings {
      lines.append("  " + finding.text)
      lines += finding.differenceLines.map { "    " + $0 }
    }
    return lines
  }

  private static func json(_ name: String, _ health: String, _ findings: [NodeFinding]) -> JSONLine {
    var line = JSONLine()
    line.add("node", name)
    line.add("health", health)
    line.add("findings", findings.map { json($0) })
    return line
  }

  private static func json(_ finding: NodeFinding) -> JSONLine {
    var line = JSONLine()
    line.add("number", finding.number)
    line.add("cause", finding.cause)
    line.add("state", finding.state)
    line.add("noticed_ms", finding.noticedAt)
    line.add("changed_ms", finding.changedAt)
    if let origin = finding.origin { line.add("origin", origin) } else { line.addNull("origin") }
    line.add("checkpoint", finding.checkpoint)
    line.add("mine", finding.mine)
    line.add("theirs", finding.theirs)
    line.add("damage", finding.damage)
    line.add("symbol", finding.symbol)
    line.add("side", finding.side)
    line.add("price", finding.price)
    line.add("orders", finding.orders)
    line.add("entry", finding.entry)
    line.add("attempts", finding.attempts)
    line.add("differences", finding.differences.map { json($0) })
    line.add("differences_total", finding.differencesTotal)
    line.add("text", finding.text)
    return line
  }

  private static func json(_ difference: NodeFinding.Difference) -> JSONLine {
    var line = JSONLine()
    line.add("order", difference.order)
    for (key, side) in [("here", difference.here), ("rebuilt", difference.rebuilt)] {
      guard let side else {
        line.addNull(key)
        continue
      }
      var inner = JSONLine()
      inner.add("symbol", side.symbol)
      inner.add("side", side.side)
      inner.add("price", side.price)
      inner.add("open_lots", side.openLots)
      inner.add("filled_lots", side.filledLots)
      line.add(key, inner)
    }
    return line
  }
}

extension NodeFinding {
  /// The orders that the two books had otherwise, a line each.
  var differenceLines: [String] {
    var lines = differences.map { difference in
      "order \(difference.order): \(Self.words(difference.here)) here, "
        + "\(Self.words(difference.rebuilt)) in the rebuilt book"
    }
    let more = differencesTotal - min(differencesTotal, UInt64(differences.count))
    if more > 0 { lines.append("and \(more.grouped) more orders that differ") }
    return lines
  }

  private static func words(_ side: Side?) -> String {
    guard let side else { return "not there" }
    return "\(side.symbol) \(side.side) \(side.price), open \(side.openLots), filled \(side.filledLots)"
  }

  var isOpen: Bool { state == "noticed" || state == "rebuilding" || state == "unreconciled" }
}
