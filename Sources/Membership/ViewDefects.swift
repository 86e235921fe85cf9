/// Faults that can be built into the view change on purpose, so that tests can show that they would see them.
///
/// Nothing outside this package can ask for one, and a node never does.
package struct ViewDefects: OptionSet, Hashable, Sendable {
  package let rawValue: UInt32
  package init(rawValue: UInt32) { self.rawValue = rawValue }

  /// PROMISE leaves before the promise is on disk.
  package static let promiseNotDurable = ViewDefects(rawValue: 1 << 0)
  /// ACCEPTED leaves before what it speaks of is on disk.
  package static let acceptedNotDurable = ViewDefects(rawValue: 1 << 1)
  /// A proposer counts its ballots from the start again after a restart.
  package static let reusesBallot = ViewDefects(rawValue: 1 << 2)
  /// A proposer does not adopt a value that a promise reports.
  package static let ignoresAccepted = ViewDefects(rawValue: 1 << 3)
  /// A member that is wedged for long goes on in its view as if it had not promised.
  package static let wedgeTimesOut = ViewDefects(rawValue: 1 << 4)
  /// The base comes from the view before alone.
  package static let baseWithoutAcks = ViewDefects(rawValue: 1 << 5)
  /// The floor comes from the promises alone.
  package static let floorNotCarried = ViewDefects(rawValue: 1 << 6)
  /// One signature less than a majority makes a certificate.
  package static let tooFewSigners = ViewDefects(rawValue: 1 << 7)
  /// A lease that another holds is granted again, and an old one still counts.
  package static let leaseNotFenced = ViewDefects(rawValue: 1 << 8)
  /// A value is accepted, and a view entered, before its base is held.
  package static let noFlush = ViewDefects(rawValue: 1 << 9)
  /// Nobody but the first proposer proposes: an abandoned wedge does not end.
  package static let noTakeover = ViewDefects(rawValue: 1 << 10)
  /// A node takes the decision that admitted its old disk for its own.
  package static let ignoresToken = ViewDefects(rawValue: 1 << 11)
  /// A member proposes although it hears no majority.
  package static let proposesAlone = ViewDefects(rawValue: 1 << 12)
}
