import Testing

/// What a random flow is made of. Weights of commands and of kinds of orders are out of 100, chances in 1000.
struct FlowProfile: Sendable, CustomTestStringConvertible {
  var name: String
  /// Width of the band of prices.
  var prices: Int64 = 8
  var accounts: UInt64 = 3
  /// Most lots of an ordinary order.
  var lots: UInt64 = 12
  var withIDs = true

  // Commands; what is left of 100 are instruments and entries that the book ignores.
  var orders: UInt64 = 64
  var cancels: UInt64 = 14
  var amends: UInt64 = 16
  var cancelAlls: UInt64 = 1

  // Kinds of orders; what is left of 100 are limit orders.
  var markets: UInt64 = 7
  var stops: UInt64 = 9
  var stopLimits: UInt64 = 8

  // Of what kind allows it, in 1000.
  var icebergs: UInt64 = 150
  var postOnly: UInt64 = 60
  var tillDate: UInt64 = 150
  var immediate: UInt64 = 70
  var fillOrKill: UInt64 = 120
  var selfTrade: UInt64 = 350
  /// Orders and amends with one wrong value.
  var invalid: UInt64 = 40
  /// Prices and quantities at the ends of what is allowed.
  var extreme: UInt64 = 10
  /// Pauses of minutes.
  var pauses: UInt64 = 8
  /// Orders that are sent again under another dot, and commands that name a dot which such an order had.
  var resubmitted: UInt64 = 0
  /// Seconds until most good-till-date orders leave, at most; about four entries each.
  var lifetime: UInt64 = 8

  var testDescription: String { name }

  /// Everything.
  static let mixed = FlowProfile(name: "mixed")
  /// Limit, market, IOC and FOK orders only.
  static let plain = FlowProfile(
    name: "plain", stops: 0, stopLimits: 0, icebergs: 0, postOnly: 0, tillDate: 0, selfTrade: 0)
  /// Trades that trigger stops that trade.
  static let stops = FlowProfile(
    name: "stops", prices: 14, lots: 6, withIDs: false, orders: 78, cancels: 8, amends: 10, cancelAlls: 1, markets: 8,
    stops: 22, stopLimits: 20, icebergs: 60, selfTrade: 150, invalid: 10, extreme: 3, pauses: 4)
  /// Queues of icebergs, and orders that go round in them.
  static let icebergs = FlowProfile(
    name: "icebergs", prices: 4, lots: 16, withIDs: false, amends: 20, markets: 10, stops: 3, stopLimits: 6,
    icebergs: 750, tillDate: 80, selfTrade: 200, invalid: 10, extreme: 3)
  /// Two accounts that meet themselves all the time.
  static let selfTrades = FlowProfile(
    name: "self-trades", prices: 5, accounts: 2, withIDs: false, markets: 12, stops: 4, stopLimits: 4, icebergs: 300,
    fillOrKill: 250, selfTrade: 900, invalid: 5, extreme: 3)
  /// Orders that leave by themselves, many at once.
  static let expiries = FlowProfile(
    name: "expiries", orders: 70, cancels: 4, amends: 16, stops: 10, stopLimits: 20, icebergs: 200, tillDate: 850,
    immediate: 20, fillOrKill: 30, invalid: 20, lifetime: 15)
  /// Whatever a client may get wrong.
  static let hostile = FlowProfile(
    name: "hostile", orders: 62, amends: 22, stops: 15, stopLimits: 15, postOnly: 150, invalid: 350, extreme: 40)
  /// Orders that come again from void logs, once or twice, before and after what names them.
  static let resubmissions = FlowProfile(
    name: "resubmissions", orders: 60, cancels: 22, amends: 14, stops: 4, stopLimits: 6, resubmitted: 450)
  /// A few prices with long queues.
  static let deep = FlowProfile(
    name: "deep", prices: 2, lots: 5, orders: 76, cancels: 8, amends: 10, cancelAlls: 0, markets: 1, stops: 8,
    stopLimits: 8, tillDate: 40, immediate: 10, fillOrKill: 20, selfTrade: 100, pauses: 0)
  /// Long queues of icebergs, of which many are refreshed by one order.
  static let deepIcebergs = FlowProfile(
    name: "deep icebergs", prices: 2, lots: 9, orders: 78, cancels: 6, amends: 10, cancelAlls: 0, markets: 3, stops: 4,
    stopLimits: 6, icebergs: 800, tillDate: 30, immediate: 60, fillOrKill: 60, selfTrade: 150, extreme: 0, pauses: 0)
  /// Prices far from each other.
  static let far = FlowProfile(name: "far", prices: 1 << 40, stops: 12, stopLimits: 12, extreme: 60)

  static let all = [mixed, plain, stops, icebergs, selfTrades, expiries, hostile, far, resubmissions]
}
