import EventLog
import Primitives

@testable import Membership

/// What must hold in every run.
extension ViewWorld {
  func checkDecision(_ decision: Decision) {
    let number = Int(decision.number)
    if number < decisions.count {
      if decisions[number].value != decision.value { violate("view \(number) was decided twice, differently") }
      return
    }
    guard number == decisions.count, let before = decisions.last?.value else {
      return violate("view \(number) is decided after view \(decisions.count - 1)")
    }
    if decision.electors != before.members.map(\.origin) { violate("view \(number) was decided by others") }
    let signers = decision.certificate.votes.count { decision.electors.contains($0.member) }
    if signers * 2 <= decision.electors.count { violate("view \(number) has \(signers) signers") }
    if decision.value.floor < before.floor { violate("the floor of view \(number) is below the one before") }
    for place in before.base.indices {
      if decision.value.base[place].sequence < before.base[place].sequence {
        violate("the base of view \(number) shrinks")
      }
      let origin = OriginIndex(UInt32(place))
      if !before.contains(origin), decision.value.contains(origin) { violate("origin \(place) is admitted again") }
      if !before.contains(origin), decision.value.base[place] != before.base[place] {
        violate("the sealed log \(place) has another end")
      }
    }
    let nodes = decision.value.members.map { decision.value.origins[$0.origin.int].origin.node }.sorted()
    for (left, right) in zip(nodes, nodes.dropFirst()) where left == right { violate("a node is a member twice") }
    if decision.value.origins.count > before.origins.count { joins += 1 }
    decisions.append(decision)
    checkFloor(number)
  }

  /// What could be final in a view is at or below the next one's floor.
  private func checkFloor(_ number: Int) {
    guard number > 0, number < decisions.count, number - 1 < beats.count else { return }
    let promises = decisions[number - 1].value.members.map { beats[number - 1][$0.origin.int] }
    if let lowest = promises.min(), lowest > decisions[number].value.floor.value {
      violate("view \(number) has floor \(decisions[number].value.floor) below final \(lowest)")
    }
  }

  /// What a majority has acked in a view is in the next one's base.
  func checkAcks() {
    guard decisions.count > 1 else { return }
    for number in max(1, decisions.count - 2)..<decisions.count where number - 1 < acks.count {
      checkFloor(number)
      let before = decisions[number - 1].value
      for place in before.origins.indices {
        let held = before.members.map { acks[number - 1][$0.origin.int][place] }.sorted(by: >)
        let majority = held[before.members.count / 2]
        if majority > decisions[number].value.base[place].sequence {
          violate("\(majority) of origin \(place) is acked in view \(number - 1) and not in the base of \(number)")
        }
      }
    }
  }

  func checkEntered(_ view: View, _ me: OriginIndex?, _ node: WorldNode) {
    if view.number <= entered[node.index] { violate("node \(node.index) enters view \(view.number) again") }
    entered[node.index] = view.number
    guard Int(view.number) < decisions.count else { return violate("view \(view.number) was not decided") }
    let value = decisions[Int(view.number)].value
    if view != value.view { violate("node \(node.index) has other members in view \(view.number)") }
    if node.disk.view.number != view.number { violate("node \(node.index) enters view \(view.number) before its disk") }
    if !node.holds(value) { violate("node \(node.index) enters view \(view.number) without its base") }
    if let me {
      if !value.contains(me) { violate("node \(node.index) is not in view \(view.number)") }
      if value.members.first(where: { $0.origin == me })?.token != node.disk.store { violate("another disk's origin") }
      if node.ceiling < value.floor.value, UInt64(value.origins[me.int].origin.incarnation) == view.number {
        violate("the ceiling of a new origin is below its floor")
      }
    }
  }

  /// One holder of the mutex of one view at a time.
  func checkLeases() {
    var holders: [(view: UInt64, node: Int)] = []
    for node in nodes where node.isUp && node.machine.heldLease(nowMicroseconds: now) != nil {
      let view = node.machine.view.number
      if let other = holders.first(where: { $0.view == view }) {
        violate("nodes \(other.node) and \(node.index) hold the mutex of view \(view)")
      }
      holders.append((view, node.index))
    }
  }
}
