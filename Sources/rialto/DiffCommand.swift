import ArgumentParser
import Client
import Diagnostics
import OrderBook
import Primitives
import Wire

/// `rialto diff`: the first thing in which replicas differ.
struct DiffCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "diff",
    abstract: "Finds the first thing in which replicas differ: checkpoint, entry or fill, level, order.",
    discussion: """
      A and B are addresses of running nodes or data directories. With --cluster,
      A is one node of a cluster, and every other one is compared with it.

      Only what is final on both sides is compared: that one is behind, or has
      entries that are not final yet, is no divergence.

      Causes: missing, extra, altered, equivocation, same log, different book.

      Examples:
        rialto diff 127.0.0.1:7001 127.0.0.1:7002
        rialto diff 127.0.0.1:7001 --cluster
        rialto diff data/n1 backup/n1 --json

      Exit codes: 0 equal; 1 divergent; 2 could not tell.
      """)

  @Argument(help: ArgumentHelp("Addresses of nodes, or data directories.", valueName: "A B"))
  var replicas: [String]

  @Flag(help: "Compare every node of the cluster with the first.") var cluster = false
  @Flag(
    help: """
      Work everything out from what is stored: finds what a running node has not \
      noticed yet, and takes longer the longer the history is.
      """)
  var deep = false
  @Option(help: "Member list of the cluster, if a directory has none and its view never changed.") var genesis: String?
  @Flag(help: "Print the result as one JSON object on one line for each pair.") var json = false

  func validate() throws {
    guard replicas.count == (cluster ? 1 : 2) else {
      throw ValidationError(
        cluster ? "with --cluster, name one node" : "name two replicas, or one and --cluster")
    }
  }

  func run() async throws {
    try await explaining {
      var verdicts: [Divergence.Verdict] = []
      let names = replicas.map { WitnessName($0) }
      let first = try await names[0].open(genesis: genesis)
      for other in try await others(names, first) {
        verdicts.append(try await compare(first, other))
      }
      if verdicts.contains(.divergent) { throw ExitCode.notGood }
      if verdicts.contains(.undetermined) { throw ExitCode.couldNot }
    }
  }

  private func others(_ names: [WitnessName], _ first: any Witness) async throws -> [any Witness] {
    guard cluster else { return [try await names[1].open(genesis: genesis)] }
    guard let node = first as? NodeWitness else {
      throw CommandError("--cluster asks a running node for the others", advice: "name one by its address")
    }
    var others: [any Witness] = []
    for peer in try await node.client.peers() {
      guard let address = Address(peer.address), address.port > 0 else { continue }
      do {
        others.append(try await WitnessName.node(address).open())
      } catch {
        Output.note("\(peer.name): \(error)")
      }
    }
    guard !others.isEmpty else { throw CommandError("\(node.label) knows of no other node that can be reached") }
    return others
  }

  /// What a running node has found by itself.
  private static func findings(_ witness: any Witness) async throws -> [(node: String, finding: NodeFinding)] {
    guard let node = witness as? NodeWitness else { return [] }
    return try await node.client.findings().map { (node.label, $0) }
  }

  private func compare(_ left: any Witness, _ right: any Witness) async throws -> Divergence.Verdict {
    var options = DivergenceSearch.Options()
    options.isDeep = deep
    let start = ContinuousClock.now
    let divergence = try await DivergenceSearch.run(
      left, right, signatures: SignatureCheck.shared, options: options)
    let milliseconds = Int((ContinuousClock.now - start) / .milliseconds(1))
    var instruments: [NamedInstrument] = []
    if divergence.verdict == .divergent, case .instruments(let named) = try await left.ask(.instruments) {
      instruments = named
    }
    var report = DiffReport(
      divergence: divergence, left: left.label, right: right.label, text: HistoryText(instruments),
      milliseconds: milliseconds)
    report.note(try await Self.findings(left) + Self.findings(right))
    if json { Output.result(report.json.text) } else { report.lines.forEach(Output.result) }
    return report.divergence.verdict
  }
}

/// Checks signatures and signs nothing.
enum SignatureCheck {
  static let shared: any Signatures = {
    guard let key = Ed25519(seed: [UInt8](repeating: 0, count: Ed25519.seedByteCount)) else {
      preconditionFailure("Ed25519 is not to be had")
    }
    return key
  }()
}
