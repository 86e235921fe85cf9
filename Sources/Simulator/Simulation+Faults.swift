import Gossip
import Membership
import Primitives

/// Faults begin and end.
extension Simulation {
  func begin(_ fault: Fault, _ index: Int) {
    guard !isHealing else { return }
    let node = nodes[fault.node]
    hash.mix(UInt64(index))
    var lasts = true
    switch fault.kind {
    case .partition, .oneWayPartition:
      for from in nodes.indices where fault.detail & 1 << UInt64(from) != 0 {
        for to in nodes.indices where fault.detail & 1 << UInt64(to) == 0 {
          network.cut(from: from, to: to)
          if fault.kind == .partition { network.cut(from: to, to: from) }
        }
      }
    case .cutLink:
      network.cut(from: fault.node, to: Int(fault.detail))
      network.cut(from: Int(fault.detail), to: fault.node)
    case .oneWayCut: network.cut(from: fault.node, to: Int(fault.detail))
    case .reset:
      lasts = false
      if let connection = node.process?.links[Int(fault.detail)] {
        schedule(.closed(connection: connection.number, node: Int(fault.detail)), after: 0)
        close(connection, at: fault.node, "reset")
      }
    case .pause:
      node.pauses += 1
      node.timeline.note(.said("paused"), at: now)
    case .slow:
      node.slowness = 2_000 + fault.microseconds % 20_000
      setWritable(fault.node, false)
    case .crash:
      end(node, "killed")
      scheduleStart(node, after: fault.microseconds)
      lasts = false
    case .leave:
      guard let process = node.process else { return }
      process.isLeaving = true
      node.isWanted = false
      node.timeline.note(.said("asked to leave"), at: now)
      give(.leave, to: node, process)
    case .join:
      node.isWanted = true
      scheduleStart(node, after: 0)
      lasts = false
    case .powerLoss:
      for node in nodes where node.isWanted {
        end(node, "killed with all others")
        scheduleStart(node, after: fault.microseconds / 2 + generator.below(fault.microseconds + 1))
      }
      lasts = false
    case .clockAhead: node.clock.offsetMilliseconds += Int64(fault.detail)
    case .clockBack: node.clock.offsetMilliseconds -= Int64(fault.detail)
    case .slowDisk: node.disk.slowness = fault.microseconds / 50
    case .failedSync:
      node.disk.failsNextSync = true
      scheduleStart(node, after: fault.microseconds)
      lasts = false
    case .fullDisk: node.disk.isFull = true
    case .readError:
      node.disk.isUnreadable = true
      // Half of them hit a start, the others a process that runs and is asked for what it has on disk only.
      if fault.microseconds % 2 == 0 {
        end(node, "killed")
        scheduleStart(node, after: 1_000)
      }
    case .flippedBit:
      guard mayLoseDisk(fault.node) else { return }
      end(node, "killed")
      node.weakToken = node.token
      if fault.detail >> 63 == 1, let number = node.disk.flipSnapshotBit(fault.detail) {
        node.timeline.note(.said("a bit of snapshot \(number) flips"), at: now)
        // If the log does not begin at its start, this may be all that there was.
        node.hasDamage = true
        node.hasLostData = true
      } else if let damage = node.disk.flipBit(fault.detail) {
        node.hasDamage = true
        // What it lost of others it fetches again; of its own, it cannot.
        if machine(of: OriginIndex(UInt32(damage.origin))) == fault.node { node.hasLostData = true }
        node.timeline.note(.said("a bit of origin \(damage.origin) at \(damage.sequence) flips"), at: now)
      }
      scheduleStart(node, after: fault.microseconds)
      lasts = false
    case .damagedRow:
      guard damageRow(node, fault) else { return }
      lasts = false
    case .flippedBook, .skippedFill:
      guard damage(node, fault) else { return }
      lasts = false
    case .wipedDisk:
      guard mayLoseDisk(fault.node) else { return }
      end(node, "killed, its disk wiped")
      node.disk.wipe()
      node.hasLostData = true
      scheduleStart(node, after: fault.microseconds)
      lasts = false
    }
    count(fault.kind)
    for index in checkers.indices { checkers[index].faultBegan(fault, self) }
    if lasts { schedule(.faultEnds(index), after: fault.microseconds) }
  }

  /// What others have for a slow node waits in their queues: they are told not to push more.
  func setWritable(_ slow: Int, _ isWritable: Bool) {
    for node in nodes {
      guard let process = node.process, process.links[slow] != nil else { continue }
      give(.linkWritable(PeerIndex(UInt32(slow)), isWritable), to: node, process)
    }
  }

  private func scheduleStart(_ node: SimulatedNode, after delay: UInt64) {
    schedule(.start(node: node.index), after: delay)
  }

  func end(_ fault: Fault) {
    guard !isHealing else { return }
    let node = nodes[fault.node]
    switch fault.kind {
    case .partition, .oneWayPartition:
      for from in nodes.indices where fault.detail & 1 << UInt64(from) != 0 {
        for to in nodes.indices where fault.detail & 1 << UInt64(to) == 0 {
          network.mend(from: from, to: to)
          if fault.kind == .partition { network.mend(from: to, to: from) }
        }
      }
      releaseStalled()
    case .cutLink:
      network.mend(from: fault.node, to: Int(fault.detail))
      network.mend(from: Int(fault.detail), to: fault.node)
      releaseStalled()
    case .oneWayCut:
      network.mend(from: fault.node, to: Int(fault.detail))
      releaseStalled()
    case .pause:
      node.pauses -= 1
      if node.pauses == 0 { resume(node) }
    case .slow:
      node.slowness = 0
      setWritable(fault.node, true)
    case .clockAhead: node.clock.offsetMilliseconds -= Int64(fault.detail)
    case .clockBack: node.clock.offsetMilliseconds += Int64(fault.detail)
    case .slowDisk: node.disk.slowness = 0
    case .fullDisk:
      node.disk.isFull = false
      scheduleStart(node, after: 100_000)
    case .readError:
      node.disk.isUnreadable = false
      scheduleStart(node, after: 1_000)
    case .leave:
      // It comes back, as somebody else if it has left.
      end(node, "stopped before it had left")
      node.isWanted = true
      scheduleStart(node, after: 1_000)
    case .join, .reset, .crash, .powerLoss, .failedSync, .flippedBit, .wipedDisk, .flippedBook, .skippedFill,
      .damagedRow:
      break
    }
  }

  /// A paused process goes on with everything that came meanwhile.
  func resume(_ node: SimulatedNode) {
    node.timeline.note(.said("goes on"), at: now)
    let waiting = node.parked
    node.parked.removeAll()
    for event in waiting { schedule(event, after: 0) }
  }
}
