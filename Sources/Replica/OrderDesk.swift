import OrderBook
import Primitives

/// Tells clients what became of their orders, and corrects it when a rollback changed what was told.
///
/// For each entry of a listening client it keeps the events that concern it, as they stand on the tape now, and how
/// many of them were told. A rollback takes events away; what is told next is the difference. What was told as
/// tentative is told again, with nothing new in it, once all of it is final.
struct OrderDesk: Sendable {
  private enum Happening: Equatable, Sendable {
    case event(OrderEvent)
    /// The command took effect.
    case done
  }

  private struct Tracked: Sendable {
    let session: SessionID
    let isOrder: Bool
    /// The dot that its client was told.
    let name: Dot
    var now: [Happening] = []
    /// As told; compared with `now` to find what changed.
    var told: [Happening] = []
    /// How many of `now`, from the first, are final; events become final in the order in which they happened.
    var finalCount = 0
    /// How many of `told` were final when they were told.
    var toldFinalCount = 0
    var isChanged = false

    var isFinal: Bool { !now.isEmpty && finalCount == now.count }
  }

  /// Entries followed, by dot. Never iterated.
  private var tracked: [Dot: Tracked] = [:]
  /// In the order in which they changed.
  private var changed: [Dot] = []
  /// Ended for good; dropped once told.
  private var retiring: [Dot] = []
  /// Sessions that are gone; what they asked is dropped when it next changes.
  private var closed: Set<SessionID> = []

  var count: Int { tracked.count }

  mutating func follow(_ dot: Dot, session: SessionID, isOrder: Bool) {
    tracked[dot] = Tracked(session: session, isOrder: isOrder, name: dot)
  }

  /// A void entry was written again: its client goes on to hear of it under the dot that it knows.
  /// - Precondition: nothing of the void one is applied.
  mutating func rename(_ dot: Dot, to other: Dot) {
    guard let entry = tracked.removeValue(forKey: dot), !closed.contains(entry.session) else { return }
    tracked[other] = Tracked(session: entry.session, isOrder: entry.isOrder, name: entry.name, told: entry.told)
  }

  /// A void entry that is not written again: that is the last its client hears of it.
  mutating func reject(_ dot: Dot, _ reason: RejectReason) {
    guard tracked[dot] != nil else { return }
    edit(dot) {
      $0.now = [.event(.rejected(entry: dot, reason: reason, order: .none))]
      $0.finalCount = 1
    }
    retiring.append(dot)
  }

  /// The orders that an event concerns.
  static func subjects(of event: OrderEvent) -> (Dot?, Dot?) {
    switch event {
    case .accepted(let order), .waiting(let order, _), .triggered(let order), .rested(let order, _),
      .cancelled(let order, _, _), .expired(let order, _), .reduced(let order, _, _):
      (order, nil)
    // Only its place in the queue is another: nothing to tell.
    case .refreshed: (nil, nil)
    case .filled(let fill): (fill.maker, fill.taker)
    case .amended(let order, _, _, _, _): (order, nil)
    case .rejected(let entry, _, _): (entry, nil)
    case .instrumentDefined(let entry): (entry, nil)
    }
  }

  private mutating func edit(_ dot: Dot?, _ change: (inout Tracked) -> Void) {
    guard let dot, var entry = tracked[dot] else { return }
    guard !closed.contains(entry.session) else {
      tracked[dot] = nil
      return
    }
    change(&entry)
    if !entry.isChanged {
      entry.isChanged = true
      changed.append(dot)
    }
    tracked[dot] = entry
  }

  /// An entry was applied with these events.
  mutating func applied(_ dot: Dot, events: some Sequence<OrderEvent>) {
    guard !tracked.isEmpty else { return }
    var isRejected = false
    for event in events {
      let (first, second) = Self.subjects(of: event)
      edit(first) { $0.now.append(.event(event)) }
      edit(second) { $0.now.append(.event(event)) }
      if case .rejected(dot, _, _) = event { isRejected = true }
    }
    if let entry = tracked[dot], !entry.isOrder, !isRejected { edit(dot) { $0.now.append(.done) } }
  }

  /// The application of an entry was taken back; entries must be taken back newest first.
  mutating func undone(_ dot: Dot, events: [OrderEvent]) {
    guard !tracked.isEmpty else { return }
    if let entry = tracked[dot], entry.now.last == .done { edit(dot) { $0.now.removeLast() } }
    for event in events.reversed() {
      let (first, second) = Self.subjects(of: event)
      edit(second) { $0.now.removeLast() }
      edit(first) { $0.now.removeLast() }
    }
  }

