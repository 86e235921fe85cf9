import EventLog
import OrderBook
import Primitives

@testable import Storage

/// A random history of final entries, and beside it what the audit tables should say: worked out event by event, with
/// a dictionary, where the store writes each order once a run.
struct History {
  private(set) var expected: [Dot: AuditOrder] = [:]
  private(set) var fills: [AuditFill] = []
  private(set) var rejections: [Dot: AuditRejection] = [:]
  private var live: [Dot] = []
  private var waiting: [Dot] = []
  private var sequences: [UInt64] = [0, 0, 0, 0]
  private var stamp: UInt64 = 1_700_000_000_000 << 16
  private var generator: SeededGenerator
  private var pending: [OrderEvent] = []
  static let instrument = Dot(origin: OriginIndex(0), sequence: 1)

  init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

  /// Entries in key order; the first defines the instrument.
  static func runs(seed: UInt64, entries: Int) -> (runs: AppliedRun, history: History) {
    var history = History(seed: seed)
    let run = history.next(entries: entries)
    return (run, history)
  }

  func run(entries: Int) -> AppliedRun {
    var copy = self
    return copy.next(entries: entries)
  }

  mutating func next(entries: Int) -> AppliedRun {
    var run = AppliedRun()
    if sequences[0] == 0 { define(&run) }
    while run.items.count < entries {
      switch generator.below(100) {
      case ..<50: place(&run)
      case ..<70: cancel(&run)
      case ..<85: amend(&run)
      case ..<90: rejectedOrder(&run)
      case ..<95: rejectedCancel(&run)
      default: attest(&run)
      }
    }
    return run
  }

  // MARK: Entries

  private mutating func add(
    _ run: inout AppliedRun, _ payload: Payload, _ body: (inout History, Dot) -> Void
  ) {
    let origin = stamp == 1_700_000_000_000 << 16 ? 0 : Int(generator.below(4))
    sequences[origin] += 1
    stamp += 1 + generator.below(50_000_000)
    let dot = Dot(origin: OriginIndex(UInt32(origin)), sequence: sequences[origin])
    pending = []
    if case .command(.order(let order)) = payload {
      expected[dot] = AuditOrder(
        dot: dot, stamp: Stamp(stamp), order: order, status: .pending, openLots: order.quantityLots, filledLots: 0,
        unfilledLots: 0, reducedLots: 0, refersTo: .none, triggeredStamp: .zero, changedBy: dot,
        changedStamp: Stamp(stamp))
      expected[dot]?.order.clientTimeMilliseconds = 0
    }
    body(&self, dot)
    run.append(dot: dot, entry: Entry(stamp: Stamp(stamp), payload: payload), events: pending)
  }

  private mutating func define(_ run: inout AppliedRun) {
    let tick = Increment(mantissa: 5, scale: 2)!
    let instrument = Instrument(symbol: Symbol("BTC-USD")!, tick: tick, lot: Increment(mantissa: 1, scale: 3)!)
    add(&run, .command(.instrument(instrument))) { $0.pending = [.instrumentDefined(entry: $1)] }
  }

  private mutating func randomOrder() -> Order {
    let ids: [ClientOrderID] = [
      .none, ClientOrderID(generator.below(1 << 20)), ClientOrderID(UInt64.max - generator.below(9)),
      ClientOrderID("order \(generator.below(1 << 30))")!,
    ]
    let large = generator.chance(1, of: 10)
    let type = OrderType(rawValue: UInt8(generator.below(4)))!
    return Order(
      instrument: Self.instrument, account: AccountID(generator.below(8)),
      side: generator.chance(1, of: 2) ? .buy : .sell, type: type,
      timeInForce: TimeInForce(rawValue: UInt8(generator.below(4)))!,
      priceTicks: large ? Limits.priceTicksMax : 1 + Int64(generator.below(500)),
      quantityLots: large ? Limits.quantityLotsMax : 1 + Int64(generator.below(100)),
      selfTradePrevention: SelfTradePrevention(rawValue: UInt8(generator.below(5)))!,
      postOnly: generator.chance(1, of: 4), stopPriceTicks: Int64(generator.below(100)),
      displayLots: Int64(generator.below(10)), expiry: Stamp(generator.below(1 << 60)),
      clientOrderID: ids[Int(generator.below(4))], clientTimeMilliseconds: 77)
  }

