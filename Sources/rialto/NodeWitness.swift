import Client
import Diagnostics
import Forensics
import Foundation
import Membership
import Node
import OrderBook
import Primitives
import Wire

/// A running node, asked over the client protocol.
struct NodeWitness: Witness {
  let client: RialtoClient
  let address: Address
  var label: String { client.welcome.nodeName }
  var isStored: Bool { false }

  func ask(_ question: Question) async throws -> Answer {
    do {
      return try Answer(bytes: try await client.inspect(question.bytes))
    } catch let error as CodecError {
      throw SearchError("\(label) gave an answer that this version does not understand: \(error)")
    }
  }
}

/// What `diff` and its like compare, as people name it.
enum WitnessName: Hashable {
  case node(Address)
  case directory(String)

  /// An address has a port; everything else is a path.
  init(_ text: String) {
    if let address = Address(text), address.port > 0, !text.contains("/") {
      self = .node(address)
    } else {
      self = .directory(text)
    }
  }

  /// - Parameter genesis: the member list for a directory of view 0; nil looks for it there and beside it.
  func open(genesis: String? = nil) async throws -> any Witness {
    switch self {
    case .node(let address):
      return NodeWitness(client: try await Connecting.connect(to: address, account: AccountID(1)), address: address)
    case .directory(let path):
      return try DirectoryWitness(
        try NodeFile(path, genesis: try MemberList.find(for: path, given: genesis)), label: path)
    }
  }
}

/// The member list that a directory's node was started with.
enum MemberList {
  static func find(for path: String, given: String?) throws -> Genesis? {
    if let given { return try GenesisFile.load(given) }
    for place in [path + "/genesis.json", path + "/../genesis.json"]
    where FileManager.default.fileExists(atPath: place) {
      return try GenesisFile.load(place)
    }
    return nil
  }
}
