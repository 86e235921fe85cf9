import EventLog
import Forensics
import Foundation
import Histories
import OrderBook
import Primitives
import Replica
import Storage
import Testing

/// A node's file that is sound is found sound; one that is damaged, damaged exactly there.
@Suite struct VerificationTests {
  /// One history for all tests of this suite, never changed; each test has its copy.
  static let built = Result { try Self.make(.init()) }
  static let compacted = Result { try Self.make(.init(seed: 2, isCompacted: true)) }

  struct Made: Sendable {
    let scratch: ScratchDirectory
    let history: BuiltHistory
  }

  private static func make(_ shape: BuiltHistory.Shape) throws -> Made {
    let scratch = try ScratchDirectory()
    return Made(scratch: scratch, history: try BuiltHistory(shape, in: scratch.path + "/n1"))
  }

  func copy(_ made: Made) throws -> (directory: String, scratch: ScratchDirectory) {
    let scratch = try ScratchDirectory()
    let directory = scratch.path + "/copy"
    try FileManager.default.copyItem(atPath: made.history.directory, toPath: directory)
    return (directory, scratch)
  }

  func verify(_ directory: String) throws -> VerificationReport {
    var options = Verification.Options()
    options.threads = 2
    return try Verification.run(try NodeFile(directory), options)
  }

  @Test func soundFileIsSound() throws {
    for made in [try Self.built.get(), try Self.compacted.get()] {
      let history = made.history
      let report = try verify(history.directory)
      #expect(report.damages.isEmpty)
      #expect(report.isSound)
      let stored = history.entries - (try Store.openReadOnly(directory: history.directory).logBase.reduce(0, +))
      #expect(report.counts.entries == stored)
      #expect(report.counts.batches == report.counts.signatures && report.counts.batches > 20)
      #expect(report.counts.checkpoints == UInt64(history.checkpoints.kept.count))
      #expect(report.counts.snapshots == 2)
      #expect(report.counts.fills >= history.fills)
      #expect(report.counts.rows > 1_000)
      #expect(report.counts.attestations > 5)
    }
    #expect(try Store.openReadOnly(directory: try Self.compacted.get().history.directory).logBase.count == 3)
  }

  @Test(arguments: FileFault.Kind.allCases, [1, 2, 3, 4, 5, 6] as [UInt64])
  func everyFaultIsNamed(kind: FileFault.Kind, seed: UInt64) throws {
    let made = try (seed % 2 == 0 ? Self.compacted : Self.built).get()
    let (directory, scratch) = try copy(made)
    defer { withExtendedLifetime(scratch) {} }
    let key = made.history.keys[Int(seed % 3)]
    let fault = try FileFaults.put(kind, in: directory, seed: seed, key: kind == .equivocate ? key : nil)
    let report = try verify(directory)
    #expect(!report.isSound, "\(fault.text)")
    let first = try #require(report.damages.first, "\(fault.text)")
    switch kind {
    case .bitflipLog:
      #expect(first.kind == .batchBytes && report.damageCount == 1)
      #expect(first.origin == fault.origin && first.first == fault.first && first.last == fault.last)
    case .dropEntry:
      #expect(first.kind == .batchMissing && report.damageCount == 1)
      #expect(first.origin == fault.origin && first.first == fault.first && first.last == fault.last)
    case .alterEntry:
      let signature = try #require(report.damages.first { $0.kind == .signature })
      #expect(signature.origin == fault.origin && signature.first == fault.first && signature.last == fault.last)
      #expect(report.damages.allSatisfy { [.signature, .snapshotBase].contains($0.kind) }, "\(report.damages)")
    case .equivocate:
      // Nothing in the log itself is wrong.
      let checkpoint = try #require(report.damages.first { $0.kind == .checkpoint })
      let number = Checkpoint.number(closing: try #require(fault.stamp))
      let right = try #require(made.history.checkpoints.kept.first { $0.number >= number })
      #expect(checkpoint.number == right.number)
      #expect(checkpoint.found?.contains("log ") == true)
      #expect(report.count(.signature) == 0)
      #expect(report.damages.filter { $0.kind == .snapshotBase }.allSatisfy { $0.origin == fault.origin })
      #expect(
        report.damages.contains { $0.table == "orders" && $0.order == fault.order }, "\(report.damages.map(\.text))")
    case .skipFill:
      let checkpoint = try #require(report.damages.first { $0.kind == .checkpoint })
      let number = Checkpoint.number(closing: try #require(fault.stamp))
      #expect(checkpoint.number == made.history.checkpoints.kept.first { $0.number >= number }?.number)
      #expect(checkpoint.found?.hasPrefix("fills ") == true)
      let row = try #require(report.damages.first { $0.table == "fills" })
      #expect(row.fill == fault.fill)
      #expect(report.damages.allSatisfy { $0.table == nil || $0.table == "fills" || $0.table == "audit_state" })
    case .bitflipBook:
      #expect(first.kind == .snapshot && report.damageCount == 1)
      #expect(first.number == fault.number && first.order == fault.order, "\(first.text) \(fault.text)")
    case .bitflipOrders:
      #expect(first.kind == .derivedRow && report.damageCount == 1, "\(report.damages.map(\.text))")
      #expect(first.order == fault.order)
      #expect(first.found == fault.after && first.expected == fault.before)
    }
  }
}
