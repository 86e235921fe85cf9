import EventLog
import Gossip
import OrderBook
import Primitives
import Replica

/// Follows a run as it happens.
protocol SimulationObserver: AnyObject {
  func noted(_ what: Timeline.What, _ node: SimulatedNode)
  /// A client is told that its requests have become entries.
  func accepted(_ request: UInt64, _ first: Dot, _ stamps: [Stamp], _ node: SimulatedNode)
  func refused(_ request: UInt64, _ reason: RefusalReason, _ node: SimulatedNode)
}

/// Writes down what a reader of a scenario wants to know, and keeps what expectations ask for.
final class ScenarioRecorder {
  /// Nodes that say the same within this time share a line.
  private static let sharedMicroseconds: UInt64 = 20_000

  private struct Line {
    var at: UInt64
    var who: [String]
    var text: String
  }

  /// One node, as it has shown itself.
  struct Seen {
    var held = VersionVector()
    var rollbacks: UInt64 = 0
    var undone: UInt64 = 0
    var finals = ScenarioFinals()
    /// Final entries that were written down: after a restart a node tells them again.
    var shownDots: Set<Dot> = []
    /// As which member it was last seen.
    var member: OriginIndex?
    /// Members that it gave up.
    var gaveUp: Set<OriginIndex> = []
  }

  /// What a client asked, by the number of its submission.
  struct Asked {
    var text: String
    /// How entries of it are called besides their dots.
    var label: String?
    var answer: Scenario.Answer = .unanswered
  }

  private(set) var transcript: [String] = []
  private var lines: [Line] = []
  var seen: [Seen]
  private(set) var askedBySubmission: [Int: Asked] = [:]
  /// In the order in which clients were told of them.
  private(set) var accepted: [(dot: Dot, stamp: Stamp, submission: Int)] = []
  private var labelByDot: [Dot: String] = [:]
  /// The newest dot of an order that came again, by the first one.
  private var presentByDot: [Dot: Dot] = [:]
  /// What clients were told last, by the dot that they know.
  private(set) var toldByDot: [Dot: OrderReport] = [:]
  /// When the script's time 0 was; nothing is written before.
  private var start: UInt64?
  weak var world: Simulation?

  /// What was sent again is not written again.
  var shownMessages: Set<String> = []

  init(nodes: Int, spares: Int) {
    seen = (0..<nodes + spares).map { Seen(member: $0 < nodes ? OriginIndex(UInt32($0)) : nil) }
  }

  private func clock() -> UInt64 { world?.now ?? 0 }

  // MARK: Writing

  func begin() { start = clock() }

  /// Ends the transcript: what comes after this is not written.
  func end() {
    flush()
    start = nil
  }

  /// A line of the script, at the margin.
  func echo(_ line: String) {
    flush()
    transcript.append(line)
  }

  func write(_ text: String) { write([], text) }

  func write(_ node: SimulatedNode, _ text: String) {
    noteRollbacks(node)
    write([node.name], text)
  }

  private func write(_ who: [String], _ text: String) {
    guard start != nil else { return }
    let now = clock()
    // Each node's own lines stay in their order.
    if let first = who.first,
      let place = lines.lastIndex(where: { $0.text == text || $0.who.contains(first) }), lines[place].text == text,
      !lines[place].who.contains(first), now <= lines[place].at + Self.sharedMicroseconds
    {
      lines[place].who.append(contentsOf: who)
      return
    }
    lines.append(Line(at: now, who: who, text: text))
  }

  private func flush() {
    guard let start else { return }
    for line in lines {
      let milliseconds = (line.at - start) / 1_000
      let time = "\(milliseconds / 1_000).\("\(milliseconds % 1_000 + 1_000)".dropFirst())"
      let who = line.who.sorted { ($0.count, $0) < ($1.count, $1) }.joined(separator: " ")
      let padding = String(repeating: " ", count: max(0, max(8, 3 * seen.count - 1) - who.count))
      transcript.append("    \(time) s  \(who)\(padding)  \(line.text)")
    }
    lines.removeAll()
  }

  // MARK: Names

  func ask(_ submission: Int, _ text: String, label: String?) {
    askedBySubmission[submission] = Asked(text: text, label: label)
  }

  /// The dot with the name that its client gave it.
  func name(_ dot: Dot) -> String { labelByDot[dot].map { "\(dot) (\($0))" } ?? "\(dot)" }

  /// What nodes write of their own accord has no client to name it.
  private func label(_ dot: Dot, _ payload: Payload?) {
    switch payload {
    case .fill: labelByDot[dot] = "fill"
    case .checkpoint: labelByDot[dot] = "checkpoint"
    case .command(.order(let order)) where !order.firstDot.isNone:
      labelByDot[dot] = labelByDot[order.firstDot]
      presentByDot[order.firstDot] = max(dot, presentByDot[order.firstDot] ?? dot)
    case .command, nil: break
    }
  }

