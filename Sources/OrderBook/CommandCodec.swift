import Primitives

/// Kind of a payload, in the upper four bits of its first byte. The numbers are part of format 1 for ever.
public enum PayloadKind: UInt8, Sendable, CaseIterable {
  case instrument = 1
  case order = 2
  case cancel = 3
  case amend = 4
  case cancelAll = 5
  case fill = 6
  case checkpoint = 7
}

/// What the last payload of a run looked like; the next one says only what differs.
///
/// This page and that of `BatchBuilder` are the reference of format 1. Canonical: there is one encoding of a run of
/// commands, and the decoder refuses any other. Encoder and decoder move through the same states, so a context belongs
/// to one run in one direction.
///
/// ```
/// u8, u16   one byte; two bytes, low one first
/// varint    unsigned 64 bits, seven to a byte, low ones first, bit 128 on all bytes but the last; the shortest form:
///           the last of several bytes is not 0, a tenth is 1
/// signed    n of 64 bits in two's complement: varint of (n << 1) ^ (n >> 63), the second shift arithmetic
/// x from y  signed of x - y modulo 2^64
/// x moves y the same, and then y = x
/// dot       origin varint, below 2^32; sequence varint
/// [c: …]    there only if c holds; a number alone is a flag of the head, "not 2" says that flag 2 is off
/// ```
///
/// The state is `instrument` (a dot), `account`, `price`, `shape`, `id`, `time` and `target`, all 0 at the start of a
/// run. It takes the value of a field marked `= name`, and of one that "moves" it; a field that is left out as the same
/// has the state's value.
///
/// ```
/// head        u8: kind << 4 | flags; flags not listed are 0
///
/// instrument  kind 1, no flags
///             symbol: count varint, 1 … 16, and as many bytes, each one of A-Z 0-9 - . _ /
///             tick, then lot, each: mantissa varint, 1 … 10^18; scale u8, 0 … 18
///
/// order       kind 2, flags: 1 sell, 2 same instrument, 4 same account, 8 same shape
///             [not 8: shape u16 = shape, another than before]
///             [not 2: dot = instrument, another than before]
///             [not 4: account varint = account, another than before]
///             limit price moves price
///             quantity signed
///             [type is stop or stop-limit: stop price from price]    its own limit price by now
///             [shape has displays: display quantity signed, not 0]
///             [good till date: expiry varint]
///             [id kind is not 0: id, client time moves time]
///             [shape has first dot: its origin varint, below 2^20; its sequence moves target, 1 … 2^44 - 1]
///   shape     bits 0-1   type: 0 limit, 1 market, 2 stop, 3 stop-limit
///             bits 2-3   time in force: 0 good till cancel, 1 immediate or cancel, 2 fill or kill, 3 good till date
///             bits 4-6   self-trade prevention: 0 none, 1 cancel newest, 2 cancel oldest, 3 cancel both, 4 decrement
///             bit  7     post-only
///             bits 8-9   id kind: 0 none, 1 integer, 2 text
///             bit  10    displays
///             bit  11    first dot
///             bits 12-15 are 0
///   id        [id kind is integer: number moves id]                  shared by orders, cancels and amends
///             [id kind is text: count varint, 1 … 36, and as many bytes, not the shortest decimal of a 64-bit number]
///
/// cancel      kind 3, flags: 1 by client order id, 2 has target stamp, 4 same account
///             [not 4: account varint = account, another than before]
///             [not 1: target's origin varint, below 2^32; target's sequence moves target]
///             [1: id kind u8, 1 or 2; id]
///             [2: target stamp varint, not 0]
///
/// amend       kind 4, flags and fields of cancel; then
///             changes u8: 1 price, 2 quantity, 4 quantity is the open one (only with 2), 8 forfeits priority
///             [changes has 1: new price moves price]                 shared with orders
///             [changes has 2: quantity signed]
///
/// cancelAll   kind 5, flags: 2 all instruments, 4 same account
///             [not 4: account varint = account, another than before]
///             [not 2: dot of the instrument, sequence not 0]         the state's instrument stays
/// ```
///
/// "Same" must be used where it applies. What the format has no room for, `Command.canonical` clears.
public struct CommandContext: Sendable {
  public var instrument = Dot.none
  public var account = AccountID(0)
  public var priceTicks: Int64 = 0
  public var shape: UInt16 = 0
  public var clientInteger: UInt64 = 0
  public var clientTimeMilliseconds: UInt64 = 0
  public var target = Dot.none
  public init() {}
}

