import Primitives

/// The hashes of one second's client order id records, as far as they can no longer grow.
struct ClientIDBucket {
  struct Block {
    /// Ordinal after its last record.
    var end: UInt64
    var hash: Hash256
  }
  var second: UInt64
  /// Ordinal of the first record that the blocks cover.
  var first: UInt64
  var blocks: ContiguousArray<Block> = []
  /// Hash of the whole bucket, once the next second has begun.
  var hash: Hash256?

  var end: UInt64 { blocks.last?.end ?? first }
}

extension BookHasher {
  /// One block of records from `ordinal`, all of one second; `ordinal` moves past it.
  mutating func idBlock(
    _ ids: borrowing ClientIDIndex, from ordinal: inout UInt64, isClosed: inout Bool
  ) -> Hash256 {
    let second = ids[ids.record(at: ordinal)].second
    block.put(HashTag.idBlock)
    block.put(UInt32(0))
    var count: UInt32 = 0
    isClosed = false
    while ordinal < ids.total {
      let record = ids.record(at: ordinal)
      if ids[record].second != second {
        isClosed = true
        break
      }
      block.put(ids[record].dot)
      block.put(ids[record].account)
      block.put(ids[record].fingerprint)
      block.put(ids[record].id)
      count += 1
      ordinal += 1
      if Int(count) == HashTag.blockMax || HashTag.endsBlock(ids[record].sequence, ids[record].origin) {
        isClosed = true
        break
      }
    }
    block.set(count, at: 1)
    return block.hash(with: sha)
  }

  /// A bucket: a second, how many records it has, and its blocks.
  mutating func idBucket(_ second: UInt64, records: UInt64, _ blocks: ArraySlice<Hash256>) -> Hash256 {
    input.put(HashTag.idBucket)
    input.put(second)
    input.put(records)
    input.put(UInt32(blocks.count))
    for hash in blocks { input.put(hash) }
    return input.hash(with: sha)
  }

  mutating func idRoot(records: UInt64, _ buckets: ArraySlice<Hash256>) -> Hash256 {
    input.put(HashTag.ids)
    input.put(records)
    input.put(UInt32(buckets.count))
    for hash in buckets { input.put(hash) }
    return input.hash(with: sha)
  }

  /// All from the records.
  mutating func idsHash(_ ids: borrowing ClientIDIndex, second: UInt64) -> Hash256 {
    let start = ids.windowStart(at: second)
    var ordinal = start
    var buckets: [Hash256] = []
    while ordinal < ids.total {
      let bucketStart = ordinal
      let bucketSecond = ids[ids.record(at: ordinal)].second
      var blocks: [Hash256] = []
      var isClosed = false
      while ordinal < ids.total, ids[ids.record(at: ordinal)].second == bucketSecond {
        blocks.append(idBlock(ids, from: &ordinal, isClosed: &isClosed))
      }
      buckets.append(idBucket(bucketSecond, records: ordinal - bucketStart, blocks[...]))
    }
    return idRoot(records: ids.total - start, buckets[...])
  }

  /// The same value from the blocks that are kept; only those at the window's two ends are put together anew.
  ///
  /// - Complexity: O(records since the last call + seconds in the window).
  mutating func keptIDsHash(_ ids: inout ClientIDIndex, second: UInt64) -> Hash256 {
    forgetBlocks(from: ids.unchangedBelow, until: ids.first)
    keepBlocks(ids)
    ids.unchangedBelow = ids.total
    let start = ids.windowStart(at: second)
    var hashes: [Hash256] = []
    for position in idBuckets.indices {
      let isLast = position == idBuckets.count - 1
      let end = isLast ? ids.total : idBuckets[position].end
      if end <= start { continue }
      if let hash = idBuckets[position].hash, start <= idBuckets[position].first {
        hashes.append(hash)
        continue
      }
      let hash = bucketHash(ids, position, from: max(start, idBuckets[position].first), to: end)
      if !isLast && start <= idBuckets[position].first { idBuckets[position].hash = hash }
      hashes.append(hash)
    }
    return idRoot(records: ids.total - start, hashes[...])
  }

  /// Drops blocks that end at `changed` or later, for they may have other records now, and buckets before `gone`.
  private mutating func forgetBlocks(from changed: UInt64, until gone: UInt64) {
    while let last = idBuckets.last {
      if last.end < changed && last.hash == nil { break }
      let position = idBuckets.count - 1
      idBuckets[position].hash = nil
      while let block = idBuckets[position].blocks.last, block.end >= changed {
        idBuckets[position].blocks.removeLast()
      }
      if last.first < changed { break }
      idBuckets.removeLast()
    }
    let past = idBuckets.dropLast().prefix { $0.end <= gone }.count
    if past > 0 { idBuckets.removeFirst(past) }
  }

  /// Keeps the hash of every block that no further record can join.
  private mutating func keepBlocks(_ ids: borrowing ClientIDIndex) {
    var ordinal = idBuckets.last?.end ?? ids.first
    if let last = idBuckets.last, ordinal < ids.first {
      // What was kept of this second is gone from the index: start where that starts.
      precondition(idBuckets.count == 1 && last.end < ids.first, "buckets are out of order")
      idBuckets.removeAll(keepingCapacity: true)
      ordinal = ids.first
    }
    while ordinal < ids.total {
      let second = ids[ids.record(at: ordinal)].second
      if idBuckets.last?.second != second { idBuckets.append(ClientIDBucket(second: second, first: ordinal)) }
      var isClosed = false
      let hash = idBlock(ids, from: &ordinal, isClosed: &isClosed)
      if !isClosed { return }
      idBuckets[idBuckets.count - 1].blocks.append(ClientIDBucket.Block(end: ordinal, hash: hash))
    }
  }

  /// A bucket from `start` on. The blocks are cut by content: after the first common end they are the kept ones.
  private mutating func bucketHash(
    _ ids: borrowing ClientIDIndex, _ position: Int, from start: UInt64, to end: UInt64
  ) -> Hash256 {
    var hashes: [Hash256] = []
    var ordinal = start
    var next = 0
    var isClosed = false
    if start > idBuckets[position].first {
      while ordinal < end {
        while next < idBuckets[position].blocks.count, idBuckets[position].blocks[next].end < ordinal { next += 1 }
        if next < idBuckets[position].blocks.count, idBuckets[position].blocks[next].end == ordinal {
          next += 1
          break
        }
        hashes.append(idBlock(ids, from: &ordinal, isClosed: &isClosed))
      }
    }
    for block in idBuckets[position].blocks.dropFirst(next) where ordinal < end {
      hashes.append(block.hash)
      ordinal = block.end
    }
    if ordinal < end { hashes.append(idBlock(ids, from: &ordinal, isClosed: &isClosed)) }
    return idBucket(idBuckets[position].second, records: end - start, hashes[...])
  }
}
