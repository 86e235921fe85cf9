import EventLog
import OrderBook
import Primitives

/// The first entry in which two logs differ.
extension DivergenceSearch {
  /// Origins whose logs are searched for their first difference; of more it is told that there are more.
  private static let originsMax = 8

  /// - Returns: whether a difference was found.
  mutating func searchLogs(_ range: Range) async throws -> Bool {
    // Where nothing but stored bytes is at hand, an old entry may be another one than that which was applied.
    var after = isDeep ? .zero : range.after
    after = max(after, max(divergence.left.logBegins, divergence.right.logBegins))
    // With a difference before the newest checkpoint, what lies beyond it is of no interest.
    let through = isDeep ? min(divergence.left.finalStamp, divergence.right.finalStamp) : range.through
    guard after < through else { return false }
    let (mine, theirs) = try await ask(.heads(after: after, through: through, isDeep: isDeep))
    guard case .heads(let one) = mine, case .heads(let other) = theirs else {
      divergence.verdict = .undetermined
      divergence.remarks.append("the logs cannot be compared: \(Self.reasons(mine, theirs))")
      return true
    }
    var differing: [OriginIndex] = []
    for origin in Set(one.map(\.origin) + other.map(\.origin)).sorted() {
      if one.first(where: { $0.origin == origin }) != other.first(where: { $0.origin == origin }) {
        differing.append(origin)
      }
    }
    if differing.isEmpty { return false }
    var first: (difference: Divergence.EntryDifference, key: OrderKey)?
    for origin in differing.prefix(Self.originsMax) {
      let heads = (one.first { $0.origin == origin }, other.first { $0.origin == origin })
      let ends = (heads.0?.lastSequence ?? 0, heads.1?.lastSequence ?? 0)
      let starts = [heads.0, heads.1].compactMap { $0?.firstSequence }
      guard let difference = try await searchLog(of: origin, through: max(ends.0, ends.1), starts: starts) else {
        continue
      }
      let key = OrderKey(
        stamp: (difference.entries.left ?? difference.entries.right)?.stamp ?? .zero, origin: origin)
      if first.map({ key < $0.key }) ?? true { first = (difference, key) }
    }
    guard let (found, key) = first else {
      divergence.verdict = .undetermined
      divergence.remarks.append("the logs of \(differing.count) origins differ, and changed while they were compared")
      return true
    }
    var difference = found
    difference.otherOrigins = differing.filter { $0 != difference.dot.origin }
    divergence.entry = difference
    divergence.verdict = .divergent
    divergence.checkpoint = key.stamp == .zero ? nil : Checkpoint.number(closing: key.stamp)
    judge(difference)
    return true
  }

  /// Narrows (last that is the same, first that is not] to one batch.
  private mutating func searchLog(
    of origin: OriginIndex, through end: UInt64, starts: [UInt64]
  ) async throws -> Divergence.EntryDifference? {
    // Both are the same up to the batch before the first that lies in the range.
    var low = max(starts.min() ?? 1, 1) - 1
    var high = end
    var chain = isDeep ? Chain.derived : .stored
    while low < high {
      let sequences = Self.spread(after: low, through: high)
      let (mine, theirs) = try await ask(.places(origin, after: low, chain, at: sequences))
      guard case .places(let one) = mine, case .places(let other) = theirs, one.count == sequences.count,
        other.count == sequences.count
      else { throw SearchError("the log of origin \(origin) cannot be read: \(Self.reasons(mine, theirs))") }
      guard let part = one.indices.first(where: { one[$0] != other[$0] }) else { return nil }
      if part > 0 {
        // Both have the same up to here, or both lack it.
        low = max(low, one[part - 1]?.lastSequence ?? sequences[part - 1])
        if isDeep, let same = one[part - 1] { chain = .derivedAfter(same.hash) }
      }
      high = sequences[part]
      let begins = [one[part], other[part]].compactMap { $0?.firstSequence }
      if low + 1 >= high || begins.contains(where: { $0 <= low + 1 }) { break }
    }
    return try await compareBatches(of: origin, at: low + 1)
  }