  /// The dot that an order has now.
  func present(_ dot: Dot) -> Dot { presentByDot[dot] ?? dot }

  func names(_ dots: some Sequence<Dot>) -> String { dots.map { name($0) }.joined(separator: ", ") }

  /// What is final at a node, as it told it.
  func finals(of node: Int) -> ScenarioFinals { seen[node].finals }
}

// MARK: What nodes do

extension ScenarioRecorder: Checker {
  var name: String { "scenario" }
  var hearsMessages: Bool { true }

  func started(_ node: SimulatedNode, _ world: Simulation) {
    let vector = node.process?.replica.status.vector ?? VersionVector()
    let shownDots = seen[node.index].shownDots
    seen[node.index] = Seen(held: vector, shownDots: shownDots, member: seen[node.index].member)
    write([node.name], "started, with \(Self.entries(vector.entries)) on its disk")
  }

  func step(_ node: SimulatedNode, _ world: Simulation) -> String? {
    guard let status = node.process?.replica.status else { return nil }
    noteRollbacks(node)
    let before = seen[node.index].held
    guard status.vector != before else { return nil }
    seen[node.index].held = status.vector
    var dots: [Dot] = []
    for (index, sequence) in status.vector.sequences.enumerated() {
      let origin = OriginIndex(UInt32(index))
      guard sequence > before[origin] else { continue }
      let news = (before[origin] + 1...sequence).map { Dot(origin: origin, sequence: $0) }
      for dot in news { label(dot, node.process?.replica.entry(dot)?.payload) }
      // What a node writes itself is no news to it.
      if origin != status.me { dots += news }
    }
    if !dots.isEmpty { write(node, "holds \(names(dots))") }
    return nil
  }

  func sent(_ message: PeerMessage, _ node: SimulatedNode, _ world: Simulation) -> String? {
    if case .view(let signed) = message { showView(signed.message, of: node) }
    return nil
  }

  func finalised(_ run: AppliedRun, _ node: SimulatedNode, _ world: Simulation) -> String? {
    var news: [String] = []
    for index in run.items.indices {
      let dot = run.items[index].dot
      label(dot, run.items[index].entry.payload)
      let events = run.events(at: index)
      seen[node.index].finals.take(dot, events)
      guard seen[node.index].shownDots.insert(dot).inserted else { continue }
      let effects = events.compactMap { effect($0, of: dot) }
      news.append(name(dot) + (effects.isEmpty ? "" : ": " + effects.joined(separator: ", ")))
    }
    if !news.isEmpty { write(node, "final " + news.joined(separator: "; ")) }
    return nil
  }

  func reported(_ reports: [OrderReport], _ node: SimulatedNode, _ world: Simulation) -> String? {
    for report in reports {
      toldByDot[report.entry] = report
      // What everybody expects of a definition needs no line.
      if report.state == .done, case .instrument? = node.process?.replica.entry(report.entry)?.command { continue }
      var text = "\(report.isCorrection ? "corrects" : "tells") \(name(report.entry)): "
      for fill in report.newFills {
        text += "\(fill.quantityLots) @ \(fill.priceTicks) with \(name(fill.counterparty)), "
      }
      write(node, text + standing(report) + (report.isFinal ? ", final" : ""))
    }
    return nil
  }

  private func standing(_ report: OrderReport) -> String {
    switch report.state {
    case .pending: "pending"
    case .open: "open \(report.openLots)"
    case .partiallyFilled: "open \(report.openLots)"
    case .filled: "filled"
    case .cancelled: "cancelled (\(CancelReason(rawValue: report.reason).map { "\($0)" } ?? "\(report.reason)"))"
    case .expired: "expired"
    case .rejected:
      "rejected (\(RejectReason(rawValue: report.reason).map { "\($0)" } ?? "\(report.reason)")"
        + (report.other.isNone ? "" : ", \(name(report.other))") + ")"
    case .done: "done"
    }
  }
  /// Before anything else that a node did: it may follow from that.
  private func noteRollbacks(_ node: SimulatedNode) {
    guard let status = node.process?.replica.status, status.rollbacks > seen[node.index].rollbacks else { return }
    let count = status.undone - seen[node.index].undone
    seen[node.index].rollbacks = status.rollbacks
    seen[node.index].undone = status.undone
    write([node.name], "rolls back \(Self.entries(count))")
  }

  private static func entries(_ count: UInt64) -> String { count == 1 ? "1 entry" : "\(count) entries" }

