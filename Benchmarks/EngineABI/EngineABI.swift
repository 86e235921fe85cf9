import CEngineABI
import OrderBook
import Primitives

/// The engine behind the interface of flash1-dev/matching-engine-benchmark.
///
/// Every message is an entry of one origin's log; the undo journal and both kinds of marks are on. The journal is
/// settled every 1,024 messages; a replica keeps what is not final, which is more. What is kept here is what a gateway
/// keeps: which order a client's id names, at what price.
struct EngineABI: ~Copyable {
  /// What a client's id stands for now.
  private struct Named {
    /// Sequence of the order's entry, shifted left by one; the low bit is its side. 0: no such order was ever sent.
    var entry: UInt64 = 0
    var priceTicks: Int64 = 0
  }

  private static let origin = OriginIndex(0)
  private static let instrument = Dot(origin: origin, sequence: 1)
  private static let account = AccountID(1)
  /// Messages between two settlings.
  private static let settled: UInt64 = 1024
  /// Messages between two looks at the changed levels: less than a millisecond.
  private static let published: UInt64 = 16 * settled
  /// How far ahead of a batch's messages the table of ids, and the orders that they name, are asked for.
  private static let farAhead = 12
  private static let nearAhead = 6

  private var engine = MatchingEngine(origins: 1)
  private var tape = EventTape()
  private var changes: [LevelChange] = []
  private var sequence: UInt64 = 1
  private var ring: UnsafeMutablePointer<abi_ring>
  private var named: UnsafeMutablePointer<Named>
  private var namedCount = 1 << 21
  /// Client's id by sequence of the order's entry.
  private var ids: UnsafeMutablePointer<UInt64>
  private var idsCount = 1 << 22

  init(ring: UnsafeMutablePointer<abi_ring>) {
    self.ring = ring
    named = .allocate(capacity: namedCount)
    named.initialize(repeating: Named(), count: namedCount)
    ids = .allocate(capacity: idsCount)
    ids.initialize(repeating: 0, count: idsCount)
    engine.tracksChangedLevels = true
    guard let symbol = Symbol("BENCH") else { preconditionFailure("BENCH is a symbol") }
    engine.apply(.instrument(Instrument(symbol: symbol)), at: Self.instrument, stamp: Stamp(1), into: &tape)
    tape.removeAll()
  }

  deinit {
    named.deallocate()
    ids.deallocate()
  }

  // MARK: Messages

  @inline(__always) private mutating func next() -> Dot {
    sequence &+= 1
    if sequence % Self.settled == 0 { settle() }
    return Dot(origin: Self.origin, sequence: sequence)
  }

  @inline(never) private mutating func settle() {
    engine.settle(through: engine.journalMark)
    if sequence % Self.published == 0 { engine.takeChangedLevels(into: &changes) }
    if Int(sequence + Self.settled) >= idsCount { widenIDs() }
  }

  @inline(__always) mutating func place(_ message: UnsafePointer<abi_new_order>) {
    let dot = next()
    let id = message.pointee.order_id
    let side: Side = message.pointee.side == 0 ? .buy : .sell
    let price = message.pointee.price_ticks
    let quantity = message.pointee.quantity
    if id >= UInt64(namedCount) { widenNamed(id) }
    named[Int(id)] = Named(entry: dot.sequence &<< 1 | UInt64(side.rawValue), priceTicks: price)
    ids[Int(dot.sequence)] = id
    let order = Order(
      instrument: Self.instrument, account: Self.account, side: side,
      timeInForce: message.pointee.ioc == 0 ? .goodTillCancel : .immediateOrCancel, priceTicks: price,
      quantityLots: Int64(quantity))
    engine.apply(order, at: dot, stamp: Stamp(dot.sequence), into: &tape)
    report(0, message.pointee.sequence_number, id, side, price, quantity)
    if tape.hasMoreThanRested { reportTrades(message.pointee.sequence_number, taker: id, side, price) }
    tape.removeAll()
  }

  @inline(__always) mutating func cancel(_ message: UnsafePointer<abi_cancel>) {
    let dot = next()
    let id = message.pointee.order_id
    let target = id < UInt64(namedCount) ? named[Int(id)] : Named()
    let cancel = Cancel(
      account: Self.account, target: .dot(Dot(origin: Self.origin, sequence: target.entry &>> 1)),
      targetStamp: Stamp(1))
    engine.apply(cancel, at: dot, stamp: Stamp(dot.sequence), into: &tape)
    if tape.startsWithRejection {
      report(4, message.pointee.sequence_number, id, .buy, 0, 0)
    } else {
      let side: Side = target.entry & 1 == 0 ? .buy : .sell
      report(2, message.pointee.sequence_number, id, side, target.priceTicks, 0)
    }
    tape.removeAll()
  }

  @inline(__always) mutating func modify(_ message: UnsafePointer<abi_modify>) {
    let dot = next()
    let id = message.pointee.order_id
    let price = message.pointee.price_ticks
    let target = id < UInt64(namedCount) ? named[Int(id)] : Named()
    let amend = Amend(
      account: Self.account, target: .dot(Dot(origin: Self.origin, sequence: target.entry &>> 1)),
      targetStamp: Stamp(1), priceTicks: price, quantityLots: Int64(message.pointee.quantity),
      quantityMeaning: .open, forfeitsPriority: true)
    engine.apply(amend, at: dot, stamp: Stamp(dot.sequence), into: &tape)
    if tape.startsWithRejection {
      tape.removeAll()
      return report(5, message.pointee.sequence_number, id, .buy, 0, 0)
    }
    named[Int(id)].priceTicks = price
    let side: Side = message.pointee.side == 0 ? .buy : .sell
    report(3, message.pointee.sequence_number, id, side, price, message.pointee.quantity)
    reportTrades(message.pointee.sequence_number, taker: id, side, price)
    tape.removeAll()
  }

