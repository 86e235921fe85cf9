import EventLog
import OrderBook
import Primitives

/// Batches and what is in them: one encoding each.
enum BatchChecks {
  /// No entry is longer (`BatchBuilder.entryBytesMax`), and the builder keeps some room for the header.
  private static let builderRoom = 512
  private static let signature = Signature(bytes: Array(repeating: 7, count: Signature.byteCount))!

  @Sendable static func batch(_ input: [UInt8]) throws(Finding) -> Bool {
    let header: Result<BatchHeader, CodecError> = Result { () throws(CodecError) in
      try BatchHeader(canonicalBytes: input)
    }
    let batch: Batch
    do throws(CodecError) {
      batch = try Batch.decode(SealedBatch(bytes: input, view: 3, signature: signature), previous: .zero, SHA256())
    } catch {
      if case .failure(let first) = header, input.count <= Limits.batchBytesMax {
        try expect(first == error, "the header alone is refused otherwise: \(first), \(error)")
      }
      return false
    }
    guard case .success(let header) = header else { throw Finding("a batch without a readable header") }
    try expect(
      header.origin == batch.origin && header.firstSequence == batch.firstSequence
        && header.count == batch.entries.count && header.firstStamp == batch.firstStamp
        && header.lastSequence == batch.lastSequence, "header \(header) is not the batch's")
    try expect(input.count <= Limits.batchBytesMax, "longer than a batch may be")
    try expect(batch.firstStamp.second == batch.lastStamp.second, "spans two seconds")
    try expect(batch.sealed.bytes == input, "keeps other bytes")
    var builder = BatchBuilder(origin: batch.origin, firstSequence: batch.firstSequence)
    for entry in batch.entries {
      guard builder.canTake(stamp: entry.stamp) else {
        try expect(input.count + builderRoom > Limits.batchBytesMax, "the builder refuses an entry that was decoded")
        return true
      }
      builder.append(entry)
    }
    try expect(builder.entries == batch.entries, "the entries are not canonical")
    try expect(builder.canonicalBytes() == input, "encodes to other bytes")
    return true
  }

  @Sendable static func commands(_ input: [UInt8]) throws(Finding) -> Bool {
    let commands: [Command]
    do throws(CodecError) {
      commands = try input.withReader { (reader) throws(CodecError) in
        var context = CommandContext()
        var commands: [Command] = []
        while reader.remaining > 0 {
          let head = try reader.readByte("head")
          guard let command = try reader.readCommand(head: head, &context) else { throw .invalid(field: "kind") }
          commands.append(command)
        }
        return commands
      }
    } catch {
      return false
    }
    var context = CommandContext()
    var writer = ByteWriter(reserving: input.count)
    for command in commands {
      try expect(command.canonical == command, "not canonical: \(command)")
      writer.write(command: command, &context)
    }
    try expect(writer.bytes == input, "encodes to other bytes")
    return true
  }
}