  /// The events of an entry became final: what they ended need not be followed after the next reports.
  mutating func finalized(_ dot: Dot, events: some Sequence<OrderEvent>) {
    guard !tracked.isEmpty else { return }
    if let entry = tracked[dot], !entry.isOrder {
      if entry.now.last == .done { edit(dot) { $0.finalCount += 1 } }
      retiring.append(dot)
    }
    for event in events {
      let (first, second) = Self.subjects(of: event)
      edit(first) { $0.finalCount += 1 }
      edit(second) { $0.finalCount += 1 }
      switch event {
      case .filled(let fill):
        if fill.makerOpenLots == 0 { retiring.append(fill.maker) }
        if fill.takerOpenLots == 0 { retiring.append(fill.taker) }
      case .cancelled(let order, _, _), .expired(let order, _): retiring.append(order)
      case .rejected(let entry, _, _): retiring.append(entry)
      case .accepted, .waiting, .triggered, .rested, .refreshed, .reduced, .amended, .instrumentDefined: break
      }
    }
  }

  /// The order has expired for good, although no entry has come yet that takes it out of the book: it is not followed
  /// after the next reports, so that nothing is told of that entry, nor if it is undone.
  mutating func expired(_ order: Dot, openLots: Int64) {
    guard tracked[order] != nil else { return }
    edit(order) {
      $0.now.append(.event(.expired(order: order, openLots: openLots)))
      $0.finalCount = $0.now.count
    }
    retiring.append(order)
  }

  /// An order is not followed any more if what was told of it is not how it stands.
  /// - Parameters:
  ///   - openLots: nil if it is not open.
  ///   - filledLots: likewise.
  mutating func forgetUnless(_ dot: Dot, openLots: Int64?, filledLots: Int64?) {
    guard let entry = tracked[dot], entry.isOrder else { return }
    let report = Self.report(dot, entry.name, entry.now, standing: 0, told: [])
    if let openLots {
      if report.openLots == openLots, report.filledLots == filledLots { return }
    } else if report.state != .open, report.state != .partiallyFilled {
      return
    }
    tracked[dot] = nil
  }

  mutating func close(_ session: SessionID) {
    if !tracked.isEmpty { closed.insert(session) }
  }

  /// Reports on everything that changed since the last call.
  mutating func takeReports() -> [(SessionID, OrderReport)] {
    guard !changed.isEmpty || !retiring.isEmpty else { return [] }
    var reports: [(SessionID, OrderReport)] = []
    var waiting: [Dot] = []
    for dot in changed {
      guard var entry = tracked[dot] else { continue }
      if entry.now.isEmpty, !entry.told.isEmpty {
        // Taken back and not applied anew yet: it will be in a moment, and only then is there something to tell.
        waiting.append(dot)
        continue
      }
      entry.isChanged = false
      let standing = zip(entry.told, entry.now).prefix { $0 == $1 }.count
      // What became final is told once nothing tentative is left: then the client knows where it stands.
      let isNewlyFinal = entry.isFinal && entry.toldFinalCount < entry.finalCount
      if standing < entry.told.count || standing < entry.now.count || isNewlyFinal {
        var report = Self.report(dot, entry.name, entry.now, standing: standing, told: entry.told)
        report.isFinal = entry.isFinal
        reports.append((entry.session, report))
        entry.told = entry.now
        entry.toldFinalCount = entry.finalCount
      }
      tracked[dot] = entry
    }
    changed = waiting
    for dot in retiring { tracked[dot] = nil }
    retiring.removeAll(keepingCapacity: true)
    if tracked.isEmpty { closed.removeAll() }
    return reports
  }

  private static func report(
    _ dot: Dot, _ name: Dot, _ happenings: [Happening], standing: Int, told: [Happening]
  ) -> OrderReport {
    var report = OrderReport(entry: name, state: .pending)
    report.isCorrection = standing < told.count
    for (index, happening) in happenings.enumerated() {
      switch happening {
      case .done: report.state = .done
      case .event(let event): fold(event, of: dot, into: &report, isNew: index >= standing)
      }
    }
    return report
  }

  /// Carries a report one event further.
  static func fold(_ event: OrderEvent, of dot: Dot, into report: inout OrderReport, isNew: Bool) {
    func restingState() -> OrderReport.State { report.filledLots > 0 ? .partiallyFilled : .open }
    switch event {
    case .accepted: report.state = restingState()
    case .waiting(_, let open), .rested(_, let open), .reduced(_, _, let open):
      report.openLots = open
      report.state = restingState()
    case .triggered, .refreshed: break
    case .filled(let fill):
      let isMaker = fill.maker == dot
      report.filledLots += fill.quantityLots
      report.openLots = isMaker ? fill.makerOpenLots : fill.takerOpenLots
      report.state = report.openLots == 0 ? .filled : .partiallyFilled
      if isNew {
        report.newFills.append(
          OrderReport.ReportedFill(
            priceTicks: fill.priceTicks, quantityLots: fill.quantityLots,
            counterparty: isMaker ? fill.taker : fill.maker, isMaker: isMaker))
      } else {
        report.fillsStanding += 1
      }
    case .cancelled(_, let reason, let open):
      report.state = .cancelled
      report.reason = reason.rawValue
      report.openLots = open
    case .expired(_, let open):
      report.state = .expired
      report.openLots = open
    case .amended(_, _, _, let open, _):
      report.openLots = open
      report.state = restingState()
    case .rejected(_, let reason, let order):
      report.state = .rejected
      report.reason = reason.rawValue
      report.other = order
    case .instrumentDefined: report.state = .done
    }
  }
}
