import Primitives

/// A part of an origin's log that is not what was written.
public struct LogDamage: Error, Equatable, Sendable, CustomStringConvertible {
  public enum Kind: Equatable, Sendable {
    /// The bytes do not have the stored chain hash: a flipped bit in bytes, hash, or an earlier batch's hash.
    case hashMismatch
    /// The bytes are no batch.
    case undecodable(CodecError)
    /// The row does not start where the log before it ends; `found` is where it starts.
    case outOfChain(found: UInt64)
    /// A column disagrees with the batch's own bytes.
    case column(StaticName)
  }

  public var origin: OriginIndex
  /// First sequence that is not to be had from this log.
  public var sequence: UInt64
  public var kind: Kind
  /// Rows from the damage on, and the entries they claim.
  public var batchesLost: Int
  public var entriesLost: UInt64

  public init(origin: OriginIndex, sequence: UInt64, kind: Kind, batchesLost: Int = 0, entriesLost: UInt64 = 0) {
    self.origin = origin
    self.sequence = sequence
    self.kind = kind
    self.batchesLost = batchesLost
    self.entriesLost = entriesLost
  }

  public var description: String {
    let what =
      switch kind {
      case .hashMismatch: "the batch does not have its stored hash"
      case .undecodable(let error): "the batch cannot be read (\(error))"
      case .outOfChain(let found): "the next batch starts at \(found)"
      case .column(let name): "column \(name) disagrees with the batch"
      }
    return "origin \(origin) from sequence \(sequence): \(what); \(batchesLost) batches lost"
  }
}

/// What a restart found in the log.
public struct RecoveryReport: Equatable, Sendable {
  /// Batches and entries that were intact and delivered.
  public var batches = 0
  public var entries: UInt64 = 0
  /// One item for each damaged origin, by origin. Peers have what is missing.
  public var damages: [LogDamage] = []
  /// Whether the damaged rows were deleted, so that the log can be continued; `LogRecovery` leaves that to its caller,
  /// and one that only looks does not.
  public var areDamagedRowsDeleted = false
  public init() {}
}
