import Diagnostics
import EventLog
import Histories
import OrderBook
import Primitives
import Replica
import Storage
import Testing

/// What a replay derives, against what a replica has derived of the same log.
@Suite struct HistoryReplayTests {
  /// Notes everything that a replay says.
  struct Notes: HistoryObserver {
    var entries = 0
    var fills = 0
    var keys: [OrderKey] = []
    var closed: [Checkpoint] = []
    var snapshots: [Snapshot] = []
    var wanted: [UInt64] = []
    var differences: [HistoryDifference] = []

    mutating func applied(_ dot: Dot, _ entry: Entry, _ events: EventRun, isFinal: Bool) {
      entries += 1
      keys.append(OrderKey(stamp: entry.stamp, origin: dot.origin))
      for event in events { if case .filled = event { fills += 1 } }
    }
    mutating func closed(_ checkpoint: Checkpoint, isAttested: Bool) { closed.append(checkpoint) }
    func wantsState(of number: UInt64) -> Bool { wanted.contains(number) }
    mutating func reached(_ snapshot: Snapshot) { snapshots.append(snapshot) }
    mutating func differs(_ difference: HistoryDifference) { differences.append(difference) }
  }

  private func built(_ shape: BuiltHistory.Shape = .init()) throws -> (BuiltHistory, Store, ScratchDirectory) {
    let scratch = try ScratchDirectory()
    let history = try BuiltHistory(shape, in: scratch.path + "/n1")
    return (history, try Store.openReadOnly(directory: history.directory), scratch)
  }

  private func finalStamp(_ store: Store) throws -> Stamp {
    Checkpoint.lastStamp(try #require(try store.checkpoints().last).number)
  }

  @Test func derivesWhatAReplicaDerives() throws {
    let (history, store, scratch) = try built()
    defer { withExtendedLifetime(scratch) {} }
    var notes = Notes()
    notes.wanted = store.snapshots.map(\.number)
    #expect(notes.wanted.count == 2)
    var replay = HistoryReplay(cluster: history.cluster, finalThrough: try finalStamp(store))
    for batch in history.batches { try replay.add(batch, &notes) }
    try replay.finish(&notes)
    #expect(notes.entries == Int(history.entries))
    #expect(notes.keys == notes.keys.sorted())
    #expect(notes.differences.isEmpty)
    #expect(replay.checkpoints == history.checkpoints)
    #expect(notes.closed.count > 10 && notes.fills > 200)
    #expect(try store.checkpoints().map(\.checkpoint) == history.checkpoints.kept)
    #expect(try store.checkpoints().allSatisfy(\.isSound))
    // Byte for byte what the replica has written.
    #expect(notes.snapshots.map(\.info) == store.snapshots)
    #expect(notes.snapshots == (try store.snapshots.map { try store.snapshot($0) }))
  }

  @Test func goesOnFromASnapshot() throws {
    let (history, store, scratch) = try built()
    defer { withExtendedLifetime(scratch) {} }
    let info = try #require(store.snapshots.first)
    let snapshot = try store.snapshot(info)
    let state = try ReplicaState(info, snapshot.bytes, cluster: history.cluster, origins: 3)
    var notes = Notes()
    notes.wanted = [try #require(store.snapshots.last).number]
    var replay = HistoryReplay(cluster: history.cluster, finalThrough: try finalStamp(store), from: state)
    for batch in history.batches where batch.firstSequence > snapshot.bases[batch.origin.int].head.sequence {
      try replay.add(batch, &notes)
    }
    try replay.finish(&notes)
    #expect(UInt64(notes.entries) == history.entries - info.entries)
    #expect(replay.entries == history.entries)
    #expect(notes.differences.isEmpty)
    #expect(replay.checkpoints == history.checkpoints)
    #expect(notes.snapshots.map(\.info) == [try #require(store.snapshots.last)])
  }

  @Test func stopsAtAKey() throws {
    let (history, store, scratch) = try built()
    defer { withExtendedLifetime(scratch) {} }
    var all = Notes()
    var whole = HistoryReplay(cluster: history.cluster, finalThrough: try finalStamp(store))
    for batch in history.batches { try whole.add(batch, &all) }
    try whole.finish(&all)
    for place in [0, 1, 777, all.keys.count - 1] {
      var notes = Notes()
      var replay = HistoryReplay(
        cluster: history.cluster, finalThrough: try finalStamp(store), until: all.keys[place])
      for batch in history.batches { try replay.add(batch, &notes) }
      try replay.finish(&notes)
      #expect(replay.lastKey == all.keys[place])
      #expect(notes.entries == place + 1)
      #expect(all.closed.starts(with: notes.closed))
    }
  }

  /// What is above the final stamp is applied, and in no checkpoint.
  @Test func closesNothingThatIsNotFinal() throws {
    let (history, _, scratch) = try built()
    defer { withExtendedLifetime(scratch) {} }
    let number = history.checkpoints.kept[5].number
    var notes = Notes()
    var replay = HistoryReplay(cluster: history.cluster, finalThrough: Stamp(Checkpoint.lastStamp(number).value - 1))
    for batch in history.batches { try replay.add(batch, &notes) }
    try replay.finish(&notes)
    #expect(notes.entries == Int(history.entries))
    #expect(replay.checkpoints.newest?.number == history.checkpoints.kept[4].number)
    #expect(replay.openNumber == number)
  }

  /// Another book leads to attestations and fills that are not what is derived.
  @Test func saysWhatDiffers() throws {
    let (history, store, scratch) = try built()
    defer { withExtendedLifetime(scratch) {} }
    var notes = Notes()
    var replay = HistoryReplay(cluster: history.cluster, finalThrough: try finalStamp(store))
    replay.omittedFill = 100
    for batch in history.batches { try replay.add(batch, &notes) }
    try replay.finish(&notes)
    let first = try #require(notes.differences.first)
    let kinds = notes.differences.map { if case .fill = $0 { "fill" } else { "attestation" } }
    #expect(kinds.count { $0 == "fill" } == 1)
    #expect(kinds.count { $0 == "attestation" } > 3)
    if case .attestation(let number, _, let mine, let theirs) = first {
      #expect(mine != theirs && mine != .zero)
      #expect(history.checkpoints.kept.contains { $0.number == number && $0.hash == theirs })
    }
    let at = try #require(history.checkpoints.kept.first { $0.fills >= 100 })
    let mine = try #require(notes.closed.first { $0.number == at.number })
    #expect(mine.bookHash == at.bookHash && mine.logHash == at.logHash && mine.fillsHash != at.fillsHash)
    #expect(mine.fills == at.fills - 1)
  }
}
