import EventLog
import Forensics
import Foundation
import Histories
import OrderBook
import Primitives
import Replica
import Storage
import Testing

/// What is damaged is mended from what others have, if they can prove it.
@Suite struct RepairTests {
  private func verify(_ directory: String) throws -> VerificationReport {
    try Verification.run(try NodeFile(directory))
  }

  private func copy(_ made: VerificationTests.Made) throws -> (directory: String, scratch: ScratchDirectory) {
    let scratch = try ScratchDirectory()
    let directory = scratch.path + "/copy"
    try FileManager.default.copyItem(atPath: made.history.directory, toPath: directory)
    return (directory, scratch)
  }

  /// Repairs with what these batches hold.
  private func repair(_ directory: String, from batches: [Batch]) async throws -> [String] {
    var repair = try Repair(directory)
    defer { repair.close() }
    try await repair.mendLog(try verify(directory)) { origin, first, last in
      let found = batches.filter { $0.origin == origin && $0.lastSequence >= first && $0.firstSequence <= last }
      return found.isEmpty ? [] : [("a peer", found.map(\.sealed))]
    }
    try repair.mendRest(Verification.Options())
    return repair.done
  }

  @Test(
    arguments: [.bitflipLog, .dropEntry, .alterEntry, .bitflipOrders, .skipFill, .bitflipBook] as [FileFault.Kind],
    [false, true])
  func faultIsMended(kind: FileFault.Kind, isCompacted: Bool) async throws {
    let made = try (isCompacted ? VerificationTests.compacted : VerificationTests.built).get()
    let (directory, scratch) = try copy(made)
    defer { withExtendedLifetime(scratch) {} }
    for seed in 1...3 as ClosedRange<UInt64> {
      let fault = try FileFaults.put(kind, in: directory, seed: seed)
      #expect(try !verify(directory).isSound)
      let done = try await repair(directory, from: made.history.batches)
      #expect(!done.isEmpty)
      let after = try verify(directory)
      #expect(after.isSound, "\(fault.text); \(done); \(after.damages.map(\.text))")
      let isOfLog = [.bitflipLog, .alterEntry].contains(kind)
      let store = try Store.openReadOnly(directory: directory)
      #expect(try store.batchCounts().aside > 0 || !isOfLog)
      store.close()
      // A snapshot that was dropped is not made again without a node.
      if kind == .bitflipBook { break }
    }
  }

  /// Nobody has it, or what they have was not signed by its author: it stays as it is.
  @Test func whatCannotBeProvenIsNotPutIn() async throws {
    let made = try VerificationTests.built.get()
    let (directory, scratch) = try copy(made)
    defer { withExtendedLifetime(scratch) {} }
    let fault = try FileFaults.put(.bitflipLog, in: directory, seed: 9)
    let nobody = try await repair(directory, from: [])
    #expect(nobody.first?.contains("not repaired: nobody has it") == true)
    let forged = made.history.batches.map { batch in
      var signature = batch.signature.bytes
      if batch.origin == fault.origin { signature[5] ^= 1 }
      return Batch(
        origin: batch.origin, firstSequence: batch.firstSequence, entries: batch.entries, bytes: batch.bytes,
        hash: batch.hash, view: batch.view, signature: Signature(bytes: signature)!)
    }
    let refused = try await repair(directory, from: forged)
    #expect(refused.first?.contains("has not signed") == true)
    let others = try await repair(directory, from: made.history.batches.filter { $0.firstSequence != fault.first })
    #expect(others.first?.contains("not repaired") == true)
    #expect(try verify(directory).count(.batchBytes) == 1)
    let store = try Store.openReadOnly(directory: directory)
    #expect(try store.batchCounts().aside == 0)
    store.close()
    _ = try await repair(directory, from: made.history.batches)
    #expect(try verify(directory).isSound)
  }

  /// Which of two signed versions of a log is right, no repair decides.
  @Test func anEquivocationIsNotMended() async throws {
    let made = try VerificationTests.built.get()
    let (directory, scratch) = try copy(made)
    defer { withExtendedLifetime(scratch) {} }
    _ = try FileFaults.put(.equivocate, in: directory, seed: 1, key: made.history.keys[1])
    let before = try verify(directory)
    let done = try await repair(directory, from: made.history.batches)
    #expect(done.contains { $0.contains("not repaired") }, "\(done)")
    #expect(try verify(directory).count(.checkpoint) == before.count(.checkpoint))
  }

  @Test func aRunningNodesFileIsNotRepaired() throws {
    let made = try VerificationTests.built.get()
    let (directory, scratch) = try copy(made)
    defer { withExtendedLifetime(scratch) {} }
    let store = try Store.open(directory: directory, identity: try Store.openReadOnly(directory: directory).identity)
    defer { store.close() }
    #expect(throws: CannotTell.self) { _ = try Repair(directory) }
    // Looking is allowed.
    #expect(try verify(directory).isSound)
  }
}
