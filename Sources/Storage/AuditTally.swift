import EventLog
import OrderBook
import Primitives

/// What a run does to one order, as one row to insert or one to update, however many events concern it.
///
/// Most orders are taken, rest, trade and end within one run; to write each step would cost a statement apiece.
struct OrderChange {
  let dot: Dot
  /// Place in the run of the entry that placed the order; nil if it is in the table already.
  let item: Int?
  /// After the last event; every event says it.
  var openLots: Int64
  var filledMore: Int64 = 0
  var unfilledLots: Int64 = 0
  /// Nil: open or partially filled, as the lots filled in all decide.
  var status: OrderStatus?
  var reason: UInt8 = 0
  /// Nil: not amended in this run.
  var priceTicks: Int64?
  /// New total less the lots that were filled before this run; nil: neither amended nor reduced in this run.
  var quantityBeyondFilled: Int64?
  var reducedMore: Int64 = 0
  /// Stamp of the entry whose application triggered it; nil: not in this run.
  var triggered: Stamp?
  var refersTo = Dot.none
  var changedBy: Dot
  var changedStamp: Stamp

  mutating func fill(_ lots: Int64, openLots left: Int64) {
    filledMore &+= lots
    openLots = left
    status = left == 0 ? .filled : nil
  }

  mutating func amend(priceTicks price: Int64, openLots left: Int64, reducedLots: Int64) {
    priceTicks = price
    openLots = left
    quantityBeyondFilled = filledMore &+ left
    reducedMore &+= reducedLots
    // Reduced to what was filled already: nothing is left to fill.
    status = left == 0 ? .filled : nil
  }

  /// Without a trade: what is taken off counts as never placed, as with an amend. An order that has nothing left is
  /// cancelled by the event that follows.
  mutating func reduce(_ lots: Int64, openLots left: Int64) {
    openLots = left
    quantityBeyondFilled = filledMore &+ left
    reducedMore &+= lots
  }

  mutating func end(_ newStatus: OrderStatus, reason code: UInt8, unfilled: Int64) {
    status = newStatus
    reason = code
    unfilledLots = unfilled
    openLots = 0
  }
}

/// Everything that a run of final entries adds to the audit tables.
struct AuditTally {
  /// In the order in which the run first names them.
  private(set) var changes: ContiguousArray<OrderChange> = []
  private(set) var fills: ContiguousArray<(fill: Fill, stamp: Stamp)> = []
  private(set) var instruments: [Int] = []
  private(set) var rejections: [(item: Int, reason: RejectReason, target: Dot)] = []
  private var places: [Dot: Int] = [:]
  private(set) var orders: UInt64 = 0

  /// - Parameter first: the first item that is new to the tables.
  init(_ run: AppliedRun, from first: Int) {
    let count = run.items.count - first
    changes.reserveCapacity(count)
    fills.reserveCapacity(count / 2)
    places.reserveCapacity(count)
    var event = first == 0 ? 0 : run.items[first - 1].eventsEnd
    for index in first..<run.items.count {
      let end = run.items[index].eventsEnd
      let (dot, stamp) = (run.items[index].dot, run.items[index].entry.stamp)
      if case .command(.order(let order)) = run.items[index].entry.payload {
        orders += 1
        places[dot] = changes.count
        changes.append(
          OrderChange(
            dot: dot, item: index, openLots: order.quantityLots, status: .pending, changedBy: dot, changedStamp: stamp))
      }
      while event < end {
        take(run.events[event], item: index, dot, stamp)
        event += 1
      }
    }
  }

  private mutating func take(_ event: OrderEvent, item: Int, _ dot: Dot, _ stamp: Stamp) {
    switch event {
    case .accepted(let order):
      change(order, dot, stamp) { $0.status = nil }
    case .rested(let order, let openLots), .waiting(let order, let openLots):
      change(order, dot, stamp) {
        $0.openLots = openLots
        $0.status = nil
      }
    case .reduced(let order, let lots, let openLots):
      change(order, dot, stamp) { $0.reduce(lots, openLots: openLots) }
    case .triggered(let order):
      // What it does now follows, and says how much of it is open.
      change(order, dot, stamp) { $0.triggered = stamp }
    case .refreshed: break
    case .filled(let fill):
      fills.append((fill, stamp))
      change(fill.maker, dot, stamp) { $0.fill(fill.quantityLots, openLots: fill.makerOpenLots) }
      change(fill.taker, dot, stamp) { $0.fill(fill.quantityLots, openLots: fill.takerOpenLots) }
    case .cancelled(let order, let reason, let openLots):
      change(order, dot, stamp) { $0.end(.cancelled, reason: reason.rawValue, unfilled: openLots) }
    case .expired(let order, let openLots):
      change(order, dot, stamp) { $0.end(.expired, reason: 0, unfilled: openLots) }
    case .amended(let order, _, let priceTicks, let openLots, let reducedLots):
      change(order, dot, stamp) { $0.amend(priceTicks: priceTicks, openLots: openLots, reducedLots: reducedLots) }
    case .rejected(let entry, let reason, let order):
      if places[entry] == nil && entry == dot {
        rejections.append((item, reason, order))
      } else {
        change(entry, dot, stamp) {
          $0.end(.rejected, reason: reason.rawValue, unfilled: $0.openLots)
          $0.refersTo = order == entry ? .none : order
        }
      }
    case .instrumentDefined:
      instruments.append(item)
    }
  }

  @inline(__always)
  private mutating func change(_ order: Dot, _ by: Dot, _ stamp: Stamp, _ body: (inout OrderChange) -> Void) {
    let place: Int
    if let known = places[order] {
      place = known
    } else {
      place = changes.count
      places[order] = place
      changes.append(OrderChange(dot: order, item: nil, openLots: 0, changedBy: by, changedStamp: stamp))
    }
    body(&changes[place])
    changes[place].changedBy = by
    changes[place].changedStamp = stamp
  }
}
