import Diagnostics
import EventLog
import Membership
import OrderBook
import Primitives
import Replica
import Storage

/// A fault that was put into a node's directory: exactly what was done.
public struct FileFault: Hashable, Sendable {
  public enum Kind: String, Hashable, Sendable, CaseIterable {
    /// A bit of a resting order in the newest snapshot's book.
    case bitflipBook = "bitflip-book"
    /// A bit in a row of `orders`.
    case bitflipOrders = "bitflip-orders"
    /// A bit of a batch's bytes.
    case bitflipLog = "bitflip-log"
    /// A batch is gone.
    case dropEntry = "drop-entry"
    /// An entry is another one, and the chain was made anew over it; signatures are as they were.
    case alterEntry = "alter-entry"
    /// As `alterEntry`, signed anew by the author's key.
    case equivocate = "equivocate"
    /// A fill was never derived.
    case skipFill = "skip-fill"
  }

  public var kind: Kind
  /// Of the batch concerned.
  public var origin: OriginIndex?
  public var first: UInt64?
  public var last: UInt64?
  /// Of the entry concerned; an order.
  public var entry: Dot?
  public var stamp: Stamp?
  public var order: Dot?
  public var fill: UInt64?
  /// Of the snapshot or checkpoint concerned.
  public var number: UInt64?
  public var before: String?
  public var after: String?
  public var text: String
}

/// Puts faults into the directory of a node that does not run, at a place that a seed chooses: for tests of diagnosis.
public struct FileFaults {
  private let store: Store
  private let file: NodeFile
  private var generator: SeededGenerator
  private let sha = SHA256()

  /// - Parameters:
  ///   - directory: of a node that does not run, or a copy.
  ///   - key: of an author whose log is forked; only for `equivocate`.
  ///   - genesis: the member list, for a file of view 0 that does not know its view.
  /// - Throws: `CannotTell` if the file is in use, or has nothing of what is to be damaged.
  public static func put(
    _ kind: FileFault.Kind, in directory: String, seed: UInt64, key: Ed25519? = nil, genesis: Genesis? = nil
  ) throws(CannotTell) -> FileFault {
    do {
      let file = try NodeFile(directory, genesis: genesis, holdingStill: false)
      let store = try Store.open(directory: directory, identity: file.store.identity)
      defer { store.close(movingLog: true) }
      var faults = FileFaults(store: store, file: file, generator: SeededGenerator(seed: seed))
      return try faults.put(kind, key)
    } catch let error as CannotTell {
      throw error
    } catch {
      throw CannotTell("\(error)")
    }
  }

  private init(store: Store, file: NodeFile, generator: SeededGenerator) {
    self.store = store
    self.file = file
    self.generator = generator
  }

  private mutating func put(_ kind: FileFault.Kind, _ key: Ed25519?) throws -> FileFault {
    switch kind {
    case .bitflipBook: try flipBook()
    case .bitflipOrders: try flipOrders()
    case .bitflipLog: try flipLog()
    case .dropEntry: try drop()
    case .alterEntry: try alter(kind, key: nil)
    case .equivocate: try equivocate(key)
    case .skipFill: try skip()
    }
  }

  // MARK: The log

  /// A random batch, and the row that holds it.
  /// - Parameter accepts: which ones may be chosen, and whether they are the last of their origin.
  private mutating func choose(
    _ accepts: (OriginIndex, _ isLast: Bool) -> Bool = { _, _ in true }
  ) throws -> LogRow {
    // What is not final may be there in two versions for a while, and no file can say which is right.
    let final = Checkpoint.lastStamp(max(1, try store.checkpoints().last?.number ?? 1))
    let places = try store.batchPlaces()
    let fitting = places.indices.filter { index in
      places[index].stamp <= final
        && accepts(places[index].origin, index + 1 == places.count || places[index + 1].origin != places[index].origin)
    }
    guard !fitting.isEmpty else { throw CannotTell("there is no batch to damage") }
    let place = places[fitting[Int(generator.below(UInt64(fitting.count)))]]
    guard let row = try store.logRows(of: place.origin, after: place.first - 1, max: 1).first else {
      throw CannotTell("the log has changed meanwhile")
    }
    return row
  }

