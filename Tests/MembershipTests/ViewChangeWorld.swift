import EventLog
import Primitives

@testable import Membership

/// Signatures that cost nothing: anybody could make them.
struct PlainSignatures: Signatures {
  let publicKey: PublicKey
  init(node: Int) {
    var bytes = [UInt8](repeating: 0x5A, count: PublicKey.byteCount)
    bytes[0] = UInt8(node)
    guard let key = PublicKey(bytes: bytes) else { preconditionFailure("a key has 32 bytes") }
    publicKey = key
  }
  func sign(_ message: [UInt8]) -> Signature { Self.signature(of: message, by: publicKey) }
  func isValid(_ signature: Signature, of message: [UInt8], by key: PublicKey) -> Bool {
    signature == Self.signature(of: message, by: key)
  }
  private static func signature(of message: [UInt8], by key: PublicKey) -> Signature {
    var sum: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in message { sum = (sum ^ UInt64(byte)) &* 0x0100_0000_01B3 }
    for byte in key.bytes { sum = (sum ^ UInt64(byte)) &* 0x0100_0000_01B3 }
    var bytes = [UInt8](repeating: 0, count: Signature.byteCount)
    for index in 0..<8 { bytes[index] = UInt8(truncatingIfNeeded: sum >> UInt64(8 * index)) }
    guard let signature = Signature(bytes: bytes) else { preconditionFailure("a signature has 64 bytes") }
    return signature
  }
}

/// What a run may do.
struct WorldSettings {
  var seed: UInt64
  var members = 3
  var spares = 2
  var defects: ViewDefects = []
  var hasFaults = true
  var lossPercent: UInt64 = 15
  /// The slowest sync.
  var syncMicroseconds: UInt64 = 20_000
  /// A member loses its disk, instead of members being sealed at will: two members bear no loss.
  var losesDisk = false
  /// How many times more often than usual something happens.
  var unrest: UInt64 = 1
  var chaosMicroseconds: UInt64 = 4_000_000

  /// Nothing goes wrong by itself.
  init(members: Int, spares: Int, seed: UInt64 = 1) {
    self.seed = seed
    self.members = members
    self.spares = spares
    hasFaults = false
    lossPercent = 0
  }

  /// Drawn from the seed, of the kind in which proposers duel and die often, and syncs are slow.
  init(harsh seed: UInt64, defects: ViewDefects) {
    self.init(seed: seed, defects: defects)
    members = 3
    spares = 1
    lossPercent = 30
    syncMicroseconds = 100_000
    losesDisk = false
    unrest = 4
  }

  /// Drawn from the seed.
  init(seed: UInt64, defects: ViewDefects = []) {
    var generator = SeededGenerator(seed: seed ^ 0xA5A5)
    self.seed = seed
    self.defects = defects
    members = generator.pick(3...5)
    spares = generator.pick(0...2)
    lossPercent = generator.below(30)
    syncMicroseconds = [2_000, 20_000, 300_000][generator.pick(0...2)]
    losesDisk = members >= 4 && generator.chance(1, of: 2)
  }
}

/// One machine: disk, process, and what the caller of a view change keeps.
final class WorldNode {
  let index: Int
  let signatures: PlainSignatures
  // Disk
  var disk: ViewRecords
  var log: [UInt64] = []
  var ceiling: UInt64 = 0
  // Process
  var machine: ViewChange
  var boot = 0
  var isUp = true
  var pending: [(number: PersistNumber, records: [ViewRecord], entering: Decision?)] = []
  var durable: PersistNumber = 0
  var gated: [(to: ViewPeer, SignedViewMessage, after: PersistNumber)] = []
  var needs: [(value: ViewValue, hash: Hash256)] = []
  var mayAck = false
  var wantsToJoin: Bool
  var joinAt: UInt64 = 0
  var wedgedSince: UInt64?

