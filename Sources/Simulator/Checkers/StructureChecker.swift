import Replica

/// The engine's own structure is whole, in every tentative state that a sample meets: never crossed, no empty level,
/// sums right. The check itself stops the process when it is not; here it only has to run.
struct StructureChecker: Checker {
  let name = "structure"
  private var samples = 0

  mutating func sample(_ world: Simulation) -> String? {
    samples += 1
    // It walks the whole book: one node each time.
    let node = world.nodes[samples % world.nodes.count]
    guard node.damage == nil, node.process?.replica.healthState.serves == true else { return nil }
    node.process?.replica.withBook { $0.checkInvariants() }
    return nil
  }
}