extension Order {
  /// Type, time-in-force, self-trade prevention, post-only; client order id kind, display, first dot: what two orders
  /// of one client usually share.
  @usableFromInline var shape: UInt16 {
    let low =
      UInt16(type.rawValue) | UInt16(timeInForce.rawValue) << 2 | UInt16(selfTradePrevention.rawValue) << 4
      | (postOnly ? 1 << 7 : 0)
    return low | UInt16(clientOrderID.kind.rawValue) << 8 | (displayLots != 0 ? 1 << 10 : 0)
      | (firstWord != 0 ? 1 << 11 : 0)
  }
}

extension Command {
  /// The command as every reader of its bytes sees it: fields that its other fields give no meaning are cleared.
  ///
  /// Whoever writes a command to a log must go on with this form, or its own book differs from everybody else's.
  public var canonical: Command {
    switch self {
    case .instrument: return self
    case .order(var order):
      if order.type == .limit || order.type == .market { order.stopPriceTicks = 0 }
      if order.timeInForce != .goodTillDate { order.expiry = .zero }
      if order.clientOrderID.isNone { order.clientTimeMilliseconds = 0 }
      return .order(order)
    case .cancel(var cancel):
      cancel.target = cancel.target.canonical
      return .cancel(cancel)
    case .amend(var amend):
      amend.target = amend.target.canonical
      if amend.quantityLots == nil { amend.quantityMeaning = .total }
      return .amend(amend)
    case .cancelAll(var all):
      if all.instrument.isNone { all.instrument = .none }
      return .cancelAll(all)
    }
  }
}

extension OrderReference {
  /// An empty client order id names nothing, and so does the dot that names nothing.
  fileprivate var canonical: OrderReference { self == .client(.none) ? .dot(.none) : self }
}

extension ByteWriter {
  mutating func write(_ dot: Dot) {
    writeVarint(UInt64(dot.origin.value))
    writeVarint(dot.sequence)
  }

  /// Writes `command.canonical`.
  public mutating func write(command: Command, _ context: inout CommandContext) {
    switch command {
    case .instrument(let instrument): write(instrument)
    case .order(let order): write(order, &context)
    case .cancel(let cancel):
      write(.cancel, cancel.target, cancel.targetStamp, cancel.account, &context)
    case .amend(let amend):
      write(.amend, amend.target, amend.targetStamp, amend.account, &context)
      write(
        (amend.priceTicks != nil ? 1 : 0) | (amend.quantityLots != nil ? 2 : 0)
          | (amend.quantityLots != nil && amend.quantityMeaning == .open ? 4 : 0) | (amend.forfeitsPriority ? 8 : 0))
      if let price = amend.priceTicks {
        writeSigned(price &- context.priceTicks)
        context.priceTicks = price
      }
      if let quantity = amend.quantityLots { writeSigned(quantity) }
    case .cancelAll(let all):
      let sameAccount = all.account == context.account
      write(PayloadKind.cancelAll.rawValue << 4 | (all.instrument.isNone ? 2 : 0) | (sameAccount ? 4 : 0))
      if !sameAccount { writeVarint(all.account.value) }
      context.account = all.account
      if !all.instrument.isNone { write(all.instrument) }
    }
  }

  private mutating func write(_ instrument: Instrument) {
    write(PayloadKind.instrument.rawValue << 4)
    writePrefixed(instrument.symbol.utf8)
    for increment in [instrument.tick, instrument.lot] {
      writeVarint(increment.mantissa)
      write(increment.scale)
    }
  }

  private mutating func write(_ order: Order, _ context: inout CommandContext) {
    let sameInstrument = order.instrument == context.instrument
    let sameAccount = order.account == context.account
    let shape = order.shape
    let sameShape = shape == context.shape
    write(
      PayloadKind.order.rawValue << 4 | order.side.rawValue | (sameInstrument ? 2 : 0) | (sameAccount ? 4 : 0)
        | (sameShape ? 8 : 0))
    if !sameShape { writeFixed(shape) }
    if !sameInstrument { write(order.instrument) }
    if !sameAccount { writeVarint(order.account.value) }
    writeSigned(order.priceTicks &- context.priceTicks)
    writeSigned(order.quantityLots)
    if order.type == .stop || order.type == .stopLimit { writeSigned(order.stopPriceTicks &- order.priceTicks) }
    if order.displayLots != 0 { writeSigned(order.displayLots) }
    if order.timeInForce == .goodTillDate { writeVarint(order.expiry.value) }
    write(order.clientOrderID, &context)
    if !order.clientOrderID.isNone {
      writeSigned(Int64(bitPattern: order.clientTimeMilliseconds &- context.clientTimeMilliseconds))
      context.clientTimeMilliseconds = order.clientTimeMilliseconds
    }
    if order.firstWord != 0 {
      writeVarint(UInt64(order.firstDot.origin.value))
      writeSigned(Int64(bitPattern: order.firstDot.sequence &- context.target.sequence))
      context.target = order.firstDot
    }
    context.instrument = order.instrument
    context.account = order.account
    context.shape = shape
    context.priceTicks = order.priceTicks
  }

