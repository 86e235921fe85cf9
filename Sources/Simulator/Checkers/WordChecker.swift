import EventLog
import Gossip
import Primitives
import Replica

/// A node's word is on its disk before it is given: no ack of what is not there, no promise above the durable ceiling.
struct WordChecker: Checker {
  let name = "word"
  let hearsMessages = true
  private struct Word {
    /// As whom it spoke last.
    var origin: OriginIndex?
    /// Its highest promise as that, and the end of the log that it covers.
    var beat: Beat?
    /// How many acknowledged entries were compared.
    var compared = 0
    /// In this view it has promised to say no more.
    var wedged: UInt64?
  }

  private var words: [Word]
  private var once: FinalOnce

  init(nodes: Int) {
    words = Array(repeating: Word(), count: nodes)
    once = FinalOnce(nodes: nodes)
  }

  mutating func started(_ node: SimulatedNode, _ world: Simulation) { once.restarted(node) }

  mutating func step(_ node: SimulatedNode, _ world: Simulation) -> String? {
    let acknowledged = world.acknowledged[node.index]
    let compared = words[node.index].compared
    guard compared < acknowledged.count else { return nil }
    words[node.index].compared = acknowledged.count
    guard let beat = words[node.index].beat else { return nil }
    for entry in acknowledged[compared...] where entry.dot.origin == words[node.index].origin {
      guard entry.dot.sequence > beat.head.sequence, entry.stamp <= beat.promise else { continue }
      return "\(entry.dot) has the stamp \(entry.stamp), after \(node.name) has promised \(beat.promise)"
    }
    return nil
  }

  mutating func sent(_ message: PeerMessage, _ node: SimulatedNode, _ world: Simulation) -> String? {
    if case .view(let signed) = message, case .promise(let view, _, _, _) = signed.message {
      words[node.index].wedged = view
    }
    let heartbeat: Heartbeat
    switch message {
    case .heartbeat(let spoken): heartbeat = spoken
    case .word(let word):
      // Others' words are old news when they are passed on; one of them may be who this node was.
      guard word.heartbeat.speaker == node.process?.replica.member else { return nil }
      heartbeat = word.heartbeat
    case .batch, .announce, .request, .digest, .vector, .addresses, .served, .detector, .view, .snapshot:
      return nil
    }
    for ack in heartbeat.acks where ack.head.sequence > node.disk.entries(of: ack.origin) {
      return "\(node.name) acks \(ack.head.sequence) entries of \(ack.origin) and has "
        + "\(node.disk.entries(of: ack.origin)) on disk"
    }
    if heartbeat.view == words[node.index].wedged, heartbeat.beat != nil || !heartbeat.acks.isEmpty {
      return "\(node.name) beats or acks in view \(heartbeat.view), after it has promised to change it"
    }
    guard let beat = heartbeat.beat else { return nil }
    guard let origin = heartbeat.speaker else { return "\(node.name) beats as nobody" }
    if beat.head.sequence > node.disk.entries(of: origin) {
      return "\(node.name) vouches for \(beat.head.sequence) entries of its log and has "
        + "\(node.disk.entries(of: origin)) on disk"
    }
    if words[node.index].origin != origin {
      words[node.index].origin = origin
      words[node.index].beat = nil
    }
    if beat.promise > words[node.index].beat?.promise ?? .zero { words[node.index].beat = beat }
    var ceiling: UInt64 = 0
    if let record = node.disk.record(RecordKey.clockCeiling) {
      ceiling =
        (try? record.withReader { (reader) throws(CodecError) in try reader.readFixed("ceiling") }) ?? 0
    }
    guard beat.promise.value > ceiling else { return nil }
    return "\(node.name) promises \(beat.promise), above its durable ceiling \(Stamp(ceiling))"
  }

  /// Final means that a majority of the view has it on disk; a disk that was damaged had it.
  mutating func finalised(_ run: AppliedRun, _ node: SimulatedNode, _ world: Simulation) -> String? {
    guard let view = node.process?.replica.viewValue else { return nil }
    for index in once.news(run, from: node) {
      let item = run.items[index]
      let holders = view.members.count { member in
        let holder = world.nodes[world.machine(of: member.origin) ?? 0]
        return holder.hasLostData || holder.hasDamage || holder.disk.entries(of: item.dot.origin) >= item.dot.sequence
      }
      if holders < view.view.majority {
        return "\(item.dot) is final at \(node.name), on \(holders) disks of \(view.members.count)"
      }
    }
    return nil
  }
}
