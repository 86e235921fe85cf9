import EventLog
import Primitives

/// What can go wrong with a node's file. Every description says what to do.
public enum StoreError: Error, Equatable, Sendable {
  // Opening
  /// Another process, or another `Store` of this one, has the directory open for writing.
  case inUse(path: String)
  /// The directory cannot be made or written to.
  case notWritable(path: String, reason: String)
  /// Nothing to read there: only `openReadOnly` minds.
  case missing(path: String)
  case notADatabase(path: String)
  /// A database of another program.
  case otherProgram(path: String, applicationID: Int32)
  case otherCluster(path: String, found: Hash256, expected: Hash256)
  case otherNode(path: String, found: NodeID, expected: NodeID)
  /// Written by a newer version.
  case newerFormat(path: String, found: Int, supported: Int)
  /// Written by an older version; only `openReadOnly` minds, which must not change it.
  case olderFormat(path: String, found: Int, needed: Int)
  /// SQLite did not take a setting that durability rests on.
  case settingRefused(name: String, found: String, expected: String)

  // Reading
  /// SQLite finds its own structure damaged.
  case corrupt(path: String, message: String)
  /// A batch of this node's own log is damaged.
  case damagedOwnLog(LogDamage)
  /// A batch that was to be served to a peer is damaged.
  case damagedBatch(LogDamage)
  /// A protocol record is not what was written.
  case damagedRecord(key: String)
  /// A row of a derived table holds a value that no version writes.
  case damagedAudit(table: String, column: String)
  /// An intact batch holds something that this version does not know.
  case unknownEntry(origin: OriginIndex, sequence: UInt64, detail: CodecError)

  // Writing
  /// The disk is full or failed. The process must stop: after a failed sync nobody knows what is on disk.
  case io(path: String, code: Int32, message: String)
  /// The batch does not follow the log that is stored.
  case gap(origin: OriginIndex, expected: UInt64, found: UInt64)
  /// An applied run does not ascend in order keys.
  case disorder(after: OrderKey, found: OrderKey)
  /// The audit tables name entries of an origin up to this sequence only.
  case sequenceTooLarge(Dot)
  /// A write failed before; nothing is written any more.
  case stopped
  case closed

  /// The caller's own function ended a recovery.
  case endedByCaller(message: String)
  /// Anything else SQLite said: a defect of this program.
  case sqlite(code: Int32, message: String)
}

extension StoreError: CustomStringConvertible {
  public var description: String { openingText ?? readingText ?? writingText }

  private var openingText: String? {
    switch self {
    case .inUse(let path):
      "\(path) is in use by another process; stop that one, or give this node a directory of its own"
    case .notWritable(let path, let reason):
      "\(path) cannot be written to (\(reason)); correct its owner and permissions, or choose another directory"
    case .missing(let path):
      "\(path) does not exist; check the directory's name"
    case .notADatabase(let path):
      "\(path) is not an SQLite database; move it away, or choose another directory"
    case .otherProgram(let path, let applicationID):
      """
      \(path) is a database of another program (application id \(applicationID)); nothing was changed in it; \
      choose another directory
      """
    case .otherCluster(let path, let found, let expected):
      """
      \(path) belongs to cluster \(found.prefix(16)), not \(expected.prefix(16)); start the node with that \
      cluster's configuration, or give it an empty directory
      """
    case .otherNode(let path, let found, let expected):
      """
      \(path) belongs to node \(found.hash.prefix(16)), not \(expected.hash.prefix(16)); use that node's key, or \
      give this node an empty directory
      """
    case .newerFormat(let path, let found, let supported):
      "\(path) has format \(found), this version knows formats up to \(supported); upgrade this node"
    case .olderFormat(let path, let found, let needed):
      "\(path) has format \(found), this version reads format \(needed); start its node once, which brings it up"
    case .settingRefused(let name, let found, let expected):
      """
      SQLite answers \(name) = \(found) where \(expected) was set, so writes would not be durable; use a local file \
      system that supports shared memory files
      """
    default: nil
    }
  }

  private var readingText: String? {
    switch self {
    case .corrupt(let path, let message):
      """
      \(path) is damaged (\(message)); keep a copy as evidence, check the disk, and restore the whole directory \
      from its newest copy; without one this member cannot come back, and its cluster has to be made anew without it
      """
    case .damagedOwnLog(let damage):
      """
      this node's own log is damaged: \(damage); it may have told others more than it still has, so it does not \
      start; keep a copy of the directory as evidence, check the disk, and restore it from its newest copy; without \
      one this member cannot come back, and its cluster has to be made anew without it
      """
    case .damagedBatch(let damage):
      "the stored log is damaged: \(damage); restart this node, which drops the damaged part and fetches it from peers"
    case .damagedRecord(let key):
      """
      the protocol record \(key) is damaged; the node cannot keep promises that it does not know; keep a copy of the \
      directory as evidence, and restore it from its newest copy
      """
    case .damagedAudit(let table, let column):
      "the audit table \(table) holds an unknown value in \(column); rebuild the audit tables from the log"
    case .unknownEntry(let origin, let sequence, let detail):
      "the intact batch of origin \(origin) at \(sequence) cannot be read: \(detail)"
    default: nil
    }
  }

  private var writingText: String {
    switch self {
    case .io(let path, let code, let message):
      """
      writing or reading \(path) failed: \(message) (SQLite code \(code)); nothing of the last write counts; free \
      space or repair the disk, then start the node again
      """
    case .gap(let origin, let expected, let found):
      "a batch of origin \(origin) starts at \(found) where \(expected) is due"
    case .disorder(let after, let found):
      "an applied run has \(found) after \(after)"
    case .sequenceTooLarge(let dot):
      """
      entry \(dot) is beyond what the audit tables can name (\(AuditDot.sequenceMax)); restart the node as a new origin
      """
    case .stopped:
      "a write failed before; restart the node"
    case .closed:
      "the store is closed"
    case .endedByCaller(let message):
      "reading the log was ended: \(message)"
    case .sqlite(let code, let message):
      "SQLite: \(message) (code \(code)); this is a defect of rialto, please report it"
    default: ""
    }
  }
}
