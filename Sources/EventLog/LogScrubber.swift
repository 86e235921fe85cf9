import Primitives

/// A part of a stored log that is damaged or gone, between two ends that are known.
public struct LogHole: Hashable, Sendable {
  public var origin: OriginIndex
  /// End of the last batch before it.
  public var before: Head
  /// Its last sequence.
  public var through: UInt64
  /// The batch after it, as it is stored; nil if the hole is at the end.
  public var next: LogRow?
  /// Of the chain at the end of the log, if the hole is there.
  public var end: Hash256?

  public init(origin: OriginIndex, before: Head, through: UInt64, next: LogRow?, end: Hash256?) {
    self.origin = origin
    self.before = before
    self.through = through
    self.next = next
    self.end = end
  }

  /// Whether a chain that ends with this hash fits what comes after the hole.
  public func isFilled(by hash: Hash256, _ sha: SHA256) -> Bool {
    guard let next else { return hash == end }
    return HashChain.link(previous: hash, bytes: next.bytes, sha) == next.hash
  }

  /// Whether these batches fill it: they begin and end where it does, and continue both sides of the chain.
  public func isFilled(by batches: [Batch], _ sha: SHA256) -> Bool {
    var head = before
    for batch in batches {
      guard batch.origin == origin, batch.firstSequence == head.sequence + 1,
        HashChain.link(previous: head.hash, bytes: batch.bytes, sha) == batch.hash
      else { return false }
      head = Head(sequence: batch.lastSequence, hash: batch.hash)
    }
    return head.sequence == through && isFilled(by: head.hash, sha)
  }
}

/// Goes over a stored log in slices, origin by origin, and holds each batch's bytes against the hash chain.
///
/// What somebody else writes into a file, or does not keep, is found before it is needed.
public struct LogScrubber: Sendable {
  private static let placesMax = 64
  private var origins: [OriginIndex] = []
  private var head: Head?
  private var places: [LogPlace] = []
  /// Whole passes over the log.
  public private(set) var passes: UInt64 = 0
  /// Bytes of this pass so far.
  public private(set) var bytes: UInt64 = 0

  public init() {}

  /// Looks at about `bytesMax` bytes of batches, at one batch at least, and goes on from there the next time.
  /// - Parameters:
  ///   - start: where an origin's log begins: its chain's start, or what is below it and not kept.
  ///   - end: up to where it is known to be stored; nil for an origin that is not known.
  /// - Returns: what is damaged, in order.
  /// - Throws: what the source throws; begin anew then.
  /// - Complexity: O(bytes).
  public mutating func step<Source: LogSource>(
    _ source: Source, start: (OriginIndex) -> Head, end: (OriginIndex) -> Head?, bytesMax: Int, _ sha: SHA256
  ) throws(Source.Failure) -> [LogHole] {
    var holes: [LogHole] = []
    if origins.isEmpty {
      origins = try source.origins().reversed()
      if origins.isEmpty { return [] }
    }
    // Since the last call the beginning may have been dropped, or the end cut off.
    places.removeAll()
    var left = bytesMax
    while left > 0, let origin = origins.last {
      guard let last = end(origin) else {
        leave()
        continue
      }
      let begin = start(origin)
      let head = self.head.map { $0.sequence < begin.sequence ? begin : $0 } ?? begin
      self.head = head
      if places.isEmpty { places = try source.places(of: origin, after: head.sequence, max: Self.placesMax).reversed() }
      guard head.sequence < last.sequence else {
        leave()
        continue
      }
      guard let place = places.last, place.firstSequence <= last.sequence else {
        holes.append(LogHole(origin: origin, before: head, through: last.sequence, next: nil, end: last.hash))
        leave()
        continue
      }
      let row = try source.row(place)
      let count = max(1, row?.bytes.count ?? 0)
      left -= count
      bytes += UInt64(count)
      if place.firstSequence == head.sequence + 1, let row, let hash = row.hash, row.signature != nil,
        row.firstSequence == place.firstSequence, row.lastSequence >= row.firstSequence,
        HashChain.link(previous: head.hash, bytes: row.bytes, sha) == hash
      {
        self.head = Head(sequence: row.lastSequence, hash: hash)
        places.removeLast()
        continue
      }
      // The next row that is not the damaged one says where the hole ends.
      if place.firstSequence == head.sequence + 1 { places.removeLast() }
      if places.isEmpty {
        places = try source.places(of: origin, after: head.sequence + 1, max: Self.placesMax).reversed()
      }
      guard let after = places.last, after.firstSequence <= last.sequence, let next = try source.row(after),
        let hash = next.hash
      else {
        holes.append(LogHole(origin: origin, before: head, through: last.sequence, next: nil, end: last.hash))
        leave()
        continue
      }
      holes.append(
        LogHole(origin: origin, before: head, through: after.firstSequence - 1, next: next, end: nil))
      self.head = Head(sequence: next.lastSequence, hash: hash)
      places.removeLast()
    }
    if origins.isEmpty {
      passes += 1
      bytes = 0
    }
    return holes
  }

  private mutating func leave() {
    origins.removeLast()
    head = nil
    places.removeAll()
  }
}