  init(index: Int, disk: ViewRecords, machine: ViewChange, wantsToJoin: Bool) {
    self.index = index
    signatures = PlainSignatures(node: index)
    self.disk = disk
    self.machine = machine
    self.wantsToJoin = wantsToJoin
  }
}

/// A cluster of view changes in virtual time; says what is wrong with a run.
final class ViewWorld {
  enum Event {
    case frame(to: Int, type: UInt8, body: [UInt8])
    case beat(to: Int, from: ViewPeer, view: UInt64)
    case synced(node: Int, boot: Int, number: PersistNumber)
  }

  let settings: WorldSettings
  let cluster: Hash256
  let genesis: Decision
  var generator: SeededGenerator
  var nodes: [WorldNode] = []
  var now: UInt64 = 1_000
  var queue: [(at: UInt64, order: UInt64, event: Event)] = []
  var nextOrder: UInt64 = 0
  var cutOff: Int?
  var isCalm = false
  /// Called for each message that leaves: may crash its sender.
  var onSend: ((ViewWorld, WorldNode, ViewMessage) -> Void)?
  var hasWiped = false
  var violations: [String] = []
  // Ghosts
  var decisions: [Decision]
  var acks: [[[UInt64]]] = []
  var beats: [[UInt64]] = []
  var ballots: [String: String] = [:]
  var proposed: [String: Hash256] = [:]
  var entered: [UInt64]
  var leases: [String: Int] = [:]
  var joins = 0
  var longestWedge: UInt64 = 0

  init(_ settings: WorldSettings) {
    self.settings = settings
    generator = SeededGenerator(seed: settings.seed)
    let members = (0..<settings.members).map {
      Genesis.Member(
        publicKey: PlainSignatures(node: $0).publicKey, name: "n\($0)", token: StoreToken(100 + UInt64($0)))
    }
    guard let genesis = try? Genesis(members: members) else { preconditionFailure("a member list") }
    cluster = genesis.clusterID
    self.genesis = Decision(genesis: genesis)
    decisions = [self.genesis]
    let count = settings.members + settings.spares
    entered = Array(repeating: 0, count: count)
    for index in 0..<count {
      let disk = ViewRecords(
        store: StoreToken(100 + UInt64(index)), genesis: self.genesis, publicKey: PlainSignatures(node: index).publicKey
      )
      let machine = makeMachine(index, disk, boot: 0)
      let node = WorldNode(index: index, disk: disk, machine: machine, wantsToJoin: index >= settings.members)
      node.joinAt = generator.below(settings.chaosMicroseconds)
      node.mayAck = machine.me != nil
      nodes.append(node)
    }
  }

  func makeMachine(_ index: Int, _ disk: ViewRecords, boot: Int) -> ViewChange {
    var configuration = ViewChange.Configuration(cluster: cluster, seed: settings.seed &+ UInt64(index * 1_000 + boot))
    configuration.defects = settings.defects
    return ViewChange(configuration: configuration, signatures: PlainSignatures(node: index), records: disk)
  }

  func violate(_ text: String) {
    if violations.count < 5 { violations.append("seed \(settings.seed) at \(now / 1_000) ms: \(text)") }
  }

  // MARK: Running

  /// Chaos, then calm: everything must have come to rest by its end.
  func run() -> [String] {
    while now < settings.chaosMicroseconds && violations.isEmpty {
      if settings.hasFaults { disturb() }
      turn()
    }
    isCalm = true
    cutOff = nil
    for node in nodes where !node.isUp { start(node) }
    let end = now + 30_000_000
    while now < end && violations.isEmpty && !isSettled { turn() }
    if violations.isEmpty && !isSettled {
      let states = nodes.map { node in
        let me = node.machine.me.map { "member \($0)" } ?? "nobody"
        let wedged = node.machine.isWedged ? ", wedged" : ""
        return "\(node.index): \(me) in view \(node.machine.view.number)\(wedged), needs \(node.needs.count)"
      }
      let members = decisions.last?.value.members.map { "\($0.origin)/\($0.token)" } ?? []
      violate("not settled: \(members) \(states)")
    }
    return violations
  }