  private mutating func place(_ run: inout AppliedRun) {
    let order = randomOrder()
    add(&run, .command(.order(order))) { history, dot in
      if history.generator.chance(1, of: 40) { return }  // stays pending
      history.emit(.accepted(order: dot), by: dot)
      let isStop = order.type == .stop || order.type == .stopLimit
      if isStop, history.generator.chance(2, of: 3) {
        history.emit(.waiting(order: dot, openLots: order.quantityLots), by: dot)
        history.waiting.append(dot)
      } else {
        if isStop { history.emit(.triggered(order: dot), by: dot) }
        history.enter(dot, by: dot)
        history.triggerSome(by: dot)
      }
      history.expireSome(by: dot)
    }
  }

  /// An order meets those that rest; what is left of it rests or ends.
  private mutating func enter(_ dot: Dot, by entry: Dot) {
    for _ in 0..<generator.below(4) {
      if generator.chance(1, of: 4) { preventSelfTrade(dot, by: entry) } else { trade(dot, by: entry) }
    }
    guard let row = expected[dot], !row.status.isTerminal else { return }
    switch generator.below(6) {
    case 0:
      let reason = CancelReason.allCases[Int(generator.below(7))]
      emit(.cancelled(order: dot, reason: reason, openLots: row.openLots), by: entry)
    default:
      emit(.rested(order: dot, openLots: row.openLots), by: entry)
      live.append(dot)
    }
  }

  /// Stops that wait enter, when another order, perhaps of an earlier run, is applied.
  private mutating func triggerSome(by entry: Dot) {
    waiting.removeAll { expected[$0]?.status.isTerminal ?? true }
    while !waiting.isEmpty, generator.chance(1, of: 3) {
      let stop = waiting.remove(at: Int(generator.below(UInt64(waiting.count))))
      emit(.triggered(order: stop), by: entry)
      enter(stop, by: entry)
    }
  }

  private mutating func preventSelfTrade(_ taker: Dot, by entry: Dot) {
    guard let maker = pick(), maker != taker, let makerRow = expected[maker], let takerRow = expected[taker],
      takerRow.openLots > 0
    else { return }
    let lots = 1 + Int64(generator.below(UInt64(min(makerRow.openLots, takerRow.openLots))))
    emit(.reduced(order: maker, lots: lots, openLots: makerRow.openLots - lots), by: entry)
    emit(.reduced(order: taker, lots: lots, openLots: takerRow.openLots - lots), by: entry)
    if lots == makerRow.openLots {
      emit(.cancelled(order: maker, reason: .selfTrade, openLots: 0), by: entry)
    } else if generator.chance(1, of: 2) {
      emit(.refreshed(order: maker, visibleLots: 1), by: entry)
    }
    if lots == takerRow.openLots { emit(.cancelled(order: taker, reason: .selfTrade, openLots: 0), by: entry) }
  }

  private mutating func trade(_ taker: Dot, by entry: Dot) {
    guard let maker = pick(), maker != taker, let makerRow = expected[maker], let takerRow = expected[taker],
      takerRow.openLots > 0
    else { return }
    let lots = 1 + Int64(generator.below(UInt64(min(makerRow.openLots, takerRow.openLots))))
    emit(
      .filled(
        Fill(
          instrument: Self.instrument, maker: maker, taker: taker, takerSide: takerRow.order.side,
          priceTicks: makerRow.order.priceTicks, quantityLots: lots, makerOpenLots: makerRow.openLots - lots,
          takerOpenLots: takerRow.openLots - lots)), by: entry)
  }

  private mutating func cancel(_ run: inout AppliedRun) {
    guard let target = pick(), let row = expected[target] else { return }
    add(&run, .command(.cancel(Cancel(account: row.order.account, target: .dot(target))))) {
      $0.emit(.cancelled(order: target, reason: .requested, openLots: row.openLots), by: $1)
    }
  }

  private mutating func amend(_ run: inout AppliedRun) {
    guard let target = pick(), let row = expected[target] else { return }
    let open = 1 + Int64(generator.below(120))
    let price = 1 + Int64(generator.below(500))
    let amend = Amend(account: row.order.account, target: .dot(target), priceTicks: price, quantityLots: open)
    add(&run, .command(.amend(amend))) { history, dot in
      history.emit(
        .amended(
          order: target, by: dot, priceTicks: price, openLots: open, reducedLots: row.openLots - open), by: dot)
      // Entered anew, it may trade as a taker.
      if history.generator.chance(1, of: 2) { history.trade(target, by: dot) }
      if let now = history.expected[target], !now.status.isTerminal {
        history.emit(.rested(order: target, openLots: now.openLots), by: dot)
      }
    }
  }

