import ArgumentParser
import Membership
import Node
import Primitives

/// `rialto key`: makes a node's key, shows the public part.
struct KeyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "key",
    abstract: "Make a node's secret key, if the file is not there, and print its public key.",
    discussion: "Example:\n  rialto key n1/key")

  @Argument(help: "The key file.")
  var file: String

  func run() throws {
    try explaining { Output.result(try KeyFile.loadOrCreate(file).publicKey.description) }
  }
}

/// `rialto genesis`: writes the member list from which a cluster starts.
struct GenesisCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "genesis",
    abstract: "Write a cluster's member list; every node needs a copy.",
    discussion: """
      Example:
        rialto genesis --member n1=$(rialto key n1/key) --member n2=$(rialto key n2/key) \\
          --member n3=$(rialto key n3/key) --out genesis.json
      """)

  @Option(name: .customLong("member"), help: "name=public key; once for each member.")
  var members: [String]

  @Option(help: "The file to write.")
  var out = "genesis.json"

  func run() throws {
    try explaining {
      let parsed = try members.map { text in
        let parts = text.split(separator: "=", maxSplits: 1)
        guard parts.count == 2, let key = PublicKey(hex: String(parts[1])) else {
          throw CommandError("--member \(text) is not of the form name=public key (64 hexadecimal digits)")
        }
        return Genesis.Member(publicKey: key, name: String(parts[0]))
      }
      let genesis = try Genesis(members: parsed)
      try GenesisFile.write(genesis, to: out)
      Output.note("\(out): \(genesis.members.count) members")
      Output.result(genesis.clusterID.description)
    }
  }
}
