import Client
import NIOCore
import Primitives
import Storage
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
    case .corrupt(let kind, let seed): return corrupt(kind, seed, number, session)
    }
    session.say(.answer(request: number, .done))
  }

  private func corrupt(_ kind: Corruption, _ seed: UInt64, _ number: UInt64, _ session: ClientSession) {
    guard replica.healthState == .sound else {
      return session.refuse(number, .busy, "this node is \(replica.healthState): wait until it is sound")
    }
    injected = ""
    switch kind {
    case .bitflipBook:
      input(.inject(.flipBookBit(seed: seed)))
      // The effects say what was done; nothing else is in between.
      turn()
      guard !injected.isEmpty else {
        return session.refuse(number, .notFound, "no order rests here: there is no bit to flip")
      }
    case .bitflipLog, .dropEntry:
      do throws(StoreError) {
        injected = try store.damageLog(dropping: kind == .dropEntry, seed: seed) ?? ""
      } catch {
        return session.refuse(number, .storage, "the store cannot be damaged: \(error)")
      }
      guard !injected.isEmpty else {
        return session.refuse(number, .notFound, "too few batches are stored: there is nothing to damage")
      }
    case .skipFill:
      input(.inject(.skipFill))
      injected = "the next final fill is left out of ledger, checkpoint and audit tables"
    }
    logger.warning("damaged on purpose", metadata: ["what": "\(injected)"])
    session.say(.answer(request: number, .damaged(injected)))
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
