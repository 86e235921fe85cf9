import Oracle
import OrderBook
import Primitives
import Testing

/// The random flows reach every rule, often enough to mean something; else other tests prove less than they seem to.
@Suite struct CoverageTests {
  /// How often what was seen.
  private struct Counts {
    var counts: [String: Int] = [:]
    mutating func see(_ what: String, _ times: Int = 1) { counts[what, default: 0] += times }
  }

  private static let events = [
    "accepted", "waiting", "triggered", "rested", "refreshed", "filled", "cancelled", "expired", "reduced", "amended",
    "rejected", "instrumentDefined",
  ]
  private static let situations = [
    "cascade of 3", "iceberg refreshed 3 times by one order", "fill-or-kill filled",
    "fill-or-kill killed by self-trade prevention", "fill-or-kill killed, for what is hidden comes behind an own order",
    "stop that need not wait", "stop-limit rests", "stop cut off by self-trade prevention",
    "fill-or-kill stop killed", "one trade triggers both sides", "several expire at once", "waiting stop expires",
    "partly filled order expires", "partly filled iceberg cancelled", "waiting stop cancelled",
    "waiting stop cancelled with all", "tombstone of a stop", "amended iceberg keeps its place",
    "amended iceberg loses its place", "amended stop keeps its place", "amended stop loses its place",
    "amended stop-limit has another limit", "amended order trades", "amended order ended", "amended order meets itself",
    "amended below what is filled", "two entries of one stamp",
  ]
  private static let required =
    events
    + RejectReason.allCases.filter { $0 != .sealed && $0 != .unsupported }.map { "rejected: \($0)" }
    + [
      RejectReason.invalidPrice, .invalidQuantity, .invalidDisplay, .unknownOrder, .notOwner, .notOpen, .wouldTrade,
      .notionalOverflow,
    ].map { "amend rejected: \($0)" }
    + CancelReason.allCases.map { "cancelled: \($0)" }
    + SelfTradePrevention.allCases.filter { $0 != .none }.map { "prevented: \($0)" }
    + situations

  @Test func flowsReachEverything() {
    var counts = Counts()
    for profile in FlowProfile.all + [.deep, .deepIcebergs] {
      for seed in 1...UInt64(30) {
        var flow = RandomFlow(seed: seed, profile)
        Self.run(flow.entries(400), &counts)
      }
    }
    Self.run(Self.tooManyInstruments, &counts)
    let rare = Self.required.filter { counts.counts[$0, default: 0] < ($0.hasSuffix("tooManyInstruments") ? 1 : 5) }
    let unknown = counts.counts.keys.filter { !Self.required.contains($0) }
    #expect(rare.isEmpty, "seen: \(counts.counts)")
    #expect(unknown.isEmpty)
  }

  /// One more than there may be.
  static var tooManyInstruments: [Entry] {
    (0...UInt64(Limits.instrumentsMax)).map { number in
      Entry(
        command: .instrument(Instrument(symbol: Symbol("S-\(number)")!)),
        dot: Dot(origin: OriginIndex(0), sequence: number + 1), stamp: Stamp(number + 1))
    }
  }

  private static func run(_ entries: [Entry], _ counts: inout Counts) {
    var oracle = Oracle()
    var last = Stamp.zero
    for entry in entries {
      let before = oracle
      let events = oracle.apply(entry.command, at: entry.dot, stamp: entry.stamp)
      for event in events { see(event, entry, before, oracle, &counts) }
      seeTogether(events, before, &counts)
      if entry.stamp == last { counts.see("two entries of one stamp") }
      last = entry.stamp
      if oracle.tally.mostRefreshes >= 3 { counts.see("iceberg refreshed 3 times by one order") }
      if oracle.tally.deepestCascade >= 3 { counts.see("cascade of 3") }
      counts.see("fill-or-kill killed by self-trade prevention", oracle.tally.killedBySelfTrade)
      counts.see("fill-or-kill killed, for what is hidden comes behind an own order", oracle.tally.killedByTurn)
      for (mode, times) in oracle.tally.selfTrades { counts.see("prevented: \(mode)", times) }
      oracle.tally = Oracle.Tally()
    }
  }

