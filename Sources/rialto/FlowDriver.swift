import Client
import Flow
import OrderBook
import Primitives
import Synchronization

/// A node that a flow is sent to, in the name of one account: a connection acts for no other.
struct FlowNode: Sendable {
  var name: String
  var account: AccountID
  var client: RialtoClient
  /// Makes a new connection after this one was lost; nil if the node is not to be used again then.
  var reconnect: (@Sendable () async throws -> RialtoClient)?
}

/// Sends a flow of operations to several nodes, in rotation among those that have room, and watches what becomes of
/// them.
///
/// A flow of several accounts needs a connection to each node for each of them; an operation goes through one of its
/// own account's.
///
/// An operation whose fate is unknown (its connection was lost) and one that a node could not take just then is sent
/// again, to whichever node is next: its client order id takes effect once. So every operation of a flow that runs to
/// its end is accepted, or refused for good.
final class FlowDriver: Sendable {
  struct Settings: Sendable {
    var instrument: Dot
    /// Of operations that name none.
    var account: AccountID
    /// Unanswered operations a node at most, over all accounts.
    var outstandingPerNodeMax = 1_000
    /// Operations per second to all nodes together; nil sends as fast as answers come.
    var ratePerSecond: Int?
    /// Waits for each answer and passes its stamp on, so that the flow's order is the total order.
    var isCausal = false
    /// Told of each acceptance, on the event loop; must not block.
    var onAccepted: (@Sendable (FlowOperation, Acceptance) -> Void)?
  }

  /// An operation under way, and when it should have been sent: waiting for room counts as latency.
  fileprivate struct Pending: Sendable {
    var operation: FlowOperation
    var due: ContinuousClock.Instant
    /// When it was first to be sent. Kept when it is sent again: a lifetime counts from it, and a repeat of another
    /// content is no repeat.
    var clientTimeMilliseconds: UInt64
  }

  /// The connections of one account, and whose turn it is.
  private struct Group {
    var account: AccountID
    var lanes: [Int]
    var turn = 0
  }

  /// What is dealt out in one round.
  private struct Deal {
    var rooms: [Int]
    var batches: [[Pending]]
    var total = 0
    var fresh = 0
  }

  /// What of a flow has not been dealt out.
  private struct Undealt {
    var source: FlowSource
    /// Taken from the source while no connection of its account had room.
    var held: Pending?
    var isExhausted = false
    var groups: [Group]
  }

  /// Accounts that a flow may have: each costs a connection to each node.
  static let accountsMax = 64
  private static let clock = ContinuousClock()
  /// Operations that are handed to a client in one go.
  private static let batchMax = 1_024
  /// A node that could not take an operation is left alone for this long.
  private static let pauseMilliseconds = 20
  private static let reconnectMillisecondsMin = 50
  private static let reconnectMillisecondsMax = 1_000
  /// After `stop`, so long for what has no answer yet.
  private static let stopSecondsMax = 10

  private let settings: Settings
  private let lanes: [FlowLane]
  private let groups: [Group]
  private let outstandingPerLaneMax: Int
  private let signal = FlowSignal()
  private let isStopped = Atomic(false)
  private let isFinished = Atomic(false)
  private let retries = Mutex<[Pending]>([])

  /// - Precondition: at least one node, and one for every account of the flow that is to be run.
  init(nodes: [FlowNode], settings: Settings) {
    precondition(!nodes.isEmpty)
    self.settings = settings
    lanes = nodes.map { FlowLane($0) }
    var groups: [Group] = []
    for (index, node) in nodes.enumerated() {
      if let place = groups.firstIndex(where: { $0.account == node.account }) {
        groups[place].lanes.append(index)
      } else {
        groups.append(Group(account: node.account, lanes: [index]))
      }
    }
    self.groups = groups
    outstandingPerLaneMax = max(1, settings.outstandingPerNodeMax / groups.count)
    for node in nodes { node.client.setUpdates(false) }
  }

  /// Sends nothing more; `run` returns when everything sent is answered. May be called from anywhere.
  func stop() {
    isStopped.store(true, ordering: .releasing)
    signal.notify()
  }

  /// What has become of the flow so far, by node.
  func counts() -> [(name: String, counts: FlowCounts)] {
    var found: [(name: String, counts: FlowCounts)] = []
    for lane in lanes {
      if let place = found.firstIndex(where: { $0.name == lane.name }) {
        found[place].counts.merge(lane.counts)
      } else {
        found.append((lane.name, lane.counts))
      }
    }
    return found
  }

