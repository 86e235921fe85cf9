import Foundation
import Testing

/// The inputs that fuzzing has kept, without a fuzzer: each decoder over each of its files.
///
/// The checks are those of Scripts/fuzz; `FuzzChecks` is a link to them.
@Suite("Fuzz corpus")
struct FuzzCorpusTests {
  private static let corpus = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("Fuzz/Corpus")

  private static func files(in folder: URL) throws -> [URL] {
    try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
      .filter { !$0.lastPathComponent.hasPrefix(".") }
      .sorted { $0.lastPathComponent < $1.lastPathComponent }
  }

  @Test("every decoder does what it must for every kept input", arguments: FuzzTarget.all.map(\.name))
  func keeps(name: String) throws {
    let target = try #require(FuzzTarget.all.first { $0.name == name })
    let files = try Self.files(in: Self.corpus.appendingPathComponent(name))
    var decoded = 0
    for file in files {
      let input = [UInt8](try Data(contentsOf: file))
      do throws(Finding) {
        if try target.check(input) { decoded += 1 }
      } catch {
        Issue.record("\(error): Scripts/fuzz --check \(name) Tests/Fuzz/Corpus/\(name)/\(file.lastPathComponent)")
      }
    }
    #expect(decoded > 0 && decoded < files.count, "\(decoded) of \(files.count) inputs decode: both kinds are needed")
  }

  @Test("every folder of inputs belongs to a decoder")
  func folders() throws {
    let folders = try Self.files(in: Self.corpus).map(\.lastPathComponent)
    #expect(folders == FuzzTarget.all.map(\.name).sorted())
  }
}
