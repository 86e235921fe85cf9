import EventLog
import OrderBook
import Primitives
import Replica

/// What was acknowledged and is void comes again, once it can: limit orders that may rest, and cancels, as they were.
/// No order comes back after its cancel.
///
/// It goes by what clients were told and by final entries, not by the rules that the book has for names.
struct ResubmissionChecker: Checker {
  let name = "resubmission"

  private struct Name: Hashable {
    var account: AccountID
    var reference: OrderReference
  }

  private var once: FinalOnce
  /// The newest second at which a name was cancelled, by final cancels that were accepted. Looked up only, as below.
  private var cancelled: [Name: UInt64] = [:]
  /// Final orders, by the first dot that they ever had.
  private var orders: Set<Dot> = []
  /// Final cancels, with the machine that wrote them.
  private var cancels: Set<Written> = []
  private var newest = Stamp.zero
  /// As clients know them. `knownBy` counts how many acknowledged entries of each machine are in it.
  private var commandOf: [Dot: Command] = [:]
  private var knownBy: [Int]

  private struct Written: Hashable {
    var machine: Int
    var name: Name
  }

  init(nodes: Int) {
    once = FinalOnce(nodes: nodes)
    knownBy = Array(repeating: 0, count: nodes)
  }

  mutating func started(_ node: SimulatedNode, _ world: Simulation) { once.restarted(node) }

  private mutating func learn(_ world: Simulation) {
    for machine in knownBy.indices {
      for entry in world.acknowledged[machine][knownBy[machine]...] { commandOf[entry.dot] = entry.command }
      knownBy[machine] = world.acknowledged[machine].count
    }
  }

  mutating func finalised(_ run: AppliedRun, _ node: SimulatedNode, _ world: Simulation) -> String? {
    learn(world)
    for index in once.news(run, from: node) {
      let item = run.items[index]
      newest = item.entry.stamp
      switch item.entry.command {
      case .order(let order)?:
        if let text = follow(order, item.dot, run.events(at: index), item.entry.stamp, world) { return text }
      case .cancel(let cancel)?:
        follow(cancel, item.dot, run.events(at: index), item.entry.stamp, world)
      case .instrument, .amend, .cancelAll, nil: break
      }
    }
    return nil
  }

  private mutating func follow(
    _ cancel: Cancel, _ dot: Dot, _ events: some Sequence<OrderEvent>, _ stamp: Stamp, _ world: Simulation
  ) {
    let name = Name(account: cancel.account, reference: cancel.target)
    if let machine = world.machine(of: dot.origin) { cancels.insert(Written(machine: machine, name: name)) }
    var isRefused = false
    for event in events {
      // Of a dot that is not here, that is only half of the answer: should it come, it is cancelled.
      if case .rejected(_, let reason, _) = event { isRefused = reason != .unknownOrder || cancel.targetsID }
    }
    if !isRefused { cancelled[name] = stamp.second }
  }

  private mutating func follow(
    _ order: Order, _ dot: Dot, _ events: some Sequence<OrderEvent>, _ stamp: Stamp, _ world: Simulation
  ) -> String? {
    var first = order.firstDot
    if !first.isNone {
      orders.insert(first)
      if let text = difference(order, dot, world) { return text }
    }
    var isOpen = false
    for event in events {
      switch event {
      case .accepted(let subject): if subject == dot { isOpen = true }
      case .cancelled(let subject, _, _), .expired(let subject, _): if subject == dot { isOpen = false }
      default: break
      }
    }
    guard isOpen else { return nil }
    if first.isNone { first = dot }
    var names = [OrderReference.dot(dot), .dot(first)]
    if !order.clientOrderID.isNone { names.append(.client(order.clientOrderID)) }
    for name in names {
      guard let second = cancelled[Name(account: order.account, reference: name)] else { continue }
      if stamp.second <= second + Limits.clientOrderIDWindowMilliseconds / 1_000 {
        return "\(dot), which was \(first) first, takes effect after a cancel of \(name)"
      }
    }
    return nil
  }

  /// An order that comes again is the one that was void, and of the same machine.
  private func difference(_ order: Order, _ dot: Dot, _ world: Simulation) -> String? {
    guard world.views.isVoid(order.firstDot) else { return "\(dot) comes again for \(order.firstDot), which counts" }
    guard world.machine(of: order.firstDot.origin) == world.machine(of: dot.origin) else {
      return "\(dot) comes again for \(order.firstDot) of another node"
    }
    guard case .order(var sent)? = commandOf[order.firstDot] else { return nil }
    sent.firstDot = order.firstDot
    return Command.order(sent).canonical == .order(order) ? nil : "\(dot) comes again as \(order), was \(sent)"
  }

  mutating func end(_ world: Simulation) -> String? {
    learn(world)
    guard world.nodes.allSatisfy({ $0.condition == .running || !$0.isWanted }) else { return nil }
    for (machine, all) in world.acknowledged.enumerated() {
      let node = world.nodes[machine]
      if node.hasLostData || node.hasDamage || node.process == nil { continue }
      for entry in all where world.views.isVoid(entry.dot) {
        switch entry.command {
        case .order(let order):
          let isOver = order.timeInForce == .goodTillDate && order.expiry <= newest
          guard order.isResubmittable, !isOver, !orders.contains(entry.dot) else { continue }
          return "\(entry.dot), \(order), was acknowledged and is void, and \(node.name) has not sent it again"
        case .cancel(let cancel):
          let name = Name(account: cancel.account, reference: cancel.target)
          guard !cancels.contains(Written(machine: machine, name: name)) else { continue }
          return "\(entry.dot), \(cancel), was acknowledged and is void, and \(node.name) has not sent it again"
        case .instrument, .amend, .cancelAll: continue
        }
      }
    }
    return nil
  }
}

extension Cancel {
  fileprivate var targetsID: Bool { if case .client = target { true } else { false } }
}
