import Primitives
import Simulator
import Testing

/// Who dies while somebody joins, and when, makes no difference: orders are taken all the time, finality goes on soon,
/// and the next joiner comes in.
///
/// With 20 ms from node to node a join takes about a quarter of a second: lease asked for, lent, sponsor asked, wedge,
/// promises, value, acceptance, decision, first beat. A death each 8 ms hits every one of them, and between them.
@Suite struct DyingJoinerTests {
  static let moments: [UInt64] = Array(stride(from: 4, through: 260, by: 8))

  private func text(_ milliseconds: UInt64) -> String { "\(milliseconds) ms" }

  @Test func theJoinerDies() throws {
    var admitted = 0
    var stoppedUnderTheMutex = 0
    for moment in Self.moments {
      let death = 2_000 + moment
      let scenario = """
        nodes 3
        spares 2
        latency 20 ms

        at 0 ms n1 defines BTC-USD
        at 2 s start n4
        at \(text(death)) crash n4
        at \(text(death)) n1 buy 10 @ 100 id a
        at \(text(death + 1)) start n5
        at \(text(death + 60)) expect a accepted
        at \(text(death + 1_500)) expect n1 n2 n3 has a open 10 final
        at \(text(death + 3_500)) expect n5 is running
        at \(text(death + 3_500)) n5 sell 4 @ 100 id b
        at \(text(death + 4_000)) expect n1 n2 n3 n5 has b filled final
        at \(text(death + 4_000)) start n4
        at \(text(death + 7_000)) n4 sell 1 @ 100 id c
        at \(text(death + 7_500)) expect all have c filled final
        at \(text(death + 7_500)) expect agreement
        """
      let run = try ScenarioRun.run(scenario)
      #expect(run.failure == nil, "death after \(moment) ms: \(run.failure ?? "")")
      // What came of its first attempt.
      let first = run.transcript.prefix { !$0.contains("n5 sell 4") }
      admitted += first.contains { $0.contains("of n1 n2 n3 n4") } ? 1 : 0
      let asked = first.contains { $0.contains(" n4  ") && $0.contains("has the join mutex") }
      stoppedUnderTheMutex += asked ? 1 : 0
    }
    // Else the moments are not those of a join any more.
    #expect(admitted > 10 && stoppedUnderTheMutex >= admitted && stoppedUnderTheMutex < Self.moments.count)
  }

  /// The one that carries the change through is killed, or the one that only promises.
  @Test(arguments: ["n1", "n2", "n3"]) func aMemberDies(_ victim: String) throws {
    let others = ["n1", "n2", "n3"].filter { $0 != victim }
    for moment in Self.moments {
      let death = 2_000 + moment
      let scenario = """
        nodes 3
        spares 1
        latency 20 ms

        at 0 ms n1 defines BTC-USD
        at 2 s start n4
        at \(text(death)) crash \(victim)
        at \(text(death)) \(others[0]) buy 10 @ 100 id a
        at \(text(death + 60)) expect a accepted
        at \(text(death + 4_500)) expect \(others.joined(separator: " ")) n4 has a open 10 final
        at \(text(death + 5_000)) n4 sell 4 @ 100 id b
        at \(text(death + 5_500)) expect \(others.joined(separator: " ")) n4 has b filled final
        at \(text(death + 5_500)) start \(victim)
        at \(text(death + 8_500)) expect all have b filled final
        at \(text(death + 8_500)) expect agreement
        """
      let run = try ScenarioRun.run(scenario)
      #expect(run.failure == nil, "\(victim) dies after \(moment) ms: \(run.failure ?? "")")
    }
  }
}
