import ArgumentParser
import Client
import OrderBook
import Primitives

/// An order's fills as JSON.
func fillLines(_ fills: [OrderFill], _ instrument: Instrument) -> [JSONLine] {
  fills.map { fill in
    var line = JSONLine()
    line.add("price", instrument.tick.decimal(fill.priceTicks))
    line.add("quantity", instrument.lot.decimal(fill.quantityLots))
    line.add("counterparty", fill.counterparty.description)
    line.add("maker", fill.isMaker)
    return line
  }
}

/// What a node answered to one command, and what it said of it right after, or until it was final.
struct Submission {
  var dot: Dot
  var stamp: Stamp
  /// The first word beyond pending, or the last one before the wait was over; nil if none came in time.
  var update: OrderUpdate?
  var fills: [OrderFill] = []
  /// The connection ended before enough was said.
  var isCutOff = false
  /// What became of the order that this one repeats, if it repeats one.
  var first: OrderDetail?

  private static let updateMillisecondsMax = 2_000

  /// - Parameter wait: how long to wait for a final word; nil is content with the first one.
  static func submit(
    _ command: Command, to client: RialtoClient, waitingFor wait: TimeSpan? = nil
  ) async throws -> Submission {
    let outcomes = try await client.submit([command])
    switch outcomes.first {
    case .accepted(let acceptance)?:
      var submission = Submission(dot: acceptance.dot, stamp: acceptance.stamp)
      await submission.follow(client, wait)
      if let repeated = submission.repeated { submission.first = try? await client.order(.dot(repeated)) }
      return submission
    case .refused(let refusal)?:
      Output.errorLine("the node refused: \(refusal)")
      throw ExitCode.notGood
    case .unknown(let error)?: throw error
    case nil: throw CommandError("the node did not answer")
    }
  }

  /// Takes what the node says of the entry, until it is enough or the time is up.
  private mutating func follow(_ client: RialtoClient, _ wait: TimeSpan?) async {
    let dot = dot
    let milliseconds = wait.map { Int($0.milliseconds) } ?? Self.updateMillisecondsMax
    // Both end up here: what was said, and the end of the wait.
    let (words, told) = AsyncStream<OrderUpdate?>.makeStream()
    let reader = Task {
      for await update in client.updates where update.entry == dot { told.yield(update) }
      told.finish()
    }
    let clock = Task {
      try? await Task.sleep(for: .milliseconds(milliseconds))
      told.yield(nil)
    }
    isCutOff = true
    for await word in words {
      guard let word else {
        isCutOff = false
        break
      }
      fills = fills.prefix(Int(clamping: word.fillsStanding)) + word.newFills
      update = word
      if wait == nil ? word.state != .pending : word.flags.contains(.final) {
        isCutOff = false
        break
      }
    }
    reader.cancel()
    clock.cancel()
  }

  var isFinal: Bool { update?.flags.contains(.final) ?? false }

  /// Whether somebody waited in vain for a final word.
  func isLate(_ wait: TimeSpan?) -> Bool { wait != nil && !isFinal }

  func finalityWord(_ wait: TimeSpan?) -> String {
    if isFinal { return ", final" }
    return wait == nil ? "" : ", tentative"
  }

  func explainIfTentative(_ wait: TimeSpan?) {
    guard let wait, isLate(wait) else { return }
    if isCutOff {
      Output.errorLine(
        "the connection to the node was lost while waiting: the order is taken and may become final; "
          + "ask any node for it with `rialto order show`")
      return
    }
    Output.errorLine(
      "not final after \(wait): it is taken and may become final later; "
        + "see `rialto status` whether a majority of the members is connected")
  }

  /// The order that this one only repeats: same client order id, same content.
  var repeated: Dot? { update.flatMap { $0.rejectReason == .repeated && !$0.other.isNone ? $0.other : nil } }

  /// A repeat is as good as the first one: an order that was rejected after its id was taken does not stand.
  var isGood: Bool { update?.state != .rejected || repeated != nil && first?.status != .rejected }

  var reasonWord: String? {
    if let reason = update?.rejectReason { return "\(reason)" }
    return update?.cancelReason.map { "\($0)" }
  }

  var stateWord: String {
    if let repeated {
      guard let first, first.status == .rejected else { return "repeats \(repeated), which stands" }
      return "repeats \(repeated), which was rejected" + (first.rejectReason.map { " (\($0))" } ?? "")
    }
    let state = update.map { "\($0.state)" } ?? "\(UpdateState.pending)"
    return reasonWord.map { "\(state) (\($0))" } ?? state
  }

  var json: JSONLine {
    var line = JSONLine()
    line.add("id", dot.description)
    line.add("stamp", stamp.description)
    line.add("state", update.map { "\($0.state)" } ?? "\(UpdateState.pending)")
    line.add("reason", reasonWord)
    line.add("repeats", repeated?.description)
    line.add("final", update?.flags.contains(.final) ?? false)
    return line
  }
}
