import Client
import Flow
import OrderBook
import Primitives
import Wire

/// A peer that trades by itself: sends a random order at an even pace to its own node, prints each order and each fill.
struct SelfTrader {
  /// Accounts of self-trading nodes, one a node.
  static let accountBase: UInt64 = 1_000_000

  var address: Address
  var symbol: String
  var every: TimeSpan
  var seed: UInt64

  func run() async throws {
    // The node may listen on all interfaces; it is here in any case.
    let host = ["0.0.0.0", "::"].contains(address.host) ? "127.0.0.1" : address.host
    let target = Address(host: host, port: address.port)
    let probe = try await Connecting.connect(to: target, account: AccountID(Self.accountBase))
    let account = AccountID(Self.accountBase + UInt64((probe.welcome.origin?.value ?? 0)))
    await probe.close()
    let client = try await Connecting.connect(to: target, account: account)
    let instrument = try Instruments.standard(parseSymbol(symbol))
    let record = try await retrying { try await Instruments.findOrDefine(instrument, at: [client]) }
    let reader = Task { for await update in client.updates { Self.print(update, record.instrument) } }
    defer { reader.cancel() }
    var configuration = RandomFlow.Configuration(firstID: WallClock.milliseconds << 20)
    configuration.restingOrdersMax = 64
    var flow = RandomFlow(seed: seed, configuration: configuration)
    while !Task.isCancelled {
      let operation = flow.nextOperation()
      let command = operation.command(
        instrument: record.dot, account: account, targetStamp: .zero, clientTimeMilliseconds: WallClock.milliseconds)
      switch try await client.submit([command]).first {
      case .accepted(let acceptance): Output.note(Self.line(operation, acceptance.dot, record.instrument))
      case .refused(let refusal): Output.note("refused: \(refusal)")
      case .unknown(let error): throw error
      case nil: break
      }
      try await Task.sleep(for: .milliseconds(every.milliseconds))
    }
    await client.close()
  }

  /// A node that has just started does not take orders yet.
  private func retrying<Value>(_ work: () async throws -> Value) async throws -> Value {
    for _ in 0..<50 {
      do { return try await work() } catch is CommandError { try await Task.sleep(for: .milliseconds(200)) }
    }
    return try await work()
  }

  private static func line(_ operation: FlowOperation, _ dot: Dot, _ instrument: Instrument) -> String {
    let price = instrument.tick.decimal(operation.priceTicks)
    let quantity = instrument.lot.decimal(operation.quantityLots)
    let side = operation.side == .buy ? "buy" : "sell"
    return switch operation.kind {
    case .limit: "order \(dot): \(side) \(quantity) \(instrument.symbol) at \(price)"
    case .market: "order \(dot): \(side) \(quantity) \(instrument.symbol) at the market"
    case .immediateOrCancel: "order \(dot): \(side) \(quantity) \(instrument.symbol) at \(price), immediate or cancel"
    case .fillOrKill: "order \(dot): \(side) \(quantity) \(instrument.symbol) at \(price), fill or kill"
    case .cancel: "cancel \(dot) of \(operation.id)"
    case .replace: "replace \(dot) of \(operation.id): \(quantity) at \(price)"
    }
  }

  private static func print(_ update: OrderUpdate, _ instrument: Instrument) {
    if update.flags.contains(.correction) { Output.note("corrected: order \(update.entry) is \(update.state)") }
    for fill in update.newFills {
      let role = fill.isMaker ? "maker" : "taker"
      Output.note(
        "fill of \(update.entry): \(instrument.lot.decimal(fill.quantityLots)) at "
          + "\(instrument.tick.decimal(fill.priceTicks)) with \(fill.counterparty), as \(role)")
    }
    if let reason = update.rejectReason { Output.note("rejected: \(update.entry), \(reason)") }
  }
}
