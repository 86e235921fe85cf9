import DequeModule
import EventLog
import Primitives

/// Fills as they are derived here, against fills as members publish them.
///
/// A fill's home is the origin of its taker's dot. A home publishes its fills in the order of execution, so what it has
/// published is a beginning of what is derived, and mostly nothing is looked up. Of a home that was sealed the first
/// member publishes, and may repeat what stands in the sealed log. Equal fills are told apart by nothing, and need not
/// be.
package struct FillLedger: Sendable {
  package struct Home: Sendable {
    /// Final fills whose entries are not final yet, in the order of execution.
    var derived: Deque<FillAttestation> = []
    /// Fills in this node's own log that are not final, in their order there.
    var own: Deque<FillAttestation> = []
    /// Whether `own` is a beginning of `derived`, as it is unless this node has just been started, or speaks for a home
    /// that has spoken for itself.
    var isRegular = true
    /// The last that were compared.
    var compared: Deque<FillAttestation> = []
    /// Derived fills were let go for lack of room: what is not found may have been one of them.
    var isTrimmed = false
    /// How long the first of `derived` is waited for; and whether it was said that it is missing.
    var waitedMilliseconds: UInt64 = 0
    var isMissed = false

    mutating func forgetFirst() {
      waitedMilliseconds = 0
      isMissed = false
    }

    mutating func publish(_ fill: FillAttestation) {
      isRegular = isRegular && own.count < derived.count && derived[own.count] == fill
      own.append(fill)
      if own.count > Limits.unpublishedFillsMax {
        own.removeFirst()
        isRegular = false
      }
    }

    /// A fill entry is final.
    /// - Parameter place: of the fill in `derived`, from where it has been taken; nil if it was not there.
    mutating func settle(_ fill: FillAttestation, at place: Int?, isOwn: Bool) {
      let isFirst = isOwn && own.first == fill
      if isFirst {
        own.removeFirst()
      } else if isOwn, let other = own.firstIndex(of: fill) {
        own.remove(at: other)
      }
      isRegular = own.isEmpty || isRegular && isFirst && place == 0
    }

    /// How many of `derived` are not in `own`.
    /// - Complexity: O(1) if `isRegular`, else O(derived + own).
    var unpublished: Int { isRegular ? derived.count - own.count : remaining(atMost: .max).count }

    /// The oldest of `derived` that are not in `own`.
    func remaining(atMost count: Int) -> [FillAttestation] {
      if isRegular { return Array(derived.dropFirst(own.count).prefix(count)) }
      // Looked up only, never walked.
      var counts: [FillAttestation: Int] = [:]
      for fill in own { counts[fill, default: 0] += 1 }
      var found: [FillAttestation] = []
      for fill in derived where found.count < count {
        if let known = counts[fill], known > 0 { counts[fill] = known - 1 } else { found.append(fill) }
      }
      return found
    }
  }

  package enum Finding: Equatable, Sendable {
    case equal
    /// Published before: that changes nothing.
    case repeated
    /// Too old to be judged.
    case unknown
    case wrong
  }

  /// A fill that its home has not published for so long is missing.
  static let missingMilliseconds: UInt64 = 10_000
  /// What counts of the time between two looks. Finality that goes on after a rest leaps, and then a home has had no
  /// chance yet.
  private static let stepMillisecondsMax: UInt64 = 500

  /// By place in the register.
  var homes: [Home] = []
  var waiting = 0
  /// Entries that were what was derived.
  package private(set) var compared: UInt64 = 0
  /// Entries that were not.
  private(set) var differences: UInt64 = 0
  /// Fills that were missing when it was time.
  private(set) var missing: UInt64 = 0
  private var lastLook: (stamp: Stamp, microseconds: UInt64) = (.zero, 0)

  package init() {}

  private mutating func reserve(_ home: OriginIndex) {
    while homes.count <= home.int { homes.append(Home()) }
  }

  /// Homes from 0 that may have fills.
  var homeCount: Int { homes.count }

  /// A fill is final.
  /// - Complexity: O(1).
  package mutating func derive(_ fill: FillAttestation) {
    let home = fill.taker.origin
    reserve(home)
    homes[home.int].derived.append(fill)
    waiting += 1
    guard waiting > Limits.unpublishedFillsMax else { return }
    homes[home.int].derived.removeFirst()
    homes[home.int].isRegular = homes[home.int].own.isEmpty
    homes[home.int].isTrimmed = true
    homes[home.int].forgetFirst()
    waiting -= 1
  }

  /// Compares a published fill, which is final now.
  /// - Parameter isOwn: it stands in this node's own log.
  /// - Complexity: O(1) for one that comes in its turn; else O(`Limits.comparedFillsMax`).
  package mutating func compare(_ fill: FillAttestation, isOwn: Bool) -> Finding {
    let home = fill.taker.origin.int
    guard home < homes.count else {
      differences += 1
      return .wrong
    }
    let place =
      homes[home].derived.first == fill
      ? 0 : homes[home].derived.prefix(Limits.comparedFillsMax).firstIndex(of: fill)
    homes[home].settle(fill, at: place, isOwn: isOwn)
    guard let place else {
      if homes[home].compared.contains(fill) { return .repeated }
      if homes[home].isTrimmed { return .unknown }
      differences += 1
      return .wrong
    }
    homes[home].derived.remove(at: place)
    if place == 0 { homes[home].forgetFirst() }
    homes[home].compared.append(fill)
    if homes[home].compared.count > Limits.comparedFillsMax { homes[home].compared.removeFirst() }
    waiting -= 1
    compared += 1
    return .equal
  }

  // MARK: Publishing

  /// A fill has come into this node's own log.
  mutating func published(_ fill: FillAttestation) {
    // Its place may be nobody's: a log that was read back may be anybody's idea of this node's.
    guard fill.taker.origin.int < Limits.originsMax else { return }
    reserve(fill.taker.origin)
    homes[fill.taker.origin.int].publish(fill)
  }

  /// The own log is another one from here on: what the last one holds and is not final may be void.
  mutating func forgetOwn() {
    for home in homes.indices {
      homes[home].own.removeAll()
      homes[home].isRegular = true
    }
  }

  /// Fills of a home that are neither published nor in this node's own log.
  func unpublished(_ home: OriginIndex) -> Int {
    home.int < homes.count ? homes[home.int].unpublished : 0
  }

  /// The oldest of them, at most `count`.
  func unpublished(_ home: OriginIndex, atMost count: Int) -> [FillAttestation] {
    home.int < homes.count ? homes[home.int].remaining(atMost: count) : []
  }

  // MARK: Missing ones

  /// The oldest fill of each home that has been waited for too long, in stamp time and in this node's own; each is told
  /// once.
  /// - Parameters:
  ///   - stamp: everything up to it is final and applied here.
  ///   - nowMicroseconds: monotonic.
  /// - Complexity: O(homes).
  mutating func takeMissing(_ stamp: Stamp, nowMicroseconds: UInt64) -> [FillAttestation] {
    // Less than a millisecond is looked at the next time.
    guard nowMicroseconds >= lastLook.microseconds + 1_000, stamp.milliseconds > lastLook.stamp.milliseconds else {
      return []
    }
    let step =
      lastLook.stamp == .zero
      ? 0
      : min(
        stamp.milliseconds - lastLook.stamp.milliseconds, (nowMicroseconds - lastLook.microseconds) / 1_000,
        Self.stepMillisecondsMax)
    lastLook = (stamp, nowMicroseconds)
    guard waiting > 0 else { return [] }
    var found: [FillAttestation] = []
    for home in homes.indices {
      guard let first = homes[home].derived.first, !homes[home].isMissed else { continue }
      homes[home].waitedMilliseconds += step
      guard homes[home].waitedMilliseconds >= Self.missingMilliseconds else { continue }
      homes[home].isMissed = true
      missing += 1
      found.append(first)
    }
    return found
  }
}