  private mutating func rejectedOrder(_ run: inout AppliedRun) {
    let order = randomOrder()
    let first = live.first ?? .none
    let reason = RejectReason.allCases[Int(generator.below(UInt64(RejectReason.allCases.count)))]
    add(&run, .command(.order(order))) {
      $0.emit(.rejected(entry: $1, reason: reason, order: reason == .repeated ? first : .none), by: $1)
    }
  }

  private mutating func rejectedCancel(_ run: inout AppliedRun) {
    let target = Dot(origin: OriginIndex(3), sequence: 1 << 40)
    let byClient = Cancel(account: AccountID(3), target: .client(ClientOrderID("gone")!))
    let byDot = Cancel(account: AccountID(3), target: .dot(target))
    let isByDot = generator.chance(1, of: 2)
    add(&run, .command(.cancel(isByDot ? byDot : byClient))) { history, dot in
      history.pending.append(.rejected(entry: dot, reason: .unknownOrder, order: .none))
      history.rejections[dot] = AuditRejection(
        dot: dot, stamp: Stamp(history.stamp), reason: .unknownOrder, target: isByDot ? target : .none)
    }
  }

  private mutating func attest(_ run: inout AppliedRun) {
    let attestation = CheckpointAttestation(number: 1, fills: 2, bookHash: .zero, checkpointHash: .zero)
    add(&run, .checkpoint(attestation)) { $0.expireSome(by: $1) }
  }

  private mutating func expireSome(by dot: Dot) {
    guard generator.chance(1, of: 8), let gone = pick(), let row = expected[gone] else { return }
    emit(.expired(order: gone, openLots: row.openLots), by: dot)
  }

  private mutating func pick() -> Dot? {
    live.removeAll { expected[$0]?.status.isTerminal ?? true }
    return live.isEmpty ? nil : live[Int(generator.below(UInt64(live.count)))]
  }

  // MARK: What it should come to

  private mutating func emit(_ event: OrderEvent, by: Dot) {
    pending.append(event)
    switch event {
    case .accepted(let order): change(order, by) { $0.status = .open }
    case .rested(let order, let open), .waiting(let order, let open):
      change(order, by) {
        $0.openLots = open
        $0.status = $0.filledLots > 0 ? .partiallyFilled : .open
      }
    case .reduced(let order, let lots, let open):
      change(order, by) {
        $0.openLots = open
        $0.order.quantityLots -= lots
        $0.reducedLots += lots
      }
    case .triggered(let order): change(order, by) { [stamp] in $0.triggeredStamp = Stamp(stamp) }
    case .refreshed: break
    case .filled(let fill):
      fills.append(
        AuditFill(
          number: UInt64(fills.count) + 1, instrument: fill.instrument, maker: fill.maker, taker: fill.taker,
          takerSide: fill.takerSide, priceTicks: fill.priceTicks, quantityLots: fill.quantityLots, stamp: Stamp(stamp)))
      for (order, open) in [(fill.maker, fill.makerOpenLots), (fill.taker, fill.takerOpenLots)] {
        change(order, by) {
          $0.openLots = open
          $0.filledLots += fill.quantityLots
          $0.status = open == 0 ? .filled : .partiallyFilled
        }
      }
    case .cancelled(let order, let reason, let open):
      change(order, by) {
        $0.end(.cancelled, open)
        $0.cancelReason = reason
      }
    case .expired(let order, let open): change(order, by) { $0.end(.expired, open) }
    case .amended(let order, _, let price, let open, let reduced):
      change(order, by) {
        $0.order.priceTicks = price
        $0.order.quantityLots = $0.filledLots + open
        $0.openLots = open
        $0.reducedLots += reduced
      }
    case .rejected(let entry, let reason, let order):
      change(entry, by) {
        $0.end(.rejected, $0.openLots)
        $0.rejectReason = reason
        $0.refersTo = order
      }
    case .instrumentDefined: break
    }
  }

  private mutating func change(_ order: Dot, _ by: Dot, _ body: (inout AuditOrder) -> Void) {
    guard var row = expected[order] else { return }
    body(&row)
    row.changedBy = by
    row.changedStamp = Stamp(stamp)
    expected[order] = row
  }
}

extension AuditOrder {
  fileprivate mutating func end(_ newStatus: OrderStatus, _ open: Int64) {
    status = newStatus
    unfilledLots = open
    openLots = 0
  }
}

extension AppliedRun {
  /// The same items in runs of at most `count`.
  func split(into count: Int) -> [AppliedRun] {
    var result: [AppliedRun] = []
    for index in items.indices {
      if index % count == 0 { result.append(AppliedRun()) }
      result[result.count - 1].append(dot: items[index].dot, entry: items[index].entry, events: events(at: index))
    }
    return result
  }
}
