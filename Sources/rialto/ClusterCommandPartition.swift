import ArgumentParser
import Client
import Foundation
import Node
import OrderBook
import Primitives
import Wire

/// Partitions of a background cluster, enforced inside its nodes.
extension ClusterCommand {
  struct Partition: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "partition",
      abstract: "Cut the nodes of a background cluster into groups that do not hear each other.",
      discussion: """
        Groups are separated by slashes; nodes that are not named hear
        everybody. With --one-way there are two groups, and what the first one
        says to the second is lost, while the other direction works.

        It replaces an earlier partition and lasts until `rialto cluster heal`;
        a node that is restarted hears everybody again.

        Examples:
          rialto cluster partition n1,n2/n3
          rialto cluster partition n1/n2 --one-way
          rialto cluster heal

        Exit codes: 0 every node that runs has it; 2 could not.
        """)
    @Argument(help: ArgumentHelp("Names with commas between them, groups with slashes.", valueName: "n1,n2/n3"))
    var groups: String
    @Flag(help: "Only what the first group says to the second is lost.") var oneWay = false
    @OptionGroup var place: DirectoryOption

    func run() async throws {
      try await explaining {
        let groups = try PartitionPlan.groups(groups, isOneWay: oneWay)
        for name in groups.joined() { try place.directory.knows(name) }
        let plan = PartitionPlan(groups: groups, isOneWay: oneWay)
        try await ClusterCommand.apply(plan, place)
        let text = groups.map { $0.joined(separator: ", ") }
        Output.result(
          oneWay ? "what \(text[0]) say to \(text[1]) is lost" : "cut apart: " + text.joined(separator: " | "))
      }
    }
  }

  struct Heal: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "heal", abstract: "End the partition of a background cluster.")
    @OptionGroup var place: DirectoryOption

    func run() async throws {
      try await explaining {
        try await ClusterCommand.apply(PartitionPlan(groups: [], isOneWay: false), place)
        Output.result("every node hears every other")
      }
    }
  }

  /// Tells every node that runs from whom it is cut off.
  private static func apply(_ plan: PartitionPlan, _ place: DirectoryOption) async throws {
    let running = try place.directory.running()
    guard !running.isEmpty else {
      throw CommandError(
        "no node of \(place.dir) runs", advice: "Start them with `rialto cluster up --dir \(place.dir)`.")
    }
    var nodes: [(name: String, client: RialtoClient)] = []
    for node in running {
      guard let address = Address(node.address) else { throw CommandError("'\(node.address)' is no address") }
      do {
        nodes.append((node.name, try await Connecting.connect(to: address, account: AccountID(1))))
      } catch {
        throw CommandError(
          "\(node.name) does not answer, so nothing was changed: \(error)",
          advice: "If it was paused, let it go on first: `rialto cluster resume \(node.name)`.")
      }
    }
    // Those that do not run are told nothing, but others must know whom they are.
    var ids: [String: NodeID] = [:]
    for name in plan.names {
      guard FileManager.default.fileExists(atPath: place.directory.node(name).keyPath) else { continue }
      ids[name] = try KeyFile.loadOrCreate(place.directory.node(name).keyPath).publicKey.nodeID
    }
    for (name, client) in nodes {
      let cuts = plan.cuts(of: name).compactMap { cut in
        ids[cut.name].map { CutLink(node: $0, direction: cut.direction) }
      }
      try await client.inject(.links(cuts))
      await client.close()
    }
  }
}

/// Who does not hear whom.
struct PartitionPlan {
  let groups: [[String]]
  let isOneWay: Bool

  var names: [String] { groups.flatMap { $0 } }

  /// - Throws: `CommandError` for what names no partition.
  static func groups(_ text: String, isOneWay: Bool) throws -> [[String]] {
    let groups = text.split(separator: "/", omittingEmptySubsequences: false).map {
      $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    }
    let advice = "Write groups of names, such as n1,n2/n3."
    guard groups.count >= 2, !groups.joined().contains("") else {
      throw CommandError("'\(text)' is no partition", advice: advice)
    }
    var seen: [String] = []
    for name in groups.joined() {
      guard !seen.contains(name) else { throw CommandError("'\(name)' is named twice", advice: advice) }
      seen.append(name)
    }
    guard !isOneWay || groups.count == 2 else {
      throw CommandError("--one-way is between two groups, and \(groups.count) were given", advice: advice)
    }
    return groups
  }

  /// From whom a node is cut off.
  func cuts(of name: String) -> [(name: String, direction: CutLink.Direction)] {
    guard let own = groups.firstIndex(where: { $0.contains(name) }) else { return [] }
    if isOneWay { return own == 1 ? groups[0].map { ($0, .inbound) } : [] }
    return groups.indices.filter { $0 != own }.flatMap { groups[$0] }.map { ($0, .both) }
  }
}
