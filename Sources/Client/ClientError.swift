import Primitives
import Wire

/// Why the client library could not do what it was asked, and what to do next.
public enum ClientError: Error, Equatable, Sendable {
  /// No connection came about.
  case connectFailed(Address, reason: String)
  case connectTimedOut(Address, milliseconds: Int64)
  /// The node, or this side, ended the handshake.
  case refused(Refusal)
  /// The connection ended while the call waited; whether the node has the request is not known.
  case connectionLost(reason: String)
  /// The node said why and closed; whether it has the request is not known.
  case goodbye(String)
  /// `close` was called on this side; whether the node has the request is not known.
  case closed
  /// No answer in time; whether the node has the request is not known.
  case timedOut(milliseconds: Int64)
  /// The node refused a query or a subscription.
  case requestRefused(RequestRefusal)
  /// The node sent what the protocol does not allow.
  case protocolViolation(String)
  /// Too many requests wait for room in flight; this one was not sent.
  case tooManyWaiting
  /// The calling task was cancelled; whether the node has the request is not known.
  case cancelled
}

extension ClientError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .connectFailed(let address, let reason):
      "cannot connect to \(address): \(reason). Check that the node runs and listens there."
    case .connectTimedOut(let address, let milliseconds):
      "no connection to \(address) within \(milliseconds) ms. Check address and network, or try another node."
    case .refused(let refusal): "the handshake was refused: \(refusal)"
    case .connectionLost(let reason): "the connection was lost: \(reason). \(Self.fateUnknown)"
    case .goodbye(let text): "the node ended the connection: \(text). \(Self.fateUnknown)"
    case .closed: "the connection was closed on this side. \(Self.fateUnknown)"
    case .timedOut(let milliseconds): "no answer within \(milliseconds) ms. \(Self.fateUnknown)"
    case .requestRefused(let refusal): "the node refused: \(refusal)"
    case .protocolViolation(let text):
      "the node broke the protocol: \(text). Client and node may be of different versions. \(Self.fateUnknown)"
    case .tooManyWaiting: "too many requests wait already; this one was not sent. Submit again when some are answered."
    case .cancelled: "the call was cancelled. \(Self.fateUnknown)"
    }
  }

  private static let fateUnknown = """
    What was submitted and not answered may or may not have taken effect; submitting it again with the same client \
    order id, to any node, is safe.
    """
}

/// What has become of one submitted command.
public enum Outcome: Equatable, Sendable {
  /// Durable on the node's disk.
  case accepted(Acceptance)
  /// Of no effect.
  case refused(RequestRefusal)
  /// Not known: the connection ended, or no answer came in time. Given to callbacks only; the async calls throw.
  case unknown(ClientError)
}
