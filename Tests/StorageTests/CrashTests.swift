import EventLog
import Foundation
import Primitives
import Testing

@testable import Storage

/// What a kill, a power cut or a failing disk leaves of the files.
@Suite struct CrashTests {
  /// A store that is still open, with `commits` commits and the size of its write-ahead log after each.
  private func live(
    commits: Int
  ) throws -> (directory: TemporaryDirectory, store: Store, batches: [Batch], ends: [Int]) {
    let directory = try TemporaryDirectory()
    let store = try directory.open()
    var log = LogWriter(seed: 8)
    var batches: [Batch] = []
    var ends: [Int] = []
    for index in 0..<commits {
      // Some larger than a page.
      let batch = log.batch(UInt32(index % 3), entries: index % 4 == 3 ? 1200 : 10)
      try store.commit(batches: [batch], records: [("count", [UInt8(index + 1)])])
      batches.append(batch)
      ends.append(try fileBytes(directory.writeAheadLog).count)
    }
    #expect(zip(ends, ends.dropFirst()).allSatisfy { $0 < $1 }, "no checkpoint may come between")
    return (directory, store, batches, ends)
  }

  private func check(_ copy: TemporaryDirectory, _ expected: ArraySlice<Batch>, _ comment: Comment) throws {
    let store = try copy.open()
    let (recovered, report) = try store.recovered(own: OriginIndex(0))
    #expect(recovered.sealed == Array(expected).sealed, comment)
    #expect(report.damages.isEmpty, comment)
    // Batches and records of one commit come and go together.
    #expect(try store.record("count") == (expected.isEmpty ? nil : [UInt8(expected.count)]), comment)
    #expect(store.heads.values.map(\.sequence).reduce(0, +) == report.entries, comment)
  }

  @Test func killKeepsEveryCommit() throws {
    let (directory, store, batches, _) = try live(commits: 6)
    let copy = try directory.copyLive()
    try check(copy, batches[...], "killed")
    withExtendedLifetime(store) {}
  }

  @Test func reservedLogDoesNotGrowAndIsReadBack() throws {
    let directory = try TemporaryDirectory()
    var store = try directory.open()
    #expect(try store.reserveLog() > 0)
    let size = try fileBytes(directory.writeAheadLog).count
    #expect(size == Store.reservedBytes)
    var log = LogWriter(seed: 8)
    var batches: [Batch] = []
    for index in 0..<20 {
      let batch = log.batch(UInt32(index % 3), entries: index % 4 == 3 ? 1200 : 10)
      try store.commit(batches: [batch], records: [("count", [UInt8(index + 1)])])
      batches.append(batch)
      guard index % 7 == 6 else { continue }
      try check(directory.copyLive(), batches[...], "killed after \(index + 1)")
      store.close()
      store = try directory.open()
      #expect(try store.reserveLog() == 0, "it is there already")
    }
    #expect(try fileBytes(directory.writeAheadLog).count == size)
    // Cut short anywhere, or not quite written: what is whole counts.
    let whole = try fileBytes(directory.writeAheadLog)
    let used = whole.withUnsafeBytes { raw in
      var end = raw.count
      while end >= 8, raw.loadUnaligned(fromByteOffset: end - 8, as: UInt64.self) == 0 { end -= 8 }
      return end
    }
    #expect(used < size / 2)
    let copy = try directory.copyLive()
    var torn = whole
    torn[used - 1] ^= 1
    try write(torn, to: copy.writeAheadLog)
    try check(copy, batches.dropLast(), "the last commit torn")
    store.close()
  }

  @Test func reservedLogIsLongEnoughForAWholeRound() throws {
    let directory = try TemporaryDirectory()
    let store = try directory.open()
    try store.reserveLog()
    var log = LogWriter(seed: 9)
    var batches: [Batch] = []
    let commitBytes = 1 << 20
    for index in 0..<(Store.reservedBytes * 5 / 4 / commitBytes) {
      let batch = log.batch(UInt32(index % 3))
      let value = [UInt8](repeating: UInt8(truncatingIfNeeded: index), count: commitBytes)
      try store.commit(batches: [batch], records: [("large", value), ("count", [UInt8(index + 1)])])
      batches.append(batch)
    }
    let attributes = try FileManager.default.attributesOfItem(atPath: directory.writeAheadLog)
    #expect(attributes[.size] as? Int == Store.reservedBytes, "it went round")
    try check(directory.copyLive(), batches[...], "killed")
    store.close()
  }

