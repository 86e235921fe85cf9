import OrderBook
import Primitives

extension Scenario {
  /// Reads a script.
  /// - Throws: what was expected, and on which line.
  package init(_ text: String) throws(ScenarioError) {
    lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { String($0) }
    while lines.last == "" { lines.removeLast() }
    guard lines.count <= Self.linesMax else {
      throw ScenarioError(line: Self.linesMax, expected: "at most \(Self.linesMax) lines", word: "\(lines.count)")
    }
    for (index, line) in lines.enumerated() {
      var words = ScenarioWords(line, line: index + 1)
      guard !words.isAtEnd else { continue }
      if words.take("at") {
        try readStep(&words)
      } else {
        try readSetting(&words)
      }
      try words.end()
    }
    try bindAccounts()
  }

  private mutating func readSetting(_ words: inout ScenarioWords) throws(ScenarioError) {
    let expected =
      "a setting (nodes, spares, seed, fanout, latency, sync, transport, loss, duplicates), or a "
      + "step (at …)"
    let name = try words.word(expected)
    guard steps.isEmpty else { throw words.errorBefore("a step (at …): settings come first") }
    switch name {
    case "nodes":
      let count = try words.number("a number of nodes, 1 to \(Self.nodesMax)", max: UInt64(Self.nodesMax))
      guard count > 0 else { throw words.errorBefore("a number of nodes, 1 to \(Self.nodesMax)") }
      settings.nodes = Int(count)
    case "spares":
      let expected = "a number of spare nodes, \(Self.nodesMax) with the others"
      settings.spares = Int(try words.number(expected, max: UInt64(Self.nodesMax)))
    case "seed": settings.seed = try words.number("a seed")
    case "fanout":
      settings.fanout = Int(try words.number("a fanout, at most \(Self.nodesMax)", max: UInt64(Self.nodesMax)))
    case "latency": settings.latency = try words.times()
    case "sync": settings.sync = try words.times()
    case "transport":
      guard let transport = SimulationProfile.Transport(rawValue: try words.word("stream or datagram")) else {
        throw words.errorBefore("stream or datagram")
      }
      settings.transport = transport
    case "loss": settings.lossPerMille = try words.percent()
    case "duplicates": settings.duplicatePerMille = try words.percent()
    default: throw words.errorBefore(expected)
    }
    guard settings.machines <= Self.nodesMax else {
      throw words.errorBefore("\(Self.nodesMax) nodes at most, spare ones among them")
    }
  }

  private mutating func readStep(_ words: inout ScenarioWords) throws(ScenarioError) {
    let at = try words.time()
    if let last = steps.last, at < last.at { throw words.errorBefore("a time that is not before the step above") }
    let line = words.line
    var copy = words
    let text = try copy.rest("what happens")
    var condition: Expectation?
    if words.take("once") {
      condition = try Expectation(&words, nodes: settings.machines)
      guard words.take("then") else { throw words.error("then, and what happens") }
    }
    let action: Action
    if words.take("expect") {
      action = .expect(try Expectation(&words, nodes: settings.machines))
    } else if words.take("heal") {
      action = .heal
    } else if words.take("start") {
      action = .start(node: try words.node(of: settings.machines))
    } else if let word = words.peek, let node = ScenarioWords.node(word, of: settings.machines) {
      _ = words.take(word)
      action = .request(node: node, try Request(&words, node: node))
    } else {
      action = .fault(try ScenarioFault(&words, nodes: settings.machines))
    }
    steps.append(Step(line: line, at: at, text: text, condition: condition, action: action))
  }

  /// A cancel or amend that names no account is of the account that placed the id, above or below.
  private mutating func bindAccounts() throws(ScenarioError) {
    var owners: [(id: String, account: AccountID, step: Int)] = []
    for (index, step) in steps.enumerated() {
      guard case .request(_, .order(let request)) = step.action, !request.order.clientOrderID.isNone else { continue }
      owners.append((request.order.clientOrderID.description, request.order.account, index))
    }
    func owner(_ name: OrderName, _ account: AccountID, _ line: Int) throws(ScenarioError) -> AccountID {
      guard account == .unsaid else { return account }
      if case .id(let id) = name, let owner = owners.first(where: { $0.id == id }) { return owner.account }
      throw ScenarioError(line: line, expected: "an account, or the id of an order of this script", word: "\(name)")
    }
    for index in steps.indices {
      guard case .request(let node, let request) = steps[index].action else { continue }
      switch request {
      case .cancel(let name, let account, let isKnown):
        let account = try owner(name, account, steps[index].line)
        steps[index].action = .request(node: node, .cancel(name, account: account, isKnown: isKnown))
      case .amend(let name, var amend, let isKnown):
        amend.account = try owner(name, amend.account, steps[index].line)
        steps[index].action = .request(node: node, .amend(name, amend, isKnown: isKnown))
      case .repeats(let id):
        guard owners.contains(where: { $0.id == id && $0.step < index }) else {
          throw ScenarioError(line: steps[index].line, expected: "the id of an order above", word: id)
        }
      case .define, .order, .cancelAll: break
      }
    }
  }
}