  /// A run of messages, one after another. Looking ahead asks for memory only.
  mutating func apply(_ messages: UnsafePointer<abi_message>, _ count: Int) {
    for index in 0..<count {
      if index &+ Self.farAhead < count { askFar(messages + (index &+ Self.farAhead)) }
      if index &+ Self.nearAhead < count { askNear(messages + (index &+ Self.nearAhead)) }
      let message = UnsafeRawPointer(messages + index) + 8
      switch messages[index].type {
      case 0: place(message.assumingMemoryBound(to: abi_new_order.self))
      case 1: cancel(message.assumingMemoryBound(to: abi_cancel.self))
      default: modify(message.assumingMemoryBound(to: abi_modify.self))
      }
    }
  }

  @inline(__always) private mutating func askFar(_ message: UnsafePointer<abi_message>) {
    let id = Int(truncatingIfNeeded: message.pointee.order.order_id)
    if UInt(bitPattern: id) < UInt(bitPattern: namedCount) { abi_prefetch(named + id) }
  }

  @inline(__always) private mutating func askNear(_ message: UnsafePointer<abi_message>) {
    if message.pointee.type != 1 {
      let price = message.pointee.type == 0 ? message.pointee.order.price_ticks : message.pointee.modify.price_ticks
      engine.prepareLevel(Self.instrument, price)
    }
    if message.pointee.type == 0 || !engine.isLarge { return }
    let id = Int(truncatingIfNeeded: message.pointee.order.order_id)
    guard UInt(bitPattern: id) < UInt(bitPattern: namedCount) else { return }
    engine.prepare(target: Dot(origin: Self.origin, sequence: named[id].entry &>> 1), .near)
  }

  // MARK: Reports

  /// The trades of the entry just applied, and the end of what an immediate order could not trade.
  @inline(never) private mutating func reportTrades(
    _ sequence: UInt64, taker: UInt64, _ side: Side, _ price: Int64
  ) {
    for event in tape.run(from: tape.start, to: tape.end) {
      switch event {
      case .filled(let fill):
        let place = free()
        place.pointee = abi_report(
          type: 1, side: 0, reserved: (0, 0, 0, 0, 0, 0), sequence_number: sequence, order_id: 0,
          price_ticks: fill.priceTicks, quantity: UInt32(truncatingIfNeeded: fill.quantityLots), reserved2: 0,
          maker_order_id: ids[Int(fill.maker.sequence)], taker_order_id: taker, reserved3: 0)
        abi_ring_advance(ring)
      case .cancelled(_, _, let open):
        report(2, sequence, taker, side, price, UInt32(truncatingIfNeeded: open))
      default: break
      }
    }
  }

  @inline(__always) private mutating func report(
    _ type: UInt8, _ sequence: UInt64, _ id: UInt64, _ side: Side, _ price: Int64, _ quantity: UInt32
  ) {
    free().pointee = abi_report(
      type: type, side: side.rawValue, reserved: (0, 0, 0, 0, 0, 0), sequence_number: sequence, order_id: id,
      price_ticks: price, quantity: quantity, reserved2: 0, maker_order_id: 0, taker_order_id: 0, reserved3: 0)
    abi_ring_advance(ring)
  }

  /// A free place of the ring; waits for the reader when there is none.
  @inline(__always) private mutating func free() -> UnsafeMutablePointer<abi_report> {
    if let place = abi_ring_place(ring) { return place }
    return waitForPlace()
  }

  @inline(never) private mutating func waitForPlace() -> UnsafeMutablePointer<abi_report> {
    abi_ring_publish(ring)
    while true {
      if let place = abi_ring_place(ring) { return place }
    }
  }

  // MARK: Tables

  @inline(never) private mutating func widenNamed(_ id: UInt64) {
    precondition(id < 1 << 32, "order ids of 2^32 and more are not served")
    var wider = namedCount
    while id >= UInt64(wider) { wider *= 2 }
    let moved = UnsafeMutablePointer<Named>.allocate(capacity: wider)
    moved.update(from: named, count: namedCount)
    (moved + namedCount).initialize(repeating: Named(), count: wider - namedCount)
    named.deallocate()
    named = moved
    namedCount = wider
  }

  @inline(never) private mutating func widenIDs() {
    let moved = UnsafeMutablePointer<UInt64>.allocate(capacity: idsCount * 2)
    moved.update(from: ids, count: idsCount)
    (moved + idsCount).initialize(repeating: 0, count: idsCount)
    ids.deallocate()
    ids = moved
    idsCount *= 2
  }

  // MARK: Queries

  func best(_ side: Side) -> Int64? { engine.levels(of: Self.instrument, side, limit: 1).first?.priceTicks }

  func depth(_ price: Int64, _ side: Side) -> UInt64 {
    engine.level(of: Self.instrument, side, priceTicks: price).map { UInt64(truncatingIfNeeded: $0.quantityLots) } ?? 0
  }
}