  private mutating func compareBatches(
    of origin: OriginIndex, at sequence: UInt64
  ) async throws -> Divergence.EntryDifference? {
    let (mine, theirs) = try await ask(.batch(origin, sequence: sequence))
    guard case .batch(let one) = mine, case .batch(let other) = theirs else {
      throw SearchError("a batch of origin \(origin) cannot be read: \(Self.reasons(mine, theirs))")
    }
    guard one != nil || other != nil else { return nil }
    let cluster = divergence.left.cluster
    let left = one.map { Divergence.CheckedBatch(checking: $0, of: origin, cluster: cluster, signatures) }
    let right = other.map { Divergence.CheckedBatch(checking: $0, of: origin, cluster: cluster, signatures) }
    func entry(_ batch: Divergence.CheckedBatch?, _ sequence: UInt64) -> Entry? {
      guard let batch, sequence >= batch.batch.firstSequence else { return nil }
      let place = sequence - batch.batch.firstSequence
      return place < UInt64(batch.entries.count) ? batch.entries[Int(place)] : nil
    }
    let last = max(one?.lastSequence ?? 0, other?.lastSequence ?? 0)
    let start = min(one?.firstSequence ?? .max, other?.firstSequence ?? .max)
    let place = (start...max(start, last)).first { entry(left, $0) != entry(right, $0) } ?? start
    return Divergence.EntryDifference(
      dot: Dot(origin: origin, sequence: place), author: (one ?? other)?.name ?? "",
      entries: Divergence.Pair(entry(left, place), entry(right, place)), batches: Divergence.Pair(left, right))
  }

  /// Who is right: whoever has what its author has signed.
  private mutating func judge(_ difference: Divergence.EntryDifference) {
    switch (difference.batches.left, difference.batches.right) {
    case (let left?, let right?):
      if left.isSigned && right.isSigned {
        if left.batch.sealed.bytes == right.batch.sealed.bytes {
          divergence.cause = .missing
          divergence.remarks.append("the batches are the same; what comes before them is not")
        } else {
          divergence.cause = .equivocation
          divergence.culprit = .author
          divergence.remarks.append("\(difference.author) has signed both")
        }
      } else {
        divergence.cause = .altered
        if left.isSigned { divergence.culprit = .right }
        if right.isSigned { divergence.culprit = .left }
        for (label, batch) in [(self.left.label, left), (self.right.label, right)] where !batch.isSigned {
          divergence.remarks.append(Self.fault(of: batch, at: label, author: difference.author))
        }
      }
    case (let one?, nil), (nil, let one?):
      let hasLeft = difference.batches.left != nil
      divergence.cause = one.isSigned ? .missing : .extra
      divergence.culprit = one.isSigned == hasLeft ? .right : .left
      let (having, lacking) = hasLeft ? (left.label, right.label) : (right.label, left.label)
      divergence.remarks.append(
        one.isSigned
          ? "\(lacking) does not have what \(difference.author) has signed"
          : "\(having) has what \(difference.author) has not signed")
    case (nil, nil): break
    }
  }

  private static func fault(of batch: Divergence.CheckedBatch, at label: String, author: String) -> String {
    if let error = batch.unreadable { return "the bytes at \(label) are damaged: \(error)" }
    if !batch.isLinked { return "the bytes at \(label) are not those that the hash beside them was made of" }
    return "the batch at \(label) is not what \(author) has signed"
  }
}

extension Divergence.CheckedBatch {
  public init(checking batch: StoredBatch, of origin: OriginIndex, cluster: Hash256, _ signatures: any Signatures) {
    self.batch = batch
    let sha = SHA256()
    do throws(CodecError) {
      let decoded = try Batch.decode(batch.sealed, previous: batch.previous, sha)
      entries = decoded.entries
      isLinked = decoded.hash == batch.hash
      guard decoded.origin == origin, decoded.firstSequence == batch.firstSequence,
        batch.publicKey.nodeID == batch.origin.node
      else { return }
      let head = Head(sequence: decoded.lastSequence, hash: decoded.hash)
      isSigned = signatures.isValid(
        batch.sealed.signature,
        of: HashChain.signedHead(cluster: cluster, origin: batch.origin, view: batch.sealed.view, head: head),
        by: batch.publicKey)
    } catch {
      unreadable = error
    }
  }
}
