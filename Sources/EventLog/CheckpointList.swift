import Primitives

/// The checkpoints that are kept: the newest ones all, older ones the more thinly the older they are.
///
/// Two replicas that differ look for the first checkpoint in which they do, by bisection; they need ones that both
/// have. So what is kept is a function of which checkpoints there are and of the newest number, and of nothing else:
/// not of when they were closed, nor of restarts.
///
/// ```
/// age  a = newest - number
/// kept if it is one of the newest `recentMax`, or the newest of its block of 2^j numbers, 2^j · 8 ≤ a < 2^j · 16
/// ```
/// Blocks begin at multiples of their size. The newest of a block is that of its half, too; so nothing that was dropped
/// is ever missed, and a replica that is behind has everything that one ahead of it still has.
public struct CheckpointList: Hashable, Sendable {
  /// How many of the newest are all kept.
  public static let recentMax = 64
  /// Blocks that an age's octave has, as a power of two.
  private static let blocksPerOctaveLog2 = 3

  /// What is known of a number.
  public enum Finding: Hashable, Sendable {
    case kept(Checkpoint)
    /// That second held nothing.
    case never
    /// Later than the newest.
    case notYet
    /// It may have been dropped.
    case dropped
  }

  /// By rising number.
  public private(set) var kept: [Checkpoint] = []
  /// Numbers from this one on are all known.
  private var allKnownFrom: UInt64 = 0

  public init() {}

  public var newest: Checkpoint? { kept.last }

  /// Adds a checkpoint and drops what has become too old.
  /// - Precondition: later than the newest.
  /// - Complexity: O(kept), which is O(log of the time span).
  public mutating func append(_ checkpoint: Checkpoint) {
    precondition(checkpoint.number > newest?.number ?? 0, "checkpoints are closed in order")
    kept.append(checkpoint)
    guard kept.count > Self.recentMax else { return }
    let keeps = Self.thinned(kept.map(\.number))
    if keeps.count < kept.count {
      var next = 0
      kept.removeAll { checkpoint in
        guard next < keeps.count, keeps[next] == checkpoint.number else { return true }
        next += 1
        return false
      }
    }
    // Below these something may have been dropped.
    allKnownFrom = kept[max(0, kept.count - Self.recentMax)].number
  }

  /// Which of some numbers are kept, the last of them being the newest.
  /// - Parameter numbers: rising.
  /// - Complexity: O(numbers).
  public static func thinned(_ numbers: [UInt64]) -> [UInt64] {
    guard let newest = numbers.last, numbers.count > recentMax else { return numbers }
    let recent = numbers.count - recentMax
    var kept: [UInt64] = []
    for place in 0..<recent {
      let age = newest - numbers[place]
      let octave = 63 - age.leadingZeroBitCount
      let block = UInt64(max(0, octave - blocksPerOctaveLog2))
      if numbers[place] >> block != numbers[place + 1] >> block { kept.append(numbers[place]) }
    }
    return kept + numbers[recent...]
  }

  /// ```
  /// all known from varint, count varint, each checkpoint
  /// ```
  public func write(to writer: inout ByteWriter) {
    writer.writeVarint(allKnownFrom)
    writer.writeVarint(UInt64(kept.count))
    for checkpoint in kept { checkpoint.write(to: &writer) }
  }

  /// - Throws: also for a list that `append` would not have led to.
  public init(from reader: inout ByteReader, _ sha: SHA256) throws(CodecError) {
    allKnownFrom = try reader.readVarint("checkpoints known")
    let count = try reader.readVarint("checkpoints", max: UInt64(reader.remaining))
    for _ in 0..<count {
      let checkpoint = try Checkpoint(from: &reader, sha)
      if let last = kept.last, checkpoint.number <= last.number || checkpoint.fills < last.fills {
        throw .invalid(field: "checkpoints")
      }
      kept.append(checkpoint)
    }
    let numbers = kept.map(\.number)
    let isWhole = allKnownFrom == 0 && kept.count <= Self.recentMax
    guard isWhole || kept.count >= Self.recentMax && allKnownFrom == numbers[kept.count - Self.recentMax],
      Self.thinned(numbers) == numbers
    else { throw .invalid(field: "checkpoints") }
  }

  /// - Complexity: O(log kept).
  public func find(_ number: UInt64) -> Finding {
    guard let newest, number <= newest.number else { return .notYet }
    var low = 0
    var high = kept.count
    while low < high {
      let middle = (low + high) / 2
      if kept[middle].number < number { low = middle + 1 } else { high = middle }
    }
    if low < kept.count, kept[low].number == number { return .kept(kept[low]) }
    return number >= allKnownFrom ? .never : .dropped
  }

  /// The newest ones, newest first.
  public func recent(_ count: Int) -> [Checkpoint] { kept.suffix(count).reversed() }
}
