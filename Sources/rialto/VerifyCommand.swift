import ArgumentParser
import Client
import EventLog
import Forensics
import Foundation
import OrderBook
import Primitives
import Wire

/// `rialto verify`: a node's file without its node.
struct VerifyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Checks a node's file: log, signatures, checkpoints, snapshots and derived tables.",
    discussion: """
      DIR is a node's data directory. Nothing in it is changed, and its node may run. Every batch is checked by itself
      and in its chain; then the history is derived again from the log, and held against what the file says of it. The
      derived tables are written anew beside it, into a temporary directory as large as they are.

      With --repair the node must not run. Batches that are damaged or missing are fetched from running nodes; they are
      believed only if the chain and their author's signature say that they are right. What was there is kept aside, in
      the table void_log. Derived tables are written anew, damaged snapshots dropped. Then all is checked again.

      Examples:
        rialto verify n1
        rialto verify n1 --json
        rialto verify n1 --repair --from 127.0.0.1:7002,127.0.0.1:7003

      Exit codes: 0 sound (with --repair: sound now); 1 damaged; 2 could not tell.
      """)

  @Argument(help: "Data directory of a node.", completion: .directory) var directory: String
  @Option(help: "Member list of the cluster. (default: genesis.json in DIR or above it)") var genesis: String?
  @Flag(help: "Repair what can be repaired; the node must not run.") var repair = false
  @Option(help: ArgumentHelp("With --repair: running nodes, several with commas between them.", valueName: "host:port"))
  var from: AddressList?
  @Option(help: "Damages of a kind that are listed; all are counted.") var list = 20
  @Flag(help: "Print the result as one JSON object on one line.") var json = false

  func validate() throws {
    guard (1...100_000).contains(list) else { throw ValidationError("--list must be 1 to 100000.") }
    guard from == nil || repair else { throw ValidationError("--from is for --repair.") }
  }

  func run() async throws {
    try await explaining {
      let clock = ContinuousClock()
      let start = clock.now
      var options = Verification.Options()
      options.damagesMax = list
      options.threads = ProcessInfo.processInfo.activeProcessorCount
      let file = try NodePlace.open(directory, genesis: genesis)
      var report = try verify(file, options)
      var done: [String] = []
      if repair, !report.isSound {
        let found = report
        file.store.close()
        if !json { describe(found, file, clock.now - start) }
        done = try await mend(found, options)
        let mended = try NodePlace.open(directory, genesis: genesis)
        report = try verify(mended, options)
        if !json {
          Output.result("")
          done.forEach { Output.result("repair: " + $0) }
          Output.result("")
        }
      }
      if json {
        Output.result(line(report, file, clock.now - start, done).text)
      } else {
        describe(report, file, clock.now - start)
      }
      if !report.isSound { throw ExitCode.notGood }
    }
  }

  private func verify(_ file: NodeFile, _ options: Verification.Options) throws -> VerificationReport {
    var shown = ContinuousClock.now
    defer { Output.progress("") }
    do throws(CannotTell) {
      return try Verification.run(file, options) { progress in
        guard Output.isTerminal, ContinuousClock.now - shown > .milliseconds(100) else { return }
        shown = .now
        let share = progress.total > 0 ? " \(min(100, progress.done * 100 / progress.total)) %" : ""
        Output.progress("\(progress.phase.rawValue):\(share) (\(progress.done.grouped))")
      }
    } catch {
      throw CommandError(error.description)
    }
  }

  // MARK: Repair

  private func mend(_ report: VerificationReport, _ options: Verification.Options) async throws -> [String] {
    let source = PeerLogs(addresses: from?.addresses ?? [])
    do {
      var repair = try Repair(directory, genesis: try NodePlace.genesis(genesis, near: directory))
      defer { repair.close() }
      try await repair.mendLog(report) { origin, first, last in try await source.batches(origin, first, last) }
      await source.close()
      try repair.mendRest(options)
      return repair.done
    } catch let error as CannotTell {
      await source.close()
      throw CommandError(error.description)
    }
  }

  // MARK: Output

  private func describe(_ report: VerificationReport, _ file: NodeFile, _ duration: Duration) {
    let counts = report.counts
    var table = TextTable([("node", .left), ((file.nodeName ?? "unknown") + ", \(directory)", .left)])
    table.add(["cluster", file.cluster.prefix(16)])
    table.add([
      "log", "\(counts.batches.grouped) batches, \(counts.entries.grouped) entries, \(counts.bytes.short)B",
    ])
    table.add(["signatures", counts.signatures.grouped])
    if counts.setAside > 0 { table.add(["kept aside", "\(counts.setAside.grouped) batches"]) }
    table.add(["derived again", "\(counts.replayed.grouped) entries, \(counts.fills.grouped) fills"])
    table.add(["checkpoints", "\(counts.checkpoints.grouped), \(counts.attestations.grouped) attestations"])
    table.add(["snapshots", counts.snapshots.grouped])
    table.add(["table rows", counts.rows.grouped])
    table.add(["time", duration.short])
    table.lines.forEach(Output.result)
    report.notes.forEach { Output.result("note: \($0)") }
    for damage in report.damages { Output.result("DAMAGED \(damage.kind.rawValue): \(damage.text)") }
    let unlisted = report.damageCount - UInt64(report.damages.count)
    if unlisted > 0 { Output.result("and \(unlisted.grouped) more") }
    Output.result(report.isSound ? "sound" : "damaged: \(report.damageCount.grouped) found")
  }

  private func line(
    _ report: VerificationReport, _ file: NodeFile, _ duration: Duration, _ done: [String]
  ) -> JSONLine {
    var line = JSONLine()
    line.add("verdict", report.isSound ? "sound" : "damaged")
    line.add("node", file.nodeName)
    line.add("cluster", file.cluster.description)
    line.add("batches", report.counts.batches)
    line.add("entries", report.counts.entries)
    line.add("bytes", report.counts.bytes)
    line.add("signatures", report.counts.signatures)
    line.add("replayed", report.counts.replayed)
    line.add("fills", report.counts.fills)
    line.add("checkpoints", report.counts.checkpoints)
    line.add("attestations", report.counts.attestations)
    line.add("snapshots", report.counts.snapshots)
    line.add("rows", report.counts.rows)
    line.add("damage_count", report.damageCount)
    line.add("damages", report.damages.map { Self.line($0, file) })
    line.add("notes", report.notes)
    if repair { line.add("repairs", done) }
    line.add("seconds", seconds: duration)
    return line
  }

  private static func line(_ damage: Damage, _ file: NodeFile) -> JSONLine {
    var line = JSONLine()
    line.add("kind", damage.kind.rawValue)
    if let origin = damage.origin {
      line.add("origin", origin.value)
      line.add("name", file.name(origin))
    }
    if let first = damage.first { line.add("first", first) }
    if let last = damage.last { line.add("last", last) }
    if let number = damage.number { line.add("checkpoint", number) }
    if let order = damage.order { line.add("order", order.description) }
    if let fill = damage.fill { line.add("fill", fill) }
    if let table = damage.table { line.add("table", table) }
    if let found = damage.found { line.add("found", found) }
    if let expected = damage.expected { line.add("expected", expected) }
    line.add("text", damage.text)
    return line
  }
}