  /// The id itself; its kind is written elsewhere.
  private mutating func write(_ id: ClientOrderID, _ context: inout CommandContext) {
    switch id.kind {
    case .none: break
    case .integer:
      let integer = id.integer ?? 0
      writeSigned(Int64(bitPattern: integer &- context.clientInteger))
      context.clientInteger = integer
    case .text: writePrefixed(id.utf8)
    }
  }

  private mutating func write(
    _ kind: PayloadKind, _ target: OrderReference, _ targetStamp: Stamp, _ account: AccountID,
    _ context: inout CommandContext
  ) {
    let sameAccount = account == context.account
    let target = target.canonical
    var head = kind.rawValue << 4 | (targetStamp != .zero ? 2 : 0) | (sameAccount ? 4 : 0)
    if case .client = target { head |= 1 }
    write(head)
    if !sameAccount { writeVarint(account.value) }
    context.account = account
    switch target {
    case .dot(let dot):
      writeVarint(UInt64(dot.origin.value))
      writeSigned(Int64(bitPattern: dot.sequence &- context.target.sequence))
      context.target = dot
    case .client(let id):
      write(id.kind.rawValue)
      write(id, &context)
    }
    if targetStamp != .zero { writeVarint(targetStamp.value) }
  }
}

extension ByteReader {
  /// Any origin that a `Dot` can hold: a client may name one that the register does not have, and its entry must still
  /// be readable to all. It is the book that finds the order unknown.
  public mutating func readOrigin(_ field: StaticName) throws(CodecError) -> OriginIndex {
    OriginIndex(UInt32(try readVarint(field, max: UInt64(UInt32.max))))
  }

  mutating func readDot(_ field: StaticName) throws(CodecError) -> Dot {
    let origin = try readOrigin(field)
    return Dot(origin: origin, sequence: try readVarint(field))
  }

  /// Reads the payload whose first byte was `head`; nil if it is of a kind that only the log has.
  public mutating func readCommand(head: UInt8, _ context: inout CommandContext) throws(CodecError) -> Command? {
    guard let kind = PayloadKind(rawValue: head >> 4) else {
      throw .unknown(field: "payload kind", value: UInt64(head >> 4))
    }
    switch kind {
    case .instrument: return .instrument(try readInstrument(head))
    case .order: return .order(try readOrder(head, &context))
    case .cancel:
      let (target, stamp) = try readTarget(head, &context)
      return .cancel(Cancel(account: context.account, target: target, targetStamp: stamp))
    case .amend: return .amend(try readAmend(head, &context))
    case .cancelAll:
      guard head & 0b1001 == 0 else { throw .invalid(field: "cancel-all flags") }
      try readAccount(same: head & 4 != 0, &context)
      var instrument = Dot.none
      if head & 2 == 0 {
        instrument = try readDot("instrument")
        guard !instrument.isNone else { throw .invalid(field: "instrument") }
      }
      return .cancelAll(CancelAll(account: context.account, instrument: instrument))
    case .fill, .checkpoint: return nil
    }
  }

  private mutating func readAccount(same: Bool, _ context: inout CommandContext) throws(CodecError) {
    if same { return }
    let account = AccountID(try readVarint("account"))
    guard account != context.account else { throw .invalid(field: "account") }
    context.account = account
  }

  private mutating func readInstrument(_ head: UInt8) throws(CodecError) -> Instrument {
    guard head & 15 == 0 else { throw .invalid(field: "instrument flags") }
    let utf8 = try readPrefixed("symbol", max: Limits.symbolBytesMax)
    guard let symbol = Symbol(String(decoding: utf8, as: UTF8.self)) else { throw .invalid(field: "symbol") }
    func increment(_ mantissa: UInt64, _ scale: UInt8) throws(CodecError) -> Increment {
      guard let increment = Increment(mantissa: mantissa, scale: scale) else { throw .invalid(field: "increment") }
      return increment
    }
    let tick = try increment(try readVarint("tick"), try readByte("tick scale"))
    let lot = try increment(try readVarint("lot"), try readByte("lot scale"))
    return Instrument(symbol: symbol, tick: tick, lot: lot)
  }

