import CEngineABI
import CMemory
import OrderBook
import Primitives

/// The engine behind the interface of flash1-dev/matching-engine-benchmark.
///
/// Every message is an entry of one origin's log; the undo journal and both kinds of marks are on. The journal is
/// settled every 1,024 messages; a replica keeps what is not final, which is more. What is kept here is what a gateway
/// keeps: which order a client's id names, at what price.
struct EngineABI: ~Copyable {
  /// What a client was told of an order.
  private struct Sent {
    /// The client's id of it.
    var id: UInt64
    var priceTicks: Int64
  }

  private static let origin = OriginIndex(0)
  private static let instrument = Dot(origin: origin, sequence: 1)
  private static let account = AccountID(1)
  /// Messages between two settlings.
  private static let settled: UInt64 = 1024
  /// Messages between two looks at the changed levels: less than a millisecond.
  private static let published: UInt64 = 16 * settled
  /// How far ahead of a batch's messages the table of ids, and the orders that they name, are asked for.
  private static let farAhead = 16
  private static let nearAhead = 8

  private var engine = MatchingEngine(origins: 1)
  private var tape = EventTape()
  private var changes: [LevelChange] = []
  private var sequence: UInt64 = 1
  /// Price of the level asked for last.
  private var askedPrice: Int64 = 0
  private var ring: UnsafeMutablePointer<abi_ring>
  /// By client's id, the order that it stands for now: the sequence of its entry, shifted left by one; the low bit is
  /// its side. 0: no such order was ever sent. Small, because ids come in no order.
  private var named: UnsafeMutablePointer<UInt32>
  private var namedCount: UInt64 = 1 << 21
  /// By sequence of the order's entry.
  private var sent: UnsafeMutablePointer<Sent>
  private var sentCount = 1 << 21

  init(ring: UnsafeMutablePointer<abi_ring>) {
    self.ring = ring
    // Large pages, touched now: page faults belong to the start.
    named = rialto_memory_allocate(Self.bytes(of: UInt32.self, Int(namedCount))).bindMemory(
      to: UInt32.self, capacity: Int(namedCount))
    named.update(repeating: 0, count: Int(namedCount))
    sent = rialto_memory_allocate(Self.bytes(of: Sent.self, sentCount)).bindMemory(to: Sent.self, capacity: sentCount)
    sent.update(repeating: Sent(id: 0, priceTicks: 0), count: sentCount)
    engine.tracksChangedLevels = true
    guard let symbol = Symbol("BENCH") else { preconditionFailure("BENCH is a symbol") }
    engine.apply(.instrument(Instrument(symbol: symbol)), at: Self.instrument, stamp: Stamp(1), into: &tape)
    tape.removeAll()
  }

  deinit {
    rialto_memory_release(named, Self.bytes(of: UInt32.self, Int(namedCount)))
    rialto_memory_release(sent, Self.bytes(of: Sent.self, sentCount))
  }

  private static func bytes<Element>(of type: Element.Type, _ count: Int) -> Int {
    count * MemoryLayout<Element>.stride
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
    if Int(sequence + Self.settled) >= sentCount { widenSent() }
  }

