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
  /// Messages that are made entries of together, and then applied.
  private static let run = 32
  /// How far ahead of a run's messages the table of ids is asked for, which no cache holds, and the messages
  /// themselves.
  private static let ahead = 2 * run
  private static let messagesAhead = 5 * run

  private var engine = MatchingEngine(origins: 1)
  private var tape = EventTape()
  private var changes: [LevelChange] = []
  private var sequence: UInt64 = 1
  /// The journal is settled after the run that reaches this sequence, and the changed levels are taken after that one.
  private var nextSettling = Self.settled
  private var nextPublishing = Self.published
  private var batch = EntryBatch(capacity: Self.run)
  /// Of the batch's entries, the order that is placed, cancelled or modified, as `named` has it.
  private var orders: UnsafeMutablePointer<UInt32>
  private var nearTicks: Int64 = 0
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
    orders = .allocate(capacity: Self.run)
    orders.initialize(repeating: 0, count: Self.run)
    engine.tracksChangedLevels = true
    guard let symbol = Symbol("BENCH") else { preconditionFailure("BENCH is a symbol") }
    engine.apply(.instrument(Instrument(symbol: symbol)), at: Self.instrument, stamp: Stamp(1), into: &tape)
    tape.removeAll()
  }

  deinit {
    orders.deallocate()
    rialto_memory_release(named, Self.bytes(of: UInt32.self, Int(namedCount)))
    rialto_memory_release(sent, Self.bytes(of: Sent.self, sentCount))
  }

  private static func bytes<Element>(of type: Element.Type, _ count: Int) -> Int {
    count * MemoryLayout<Element>.stride
  }

  // MARK: Messages

  /// A run of messages, one after another.
  mutating func apply(_ messages: UnsafePointer<abi_message>, _ count: Int) {
    var start = 0
    while start < count {
      let end = min(count, start &+ Self.run)
      batch.removeAll()
      for index in start..<end {
        abi_prefetch(messages + (index &+ Self.messagesAhead))
        askFar(messages + min(index &+ Self.ahead, count &- 1))
        add(messages + index)
      }
      engine.prepare(batch)
      for index in start..<end { apply(messages + index, at: index &- start) }
      if sequence >= nextSettling { settle() }
      start = end
    }
  }

  /// One message by itself.
  mutating func apply(_ message: abi_message) { withUnsafePointer(to: message) { apply($0, 1) } }

  @inline(__always) private mutating func askFar(_ message: UnsafePointer<abi_message>) {
    let id = message.pointee.order.order_id
    if id < namedCount { abi_prefetch(named + Int(truncatingIfNeeded: id)) }
  }

  /// Makes the entry of a message.
  @inline(__always) private mutating func add(_ message: UnsafePointer<abi_message>) {
    let id = message.pointee.order.order_id
    sequence &+= 1
    let dot = Dot(origin: Self.origin, sequence: sequence)
    let stamp = Stamp(sequence)
    if message.pointee.type == 0 {
      let side: Side = message.pointee.order.side == 0 ? .buy : .sell
      nearTicks = message.pointee.order.price_ticks
      if id >= namedCount { widenNamed(id) }
      let order = UInt32(truncatingIfNeeded: sequence &<< 1 | UInt64(side.rawValue))
      named[Int(truncatingIfNeeded: id)] = order
      sent[Int(truncatingIfNeeded: sequence)] = Sent(id: id, priceTicks: nearTicks)
      orders[batch.count] = order
      batch.append(
        PackedEntry(
          orderIn: Self.instrument, account: Self.account, side: side, isImmediate: message.pointee.order.ioc != 0,
          priceTicks: nearTicks, quantityLots: Int64(message.pointee.order.quantity), at: dot, stamp: stamp))
      return
    }
    let order = id < namedCount ? named[Int(truncatingIfNeeded: id)] : 0
    let target = Dot(origin: Self.origin, sequence: UInt64(order &>> 1))
    abi_prefetch(sent + Int(target.sequence))
    orders[batch.count] = order
    if message.pointee.type == 1 {
      batch.append(
        PackedEntry(
          cancelOf: target, account: Self.account, targetStamp: Stamp(1), nearTicks: nearTicks, at: dot, stamp: stamp))
    } else {
      nearTicks = message.pointee.modify.price_ticks
      batch.append(
        PackedEntry(
          replaceOf: target, account: Self.account, priceTicks: nearTicks,
          openLots: Int64(message.pointee.modify.quantity), at: dot, stamp: stamp))
    }
  }

  /// Applies the entry of a message and reports what became of it.
  @inline(__always) private mutating func apply(_ message: UnsafePointer<abi_message>, at place: Int) {
    engine.apply(batch, at: place, into: &tape)
    let number = message.pointee.order.sequence_number
    let id = message.pointee.order.order_id
    let order = orders[place]
    let side: Side = order & 1 == 0 ? .buy : .sell
    switch message.pointee.type {
    case 0:
      let price = message.pointee.order.price_ticks
      report(0, number, id, side, price, message.pointee.order.quantity)
      if tape.hasMoreThanRested { reportTrades(number, taker: id, side, price) }
    case 1:
      if tape.startsWithRejection {
        report(4, number, id, .buy, 0, 0)
      } else {
        report(2, number, id, side, sent[Int(order &>> 1)].priceTicks, 0)
      }
    default:
      if tape.startsWithRejection {
        report(5, number, id, .buy, 0, 0)
      } else {
        let price = message.pointee.modify.price_ticks
        let side: Side = message.pointee.modify.side == 0 ? .buy : .sell
        sent[Int(order &>> 1)].priceTicks = price
        report(3, number, id, side, price, message.pointee.modify.quantity)
        if tape.hasMoreThanRested { reportTrades(number, taker: id, side, price) }
      }
    }
    tape.removeAll()
  }

  @inline(never) private mutating func settle() {
    engine.settle(through: engine.journalMark)
    if sequence >= nextPublishing {
      engine.takeChangedLevels(into: &changes)
      nextPublishing = sequence + Self.published
    }
    nextSettling = sequence + Self.settled
    if Int(sequence + 2 * Self.settled) >= sentCount { widenSent() }
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
