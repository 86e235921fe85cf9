import ArgumentParser
import Client
import Wire

/// `rialto status`: what nodes say of themselves.
struct StatusCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status", abstract: "Shows the state of nodes, and whether they agree.",
    discussion: """
      With --cluster, every node that the given ones know of is asked, too.

      Examples:
        rialto status --to 127.0.0.1:7001
        rialto status --cluster --to 127.0.0.1:7001 --json

      Exit codes: 0 all were reached, and those that hold the same entries hold
      the same book; 1 not so; 2 could not (none was reached).
      """)

  @Flag(help: "Ask every node of the cluster.") var cluster = false
  @Flag(help: "Print the result as one JSON object on one line.") var json = false
  @OptionGroup var nodes: NodeOptions

  private static let asksMax = 5
  private static let askAgainMilliseconds = 300

  func run() async throws {
    try await explaining {
      var survey = await survey()
      // A node that has just caught up may tell a book hash from a moment before.
      for _ in 0..<Self.asksMax where !survey.agrees {
        try await Task.sleep(for: .milliseconds(Self.askAgainMilliseconds))
        survey = await self.survey()
      }
      guard !survey.found.isEmpty else {
        throw survey.failures.first?.error ?? CommandError("no node was reached")
      }
      for (address, error) in survey.failures { Output.note("\(address): \(error)") }
      if json {
        var line = JSONLine()
        line.add("nodes", survey.found.map { Self.json($0.status, $0.address) })
        line.add("unreachable", survey.failures.map(\.address.description))
        line.add("same_entries", survey.holdSameEntries)
        line.add("agreement", survey.agrees)
        Output.result(line.text)
      } else {
        Self.table(survey).lines.forEach(Output.result)
        Output.result(survey.verdict)
      }
      if !survey.failures.isEmpty || !survey.agrees { throw ExitCode.notGood }
    }
  }

  /// Asks the given nodes and, for a cluster, those that they name, until nobody new is named.
  private func survey() async -> Survey {
    var survey = Survey()
    var waiting = nodes.to.addresses
    var asked: Set<Address> = []
    while !waiting.isEmpty {
      let address = waiting.removeFirst()
      guard asked.insert(address).inserted else { continue }
      do {
        let client = try await nodes.connect(to: address)
        let status = try await client.status()
        await client.close()
        // One node may be known by several addresses.
        if survey.found.contains(where: { $0.status.nodeID == status.nodeID }) { continue }
        survey.found.append((address, status))
        if cluster { waiting += status.peers.compactMap { Address($0.address) } }
      } catch {
        survey.failures.append((address, error))
      }
    }
    survey.found.sort { ($0.status.origin ?? .max, $0.status.name) < ($1.status.origin ?? .max, $1.status.name) }
    return survey
  }

  private static func table(_ survey: Survey) -> TextTable {
    // A column of its own only while somebody is cut off on purpose.
    let isCut = survey.found.contains { !$0.status.cutFrom.isEmpty }
    var table = TextTable(
      [
        ("node", .left), ("address", .left), ("origin", .right), ("view", .right), ("entries", .right),
        ("orders", .right), ("fills", .right), ("tentative", .right), ("lag ms", .right), ("peers", .right),
        ("book", .left), ("health", .left),
      ] + (isCut ? [("cut from", .left)] : []))
    for (address, status) in survey.found {
      let connected = status.peers.count { $0.connected }
      let cells = [
        status.name, address.description, status.origin.map { "\($0)" } ?? "-",
        "\(status.view)" + (status.isWedged ? "…" : ""), status.entries.grouped, status.orders.grouped,
        status.fills.grouped, status.tentative.grouped, status.lagMilliseconds.grouped,
        "\(connected)/\(status.peers.count)", status.serves ? String(status.bookHash.prefix(8)) : "-",
        status.health + (status.findingsOpen > 0 ? " (\(status.findingsOpen) open)" : ""),
      ]
      table.add(cells + (isCut ? [status.cutFrom.joined(separator: ", ")] : []))
    }
    return table
  }

  private static func json(_ mutex: JoinMutexStatus) -> JSONLine {
    var line = JSONLine()
    if let holder = mutex.holder { line.add("holder", holder) } else { line.addNull("holder") }
    line.add("held_ms", mutex.heldMilliseconds)
    line.add("grants_total", mutex.grantsTotal)
    return line
  }

  private static func json(_ queues: QueueStatus) -> JSONLine {
    var line = JSONLine()
    line.add("unapplied", queues.unapplied)
    line.add("uncommitted", queues.uncommitted)
    line.add("audit", queues.audit)
    line.add("peer_bytes", queues.peerBytes)
    line.add("client_bytes", queues.clientBytes)
    line.add("reads", queues.reads)
    return line
  }

  private static func json(_ status: NodeStatus, _ address: Address) -> JSONLine {
    var line = JSONLine()
    line.add("name", status.name)
    line.add("address", address.description)
    line.add("node_id", status.nodeID)
    line.add("cluster_id", status.clusterID)
    if let origin = status.origin { line.add("origin", origin) } else { line.addNull("origin") }
    line.add("view", status.view)
    line.add("members", status.members)
    line.add("wedged", status.isWedged)
    line.add("view_changes", status.viewChanges)
    line.add("view_entered_us", status.viewEnteredAt)
    line.add(
      "events",
      status.events.map { event in
        var line = JSONLine()
        line.add("kind", event.kind.rawValue)
        if let origin = event.origin { line.add("origin", origin) } else { line.addNull("origin") }
        line.add("view", event.view)
        line.add("at_us", event.at)
        return line
      })
    line.add(
      "pauses",
      status.pauses.map { pause in
        var line = JSONLine()
        line.add("from_us", pause.from)
        line.add("us", pause.microseconds)
        return line
      })
    line.add("final_stamp", status.finalStamp)
    line.add("finality_lag_ms", status.lagMilliseconds)
    line.add("quarantined", status.quarantined)
    line.add("join_mutex", json(status.joinMutex))
    line.add("queues", json(status.queues))
    line.add("cut_from", status.cutFrom)
    line.add("entries", status.entries)
    line.add("orders", status.orders)
    line.add("fills", status.fills)
    line.add("applied", status.applied)
    line.add("tentative", status.tentative)
    line.add("lag_ms", status.lagMilliseconds)
    line.add("trades_hash", status.tradesHash)
    line.add("audit_lag", status.auditLag)
    line.add("book_hash", status.bookHash)
    line.add(
      "peers",
      status.peers.map { peer in
        var line = JSONLine()
        line.add("name", peer.name)
        line.add("address", peer.address)
        line.add("connected", peer.connected)
        return line
      })
    line.add("ready", status.ready)
    line.add("missing", status.missing)
    line.add("snapshot_number", status.snapshotNumber)
    line.add("snapshot_entries", status.snapshotEntries)
    line.add("compacted_entries", status.logBase.reduce(0, +))
    line.add("resting_orders", status.restingOrders)
    line.add("applications", status.applications)
    line.add("reapplications", status.undone)
    line.add("rollbacks", status.rollbacks)
    line.add("rollback_depth_max", status.rollbackDepthMax)
    line.add("book_mismatches", status.bookMismatches)
    line.add("health", status.health)
    line.add("scrub_per_mille", status.scrubPerMille)
    line.add("scrub_passes", status.scrubPasses)
    line.add("scrub_ended_ms", status.scrubEndedMilliseconds)
    line.add("findings_open", status.findingsOpen)
    line.add("findings_total", status.findingsTotal)
    line.add("last_finding", status.lastFinding)
    line.add("fsync_p50_us", status.fsyncP50Microseconds)
    line.add("fsync_p99_us", status.fsyncP99Microseconds)
    line.add("uptime_seconds", status.uptimeSeconds)
    line.add("version", status.version)
    return line
  }
}