  @inline(__always) mutating func place(_ message: UnsafePointer<abi_new_order>) {
    let dot = next()
    let id = message.pointee.order_id
    let side: Side = message.pointee.side == 0 ? .buy : .sell
    let price = message.pointee.price_ticks
    let quantity = message.pointee.quantity
    if id >= namedCount { widenNamed(id) }
    named[Int(truncatingIfNeeded: id)] = UInt32(truncatingIfNeeded: dot.sequence &<< 1 | UInt64(side.rawValue))
    sent[Int(truncatingIfNeeded: dot.sequence)] = Sent(id: id, priceTicks: price)
    let order = LimitOrder(
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
    let target = order(of: id)
    let cancel = Cancel(account: Self.account, target: .dot(target.dot), targetStamp: Stamp(1))
    engine.apply(cancel, at: dot, stamp: Stamp(dot.sequence), into: &tape)
    if tape.startsWithRejection {
      report(4, message.pointee.sequence_number, id, .buy, 0, 0)
    } else {
      report(2, message.pointee.sequence_number, id, target.side, sent[Int(target.dot.sequence)].priceTicks, 0)
    }
    tape.removeAll()
  }

  @inline(__always) mutating func modify(_ message: UnsafePointer<abi_modify>) {
    let dot = next()
    let id = message.pointee.order_id
    let price = message.pointee.price_ticks
    let target = order(of: id).dot
    let amend = Amend(
      account: Self.account, target: .dot(target), targetStamp: Stamp(1), priceTicks: price,
      quantityLots: Int64(message.pointee.quantity), quantityMeaning: .open, forfeitsPriority: true)
    engine.apply(amend, at: dot, stamp: Stamp(dot.sequence), into: &tape)
    if tape.startsWithRejection {
      tape.removeAll()
      return report(5, message.pointee.sequence_number, id, .buy, 0, 0)
    }
    sent[Int(target.sequence)].priceTicks = price
    let side: Side = message.pointee.side == 0 ? .buy : .sell
    report(3, message.pointee.sequence_number, id, side, price, message.pointee.quantity)
    if tape.hasMoreThanRested { reportTrades(message.pointee.sequence_number, taker: id, side, price) }
    tape.removeAll()
  }

  /// The order that an id stands for.
  @inline(__always) private func order(of id: UInt64) -> (dot: Dot, side: Side) {
    let entry = id < namedCount ? named[Int(truncatingIfNeeded: id)] : 0
    return (Dot(origin: Self.origin, sequence: UInt64(entry &>> 1)), entry & 1 == 0 ? .buy : .sell)
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
    let id = message.pointee.order.order_id
    if id < namedCount { abi_prefetch(named + Int(truncatingIfNeeded: id)) }
  }

  /// Whatever the message is: nobody can predict that, and asking for too much costs less than guessing. For a cancel,
  /// which has no price, the level of the message before is asked for again.
  @inline(__always) private mutating func askNear(_ message: UnsafePointer<abi_message>) {
    let target = order(of: message.pointee.order.order_id).dot
    abi_prefetch(sent + Int(target.sequence))
    let hasPrice: Int64 = message.pointee.type == 1 ? 0 : -1
    askedPrice = message.pointee.order.price_ticks & hasPrice | askedPrice & ~hasPrice
    engine.prepareLevel(Self.instrument, askedPrice)
    if engine.isLarge && message.pointee.type != 0 { engine.prepare(target: target, .near) }
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
          maker_order_id: sent[Int(fill.maker.sequence)].id, taker_order_id: taker, reserved3: 0)
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
    while id >= wider { wider *= 2 }
    let bytes = Self.bytes(of: UInt32.self, Int(wider))
    named = rialto_memory_grow(named, Self.bytes(of: UInt32.self, Int(namedCount)), bytes)
      .bindMemory(to: UInt32.self, capacity: Int(wider))
    namedCount = wider
  }

  @inline(never) private mutating func widenSent() {
    precondition(sentCount < 1 << 31, "2^31 messages and more are not served")
    sent = rialto_memory_grow(sent, Self.bytes(of: Sent.self, sentCount), Self.bytes(of: Sent.self, sentCount * 2))
      .bindMemory(to: Sent.self, capacity: sentCount * 2)
    sentCount *= 2
  }

  // MARK: Queries

  func best(_ side: Side) -> Int64? { engine.levels(of: Self.instrument, side, limit: 1).first?.priceTicks }

  func depth(_ price: Int64, _ side: Side) -> UInt64 {
    engine.level(of: Self.instrument, side, priceTicks: price).map { UInt64(truncatingIfNeeded: $0.quantityLots) } ?? 0
  }
}