  @Test func anEmptyLogMayBeReserved() throws {
    let directory = try TemporaryDirectory()
    var log = LogWriter(seed: 10)
    let before = log.batch(0)
    var store = try directory.open()
    try store.commit(batches: [before], records: [("count", [1])])
    store.close(movingLog: true)
    store = try directory.open()
    #expect(try store.reserveLog() > 0)
    try check(directory.copyLive(), [before], "killed before the first commit")
    let after = log.batch(1)
    try store.commit(batches: [after], records: [("count", [2])])
    try check(directory.copyLive(), [before, after], "killed after it")
    store.close()
  }

  @Test func readersReserveNothing() throws {
    let directory = try TemporaryDirectory()
    try directory.open().close()
    let reader = try Store.openReadOnly(directory: directory.path)
    #expect(storeError { try reader.reserveLog() } == .stopped)
  }

  @Test func tornWriteAheadLogLosesOnlyWhatWasNotWhole() throws {
    let (directory, store, batches, ends) = try live(commits: 12)
    let whole = try fileBytes(directory.writeAheadLog)
    var generator = SeededGenerator(seed: 9)
    var cuts = ends.flatMap { [$0 - 1, $0, $0 + 1] }
    cuts += (0..<24).map { _ in Int(generator.below(UInt64(whole.count))) }
    for cut in cuts where cut >= ends[0] && cut <= whole.count {
      let copy = try directory.copyLive()
      try write(whole[..<cut], to: copy.writeAheadLog)
      let kept = ends.prefix { $0 <= cut }.count
      try check(copy, batches[..<kept], "cut at \(cut) of \(whole.count)")
    }
    withExtendedLifetime(store) {}
  }

  @Test func garbledTailOfTheWriteAheadLogLosesOnlyTheTail() throws {
    let (directory, store, batches, ends) = try live(commits: 8)
    for index in 1..<ends.count {
      let copy = try directory.copyLive()
      var bytes = try fileBytes(copy.writeAheadLog)
      bytes[ends[index] - 100] ^= 0x40
      try write(bytes, to: copy.writeAheadLog)
      try check(copy, batches[..<index], "bit turned in commit \(index)")
    }
    withExtendedLifetime(store) {}
  }

  @Test func checkpointedCommitsSurviveTheLossOfTheWriteAheadLog() throws {
    let directory = try TemporaryDirectory()
    var log = LogWriter(seed: 8)
    var batches = [log.batch(0), log.batch(1)]
    let first = try directory.open()
    try first.commit(batches: batches, records: [("count", [2])])
    first.close(movingLog: true)
    let second = try directory.open()
    batches.append(log.batch(2))
    try second.commit(batches: [batches[2]], records: [("count", [3])])
    let copy = try directory.copyLive()
    try check(copy, batches[...], "killed")
    let torn = try directory.copyLive()
    try FileManager.default.removeItem(atPath: torn.writeAheadLog)
    try check(torn, batches[..<2], "write-ahead log lost")
    withExtendedLifetime(second) {}
  }

  @Test func truncatedMainFileIsCorrupt() throws {
    let directory = try TemporaryDirectory()
    var log = LogWriter(seed: 8)
    let store = try directory.open()
    for _ in 0..<20 { try store.commit(batches: [log.batch(0, entries: 1000)]) }
    store.close(movingLog: true)
    let whole = try fileBytes(directory.database)
    for cut in [Store.pageBytes, whole.count / 2, whole.count - 1] {
      try write(whole[..<cut], to: directory.database)
      guard case .corrupt = storeError({ _ = try directory.open().recovered() }) else {
        Issue.record("another error, cut at \(cut)")
        return
      }
    }
  }

  @Test func headerOfZerosIsNoDatabase() throws {
    let directory = try TemporaryDirectory()
    try directory.open().close(movingLog: true)
    var bytes = try fileBytes(directory.database)
    for index in 0..<100 { bytes[index] = 0xff }
    try write(bytes, to: directory.database)
    #expect(storeError { _ = try directory.open() } == .notADatabase(path: directory.database))
  }

  @Test func emptyFileBecomesANewStore() throws {
    let directory = try TemporaryDirectory()
    try write([UInt8](), to: directory.database)
    #expect(try directory.open().heads.isEmpty)
  }
}
