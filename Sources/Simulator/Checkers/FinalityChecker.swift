import Membership
import Primitives
import Replica

/// Finality goes on: while all members run and every two of them hear each other, directly or through a third, no entry
/// waits for long, whatever a minority of the clocks show.
struct FinalityChecker: Checker {
  let name = "finality"
  /// How long all must have been well.
  static let calmMicroseconds: UInt64 = 3_000_000
  /// And how old what is tentative may be then.
  static let ageMillisecondsMax: UInt64 = 2_000
  /// A clock that is off by more is wrong.
  private static let skewMillisecondsMax: UInt64 = 250

  private var calmSince: UInt64?
  private var view: UInt64 = 0

  mutating func sample(_ world: Simulation) -> String? {
    guard isCalm(world), view == world.views.newest.number else {
      calmSince = nil
      view = world.views.newest.number
      return nil
    }
    let since = calmSince ?? world.now
    calmSince = since
    guard world.now >= since + Self.calmMicroseconds else { return nil }
    let time = SimulatedClock.wallStartMilliseconds + world.now / 1_000
    for member in world.views.newest.members {
      let node = world.nodes[world.views.machines[member.origin.int]]
      // One that serves nothing has its book still to make; the others go on.
      guard let process = node.process, process.replica.healthState.serves,
        let oldest = process.replica.status.oldestTentative
      else { continue }
      let age = time - min(time, oldest.milliseconds)
      guard age > Self.ageMillisecondsMax else { continue }
      return "all is well, and an entry stamped \(oldest) is \(age) ms old at \(node.name) and not final: "
        + process.replica.whatIsMissing(for: oldest)
    }
    return nil
  }

  private func isCalm(_ world: Simulation) -> Bool {
    guard world.profile.lossPerMille == 0, world.profile.tailPerMille == 0 else { return false }
    var wrongClocks = 0
    var members: [Int] = []
    for member in world.views.newest.members {
      let node = world.nodes[world.views.machines[member.origin.int]]
      members.append(node.index)
      guard let process = node.process, node.condition == .running, node.pauses == 0, node.slowness == 0,
        node.disk.slowness == 0, !node.disk.isFull, !node.disk.isUnreadable, !process.isLeaving
      else { return false }
      let status = process.replica.status
      guard status.view == world.views.newest.number, status.me == member.origin, !status.isWedged,
        status.isReady || !process.replica.healthState.serves, !status.quarantined
      else { return false }
      if node.clock.offsetMilliseconds.magnitude > Self.skewMillisecondsMax { wrongClocks += 1 }
    }
    guard wrongClocks == 0 || 2 * wrongClocks < members.count else { return false }
    return members.allSatisfy { one in members.allSatisfy { other in areNear(one, other, members, world) } }
  }

  private func areNear(_ one: Int, _ other: Int, _ members: [Int], _ world: Simulation) -> Bool {
    one == other || hear(one, other, world)
      || members.contains { $0 != one && $0 != other && hear(one, $0, world) && hear($0, other, world) }
  }

  private func hear(_ one: Int, _ other: Int, _ world: Simulation) -> Bool {
    world.nodes[one].process?.links[other] != nil && world.network.hears(from: one, to: other)
      && world.network.hears(from: other, to: one)
  }
}