extension NodeStatus {
  /// Whether it takes orders and answers reads, as far as its book is concerned.
  var serves: Bool { health == "sound" || health == "suspect" }
}

/// The nodes that were asked, and what they said.
private struct Survey {
  var found: [(address: Address, status: NodeStatus)] = []
  var failures: [(address: Address, error: any Error)] = []

  var holdSameEntries: Bool { found.allSatisfy { $0.status.vector == found[0].status.vector } }

  /// Nodes that hold and have applied the same entries have the same book. Trades are told from tables that may lag, so
  /// their hash decides nothing here.
  var agrees: Bool {
    found.allSatisfy { $0.status.serves }
      && found.indices.allSatisfy { left in
        found.indices.allSatisfy { right in
          let (one, other) = (found[left].status, found[right].status)
          let areComparable =
            one.vector == other.vector && one.applied == other.applied && one.applied == one.entries
            && one.tentative == 0 && other.tentative == 0
          return !areComparable || one.bookHash == other.bookHash
        }
      }
  }

  var verdict: String {
    let ill = found.filter { !$0.status.serves }.map { "\($0.status.name) is \($0.status.health)" }
    if !ill.isEmpty { return ill.joined(separator: ", ") + ": it serves nothing; see `rialto findings`" }
    if !agrees { return "DISAGREEMENT: nodes with the same entries have different books" }
    let tentative = found.map(\.status.tentative).max() ?? 0
    if tentative > 0, Set(found.map(\.status.bookHash)).count > 1 {
      return "up to \(tentative.grouped) entries are not final yet; the books cannot be compared, ask again"
    }
    if found.count == 1 { return "one node" }
    return holdSameEntries ? "all agree" : "not all hold the same entries yet; ask again"
  }
}
