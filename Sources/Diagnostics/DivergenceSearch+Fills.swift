import EventLog
import OrderBook
import Primitives

/// The first fill in which two histories of the same log differ.
extension DivergenceSearch {
  /// - Returns: whether a difference was found.
  mutating func searchFills(_ range: Range) async throws -> Bool {
    // What both have in their tables for good: a running node writes them behind its log.
    var end = min(divergence.left.fills, divergence.right.fills)
    var isCertain = divergence.left.tables == divergence.right.tables
    if let differing = divergence.differing, let one = differing.left, let other = differing.right {
      if one.fills == other.fills && one.fillsHash == other.fillsHash && !isDeep { return false }
      isCertain = true
      end = min(end, max(one.fills, other.fills))
    } else if !isDeep {
      // Equal checkpoints say that the fills before are the same.
      if range.fillsAfter >= end { return false }
    }
    var low = isDeep ? 0 : range.fillsAfter
    var high = end
    var hasDifference = false
    while low < high {
      let numbers = Self.spread(after: low, through: high)
      let (mine, theirs) = try await ask(.fillHashes(after: low, at: numbers))
      guard case .fillHashes(let one) = mine, case .fillHashes(let other) = theirs, one.count == numbers.count,
        other.count == numbers.count
      else {
        divergence.remarks.append("fills cannot be compared: \(Self.reasons(mine, theirs))")
        return false
      }
      guard let part = one.indices.first(where: { one[$0] != other[$0] }) else { break }
      hasDifference = true
      if part > 0 { low = numbers[part - 1] }
      high = numbers[part]
      if low + 1 >= high { break }
    }
    if !hasDifference {
      // One has fills beyond the end of the other, and both have taken the same entries into account.
      guard isCertain, divergence.left.fills != divergence.right.fills else { return false }
      high = min(divergence.left.fills, divergence.right.fills) + 1
    }
    let (mine, theirs) = try await ask(.fills(from: high, count: 2))
    guard case .fills(let one) = mine, case .fills(let other) = theirs else {
      divergence.remarks.append("fills cannot be compared: \(Self.reasons(mine, theirs))")
      return false
    }
    note(Divergence.FillDifference(number: high, fills: Divergence.Pair(one.first, other.first)), one, other)
    return true
  }

  private mutating func note(
    _ difference: Divergence.FillDifference, _ one: [StoredFill], _ other: [StoredFill]
  ) {
    divergence.verdict = .divergent
    divergence.fill = difference
    let stamps = [one.first?.stamp, other.first?.stamp].compactMap { $0 }
    divergence.checkpoint = stamps.min().map { Checkpoint.number(closing: $0) }
    // Whose next fill is the other one's present one lacks it.
    let left = one.first?.content
    let right = other.first?.content
    var difference = difference
    if right == nil || other.first.map({ _ in one.count > 1 && one[1].content == right }) ?? false {
      divergence.cause = .missing
      divergence.culprit = .right
      difference.fills.right = nil
      divergence.remarks.append(
        "\(self.right.label) lacks a fill that \(self.left.label) has; those after it are alike")
    } else if left == nil || one.first.map({ _ in other.count > 1 && other[1].content == left }) ?? false {
      divergence.cause = .missing
      divergence.culprit = .left
      difference.fills.left = nil
      divergence.remarks.append(
        "\(self.left.label) lacks a fill that \(self.right.label) has; those after it are alike")
    } else {
      divergence.cause = .sameLog
    }
    divergence.fill = difference
  }
}
