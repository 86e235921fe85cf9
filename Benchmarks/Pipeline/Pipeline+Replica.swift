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
    var final = FinalBook()
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
      let run = replica.takeFinalRun()
      nanoseconds += CPUTime.now() - start
      for item in run.items { final.apply(item) }
      now.wallMilliseconds = Self.startMilliseconds + UInt64(number + 1) * Self.batchMilliseconds
      now.monotonicMicroseconds += Self.batchMilliseconds * 1_000
    }
    report.add(.replica, nanoseconds)
    let hash = replica.bookHash()
    guard final.commands == operations + 1 else { throw .notFinal(final.commands) }
    guard hash == final.engine.bookHash() else { throw .otherBook(.replica, hash) }
  }

  private static func loneReplica() -> Replica {
    guard let key = Ed25519(seed: [UInt8](repeating: 7, count: Ed25519.seedByteCount)),
      let genesis = try? Genesis(members: [Genesis.Member(publicKey: key.publicKey, name: "n1", token: StoreToken(1))])
    else { preconditionFailure("one member makes a cluster") }
    let records = ViewRecords(store: StoreToken(1), genesis: Decision(genesis: genesis), publicKey: key.publicKey)
    let configuration = ReplicaConfiguration(
      cluster: genesis.clusterID, records: records, name: "n1", listenAddress: "127.0.0.1:1", seeds: [],
      bootMilliseconds: startMilliseconds,
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

/// What final entries lead to. Entries of the replica's own stand between those of the flow, so orders have other names
/// than in the stages before, and the book another hash.
private struct FinalBook: ~Copyable {
  var engine = MatchingEngine()
  private(set) var commands = 0
  private var tape = EventTape()

  mutating func apply(_ item: AppliedRun.Item) {
    var command: Command?
    if case .command(let value) = item.entry.payload {
      command = value
      commands += 1
    }
    engine.apply(command, at: item.dot, stamp: item.entry.stamp, into: &tape)
    tape.removeAll()
    engine.settle(through: engine.journalMark)
  }
}