  /// All are members of one view, and nobody is wedged.
  var isSettled: Bool {
    let newest = decisions.count - 1
    return nodes.allSatisfy {
      let isMember = $0.machine.me != nil
      return $0.machine.view.number == newest && !$0.machine.isWedged && !$0.machine.isBehind && $0.mayAck == isMember
        && isMember
    }
  }

  func turn() {
    now += 5_000
    while let next = queue.indices.min(by: { (queue[$0].at, queue[$0].order) < (queue[$1].at, queue[$1].order) }),
      queue[next].at <= now
    {
      let event = queue.remove(at: next).event
      handle(event)
    }
    for node in nodes where node.isUp {
      work(node)
      give(node, .tick)
    }
    checkLeases()
    checkAcks()
  }

  /// What a replica does between view changes.
  private func work(_ node: WorldNode) {
    // Writing, also while wedged.
    if !isCalm, let me = node.machine.me, generator.chance(1, of: 4) {
      node.grow(me.int)
      node.log[me.int] += 1
    }
    // Fetching from anybody who is up.
    if generator.chance(1, of: 2) || !node.needs.isEmpty {
      let other = nodes[Int(generator.below(UInt64(nodes.count)))]
      if other.isUp, other.index != node.index, isLinked(node.index, other.index) { copy(from: other, to: node) }
    }
    for need in node.needs where node.holds(need.value) {
      node.needs.removeAll { $0.hash == need.hash }
      give(node, .holdsBase(valueHash: need.hash))
    }
    // Beats and acks.
    if node.mayAck, let me = node.machine.me, generator.chance(1, of: 3) {
      let number = Int(node.machine.view.number)
      let promise = now + generator.below(100_000)
      node.ceiling = max(node.ceiling, promise + generator.below(2) * 50_000)
      if number < beats.count { beats[number][me.int] = max(beats[number][me.int], promise) } else { noteView(number) }
      if number < acks.count {
        for (origin, sequence) in node.log.enumerated() where origin < acks[number][me.int].count {
          acks[number][me.int][origin] = max(acks[number][me.int][origin], sequence)
        }
      }
      for other in nodes where other.index != node.index {
        transmit(.beat(to: other.index, from: .origin(me), view: node.machine.view.number), from: node.index)
      }
    }
    if node.machine.me == nil, node.wantsToJoin || isCalm, now >= node.joinAt {
      let token = node.disk.identity?.token == node.disk.store ? StoreToken(generator.next() | 1) : node.disk.store
      give(node, .join(name: "n\(node.index)", token: token))
    }
  }

  private func noteView(_ number: Int) {
    while beats.count <= number {
      beats.append(Array(repeating: 0, count: 64))
      acks.append(Array(repeating: Array(repeating: 0, count: 64), count: 64))
    }
  }

  private func copy(from other: WorldNode, to node: WorldNode) {
    for origin in other.log.indices {
      node.grow(origin)
      var limit = other.log[origin]
      if let cut = node.machine.value.cut(of: OriginIndex(UInt32(origin))) { limit = min(limit, cut) }
      node.log[origin] = max(node.log[origin], limit)
    }
  }

  // MARK: Faults

  private func disturb() {
    if generator.chance(settings.unrest, of: 100) {
      let node = nodes[Int(generator.below(UInt64(nodes.count)))]
      if node.isUp { crash(node) } else { start(node) }
    }
    if generator.chance(settings.unrest, of: 40), let down = nodes.first(where: { !$0.isUp }) { start(down) }
    if generator.chance(1, of: 100) { cutOff = generator.chance(1, of: 2) ? nil : generator.pick(0...nodes.count - 1) }
    if generator.chance(settings.unrest, of: 50) { proposeSomething() }
    if settings.losesDisk, !hasWiped, generator.chance(1, of: 500) { wipe() }
  }

