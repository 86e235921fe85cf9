import Diagnostics
import EventLog
import Forensics
import Foundation
import Histories
import Primitives
import Testing

/// A fault is put into a copy of a history at a random place; the search between the two names that place, and why.
@Suite struct DiffTests {
  @Test(arguments: FileFault.Kind.allCases) func theFirstDifferenceIsTheFault(_ kind: FileFault.Kind) async throws {
    let history = try VerificationTests.built.get().history
    for seed in UInt64(1)...6 {
      try await Self.withCopy(of: history) { copy in
        let fault = try FileFaults.put(
          kind, in: copy, seed: seed, key: kind == .equivocate ? history.keys[Int(seed % 3)] : nil)
        let found = try await Self.search(history.directory, copy)
        #expect(fault.disagreement(with: found) == nil, "seed \(seed): \(fault.text)")
        // Seen from the other side it is the same.
        let mirrored = try await Self.search(copy, history.directory)
        #expect(mirrored.cause == found.cause && mirrored.entry?.dot == found.entry?.dot)
        #expect(mirrored.fill?.number == found.fill?.number && mirrored.order == found.order)
        if let culprit = found.culprit, culprit != .author { #expect(mirrored.culprit != culprit) }
        #expect(found.cost.exchanges <= 40, "\(fault.text)")
        #expect(found.cost.bytes <= 65_536, "\(fault.text)")
      }
    }
  }

  @Test func copiesAreEqual() async throws {
    let history = try VerificationTests.built.get().history
    try await Self.withCopy(of: history) { copy in
      let found = try await Self.search(history.directory, copy)
      #expect(found.verdict == .equal && found.cause == nil && found.remarks.isEmpty)
      #expect(found.agreed?.number == history.checkpoints.newest?.number)
    }
  }

  private static func search(_ left: String, _ right: String) async throws -> Divergence {
    let signatures = try #require(Ed25519(seed: [UInt8](repeating: 9, count: 32)))
    return try await DivergenceSearch.run(
      try DirectoryWitness(try NodeFile(left), label: "left"),
      try DirectoryWitness(try NodeFile(right), label: "right"),
      signatures: signatures)
  }

  private static func withCopy(of history: BuiltHistory, _ body: (String) async throws -> Void) async throws {
    let copy = FileManager.default.temporaryDirectory.appendingPathComponent("diff-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: copy) }
    try FileManager.default.copyItem(atPath: history.directory, toPath: copy)
    try await body(copy)
  }
}