  private mutating func readOrder(_ head: UInt8, _ context: inout CommandContext) throws(CodecError) -> Order {
    if head & 8 == 0 {
      let shape: UInt16 = try readFixed("order shape")
      guard shape != context.shape, shape >> 12 == 0 else { throw .invalid(field: "order shape") }
      context.shape = shape
    }
    let shape = context.shape
    guard let type = OrderType(rawValue: UInt8(shape & 3)),
      let timeInForce = TimeInForce(rawValue: UInt8(shape >> 2 & 3)),
      let selfTrade = SelfTradePrevention(rawValue: UInt8(shape >> 4 & 7)),
      let idKind = ClientOrderID.Kind(rawValue: UInt8(shape >> 8 & 3))
    else { throw .invalid(field: "order shape") }
    if head & 2 == 0 {
      let instrument = try readDot("instrument")
      guard instrument != context.instrument else { throw .invalid(field: "instrument") }
      context.instrument = instrument
    }
    try readAccount(same: head & 4 != 0, &context)
    let price = context.priceTicks &+ (try readSigned("price"))
    context.priceTicks = price
    var order = Order(
      instrument: context.instrument, account: context.account, side: head & 1 == 0 ? .buy : .sell, type: type,
      timeInForce: timeInForce, priceTicks: price, quantityLots: try readSigned("quantity"),
      selfTradePrevention: selfTrade, postOnly: shape & (1 << 7) != 0)
    if type == .stop || type == .stopLimit { order.stopPriceTicks = price &+ (try readSigned("stop price")) }
    if shape & (1 << 10) != 0 {
      order.displayLots = try readSigned("display quantity")
      guard order.displayLots != 0 else { throw .invalid(field: "display quantity") }
    }
    if timeInForce == .goodTillDate { order.expiry = Stamp(try readVarint("expiry")) }
    order.clientOrderID = try readClientOrderID(idKind, &context)
    if idKind != .none {
      let delta = UInt64(bitPattern: try readSigned("client time"))
      context.clientTimeMilliseconds &+= delta
      order.clientTimeMilliseconds = context.clientTimeMilliseconds
    }
    if shape & (1 << 11) != 0 { order.firstDot = try readFirstDot(&context) }
    return order
  }

  private mutating func readFirstDot(_ context: inout CommandContext) throws(CodecError) -> Dot {
    let origin = try readOrigin("first dot")
    let sequence = context.target.sequence &+ UInt64(bitPattern: try readSigned("first dot"))
    context.target = Dot(origin: origin, sequence: sequence)
    guard Order.mayBeFirst(context.target) else { throw .invalid(field: "first dot") }
    return context.target
  }

  private mutating func readClientOrderID(
    _ kind: ClientOrderID.Kind, _ context: inout CommandContext
  ) throws(CodecError) -> ClientOrderID {
    switch kind {
    case .none: return .none
    case .integer:
      context.clientInteger &+= UInt64(bitPattern: try readSigned("client order id"))
      return ClientOrderID(context.clientInteger)
    case .text:
      let utf8 = try readPrefixed("client order id", max: Limits.clientOrderIDBytesMax)
      guard let id = ClientOrderID(utf8: utf8), id.kind == .text else { throw .invalid(field: "client order id") }
      return id
    }
  }

  private mutating func readTarget(
    _ head: UInt8, _ context: inout CommandContext
  ) throws(CodecError) -> (OrderReference, Stamp) {
    guard head & 8 == 0 else { throw .invalid(field: "target flags") }
    try readAccount(same: head & 4 != 0, &context)
    let target: OrderReference
    if head & 1 != 0 {
      guard let kind = ClientOrderID.Kind(rawValue: try readByte("client order id kind")), kind != .none else {
        throw .invalid(field: "client order id kind")
      }
      target = .client(try readClientOrderID(kind, &context))
    } else {
      let origin = try readOrigin("target")
      let sequence = context.target.sequence &+ UInt64(bitPattern: try readSigned("target"))
      context.target = Dot(origin: origin, sequence: sequence)
      target = .dot(context.target)
    }
    var stamp = Stamp.zero
    if head & 2 != 0 {
      stamp = Stamp(try readVarint("target stamp"))
      guard stamp != .zero else { throw .invalid(field: "target stamp") }
    }
    return (target, stamp)
  }

  private mutating func readAmend(_ head: UInt8, _ context: inout CommandContext) throws(CodecError) -> Amend {
    let (target, stamp) = try readTarget(head, &context)
    let flags = try readByte("amend flags")
    guard flags >> 4 == 0, flags & 0b0110 != 0b0100 else { throw .invalid(field: "amend flags") }
    var price: Int64?
    if flags & 1 != 0 {
      let value = context.priceTicks &+ (try readSigned("price"))
      context.priceTicks = value
      price = value
    }
    var quantity: Int64?
    if flags & 2 != 0 { quantity = try readSigned("quantity") }
    return Amend(
      account: context.account, target: target, targetStamp: stamp, priceTicks: price, quantityLots: quantity,
      quantityMeaning: flags & 4 != 0 ? .open : .total, forfeitsPriority: flags & 8 != 0)
  }
}