  private func proposeSomething() {
    guard let newest = decisions.last?.value else { return }
    let node = nodes[Int(generator.below(UInt64(nodes.count)))]
    guard node.isUp, node.machine.me != nil else { return }
    var wish = MembershipWish()
    if newest.members.count > 3, !settings.losesDisk {
      wish.removals = [newest.members[Int(generator.below(UInt64(newest.members.count)))].origin]
    } else {
      // Changes nothing; a duel all the same.
      wish.removals = [OriginIndex(4_000)]
    }
    give(node, .propose(wish))
    if generator.chance(1, of: 3) { crash(node) }
  }

  private func wipe() {
    guard let node = nodes.first(where: { $0.machine.me != nil && $0.isUp }) else { return }
    hasWiped = true
    crash(node)
    node.disk = ViewRecords(
      store: StoreToken(generator.next() | 1), genesis: genesis, publicKey: PlainSignatures(node: node.index).publicKey)
    node.log = []
    node.ceiling = 0
    entered[node.index] = 0
    node.joinAt = now
    node.wantsToJoin = true
  }

  /// Half of the commits under way are lost at a random place: those behind it are lost as well.
  func crash(_ node: WorldNode) {
    let kept = generator.pick(0...node.pending.count)
    for commit in node.pending.prefix(kept) { apply(commit, node) }
    node.isUp = false
    node.mayAck = false
    node.pending = []
    node.gated = []
    node.needs = []
    node.wedgedSince = nil
  }

  func start(_ node: WorldNode) {
    node.boot += 1
    node.durable = 0
    node.isUp = true
    node.machine = makeMachine(node.index, node.disk, boot: node.boot)
    node.mayAck = node.machine.me != nil && !node.machine.isWedged
    if !node.machine.value.contains(node.disk.identity?.origin ?? OriginIndex(9_999)) { node.wantsToJoin = true }
  }

  private func apply(_ commit: (number: PersistNumber, records: [ViewRecord], entering: Decision?), _ node: WorldNode) {
    for record in commit.records {
      // Through the bytes, as a disk would.
      let bytes = record.bytes
      guard let read = try? bytes.withUnsafeBytes({ try ViewRecord(key: record.key, bytes: $0) }), read == record
      else { return violate("a record reads differently") }
      if case .ceiling(let stamp) = read { node.ceiling = max(node.ceiling, stamp.value) }
      node.disk.restore(read)
    }
    guard let decision = commit.entering else { return }
    for origin in node.log.indices {
      if let cut = decision.value.cut(of: OriginIndex(UInt32(origin))) { node.log[origin] = min(node.log[origin], cut) }
    }
  }

  // MARK: Events

  func isLinked(_ left: Int, _ right: Int) -> Bool { cutOff == nil || cutOff != left && cutOff != right }

  private func schedule(_ event: Event, after delay: UInt64) {
    nextOrder += 1
    queue.append((now + delay, nextOrder, event))
  }

  func transmit(_ event: Event, from: Int) {
    let to: Int
    switch event {
    case .frame(let node, _, _), .beat(let node, _, _): to = node
    case .synced: return
    }
    guard isLinked(from, to) else { return }
    if !isCalm, generator.chance(settings.lossPercent, of: 100) { return }
    let slow: UInt64 = settings.hasFaults && !isCalm && generator.chance(1, of: 20) ? 2_500_000 : 15_000
    schedule(event, after: 200 + generator.below(slow))
    if settings.hasFaults, !isCalm, generator.chance(1, of: 10) {
      schedule(event, after: 200 + generator.below(200_000))
    }
  }

