import Diagnostics
import EventLog
import Membership
import OrderBook
import Primitives
import Replica
import Storage

/// Mends what a verification has found in the file of a node that does not run.
///
/// The log first, from what others have: a batch is put in place only if the chain before it leads to it, its author
/// has signed it, and the batch after it still follows. Then what follows from the log is derived anew.
public struct Repair {
  /// Batches from others, by who gave them.
  public typealias Fetch = (OriginIndex, _ first: UInt64, _ last: UInt64) async throws -> [(String, [SealedBatch])]

  private let directory: String
  private let genesis: Genesis?
  private let store: Store
  private let file: NodeFile
  private let sha = SHA256()
  /// What was done, and what could not be.
  public private(set) var done: [String] = []

  /// - Throws: `CannotTell` if the node runs.
  public init(_ directory: String, genesis: Genesis? = nil) throws(CannotTell) {
    self.directory = directory
    self.genesis = genesis
    file = try NodeFile(directory, genesis: genesis, holdingStill: false)
    do throws(StoreError) {
      store = try Store.open(directory: directory, identity: file.store.identity)
    } catch {
      throw CannotTell("\(error)")
    }
  }

  // MARK: The log

  /// A stretch of one log that is to be put in anew.
  private struct Gap {
    var origin: OriginIndex
    var first: UInt64
    /// Nil: to the end of the log, whatever it is.
    var last: UInt64?
  }

  public mutating func mendLog(_ report: VerificationReport, _ fetch: Fetch) async throws {
    for gap in try gaps(report) {
      let name = file.name(gap.origin)
      let last = try gap.last ?? end(of: gap.origin)
      let what = "log of \(name), \(gap.first)–\(last)"
      guard let hash = try hash(before: gap.first, of: gap.origin) else {
        done.append("\(what): not repaired, for the log before it is not there")
        continue
      }
      var why = "nobody has it"
      var isMended = false
      for (source, sealed) in try await fetch(gap.origin, gap.first, last) where !isMended {
        switch try check(sealed, gap, through: last, after: hash) {
        case .success(let batches):
          do throws(StoreError) { try store.mend(batches) } catch { throw CannotTell("\(error)") }
          let count = batches.count == 1 ? "1 batch" : "\(batches.count) batches"
          done.append("\(what): \(count) from \(source) put in; what was there is in void_log")
          isMended = true
        case .failure(let reason): why = "\(source): \(reason.description)"
        }
      }
      if !isMended { done.append("\(what): not repaired: \(why)") }
    }
  }

  private func end(of origin: OriginIndex) throws -> UInt64 { store.heads[origin]?.sequence ?? 0 }

  private func gaps(_ report: VerificationReport) throws -> [Gap] {
    var gaps: [Gap] = []
    for damage in report.damages {
      guard let origin = damage.origin, let first = damage.first else { continue }
      switch damage.kind {
      case .batchMissing, .batchBytes, .batchHash, .batchColumn, .batchOrder, .batchOverlaps:
        gaps.append(Gap(origin: origin, first: first, last: damage.last))
      case .signature: gaps.append(Gap(origin: origin, first: first, last: nil))
      default: continue
      }
    }
    gaps.sort { ($0.origin, $0.first) < ($1.origin, $1.first) }
    // Neighbours are one gap: what links the two is in the second.
    var merged: [Gap] = []
    for gap in gaps {
      if let before = merged.last, before.origin == gap.origin, before.last.map({ gap.first <= $0 + 1 }) ?? true {
        if let last = before.last { merged[merged.count - 1].last = gap.last.map { max($0, last) } }
      } else {
        merged.append(gap)
      }
    }
    return merged
  }

  private func hash(before first: UInt64, of origin: OriginIndex) throws -> Hash256? {
    if let base = store.base(of: origin), base.head.sequence + 1 == first { return base.head.hash }
    if first == 1 {
      return origin.int < file.origins.count
        ? HashChain.start(cluster: file.cluster, origin: file.origins[origin.int].origin, sha) : nil
    }
    let places = try store.batchPlaces().filter { $0.origin == origin && $0.last == first - 1 }
    guard let place = places.last else { return nil }
    return try store.logRows(of: origin, after: place.first - 1, max: 1).first?.hash
  }

