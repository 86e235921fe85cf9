import EventLog
import Gossip
import Primitives
import Replica

/// A node's word is on its disk before it is given: no ack of what is not there, no promise above the durable ceiling.
struct WordChecker: Checker {
  let name = "word"
  /// By node: its highest promise, the end of the log that it covers, and how many acknowledged entries were compared.
  private var promises: [(beat: Beat?, compared: Int)]

  init(nodes: Int) { promises = Array(repeating: (nil, 0), count: nodes) }

  mutating func step(_ node: SimulatedNode, _ world: Simulation) -> String? {
    let acknowledged = world.acknowledged[node.index]
    let compared = promises[node.index].compared
    guard compared < acknowledged.count else { return nil }
    promises[node.index].compared = acknowledged.count
    guard let beat = promises[node.index].beat else { return nil }
    for entry in acknowledged[compared...] where entry.dot.sequence > beat.head.sequence && entry.stamp <= beat.promise
    {
      return "\(entry.dot) has the stamp \(entry.stamp), after \(node.name) has promised \(beat.promise)"
    }
    return nil
  }

  mutating func sent(_ message: PeerMessage, _ node: SimulatedNode, _ world: Simulation) -> String? {
    guard case .heartbeat(let heartbeat) = message else { return nil }
    for ack in heartbeat.acks where ack.head.sequence > node.disk.entries(of: ack.origin.int) {
      return "\(node.name) acks \(ack.head.sequence) entries of \(ack.origin) and has "
        + "\(node.disk.entries(of: ack.origin.int)) on disk"
    }
    guard let beat = heartbeat.beat else { return nil }
    if beat.head.sequence > node.disk.entries(of: node.index) {
      return "\(node.name) vouches for \(beat.head.sequence) entries of its log and has "
        + "\(node.disk.entries(of: node.index)) on disk"
    }
    if beat.promise > promises[node.index].beat?.promise ?? .zero { promises[node.index].beat = beat }
    var ceiling: UInt64 = 0
    if let record = node.disk.record(RecordKey.clockCeiling) {
      ceiling =
        (try? record.withReader { (reader) throws(CodecError) in try reader.readFixed("ceiling") }) ?? 0
    }
    guard beat.promise.value > ceiling else { return nil }
    return "\(node.name) promises \(beat.promise), above its durable ceiling \(Stamp(ceiling))"
  }

  /// Final means that a majority has it on disk; a disk that was damaged had it.
  mutating func finalised(_ run: AppliedRun, _ node: SimulatedNode, _ world: Simulation) -> String? {
    for item in run.items {
      let origin = item.dot.origin.int
      let holders = world.nodes.count {
        $0.hasLostData || $0.hasDamage || $0.disk.entries(of: origin) >= item.dot.sequence
      }
      if holders * 2 <= world.nodes.count { return "\(item.dot) is final at \(node.name), on \(holders) disks" }
    }
    return nil
  }
}