  /// Runs the flow to its end, or until `stop`.
  func run(_ source: FlowSource) async -> FlowReport {
    let start = Self.clock.now
    if settings.isCausal {
      await runCausally(source)
    } else {
      await runPipelined(source, start)
    }
    var total = FlowCounts()
    let nodes = counts()
    for node in nodes { total.merge(node.counts) }
    total.unknown += retries.withLock { $0.count }
    return FlowReport(total: total, nodes: nodes, duration: start.duration(to: total.lastAccepted ?? start))
  }

  private var mustStop: Bool { isStopped.load(ordering: .acquiring) }

  private func command(_ pending: Pending, targetStamp: Stamp) -> Command {
    pending.operation.command(
      instrument: settings.instrument, account: settings.account, targetStamp: targetStamp,
      clientTimeMilliseconds: pending.clientTimeMilliseconds)
  }

  private func group(of operation: FlowOperation, in groups: [Group]) -> Int {
    let account = operation.account ?? settings.account
    guard let place = groups.firstIndex(where: { $0.account == account }) else {
      preconditionFailure("no connection acts for account \(account)")
    }
    return place
  }

  // MARK: Pipelined

  private func runPipelined(_ source: FlowSource, _ start: ContinuousClock.Instant) async {
    var undealt = Undealt(source: source, groups: groups)
    var issued = 0
    var stopDeadline: ContinuousClock.Instant?
    defer { isFinished.store(true, ordering: .releasing) }
    while true {
      if mustStop {
        // Nothing new; but what was sent and not answered is sent again until its fate is known.
        undealt.isExhausted = true
        undealt.held = nil
        let deadline = stopDeadline ?? Self.clock.now.advanced(by: .seconds(Self.stopSecondsMax))
        stopDeadline = deadline
        if Self.clock.now > deadline { break }
      }
      let deal = deal(from: &undealt, allowance(since: start, issued: issued), start, issued)
      issued += deal.fresh
      for (lane, batch) in zip(lanes, deal.batches) where !batch.isEmpty { send(batch, on: lane) }
      if deal.total > 0 { continue }
      if undealt.isExhausted, undealt.held == nil, isIdle { return }
      if lanes.allSatisfy(\.isGone) { break }
      if mustStop || !undealt.isExhausted && settings.ratePerSecond != nil && hasRoom {
        try? await Task.sleep(for: .milliseconds(1))
      } else {
        await signal.wait()
      }
    }
    while lanes.contains(where: { $0.outstanding > 0 }) { await signal.wait() }
  }

  private var hasRoom: Bool { lanes.contains { $0.room(of: outstandingPerLaneMax) > 0 } }

  /// Nothing is under way or waits to be sent again.
  private var isIdle: Bool {
    // Outstanding first: an operation moves from there to the retries, under its lane's lock.
    lanes.allSatisfy { $0.outstanding == 0 } && retries.withLock { $0.isEmpty }
  }

  /// How many more operations the rate allows now.
  private func allowance(since start: ContinuousClock.Instant, issued: Int) -> Int {
    guard let rate = settings.ratePerSecond else { return .max }
    let elapsed = start.duration(to: Self.clock.now).microseconds
    let (due, overflow) = Int(elapsed).multipliedReportingOverflow(by: rate)
    return overflow ? .max : max(0, due / 1_000_000 + 1 - issued)
  }

  /// Deals operations out to the lanes that have room, one each in turn; those that are to be sent again come first.
  /// New ones keep their order: one whose account has no room holds up those behind it.
  private func deal(
    from undealt: inout Undealt, _ allowed: Int, _ start: ContinuousClock.Instant, _ issued: Int
  ) -> Deal {
    var deal = Deal(
      rooms: lanes.map { min($0.room(of: outstandingPerLaneMax), Self.batchMax) },
      batches: [[Pending]](repeating: [], count: lanes.count))
    guard deal.rooms.contains(where: { $0 > 0 }) else { return deal }
    let again = retries.withLock { list in
      defer { list = [] }
      return list
    }
    let left = again.filter { !give($0, &deal, &undealt.groups) }
    if !left.isEmpty { retries.withLock { $0.insert(contentsOf: left, at: 0) } }
    if let held = undealt.held {
      guard give(held, &deal, &undealt.groups) else { return deal }
      undealt.held = nil
    }
    let now = Self.clock.now
    let milliseconds = WallClock.milliseconds
    while deal.fresh < allowed, !undealt.isExhausted, deal.rooms.contains(where: { $0 > 0 }) {
      guard let operation = undealt.source.next() else {
        undealt.isExhausted = true
        break
      }
      let due = dueTime(of: issued + deal.fresh, start) ?? now
      let pending = Pending(operation: operation, due: due, clientTimeMilliseconds: milliseconds)
      deal.fresh += 1
      guard give(pending, &deal, &undealt.groups) else {
        undealt.held = pending
        break
      }
    }
    return deal
  }

