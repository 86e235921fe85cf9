import EventLog
import Foundation
import OrderBook
import Primitives
import Testing

/// The format is what Tests/Golden says it is. To write the files anew, for a change of format that is meant:
///
///     RIALTO_REGENERATE=1 swift test --filter GoldenTests
///
/// `Tests/Golden/decode.py --check Tests/Golden` reads the same files with a decoder that shares nothing with this one.
@Suite(.serialized) struct GoldenTests {
  private static let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("Golden")
  private static let regenerates = ProcessInfo.processInfo.environment["RIALTO_REGENERATE"] == "1"

  /// Compares line by line, so that a failure names the vector and not a file of hex.
  private func compare(_ text: String, with file: String) throws {
    let url = Self.directory.appendingPathComponent(file)
    if Self.regenerates { try text.write(to: url, atomically: true, encoding: .utf8) }
    let stored = try String(contentsOf: url, encoding: .utf8)
    if stored == text { return }
    var block = ""
    for (number, (new, old)) in zip(lines(text), lines(stored)).enumerated() {
      if new.hasPrefix("batch ") || new.hasPrefix("refused ") { block = new }
      guard new != old else { continue }
      Issue.record("\(file), line \(number + 1), \(block): the file has\n  \(old)\nand this build writes\n  \(new)")
      return
    }
    Issue.record("\(file) has \(lines(stored).count) lines and this build writes \(lines(text).count)")
  }

  private func lines(_ text: String) -> [String] { text.components(separatedBy: "\n") }

  @Test(arguments: GoldenVectors.logs.indices) func everyLogIsWrittenAsItsGoldenFile(index: Int) throws {
    let log = GoldenVectors.logs[index]
    try compare(log.fileText(), with: log.name + ".txt")
  }

  @Test func everyRefusedVectorIsInItsGoldenFile() throws {
    var lines = ["# Bytes that no decoder of batch format 1 accepts. Written by GoldenTests, read by decode.py."]
    for vector in RefusedVectors.all {
      lines += ["", "refused \(vector.name)", "why \(GoldenFormat.text(vector.error))"]
      lines += GoldenFormat.field("bytes", vector.bytes)
    }
    try compare(lines.joined(separator: "\n") + "\n", with: "refused.txt")
    #expect(Set(RefusedVectors.all.map(\.name)).count == RefusedVectors.all.count, "names are unique")
  }

  @Test func checkpointsAreHashedAsInTheirGoldenFile() throws {
    try compare(GoldenCheckpoints.fileText(), with: "checkpoints.txt")
  }

  /// The bytes in the files, not those of this build, are read back as the fields beside them.
  @Test(arguments: GoldenVectors.logs.indices) func everyGoldenFileIsReadAsItsFields(index: Int) throws {
    let log = GoldenVectors.logs[index]
    let text = try String(
      contentsOf: Self.directory.appendingPathComponent(log.name + ".txt"), encoding: .utf8)
    var hex = ""
    var fields: [String] = []
    var inBytes = false
    var batches = 0
    for line in lines(text) {
      if inBytes, line.hasPrefix("  ") {
        hex += line.dropFirst(2)
        continue
      }
      inBytes = line == "bytes"
      if line.hasPrefix("entry ") { fields.append(line) }
      guard line.hasPrefix("hash "), !hex.isEmpty else { continue }
      let (header, entries) = try decode(#require([UInt8](hex: hex))).get()
      #expect(entries.map(GoldenFormat.text) == fields, "\(log.name), batch \(batches)")
      #expect(header.origin.value == log.register)
      batches += 1
      hex = ""
      fields = []
    }
    #expect(batches == log.items.count)
  }

  @Test func theVectorsHoldEveryKindFieldAndFlag() {
    var heads: Set<UInt8> = []
    var shapes: Set<UInt16> = []
    var changes: Set<Int> = []
    for log in GoldenVectors.logs {
      for item in log.items {
        var context = CommandContext()
        for entry in item.entries {
          switch entry.payload {
          case .fill: heads.insert(PayloadKind.fill.rawValue << 4)
          case .checkpoint: heads.insert(PayloadKind.checkpoint.rawValue << 4)
          case .command(let command):
            var writer = ByteWriter()
            writer.write(command: command, &context)
            heads.insert(writer.bytes[0])
            shapes.insert(context.shape)
            guard case .amend(let amend) = command else { continue }
            let quantity = amend.quantityLots == nil ? 0 : amend.quantityMeaning == .open ? 6 : 2
            changes.insert((amend.priceTicks == nil ? 0 : 1) | quantity | (amend.forfeitsPriority ? 8 : 0))
          }
        }
      }
    }
    let all: [UInt8] = [0x10] + (0x20...0x2f) + (0x30...0x37) + (0x40...0x47) + [0x50, 0x52, 0x54, 0x56, 0x60, 0x70]
    #expect(heads.sorted() == all, "missing heads \(all.filter { !heads.contains($0) })")
    #expect(changes.sorted() == [0, 1, 2, 3, 6, 7, 8, 9, 10, 11, 14, 15])
    let bits = shapes.reduce(0, |)
    #expect(bits == 0xfff, "bits of shapes")
    #expect(Set(shapes.map { $0 & 3 }).count == 4)
    #expect(Set(shapes.map { $0 >> 2 & 3 }).count == 4)
    #expect(Set(shapes.map { $0 >> 4 & 7 }).count == 5)
    #expect(Set(shapes.map { $0 >> 8 & 3 }).count == 3)
  }
}