  private func effect(_ event: OrderEvent, of dot: Dot) -> String? {
    switch event {
    case .accepted, .waiting, .rested, .refreshed, .instrumentDefined: nil
    case .triggered(let order): "triggers \(name(order))"
    case .filled(let fill):
      "trade \(fill.quantityLots) @ \(fill.priceTicks)" + (fill.taker == dot ? "" : " of \(name(fill.taker))")
        + " with \(name(fill.maker))"
    case .cancelled(let order, let reason, _):
      order == dot ? "cancelled (\(reason))" : "cancels \(name(order)) (\(reason))"
    case .expired(let order, _): "expires \(name(order))"
    case .reduced(let order, let lots, _): "reduces \(name(order)) by \(lots)"
    case .amended(let order, _, let price, let open, _): "amends \(name(order)) to \(open) @ \(price)"
    case .rejected(_, let reason, let order):
      "rejected (\(reason)\(order.isNone ? "" : ", \(name(order))"))"
    }
  }
}

extension ScenarioRecorder: SimulationObserver {
  func noted(_ what: Timeline.What, _ node: SimulatedNode) {
    switch what {
    case .linkUp(let peer):
      let ends = [node.index, peer].sorted().map { "n\($0 + 1)" }.joined(separator: "–")
      if let last = lines.last, last.text == "connected", last.who.contains(ends), last.at == clock() { return }
      write([ends], "connected")
    case .linkDown(let peer, let reason): write(node, "link to n\(peer + 1) is down: \(reason)")
    // What `started` tells is more.
    case .noticed(let notice): show(notice, of: node)
    case .said(let text): if !text.hasPrefix("started (") { write(node, text) }
    default: break
    }
  }

  func accepted(_ request: UInt64, _ first: Dot, _ stamps: [Stamp], _ node: SimulatedNode) {
    let submission = Int(request >> 16)
    guard var ask = askedBySubmission[submission], let stamp = stamps.first else { return }
    ask.answer = .accepted
    askedBySubmission[submission] = ask
    labelByDot[first] = ask.label
    accepted.append((first, stamp, submission))
    write(node, "accepted \(first): \(ask.text)")
  }

  func refused(_ request: UInt64, _ reason: RefusalReason, _ node: SimulatedNode) {
    let submission = Int(request >> 16)
    guard var ask = askedBySubmission[submission] else { return }
    ask.answer = .refused("\(reason)")
    askedBySubmission[submission] = ask
    write(node, "refused (\(reason)): \(ask.text)")
  }
}

/// What a node has told is final: the standing of each order, and the trades.
struct ScenarioFinals {
  /// Looked up, never iterated.
  private var standingByDot: [Dot: OrderReport] = [:]
  private var finalDots: Set<Dot> = []
  private(set) var trades: [Scenario.Level] = []

  func contains(_ dot: Dot) -> Bool { finalDots.contains(dot) }
  func report(_ dot: Dot) -> OrderReport { standingByDot[dot] ?? OrderReport(entry: dot, state: .pending) }

  mutating func take(_ dot: Dot, _ events: some Sequence<OrderEvent>) {
    finalDots.insert(dot)
    for event in events { take(event) }
  }

  private mutating func edit(_ dot: Dot, _ state: OrderReport.State?, open: Int64? = nil) {
    var report = report(dot)
    if let open { report.openLots = open }
    if let state { report.state = state }
    standingByDot[dot] = report
  }

  private mutating func take(_ event: OrderEvent) {
    switch event {
    case .accepted(let order): edit(order, .open)
    case .waiting(let order, let open), .rested(let order, let open), .reduced(let order, _, let open):
      edit(order, nil, open: open)
    case .triggered, .refreshed, .instrumentDefined: break
    case .filled(let fill):
      trades.append(Scenario.Level(quantityLots: fill.quantityLots, priceTicks: fill.priceTicks))
      for (order, open) in [(fill.maker, fill.makerOpenLots), (fill.taker, fill.takerOpenLots)] {
        edit(order, open == 0 ? .filled : .partiallyFilled, open: open)
        standingByDot[order]?.filledLots += fill.quantityLots
      }
    case .cancelled(let order, let reason, let open):
      edit(order, .cancelled, open: open)
      standingByDot[order]?.reason = reason.rawValue
    case .expired(let order, let open): edit(order, .expired, open: open)
    case .amended(let order, _, _, let open, _): edit(order, nil, open: open)
    case .rejected(let entry, let reason, let order):
      edit(entry, .rejected)
      standingByDot[entry]?.reason = reason.rawValue
      standingByDot[entry]?.other = order
    }
  }
}
