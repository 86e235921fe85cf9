import Foundation
import Oracle
import OrderBook
import Primitives
import Testing

/// Runs a transcript: lines that start at the margin are commands, indented ones what they did.
///
/// ```
/// define BTC-USD
/// alice buy 5 @ 100            alice sell 5 market            limit and market orders
/// alice buy 5 stop=105         alice buy 5 @ 107 stop=105     a stop, and a stop-limit
///   ioc fok post-only          show=3                         flags; an iceberg
///   until=60s                                                 good till a minute after its own stamp
///   stp=cancel-newest          (-oldest, -both), stp=decrement
///   id=7 age=602               client order id, and how many seconds ago its client made the order
///   of=1-2 as=market till=date price=5                        contradictions: instrument, type, time-in-force, price
/// alice cancel 1-2 [known]     alice cancel id=7
/// alice amend 1-2 [price=101] [total=9] [open=3] [requeue]
/// alice cancel-all [of=1-1]
/// nothing                      an entry that the book ignores
/// wait 601s                    or in milliseconds: 500ms
/// book                         levels with their orders, icebergs as visible+hidden; then what waits
/// ```
///
/// Every command but the last two is the next entry of origin 1, a millisecond after the one before, so that dots count
/// 1-1, 1-2 … `known` gives the target's stamp: then the order must have been applied.
struct Transcript<Book: BookUnderTest & ~Copyable>: ~Copyable {
  private var book = Book()
  private var sequence: UInt64 = 0
  private var stamp = Stamp(milliseconds: 1_000_000_000)
  private var instrument = Dot.none
  private var out: [String] = []
  private var hashes: [Hash256] = []

  /// What the transcript would say if its commands were run now, and the hash after each of them.
  static func run(_ text: String) -> (text: String, hashes: [Hash256]) {
    var transcript = Transcript()
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) where !line.hasPrefix("  ") {
      transcript.out.append(String(line))
      if !line.isEmpty && !line.hasPrefix("#") { transcript.execute(line.split(separator: " ")) }
    }
    return (transcript.out.joined(separator: "\n"), transcript.hashes)
  }

  private mutating func execute(_ words: [Substring]) {
    if words[0] == "wait" {
      stamp = Stamp(milliseconds: stamp.milliseconds + Self.milliseconds(words[1]))
      return
    }
    if words[0] == "book" { return printBook() }
    sequence += 1
    stamp = Stamp(milliseconds: stamp.milliseconds + 1)
    let dot = Dot(origin: OriginIndex(1), sequence: sequence)
    let events = book.events(of: command(words, dot), at: dot, stamp: stamp)
    if let text = book.contradiction { out.append("  " + text) }
    hashes.append(book.hash())
    for event in events { out.append("  " + Self.describe(event)) }
    if events.isEmpty && words[0] != "nothing" { out.append("  (silent)") }
  }

  private static func milliseconds(_ text: some StringProtocol) -> UInt64 {
    text.hasSuffix("ms") ? UInt64(text.dropLast(2))! : UInt64(text.dropLast())! * 1000
  }

  private mutating func command(_ words: [Substring], _ dot: Dot) -> Command? {
    if words[0] == "nothing" { return nil }
    if words[0] == "define" {
      if instrument.isNone { instrument = dot }
      return .instrument(Instrument(symbol: Symbol(words[1])!))
    }
    let account = AccountID(words[0].utf8.reduce(0) { $0 * 31 + UInt64($1) })
    let options = Options(words.dropFirst(2))
    switch words[1] {
    case "buy", "sell":
      return .order(order(account, words, options))
    case "cancel":
      return .cancel(
        Cancel(account: account, target: options.target, targetStamp: options.has("known") ? stamp : .zero))
    case "amend":
      let open = options.number("open")
      return .amend(
        Amend(
          account: account, target: options.target, targetStamp: stamp, priceTicks: options.number("price"),
          quantityLots: open ?? options.number("total"), quantityMeaning: open == nil ? .total : .open,
          forfeitsPriority: options.has("requeue")))
    case "cancel-all": return .cancelAll(CancelAll(account: account, instrument: options.dot("of") ?? .none))
    default: preconditionFailure("no such command: \(words)")
    }
  }

  private func order(_ account: AccountID, _ words: [Substring], _ options: Options) -> Order {
    let hasLimit = words[3] == "@"
    var order = Order(
      instrument: options.dot("of") ?? instrument, account: account, side: words[1] == "buy" ? .buy : .sell,
      priceTicks: hasLimit ? Int64(words[4])! : options.number("price") ?? 0, quantityLots: Int64(words[2])!)
    if options.has("market") { order.type = .market }
    if let price = options.number("stop") {
      order.type = hasLimit ? .stopLimit : .stop
      order.stopPriceTicks = price
    }
    if options.has("ioc") { order.timeInForce = .immediateOrCancel }
    if options.has("fok") { order.timeInForce = .fillOrKill }
    if let text = options.text("until") {
      order.timeInForce = .goodTillDate
      order.expiry = Stamp(stamp.value + Self.milliseconds(text) << 16)
    }
    order.postOnly = options.has("post-only")
    order.displayLots = options.number("show") ?? 0
    if let mode = options.text("stp") { order.selfTradePrevention = Self.mode(mode) }
    if let type = options.text("as") { order.type = Self.type(type) }
    if let text = options.text("till") { order.timeInForce = text == "date" ? .goodTillDate : .goodTillCancel }
    if let id = options.text("id") {
      order.clientOrderID = ClientOrderID(id)!
      order.clientTimeMilliseconds = UInt64(Int64(stamp.milliseconds) - 1000 * (options.number("age") ?? 0))
    }
    return order
  }

  private static func mode(_ text: String) -> SelfTradePrevention {
    switch text {
    case "cancel-newest": .cancelNewest
    case "cancel-oldest": .cancelOldest
    case "cancel-both": .cancelBoth
    case "decrement": .decrement
    default: preconditionFailure("no such self-trade prevention: \(text)")
    }
  }

  private static func type(_ text: String) -> OrderType {
    switch text {
    case "limit": .limit
    case "market": .market
    case "stop": .stop
    case "stop-limit": .stopLimit
    default: preconditionFailure("no such type: \(text)")
    }
  }

  // MARK: Printing

  private mutating func printBook() {
    for (dot, instrument) in book.definitions {
      out.append("  \(instrument.symbol)")
      for side in [Side.sell, .buy] {
        let levels = book.levels(of: dot, side)
        for level in side == .sell ? levels.reversed() : levels {
          let queue = book.queue(of: dot, side, priceTicks: level.priceTicks).map { $0.text }
          out.append("    \(side) \(level.quantityLots) @ \(level.priceTicks): \(queue.joined(separator: " "))")
        }
      }
      for side in [Side.sell, .buy] {
        for stop in book.stops(of: dot, side) {
          let limit = stop.priceTicks == 0 ? "" : " @ \(stop.priceTicks)"
          let show = stop.displayLots == 0 ? "" : " show=\(stop.displayLots)"
          out.append("    waiting for \(stop.stopPriceTicks): \(side) \(stop.dot)×\(stop.openLots)\(limit)\(show)")
        }
      }
    }
  }

  private static func describe(_ event: OrderEvent) -> String {
    switch event {
    case .accepted(let order): "accepted \(order)"
    case .waiting(let order, let open): "waiting \(order) with \(open)"
    case .triggered(let order): "triggered \(order)"
    case .rested(let order, let open): "rested \(order) with \(open)"
    case .refreshed(let order, let visible): "refreshed \(order), shows \(visible)"
    case .reduced(let order, let lots, let open): "reduced \(order) by \(lots), keeps \(open)"
    case .filled(let fill):
      "filled \(fill.quantityLots) @ \(fill.priceTicks): maker \(fill.maker) keeps \(fill.makerOpenLots), "
        + "taker \(fill.taker) keeps \(fill.takerOpenLots)"
    case .cancelled(let order, let reason, let open): "cancelled \(order) with \(open): \(reason)"
    case .expired(let order, let open): "expired \(order) with \(open)"
    case .amended(let order, let by, let price, let open, let reduced):
      "amended \(order) by \(by): \(open) @ \(price), reduced by \(reduced)"
    case .rejected(let entry, let reason, let order):
      "rejected \(entry): \(reason)" + (order.isNone ? "" : " (\(order))")
    case .instrumentDefined(let entry): "defined \(entry)"
    }
  }
}