  private func fault(_ kind: FileFault.Kind, _ row: LogRow, _ text: String) -> FileFault {
    FileFault(
      kind: kind, origin: OriginIndex(UInt32(clamping: row.origin)), first: row.firstSequence, last: row.lastSequence,
      stamp: row.firstStamp, text: text)
  }

  private mutating func flipLog() throws -> FileFault {
    var row = try choose()
    let byte = Int(generator.below(UInt64(row.bytes.count)))
    let bit = UInt8(generator.below(8))
    let before = row.bytes[byte]
    row.bytes[byte] ^= 1 << bit
    try store.replaceRows([row])
    var fault = fault(
      .bitflipLog, row,
      "bit \(bit) of byte \(byte) of origin \(row.origin)'s batch \(row.firstSequence)–\(row.lastSequence)")
    (fault.before, fault.after) = ("\(before)", "\(row.bytes[byte])")
    return fault
  }

  /// Not the last batch of an origin: that it is missing, no file alone can say.
  private mutating func drop() throws -> FileFault {
    let row = try choose { _, isLast in !isLast }
    try store.removeRow(of: OriginIndex(UInt32(clamping: row.origin)), first: row.firstSequence)
    return fault(
      .dropEntry, row, "origin \(row.origin)'s batch \(row.firstSequence)–\(row.lastSequence) is gone")
  }

  private mutating func equivocate(_ key: Ed25519?) throws -> FileFault {
    guard let key else { throw CannotTell("equivocate needs the key of a member") }
    guard file.decision?.value.register.index(of: key.publicKey) != nil else {
      throw CannotTell("this key is no member's")
    }
    return try alter(.equivocate, key: key)
  }

  /// Alters an order, and makes the chain anew from there to the end of its log.
  private mutating func alter(_ kind: FileFault.Kind, key: Ed25519?) throws -> FileFault {
    let owner = key.flatMap { file.decision?.value.register.index(of: $0.publicKey) }
    for _ in 0..<1_000 {
      let row = try choose { origin, _ in owner.map { $0 == origin } ?? true }
      let origin = OriginIndex(UInt32(clamping: row.origin))
      let before = try hash(before: row, of: origin)
      let sealed = SealedBatch(bytes: row.bytes, view: row.view, signature: row.signature ?? Self.noSignature)
      guard let batch = try? Batch.decode(sealed, previous: before, sha),
        let (altered, place, was, now) = Self.altered(batch, &generator)
      else { continue }
      var rows = [row] + (try store.logRows(of: origin, after: row.firstSequence, max: .max))
      rows[0].bytes = altered
      var previous = before
      for index in rows.indices {
        previous = HashChain.link(previous: previous, bytes: rows[index].bytes, sha)
        rows[index].hash = previous
        guard let key, let author = file.origins.indices.contains(origin.int) ? file.origins[origin.int] : nil else {
          continue
        }
        rows[index].signature = key.sign(
          HashChain.signedHead(
            cluster: file.cluster, origin: author.origin, view: rows[index].view,
            head: Head(sequence: rows[index].lastSequence, hash: previous)))
      }
      try store.replaceRows(rows)
      let dot = Dot(origin: origin, sequence: batch.firstSequence + UInt64(place))
      var fault = fault(
        kind, row,
        "entry \(dot) was \(was) and is \(now); \(rows.count) batches were linked anew"
          + (key == nil ? "" : " and signed by their author"))
      (fault.entry, fault.order, fault.stamp) = (dot, dot, batch.entries[place].stamp)
      (fault.before, fault.after) = (was, now)
      return fault
    }
    throw CannotTell("there is no order to alter")
  }

  private static var noSignature: Signature {
    guard let none = Signature(bytes: [UInt8](repeating: 0, count: Signature.byteCount)) else {
      preconditionFailure("so many bytes are a signature")
    }
    return none
  }

