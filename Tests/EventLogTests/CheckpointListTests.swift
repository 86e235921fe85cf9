import EventLog
import Primitives
import Testing

/// What is kept of the checkpoints, and that it depends on nothing but which there are.
struct CheckpointListTests {
  private let sha = SHA256()

  private func checkpoint(_ number: UInt64) -> Checkpoint {
    Checkpoint(
      number: number, previous: .zero, bookHash: .zero, logHash: .zero, fillsHash: .zero, fills: 0, sha)
  }

  /// Rising numbers with gaps of all sizes.
  private func numbers(_ count: Int, seed: UInt64, gapMax: UInt64) -> [UInt64] {
    var generator = SeededGenerator(seed: seed)
    var number: UInt64 = 1_700_000_000
    return (0..<count).map { _ in
      number += generator.chance(1, of: 50) ? generator.below(gapMax) + 1 : 1
      return number
    }
  }

  private static let gaps: [UInt64] = [1, 10, 3_000]

  @Test(arguments: gaps) func droppingAsTheyComeKeepsWhatDroppingAtOnceDoes(gapMax: UInt64) {
    let all = numbers(5_000, seed: gapMax, gapMax: gapMax)
    var list = CheckpointList()
    for (index, number) in all.enumerated() {
      list.append(checkpoint(number))
      if index % 97 == 0 || index == all.count - 1 {
        #expect(list.kept.map(\.number) == CheckpointList.thinned(Array(all[...index])))
      }
    }
    #expect(CheckpointList.thinned(list.kept.map(\.number)) == list.kept.map(\.number))
    #expect(list.newest?.number == all.last)
    #expect(list.recent(16).map(\.number) == all.suffix(16).reversed())
  }

  /// Who is behind has everything, up to its newest, that one ahead has kept: so bisection finds what both have.
  @Test(arguments: gaps) func whoIsBehindHasWhatIsKeptAhead(gapMax: UInt64) {
    let all = numbers(4_000, seed: gapMax + 1, gapMax: gapMax)
    let ahead = CheckpointList.thinned(all)
    for count in [1, 64, 65, 500, 1_900, 3_999] {
      let behind = CheckpointList.thinned(Array(all.prefix(count)))
      let common = ahead.filter { $0 <= behind[behind.count - 1] }
      #expect(common.allSatisfy(behind.contains), "\(count)")
    }
  }

  @Test func agesGetFootholdsEvenly() {
    let all = Array(1...100_000 as ClosedRange<UInt64>)
    let kept = CheckpointList.thinned(all)
    #expect(kept.count <= 64 + 9 * 11, "\(kept.count)")
    #expect(Array(kept.suffix(CheckpointList.recentMax)) == Array(all.suffix(CheckpointList.recentMax)))
    // No gap is longer than a quarter of the age at which it lies.
    for (older, newer) in zip(kept, kept.dropFirst()) {
      #expect(newer - older <= max(1, (100_000 - older) / 4), "between \(older) and \(newer)")
    }
  }

  @Test func aNumberIsKeptOrDroppedOrWasNever() {
    var list = CheckpointList()
    #expect(list.find(1) == .notYet && list.newest == nil)
    for number in stride(from: 2 as UInt64, through: 2_000, by: 2) { list.append(checkpoint(number)) }
    #expect(list.find(2_000) == .kept(checkpoint(2_000)))
    #expect(list.find(1_999) == .never)
    #expect(list.find(2_001) == .notYet)
    let dropped = (1...1_000).map { UInt64($0 * 2) }.filter { number in !list.kept.contains { $0.number == number } }
    #expect(!dropped.isEmpty && dropped.allSatisfy { list.find($0) == .dropped })
  }
}
