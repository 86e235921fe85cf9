import NIOCore
import OrderBook
import Primitives
import Synchronization

/// What callers on any thread ask of the connection's event loop.
enum ClientCall: Sendable {
  case submit(commands: [Command], after: Stamp, sink: SubmitBatch.Sink)
  case query(ClientQuery, Reply<ClientAnswer>)
  case subscribe(id: UInt64, symbol: Symbol?, content: SubscribeRequest.Content, mailbox: MarketMailbox, Reply<Void>)
  /// The reader of this subscription was too slow, and is back.
  case restart(id: UInt64)
  case unsubscribe(id: UInt64)
  case ping(Reply<Void>)
  case ownUpdates(Bool)

  /// How much room it takes among what waits.
  var weight: Int {
    switch self {
    case .submit(let commands, _, _): commands.count
    case .query, .subscribe, .ping: 1
    // Not refused for lack of room: their number is bounded by that of the subscriptions, or they replace each other.
    case .restart, .unsubscribe, .ownUpdates: 0
    }
  }

  func fail(_ error: ClientError) {
    switch self {
    case .submit(let commands, let after, let sink):
      SubmitBatch(commands: commands, after: after, deadlineMilliseconds: 0, sink: sink).fail(error)
    case .query(_, let reply): reply.resolve(.failure(error))
    case .subscribe(_, _, _, _, let reply): reply.resolve(.failure(error))
    case .ping(let reply): reply.resolve(.failure(error))
    case .restart, .unsubscribe, .ownUpdates: break
    }
  }
}

/// Carries calls to the event loop: many calls, one turn of the loop, one write.
final class Outbox: Sendable {
  private struct State {
    var calls: [ClientCall] = []
    var isScheduled = false
    /// Commands and questions that wait here or for room in flight.
    var waiting = 0
    var end: ClientError?
  }
  private let state = Mutex(State())
  private let eventLoop: any EventLoop
  private let drain: @Sendable () -> Void

  /// - Parameter drain: called on the event loop, once for all the calls of a turn.
  init(eventLoop: any EventLoop, drain: @escaping @Sendable () -> Void) {
    self.eventLoop = eventLoop
    self.drain = drain
  }

  /// - Returns: why the call was not taken; it is then untouched.
  func put(_ call: ClientCall) -> ClientError? {
    let weight = call.weight
    let (refusal, mustSchedule) = state.withLock { state -> (ClientError?, Bool) in
      if let end = state.end { return (end, false) }
      if weight > 0, state.waiting > 0, state.waiting + weight > ClientLimits.commandsWaitingMax {
        return (.tooManyWaiting, false)
      }
      state.waiting += weight
      state.calls.append(call)
      defer { state.isScheduled = true }
      return (nil, !state.isScheduled)
    }
    if mustSchedule { eventLoop.execute(drain) }
    return refusal
  }

  /// On the event loop: everything put since the last time.
  func take() -> [ClientCall] {
    state.withLock { state in
      state.isScheduled = false
      defer { state.calls = [] }
      return state.calls
    }
  }

  /// On the event loop: `count` of what waited was sent or given up.
  func release(_ count: Int) {
    if count > 0 { state.withLock { $0.waiting -= count } }
  }

  /// Nothing more is taken; what was put and not taken fails.
  func end(_ error: ClientError) {
    let calls = state.withLock { state -> [ClientCall] in
      if state.end == nil { state.end = error }
      defer { state.calls = [] }
      return state.calls
    }
    for call in calls { call.fail(error) }
  }
}
