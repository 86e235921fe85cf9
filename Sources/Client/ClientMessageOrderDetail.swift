import OrderBook
import Primitives
import Wire

/// Everything a node knows of one order.
///
/// ```
/// dot · stamp · client order id (length, bytes) · symbol · account
/// · u8 side | type << 1 | time-in-force << 3 | post-only << 5 | final << 6 · u8 self-trade prevention | waits << 3
/// · price signed · quantity · stop price signed · display · expiry · open · filled
/// · status u8 · reason u8 · fills not told here
/// ```
public struct OrderDetail: Hashable, Sendable {
  public var dot: Dot
  /// Of the order's entry: what a cancel or amend should carry as its target stamp.
  public var stamp: Stamp
  public var clientOrderID: ClientOrderID
  public var symbol: Symbol
  public var account: AccountID
  public var side: Side
  public var type: OrderType
  public var timeInForce: TimeInForce
  public var selfTradePrevention: SelfTradePrevention
  public var postOnly: Bool
  /// A stop whose price has not been reached, as far as the node knows.
  public var isWaiting: Bool
  /// Whether status and fills can no longer change by a rollback.
  public var isFinal: Bool
  public var priceTicks: Int64
  /// As placed, or last amended or reduced by self-trade prevention.
  public var quantityLots: Int64
  public var stopPriceTicks: Int64
  public var displayLots: Int64
  public var expiry: Stamp
  public var openLots: Int64
  public var filledLots: Int64
  public var status: OrderStatus
  /// Raw value of a `RejectReason` (rejected) or a `CancelReason` (cancelled); 0 for none.
  public var reason: UInt8
  /// The oldest first, at most `ClientLimits.fillsMax`; empty in lists of orders.
  public var fills: [OrderFill]
  /// How many fills there are besides `fills`.
  public var fillsOmitted: UInt64

  public init(
    dot: Dot, stamp: Stamp, clientOrderID: ClientOrderID = .none, symbol: Symbol, account: AccountID, side: Side,
    type: OrderType, timeInForce: TimeInForce, postOnly: Bool = false, isFinal: Bool = false, priceTicks: Int64,
    quantityLots: Int64, stopPriceTicks: Int64 = 0, displayLots: Int64 = 0, expiry: Stamp = .zero,
    selfTradePrevention: SelfTradePrevention = .none, isWaiting: Bool = false, openLots: Int64, filledLots: Int64,
    status: OrderStatus, reason: UInt8 = 0, fills: [OrderFill] = [], fillsOmitted: UInt64 = 0
  ) {
    self.selfTradePrevention = selfTradePrevention
    self.isWaiting = isWaiting
    self.dot = dot
    self.stamp = stamp
    self.clientOrderID = clientOrderID
    self.symbol = symbol
    self.account = account
    self.side = side
    self.type = type
    self.timeInForce = timeInForce
    self.postOnly = postOnly
    self.isFinal = isFinal
    self.priceTicks = priceTicks
    self.quantityLots = quantityLots
    self.stopPriceTicks = stopPriceTicks
    self.displayLots = displayLots
    self.expiry = expiry
    self.openLots = openLots
    self.filledLots = filledLots
    self.status = status
    self.reason = reason
    self.fills = fills
    self.fillsOmitted = fillsOmitted
  }

  public var rejectReason: RejectReason? { status == .rejected ? RejectReason(rawValue: reason) : nil }
  public var cancelReason: CancelReason? { status == .cancelled ? CancelReason(rawValue: reason) : nil }

  static let byteCountMin = 20

  /// All but the fills.
  func write(to writer: inout ByteWriter, fillsOmitted: UInt64) {
    writer.writeEntry(dot)
    writer.writeVarint(stamp.value)
    writer.writeClientOrderID(clientOrderID)
    writer.writeSymbol(symbol)
    writer.writeVarint(account.value)
    writer.write(
      side.rawValue | type.rawValue << 1 | timeInForce.rawValue << 3 | (postOnly ? 32 : 0) | (isFinal ? 64 : 0))
    writer.write(selfTradePrevention.rawValue | (isWaiting ? 8 : 0))
    writer.writeSigned(priceTicks)
    writer.writeSigned(quantityLots)
    writer.writeSigned(stopPriceTicks)
    writer.writeSigned(displayLots)
    writer.writeVarint(expiry.value)
    writer.writeLots(openLots)
    writer.writeLots(filledLots)
    writer.write(status.rawValue)
    writer.write(reason)
    writer.writeVarint(fillsOmitted)
  }

  /// All but the fills.
  init(_ reader: inout ByteReader) throws(CodecError) {
    dot = try reader.readSomeEntry("order id")
    stamp = Stamp(try reader.readVarint("stamp"))
    clientOrderID = try reader.readClientOrderID("client order id")
    symbol = try reader.readSymbol("symbol")
    account = AccountID(try reader.readVarint("account"))
    let shape = try reader.readFlags("order shape", known: 127)
    guard let side = Side(rawValue: shape & 1), let type = OrderType(rawValue: shape >> 1 & 3),
      let timeInForce = TimeInForce(rawValue: shape >> 3 & 3)
    else { throw .invalid(field: "order shape") }
    self.side = side
    self.type = type
    self.timeInForce = timeInForce
    postOnly = shape & 32 != 0
    isFinal = shape & 64 != 0
    let more = try reader.readFlags("order shape", known: 15)
    guard let prevention = SelfTradePrevention(rawValue: more & 7) else { throw .invalid(field: "order shape") }
    selfTradePrevention = prevention
    isWaiting = more & 8 != 0
    priceTicks = try reader.readSigned("price")
    quantityLots = try reader.readSigned("quantity")
    stopPriceTicks = try reader.readSigned("stop price")
    displayLots = try reader.readSigned("display quantity")
    expiry = Stamp(try reader.readVarint("expiry"))
    openLots = try reader.readLots("open quantity")
    filledLots = try reader.readLots("filled quantity")
    status = try reader.readCase("status")
    reason = try reader.readReason(rejected: status == .rejected, cancelled: status == .cancelled)
    fillsOmitted = try reader.readVarint("fills omitted")
    fills = []
  }
}