  private func hash(before row: LogRow, of origin: OriginIndex) throws -> Hash256 {
    if let base = store.base(of: origin), base.head.sequence + 1 == row.firstSequence { return base.head.hash }
    if row.firstSequence == 1, origin.int < file.origins.count {
      return HashChain.start(cluster: file.cluster, origin: file.origins[origin.int].origin, sha)
    }
    var place: (origin: OriginIndex, first: UInt64, last: UInt64, stamp: Stamp)?
    for candidate in try store.batchPlaces()
    where candidate.origin == origin && candidate.last == row.firstSequence - 1 { place = candidate }
    guard let place, let before = try store.logRows(of: origin, after: place.first - 1, max: 1).first?.hash else {
      throw CannotTell("the log before \(row.firstSequence) is not there")
    }
    return before
  }

  /// The bytes of a batch of which one order has another price or quantity.
  private static func altered(
    _ batch: Batch, _ generator: inout SeededGenerator
  ) -> (bytes: [UInt8], place: Int, was: String, now: String)? {
    let orders = batch.entries.indices.filter { index in
      if case .command(.order(let order)) = batch.entries[index].payload { order.type == .limit } else { false }
    }
    guard !orders.isEmpty else { return nil }
    let chosen = orders[Int(generator.below(UInt64(orders.count)))]
    var builder = BatchBuilder(origin: batch.origin, firstSequence: batch.firstSequence)
    var words = ("", "")
    for (index, entry) in batch.entries.enumerated() {
      var entry = entry
      if index == chosen, case .command(.order(var order)) = entry.payload {
        words.0 = "\(order.side) \(order.quantityLots) at \(order.priceTicks)"
        if generator.chance(1, of: 2) { order.priceTicks += 1 } else { order.quantityLots += 1 }
        words.1 = "\(order.side) \(order.quantityLots) at \(order.priceTicks)"
        entry.payload = .command(.order(order))
      }
      guard builder.canTake(stamp: entry.stamp) else { return nil }
      builder.append(entry)
    }
    return (builder.canonicalBytes(), chosen, words.0, words.1)
  }

  // MARK: What follows from it

  private mutating func flipBook() throws -> FileFault {
    guard let info = store.snapshots.last else { throw CannotTell("there is no snapshot to damage") }
    let snapshot = try store.snapshot(info)
    let bytes = snapshot.bytes
    guard let orders = SnapshotComparison.orders(bytes), !orders.isEmpty else {
      throw CannotTell("the newest snapshot has no order to damage")
    }
    for _ in 0..<1_000 {
      let order = orders[Int(generator.below(UInt64(orders.count)))]
      guard let offset = Self.offset(ofOpenLotsOf: order, in: bytes) else { continue }
      var flipped = bytes
      // Of the first byte seven bits are part of the number; its length stays.
      flipped[offset] ^= 1 << UInt8(generator.below(6))
      guard let now = SnapshotComparison.orders(flipped), now.count == orders.count,
        let after = now.first(where: { $0.dot == order.dot }), after.openLots != order.openLots
      else { continue }
      let place = offset / Limits.snapshotPieceBytes
      let start = place * Limits.snapshotPieceBytes
      let end = min(flipped.count, start + Limits.snapshotPieceBytes)
      try store.replacePiece(of: info, place, Array(flipped[start..<end]))
      return FileFault(
        kind: .bitflipBook, order: order.dot, number: info.number, before: "\(order.openLots)",
        after: "\(after.openLots)",
        text:
          "order \(order.dot) in snapshot \(info.number) has \(after.openLots) open lots instead of \(order.openLots)")
    }
    throw CannotTell("no order of the newest snapshot could be damaged so that it can be read still")
  }

