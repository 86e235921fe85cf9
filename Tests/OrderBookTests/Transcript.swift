import OrderBook
import Primitives

/// Runs a transcript: lines that start at the margin are commands, indented ones what they did.
///
/// ```
/// define BTC-USD
/// alice buy 5 @ 100 [ioc|fok] [id=7] [age=seconds]      alice sell 5 market
/// alice cancel 1-2 [known]                              alice cancel id=7
/// alice amend 1-2 [price=101] [total=9] [open=3] [requeue]
/// alice cancel-all         nothing         wait 601s         book
/// ```
///
/// Every command but the last two is the next entry of origin 1, so that dots count 1-1, 1-2 … `known` gives the
/// target's stamp: then the order must have been applied.
struct Transcript: ~Copyable {
  private var engine = MatchingEngine()
  private var sequence: UInt64 = 0
  private var stamp = Stamp(milliseconds: 1_000_000_000)
  private var instrument = Dot.none
  private var out: [String] = []

  /// What the transcript would say if its commands were run now.
  static func run(_ text: String) -> String {
    var transcript = Transcript()
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) where !line.hasPrefix("  ") {
      transcript.out.append(String(line))
      if !line.isEmpty && !line.hasPrefix("#") { transcript.execute(line.split(separator: " ")) }
    }
    return transcript.out.joined(separator: "\n")
  }

  private mutating func execute(_ words: [Substring]) {
    if words[0] == "wait" {
      stamp = Stamp(milliseconds: stamp.milliseconds + UInt64(words[1].dropLast())! * 1000)
      return
    }
    if words[0] == "book" { return printBook() }
    sequence += 1
    stamp = Stamp(milliseconds: stamp.milliseconds + 1)
    let dot = Dot(origin: OriginIndex(1), sequence: sequence)
    var tape = EventTape()
    engine.apply(command(words, dot), at: dot, stamp: stamp, into: &tape)
    engine.checkInvariants()
    precondition(engine.bookHash() == engine.recomputedBookHash(), "the kept hash differs from the recomputed one")
    for event in tape.events { out.append("  " + Self.describe(event)) }
    if tape.isEmpty && words[0] != "nothing" { out.append("  (silent)") }
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
    case "cancel-all": return .cancelAll(CancelAll(account: account))
    default: preconditionFailure("no such command: \(words)")
    }
  }

  private func order(_ account: AccountID, _ words: [Substring], _ options: Options) -> Order {
    var order = Order(
      instrument: options.dot("of") ?? instrument, account: account, side: words[1] == "buy" ? .buy : .sell,
      priceTicks: words[3] == "@" ? Int64(words[4])! : 0, quantityLots: Int64(words[2])!)
    if options.has("market") { order.type = .market }
    if options.has("ioc") { order.timeInForce = .immediateOrCancel }
    if options.has("fok") { order.timeInForce = .fillOrKill }
    if let id = options.text("id") {
      order.clientOrderID = ClientOrderID(id)!
      order.clientTimeMilliseconds = stamp.milliseconds - UInt64((options.number("age") ?? 0) * 1000)
    }
    return order
  }

  private mutating func printBook() {
    for (dot, instrument) in engine.instruments {
      out.append("  \(instrument.symbol)")
      for side in [Side.sell, .buy] {
        let levels = engine.levels(of: dot, side, limit: 9)
        for level in side == .sell ? levels.reversed() : levels {
          let queue = engine.orders(of: dot, side, priceTicks: level.priceTicks)
          let orders = queue.map { "\($0.dot)×\($0.openLots)" }.joined(separator: " ")
          out.append("    \(side) \(level.quantityLots) @ \(level.priceTicks): \(orders)")
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
