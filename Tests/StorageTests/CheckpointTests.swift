import EventLog
import Foundation
import GRDB
import Primitives
import Testing

@testable import Storage

/// The table `checkpoints` is what a replica's list keeps, after each commit.
@Suite struct CheckpointTests {
  private func next(_ list: CheckpointList, _ generator: inout SeededGenerator) -> Checkpoint {
    let newest = list.newest
    return Checkpoint(
      number: (newest?.number ?? 1_700_000_000) + 1 + generator.below(3), previous: newest?.hash ?? .zero,
      bookHash: Hash256(word0: generator.next(), word1: 1, word2: 2, word3: 3), logHash: .zero, fillsHash: .zero,
      fills: (newest?.fills ?? 0) + generator.below(5), SHA256())
  }

  private func rows(_ store: Store) throws -> [Checkpoint?] {
    let rows = try store.checkpoints()
    #expect(rows.allSatisfy { $0.isSound })
    return rows.map(\.checkpoint)
  }

  @Test func isThinnedAsTheListIs() throws {
    let directory = try TemporaryDirectory()
    var store = try directory.open()
    var generator = SeededGenerator(seed: 5)
    var list = CheckpointList()
    for turn in 0..<600 {
      list.append(next(list, &generator))
      // Several may be closed in one commit.
      if generator.chance(1, of: 4) { continue }
      try store.commit(batches: [], records: [("checkpoint", [1])], checkpoints: list)
      guard turn % 50 == 1 else { continue }
      store.close()
      store = try directory.open()
      #expect(try rows(store) == list.kept)
    }
    try store.commit(batches: [], checkpoints: list)
    #expect(try rows(store) == list.kept && list.kept.count < 150)
    // A commit that does not say leaves them.
    try store.commit(batches: [], records: [("a", [1])])
    #expect(try rows(store) == list.kept)
    #expect(
      try store.perform {
        try Int.fetchOne($0, sql: "SELECT count(*) FROM checkpoints_readable WHERE boundary > '2023'")
      }
        == list.kept.count)
    // Another history takes the place of all.
    var other = CheckpointList()
    other.append(next(CheckpointList(), &generator))
    try store.commit(batches: [], checkpoints: other)
    #expect(try rows(store) == other.kept)
  }

  @Test func damagedRowIsSeenAndReplaced() throws {
    let directory = try TemporaryDirectory()
    var generator = SeededGenerator(seed: 5)
    var list = CheckpointList()
    for _ in 0..<5 { list.append(next(list, &generator)) }
    let store = try directory.open()
    try store.commit(batches: [], checkpoints: list)
    store.close()
    try directory.tamper(
      "UPDATE checkpoints SET fills = fills + 1, log_hash = x'07' WHERE number = ?",
      [
        Int64(list.kept[2].number)
      ])
    let again = try directory.open()
    #expect(try again.checkpoints().map(\.isSound) == [true, true, false, true, true])
    list.append(next(list, &generator))
    try again.commit(batches: [], checkpoints: list)
    #expect(try rows(again) == list.kept)
  }
}
