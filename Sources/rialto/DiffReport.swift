import Client
import Diagnostics
import EventLog
import OrderBook
import Primitives

/// A comparison of two replicas for people, and for machines.
struct DiffReport {
  private static let findingsMax = 3
  private(set) var divergence: Divergence
  let left: String
  let right: String
  let text: HistoryText
  let milliseconds: Int
  private var findings: [(node: String, finding: NodeFinding)] = []

  init(divergence: Divergence, left: String, right: String, text: HistoryText, milliseconds: Int) {
    self.divergence = divergence
    self.left = left
    self.right = right
    self.text = text
    self.milliseconds = milliseconds
  }

  /// What the two have found by themselves. One that is not done with it is not equal to anybody.
  mutating func note(_ found: [(node: String, finding: NodeFinding)]) {
    findings = found
    guard divergence.verdict == .equal, let open = found.first(where: { $0.finding.isOpen }) else { return }
    divergence.verdict = .divergent
    divergence.culprit = open.node == left ? .left : .right
    divergence.checkpoint = open.finding.checkpoint > 0 ? open.finding.checkpoint : divergence.checkpoint
    switch open.finding.cause {
    case "log_damage": divergence.cause = .altered
    case "equivocation": divergence.cause = .equivocation
    default: divergence.cause = .sameLog
    }
    divergence.remarks.append("\(open.node) has noticed it and is at it; the difference itself is in what it says")
  }

  var lines: [String] {
    var lines = [side(left, divergence.left), side(right, divergence.right), ""]
    lines += section("alike up to", agreedText)
    if let differing = divergence.differing { lines += section("differs at", checkpointText(differing)) }
    if let entry = divergence.entry { lines += entryLines(entry) }
    if let fill = divergence.fill { lines += fillLines(fill) }
    if let book = divergence.book { lines += bookLines(book) }
    lines += section("cause", causeText)
    for remark in divergence.remarks { lines += section("", remark) }
    for health in [(left, divergence.left.health), (right, divergence.right.health)] where !health.1.isEmpty {
      lines += section("at \(health.0)", health.1)
    }
    for node in [left, right] {
      for (place, found) in findings.filter({ $0.node == node }).suffix(Self.findingsMax).enumerated() {
        lines += section(place == 0 ? "at \(node)" : "", found.finding.text)
        lines += found.finding.differenceLines.map { "".padded(Self.titleColumns) + "  " + $0 }
      }
    }
    if let advice { lines += section("what to do", advice) }
    lines.append("")
    lines.append(
      "\(divergence.cost.exchanges) questions, \(divergence.cost.bytes.grouped) bytes, \(milliseconds) ms")
    return lines
  }

  var json: JSONLine {
    var line = JSONLine()
    line.add("left", left)
    line.add("right", right)
    line.add("verdict", divergence.verdict.rawValue)
    line.add("cause", divergence.cause?.rawValue)
    add("checkpoint", divergence.checkpoint, to: &line)
    line.add("entry", divergence.entry?.dot.description)
    add("fill", divergence.fill?.number, to: &line)
    line.add("order", divergence.order?.description)
    line.add("level", divergence.book?.level.map(text.text))
    line.add("culprit", culprit)
    add("agreed", divergence.agreed?.number, to: &line)
    line.add("remarks", divergence.remarks)
    line.add(
      "findings",
      findings.map { node, finding in
        var line = JSONLine()
        line.add("node", node)
        line.add("number", finding.number)
        line.add("cause", finding.cause)
        line.add("state", finding.state)
        line.add("checkpoint", finding.checkpoint)
        line.add("entry", finding.entry)
        line.add("orders", finding.differences.map(\.order))
        line.add("text", finding.text)
        return line
      })
    line.add("exchanges", divergence.cost.exchanges)
    line.add("bytes", divergence.cost.bytes)
    line.add("milliseconds", milliseconds)
    return line
  }

  private func add(_ key: String, _ number: UInt64?, to line: inout JSONLine) {
    if let number { line.add(key, number) } else { line.addNull(key) }
  }

  // MARK: Parts

  private static let titleColumns = 13

  private func section(_ title: String, _ value: String) -> [String] {
    [title.padded(Self.titleColumns) + value]
  }

  /// Both sides below each other, so that they are easily compared.
  private func pair(_ one: String?, _ other: String?) -> [String] {
    let columns = max(left.count, right.count) + 2
    return [(left, one), (right, other)].map { name, value in
      "".padded(Self.titleColumns) + name.padded(columns) + (value ?? "nothing")
    }
  }

  private func side(_ name: String, _ overview: Overview) -> String {
    var parts = [name.padded(max(left.count, right.count) + 2)]
    parts.append(overview.isRunning ? "running," : "directory,")
    parts.append("view \(overview.view), \(overview.finalEntries.grouped) final entries up to")
    parts.append(HistoryText.time(overview.finalStamp) + ",")
    parts.append("checkpoint \(overview.checkpoint.map { "\($0.number)" } ?? "none")")
    return parts.joined(separator: " ")
  }

