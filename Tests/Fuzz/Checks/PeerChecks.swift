import EventLog
import Gossip
import Membership
import Primitives

/// What members send each other: one encoding each.
enum PeerChecks {
  @Sendable static func message(_ input: [UInt8]) throws(Finding) -> Bool {
    guard let type = input.first else { return false }
    let message: PeerMessage
    do throws(CodecError) {
      message = try withBytes(of: input.dropFirst()) { (raw) throws(CodecError) in
        try PeerMessage(frameType: type, body: raw)
      }
    } catch {
      return false
    }
    try expect(message.frameType == type, "became a frame of type \(message.frameType)")
    try expect(message.body.elementsEqual(input.dropFirst()), "encodes to other bytes: \(message)")
    switch message {
    case .batch(let sealed): _ = try BatchChecks.batch(sealed.bytes)
    case .announce(let ranges): for range in ranges { try check(range) }
    case .request(let range): try check(range)
    case .addresses(let records):
      // A node takes only what a registered origin has signed.
      var book = AddressBook()
      for record in records where record.origin.int < Limits.membersMax && book.isNews(record) {
        book.insert(record)
        try expect(book[record.origin] == record, "the address book holds another record")
      }
    case .snapshot(.piece(_, let offset, let bytes)):
      try expect(bytes.count <= Limits.snapshotPieceBytes, "a piece of \(bytes.count) bytes")
      try expect(offset % UInt64(Limits.snapshotPieceBytes) == 0, "a piece at \(offset)")
    case .snapshot(.offer(let infos)):
      try expect(infos.count <= Limits.snapshotsMax, "\(infos.count) snapshots on offer")
    case .word(let word):
      try expect(word.heartbeat.speaker != nil && word.heartbeat.unheard.isEmpty, "a word of nobody, or that asks")
    case .view(let signed):
      if case .denied(_, _, _, let left) = signed.message {
        try expect(left <= ViewLimits.leaseMicroseconds, "a vote that is lent for \(left) µs")
      }
    case .heartbeat, .digest, .vector, .served, .detector, .snapshot: break
    }
    return true
  }

  private static func check(_ range: LogRange) throws(Finding) {
    try expect(range.from >= 1 && range.from <= range.through, "an empty range: \(range)")
    try expect(range.origin.int < Limits.originsMax, "a range past the register: \(range)")
  }

  @Sendable static func vectors(_ input: [UInt8]) throws(Finding) -> Bool {
    let pair: (VersionVector, VersionVector)
    do throws(CodecError) {
      pair = try withBytes(of: input[...]) { (raw) throws(CodecError) in
        var reader = ByteReader(raw)
        let first = try VersionVector(from: &reader)
        let second = try VersionVector(from: &reader)
        try reader.expectEnd()
        return (first, second)
      }
    } catch {
      return false
    }
    let (first, second) = pair
    var writer = ByteWriter()
    first.write(to: &writer)
    second.write(to: &writer)
    try expect(writer.bytes == input, "encodes to other bytes")
    try expect(VersionVector(first.sequences) == first, "a vector that ends in zeros")
    var merged = first
    merged.merge(second)
    try expect(merged.covers(first) && merged.covers(second), "the merged vector lacks something")
    for index in 0..<max(first.sequences.count, second.sequences.count) + 1 {
      let origin = OriginIndex(UInt32(index))
      try expect(merged[origin] == max(first[origin], second[origin]), "origin \(index) is not the larger of both")
    }
    try expect(first.covers(second) == (merged == first), "covers and merge contradict each other")
    let sha = SHA256()
    try expect((first.hash(sha) == second.hash(sha)) == (first == second), "hashes do not tell vectors apart")
    return true
  }
}
