import ArgumentParser
import Client
import Diagnostics
import EventLog
import OrderBook
import Primitives
import Wire

/// `rialto explain`: the life of an order.
struct ExplainCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "explain",
    abstract: "Tells the life of an order: where it entered, who brought it to whom, when it was final, its fills.",
    discussion: """
      ORDER is the order's dot (2-1234), or its client order id with --account.
      Every node of the cluster that can be reached is asked when the order came
      to it; nodes remember that for an hour.

      Examples:
        rialto explain 2-1234 --to 127.0.0.1:7001
        rialto explain my-order-7 --account 3 --to 127.0.0.1:7001 --json

      Exit codes: 0 told; 1 no such order; 2 could not (no node was reached).
      """)

  @Argument(help: "Dot of the order, or its client order id.") var order: String
  @Flag(help: "Print the result as one JSON object on one line.") var json = false
  @OptionGroup var nodes: NodeOptions

  /// What all nodes know of it.
  private struct Life {
    var dot: Dot
    var batch: Divergence.CheckedBatch
    var entry: Entry
    var fate: OrderFate?
    var traces: [EntryTrace] = []
  }

  func run() async throws {
    try await explaining {
      let client = try await nodes.connectToAny()
      let witness = NodeWitness(client: client, address: nodes.to.addresses[0])
      guard let dot = try await find(client) else {
        Output.errorLine(CommandError("there is no order \(order) of account \(nodes.account)"))
        throw ExitCode.notGood
      }
      guard case .overview(let overview) = try await witness.ask(.overview),
        case .batch(let stored) = try await witness.ask(.batch(dot.origin, sequence: dot.sequence))
      else { throw CommandError("\(client.welcome.nodeName) does not say where it has the order") }
      guard let stored else {
        Output.errorLine(
          CommandError(
            "\(client.welcome.nodeName) has no entry \(dot) in its log",
            advice: "it may be on its way, or be part of a snapshot; ask another node"))
        throw ExitCode.notGood
      }
      let batch = Divergence.CheckedBatch(
        checking: stored, of: dot.origin, cluster: overview.cluster, SignatureCheck.shared)
      let place = Int(clamping: dot.sequence - stored.firstSequence)
      guard place < batch.entries.count else {
        throw CommandError("the batch of \(dot) at \(client.welcome.nodeName) is damaged", advice: "rialto verify")
      }
      var life = Life(dot: dot, batch: batch, entry: batch.entries[place])
      if case .fate(let fate) = try await witness.ask(.fate(dot)) { life.fate = fate }
      life.traces = try await traces(witness, dot, life.entry.stamp)
      var text = HistoryText([])
      if case .instruments(let named) = try await witness.ask(.instruments) { text = HistoryText(named) }
      if json {
        Output.result(Self.json(life, text).text)
      } else {
        Self.lines(life, text).forEach(Output.result)
      }
    }
  }

  private func find(_ client: RialtoClient) async throws -> Dot? {
    if let dot = Dot(order) { return dot }
    guard let id = ClientOrderID(order) else {
      throw CommandError(
        "'\(order)' is neither a dot nor a client order id",
        advice: "a dot is origin-sequence, an id has at most \(Limits.clientOrderIDBytesMax) bytes")
    }
    do throws(ClientError) {
      return try await client.order(.client(id)).dot
    } catch {
      if case .requestRefused(let refusal) = error, refusal.code == .notFound { return nil }
      throw error
    }
  }

  private func traces(_ witness: NodeWitness, _ dot: Dot, _ stamp: Stamp) async throws -> [EntryTrace] {
    var traces: [EntryTrace] = []
    if case .trace(let own) = try await witness.ask(.trace(dot, stamp)) { traces.append(own) }
    for peer in try await witness.client.peers() {
      guard let address = Address(peer.address), address.port > 0 else { continue }
      do {
        let other = NodeWitness(client: try await nodes.connect(to: address), address: address)
        if case .trace(let trace) = try await other.ask(.trace(dot, stamp)) { traces.append(trace) }
        await other.client.close()
      } catch {
        Output.note("\(peer.name) at \(address): \(error)")
      }
    }
    return traces.sorted { ($0.arrivedMilliseconds ?? .max, $0.name) < ($1.arrivedMilliseconds ?? .max, $1.name) }
  }

  // MARK: Telling

  private static func time(_ milliseconds: UInt64) -> String {
    HistoryText.time(Stamp(milliseconds: milliseconds))
  }

  private static func lines(_ life: Life, _ text: HistoryText) -> [String] {
    let stored = life.batch.batch
    var lines = ["order \(life.dot)   \(text.text(life.entry))"]
    lines.append(
      "entered        at \(stored.name), stamped \(HistoryText.time(life.entry.stamp)) (\(life.entry.stamp))")
    let state = life.batch.isSigned ? "signed by \(stored.name), checked" : "NOT what \(stored.name) has signed"
    let hash = stored.hash.description.prefix(16)
    lines.append("batch          \(stored.firstSequence)…\(stored.lastSequence), hash \(hash), \(state)")
    lines.append("")
    var table = TextTable([
      ("node", .left), ("got it", .left), ("from", .left), ("final", .left), ("taken back", .right),
    ])
    for trace in life.traces {
      let taken = trace.rollbacks.isEmpty ? "-" : "\(trace.rollbacks.count)×"
      table.add([
        trace.name, trace.arrivedMilliseconds.map(time) ?? (trace.isHeld ? "over an hour ago" : "not yet"),
        trace.source.isEmpty ? (trace.arrivedMilliseconds == nil ? "" : "a client") : trace.source,
        trace.isFinal ? trace.finalMilliseconds.map(time) ?? "yes" : "tentative", taken,
      ])
    }
    lines += table.lines
    for trace in life.traces {
      for rollback in trace.rollbacks {
        lines.append(
          "               \(trace.name): taken back and applied again among \(rollback.entries.grouped) entries, "
            + time(rollback.milliseconds))
      }
    }
    lines.append("")
    guard let fate = life.fate else {
      lines.append("not an order that is final: nothing is in the tables yet")
      return lines
    }
    lines.append(
      "now            \(statusText(fate)); changed last by \(fate.changedBy), \(HistoryText.time(fate.changedStamp))")
    if fate.triggeredStamp != .zero { lines.append("triggered      \(HistoryText.time(fate.triggeredStamp))") }
    for attested in fate.fills {
      lines.append("fill \("\(attested.fill.number)".padded(9)) \(text.text(attested.fill))")
      lines.append(
        "               "
          + (attested.attestation.map { "published as \($0), \(HistoryText.time(attested.attestedStamp))" }
            ?? "not published yet, or not kept any more"))
    }
    if fate.fillsTotal > UInt64(fate.fills.count) {
      lines.append("               and \((fate.fillsTotal - UInt64(fate.fills.count)).grouped) more")
    }
    return lines
  }

  private static func statusText(_ fate: OrderFate) -> String {
    switch fate.status {
    case .pending: "pending"
    case .open: "open"
    case .partiallyFilled: "partially filled"
    case .filled: "filled"
    case .cancelled: "cancelled\(CancelReason(rawValue: fate.reason).map { " (\($0))" } ?? "")"
    case .expired: "expired"
    case .rejected: "rejected\(RejectReason(rawValue: fate.reason).map { " (\($0))" } ?? "")"
    }
  }

  private static func json(_ life: Life, _ text: HistoryText) -> JSONLine {
    var line = JSONLine()
    line.add("order", life.dot.description)
    line.add("entry", text.text(life.entry))
    line.add("entered_at", life.batch.batch.name)
    line.add("stamp", life.entry.stamp.value)
    var batch = JSONLine()
    batch.add("first", life.batch.batch.firstSequence)
    batch.add("last", life.batch.batch.lastSequence)
    batch.add("hash", life.batch.batch.hash.description)
    batch.add("signed", life.batch.isSigned)
    line.add("batch", batch)
    line.add(
      "nodes",
      life.traces.map { trace in
        var one = JSONLine()
        one.add("name", trace.name)
        add("arrived_ms", trace.arrivedMilliseconds, to: &one)
        one.add("from", trace.source)
        one.add("held", trace.isHeld)
        one.add("final", trace.isFinal)
        add("final_ms", trace.finalMilliseconds, to: &one)
        one.add("rollbacks", trace.rollbacks.count)
        return one
      })
    guard let fate = life.fate else {
      line.addNull("status")
      return line
    }
    line.add("status", statusText(fate))
    line.add("open_lots", fate.openLots)
    line.add("filled_lots", fate.filledLots)
    line.add("fills_total", fate.fillsTotal)
    line.add(
      "fills",
      fate.fills.map { attested in
        var one = JSONLine()
        one.add("number", attested.fill.number)
        one.add("maker", attested.fill.maker.description)
        one.add("taker", attested.fill.taker.description)
        one.add("price_ticks", attested.fill.priceTicks)
        one.add("quantity_lots", attested.fill.quantityLots)
        one.add("attestation", attested.attestation?.description)
        return one
      })
    return line
  }

  private static func add(_ key: String, _ number: UInt64?, to line: inout JSONLine) {
    if let number { line.add(key, number) } else { line.addNull(key) }
  }
}
