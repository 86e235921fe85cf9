import NIOCore
import Testing

@testable import Node

/// Bounds on time in these tests end what hangs; none tells right from wrong. On a busy machine any thread may stand
/// still for seconds, a node's too, and the tests must not mind.
enum Patience {
  static let seconds = 60.0
  static let milliseconds = Int64(seconds * 1_000)
}

extension Trait where Self == TimeLimitTrait {
  /// For what no deadline of a test itself ends.
  static var endsIfItHangs: Self { .timeLimit(.minutes(10)) }
}

struct TimedOut: Error, CustomStringConvertible {
  let description: String
}

/// Asks again and again until there is a value.
/// - Throws: `TimedOut`; what `probe` throws.
func eventually<Value>(
  _ what: String, seconds: Double = Patience.seconds, _ probe: () async throws -> Value?
) async throws -> Value {
  let deadline = ContinuousClock.now + .seconds(seconds)
  while true {
    if let value = try await probe() { return value }
    guard ContinuousClock.now < deadline else { throw TimedOut(description: "not within \(seconds) s: \(what)") }
    try await Task.sleep(for: .milliseconds(10))
  }
}

/// As above, for a condition.
func eventually(_ what: String, seconds: Double = Patience.seconds, _ probe: () async throws -> Bool) async throws {
  _ = try await eventually(what, seconds: seconds) { try await probe() ? true : nil }
}

extension TestCluster {
  /// Connections that nodes gave up because they had heard nothing, or no whole handshake, in time.
  private var givenUp: Int { log.count("nothing heard for") + log.count("no handshake within") }

  /// Runs `body`, and again if a node meanwhile gave a connection up because it heard too little of the other side.
  ///
  /// A node does so after seconds, and so much a thread of either side may lose on a busy machine. Then what `body`
  /// returned or threw does not count; so `body` records no issue itself.
  func undisturbed<Value>(_ what: String, _ body: () async throws -> Value) async throws -> Value {
    let deadline = ContinuousClock.now + .seconds(Patience.seconds)
    while true {
      let before = givenUp
      let result: Result<Value, any Error>
      do {
        result = .success(try await body())
      } catch {
        result = .failure(error)
      }
      await settle()
      if givenUp == before { return try result.get() }
      guard ContinuousClock.now < deadline else {
        throw TimedOut(description: "\(what): each time a node gave a connection up for silence; at last \(result)")
      }
    }
  }

  /// Lets every node end the turn it is in: it has closed a connection before it says why.
  func settle() async {
    for server in running { try? await server.loop.submit {}.get() }
  }
}