  private func handle(_ event: Event) {
    switch event {
    case .frame(let to, let type, let body):
      guard nodes[to].isUp else { return }
      guard let signed = try? body.withUnsafeBytes({ try SignedViewMessage(frameType: type, body: $0) }) else {
        return violate("frame \(type) does not decode")
      }
      give(nodes[to], .message(signed))
    case .beat(let to, let from, let view):
      if nodes[to].isUp { give(nodes[to], .heardView(from: from, view: view, isBeat: true)) }
    case .synced(let index, let boot, let number):
      let node = nodes[index]
      guard node.isUp, node.boot == boot, let place = node.pending.firstIndex(where: { $0.number == number }) else {
        return
      }
      for commit in node.pending[...place] { apply(commit, node) }
      node.pending.removeSubrange(...place)
      node.durable = number
      let ready = node.gated.filter { $0.after <= number }
      node.gated.removeAll { $0.after <= number }
      for item in ready { post(item.1, to: item.to, from: node) }
      give(node, .durable(number))
    }
  }

  func give(_ node: WorldNode, _ input: ViewInput) {
    var effects: [ViewEffect] = []
    node.machine.step(input, nowMicroseconds: now, &effects)
    var wantsFacts = false
    for effect in effects {
      if case .wedged = effect { wantsFacts = true }
      carryOut(effect, node)
    }
    if wantsFacts {
      let acks = node.log.map {
        Head(sequence: $0, hash: $0 == 0 ? .zero : Hash256(word0: $0, word1: 1, word2: 1, word3: 1))
      }
      give(node, .facts(ViewFacts(acks: acks, ceiling: Stamp(node.ceiling))))
    }
  }

  private func carryOut(_ effect: ViewEffect, _ node: WorldNode) {
    switch effect {
    case .persist(let number, let records):
      node.pending.append((number, records, nil))
      schedule(
        .synced(node: node.index, boot: node.boot, number: number),
        after: 100 + generator.below(isCalm ? 5_000 : settings.syncMicroseconds))
    case .entering(let decision, let number):
      if let place = node.pending.firstIndex(where: { $0.number == number }) { node.pending[place].entering = decision }
    case .send(let to, let message, let after):
      if after > node.durable { node.gated.append((to, message, after)) } else { post(message, to: to, from: node) }
    case .wedged:
      node.mayAck = false
      node.wedgedSince = now
    case .unwedged:
      node.mayAck = true
      if let since = node.wedgedSince { longestWedge = max(longestWedge, now - since) }
      node.wedgedSince = nil
    case .needsEntries(let value, let hash): node.needs.append((value, hash))
    case .decided(let decision): checkDecision(decision)
    case .entered(let view, let me): checkEntered(view, me, node)
    case .sealed:
      node.mayAck = false
      node.wantsToJoin = true
      node.joinAt = now + generator.below(500_000)
    case .leaseTaken: leases["\(node.machine.view.number)", default: 0] += 1
    }
  }

  private func post(_ signed: SignedViewMessage, to peer: ViewPeer, from node: WorldNode) {
    let place = "\(signed.message.view)"
    switch signed.message {
    case .prepare(_, let ballot, _):
      let sender = "\(node.index) in run \(node.boot)"
      if let other = ballots["\(place) \(ballot)"], other != sender {
        violate("ballot \(ballot) of \(other) run by \(sender)")
      }
      ballots["\(place) \(ballot)"] = sender
    case .accept(_, let ballot, let value):
      let hash = value.hash
      if let other = proposed["\(place) \(ballot)"], other != hash { violate("ballot \(ballot) carries two values") }
      proposed["\(place) \(ballot)"] = hash
    case .promise, .nack, .accepted, .decided, .ask, .lease, .grant, .denied, .release, .join: break
    }
    let key: PublicKey?
    switch peer {
    case .node(let publicKey): key = publicKey
    case .origin(let origin): key = decisions[decisions.count - 1].value.register[origin]?.publicKey
    }
    guard let key else { return }
    transmit(.frame(to: Int(key.bytes[0]), type: signed.frameType, body: signed.body), from: node.index)
    onSend?(self, node, signed.message)
  }
}

extension WorldNode {
  func grow(_ origin: Int) {
    while log.count <= origin { log.append(0) }
  }

  func holds(_ value: ViewValue) -> Bool {
    value.base.enumerated().allSatisfy { place, head in head.sequence <= (place < log.count ? log[place] : 0) }
  }
}