extension AccountID {
  /// Not said in the script.
  fileprivate static let unsaid = AccountID(UInt64.max)
}

// MARK: What clients ask

extension Scenario.Request {
  fileprivate init(_ words: inout ScenarioWords, node: Int) throws(ScenarioError) {
    let own = AccountID(UInt64(node) + 1)
    let expected = "defines, buy, sell, repeats, cancel, amend or cancel-all"
    switch try words.word(expected) {
    case "defines": self = .define(try words.symbol())
    case "buy": self = .order(try Scenario.OrderRequest(.buy, own, &words))
    case "sell": self = .order(try Scenario.OrderRequest(.sell, own, &words))
    case "repeats": self = .repeats(try words.word("the id of an order"))
    case "cancel":
      let name = Scenario.OrderName(try words.word("an order's id or dot"))
      var account = AccountID.unsaid
      var isKnown = false
      while !words.isAtEnd {
        if words.take("known") {
          isKnown = true
        } else {
          try words.expect("account")
          account = AccountID(try words.number("an account"))
        }
      }
      self = .cancel(name, account: account, isKnown: isKnown)
    case "amend": self = try .amend(&words)
    case "cancel-all":
      var account = own
      var symbol: Symbol?
      while !words.isAtEnd {
        if words.take("of") {
          symbol = try words.symbol()
        } else {
          try words.expect("account")
          account = AccountID(try words.number("an account"))
        }
      }
      self = .cancelAll(account, of: symbol)
    default: throw words.errorBefore(expected)
    }
  }

  private static func amend(_ words: inout ScenarioWords) throws(ScenarioError) -> Scenario.Request {
    let name = Scenario.OrderName(try words.word("an order's id or dot"))
    var amend = Amend(account: .unsaid, target: .dot(.none), priceTicks: nil, quantityLots: nil)
    var isKnown = false
    let expected = "price, total, open, requeue, known or account"
    while !words.isAtEnd {
      switch try words.word(expected) {
      case "price": amend.priceTicks = try words.ticks()
      case "total": (amend.quantityLots, amend.quantityMeaning) = (try words.lots(), .total)
      case "open": (amend.quantityLots, amend.quantityMeaning) = (try words.lots(), .open)
      case "requeue": amend.forfeitsPriority = true
      case "known": isKnown = true
      case "account": amend.account = AccountID(try words.number("an account"))
      default: throw words.errorBefore(expected)
      }
    }
    return .amend(name, amend, isKnown: isKnown)
  }
}

extension Scenario.OrderRequest {
  fileprivate init(_ side: Side, _ account: AccountID, _ words: inout ScenarioWords) throws(ScenarioError) {
    order = Order(instrument: .none, account: account, side: side, priceTicks: 0, quantityLots: try words.lots())
    let hasLimit = words.take("@")
    if hasLimit { order.priceTicks = try words.ticks() }
    let isMarket = !hasLimit && words.take("market")
    if isMarket { order.type = .market }
    if !isMarket, words.take("stop") {
      order.type = hasLimit ? .stopLimit : .stop
      order.stopPriceTicks = try words.ticks()
    } else if !hasLimit, !isMarket {
      throw words.error("@, market or stop")
    }
    while !words.isAtEnd { try readOption(&words) }
  }

