import Dispatch
import EventLog
import Foundation
import Membership
import Primitives
import Storage

/// Every stored batch by itself and in its chain: bytes, hashes, columns, stamps, signatures.
///
/// Damage is named where it is: after a bad batch the chain goes on with the hash that is stored.
struct LogCheck {
  private static let rowsPerRead = 256

  private let file: NodeFile
  private let signatures: any Signatures
  private let sha = SHA256()
  private let threads: Int
  /// What each snapshot says of the logs that it stands for.
  private let snapshots: [(info: SnapshotInfo, bases: [LogBase])]
  /// Up to where everything of every log is as it must be; nil if it all is.
  private(set) var soundThrough: Stamp?

  init(_ file: NodeFile, threads: Int) throws(StoreError) {
    self.file = file
    var known: [(SnapshotInfo, [LogBase])] = []
    for info in file.store.snapshots { known.append((info, try file.store.bases(of: info))) }
    snapshots = known
    self.threads = max(1, threads)
    guard let key = Ed25519(seed: [UInt8](repeating: 1, count: Ed25519.seedByteCount)) else {
      preconditionFailure("a seed of the right length makes a key")
    }
    signatures = key
  }

  /// Where the check of one log stands.
  private struct Cursor {
    let origin: OriginIndex
    var head: Head
    /// False after a damaged batch of which no hash is known.
    var isHashKnown = true
    var stamp: Stamp
    /// Up to where everything is as it must be.
    var soundStamp: Stamp
    var isSound = true
    var badSignatures: UInt64 = 0

    mutating func spoil() { isSound = false }
  }

  /// A signature that is to be checked.
  private struct Job {
    var first: UInt64
    var last: UInt64
    var stampBefore: Stamp
    var message: [UInt8]
    var signature: Signature
  }

  mutating func run(
    into report: inout VerificationReport, _ progress: (VerificationProgress) -> Void
  ) throws(StoreError) {
    let total = file.store.heads.values.reduce(0) { $0 + $1.sequence }
    let origins = file.store.heads.keys.sorted()
    for origin in origins {
      try check(origin, into: &report) { progress(VerificationProgress(phase: .log, done: $0, total: total)) }
    }
    report.counts.setAside = try file.store.batchCounts().aside
  }

  private mutating func check(
    _ origin: OriginIndex, into report: inout VerificationReport, _ progress: (UInt64) -> Void
  ) throws(StoreError) {
    let base = file.store.base(of: origin)
    let known = origin.int < file.origins.count ? file.origins[origin.int] : nil
    let start = known.map { HashChain.start(cluster: file.cluster, origin: $0.origin, sha) }
    var cursor = Cursor(
      origin: origin, head: base?.head ?? Head(sequence: 0, hash: start ?? .zero), stamp: base?.stamp ?? .zero,
      soundStamp: base?.stamp ?? .zero)
    cursor.isHashKnown = base != nil || start != nil
    if known == nil { report.notes.append("origin \(origin) is in no view that this file knows: its key is not known") }
    compareDecided(cursor, into: &report)
    var last: UInt64 = 0
    while true {
      let rows = try file.store.logRows(of: origin, after: last, max: Self.rowsPerRead)
      guard let end = rows.last else { break }
      last = end.firstSequence
      var jobs: [Job] = []
      for row in rows { check(row, &cursor, known?.origin, &jobs, into: &report) }
      if let known { verify(jobs, by: known.publicKey, &cursor, into: &report) }
      progress(report.counts.entries)
    }
    for (info, bases) in snapshots.reversed() where origin.int < bases.count {
      let end = bases[origin.int].head.sequence
      guard cursor.head.sequence < end else { break }
      report.add(
        Damage(
          .batchMissing, origin: origin, first: cursor.head.sequence + 1, last: end, number: info.number,
          "log of \(file.name(origin)): sequences \(cursor.head.sequence + 1)–\(end), for which snapshot "
            + "\(info.number) stands, are missing"))
      cursor.spoil()
      break
    }
    if !cursor.isSound { soundThrough = min(soundThrough ?? cursor.soundStamp, cursor.soundStamp) }
    guard origin.int < file.decision?.value.base.count ?? 0, let value = file.decision?.value else { return }
    let decided = value.base[origin.int].sequence
    if cursor.head.sequence < decided {
      report.notes.append(
        "the log of \(file.name(origin)) ends at \(cursor.head.sequence), view \(value.number) at \(decided): the rest "
          + "is to be fetched")
    }
  }

