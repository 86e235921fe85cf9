import Primitives

extension LogRow {
  /// Reads the rows of a sealed log's void tail back, in order: those that are what was written.
  ///
  /// Nothing follows from the ones before here, so a damaged row only loses itself. The first row's chain begins at the
  /// end of the sealed log, which the caller may have lost; then its bytes must speak for themselves.
  /// - Parameters:
  ///   - rows: of one origin, ascending.
  ///   - previous: hash of the chain before the first; nil if it is not known.
  /// - Complexity: O(bytes).
  public static func voidBatches(_ rows: some Sequence<LogRow>, after previous: Hash256?, _ sha: SHA256) -> [Batch] {
    var found: [Batch] = []
    var before = previous
    for row in rows {
      let link = before
      before = row.hash
      guard let hash = row.hash, let signature = row.signature else { continue }
      let sealed = SealedBatch(bytes: row.bytes, view: row.view, signature: signature)
      guard let batch = try? Batch.decode(sealed, previous: link ?? .zero, sha), link == nil || batch.hash == hash,
        batch.origin.value == row.origin, batch.firstSequence == row.firstSequence
      else { continue }
      found.append(batch)
    }
    return found
  }
}
