import EventLog
import OrderBook
import Primitives

/// Closes checkpoints, keeps them, and holds what members attest against them.
///
/// It is given every final entry in key order, and told at each boundary what the book is.
struct CheckpointKeeper: ~Copyable {
  /// What one member has attested.
  struct Member: Hashable, Sendable {
    /// The newest checkpoint of which it said the same as was derived here. Equal hashes mean equal histories, so it
    /// speaks for all before.
    var equalThrough: UInt64 = 0
    /// An attestation of a checkpoint that is not closed here yet; only the newest is kept.
    var early: CheckpointAttestation?
  }

  /// An attestation that is not what was derived here.
  struct Difference: Equatable, Sendable {
    var number: UInt64
    var origin: OriginIndex
    /// Of the checkpoints; of the books, if only those differ. Zero if there is no such checkpoint here.
    var mine: Hash256
    var theirs: Hash256
    var notice: Notice { .attestationDiffers(number: number, origin: origin, mine: mine, theirs: theirs) }
  }

  var list = CheckpointList()
  private(set) var interval = CheckpointInterval()
  /// The newest one that members attest: it holds more than fills and attestations. 0 if there is none.
  var newestAttested: UInt64 = 0
  /// Everything up to here is in a checkpoint, or in no second of its own.
  var closedThrough = Stamp.zero
  /// Attestations that were wrong.
  private(set) var differences: UInt64 = 0
  /// Attestations that were right.
  private(set) var agreements: UInt64 = 0
  var fills: UInt64 = 0
  /// By place in the register.
  var members: [Member] = []
  /// Previous of the first checkpoint.
  private let start: Hash256

  /// - Parameter cluster: cluster id.
  init(cluster: Hash256) { start = cluster }

  /// Takes the next final entry.
  /// - Precondition: not below what is closed.
  /// - Complexity: O(bytes).
  mutating func take(_ dot: Dot, _ entry: Entry) {
    precondition(entry.stamp > closedThrough, "an entry came after its second was closed")
    interval.take(dot, entry)
  }

  /// Takes the next fill of the entry that was taken last.
  mutating func take(_ fill: FillAttestation) { interval.take(fill) }

  /// Closes the open interval: everything in it is final, and nothing later was taken.
  /// - Parameter bookHash: of the book at the boundary.
  /// - Returns: the checkpoint, whether members attest it, and attestations that came before it and are wrong.
  mutating func close(
    bookHash: Hash256, _ sha: SHA256
  ) -> (checkpoint: Checkpoint, isAttested: Bool, differences: [Difference]) {
    let isAttested = interval.holdsCommands
    if isAttested { newestAttested = interval.number ?? 0 }
    let checkpoint = interval.close(
      previous: list.newest?.hash ?? start, bookHash: bookHash, fillsBefore: fills, sha)
    fills = checkpoint.fills
    list.append(checkpoint)
    closedThrough = Checkpoint.lastStamp(checkpoint.number)
    var found: [Difference] = []
    for index in members.indices {
      guard let early = members[index].early, early.number <= checkpoint.number else { continue }
      members[index].early = nil
      if let difference = compare(early, by: OriginIndex(UInt32(index))) { found.append(difference) }
    }
    return (checkpoint, isAttested, found)
  }

  // MARK: Attestations

  /// Holds a member's word against what was derived here. Of a checkpoint that was dropped since nothing is known; one
  /// that is not closed here yet is looked at when it is.
  /// - Returns: the difference; nil if there is none, or none yet.
  /// - Complexity: O(log kept).
  mutating func compare(_ attestation: CheckpointAttestation, by origin: OriginIndex) -> Difference? {
    if origin.int >= members.count {
      members.append(contentsOf: repeatElement(Member(), count: origin.int + 1 - members.count))
    }
    var mine = Hash256.zero
    var theirs = attestation.checkpointHash
    switch list.find(attestation.number) {
    case .kept(let checkpoint):
      if checkpoint.attestation == attestation {
        agreements += 1
        members[origin.int].equalThrough = max(members[origin.int].equalThrough, attestation.number)
        return nil
      }
      mine = checkpoint.hash
      if mine == theirs { (mine, theirs) = (checkpoint.bookHash, attestation.bookHash) }
    case .notYet:
      members[origin.int].early = attestation
      return nil
    case .dropped: return nil
    case .never: break
    }
    differences += 1
    return Difference(number: attestation.number, origin: origin, mine: mine, theirs: theirs)
  }

  /// The newest checkpoint that a member is known to agree with; with it, it agrees with all before. 0 if none.
  func attested(by origin: OriginIndex) -> UInt64 { origin.int < members.count ? members[origin.int].equalThrough : 0 }
}

extension FillAttestation {
  /// What is published of a fill.
  init(_ fill: Fill) {
    self.init(maker: fill.maker, taker: fill.taker, priceTicks: fill.priceTicks, quantityLots: fill.quantityLots)
  }
}