  private func check(
    _ row: LogRow, _ cursor: inout Cursor, _ author: Origin?, _ jobs: inout [Job],
    into report: inout VerificationReport
  ) {
    let origin = cursor.origin
    let name = file.name(origin)
    func damage(_ kind: Damage.Kind, found: String? = nil, expected: String? = nil, _ text: String) -> Damage {
      Damage(
        kind, origin: origin, first: row.firstSequence, last: row.lastSequence, found: found, expected: expected,
        "log of \(name), batch \(row.firstSequence)–\(row.lastSequence): \(text)")
    }
    report.counts.batches += 1
    report.counts.bytes += UInt64(row.bytes.count)
    report.counts.entries += row.lastSequence >= row.firstSequence ? row.lastSequence - row.firstSequence + 1 : 0
    if row.firstSequence > cursor.head.sequence + 1 {
      report.add(
        Damage(
          .batchMissing, origin: origin, first: cursor.head.sequence + 1, last: row.firstSequence - 1,
          "log of \(name): sequences \(cursor.head.sequence + 1)–\(row.firstSequence - 1) are missing"))
      cursor.spoil()
      cursor.isHashKnown = false
    } else if row.firstSequence <= cursor.head.sequence {
      report.add(damage(.batchOverlaps, "the batch before it ends at \(cursor.head.sequence)"))
      cursor.spoil()
      return
    }
    defer {
      if cursor.isSound { cursor.soundStamp = cursor.stamp }
    }
    guard let stored = row.hash, let signature = row.signature else {
      report.add(damage(.batchColumn, "hash or signature has another length"))
      cursor.spoil()
      cursor.head.sequence = max(cursor.head.sequence, row.lastSequence)
      cursor.isHashKnown = false
      return
    }
    let previous = cursor.isHashKnown ? cursor.head.hash : nil
    let stampBefore = cursor.stamp
    cursor.head = Head(sequence: max(cursor.head.sequence, row.lastSequence), hash: stored)
    cursor.isHashKnown = true
    let link = previous.map { HashChain.link(previous: $0, bytes: row.bytes, sha) } ?? stored
    if link != stored {
      let isSigned = isSigned(row, stored, signature, author)
      let isOtherSigned = isSigned ? false : self.isSigned(row, link, signature, author)
      if isOtherSigned { cursor.head.hash = link }
      report.add(
        damage(
          isOtherSigned ? .batchHash : .batchBytes, found: link.description, expected: stored.description,
          isOtherSigned
            ? "the stored hash is not what its author signed; the bytes are"
            : isSigned
              ? "the bytes are not those whose hash is stored and signed by its author"
              : "bytes, stored hash and signature are of three minds"))
      cursor.spoil()
      return
    }
    let batch: Batch
    do throws(CodecError) {
      batch = try Batch.decode(
        SealedBatch(bytes: row.bytes, view: row.view, signature: signature), previous: previous ?? .zero, sha)
    } catch {
      report.add(damage(.batchBytes, "the bytes cannot be read: \(error)"))
      cursor.spoil()
      return
    }
    if let wrong = wrongColumn(row, batch, origin) {
      report.add(
        damage(.batchColumn, found: wrong.found, expected: wrong.expected, "column \(wrong.name) says otherwise"))
      cursor.spoil()
    } else if !Self.isCanonical(batch) {
      report.add(damage(.batchBytes, "the bytes are not canonical"))
      cursor.spoil()
    } else if batch.firstStamp <= stampBefore, stampBefore > .zero {
      report.add(
        damage(
          .batchOrder, found: "\(batch.firstStamp)", expected: "above \(stampBefore)",
          "its first stamp does not follow the one before"))
      cursor.spoil()
    }
    cursor.stamp = batch.lastStamp
    compareDecided(cursor, into: &report)
    if let cut = file.decision?.value.cut(of: origin), batch.lastSequence > cut {
      report.add(damage(.beyondEnd, "the log of this origin was sealed at \(cut)"))
    }
    if let author {
      jobs.append(
        Job(
          first: batch.firstSequence, last: batch.lastSequence, stampBefore: stampBefore,
          message: HashChain.signedHead(
            cluster: file.cluster, origin: author, view: row.view,
            head: Head(sequence: batch.lastSequence, hash: stored)), signature: signature))
    }
  }

  private func isSigned(_ row: LogRow, _ hash: Hash256, _ signature: Signature, _ author: Origin?) -> Bool {
    guard let author, let key = file.origins.first(where: { $0.origin == author })?.publicKey else { return false }
    let message = HashChain.signedHead(
      cluster: file.cluster, origin: author, view: row.view, head: Head(sequence: row.lastSequence, hash: hash))
    return signatures.isValid(signature, of: message, by: key)
  }

