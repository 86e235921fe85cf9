import OrderBook
import Primitives
import ReferenceBook

/// What a flow led to, as far as a plain book can tell: the engine and the reference must agree on all of it.
public struct FlowOutcome: Hashable, Sendable {
  public internal(set) var fills = 0
  public internal(set) var tradedLots: UInt64 = 0
  /// Cancels and amends of orders that did not rest.
  public internal(set) var refused = 0
  public internal(set) var restingOrders = 0
  /// Sum of the open quantities of one side.
  public internal(set) var openBuyLots: UInt128 = 0
  public internal(set) var openSellLots: UInt128 = 0
  /// SHA-256 over every fill in order: maker, taker, price, quantity.
  public internal(set) var fillsHash = Hash256.zero
}

/// Hashes things of equal size, some thousand bytes at a time.
struct RunningHash {
  private let sha = SHA256()
  private var words: ContiguousArray<UInt64> = []
  private static let wordsMax = 4_096

  init() {
    sha.begin()
    words.reserveCapacity(Self.wordsMax + 16)
  }

  @inline(__always) mutating func add(_ word: UInt64) { words.append(word.littleEndian) }
  @inline(__always) mutating func add(_ dot: Dot) {
    add(UInt64(dot.origin.value))
    add(dot.sequence)
  }

  /// Call it between two things.
  mutating func pack() { if words.count >= Self.wordsMax { flush() } }

  /// - Returns: the hash of everything added. Nothing can be added after it.
  mutating func finish() -> Hash256 {
    flush()
    return sha.finish()
  }

  private mutating func flush() {
    words.withUnsafeBytes { sha.update($0) }
    words.removeAll(keepingCapacity: true)
  }
}

/// Reads tapes and fills outside of what is measured.
struct OutcomeReader {
  private(set) var outcome = FlowOutcome()
  private var fills = RunningHash()
  private var events = RunningHash()

  // MARK: Engine

  /// - Parameter hashesEvents: every event too, not only the fills.
  mutating func read(_ tape: borrowing EventTape, hashesEvents: Bool) {
    for event in tape.run(from: tape.start, to: tape.end) {
      switch event {
      case .filled(let fill):
        add(fill.maker.sequence, fill.taker.sequence, fill.priceTicks, fill.quantityLots)
      case .rejected(_, .notOpen, _), .rejected(_, .unknownOrder, _): outcome.refused += 1
      case .accepted, .waiting, .triggered, .rested, .refreshed, .cancelled, .expired, .reduced, .amended, .rejected,
        .instrumentDefined:
        break
      }
      if hashesEvents {
        events.add(event)
        events.pack()
      }
    }
  }

  /// - Returns: what has been read, and what the book holds at the end.
  mutating func finish(_ engine: borrowing MatchingEngine) -> FlowOutcome {
    outcome.restingOrders = engine.restingOrders
    outcome.openBuyLots = openLots(engine, .buy)
    outcome.openSellLots = openLots(engine, .sell)
    outcome.fillsHash = fills.finish()
    return outcome
  }

  mutating func eventsHash() -> Hash256 { events.finish() }

  /// Order by order, hidden quantities of icebergs too.
  private func openLots(_ engine: borrowing MatchingEngine, _ side: Side) -> UInt128 {
    var lots: UInt128 = 0
    for level in engine.levels(of: FlowLog.instrument, side, limit: .max) {
      for order in engine.orders(of: FlowLog.instrument, side, priceTicks: level.priceTicks) {
        lots += UInt128(order.openLots)
      }
    }
    return lots
  }

  // MARK: Reference

  mutating func readFills(_ book: OpaquePointer) {
    var count = 0
    guard let first = reference_book_fills(book, &count) else { return }
    for fill in UnsafeBufferPointer(start: first, count: count) {
      add(fill.maker, fill.taker, fill.price, fill.quantity)
    }
  }

  mutating func finish(reference book: OpaquePointer) -> FlowOutcome {
    let totals = reference_book_totals(book)
    outcome.refused = Int(totals.refused)
    outcome.restingOrders = Int(totals.resting_orders)
    outcome.openBuyLots = UInt128(totals.open_buy)
    outcome.openSellLots = UInt128(totals.open_sell)
    outcome.fillsHash = fills.finish()
    return outcome
  }

  @inline(__always) private mutating func add(_ maker: UInt64, _ taker: UInt64, _ price: Int64, _ lots: Int64) {
    outcome.fills += 1
    outcome.tradedLots += UInt64(lots)
    fills.add(maker)
    fills.add(taker)
    fills.add(UInt64(bitPattern: price))
    fills.add(UInt64(bitPattern: lots))
    fills.pack()
  }
}

extension RunningHash {
  /// A number for the case, then its fields.
  fileprivate mutating func add(_ event: OrderEvent) {
    switch event {
    case .accepted(let order): add(0, order)
    case .waiting(let order, let open): add(1, order, open)
    case .triggered(let order): add(2, order)
    case .rested(let order, let open): add(3, order, open)
    case .refreshed(let order, let visible): add(4, order, visible)
    case .filled(let fill):
      add(5, fill.maker, fill.priceTicks, fill.quantityLots, fill.makerOpenLots, fill.takerOpenLots)
      add(fill.taker)
      add(fill.instrument)
      add(UInt64(fill.takerSide.rawValue))
    case .cancelled(let order, let reason, let open): add(6, order, Int64(reason.rawValue), open)
    case .expired(let order, let open): add(7, order, open)
    case .reduced(let order, let lots, let open): add(8, order, lots, open)
    case .amended(let order, let by, let price, let open, let reduced):
      add(9, order, price, open, reduced)
      add(by)
    case .rejected(let entry, let reason, let order):
      add(10, entry, Int64(reason.rawValue))
      add(order)
    case .instrumentDefined(let entry): add(11, entry)
    }
  }

  private mutating func add(_ kind: UInt64, _ dot: Dot, _ values: Int64...) {
    add(kind)
    add(dot)
    for value in values { add(UInt64(bitPattern: value)) }
  }
}
