import Flow
import OrderBook
import Primitives

/// How often something happened, by its reason.
struct ReasonCounts<Reason: RawRepresentable & CaseIterable & Equatable>: Equatable where Reason.RawValue == UInt8 {
  /// By raw value.
  private var counts: [Int]

  init() { counts = [Int](repeating: 0, count: 1 + Int(Reason.allCases.map(\.rawValue).max() ?? 0)) }

  subscript(_ reason: Reason) -> Int { counts[Int(reason.rawValue)] }
  mutating func add(_ reason: Reason) { counts[Int(reason.rawValue)] += 1 }
  var total: Int { counts.reduce(0, +) }

  /// The reasons that there were, the most frequent first.
  private var found: [(reason: Reason, count: Int)] {
    Reason.allCases.filter { self[$0] > 0 }.map { ($0, self[$0]) }.sorted { $0.count > $1.count }
  }

  /// `12: requested 9, market 3`; `0` if there are none.
  var text: String {
    let list = found.map { "\($0.reason) \($0.count.grouped)" }.joined(separator: ", ")
    return list.isEmpty ? "0" : "\(total.grouped): \(list)"
  }

  /// The reasons that there were.
  var json: JSONLine {
    var line = JSONLine()
    for (reason, count) in found { line.add("\(reason)", count) }
    return line
  }
}

/// What happened in a replay.
struct ReplayCounts: Equatable {
  var trades = 0
  var tradedLots: UInt128 = 0
  /// Orders that were taken, whatever became of them then.
  var accepted = 0
  var cancelled = ReasonCounts<CancelReason>()
  var expired = 0
  /// Stops whose price was reached.
  var triggered = 0
  /// How often an iceberg showed more.
  var refreshed = 0
  /// Lots that self-trade prevention took off orders without a trade.
  var reducedLots: UInt128 = 0
  /// Operations without effect.
  var rejected = ReasonCounts<RejectReason>()

  mutating func add(_ event: OrderEvent) {
    switch event {
    case .accepted: accepted += 1
    case .filled(let fill):
      trades += 1
      tradedLots += UInt128(fill.quantityLots)
    case .cancelled(_, let reason, _): cancelled.add(reason)
    case .expired: expired += 1
    case .triggered: triggered += 1
    case .refreshed: refreshed += 1
    case .reduced(_, let lots, _): reducedLots += UInt128(lots)
    case .rejected(_, let reason, _): rejected.add(reason)
    case .waiting, .rested, .amended, .instrumentDefined: break
    }
  }
}

/// A flow, applied to one engine in the file's order.
struct Replay: ~Copyable {
  private(set) var counts = ReplayCounts()

  private var engine = MatchingEngine()
  private let hasher = SHA256()
  private var tape = EventTape()
  private var lines: [UInt8] = []
  /// Where the events of each operation of a round end.
  private var eventEnds: [UInt64] = []

  /// One origin, whose first entry defines the instrument; operation n is entry n + 2.
  private static let origin = OriginIndex(0)
  private static let instrument = Dot(origin: origin, sequence: 1)
  private static let firstSequence: UInt64 = 2
  private static let account = AccountID(1)
  /// Stamps depend on the operation's number alone, so that the same file gives the same book hash anywhere.
  ///
  /// The next operation has the next stamp: a file of any length lies within a few seconds, so that no client order id
  /// is forgotten on the way. An operation is one millisecond of an order's lifetime nevertheless.
  private static let start = Stamp(milliseconds: 1_000_000_000)
  /// Operations between two looks at the tape, and two settlings of the journal.
  private static let operationsPerRound = 4_096

  init() { hasher.begin() }

  var restingOrders: Int { engine.restingOrders }
  var waitingStops: Int { engine.waitingStops }
  func tradesHash() -> Hash256 { hasher.valueSoFar() }
  mutating func bookHash() -> Hash256 { engine.bookHash() }

