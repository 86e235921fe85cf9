import EventLog
import Gossip
import OrderBook
import Primitives
import Replica
import Testing

struct CommitGateTests {
  /// `#expect` cannot change a value.
  private final class Gate {
    private var gate = CommitGate()
    var committed: CommitNumber { gate.committed }
    func admit(_ effect: Effect) -> Bool { gate.admit(effect) }
    func open(through commit: CommitNumber) -> [Effect] { gate.open(through: commit) }
    func dropAll() { gate.dropAll() }
  }

  /// An effect that a test knows again.
  private func report(_ number: UInt64, after commit: CommitNumber) -> Effect {
    .report(SessionID(number), [], after: commit)
  }

  private func numbers(_ effects: [Effect]) -> [UInt64] {
    effects.map { effect in
      guard case .report(let session, _, _) = effect else { return 0 }
      return session.value
    }
  }

  @Test func onlyWhatGoesOutWaits() {
    let session = SessionID(1)
    let peer = PeerIndex(1)
    let origin = OriginIndex(2)
    let dot = Dot(origin: origin, sequence: 1)
    let range = LogRange(origin: origin, from: 1, through: 2)
    let waiting: [Effect] = [
      .send(to: peer, .served(origin: origin, through: 1), after: 7),
      .accepted(session, firstRequest: 1, first: dot, stamps: [], after: 7), .report(session, [], after: 7),
    ]
    let others: [Effect] = [
      .persist(key: "key", value: []), .commit(7), .serve(to: peer, range), .dial("a:1"),
      .disconnect(peer, reason: "r"), .refused(session, firstRequest: 1, count: 1, .notReady),
      .notice(.deepRollback(depth: 1)), .halt("r"), .void(origin, after: 1), .left,
    ]
    #expect(waiting.map(\.waitsFor) == [7, 7, 7])
    #expect(others.allSatisfy { $0.waitsFor == nil })
    let gate = Gate()
    #expect(waiting.allSatisfy { !gate.admit($0) })
    #expect(others.allSatisfy { gate.admit($0) })
    #expect(gate.open(through: 7).count == 3)
  }

  /// Commit 0 is what was on disk at the start.
  @Test func whatIsDurableAlreadyPasses() {
    let gate = Gate()
    #expect(gate.committed == 0)
    #expect(gate.admit(report(1, after: 0)))
    #expect(!gate.admit(report(2, after: 1)))
    #expect(numbers(gate.open(through: 1)) == [2])
    #expect(gate.committed == 1)
    #expect(gate.admit(report(3, after: 1)))
    #expect(!gate.admit(report(4, after: 2)))
  }

  @Test func whatWaitedComesInOrderAndOnce() {
    let gate = Gate()
    for (number, commit) in [(1, 2), (2, 1), (3, 3), (4, 1), (5, 2), (6, 3)] as [(UInt64, CommitNumber)] {
      #expect(!gate.admit(report(number, after: commit)))
    }
    #expect(numbers(gate.open(through: 1)) == [2, 4])
    #expect(!gate.admit(report(7, after: 2)))
    // A commit makes those before it durable, too.
    #expect(numbers(gate.open(through: 3)) == [1, 3, 5, 6, 7])
    #expect(gate.open(through: 4).isEmpty)
  }

  @Test func whatWaitsForAFailedCommitNeverHappens() {
    let gate = Gate()
    #expect(numbers(gate.open(through: 1)) == [])
    #expect(!gate.admit(report(1, after: 2)))
    #expect(!gate.admit(report(2, after: 3)))
    gate.dropAll()
    #expect(gate.committed == 1)
    #expect(gate.open(through: 3).isEmpty)
  }
}
