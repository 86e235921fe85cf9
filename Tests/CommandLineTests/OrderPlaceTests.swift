import Client
import OrderBook
import Primitives
import Testing

@testable import rialto

/// What the options of `rialto order place` make, and what they refuse.
@Suite("Order place")
struct OrderPlaceTests {
  private static let now: UInt64 = 1_795_230_000_000
  private let record = InstrumentRecord(
    dot: Dot(origin: OriginIndex(1), sequence: 3),
    instrument: Instrument(
      symbol: Symbol("BTC-USD")!, tick: Increment(mantissa: 5, scale: 2)!, lot: Increment(mantissa: 1, scale: 3)!))

  private func parse(_ line: String) throws -> OrderPlaceCommand {
    try OrderPlaceCommand.parse(line.split(separator: " ").map(String.init) + ["--to", "127.0.0.1:7001"])
  }

  private func order(_ line: String) throws -> Order {
    try parse(line).order(record, account: AccountID(7), nowMilliseconds: Self.now)
  }

  private func expected(_ change: (inout Order) -> Void) -> Order {
    var order = Order(
      instrument: record.dot, account: AccountID(7), side: .sell, priceTicks: 0, quantityLots: 1_500)
    change(&order)
    return order
  }

  @Test func everyType() throws {
    #expect(try order("sell 1.5 --price 100.25") == expected { $0.priceTicks = 2_005 })
    #expect(
      try order("sell 1.5 --market")
        == expected {
          $0.type = .market
          $0.timeInForce = .immediateOrCancel
        })
    #expect(
      try order("sell 1.5 --market --tif fok")
        == expected {
          $0.type = .market
          $0.timeInForce = .fillOrKill
        })
    #expect(
      try order("sell 1.5 --market --stop 99")
        == expected {
          $0.type = .stop
          $0.stopPriceTicks = 1_980
        })
    #expect(
      try order("sell 1.5 --price 98.95 --stop 99 --tif ioc --stp cancel-both")
        == expected {
          $0.type = .stopLimit
          $0.priceTicks = 1_979
          $0.stopPriceTicks = 1_980
          $0.timeInForce = .immediateOrCancel
          $0.selfTradePrevention = .cancelBoth
        })
    #expect(
      try order("sell 1.5 BTC-USD --price 100.25 --display 0.25 --expire 30s --post-only --stp cancel_oldest")
        == expected {
          $0.priceTicks = 2_005
          $0.displayLots = 250
          $0.timeInForce = .goodTillDate
          $0.expiry = Stamp(milliseconds: Self.now + 30_000)
          $0.postOnly = true
          $0.selfTradePrevention = .cancelOldest
        })
  }

  @Test(
    "durations and times",
    arguments: [
      ("250ms", now + 250), ("30s", now + 30_000), ("5m", now + 300_000), ("12h", now + 43_200_000),
      ("7d", now + 604_800_000), ("2026-11-21T18:00:00Z", 1_795_284_000_000),
      ("2026-11-21T19:30:00.25+01:00", 1_795_285_800_250),
    ])
  func expiries(text: String, milliseconds: UInt64) throws {
    let order = try order("sell 1.5 --price 1 --tif gtd --expire \(text)")
    #expect(order.expiry == Stamp(milliseconds: milliseconds))
    #expect(Expiry(Expiry.text(order.expiry)) == .at(milliseconds: milliseconds))
  }

  @Test func whatHasPassedIsRefused() throws {
    let error = #expect(throws: CommandError.self) { try order("sell 1 --price 1 --expire 2026-11-20T00:00:00Z") }
    #expect(
      error?.message
        == "expire: 2026-11-20T00:00:00.000Z has passed; it is \(Expiry.text(Stamp(milliseconds: Self.now)))")
    #expect(error?.advice?.contains("30s") == true)
  }

  @Test(
    "what does not go together says what to do",
    arguments: [
      ("sell 1", "Give a limit --price, or --market."),
      ("sell 1 --price 5 --market", "Give a limit --price, or --market."),
      ("sell 1 --stop 5", "Say what the stop becomes"),
      ("sell 1 --market --tif gtc", "--tif must be ioc or fok"),
      ("sell 1 --market --expire 30s", "--expire needs --price or --stop"),
      ("sell 1 --price 5 --tif gtd", "--tif gtd needs --expire"),
      ("sell 1 --price 5 --tif gtc --expire 5s", "leave --tif out"),
      ("sell 1 --price 5 --expire soon", "'soon' is neither a duration such as 30s nor a time"),
      ("sell 1 --price 5 --expire 0s", "'0s' is neither"),
      ("sell 1 --price 5 --expire 2026-11-21", "neither"),
      ("sell 1 --price 5 --stop 5 --post-only", "without --stop"),
      ("sell 1 --market --post-only", "--post-only is for limit orders"),
      ("sell 1 --price 5 --post-only --tif ioc", "--tif must be gtc or gtd"),
      ("sell 1 --price 5 --display 1 --tif fok", "--tif must be gtc or gtd"),
      ("sell 1 --market --stop 5 --display 1", "give a --price"),
      ("sell 1 --price 5 --stp both", "both"),
      ("sell 1 --price 5 --tif day", "day"),
    ])
  func flaws(line: String, advice: String) {
    let error = #expect(throws: (any Error).self) { try parse(line) }
    let text = error.map { OrderPlaceCommand.fullMessage(for: $0) } ?? ""
    #expect(text.contains(advice), "\(text)")
  }

  @Test(
    "decimals off the grid or out of range name the option",
    arguments: [
      ("sell 1.5 --price 100.01", "price: 100.01 is not a multiple of 0.05"),
      ("sell 1.5 --market --stop 99.99", "stop: 99.99 is not a multiple of 0.05"),
      ("sell 1.5 --price 1 --display 0.0001", "display: 0.0001 is not a multiple of 0.001"),
      ("sell 1.5 --price 1 --display 0", "display: 0 is out of range"),
      ("sell 1.5 --price 1 --display 2", "display: 2.000 is more than the quantity 1.500"),
      ("sell x --price 1", "quantity: 'x' is not a decimal number"),
    ])
  func decimals(line: String, message: String) throws {
    let error = #expect(throws: CommandError.self) { try order(line) }
    #expect(error?.description.contains(message) == true, "\(String(describing: error))")
  }

  @Test func termsAreShown() throws {
    var detail = OrderDetail(
      dot: record.dot, stamp: Stamp(1), symbol: record.instrument.symbol, account: AccountID(1), side: .buy,
      type: .limit, timeInForce: .goodTillCancel, priceTicks: 2_005, quantityLots: 5, openLots: 5, filledLots: 0,
      status: .open)
    #expect(OrderShowCommand.terms(detail, record.instrument) == ["100.25 gtc"])
    detail.type = .stop
    detail.stopPriceTicks = 1_980
    #expect(OrderShowCommand.terms(detail, record.instrument) == ["market gtc", "stop 99.00"])
    detail.type = .stopLimit
    detail.timeInForce = .goodTillDate
    detail.expiry = Stamp(milliseconds: 1_795_284_000_250)
    detail.displayLots = 2
    detail.postOnly = true
    detail.selfTradePrevention = .decrement
    #expect(
      OrderShowCommand.terms(detail, record.instrument) == [
        "100.25 gtd", "stop 99.00", "until 2026-11-21T18:00:00.250Z", "shows 0.002", "post-only",
        "self-trade prevention decrement",
      ])
  }

  /// A repeat is good if the first one stands.
  @Test func repeats() {
    let first = record.dot
    var submission = Submission(dot: Dot(origin: OriginIndex(2), sequence: 9), stamp: Stamp(5))
    submission.update = OrderUpdate(
      entry: submission.dot, state: .rejected, reason: RejectReason.repeated.rawValue, other: first)
    #expect(submission.isGood && submission.stateWord == "repeats 1-3, which stands")
    var detail = OrderDetail(
      dot: first, stamp: Stamp(1), symbol: record.instrument.symbol, account: AccountID(1), side: .buy, type: .limit,
      timeInForce: .goodTillCancel, postOnly: true, priceTicks: 5, quantityLots: 5, openLots: 5, filledLots: 0,
      status: .open)
    submission.first = detail
    #expect(submission.isGood && submission.stateWord == "repeats 1-3, which stands")
    detail.status = .rejected
    detail.reason = RejectReason.wouldTrade.rawValue
    submission.first = detail
    #expect(!submission.isGood && submission.stateWord == "repeats 1-3, which was rejected (wouldTrade)")
  }
}
