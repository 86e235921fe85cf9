import EventLog
import Gossip
import Membership
import OrderBook
import Primitives
import Replica

/// A cluster of whole replicas in virtual time, in one thread, with everything that may go wrong.
///
/// A seed decides everything: two runs of one seed and one profile are equal to the bit, in any process. Time passes
/// from event to event; nothing reads a real clock. What a node's shell does for its replica (commits, links, restarts)
/// is done here as it does it, with a disk, a network and clocks that fail.
///
/// Models: TigerBeetle's VOPR; FoundationDB's simulator.
package final class Simulation {
  static let tickMicroseconds: UInt64 = 10_000
  /// Between an input and the end of the turn that it starts: what comes meanwhile belongs to the same turn.
  static let turnMicroseconds: UInt64 = 30
  static let sampleMicroseconds: UInt64 = 100_000
  static let linkSilenceMicroseconds: UInt64 = 2_000_000
  static let dialTimeoutMicroseconds: UInt64 = 2_000_000
  /// After everything is healed, by when all must agree. The largest jump of a clock is in it: what was stamped ahead
  /// is believed only when its time has come.
  static let livenessMicrosecondsMax: UInt64 = 40_000_000
  static let retransmissionMicroseconds: UInt64 = 200_000

  package let seed: UInt64
  package internal(set) var profile: SimulationProfile
  let genesis: Genesis
  let keys: [SimulatedSignatures]
  let sha = SHA256()
  private(set) var now: UInt64 = 0
  var generator: SeededGenerator
  var queue = EventQueue()
  var network: SimulatedNetwork
  var nodes: [SimulatedNode] = []
  var clients: Clients
  var views: WorldViews
  /// How often a node has entered a view.
  package var viewsEntered: UInt64 = 0
  let defects: Defects
  let viewDefects: ViewDefects
  var checkers: [any Checker]
  /// Places of the checkers that hear every message.
  let listeners: [Int]
  /// Follows what nodes tell their clients; then nobody sends again what was refused.
  var observer: (any SimulationObserver)?
  /// Every entry that a machine acknowledged to a client, by machine.
  package private(set) var acknowledged: [[Acknowledged]]
  package private(set) var violation: Violation?
  package private(set) var steps: UInt64 = 0
  var hash = RunHash()
  /// Faults and clients have ended; everything is healed.
  private(set) var isHealing = false
  /// Virtual microseconds that processes ran, added up.
  package private(set) var nodeMicroseconds: UInt64 = 0
  package private(set) var agreedAfterMicroseconds: UInt64?
  package internal(set) var snapshotsMade: UInt64 = 0
  package internal(set) var snapshotsInstalled: UInt64 = 0
  /// What damage to books led to.
  package internal(set) var repairs: [DamageRepair] = []
  /// Memory was damaged in this run.
  var hadDamage: Bool { nodes.contains { $0.wasDamaged } }
  package private(set) var faultCounts: [FaultKind: Int] = [:]

  package init(
    seed: UInt64, profile: SimulationProfile, defects: Defects = [], viewDefects: ViewDefects = [],
    checkers: [any Checker]? = nil
  ) {
    self.seed = seed
    self.profile = profile
    self.defects = defects
    self.viewDefects = viewDefects
    var generator = SeededGenerator(seed: seed)
    // In the register's order, so that a node's index is its origin's.
    let count = profile.nodes + profile.spares
    keys = (0..<count).map { SimulatedSignatures(node: $0) }.sorted {
      $0.publicKey.nodeID < $1.publicKey.nodeID
    }
    let members = keys.prefix(profile.nodes).enumerated().map {
      Genesis.Member(publicKey: $1.publicKey, name: "n\($0 + 1)", token: StoreToken(generator.next() | 1))
    }
    // The keys are made here, the names are distinct, and there are few enough: this list is valid.
    guard let genesis = try? Genesis(members: members) else { preconditionFailure("a simulated genesis is invalid") }
    self.genesis = genesis
    views = WorldViews(genesis: genesis, keys: keys.map(\.publicKey))
    network = SimulatedNetwork(count: count)
    clients = Clients(seed: generator.next(), accounts: profile.clients, nodes: profile.nodes)
    acknowledged = Array(repeating: [], count: count)
    for index in 0..<count {
      let skew = Int(profile.skewMilliseconds)
      let clock = SimulatedClock(
        offsetMilliseconds: Int64(generator.pick(0...skew)) - Int64(skew / 2),
        driftPerMillion: Int64(generator.pick(0...Int(2 * profile.driftPerMillion))) - Int64(profile.driftPerMillion))
      let node = SimulatedNode(index: index, clock: clock)
      // The members' stores were made before the member list was.
      if index < profile.nodes { node.disk.putNow(.store(genesis.members[index].token)) }
      node.isWanted = index < profile.nodes
      nodes.append(node)
    }
    self.generator = generator
    let all = checkers ?? Checkers.all(nodes: count)
    listeners = all.indices.filter { all[$0].hearsMessages }
    self.checkers = all
    for index in nodes.indices where nodes[index].isWanted {
      schedule(.start(node: index), after: 100 + UInt64(index) * 37)
    }
    for (index, fault) in profile.faults.enumerated() where !profile.without.contains(index) {
      queue.schedule(.faultBegins(index), at: fault.at)
    }
    schedule(.burst, after: 200_000)
    schedule(.sample, after: Self.sampleMicroseconds)
  }

  var lastMicrosecond: UInt64 { profile.seconds * 1_000_000 }

  func schedule(_ event: WorldEvent, after delay: UInt64) { queue.schedule(event, at: now + delay) }

  // MARK: Running

  /// Runs clients and faults for the profile's time, heals everything, and waits until all agree.
  package func run() {
    advance(until: lastMicrosecond)
    guard violation == nil else { return }
    heal()
    let healed = now
    while violation == nil, now < healed + Self.livenessMicrosecondsMax {
      advance(until: now + 50_000)
      if violation == nil, isAgreed {
        agreedAfterMicroseconds = now - healed
        break
      }
    }
    guard violation == nil else { return }
    if agreedAfterMicroseconds == nil {
      fail("liveness", "no agreement \(Self.livenessMicrosecondsMax / 1_000_000) s after all was healed: \(standing)")
    }
    for index in checkers.indices where violation == nil {
      if let text = checkers[index].end(self) { fail(checkers[index].name, text) }
    }
    for node in nodes {
      if let process = node.process { hash.mix(process.replica.bookHash()) }
    }
  }

  /// Handles everything up to a time, or until something is wrong.
  package func advance(until end: UInt64) {
    while violation == nil, let at = queue.nextTime, at <= end, let next = queue.popFirst() {
      now = max(now, next.at)
      handle(next.event)
    }
    if violation == nil { now = max(now, end) }
  }

  package func fail(_ checker: String, _ message: String, node: Int? = nil) {
    guard violation == nil else { return }
    violation = Violation(checker: checker, message: message, atMicroseconds: now, node: node)
  }

  /// Whether every running node holds and has applied the same, and all of it is final if all are members of one view.
  private var isAgreed: Bool {
    let everybody = nodes.allSatisfy { $0.condition == .running || !$0.isWanted }
    var first: VersionVector?
    for node in nodes {
      guard let process = node.process else { continue }
      let status = process.replica.status
      if everybody, status.view != views.newest.number || status.me == nil || status.isWedged { return false }
      guard status.applied == status.entries, status.missing == 0 || !everybody, process.commitUnderWay == nil else {
        return false
      }
      if everybody, !process.replica.isAtRest { return false }
      if everybody, process.replica.findings.open > 0 { return false }
      if let first { if status.vector != first { return false } } else { first = status.vector }
    }
    return true
  }

  private var standing: String {
    let members = views.newest.members.map { "\($0.origin)=n\(views.machines[$0.origin.int] + 1)" }
    return "view \(views.newest.number) of \(members.joined(separator: " ")); "
      + nodes.map { node -> String in
        guard let process = node.process else { return "\(node.name) \(node.condition)" }
        let status = process.replica.status
        let standing =
          "\(status.me.map { "\($0)" } ?? "-") in view \(status.view)\(status.isWedged ? ", wedged" : "")"
        return
          "\(node.name) (\(standing), \(process.replica.healthState)) holds \(status.vector.sequences), "
          + "applied \(status.applied), "
          + "tentative \(status.tentative), "
          + "missing \(status.missing), links \(process.links.map { $0 == nil ? "-" : "+" }.joined())"
      }.joined(separator: "; ")
  }

  private func handle(_ event: WorldEvent) {
    steps += 1
    hash.mix(now)
    switch event {
    case .none: break
    case .delivery(let connection, let from, let to, let type, let bytes):
      hash.mix(UInt64(type) << 32 | UInt64(from) << 16 | UInt64(to))
      hash.mix(bytes)
      deliver(connection: connection, from: from, to: to, type, bytes)
    case .turn(let node, let boot): whenFree(event, node, boot) { endTurn($0, $1) }
    case .tick(let node, let boot): whenFree(event, node, boot) { tick($0, $1) }
    case .synced(let node, let boot): synced(node, boot)
    case .dialled(let node, let boot, let target, let address): dialled(node, boot, target, address)
    case .dialFailed(let node, let boot, let address, let isRefused):
      whenFree(event, node, boot) { give(.dialFailed(address, isRefused: isRefused), to: $0, $1) }
    case .closed(let connection, let node): close(network.connections[connection], at: node, "closed by the other side")
    case .start(let node): start(nodes[node])
    case .burst: burst()
    case .request(let node, let submission): receive(submission, at: node)
    case .answerDue(let submission): retry(submission)
    case .faultBegins(let index): begin(profile.faults[index], index)
    case .faultEnds(let index): end(profile.faults[index])
    case .sample: sample()
    case .logRead(let node, let boot, let reading): whenFree(event, node, boot) { readLog(reading, $0, $1) }
    }
  }

  /// Hands an event to a process that can take it now: a busy one gets it later, a paused one when it goes on, one that
  /// has ended never.
  func whenFree(
    _ event: WorldEvent, _ index: Int, _ boot: UInt64, _ body: (SimulatedNode, SimulatedProcess) -> Void
  ) {
    let node = nodes[index]
    guard let process = node.process, process.boot == boot else { return }
    if node.pauses > 0 {
      node.parked.append(event)
    } else if process.busyUntil > now || process.commitUnderWay != nil {
      // A pause may have kept the end of a sync for longer than the sync took.
      queue.schedule(event, at: max(process.busyUntil, now + 1))
    } else {
      body(node, process)
      watchHealth(node)
      check(node)
    }
  }

  private func check(_ node: SimulatedNode) {
    // Taken out, as each access to a class's property costs more than most checks.
    var checkers: [any Checker] = []
    swap(&checkers, &self.checkers)
    for index in checkers.indices where violation == nil {
      if let text = checkers[index].step(node, self) { fail(checkers[index].name, text, node: node.index) }
    }
    swap(&checkers, &self.checkers)
  }

  private func sample() {
    for index in checkers.indices where violation == nil {
      if let text = checkers[index].sample(self) { fail(checkers[index].name, text) }
    }
    nodeMicroseconds += UInt64(nodes.count { $0.process != nil }) * Self.sampleMicroseconds
    schedule(.sample, after: Self.sampleMicroseconds)
  }

  // MARK: What nodes tell the checkers

  func acknowledge(_ entries: [Acknowledged], areFollowed: Bool, _ node: SimulatedNode) {
    for entry in entries { acknowledged[node.index].append(entry) }
    guard areFollowed else { return }
    for index in checkers.indices { checkers[index].followed(entries, node, self) }
  }

  func reported(_ reports: [OrderReport], _ node: SimulatedNode) {
    if let damage = node.damage, damage.foundAt == nil { return }
    for index in checkers.indices where violation == nil {
      if let text = checkers[index].reported(reports, node, self) { fail(checkers[index].name, text, node: node.index) }
    }
  }

  func finalised(_ run: AppliedRun, _ node: SimulatedNode) {
    // From here on it tells what it has made anew.
    if run.anew != nil || node.damage?.foundAt != nil { node.damage?.isReplaced = true }
    for index in checkers.indices where violation == nil {
      if let text = checkers[index].finalised(run, node, self) { fail(checkers[index].name, text, node: node.index) }
    }
  }

  // MARK: Healing

  /// Ends every fault, starts what is down, and lets clients fall silent.
  private func heal() {
    isHealing = true
    network.mendAll()
    for node in nodes {
      node.disk.isFull = false
      node.disk.isUnreadable = false
      node.disk.failsNextSync = false
      node.disk.slowness = 0
      node.slowness = 0
      setWritable(node.index, true)
      node.clock.offsetMilliseconds = 0
      resume(node)
      node.pauses = 0
      if node.process?.isLeaving == true { end(node, "stopped before it had left") }
      if node.boots > 0 { node.isWanted = true }
      if node.condition == .down, node.isWanted { schedule(.start(node: node.index), after: 1_000) }
    }
    releaseStalled()
  }

  func count(_ kind: FaultKind) { faultCounts[kind, default: 0] += 1 }
}

/// Something that must never be, and was.
package struct Violation: Hashable, Sendable, CustomStringConvertible {
  package var checker: String
  package var message: String
  package var atMicroseconds: UInt64
  package var node: Int?
  package var description: String {
    "\(checker) at \(VirtualTime(atMicroseconds))\(node.map { " (n\($0 + 1))" } ?? ""): \(message)"
  }
}