  /// Where a snapshot has the open lots of an order; see `EngineFormat`.
  private static func offset(ofOpenLotsOf order: RestingOrder, in bytes: [UInt8]) -> Int? {
    var head = ByteWriter(reserving: 32)
    head.writeVarint(UInt64(order.dot.origin.value))
    head.writeVarint(order.dot.sequence)
    head.writeVarint(order.account.value)
    var rest = ByteWriter(reserving: 32)
    rest.writeVarint(UInt64(order.openLots))
    rest.writeVarint(UInt64(order.filledLots))
    let (wanted, lots) = (head.bytes, rest.bytes)
    var found: Int?
    var index = 0
    while index + wanted.count < bytes.count {
      guard bytes[index] == wanted[0], bytes[index..<index + wanted.count].elementsEqual(wanted) else {
        index += 1
        continue
      }
      // The flags are between, a number of their own.
      var next = index + wanted.count
      while next < bytes.count, bytes[next] & 0x80 != 0 { next += 1 }
      next += 1
      if next + lots.count <= bytes.count, bytes[next..<next + lots.count].elementsEqual(lots) {
        if found != nil { return nil }
        found = next
      }
      index += 1
    }
    return found
  }

  private mutating func flipOrders() throws -> FileFault {
    let dots = try store.openOrderDots(max: 1_000_000)
    guard !dots.isEmpty else { throw CannotTell("no open order is in the derived tables") }
    let dot = dots[Int(generator.below(UInt64(dots.count)))]
    let columns = ["open", "price", "quantity", "filled"]
    let column = columns[Int(generator.below(UInt64(columns.count)))]
    guard let (before, after) = try store.flip(bit: Int(generator.below(20)), of: column, in: dot) else {
      throw CannotTell("order \(dot) is not in the derived tables")
    }
    return FileFault(
      kind: .bitflipOrders, order: dot, before: "\(column)=\(before)", after: "\(column)=\(after)",
      text: "\(column) of order \(dot) in the derived tables is \(after) instead of \(before)")
  }

  private mutating func skip() throws -> FileFault {
    let count = store.counts().fills
    guard count > 0 else { throw CannotTell("there is no fill to skip") }
    var first: UInt64 = 1
    if !store.logBase.isEmpty, let oldest = store.snapshots.first {
      let state = try ReplicaState(
        oldest, try store.snapshot(oldest).bytes, cluster: file.cluster, origins: Limits.originsMax)
      first = state.finalFills + 1
    }
    guard first <= count else { throw CannotTell("no fill lies in the retained history") }
    let number = first + generator.below(count - first + 1)
    guard let fill = try store.fill(number) else { throw CannotTell("fill \(number) is not in the derived tables") }
    let checkpoints = try checkpoints(omitting: number)
    try store.skipFill(number)
    var records: [(key: String, value: [UInt8])] = []
    if let newest = checkpoints.newest {
      var writer = ByteWriter(reserving: 160)
      newest.write(to: &writer)
      records = [(RecordKey.checkpoint, writer.bytes)]
    }
    try store.commit(batches: [], records: records, checkpoints: checkpoints)
    return FileFault(
      kind: .skipFill, stamp: fill.stamp, fill: number,
      before: "\(fill.maker) with \(fill.taker), \(fill.quantityLots) at \(fill.priceTicks)",
      text: "fill \(number) (\(fill.maker) with \(fill.taker), \(fill.quantityLots) at \(fill.priceTicks)) is gone")
  }

  /// The checkpoints that a replica would have that has left out a fill.
  private func checkpoints(omitting fill: UInt64) throws -> CheckpointList {
    let newest = try store.checkpoints().last?.number ?? 0
    guard newest > 0 else { return CheckpointList() }
    var state: ReplicaState?
    var bases: [LogBase] = []
    if !store.logBase.isEmpty, let oldest = store.snapshots.first {
      let snapshot = try store.snapshot(oldest)
      bases = snapshot.bases
      state = try ReplicaState(oldest, snapshot.bytes, cluster: file.cluster, origins: Limits.originsMax)
    }
    let final = Checkpoint.lastStamp(newest)
    var replay = HistoryReplay(
      cluster: file.cluster, finalThrough: final, until: OrderKey(stamp: final, origin: OriginIndex(.max)),
      from: consume state)
    replay.omittedFill = fill
    var nobody = NoObserver()
    let starts = file.chainStarts()
    _ = try file.store.recover(chainStart: { $0.int < starts.count ? starts[$0.int] : .zero }, base: bases) { batch in
      try replay.add(batch, &nobody)
    }
    try replay.finish(&nobody)
    return replay.checkpoints
  }
}