  private var agreedText: String {
    guard let agreed = divergence.agreed else { return "no checkpoint that both keep" }
    return
      "checkpoint \(agreed.number) (\(HistoryText.time(Checkpoint.boundary(agreed.number)))), "
      + "\(agreed.hash.description.prefix(16))"
  }

  private func checkpointText(_ pair: Divergence.Pair<Checkpoint>) -> String {
    guard let one = pair.left, let other = pair.right else {
      return "checkpoint \((pair.left ?? pair.right)?.number ?? 0), which only one of them has"
    }
    var parts: [String] = []
    if one.logHash != other.logHash { parts.append("log") }
    if one.fillsHash != other.fillsHash || one.fills != other.fills { parts.append("fills") }
    if one.bookHash != other.bookHash { parts.append("book") }
    let what = parts.isEmpty ? "the history before it" : parts.joined(separator: ", ")
    return "checkpoint \(one.number) (\(HistoryText.time(Checkpoint.boundary(one.number)))): \(what)"
  }

  private func entryLines(_ difference: Divergence.EntryDifference) -> [String] {
    var lines = section("first entry", "\(difference.dot) of \(difference.author)")
    func line(_ entry: Entry?, _ batch: Divergence.CheckedBatch?) -> String? {
      if let entry { return "\(text.text(entry)), \(HistoryText.time(entry.stamp))" }
      guard let batch else { return nil }
      if let error = batch.unreadable {
        return "\(batch.batch.sealed.bytes.count) bytes that cannot be read: \(error)"
      }
      return nil
    }
    lines += pair(
      line(difference.entries.left, difference.batches.left), line(difference.entries.right, difference.batches.right))
    lines += section("its batch", "")
    lines += pair(batchText(difference.batches.left), batchText(difference.batches.right))
    if !difference.otherOrigins.isEmpty {
      let names = difference.otherOrigins.prefix(8).map { "\($0)" }.joined(separator: ", ")
      lines += section("", "something else differs in the logs of the origins \(names)")
    }
    return lines
  }

  private func batchText(_ batch: Divergence.CheckedBatch?) -> String? {
    guard let batch else { return nil }
    let stored = batch.batch
    let state =
      batch.unreadable != nil
      ? "damaged"
      : !batch.isLinked ? "not what its hash was made of" : batch.isSigned ? "signed" : "not what was signed"
    return
      "\(stored.firstSequence)…\(stored.lastSequence), hash \(stored.hash.description.prefix(16)), "
      + "signature \(stored.sealed.signature.bytes.prefix(8).map { format2($0) }.joined()): \(state)"
  }

  private func format2(_ byte: UInt8) -> String {
    let digits = String(byte, radix: 16)
    return digits.count == 1 ? "0" + digits : digits
  }

  private func fillLines(_ difference: Divergence.FillDifference) -> [String] {
    section("first fill", "number \(difference.number.grouped)")
      + pair(difference.fills.left.map(text.text), difference.fills.right.map(text.text))
  }

  private func bookLines(_ difference: Divergence.BookDifference) -> [String] {
    var lines = section("book", "")
    lines += pair(
      difference.roots.left.map { "\($0.description.prefix(16))" },
      difference.roots.right.map { "\($0.description.prefix(16))" })
    if let other = difference.other { return lines + section("", "what differs: \(other)") }
    guard let level = difference.level else { return lines }
    lines += section("level", text.text(level))
    if difference.orders.left != nil || difference.orders.right != nil {
      let dot = (difference.orders.left ?? difference.orders.right)?.resting.dot
      lines += section("order", "\(dot.map { "\($0)" } ?? "")")
      lines += pair(difference.orders.left.map(text.text), difference.orders.right.map(text.text))
    }
    if difference.otherOrders > 0 || difference.otherLevels > 0 {
      lines += section(
        "", "besides it \(difference.otherOrders) orders of this level and \(difference.otherLevels) other levels")
    }
    return lines
  }

  private var culprit: String? {
    switch divergence.culprit {
    case .left: left
    case .right: right
    case .author: divergence.entry?.author
    case nil: nil
    }
  }

  private var causeText: String {
    guard let cause = divergence.cause else {
      return divergence.verdict == .equal ? "none: they are equal" : "unknown"
    }
    return cause.rawValue
  }

  private var advice: String? {
    guard divergence.verdict == .divergent else { return nil }
    switch divergence.cause {
    case .missing, .altered, .extra:
      guard let culprit else { return nil }
      return
        "the log of \(culprit) is wrong. A running node fetches what it lacks again; a stopped one:\n"
        + "".padded(Self.titleColumns) + "rialto verify DIR --repair --from HOST:PORT"
    case .equivocation:
      return
        "\(culprit ?? "the author") has signed two histories: keep both files, remove it from the cluster, and give it "
        + "a new key"
    case .sameLog:
      return
        "compare both with a third node (rialto diff --cluster). Whoever differs from what most attest rebuilds its\n"
        + "".padded(Self.titleColumns) + "book by itself while it runs; a stopped one: rialto verify DIR --repair"
    case .onlyLag, nil: return nil
    }
  }
}

extension String {
  /// With blanks up to a width.
  func padded(_ columns: Int) -> String {
    count >= columns ? self + (isEmpty ? "" : " ") : self + String(repeating: " ", count: columns - count)
  }
}