  /// - Returns: false if no connection of its account has room.
  private func give(_ pending: Pending, _ deal: inout Deal, _ groups: inout [Group]) -> Bool {
    let place = group(of: pending.operation, in: groups)
    for _ in groups[place].lanes {
      let lane = groups[place].lanes[groups[place].turn]
      groups[place].turn = (groups[place].turn + 1) % groups[place].lanes.count
      guard deal.rooms[lane] > 0 else { continue }
      deal.rooms[lane] -= 1
      deal.batches[lane].append(pending)
      deal.total += 1
      return true
    }
    return false
  }

  private func dueTime(of number: Int, _ start: ContinuousClock.Instant) -> ContinuousClock.Instant? {
    guard let rate = settings.ratePerSecond else { return nil }
    return start.advanced(by: .seconds(number / rate) + .microseconds(Int64(number % rate) * 1_000_000 / Int64(rate)))
  }

  private func send(_ batch: [Pending], on lane: FlowLane) {
    let client = lane.begin(batch.count)
    let threshold = outstandingPerLaneMax * 3 / 4
    let commands = batch.map { command($0, targetStamp: .zero) }
    client.submit(commands) { [self] position, outcome in
      let pending = batch[position]
      if case .accepted(let acceptance) = outcome { settings.onAccepted?(pending.operation, acceptance) }
      let verdict = lane.settle(outcome, due: pending.due, now: Self.clock.now, of: client) {
        retries.withLock { $0.append(pending) }
      }
      react(to: verdict, on: lane)
      if verdict.outstanding == 0 || verdict.outstanding == threshold || verdict.mustRetry { signal.notify() }
    }
  }

  /// Gives a lane a rest, or a new connection.
  private func react(to verdict: FlowLane.Verdict, on lane: FlowLane) {
    switch verdict.trouble {
    case .none: break
    case .notNow:
      Task {
        try? await Task.sleep(for: .milliseconds(Self.pauseMilliseconds))
        lane.resume()
        signal.notify()
      }
    case .lost: Task { await reconnect(lane) }
    }
  }

  private func reconnect(_ lane: FlowLane) async {
    guard let connect = lane.reconnect else { return }
    var delay = Self.reconnectMillisecondsMin
    while !isFinished.load(ordering: .acquiring) {
      if let client = try? await connect() {
        client.setUpdates(false)
        lane.resume(with: client)
        signal.notify()
        return
      }
      try? await Task.sleep(for: .milliseconds(delay))
      delay = min(delay * 2, Self.reconnectMillisecondsMax)
    }
  }

  // MARK: Causal

  /// One operation at a time, node after node; each later than everything before it.
  private func runCausally(_ source: FlowSource) async {
    var source = source
    var groups = groups
    var last = Stamp.zero
    let start = Self.clock.now
    var number = 0
    while !mustStop, let operation = source.next() {
      if let due = dueTime(of: number, start), due > Self.clock.now { try? await Task.sleep(until: due) }
      number += 1
      let pending = Pending(
        operation: operation, due: Self.clock.now, clientTimeMilliseconds: WallClock.milliseconds)
      let command = command(pending, targetStamp: last)
      let place = group(of: operation, in: groups)
      let lanes = groups[place].lanes.map { self.lanes[$0] }
      while !mustStop, !lanes.allSatisfy(\.isGone) {
        let lane = lanes[groups[place].turn]
        groups[place].turn = (groups[place].turn + 1) % lanes.count
        guard lane.room(of: 1) > 0 else {
          if !lanes.contains(where: { $0.room(of: 1) > 0 }) {
            try? await Task.sleep(for: .milliseconds(Self.pauseMilliseconds))
          }
          continue
        }
        let client = lane.begin(1)
        let outcome = await Self.submit(command, after: last, to: client)
        if case .accepted(let acceptance) = outcome {
          last = max(last, acceptance.stamp)
          settings.onAccepted?(operation, acceptance)
        }
        let verdict = lane.settle(outcome, due: pending.due, now: Self.clock.now, of: client) {}
        react(to: verdict, on: lane)
        if !verdict.mustRetry { break }
      }
    }
  }

  private static func submit(_ command: Command, after: Stamp, to client: RialtoClient) async -> Outcome {
    do throws(ClientError) {
      let outcomes = try await client.submit([command], after: after)
      return outcomes.first ?? .unknown(.protocolViolation("a submission was not answered"))
    } catch {
      return .unknown(error)
    }
  }
}

