import Synchronization

/// One answer that one task waits for; the first resolution counts.
///
/// Never lost: whoever holds the other end resolves it when the answer comes, when the time is up, or when the
/// connection ends. A cancelled task stops waiting at once.
final class Reply<Value: Sendable>: Sendable {
  private typealias Reader = CheckedContinuation<Result<Value, ClientError>, Never>

  private enum State {
    case fresh
    case waiting(Reader)
    case resolved(Result<Value, ClientError>)
    case taken
  }
  private let state = Mutex(State.fresh)

  init() {}

  func resolve(_ result: Result<Value, ClientError>) {
    let waiting = state.withLock { state -> Reader? in
      switch state {
      case .fresh:
        state = .resolved(result)
        return nil
      case .waiting(let continuation):
        state = .taken
        return continuation
      case .resolved, .taken: return nil
      }
    }
    waiting?.resume(returning: result)
  }

  /// - Precondition: called once.
  func value() async throws(ClientError) -> Value {
    let result = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let ready = state.withLock { state -> Result<Value, ClientError>? in
          switch state {
          case .fresh:
            state = .waiting(continuation)
            return nil
          case .resolved(let result):
            state = .taken
            return result
          case .waiting, .taken: preconditionFailure("a reply has one reader")
          }
        }
        if let ready { continuation.resume(returning: ready) }
      }
    } onCancel: {
      resolve(.failure(.cancelled))
    }
    return try result.get()
  }
}
