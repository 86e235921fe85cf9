import Primitives

/// What may go wrong in a run, one kind at a time.
package enum FaultKind: String, CaseIterable, Sendable {
  /// The cluster falls into two parts that do not hear each other.
  case partition
  /// One part hears the other, but not the other way round.
  case oneWayPartition = "one-way-partition"
  /// One link is cut, everything else is well.
  case cutLink = "cut-link"
  /// One direction of one link is cut.
  case oneWayCut = "one-way-cut"
  /// A connection is reset; what was on its way is lost.
  case reset
  /// A process does not run for a while, and then goes on as if nothing had been.
  case pause
  /// Every step of a process takes long.
  case slow
  /// A process is killed: what was not synced is gone, or a last transaction of it is torn.
  case crash
  /// All processes are killed at once.
  case powerLoss = "power-loss"
  /// A clock jumps ahead, further than others believe.
  case clockAhead = "clock-ahead"
  /// A clock jumps back.
  case clockBack = "clock-back"
  /// Every sync takes long.
  case slowDisk = "slow-disk"
  /// A sync fails; nobody knows what of it is on disk.
  case failedSync = "failed-sync"
  /// Nothing can be written for a while.
  case fullDisk = "full-disk"
  /// A start finds its disk unreadable for a while.
  case readError = "read-error"
  /// A bit of a stored batch flips, and the process is restarted.
  case flippedBit = "flipped-bit"
  /// A node loses its whole disk.
  case wipedDisk = "wiped-disk"
  /// A member leaves as it is asked to, and comes back later.
  case leave
  /// A machine that was no member from the start begins to run, and joins.
  case join
  /// A bit of a book in memory flips.
  case flippedBook = "flipped-book"
  /// A process leaves a final fill out of everything that follows from it.
  case skippedFill = "skipped-fill"
  /// A bit of a stored batch flips, or its row is gone, while the process runs.
  case damagedRow = "damaged-row"

  /// A process is damaged from within: only profiles that ask for it have such faults.
  var isDamage: Bool { self == .flippedBook || self == .skippedFill || self == .damagedRow }
}

/// One fault of a run's plan.
package struct Fault: Hashable, Sendable, CustomStringConvertible {
  package var kind: FaultKind
  /// Microseconds of virtual time.
  package var at: UInt64
  /// How long it lasts; for a crash, how long the node is down.
  package var microseconds: UInt64
  /// The node it hits first.
  package var node: Int
  /// What else it needs: members of the one side, the other end of a link, milliseconds of a jump.
  package var detail: UInt64

  package var description: String {
    let span = "\(VirtualTime(at)) for \(microseconds / 1000) ms"
    switch kind {
    case .partition, .oneWayPartition:
      let side = (0..<64).filter { detail & 1 << UInt64($0) != 0 }.map { "n\($0 + 1)" }.joined(separator: ",")
      return "\(span): \(kind.rawValue) of \(side)"
    case .oneWayCut: return "\(span): \(kind.rawValue) n\(node + 1)→n\(detail + 1)"
    case .cutLink, .reset: return "\(span): \(kind.rawValue) n\(node + 1)–n\(detail + 1)"
    case .clockAhead, .clockBack: return "\(span): \(kind.rawValue) n\(node + 1) by \(detail) ms"
    case .powerLoss: return "\(span): \(kind.rawValue)"
    default: return "\(span): \(kind.rawValue) n\(node + 1)"
    }
  }
}

/// Virtual microseconds, written as seconds.
package struct VirtualTime: CustomStringConvertible {
  package var microseconds: UInt64
  package init(_ microseconds: UInt64) { self.microseconds = microseconds }
  package var description: String {
    let fraction = "\(microseconds % 1_000_000 + 1_000_000)".dropFirst()
    return "\(microseconds / 1_000_000).\(fraction) s"
  }
}

