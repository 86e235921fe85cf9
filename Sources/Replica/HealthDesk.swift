import EventLog
import Gossip
import OrderBook
import Primitives

/// What a replica knows of its own health, and what it is doing about it.
struct HealthDesk: Sendable {
  /// A member's attestation that is not what was derived here, until it is known who is wrong.
  struct Contrary: Sendable {
    var number: UInt64
    var origin: OriginIndex
    var mine: Hash256
    var theirs: Hash256
    /// The entry that says it, signed by its author; none if that is not known any more.
    var entry: Dot
    var sinceMicroseconds: UInt64?
  }

  /// A node's digest that names another book for the same entries.
  struct Mismatch: Sendable {
    var peer: PeerIndex
    var origin: OriginIndex?
    var mine: Hash256
    var theirs: Hash256
    /// What was applied then lies below this.
    var stamp: Stamp
    /// After so many passes of the scrubber, the whole book has been looked at since.
    var afterPasses: UInt64
  }

  static let contrariesMax = 256
  static let attemptsMax: UInt64 = 3
  /// Others may attest the same a moment later: so long nobody is judged but by a majority.
  static let patienceMicroseconds: UInt64 = 2_000_000
  /// From one replay of the own log on somebody's word to the next; then twice that, and so on.
  static let checkPauseMicroseconds: UInt64 = 10_000_000
  static let checkPauseMicrosecondsMax: UInt64 = 3_600_000_000
  /// Between attempts to make the book anew, times the square of their number.
  static let attemptPauseMicroseconds: UInt64 = 1_000_000
  /// So much faster the scrubber is when somebody waits for it.
  static let hurry: UInt64 = 16
  /// Units of work of the scrubber in one tick.
  static let scrubUnitsMin = 32
  static let scrubUnitsMax = 8_192

  var state = Health.sound
  var findings: FindingLog
  /// Number of the finding that is being repaired.
  var current: UInt64?

  // Scrubber
  var cursor = ScrubCursor()
  var lastScrubMicroseconds: UInt64?
  /// Wall-clock milliseconds at which the last whole pass ended; nil before the first.
  var passEndedMilliseconds: UInt64?

  // Somebody says something else
  var mismatch: Mismatch?
  var contraries: [Contrary] = []
  /// Wrong digests that a replay of the log decides about.
  var wrongDigests: [Mismatch] = []
  var accused: [OriginIndex] = []
  /// Nodes whose digest was another one, once, while this replica was found to be right; nil for one without a name.
  var warned: [OriginIndex?] = []
  var wantsCheck = false
  var nextCheckMicroseconds: UInt64 = 0
  var checkPauseMicroseconds = HealthDesk.checkPauseMicroseconds

  // Making the book anew
  var rebuilds: UInt64 = 0
  var isReading = false
  var attempts: UInt64 = 0
  var nextAttemptMicroseconds: UInt64 = 0
  /// How often the stored log did not reach as far as what is final; when it was so often, others' snapshot is wanted.
  var lacks = 0
  static let lacksMax = 10
  /// The newest checkpoint that a majority attested before.
  var lastGood: UInt64 = 0
  /// Final entries that were not handed out when the book was given up.
  var untakenEntries: UInt64 = 0
  /// The damaged book was brought back to its final entries, so it can be compared.
  var isComparable = false
  /// The book was made anew, and is not believed yet.
  var isProving = false
  /// The checkpoint that a majority must attest as it is here, and the pass of the scrubber after which the book agrees
  /// with its own recomputation.
  var provenNumber: UInt64 = 0
  var provenPasses: UInt64 = 0

  /// Parts of the stored log that are fetched again.
  var repairs: [LogRepair] = []

  // Damage on purpose
  var skipsNextFill = false
  var skipped: (entry: Dot, fill: FillAttestation)?

  init(findings: FindingLog) { self.findings = findings }

  /// Nothing is applied: the book is known to be wrong.
  var isStopped: Bool { !state.serves && !isProving }
}
