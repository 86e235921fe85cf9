import Client
import Flow
import OrderBook
import Primitives
import Synchronization

/// A node that a flow is sent to.
struct FlowNode: Sendable {
  var name: String
  var client: RialtoClient
  /// Makes a new connection after this one was lost; nil if the node is not to be used again then.
  var reconnect: (@Sendable () async throws -> RialtoClient)?
}

/// Sends a flow of operations to several nodes, in rotation among those that have room, and watches what becomes of
/// them.
///
/// An operation whose fate is unknown (its connection was lost) and one that a node could not take just then is sent
/// again, to whichever node is next: its client order id takes effect once. So every operation of a flow that runs to
/// its end is accepted, or refused for good.
final class FlowDriver: Sendable {
  struct Settings: Sendable {
    var instrument: Dot
    /// Of the clients' connections.
    var account: AccountID
    /// Unanswered operations a node at most.
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
  }

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
  private let signal = FlowSignal()
  private let isStopped = Atomic(false)
  private let isFinished = Atomic(false)
  private let retries = Mutex<[Pending]>([])

  /// - Precondition: at least one node.
  init(nodes: [FlowNode], settings: Settings) {
    precondition(!nodes.isEmpty)
    self.settings = settings
    lanes = nodes.map { FlowLane($0) }
    for node in nodes { node.client.setUpdates(false) }
  }

  /// Sends nothing more; `run` returns when everything sent is answered. May be called from anywhere.
  func stop() {
    isStopped.store(true, ordering: .releasing)
    signal.notify()
  }

  /// What has become of the flow so far, by node.
  func counts() -> [(name: String, counts: FlowCounts)] { lanes.map { ($0.name, $0.counts) } }

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

  private func command(_ operation: FlowOperation, targetStamp: Stamp) -> Command {
    operation.command(
      instrument: settings.instrument, account: settings.account, targetStamp: targetStamp,
      clientTimeMilliseconds: WallClock.milliseconds)
  }

  // MARK: Pipelined

  private func runPipelined(_ source: FlowSource, _ start: ContinuousClock.Instant) async {
    var source = source
    var issued = 0
    var isExhausted = false
    var rotation = 0
    var stopDeadline: ContinuousClock.Instant?
    defer { isFinished.store(true, ordering: .releasing) }
    while true {
      if mustStop {
        // Nothing new; but what was sent and not answered is sent again until its fate is known.
        isExhausted = true
        let deadline = stopDeadline ?? Self.clock.now.advanced(by: .seconds(Self.stopSecondsMax))
        stopDeadline = deadline
        if Self.clock.now > deadline { break }
      }
      let allowed = allowance(since: start, issued: issued)
      var batches = [[Pending]](repeating: [], count: lanes.count)
      let taken = fill(&batches, from: &source, allowed, start, issued, &isExhausted, &rotation)
      issued += taken.fresh
      for (lane, batch) in zip(lanes, batches) where !batch.isEmpty { send(batch, on: lane) }
      if taken.total > 0 { continue }
      if isExhausted, isIdle { return }
      if lanes.allSatisfy(\.isGone) { break }
      if mustStop || !isExhausted && settings.ratePerSecond != nil && hasRoom {
        try? await Task.sleep(for: .milliseconds(1))
      } else {
        await signal.wait()
      }
    }
    while lanes.contains(where: { $0.outstanding > 0 }) { await signal.wait() }
  }

  private var hasRoom: Bool { lanes.contains { $0.room(of: settings.outstandingPerNodeMax) > 0 } }

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
  private func fill(
    _ batches: inout [[Pending]], from source: inout FlowSource, _ allowed: Int, _ start: ContinuousClock.Instant,
    _ issued: Int, _ isExhausted: inout Bool, _ rotation: inout Int
  ) -> (total: Int, fresh: Int) {
    var rooms = lanes.map { min($0.room(of: settings.outstandingPerNodeMax), Self.batchMax) }
    var room = rooms.reduce(0, +)
    guard room > 0 else { return (0, 0) }
    let now = Self.clock.now
    var again = retries.withLock { list in
      let taken = Array(list.prefix(room))
      list.removeFirst(taken.count)
      return taken
    }[...]
    var total = 0
    var fresh = 0
    while room > 0 {
      let pending: Pending
      if let first = again.popFirst() {
        pending = first
      } else if fresh < allowed, !isExhausted, let operation = source.next() {
        pending = Pending(operation: operation, due: dueTime(of: issued + fresh, start) ?? now)
        fresh += 1
      } else {
        if fresh < allowed { isExhausted = true }
        break
      }
      while rooms[rotation] == 0 { rotation = (rotation + 1) % lanes.count }
      batches[rotation].append(pending)
      rooms[rotation] -= 1
      rotation = (rotation + 1) % lanes.count
      room -= 1
      total += 1
    }
    return (total, fresh)
  }

  private func dueTime(of number: Int, _ start: ContinuousClock.Instant) -> ContinuousClock.Instant? {
    guard let rate = settings.ratePerSecond else { return nil }
    return start.advanced(by: .seconds(number / rate) + .microseconds(Int64(number % rate) * 1_000_000 / Int64(rate)))
  }

  private func send(_ batch: [Pending], on lane: FlowLane) {
    let client = lane.begin(batch.count)
    let threshold = settings.outstandingPerNodeMax * 3 / 4
    let commands = batch.map { command($0.operation, targetStamp: .zero) }
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
    var last = Stamp.zero
    var rotation = 0
    let start = Self.clock.now
    var number = 0
    while !mustStop, let operation = source.next() {
      if let due = dueTime(of: number, start), due > Self.clock.now { try? await Task.sleep(until: due) }
      number += 1
      let command = command(operation, targetStamp: last)
      let due = Self.clock.now
      while !mustStop, !lanes.allSatisfy(\.isGone) {
        let lane = lanes[rotation]
        rotation = (rotation + 1) % lanes.count
        guard lane.room(of: 1) > 0 else {
          if !hasRoom { try? await Task.sleep(for: .milliseconds(Self.pauseMilliseconds)) }
          continue
        }
        let client = lane.begin(1)
        let outcome = await Self.submit(command, after: last, to: client)
        if case .accepted(let acceptance) = outcome {
          last = max(last, acceptance.stamp)
          settings.onAccepted?(operation, acceptance)
        }
        let verdict = lane.settle(outcome, due: due, now: Self.clock.now, of: client) {}
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
    case .notReady, .tailFull, .stampAhead, .busy, .shuttingDown, .storage: true
    case .malformed, .unknownSymbol, .notFound, .tooMany, .unsupported, .wrongAccount: false
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
