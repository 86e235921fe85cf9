import ArgumentParser
import Client
import Foundation
import OrderBook
import Primitives
import Wire

/// Damage to a node of a background cluster, to see that it is found.
extension ClusterCommand {
  struct Corrupt: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "corrupt",
      abstract: "Damage a running node of a background cluster on purpose.",
      discussion: """
        Kinds:
          bitflip-book   one bit of an order's open or filled quantity in the
                         memory of the node, or of a level's sum
          bitflip-log    one bit of a batch that is stored in its file
          drop-entry     the row of a stored batch is deleted
          skip-fill      the next final fill is left out of everything that
                         the node derives from it

        What was done is printed. The node finds it by itself: look with
        `rialto findings`. Any node that is not of a demo cluster refuses.

        Examples:
          rialto cluster corrupt n2 --kind bitflip-book --seed 7
          rialto cluster corrupt n2 --kind skip-fill --json

        Exit codes: 0 done; 1 there is nothing to damage; 2 could not.
        """)
    @Argument(help: "Name of the node.") var name: String
    @Option(help: "bitflip-book, bitflip-log, drop-entry or skip-fill.") var kind: Corruption
    @Option(help: "Decides what exactly is damaged; without it, a new one that is printed.") var seed: UInt64?
    @OptionGroup var place: DirectoryOption
    @Flag(help: "Print the result as one JSON object on one line.") var json = false

    func run() async throws {
      try await explaining {
        try place.directory.knows(name)
        guard let node = try place.directory.running().first(where: { $0.name == name }),
          let address = Address(node.address)
        else {
          throw CommandError("\(name) does not run", advice: "Start it with `rialto cluster restart \(name)`.")
        }
        let seed = seed ?? UInt64.random(in: 1...999_999)
        let client = try await Connecting.connect(to: address, account: AccountID(1))
        do {
          let text = try await client.inject(.corrupt(kind, seed: seed))
          await client.close()
          tell(text, seed)
        } catch ClientError.requestRefused(let refusal) where refusal.code == .notFound {
          await client.close()
          Output.note("\(name): \(refusal.text)")
          throw ExitCode.notGood
        }
      }
    }

    private func tell(_ text: String, _ seed: UInt64) {
      guard json else { return Output.result("\(name), seed \(seed): \(text)") }
      var line = JSONLine()
      line.add("node", name)
      line.add("kind", kind.name)
      line.add("seed", seed)
      line.add("done", text)
      Output.result(line.text)
    }
  }
}

extension Corruption: ExpressibleByArgument {
  public init?(argument: String) {
    guard let kind = Corruption.allCases.first(where: { $0.name == argument }) else { return nil }
    self = kind
  }

  public static var allValueStrings: [String] { allCases.map(\.name) }
}
