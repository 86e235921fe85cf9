/// Why another system cannot be measured, and what can be done about it.
public struct PeerError: Error, Hashable, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}

/// A replicated system that Rialto is compared with: three members on this machine, and a connection to one of them.
///
/// Not bound to a thread, and used from one at a time. What waits for the system blocks its thread.
public protocol PeerSystem: AnyObject, Sendable {
  /// With its version and what matters of its settings.
  var title: String { get }
  /// How it is talked to, in a few words.
  var clientTitle: String { get }

  /// Starts the members, waits until they have a leader and take writes, and connects to the leader.
  /// - Throws: `PeerError`, or `CancellationError` if the task was cancelled; `stop` cleans up in any case.
  func start() async throws

  /// Writes one value and waits until a majority has it on disk.
  func write(_ value: [UInt8]) throws

  /// Writes many values with as many unanswered as `window` says, and waits until a majority has them all.
  func write(count: Int, of value: [UInt8], window: Int) throws

  /// A round trip that the other side answers by itself: what client, socket and protocol cost.
  func ping() throws

  /// Ends every process that was started. May be called again.
  func stop()
}

extension PeerSystem {
  /// How many members.
  public static var memberCount: Int { 3 }

  /// Asks until it works.
  /// - Throws: `PeerError` that tells what `what` failed with last.
  static func retry<Value>(_ what: String, seconds: Int = 30, _ body: () throws -> Value) async throws -> Value {
    let deadline = ContinuousClock.now + .seconds(seconds)
    while true {
      do {
        return try body()
      } catch let error as PeerError {
        guard ContinuousClock.now < deadline else { throw PeerError("\(what): not after \(seconds) s; \(error)") }
      }
      try await Task.sleep(for: .milliseconds(100))
    }
  }
}
