import EventLog
import Membership
import OrderBook
import Primitives
import Replica

extension Pipeline {
  /// A cluster of one member takes the flow, a batch a turn, until all of it is final: codec, chain, signature, book,
  /// frontiers and effects together. Commits are answered at once.
  func replicate(_ batches: [ContiguousArray<Entry>], _ report: inout PipelineReport) throws(PipelineError) {
    var replica = Self.loneReplica()
    var effects: [Effect] = []
    var now = LogicalTime(wallMilliseconds: Self.startMilliseconds, monotonicMicroseconds: 0)
    var finalEntries = 0
    var nanoseconds: UInt64 = 0
    replica.step(.recovered, now: now, &effects)
    for (number, batch) in batches.enumerated() {
      let commands = batch.compactMap { entry -> Command? in
        if case .command(let command) = entry.payload { command } else { nil }
      }
      let start = CPUTime.now()
      replica.step(
        .submit(Submission(session: SessionID(1), firstRequest: 1, commands: commands, wantsReports: false)),
        now: now, &effects)
      replica.step(.flush, now: now, &effects)
      Self.carryOut(&replica, now, &effects)
      finalEntries += replica.takeFinalRun().items.count
      nanoseconds += CPUTime.now() - start
      now.wallMilliseconds = Self.startMilliseconds + UInt64(number + 1) * Self.batchMilliseconds
      now.monotonicMicroseconds += Self.batchMilliseconds * 1_000
    }
    report.add(.replica, nanoseconds)
    let hash = replica.bookHash()
    guard hash == report.bookHash else { throw .otherBook(.replica, hash) }
    guard finalEntries == operations + 1 else { throw .notFinal(finalEntries) }
  }

  private static func loneReplica() -> Replica {
    guard let key = Ed25519(seed: [UInt8](repeating: 7, count: Ed25519.seedByteCount)),
      let genesis = try? Genesis(members: [Genesis.Member(publicKey: key.publicKey, name: "n1")])
    else { preconditionFailure("one member makes a cluster") }
    let configuration = ReplicaConfiguration(
      me: origin, genesis: genesis, listenAddress: "127.0.0.1:1", seeds: [], bootMilliseconds: startMilliseconds,
      seed: 1)
    return Replica(configuration: configuration, signatures: key)
  }

  /// What a shell does that has neither peers nor clients: everything is durable at once.
  private static func carryOut(_ replica: inout Replica, _ now: LogicalTime, _ effects: inout [Effect]) {
    var index = 0
    while index < effects.count {
      if case .commit(let number) = effects[index] { replica.step(.committed(number), now: now, &effects) }
      index += 1
    }
    effects.removeAll(keepingCapacity: true)
  }
}