  private func check(
    _ sealed: [SealedBatch], _ gap: Gap, through last: UInt64, after hash: Hash256
  ) throws -> Result<[Batch], CannotTell> {
    guard gap.origin.int < file.origins.count, let key = Ed25519(seed: [UInt8](repeating: 1, count: 32)) else {
      return .failure(CannotTell("the author's key is not known"))
    }
    let author = file.origins[gap.origin.int]
    var head = Head(sequence: gap.first - 1, hash: hash)
    var batches: [Batch] = []
    for one in sealed where head.sequence < last {
      guard let batch = try? Batch.decode(one, previous: head.hash, sha), batch.origin == gap.origin,
        batch.firstSequence == head.sequence + 1
      else { return .failure(CannotTell("what it has does not follow \(head.sequence)")) }
      head = Head(sequence: batch.lastSequence, hash: batch.hash)
      let message = HashChain.signedHead(cluster: file.cluster, origin: author.origin, view: batch.view, head: head)
      guard key.isValid(batch.signature, of: message, by: author.publicKey) else {
        return .failure(
          CannotTell("\(author.name) has not signed its batch \(batch.firstSequence)–\(batch.lastSequence)"))
      }
      batches.append(batch)
    }
    guard gap.last == nil ? head.sequence >= last : head.sequence == last else {
      return .failure(CannotTell("it has this only up to \(head.sequence)"))
    }
    guard let next = try store.logRows(of: gap.origin, after: head.sequence, max: 1).first else {
      return .success(batches)
    }
    guard next.firstSequence == head.sequence + 1,
      HashChain.link(previous: head.hash, bytes: next.bytes, sha) == next.hash
    else {
      // It may be damaged itself, and be the next gap.
      let isSound = try? Batch.decode(
        SealedBatch(bytes: next.bytes, view: next.view, signature: batches[0].signature), previous: head.hash, sha)
      return isSound == nil
        ? .success(batches)
        : .failure(
          CannotTell("the batch at \(next.firstSequence) here does not follow what it has: two versions of one log"))
    }
    return .success(batches)
  }

  // MARK: What follows from it

  /// Drops snapshots that are not sound, and writes derived tables and checkpoints anew where they are wrong.
  public mutating func mendRest(_ options: Verification.Options) throws(CannotTell) {
    let now = try NodeFile(directory, genesis: genesis)
    let report = try Verification.run(now, options)
    do {
      for damage in report.damages where damage.kind == .snapshot {
        guard let info = store.snapshots.first(where: { $0.number == damage.number }) else { continue }
        guard store.logBase.isEmpty || store.snapshots.count > 1 else {
          done.append("snapshot \(info.number): not repaired, for it is the only one; the node fetches one from others")
          continue
        }
        try store.drop(info)
        done.append("snapshot \(info.number): dropped")
      }
      let isLogSound = !report.damages.contains { Self.isOfLog($0.kind) }
      if report.count(.derivedRow) + report.count(.derivedCounts) > 0 {
        if isLogSound, let derived = now.store.derived {
          let rows = try store.replaceTables(with: derived)
          done.append("derived tables: written anew, \(rows) rows")
        } else {
          done.append("derived tables: not repaired, for the log is damaged; they follow from it")
        }
      }
      try mendCheckpoints(report, now, isLogSound: isLogSound)
    } catch let error as CannotTell {
      throw error
    } catch {
      throw CannotTell("\(error)")
    }
    now.store.close()
  }

  private static func isOfLog(_ kind: Damage.Kind) -> Bool {
    switch kind {
    case .batchMissing, .batchOverlaps, .batchBytes, .batchHash, .batchColumn, .batchOrder, .signature, .beyondEnd,
      .logBase, .decidedBase, .snapshotBase:
      true
    case .decision, .checkpointRow, .checkpoint, .checkpointMissing, .checkpointExtra, .checkpointRecord, .snapshot,
      .derivedRow, .derivedCounts:
      false
    }
  }

  private mutating func mendCheckpoints(
    _ report: VerificationReport, _ file: NodeFile, isLogSound: Bool
  ) throws {
    let kinds: [Damage.Kind] = [.checkpointRow, .checkpoint, .checkpointMissing, .checkpointExtra, .checkpointRecord]
    guard kinds.contains(where: { report.count($0) > 0 }) else { return }
    guard isLogSound else { return done.append("checkpoints: not repaired, for the log is damaged") }
    guard report.isAttested else {
      return done.append(
        "checkpoints: not repaired, for no majority attests what this log leads to; two versions of one log may be "
          + "signed: compare with `rialto diff`, and let the node start from an empty directory")
    }
    guard let checkpoints = report.derivedCheckpoints, let newest = checkpoints.newest else { return }
    var writer = ByteWriter(reserving: 160)
    newest.write(to: &writer)
    try store.commit(batches: [], records: [(RecordKey.checkpoint, writer.bytes)], checkpoints: checkpoints)
    done.append("checkpoints: written anew, \(checkpoints.kept.count) rows")
  }

  /// Lets the directory go.
  public func close() {
    store.close()
    file.store.close()
  }
}
