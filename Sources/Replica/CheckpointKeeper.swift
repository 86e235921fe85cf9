import EventLog
import OrderBook
import Primitives

/// Closes checkpoints, keeps them, and holds what members attest against them.
///
/// It is given every final entry in key order, and told at each boundary what the book is.
package struct CheckpointKeeper: ~Copyable {
  /// What one member has attested.
  package struct Member: Hashable, Sendable {
    /// The newest checkpoint of which it said the same as was derived here. Equal hashes mean equal histories, so it
    /// speaks for all before.
    var equalThrough: UInt64 = 0
    /// An attestation of a checkpoint that is not closed here yet; only the newest is kept.
    var early: CheckpointAttestation?
  }

  /// An attestation that is not what was derived here.
  package struct Difference: Equatable, Sendable {
    package var number: UInt64
    package var origin: OriginIndex
    /// Of the checkpoints; of the books, if only those differ. Zero if there is no such checkpoint here.
    package var mine: Hash256
    package var theirs: Hash256
    var notice: Notice { .attestationDiffers(number: number, origin: origin, mine: mine, theirs: theirs) }
  }

  package internal(set) var list = CheckpointList()
  package private(set) var interval = CheckpointInterval()
  /// The newest one that members attest: it holds more than fills and attestations. 0 if there is none.
  package internal(set) var newestAttested: UInt64 = 0
  /// Everything up to here is in a checkpoint, or in no second of its own.
  package internal(set) var closedThrough = Stamp.zero
  /// Attestations that were wrong.
  package private(set) var differences: UInt64 = 0
  /// Attestations that were right.
  package private(set) var agreements: UInt64 = 0
  package internal(set) var fills: UInt64 = 0
  /// By place in the register.
  var members: [Member] = []
  /// Previous of the first checkpoint.
  private let start: Hash256

  /// - Parameter cluster: cluster id.
  package init(cluster: Hash256) { start = cluster }

  /// Goes on from a snapshot.
  package mutating func restore(_ state: borrowing ReplicaState) {
    list = state.checkpoints
    newestAttested = state.newestAttested
    closedThrough = state.info.lastStamp
    fills = state.finalFills
    members = state.members
  }

  /// Takes the next final entry.
  /// - Precondition: not below what is closed.
  /// - Complexity: O(bytes).
  package mutating func take(_ dot: Dot, _ entry: Entry) {
    precondition(entry.stamp > closedThrough, "an entry came after its second was closed")
    interval.take(dot, entry)
  }

  /// Takes the next fill of the entry that was taken last.
  package mutating func take(_ fill: FillAttestation) { interval.take(fill) }

  /// Closes the open interval: everything in it is final, and nothing later was taken.
  /// - Parameter bookHash: of the book at the boundary.
  /// - Returns: the checkpoint, whether members attest it, and attestations that came before it and are wrong.
  package mutating func close(
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

  /// The hash of the open interval's fills; nil if none is open.
  mutating func fillsSoFar() -> Hash256? { interval.fillsSoFar() }

  // MARK: Attestations

  /// Holds a member's word against what was derived here. Of a checkpoint that was dropped since nothing is known; one
  /// that is not closed here yet is looked at when it is.
  /// - Returns: the difference; nil if there is none, or none yet.
  /// - Complexity: O(log kept).
  package mutating func compare(_ attestation: CheckpointAttestation, by origin: OriginIndex) -> Difference? {
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
  package func attested(by origin: OriginIndex) -> UInt64 {
    origin.int < members.count ? members[origin.int].equalThrough : 0
  }
}

extension FillAttestation {
  /// What is published of a fill.
  package init(_ fill: Fill) {
    self.init(maker: fill.maker, taker: fill.taker, priceTicks: fill.priceTicks, quantityLots: fill.quantityLots)
  }
}
