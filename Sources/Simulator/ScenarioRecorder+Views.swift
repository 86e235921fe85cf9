import EventLog
import Membership
import Primitives
import Replica

/// How membership changes, as far as a reader wants to know.
extension ScenarioRecorder {
  /// Machines, as scripts name them.
  func names(of nodes: [Int]) -> String { nodes.map { "n\($0 + 1)" }.joined(separator: " ") }

  private func machines(_ members: [OriginIndex]) -> String {
    names(of: members.compactMap { world?.machine(of: $0) }.sorted())
  }

  /// A member that was not one from the beginning has its number besides.
  private func name(_ member: OriginIndex) -> String {
    guard let machine = world?.machine(of: member) else { return "member \(member)" }
    return "n\(machine + 1)" + (machine == member.int ? "" : " (member \(member))")
  }

  private func name(_ node: NodeID) -> String {
    world?.keys.firstIndex { $0.publicKey.nodeID == node }.map { "n\($0 + 1)" } ?? "\(node)"
  }

  func show(_ notice: Notice, of node: SimulatedNode) {
    switch notice {
    // A probe that is answered late is no event.
    case .suspected: break
    case .gaveUp(let member, let evidence):
      seen[node.index].gaveUp.insert(member)
      write(node, "gives \(name(member)) up" + (evidence.isRefused ? ": its address refuses" : ""))
    case .heardAgain(let member):
      if seen[node.index].gaveUp.remove(member) != nil { write(node, "hears \(name(member)) again") }
    case .wedged(let view): write(node, "is wedged in view \(view)")
    case .entered(let view, let me):
      write(node, "enters view \(view.number) of \(machines(view.members))")
      if let me, me != seen[node.index].member { write(node, "is member \(me)") }
      seen[node.index].member = me
    case .sealed: write(node, "was sealed")
    case .voided(let origin, let after, let entries):
      write(node, "void: \(names((after + 1...after + entries).map { Dot(origin: origin, sequence: $0) }))")
    default: write(node, notice.description)
    }
  }

  /// Once for each attempt: what is not answered is sent again.
  func showView(_ message: ViewMessage, of node: SimulatedNode) {
    let text: String
    let attempt: String
    switch message {
    case .lease(_, let ballot): (text, attempt) = ("asks for the join mutex", "\(ballot)")
    case .grant(_, let ballot, _): (text, attempt) = ("lends \(name(ballot.node)) the join mutex", "\(ballot)")
    case .denied(_, let ballot, _, _): (text, attempt) = ("denies \(name(ballot.node)) the join mutex", "\(ballot)")
    case .join(_, let ballot, _, _, _): (text, attempt) = ("has the join mutex, and asks to be admitted", "\(ballot)")
    case .prepare(let view, let ballot, _): (text, attempt) = ("begins to change view \(view)", "\(ballot)")
    case .accept(_, let ballot, let value):
      // Whom it admits has no number that others know before it is decided.
      let members = value.members.compactMap { member in
        world?.keys.firstIndex { $0.publicKey == value.origins[member.origin.int].publicKey }
      }
      text = "proposes view \(value.number) of \(names(of: members.sorted()))"
      attempt = "\(ballot)"
    case .promise, .nack, .accepted, .decided, .ask, .release: return
    }
    guard shownMessages.insert("\(node.name) \(text) \(attempt)").inserted else { return }
    write(node, text)
  }
}