  private static func see(
    _ event: OrderEvent, _ entry: Entry, _ before: Oracle, _ after: Oracle, _ counts: inout Counts
  ) {
    var isAmend = false
    if case .amend = entry.command { isAmend = true }
    switch event {
    case .accepted: counts.see("accepted")
    case .waiting: counts.see("waiting")
    case .triggered(let dot):
      counts.see("triggered")
      if dot == entry.dot { counts.see("stop that need not wait") }
    case .rested(let dot, _):
      counts.see("rested")
      if after.order(dot)?.type == .stopLimit { counts.see("stop-limit rests") }
    case .refreshed: counts.see("refreshed")
    case .filled(let fill):
      counts.see("filled")
      if case .order(let order) = entry.command, order.timeInForce == .fillOrKill, fill.taker == entry.dot {
        counts.see("fill-or-kill filled")
      }
      if isAmend && before.order(fill.taker)?.isWaiting == false { counts.see("amended order trades") }
    case .cancelled(let dot, let reason, let open):
      counts.see("cancelled")
      counts.see("cancelled: \(reason)")
      seeCancelled(dot, reason, open, isAmend, entry, before, &counts)
    case .expired(let dot, _):
      counts.see("expired")
      if let order = before.order(dot), order.isWaiting { counts.see("waiting stop expires") }
      if let order = before.order(dot), order.filledLots > 0 { counts.see("partly filled order expires") }
    case .reduced: counts.see("reduced")
    case .amended(let dot, _, let price, _, _):
      counts.see("amended")
      if let order = before.order(dot) { seeAmended(order, price, after, &counts) }
    case .rejected(_, let reason, _):
      counts.see("rejected")
      counts.see("rejected: \(reason)")
      if isAmend { counts.see("amend rejected: \(reason)") }
    case .instrumentDefined: counts.see("instrumentDefined")
    }
  }

  private static func seeCancelled(
    _ dot: Dot, _ reason: CancelReason, _ open: Int64, _ isAmend: Bool, _ entry: Entry, _ before: Oracle,
    _ counts: inout Counts
  ) {
    if case .order(let order) = entry.command, reason == .tombstone, order.stopPriceTicks != 0 {
      counts.see("tombstone of a stop")
    }
    guard let order = before.order(dot) else { return }
    if order.isWaiting {
      switch reason {
      case .requested: counts.see("waiting stop cancelled")
      case .cancelAll: counts.see("waiting stop cancelled with all")
      case .fillOrKill: counts.see("fill-or-kill stop killed")
      case .selfTrade: counts.see("stop cut off by self-trade prevention")
      case .immediateOrCancel, .market, .tombstone: break
      }
    }
    if isAmend && reason == .requested {
      counts.see("amended order ended")
      if order.filledLots > 0 { counts.see("amended below what is filled") }
    }
    if case .amend(let amend) = entry.command, reason == .selfTrade, amend.target == .dot(dot) {
      counts.see("amended order meets itself")
    }
    if reason == .requested && !isAmend && order.displayLots != 0 && order.filledLots > 0 {
      counts.see("partly filled iceberg cancelled")
    }
  }

  private static func seeAmended(_ order: RestingOrder, _ price: Int64, _ after: Oracle, _ counts: inout Counts) {
    let place = after.events.contains(.rested(order: order.dot, openLots: after.order(order.dot)?.openLots ?? 0))
    let waits = after.events.contains(.waiting(order: order.dot, openLots: after.order(order.dot)?.openLots ?? 0))
    if order.isWaiting {
      counts.see(waits ? "amended stop loses its place" : "amended stop keeps its place")
      if price != order.priceTicks { counts.see("amended stop-limit has another limit") }
    } else if order.displayLots != 0 && after.order(order.dot) != nil {
      counts.see(place ? "amended iceberg loses its place" : "amended iceberg keeps its place")
    }
  }

  /// What only several events of one entry show.
  private static func seeTogether(_ events: [OrderEvent], _ before: Oracle, _ counts: inout Counts) {
    let expiries = events.compactMap { event -> Stamp? in
      if case .expired(let dot, _) = event { before.order(dot)?.expiry } else { nil }
    }
    if Set(expiries).count < expiries.count { counts.see("several expire at once") }
    let sides = events.compactMap { event -> Side? in
      if case .triggered(let dot) = event { before.order(dot)?.side } else { nil }
    }
    if Set(sides).count == 2 { counts.see("one trade triggers both sides") }
  }
}
