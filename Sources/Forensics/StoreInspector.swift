import Diagnostics
import EventLog
import Membership
import OrderBook
import Primitives
import Storage

/// Answers what a node's file alone can answer about its history.
public struct StoreInspector {
  let store: Store
  /// Who wrote, by place in the register.
  let register: Register

  public init(_ store: Store, register: Register, cluster: Hash256) {
    self.store = store
    self.register = register
    var starts: [OriginIndex: Hash256] = [:]
    let sha = SHA256()
    for (place, origin) in register.origins.enumerated() {
      starts[OriginIndex(UInt32(place))] = HashChain.start(cluster: cluster, origin: origin.origin, sha)
    }
    store.setChainStarts(starts)
  }

  /// - Parameter through: nothing stamped later is looked at: it may not be final.
  /// - Returns: nil for a question that takes more than a file to answer.
  /// - Throws: `StoreError` if the file cannot be read.
  public func answer(_ question: Question, through final: Stamp) throws(StoreError) -> Answer? {
    switch question {
    case .heads(let after, let through, let isDeep):
      let end = min(through, final)
      var heads: [LogPosition] = []
      for origin in store.storedOrigins {
        guard let run = try store.run(of: origin, after: after, through: end, isDerived: isDeep) else { continue }
        if heads.count == Answer.headsMax {
          return .unavailable("more than \(Answer.headsMax) origins have written in that time")
        }
        heads.append(LogPosition(run, of: origin))
      }
      return .heads(heads)
    case .places(let origin, let after, let chain, let sequences):
      let places =
        switch chain {
        case .stored: try store.places(of: origin, after: after, at: sequences)
        case .derived: try store.derivedPlaces(of: origin, after: after, hash: nil, at: sequences)
        case .derivedAfter(let hash): try store.derivedPlaces(of: origin, after: after, hash: hash, at: sequences)
        }
      return .places(places.map { $0.map { LogPosition($0, of: origin) } })
    case .batch(let origin, let sequence): return try batch(origin, sequence)
    case .fillHashes(let after, let numbers): return .fillHashes(try store.fillHashes(after: after, at: numbers))
    case .fills(let first, let count):
      return .fills(try store.fills(from: first, count: count).map { StoredFill($0) })
    case .instruments:
      return .instruments(
        try store.instruments().compactMap { dot, entry in
          guard case .command(.instrument(let instrument)) = entry.payload else { return nil }
          return NamedInstrument(dot: dot, instrument: instrument)
        })
    case .fate(let dot): return .fate(try fate(of: dot))
    case .overview, .checkpoints, .checkpoint, .checkpointHashes, .book, .queues, .levels, .orders, .trace: return nil
    }
  }

  // MARK: Orders

  /// Batches of a home's log that are looked at for the entry of a fill.
  private static let searchedBatchesMax = 4_096

  private func fate(of dot: Dot) throws(StoreError) -> OrderFate? {
    guard let order = try store.order(dot) else { return nil }
    let fills = try store.fills(of: dot)
    var attested: [OrderFate.AttestedFill] = []
    for fill in fills.prefix(OrderFate.fillsMax) {
      let found = try attestation(of: fill)
      attested.append(
        OrderFate.AttestedFill(fill: StoredFill(fill), attestation: found?.dot, attestedStamp: found?.stamp ?? .zero))
    }
    return OrderFate(
      status: order.status, reason: order.cancelReason?.rawValue ?? order.rejectReason?.rawValue ?? 0,
      openLots: order.openLots, filledLots: order.filledLots, changedBy: order.changedBy,
      changedStamp: order.changedStamp, triggeredStamp: order.triggeredStamp, fills: attested,
      fillsTotal: UInt64(fills.count))
  }

  /// The entry with which the taker's home node published a fill: it lies behind the taker in the same log.
  private func attestation(of fill: AuditFill) throws(StoreError) -> (dot: Dot, stamp: Stamp)? {
    let wanted = FillAttestation(
      maker: fill.maker, taker: fill.taker, priceTicks: fill.priceTicks, quantityLots: fill.quantityLots)
    let home = fill.taker.origin
    var after = fill.taker.sequence
    var searched = 0
    while searched < Self.searchedBatchesMax {
      let rows = try store.logRows(of: home, after: after, max: 64)
      for row in rows {
        let decoded = try? row.bytes.withReader { (reader) throws(CodecError) in try reader.readBatch() }
        guard let (header, entries) = decoded, let last = entries.last, last.stamp > fill.stamp else { continue }
        for (place, entry) in entries.enumerated() {
          guard case .fill(let published) = entry.payload, published == wanted else { continue }
          return (Dot(origin: home, sequence: header.firstSequence + UInt64(place)), entry.stamp)
        }
      }
      guard let last = rows.last else { return nil }
      after = last.firstSequence
      searched += rows.count
    }
    return nil
  }

  // MARK: Batches

  private func batch(_ origin: OriginIndex, _ sequence: UInt64) throws(StoreError) -> Answer {
    guard let (row, previous) = try store.storedBatch(of: origin, at: sequence) else { return .batch(nil) }
    guard let author = register[origin] else {
      return .unavailable("origin \(origin) is not in the register: nothing says whose key it has")
    }
    guard let hash = row.hash, let signature = row.signature else {
      return .unavailable(
        "the row of origin \(origin) from sequence \(row.firstSequence) on has no hash or no signature")
    }
    return .batch(
      StoredBatch(
        origin: author.origin, name: author.name, publicKey: author.publicKey, firstSequence: row.firstSequence,
        lastSequence: row.lastSequence, previous: previous, hash: hash,
        sealed: SealedBatch(bytes: row.bytes, view: row.view, signature: signature)))
  }

  /// The open orders as the audit tables have them.
  public func tablesCapture(id: UInt64) throws(StoreError) -> BookCapture {
    let orders = try store.openOrders().map { ComparedOrder(RestingOrder($0), quantityLots: $0.order.quantityLots) }
    return BookCapture(orders: orders, id: id, position: store.auditPosition)
  }
}

extension LogPosition {
  init(_ place: StoredPlace, of origin: OriginIndex) {
    self.init(
      origin: origin, firstSequence: place.firstSequence, lastSequence: place.lastSequence, batches: place.batches,
      hash: place.hash)
  }
}

extension StoredFill {
  init(_ fill: AuditFill) {
    self.init(
      number: fill.number, instrument: fill.instrument, maker: fill.maker, taker: fill.taker,
      priceTicks: fill.priceTicks, quantityLots: fill.quantityLots, takerSide: fill.takerSide, stamp: fill.stamp)
  }
}

extension RestingOrder {
  /// What the tables know of an open order: not how much an iceberg shows.
  init(_ row: AuditOrder) {
    let isWaiting = row.order.stopPriceTicks != 0 && row.triggeredStamp == .zero
    self.init(
      dot: row.dot, instrument: row.order.instrument, account: row.order.account, side: row.order.side,
      type: row.order.type, timeInForce: row.order.timeInForce,
      selfTradePrevention: row.order.selfTradePrevention, postOnly: row.order.postOnly,
      priceTicks: row.order.priceTicks, openLots: row.openLots, filledLots: row.filledLots,
      displayLots: row.order.displayLots, stopPriceTicks: isWaiting ? row.order.stopPriceTicks : 0,
      expiry: row.order.expiry, clientOrderID: row.order.clientOrderID)
  }
}
