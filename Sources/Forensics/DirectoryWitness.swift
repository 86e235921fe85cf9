import Diagnostics
import EventLog
import Membership
import OrderBook
import Primitives
import Replica
import Storage

/// A node's directory as one of two that are compared: what it says is worked out from what is stored.
public actor DirectoryWitness: Witness {
  public nonisolated let label: String
  public nonisolated var isStored: Bool { true }
  private let file: NodeFile
  private let inspector: StoreInspector
  private let checkpoints: [CheckpointRow]
  /// Everything up to here is final by what the file says of it.
  private let finalStamp: Stamp
  private var captures: [UInt64: BookCapture] = [:]
  private var newestCapture: UInt64 = 0

  /// - Parameter label: as people know it.
  /// - Throws: `CannotTell`.
  public init(_ file: sending NodeFile, label: String) throws(CannotTell) {
    self.label = label
    self.file = file
    guard let register = file.decision?.value.register else {
      throw CannotTell("\(label): nothing says who its origins are; give the member list with --genesis")
    }
    inspector = StoreInspector(file.store, register: register, cluster: file.cluster)
    do throws(StoreError) {
      checkpoints = try file.store.checkpoints()
    } catch {
      throw CannotTell("\(error)")
    }
    let closed = checkpoints.last.map { $0.number > 0 ? Checkpoint.lastStamp($0.number) : .zero } ?? .zero
    finalStamp = max(closed, file.store.auditPosition.stamp)
  }

  public func ask(_ question: Question) async throws -> Answer {
    switch question {
    case .overview: return .overview(try overview())
    case .checkpoints(let after, let through):
      let kept = checkpoints.filter { $0.number > after && $0.number <= through }
      return .checkpoints(
        CheckpointName.spread(kept).map { CheckpointName(number: $0.number, hash: $0.hash ?? .zero) })
    case .checkpoint(let number): return .checkpoint(checkpoints.first { $0.number == number }?.checkpoint)
    case .checkpointHashes(let numbers):
      return .checkpointHashes(numbers.map { number in checkpoints.first { $0.number == number }?.hash })
    case .book(let point, _, _): return try capture(point)
    case .queues(let book, _), .levels(let book, _, _), .orders(let book, _, _):
      return captures[book]?.answer(question) ?? .unavailable("no such book is held")
    case .trace: return .unavailable("only a running node knows how an entry came to it")
    case .heads, .places, .batch, .fillHashes, .fills, .instruments, .fate:
      return try inspector.answer(question, through: finalStamp) ?? .unavailable("not a question about a file")
    }
  }

  private func overview() throws -> Overview {
    var final: [UInt64] = []
    for origin in file.store.storedOrigins {
      let run = try file.store.run(of: origin, after: .zero, through: finalStamp, isDerived: false)
      while final.count <= origin.int { final.append(0) }
      final[origin.int] = run?.lastSequence ?? 0
    }
    let counts = file.store.counts()
    return Overview(
      name: label, node: file.store.identity.node, cluster: file.cluster, isRunning: false,
      view: file.decision?.number ?? 0, members: file.decision?.value.members.count ?? 0, finalStamp: finalStamp,
      finalEntries: counts.entries, finalVector: VersionVector(final).hash(SHA256()),
      checkpoint: checkpoints.last?.checkpoint, attestedByMajority: 0, logBegins: file.store.logBegins,
      fills: counts.fills, snapshots: file.store.snapshots.map(\.number), tables: file.store.auditPosition, health: "")
  }

  // MARK: Books

  private func capture(_ point: BookPoint) throws -> Answer {
    newestCapture += 1
    let capture: BookCapture
    switch point {
    case .tables: capture = try inspector.tablesCapture(id: newestCapture)
    case .snapshot(let number):
      guard let info = file.store.snapshots.first(where: { $0.number == number }) else {
        return .unavailable("\(label) has no snapshot \(number)")
      }
      let bytes = try file.store.snapshot(info).bytes
      do throws(CodecError) {
        capture = try SnapshotBook.capture(bytes, info, cluster: file.cluster, id: newestCapture)
      } catch {
        return .unavailable("snapshot \(number) at \(label) is damaged: \(error)")
      }
    case .now, .at: capture = try replayed(id: newestCapture)
    }
    captures[newestCapture] = capture
    return .book(capture.summary)
  }

  /// The book as it follows from the stored log.
  private func replayed(id: UInt64) throws -> BookCapture {
    guard file.store.logBegins == .zero else {
      return try inspector.tablesCapture(id: id)
    }
    let image = try DerivedBook.image(file, through: finalStamp)
    return BookCapture(image, id: id, stamp: finalStamp, finalVector: try overview().finalVector)
  }
}

/// The book that follows from a stored log.
enum DerivedBook {
  static func image(_ file: NodeFile, through final: Stamp) throws -> BookImage {
    var replay = HistoryReplay(cluster: file.cluster, finalThrough: final)
    var observer = NoObserver()
    let starts = file.chainStarts()
    _ = try file.store.recover(chainStart: { $0.int < starts.count ? starts[$0.int] : .zero }) { batch in
      if batch.firstStamp <= final { try replay.add(batch, &observer) }
    }
    try replay.finish(&observer)
    return replay.withBook { engine in BookImage(&engine) }
  }
}

/// Nobody looks on.
private struct NoObserver: HistoryObserver {}

/// The book of a snapshot, whether or not it is what was written.
enum SnapshotBook {
  static func capture(
    _ bytes: [UInt8], _ info: SnapshotInfo, cluster: Hash256, id: UInt64
  ) throws(CodecError) -> BookCapture {
    var engine = MatchingEngine()
    try bytes.withReader { (reader) throws(CodecError) in
      guard try reader.readBytes(ReplicaState.tag.count, "snapshot tag") == ReplicaState.tag,
        try reader.readHash("cluster") == cluster
      else { throw .invalid(field: "snapshot tag") }
      engine = try MatchingEngine(from: &reader)
    }
    return BookCapture(
      BookImage(&engine, isRaw: true), id: id, stamp: info.lastStamp, finalVector: info.checkpointHash)
  }
}
