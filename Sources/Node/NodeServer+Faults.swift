import Client
import NIOCore
import Primitives
import Transport

/// Faults that a demo cluster's node is told to have.
extension NodeServer {
  func inject(_ fault: InjectedFault, _ number: UInt64, _ session: ClientSession) {
    guard configuration.isDemo else {
      session.refuse(number, .notADemo, "this node is not of a demo cluster: it takes no orders to fail")
      return
    }
    switch fault {
    case .links(let cuts):
      cutLinks = Dictionary(cuts.map { ($0.node, $0.direction) }) { first, _ in first }
      logger.notice("links cut", metadata: ["nodes": "\(cuts.count)"])
      for link in links {
        guard let link, let key = link.established?.publicKey, cutLinks[key.nodeID] == .both else { continue }
        link.abort(reason: Self.cutReason)
      }
    }
    session.say(.answer(request: number, .done))
  }

  static let cutReason = "cut by an injected fault"

  /// Of the members that this node is cut off from, in the order of the view.
  var cutNames: [String] {
    guard !cutLinks.isEmpty else { return [] }
    return replica.viewValue.register.origins.filter { cutLinks[$0.origin.node] != nil }.map(\.name)
  }

  /// How this node is cut off from the one with this key, if it is.
  func cut(from key: PublicKey?) -> CutLink.Direction? {
    guard !cutLinks.isEmpty, let key else { return nil }
    return cutLinks[key.nodeID]
  }
}