/// How a run's world behaves: everything that its seed draws before the first step.
package struct SimulationProfile: Hashable, Sendable {
  /// What a connection does with its messages.
  package enum Transport: String, Sendable {
    /// As TCP: in order, each once; loss is delay.
    case stream
    /// As datagrams: messages are lost, come twice and overtake each other.
    case datagram
  }

  /// Members of view 0.
  package var nodes = 5
  /// Machines that may join later; each has a `join` fault.
  package var spares = 0
  package var seconds: UInt64 = 20
  package var fanout = 3
  package var transport = Transport.stream

  // Network, in microseconds one way
  package var latencyMin: UInt64 = 50
  package var latencyMax: UInt64 = 2_000
  /// Of a thousand messages, how many take ten times as long.
  package var tailPerMille: UInt64 = 0
  package var lossPerMille: UInt64 = 0
  package var duplicatePerMille: UInt64 = 0

  // Clocks
  /// Largest difference of two clocks, in milliseconds.
  package var skewMilliseconds: UInt64 = 0
  package var driftPerMillion: UInt64 = 0

  // Disk: how long a sync takes, in microseconds
  package var syncMin: UInt64 = 50
  package var syncMax: UInt64 = 500

  // Clients
  package var clients = 5
  package var burstMicroseconds: UInt64 = 50_000
  package var burstCommands = 8
  /// Of a thousand orders, how many are sent to a second node as well.
  package var repeatPerMille: UInt64 = 50
  /// Of a thousand orders with ids, how many have a cancel sent at the same time to another node.
  package var chasePerMille: UInt64 = 30

  // Limits of the nodes, small in some runs so that they are met
  package var retainedBatches = 512
  package var tentativeEntriesMax = 1_000_000
  /// From one snapshot to the next; 0 for none.
  package var snapshotSeconds: UInt64 = 0
  /// Entries of each origin that are kept below the older snapshot; nil for all.
  package var retainedEntries: UInt64?
  /// Who is no member and lacks more starts from a snapshot.
  package var snapshotBehindEntries: UInt64 = 10_000_000

  /// From one whole pass of the scrubber to the next.
  package var scrubMicroseconds: UInt64 = 2_000_000

  package var faults: [Fault] = []
  /// Indices of the plan that are left out, for shrinking.
  package var without: Set<Int> = []
  /// Commands of clients after which they fall silent; nil for no limit.
  package var commandsMax: Int?

  package init() {}

  /// Named sets of faults that a user may choose from.
  package enum Name: String, CaseIterable, Sendable {
    case calm
    case network
    /// Single links are cut for long, and all else is well: finality goes on.
    case links
    case clocks
    case disks
    case crashes
    /// Nodes come and go.
    case membership
    /// Each seed draws its own subset of everything.
    case swarm
    /// Memory fails: books are damaged while nodes come and go.
    case damage

    var kinds: [FaultKind] {
      switch self {
      case .calm: []
      case .network: [.partition, .oneWayPartition, .cutLink, .oneWayCut, .reset, .pause, .slow]
      case .links: [.cutLink, .oneWayCut]
      case .clocks: [.clockAhead, .clockBack]
      case .disks: [.slowDisk, .failedSync, .fullDisk, .readError, .flippedBit, .wipedDisk]
      case .crashes: [.crash, .powerLoss, .pause]
      case .membership: [.leave, .crash, .wipedDisk, .pause, .partition]
      case .swarm: FaultKind.allCases.filter { $0 != .join && !$0.isDamage }
      case .damage:
        [
          .flippedBook, .flippedBook, .flippedBook, .skippedFill, .damagedRow, .damagedRow, .crash, .pause, .partition,
          .cutLink,
        ]
      }
    }
  }

  /// What a seed draws.
  /// - Parameters:
  ///   - nodes: nil lets the seed choose between 3 and 7.
  ///   - seconds: of virtual time in which clients send and faults happen.
  package static func draw(seed: UInt64, name: Name = .swarm, nodes: Int?, seconds: UInt64) -> SimulationProfile {
    var generator = SeededGenerator(seed: seed &* 0x9E37_79B9_7F4A_7C15 ^ 0x5249_414C_544F)
    var profile = SimulationProfile()
    profile.nodes = nodes ?? generator.pick(3...7)
    profile.seconds = seconds
    profile.fanout = [1, 2, 3, 3, 4][generator.pick(0...4)]
    let isCalm = name == .calm
    let hasNetwork = !isCalm && (name == .network || name == .swarm)
    profile.latencyMin = UInt64(generator.pick(20...500))
    profile.latencyMax = profile.latencyMin + [200, 1_000, 5_000, 40_000][generator.pick(0...3)]
    if hasNetwork {
      profile.tailPerMille = UInt64(generator.pick(0...20))
      if generator.chance(1, of: 2) { profile.transport = .datagram }
      if generator.chance(2, of: 3) { profile.lossPerMille = UInt64(generator.pick(0...300)) }
      if profile.transport == .datagram { profile.duplicatePerMille = UInt64(generator.pick(0...100)) }
    }
    if [.clocks, .membership, .swarm].contains(name) {
      profile.skewMilliseconds = [0, 5, 100, 400][generator.pick(0...3)]
      profile.driftPerMillion = [0, 50, 500][generator.pick(0...2)]
    }
    profile.syncMax = profile.syncMin + [100, 1_000, 5_000][generator.pick(0...2)]
    profile.burstMicroseconds = [20_000, 50_000, 100_000][generator.pick(0...2)]
    // A good hundred orders a second: two thirds of all commands are orders.
    profile.burstCommands = Int(profile.burstMicroseconds * 190 / 1_000_000)
    profile.retainedBatches = [8, 64, 512][generator.pick(0...2)]
    if generator.chance(1, of: 6) { profile.tentativeEntriesMax = generator.pick(200...2_000) }
    var kinds = name.kinds
    if name == .swarm { kinds = kinds.filter { _ in generator.chance(2, of: 3) } }
    if name == .membership || name == .swarm { profile.spares = [0, 0, 1, 2][generator.pick(0...3)] }
    profile.planFaults(kinds, &generator)
    if generator.chance(1, of: 2) {
      profile.snapshotSeconds = [1, 2, 5][generator.pick(0...2)]
      if generator.chance(3, of: 4) { profile.retainedEntries = [0, 20, 300][generator.pick(0...2)] }
      if generator.chance(1, of: 3) { profile.snapshotBehindEntries = 100 }
    }
    return profile
  }

  /// Draws the faults. What destroys data hits only a fixed minority of nodes: a majority keeps what was promised.
  private mutating func planFaults(_ kinds: [FaultKind], _ generator: inout SeededGenerator) {
    guard !kinds.isEmpty else { return }
    let unlucky = generator.pick(0...(nodes - 1))
    let minority = (0..<((nodes - 1) / 2)).map { (unlucky + $0) % nodes }
    let interval = [400_000, 1_500_000, 5_000_000][generator.pick(0...2)]
    var at: UInt64 = 500_000
    let end = seconds * 1_000_000
    for spare in 0..<spares {
      let begin = 1_000_000 + generator.below(20_000_000)
      if begin < end { faults.append(Fault(kind: .join, at: begin, microseconds: 0, node: nodes + spare, detail: 0)) }
    }
    while true {
      at += UInt64(generator.pick(interval / 4...interval * 2))
      guard at < end else { break }
      let kind = kinds[generator.pick(0...(kinds.count - 1))]
      var fault = Fault(
        kind: kind, at: at, microseconds: UInt64(generator.pick(5_000...3_000_000)),
        node: generator.pick(0...(nodes - 1)), detail: 0)
      switch kind {
      case .partition, .oneWayPartition:
        let all = (UInt64(1) << UInt64(nodes)) - 1
        fault.detail = generator.below(all - 1) + 1
      case .cutLink, .oneWayCut, .reset:
        // Now and then for longer than anybody waits who gets nowhere without that link.
        if kind != .reset, generator.chance(1, of: 3) { fault.microseconds += 8_000_000 }
        fault.detail = UInt64((fault.node + generator.pick(1...max(1, nodes - 1))) % nodes)
      case .clockAhead, .clockBack: fault.detail = UInt64(generator.pick(100...10_000))
      case .flippedBit:
        if minority.isEmpty { continue }
        fault.node = minority[generator.pick(0...(minority.count - 1))]
        fault.detail = generator.next()
      case .flippedBook, .skippedFill, .damagedRow:
        if minority.isEmpty { continue }
        fault.node = minority[generator.pick(0...(minority.count - 1))]
        fault.detail = generator.next()
      case .wipedDisk:
        if minority.isEmpty || !generator.chance(1, of: 3) { continue }
        fault.node = minority[generator.pick(0...(minority.count - 1))]
      case .crash, .pause:
        // Now and then for so long that others give it up for sure.
        if generator.chance(1, of: 4) { fault.microseconds += 3_000_000 }
      case .leave: fault.microseconds += 500_000
      case .powerLoss:
        if !generator.chance(1, of: 4) { continue }
      default: break
      }
      faults.append(fault)
    }
    faults.sort { ($0.at, $0.node) < ($1.at, $1.node) }
  }

  /// The faults that happen.
  package var plan: [Fault] { faults.indices.filter { !without.contains($0) }.map { faults[$0] } }

  /// For a person, in a few lines.
  package var lines: [String] {
    [
      "\(nodes) nodes" + (spares > 0 ? " and \(spares) that join" : "")
        + ", \(seconds) s, fanout \(fanout), \(clients) clients, \(burstCommands) commands every "
        + "\(burstMicroseconds / 1000) ms",
      "\(transport.rawValue): latency \(latencyMin) to \(latencyMax) µs, \(tailPerMille) ‰ ten times that, loss "
        + "\(lossPerMille) ‰, duplicates \(duplicatePerMille) ‰; sync \(syncMin) to \(syncMax) µs",
      "memory: \(retainedBatches) batches an origin, at most \(tentativeEntriesMax) tentative entries",
      "snapshots: "
        + (snapshotSeconds == 0
          ? "none"
          : "each \(snapshotSeconds) s, " + (retainedEntries.map { "\($0) entries kept below" } ?? "all entries kept")),
      "clocks: skew \(skewMilliseconds) ms, drift \(driftPerMillion) ppm; \(plan.count) faults",
    ]
  }
}