  private mutating func readOption(_ words: inout ScenarioWords) throws(ScenarioError) {
    let expected = "show, post-only, ioc, fok, until, stp, id, account, of or after"
    switch try words.word(expected) {
    case "show": order.displayLots = try words.lots()
    case "post-only": order.postOnly = true
    case "ioc": order.timeInForce = .immediateOrCancel
    case "fok": order.timeInForce = .fillOrKill
    case "until":
      order.timeInForce = .goodTillDate
      untilMilliseconds = try words.time() / 1_000
    case "stp":
      let modes = "cancel-newest, cancel-oldest, cancel-both or decrement"
      switch try words.word(modes) {
      case "cancel-newest": order.selfTradePrevention = .cancelNewest
      case "cancel-oldest": order.selfTradePrevention = .cancelOldest
      case "cancel-both": order.selfTradePrevention = .cancelBoth
      case "decrement": order.selfTradePrevention = .decrement
      default: throw words.errorBefore(modes)
      }
    case "id":
      let expected = "an id of at most \(Limits.clientOrderIDBytesMax) bytes that is no dot"
      let word = try words.word(expected)
      guard let id = ClientOrderID(word), Dot(word) == nil else { throw words.errorBefore(expected) }
      order.clientOrderID = id
    case "account": order.account = AccountID(try words.number("an account"))
    case "of": symbol = try words.symbol()
    case "after": after = Scenario.OrderName(try words.word("an order's id or dot"))
    default: throw words.errorBefore(expected)
    }
  }
}

// MARK: What goes wrong

extension Scenario.ScenarioFault {
  private static let clockMillisecondsMax: UInt64 = 86_400_000

  fileprivate init(_ words: inout ScenarioWords, nodes: Int) throws(ScenarioError) {
    let expected = "a node, a fault, heal, start or expect"
    switch try words.word(expected) {
    case "partition":
      self.init(kind: .world(.partition))
      detail = Self.mask(try words.nodes(of: nodes))
      try words.expect("|")
      let others = Self.mask(try words.nodes(of: nodes))
      guard detail & others == 0, detail | others == (1 << UInt64(nodes)) - 1 else {
        throw words.errorBefore("each node on one side")
      }
    case "cut": try self.init(cut: &words, nodes: nodes)
    case "reset":
      self.init(kind: .world(.reset), node: try words.node(of: nodes))
      try words.expect("-")
      detail = UInt64(try words.node(of: nodes))
    case "pause": self.init(kind: .world(.pause), node: try words.node(of: nodes))
    case "slow":
      let isDisk = words.take("disk")
      self.init(kind: .world(isDisk ? .slowDisk : .slow), node: try words.node(of: nodes))
      try words.expect("by")
      slowness = try words.time()
    case "crash": self.init(kind: .world(.crash), node: try words.node(of: nodes))
    case "power":
      try words.expect("loss")
      self.init(kind: .world(.powerLoss))
    case "clock":
      let node = try words.node(of: nodes)
      let isAhead = words.take("ahead")
      if !isAhead { try words.expect("back") }
      self.init(kind: .world(isAhead ? .clockAhead : .clockBack), node: node, detail: try words.time() / 1_000)
      guard detail <= Self.clockMillisecondsMax else { throw words.errorBefore("a day at most") }
    case "fail":
      try words.expect("sync")
      self.init(kind: .world(.failedSync), node: try words.node(of: nodes))
    case "full":
      try words.expect("disk")
      self.init(kind: .world(.fullDisk), node: try words.node(of: nodes))
    case "read":
      try words.expect("error")
      self.init(kind: .world(.readError), node: try words.node(of: nodes))
    case "flip":
      try words.expect("bit")
      let node = try words.node(of: nodes)
      try words.expect("in")
      guard let dot = Dot(try words.word("a dot such as 1-2")) else { throw words.errorBefore("a dot such as 1-2") }
      self.init(kind: .flippedBit(dot), node: node)
    case "leave": self.init(kind: .world(.leave), node: try words.node(of: nodes))
    case "wipe": self.init(kind: .world(.wipedDisk), node: try words.node(of: nodes))
    case "loss": self.init(kind: .loss(perMille: try words.percent()))
    case "duplicates": self.init(kind: .duplicates(perMille: try words.percent()))
    default: throw words.errorBefore(expected)
    }
    if words.take("for") { duration = try words.time() }
  }

  private init(cut words: inout ScenarioWords, nodes: Int) throws(ScenarioError) {
    let from = try words.nodes(of: nodes)
    if words.take("->") {
      let to = try words.nodes(of: nodes)
      guard Self.mask(from) & Self.mask(to) == 0 else { throw words.errorBefore("a node of the other side") }
      self.init(kind: .cut(from: from, to: to))
      return
    }
    guard from.count == 1 else { throw words.error("‘->’") }
    try words.expect("-")
    self.init(kind: .world(.cutLink), node: from[0], detail: UInt64(try words.node(of: nodes)))
    guard detail != UInt64(node) else { throw words.errorBefore("another node") }
  }

