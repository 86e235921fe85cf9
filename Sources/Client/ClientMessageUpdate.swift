import OrderBook
import Primitives
import Wire

/// Where an entry stands. The raw value is part of the wire; 0 to 6 are those of `OrderStatus`.
public enum UpdateState: UInt8, Hashable, Sendable, CaseIterable {
  case pending = 0
  case open = 1
  case partiallyFilled = 2
  case filled = 3
  case cancelled = 4
  case expired = 5
  case rejected = 6
  /// A cancel, amend, cancel-all or instrument that took effect.
  case done = 7
}

/// One side's view of a trade.
public struct OrderFill: Hashable, Sendable {
  public var priceTicks: Int64
  public var quantityLots: Int64
  /// The other order.
  public var counterparty: Dot
  public var isMaker: Bool

  public init(priceTicks: Int64, quantityLots: Int64, counterparty: Dot, isMaker: Bool) {
    self.priceTicks = priceTicks
    self.quantityLots = quantityLots
    self.counterparty = counterparty
    self.isMaker = isMaker
  }

  static let byteCountMin = 5

  func write(to writer: inout ByteWriter) {
    writer.writeSigned(priceTicks)
    writer.writeLots(quantityLots)
    writer.writeEntry(counterparty)
    writer.write(isMaker ? 1 : 0)
  }

  init(_ reader: inout ByteReader) throws(CodecError) {
    priceTicks = try reader.readSigned("fill price")
    quantityLots = try reader.readLots("fill quantity")
    counterparty = try reader.readSomeEntry("counterparty")
    isMaker = try reader.readFlag("maker flag")
  }
}

/// What has become of an entry of this connection. Frame `0x42`, node to client, is a list of at most
/// `ClientLimits.updatesMax` of them, in the order in which they happened; unasked, unless turned off (`0x25`).
///
/// ```
/// dot · state u8 · reason u8 · other dot (or none) · open · filled · fills standing
/// · new fills: list of (price signed · quantity · counterparty dot · u8 1 = maker) · flags u8
/// ```
///
/// The list of an order's fills, as its client keeps it, is: the first `fillsStanding` of those told so far, then
/// `newFills`. Fewer standing than were told means that a rollback took some back: entries with earlier keys have
/// arrived from another node, and tentative results were computed anew.
public struct OrderUpdate: Hashable, Sendable {
  /// The order, or the cancel, amend, cancel-all or instrument entry.
  public var entry: Dot
  public var state: UpdateState
  /// Raw value of a `RejectReason` (rejected) or a `CancelReason` (cancelled); 0 for none.
  public var reason: UInt8
  /// The order concerned, if another one: the first one of a repeat, the target of a cancel or amend; else none.
  public var other: Dot
  public var openLots: Int64
  /// Sum over all standing fills, the new ones included.
  public var filledLots: Int64
  /// How many of the fills told earlier still stand.
  public var fillsStanding: UInt64
  /// At most `ClientLimits.fillsMax`.
  public var newFills: [OrderFill]
  public var flags: Flags

  public struct Flags: OptionSet, Hashable, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    /// A rollback took back something told before.
    public static let correction = Flags(rawValue: 1)
    /// Everything in this update is final.
    public static let final = Flags(rawValue: 2)
  }

  public init(
    entry: Dot, state: UpdateState, reason: UInt8 = 0, other: Dot = .none, openLots: Int64 = 0, filledLots: Int64 = 0,
    fillsStanding: UInt64 = 0, newFills: [OrderFill] = [], flags: Flags = []
  ) {
    self.entry = entry
    self.state = state
    self.reason = reason
    self.other = other
    self.openLots = openLots
    self.filledLots = filledLots
    self.fillsStanding = fillsStanding
    self.newFills = newFills
    self.flags = flags
  }

  public var rejectReason: RejectReason? { state == .rejected ? RejectReason(rawValue: reason) : nil }
  public var cancelReason: CancelReason? { state == .cancelled ? CancelReason(rawValue: reason) : nil }

  static let byteCountMin = 11

  func write(to writer: inout ByteWriter) {
    writer.writeEntry(entry)
    writer.write(state.rawValue)
    writer.write(reason)
    writer.writeEntry(other)
    writer.writeLots(openLots)
    writer.writeLots(filledLots)
    writer.writeVarint(fillsStanding)
    writer.writeList(newFills) { $1.write(to: &$0) }
    writer.write(flags.rawValue)
  }

  init(_ reader: inout ByteReader) throws(CodecError) {
    entry = try reader.readSomeEntry("entry")
    state = try reader.readCase("state")
    reason = try reader.readReason(rejected: state == .rejected, cancelled: state == .cancelled)
    other = try reader.readEntry("other order")
    openLots = try reader.readLots("open quantity")
    filledLots = try reader.readLots("filled quantity")
    fillsStanding = try reader.readVarint("fills standing")
    newFills = try reader.readList(
      "new fills", max: ClientLimits.fillsMax, elementBytesMin: OrderFill.byteCountMin
    ) { (reader) throws(CodecError) in try OrderFill(&reader) }
    flags = Flags(rawValue: try reader.readFlags("update flags", known: 3))
  }
}

extension ByteReader {
  mutating func readReason(rejected: Bool, cancelled: Bool) throws(CodecError) -> UInt8 {
    let reason = try readByte("reason")
    if reason == 0 { return reason }
    let isRejectReason = rejected && RejectReason(rawValue: reason) != nil
    let isCancelReason = cancelled && CancelReason(rawValue: reason) != nil
    guard isRejectReason || isCancelReason else { throw .invalid(field: "reason") }
    return reason
  }
}

extension ByteWriter {
  /// Appends as many update frames as it takes to keep each near `ClientLimits.updatesFrameBytesTarget`.
  ///
  /// An update with more new fills than one may hold is told in parts: the same state, and the fills bit by bit.
  public mutating func write(updates: [OrderUpdate]) {
    var body = ByteWriter()
    var count = 0
    func close(_ writer: inout ByteWriter) {
      guard count > 0 else { return }
      writer.writeFrame(type: ClientFrame.updates.rawValue) { writer in
        writer.writeVarint(UInt64(count))
        writer.write(body.bytes)
      }
      body.bytes.removeAll(keepingCapacity: true)
      count = 0
    }
    for update in updates {
      var part = update
      var rest = update.newFills[...]
      repeat {
        part.newFills = Array(rest.prefix(ClientLimits.fillsMax))
        rest = rest.dropFirst(ClientLimits.fillsMax)
        part.write(to: &body)
        count += 1
        part.fillsStanding += UInt64(part.newFills.count)
        if count == ClientLimits.updatesMax || body.count > ClientLimits.updatesFrameBytesTarget { close(&self) }
      } while !rest.isEmpty
    }
    close(&self)
  }
}