  private func wrongColumn(
    _ row: LogRow, _ batch: Batch, _ origin: OriginIndex
  ) -> (name: String, found: String, expected: String)? {
    let columns: [(String, UInt64, UInt64)] = [
      ("origin", UInt64(origin.value), UInt64(batch.origin.value)),
      ("first_sequence", row.firstSequence, batch.firstSequence),
      ("last_sequence", row.lastSequence, batch.lastSequence),
      ("first_stamp", row.firstStamp.value, batch.firstStamp.value),
      ("last_stamp", row.lastStamp.value, batch.lastStamp.value),
    ]
    return columns.first { $0.1 != $0.2 }.map { ($0.0, "\($0.1)", "\($0.2)") }
  }

  /// Whether its entries, written again, have the same bytes.
  static func isCanonical(_ batch: Batch) -> Bool {
    var builder = BatchBuilder(origin: batch.origin, firstSequence: batch.firstSequence)
    for entry in batch.entries {
      guard builder.canTake(stamp: entry.stamp) else { return false }
      builder.append(entry)
    }
    return builder.canonicalBytes() == batch.bytes
  }

  /// What a view was decided on, and what snapshots stand for, where the log has an end there.
  private func compareDecided(_ cursor: Cursor, into report: inout VerificationReport) {
    for (info, bases) in snapshots where cursor.origin.int < bases.count && cursor.isSound {
      let head = bases[cursor.origin.int].head
      guard head.sequence > 0, head.sequence == cursor.head.sequence, head.hash != cursor.head.hash else { continue }
      report.add(
        Damage(
          .snapshotBase, origin: cursor.origin, last: head.sequence, number: info.number,
          found: cursor.head.hash.description, expected: head.hash.description,
          "log of \(file.name(cursor.origin)): at \(head.sequence) it is not the log for which snapshot \(info.number) "
            + "stands"))
    }
    guard let value = file.decision?.value, cursor.origin.int < value.base.count, cursor.isSound else { return }
    let decided = value.base[cursor.origin.int]
    guard decided.sequence > 0, decided.sequence == cursor.head.sequence, decided.hash != cursor.head.hash else {
      return
    }
    report.add(
      Damage(
        .decidedBase, origin: cursor.origin, last: decided.sequence, found: cursor.head.hash.description,
        expected: decided.hash.description,
        "log of \(file.name(cursor.origin)): at \(decided.sequence) it is not the log on which view \(value.number) "
          + "stands"))
  }

  /// Checks signatures, on as many threads as there are.
  private func verify(
    _ jobs: [Job], by key: PublicKey, _ cursor: inout Cursor, into report: inout VerificationReport
  ) {
    guard !jobs.isEmpty else { return }
    let signatures = signatures
    let share = (jobs.count + threads - 1) / threads
    let findings = Findings(count: jobs.count)
    DispatchQueue.concurrentPerform(iterations: threads) { thread in
      for index in thread * share..<max(thread * share, min(jobs.count, (thread + 1) * share)) {
        findings.set(index, signatures.isValid(jobs[index].signature, of: jobs[index].message, by: key))
      }
    }
    report.counts.signatures += UInt64(jobs.count)
    for (index, job) in jobs.enumerated() where !findings[index] {
      cursor.badSignatures += 1
      if cursor.isSound || cursor.soundStamp > job.stampBefore {
        cursor.spoil()
        cursor.soundStamp = min(cursor.soundStamp, job.stampBefore)
      }
      guard cursor.badSignatures == 1 else {
        report.count(.signature, 1)
        continue
      }
      report.add(
        Damage(
          .signature, origin: cursor.origin, first: job.first, last: job.last,
          "log of \(file.name(cursor.origin)), batch \(job.first)–\(job.last): its author has not signed this; the "
            + "chain was made anew from here on, or another key signed"))
    }
  }
}

/// One flag for each of some things, set by several threads, each its own.
private final class Findings: @unchecked Sendable {
  private let flags: UnsafeMutablePointer<Bool>
  init(count: Int) {
    flags = .allocate(capacity: max(1, count))
    flags.initialize(repeating: false, count: max(1, count))
  }
  deinit { flags.deallocate() }
  func set(_ index: Int, _ value: Bool) { flags[index] = value }
  subscript(_ index: Int) -> Bool { flags[index] }
}