/// One node's share of a flow.
private final class FlowLane: Sendable {
  enum Trouble { case none, notNow, lost }

  struct Verdict {
    /// What is to be done about the lane, told once for each time it gets into trouble.
    var trouble = Trouble.none
    var mustRetry = false
    var outstanding = 0
  }

  private struct State: Sendable {
    var client: RialtoClient
    var isUp = true
    var isPaused = false
    var counts = FlowCounts()
  }

  let name: String
  let reconnect: (@Sendable () async throws -> RialtoClient)?
  private let state: Mutex<State>

  init(_ node: FlowNode) {
    name = node.name
    reconnect = node.reconnect
    state = Mutex(State(client: node.client))
  }

  var counts: FlowCounts { state.withLock { $0.counts } }
  var outstanding: Int { state.withLock { $0.counts.outstanding } }
  /// Down for good.
  var isGone: Bool { reconnect == nil && state.withLock { !$0.isUp } }

  func room(of outstandingMax: Int) -> Int {
    state.withLock { $0.isUp && !$0.isPaused ? max(0, outstandingMax - $0.counts.outstanding) : 0 }
  }

  /// Counts operations as under way on the connection that is returned.
  func begin(_ count: Int) -> RialtoClient {
    state.withLock { state in
      state.counts.outstanding += count
      return state.client
    }
  }

  func resume(with client: RialtoClient? = nil) {
    state.withLock { state in
      state.isPaused = false
      guard let client else { return }
      state.client = client
      state.isUp = true
    }
  }

  /// Takes note of an answer.
  /// - Parameter retry: called, before the operation stops counting as outstanding, if it must be sent again.
  func settle(
    _ outcome: Outcome, due: ContinuousClock.Instant, now: ContinuousClock.Instant, of client: RialtoClient,
    retry: () -> Void
  ) -> Verdict {
    state.withLock { state in
      var verdict = Verdict()
      switch outcome {
      case .accepted(let acceptance):
        let waited = max(0, due.duration(to: now).microseconds)
        state.counts.accept(acceptance.dot, microseconds: UInt64(waited), at: now)
      case .refused(let refusal) where refusal.code.isPassing:
        verdict.mustRetry = true
        if !state.isPaused { verdict.trouble = .notNow }
        state.isPaused = true
      case .refused(let refusal):
        state.counts.refused += 1
        if state.counts.firstRefusal == nil { state.counts.firstRefusal = refusal }
      case .unknown(let error):
        verdict.mustRetry = true
        // Answers of an older connection may still trickle in.
        guard state.isUp, state.client === client else { break }
        if error.endsConnection {
          state.isUp = false
          verdict.trouble = .lost
        } else {
          if !state.isPaused { verdict.trouble = .notNow }
          state.isPaused = true
        }
      }
      if verdict.mustRetry {
        state.counts.retried += 1
        retry()
      }
      state.counts.outstanding -= 1
      verdict.outstanding = state.counts.outstanding
      return verdict
    }
  }
}

extension RequestRefusalCode {
  /// Whether the same request may well be accepted a little later, or elsewhere.
  fileprivate var isPassing: Bool {
    switch self {
    case .notReady, .tailFull, .stampAhead, .busy, .shuttingDown, .storage, .timedOut, .rebuilding: true
    case .malformed, .unknownSymbol, .notFound, .tooMany, .unsupported, .wrongAccount, .notADemo: false
    }
  }
}

extension ClientError {
  fileprivate var endsConnection: Bool {
    switch self {
    case .connectFailed, .connectTimedOut, .refused, .connectionLost, .goodbye, .closed, .protocolViolation: true
    case .timedOut, .requestRefused, .tooManyWaiting, .cancelled: false
    }
  }
}

/// Wakes one waiter; a notification that finds nobody waiting is kept for the next.
private final class FlowSignal: Sendable {
  private enum State {
    case idle
    case notified
    case waiting(CheckedContinuation<Void, Never>)
  }
  private let state = Mutex(State.idle)

  func notify() {
    let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
      switch state {
      case .idle, .notified:
        state = .notified
        return nil
      case .waiting(let continuation):
        state = .idle
        return continuation
      }
    }
    waiter?.resume()
  }

  func wait() async {
    await withCheckedContinuation { continuation in
      let isNotified = state.withLock { state -> Bool in
        switch state {
        case .notified:
          state = .idle
          return true
        case .idle:
          state = .waiting(continuation)
          return false
        case .waiting: preconditionFailure("a signal has one waiter")
        }
      }
      if isNotified { continuation.resume() }
    }
  }
}