  private static func mask(_ nodes: [Int]) -> UInt64 { nodes.reduce(0) { $0 | 1 << UInt64($1) } }
}

// MARK: What must be so

extension Scenario.Expectation {
  fileprivate init(_ words: inout ScenarioWords, nodes count: Int) throws(ScenarioError) {
    if words.take("agreement") {
      self = .agreement
    } else if words.take("nothing") {
      try words.expect("tentative")
      self = .nothingTentative
    } else if words.take("view") {
      let number = try words.number("a view's number")
      try words.expect("of")
      self = .view(number, members: try words.nodes(of: count))
    } else if let word = words.peek, word == "all" || ScenarioWords.node(word, of: count) != nil {
      let nodes = try words.nodes(of: count)
      let expected = "has, lacks, is or follows"
      switch try words.word(expected) {
      case "has", "have": try self.init(has: &words, nodes)
      case "lacks", "lack": self = .lacks(nodes: nodes, Scenario.OrderName(try words.word("an order's id or dot")))
      case "follows", "follow": self = .condition(nodes: nodes, .following)
      case "is", "are": self = .condition(nodes: nodes, try Scenario.Condition(&words))
      default: throw words.errorBefore(expected)
      }
    } else {
      let expected = "agreement, nothing tentative, view, a node, or an order's id or dot"
      let name = Scenario.OrderName(try words.word(expected))
      let answers = "accepted, unanswered, void, told, or refused: and a reason"
      switch try words.word(answers) {
      case "accepted": self = .answer(name, .accepted)
      case "unanswered": self = .answer(name, .unanswered)
      case "void": self = .void(name)
      case "told": self = .told(name, try Scenario.OrderExpectation(&words))
      case "refused":
        try words.expect(":")
        self = .answer(name, .refused(try words.rest("a reason")))
      default: throw words.errorBefore(answers)
      }
    }
  }

  private init(has words: inout ScenarioWords, _ nodes: [Int]) throws(ScenarioError) {
    let isNone = words.take("no")
    let expected = "bids, asks, trades\(isNone ? "" : ", or an order's id or dot")"
    let word = try words.word(expected)
    switch word {
    case "bids", "asks", "trades":
      var levels: [Scenario.Level] = []
      if !isNone {
        repeat {
          let quantity = try words.lots()
          try words.expect("@")
          levels.append(Scenario.Level(quantityLots: quantity, priceTicks: try words.ticks()))
        } while words.take(",")
      }
      self =
        word == "trades"
        ? .trades(nodes: nodes, levels) : .levels(nodes: nodes, word == "bids" ? .buy : .sell, levels)
    default:
      guard !isNone else { throw words.errorBefore(expected) }
      self = .order(nodes: nodes, Scenario.OrderName(word), try Scenario.OrderExpectation(&words))
    }
  }
}

extension Scenario.OrderExpectation {
  fileprivate init(_ words: inout ScenarioWords) throws(ScenarioError) {
    let expected = "pending, open, partially-filled, filled, cancelled, expired or rejected"
    switch try words.word(expected) {
    case "pending": self.init(status: .pending)
    case "open": self.init(status: .open)
    case "partially-filled": self.init(status: .partiallyFilled)
    case "filled": self.init(status: .filled)
    case "cancelled": self.init(status: .cancelled)
    case "expired": self.init(status: .expired)
    case "rejected":
      self.init(status: .rejected)
      let word = try words.word("a reason such as duplicateID")
      reason = RejectReason.allCases.first { "\($0)" == word }
      if reason == nil { throw words.errorBefore("a reason such as duplicateID") }
    default: throw words.errorBefore(expected)
    }
    if let word = words.peek, UInt64(word) != nil { openLots = try words.lots() }
    if words.take("tentative") {
      isFinal = false
    } else if words.take("final") {
      isFinal = true
    }
  }
}

extension Scenario.Condition {
  fileprivate init(_ words: inout ScenarioWords) throws(ScenarioError) {
    let expected = "running, down, wedged, member, or out: and words of the reason"
    switch try words.word(expected) {
    case "running": self = .running
    case "down": self = .down
    case "wedged": self = .wedged
    case "member": self = .member(OriginIndex(UInt32(try words.number("a member's number", max: UInt64(UInt32.max)))))
    case "out":
      try words.expect(":")
      self = .out(try words.rest("words of the reason"))
    default: throw words.errorBefore(expected)
    }
  }
}
