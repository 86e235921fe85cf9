import OrderBook
import Primitives

/// Commands that a client sent together, and what it heard of them.
struct ClientSubmission {
  var client: Int
  var commands: [Command]
  var after: Stamp
  var node: Int
  var attempts = 0
  /// Number of the present attempt's first request.
  var request: UInt64 = 0
  var isAnswered = false
  /// Whether it may be sent again when no answer comes: every command in it is safe to repeat.
  var isRepeatable: Bool
  /// Every other client follows what becomes of its commands.
  var wantsReports: Bool { client % 2 == 0 }
}

/// An entry that a node has acknowledged to a client.
package struct Acknowledged: Hashable, Sendable {
  package var dot: Dot
  package var stamp: Stamp
  package var command: Command
}

/// The clients: several accounts that trade one instrument through all nodes.
///
/// They place orders of every type, some of them through two nodes at once; cancel and amend their own orders by id,
/// sometimes before the order itself has arrived anywhere; and send again what was not answered.
struct Clients {
  static let attemptsMax = 6
  static let patienceMicroseconds: UInt64 = 1_000_000

  private(set) var generator: SeededGenerator
  let accounts: Int
  let nodes: Int
  var instrument = Dot.none
  private var nextID: UInt64 = 1
  /// Recent orders with ids.
  private var placed: [Order] = []
  /// Recent orders that were accepted, by their entries.
  private var taken: [(account: AccountID, dot: Dot, stamp: Stamp)] = []
  /// Newest stamp that each client was told.
  private var newest: [Stamp]
  var submissions: [ClientSubmission] = []
  var commandsSent = 0
  var ordersSent = 0

  init(seed: UInt64, accounts: Int, nodes: Int) {
    generator = SeededGenerator(seed: seed)
    self.accounts = accounts
    self.nodes = nodes
    newest = Array(repeating: .zero, count: accounts)
  }

  /// A node has told a client what its commands became.
  mutating func wasTold(_ entries: [Acknowledged], client: Int) {
    for entry in entries {
      newest[client] = max(newest[client], entry.stamp)
      guard case .order(let order) = entry.command else { continue }
      taken.append((order.account, entry.dot, entry.stamp))
    }
    if taken.count > 400 { taken.removeFirst(200) }
  }

  mutating func add(
    _ commands: [Command], client: Int, node: Int, isRepeatable: Bool
  ) -> Int {
    // Every other submission asks to be later than what its client has seen.
    let after = generator.chance(1, of: 2) ? newest[client] : .zero
    submissions.append(
      ClientSubmission(client: client, commands: commands, after: after, node: node, isRepeatable: isRepeatable))
    commandsSent += commands.count
    for command in commands { if case .order = command { ordersSent += 1 } }
    return submissions.count - 1
  }

  /// One client's next commands, as submissions; more than one if something goes to several nodes.
  mutating func burst(_ profile: SimulationProfile, clientTimeMilliseconds: UInt64) -> [Int] {
    let client = generator.pick(0...(accounts - 1))
    let home = generator.pick(0...(nodes - 1))
    var commands: [Command] = []
    var extras: [Int] = []
    var isRepeatable = true
    for _ in 0..<profile.burstCommands {
      let command = next(account: AccountID(UInt64(client) + 1), clientTimeMilliseconds)
      commands.append(command)
      guard case .order(let order) = command else { continue }
      if order.clientOrderID.isNone {
        isRepeatable = false
        continue
      }
      if generator.chance(profile.repeatPerMille, of: 1_000) {
        extras.append(add([command], client: client, node: other(home), isRepeatable: true))
      }
      if generator.chance(profile.chasePerMille, of: 1_000) {
        let cancel = Cancel(account: order.account, target: .client(order.clientOrderID))
        extras.append(add([.cancel(cancel)], client: client, node: other(home), isRepeatable: true))
      }
    }
    return [add(commands, client: client, node: home, isRepeatable: isRepeatable)] + extras
  }

  /// Another node than this one, if there is one.
  mutating func other(_ node: Int) -> Int {
    nodes == 1 ? node : (node + generator.pick(1...(nodes - 1))) % nodes
  }

  private mutating func next(account: AccountID, _ clientTimeMilliseconds: UInt64) -> Command {
    if !placed.isEmpty, generator.chance(32, of: 100) {
      let target = placed[placed.count - 1 - Int(generator.below(UInt64(placed.count)))]
      let reference = OrderReference.client(target.clientOrderID)
      switch generator.below(20) {
      case 0: return .cancelAll(CancelAll(account: account, instrument: instrument))
      case 1...6:
        return .amend(
          Amend(
            account: target.account, target: reference, priceTicks: price(),
            quantityLots: Int64(generator.pick(1...30)),
            quantityMeaning: generator.chance(1, of: 2) ? .open : .total,
            forfeitsPriority: generator.chance(1, of: 2)))
      case 7...9:
        guard let last = taken.last else { break }
        let entry = generator.chance(1, of: 2) ? last : taken[Int(generator.below(UInt64(taken.count)))]
        let stamp = generator.chance(1, of: 2) ? entry.stamp : .zero
        return .cancel(Cancel(account: entry.account, target: .dot(entry.dot), targetStamp: stamp))
      default: return .cancel(Cancel(account: target.account, target: reference))
      }
    }
    var order = Order(
      instrument: instrument, account: account, side: generator.chance(1, of: 2) ? .buy : .sell,
      timeInForce: TimeInForce(rawValue: UInt8(generator.below(8))) ?? .goodTillCancel, priceTicks: price(),
      quantityLots: Int64(generator.pick(1...30)),
      selfTradePrevention: SelfTradePrevention(rawValue: UInt8(generator.below(8))) ?? .none,
      clientOrderID: .none, clientTimeMilliseconds: 0)
    if generator.chance(7, of: 8) {
      order.clientOrderID = ClientOrderID(nextID)
      order.clientTimeMilliseconds = clientTimeMilliseconds
      nextID += 1
    }
    let rests = order.timeInForce == .goodTillCancel || order.timeInForce == .goodTillDate
    if order.timeInForce == .goodTillDate {
      order.expiry = Stamp(milliseconds: clientTimeMilliseconds + 20 + generator.below(3_000))
    }
    if rests, generator.chance(1, of: 5) { order.displayLots = Int64(generator.pick(1...Int(order.quantityLots))) }
    switch generator.below(10) {
    case 0:
      order.type = .stopLimit
      order.stopPriceTicks = price()
    case 1 where order.displayLots == 0:
      order.type = .stop
      order.priceTicks = 0
      order.stopPriceTicks = price()
    case 2: order.postOnly = rests
    case 3 where !rests && order.displayLots == 0:
      order.type = .market
      order.priceTicks = 0
    default: break
    }
    if !order.clientOrderID.isNone {
      placed.append(order)
      if placed.count > 200 { placed.removeFirst(100) }
    }
    return .order(order)
  }

  private mutating func price() -> Int64 {
    // Most around the middle, so that books cross; a few far away.
    generator.chance(1, of: 50) ? Int64(generator.pick(1...100_000)) : Int64(generator.pick(985...1_015))
  }
}
