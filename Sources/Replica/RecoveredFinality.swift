import EventLog
import Primitives

/// How much of a log that is read back at a start may be taken for final at once.
///
/// The audit tables hold final entries only, so the log up to their position is final again. But they may know entries
/// that the log has lost. Then it must be read twice: the second time nothing is final that a lost entry may belong
/// before, else it would be refused when peers send it again. The tables keep what they have; it was derived from the
/// whole log.
///
/// ```swift
/// var finality = RecoveredFinality(origins: register.count, auditPosition: position, auditedEntries: entries)
/// configuration.finalStamp = finality.finalStamp       // for the first reading, which gives `read` every batch
/// if let lowered = finality.loweredFinalStamp { … }    // for a second one, with a new replica
/// ```
public struct RecoveredFinality: Sendable {
  /// Everything at or before it is final, if the log has lost nothing of that: `ReplicaConfiguration.finalStamp`.
  public let finalStamp: Stamp
  private let auditPosition: OrderKey
  private let auditedEntries: UInt64
  /// Entries in the log at or before the tables' position.
  private var foundEntries: UInt64 = 0
  /// Of each origin, in what its log has left.
  private var newest: [Stamp]

  /// - Parameters:
  ///   - origins: how many the register has.
  ///   - auditPosition: key of the last entry that the audit tables were given; zero if there was none.
  ///   - auditedEntries: how many they were given.
  ///   - base: by place, what a snapshot stands for, at or before that position; the log is read from there on.
  public init(origins: Int, auditPosition: OrderKey, auditedEntries: UInt64, base: [LogBase] = []) {
    self.auditPosition = auditPosition
    self.auditedEntries = auditedEntries
    // Entries of other origins with the position's own stamp may be final or not.
    finalStamp = auditPosition.stamp > .zero ? Stamp(auditPosition.stamp.value - 1) : .zero
    newest = Array(repeating: .zero, count: origins)
    for (place, base) in base.enumerated() where place < origins {
      newest[place] = base.stamp
      foundEntries += base.head.sequence
    }
  }

  /// Takes note of a batch that the log still has.
  /// - Precondition: its origin is in the register; batches of one origin come in order.
  public mutating func read(_ batch: Batch) {
    newest[batch.origin.int] = batch.lastStamp
    let isWhole = batch.lastKey <= auditPosition
    foundEntries += UInt64(
      isWhole
        ? batch.entries.count
        : batch.entries.prefix { OrderKey(stamp: $0.stamp, origin: batch.origin) <= auditPosition }.count)
  }

  /// When the whole log has been read: nil if it has everything that the audit tables know. Else what may be taken for
  /// final when it is read again; whatever an origin has lost came after what it has left.
  public var loweredFinalStamp: Stamp? {
    foundEntries < auditedEntries ? min(finalStamp, newest.min() ?? .zero) : nil
  }
}
