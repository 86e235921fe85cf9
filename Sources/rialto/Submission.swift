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

/// What a node answered to one command, and what it said of it right after.
struct Submission {
  var dot: Dot
  var stamp: Stamp
  /// The first word beyond pending; nil if none came in time.
  var update: OrderUpdate?
  var fills: [OrderFill] = []
  /// What became of the order that this one repeats, if it repeats one.
  var first: OrderDetail?

  private static let updateMillisecondsMax = 2_000

  static func submit(_ command: Command, to client: RialtoClient) async throws -> Submission {
    let outcomes = try await client.submit([command])
    switch outcomes.first {
    case .accepted(let acceptance)?:
      var submission = Submission(dot: acceptance.dot, stamp: acceptance.stamp)
      submission.update = await firstUpdate(of: acceptance.dot, at: client)
      submission.fills = submission.update?.newFills ?? []
      if let repeated = submission.repeated { submission.first = try? await client.order(.dot(repeated)) }
      return submission
    case .refused(let refusal)?:
      Output.errorLine("the node refused: \(refusal)")
      throw ExitCode.notGood
    case .unknown(let error)?: throw error
    case nil: throw CommandError("the node did not answer")
    }
  }

  private static func firstUpdate(of dot: Dot, at client: RialtoClient) async -> OrderUpdate? {
    await withTaskGroup(of: OrderUpdate?.self) { group in
      group.addTask {
        for await update in client.updates where update.entry == dot && update.state != .pending { return update }
        return nil
      }
      group.addTask {
        try? await Task.sleep(for: .milliseconds(updateMillisecondsMax))
        return nil
      }
      let first = await group.next() ?? nil
      group.cancelAll()
      return first
    }
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
