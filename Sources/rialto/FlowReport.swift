import Client
import Flow
import OrderBook
import Primitives

/// Where a driver's operations come from.
struct FlowSource: Sendable, IteratorProtocol {
  private enum Kind: Sendable {
    case random(RandomFlow)
    case list(ContiguousArray<FlowOperation>, next: Int)
  }
  private var kind: Kind
  private var left: Int

  /// An endless flow, or its first `count` operations.
  init(_ flow: RandomFlow, count: Int? = nil) {
    kind = .random(flow)
    left = count ?? .max
  }

  /// A file's operations, or the first `count` of them.
  init(_ operations: ContiguousArray<FlowOperation>, count: Int? = nil) {
    kind = .list(operations, next: 0)
    left = min(operations.count, count ?? .max)
  }

  /// The accounts that operations name or, where one names none, `account`; each once.
  func accounts(besides account: AccountID) -> [AccountID] {
    switch kind {
    case .random(let flow):
      let named = flow.configuration.accounts
      return named.isEmpty ? [account] : named
    case .list(let operations, _):
      var found: [AccountID] = []
      var known: Set<AccountID> = []
      for operation in operations where known.insert(operation.account ?? account).inserted {
        found.append(operation.account ?? account)
      }
      return found.isEmpty ? [account] : found
    }
  }

  /// The columns that a file of the first `count` operations needs.
  func columns(ofFirst count: Int) -> FlowColumns {
    if case .random(let flow) = kind, flow.configuration.mix == .basic { return [] }
    var probe = self
    var columns = FlowColumns()
    var seen = 0
    while seen < count, columns != .all, let operation = probe.next() {
      columns.formUnion(operation.columns)
      seen += 1
    }
    return columns
  }

  mutating func next() -> FlowOperation? {
    guard left > 0 else { return nil }
    left -= 1
    switch kind {
    case .random(var flow):
      // Moved out and back: a copy would copy its book.
      kind = .list([], next: 0)
      defer { kind = .random(flow) }
      return flow.nextOperation()
    case .list(let operations, let next):
      kind = .list(operations, next: next + 1)
      return operations[next]
    }
  }
}

/// What became of the operations that a driver sent to one node, or to all.
struct FlowCounts: Sendable {
  /// Durable on the node's disk.
  var accepted = 0
  /// Of no effect, and not sent again.
  var refused = 0
  /// Sent again: the connection was lost, or the node could not take it then.
  var retried = 0
  /// Not answered at the end: whether they have taken effect is not known.
  var unknown = 0
  /// Waiting for an answer.
  var outstanding = 0
  /// Why the first one was refused.
  var firstRefusal: RequestRefusal?
  var latency = LatencyHistogram()
  /// The newest acknowledged entry of each origin: whoever holds it holds every acknowledged entry before it.
  var acknowledged: [Dot] = []
  /// When the last one was accepted.
  var lastAccepted: ContinuousClock.Instant?

  mutating func accept(_ dot: Dot, microseconds: UInt64, at now: ContinuousClock.Instant) {
    accepted += 1
    lastAccepted = now
    latency.record(microseconds: microseconds)
    if let place = acknowledged.firstIndex(where: { $0.origin == dot.origin }) {
      if acknowledged[place].sequence < dot.sequence { acknowledged[place] = dot }
    } else {
      acknowledged.append(dot)
    }
  }

  mutating func merge(_ other: FlowCounts) {
    accepted += other.accepted
    refused += other.refused
    retried += other.retried
    unknown += other.unknown
    outstanding += other.outstanding
    if firstRefusal == nil { firstRefusal = other.firstRefusal }
    latency.merge(other.latency)
    for dot in other.acknowledged {
      if let place = acknowledged.firstIndex(where: { $0.origin == dot.origin }) {
        acknowledged[place] = max(acknowledged[place], dot)
      } else {
        acknowledged.append(dot)
      }
    }
    if let instant = other.lastAccepted { lastAccepted = max(lastAccepted ?? instant, instant) }
  }
}

/// The outcome of a whole run.
struct FlowReport: Sendable {
  var total: FlowCounts
  /// In the order of the driver's nodes.
  var nodes: [(name: String, counts: FlowCounts)]
  /// From the first operation to the last accepted one.
  var duration: Duration

  var acceptedPerSecond: Int { duration.perSecond(total.accepted) }

  /// Everything that was sent took effect.
  var isGood: Bool { total.refused == 0 && total.unknown == 0 }
}
