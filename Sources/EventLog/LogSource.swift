import Primitives

/// What the index of a stored log says of one batch.
public struct LogPlace: Hashable, Sendable {
  /// By which the source finds the row again.
  public var row: Int64
  public var firstSequence: UInt64
  public var firstStamp: Stamp
  public init(row: Int64, firstSequence: UInt64, firstStamp: Stamp) {
    self.row = row
    self.firstSequence = firstSequence
    self.firstStamp = firstStamp
  }
}

/// One stored batch as it is found: bytes, and the columns beside them.
///
/// Nothing of it is believed before `LogRecovery` has checked it, so it can hold what no batch can.
public struct LogRow: Hashable, Sendable {
  public var origin: Int64
  public var firstSequence, lastSequence: UInt64
  public var firstStamp, lastStamp: Stamp
  public var view: UInt64
  /// Of the chain up to and including this batch; nil if what is stored is no hash.
  public var hash: Hash256?
  /// Nil if what is stored is no signature.
  public var signature: Signature?
  /// Canonical bytes.
  public var bytes: [UInt8]

  public init(
    origin: Int64, firstSequence: UInt64, lastSequence: UInt64, firstStamp: Stamp, lastStamp: Stamp, view: UInt64,
    hash: Hash256?, signature: Signature?, bytes: [UInt8]
  ) {
    self.origin = origin
    self.firstSequence = firstSequence
    self.lastSequence = lastSequence
    self.firstStamp = firstStamp
    self.lastStamp = lastStamp
    self.view = view
    self.hash = hash
    self.signature = signature
    self.bytes = bytes
  }

  /// The row that a store keeps of a batch.
  public init(_ batch: Batch) {
    self.init(
      origin: Int64(batch.origin.value), firstSequence: batch.firstSequence, lastSequence: batch.lastSequence,
      firstStamp: batch.firstStamp, lastStamp: batch.lastStamp, view: batch.view, hash: batch.hash,
      signature: batch.signature, bytes: batch.bytes)
  }
}

/// A stored log that `LogRecovery` can read: rows, one a batch, found by origin and first sequence.
///
/// It says what is there, damaged or not; it judges nothing. What it gives MUST NOT change during a recovery.
public protocol LogSource {
  /// Why a read failed; that is never damage to a batch.
  associatedtype Failure: Error

  /// All origins of which there is a row, each once.
  func origins() throws(Failure) -> [OriginIndex]

  /// The first `max` places of an origin whose first sequence is above `sequence`, in ascending order of it.
  func places(of origin: OriginIndex, after sequence: UInt64, max: Int) throws(Failure) -> [LogPlace]

  /// The row at a place; nil if the index names one that is not there.
  func row(_ place: LogPlace) throws(Failure) -> LogRow?

  /// What an origin's rows with first sequences of `sequence` or more are: how many, and how many sequences from
  /// `sequence` through the largest last sequence that one of them claims; nothing if there are none.
  func extent(of origin: OriginIndex, from sequence: UInt64) throws(Failure) -> (batches: Int, entries: UInt64)
}