  /// Applies all operations.
  /// - Parameters:
  ///   - trades: gets the trades as CSV, piece by piece.
  ///   - events: gets the events as CSV, piece by piece.
  /// - Throws: what `trades` and `events` throw.
  mutating func run(
    _ operations: ContiguousArray<FlowOperation>, trades: (([UInt8]) throws -> Void)? = nil,
    events: (([UInt8]) throws -> Void)? = nil
  ) throws {
    try trades?(Array("maker,taker,price,qty\n".utf8))
    try events?(Array((ReplayEvents.header + "\n").utf8))
    guard let symbol = Symbol("REPLAY") else { preconditionFailure("REPLAY is a symbol") }
    engine.apply(.instrument(Instrument(symbol: symbol)), at: Self.instrument, stamp: Self.start, into: &tape)
    tape.removeAll()
    var next = 0
    while next < operations.count {
      let first = next
      let end = min(next + Self.operationsPerRound, operations.count)
      while next < end {
        apply(operations[next], number: next)
        if events != nil { eventEnds.append(tape.end) }
        next += 1
      }
      read(operations)
      lines.withUnsafeBytes { hasher.update($0) }
      try trades?(lines)
      if let events { try events(eventLines(operations, first: first)) }
      tape.removeAll()
      lines.removeAll(keepingCapacity: true)
      eventEnds.removeAll(keepingCapacity: true)
      engine.settle(through: engine.journalMark)
    }
  }

  private mutating func apply(_ operation: FlowOperation, number: Int) {
    let sequence = UInt64(number) + Self.firstSequence
    let stamp = Stamp(Self.start.value + sequence)
    // Everything before has been applied, so a target that is not known by then never was.
    let command = operation.command(
      instrument: Self.instrument, account: Self.account, targetStamp: Stamp(stamp.value - 1),
      clientTimeMilliseconds: stamp.milliseconds, expiry: operation.expiry(after: stamp, unit: 1))
    engine.apply(command, at: Dot(origin: Self.origin, sequence: sequence), stamp: stamp, into: &tape)
  }

  private mutating func read(_ operations: ContiguousArray<FlowOperation>) {
    func fileID(_ dot: Dot) -> UInt64 { operations[Int(dot.sequence - Self.firstSequence)].id }
    for event in tape.run(from: tape.start, to: tape.end) {
      counts.add(event)
      guard case .filled(let fill) = event else { continue }
      appendDecimal(fileID(fill.maker), then: UInt8(ascii: ","))
      appendDecimal(fileID(fill.taker), then: UInt8(ascii: ","))
      appendDecimal(UInt64(fill.priceTicks), then: UInt8(ascii: ","))
      appendDecimal(UInt64(fill.quantityLots), then: UInt8(ascii: "\n"))
    }
  }

  /// The events of a round whose first operation is operation `first`, counted from 0.
  private func eventLines(_ operations: ContiguousArray<FlowOperation>, first: Int) -> [UInt8] {
    func fileID(_ dot: Dot) -> UInt64? {
      dot.sequence < Self.firstSequence ? nil : operations[Int(dot.sequence - Self.firstSequence)].id
    }
    var text = ""
    var start = tape.start
    for (index, end) in eventEnds.enumerated() {
      for event in tape.run(from: start, to: end) {
        text += ReplayEvents.line(event, operation: first + index + 1, id: fileID) + "\n"
      }
      start = end
    }
    return Array(text.utf8)
  }

  private mutating func appendDecimal(_ value: UInt64, then separator: UInt8) {
    let start = lines.count
    var rest = value
    repeat {
      lines.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10))
      rest /= 10
    } while rest > 0
    lines[start...].reverse()
    lines.append(separator)
  }

  /// `side,price,orders,qty`: bids best first, then asks best first.
  func bookCSV() -> [UInt8] {
    var text = "side,price,orders,qty\n"
    for (side, letter) in [(Side.buy, "B"), (Side.sell, "S")] {
      for level in engine.levels(of: Self.instrument, side, limit: .max) {
        text += "\(letter),\(level.priceTicks),\(level.orders),\(level.quantityLots)\n"
      }
    }
    return Array(text.utf8)
  }

  /// `side,stop,price,qty,id`: the stops that wait, buys, then sells, the first to trigger first; no price for a stop
  /// that will be a market order.
  /// - Parameter operations: those that were run.
  func stopsCSV(_ operations: ContiguousArray<FlowOperation>) -> [UInt8] {
    var text = "side,stop,price,qty,id\n"
    for (side, letter) in [(Side.buy, "B"), (Side.sell, "S")] {
      for order in engine.stops(of: Self.instrument, side) {
        let price = order.type == .stop ? "" : "\(order.priceTicks)"
        let id = operations[Int(order.dot.sequence - Self.firstSequence)].id
        text += "\(letter),\(order.stopPriceTicks),\(price),\(order.openLots),\(id)\n"
      }
    }
    return Array(text.utf8)
  }
}