/// Logs of running nodes, batch by batch; asks the next one if one does not have what is wanted.
actor PeerLogs {
  private let addresses: [Address]
  private var clients: [RialtoClient?]

  init(addresses: [Address]) {
    self.addresses = addresses
    clients = Array(repeating: nil, count: addresses.count)
  }

  /// Of each node that answers: the batches of an origin from `first` through `last`, as far as it has them.
  func batches(_ origin: OriginIndex, _ first: UInt64, _ last: UInt64) async throws -> [(String, [SealedBatch])] {
    guard !addresses.isEmpty else {
      throw CannotTell("batches have to be fetched: name running nodes with --from host:port")
    }
    var answers: [(String, [SealedBatch])] = []
    for place in addresses.indices {
      var found: [SealedBatch] = []
      do {
        let client = try await client(place)
        var next = first
        while next <= last {
          let (batches, _) = try await client.log(of: origin, from: next, through: last)
          if batches.isEmpty { break }
          for batch in batches {
            let header = try BatchHeader(canonicalBytes: batch.bytes)
            guard header.lastSequence >= next else { throw CannotTell("its batches do not ascend") }
            next = header.lastSequence + 1
            found.append(SealedBatch(bytes: batch.bytes, view: batch.view, signature: batch.signature))
          }
        }
      } catch {
        Output.note("\(addresses[place]) does not help with origin \(origin), \(first)–\(last): \(error)")
      }
      if !found.isEmpty { answers.append((addresses[place].description, found)) }
    }
    return answers
  }

  private func client(_ place: Int) async throws -> RialtoClient {
    if let known = clients[place] { return known }
    let client = try await Connecting.connect(to: addresses[place], account: AccountID(1))
    clients[place] = client
    return client
  }

  func close() async {
    for client in clients { await client?.close() }
    clients = Array(repeating: nil, count: addresses.count)
  }
}