extension RestingOrder {
  /// Visible + hidden quantity.
  fileprivate var text: String {
    "\(dot)×\(visibleLots)" + (openLots == visibleLots ? "" : "+\(openLots - visibleLots)")
  }
}

private struct Options {
  private let words: ArraySlice<Substring>
  init(_ words: ArraySlice<Substring>) { self.words = words }

  func has(_ word: Substring) -> Bool { words.contains(word) }
  func text(_ name: String) -> String? {
    words.first { $0.hasPrefix(name + "=") }.map { String($0.dropFirst(name.count + 1)) }
  }
  func number(_ name: String) -> Int64? { text(name).map { Int64($0)! } }
  func dot(_ name: String) -> Dot? { text(name).map { Dot($0)! } }
  var target: OrderReference {
    text("id").map { .client(ClientOrderID($0)!) } ?? .dot(Dot(words.first!)!)
  }
}

/// Engine and oracle must both say what the transcript says, and have the same hash after every command.
///
/// With `RIALTO_RECORD=1` in the environment, what both see is written into the test's file instead. Explain every
/// changed line in the commit. What they do not both see is never written: one of them is wrong.
func check(_ text: String, file: String = #filePath, _ location: SourceLocation = #_sourceLocation) {
  let engine = Transcript<MatchingEngine>.run(text)
  let oracle = Transcript<Oracle>.run(text)
  if engine.text == oracle.text, ProcessInfo.processInfo.environment["RIALTO_RECORD"] != nil, engine.text != text {
    record(engine.text, insteadOf: text, file: file)
    return
  }
  let agrees = (oracle: oracle.text == text, engine: engine.text == text, hashes: engine.hashes == oracle.hashes)
  #expect(agrees.oracle, "the oracle says:\n\(oracle.text)", sourceLocation: location)
  #expect(agrees.engine, "the engine says:\n\(engine.text)", sourceLocation: location)
  #expect(agrees.hashes, "the hash is not as defined", sourceLocation: location)
}

private func record(_ now: String, insteadOf text: String, file: String) {
  func quoted(_ text: String) -> String {
    "\"\"\"\n" + text.split(separator: "\n").map { "      \($0)\n" }.joined() + "      \"\"\""
  }
  let url = URL(fileURLWithPath: file)
  guard let source = try? String(contentsOf: url, encoding: .utf8) else { return }
  try? source.replacingOccurrences(of: quoted(text), with: quoted(now)).write(
    to: url, atomically: true, encoding: .utf8)
}
