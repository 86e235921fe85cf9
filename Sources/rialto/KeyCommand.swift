import ArgumentParser
import Membership
import Node
import Primitives

/// `rialto key`: makes what a node is known by, shows the public part.
struct KeyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "key",
    abstract: "Make a node's secret key and its store's token, and print what the member list says of them.",
    discussion: """
      The key is who the node is; the token is which disk it has. A node that starts with another store than the one
      that the token was drawn for has lost its data: it joins as a new member, and nobody mistakes it for the old one.

      Example:
        rialto key n1          # makes n1/key and n1/token, prints public key:token
      """)

  @Argument(help: "The node's data directory.")
  var data: String

  func run() throws {
    try explaining {
      let key = try KeyFile.loadOrCreate(NodeDirectory(path: data).keyPath)
      let token = try TokenFile.loadOrCreate(data)
      Output.result("\(key.publicKey):\(token.digits)")
    }
  }
}

/// `rialto genesis`: writes the member list from which a cluster starts.
struct GenesisCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "genesis",
    abstract: "Write a cluster's member list; every node needs a copy.",
    discussion: """
      It names the first members; others join later and need a copy, too.

      Example:
        rialto genesis --member n1=$(rialto key n1) --member n2=$(rialto key n2) --member n3=$(rialto key n3) \\
          --out genesis.json
      """)

  @Option(name: .customLong("member"), help: "name=public key:token, as `rialto key` prints it; once for each member.")
  var members: [String]

  @Option(help: "The file to write.")
  var out = "genesis.json"

  func run() throws {
    try explaining {
      let parsed = try members.map { text in
        let parts = text.split(separator: "=", maxSplits: 1)
        let halves = parts.last?.split(separator: ":") ?? []
        guard parts.count == 2, halves.count == 2, let key = PublicKey(hex: String(halves[0])),
          let token = StoreToken(digits: String(halves[1]))
        else {
          throw CommandError(
            "--member \(text) is not of the form name=public key:token (64 and 16 hexadecimal digits)",
            advice: "`rialto key DIRECTORY` prints the latter two.")
        }
        return Genesis.Member(publicKey: key, name: String(parts[0]), token: token)
      }
      let genesis = try Genesis(members: parsed)
      try GenesisFile.write(genesis, to: out)
      Output.note("\(out): \(genesis.members.count) members")
      Output.result(genesis.clusterID.description)
    }
  }
}
